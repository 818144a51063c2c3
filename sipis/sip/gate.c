/**
 * @file gate.c  In front of libre's transaction layer
 */

#include <errno.h>
#include "sipis/sip/gate.h"


/* Every listener of libre begins with its list element */
int gate_first(struct sip_lsnr *lsnr)
{
	struct le *le = (struct le *)(void *)lsnr;
	struct list *l = le->list;

	if (le->data != (void *)lsnr || !l)
		return ENOSYS;

	list_unlink(le);
	list_prepend(l, le, lsnr);

	return 0;
}


bool gate_whole(const struct sip_msg *msg)
{
	return pl_isset(&msg->via.branch) && pl_isset(&msg->via.sentby) &&
	       pl_isset(&msg->callid) && pl_isset(&msg->from.tag) &&
	       pl_isset(&msg->to.auri) && pl_isset(&msg->cseq.met) &&
	       !pl_cmp(&msg->cseq.met, &msg->met);
}
