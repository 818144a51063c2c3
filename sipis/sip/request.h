/**
 * @file request.h  One request to the PBX, whatever the transport
 *
 * Over UDP by utrans.h, over TCP and TLS by libre; one answer either way.
 */

#ifndef SIPIS_REQUEST_H
#define SIPIS_REQUEST_H

#include "sipis/sip/answer.h"
#include "sipis/sip/pbx.h"

struct request;

/** Once, with a final answer or with err (errno); the request is gone then */
typedef void(request_h)(int err, const struct answer *ans, void *arg);

struct request_prm {
	const char *met, *uri;
	const struct sa *dst;
	enum sip_transp tp;
	const struct uri *route; /**< the same place as dst, for libre */
	struct mbuf *mb;         /**< all behind the Via */
	uint32_t timeout_ms;     /**< 0: 32 s, as RFC 3261 has it */
	request_h *h;
	void *arg;
};

/** mem_deref(*rp) forgets it quietly.  h is never called from in here */
int pbx_request(struct request **rp, struct pbx *pbx,
		const struct request_prm *prm);

#endif
