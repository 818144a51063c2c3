/**
 * @file trying.c  100 to an INVITE
 */

#include "sipis/sip/copy.h"
#include "sipis/sip/trying.h"


int trying_send(struct sip_strans **stp, struct sip *sip,
		const struct sip_msg *req)
{
	struct mbuf *mb;
	struct sa dst;
	int err = copy_trying(&mb, req);

	if (err)
		return err;

	copy_reply_addr(&dst, req);
	err = sip_strans_reply(stp, sip, req, &dst, 100, mb);
	mem_deref(mb);

	return err;
}
