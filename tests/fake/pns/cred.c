/**
 * @file cred.c  Who may push: APNs keys, FCM service accounts and the access
 *               tokens they got
 */

#include <errno.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include "pns.h"


static void cred_destructor(void *arg)
{
	struct pns_cred *cred = arg;

	list_unlink(&cred->le);
	list_flush(&cred->topicl);
	EVP_PKEY_free(cred->key);
}


int pns_cred_add(struct pns_cred **cp, struct pns *pns, const char *path)
{
	struct pns_cred *cred = mem_zalloc(sizeof(*cred), cred_destructor);
	int err;

	if (!cred)
		return ENOMEM;
	err = pns_key_read(&cred->key, path);
	if (!err && EVP_PKEY_base_id(cred->key) != EVP_PKEY_EC)
		err = EBADMSG;
	if (err) {
		mem_deref(cred);
		return err;
	}

	cred->production = cred->sandbox = true;
	list_append(&pns->credl, &cred->le, cred);
	*cp = cred;

	return 0;
}


int pns_cred_topic(struct pns_cred *cred, const char *bundle)
{
	struct pns_topic *topic = mem_zalloc(sizeof(*topic), NULL);

	if (!topic)
		return ENOMEM;
	str_ncpy(topic->name, bundle, sizeof(topic->name));
	list_append(&cred->topicl, &topic->le, topic);

	return 0;
}


struct pns_cred *pns_cred_find(const struct pns *pns, const char *kid)
{
	struct le *le;

	LIST_FOREACH (&pns->credl, le) {
		struct pns_cred *cred = le->data;

		if (*kid && !strcmp(cred->kid, kid))
			return cred;
	}

	return NULL;
}


static bool topic_fits(const char *bundle, const char *topic)
{
	static const char *const suffixes[] = {
		"",
		".voip",
		".voip-ptt",
		".complication",
		".location-query",
		".pushkit.fileprovider",
		".push-type.liveactivity",
		".push-type.widgets",
		".push-type.controls",
	};
	const size_t n = strlen(bundle);

	if (strncmp(bundle, topic, n))
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++) {
		if (!strcmp(topic + n, suffixes[i]))
			return true;
	}

	return false;
}


/* A key without topics of its own is good for every app of the team */
bool pns_cred_may(const struct pns_cred *cred, const char *topic)
{
	struct le *le;

	LIST_FOREACH (&cred->topicl, le) {
		const struct pns_topic *t = le->data;

		if (topic_fits(t->name, topic))
			return true;
	}

	return list_isempty(&cred->topicl);
}


static void sa_destructor(void *arg)
{
	struct pns_sa *sa = arg;

	list_unlink(&sa->le);
	EVP_PKEY_free(sa->key);
	json_decref(sa->json);
}


static int account_decode(struct pns_sa *sa)
{
	const char *pem =
		json_string_value(json_object_get(sa->json, "private_key"));
	BIO *bio;

	sa->project =
		json_string_value(json_object_get(sa->json, "project_id"));
	sa->email =
		json_string_value(json_object_get(sa->json, "client_email"));
	sa->kid =
		json_string_value(json_object_get(sa->json, "private_key_id"));
	sa->token_uri =
		json_string_value(json_object_get(sa->json, "token_uri"));
	if (!pem || !sa->project || !sa->email || !sa->kid || !sa->token_uri)
		return EBADMSG;

	bio = BIO_new_mem_buf(pem, -1);
	sa->key = bio ? PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL) : NULL;
	BIO_free(bio);

	return sa->key && EVP_PKEY_base_id(sa->key) == EVP_PKEY_RSA ? 0
								    : EBADMSG;
}


int pns_sa_add(struct pns *pns, const char *path)
{
	struct pns_sa *sa = mem_zalloc(sizeof(*sa), sa_destructor);
	int err;

	if (!sa)
		return ENOMEM;
	sa->json = json_load_file(path, 0, NULL);
	err = sa->json ? account_decode(sa) : ENOENT;
	if (err) {
		mem_deref(sa);
		return err;
	}
	list_append(&pns->sal, &sa->le, sa);

	return 0;
}


struct pns_sa *pns_sa_project(const struct pns *pns, const char *project)
{
	struct le *le;

	LIST_FOREACH (&pns->sal, le) {
		struct pns_sa *sa = le->data;

		if (!strcmp(sa->project, project))
			return sa;
	}

	return NULL;
}


struct pns_sa *pns_sa_email(const struct pns *pns, const char *email)
{
	struct le *le;

	LIST_FOREACH (&pns->sal, le) {
		struct pns_sa *sa = le->data;

		if (!strcmp(sa->email, email))
			return sa;
	}

	return NULL;
}


static void access_destructor(void *arg)
{
	struct pns_access *a = arg;

	hash_unlink(&a->he);
}


int pns_access_new(struct pns_access **ap, struct pns *pns, struct pns_sa *sa)
{
	struct pns_access *a = mem_zalloc(sizeof(*a), access_destructor);
	uint8_t rnd[32];

	if (!a)
		return ENOMEM;
	if (RAND_bytes(rnd, sizeof(rnd)) != 1) {
		mem_deref(a);
		return EIO;
	}
	(void)re_snprintf(a->text, sizeof(a->text), "ya29.%w", rnd,
			  sizeof(rnd));
	a->sa = sa;
	a->expires_ms =
		pns_now_ms(pns) + pns->setv[SET_FCM_TOKEN_LIFE_S] * 1000;
	hash_append(pns->access, hash_joaat_str(a->text), &a->he, a);
	*ap = a;

	return 0;
}


static bool access_same(struct le *le, void *arg)
{
	const struct pns_access *a = le->data;

	return !strcmp(a->text, arg);
}


struct pns_access *pns_access_find(const struct pns *pns, const char *text)
{
	return list_ledata(hash_lookup(pns->access, hash_joaat_str(text),
				       access_same, (void *)text));
}
