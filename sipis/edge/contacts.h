/**
 * @file contacts.h  The Contacts of one REGISTER; RFC 3261 10.2.1, pure
 *
 * All of what is found points into the message.
 */

#ifndef SIPIS_EDGE_CONTACTS_H
#define SIPIS_EDGE_CONTACTS_H

#include <re/re.h>

enum { EDGE_URI = 2048 /**< longest Contact and Request-URI */ };

/** A walk through them: several headers, or several in one */
struct edge_contacts {
	const struct le *le; /**< the next header */
	struct pl rest;
};

struct edge_contacts edge_contacts_of(const struct sip_msg *msg);
/** One after the other, as text; false: that was all */
bool edge_contact_next(struct pl *one, struct edge_contacts *c);
/** False: it is none that we can reach */
bool edge_contact_read(struct sip_addr *addr, const struct pl *one,
		       const struct sip_msg *msg);
/** Of several the one that is to be called: the first that does not end */
bool edge_contact_main(struct pl *main, const struct sip_msg *msg);
/** The same, read */
bool edge_contact_of(struct sip_addr *addr, const struct sip_msg *msg);

/** Seconds that are asked for; 0: it is to end */
uint32_t edge_contact_expires(const struct sip_addr *addr,
			      const struct sip_msg *msg);
/** The same of a REGISTER without a Contact, or with "*" */
uint32_t edge_contacts_expires(const struct sip_msg *msg);
/** RFC 5626; 0: none */
uint32_t edge_contact_reg_id(const struct sip_addr *addr);
/** Of its installation, or of its address; 0: too long */
uint32_t edge_contact_hash(const struct sip_addr *addr);
/** It has neither an instance nor a token for pushes */
bool edge_contact_is_plain(const struct sip_addr *addr);
/** Its parameters as they go back: all but those that we decide */
void edge_contact_params(char *dst, size_t size, const struct sip_addr *addr);
/** A Contact's URI for other phones, without its tokens for pushes */
int edge_contact_public(struct re_printf *pf, const char *contact);

/* --- of a REGISTER's main Contact --- */

/** What the phone calls itself: +sip.instance without its brackets, or its
    contact's user */
int edge_installation(char *buf, size_t size, const struct sip_msg *msg);
uint32_t edge_installation_hash(const struct sip_msg *msg);
bool edge_is_plain(const struct sip_msg *msg);

#endif
