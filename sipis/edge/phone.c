/**
 * @file phone.c  Which phone it is that registers
 */

#include <errno.h>
#include <string.h>
#include "common/ident.h"
#include "common/secret.h"
#include "sipis/edge/flow.h"
#include "sipis/edge/registrar.h"


int edge_phone_of(uint8_t phone[EDGE_PHONE], uint8_t *slot,
		  const struct edge_login *l)
{
	const struct edge_wish *w = &l->wish;
	char name[EDGE_URI], text[EDGE_URI + 32];
	uint8_t md[32];
	int n, err = 0;

	*slot = 0;
	if (*l->inst)
		return ident_unhex(phone, EDGE_PHONE, l->inst);

	if (edge_contact_is_plain(&w->contact)) {
		const struct edge_client c = {
			.msg = l->msg,
			.acct = l->acct,
			.name = w->name,
			.host = w->contact.addr.uri.host
		};

		*slot = edge_slot(l->edge, &c, w->contact.expires_s != 0);
		if (!*slot)
			return ENOENT;
		(void)re_snprintf(name, sizeof(name), "contact;%u", *slot);
	}
	else {
		err = edge_contact_name(name, sizeof(name), &w->contact);
	}
	if (err)
		return err;

	n = re_snprintf(text, sizeof(text), "edge %llu %s", l->acct, name);
	if (n < 0)
		return EINVAL;

	err = secret_sha256(md, text, (size_t)n);
	memcpy(phone, md, EDGE_PHONE);
	/* as the ids of instances are: with its tokens it becomes one, and its
	   dialogs know it by that */
	phone[0] &= 0x7f;

	return err;
}
