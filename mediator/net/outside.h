/**
 * @file net/outside.h  Is this an address of the open internet?
 *
 * Where somebody else says which host we connect to, a name that leads back
 * into our own network must not.  The check is of the address that is about
 * to be connected to, so that the name cannot mean another one afterwards.
 * RFC 6890 and its registries.  Pure.
 */

#ifndef MEDIATOR_NET_OUTSIDE_H
#define MEDIATOR_NET_OUTSIDE_H

#include <stdbool.h>
#include <sys/socket.h>

bool net_outside(const struct sockaddr *sa);

#endif
