/**
 * @file test_late.c  2xx of phones that no transaction waits for
 *
 * Each pair of what is known of a call and what is said, with a record made
 * by hand.  As it comes about: test_late_site.c.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "sipis/call/priv.h"
#include "tests/unit/common/unit.h"

enum { ACCT = 7 };


/* --- words of phones --- */

static struct sip_msg *decode(struct mbuf *mb)
{
	struct sip_msg *msg;

	mb->pos = 0;
	assert_int_equal(sip_msg_decode(&msg, mb), 0);
	mem_deref(mb);

	return msg;
}


/* tag NULL: none */
static struct sip_msg *said(const char *callid, const char *tag)
{
	struct mbuf *mb = mbuf_alloc(512);

	assert_non_null(mb);
	assert_int_equal(
		mbuf_printf(mb,
			    "SIP/2.0 200 OK\r\n"
			    "Via: SIP/2.0/UDP h;branch=z9hG4bKours\r\n"
			    "From: <sip:200@h>;tag=caller\r\n"
			    "To: <sip:100@h>%s%s\r\n"
			    "Call-ID: %s\r\n"
			    "CSeq: 1 INVITE\r\n"
			    "Content-Length: 0\r\n\r\n",
			    tag ? ";tag=" : "", tag ? tag : "", callid),
		0);

	return decode(mb);
}


/* --- a record by hand --- */

enum { BRANCHES = 2 };

/** Two branches of one INVITE at one account */
struct hand {
	struct calls cs;
	struct callee ce;
	struct leg leg;
	struct branch b[BRANCHES];
	struct sip_msg *resp;
};


static int hand_open(void **state)
{
	static const char *const idv[BRANCHES] = { "z9hG4bKb0", "z9hG4bKb1" };
	struct hand *h = calloc(1, sizeof(*h));

	assert_non_null(h);
	assert_int_equal(hash_alloc(&h->cs.by_callid, 16), 0);
	h->ce.acct = ACCT;
	h->leg.cs = &h->cs;
	h->leg.callee = &h->ce;
	h->leg.callid = (char *)"c1";
	h->leg.call.prm.owner = &handover_relay;
	h->leg.call.state = CALL_WAKING;
	hash_append(h->cs.by_callid, hash_joaat_str("c1"), &h->leg.he_callid,
		    &h->leg);
	h->resp = said("c1", "a");
	for (unsigned i = 0; i < BRANCHES; i++) {
		h->b[i].leg = &h->leg;
		h->b[i].id = (char *)idv[i];
		list_append(&h->leg.branches, &h->b[i].le, &h->b[i]);
	}
	h->b[0].msg = h->resp; /* it waits: any message will do */
	*state = h;

	return 0;
}


static int hand_close(void **state)
{
	struct hand *h = *state;

	hash_clear(h->cs.by_callid);
	mem_deref(h->cs.by_callid);
	mem_deref(h->resp);
	free(h);

	return 0;
}


static enum calls_late ask(const struct hand *h, const struct sip_msg *resp,
			   const char *branch)
{
	struct pl pl;

	pl_set_str(&pl, branch);

	return calls_late(&h->cs, ACCT, resp, &pl);
}


static void open_branches(struct hand *h, unsigned n)
{
	for (unsigned i = 0; i < BRANCHES; i++)
		h->b[i].msg = i < n ? h->resp : NULL;
}


/* READING WAKING AWAKE RINGING HANDED ENDED: one letter each */
static const char late_letter[] = {
	[CALLS_LATE_FOREIGN] = 'F', [CALLS_LATE_SOON] = 'S',
	[CALLS_LATE_WAITED] = 'A',  [CALLS_LATE_WON] = 'W',
	[CALLS_LATE_LOST] = 'L',
};

/** By who has the call (nobody, "a" who speaks, another one), and by how many
    branches of the INVITE have no final answer yet */
static const struct {
	const char *winner;
	unsigned open;
	const char *rules;
} pairs[] = {
	{ NULL, 0, "LLLLLL" }, { NULL, 1, "SAAAAA" },    { NULL, 2, "SAAAAA" },
	{ "a", 0, "WWWWWW" },  { "a", 1, "WWWWWW" },     { "a", 2, "WWWWWW" },
	{ "b", 0, "LLLLLL" },  { "b", 1, "LLLLLL" },     { "b", 2, "LLLLLL" },
	{ "", 0, "LLLLLL" },   { "a2", 0, "LLLLLL" },    { "A", 0, "LLLLLL" },
	{ "a", 0, "WWWWWW" },  { "\"a\"", 0, "LLLLLL" },
};


static void expect(const struct hand *h, unsigned i, unsigned s, char want,
		   const char *what)
{
	/* of either branch: the INVITE is one */
	for (unsigned b = 0; b < BRANCHES; b++) {
		const char is = late_letter[ask(h, h->resp, h->b[b].id)];

		if (is != want)
			fail_msg("%s, winner %s, %u open, %s: %c, not %c",
				 what,
				 pairs[i].winner ? pairs[i].winner : "none",
				 pairs[i].open, call_state_name(s), is, want);
	}
}


static void test_late_every_pair(void **state)
{
	struct hand *h = *state;

	for (unsigned i = 0; i < ARRAY_SIZE(pairs); i++) {
		h->leg.winner = (char *)pairs[i].winner;
		open_branches(h, pairs[i].open);
		assert_int_equal(strlen(pairs[i].rules), CALL_STATES);
		for (unsigned s = 0; s < CALL_STATES; s++) {
			h->leg.call.state = (enum call_state)s;
			expect(h, i, s, pairs[i].rules[s], "relay");

			/* who is no proxy has sent no phone an INVITE */
			h->leg.call.prm.owner = &handover_fork;
			expect(h, i, s, 'F', "fork");
			h->leg.call.prm.owner = &handover_redirect;
			expect(h, i, s, 'F', "redirect");
			h->leg.call.prm.owner = &handover_relay;

			h->ce.acct = ACCT + 1;
			expect(h, i, s, 'F', "another account");
			h->ce.acct = ACCT;

			h->cs.closed = true;
			expect(h, i, s, 'F', "closed");
			h->cs.closed = false;
		}
	}
	h->leg.winner = NULL;
}


/* Call-ID and branch are the sender's to invent */
static void test_late_hostile(void **state)
{
	static const char *const callids[] = { "c", "c11", "C1", "c1@h",
					       "c1%00" };
	static const char *const branches[] = {
		"",          "z9hG4bK",   "z9hG4bKb",  "z9hG4bKb00",
		"z9hG4bKB0", "Z9hG4bKb0", "z9hG4bKb2", "b0",
	};
	struct hand *h = *state;
	struct pl unset = { NULL, 0 }, branch;
	struct sip_msg *msg;
	char *wide;

	for (unsigned i = 0; i < ARRAY_SIZE(branches); i++)
		assert_int_equal(ask(h, h->resp, branches[i]),
				 CALLS_LATE_FOREIGN);
	for (unsigned i = 0; i < ARRAY_SIZE(callids); i++) {
		msg = said(callids[i], "a");
		assert_int_equal(ask(h, msg, h->b[0].id), CALLS_LATE_FOREIGN);
		mem_deref(msg);
	}

	/* a Via without branch */
	assert_int_equal(calls_late(&h->cs, ACCT, h->resp, &unset),
			 CALLS_LATE_FOREIGN);
	pl_set_str(&branch, h->b[0].id);
	assert_int_equal(calls_late(NULL, ACCT, h->resp, &branch),
			 CALLS_LATE_FOREIGN);
	assert_int_equal(calls_late_take(NULL, ACCT, "i", h->resp, &branch),
			 ENOENT);
	branch.l--; /* no string ends there */
	assert_int_equal(calls_late(&h->cs, ACCT, h->resp, &branch),
			 CALLS_LATE_FOREIGN);

	/* no To tag: nobody's who has the call, but an answer to one that
	   waits */
	msg = said("c1", NULL);
	assert_int_equal(ask(h, msg, h->b[0].id), CALLS_LATE_WAITED);
	h->leg.winner = (char *)"a";
	assert_int_equal(ask(h, msg, h->b[0].id), CALLS_LATE_LOST);
	mem_deref(msg);

	assert_int_equal(re_sdprintf(&wide, "a%01000u", 0), 0);
	msg = said("c1", wide);
	assert_int_equal(ask(h, msg, h->b[0].id), CALLS_LATE_LOST);
	h->leg.winner = wide;
	assert_int_equal(ask(h, msg, h->b[0].id), CALLS_LATE_WON);
	assert_int_equal(ask(h, h->resp, h->b[0].id), CALLS_LATE_LOST);
	h->leg.winner = NULL;
	mem_deref(wide);
	mem_deref(msg);
}


#define HAND(t) cmocka_unit_test_setup_teardown(t, hand_open, hand_close)


int main(void)
{
	const struct CMUnitTest tests[] = {
		HAND(test_late_every_pair),
		HAND(test_late_hostile),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
