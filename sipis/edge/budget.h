/**
 * @file budget.h  Who may be wrong how often; pure, time is an argument
 *
 * A REGISTER is paid for before its secret is looked at, and only a wrong one
 * costs.  Whoever can show that it is no stranger has a purse of its own, so
 * that those who guess cannot empty it; docs/EDGE.md has the rule.
 */

#ifndef SIPIS_EDGE_BUDGET_H
#define SIPIS_EDGE_BUDGET_H

#include <re/re.h>

enum { EDGE_ADDR = 64 };

/** Where a limit counts: an IPv4 address, or the /64 of an IPv6 one */
void edge_addr_print(char dst[EDGE_ADDR], const struct sa *sa);

enum edge_purse {
	EDGE_PURSE_NONE,     /**< all are empty: unread */
	EDGE_PURSE_FLOW,     /**< it is here, over this flow */
	EDGE_PURSE_PHONE,    /**< it has been right before */
	EDGE_PURSE_STRANGER, /**< its address's and its account's */
	EDGE_PURSE_CLEAN,    /**< nobody was wrong at its address of late */
};

/** What can be told of a REGISTER before its secret is looked at */
struct edge_claim {
	char addr[EDGE_ADDR];
	char flow[EDGE_ADDR]; /**< "": it is not here over that */
	uint64_t aor;         /**< 0: it cannot be guessed at */
	uint64_t phone;       /**< 0: nothing that nobody else knows */
};

/** A number for several texts; never 0 */
uint64_t edge_budget_key(const char *one, const char *two, const char *three);

struct edge_budget;

/** per_min: of an address; an account has ten times that */
int edge_budget_alloc(struct edge_budget **bp, double per_min);
/** Which one would pay?  Takes nothing */
enum edge_purse edge_budget_may(const struct edge_budget *b,
				const struct edge_claim *c, uint64_t now_ms);
void edge_budget_wrong(struct edge_budget *b, const struct edge_claim *c,
		       enum edge_purse purse, uint64_t now_ms);
/** It is no stranger from now on */
void edge_budget_right(struct edge_budget *b, const struct edge_claim *c,
		       uint64_t now_ms);

#endif
