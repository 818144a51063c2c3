/**
 * @file body.c  Bodies of requests: JSON in, checked structs out
 *
 * One row per member: name, type, where it goes, least and greatest length
 * or value.  A table and the engine below are all there is to a body; what
 * concerns two members at once stands behind the tables.
 */

#include <stdio.h>
#include <string.h>
#include <jansson.h>
#include "common/ident.h"
#include "proto/wire.h"
#include "sipis/api/body.h"
#include "sipis/cfg.h"

enum type {
	T_TEXT, /**< const char *; length in bytes */
	T_FLAG, /**< int: 0 or 1 */
	T_BOOL, /**< bool */
	T_U32,
	T_I64,
	T_WORD, /**< int: index in words */
	T_USES, /**< uint32_t: bits of Wire__Use */
	T_OBJECT,
	T_LIST, /**< of objects of stride bytes; unsigned count behind it */
};

struct field {
	const char *name;
	enum type type;
	bool needed;
	size_t to;
	int64_t min, max;
	const char *const *words;
	const struct field *sub;
	size_t stride, count;
};

/** Where the engine writes, before it becomes one of inst/types.h */
struct raw_ha1 {
	const char *realm, *value;
	int algorithm;
};

struct raw_account {
	const char *aor, *auth_user, *password, *display_name;
	const char *outbound_proxy;
	struct raw_ha1 ha1;
	int transport;
};

struct raw {
	const char *app, *installation, *label, *platform;
	const char *contact, *call;
	struct raw_account account;
	struct inst_options options;
	struct inst_token push[STORE_PUSH_MAX];
	unsigned push_count;
	int state;
	uint32_t lease;
	bool registered, new_secret;
};

static const char *const algorithms[] = { "MD5", "SHA-256", NULL };
static const char *const transports[] = { "auto", "udp", "tcp", "tls", NULL };
static const char *const states[] = { "active", "inactive", "exited", NULL };
static const char *const platforms[] = { "ios",     "android", "macos",
					 "windows", "linux",   "web",
					 "other",   NULL };
static const char *const providers[] = { "apns", "fcm", "webpush", NULL };
static const char *const environments[] = { "", "production", "sandbox",
					    NULL };

#define TO(s, m) offsetof(struct s, m)
#define TEXT(n, need, s, m, min, max)                                 \
	{                                                             \
		n, T_TEXT, need, TO(s, m), min, max, NULL, NULL, 0, 0 \
	}
#define NAMED(n, need, s, m, words)                                 \
	{                                                           \
		n, T_TEXT, need, TO(s, m), 0, 64, words, NULL, 0, 0 \
	}
#define WORD(n, need, s, m, words)                                 \
	{                                                          \
		n, T_WORD, need, TO(s, m), 0, 0, words, NULL, 0, 0 \
	}
#define VALUE(n, t, s, m, min, max)                               \
	{                                                         \
		n, t, false, TO(s, m), min, max, NULL, NULL, 0, 0 \
	}
#define OBJECT(n, need, s, m, sub)                                 \
	{                                                          \
		n, T_OBJECT, need, TO(s, m), 0, 0, NULL, sub, 0, 0 \
	}
#define END                                                    \
	{                                                      \
		NULL, T_TEXT, false, 0, 0, 0, NULL, NULL, 0, 0 \
	}

static const struct field key_fields[] = {
	TEXT("p256dh", true, inst_keys, p256dh, 87, 88),
	TEXT("auth", true, inst_keys, auth, 22, 24),
	END,
};

static const struct field token_fields[] = {
	{ "use", T_USES, true, TO(inst_token, uses), 1, 6, NULL, NULL, 0, 0 },
	NAMED("provider", true, inst_token, provider, providers),
	TEXT("token", true, inst_token, token, 8, 2048),
	TEXT("topic", false, inst_token, topic, 0, 255),
	NAMED("environment", false, inst_token, environment, environments),
	OBJECT("keys", false, inst_token, keys, key_fields),
	END,
};

static const struct field ha1_fields[] = {
	TEXT("realm", true, raw_ha1, realm, 1, 127),
	WORD("algorithm", true, raw_ha1, algorithm, algorithms),
	TEXT("value", true, raw_ha1, value, 32, 64),
	END,
};

static const struct field account_fields[] = {
	TEXT("aor", true, raw_account, aor, 7, 400),
	TEXT("auth_user", false, raw_account, auth_user, 1, 128),
	TEXT("password", false, raw_account, password, 1, 256),
	OBJECT("ha1", false, raw_account, ha1, ha1_fields),
	TEXT("display_name", false, raw_account, display_name, 0, 128),
	TEXT("outbound_proxy", false, raw_account, outbound_proxy, 1, 255),
	WORD("transport", false, raw_account, transport, transports),
	END,
};

static const struct field creds_fields[] = {
	TEXT("auth_user", false, raw_account, auth_user, 1, 128),
	TEXT("password", false, raw_account, password, 1, 256),
	OBJECT("ha1", false, raw_account, ha1, ha1_fields),
	END,
};

static const struct field option_fields[] = {
	VALUE("push_enabled", T_FLAG, inst_options, push_enabled, 0, 1),
	VALUE("push_after_exit", T_FLAG, inst_options, push_after_exit, 0, 1),
	VALUE("inactivity_timeout", T_I64, inst_options, inactivity_s, 60,
	      31536000),
	END,
};

#define PUSH(need)                                                            \
	{                                                                     \
		"push", T_LIST, need, TO(raw, push), 1, STORE_PUSH_MAX, NULL, \
			token_fields, sizeof(struct inst_token),              \
			TO(raw, push_count)                                   \
	}

static const struct field new_fields[] = {
	TEXT("app", true, raw, app, 1, 128),
	TEXT("installation", true, raw, installation, 1, 128),
	TEXT("label", false, raw, label, 0, 128),
	NAMED("platform", true, raw, platform, platforms),
	PUSH(true),
	OBJECT("account", true, raw, account, account_fields),
	OBJECT("options", false, raw, options, option_fields),
	END,
};

static const struct field change_fields[] = {
	TEXT("label", false, raw, label, 0, 128),
	PUSH(false),
	OBJECT("account", false, raw, account, creds_fields),
	OBJECT("options", false, raw, options, option_fields),
	VALUE("new_secret", T_BOOL, raw, new_secret, 0, 1),
	END,
};

static const struct field word_fields[] = {
	WORD("state", true, raw, state, states),
	VALUE("lease", T_U32, raw, lease, 1, 86400),
	TEXT("contact", false, raw, contact, 0, 511),
	VALUE("registered", T_BOOL, raw, registered, 0, 1),
	TEXT("call", false, raw, call, 0, 36),
	END,
};


/** Where we are, for the sentence: "push[0].provider" */
struct at {
	struct body *b;
	const struct at *up;
	const char *name;
	int index; /**< -1: not in a list */
};


static size_t at_print(char *dst, size_t size, const struct at *at)
{
	size_t n = at->up ? at_print(dst, size, at->up) : 0;

	if (at->name && n < size)
		n += (size_t)snprintf(dst + n, size - n, "%s%s", n ? "." : "",
				      at->name);
	if (at->index >= 0 && n < size)
		n += (size_t)snprintf(dst + n, size - n, "[%d]", at->index);
	return n;
}


static bool bad(const struct at *at, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
static bool bad(const struct at *at, const char *fmt, ...)
{
	struct body *b = at->b;
	char where[96] = "", what[128];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	(void)at_print(where, sizeof(where), at);
	(void)snprintf(b->why, sizeof(b->why), "%s %s.",
		       *where ? where : "The body", what);
	return false;
}


static bool words_bad(const struct at *at, const char *const *words)
{
	char list[96] = "";

	for (; *words; words++) {
		const size_t n = strlen(list);

		if (**words)
			(void)snprintf(list + n, sizeof(list) - n, "%s\"%s\"",
				       n ? ", " : "", *words);
	}
	return bad(at, "must be one of %s", list);
}


static int word_index(const char *s, const char *const *words)
{
	for (int i = 0; s && words[i]; i++)
		if (!strcmp(s, words[i]))
			return i;
	return -1;
}


/** Text goes into SIP headers and logs: no control characters */
static bool text_read(const struct at *at, const struct field *f,
		      const json_t *v, void *to)
{
	const char *s = json_string_value(v);
	const size_t len = json_string_length(v);

	if (!s)
		return bad(at, "must be a string");
	if ((int64_t)len < f->min || (int64_t)len > f->max)
		return bad(at, "must have %d to %d bytes", (int)f->min,
			   (int)f->max);
#ifdef PLANT_BUG /* for tests/fuzz/run.sh planted, never for use */
	for (size_t i = 0; i + 1 < len; i++)
#else
	for (size_t i = 0; i < len; i++)
#endif
		if ((unsigned char)s[i] < 0x20 || s[i] == 0x7f)
			return bad(at, "must not have control characters");
	if (f->words && word_index(s, f->words) < 0)
		return words_bad(at, f->words);

	*(const char **)to = s;
	return true;
}


static bool uses_read(const struct at *at, const json_t *v, uint32_t *to)
{
	const json_t *name;
	size_t i;

	if (!json_is_array(v) || !json_array_size(v))
		return bad(at, "must be a list of uses");

	json_array_foreach(v, i, name)
	{
		const char *s = json_string_value(name);
		Wire__Use use;

		if (!s || wire_use_decode(&use, s) ||
		    use == WIRE__USE__USE_UNKNOWN)
			return bad(at, "has an unknown use at %zu", i);
		*to |= 1u << use;
	}
	return true;
}


static bool number_read(const struct at *at, const struct field *f,
			const json_t *v, void *to)
{
	const int64_t n = json_integer_value(v);

	if (!json_is_integer(v) || n < f->min || n > f->max)
		return bad(at, "must be a whole number from %lld to %lld",
			   (long long)f->min, (long long)f->max);
	if (f->type == T_U32)
		*(uint32_t *)to = (uint32_t)n;
	else
		*(int64_t *)to = n;
	return true;
}


static bool object_read(const struct at *at, const struct field *fields,
			json_t *o, void *base);


static bool list_read(const struct at *at, const struct field *f, json_t *v,
		      void *to, unsigned *count)
{
	json_t *item;
	size_t i;

	if (!json_is_array(v) || (int64_t)json_array_size(v) < f->min ||
	    (int64_t)json_array_size(v) > f->max)
		return bad(at, "must be a list of %d to %d", (int)f->min,
			   (int)f->max);

	json_array_foreach(v, i, item)
	{
		const struct at in = { at->b, at, NULL, (int)i };

		if (!object_read(&in, f->sub, item,
				 (char *)to + i * f->stride))
			return false;
	}
	*count = (unsigned)json_array_size(v);
	return true;
}


static bool value_read(const struct at *at, const struct field *f, json_t *v,
		       void *base)
{
	void *to = (char *)base + f->to;
	int i;

	switch (f->type) {
	case T_TEXT:
		return text_read(at, f, v, to);
	case T_FLAG:
	case T_BOOL:
		if (!json_is_boolean(v))
			return bad(at, "must be true or false");
		if (f->type == T_FLAG)
			*(int *)to = json_is_true(v);
		else
			*(bool *)to = json_is_true(v);
		return true;
	case T_U32:
	case T_I64:
		return number_read(at, f, v, to);
	case T_WORD:
		i = word_index(json_string_value(v), f->words);
		if (i < 0)
			return words_bad(at, f->words);
		*(int *)to = i;
		return true;
	case T_USES:
		return uses_read(at, v, to);
	case T_OBJECT:
		return object_read(at, f->sub, v, to);
	case T_LIST:
		return list_read(
			at, f, v, to,
			(unsigned *)(void *)((char *)base + f->count));
	}
	return false;
}


static const struct field *field_find(const struct field *fields,
				      const char *name)
{
	for (; fields->name; fields++)
		if (!strcmp(fields->name, name))
			return fields;
	return NULL;
}


static bool object_read(const struct at *at, const struct field *fields,
			json_t *o, void *base)
{
	const char *name;
	json_t *v;

	if (!json_is_object(o))
		return bad(at, "must be an object");

	json_object_foreach(o, name, v)
	{
		const struct at in = { at->b, at, name, -1 };
		const struct field *f = field_find(fields, name);

		if (!f)
			return bad(&in, "is not known here");
		if (!value_read(&in, f, v, base))
			return false;
	}

	for (const struct field *f = fields; f->name; f++)
		if (f->needed && !json_object_get(o, f->name)) {
			const struct at in = { at->b, at, f->name, -1 };

			return bad(&in, "is missing");
		}
	return true;
}


/* what concerns several members */

static bool host_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c >= '0' && c <= '9') || c == '.' || c == '-';
}


/** "sip:user@domain", nothing behind it; RFC 3261 25.1 */
static bool aor_read(struct body *b, const struct at *at, const char *aor)
{
	const char *user, *host;
	size_t n = 0;

	if (strncmp(aor, "sip:", 4) && strncmp(aor, "sips:", 5))
		return bad(at, "must be of the form \"sip:user@domain\"");

	user = strchr(aor, ':') + 1;
	host = strchr(user, '@');
	if (!host || host == user || strlen(host + 1) >= sizeof(b->domain))
		return bad(at, "must be of the form \"sip:user@domain\"");

	for (const char *p = user; p < host; p++) {
		uint8_t c = (uint8_t)*p;

		if (c == '%') {
			if (p + 2 >= host)
				return bad(at, "has a broken escape");
			if (ident_unhex(&c, 1, (char[]){ p[1], p[2], 0 }) ||
			    c < 0x20 || c == 0x7f)
				return bad(at, "has a broken escape");
			p += 2;
		}
		else if (c <= ' ' || strchr("<>\"@:;?\\^`{|}[]/#", c)) {
			return bad(at, "has a character that must be escaped");
		}
		if (n + 1 >= sizeof(b->user))
			return bad(at, "is too long");
		b->user[n++] = (char)c;
	}
	b->user[n] = 0;

	for (n = 0; host[1 + n]; n++) {
		const char c = host[1 + n];

		if (!host_char(c))
			return bad(at, "has a domain that is none");
		b->domain[n] = c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
	}
	b->domain[n] = 0;
	return n ? true : bad(at, "has no domain");
}


static bool creds_read(struct body *b, const struct at *at,
		       const struct raw_account *raw, bool needed)
{
	struct inst_creds *c = &b->creds;

	if (raw->password && raw->ha1.value)
		return bad(at, "has both password and ha1; give one");
	if (needed && !raw->password && !raw->ha1.value)
		return bad(at, "needs password or ha1");

	c->auth_user = raw->auth_user;
	c->password = raw->password;
	if (!raw->ha1.value)
		return true;

	c->realm = raw->ha1.realm;
	c->alg = raw->ha1.algorithm ? DIGEST_SHA256 : DIGEST_MD5;
	c->ha1_len = c->alg == DIGEST_MD5 ? 16 : 32;
	if (ident_unhex(c->ha1, c->ha1_len, raw->ha1.value))
		return bad(at, "has an ha1.value that is not %zu hex digits",
			   2 * c->ha1_len);
	return true;
}


/** Only a browser has keys, and only it is reached by URL */
static bool subscription_good(const struct at *list, int i,
			      const struct inst_token *t)
{
	const struct at in = { list->b, list, NULL, i };

	if (strcmp(t->provider, "webpush"))
		return !t->keys.auth ||
		       bad(&in, "has keys, which only webpush does");

	return !strncmp(t->token, "https://", 8) ||
	       bad(&in, "needs the subscription's URL as its token");
}


static bool push_read(const struct at *at, struct raw *raw)
{
	bool call = false;

	for (unsigned i = 0; i < raw->push_count; i++) {
		struct inst_token *t = &raw->push[i];

		call |= (t->uses & STORE_USE_CALL) != 0;
		if (!t->topic)
			t->topic = "";
		if (!t->environment)
			t->environment = "";
		if (!subscription_good(at, (int)i, t))
			return false;
	}

	return !raw->push_count || call ||
	       bad(at, "must have a token with the use \"call\"");
}


static enum problem parse(struct body *b, struct raw *raw,
			  const struct field *fields, const char *p,
			  size_t len)
{
	const struct at top = { b, NULL, NULL, -1 };
	json_error_t je;

	memset(b, 0, sizeof(*b));
	memset(raw, 0, sizeof(*raw));
	raw->account.transport = -1;
	raw->options.push_enabled = raw->options.push_after_exit = -1;
	raw->options.inactivity_s = -1;

	b->root = json_loadb(p, len, JSON_REJECT_DUPLICATES, &je);
	if (!b->root) {
		(void)snprintf(b->why, sizeof(b->why),
			       "Line %d, column %d: %s.", je.line, je.column,
			       je.text);
		return PB_NOT_JSON;
	}

	if (!json_is_object((json_t *)b->root)) {
		(void)bad(&top, "must be an object");
		return PB_NOT_JSON;
	}

	return object_read(&top, fields, b->root, raw) ? PB_NONE : PB_INVALID;
}


enum problem body_new(struct body *b, const char *p, size_t len)
{
	const struct at top = { b, NULL, NULL, -1 };
	const struct at account = { b, &top, "account", -1 };
	const struct at aor = { b, &account, "aor", -1 };
	const struct at push = { b, &top, "push", -1 };
	struct inst_new *nw = &b->nw;
	struct raw raw;
	enum problem pb = parse(b, &raw, new_fields, p, len);

	if (pb)
		return pb;
	if (!aor_read(b, &aor, raw.account.aor) ||
	    !creds_read(b, &account, &raw.account, true) ||
	    !push_read(&push, &raw))
		return PB_INVALID;

	nw->app = raw.app;
	nw->installation = raw.installation;
	nw->label = raw.label ? raw.label : "";
	nw->platform = raw.platform;
	nw->aor_user = b->user;
	nw->aor_domain = b->domain;
	nw->creds = b->creds;
	nw->display_name =
		raw.account.display_name ? raw.account.display_name : "";
	nw->outbound_proxy = raw.account.outbound_proxy;
	nw->transport = raw.account.transport;
	nw->options = raw.options;
	nw->push_count = raw.push_count;
	memcpy(nw->push, raw.push, sizeof(nw->push));
	return PB_NONE;
}


enum problem body_change(struct body *b, const char *p, size_t len)
{
	const struct at top = { b, NULL, NULL, -1 };
	const struct at account = { b, &top, "account", -1 };
	const struct at push = { b, &top, "push", -1 };
	struct inst_change *ch = &b->change;
	struct raw raw;
	enum problem pb = parse(b, &raw, change_fields, p, len);
	bool creds;

	if (pb)
		return pb;
	if (!json_object_size(b->root)) {
		(void)bad(&top, "changes nothing");
		return PB_INVALID;
	}

	creds = json_object_get(b->root, "account") != NULL;
	if (!creds_read(b, &account, &raw.account, creds) ||
	    !push_read(&push, &raw))
		return PB_INVALID;

	b->options = raw.options;
	memcpy(b->push, raw.push, sizeof(b->push));
	ch->label = raw.label;
	ch->creds = creds ? &b->creds : NULL;
	ch->options = json_object_get(b->root, "options") ? &b->options : NULL;
	ch->push = b->push;
	ch->push_count = raw.push_count;
	ch->new_secret = raw.new_secret;
	return PB_NONE;
}


enum problem body_word(struct body *b, const char *p, size_t len)
{
	static const enum inst_state to[] = { INST_ACTIVE, INST_INACTIVE,
					      INST_EXITED };
	struct inst_word *w = &b->word;
	struct raw raw;
	enum problem pb = parse(b, &raw, word_fields, p, len);

	if (pb)
		return pb;

	w->state = to[raw.state];
	w->lease_s = raw.lease;
	w->contact = raw.contact ? raw.contact : "";
	w->registered = raw.registered || *w->contact;
	w->call = raw.call ? raw.call : "";
	return PB_NONE;
}


static void wipe(const json_t *v)
{
	if (json_is_string(v))
		explicit_bzero((char *)json_string_value(v),
			       json_string_length(v));
}


void body_free(struct body *b)
{
	const json_t *account = json_object_get(b->root, "account");

	wipe(json_object_get(account, "password"));
	wipe(json_object_get(json_object_get(account, "ha1"), "value"));
	json_decref(b->root);
	b->root = NULL;
	explicit_bzero(&b->creds, sizeof(b->creds));
	explicit_bzero(&b->nw.creds, sizeof(b->nw.creds));
}
