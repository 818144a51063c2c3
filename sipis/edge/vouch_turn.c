/**
 * @file vouch_turn.c  A request whose challenges we answer: one turn of it
 *
 * Its CSeq and those that it names, its route, its credentials.
 */

#include <errno.h>
#include <string.h>
#include "common/log.h"
#include "sipis/edge/flow.h"
#include "sipis/edge/turns.h"
#include "sipis/edge/vouch_impl.h"
#include "sipis/sip/digest.h"


bool edge_vouch_is(const struct edge_vouch *v, const char *met)
{
	return !strcmp(v->met, met);
}


/* --- its headers --- */

static int splice(struct mbuf *mb, const struct sip_hdr *hdr,
		  const struct pl *num, uint32_t cseq)
{
	const struct pl head = { hdr->val.p, (size_t)(num->p - hdr->val.p) };
	const struct pl tail = { num->p + num->l,
				 hdr->val.l - head.l - num->l };

	return mbuf_printf(mb, "%r: %r%u%r\r\n", &hdr->name, &head, cseq,
			   &tail);
}


unsigned edge_vouch_turn_of(const struct edge_vouch *v, uint32_t cseq)
{
	const struct edge_turn_key key = { v->phone, &v->msg->callid, cseq };

	return edge_turns_get(v->prm.edge->turns, &key,
			      v->signed_ ? v->stride.turn : 0);
}


static uint32_t named(const struct edge_vouch *v, const struct pl *num)
{
	const uint32_t cseq = pl_u32(num);

	return edge_stride_out(&v->stride, cseq, edge_vouch_turn_of(v, cseq));
}


/* A client may show what it told the edge, or the credential of its instance:
   neither is for the PBX */
static bool is_ours(const struct edge_vouch *v, const struct pl *val)
{
	struct httpauth_digest_resp resp;

	return !re_regex(val->p, val->l < 7 ? val->l : 7, "Bearer ") ||
	       (v->realm && !httpauth_digest_response_decode(&resp, val) &&
		!pl_strcmp(&resp.realm, v->realm));
}


static bool header_handler(struct mbuf *mb, const struct sip_hdr *hdr,
			   int *err, void *arg)
{
	const struct edge_vouch *v = arg;
	struct pl num;

	switch (hdr->id) {
	case SIP_HDR_RACK:
		if (!edge_stride_rack(&num, &hdr->val))
			return false;
		*err |= splice(mb, hdr, &num, named(v, &num));
		return true;
	case SIP_HDR_EVENT:
		if (!edge_vouch_is(v, "SUBSCRIBE") ||
		    !edge_stride_refer(&num, &hdr->val))
			return false;
		*err |= splice(mb, hdr, &num, named(v, &num));
		return true;
	case SIP_HDR_AUTHORIZATION:
	case SIP_HDR_PROXY_AUTHORIZATION:
		return is_ours(v, &hdr->val);
	default:
		return false;
	}
}


bool edge_vouch_event(struct mbuf *mb, const struct sip_hdr *hdr, int *err,
		      void *arg)
{
	const struct edge_stride *stride = arg;
	struct pl num;

	if (hdr->id != SIP_HDR_EVENT || !edge_stride_refer(&num, &hdr->val))
		return false;

	*err |= splice(mb, hdr, &num, edge_stride_in(stride, pl_u32(&num)));

	return true;
}


/* --- its credentials --- */

static int credential_put(struct mbuf *mb, const struct edge_vouch *v,
			  struct digest_nonce *nonce)
{
	const struct edge *e = v->prm.edge;
	const struct acct *acct = reg_find(e->prm.reg, v->acct);
	uint8_t ha1[CRED_HA1_MAX];
	char *uri = NULL;
	struct acct_row row;
	struct pl realm;
	int err;

	if (!acct)
		return EACCES;

	acct_row_fill(&row, acct);
	pl_set_str(&realm, v->realm);
	if (!edge_ha1(ha1, e, &row, digest_nonce_alg(nonce), &realm)) {
		log_warning("edge", NULL, "secret of %s@%s does not open",
			    row.user, row.domain);
		return EACCES;
	}

	err = pl_strdup(&uri, &v->msg->ruri);
	err = err ? err
		  : digest_authorize(mb, nonce, row.auth_user, ha1, v->met,
				     uri);
	explicit_bzero(ha1, sizeof(ha1));
	mem_deref(uri);

	return err;
}


static int lines_print(struct mbuf *mb, const struct edge_vouch *v,
		       const struct edge_binding *b)
{
	struct edge_stride stride = v->stride;
	char rr[EDGE_ROUTE] = "";
	int err = 0;

	if (!v->signed_)
		stride.turn = (uint8_t)v->turn;
	if (edge_records(v->msg))
		err = edge_record_route(rr, sizeof(rr), b, &v->msg->callid,
					&stride, &v->laddr, v->prm.tp, false);
	err = err ? err : mbuf_write_str(mb, rr);
	for (int i = 0; !err && i < 2; i++)
		if (v->credv[i].nonce)
			err = credential_put(mb, v, v->credv[i].nonce);

	return err;
}


int edge_vouch_turn(struct edge_vouch *v, const struct edge_binding *b)
{
	struct mbuf *mb = mbuf_alloc(2 * EDGE_ROUTE);
	int err = mb ? 0 : ENOMEM;

	if (!err && b)
		err = lines_print(mb, v, b);
	v->lines = mem_deref(v->lines);
	if (!err && mb->end) {
		mb->pos = 0;
		err = mbuf_strdup(mb, &v->lines, mb->end);
	}
	mem_deref(mb);

	v->prm.copy.record_route = v->lines;
	v->prm.copy.cseq_add =
		(int32_t)(edge_stride_out(&v->stride, v->msg->cseq.num,
					  v->turn) -
			  v->msg->cseq.num);
	v->prm.copy.headerh = header_handler;
	v->prm.copy.arg = v;

	return err;
}
