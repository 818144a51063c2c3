/**
 * @file branch.c  One INVITE transaction of a call
 *
 * A PBX that looks the user up again while the call waits (Kamailio that
 * forks serially, one that recurses) sends the same INVITE once more under a
 * branch of its own.  That is the same call and gets the same answers; 482
 * would spoil the other branch.
 */

#include <errno.h>
#include "sipis/call/priv.h"
#include "sipis/sip/copy.h"
#include "sipis/sip/trying.h"


static void cancel_handler(void *arg)
{
	struct branch *b = arg;

	leg_cancelled(b->leg, b, "CANCEL");
}


static void destructor(void *data)
{
	struct branch *b = data;

	list_unlink(&b->le);
	mem_deref(b->st);
	mem_deref(b->msg);
	mem_deref(b->id);
}


int branch_alloc(struct branch **bp, struct leg *leg,
		 const struct sip_msg *msg)
{
	struct branch *b = mem_zalloc(sizeof(*b), destructor);
	int err;

	if (!b)
		return ENOMEM;

	b->leg = leg;
	b->msg = mem_ref((void *)msg);
	err = pl_strdup(&b->id, &msg->via.branch);
	if (!err)
		err = sip_strans_alloc(&b->st, leg->sip, msg, cancel_handler,
				       b);
	if (err) {
		mem_deref(b);
		return err;
	}

	list_append(&leg->branches, &b->le, b);
	if (bp)
		*bp = b;
	return 0;
}


static int reply_ringing(struct branch *b)
{
	const struct pl *self = &b->msg->ruri;

	return sip_treplyf(&b->st, NULL, b->leg->sip, b->msg, true, 180,
			   leg_phrase(180),
			   "Contact: <%r>\r\n"
			   "Content-Length: 0\r\n\r\n",
			   self);
}


/* One Contact: the AOR as it is registered, nothing else is safe behind NAT */
static int reply_redirect(struct branch *b)
{
	const struct callee *ce = b->leg->callee;
	struct pl user;

	pl_set_str(&user, ce->user);
	return sip_treplyf(&b->st, NULL, b->leg->sip, b->msg, false, 302,
			   leg_phrase(302),
			   "Contact: <sip:%H@%s>\r\n"
			   "Content-Length: 0\r\n\r\n",
			   uri_user_escape, &user, ce->domain);
}


/* A caller that requires PRACK gets no 180 that it could not answer;
   RFC 3262 3 */
static bool wants_reliable(const struct branch *b)
{
	return sip_msg_hdr_has_value(b->msg, SIP_HDR_REQUIRE, "100rel");
}


bool branch_takes(const struct branch *b, uint16_t scode)
{
	return branch_waits(b) && (scode != 180 || !wants_reliable(b));
}


int branch_reply(struct branch *b, uint16_t scode)
{
	int err;

	if (!branch_takes(b, scode))
		return 0;

	if (scode == 100)
		err = trying_send(&b->st, b->leg->sip, b->msg);
	else if (scode == 180)
		err = reply_ringing(b);
	else if (scode == 302)
		err = reply_redirect(b);
	else
		err = sip_treply(&b->st, b->leg->sip, b->msg, scode,
				 leg_phrase(scode));

	/* the transaction lives on by itself until its ACK */
	if (scode >= 200) {
		b->st = NULL;
		b->msg = mem_deref(b->msg);
	}

	return err;
}


static bool second_via(const struct sip_hdr *hdr, const struct sip_msg *msg,
		       void *arg)
{
	struct sip_via *via = arg;

	return msg->via.val.p != hdr->val.p && !sip_via_decode(via, &hdr->val);
}


/* The phone has the INVITE of one branch; when the PBX cancels that one alone,
   its answer is another's */
static bool is_own(const struct branch *b, const struct sip_msg *resp)
{
	struct sip_via via;

	return sip_msg_hdr_apply(resp, true, SIP_HDR_VIA, second_via, &via) &&
	       !pl_strcmp(&via.branch, b->id);
}


int branch_pass(struct branch *b, const struct sip_msg *resp, uint16_t scode)
{
	const char *phrase = scode ? leg_phrase(scode) : NULL;
	struct mbuf *mb;
	struct sa dst;
	int err;

	if (!branch_waits(b))
		return 0;

	err = is_own(b, resp)
		      ? copy_response(&mb, resp, scode, phrase)
		      : copy_response_for(&mb, resp, scode, phrase, b->msg);
	if (err)
		return err;

	copy_reply_addr(&dst, b->msg);
	err = sip_strans_reply(&b->st, b->leg->sip, b->msg, &dst,
			       scode ? scode : resp->scode, mb);
	mem_deref(mb);
	if (resp->scode >= 200) {
		b->st = NULL;
		b->msg = mem_deref(b->msg);
	}

	return err;
}


bool branch_waits(const struct branch *b)
{
	return b->msg != NULL;
}


bool branch_has_tag(const struct branch *b, const struct pl *tag)
{
	char own[17];

	if (!branch_waits(b))
		return false;

	(void)re_snprintf(own, sizeof(own), "%016llx", b->msg->tag);
	return !pl_strcmp(tag, own);
}


void branch_forget(struct branch *b)
{
	b->st = mem_deref(b->st);
	b->msg = mem_deref(b->msg);
}
