/**
 * @file token.c  The tokens of phones, and what became of them
 */

#include <errno.h>
#include <openssl/sha.h>
#include "pns.h"

static const char *const states[] = {
	[TOKEN_OK] = "ok",
	[TOKEN_UNREGISTERED] = "unregistered",
	[TOKEN_EXPIRED] = "expired",
	[TOKEN_BAD] = "bad",
	[TOKEN_MISMATCH] = "mismatch",
	[TOKEN_THROTTLED] = "throttled",
	[TOKEN_REMOVED] = "removed",
};


static void token_destructor(void *arg)
{
	struct pns_token *t = arg;

	hash_unlink(&t->he);
	list_unlink(&t->dev_le);
	EVP_PKEY_free(t->key);
	mem_deref(t->text);
}


struct key {
	bool fcm;
	const char *text;
};


static bool same(struct le *le, void *arg)
{
	const struct pns_token *t = le->data;
	const struct key *k = arg;

	return t->fcm == k->fcm && !strcmp(t->text, k->text);
}


struct pns_token *pns_token_find(const struct pns *pns, bool fcm,
				 const char *text)
{
	struct key k = { fcm, text };

	return list_ledata(
		hash_lookup(pns->tokens, hash_joaat_str(text), same, &k));
}


static int token_get(struct pns_token **tp, struct pns *pns, bool fcm,
		     const char *text)
{
	struct pns_token *t = pns_token_find(pns, fcm, text);
	int err;

	if (!t) {
		t = mem_zalloc(sizeof(*t), token_destructor);
		if (!t)
			return ENOMEM;
		err = str_dup(&t->text, text);
		if (err) {
			mem_deref(t);
			return err;
		}
		t->fcm = fcm;
		t->registered_ms = pns_now_ms(pns);
		hash_append(pns->tokens, hash_joaat_str(text), &t->he, t);
	}
	*tp = t;

	return 0;
}


static int state_decode(enum pns_token_state *state, const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(states); i++) {
		if (!strcmp(states[i], name)) {
			*state = (enum pns_token_state)i;
			return 0;
		}
	}

	return EINVAL;
}


static void apply_text(char *dst, size_t size, const json_t *o,
		       const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	if (s)
		str_ncpy(dst, s, size);
}


static int apply(struct pns_token *t, struct pns *pns, const json_t *o,
		 const char **why)
{
	const char *env = json_string_value(json_object_get(o, "environment"));
	const char *state = json_string_value(json_object_get(o, "state"));
	const json_t *reg = json_object_get(o, "registered_ms");
	const json_t *dead = json_object_get(o, "dead_ms");

	apply_text(t->topic, sizeof(t->topic), o, "topic");
	apply_text(t->project, sizeof(t->project), o, "project");
	if (env)
		t->sandbox = !strcmp(env, "sandbox");
	if (state && state_decode(&t->state, state)) {
		*why = "no such state";
		return EINVAL;
	}
	if (reg)
		t->registered_ms = json_integer_value(reg);
	if (state && t->state != TOKEN_OK)
		t->dead_ms = pns_now_ms(pns);
	if (dead)
		t->dead_ms = json_integer_value(dead);
	if (t->webpush) {
		apply_text(t->vapid, sizeof(t->vapid), o, "vapid");
		if (!t->key && !json_is_false(json_object_get(o, "keys")))
			return pns_subscr_keys(t);
		return 0;
	}
	if (!t->fcm && !*t->topic) {
		*why = "an APNs token needs its topic";
		return EINVAL;
	}

	return 0;
}


int pns_token_put(struct pns_token **tp, struct pns *pns, json_t *o,
		  const char **why)
{
	const char *prov = json_string_value(json_object_get(o, "provider"));
	const char *text = json_string_value(json_object_get(o, "token"));
	struct pns_token *t = NULL;
	bool fresh;
	int err;

	if (!prov || !text || !*text ||
	    (strcmp(prov, "apns") && strcmp(prov, "fcm") &&
	     strcmp(prov, "webpush"))) {
		*why = "provider (apns, fcm, webpush) and token are needed";
		return EINVAL;
	}
	fresh = !pns_token_find(pns, !strcmp(prov, "fcm"), text);
	err = token_get(&t, pns, !strcmp(prov, "fcm"), text);
	if (err) {
		*why = "no memory";
		return err;
	}
	t->webpush = !strcmp(prov, "webpush");
	if (t->webpush && !pns_webpush_path(text)) {
		*why = "token is the path of the endpoint, /push/...";
		err = EINVAL;
	}
	else {
		err = apply(t, pns, o, why);
	}
	if ((err && fresh) || t->state == TOKEN_REMOVED) {
		mem_deref(t);
		t = NULL;
	}
	if (tp)
		*tp = t;

	return err;
}


void pns_token_tag(char tag[9], const char *token)
{
	uint8_t md[SHA256_DIGEST_LENGTH];

	(void)SHA256((const uint8_t *)token, strlen(token), md);
	(void)re_snprintf(tag, 9, "%02x%02x%02x%02x", md[0], md[1], md[2],
			  md[3]);
}
