/**
 * @file door.c  What comes in from a PBX, and who takes it
 *
 * Requests pass two listeners of ours, libre's transaction layer stands
 * between them:
 *
 *     PBX --> gate -----> libre: repeats, ACK, CANCEL --> door --> handlers
 *              | stranger                                  | nobody's
 *              v                                           v
 *            nothing                                200, 404, 405 or 481
 *
 * In the early dialog that a 180 of ours has made there is nothing to talk
 * about yet, but each request gets an answer:
 *
 *     BYE               200; the INVITE gets 487
 *     UPDATE            200 with our Contact; 500 if it makes an offer
 *     INVITE            500 with Retry-After
 *     OPTIONS           200, as outside
 *     PRACK             481: nothing of ours was sent reliably
 *     MESSAGE           480: nobody is there to read it
 *     anything else     405
 *
 * libre appends listeners behind its own, and its own answers strangers
 * (482, CANCEL); so the gate is moved to the head of the list after the fact.
 */

#include <errno.h>
#include "common/ident.h"
#include "common/log.h"
#include "sipis/sip/gate.h"
#include "sipis/sip/priv.h"
#include "sipis/store/store.h"


enum {
	REASON_MAX = 512,
	RETRY_AFTER_S = 10, /* at most; RFC 3261 14.2 */
};

struct text {
	char buf[REASON_MAX];
	size_t len;
};


static bool reason_handler(const struct sip_hdr *hdr,
			   const struct sip_msg *msg, void *arg)
{
	struct text *t = arg;
	int n;
	(void)msg;

	n = re_snprintf(t->buf + t->len, sizeof(t->buf) - t->len, "%s%r",
			t->len ? ", " : "", &hdr->val);
	if (n < 0)
		return true;
	t->len += (size_t)n;

	return false;
}


static void see_cancel(struct pbx *pbx, const struct sip_msg *msg)
{
	struct text t = { .len = 0 };
	struct pl reason = { t.buf, 0 };

	tally_inc(pbx->tally, TALLY_CANCEL);
	(void)sip_msg_hdr_apply(msg, true, SIP_HDR_REASON, reason_handler, &t);
	reason.l = t.len;

	if (pbx->cancelh)
		pbx->cancelh(pbx, &msg->callid, &msg->via.branch, &reason,
			     pbx->arg);
}


/* A proxy that looks a user up a second time sends the same INVITE on a new
   branch.  libre would answer 482 to what has no To tag yet, so it gets one
   on the way past libre */
static const char merge_guard[] = "-";


static void guard_on(struct sip_msg *msg)
{
	if (!pl_isset(&msg->to.tag))
		pl_set_str(&msg->to.tag, merge_guard);
}


static void guard_off(struct sip_msg *msg)
{
	if (msg->to.tag.p == merge_guard)
		msg->to.tag = pl_null;
}


static bool gate_handler(const struct sip_msg *msg, void *arg)
{
	struct pbx *pbx = arg;

	if (stack_sees(pbx->stack, msg))
		return true;

	if (!gate_whole(msg) || !pbx_trusts(pbx, msg)) {
		tally_inc(pbx->tally, TALLY_STRANGER);
		stranger_request(pbx->stranger, msg);
		return true;
	}

	flows_heard(pbx->flows, msg);

	if (!pl_strcmp(&msg->met, "CANCEL"))
		see_cancel(pbx, msg);
	else if (!pl_strcmp(&msg->met, "INVITE"))
		guard_on((struct sip_msg *)msg);

	return false;
}


struct acct *door_acct(struct pbx *pbx, const struct pl *user)
{
	uint8_t contact[STORE_CONTACT];
	char hex[2 * STORE_CONTACT + 1];

	if (user->l != 2 * STORE_CONTACT || !pbx->accth)
		return NULL;

	(void)pl_strcpy(user, hex, sizeof(hex));
	if (ident_unhex(contact, sizeof(contact), hex))
		return NULL;

	return pbx->accth(pbx, contact, pbx->arg);
}


static const char *allowed(const struct pbx *pbx)
{
	return pbx->messageh ? "INVITE, ACK, BYE, CANCEL, OPTIONS, UPDATE, "
			       "NOTIFY, MESSAGE, SUBSCRIBE, REFER"
			     : "INVITE, ACK, BYE, CANCEL, OPTIONS, UPDATE, "
			       "NOTIFY";
}


static void not_allowed(struct pbx *pbx, const struct sip_msg *msg)
{
	(void)sip_replyf(pbx->sip, msg, 405, "Method Not Allowed",
			 "Allow: %s\r\nContent-Length: 0\r\n\r\n",
			 allowed(pbx));
}


/* A binding may outlive its account.  The PBX that still uses it hears so at
   once: silence would hold its caller until timer B */
static void nobody(struct pbx *pbx, const struct sip_msg *msg)
{
	tally_inc(pbx->tally, TALLY_NOBODY);
	log_info("sip", NULL,
		 "404 to %.*s: the contact \"%.*s\" is no account's here "
		 "(any more) pbx=%s to=%.*s@%.*s",
		 (int)msg->met.l, msg->met.p, (int)msg->uri.user.l,
		 msg->uri.user.p, pbx->cfg->name, (int)msg->to.uri.user.l,
		 msg->to.uri.user.p, (int)msg->to.uri.host.l,
		 msg->to.uri.host.p);
	(void)sip_reply(pbx->sip, msg, 404, "Not Found");
}


static void on_invite(struct pbx *pbx, const struct sip_msg *msg)
{
	struct acct *acct = door_acct(pbx, &msg->uri.user);

	if (!acct) {
		nobody(pbx, msg);
		if (pbx->nobodyh)
			pbx->nobodyh(pbx, msg, pbx->arg);
		return;
	}

	tally_inc(pbx->tally, TALLY_INVITE);
	if (!pbx->inviteh || !pbx->inviteh(pbx, acct, msg, pbx->arg))
		(void)sip_reply(pbx->sip, msg, 480, "Temporarily Unavailable");
}


static void no_reader(struct pbx *pbx, const struct sip_msg *msg)
{
	(void)sip_reply(pbx->sip, msg, 480, "Temporarily Unavailable");
}


/* To the phones of an account that are connected, if any */
static void on_other(struct pbx *pbx, const struct sip_msg *msg)
{
	struct acct *acct = door_acct(pbx, &msg->uri.user);

	if (!acct) {
		nobody(pbx, msg);
		return;
	}

	tally_inc(pbx->tally, TALLY_OTHER);
	if (pbx->messageh && pbx->messageh(pbx, acct, msg, pbx->arg))
		return;

	/* What waits at the mailbox is told again when it changes.  To
	   anything else a 200 would say that somebody has read it */
	if (!pl_strcmp(&msg->met, "NOTIFY"))
		(void)sip_reply(pbx->sip, msg, 200, "OK");
	else if (pbx->messageh)
		no_reader(pbx, msg);
	else
		not_allowed(pbx, msg);
}


static void on_options(struct pbx *pbx, const struct sip_msg *msg)
{
	if (pl_isset(&msg->uri.user) && !door_acct(pbx, &msg->uri.user)) {
		nobody(pbx, msg);
		return;
	}

	tally_inc(pbx->tally, TALLY_OTHER);
	(void)sip_replyf(pbx->sip, msg, 200, "OK",
			 "Allow: %s\r\nContent-Length: 0\r\n\r\n",
			 allowed(pbx));
}


static void no_dialog(struct pbx *pbx, const struct sip_msg *msg)
{
	(void)sip_reply(pbx->sip, msg, 481, "Call/Transaction Does Not Exist");
}


/* RFC 3261 14.2 for an INVITE that comes while the first one waits, RFC 3311
   5.2 for an offer while the first one has no answer.  491 would say that we
   had asked something as well */
static void not_yet(struct pbx *pbx, const struct sip_msg *msg)
{
	(void)sip_treplyf(NULL, NULL, pbx->sip, msg, false, 500,
			  "Server Internal Error",
			  "Retry-After: %u\r\nContent-Length: 0\r\n\r\n",
			  rand_u32() % (RETRY_AFTER_S + 1));
}


static void on_update(struct pbx *pbx, const struct sip_msg *msg)
{
	if (mbuf_get_left(msg->mb)) {
		not_yet(pbx, msg);
		return;
	}

	(void)sip_replyf(pbx->sip, msg, 200, "OK",
			 "Contact: <%r>\r\nContent-Length: 0\r\n\r\n",
			 &msg->ruri);
}


/* A repeated BYE finds no dialog any more, but its transaction */
static void on_bye(struct pbx *pbx, const struct sip_msg *msg)
{
	(void)sip_treply(NULL, pbx->sip, msg, 200, "OK");
}


static void in_dialog(struct pbx *pbx, const struct sip_msg *msg)
{
	static const struct {
		const char *met;
		void (*h)(struct pbx *pbx, const struct sip_msg *msg);
	} table[] = {
		{ "BYE", on_bye },      { "UPDATE", on_update },
		{ "INVITE", not_yet },  { "OPTIONS", on_options },
		{ "PRACK", no_dialog }, { "MESSAGE", no_reader },
	};

	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		if (!pl_strcmp(&msg->met, table[i].met)) {
			table[i].h(pbx, msg);
			return;
		}
	}

	not_allowed(pbx, msg);
}


/* A request with a To tag: of a dialog that our 180 made, or of none */
static void on_dialog(struct pbx *pbx, const struct sip_msg *msg)
{
	struct acct *acct = door_acct(pbx, &msg->uri.user);

	if (acct && pbx->dialogh && pbx->dialogh(pbx, acct, msg, pbx->arg))
		in_dialog(pbx, msg);
	else
		no_dialog(pbx, msg);
}


/* What is on its way to a phone that the edge speaks for */
static bool passes(struct pbx *pbx, const struct sip_msg *msg)
{
	return pbx->passh && pbx->passh(pbx, msg, pbx->arg);
}


static bool door_handler(const struct sip_msg *msg, void *arg)
{
	struct pbx *pbx = arg;
	const bool ack = !pl_strcmp(&msg->met, "ACK");

	guard_off((struct sip_msg *)msg);

	if ((ack || sip_msg_hdr(msg, SIP_HDR_ROUTE)) && passes(pbx, msg))
		return true;

	if (ack)
		return true;

	/* A NOTIFY of a subscription is taken as one outside would be */
	if (!pl_strcmp(&msg->met, "CANCEL") ||
	    (!pl_strcmp(&msg->met, "BYE") && !pl_isset(&msg->to.tag)))
		no_dialog(pbx, msg);
	else if (pl_isset(&msg->to.tag) && pl_strcmp(&msg->met, "NOTIFY") != 0)
		on_dialog(pbx, msg);
	else if (!pl_strcmp(&msg->met, "INVITE"))
		on_invite(pbx, msg);
	else if (!pl_strcmp(&msg->met, "OPTIONS"))
		on_options(pbx, msg);
	else if (!pl_strcmp(&msg->met, "REGISTER"))
		not_allowed(pbx, msg);
	else
		on_other(pbx, msg);

	return true;
}


/* What no transaction waits for; libre would print it */
static bool response_handler(const struct sip_msg *msg, void *arg)
{
	(void)passes(arg, msg);

	return true;
}


int door_open(struct pbx *pbx)
{
	int err;

	err = sip_listen(&pbx->gate, pbx->sip, true, gate_handler, pbx);
	err |= sip_listen(&pbx->door, pbx->sip, true, door_handler, pbx);
	err |= sip_listen(&pbx->resp, pbx->sip, false, response_handler, pbx);

	return err ? err : gate_first(pbx->gate);
}
