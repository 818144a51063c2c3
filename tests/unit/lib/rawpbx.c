/**
 * @file rawpbx.c  A PBX on one UDP socket, made of text
 */

#include <string.h>
#include "tests/unit/lib/rawpbx.h"
#include "tests/unit/common/unit.h"


static void send_text(struct rawpbx *p, const struct sa *dst, struct mbuf *mb)
{
	mb->pos = 0;
	assert_int_equal(udp_send(p->us, dst, mb), 0);
	mem_deref(mb);
}


static void copy_headers(struct mbuf *mb, const struct sip_msg *msg,
			 const char *to_tag)
{
	for (struct le *le = msg->hdrl.head; le; le = le->next) {
		const struct sip_hdr *h = le->data;

		if (h->id != SIP_HDR_VIA && h->id != SIP_HDR_FROM &&
		    h->id != SIP_HDR_TO && h->id != SIP_HDR_CALL_ID &&
		    h->id != SIP_HDR_CSEQ)
			continue;
		assert_int_equal(
			mbuf_printf(mb, "%r: %r%s\r\n", &h->name, &h->val,
				    h->id == SIP_HDR_TO ? to_tag : ""),
			0);
	}
}


/* False: it refuses */
static bool keep(struct rawpbx *p, const struct sip_msg *msg)
{
	const struct sip_hdr *h = sip_msg_hdr(msg, SIP_HDR_CONTACT);
	struct sip_addr addr;
	struct pl expires;

	if (!h) {
		++p->looks;
		return true;
	}

	assert_int_equal(sip_addr_decode(&addr, &h->val), 0);
	if (pl_isset(&msg->expires))
		expires = msg->expires;
	else if (msg_param_decode(&addr.params, "expires", &expires))
		pl_set_str(&expires, "300");

	if (!pl_u32(&expires)) {
		++p->removes;
		if (!p->stubborn)
			p->ours[0] = '\0';
		return !p->stubborn;
	}

	++p->registers;
	(void)pl_strcpy(&addr.auri, p->ours, sizeof(p->ours));
	return true;
}


static void on_register(struct rawpbx *p, const struct sa *src,
			const struct sip_msg *msg)
{
	struct mbuf *mb = mbuf_alloc(1024);

	p->peer = *src;
	(void)mbuf_write_str(mb, keep(p, msg) ? "SIP/2.0 200 OK\r\n"
					      : "SIP/2.0 500 No\r\n");
	copy_headers(mb, msg, ";tag=r");
	if (p->ours[0])
		(void)mbuf_printf(mb, "Contact: <%s>;expires=300\r\n",
				  p->ours);
	for (unsigned i = 0; i < RAWPBX_APPS; i++)
		if (p->apps[i][0])
			(void)mbuf_printf(mb, "Contact: <%s>;expires=300\r\n",
					  p->apps[i]);
	(void)mbuf_write_str(mb, "Content-Length: 0\r\n\r\n");
	send_text(p, src, mb);
}


/* Repeats count once */
static void note_asked(struct rawpbx *p, const struct sip_msg *msg)
{
	for (unsigned i = 0; i < p->askedc; i++)
		if (!pl_strcmp(&msg->via.branch, p->askedv[i]))
			return;

	assert_true(p->askedc < RAWPBX_ASKED);
	(void)pl_strcpy(&msg->via.branch, p->askedv[p->askedc++],
			sizeof(p->askedv[0]));
}


static void on_request(struct rawpbx *p, const struct sa *src,
		       const struct sip_msg *msg)
{
	struct mbuf *mb;

	if (!pl_strcmp(&msg->met, "REGISTER")) {
		if (p->deaf)
			note_asked(p, msg);
		else
			on_register(p, src, msg);
		return;
	}

	mb = mbuf_alloc(512);
	(void)mbuf_write_str(mb, "SIP/2.0 200 OK\r\n");
	copy_headers(mb, msg, ";tag=o");
	(void)mbuf_write_str(mb, "Content-Length: 0\r\n\r\n");
	send_text(p, src, mb);
}


static void ack(struct rawpbx *p, const struct sip_msg *msg)
{
	const struct sip_hdr *from = sip_msg_hdr(msg, SIP_HDR_FROM);
	const struct sip_hdr *to = sip_msg_hdr(msg, SIP_HDR_TO);
	const struct sip_hdr *via = sip_msg_hdr(msg, SIP_HDR_VIA);
	struct mbuf *mb = mbuf_alloc(512);

	(void)mbuf_printf(mb,
			  "ACK %s SIP/2.0\r\n"
			  "Via: %r\r\n"
			  "From: %r\r\n"
			  "To: %r\r\n"
			  "Call-ID: %r\r\n"
			  "CSeq: %u ACK\r\n"
			  "Max-Forwards: 70\r\n"
			  "Content-Length: 0\r\n\r\n",
			  p->ours[0] ? p->ours : "sip:gone@127.0.0.1",
			  &via->val, &from->val, &to->val, &msg->callid,
			  msg->cseq.num);
	send_text(p, &p->peer, mb);
}


static void header(char *buf, size_t size, const struct sip_msg *msg,
		   enum sip_hdrid id)
{
	const struct sip_hdr *h = sip_msg_hdr(msg, id);

	if (h)
		(void)pl_strcpy(&h->val, buf, size);
}


static void on_response(struct rawpbx *p, const struct sip_msg *msg)
{
	struct rawpbx_response *r;

	/* on the branch of its INVITE */
	if (!pl_strcmp(&msg->cseq.met, "CANCEL"))
		return;

	assert_true(p->resc < RAWPBX_RESPONSES);
	r = &p->resv[p->resc++];
	memset(r, 0, sizeof(*r));
	r->scode = msg->scode;
	(void)pl_strcpy(&msg->via.branch, r->branch, sizeof(r->branch));
	(void)pl_strcpy(&msg->callid, r->callid, sizeof(r->callid));
	(void)pl_strcpy(&msg->to.tag, r->to_tag, sizeof(r->to_tag));
	header(r->contact, sizeof(r->contact), msg, SIP_HDR_CONTACT);
	header(r->retry_after, sizeof(r->retry_after), msg,
	       SIP_HDR_RETRY_AFTER);
	header(r->unsupported, sizeof(r->unsupported), msg,
	       SIP_HDR_UNSUPPORTED);
	if (msg->scode >= 300 && !pl_strcmp(&msg->cseq.met, "INVITE"))
		ack(p, msg);
}


static void udp_handler(const struct sa *src, struct mbuf *mb, void *arg)
{
	struct rawpbx *p = arg;
	struct sip_msg *msg = NULL;

	assert_int_equal(sip_msg_decode(&msg, mb), 0);
	if (msg->req)
		on_request(p, src, msg);
	else
		on_response(p, msg);
	mem_deref(msg);
}


void rawpbx_open(struct rawpbx *p)
{
	memset(p, 0, sizeof(*p));
	assert_int_equal(sa_set_str(&p->addr, "127.0.0.1", 0), 0);
	assert_int_equal(udp_listen(&p->us, &p->addr, udp_handler, p), 0);
	assert_int_equal(udp_local_get(p->us, &p->addr), 0);
}


void rawpbx_close(struct rawpbx *p)
{
	p->us = mem_deref(p->us);
}


static void request(struct rawpbx *p, const char *met, const char *callid,
		    const char *branch, const char *from, const char *headers)
{
	struct mbuf *mb = mbuf_alloc(1024);

	assert_true(p->ours[0]);
	(void)mbuf_printf(mb,
			  "%s %s SIP/2.0\r\n"
			  "Via: SIP/2.0/UDP %J;branch=z9hG4bK%s;rport\r\n"
			  "From: \"Bob \\\"B\\\"\" <%s>;tag=f%s\r\n"
			  "To: <%s>\r\n"
			  "Call-ID: %s\r\n"
			  "CSeq: 1 %s\r\n"
			  "Contact: <sip:pbx@%J>\r\n"
			  "Max-Forwards: 70\r\n"
			  "%s"
			  "Content-Length: 0\r\n\r\n",
			  met, p->ours, &p->addr, branch, from, callid,
			  p->to ? p->to : "sip:100@pbx.test", callid, met,
			  &p->addr, headers);
	send_text(p, &p->peer, mb);
}


void rawpbx_invite(struct rawpbx *p, const char *callid, const char *branch,
		   const char *from, const char *headers)
{
	request(p, "INVITE", callid, branch, from, headers);
}


void rawpbx_cancel(struct rawpbx *p, const char *callid, const char *branch,
		   const char *from, const char *headers)
{
	request(p, "CANCEL", callid, branch, from, headers);
}


void rawpbx_dialog(struct rawpbx *p, const char *met,
		   const struct rawpbx_response *r, const char *branch,
		   const char *from, const char *headers, const char *body)
{
	struct mbuf *mb = mbuf_alloc(1024);

	assert_true(p->ours[0]);
	(void)mbuf_printf(mb,
			  "%s %s SIP/2.0\r\n"
			  "Via: SIP/2.0/UDP %J;branch=z9hG4bK%s;rport\r\n"
			  "From: <%s>;tag=f%s\r\n"
			  "To: <sip:100@pbx.test>;tag=%s\r\n"
			  "Call-ID: %s\r\n"
			  "CSeq: 2 %s\r\n"
			  "Contact: <sip:pbx@%J>\r\n"
			  "Max-Forwards: 70\r\n"
			  "%s"
			  "Content-Length: %zu\r\n\r\n%s",
			  met, p->ours, &p->addr, branch, from, r->callid,
			  r->to_tag, r->callid, met, &p->addr, headers,
			  strlen(body), body);
	send_text(p, &p->peer, mb);
}


static bool fits(const struct rawpbx_response *r, const char *branch,
		 unsigned scode)
{
	/* behind the magic cookie */
	return !strcmp(r->branch + 7, branch) && (!scode || r->scode == scode);
}


const struct rawpbx_response *rawpbx_response(const struct rawpbx *p,
					      const char *branch,
					      unsigned scode)
{
	for (unsigned i = p->resc; i-- > 0;)
		if (fits(&p->resv[i], branch, scode))
			return &p->resv[i];

	return NULL;
}


unsigned rawpbx_count(const struct rawpbx *p, const char *branch,
		      unsigned scode)
{
	unsigned n = 0;

	for (unsigned i = 0; i < p->resc; i++)
		n += fits(&p->resv[i], branch, scode);

	return n;
}
