/**
 * @file fuzz_sip.c  Foreign bytes where SIP is read by hand
 *
 *     byte 0 % 4   0  the rest is a response as it came off the wire
 *                  1  the rest stands behind "Contact:" in a good one
 *                  2  the rest stands behind "WWW-Authenticate:" in a good one
 *                  3  the rest is a Reason, and the headers of an INVITE
 *
 * Judged: no crash, no leak; what is found lies within what came in; numbers
 * keep their limits; what we say in return is one line and has no control
 * characters.
 */

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <re/re.h>
#include "sipis/call/reason.h"
#include "sipis/reg/grant.h"
#include "sipis/reg/reg_fsm.h"
#include "sipis/sip/answer.h"
#include "sipis/sip/cred.h"
#include "sipis/sip/digest.h"

enum { CHALLENGES = 8, ASKED_S = 600 };

#define CHECK(cond)              \
	do {                     \
		if (!(cond))     \
			abort(); \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/** Of exactly its size, so that one byte too far is seen */
struct bytes {
	char *p;
	size_t l;
};


static struct bytes join(const char *front, const uint8_t *data, size_t size,
			 const char *back)
{
	const size_t f = strlen(front), b = strlen(back);
	struct bytes all = { malloc(f + size + b + 1), f + size + b };
	char *exact;

	CHECK(all.p);
	memcpy(all.p, front, f);
	memcpy(all.p + f, data, size);
	memcpy(all.p + f + size, back, b);
	exact = realloc(all.p, all.l ? all.l : 1);
	CHECK(exact);
	all.p = exact;
	return all;
}


static bool lies_in(const struct bytes *all, const struct pl *pl)
{
	return !pl->l || (pl->p >= all->p && pl->p + pl->l <= all->p + all->l);
}


static bool value_handler(enum sip_hdrid id, const struct pl *val, void *arg)
{
	(void)id;
	CHECK(lies_in(arg, val));
	return false;
}


static void judge_grant(const struct answer *ans)
{
	static const uint8_t contact[STORE_CONTACT] = { 1, 2, 3 };
	struct grant_home home = { .tp = SIP_TRANSP_UDP };
	struct grant g;
	uint32_t s;

	CHECK(!sa_set_str(&home.addr, "192.0.2.1", 5070));
	grant_parse(&g, ans, contact, &home);
	CHECK(g.ours || !g.here);
	CHECK(g.hashc <= GRANT_HASHES && g.hashc <= g.others);
	CHECK(memchr(g.other, 0, sizeof(g.other)));

	s = grant_seconds(&g, ans, ASKED_S);
	CHECK(s >= REG_GRANT_MIN && s <= REG_GRANT_MAX);
}


static void judge_credentials(struct digest_nonce *n)
{
	static const uint8_t ha1[CRED_HA1_MAX] = { 4, 5, 6 };
	struct mbuf *mb = mbuf_alloc(512);

	CHECK(mb);
	if (!digest_authorize(mb, n, "100", ha1, "REGISTER", "sip:e.org")) {
		CHECK(mb->end > 2);
		CHECK(memchr(mb->buf, '\n', mb->end) == mb->buf + mb->end - 1);
	}
	mem_deref(mb);
}


static void judge_challenges(const struct answer *ans)
{
	struct digest_chall v[CHALLENGES];
	const struct digest_chall *ch = NULL;
	struct digest_nonce *n = NULL;
	struct digest_pin pin;
	unsigned found;

	memset(&pin, 0, sizeof(pin));
	found = digest_challenges(v, CHALLENGES, NULL, ans);
	CHECK(found <= CHALLENGES);
	if (digest_choose(&ch, v, found, &pin) || !ch)
		return;

	if (!digest_nonce_alloc(&n, ch))
		judge_credentials(n);
	mem_deref(n);
}


static void judge_answer(struct bytes *all)
{
	static const enum sip_hdrid ids[] = {
		SIP_HDR_VIA,         SIP_HDR_CONTACT,          SIP_HDR_EXPIRES,
		SIP_HDR_RETRY_AFTER, SIP_HDR_WWW_AUTHENTICATE,
	};
	struct answer ans;
	struct pl branch;

	if (answer_decode(&ans, all->p, all->l))
		return;

	CHECK(ans.scode >= 100 && ans.scode <= 999);
	CHECK(lies_in(all, &ans.reason) && lies_in(all, &ans.headers));
	if (!answer_branch(&ans, &branch))
		CHECK(branch.l && lies_in(all, &branch));
	for (size_t i = 0; i < ARRAY_SIZE(ids); i++)
		(void)answer_each(&ans, ids[i], value_handler, all);

	judge_grant(&ans);
	judge_challenges(&ans);
}


static void judge_said(const char *s)
{
	for (; *s; s++)
		CHECK((unsigned char)*s >= 0x20 && *s != 0x7f);
}


static void judge_reason(const struct bytes *all)
{
	const struct pl pl = { all->p, all->l };
	char text[64];

	CHECK(reason_of_cancel(&pl));
	reason_text(text, sizeof(text), &pl);
	CHECK(memchr(text, 0, sizeof(text)));
	judge_said(text);
}


static void judge_invite(const uint8_t *data, size_t size)
{
	struct bytes all = join("INVITE sip:a@b SIP/2.0\r\n"
				"Via: SIP/2.0/UDP a;branch=z9hG4bK1\r\n"
				"From: <sip:a@b>;tag=1\r\nTo: <sip:a@b>\r\n"
				"Call-ID: 1\r\nCSeq: 1 INVITE\r\n",
				data, size, "");
	struct mbuf *mb = mbuf_alloc(all.l);
	struct sip_msg *msg = NULL;
	char tags[64];

	CHECK(mb && !mbuf_write_mem(mb, (uint8_t *)all.p, all.l));
	mb->pos = 0;
	if (!sip_msg_decode(&msg, mb)) {
		(void)reason_diverted_by(msg, "100");
		(void)reason_has_video(msg);
		CHECK(reason_expires(msg, 120) <= 120);
		(void)reason_unsupported(tags, sizeof(tags), msg,
					 SIP_HDR_REQUIRE);
		judge_said(tags);
	}
	mem_deref(msg);
	mem_deref(mb);
	free(all.p);
}


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const fronts[] = {
		"",
		"SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP a;branch=b\r\nContact:",
		"SIP/2.0 401 N\r\nv: SIP/2.0/UDP a\r\nWWW-Authenticate:",
		"",
	};
	struct bytes all;
	unsigned which;

	if (!size)
		return 0;

	which = data[0] % ARRAY_SIZE(fronts);
	all = join(fronts[which], data + 1, size - 1,
		   *fronts[which] ? "\r\n\r\n" : "");
	if (which < 3) {
		judge_answer(&all);
	}
	else {
		judge_reason(&all);
		judge_invite(data + 1, size - 1);
	}
	free(all.p);

	return 0;
}
