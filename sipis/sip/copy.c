/**
 * @file copy.c  A message as a proxy sends it on; RFC 3261 16.6, 16.7
 */

#include <errno.h>
#include <string.h>
#include "sipis/sip/copy.h"


enum { ROOM = 256 /* what we add, about */ };


static int put(struct mbuf *mb, const struct pl *pl)
{
	return mbuf_write_mem(mb, (const uint8_t *)pl->p, pl->l);
}


/* Each message has a few of these, and printf() is dear */
static int put_num(struct mbuf *mb, size_t n)
{
	char text[24], *p = text + sizeof(text);

	do {
		*--p = (char)('0' + n % 10);
		n /= 10;
	} while (n);

	return mbuf_write_mem(mb, (uint8_t *)p,
			      (size_t)(text + sizeof(text) - p));
}


static int put_field(struct mbuf *mb, const char *name, size_t n)
{
	int err = mbuf_write_str(mb, name);

	err |= put_num(mb, n);

	return err | mbuf_write_mem(mb, (const uint8_t *)"\r\n", 2);
}


static int put_status(struct mbuf *mb, uint16_t scode, const struct pl *reason)
{
	int err = mbuf_write_str(mb, "SIP/2.0 ");

	err |= put_num(mb, scode);
	err |= mbuf_write_u8(mb, ' ');
	if (pl_isset(reason))
		err |= put(mb, reason);

	return err | mbuf_write_mem(mb, (const uint8_t *)"\r\n", 2);
}


/* It stands in its message as we would write it: what is behind a value is
   its line's end and the empty line at least */
static bool is_plain(const struct sip_hdr *hdr)
{
	const char *end = hdr->name.p + hdr->name.l;

	return pl_isset(&hdr->val) && hdr->val.p == end + 2 &&
	       !memcmp(end, ": ", 2) &&
	       !memcmp(hdr->val.p + hdr->val.l, "\r\n", 2);
}


static int put_header(struct mbuf *mb, const struct sip_hdr *hdr)
{
	int err;

	if (is_plain(hdr))
		return mbuf_write_mem(mb, (const uint8_t *)hdr->name.p,
				      hdr->name.l + hdr->val.l + 4);

	err = put(mb, &hdr->name);
	err |= mbuf_write_mem(mb, (const uint8_t *)": ", 2);
	err |= put(mb, &hdr->val);
	err |= mbuf_write_mem(mb, (const uint8_t *)"\r\n", 2);

	return err;
}


struct pl copy_body(const struct sip_msg *msg)
{
	struct pl body = { (const char *)mbuf_buf(msg->mb),
			   mbuf_get_left(msg->mb) };

	if (pl_isset(&msg->clen) && pl_u32(&msg->clen) < body.l)
		body.l = pl_u32(&msg->clen);

	return body;
}


static int put_body(struct mbuf *mb, const struct sip_msg *msg)
{
	const struct pl body = copy_body(msg);
	int err = 0;

	/* over UDP it may be left out, over TCP it may not */
	if (!pl_isset(&msg->clen))
		err = put_field(mb, "Content-Length: ", body.l);
	err |= mbuf_write_mem(mb, (const uint8_t *)"\r\n", 2);

	return err | put(mb, &body);
}


static size_t skip_blanks(const struct pl *pl, size_t i)
{
	while (i < pl->l && (pl->p[i] == ' ' || pl->p[i] == '\t'))
		++i;

	return i;
}


/* ";rport" without a value, as it stands in a Via; false: there is none */
static bool rport_find(struct pl *rport, const struct sip_msg *msg)
{
	static const char name[] = "rport";
	const size_t len = sizeof(name) - 1;
	const struct pl *p = &msg->via.params;

	for (size_t i = 0; i < p->l; i++) {
		size_t at;

		if (p->p[i] != ';')
			continue;

		at = skip_blanks(p, i + 1);
		if (at + len > p->l || strncasecmp(p->p + at, name, len))
			continue;

		at = skip_blanks(p, at + len);
		if (at < p->l && p->p[at] != ';')
			continue;

		rport->p = p->p + i;
		rport->l = at - i;
		return true;
	}

	return false;
}


static int put_top_via(struct mbuf *mb, const struct sip_msg *msg,
		       const struct sip_hdr *hdr)
{
	char addr[64];
	struct pl rport;
	bool asked = false;
	int err = put(mb, &hdr->name);

	err |= mbuf_write_mem(mb, (const uint8_t *)": ", 2);
	if (rport_find(&rport, msg)) {
		asked = true;
		err |= mbuf_write_pl_skip(mb, &hdr->val, &rport);
		err |= mbuf_write_str(mb, ";rport=");
		err |= put_num(mb, sa_port(&msg->src));
	}
	else {
		err |= put(mb, &hdr->val);
	}

	if ((asked || !sa_cmp(&msg->src, &msg->via.addr, SA_ADDR)) &&
	    !sa_ntop(&msg->src, addr, sizeof(addr))) {
		err |= mbuf_write_str(mb, ";received=");
		err |= mbuf_write_str(mb, addr);
	}

	return err | mbuf_write_mem(mb, (const uint8_t *)"\r\n", 2);
}


static int put_cseq(struct mbuf *mb, const struct sip_msg *msg, uint32_t cseq)
{
	return mbuf_printf(mb, "CSeq: %u %r\r\n", cseq, &msg->cseq.met);
}


/* The field's word for it before RFC 3325 was there */
static bool is_asserted(const struct sip_hdr *hdr)
{
	static const char old[] = "Remote-Party-ID";

	return hdr->id == SIP_HDR_P_ASSERTED_IDENTITY ||
	       (hdr->name.l == sizeof(old) - 1 &&
		!pl_strcasecmp(&hdr->name, old));
}


static int put_request(struct mbuf *mb, const struct sip_msg *msg,
		       const struct copy_prm *prm)
{
	unsigned routes = 0;
	bool via = false;
	int err = 0;

	for (struct le *le = msg->hdrl.head; le && !err; le = le->next) {
		const struct sip_hdr *hdr = le->data;

		switch (hdr->id) {
		case SIP_HDR_MAX_FORWARDS:
		case SIP_HDR_MAX_BREADTH:
			break;
		case SIP_HDR_ROUTE:
			if (routes++ >= prm->pop)
				err = put_header(mb, hdr);
			break;
		case SIP_HDR_VIA:
			err = via ? put_header(mb, hdr)
				  : put_top_via(mb, msg, hdr);
			via = true;
			break;
		case SIP_HDR_CSEQ:
			err = prm->cseq_add
				      ? put_cseq(mb, msg,
						 msg->cseq.num +
							 (uint32_t)
								 prm->cseq_add)
				      : put_header(mb, hdr);
			break;
		default:
			if (prm->asserts_nothing && is_asserted(hdr))
				break;
			if (!prm->headerh ||
			    !prm->headerh(mb, hdr, &err, prm->arg))
				err |= put_header(mb, hdr);
			break;
		}
	}

	return err;
}


int copy_request(struct mbuf **mbp, const struct sip_msg *msg,
		 const struct copy_prm *prm)
{
	const uint32_t hops =
		pl_isset(&msg->maxfwd) ? pl_u32(&msg->maxfwd) : COPY_HOPS + 1;
	struct mbuf *mb;
	int err;

	if (!hops)
		return ELOOP;

	mb = mbuf_alloc(msg->mb->end + ROOM +
			(prm->record_route ? str_len(prm->record_route) : 0));
	if (!mb)
		return ENOMEM;

	err = put_field(mb, "Max-Forwards: ", (hops > 255 ? 255 : hops) - 1);
	err |= put_field(mb, "Max-Breadth: ",
			 prm->breadth ? prm->breadth : copy_breadth(msg));
	if (prm->record_route)
		err |= mbuf_write_str(mb, prm->record_route);
	err |= put_request(mb, msg, prm);
	err |= put_body(mb, msg);
	mb->pos = 0;

	if (err)
		mem_deref(mb);
	else
		*mbp = mb;

	return err;
}


static int put_vias(struct mbuf *mb, const struct sip_msg *req)
{
	bool top = true;
	int err = 0;

	for (struct le *le = req->hdrl.head; le && !err; le = le->next) {
		const struct sip_hdr *hdr = le->data;

		if (hdr->id != SIP_HDR_VIA)
			continue;
		err = top ? put_top_via(mb, req, hdr) : put_header(mb, hdr);
		top = false;
	}

	return err;
}


/* It would say that nothing at all can pass us, and a PBX would take all
   accounts elsewhere for one phone */
static bool is_unavailable(const struct sip_msg *msg)
{
	return msg->scode == 503;
}


/* req: whose Vias it gets, NULL: its own without the top one */
static int response(struct mbuf **mbp, const struct sip_msg *msg,
		    uint16_t scode, const char *reason, uint32_t cseq,
		    const struct sip_msg *req)
{
	struct mbuf *mb =
		mbuf_alloc(msg->mb->end + ROOM + (req ? req->mb->end : 0));
	struct pl text = msg->reason;
	bool via = false;
	int err;

	if (!mb)
		return ENOMEM;

	if (!scode && is_unavailable(msg)) {
		scode = 500;
		reason = "Server Internal Error";
	}
	if (scode)
		pl_set_str(&text, reason);
	err = put_status(mb, scode ? scode : msg->scode, &text);
	if (req)
		err |= put_vias(mb, req);

	for (struct le *le = msg->hdrl.head; le && !err; le = le->next) {
		const struct sip_hdr *hdr = le->data;

		if (hdr->id == SIP_HDR_VIA && (!via || req))
			via = true;
		else if (hdr->id == SIP_HDR_RETRY_AFTER && is_unavailable(msg))
			continue;
		else if (hdr->id == SIP_HDR_CSEQ && cseq != msg->cseq.num)
			err = put_cseq(mb, msg, cseq);
		else
			err = put_header(mb, hdr);
	}
	err = err ? err : put_body(mb, msg);
	mb->pos = 0;

	if (err)
		mem_deref(mb);
	else
		*mbp = mb;

	return err;
}


int copy_response(struct mbuf **mbp, const struct sip_msg *msg, uint16_t scode,
		  const char *reason)
{
	return response(mbp, msg, scode, reason, msg->cseq.num, NULL);
}


int copy_response_to(struct mbuf **mbp, const struct sip_msg *msg,
		     uint32_t cseq)
{
	return response(mbp, msg, 0, NULL, cseq, NULL);
}


int copy_response_for(struct mbuf **mbp, const struct sip_msg *msg,
		      uint16_t scode, const char *reason,
		      const struct sip_msg *req)
{
	return response(mbp, msg, scode, reason, msg->cseq.num, req);
}


/* To goes as it came: a 100 needs no tag of ours */
static int put_trying(struct mbuf *mb, const struct sip_msg *req)
{
	static const struct pl reason = PL("Trying");
	int err = put_status(mb, 100, &reason);

	err |= put_vias(mb, req);
	for (struct le *le = req->hdrl.head; le && !err; le = le->next) {
		const struct sip_hdr *hdr = le->data;

		switch (hdr->id) {
		case SIP_HDR_FROM:
		case SIP_HDR_TO:
		case SIP_HDR_CALL_ID:
		case SIP_HDR_CSEQ:
		case SIP_HDR_TIMESTAMP:
			err = put_header(mb, hdr);
			break;
		default:
			break;
		}
	}

	return err | mbuf_write_str(mb, "Content-Length: 0\r\n\r\n");
}


int copy_trying(struct mbuf **mbp, const struct sip_msg *req)
{
	struct mbuf *mb = mbuf_alloc(req->mb->end + ROOM);
	int err;

	if (!mb)
		return ENOMEM;

	err = put_trying(mb, req);
	mb->pos = 0;

	if (err)
		mem_deref(mb);
	else
		*mbp = mb;

	return err;
}


void copy_reply_addr(struct sa *dst, const struct sip_msg *msg)
{
	struct pl pl;

	sip_reply_addr(dst, msg, rport_find(&pl, msg));
}


uint32_t copy_breadth(const struct sip_msg *msg)
{
	const struct sip_hdr *hdr = sip_msg_hdr(msg, SIP_HDR_MAX_BREADTH);

	return hdr ? pl_u32(&hdr->val) : COPY_BREADTH;
}
