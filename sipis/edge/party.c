/**
 * @file party.c  Which phone is in which call; pure
 */

#include <errno.h>
#include <string.h>
#include "sipis/edge/party.h"


struct entry {
	uint64_t call; /**< hash of its Call-ID and phone, 0: none */
	uint8_t phone[EDGE_PHONE];
};

struct edge_party {
	unsigned n;
	struct entry *v;
};


static void destructor(void *data)
{
	struct edge_party *p = data;

	mem_deref(p->v);
}


int edge_party_alloc(struct edge_party **pp, unsigned calls)
{
	struct edge_party *p;

	if (!pp || !calls)
		return EINVAL;

	p = mem_zalloc(sizeof(*p), destructor);
	if (!p)
		return ENOMEM;

	p->n = calls;
	p->v = mem_zalloc(calls * sizeof(*p->v), NULL);
	if (!p->v) {
		mem_deref(p);
		return ENOMEM;
	}

	*pp = p;

	return 0;
}


/* The phone is in it: both ends of a call may be phones of ours */
static uint64_t hash_of(const struct pl *callid,
			const uint8_t phone[EDGE_PHONE])
{
	const uint64_t high = hash_joaat_pl(callid);
	const uint64_t low = hash_fast(callid->p, callid->l);

	return (high << 32 | low) ^ hash_joaat(phone, EDGE_PHONE);
}


void edge_party_put(struct edge_party *p, const struct pl *callid,
		    const uint8_t phone[EDGE_PHONE])
{
	const uint64_t call = hash_of(callid, phone);
	struct entry *x = &p->v[call % p->n];

	x->call = call;
	memcpy(x->phone, phone, EDGE_PHONE);
}


bool edge_party_has(const struct edge_party *p, const struct pl *callid,
		    const uint8_t phone[EDGE_PHONE])
{
	const uint64_t call = hash_of(callid, phone);
	const struct entry *x = &p->v[call % p->n];

	return call && x->call == call && !memcmp(x->phone, phone, EDGE_PHONE);
}
