/**
 * @file contacts.h  The Contacts of one REGISTER; RFC 3261 10.2.1, pure
 *
 * All of what is found points into the message.
 */

#ifndef SIPIS_EDGE_CONTACTS_H
#define SIPIS_EDGE_CONTACTS_H

#include <re/re.h>

enum { EDGE_URI = 2048 /**< longest Contact and Request-URI */ };

struct edge_contact {
	struct pl text;
	struct sip_addr addr;
	struct pl urn;        /**< of its +sip.instance; not set: none */
	bool instance;        /**< it has one, even if that is no URN */
	uint32_t expires_s;   /**< asked for; 0: it is to end */
	uint32_t reg_id;      /**< RFC 5626; 0: none */
	bool pnsreg, pnspurr; /**< it shows its side of these; RFC 8599 */
};

/** A walk through them: several headers, or several in one */
struct edge_contacts {
	const struct sip_msg *msg;
	const struct le *le; /**< the next header */
	struct pl rest;
};

struct edge_contacts edge_contacts_of(const struct sip_msg *msg);
/** One after the other.  ENOENT: that was all; EBADMSG: it is none that we
    can reach, and has but its text */
int edge_contact_next(struct edge_contact *c, struct edge_contacts *walk);
/** Seconds that a REGISTER asks for whose Contacts do not say it */
uint32_t edge_contacts_expires(const struct sip_msg *msg);

/** What the phone calls itself: its URN; else "pn:" and a hash of where it is
    pushed (RFC 8599 5.3), or its user.  ENOENT: there is no Contact */
int edge_contact_name(char *buf, size_t size, const struct edge_contact *c);
/** Of that, but instead of its user of its address; 0: there is none, or it
    is too long */
uint32_t edge_contact_hash(const struct edge_contact *c);
/** It has neither an instance nor a token for pushes */
bool edge_contact_is_plain(const struct edge_contact *c);
/** It is told by its token for pushes alone */
bool edge_contact_is_pn(const struct edge_contact *c);
/** Its parameters as they go back: all but those that we decide */
void edge_contact_params(char *dst, size_t size, const struct edge_contact *c);
/** A Contact's URI for other phones, without its tokens for pushes */
int edge_contact_public(struct re_printf *pf, const char *contact);

#endif
