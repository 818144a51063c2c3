/**
 * @file call_impl.h  What call.c, call_look.c and call_relay.c share
 */

#ifndef SIPIS_CALL_IMPL_H
#define SIPIS_CALL_IMPL_H

#include "sipis/call/call.h"
#include "sipis/call/fact.h"

/* call.c */
void call_note(struct call *c, enum call_fact f, const char *detail);
struct call_phone *call_phone_find(const struct call *c, const char *inst);
/** NULL if there are too many */
struct call_phone *call_phone_add(struct call *c, const char *inst);
void call_push(struct call *c, struct call_phone *p, uint64_t now);
void call_push_forget(struct call_phone *p);
/** Is there a phone left that could take it? */
void call_check_hope(struct call *c, uint64_t now);
/** The owner decides anew, where it is its turn */
void call_owner_turn(struct call *c, uint64_t now);

/* call_look.c */
uint64_t call_look_due(const struct call *c);

#endif
