/**
 * @file test_edge_slot.c  Phones that do not say which one they are
 */

#include <stdlib.h>
#include <string.h>
#include "sipis/edge/flow.h"
#include "sipis/edge/priv.h"
#include "tests/unit/common/unit.h"


enum { ACCT = 7, BINDINGS = 9 };

bool __wrap_edge_flow_silent(const struct edge_flow *f);
struct edge_flow *__wrap_edge_flow_find(const struct edge *e,
					const struct sip_msg *msg);

struct fix {
	struct edge e;
	struct edge_flow flow[BINDINGS];
	struct edge_binding b[BINDINGS];
	char callid[BINDINGS][16], contact[BINDINGS][64];
	unsigned n;
	struct sip_msg *msg;
	struct edge_client c;
};


/* heard: 0 silent */
bool __wrap_edge_flow_silent(const struct edge_flow *f)
{
	return !f->heard;
}


/* None but the one that is marked */
struct edge_flow *__wrap_edge_flow_find(const struct edge *e,
					const struct sip_msg *msg)
{
	(void)e;

	return (struct edge_flow *)msg->sock;
}


static void there(struct fix *f, uint8_t slot, const char *peer, bool silent,
		  const char *callid, const char *host, uint16_t port)
{
	struct edge_binding *b = &f->b[f->n];
	struct edge_flow *flow = &f->flow[f->n];

	flow->edge = &f->e;
	flow->heard = !silent;
	assert_int_equal(sa_set_str(&flow->peer, peer, 5060), 0);
	(void)re_snprintf(f->callid[f->n], 16, "%s", callid);
	(void)re_snprintf(f->contact[f->n], 64, "sip:100@%s:%u", host, port);
	b->flow = flow;
	b->acct = ACCT;
	b->slot = slot;
	b->callid = f->callid[f->n];
	b->contact = f->contact[f->n];
	b->name = hash_joaat_str(b->contact);
	hash_append(f->e.accts,
		    hash_joaat((const uint8_t *)&b->acct, sizeof(b->acct)),
		    &b->he_acct, b);
	++f->n;
}


/** Somebody who comes, and whose place it is */
struct row {
	const char *from, *callid, *host;
	uint16_t port;
	uint8_t slot;
};


static uint8_t comes(struct fix *f, const struct row *r, bool take)
{
	char text[64];

	(void)re_snprintf(text, sizeof(text), "sip:100@%s:%u", r->host,
			  r->port);
	assert_int_equal(sa_set_str(&f->msg->src, r->from, 40000), 0);
	pl_set_str(&f->msg->callid, r->callid);
	f->c = (struct edge_client){ .msg = f->msg,
				     .acct = ACCT,
				     .name = hash_joaat_str(text) };
	pl_set_str(&f->c.host, r->host);

	return edge_slot(&f->e, &f->c, take);
}


static void expect(struct fix *f, const struct row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const uint8_t slot = comes(f, &rows[i], true);

		if (slot != rows[i].slot)
			fail_msg("%s at %s:%u from %s: %u, not %u",
				 rows[i].callid, rows[i].host, rows[i].port,
				 rows[i].from, slot, rows[i].slot);
	}
}


static struct sip_msg *request(const char *more_vias)
{
	struct mbuf *mb = mbuf_alloc(512);
	struct sip_msg *msg;

	assert_non_null(mb);
	assert_int_equal(mbuf_printf(mb,
				     "REGISTER sip:h SIP/2.0\r\n"
				     "Via: SIP/2.0/UDP h;branch=z9hG4bKx\r\n"
				     "%s"
				     "From: <sip:100@h>;tag=a\r\n"
				     "To: <sip:100@h>\r\n"
				     "Call-ID: x\r\nCSeq: 1 REGISTER\r\n"
				     "Content-Length: 0\r\n\r\n",
				     more_vias),
			 0);
	mb->pos = 0;
	assert_int_equal(sip_msg_decode(&msg, mb), 0);
	mem_deref(mb);

	return msg;
}


static int setup(void **state)
{
	struct fix *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	f->msg = request("");
	assert_int_equal(hash_alloc(&f->e.accts, 16), 0);
	*state = f;

	return 0;
}


static int teardown(void **state)
{
	struct fix *f = *state;

	hash_clear(f->e.accts);
	mem_deref(f->e.accts);
	f->msg->sock = NULL;
	mem_deref(f->msg);
	free(f);

	return 0;
}


/* Of one that is in the second place: Call-ID and Contact (itself, another
   port of its host, another host) down, and across, four letters each, its
   address and then another: it speaks, is silent, the same over its flow.
   S: it is the same */
static const struct {
	bool callid;
	const char *host;
	uint16_t port;
	const char *direct, *proxied;
} pairs[] = {
	{ true, "10.0.0.5", 5060, "SSSS SSSS", "SSSS SSSS" },
	{ true, "10.0.0.5", 5070, "SSSS SSSS", "SSSS SSSS" },
	{ true, "10.0.0.6", 5060, "SSSS SSSS", "SSSS SSSS" },
	{ false, "10.0.0.5", 5060, "SSSS -SSS", "SSSS -S-S" },
	{ false, "10.0.0.5", 5070, "-SSS --SS", "-S-S ----" },
	{ false, "10.0.0.6", 5060, "--SS --SS", "---- ----" },
};


static void every_pair(struct fix *f, unsigned i, const char *rules)
{
	void *const sock = f->msg->sock;

	for (unsigned k = 0; k < 8; k++) {
		const char want = rules[k + k / 4];
		const struct row r = {
			.from = k < 4 ? "192.0.2.1" : "192.0.2.7",
			.callid = pairs[i].callid ? "a" : "z",
			.host = pairs[i].host,
			.port = pairs[i].port,
		};
		uint8_t slot;

		f->flow[0].heard = !(k & 1);
		f->msg->sock = k & 2 ? &f->flow[0] : sock;
		slot = comes(f, &r, false);
		if (slot != (want == 'S' ? 2 : 0))
			fail_msg("%s, row %u, %u: %u, not %c", rules, i, k,
				 slot, want);
		assert_int_equal(comes(f, &r, true), want == 'S' ? 2 : 1);
	}
	f->msg->sock = sock;
}


static void test_every_pair(void **state)
{
	struct fix *f = *state;

	there(f, 2, "192.0.2.1", false, "a", "10.0.0.5", 5060);
	for (unsigned i = 0; i < ARRAY_SIZE(pairs); i++)
		every_pair(f, i, pairs[i].direct);
	mem_deref(f->msg);
	f->msg = request("Via: SIP/2.0/UDP phone;branch=z9hG4bKy\r\n");
	for (unsigned i = 0; i < ARRAY_SIZE(pairs); i++)
		every_pair(f, i, pairs[i].proxied);
}


/* The surest sign counts */
static void test_two(void **state)
{
	static const struct row rows[] = {
		{ "192.0.2.1", "a", "10.0.0.6", 5060, 1 },
		{ "192.0.2.1", "b", "10.0.0.5", 5060, 2 },
		{ "192.0.2.1", "z", "10.0.0.5", 5060, 1 },
		{ "192.0.2.1", "z", "10.0.0.6", 5060, 2 },
		/* neither of them: a neighbour, another one with such an
		   address at home, a second program on a host */
		{ "192.0.2.1", "z", "10.0.0.7", 5060, 3 },
		{ "192.0.2.9", "z", "10.0.0.5", 5060, 3 },
		{ "192.0.2.1", "z", "10.0.0.5", 5070, 3 },
		/* it says who it is, and has no place */
		{ "192.0.2.1", "n", "10.0.0.8", 5060, 3 },
	};
	struct fix *f = *state;

	assert_int_equal(comes(f, rows, false), 0); /* nobody is here */
	assert_int_equal(comes(f, rows, true), 1);
	there(f, 1, "192.0.2.1", false, "a", "10.0.0.5", 5060);
	there(f, 2, "192.0.2.1", false, "b", "10.0.0.6", 5060);
	there(f, 0, "192.0.2.1", false, "n", "10.0.0.8", 5060);
	expect(f, rows, ARRAY_SIZE(rows));
}


static void test_full(void **state)
{
	static const struct row rows[] = {
		{ "192.0.2.1", "x", "10.0.0.99", 5060, 3 },
		{ "192.0.2.1", "c1", "10.0.0.99", 1, 4 },
	};
	static const struct row others[] = {
		{ "192.0.2.1", "x", "10.0.0.99", 5060, 4 },
		{ "192.0.2.1", "c1", "10.0.0.99", 1, 4 },
		{ "192.0.2.1", "c2", "10.0.0.99", 1, 5 },
	};
	struct fix *f = *state;

	for (int i = 0; i < EDGE_SLOTS; i++) {
		char host[16], id[8];

		(void)re_snprintf(host, sizeof(host), "10.0.0.%u", i);
		(void)re_snprintf(id, sizeof(id), "c%u", i);
		/* the third place registered first */
		there(f, (uint8_t)((i + 2) % EDGE_SLOTS + 1), "192.0.2.1",
		      false, id, host, 5060);
	}
	expect(f, rows, ARRAY_SIZE(rows));
	f->b[1].acct = ACCT + 1; /* of another account: its place is free */
	expect(f, others, ARRAY_SIZE(others));
	f->b[1].acct = ACCT;
}


int main(void)
{
#define SLOT(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
	const struct CMUnitTest tests[] = {
		SLOT(test_every_pair),
		SLOT(test_two),
		SLOT(test_full),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
