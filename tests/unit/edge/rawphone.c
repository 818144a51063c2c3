/**
 * @file rawphone.c  A phone on one UDP socket, made of text
 */

#include <string.h>
#include "tests/unit/common/unit.h"
#include "tests/unit/common/loop.h"
#include "tests/unit/edge/rawphone.h"


struct word {
	struct le le;
	struct sip_msg *msg;
};


static void word_destructor(void *data)
{
	struct word *w = data;

	list_unlink(&w->le);
	mem_deref(w->msg);
}


static void recv_handler(const struct sa *src, struct mbuf *mb, void *arg)
{
	struct rawphone *p = arg;
	struct sip_msg *msg;
	struct word *w;

	assert_int_equal(sip_msg_decode(&msg, mb), 0);
	if (!sa_isset(&p->edge, SA_ALL))
		p->edge = *src;
	if (!msg->req) {
		if (p->waits)
			re_cancel();
		p->waits = false;
		mem_deref(msg);
		return;
	}

	w = mem_zalloc(sizeof(*w), word_destructor);
	assert_non_null(w);
	msg->src = *src;
	w->msg = msg;
	list_append(&p->heard, &w->le, w);
}


void rawphone_open(struct rawphone *p, const struct sa *edge)
{
	struct sa laddr;

	memset(p, 0, sizeof(*p));
	if (edge)
		p->edge = *edge;
	assert_int_equal(sa_set_str(&laddr, "127.0.0.1", 0), 0);
	assert_int_equal(udp_listen(&p->us, &laddr, recv_handler, p), 0);
	assert_int_equal(udp_local_get(p->us, &p->addr), 0);
}


void rawphone_close(struct rawphone *p)
{
	rawphone_forget(p);
	p->us = mem_deref(p->us);
}


void rawphone_forget(struct rawphone *p)
{
	list_flush(&p->heard);
}


void rawphone_say(struct rawphone *p, const char *fmt, ...)
{
	struct mbuf *mb = mbuf_alloc(1024);
	va_list ap;

	assert_non_null(mb);
	va_start(ap, fmt);
	assert_int_equal(mbuf_vprintf(mb, fmt, ap), 0);
	va_end(ap);
	mb->pos = 0;
	assert_int_equal(udp_send(p->us, &p->edge, mb), 0);
	mem_deref(mb);
}


static int vias(struct re_printf *pf, const struct sip_msg *msg)
{
	int err = 0;

	for (struct le *le = msg->hdrl.head; le && !err; le = le->next) {
		const struct sip_hdr *h = le->data;

		if (h->id == SIP_HDR_VIA)
			err = re_hprintf(pf, "Via: %r\r\n", &h->val);
	}

	return err;
}


void rawphone_answer(struct rawphone *p, const struct sip_msg *req,
		     const char *what)
{
	rawphone_say(p,
		     "SIP/2.0 %s\r\n"
		     "%H"
		     "From: %r\r\n"
		     "To: %r%s\r\n"
		     "Call-ID: %r\r\n"
		     "CSeq: %u %r\r\n"
		     "Content-Length: 0\r\n\r\n",
		     what, vias, req, &req->from.val, &req->to.val,
		     pl_isset(&req->to.tag) ? "" : ";tag=phone", &req->callid,
		     req->cseq.num, &req->cseq.met);
}


static bool fits(const struct word *w, const char *met)
{
	return !met || !pl_strcmp(&w->msg->met, met);
}


unsigned rawphone_count(const struct rawphone *p, const char *met)
{
	unsigned n = 0;

	for (struct le *le = p->heard.head; le; le = le->next)
		n += fits(le->data, met);

	return n;
}


const struct sip_msg *rawphone_last(const struct rawphone *p, const char *met)
{
	for (struct le *le = p->heard.tail; le; le = le->prev) {
		const struct word *w = le->data;

		if (fits(w, met))
			return w->msg;
	}

	return NULL;
}


static void round_trip(struct rawphone *p)
{
	const unsigned n = ++p->rounds;

	p->waits = true;
	rawphone_say(p,
		     "OPTIONS sip:%J SIP/2.0\r\n"
		     "Via: SIP/2.0/UDP %J;branch=z9hG4bKround%u\r\n"
		     "Max-Forwards: 70\r\n"
		     "From: <sip:100@demo.test>;tag=p\r\n"
		     "To: <sip:%J>\r\n"
		     "Call-ID: round\r\n"
		     "CSeq: %u OPTIONS\r\n"
		     "Content-Length: 0\r\n\r\n",
		     &p->edge, &p->addr, n, &p->edge, n);
	loop_run();
}


/* Twice: the first may be answered before the timers that are due */
void rawphone_settle(struct rawphone *p)
{
	round_trip(p);
	round_trip(p);
}
