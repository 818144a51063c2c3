/**
 * @file swap.c  INVITEs that are to replace a call that is up; RFC 3891
 *
 * An attended transfer to a phone: its dialog is with us no more, but with the
 * phone, so one that is connected is asked, without a record, a push or a
 * word to those that sleep.  Where it is known which phone has that dialog it
 * is that one; else all, of which one takes it and the others say 481.
 *
 *     2xx                  up; the others hear CANCEL, and those who were
 *                          quick ACK and BYE, however often they say it
 *     refusals of all      the best of them: 481 only if all say so
 *     CANCEL, ring time    487, 480; all hear CANCEL
 *
 *     ASKED --- 2xx, refused, CANCEL, ring time ---> OVER --- 120 s ---> -
 *
 * A restart forgets it, as any proxy would: who transfers may try again.
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "common/log.h"
#include "sipis/call/priv.h"
#include "sipis/call/reason.h"
#include "sipis/sip/copy.h"
#include "sipis/sip/trying.h"


enum { PHONES_MAX = 32 };

struct swap {
	struct le le;
	struct calls *cs;
	struct pbx *pbx;
	uint64_t acct;
	struct sip_msg *msg;
	struct sip_strans *st; /**< NULL: OVER */
	struct sip_msg *best;  /**< refusal, or NULL */
	char *winner;          /**< To tag of the 2xx that went up, or NULL */
	struct list asked;
	struct tmr tmr;
	char cancel_text[NAME_SIZE];
};

/** One phone */
struct asked {
	struct le le;
	struct swap *swap; /**< owns us */
	char inst[STORE_ID_LEN + 1];
	bool lost; /**< its connection */
	struct relay_try *out;
};

struct phones {
	const struct relay *relay;
	const struct pl *callid; /**< of the call to replace */
	char idv[PHONES_MAX][STORE_ID_LEN + 1];
	unsigned n;
	bool found; /**< the one that has it */
};


static void destructor(void *data)
{
	struct swap *s = data;

	list_unlink(&s->le);
	tmr_cancel(&s->tmr);
	list_flush(&s->asked);
	mem_deref(s->st);
	mem_deref(s->best);
	mem_deref(s->winner);
	mem_deref(s->msg);
}


static void asked_destructor(void *data)
{
	struct asked *a = data;

	list_unlink(&a->le);
	mem_deref(a->out);
}


static void tomb_handler(void *arg)
{
	mem_deref(arg);
}


/* Whoever is still asked hears CANCEL */
static void over(struct swap *s, const char *reason)
{
	struct le *le;

	while ((le = list_head(&s->asked))) {
		struct asked *a = le->data;

		if (s->cs->relay.leave)
			(void)s->cs->relay.leave(&a->out, reason,
						 s->cs->relay.arg);
		mem_deref(a);
	}
	s->st = mem_deref(s->st);
	s->best = mem_deref(s->best);
	tmr_start(&s->tmr, TOMB_MS, tomb_handler, s);
}


static void answer(struct swap *s, uint16_t scode)
{
	(void)sip_treply(&s->st, pbx_sip(s->pbx), s->msg, scode,
			 leg_phrase(scode));
	s->st = NULL;
}


static void pass_up(struct swap *s, const struct sip_msg *resp)
{
	/* other phones are not ours to refuse for, and nobody knows the
	   password that a phone asks for */
	const bool own =
		resp->scode >= 600 || resp->scode == 401 || resp->scode == 407;
	const uint16_t scode = own ? 480 : 0;
	struct mbuf *mb;
	struct sa dst;

	if (copy_response(&mb, resp, scode, leg_phrase(480)))
		return;

	copy_reply_addr(&dst, s->msg);
	(void)sip_strans_reply(&s->st, pbx_sip(s->pbx), s->msg, &dst,
			       own ? scode : resp->scode, mb);
	if (resp->scode >= 200)
		s->st = NULL;
	mem_deref(mb);
}


static void taken(struct swap *s, const struct sip_msg *resp)
{
	(void)pl_strdup(&s->winner, &resp->to.tag);
	pass_up(s, resp);
	over(s, "SIP;cause=200;text=\"Call completed elsewhere\"");
}


/* "I have no such call" is said by all but one */
static unsigned rank(const struct sip_msg *resp)
{
	return resp->scode == 481   ? 699
	       : resp->scode == 408 ? 499
				    : resp->scode;
}


static void keep_best(struct swap *s, const struct sip_msg *resp)
{
	if (s->best && rank(s->best) <= rank(resp))
		return;

	mem_deref(s->best);
	s->best = mem_ref((void *)resp);
}


/* resp NULL: it has said nothing */
static void refuses(struct asked *a, const struct sip_msg *resp)
{
	struct swap *s = a->swap;

	mem_deref(a);
	if (resp)
		keep_best(s, resp);
	if (!list_isempty(&s->asked))
		return;

	if (s->best)
		pass_up(s, s->best);
	else
		answer(s, 480);
	over(s, NULL);
}


static void response_handler(int err, const struct sip_msg *resp, void *arg)
{
	struct asked *a = arg;
	struct swap *s = a->swap;

	if (err || resp->scode >= 300) {
		refuses(a, err ? NULL : resp);
		return;
	}
	if (resp->scode < 200) {
		pass_up(s, resp);
		return;
	}

	mem_deref(a);
	taken(s, resp);
}


/* It may be back before its call is over: swap_flow() */
static void lost_handler(enum relay_lost how, void *arg)
{
	struct asked *a = arg;
	(void)how;

	a->lost = true;
	log_info("call", NULL,
		 "connection of phone %s lost, to replace a call", a->inst);
}


static void still_handler(void *arg)
{
	(void)arg; /* its answer comes */
}


static void note_handler(const char *what, const char *detail, void *arg)
{
	(void)arg;
	log_info("call", NULL, "to replace a call: %s %s", what, detail);
}


static void cancel_handler(void *arg)
{
	struct swap *s = arg;

	answer(s, 487);
	over(s, s->cancel_text);
}


static void late_handler(void *arg)
{
	struct swap *s = arg;

	answer(s, 480);
	over(s, NULL);
}


void swap_give_up(struct calls *cs)
{
	struct le *le;

	while ((le = list_head(&cs->swaps))) {
		struct swap *s = le->data;

		list_unlink(le);
		if (s->st)
			late_handler(s);
		mem_deref(s);
	}
}


static void ask(struct swap *s, const char *inst)
{
	const struct relay_holder holder = {
		.h = response_handler,
		.losth = lost_handler,
		.stillh = still_handler,
		.noteh = note_handler,
	};
	struct relay_holder mine = holder;
	struct asked *a = mem_zalloc(sizeof(*a), asked_destructor);

	if (!a)
		return;

	a->swap = s;
	(void)snprintf(a->inst, sizeof(a->inst), "%s", inst);
	mine.arg = a;
	list_append(&s->asked, &a->le, a);
	if (s->cs->relay.invite(&a->out, inst, s->pbx, s->msg, &mine,
				s->cs->relay.arg)) {
		mem_deref(a);
		return;
	}

	log_info("call", NULL, "INVITE to phone %s, to replace a call", inst);
}


/* --- whom to ask --- */

static void phone_handler(const char *inst, void *arg)
{
	struct phones *p = arg;

	if (p->found)
		return;

	p->found =
		p->relay->has && p->relay->has(inst, p->callid, p->relay->arg);
	if (p->found)
		p->n = 0;
	if (p->n < PHONES_MAX)
		(void)snprintf(p->idv[p->n++], sizeof(p->idv[0]), "%s", inst);
}


/* callid *(SEMI param) */
static struct pl replaced(const struct sip_msg *msg)
{
	struct pl pl = sip_msg_hdr(msg, SIP_HDR_REPLACES)->val;
	const char *end = pl_strchr(&pl, ';');

	if (end)
		pl.l = (size_t)(end - pl.p);
	while (pl.l && (pl.p[pl.l - 1] == ' ' || pl.p[pl.l - 1] == '\t'))
		--pl.l;

	return pl;
}


static int swap_alloc(struct swap **sp, struct calls *cs, struct pbx *pbx,
		      uint64_t acct, const struct sip_msg *msg)
{
	struct swap *s = mem_zalloc(sizeof(*s), destructor);
	int err;

	if (!s)
		return ENOMEM;

	s->cs = cs;
	s->pbx = pbx;
	s->acct = acct;
	s->msg = mem_ref((void *)msg);
	tmr_init(&s->tmr);
	err = sip_strans_alloc(&s->st, pbx_sip(pbx), msg, cancel_handler, s);
	if (err) {
		mem_deref(s);
		return err;
	}

	list_append(&cs->swaps, &s->le, s);
	*sp = s;

	return 0;
}


bool swap_begin(struct calls *cs, struct acct *acct, const struct sip_msg *msg)
{
	struct pbx *pbx = acct_pbx(acct);
	const struct pbx_cfg *cfg = pbx_cfg(pbx);
	const struct pl callid = replaced(msg);
	struct phones p = { .relay = &cs->relay, .callid = &callid };
	struct swap *s;

	if (cfg->handover != CFG_HANDOVER_RELAY || !cs->relay.phones)
		return false;

	cs->relay.phones(acct_id(acct), phone_handler, &p, cs->relay.arg);
	if (!p.n)
		return false;

	if (swap_alloc(&s, cs, pbx, acct_id(acct), msg)) {
		(void)sip_reply(pbx_sip(pbx), msg, 480, leg_phrase(480));
		return true;
	}

	(void)trying_send(&s->st, pbx_sip(pbx), s->msg);
	tmr_start(&s->tmr, 1000ull * reason_expires(msg, cfg->ring_timeout_s),
		  late_handler, s);
	for (unsigned i = 0; i < p.n && i < copy_breadth(msg); i++)
		ask(s, p.idv[i]);
	if (list_isempty(&s->asked))
		late_handler(s);

	return true;
}


void swap_flow(struct calls *cs, const char *inst)
{
	for (struct le *le = cs->swaps.head; le; le = le->next) {
		const struct swap *s = le->data;

		for (struct le *la = s->asked.head; la; la = la->next) {
			struct asked *a = la->data;

			if (a->lost && cs->relay.again &&
			    !strcmp(a->inst, inst) &&
			    !cs->relay.again(a->out, cs->relay.arg))
				a->lost = false;
		}
	}
}


static bool is_of(const struct swap *s, const struct pl *callid,
		  const struct pl *branch)
{
	return !pl_cmp(&s->msg->callid, callid) &&
	       !pl_cmp(&s->msg->via.branch, branch);
}


void swap_cancel(struct calls *cs, const struct pl *callid,
		 const struct pl *branch, const struct pl *reason)
{
	for (struct le *le = cs->swaps.head; le; le = le->next) {
		struct swap *s = le->data;

		if (reason && s->st && is_of(s, callid, branch))
			reason_text(s->cancel_text, sizeof(s->cancel_text),
				    reason);
	}
}


/* --- answers that no transaction waits for --- */

static struct swap *find(const struct calls *cs, uint64_t acct,
			 const struct sip_msg *resp, const struct pl *branch)
{
	for (struct le *le = cs->swaps.head; le; le = le->next) {
		struct swap *s = le->data;

		if (s->acct == acct && is_of(s, &resp->callid, branch))
			return s;
	}

	return NULL;
}


enum calls_late swap_late(const struct calls *cs, uint64_t acct,
			  const struct sip_msg *resp, const struct pl *branch)
{
	const struct swap *s = find(cs, acct, resp, branch);

	if (!s)
		return CALLS_LATE_FOREIGN;
	if (s->st)
		return CALLS_LATE_WAITED;

	return s->winner && !pl_strcmp(&resp->to.tag, s->winner)
		       ? CALLS_LATE_WON
		       : CALLS_LATE_LOST;
}


const struct sip_msg *swap_invite(const struct calls *cs, uint64_t acct,
				  const struct sip_msg *resp,
				  const struct pl *branch)
{
	const struct swap *s = find(cs, acct, resp, branch);

	return s && s->st ? s->msg : NULL;
}


void swap_rings(struct calls *cs, uint64_t acct, const struct sip_msg *resp,
		const struct pl *branch)
{
	struct swap *s = find(cs, acct, resp, branch);

	if (s && s->st)
		pass_up(s, resp);
}


void swap_refused(struct calls *cs, uint64_t acct, const char *inst,
		  const struct sip_msg *resp, const struct pl *branch)
{
	const struct swap *s = find(cs, acct, resp, branch);

	for (struct le *le = s && s->st ? s->asked.head : NULL; le;
	     le = le->next) {
		struct asked *a = le->data;

		if (!strcmp(a->inst, inst)) {
			refuses(a, resp);
			return;
		}
	}
}


int swap_take(struct calls *cs, uint64_t acct, const struct sip_msg *resp,
	      const struct pl *branch)
{
	struct swap *s = find(cs, acct, resp, branch);

	if (!s || !s->st)
		return ENOENT;

	taken(s, resp);

	return 0;
}
