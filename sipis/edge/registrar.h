/**
 * @file registrar.h  One REGISTER of somebody who is known
 *
 *     registrar.c   what it does: binds, ends, or has to be refused
 *       phone.c     which phone that is
 *       adopt.c     its push tokens make it an instance
 *       signoff.c   what it ends
 *       grant.c     its 200
 *     wish.c, contacts.c   what it asks for; pure
 */

#ifndef SIPIS_EDGE_REGISTRAR_H
#define SIPIS_EDGE_REGISTRAR_H

#include "sipis/edge/login.h"

/* --- phone.c --- */

/** The id of its instance, or one that is the same each time it comes; slot:
    among those that do not say which one they are, or 0.  ENOENT: it has
    nothing, and wants nothing */
int edge_phone_of(uint8_t phone[EDGE_PHONE], uint8_t *slot,
		  const struct edge_login *l);

/* --- adopt.c --- */

/** 555: it cannot be pushed */
void edge_adopt_refuse(struct edge_login *l, const char *why);
/** Is it an instance with these tokens already? */
bool edge_adopt_done(const struct edge_login *l);
/** Makes it one; h when l->inst has its id, else it is refused */
void edge_adopt(struct edge_login *l, edge_login_h *h);

/* --- signoff.c --- */

/** What its wish names */
void edge_sign_off(struct edge_login *l, const uint8_t phone[EDGE_PHONE]);
/** What a REGISTER ends beside the one that it is about (10.3, 7): an address
    that its phone had before, or one of its other flows.  bound: the phone,
    or NULL */
void edge_sign_off_others(struct edge_login *l, const uint8_t *bound);
/** What it was before its tokens changed, if it has no other name: it is the
    same one by its Call-ID */
void edge_sign_off_former(struct edge_login *l, const struct edge_binding *b);
/** What the account has on this flow */
void edge_sign_off_all(struct edge_login *l);
/** If none of its bindings has pn-prid it wants no pushes; RFC 8599 4.1.2,
    5.5.  inst may be "" */
void edge_pushes_end(struct edge *e, const char *inst,
		     const uint8_t phone[EDGE_PHONE]);

/* --- grant.c --- */

/** Seconds of those that it asks for */
uint32_t edge_grant_s(const struct edge *e, const struct sip_msg *msg,
		      uint32_t asked);
/** 200 with its binding */
void edge_grant(struct edge_login *l, const struct edge_binding *b,
		uint32_t expires_s);
/** 200 with what the account has, no more */
void edge_grant_list(struct edge_login *l);

#endif
