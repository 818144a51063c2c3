/**
 * @file reason.h  What SIP headers say about a call; pure
 */

#ifndef SIPIS_CALL_REASON_H
#define SIPIS_CALL_REASON_H

#include <re/re.h>

/** The tombstone of a CANCEL from its Reason header(s), RFC 3326:
    "answered_elsewhere", "declined_elsewhere" or "cancelled" */
const char *reason_of_cancel(const struct pl *reason);

/** Was this INVITE diverted by the user's own AOR?  Diversion (RFC 5806) and
    History-Info (RFC 7044); the host is the PBX's business */
bool reason_diverted_by(const struct sip_msg *msg, const char *user);

/** Is there video in the body that is not switched off?  RFC 8866 */
bool reason_has_video(const struct sip_msg *msg);

/** Foreign text for logs, pushes and the store: valid UTF-8 without controls,
    cut to fit */
void reason_text(char *dst, size_t size, const struct pl *pl);

/** The option tags in Require or Proxy-Require (id) that mean nothing to us,
    "a, b" for Unsupported; as many as fit.  false: there are none.  RFC 3261
    8.2.2.3 and 16.3 (5): what a user agent may know, a proxy need not */
bool reason_unsupported(char *dst, size_t size, const struct sip_msg *msg,
			enum sip_hdrid id);

/** Seconds of the Expires header, or max without a useful one */
uint32_t reason_expires(const struct sip_msg *msg, uint32_t max);

#endif
