/**
 * @file users.h  The users of the registrar and their bindings
 *
 * Users are numbers below a limit; "u" and at least one digit names them.
 */

#ifndef REGISTRAR_USERS_H
#define REGISTRAR_USERS_H

#include <netinet/in.h>
#include "digest.h"

struct user {
	char *contact;           /**< URI, owned; NULL: never bound */
	struct sockaddr_in from; /**< where its REGISTER came from */
	uint64_t expires_ms;     /**< monotonic; 0: not bound */
	uint64_t callid, txn;    /**< hashes of the last request */
	uint32_t cseq;
	uint16_t answered;        /**< status of the last request */
	char ha1[DIGEST_HEX + 1]; /**< "" until it is needed */
};

struct users {
	struct user *v;
	uint32_t n;
};

int users_alloc(struct users *us, uint32_t n);
void users_free(struct users *us);
struct user *users_find(const struct users *us, struct sv name,
			uint32_t *index);
/** Counts bindings that stand, and those that ran out */
void users_count(const struct users *us, uint64_t now_ms, uint32_t *bound,
		 uint32_t *expired);

#endif
