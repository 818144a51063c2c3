/**
 * @file draft.c  An account and a phone while they are being agreed on
 */

#include <errno.h>
#include <string.h>
#include "common/ident.h"
#include "common/secret.h"
#include "sipis/inst/draft.h"

#define SECRET_BYTES 32


static void destructor(void *arg)
{
	struct draft *d = arg;

	mem_deref(d->enrol);
	arena_clear(&d->arena);
	explicit_bzero(d->secret, sizeof(d->secret));
}


int draft_alloc(struct draft **dp)
{
	*dp = mem_zalloc(sizeof(**dp), destructor);
	return *dp ? 0 : ENOMEM;
}


const struct inst_creds *draft_creds(struct draft *d,
				     const struct inst_creds *creds)
{
	struct inst_creds *c;

	if (!creds)
		return NULL;

	c = arena_get(&d->arena, sizeof(*c));
	if (!c)
		return NULL;

	*c = *creds;
	c->auth_user = arena_str(&d->arena, creds->auth_user);
	c->password = arena_str(&d->arena, creds->password);
	c->realm = arena_str(&d->arena, creds->realm);
	return c;
}


const struct inst_token *draft_tokens(struct draft *d,
				      const struct inst_token *tokenv,
				      unsigned n)
{
	struct inst_token *v;

	if (!n)
		return NULL;

	v = arena_get(&d->arena, n * sizeof(*v));
	for (unsigned i = 0; v && i < n; i++) {
		v[i].uses = tokenv[i].uses;
		v[i].provider = arena_str(&d->arena, tokenv[i].provider);
		v[i].token = arena_str(&d->arena, tokenv[i].token);
		v[i].topic = arena_str(&d->arena, tokenv[i].topic);
		v[i].environment = arena_str(&d->arena, tokenv[i].environment);
		v[i].keys.p256dh = arena_str(&d->arena, tokenv[i].keys.p256dh);
		v[i].keys.auth = arena_str(&d->arena, tokenv[i].keys.auth);
	}
	return v;
}


const struct inst_options *draft_options(struct draft *d,
					 const struct inst_options *options)
{
	return arena_dup(&d->arena, options, sizeof(*options));
}


static int add(char *dst, size_t size, const char *name, int64_t value,
	       bool flag)
{
	const size_t used = strlen(dst);
	const char *sep = used > 1 ? ", " : "";

	return flag ? re_snprintf(dst + used, size - used, "%s\"%s\": %s", sep,
				  name, value ? "true" : "false")
		    : re_snprintf(dst + used, size - used, "%s\"%s\": %lld",
				  sep, name, (long long)value);
}


/** Only what the app chose is written down as an option, so that the next
    default of the profile reaches those who chose nothing */
void draft_apply_options(struct draft *d, const struct inst_options *options)
{
	const struct pbx_cfg *cfg = pbx_cfg(d->pbx);
	static const struct inst_options none = { -1, -1, -1 };
	const struct inst_options *o = options ? options : &none;
	struct inst_row *row = &d->inst;
	char *json = d->options_json;
	const size_t size = sizeof(d->options_json);

	row->push_enabled = o->push_enabled != 0;
	row->push_after_exit = o->push_after_exit >= 0
				       ? o->push_after_exit != 0
				       : cfg->push_after_exit;
	row->idle_s = o->inactivity_s >= 0 ? (uint32_t)o->inactivity_s
					   : cfg->inactivity_days * 86400;

	(void)str_ncpy(json, "{", size);
	if (o->push_enabled >= 0)
		(void)add(json, size, "push_enabled", o->push_enabled, true);
	if (o->push_after_exit >= 0)
		(void)add(json, size, "push_after_exit", o->push_after_exit,
			  true);
	if (o->inactivity_s >= 0)
		(void)add(json, size, "inactivity_timeout", o->inactivity_s,
			  false);
	(void)str_ncpy(json + strlen(json), "}", size - strlen(json));
	row->options = json;
}


int draft_secret(struct draft *d)
{
	uint8_t raw[SECRET_BYTES];
	int err = ident_random(raw, sizeof(raw));

	if (err)
		return err;

	(void)ident_b64url(d->secret, raw, sizeof(raw));
	explicit_bzero(raw, sizeof(raw));
	return secret_sha256(d->inst.secret_sha256, d->secret,
			     strlen(d->secret));
}


/** With the realm known the password itself need not be kept */
int draft_seal(struct draft *d, const struct cred_key *key)
{
	const struct inst_creds *c = d->creds;
	struct acct_row *a = &d->acct;
	uint8_t ha1[CRED_HA1_MAX];
	const void *what = c->password;
	size_t len;
	int err;

	a->realm = *d->realm ? d->realm : NULL;
	a->sealed_is_ha1 = c->ha1_len || a->realm;
	if (c->ha1_len) {
		a->realm = c->realm;
		a->alg = c->alg;
		what = c->ha1;
		len = c->ha1_len;
	}
	else if (a->realm) {
		what = ha1;
		len = cred_ha1(ha1, a->alg, a->auth_user, a->realm,
			       c->password);
		if (!len)
			return EINVAL;
	}
	else {
		len = strlen(c->password);
	}

	a->sealed_len = sizeof(d->sealed);
	err = cred_seal(key, a, what, len, d->sealed, &a->sealed_len);
	a->sealed = d->sealed;
	explicit_bzero(ha1, sizeof(ha1));
	return err;
}
