/**
 * @file incoming.c  What the PBX says to an account: INVITE, CANCEL, BYE
 *
 * The way of an INVITE: calls_invite() -> leg_alloc() -> fanout_start() and
 * store_call_put() -> call_phones() -> fanout_push() -> the mediator; then
 * whatever comes first: a push result, the app's word, a look at the
 * bindings, a CANCEL, a deadline.
 */

#include <errno.h>
#include <string.h>
#include "common/clock.h"
#include "sipis/call/priv.h"
#include "sipis/call/reason.h"


static void refuse(struct acct *acct, const struct sip_msg *msg,
		   uint16_t scode, const char *phrase)
{
	(void)sip_treply(NULL, pbx_sip(acct_pbx(acct)), msg, scode, phrase);
}


/* The newest call with that key; the one of that branch comes first */
static struct leg *leg_of(const struct calls *cs, const char *key,
			  const struct sip_msg *msg)
{
	struct list *legs =
		hash_list(cs->by_callid, hash_joaat_pl(&msg->callid));
	struct leg *newest = NULL;

	for (struct le *le = list_tail(legs); le; le = le->prev) {
		struct leg *leg = le->data;

		if (strcmp(leg->key, key) != 0)
			continue;
		if (leg_branch(leg, &msg->via.branch))
			return leg;
		if (!newest)
			newest = leg;
	}

	return newest;
}


/* The transaction layer takes repeats as long as it remembers */
static void invite_repeated(struct leg *leg, struct acct *acct,
			    const struct sip_msg *msg)
{
	const uint16_t scode = leg->scode == 302 ? 486 : leg->scode;

	if (leg->scode >= 300)
		refuse(acct, msg, scode, leg_phrase(scode));
}


/* The PBX looks the user up again.  After a 302 it follows that; while the
   app has the call it gets the answer that the others have; else the call
   has failed and is tried anew: false */
static bool invite_again(struct leg *leg, struct acct *acct,
			 const struct sip_msg *msg)
{
	if (leg->scode == 302) {
		metric_inc(&leg->cs->metricv[CALLS_M_ECHO]);
		leg_note(leg, 0, "sipis", "486 to echo", "a second branch");
		refuse(acct, msg, 486, leg_phrase(486));
		return true;
	}

	if (!leg->scode) {
		if (leg_join(leg, msg))
			refuse(acct, msg, 486, leg_phrase(486));
		return true;
	}

	/* a phone has taken it, and the caller is just about to hear */
	if (leg->answer) {
		leg_note(leg, 0, "pbx", "INVITE",
			 "a further branch, too late");
		refuse(acct, msg, 480, leg_phrase(480));
		return true;
	}
	if (!call_waits(&leg->call))
		return false;

	refuse(acct, msg, leg->scode, leg_phrase(leg->scode));
	return true;
}


static bool invite_new(struct calls *cs, struct acct *acct,
		       const struct sip_msg *msg, const struct leg_name *name)
{
	const char *id = name->id;
	const uint64_t now = clock_mono_ms();
	char from[CALL_URI_SIZE];
	struct callee *ce;
	struct leg *leg;
	int err = callee_get(&ce, cs, acct);

	if (err) {
		refused(cs, acct, msg, id, 480, "%s", strerror(err));
		return false;
	}

	reason_text(from, sizeof(from), &msg->from.auri);
	if (callee_echo(ce, acct, msg, from, now)) {
		metric_inc(&cs->metricv[CALLS_M_ECHO]);
		refused(cs, acct, msg, id, 486, "the echo of our own 302");
		refuse(acct, msg, 486, leg_phrase(486));
		goto out;
	}

	if (!callee_may_ring(ce, now)) {
		metric_inc(&cs->metricv[CALLS_M_LIMITED]);
		refused(cs, acct, msg, id, 486, "more than %u calls a minute",
			ce->cfg->call_pushes_per_min);
		refuse(acct, msg, 486, leg_phrase(486));
		goto out;
	}

	metric_inc(&cs->metricv[CALLS_M_INVITES]);
	err = leg_alloc(&leg, ce, acct, msg, name, from);
	if (err)
		refused(cs, acct, msg, id, 480, "%s", strerror(err));

out:
	callee_left(ce);
	return !err;
}


/* Who takes the call himself has to understand what its caller insists on,
   who only passes it on does not */
static bool may_pass(struct calls *cs, struct acct *acct,
		     const struct sip_msg *msg, const char *id)
{
	const struct pbx_cfg *cfg = pbx_cfg(acct_pbx(acct));
	const enum sip_hdrid hdr = cfg->handover == CFG_HANDOVER_RELAY
					   ? SIP_HDR_PROXY_REQUIRE
					   : SIP_HDR_REQUIRE;
	char tags[256];

	if (!reason_unsupported(tags, sizeof(tags), msg, hdr))
		return true;

	refused(cs, acct, msg, id, 420, "it requires %s", tags);
	(void)sip_treplyf(NULL, NULL, pbx_sip(acct_pbx(acct)), msg, false, 420,
			  "Bad Extension",
			  "Unsupported: %s\r\n"
			  "Content-Length: 0\r\n\r\n",
			  tags);
	return false;
}


/* Who is in a call does not sleep; nobody is to be woken */
static void replace(struct calls *cs, struct acct *acct,
		    const struct sip_msg *msg, const char *id)
{
	const struct pbx_cfg *cfg = pbx_cfg(acct_pbx(acct));

	if (cfg->handover == CFG_HANDOVER_RELAY &&
	    !may_pass(cs, acct, msg, id))
		return;
	if (swap_begin(cs, acct, msg))
		return;

	refused(cs, acct, msg, id, 481, "it would replace a call");
	refuse(acct, msg, 481, "Call Does Not Exist");
}


bool calls_invite(struct calls *cs, struct acct *acct,
		  const struct sip_msg *msg)
{
	struct leg_name name;
	struct leg *leg;

	if (!cs || cs->closed || !acct || !msg || leg_name(&name, msg))
		return false;

	if (sip_msg_hdr(msg, SIP_HDR_REPLACES)) {
		replace(cs, acct, msg, name.id);
		return true;
	}

	if (!may_pass(cs, acct, msg, name.id))
		return true;

	leg = leg_of(cs, name.key, msg);
	if (leg && leg_branch(leg, &msg->via.branch)) {
		invite_repeated(leg, acct, msg);
		return true;
	}
	if (leg && invite_again(leg, acct, msg))
		return true;

	if (cs->waiting >= CALLS_MAX) {
		metric_inc(&cs->metricv[CALLS_M_FULL]);
		refused(cs, acct, msg, name.id, 480, "%d calls wait already",
			CALLS_MAX);
		return false;
	}
	return invite_new(cs, acct, msg, &name);
}


/* --- what comes after it --- */

static void see_reason(struct leg *leg, const struct pl *reason)
{
	leg->cancel_why = reason_of_cancel(reason);
	if (reason)
		reason_text(leg->cancel_text, sizeof(leg->cancel_text),
			    reason);
}


struct cancel_key {
	const struct pl *callid, *branch;
};


static bool same_branch(struct le *le, void *arg)
{
	const struct leg *leg = le->data;
	const struct cancel_key *key = arg;

	return !pl_strcmp(key->callid, leg->callid) &&
	       leg_branch(leg, key->branch);
}


struct leg *leg_of_branch(const struct calls *cs, const struct pl *callid,
			  const struct pl *branch)
{
	struct cancel_key key = { callid, branch };

	return list_ledata(hash_lookup(cs->by_callid, hash_joaat_pl(callid),
				       same_branch, &key));
}


void calls_cancel(struct calls *cs, const struct pl *callid,
		  const struct pl *branch, const struct pl *reason)
{
	struct leg *leg;

	if (!cs || cs->closed || !callid || !branch)
		return;

	swap_cancel(cs, callid, branch, reason);
	leg = leg_of_branch(cs, callid, branch);
	if (!leg)
		return;

	/* only remembered: whether it counts, the transaction decides */
	see_reason(leg, reason);
}


static struct branch *branch_of(const struct leg *leg, const struct pl *tag)
{
	for (struct le *le = leg->branches.head; le; le = le->next)
		if (branch_has_tag(le->data, tag))
			return le->data;

	return NULL;
}


static struct branch *in_dialog(const struct calls *cs,
				const struct acct *acct,
				const struct sip_msg *msg)
{
	struct list *legs =
		hash_list(cs->by_callid, hash_joaat_pl(&msg->callid));

	for (struct le *le = list_head(legs); le; le = le->next) {
		const struct leg *leg = le->data;
		struct branch *b;

		if (leg->callee->acct != acct_id(acct) ||
		    pl_strcmp(&msg->callid, leg->callid) != 0)
			continue;
		b = branch_of(leg, &msg->to.tag);
		if (b)
			return b;
	}

	return NULL;
}


bool calls_dialog(struct calls *cs, const struct acct *acct,
		  const struct sip_msg *msg)
{
	const struct sip_hdr *reason;
	struct branch *b;

	if (!cs || cs->closed || !acct || !msg || !pl_isset(&msg->to.tag))
		return false;

	b = in_dialog(cs, acct, msg);
	if (!b)
		return false;

	/* RFC 3261 15.1.2: the INVITE that waits gets 487 */
	if (!pl_strcmp(&msg->met, "BYE")) {
		reason = sip_msg_hdr(msg, SIP_HDR_REASON);
		see_reason(b->leg, reason ? &reason->val : NULL);
		leg_cancelled(b->leg, b, "BYE");
	}

	return true;
}
