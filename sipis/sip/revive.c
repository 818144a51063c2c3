/**
 * @file revive.c  A message that was stored as bytes
 */

#include <errno.h>
#include <string.h>
#include "sipis/sip/priv.h"


int pbx_msg_revive(struct sip_msg **msgp, struct pbx *pbx, const uint8_t *raw,
		   size_t len, const char *src, enum sip_transp tp)
{
	struct sip_msg *msg = NULL;
	struct mbuf *mb;
	struct sa sa;
	int err;

	if (!msgp || !pbx || !raw || !src || pbx->closed)
		return EINVAL;

	err = sa_decode(&sa, src, strlen(src));
	if (err)
		return err;

	mb = mbuf_alloc(len);
	if (!mb)
		return ENOMEM;

	err = mbuf_write_mem(mb, raw, len);
	mb->pos = 0;
	err = err ? err : sip_msg_decode(&msg, mb);
	if (err)
		goto out;

	/* The old socket is gone.  Without one libre sends UDP from the
	   profile's and opens a connection for the rest (RFC 3261 18.2.2) */
	msg->src = sa;
	msg->tp = tp;
	err = stack_open(pbx->stack, tp, &sa);
	err = err ? err : sip_transp_laddr(pbx->sip, &msg->dst, tp, &sa);

out:
	mem_deref(mb);
	if (err)
		mem_deref(msg);
	else
		*msgp = msg;

	return err;
}
