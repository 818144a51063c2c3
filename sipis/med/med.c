/**
 * @file med.c  The links to the mediators
 *
 * Keeps as many links as plan.c wants, hands what they bring to the requests
 * (medreq.c), and lets those look again when a link has changed.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <openssl/ssl.h>
#include "common/log.h"
#include "common/tlsctx.h"
#include "sipis/med/priv.h"

enum { HASH_SIZE = 4096, PUSH_TIMEOUT_MS = 4000 };

static const struct metric metric_init[M_COUNT] = {
	[M_UP] = { .name = "sipis_mediators_up",
		   .help = "Mediators that are connected and take pushes",
		   .type = METRIC_GAUGE },
	[M_DELIVERED] = { .name = "sipis_pushes_total{result=\"delivered\"}",
			  .help = "Pushes by how they ended" },
	[M_TOKEN_GONE] = { .name = "sipis_pushes_total{result=\"token_gone\"}",
			   .help = "Pushes by how they ended" },
	[M_REFUSED] = { .name = "sipis_pushes_total{result=\"refused\"}",
			.help = "Pushes by how they ended" },
	[M_UNTAKEN] = { .name = "sipis_pushes_total{result=\"untaken\"}",
			.help = "Pushes by how they ended" },
	[M_RESENT] = { .name = "sipis_pushes_resent_total",
		       .help = "Pushes sent again over another mediator" },
	[M_SKEW] = { .name = "sipis_mediator_clock_offset_ms",
		     .help = "How far the clock of a mediator is ahead of "
			     "ours; of several the one furthest off",
		     .type = METRIC_GAUGE },
	[M_QUEUED] = { .name = "sipis_pushes_queued",
		       .help = "Pushes that wait for a mediator's window",
		       .type = METRIC_GAUGE },
};


static unsigned index_of(const struct med *med, const struct mlink *l)
{
	unsigned i = 0;

	while (i < med->slotc && med->slotv[i].link != l)
		++i;

	return i;
}


/* A link that drains may go once its last result is here */
static void drained(struct slot *slot)
{
	if (!slot->window.inflight && mlink_draining(slot->link))
		mlink_restart(slot->link);
}


static int frame_handler(struct mlink *l, const Wire__Envelope *env, void *arg)
{
	struct slot *slot = arg;
	struct med *med = slot->med;
	const unsigned i = index_of(med, l);
	int err = 0;

	mem_ref(med);
	switch (env->body_case) {
	case WIRE__ENVELOPE__BODY_RESULT:
		medreq_result(med, i, env->result);
		break;
	case WIRE__ENVELOPE__BODY_ENROLLED:
		medreq_enrolled(med, i, env->enrolled);
		break;
	case WIRE__ENVELOPE__BODY_TOKEN_GONE:
		med->goneh(env->token_gone->handle.data,
			   env->token_gone->handle.len,
			   env->token_gone->reason, med->arg);
		break;
	default:
		err = EPROTO; /* not for us to receive */
		break;
	}

	if (!med->closed) {
		medreq_pump(med);
		drained(slot);
	}
	mem_deref(med);
	return err;
}


static void skew_update(struct med *med)
{
	int64_t most = 0;

	for (unsigned i = 0; i < med->slotc; i++) {
		const int64_t off = mlink_skew_ms(med->slotv[i].link);

		if (llabs(off) > llabs(most))
			most = off;
	}

	metric_set(&med->metricv[M_SKEW], most);
}


static void skew_handler(struct mlink *l, void *arg)
{
	const struct slot *slot = arg;
	(void)l;

	skew_update(slot->med);
}


/* Something leads there, or holds it still */
static bool is_ours(const struct slot *slot)
{
	return slot->link && (!slot->gone || slot->window.inflight);
}


static void want_update(struct med *med)
{
	struct plan_link linkv[PLAN_LINKS];
	unsigned mask, up = 0;

	medreq_view(med, linkv);
	mask = plan_wanted(linkv, med->slotc);

	for (unsigned i = 0; i < med->slotc; i++) {
		struct slot *slot = &med->slotv[i];
		const bool want = mask & (1u << i) && !slot->gone;

		up += mlink_ready(slot->link);
		metric_set(&med->upv[i], mlink_ready(slot->link));
		med->upv[i].name = is_ours(slot) ? slot->metric : NULL;
		/* what is in flight there may still come back */
		if (want || !slot->window.inflight)
			mlink_want(slot->link, want);
	}

	metric_set(&med->metricv[M_UP], up);
	skew_update(med);
}


static void change_handler(struct mlink *l, void *arg)
{
	struct slot *slot = arg;
	struct med *med = slot->med;
	const unsigned i = index_of(med, l);

	if (med->closed || i == med->slotc)
		return;

	mem_ref(med);
	if (!mlink_stands(mlink_state(l)))
		medreq_forget_link(med, i);

	want_update(med);
	/* before they look: who comes back in time is worth the wait */
	medreq_kick(med);
	medreq_step_all(med);
	if (!med->closed)
		drained(slot);
	mem_deref(med);
}


void med_renewed_handler(struct med *med, med_renewed_h *h)
{
	if (med)
		med->renewedh = h;
}


int med_renew(struct med *med, char *reason, size_t reason_sz)
{
	struct tlsctx_prm prm = {
		.min_version = TLS1_3_VERSION,
		.peer_name = "peer.invalid", /* each link has its own */
	};
	struct tls *fresh = NULL;
	int err;

	if (!med || med->closed)
		return 0;

	prm.cert = med->cfg->certificate;
	prm.key = med->cfg->key;
	prm.ca = med->cfg->ca;
	err = tlsctx_alloc(&fresh, &prm, reason, reason_sz);
	for (unsigned i = 0; !err && i < med->slotc; i++)
		err = mlink_renew(med->slotv[i].link, fresh);
	mem_deref(fresh);
	return err;
}


void med_close(struct med *med)
{
	if (!med || med->closed)
		return;

	med->closed = true;
	med->srv = mem_deref(med->srv);
	medreq_close_all(med);
	for (unsigned i = 0; i < med->slotc; i++)
		mlink_close(med->slotv[i].link);
}


static void destructor(void *data)
{
	struct med *med = data;

	med_close(med);
	medreq_flush(med);
	mem_deref(med->reqs);
	mem_deref(med->node);
	for (unsigned i = 0; i < med->slotc; i++)
		mem_deref(med->slotv[i].link);
}


static void gone_ignored(const uint8_t *handle, size_t len, const char *reason,
			 void *arg)
{
	(void)handle;
	(void)len;
	(void)reason;
	(void)arg;
}


static int slot_open(struct med *med, unsigned i, const char *address,
		     char *reason, size_t reason_sz)
{
	struct slot *slot = &med->slotv[i];
	const struct med_cfg *cfg = med->cfg;
	const struct mlink_prm prm = {
		.address = slot->address,
		.name = cfg->name,
		.ca = cfg->ca,
		.certificate = cfg->certificate,
		.key = cfg->key,
		.node = med->node,
		.ping_ms = 3000,
		.dead_ms = 9000,
		.connect_ms = 5000,
		.backoff_min_ms = 200,
		.backoff_max_ms = 5000,
		.kick_ms = 500,
		.skewh = skew_handler,
	};

	int err;

	*slot = (struct slot){ .med = med };
	str_ncpy(slot->address, address, sizeof(slot->address));
	med->upv[i].name = NULL;
	err = mlink_alloc(&slot->link, &prm, change_handler, frame_handler,
			  slot, reason, reason_sz);
	if (err)
		return err;

	(void)re_snprintf(slot->metric, sizeof(slot->metric),
			  "sipis_mediator_up{mediator=\"%s\"}",
			  mlink_name(slot->link));
	metric_set(&med->upv[i], 0);
	med->upv[i].name = slot->metric;
	return 0;
}


static int links_alloc(struct med *med, char *reason, size_t reason_sz)
{
	for (uint32_t i = 0; i < med->cfg->addresses_count; i++) {
		int err = slot_open(med, i, med->cfg->addresses[i], reason,
				    reason_sz);

		if (err)
			return err;
		++med->slotc;
	}

	return 0;
}


static struct slot *slot_of(struct med *med, const char *address)
{
	for (unsigned i = 0; i < med->slotc; i++)
		if (!strcmp(med->slotv[i].address, address))
			return &med->slotv[i];

	return NULL;
}


/* One that nothing leads to any more, and nothing is in flight to; the number
   of slots if there is none */
static unsigned slot_free(const struct med *med)
{
	unsigned i = 0;

	while (i < med->slotc &&
	       (!med->slotv[i].gone || med->slotv[i].window.inflight))
		++i;

	return i;
}


static void target_add(struct med *med, const char *address)
{
	const unsigned i = slot_free(med);
	char reason[256] = "";

	if (i == PLAN_LINKS)
		return; /* when the last of an old one is back */

	if (i < med->slotc) {
		medreq_forget_link(med, i);
		mlink_close(med->slotv[i].link);
		med->slotv[i].link = mem_deref(med->slotv[i].link);
	}
	if (slot_open(med, i, address, reason, sizeof(reason))) {
		log_error("med", NULL, "mediator %s cannot be used: %s",
			  address, reason);
		med->slotv[i].address[0] = '\0';
		med->slotv[i].gone = true;
		return;
	}
	if (i == med->slotc)
		++med->slotc;
	log_info("med", NULL, "mediator %s is one of ours now", address);
}


/* What is in use stays where it is: requests know their link by its number */
static void srv_handler(const char (*targetv)[SRV_NAME_SIZE], unsigned n,
			void *arg)
{
	struct med *med = arg;

	for (unsigned i = 0; i < med->slotc; i++)
		med->slotv[i].gone = true;
	for (unsigned i = 0; i < n; i++) {
		struct slot *slot = slot_of(med, targetv[i]);

		if (slot)
			slot->gone = false;
	}
	for (unsigned i = 0; i < n; i++)
		if (!slot_of(med, targetv[i]))
			target_add(med, targetv[i]);

	want_update(med);
	medreq_step_all(med);
}


static int mediators_open(struct med *med, char *reason, size_t reason_sz)
{
	const char *first = med->cfg->addresses[0];

	return srv_is_name(first)
		       ? srv_alloc(&med->srv, first, srv_handler, med)
		       : links_alloc(med, reason, reason_sz);
}


static int metrics_start(struct med *med, struct metrics *metrics)
{
	int err;

	memcpy(med->metricv, metric_init, sizeof(med->metricv));
	for (unsigned i = 0; i < PLAN_LINKS; i++) {
		med->upv[i].help = "Is that mediator connected, and does it "
				   "take pushes?";
		med->upv[i].type = METRIC_GAUGE;
	}
	med->rtt.name = "sipis_push_result_seconds";
	med->rtt.help = "From a push to its result";
	if (!metrics)
		return 0;

	err = metrics_add(metrics, med->metricv, M_COUNT);
	err |= metrics_add(metrics, med->upv, PLAN_LINKS);
	return err ? err : metrics_add_histogram(metrics, &med->rtt);
}


int med_alloc(struct med **medp, const struct med_cfg *cfg, const char *node,
	      struct metrics *metrics, med_gone_h *goneh, void *arg,
	      char *reason, size_t reason_sz)
{
	struct med *med;
	int err;

	if (!medp || !cfg || !reason || !reason_sz)
		return EINVAL;
	if (!cfg->addresses_count || cfg->addresses_count > PLAN_LINKS) {
		(void)re_snprintf(reason, reason_sz,
				  "1 to %u mediators can be named",
				  PLAN_LINKS);
		return EINVAL;
	}

	med = mem_zalloc(sizeof(*med), destructor);
	if (!med)
		return ENOMEM;

	med->goneh = goneh ? goneh : gone_ignored;
	med->arg = arg;
	med->cfg = cfg;
	med->timeout_ms =
		cfg->push_timeout_ms ? cfg->push_timeout_ms : PUSH_TIMEOUT_MS;
	err = hash_alloc(&med->reqs, HASH_SIZE);
	if (!err)
		err = metrics_start(med, metrics);
	if (!err)
		err = str_dup(&med->node, node ? node : "");
	if (!err)
		err = mediators_open(med, reason, reason_sz);
	if (err) {
		if (!reason[0])
			(void)re_snprintf(reason, reason_sz, "%m", err);
		mem_deref(med);
		return err;
	}

	want_update(med);
	*medp = med;
	return 0;
}


unsigned med_up(const struct med *med)
{
	unsigned n = 0;

	for (unsigned i = 0; med && i < med->slotc; i++)
		n += mlink_ready(med->slotv[i].link);

	return n;
}


void med_links(const struct med *med, med_link_h *h, void *arg)
{
	for (unsigned i = 0; med && h && i < med->slotc; i++) {
		const struct slot *slot = &med->slotv[i];
		struct med_link link;

		if (!is_ours(slot))
			continue;

		mlink_show(&link, slot->link);
		link.in_flight = slot->window.inflight;
		h(&link, arg);
	}
}
