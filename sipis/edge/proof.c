/**
 * @file proof.c  What a REGISTER brings to show who sends it
 */

#include <errno.h>
#include <string.h>
#include "common/clock.h"
#include "common/ident.h"
#include "common/secret.h"
#include "sipis/edge/priv.h"
#include "sipis/edge/proof.h"
#include "sipis/sip/digest.h"


static bool digest_decode(struct httpauth_digest_resp *resp,
			  const struct sip_hdr *hdr)
{
	return hdr->id == SIP_HDR_AUTHORIZATION &&
	       !httpauth_digest_response_decode(resp, &hdr->val) &&
	       pl_isset(&resp->nonce) && pl_isset(&resp->response) &&
	       pl_isset(&resp->username) && pl_isset(&resp->uri);
}


void edge_proof_read(struct edge_proof *p, const struct edge *e,
		     const struct sip_msg *msg)
{
	struct httpauth_digest_resp r;
	char aor[EDGE_AOR];
	const struct edge_asked who = { &msg->src, aor };

	edge_aor_print(aor, msg);
	p->nonce = EDGE_NONCE_FOREIGN;
	p->several = false;
	for (struct le *le = msg->hdrl.head; le; le = le->next) {
		enum edge_nonce n;

		if (!digest_decode(&r, le->data))
			continue;
		n = edge_nonce_read(&r.nonce, &e->key, &who,
				    clock_wall_ms() / 1000);
		/* it moved, or was ours under another name: its password may
		   well be right */
		if (n == EDGE_NONCE_FOREIGN && r.nonce.l == EDGE_NONCE_LEN)
			n = EDGE_NONCE_STALE;
		if (n < p->nonce) {
			p->nonce = n;
			p->resp = r;
			p->several = false;
		}
		else if (n == p->nonce && n != EDGE_NONCE_FOREIGN &&
			 !pl_cmp(&r.nonce, &p->resp.nonce)) {
			p->several = true;
		}
	}
}


static bool hash_hex(char *dst, enum digest_alg alg,
		     const struct digest_part *v, size_t n)
{
	uint8_t md[DIGEST_MAX];
	const size_t len = digest_hash(md, alg, v, n);

	ident_hex(dst, md, len);

	return len != 0;
}


#define PART(pl)               \
	{                      \
		(pl).p, (pl).l \
	}
#define TEXT(s)                \
	{                      \
		(s), strlen(s) \
	}

/** RFC 7616 3.4.1 */
static bool response_of(char *dst, enum digest_alg alg, const uint8_t *ha1,
			size_t ha1_len, const struct pl *met,
			const struct httpauth_digest_resp *r)
{
	char a1[2 * DIGEST_MAX + 1], a2[2 * DIGEST_MAX + 1];
	const struct digest_part two[] = { PART(*met),
					   { ":", 1 },
					   PART(r->uri) };

	ident_hex(a1, ha1, ha1_len);
	if (!hash_hex(a2, alg, two, sizeof(two) / sizeof(two[0])))
		return false;

	if (pl_isset(&r->qop)) {
		const struct digest_part v[] = {
			TEXT(a1),     { ":", 1 }, PART(r->nonce),  { ":", 1 },
			PART(r->nc),  { ":", 1 }, PART(r->cnonce), { ":", 1 },
			PART(r->qop), { ":", 1 }, TEXT(a2),
		};

		return hash_hex(dst, alg, v, sizeof(v) / sizeof(v[0]));
	}
	else {
		const struct digest_part v[] = {
			TEXT(a1),   { ":", 1 }, PART(r->nonce),
			{ ":", 1 }, TEXT(a2),
		};

		return hash_hex(dst, alg, v, sizeof(v) / sizeof(v[0]));
	}
}


static enum digest_alg alg_of(const struct httpauth_digest_resp *r)
{
	return r->response.l == 64 ? DIGEST_SHA256 : DIGEST_MD5;
}


bool edge_proof_right(const struct edge *e, const struct sip_msg *msg,
		      const struct acct_row *row,
		      const struct httpauth_digest_resp *r)
{
	const enum digest_alg alg = alg_of(r);
	char wanted[2 * DIGEST_MAX + 1];
	uint8_t ha1[CRED_HA1_MAX];
	size_t len = edge_ha1(ha1, e, row, alg, &r->realm);
	bool ok;

	ok = len && response_of(wanted, alg, ha1, len, &msg->met, r) &&
	     strlen(wanted) == r->response.l &&
	     secret_equal(wanted, r->response.p, r->response.l);
	explicit_bzero(ha1, sizeof(ha1));

	return ok;
}


bool edge_proof_amiss(const struct acct_row *row,
		      const struct httpauth_digest_resp *r)
{
	return (str_isset(row->realm) && pl_strcmp(&r->realm, row->realm)) ||
	       (row->sealed_is_ha1 && row->alg != alg_of(r));
}


void edge_proof_choose(struct edge_proof *p, const struct sip_msg *msg,
		       const struct acct_row *row)
{
	struct le *le = p->several ? msg->hdrl.head : NULL;
	struct httpauth_digest_resp r;

	for (; le; le = le->next)
		if (digest_decode(&r, le->data) &&
		    !pl_cmp(&r.nonce, &p->resp.nonce) &&
		    !edge_proof_amiss(row, &r))
			p->resp = r;
}


/* Without qop there is no count: such an answer is good once */
bool edge_proof_new(struct edge *e, const struct httpauth_digest_resp *r)
{
	return edge_spent_take(e->spent, &r->nonce,
			       pl_isset(&r->qop) ? pl_x32(&r->nc) : 1,
			       (uint32_t)(clock_wall_ms() / 1000));
}


static bool bearer_find(const struct sip_hdr *hdr, const struct sip_msg *msg,
			void *arg)
{
	(void)msg;

	return !re_regex(hdr->val.p, hdr->val.l, "Bearer[ ]+[^ ]+", NULL, arg);
}


bool edge_proof_bearer(char id[STORE_ID_LEN + 1], uint8_t sha256[32],
		       const struct sip_msg *msg)
{
	struct pl text = PL_INIT;

	if (msg->tp != SIP_TRANSP_TLS ||
	    !sip_msg_hdr_apply(msg, true, SIP_HDR_AUTHORIZATION, bearer_find,
			       &text) ||
	    text.l != STORE_ID_LEN + 1 + STORE_SECRET_LEN ||
	    text.p[STORE_ID_LEN] != '.')
		return false;

	memcpy(id, text.p, STORE_ID_LEN);
	id[STORE_ID_LEN] = '\0';

	return !secret_sha256(sha256, text.p + STORE_ID_LEN + 1,
			      STORE_SECRET_LEN);
}
