/**
 * @file import.c  Filling a store from a file of JSON lines
 *
 * libre's umbrella header and jansson's claim the same names, so this file
 * takes from libre only what it needs.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <jansson.h>
#include <openssl/evp.h>
#include <re/re_types.h>
#include <re/re_mem.h>
#include "common/clock.h"
#include "common/ident.h"
#include "common/secret.h"
#include "proto/wire.h"
#include "sipis/inst/import.h"
#include "sipis/store/app_state.h"
#include "sipis/store/bulk.h"

#define GROUP 20000 /**< accounts in a transaction */

struct import {
	const struct sipis_cfg *cfg;
	const struct cred_key *key;
	struct store_bulk *bulk;
	struct import_result *res;
	char why[256];
	unsigned open; /**< accounts since the last commit */

	/* the line at hand */
	const struct pbx_cfg *pbx;
	struct acct_row acct;
	struct inst_row inst[STORE_INST_MAX];
	unsigned instc;
	uint8_t sealed[CRED_SEALED_MAX];
	uint8_t handles[STORE_INST_MAX * STORE_PUSH_MAX][STORE_HANDLE_MAX];
	unsigned handlec;
};


static int bad(struct import *im, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(im->why, sizeof(im->why), fmt, ap);
	va_end(ap);
	return EBADMSG;
}


static int text(struct import *im, const json_t *o, const char *key,
		const char **dst, size_t max, bool needed)
{
	const json_t *v = json_object_get(o, key);
	const char *s = json_string_value(v);

	if (!v && !needed)
		return 0;
	if (!v)
		return bad(im, "\"%s\" is missing", key);
	if (!s || (needed && !*s) || strlen(s) > max)
		return bad(im, "\"%s\" must be a string of 1 to %zu bytes",
			   key, max);

	*dst = s;
	return 0;
}


/** No key that nobody reads: it is a typing error */
static int known(struct import *im, json_t *o, const char *const *keys)
{
	const char *key;
	json_t *v;

	json_object_foreach(o, key, v)
	{
		const char *const *k;

		for (k = keys; *k && strcmp(*k, key); k++)
			;
		if (!*k)
			return bad(im, "unknown member \"%s\"", key);
	}

	return 0;
}


static int choice(struct import *im, const json_t *o, const char *key,
		  const char *const *names, int *value)
{
	const char *s = NULL;
	int err = text(im, o, key, &s, 32, false);

	if (err || !s)
		return err;

	for (int i = 0; names[i]; i++)
		if (!strcasecmp(names[i], s)) {
			*value = i;
			return 0;
		}
	return bad(im, "\"%s\" cannot be \"%s\"", key, s);
}


static int pbx_check(struct import *im)
{
	struct acct_row *a = &im->acct;

	for (uint32_t i = 0; i < im->cfg->pbx_count; i++) {
		const struct pbx_cfg *pbx = &im->cfg->pbx[i];

		if (strcmp(pbx->name, a->pbx))
			continue;
		for (uint32_t k = 0; k < pbx->domains_count; k++)
			if (!strcasecmp(pbx->domains[k], a->domain)) {
				a->domain = pbx->domains[k];
				im->pbx = pbx;
				return 0;
			}
		return bad(im, "domain \"%s\" is not one of PBX \"%s\"",
			   a->domain, a->pbx);
	}

	return bad(im, "no PBX \"%s\" in the configuration", a->pbx);
}


static int seal(struct import *im, const void *what, size_t len, bool is_ha1)
{
	struct acct_row *a = &im->acct;

	a->sealed_is_ha1 = is_ha1;
	a->sealed = im->sealed;
	a->sealed_len = sizeof(im->sealed);
	return cred_seal(im->key, a, what, len, im->sealed, &a->sealed_len);
}


static int secret(struct import *im, const json_t *o)
{
	const struct acct_row *a = &im->acct;
	const char *password = NULL, *ha1 = NULL;
	uint8_t raw[CRED_HA1_MAX];
	size_t len = a->alg == DIGEST_MD5 ? 16 : 32;
	int err;

	err = text(im, o, "password", &password, 256, false);
	if (!err)
		err = text(im, o, "ha1", &ha1, 64, false);
	if (err)
		return err;
	if (!password == !ha1)
		return bad(im, "give either \"password\" or \"ha1\"");

	if (ha1) {
		if (!a->realm)
			return bad(im, "\"ha1\" needs \"realm\"");
		if (ident_unhex(raw, len, ha1))
			return bad(im, "\"ha1\" must be %zu hex digits",
				   2 * len);
		return seal(im, raw, len, true);
	}
	if (!password)
		return EINVAL;
	if (!a->realm)
		return seal(im, password, strlen(password), false);

	/* with the realm known there is no need to keep the password */
	len = cred_ha1(raw, a->alg, a->auth_user, a->realm, password);
	return seal(im, raw, len, true);
}


static int account(struct import *im, json_t *o)
{
	static const char *const keys[] = {
		"pbx",       "user",         "domain",    "auth_user",
		"password",  "ha1",          "realm",     "algorithm",
		"transport", "display_name", "instances", "outbound_proxy",
		NULL
	};
	static const char *const algs[] = { "MD5", "SHA-256", NULL };
	static const char *const tps[] = { "auto", "udp", "tcp", "tls", NULL };
	struct acct_row *a = &im->acct;
	int alg = DIGEST_MD5, err;

	memset(a, 0, sizeof(*a));
	a->transport = -1;
	a->proven = true;
	err = known(im, o, keys);
	if (!err)
		err = text(im, o, "pbx", &a->pbx, 64, true);
	if (!err)
		err = text(im, o, "user", &a->user, 128, true);
	if (!err)
		err = text(im, o, "domain", &a->domain, 253, true);
	if (!err)
		err = text(im, o, "auth_user", &a->auth_user, 128, false);
	if (!err)
		err = text(im, o, "display_name", &a->display_name, 128,
			   false);
	if (!err)
		err = text(im, o, "outbound_proxy", &a->outbound_proxy, 253,
			   false);
	if (!err)
		err = text(im, o, "realm", &a->realm, 128, false);
	if (!err)
		err = choice(im, o, "algorithm", algs, &alg);
	if (!err)
		err = choice(im, o, "transport", tps, &a->transport);
	if (!err)
		err = pbx_check(im);
	if (err)
		return err;

	a->alg = (enum digest_alg)alg;
	if (!a->auth_user)
		a->auth_user = a->user;
	err = store_bulk_acct_id(im->bulk, a->pbx, a->user, a->domain, &a->id);
	if (!err)
		err = ident_random(a->contact, sizeof(a->contact));
	return err ? err : secret(im, o);
}


static int unb64url(const char *src, uint8_t *dst, size_t *len)
{
	uint8_t in[STORE_HANDLE_MAX * 2], out[STORE_HANDLE_MAX * 2];
	size_t n = strlen(src), pad = (4 - n % 4) % 4;

	if (!n || pad == 3 || n > (STORE_HANDLE_MAX * 4 + 2) / 3)
		return EBADMSG;

	for (size_t i = 0; i < n + pad; i++)
		in[i] = (uint8_t)(i >= n          ? '='
				  : src[i] == '-' ? '+'
				  : src[i] == '_' ? '/'
						  : src[i]);
	if (EVP_DecodeBlock(out, in, (int)(n + pad)) < 0)
		return EBADMSG;

	*len = (n + pad) / 4 * 3 - pad;
	memcpy(dst, out, *len);
	return 0;
}


static int uses(struct import *im, const json_t *o, uint32_t *mask)
{
	const json_t *v = json_object_get(o, "use"), *name;
	size_t i;

	if (!json_is_array(v) || !json_array_size(v))
		return bad(im, "\"use\" must be a list");

	json_array_foreach(v, i, name)
	{
		const char *s = json_string_value(name);
		Wire__Use use;

		if (!s || wire_use_decode(&use, s))
			return bad(im, "\"use\" has a value that is none");
		*mask |= 1u << use;
	}

	return 0;
}


static int token(struct import *im, json_t *o, struct push_row *p)
{
	static const char *const keys[] = { "use",         "provider", "topic",
					    "environment", "handle",   NULL };
	uint8_t *handle = im->handles[im->handlec++];
	const char *b64 = NULL;
	int err;

	p->topic = p->environment = p->gone_reason = "";
	p->handle = handle;
	err = known(im, o, keys);
	if (!err)
		err = uses(im, o, &p->uses);
	if (!err)
		err = text(im, o, "provider", &p->provider, 16, true);
	if (!err)
		err = text(im, o, "topic", &p->topic, 255, false);
	if (!err)
		err = text(im, o, "environment", &p->environment, 16, false);
	if (!err)
		err = text(im, o, "handle", &b64, 2 * STORE_HANDLE_MAX, true);
	if (!err && (!b64 || unb64url(b64, handle, &p->handle_len)))
		err = bad(im,
			  "\"handle\" must be base64url of at most %d "
			  "bytes",
			  STORE_HANDLE_MAX);
	return err;
}


static int bearer(struct import *im, const json_t *o, struct inst_row *row)
{
	const char *plain = NULL, *hex = NULL;
	int err;

	err = text(im, o, "secret", &plain, STORE_SECRET_LEN, false);
	if (!err)
		err = text(im, o, "secret_sha256", &hex, 64, false);
	if (err)
		return err;

	if (hex)
		return ident_unhex(row->secret_sha256, 32, hex)
			       ? bad(im, "\"secret_sha256\" must be 64 hex "
					 "digits")
			       : 0;
	if (!plain) /* nobody's, until the app creates itself anew */
		return ident_random(row->secret_sha256, 32);
	if (strlen(plain) != STORE_SECRET_LEN)
		return bad(im, "\"secret\" must have %d characters",
			   STORE_SECRET_LEN);
	return secret_sha256(row->secret_sha256, plain, strlen(plain));
}


static int instance(struct import *im, json_t *o, struct inst_row *row)
{
	static const char *const keys[] = {
		"app",           "installation", "platform", "label", "secret",
		"secret_sha256", "id",           "state",    "push",  NULL
	};
	const json_t *push = json_object_get(o, "push");
	const char *state = "inactive";
	json_t *tok;
	size_t i;
	int err;

	memset(row, 0, sizeof(*row));
	row->label = "";
	row->options = "{}";
	row->push_enabled = true;
	row->idle_s = im->pbx->inactivity_days * 86400;
	row->lease_s = im->pbx->lease_s;
	row->push_after_exit = im->pbx->push_after_exit;
	row->seen_ms = row->created_ms = clock_wall_ms();
	err = known(im, o, keys);
	if (!err)
		err = text(im, o, "app", &row->app, 128, true);
	if (!err)
		err = text(im, o, "installation", &row->installation, 128,
			   true);
	if (!err)
		err = text(im, o, "platform", &row->platform, 32, true);
	if (!err)
		err = text(im, o, "label", &row->label, 128, false);
	if (!err)
		err = text(im, o, "id", &row->id, STORE_ID_LEN, false);
	if (!err)
		err = text(im, o, "state", &state, 16, false);
	if (!err && inst_state_decode(&row->state, state))
		err = bad(im, "\"state\" cannot be \"%s\"", state);
	if (!err)
		err = bearer(im, o, row);
	if (!err && (!json_is_array(push) || !json_array_size(push) ||
		     json_array_size(push) > STORE_PUSH_MAX))
		err = bad(im, "\"push\" must be a list of 1 to %d",
			  STORE_PUSH_MAX);
	if (err)
		return err;

	row->lease_until_ms = row->seen_ms;
	json_array_foreach(push, i, tok)
	{
		err = token(im, tok, &row->push[row->push_count++]);
		if (err)
			return err;
	}

	return 0;
}


static int instances(struct import *im, const json_t *o)
{
	const json_t *v = json_object_get(o, "instances");
	json_t *inst;
	size_t i;

	im->instc = 0;
	im->handlec = 0;
	if (!v)
		return 0;
	if (!json_is_array(v) || json_array_size(v) > STORE_INST_MAX)
		return bad(im, "\"instances\" must be a list of at most %d",
			   STORE_INST_MAX);

	json_array_foreach(v, i, inst)
	{
		int err = instance(im, inst, &im->inst[im->instc++]);

		if (err)
			return err;
	}

	return 0;
}


static int line_put(struct import *im, const char *p, size_t len)
{
	json_error_t je;
	json_t *o = json_loadb(p, len, JSON_REJECT_DUPLICATES, &je);
	int err;

	if (!o)
		return bad(im, "not JSON: %s", je.text);

	err = json_is_object(o) ? account(im, o) : bad(im, "not an object");
	if (!err)
		err = instances(im, o);
	if (!err)
		err = store_bulk_put(im->bulk, &im->acct, im->inst, im->instc);
	json_decref(o);
	if (err)
		return err;

	im->res->accounts++;
	im->res->instances += im->instc;
	if (++im->open < GROUP)
		return 0;
	im->open = 0;
	return store_bulk_commit(im->bulk);
}


static int lines(struct import *im, FILE *f)
{
	char *line = NULL;
	size_t size = 0;
	ssize_t n;
	int err = 0;

	while (!err && (n = getline(&line, &size, f)) >= 0) {
		im->res->lines++;
		while (n && strchr(" \t\r\n", line[n - 1]))
			--n;
		if (n)
			err = line_put(im, line, (size_t)n);
	}
	if (!err && ferror(f))
		err = EIO;

	secret_free(line);
	return err;
}


int import_file(struct import_result *res, const struct sipis_cfg *cfg,
		const struct cred_key *key, const char *store_path,
		const char *file, char *reason, size_t reason_sz)
{
	struct import *im;
	FILE *f;
	int err;

	if (!res || !cfg || !key || !store_path || !file || !reason)
		return EINVAL;

	memset(res, 0, sizeof(*res));
	f = fopen(file, "re");
	if (!f) {
		err = errno;
		(void)snprintf(reason, reason_sz, "cannot read %s: %s", file,
			       strerror(err));
		return err;
	}

	im = mem_zalloc(sizeof(*im), NULL);
	err = im ? store_bulk_alloc(&im->bulk, store_path, reason, reason_sz)
		 : ENOMEM;
	if (err)
		goto out;

	im->cfg = cfg;
	im->key = key;
	im->res = res;
	err = lines(im, f);
	if (!err)
		err = store_bulk_commit(im->bulk);
	if (err)
		(void)snprintf(reason, reason_sz, "%s:%llu: %s", file,
			       (unsigned long long)res->lines,
			       *im->why ? im->why : strerror(err));
	mem_deref(im->bulk);
out:
	mem_deref(im);
	(void)fclose(f);
	return err;
}
