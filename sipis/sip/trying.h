/**
 * @file trying.h  100 to an INVITE
 */

#ifndef SIPIS_TRYING_H
#define SIPIS_TRYING_H

#include <re/re.h>

/** sip_treply(), at a third of its price: every call has one */
int trying_send(struct sip_strans **stp, struct sip *sip,
		const struct sip_msg *req);

#endif
