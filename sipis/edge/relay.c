/**
 * @file sipis/edge/relay.c  Waiting calls on their way to phones
 *
 * The record of call/ decides who gets the INVITE, and has its server half;
 * here it is carried to the flow of a phone, as it came.
 */

#include <errno.h>
#include "common/ident.h"
#include "sipis/call/relay.h"
#include "sipis/edge/priv.h"


struct relay_try {
	struct edge_forward *fwd;
};


static void destructor(void *data)
{
	struct relay_try *t = data;

	mem_deref(t->fwd);
}


static void phones(uint64_t acct, relay_phone_h *h, void *h_arg, void *arg)
{
	const struct edge *e = arg;
	const uint32_t key = hash_joaat((const uint8_t *)&acct, sizeof(acct));
	struct le *le = list_head(hash_list(e->accts, key));

	while (le) {
		struct edge_binding *b = le->data;

		le = le->next;
		/* once for each phone, whatever flows it has */
		if (b->acct == acct && b == edge_binding_of(e, b->phone))
			h(b->id, h_arg);
	}
}


static int invite(struct relay_try **tp, const char *inst, struct pbx *pbx,
		  const struct sip_msg *msg, relay_h *h, void *h_arg,
		  void *arg)
{
	struct edge *e = arg;
	struct edge_binding *b;
	uint8_t phone[EDGE_PHONE];
	struct relay_try *t;
	char rr[EDGE_ROUTE];
	struct sa laddr;
	int err = ident_unhex(phone, EDGE_PHONE, inst);

	b = err ? NULL : edge_binding_of(e, phone);
	if (!b || e->closed)
		return ENOENT;

	err = pbx_local(pbx, msg->tp, &msg->src, &laddr);
	err = err ? err
		  : edge_record_route(rr, sizeof(rr), b, NULL, &laddr, msg->tp,
				      true);
	if (err)
		return err;

	t = mem_zalloc(sizeof(*t), destructor);
	if (!t)
		return ENOMEM;

	err = edge_forward(&t->fwd, &(struct edge_forward_prm){
					    .edge = e,
					    .flow = b->flow,
					    .sip = e->sip,
					    .msg = msg,
					    .uri = b->contact,
					    .dst = b->flow->peer,
					    .tp = b->flow->tp,
					    .copy = { .record_route = rr },
					    .h = h,
					    .arg = h_arg,
				    });
	if (err) {
		mem_deref(t);
		return err;
	}

	metric_inc(&e->metricv[EDGE_M_RELAYED]);
	*tp = t;

	return 0;
}


static void leave(struct relay_try **tp, const char *reason, void *arg)
{
	struct relay_try *t = *tp;
	(void)arg;

	*tp = NULL;
	if (t)
		edge_forward_leave(&t->fwd, reason);
	mem_deref(t);
}


void edge_relay_open(struct edge *e)
{
	const struct relay relay = {
		.phones = phones,
		.invite = invite,
		.leave = leave,
		.arg = e,
	};

	calls_relay(e->prm.calls, &relay);
}
