/**
 * @file sipis/edge/sdp.c  The session description in a message
 */

#include <errno.h>
#include <string.h>
#include "sipis/edge/sdp.h"
#include "sipis/sip/copy.h"


static const char *find(const struct pl *in, const char *what, size_t len)
{
	return in->l ? memmem(in->p, in->l, what, len) : NULL;
}


/* What stands in front of the mark, and what behind it */
static bool split(struct pl *front, struct pl *rest, const char *mark,
		  size_t len)
{
	const char *at = find(rest, mark, len);

	if (!at)
		return false;

	front->p = rest->p;
	front->l = (size_t)(at - rest->p);
	pl_advance(rest, (ssize_t)(front->l + len));

	return true;
}


static bool is_sdp(const struct pl *headers)
{
	return !re_regex(headers->p, headers->l,
			 "Content-Type:[ \t]*application/sdp", NULL);
}


/* RFC 2046 5.1: CRLF--boundary ends a part and begins the next one; the body
   may begin with one, without a CRLF */
static bool part(struct pl *sdp, const struct pl *body,
		 const struct pl *boundary)
{
	struct pl rest = *body, headers, content;
	char mark[80];

	if (re_snprintf(mark, sizeof(mark), "\r\n--%r", boundary) < 0 ||
	    !split(&headers, &rest, mark + 2, strlen(mark + 2)))
		return false;

	while (split(&headers, &rest, "\r\n\r\n", 4) &&
	       split(&content, &rest, mark, strlen(mark))) {
		if (!is_sdp(&headers))
			continue;
		*sdp = content;
		return content.l > 0;
	}

	return false;
}


bool edge_sdp(struct pl *sdp, const struct sip_msg *msg)
{
	const struct pl body = copy_body(msg);
	struct pl boundary;

	if (!body.l)
		return false;

	if (msg_ctype_cmp(&msg->ctyp, "application", "sdp")) {
		*sdp = body;
		return true;
	}
	if (!msg_ctype_cmp(&msg->ctyp, "multipart", "mixed") ||
	    msg_param_decode(&msg->ctyp.params, "boundary", &boundary))
		return false;

	if (boundary.l > 1 && *boundary.p == '"') {
		pl_advance(&boundary, 1);
		--boundary.l;
	}

	return part(sdp, &body, &boundary);
}


static int head_print(struct mbuf *mb, const struct sip_msg *msg)
{
	int err = msg->req ? mbuf_printf(mb, "%r %r SIP/2.0\r\n", &msg->met,
					 &msg->ruri)
			   : mbuf_printf(mb, "SIP/2.0 %u %r\r\n", msg->scode,
					 &msg->reason);

	for (struct le *le = msg->hdrl.head; le && !err; le = le->next) {
		const struct sip_hdr *hdr = le->data;

		if (hdr->id != SIP_HDR_CONTENT_LENGTH)
			err = mbuf_printf(mb, "%r: %r\r\n", &hdr->name,
					  &hdr->val);
	}

	return err;
}


static int print(struct mbuf *mb, const struct sip_msg *msg,
		 const struct pl *sdp)
{
	struct pl body = copy_body(msg), old, front, back;
	int err = head_print(mb, msg);

	if (err || !edge_sdp(&old, msg))
		return err ? err : ENOENT;

	front.p = body.p;
	front.l = (size_t)(old.p - body.p);
	back.p = old.p + old.l;
#ifndef PLANT_BUG /* for tests/fuzz/run.sh planted, never for use */
	back.l = body.l - front.l - old.l;
#else
	back.l = body.l - front.l;
#endif
	err = mbuf_printf(mb, "Content-Length: %zu\r\n\r\n%r%r%r",
			  front.l + sdp->l + back.l, &front, sdp, &back);
	mb->pos = 0;

	return err;
}


int edge_sdp_replace(struct sip_msg **mp, const struct sip_msg *msg,
		     const struct pl *sdp)
{
	struct mbuf *mb = mbuf_alloc(msg->mb->end + sdp->l);
	struct sip_msg *m;
	int err;

	if (!mb)
		return ENOMEM;

	err = print(mb, msg, sdp);
	err = err ? err : sip_msg_decode(&m, mb);
	mem_deref(mb);
	if (err)
		return err;

	m->src = msg->src;
	m->dst = msg->dst;
	m->tp = msg->tp;
	m->tag = msg->tag;
	m->sock = mem_ref(msg->sock);
	*mp = m;

	return 0;
}
