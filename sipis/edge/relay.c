/**
 * @file sipis/edge/relay.c  Waiting calls on their way to phones
 *
 * The record of call/ decides who gets the INVITE, and has its server half;
 * here it is carried to the flow of a phone, as it came.
 *
 * A phone whose flow is gone keeps its forward (forward_adrift.c), and has
 * another INVITE when it is back: the one before waits beside it, for the
 * phone may ring by that, and then says 482 to the new one (RFC 3261 8.2.2.2),
 * or 486 if it takes it for a second call and wants none.
 *
 *     the new one says     it rings by the old one     it never rang
 *     18x, same tag        the old one waits on        the same
 *     18x, another tag     the old one has CANCEL      the same
 *     482                  rings on by the old one     the old one waits on
 *     other refusals       the same, if no 18x came    they count
 *     2xx                  counts; the old one has CANCEL
 *
 * One that rings on may lose the flow that it says so over: what it rings by
 * is tied to that.
 *
 * So has a phone with several flows of which the newest says nothing, not even
 * 100: the INVITE goes over another one too (RFC 5626 5.3).
 */

#include <errno.h>
#include "common/ident.h"
#include "sipis/call/relay.h"
#include "sipis/edge/flow.h"
#include "sipis/edge/forward.h"
#include "sipis/edge/party.h"
#include "sipis/edge/priv.h"
#include "sipis/edge/talk.h"


/* No missed call */
#define ELSEWHERE "SIP;cause=200;text=\"Call completed elsewhere\""

enum { HUSH_MS = 1000 /* a phone that lives says 100 or 18x by then */ };

struct relay_try {
	struct edge *edge;
	struct pbx *pbx;
	struct sip_msg *msg; /**< as the PBX sent it */
	uint8_t phone[EDGE_PHONE];
	struct edge_talk *talk;   /**< NULL: its media is not relayed */
	struct edge_forward *fwd; /**< NULL: its SDP is at an rtpengine, or
				       the phone has what was before */
	struct edge_forward *old; /**< what it had before that, or NULL */
	uint32_t tag, old_tag;    /**< hashes of To tags that they told */
	bool rang, old_rang;
	struct sip_msg *sent; /**< as it went on */
	struct sa peer;       /**< where the newest one went */
	bool silent;          /**< nothing was heard of that */
	bool other;           /**< that is not its newest flow */
	struct tmr tmr, hush;
	relay_h *h;
	relay_lost_h *losth;
	relay_still_h *stillh;
	relay_note_h *noteh;
	void *arg;
};


static void destructor(void *data)
{
	struct relay_try *t = data;

	tmr_cancel(&t->tmr);
	tmr_cancel(&t->hush);
	edge_talk_drop(t->talk);
	mem_deref(t->fwd);
	mem_deref(t->old);
	mem_deref(t->sent);
	mem_deref(t->msg);
}


static void phones(uint64_t acct, relay_phone_h *h, void *h_arg, void *arg)
{
	const struct edge *e = arg;
	struct edge_binding *b, *next = edge_binding_next(e, acct, NULL);

	while ((b = next)) {
		next = edge_binding_next(e, acct, b);
		/* once for each phone, whatever flows it has */
		if (b == edge_binding_of(e, b->phone))
			h(b->id, h_arg);
	}
}


/* Who keeps it after a refusal has it ring on, by an INVITE from before a
   restart, and that SDP is at the rtpengine as well */
static void told(struct relay_try *t, int err, const struct sip_msg *resp)
{
	if (!err && resp->scode >= 200 && resp->scode < 300)
		edge_party_put(t->edge->party, &resp->callid, t->phone);

	mem_ref(t);
	t->h(err, resp, t->arg);
	if (mem_nrefs(t) == 1 && (err || resp->scode >= 200))
		edge_talk_over(t->talk, err ? 0 : resp->scode);
	mem_deref(t);
}


static void heard(struct relay_try *t, int err, const struct sip_msg *resp)
{
	if (err || !edge_talk_response(t->talk, resp))
		told(t, err, resp);
}


/* It is a second call there, or the app is another one: it is to ring once */
static bool is_anew(struct relay_try *t, const struct sip_msg *resp)
{
	t->tag = hash_joaat_pl(&resp->to.tag);
	t->rang = true;

	return t->old && t->tag != t->old_tag;
}


static bool is_of_both(const struct relay_try *t, const struct sip_msg *resp)
{
	return resp->scode < 300 ||
	       (resp->scode != 482 && (t->rang || !t->old_rang));
}


static void response_handler(int err, const struct sip_msg *resp, void *arg)
{
	struct relay_try *t = arg;

	/* what belongs to this call is to go there too */
	if (!err && t->other)
		edge_binding_prefer(t->edge, t->phone, &t->peer);
	if (t->old && (err || !is_of_both(t, resp))) {
		t->fwd = mem_deref(t->fwd);
		edge_forward_watch(t->old);
		if (!err && t->old_rang)
			t->stillh(t->arg);
		return;
	}
	if (!err && (resp->scode >= 200 || is_anew(t, resp)))
		(void)edge_forward_leave(&t->old, ELSEWHERE);
	heard(t, err, resp);
}


static void old_handler(int err, const struct sip_msg *resp, void *arg)
{
	struct relay_try *t = arg;

	if (err || resp->scode >= 200)
		t->old = mem_deref(t->old);
	else
		t->old_rang = true;
	/* it rings by the new one */
	if (t->fwd && (err || resp->scode == 482))
		return;
	if (!err && resp->scode >= 200)
		(void)edge_forward_leave(&t->fwd, ELSEWHERE);
	heard(t, err, resp);
}


/* It may have another flow, RFC 5626 5.3; one that has just begun is told of
   behind the 200 of its REGISTER.  A silent one has that INVITE */
static void elsewhere_handler(void *arg)
{
	const struct relay_try *t = arg;
	const struct edge_binding *b = edge_binding_of(t->edge, t->phone);

	if (b && !(t->silent && sa_cmp(&b->flow->peer, &t->peer, SA_ALL)))
		calls_flow(t->edge->prm.calls, b->acct, b->id);
}


static void lost_handler(int err, void *arg)
{
	struct relay_try *t = arg;

	t->silent = err == ETIMEDOUT;
	tmr_start(&t->tmr, 0, elsewhere_handler, t);
	/* some clients sign off before they register from a new address */
	t->losth(err == ESHUTDOWN ? RELAY_OFF
		 : t->silent      ? RELAY_SILENT
				  : RELAY_GONE,
		 t->arg);
}


/* Where it has gone is not where its phone was heard of last */
static void old_lost_handler(int err, void *arg)
{
	struct relay_try *t = arg;

	if (!t->fwd)
		lost_handler(err, t);
}


/* The call must not go on without its relay: a refusal like any other */
static void fail(struct relay_try *t)
{
	struct sip_msg *refusal = NULL;
	const int err = edge_refusal(&refusal, t->msg, EDGE_NO_MEDIA);

	told(t, err, refusal);
	mem_deref(refusal);
}


static void talk_handler(int err, const struct sip_msg *resp, void *arg)
{
	struct relay_try *t = arg;

	if (!err) {
		told(t, 0, resp);
		return;
	}

	edge_forward_hang_up(t->fwd ? t->fwd : t->old, resp);
	fail(t);
}


static int send_on(struct relay_try *t, struct edge_binding *b,
		   const struct sip_msg *msg)
{
	char rr[EDGE_ROUTE];
	const struct copy_prm copy = { .record_route = rr, .breadth = 1 };
	struct sa laddr;
	int err = b ? pbx_local(t->pbx, msg->tp, &msg->src, &laddr) : ENOENT;

	err = err ? err
		  : edge_record_route(rr, sizeof(rr), b, &msg->callid, NULL,
				      &laddr, msg->tp, true);
	if (err)
		return err;

	mem_deref(t->sent);
	t->sent = mem_ref((void *)msg);
	t->peer = b->flow->peer;
	t->silent = t->rang = t->other = false;
	edge_talk_holder(t->talk, talk_handler, t);
	err = edge_forward(&t->fwd, &(struct edge_forward_prm){
					    .edge = t->edge,
					    .ties = &b->flow->forwards,
					    .sip = t->edge->sip,
					    .msg = msg,
					    .uri = b->contact,
					    .dst = b->flow->peer,
					    .tp = b->flow->tp,
					    .phone = t->phone,
					    .losth = lost_handler,
					    .copy = copy,
					    .h = response_handler,
					    .arg = t,
				    });
	if (!err)
		metric_inc(&t->edge->metricv[EDGE_M_RELAYED]);

	return err;
}


/* Another one, beside the one that it has had */
static int send_anew(struct relay_try *t, struct edge_binding *b)
{
	struct sip_msg *sent = mem_ref(t->sent);
	int err;

	if (t->fwd) {
		(void)edge_forward_leave(&t->old, ELSEWHERE);
		t->old = t->fwd;
		t->old_tag = t->tag;
		t->old_rang = t->rang;
		t->fwd = NULL;
		edge_forward_holder(t->old, old_handler, old_lost_handler);
	}

	err = send_on(t, b, sent);
	mem_deref(sent);

	return err;
}


static void hush_handler(void *arg)
{
	struct relay_try *t = arg;
	struct edge_binding *b =
		edge_binding_besides(t->edge, t->phone, &t->peer);

	if (!b || !t->fwd || t->old || edge_forward_heard(t->fwd) ||
	    send_anew(t, b))
		return;

	t->other = true;
	t->noteh("INVITE to phone over its other flow", "", t->arg);
}


static int send_first(struct relay_try *t, struct edge_binding *b,
		      const struct sip_msg *msg)
{
	const int err = send_on(t, b, msg);

	if (!err)
		tmr_start(&t->hush, HUSH_MS, hush_handler, t);

	return err;
}


static void request_handler(int err, const struct sip_msg *msg, void *arg)
{
	struct relay_try *t = arg;

	if (err) {
		fail(t);
		return;
	}

	err = send_first(t, edge_binding_of(t->edge, t->phone), msg);
	if (err)
		told(t, err, NULL);
}


static void note_handler(const char *what, const char *detail, void *arg)
{
	struct relay_try *t = arg;

	t->noteh(what, detail, t->arg);
}


static int begin(struct relay_try *t, struct edge_binding *b)
{
	const int err =
		edge_talk_begin(&t->talk, &(struct edge_talk_prm){
						  .edge = t->edge,
						  .pbx = t->pbx,
						  .phone = t->phone,
						  .to_phone = true,
						  .af = sa_af(&b->flow->peer),
						  .msg = t->msg,
						  .noteh = note_handler,
						  .requesth = request_handler,
						  .arg = t,
					  });

	if (err || edge_talk_request(t->talk))
		return err;

	return send_first(t, b, t->msg);
}


static int invite(struct relay_try **tp, const char *inst, struct pbx *pbx,
		  const struct sip_msg *msg, const struct relay_holder *holder,
		  void *arg)
{
	struct edge *e = arg;
	struct edge_binding *b;
	struct relay_try *t;
	int err;

	t = mem_zalloc(sizeof(*t), destructor);
	if (!t)
		return ENOMEM;

	t->edge = e;
	t->pbx = pbx;
	t->msg = mem_ref((void *)msg);
	t->h = holder->h;
	t->losth = holder->losth;
	t->stillh = holder->stillh;
	t->noteh = holder->noteh;
	t->arg = holder->arg;
	err = ident_unhex(t->phone, EDGE_PHONE, inst);
	b = err ? NULL : edge_binding_of(e, t->phone);
	err = b && !e->closed ? begin(t, b) : ENOENT;
	if (err)
		mem_deref(t);
	else
		*tp = t;

	return err;
}


static int again(struct relay_try *t, void *arg)
{
	struct edge_binding *b = edge_binding_of(t->edge, t->phone);
	struct sip_msg *sent = t->sent;
	int err = b && !((struct edge *)arg)->closed ? 0 : ENOENT;

	if (err || !sent) /* its SDP is being asked about */
		return err;

	err = t->fwd ? edge_forward_back(t->fwd, b) : EPROTONOSUPPORT;
	if (err != EPROTONOSUPPORT)
		return err;

	/* to where it came from, after all */
	if (t->old && !edge_forward_back(t->old, b)) {
		(void)edge_forward_leave(&t->fwd, NULL);
		return 0;
	}

	return send_anew(t, b);
}


static void watch(struct relay_try *t, void *arg)
{
	(void)arg;

	/* it has said so where no transaction of ours heard it */
	if (t->fwd)
		t->rang = true;
	else
		t->old_rang = true;
	edge_forward_watch(t->fwd ? t->fwd : t->old);
}


static bool leave(struct relay_try **tp, const char *reason, void *arg)
{
	struct relay_try *t = *tp;
	const struct sip_msg *taken;
	bool left;
	(void)arg;

	*tp = NULL;
	if (!t)
		return false;

	/* it has answered, and nobody above has heard of it */
	taken = edge_talk_taken(t->talk);
	if (taken)
		edge_forward_hang_up(t->fwd ? t->fwd : t->old, taken);
	edge_talk_over(t->talk, 487);
	left = edge_forward_leave(&t->fwd, reason);
	left |= edge_forward_leave(&t->old, reason);
	mem_deref(t);

	return left;
}


static bool has(const char *inst, const struct pl *callid, void *arg)
{
	const struct edge *e = arg;
	uint8_t phone[EDGE_PHONE];

	return !ident_unhex(phone, EDGE_PHONE, inst) &&
	       edge_party_has(e->party, callid, phone);
}


void edge_relay_open(struct edge *e)
{
	const struct relay relay = {
		.phones = phones,
		.invite = invite,
		.again = again,
		.watch = watch,
		.leave = leave,
		.has = has,
		.arg = e,
	};

	calls_relay(e->prm.calls, &relay);
}
