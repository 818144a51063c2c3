/**
 * @file bulk.h  Very many accounts into a store that nobody uses
 *
 * Blocking and for one thread; for imports while the daemon stands still.
 * Rows go in by the same code as those of the API, in large transactions.
 */

#ifndef SIPIS_BULK_H
#define SIPIS_BULK_H

#include "sipis/store/store.h"

struct store_bulk;

/** Opens, checks and migrates like store_alloc() */
int store_bulk_alloc(struct store_bulk **bp, const char *path, char *reason,
		     size_t reason_sz);

/** The id to seal the account's secret to: that of the one there is, or a
    new one */
int store_bulk_acct_id(struct store_bulk *b, const char *pbx, const char *user,
		       const char *domain, uint64_t *id);

/** Account and phones: as store_inst_put() for each.  An account may come
    without phones */
int store_bulk_put(struct store_bulk *b, const struct acct_row *acct,
		   const struct inst_row *instv, unsigned instc);

/** Durable when it returns 0; what was put since the last time is lost
    without it */
int store_bulk_commit(struct store_bulk *b);

#endif
