/**
 * @file echo.c  The 2xx that have gone up with another SDP
 *
 * Each comes again until its ACK arrives (RFC 3261 13.3.1.4), 32 s at most,
 * and what knew its offer is over by then.
 */

#include <errno.h>
#include <string.h>
#include "sipis/edge/priv.h"
#include "sipis/edge/sdp.h"


enum { KEEP_MS = 64 * SIP_T1 };

struct echo {
	struct le he;
	struct tmr tmr;
	char *call;
	struct mbuf *was, *is; /**< its SDP; is NULL: the same */
};


static void destructor(void *data)
{
	struct echo *x = data;

	hash_unlink(&x->he);
	tmr_cancel(&x->tmr);
	mem_deref(x->call);
	mem_deref(x->was);
	mem_deref(x->is);
}


static void late_handler(void *arg)
{
	mem_deref(arg);
}


static int keep(struct mbuf **mbp, const struct sip_msg *msg)
{
	struct mbuf *mb;
	struct pl sdp;
	int err;

	if (!edge_sdp(&sdp, msg))
		sdp = pl_null;

	mb = mbuf_alloc(sdp.l ? sdp.l : 1);
	if (!mb)
		return ENOMEM;

	err = sdp.l ? mbuf_write_mem(mb, (const uint8_t *)sdp.p, sdp.l) : 0;
	mb->pos = 0;
	if (err)
		mem_deref(mb);
	else
		*mbp = mb;

	return err;
}


void edge_echo_keep(struct edge *e, const char *call,
		    const struct sip_msg *was, const struct sip_msg *is)
{
	struct echo *x = mem_zalloc(sizeof(*x), destructor);
	int err;

	if (!x)
		return;

	err = str_dup(&x->call, call);
	err = err ? err : keep(&x->was, was);
	if (!err && is != was)
		err = keep(&x->is, is);
	if (err) {
		mem_deref(x);
		return;
	}

	hash_append(e->echoes, hash_joaat_str(call), &x->he, x);
	tmr_start(&x->tmr, KEEP_MS, late_handler, x);
}


static bool is_same(const struct echo *x, const struct pl *sdp)
{
	return x->was->end == sdp->l &&
	       (!sdp->l || !memcmp(x->was->buf, sdp->p, sdp->l));
}


bool edge_echo_find(struct sip_msg **mp, const struct edge *e,
		    const char *call, const struct sip_msg *resp)
{
	struct pl sdp;

	if (!edge_sdp(&sdp, resp))
		sdp = pl_null;

	for (struct le *le =
		     list_head(hash_list(e->echoes, hash_joaat_str(call)));
	     le; le = le->next) {
		const struct echo *x = le->data;
		struct pl is;

		if (strcmp(x->call, call) || !is_same(x, &sdp))
			continue;
		if (!x->is) {
			*mp = mem_ref((void *)resp);
			return true;
		}
		is.p = (const char *)x->is->buf;
		is.l = x->is->end;
		return !edge_sdp_replace(mp, resp, &is);
	}

	return false;
}
