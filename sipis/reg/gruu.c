/**
 * @file gruu.c  The GRUU that a PBX gives to our binding; RFC 5627
 *
 * Of accounts whose binding stands for good (mode continuous), which their
 * phones may hand on.  What is kept of it is one bit: a public GRUU is the
 * AOR and a parameter "gr" (5.1), whose value is the instance id at those
 * registrars that give any.  Another value is not taken for one.
 */

#include <errno.h>
#include "common/ident.h"
#include "sipis/reg/priv.h"


bool gruu_wanted(const struct line *ln)
{
	return ln->cfg->mode == CFG_MODE_CONTINUOUS;
}


/* The same at each start, and it says nothing of the contact user: others
   see it */
int gruu_instance(char *buf, size_t size, const struct acct *a)
{
	char user[2 * STORE_CONTACT + 1], uuid[UUID_LEN + 1];
	int err;

	ident_hex(user, a->contact, STORE_CONTACT);
	err = ident_uuid_derive(uuid, "sip.instance", user, NULL);
	if (err)
		return err;

	return re_snprintf(buf, size, "urn:uuid:%s", uuid) < 0 ? EOVERFLOW : 0;
}


int gruu_of(char *buf, size_t size, const struct acct *a)
{
	char instance[GRUU_INSTANCE];
	struct pl user;
	int err = gruu_instance(instance, sizeof(instance), a);

	if (err)
		return err;

	pl_set_str(&user, acct_user(a));

	return re_snprintf(buf, size, "sip:%H@%s;gr=%s", uri_user_escape,
			   &user, acct_domain(a), instance) < 0
		       ? EOVERFLOW
		       : 0;
}


int acct_gruu(char *buf, size_t size, const struct acct *acct)
{
	return acct && acct->gruu ? gruu_of(buf, size, acct) : ENOENT;
}
