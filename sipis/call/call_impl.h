/**
 * @file call_impl.h  What the files of the record share
 *
 *     call.c        facts and time come in
 *     call_look.c   the bindings
 *     call_relay.c  phones that have our INVITE
 *       call_act.c    what its states do
 *         call_phone.c  its phones, their pushes, what they hear
 */

#ifndef SIPIS_CALL_IMPL_H
#define SIPIS_CALL_IMPL_H

#include "sipis/call/call.h"
#include "sipis/call/fact.h"

static inline uint64_t max_at(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}


static inline uint64_t min_at(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}


/* call_phone.c */
struct call_phone *call_phone_find(const struct call *c, const char *inst);
/** NULL if there are too many */
struct call_phone *call_phone_add(struct call *c, const char *inst);
/** A flow may be dead without anybody knowing: where there is one the push
    waits for its 18x, but not for long */
void call_push(struct call *c, struct call_phone *p, uint64_t now);
/** What waited for its flow is not needed any more */
void call_push_forget(struct call_phone *p);
/** Those that waited for the disk */
void call_push_stored(struct call *c, uint64_t now);
/** Those that have waited long enough; when it is time, CALL_NEVER */
void call_push_held(struct call *c, uint64_t now);
uint64_t call_push_due(const struct call *c);
bool call_has_push(const struct call *c, enum phone_push how);
/** What has not left leaves no more */
void call_drop_pushes(struct call *c);
/** Those that may ring must hear that it is over; not those that never got
    the push, said no, or hear it from the PBX */
void call_tell_phones(struct call *c, const char *why);
/** Phones that come after the 302 get nothing from the PBX */
void call_tell_late(struct call *c);

/* call_act.c */
/** 180, as soon as it is stored */
void call_ring(struct call *c, uint64_t now);
/** A phone is to come once more: it may have rung for longer than one may take
    to wake up */
void call_wake_again(struct call *c, uint64_t now);

/* call.c */
void call_note(struct call *c, enum call_fact f, const char *detail);
/** Is there a phone left that could take it? */
void call_check_hope(struct call *c, uint64_t now);
/** The owner decides anew, where it is its turn */
void call_owner_turn(struct call *c, uint64_t now);

/* call_look.c */
uint64_t call_look_due(const struct call *c);

#endif
