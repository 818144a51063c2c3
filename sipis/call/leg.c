/**
 * @file leg.c  One call: its answers, store, timeline, timer
 *
 * Carries out what the record asks for.  A crash must not lose the call, so
 * the row with the raw INVITE is written first and 100 goes after COMMIT.
 * Over UDP the pushes do not wait for that: the PBX sends the INVITE again,
 * their ids are derived, and a repetition is known as one.  Over TCP and TLS
 * nobody sends it again (RFC 3261 17.1.1.2), so they go after COMMIT, which
 * is hurried.
 */

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "common/clock.h"
#include "common/log.h"
#include "sipis/call/priv.h"
#include "sipis/call/reason.h"


static void tick_handler(void *arg);


static void destructor(void *data)
{
	struct leg *leg = data;

	tmr_cancel(&leg->tmr);
	list_unlink(&leg->look_le);
	call_reset(&leg->call);
	mem_deref(leg->fanout);
	tries_forget(leg);
	list_flush(&leg->branches);
	mem_deref(leg->callid);
	mem_deref(leg->from);
	mem_deref(leg->display_name);
}


static bool id_equal(struct le *le, void *arg)
{
	const struct leg *leg = le->data;

	return !strcmp(leg->id, arg);
}


struct leg *leg_by_id(const struct calls *cs, const char *id)
{
	return list_ledata(hash_lookup(cs->by_id, hash_joaat_str(id), id_equal,
				       (void *)id));
}


void leg_note(struct leg *leg, int64_t at_us, const char *who,
	      const char *what, const char *fmt, ...)
{
	char detail[512] = "";
	struct event_row ev = {
		.call = leg->id,
		.at_us = at_us ? at_us : clock_wall_us(),
		.who = who,
		.what = what,
		.detail = detail,
	};
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(detail, sizeof(detail), fmt, ap);
	va_end(ap);

	log_info("call", leg->id, "%s %s%s%s", who, what, *detail ? " " : "",
		 detail);
	if (leg->cs)
		store_event(leg->cs->prm.store, &ev);
}


/* Milliseconds of the record's clock as wall time */
static int64_t wall_of(const struct leg *leg, uint64_t mono)
{
	if (mono == CALL_NEVER)
		return 0;

	return leg->received_ms + (int64_t)(mono - leg->received);
}


/* An app knows its own call best: for it the set is the API's */
const char *leg_ended_word(const char *how)
{
	if (how && !strncmp(how, "refused", 7))
		return "missed";

	return how && !strcmp(how, "handed") ? "answered" : how;
}


void leg_info(const struct leg *leg, struct call_info *info)
{
	const struct call *c = &leg->call;

	memset(info, 0, sizeof(*info));
	info->id = leg->id;
	info->from = leg->from;
	info->display_name = leg->display_name;
	info->video = leg->video;
	info->received_ms = leg->received_ms;
	info->expires_ms =
		wall_of(leg, call_waits(c) ? c->state_by : c->prm.wake_by);
	info->handover = c->prm.owner->name;
	info->ended = leg_ended_word(leg->ended);
}


void leg_unlink(struct leg *leg)
{
	struct callee *ce = leg->callee;

	tmr_cancel(&leg->tmr);
	list_unlink(&leg->look_le);
	if (leg->cs && call_waits(&leg->call))
		metric_set(&leg->cs->metricv[CALLS_M_WAITING],
			   --leg->cs->waiting);
	leg->cs = NULL;
	leg_forget(leg);
	leg->fanout = mem_deref(leg->fanout);
	hash_unlink(&leg->he_id);
	hash_unlink(&leg->he_callid);
	list_unlink(&leg->le);
	leg->callee = NULL;
	if (ce)
		callee_left(ce);
	mem_deref(leg);
}


static void tomb_handler(void *arg)
{
	leg_unlink(arg);
}


/* A tombstone needs no tokens */
static void settled_handler(void *arg)
{
	struct leg *leg = arg;

	leg->fanout = mem_deref(leg->fanout);
	tmr_start(&leg->tmr, TOMB_MS - SETTLE_MS, tomb_handler, leg);
}


void leg_schedule(struct leg *leg)
{
	const uint64_t now = clock_mono_ms();
	uint64_t at;

	if (!leg->cs || !call_waits(&leg->call))
		return;

	at = call_next(&leg->call);
	tmr_start(&leg->tmr, at > now ? at - now : 0, tick_handler, leg);
}


static void tick_handler(void *arg)
{
	struct leg *leg = arg;

	call_tick(&leg->call, clock_mono_ms());
	leg_schedule(leg);
}


/* --- what the record asks for --- */

const char *leg_phrase(uint16_t scode)
{
	switch (scode) {
	case 100:
		return "Trying";
	case 180:
		return "Ringing";
	case 302:
		return "Moved Temporarily";
	case 480:
		return "Temporarily Unavailable";
	case 486:
		return "Busy Here";
	default:
		return "Request Terminated";
	}
}


struct branch *leg_branch(const struct leg *leg, const struct pl *id)
{
	for (struct le *le = leg->branches.head; le; le = le->next) {
		struct branch *b = le->data;

		if (!pl_strcmp(id, b->id))
			return b;
	}

	return NULL;
}


unsigned leg_open(const struct leg *leg)
{
	unsigned n = 0;

	for (struct le *le = leg->branches.head; le; le = le->next)
		n += branch_waits(le->data);

	return n;
}


void leg_forget(struct leg *leg)
{
	tries_forget(leg);
	for (struct le *le = leg->branches.head; le; le = le->next)
		branch_forget(le->data);
}


static void reply_one(struct leg *leg, struct branch *b, uint16_t scode)
{
	const int err = branch_reply(b, scode);

	if (err)
		log_warning("call", leg->id, "cannot send %u: %s", scode,
			    strerror(err));
}


static void echo_expect(struct leg *leg)
{
	const struct acct *acct =
		reg_find(leg->cs->prm.reg, leg->callee->acct);

	leg->echo_until = clock_mono_ms() + ECHO_MS;
	leg->unbound = !acct || acct_state(acct) != REG_REGISTERED;
}


static void do_reply(uint16_t scode, const char *why, void *arg)
{
	struct leg *leg = arg;
	bool taken = false;
	char what[8];

	for (struct le *le = leg->branches.head; le; le = le->next) {
		taken |= branch_takes(le->data, scode);
		reply_one(leg, le->data, scode);
	}

	(void)snprintf(what, sizeof(what), "%u", scode);
	if (taken)
		leg_note(leg, 0, "sipis", what, "%s", why ? why : "");

	if (scode >= 200)
		leg->scode = scode;
	if (scode == 302 && leg->call.echo)
		echo_expect(leg);
}


static void do_push(const char *inst, void *arg)
{
	fanout_push(arg, inst);
}


static bool do_drop(const char *inst, void *arg)
{
	return fanout_drop(arg, inst);
}


static bool do_relay(const char *inst, void *arg)
{
	return tries_start(arg, inst);
}


static void do_unrelay(const char *inst, const char *why, void *arg)
{
	tries_stop(arg, inst, why);
}


static uint16_t do_refuse(void *arg)
{
	return tries_refuse(arg);
}


static void do_tell(const char *inst, const char *why, void *arg)
{
	fanout_tell(arg, inst, why);
}


void leg_looked(struct leg *leg, const struct reg_answer *ans, uint64_t as_of)
{
	const struct call_bindings b = {
		.ours = ans->ours,
		.others = ans->others,
		.other = ans->other,
		.hashes = ans->hashes,
		.hashc = ans->hashc,
		.as_of = as_of,
	};
	const bool ok = !ans->err && ans->scode >= 200 && ans->scode < 300;

	call_looked(&leg->call, ok ? &b : NULL, clock_mono_ms());
	leg_schedule(leg);
}


static void released_handler(const struct reg_answer *ans, void *who)
{
	struct leg *leg = who;
	const bool gone = !ans->err && ans->scode / 100 == 2;

	if (!leg->cs)
		return;

	if (gone)
		leg_note(leg, 0, "pbx", "un-REGISTERed", "%u", ans->scode);
	else
		leg_note(leg, 0, "pbx", "un-REGISTER failed", "%u %s",
			 ans->scode, ans->err ? strerror(ans->err) : "");
	call_released(&leg->call, gone, clock_mono_ms());
	leg_schedule(leg);
}


static bool do_look(bool urgent, void *arg)
{
	struct leg *leg = arg;

	return !callee_look(leg->callee, urgent, leg);
}


/* No answer is an answer as well: the owner has a limit for it */
static void do_release(void *arg)
{
	struct leg *leg = arg;

	callee_watch(leg->callee, &leg->call);
	(void)query_start(leg->callee, reg_unregister, released_handler, leg);
}


static void end_stored(struct leg *leg, const char *how)
{
	(void)store_call_end(leg->cs->prm.store, leg->id, how, clock_wall_ms(),
			     NULL, NULL);
}


static void do_handed(void *arg)
{
	struct leg *leg = arg;

	list_unlink(&leg->look_le);
	metric_inc(&leg->cs->metricv[CALLS_M_HANDED]);
	/* a restart has nothing to take up */
	end_stored(leg, "handed");
}


static void count_end(struct leg *leg, const char *how)
{
	unsigned m = CALLS_M_CANCELLED;

	if (!strcmp(how, "missed"))
		m = CALLS_M_MISSED;
	else if (!strcmp(how, "declined"))
		m = CALLS_M_DECLINED;

	if (strcmp(how, "answered") && strcmp(how, "handed"))
		metric_inc(&leg->cs->metricv[m]);
	metric_set(&leg->cs->metricv[CALLS_M_WAITING], --leg->cs->waiting);
}


static void do_ended(const char *how, void *arg)
{
	struct leg *leg = arg;

	list_unlink(&leg->look_le);
	leg->ended = how;
	count_end(leg, how);
	leg_note(leg, 0, "sipis", "ended", "%s", how);
	if (strcmp(how, "handed")) /* else that is stored already */
		end_stored(leg, how);
	callwait_wake(&leg->waits);
	tmr_start(&leg->tmr, SETTLE_MS, settled_handler, leg);
}


static void do_note(const char *who, const char *what, const char *detail,
		    void *arg)
{
	leg_note(arg, 0, who, what, "%s", detail);
}


static const struct call_acts acts = {
	.push = do_push,
	.drop = do_drop,
	.tell = do_tell,
	.look = do_look,
	.release = do_release,
	.reply = do_reply,
	.relay = do_relay,
	.unrelay = do_unrelay,
	.refuse = do_refuse,
	.handed = do_handed,
	.ended = do_ended,
	.note = do_note,
};


/* --- what comes in --- */

void leg_cancelled(struct leg *leg, struct branch *b, const char *by)
{
	if (!leg->cs)
		return;

	leg_note(leg, 0, "pbx", by, "%s", leg->cancel_text);
	if (leg_open(leg) > 1) {
		reply_one(leg, b, 487);
		leg_note(leg, 0, "sipis", "487", "another branch waits");
		tries_move(leg, b);
		return;
	}

	call_cancelled(&leg->call,
		       leg->cancel_why ? leg->cancel_why : "cancelled",
		       clock_mono_ms());
	leg_schedule(leg);
}


static void stored_handler(int err, void *arg)
{
	struct leg *leg = arg;

	if (leg->cs) {
		if (err)
			log_error("call", leg->id,
				  "cannot store the call: %s; a restart "
				  "would lose it",
				  strerror(err));
		call_stored(&leg->call, clock_mono_ms());
		leg_schedule(leg);
	}
	mem_deref(leg);
}


void leg_raw(struct pl *raw, const struct sip_msg *msg)
{
	raw->p = msg->met.p;
	raw->l = (size_t)((const char *)msg->mb->buf + msg->mb->end - raw->p);
}


static int store_put(struct leg *leg, const struct sip_msg *msg)
{
	char src[64], to_tag[17];
	struct pl raw;
	struct call_row row = {
		.id = leg->id,
		.acct = leg->callee->acct,
		.from = leg->from,
		.display_name = leg->display_name,
		.video = leg->video,
		.received_ms = leg->received_ms,
		.deadline_ms = wall_of(leg, leg->call.prm.wake_by),
		.src = src,
		.transport = (int)msg->tp,
		.hurry = leg->call.prm.store_first,
		.handover = leg->call.prm.owner->name,
		.to_tag = to_tag,
	};
	int err;

	leg_raw(&raw, msg);
	row.invite = (const uint8_t *)raw.p;
	row.invite_len = raw.l;
	(void)re_snprintf(src, sizeof(src), "%J", &msg->src);
	(void)re_snprintf(to_tag, sizeof(to_tag), "%016llx", msg->tag);

	err = store_call_put(leg->cs->prm.store, &row, stored_handler,
			     mem_ref(leg));
	if (err)
		mem_deref(leg);
	return err;
}


static int text_dup(char **strp, const struct pl *pl, size_t size)
{
	char buf[CALL_URI_SIZE];

	reason_text(buf, size < sizeof(buf) ? size : sizeof(buf), pl);
	return str_dup(strp, buf);
}


static int invite_read(struct leg *leg, const struct sip_msg *msg)
{
	int err = pl_strdup(&leg->callid, &msg->callid);

	err |= leg_key(leg->key, msg);
	err |= text_dup(&leg->from, &msg->from.auri, CALL_URI_SIZE);
	err |= text_dup(&leg->display_name, &msg->from.dname, NAME_SIZE);
	leg->video = reason_has_video(msg);

	return err;
}


static uint64_t min_at(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}


static int record_init(struct leg *leg, const struct sip_msg *msg,
		       const struct handover *owner, uint64_t wake_by,
		       uint64_t read_by)
{
	const struct pbx_cfg *cfg = leg->callee->cfg;
	const uint32_t ring_s = reason_expires(msg, cfg->ring_timeout_s);
	struct call_prm prm = {
		.id = leg->id,
		.owner = owner,
		.auto_180 = cfg->auto_180,
		.decline = cfg->decline,
		.store_first = msg->tp != SIP_TRANSP_UDP,
		.gather_ms = cfg->gather_ms,
		.received = leg->received,
		.read_by = read_by,
		.ring_by = leg->received + 1000ull * ring_s,
		.acts = &acts,
		.arg = leg,
	};

	prm.wake_by = min_at(wake_by, prm.ring_by);
	return call_init(&leg->call, &prm);
}


int leg_key(char key[UUID_LEN + 1], const struct sip_msg *msg)
{
	char *callid = NULL, *tag = NULL, *contact = NULL;
	int err = pl_strdup(&callid, &msg->callid);

	err |= pl_strdup(&tag, &msg->from.tag);
	err |= pl_strdup(&contact, &msg->uri.user);
	if (!err)
		err = ident_uuid_derive(key, callid, tag, contact, NULL);

	mem_deref(callid);
	mem_deref(tag);
	mem_deref(contact);
	return err;
}


int leg_id(char id[UUID_LEN + 1], const char *key, const struct sip_msg *msg)
{
	char *branch = NULL;
	int err = pl_strdup(&branch, &msg->via.branch);

	if (!err)
		err = ident_uuid_derive(id, key, branch, NULL);

	mem_deref(branch);
	return err;
}


static int leg_new(struct leg **lp, struct callee *ce, struct acct *acct,
		   const struct sip_msg *msg, const char *id)
{
	struct leg *leg = mem_zalloc(sizeof(*leg), destructor);
	int err;

	if (!leg)
		return ENOMEM;

	leg->cs = ce->cs;
	leg->callee = ce;
	leg->pbx = acct_pbx(acct);
	leg->sip = pbx_sip(leg->pbx);
	(void)snprintf(leg->id, sizeof(leg->id), "%s", id);

	err = invite_read(leg, msg);
	if (!err)
		err = branch_alloc(NULL, leg, msg);
	if (err)
		mem_deref(leg);
	else
		*lp = leg;

	return err;
}


static void leg_link(struct leg *leg)
{
	struct calls *cs = leg->cs;

	hash_append(cs->by_id, hash_joaat_str(leg->id), &leg->he_id, leg);
	hash_append(cs->by_callid, hash_joaat_str(leg->callid),
		    &leg->he_callid, leg);
	list_append(&leg->callee->legs, &leg->le, leg);
	metric_set(&cs->metricv[CALLS_M_WAITING], ++cs->waiting);
}


int leg_alloc(struct leg **lp, struct callee *ce, struct acct *acct,
	      const struct sip_msg *msg, const char *id, const char *from)
{
	struct leg *leg;
	int err = leg_new(&leg, ce, acct, msg, id);

	if (err)
		return err;

	leg->received = clock_mono_ms();
	leg->received_us = clock_wall_us();
	leg->received_ms = leg->received_us / 1000;
	err = record_init(leg, msg, handover_of(ce->cfg->handover),
			  leg->received + 1000ull * ce->cfg->wake_timeout_s,
			  leg->received + READ_MS);
	if (err) {
		mem_deref(leg);
		return err;
	}

	leg_link(leg);
	leg_note(leg, leg->received_us, "pbx", "INVITE", "from %s to %s@%s",
		 from, ce->user, ce->domain);

	/* both at once: the reader is not behind the disk */
	tries_look(leg);
	if (fanout_start(leg))
		call_phones(&leg->call, NULL, 0, leg->received);
	if (call_waits(&leg->call) && store_put(leg, msg))
		call_stored(&leg->call, leg->received);

	leg_schedule(leg);
	*lp = leg;
	return 0;
}


int leg_join(struct leg *leg, const struct sip_msg *msg)
{
	struct branch *b;
	int err;

	if (leg_open(leg) >= BRANCHES_MAX)
		return ENOSPC;

	err = branch_alloc(&b, leg, msg);
	if (err)
		return err;

	leg_note(leg, 0, "pbx", "INVITE", "a further branch");
	if (leg->call.stored)
		reply_one(leg, b, 100);
	if (leg->call.rung_at || leg->call.state == CALL_RINGING)
		reply_one(leg, b, 180);
	return 0;
}


int leg_restore(struct leg **lp, struct callee *ce, struct acct *acct,
		const struct call_row *row)
{
	const struct handover *owner = handover_find(row->handover);
	const uint64_t now = clock_mono_ms();
	const int64_t left = row->deadline_ms - clock_wall_ms();
	const int64_t age = clock_wall_ms() - row->received_ms;
	struct sip_msg *msg = NULL;
	struct leg *leg;
	struct pl tag;
	int err;

	err = pbx_msg_revive(&msg, acct_pbx(acct), row->invite,
			     row->invite_len, row->src,
			     (enum sip_transp)row->transport);
	if (err)
		return err;

	/* what the PBX was told before belongs to this dialog */
	pl_set_str(&tag, row->to_tag ? row->to_tag : "");
	if (pl_isset(&tag))
		msg->tag = pl_x64(&tag);

	err = leg_new(&leg, ce, acct, msg, row->id);
	if (err)
		goto out;

	leg->received_ms = row->received_ms;
	leg->received_us = row->received_ms * 1000;
	leg->received =
		age > 0 && (uint64_t)age < now ? now - (uint64_t)age : now;
	err = record_init(leg, msg,
			  owner ? owner : handover_of(ce->cfg->handover),
			  left > 0 ? now + (uint64_t)left : now,
			  left > 0 ? now + READ_MS : now);
	if (err) {
		mem_deref(leg);
		goto out;
	}

	leg_link(leg);
	leg_note(leg, 0, "sipis", "restored", "%lld ms are left",
		 (long long)(left > 0 ? left : 0));
	call_stored(&leg->call, now);
	if (left > 0 && fanout_resume(leg))
		call_phones(&leg->call, NULL, 0, now);

	leg_schedule(leg);
	*lp = leg;
out:
	mem_deref(msg);
	return err;
}
