/**
 * @file request.c  One request to the PBX, whatever the transport
 */

#include <errno.h>
#include "sipis/sip/priv.h"
#include "sipis/sip/request.h"


struct request {
	struct pbx *pbx;
	struct request **rp;
	struct utrans *u;
	struct sip_request *req;
	struct tmr tmr;
	request_h *h;
	void *arg;
};


static void request_destructor(void *data)
{
	struct request *r = data;

	tmr_cancel(&r->tmr);
	mem_deref(r->u);
	mem_deref(r->req);
}


static void request_done(int err, const struct answer *ans, void *arg)
{
	struct request *r = arg;
	request_h *h = r->h;
	void *h_arg = r->arg;

	*r->rp = NULL;
	mem_deref(r);
	h(err, ans, h_arg);
}


static void request_timeout(void *arg)
{
	request_done(ETIMEDOUT, NULL, arg);
}


static void libre_handler(int err, const struct sip_msg *msg, void *arg)
{
	struct answer ans;

	if (err || !msg) {
		request_done(err ? err : EPROTO, NULL, arg);
		return;
	}
	if (msg->scode < 200)
		return;

	flows_heard(((struct request *)arg)->pbx->flows, msg);
	answer_of_msg(&ans, msg);
	request_done(0, &ans, arg);
}


static int request_start(struct request *r, struct pbx *pbx,
			 const struct request_prm *prm)
{
	struct udp_sock *us;
	const char *laddr;

	if (prm->tp == SIP_TRANSP_UDP &&
	    !stack_udp(pbx->stack, prm->dst, &us, &laddr))
		return utrans_send(&r->u, pbx->utrans, us, laddr, prm->dst,
				   prm->met, prm->uri, prm->mb, request_done,
				   r);

	return sip_request(&r->req, pbx->sip, true, prm->met, -1, prm->uri, -1,
			   prm->route, prm->mb, 0, NULL, libre_handler, r);
}


int pbx_request(struct request **rp, struct pbx *pbx,
		const struct request_prm *prm)
{
	struct request *r;
	int err;

	if (!rp || !pbx || !prm || !prm->h || pbx->closed)
		return EINVAL;

	r = mem_zalloc(sizeof(*r), request_destructor);
	if (!r)
		return ENOMEM;

	r->pbx = pbx;
	r->rp = rp;
	r->h = prm->h;
	r->arg = prm->arg;

	err = request_start(r, pbx, prm);
	if (err)
		mem_deref(r);
	else
		*rp = r;
	if (!err && prm->timeout_ms)
		tmr_start(&r->tmr, prm->timeout_ms, request_timeout, r);

	return err;
}
