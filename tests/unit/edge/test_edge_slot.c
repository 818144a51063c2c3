/**
 * @file test_edge_slot.c  Phones that do not say which one they are
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "sipis/edge/flow.h"
#include "sipis/edge/priv.h"


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


static uint8_t comes(struct fix *f, const char *from, const char *callid,
		     const char *host, uint16_t port, bool take)
{
	char text[64];
	uint8_t slot;

	(void)re_snprintf(text, sizeof(text), "sip:100@%s:%u", host, port);
	assert_int_equal(sa_set_str(&f->msg->src, from, 40000), 0);
	pl_set_str(&f->msg->callid, callid);
	f->c = (struct edge_client){ .msg = f->msg,
				     .acct = ACCT,
				     .name = hash_joaat_str(text) };
	pl_set_str(&f->c.host, host);
	slot = edge_slot(&f->e, &f->c, take);

	return slot;
}


static int setup(void **state)
{
	static const char text[] = "REGISTER sip:h SIP/2.0\r\n"
				   "Via: SIP/2.0/UDP h;branch=z9hG4bKx\r\n"
				   "From: <sip:100@h>;tag=a\r\n"
				   "To: <sip:100@h>\r\n"
				   "Call-ID: x\r\nCSeq: 1 REGISTER\r\n"
				   "Content-Length: 0\r\n\r\n";
	struct fix *f = calloc(1, sizeof(*f));
	struct mbuf *mb = mbuf_alloc(512);

	assert_non_null(f);
	assert_int_equal(mbuf_write_str(mb, text), 0);
	mb->pos = 0;
	assert_int_equal(sip_msg_decode(&f->msg, mb), 0);
	assert_int_equal(hash_alloc(&f->e.accts, 16), 0);
	mem_deref(mb);
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


static void test_two(void **state)
{
	struct fix *f = *state;

	assert_int_equal(comes(f, "192.0.2.1", "a", "10.0.0.5", 5060, false),
			 0);
	assert_int_equal(comes(f, "192.0.2.1", "a", "10.0.0.5", 5060, true),
			 1);
	there(f, 1, "192.0.2.1", false, "a", "10.0.0.5", 5060);

	/* a neighbour, another one at home with the same address */
	assert_int_equal(comes(f, "192.0.2.1", "b", "10.0.0.6", 5060, true),
			 2);
	assert_int_equal(comes(f, "192.0.2.9", "c", "10.0.0.5", 5060, true),
			 2);
	/* another port of the same host: a second program, while it speaks */
	assert_int_equal(comes(f, "192.0.2.1", "d", "10.0.0.5", 5070, true),
			 2);
	assert_int_equal(comes(f, "192.0.2.1", "d", "10.0.0.5", 5070, false),
			 0);
}


static void test_back(void **state)
{
	struct fix *f = *state;

	there(f, 2, "192.0.2.1", false, "a", "10.0.0.5", 5060);
	/* elsewhere with its Call-ID; started anew with its port */
	assert_int_equal(comes(f, "192.0.2.7", "a", "10.1.0.1", 5061, true),
			 2);
	assert_int_equal(comes(f, "192.0.2.1", "z", "10.0.0.5", 5060, true),
			 2);

	/* over its flow, unless others share it */
	f->msg->sock = &f->flow[0];
	assert_int_equal(comes(f, "192.0.2.1", "z", "10.3.0.1", 5060, true),
			 2);
}


static void test_silent(void **state)
{
	struct fix *f = *state;

	there(f, 1, "192.0.2.1", true, "a", "10.0.0.5", 5060);
	/* with another port; with its address from another network */
	assert_int_equal(comes(f, "192.0.2.1", "b", "10.0.0.5", 5070, true),
			 1);
	assert_int_equal(comes(f, "192.0.2.8", "b", "10.0.0.5", 5060, true),
			 1);
	/* it need not ping: one with nothing of it is another one */
	assert_int_equal(comes(f, "192.0.2.1", "b", "10.0.0.6", 5060, true),
			 2);
	assert_int_equal(comes(f, "192.0.2.8", "b", "10.0.0.5", 5070, true),
			 2);
}


static void test_full(void **state)
{
	struct fix *f = *state;

	for (int i = 0; i < EDGE_SLOTS; i++) {
		char host[16], id[8];

		(void)re_snprintf(host, sizeof(host), "10.0.0.%u", i);
		(void)re_snprintf(id, sizeof(id), "c%u", i);
		/* the third place registered first */
		there(f, (uint8_t)((i + 2) % EDGE_SLOTS + 1), "192.0.2.1",
		      false, id, host, 5060);
	}
	assert_int_equal(comes(f, "192.0.2.1", "x", "10.0.0.99", 5060, true),
			 3);
	assert_int_equal(comes(f, "192.0.2.1", "c1", "10.0.0.99", 1, true), 4);
	f->b[0].acct = ACCT + 1; /* of another account */
	assert_int_equal(comes(f, "192.0.2.1", "x", "10.0.0.99", 5060, true),
			 3);
	f->b[0].acct = ACCT;
}


int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_two, setup, teardown),
		cmocka_unit_test_setup_teardown(test_back, setup, teardown),
		cmocka_unit_test_setup_teardown(test_silent, setup, teardown),
		cmocka_unit_test_setup_teardown(test_full, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
