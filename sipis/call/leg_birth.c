/**
 * @file leg_birth.c  How a call comes into being: by an INVITE, by a further
 * branch of it, or from the store after a restart
 *
 * A crash must not lose the call, so the row with the raw INVITE is written
 * first and 100 goes after COMMIT.  Over UDP the pushes do not wait for that:
 * the PBX sends the INVITE again, their ids are derived, and a repetition is
 * known as one.  Over TCP and TLS nobody sends it again (RFC 3261 17.1.1.2),
 * so they go after COMMIT, which is hurried.
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "common/clock.h"
#include "common/log.h"
#include "sipis/call/priv.h"
#include "sipis/call/reason.h"


static void destructor(void *data)
{
	struct leg *leg = data;

	tmr_cancel(&leg->tmr);
	tmr_cancel(&leg->tmr_answer);
	list_unlink(&leg->look_le);
	mem_deref(leg->answer);
	mem_deref(leg->answers);
	call_reset(&leg->call);
	mem_deref(leg->fanout);
	tries_forget(leg);
	list_flush(&leg->branches);
	mem_deref(leg->callid);
	mem_deref(leg->winner);
	mem_deref(leg->from);
	mem_deref(leg->display_name);
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
		.deadline_ms = leg_wall(leg, leg->call.prm.wake_by),
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
		.acts = &leg_acts,
		.arg = leg,
	};

	prm.wake_by = min_at(wake_by, prm.ring_by);
	return call_init(&leg->call, &prm);
}


static int key_make(char key[UUID_LEN + 1], const struct sip_msg *msg)
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


int leg_name(struct leg_name *name, const struct sip_msg *msg)
{
	char *branch = NULL;
	int err = key_make(name->key, msg);

	err = err ? err : pl_strdup(&branch, &msg->via.branch);
	if (!err)
		err = ident_uuid_derive(name->id, name->key, branch, NULL);

	mem_deref(branch);
	return err;
}


static int leg_new(struct leg **lp, struct callee *ce, struct acct *acct,
		   const struct sip_msg *msg, const struct leg_name *name)
{
	struct leg *leg = mem_zalloc(sizeof(*leg), destructor);
	int err;

	if (!leg)
		return ENOMEM;

	leg->cs = ce->cs;
	leg->callee = ce;
	leg->pbx = acct_pbx(acct);
	leg->sip = pbx_sip(leg->pbx);
	memcpy(leg->id, name->id, sizeof(leg->id));
	memcpy(leg->key, name->key, sizeof(leg->key));

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
	      const struct sip_msg *msg, const struct leg_name *name,
	      const char *from)
{
	struct leg *leg;
	int err = leg_new(&leg, ce, acct, msg, name);

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
		leg_reply(leg, b, 100);
	if (leg->call.rung_at || leg->call.state == CALL_RINGING)
		leg_reply(leg, b, 180);
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
	struct leg_name name;
	struct leg *leg;
	struct pl tag;
	bool reads;
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

	err = key_make(name.key, msg);
	(void)str_ncpy(name.id, row->id, sizeof(name.id));
	err = err ? err : leg_new(&leg, ce, acct, msg, &name);
	if (err)
		goto out;

	leg->received_ms = row->received_ms;
	leg->received_us = row->received_ms * 1000;
	leg->received =
		age > 0 && (uint64_t)age < now ? now - (uint64_t)age : now;
	if (!owner)
		owner = handover_of(ce->cfg->handover);
	/* a phone that rings may do so for longer than one may take to wake */
	reads = left > 0 || owner->relays;
	err = record_init(leg, msg, owner,
			  left > 0 ? now + (uint64_t)left : now,
			  reads ? now + READ_MS : now);
	if (err) {
		mem_deref(leg);
		goto out;
	}

	leg->restored = true;
	leg_link(leg);
	leg_note(leg, 0, "sipis", "restored", "%lld ms are left",
		 (long long)(left > 0 ? left : 0));
	call_stored(&leg->call, now);
	if (reads && fanout_resume(leg))
		call_phones(&leg->call, NULL, 0, now);

	leg_schedule(leg);
	*lp = leg;
out:
	mem_deref(msg);
	return err;
}
