/**
 * @file route/handle.c  A push token as a tenant may keep it
 *
 * Inside the seal, numbers in network order:
 *
 *     provider (1) | flags (1) | uses (2) | enrolled ms (8) |
 *     topic, 0 | token, 0
 */

#include <errno.h>
#include <string.h>
#include "common/secret.h"
#include "mediator/route/handle.h"

enum {
	FORMAT = 1,
	HEAD_LEN = 6,
	APP_MAX = 255,
	AAD_MAX = 1024,
	FLAG_SANDBOX = 1,
	FLAG_VOIP = 2,
	INNER_HEAD = 12,
};

static const char *const providers[] = { NULL, "apns", "fcm", "webpush" };


int handle_key_init(struct handle_key *k, const uint8_t key[HANDLE_KEY_LEN])
{
	uint8_t md[32], in[HANDLE_KEY_LEN + 1];
	int err;

	memcpy(k->key, key, HANDLE_KEY_LEN);
	memcpy(in, key, HANDLE_KEY_LEN);
	in[HANDLE_KEY_LEN] = FORMAT;
	err = secret_sha256(md, in, sizeof(in));
	memcpy(k->tag, md, sizeof(k->tag));
	explicit_bzero(in, sizeof(in));

	return err;
}


const struct handle_key *handle_keys_of(const struct handle_keys *ks,
					const uint8_t *handle, size_t len)
{
	for (unsigned i = 0; len >= HEAD_LEN && i < ks->n; i++)
		if (!memcmp(handle + 1, ks->v[i].tag, sizeof(ks->v[i].tag)))
			return &ks->v[i];

	return &ks->v[0];
}


static size_t aad_make(uint8_t aad[AAD_MAX], const char *tenant,
		       const char *app, size_t app_len)
{
	static const char label[] = "sipis-handle";
	size_t n = strlen(tenant) + 1;

	if (sizeof(label) + n + app_len > AAD_MAX)
		return 0;

	memcpy(aad, label, sizeof(label));
	memcpy(aad + sizeof(label), tenant, n);
	memcpy(aad + sizeof(label) + n, app, app_len);

	return sizeof(label) + n + app_len;
}


static uint8_t provider_code(const char *name)
{
	for (size_t i = 1; i < sizeof(providers) / sizeof(providers[0]); i++)
		if (!strcmp(name, providers[i]))
			return (uint8_t)i;

	return 0;
}


static int inner_write(struct mbuf *mb, const struct push_target *t)
{
	uint8_t flags =
		(t->sandbox ? FLAG_SANDBOX : 0) | (t->voip ? FLAG_VOIP : 0);
	int err = mbuf_write_u8(mb, provider_code(t->provider));

	err |= mbuf_write_u8(mb, flags);
	err |= mbuf_write_u16(mb, htons((uint16_t)t->uses));
	err |= mbuf_write_u64(mb, sys_htonll((uint64_t)t->enrolled_ms));
	err |= mbuf_write_mem(mb, (const uint8_t *)t->topic,
			      strlen(t->topic) + 1);
	err |= mbuf_write_mem(mb, (const uint8_t *)t->token,
			      strlen(t->token) + 1);

	return err;
}


int handle_seal(uint8_t *buf, size_t *lenp, const struct handle_key *k,
		const char *tenant, const struct push_target *t)
{
	size_t app_len = strlen(t->app), head = HEAD_LEN + app_len, n;
	uint8_t aad[AAD_MAX];
	struct mbuf *mb;
	int err;

	if (app_len > APP_MAX)
		return EMSGSIZE;
	n = aad_make(aad, tenant, t->app, app_len);
	mb = mbuf_alloc(512);
	if (!n || !mb) {
		mem_deref(mb);
		return n ? ENOMEM : EMSGSIZE;
	}

	err = inner_write(mb, t);
	if (!err && head + mb->end + SEAL_OVERHEAD > HANDLE_MAX)
		err = EMSGSIZE;
	if (!err) {
		buf[0] = FORMAT;
		memcpy(buf + 1, k->tag, sizeof(k->tag));
		buf[HEAD_LEN - 1] = (uint8_t)app_len;
		memcpy(buf + HEAD_LEN, t->app, app_len);
		err = seal_close(buf + head, k->key, aad, n, mb->buf, mb->end);
	}
	if (!err)
		*lenp = head + mb->end + SEAL_OVERHEAD;

	explicit_bzero(mb->buf, mb->end);
	mem_deref(mb);
	return err;
}


/* The seal vouches for what is inside; a version of ours that writes
   something else gets another number */
static int inner_read(struct push_target *t, char *p, size_t len)
{
	const char *end = p + len;
	uint8_t code, flags;
	uint16_t uses;
	uint64_t ms;
	char *token;

	if (len < INNER_HEAD + 2 || end[-1])
		return EBADMSG;

	code = (uint8_t)p[0];
	flags = (uint8_t)p[1];
	memcpy(&uses, p + 2, sizeof(uses));
	memcpy(&ms, p + 4, sizeof(ms));
	token = memchr(p + INNER_HEAD, 0, len - INNER_HEAD - 1);
	if (!code || code >= sizeof(providers) / sizeof(providers[0]) ||
	    !token)
		return EBADMSG;

	t->provider = providers[code];
	t->sandbox = flags & FLAG_SANDBOX;
	t->voip = flags & FLAG_VOIP;
	t->uses = ntohs(uses);
	t->enrolled_ms = (int64_t)sys_ntohll(ms);
	t->topic = p + INNER_HEAD;
	t->token = token + 1;
	return 0;
}


int handle_open(struct push_target *t, char *buf, const struct handle_key *k,
		const char *tenant, const uint8_t *handle, size_t len)
{
	uint8_t aad[AAD_MAX];
	size_t app_len, head, n;
	char *app;
	int err;

	if (len < HEAD_LEN || len > HANDLE_MAX || handle[0] != FORMAT)
		return EBADMSG;
	if (memcmp(handle + 1, k->tag, sizeof(k->tag)))
		return EKEYEXPIRED;

	app_len = handle[HEAD_LEN - 1];
	head = HEAD_LEN + app_len;
	if (len < head + SEAL_OVERHEAD)
		return EBADMSG;
	n = aad_make(aad, tenant, (const char *)handle + HEAD_LEN, app_len);
	if (!n)
		return EBADMSG;

	err = seal_open(buf, k->key, aad, n, handle + head, len - head);
	if (err)
		return EBADMSG;

	/* The app goes behind the opened text: the seal left room for it */
	app = buf + (len - head - SEAL_OVERHEAD);
	memcpy(app, handle + HEAD_LEN, app_len);
	app[app_len] = '\0';
	t->app = app;

	return inner_read(t, buf, len - head - SEAL_OVERHEAD);
}
