/**
 * @file edge.c  The SIP side that faces the phones: making, closing, the door
 *
 *     phone --> gate ---> libre: repeats, ACK, CANCEL --> door
 *                | too much of a stranger                  |
 *                v                                         v
 *              nothing       REGISTER: who.c; a phone: to its PBX; else 403
 */

#include <errno.h>
#include <string.h>
#include "common/clock.h"
#include "common/ident.h"
#include "common/handshake.h"
#include "common/log.h"
#include "sipis/edge/flow.h"
#include "sipis/edge/login.h"
#include "sipis/edge/media.h"
#include "sipis/edge/party.h"
#include "sipis/edge/passage.h"
#include "sipis/edge/priv.h"
#include "sipis/edge/rebuff.h"
#include "sipis/edge/turns.h"
#include "sipis/edge/wake.h"
#include "sipis/sip/gate.h"


enum {
	CTRANS_SIZE = 16384, /* libre's tables never grow */
	STRANS_SIZE = 16384,
	CONN_SIZE = 65536,
	KEYS_MAX = 20000,
	NONCES_MAX = 100000,
	LINES = 30, /* of refusals in the log, per address and minute */
	TURNS_MAX = 20000,
	CALLS = 32768,  /* of which it is known who is in them */
	REBUFFS = 4096, /* phones that were refused */
	STALES = 4,     /* of an address and account in a minute */
	SEEKS = 20,     /* questions about their accounts, in a second */
};

static const struct metric metric_init[EDGE_M_COUNT] = {
	[EDGE_M_FLOWS] = { .name = "sipis_edge_flows",
			   .help = "Ways to phones that are open",
			   .type = METRIC_GAUGE },
	[EDGE_M_BINDINGS] = { .name = "sipis_edge_bindings",
			      .help = "Phones that are registered at the edge",
			      .type = METRIC_GAUGE },
	[EDGE_M_REGISTERS] = { .name = "sipis_edge_registers_total",
			       .help = "REGISTERs at the edge" },
	[EDGE_M_CHALLENGES] = { .name = "sipis_edge_challenges_total",
				.help = "401s of the edge" },
	[EDGE_M_REFUSED] = { .name = "sipis_edge_refused_total",
			     .help = "Requests that the edge refused" },
	[EDGE_M_STRANGERS] = { .name = "sipis_edge_strangers_total",
			       .help = "Requests of nobody's phone" },
	[EDGE_M_LIMITED] = { .name = "sipis_edge_limited_total",
			     .help = "Requests dropped unread" },
	[EDGE_M_PASSED] = { .name = "sipis_edge_passed_total",
			    .help = "Requests passed on" },
	[EDGE_M_RELAYED] = { .name = "sipis_edge_relayed_total",
			     .help = "Waiting INVITEs sent to phones" },
	[EDGE_M_ANSWERED] = { .name = "sipis_edge_answered_total",
			      .help = "Challenges of PBXs answered for "
				      "phones" },
	[EDGE_M_MEDIA] = { .name = "sipis_edge_media_total",
			   .help = "Offers and answers that an rtpengine "
				   "took" },
	[EDGE_M_UNRELAYED] = { .name = "sipis_edge_media_untaken_total",
			       .help = "Offers and answers that none did" },
	[EDGE_M_REFRESHES] = { .name = "sipis_edge_refreshes_total",
			       .help = "Pushes to phones whose registration "
				       "runs out" },
	[EDGE_M_WAKES] = { .name = "sipis_edge_wakes_total",
			   .help = "Pushes to phones that a request in a "
				   "dialog waits for" },
	[EDGE_M_TURNED_AWAY] = { .name = "sipis_edge_turned_away_total",
				 .help = "Connections that were closed "
					 "because "
					 "there were too many" },
	[EDGE_M_TLS_FAILED] = { .name = "sipis_edge_tls_failed_total",
				.help = "Connections that ended before their "
					"TLS was up" },
};


bool edge_welcomes(struct edge *e, const struct sa *src, enum sip_transp tp)
{
	struct edge_flow *f = edge_flow_at(e, src, tp);
	const uint64_t now = clock_mono_ms();
	char addr[EDGE_ADDR];

	if (f)
		f->heard = now;
	if (f && f->here)
		return true;

	edge_addr_print(addr, src);
	if (limit_take(e->requests, addr, 1, now))
		return true;

	metric_inc(&e->metricv[EDGE_M_LIMITED]);
	return false;
}


static bool reason_handler(const struct sip_hdr *hdr,
			   const struct sip_msg *msg, void *arg)
{
	struct mbuf *mb = arg;
	(void)msg;

	return 0 != mbuf_printf(mb, "%s%r", mb->end ? ", " : "", &hdr->val);
}


/* Its transaction is told of the CANCEL next, without a word of why */
static void see_cancel(struct edge *e, const struct sip_msg *msg)
{
	struct mbuf *mb = mbuf_alloc(128);

	e->cancel_why = mem_deref(e->cancel_why);
	if (!mb)
		return;

	if (!sip_msg_hdr_apply(msg, true, SIP_HDR_REASON, reason_handler,
			       mb) &&
	    mb->end) {
		mb->pos = 0;
		(void)mbuf_strdup(mb, &e->cancel_why, mb->end);
	}
	mem_deref(mb);
}


/* A UDP socket has asked already, once it has its filter */
static bool gate_handler(const struct sip_msg *msg, void *arg)
{
	struct edge *e = arg;

	if (msg->tp == SIP_TRANSP_UDP)
		edge_listen_seen(e, msg);
	if (!pl_strcmp(&msg->met, "CANCEL"))
		see_cancel(e, msg);

	return !gate_whole(msg) || (msg->tp != SIP_TRANSP_UDP &&
				    !edge_welcomes(e, &msg->src, msg->tp));
}


static void stranger(struct edge *e, const struct sip_msg *msg)
{
	metric_inc(&e->metricv[EDGE_M_STRANGERS]);
	if (!pl_strcmp(&msg->met, "ACK"))
		return;

	if (!pl_strcmp(&msg->met, "CANCEL"))
		(void)sip_reply(e->sip, msg, 481,
				"Call/Transaction Does Not Exist");
	else
		edge_refuse(e, msg, 403, "Forbidden",
			    "register first, over this connection");
}


/* What a dialog lives by; MESSAGE and OPTIONS can wait for the REGISTER */
static bool is_of_dialog(const struct sip_msg *msg)
{
	static const char *const metv[] = { "ACK",   "BYE",    "INVITE",
					    "PRACK", "UPDATE", "INFO",
					    "REFER", "NOTIFY", "SUBSCRIBE" };

	for (size_t i = 0; pl_isset(&msg->to.tag) && i < ARRAY_SIZE(metv); i++)
		if (!pl_strcmp(&msg->met, metv[i]))
			return true;

	return false;
}


/* A token says whose dialog it is; a From says who begins one */
static struct edge_binding *speaker(const struct edge_flow *f,
				    const struct edge_routes *r,
				    const struct sip_msg *msg)
{
	const bool anonymous =
		!pl_strcasecmp(&msg->from.uri.host, "anonymous.invalid");

	if (r->signed_)
		return is_of_dialog(msg) ? edge_dialogs_on(f, r->token.phone)
					 : edge_binding_on(f, r->token.phone);
	if (anonymous && f->bindings.head == f->bindings.tail)
		return list_ledata(f->bindings.head);

	return edge_binding_from(f, &msg->from.uri);
}


/* A call that is up must be heard even if its phone has not registered again
   yet: we were started anew, or its network has changed, of which we may not
   know.  A token that is good for this Call-ID is known to those who are in
   the dialog, and to nobody else */
static struct pbx *by_token(const struct edge *e, const struct edge_routes *r,
			    const struct sip_msg *msg)
{
	if (!r->signed_ || !r->token.bound || !is_of_dialog(msg) ||
	    !reg_find(e->prm.reg, r->token.acct))
		return NULL;

	return edge_pbx_by(e, r->token.pbx);
}


static bool is_for_us(const struct edge *e, const struct sip_msg *msg)
{
	return !pl_strcmp(&msg->met, "OPTIONS") && !pl_isset(&msg->uri.user) &&
	       edge_is_us(e, NULL, &msg->uri.host, msg->uri.port);
}


static void on_request(struct edge *e, const struct sip_msg *msg)
{
	struct edge_flow *f = edge_flow_find(e, msg);
	struct edge_binding *b;
	struct edge_routes r;
	struct pbx *pbx;

	if (is_for_us(e, msg)) {
		(void)sip_reply(e->sip, msg, 200, "OK");
		return;
	}

	edge_routes(&r, e, NULL, msg);
	b = f ? speaker(f, &r, msg) : NULL;
	if (b && !reg_find(e->prm.reg, b->acct)) {
		/* its account has been deleted */
		edge_unbind(b, ECONNABORTED);
		b = NULL;
	}
	pbx = b ? b->pbx : by_token(e, &r, msg);
	if (!pbx)
		stranger(e, msg);
	else if (!edge_stops(e, pbx, msg, true))
		edge_to_pbx(e, pbx, b, msg, &r);
}


static bool door_handler(const struct sip_msg *msg, void *arg)
{
	struct edge *e = arg;

	if (!pl_strcmp(&msg->met, "REGISTER"))
		edge_who(e, msg);
	else if (pl_strcmp(&msg->met, "CANCEL"))
		on_request(e, msg);
	else if (!edge_passage_cancel(e, msg))
		(void)sip_reply(e->sip, msg, 481,
				"Call/Transaction Does Not Exist");

	return true;
}


static bool response_handler(const struct sip_msg *msg, void *arg)
{
	struct edge *e = arg;

	edge_stray(e, NULL, msg);

	return true;
}


bool edge_pass(struct edge *e, struct pbx *pbx, const struct sip_msg *msg)
{
	struct edge_binding *b;
	struct edge_routes r;

	if (!e || e->closed)
		return false;

	if (!msg->req) {
		edge_stray(e, pbx, msg);
		return true;
	}

	edge_routes(&r, e, pbx, msg);
	if (!r.signed_ || r.token.pbx != edge_token_pbx(pbx_cfg(pbx)->name))
		return false;
	if (edge_stops(e, pbx, msg, false))
		return true;

	b = edge_binding_of(e, r.token.phone);
	if (!b && edge_guest_pass(e, pbx, msg, &r))
		return true;

	b = b ? b : edge_leaver_of(e, r.token.phone);
	if (b && b->acct == r.token.acct && !edge_hold_better(b, msg))
		edge_to_phone(b, pbx, msg, &r);
	else {
		edge_media_end(e, pbx, r.token.phone, msg);
		edge_hold(e, pbx, msg, &r);
	}

	return true;
}


/* What its phone says from now on is a stranger's, though the account may live
   for others */
static void deleted_handler(const char *id, void *arg)
{
	struct edge *e = arg;
	struct edge_binding *b;
	uint8_t phone[EDGE_PHONE];

	edge_logins_deleted(e, id);
	if (ident_unhex(phone, EDGE_PHONE, id))
		return;

	edge_refresh_drop(e, phone);
	edge_leavers_drop(e, phone);
	edge_guests_drop(e, phone);
	while ((b = edge_binding_of(e, phone))) {
		log_info("edge", NULL, "%s of %s@%s has been deleted", b->id,
			 b->user, b->domain);
		edge_unbind(b, ECONNABORTED);
	}
}


static bool here_handler(const char *id, void *arg)
{
	const struct edge *e = arg;
	uint8_t phone[EDGE_PHONE];

	return !ident_unhex(phone, EDGE_PHONE, id) &&
	       edge_binding_of(e, phone);
}


static void destructor(void *data)
{
	struct edge *e = data;

	edge_close(e);
	mem_deref(e->sip);
	mem_deref(e->tls);
}


/* Without a transport nothing that is dropped now can speak.  libre's stack
   itself stays until the edge is freed: it would take the transactions along,
   and their owners would drop them once more */
void edge_mute(struct edge *e)
{
	if (!e || e->closed)
		return;

	/* their PBX hears CANCEL when they go */
	edge_passages_give_up(e);
	sip_transp_flush(e->sip);
}


void edge_close(struct edge *e)
{
	if (!e || e->closed)
		return;

	edge_mute(e);
	e->closed = true;
	if (e->prm.calls)
		calls_relay(e->prm.calls, NULL);
	inst_deleted_handler(e->prm.inst, NULL, NULL);
	inst_here_handler(e->prm.inst, NULL, NULL);
	edge_logins_close(e);
	edge_vain_close(e);
	edge_refresh_close(e);
	list_flush(&e->udps);
	e->turnstile = mem_deref(e->turnstile);
	(void)handshake_watch(e->tls, NULL);

	if (e->sip)
		sip_close(e->sip, true);
	list_flush(&e->passages);
	list_flush(&e->lates);
	e->cancel_why = mem_deref(e->cancel_why);
	list_flush(&e->detours);
	list_flush(&e->belated);
	list_flush(&e->offers);
	edge_hold_close(e);
	list_flush(&e->leaving);
	list_flush(&e->guestl);
	e->guests = mem_deref(e->guests);
	edge_media_close(e);
	hash_flush(e->flows);
	list_flush(&e->realms);
	list_flush(&e->askers);
	e->flows = mem_deref(e->flows);
	e->accts = mem_deref(e->accts);
	e->phones = mem_deref(e->phones);
	e->leavers = mem_deref(e->leavers);
	e->gate = mem_deref(e->gate);
	e->door = mem_deref(e->door);
	e->resp = mem_deref(e->resp);
	e->requests = mem_deref(e->requests);
	e->budget = mem_deref(e->budget);
	e->spent = mem_deref(e->spent);
	e->lines = mem_deref(e->lines);
	e->refusals = mem_deref(e->refusals);
	e->turns = mem_deref(e->turns);
	e->party = mem_deref(e->party);
	e->rebuffs = mem_deref(e->rebuffs);
	e->stales = mem_deref(e->stales);
}


static int tables_alloc(struct edge *e)
{
	const double rate = e->prm.cfg->requests_per_second;
	const double wrong = e->prm.cfg->bad_secrets_per_min;
	int err = hash_alloc(&e->flows, EDGE_HASH);

	err |= hash_alloc(&e->accts, EDGE_HASH);
	err |= hash_alloc(&e->phones, EDGE_HASH);
	err |= hash_alloc(&e->leavers, EDGE_HASH);
	err |= hash_alloc(&e->guests, EDGE_HASH);
	err |= edge_refresh_open(e);
	err |= edge_hold_open(e);
	err |= edge_media_open(e);
	err |= limit_alloc(&e->requests, rate, 2 * rate, KEYS_MAX);
	err |= edge_budget_alloc(&e->budget, wrong);
	err |= limit_alloc(&e->lines, LINES / 60.0, LINES, KEYS_MAX);
	err |= edge_spent_alloc(&e->spent, NONCES_MAX,
				(uint32_t)(clock_wall_ms() / 1000));
	err |= limit_alloc(&e->refusals, 2.0 / 600, 2, KEYS_MAX);
	err |= edge_turns_alloc(&e->turns, TURNS_MAX);
	err |= edge_party_alloc(&e->party, CALLS);
	err |= edge_rebuffs_alloc(&e->rebuffs, REBUFFS);
	err |= limit_alloc(&e->stales, STALES / 60.0, STALES, KEYS_MAX);
	bucket_init(&e->seeks, SEEKS, SEEKS, clock_mono_ms());

	return err;
}


static int stack_make(struct edge *e)
{
	int err = sip_alloc(&e->sip, NULL, CTRANS_SIZE, STRANS_SIZE, CONN_SIZE,
			    "sipis/" SIPIS_VERSION, NULL, e);

	if (!err)
		err = sip_listen(&e->gate, e->sip, true, gate_handler, e);
	if (!err)
		err = sip_listen(&e->door, e->sip, true, door_handler, e);
	if (!err)
		err = sip_listen(&e->resp, e->sip, false, response_handler, e);

	return err ? err : gate_first(e->gate);
}


int edge_alloc(struct edge **ep, const struct edge_prm *prm, char *reason,
	       size_t reason_sz)
{
	struct edge *e;
	int err;

	if (!ep || !prm || !prm->cfg || !prm->store || !prm->reg ||
	    !prm->calls || !prm->inst || !prm->key || !prm->pbxc || !reason)
		return EINVAL;

	e = mem_zalloc(sizeof(*e), destructor);
	if (!e)
		return ENOMEM;

	e->prm = *prm;
	e->since = clock_mono_ms();
	tmr_init(&e->beat);
	memcpy(e->metricv, metric_init, sizeof(e->metricv));
	err = edge_key_derive(&e->key, prm->key);
	err = err ? err : tables_alloc(e);
	err = err ? err : stack_make(e);
	if (!err && prm->metrics)
		err = metrics_add(prm->metrics, e->metricv, EDGE_M_COUNT);
	if (!err)
		err = edge_listen_all(e, reason, reason_sz);
	if (err) {
		mem_deref(e);
		return err;
	}

	edge_relay_open(e);
	inst_deleted_handler(prm->inst, deleted_handler, e);
	inst_here_handler(prm->inst, here_handler, e);
	*ep = e;

	return 0;
}
