/**
 * @file phones.h  Phones of accounts as they were read last
 *
 * A call asks for the phones of its account, and of the accounts that are
 * called some are called again at once: branches, echoes, hunt groups.  What
 * was read is kept a while on the loop's side, so that those wake no thread.
 *
 *   absent --expect--> awaited --keep--> kept
 *     ^                   |               |
 *     +-----changed-------+---changed-----+-- unused for long, old,
 *                                             or too many
 *
 * Kept rows are never older than the last write whose answer the loop has
 * seen: the answer of each write that changes phones comes by here before
 * its handler does, and a read that was under way meanwhile is not kept.
 */

#ifndef SIPIS_STORE_PHONES_H
#define SIPIS_STORE_PHONES_H

#include "sipis/store/req.h"

#define PHONES_MAX 1000

struct phones;
struct phones_entry;

/** What is not used for idle_ms goes */
int phones_alloc(struct phones **pp, uint32_t idle_ms);
/** Accounts in mind, PHONES_MAX at most */
unsigned phones_count(const struct phones *p);

/** NULL: none is kept.  mem_deref() it */
struct phones_entry *phones_get(struct phones *p, uint64_t acct);
/** Is it what phones_get() would give still? */
bool phones_current(const struct phones_entry *e);
void phones_answer(const struct phones_entry *e, const struct store_req *r);

/** A read begins: the ticket with which phones_keep() may keep its rows, 0
    if they are not to be kept */
uint64_t phones_expect(struct phones *p, uint64_t acct);
void phones_keep(struct phones *p, const struct store_req *r);

/** r has changed phones, or may have */
void phones_changed(struct phones *p, const struct store_req *r);

#endif
