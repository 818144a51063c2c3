/**
 * @file refused.c  INVITEs that never became a call
 *
 * "Why did it not ring?" is asked of these too, so each leaves the row of a
 * call that is over and a timeline of two lines.  A PBX that is abused shall
 * not wash the others out of the store: over a rate per profile they leave
 * only a line in the log and a number.
 */

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "common/clock.h"
#include "common/log.h"
#include "sipis/call/priv.h"
#include "sipis/call/reason.h"

enum {
	KEPT_PER_MIN = 12, /**< 500,000 of them are a month's */
	KEPT_AT_ONCE = 60,
	WHY_SIZE = 256,
};

static const char old_contact[] =
	"the PBX rang a contact that this account has no more";

struct refusals {
	struct le le;
	const struct pbx_cfg *cfg;
	struct bucket kept;
	struct bucket asked; /**< of the store, whose account it was */
};

/** One whose account the store has to name */
struct ask {
	struct calls *cs;
	const struct pbx_cfg *cfg;
	struct sip_msg *msg;
	int64_t at_us;
	char id[UUID_LEN + 1];
};


static void refusals_destructor(void *data)
{
	struct refusals *r = data;

	list_unlink(&r->le);
}


static struct refusals *refusals_of(struct calls *cs,
				    const struct pbx_cfg *cfg)
{
	const uint64_t now = clock_mono_ms();
	struct refusals *r;

	for (struct le *le = cs->refusals.head; le; le = le->next) {
		r = le->data;
		if (r->cfg == cfg)
			return r;
	}

	r = mem_zalloc(sizeof(*r), refusals_destructor);
	if (!r)
		return NULL;

	r->cfg = cfg;
	bucket_init(&r->kept, KEPT_PER_MIN / 60.0, KEPT_AT_ONCE, now);
	bucket_init(&r->asked, KEPT_PER_MIN / 60.0, KEPT_AT_ONCE, now);
	list_append(&cs->refusals, &r->le, r);
	return r;
}


/* Counted in any case; may it be kept as well? */
static bool may_keep(struct calls *cs, const struct pbx_cfg *cfg)
{
	struct refusals *r = refusals_of(cs, cfg);

	metric_inc(&cs->metricv[CALLS_M_REFUSED]);
	if (r && bucket_take(&r->kept, 1, clock_mono_ms()))
		return true;

	metric_inc(&cs->metricv[CALLS_M_UNLISTED]);
	return false;
}


/* Contacts of nobody, rung for ever, shall not crowd out those of accounts */
static bool may_ask(struct calls *cs, const struct pbx_cfg *cfg)
{
	struct refusals *r = refusals_of(cs, cfg);

	if (r && bucket_take(&r->asked, 1, clock_mono_ms()))
		return true;

	metric_inc(&cs->metricv[CALLS_M_UNLISTED]);
	return false;
}


static void note(struct calls *cs, const char *id, int64_t at_us,
		 const char *who, const char *what, const char *detail)
{
	const struct event_row ev = {
		.call = id,
		.at_us = at_us,
		.who = who,
		.what = what,
		.detail = detail,
	};

	store_event(cs->prm.store, &ev);
}


static void keep(struct calls *cs, const char *id, uint64_t acct,
		 const struct pbx_cfg *cfg, const struct sip_msg *msg,
		 int64_t at_us, uint16_t scode, const char *why)
{
	char from[CALL_URI_SIZE], name[NAME_SIZE], uri[CALL_URI_SIZE];
	char src[64], what[8], ended[WHY_SIZE], detail[2 * CALL_URI_SIZE + 16];
	struct pl raw;
	struct call_row row = {
		.id = id,
		.acct = acct,
		.from = from,
		.display_name = name,
		.video = reason_has_video(msg),
		.received_ms = at_us / 1000,
		.deadline_ms = at_us / 1000,
		.src = src,
		.transport = (int)msg->tp,
		.handover = handover_of(cfg->handover)->name,
		.ended = ended,
		.ended_ms = at_us / 1000,
	};

	leg_raw(&raw, msg);
	row.invite = (const uint8_t *)raw.p;
	row.invite_len = raw.l;
	reason_text(from, sizeof(from), &msg->from.auri);
	reason_text(name, sizeof(name), &msg->from.dname);
	reason_text(uri, sizeof(uri), &msg->ruri);
	(void)re_snprintf(src, sizeof(src), "%J", &msg->src);
	(void)snprintf(ended, sizeof(ended), "refused: %s", why);
	(void)snprintf(detail, sizeof(detail), "from %s to %s", from, uri);
	(void)snprintf(what, sizeof(what), "%u", scode);

	if (store_call_put(cs->prm.store, &row, NULL, NULL))
		return;

	note(cs, id, at_us, "pbx", "INVITE", detail);
	note(cs, id, at_us, "sipis", what, why);
}


void refused(struct calls *cs, struct acct *acct, const struct sip_msg *msg,
	     const char *id, uint16_t scode, const char *fmt, ...)
{
	const struct pbx_cfg *cfg = pbx_cfg(acct_pbx(acct));
	const bool kept = may_keep(cs, cfg);
	char why[WHY_SIZE - 16], from[CALL_URI_SIZE];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);

	/* 480: it is we who cannot; lines with a trace are never summed up */
	reason_text(from, sizeof(from), &msg->from.auri);
	log_line(scode == 480 ? LOG_WARNING_ : LOG_INFO_, "call",
		 kept ? id : NULL, "%u to an INVITE from=%s to=%s@%s: %s",
		 scode, from, acct_user(acct), acct_domain(acct), why);
	if (kept)
		keep(cs, id, acct_id(acct), cfg, msg, clock_wall_us(), scode,
		     why);
}


static void ask_destructor(void *data)
{
	struct ask *ask = data;

	mem_deref(ask->msg);
	mem_deref(ask->cs);
}


static void acct_handler(int err, const struct acct_row *acct, void *arg)
{
	struct ask *ask = arg;

	if (!err && !ask->cs->closed && may_keep(ask->cs, ask->cfg))
		keep(ask->cs, ask->id, acct->id, ask->cfg, ask->msg,
		     ask->at_us, 404, old_contact);
	mem_deref(ask);
}


static int ask_alloc(struct ask **askp, struct calls *cs,
		     const struct pbx_cfg *cfg, const struct sip_msg *msg)
{
	struct leg_name name;
	struct ask *ask = mem_zalloc(sizeof(*ask), ask_destructor);
	int err;

	if (!ask)
		return ENOMEM;

	ask->cs = mem_ref(cs);
	ask->cfg = cfg;
	ask->msg = mem_ref((void *)msg);
	ask->at_us = clock_wall_us();
	err = leg_name(&name, msg);
	if (err) {
		mem_deref(ask);
		return err;
	}

	memcpy(ask->id, name.id, sizeof(ask->id));
	*askp = ask;

	return 0;
}


/* A PBX that keeps the binding of a deleted phone usually names in To whom
   it means */
void calls_unknown(struct calls *cs, struct pbx *pbx,
		   const struct sip_msg *msg)
{
	char user[NAME_SIZE], domain[NAME_SIZE];
	struct ask *ask;

	if (!cs || cs->closed || !pbx || !msg || !may_ask(cs, pbx_cfg(pbx)))
		return;
	if (re_snprintf(user, sizeof(user), "%H", uri_user_unescape,
			&msg->to.uri.user) < 0 ||
	    pl_strcpy(&msg->to.uri.host, domain, sizeof(domain)))
		return;

	for (char *p = domain; *p; p++)
		*p = (char)tolower((unsigned char)*p);
	if (ask_alloc(&ask, cs, pbx_cfg(pbx), msg))
		return;

	if (store_acct_find(cs->prm.store, pbx_cfg(pbx)->name, user, domain,
			    acct_handler, ask))
		mem_deref(ask);
}
