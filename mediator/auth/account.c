/**
 * @file auth/account.c  A Google service account's JSON file
 */

#include <errno.h>
#include <string.h>
#include "mediator/json.h"
#include "common/secret.h"
#include "mediator/auth/account.h"


static void destructor(void *arg)
{
	struct account *a = arg;

	if (a->private_key)
		explicit_bzero(a->private_key, strlen(a->private_key));
	mem_deref(a->private_key);
	mem_deref(a->project_id);
	mem_deref(a->client_email);
	mem_deref(a->private_key_id);
	mem_deref(a->token_uri);
}


static int take(char **dst, const json_t *root, const char *key, char *reason,
		size_t reason_sz)
{
	const char *v = json_string_value(json_object_get(root, key));

	if (!v || !*v) {
		(void)re_snprintf(reason, reason_sz,
				  "it has no \"%s\"; give the service account "
				  "file as downloaded",
				  key);
		return EBADMSG;
	}

	return str_dup(dst, v);
}


int account_parse(struct account **ap, const char *text, char *reason,
		  size_t reason_sz)
{
	struct account *a;
	json_error_t je;
	json_t *root;
	int err = 0;

	if (!ap || !text)
		return EINVAL;

	root = json_loads(text, JSON_REJECT_DUPLICATES, &je);
	if (!root) {
		(void)re_snprintf(reason, reason_sz,
				  "it is not JSON (line %d); give the service "
				  "account file as downloaded",
				  je.line);
		return EBADMSG;
	}

	a = mem_zalloc(sizeof(*a), destructor);
	if (!a) {
		json_decref(root);
		return ENOMEM;
	}

#define TAKE(member) \
	if (!err)    \
	err = take(&a->member, root, #member, reason, reason_sz)
	TAKE(project_id);
	TAKE(client_email);
	TAKE(private_key_id);
	TAKE(private_key);
	TAKE(token_uri);
#undef TAKE
	json_decref(root);

	if (err)
		mem_deref(a);
	else
		*ap = a;

	return err;
}
