/**
 * @file fuzz_decode.c  SIP decoders: ours beside libre's own
 *
 * The first byte says what the rest is.  Judged: the same answer, and the same
 * found, pointer by pointer.
 */

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <re/re.h>
#include "sipis/sip/decode.h"

#define CHECK(cond)              \
	do {                     \
		if (!(cond))     \
			abort(); \
	} while (0)

/* What libre has by that name, as the type of ours */
#define THEIRS(name) ((__typeof__(name) *)dlsym(RTLD_NEXT, #name))

enum { TABLE = 32 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


static void same_pl(const struct pl *a, const struct pl *b)
{
	CHECK(a->l == b->l && a->p == b->p);
}


static void same_uri(const struct uri *a, const struct uri *b)
{
	same_pl(&a->scheme, &b->scheme);
	same_pl(&a->user, &b->user);
	same_pl(&a->password, &b->password);
	same_pl(&a->host, &b->host);
	same_pl(&a->path, &b->path);
	same_pl(&a->params, &b->params);
	same_pl(&a->headers, &b->headers);
	CHECK(a->af == b->af && a->port == b->port);
}


static void same_addr(const struct sip_addr *a, const struct sip_addr *b)
{
	same_pl(&a->dname, &b->dname);
	same_pl(&a->auri, &b->auri);
	same_pl(&a->params, &b->params);
	same_uri(&a->uri, &b->uri);
}


static void same_via(const struct sip_via *a, const struct sip_via *b)
{
	same_pl(&a->sentby, &b->sentby);
	same_pl(&a->params, &b->params);
	same_pl(&a->branch, &b->branch);
	same_pl(&a->val, &b->val);
	CHECK(a->tp == b->tp);
	CHECK(!memcmp(&a->addr, &b->addr, sizeof(a->addr)));
}


static void same_taddr(const struct sip_taddr *a, const struct sip_taddr *b)
{
	same_addr((const struct sip_addr *)a, (const struct sip_addr *)b);
	same_pl(&a->tag, &b->tag);
	same_pl(&a->val, &b->val);
}


static void same_hdrs(const struct list *a, const struct list *b)
{
	const struct le *la = list_head(a), *lb = list_head(b);

	for (; la && lb; la = la->next, lb = lb->next) {
		const struct sip_hdr *ha = la->data, *hb = lb->data;

		same_pl(&ha->name, &hb->name);
		same_pl(&ha->val, &hb->val);
		CHECK(ha->id == hb->id);
	}
	CHECK(!la && !lb);
}


static void same_msg(const struct sip_msg *a, const struct sip_msg *b)
{
	same_pl(&a->ver, &b->ver);
	same_pl(&a->met, &b->met);
	same_pl(&a->ruri, &b->ruri);
	same_uri(&a->uri, &b->uri);
	same_pl(&a->reason, &b->reason);
	same_via(&a->via, &b->via);
	same_taddr(&a->to, &b->to);
	same_taddr(&a->from, &b->from);
	same_pl(&a->cseq.met, &b->cseq.met);
	same_pl(&a->ctyp.type, &b->ctyp.type);
	same_pl(&a->ctyp.subtype, &b->ctyp.subtype);
	same_pl(&a->ctyp.params, &b->ctyp.params);
	same_pl(&a->callid, &b->callid);
	same_pl(&a->maxfwd, &b->maxfwd);
	same_pl(&a->expires, &b->expires);
	same_pl(&a->clen, &b->clen);
	CHECK(a->req == b->req && a->scode == b->scode);
	CHECK(a->cseq.num == b->cseq.num && a->mb == b->mb);
	CHECK(!a->sock && !b->sock && a->tp == b->tp);

	same_hdrs(&a->hdrl, &b->hdrl);
	CHECK(hash_bsize(a->hdrht) == hash_bsize(b->hdrht));
	for (uint32_t i = 0; i < TABLE; i++)
		same_hdrs(hash_list(a->hdrht, i), hash_list(b->hdrht, i));
}


static void msg(const struct pl *pl)
{
	struct sip_msg *a = NULL, *b = NULL;
	struct mbuf *mb = mbuf_alloc(pl->l ? pl->l : 1);
	size_t pos;
	int err;

	CHECK(mb && !mbuf_write_mem(mb, (const uint8_t *)pl->p, pl->l));
	mb->pos = 0;
	err = sip_msg_decode(&a, mb);
	pos = mb->pos;
	mb->pos = 0;

	CHECK(THEIRS(sip_msg_decode)(&b, mb) == err);
	CHECK(mb->pos == pos && mem_nrefs(mb) == (err ? 1 : 3));
	CHECK(!err == !!a && !err == !!b);
	if (!err)
		same_msg(a, b);

	mem_deref(a);
	mem_deref(b);
	mem_deref(mb);
}


static void via(const struct pl *pl)
{
	struct sip_via a, b;
	int err;

	memset(&a, 0, sizeof(a));
	memset(&b, 0, sizeof(b));
	err = sip_via_decode(&a, pl);
	CHECK(THEIRS(sip_via_decode)(&b, pl) == err);
	same_via(&a, &b);
}


static void addr(const struct pl *pl)
{
	struct sip_addr a, b;
	int err;

	memset(&a, 0, sizeof(a));
	memset(&b, 0, sizeof(b));
	err = sip_addr_decode(&a, pl);
	CHECK(THEIRS(sip_addr_decode)(&b, pl) == err);
	same_addr(&a, &b);
}


static void cseq(const struct pl *pl)
{
	struct sip_cseq a = { .num = 0 }, b = { .num = 0 };
	const int err = sip_cseq_decode(&a, pl);

	CHECK(THEIRS(sip_cseq_decode)(&b, pl) == err);
	same_pl(&a.met, &b.met);
	CHECK(a.num == b.num);
}


static void uri(const struct pl *pl)
{
	struct uri a, b;
	int err;

	memset(&a, 0, sizeof(a));
	memset(&b, 0, sizeof(b));
	err = uri_decode(&a, pl);
	CHECK(THEIRS(uri_decode)(&b, pl) == err);
	same_uri(&a, &b);
}


static void param(const struct pl *pl)
{
	static const char *const names[] = { "tag", "branch", "+sip.instance",
					     "q", "expires" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		struct pl a = PL_INIT, b = PL_INIT;
		int err = msg_param_decode(pl, names[i], &a);

		CHECK(THEIRS(msg_param_decode)(pl, names[i], &b) == err);
		same_pl(&a, &b);

		err = msg_param_exists(pl, names[i], &a);
		CHECK(THEIRS(msg_param_exists)(pl, names[i], &b) == err);
		same_pl(&a, &b);
	}
}


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct pl pl = { .p = (const char *)data + 1, .l = size - 1 };

	CHECK(!decode_check());
	if (size < 2)
		return 0;

	switch (*data) {

	case 'v':
		via(&pl);
		break;
	case 'a':
		addr(&pl);
		break;
	case 'c':
		cseq(&pl);
		break;
	case 'u':
		uri(&pl);
		break;
	case 'p':
		param(&pl);
		break;
	default:
		msg(&pl);
		break;
	}

	return 0;
}
