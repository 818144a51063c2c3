/**
 * @file fuzz_edge.c  What phones, and those who pretend to be one, send
 *
 *     byte 0 % 5   0  the rest is the URI of a Contact
 *                  1  the rest stands where our tokens stand
 *                  2  the rest is the SDP of an INVITE
 *                  3  the rest is its multipart body
 *                  4  the rest is a request as it came off the wire
 *
 * Judged: no crash, no leak; nothing passes for ours that is not; a session
 * description lies within the body and can be put in the place of another;
 * what is sent on has the same body.
 */

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <re/re.h>
#include "sipis/edge/priv.h"
#include "sipis/edge/purr.h"
#include "sipis/edge/sdp.h"
#include "sipis/edge/wish.h"
#include "sipis/sip/copy.h"

#define CHECK(cond)              \
	do {                     \
		if (!(cond))     \
			abort(); \
	} while (0)

#define INVITE                                       \
	"INVITE sip:a@b SIP/2.0\r\n"                 \
	"Via: SIP/2.0/UDP a;branch=z9hG4bK1\r\n"     \
	"From: <sip:a@b>;tag=1\r\nTo: <sip:a@b>\r\n" \
	"Call-ID: 1\r\nCSeq: 1 INVITE\r\n"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


/* Of exactly its size, so that one byte too far is seen; NULL: no message */
static struct sip_msg *message(const char *front, const uint8_t *data,
			       size_t size)
{
	const size_t f = strlen(front);
	struct mbuf *mb = mbuf_alloc(f + size ? f + size : 1);
	struct sip_msg *msg = NULL;

	CHECK(mb);
	CHECK(!mbuf_write_mem(mb, (const uint8_t *)front, f));
	CHECK(!mbuf_write_mem(mb, data, size));
	CHECK(mb->size == mb->end || !mb->end);
	mb->pos = 0;
	if (sip_msg_decode(&msg, mb))
		msg = NULL;
	mem_deref(mb);

	return msg;
}


static const struct edge_cfg *cfg_of(void)
{
	static struct edge_push_cfg apps[] = {
		{ .app = (char *)"demo", .apns = (char *)"T.e" },
		{ .app = (char *)"other", .fcm = (char *)"p" },
		{ .app = (char *)"page", .webpush = (char *)"key" },
	};
	static const struct edge_cfg cfg = { .push = apps, .push_count = 3 };

	return &cfg;
}


static void judge_pn(const struct edge_pn *pn)
{
	CHECK(pn->tokenc <= ARRAY_SIZE(pn->tokenv));
	CHECK(pn->kind != EDGE_PN_TOKENS || pn->tokenc);
	for (unsigned i = 0; i < pn->tokenc; i++) {
		CHECK(pn->tokenv[i].token == pn->text[i] && *pn->text[i]);
		CHECK(memchr(pn->text[i], 0, sizeof(pn->text[i])));
		CHECK(memchr(pn->topic[i], 0, sizeof(pn->topic[i])));
		CHECK(pn->app && pn->provider && pn->tokenv[i].uses);
	}
}


static void judge_contact(const struct pl *text)
{
	struct edge_pn pn;
	struct uri uri;

	if (uri_decode(&uri, text))
		return;

	memset(&pn, 0, sizeof(pn));
	edge_pn_read(&pn, cfg_of(), &uri);
	judge_pn(&pn);
}


/* Nobody knows the key, so nothing can be good */
static void judge_token(const struct pl *text)
{
	static const struct cred_key from;
	static const uint8_t phone[EDGE_PHONE];
	struct edge_token token;
	struct edge_key key;

	CHECK(!edge_key_derive(&key, &from));
	CHECK(edge_token_read(&token, &key, text, text) == EBADMSG);
	CHECK(!edge_purr_is(text, &key, phone));
}


static void judge_sdp(const struct sip_msg *msg)
{
	static const char other[] = "v=0\r\ns=another one\r\n";
	const struct pl body = copy_body(msg);
	struct pl sdp, put, back;
	struct sip_msg *m;

	if (!edge_sdp(&sdp, msg))
		return;

	CHECK(sdp.l && sdp.p >= body.p);
	CHECK(sdp.p + sdp.l <= body.p + body.l);
	pl_set_str(&put, other);
	if (edge_sdp_replace(&m, msg, &put))
		return;

	CHECK(edge_sdp(&back, m) && !pl_strcmp(&back, other));
	CHECK(copy_body(m).l == body.l - sdp.l + put.l);
	mem_deref(m);
}


static void judge_copies(const struct sip_msg *msg)
{
	const struct copy_prm prm = { .pop = 1,
				      .record_route = "Record-Route: <a>\r\n",
				      .cseq_add = 1 };
	const struct pl body = copy_body(msg);
	struct mbuf *mb = NULL;
	int err = msg->req ? copy_request(&mb, msg, &prm)
			   : copy_response(&mb, msg, 0, NULL);

	if (!err) {
		CHECK(mb->end >= body.l);
		CHECK(!body.l ||
		      !memcmp(mb->buf + mb->end - body.l, body.p, body.l));
	}
	mem_deref(mb);
}


static void judge_wish(const struct sip_msg *msg)
{
	struct edge_wish w;
	char name[EDGE_URI], params[64];

	edge_wish_read(&w, cfg_of(), msg);
	judge_pn(&w.pn);
	CHECK(w.bad || w.none || w.all || pl_isset(&w.contact.addr.auri));
	if (!edge_contact_name(name, sizeof(name), &w.contact))
		CHECK(memchr(name, 0, sizeof(name)));
	edge_contact_params(params, sizeof(params), &w.contact);
	CHECK(memchr(params, 0, sizeof(params)));
}


static void judge_message(const char *front, const uint8_t *data, size_t size)
{
	struct sip_msg *msg = message(front, data, size);

	if (!msg)
		return;

	judge_sdp(msg);
	judge_copies(msg);
	judge_wish(msg);
	mem_deref(msg);
}


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const fronts[] = {
		[2] = INVITE "Content-Type: application/sdp\r\n\r\n",
		[3] = INVITE
		"Content-Type: multipart/mixed;boundary=b\r\n\r\n",
		[4] = "",
	};
	struct pl text;
	char *exact;
	unsigned which;

	if (!size)
		return 0;

	which = *data++ % ARRAY_SIZE(fronts);
	--size;
	if (fronts[which]) {
		judge_message(fronts[which], data, size);
		return 0;
	}

	exact = malloc(size ? size : 1);
	CHECK(exact);
	memcpy(exact, data, size);
	text.p = exact;
	text.l = size;
	if (which)
		judge_token(&text);
	else
		judge_contact(&text);
	free(exact);

	return 0;
}
