/**
 * @file sieve.h  Strangers' packets end in the kernel; bpf(4), socket(7)
 */

#ifndef SIPIS_SIEVE_H
#define SIPIS_SIEVE_H

#include <stddef.h>
#include "sipis/sip/cidr.h"

/** fd listens for TCP, of family af.  Connections made meanwhile keep the
    sieve.  E2BIG: too many ranges */
int sieve_attach(int fd, int af, const struct cidr *v, size_t n);
int sieve_detach(int fd);

#endif
