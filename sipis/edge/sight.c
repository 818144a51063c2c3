/**
 * @file edge/sight.c  What can be seen of phones, by whoever asks why
 */

#include "sipis/inst/sight.h"
#include "common/clock.h"
#include "sipis/call/reason.h"
#include "sipis/edge/flow.h"
#include "sipis/edge/rebuff.h"
#include <string.h>

const char *edge_transport(enum sip_transp tp)
{
	switch (tp) {
	case SIP_TRANSP_UDP:
		return "udp";
	case SIP_TRANSP_TCP:
		return "tcp";
	default:
		return "tls";
	}
}

static int64_t wall(uint64_t mono)
{
	return clock_wall_ms() + (int64_t)(mono - clock_mono_ms());
}

static void flow_tell(const struct edge_binding *b, inst_flow_h *h, void *arg)
{
	const struct edge_flow *f = b->flow;
	const struct pl pl = { b->contact, strlen(b->contact) };
	char contact[256];

	reason_text(contact, sizeof(contact), &pl);
	h(&(struct inst_flow){ .phone = b->id,
			       .known = b->known,
			       .contact = contact,
			       .transport = edge_transport(f->tp),
			       .peer = f->peer,
			       .since_ms = f->since,
			       .until_ms = wall(b->until) },
	  arg);
}


static void flows(uint64_t acct, inst_flow_h *h, void *h_arg, void *arg)
{
	const struct edge *e = arg;
	const struct edge_binding *b = NULL;

	while ((b = edge_binding_next(e, acct, b)))
		flow_tell(b, h, h_arg);
}


struct teller {
	inst_rebuff_h *h;
	void *arg;
};

static void rebuff_handler(const struct edge_rebuff *b, void *arg)
{
	const struct teller *t = arg;

	t->h(
		&(struct inst_rebuff){
			.phone = b->phone,
			.at_ms = b->at_ms,
			.scode = b->scode,
			.why = b->why,
			.transport = edge_transport(b->tp),
			.peer = b->peer,
		},
		t->arg);
}

static void rebuffs(uint64_t acct, inst_rebuff_h *h, void *h_arg, void *arg)
{
	const struct edge *e = arg;
	struct teller t = { h, h_arg };

	edge_rebuffs_each(e->rebuffs, acct, rebuff_handler, &t);
}

void edge_sight(struct edge *e, struct inst_sight *sight)
{
	if (e)
		*sight = (struct inst_sight){ flows, rebuffs, e };
}
