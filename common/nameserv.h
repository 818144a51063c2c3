/**
 * @file nameserv.h  The name servers of /etc/resolv.conf, as they are now
 *
 * libre's DNS client takes its servers once.  A laptop, a DHCP lease, a VPN
 * or a boot without a network changes them under a daemon that runs: whoever
 * asks DNS looks here first.
 */

#ifndef COMMON_NAMESERV_H
#define COMMON_NAMESERV_H

#include <stdint.h>
#include <re/re.h>

enum { NAMESERV_LIMIT_MS = 5000 /**< one question; libre's own is 70 s */ };

struct nameserv;

/** Opens the client as well, with the servers of now */
int nameserv_alloc(struct nameserv **np, struct dnsc **dnscp);

/** Hands the client new servers if the file has changed: one stat(2).  The
    number of changes so far; 0 without n */
uint32_t nameserv_look(struct nameserv *n);

#endif
