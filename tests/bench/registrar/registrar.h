/**
 * @file registrar.h  A registrar as strict as a PBX and faster than any
 */

#ifndef REGISTRAR_REGISTRAR_H
#define REGISTRAR_REGISTRAR_H

#include <stdio.h>
#include "digest.h"
#include "tally.h"
#include "text.h"
#include "udp.h"
#include "users.h"

struct registrar;

struct registrar_prm {
	uint32_t users;
	const char *realm;
	uint32_t grant_s;      /**< most it grants */
	uint32_t nonce_life_s; /**< 0: each REGISTER is challenged */
	struct udp *udp;
};

int registrar_alloc(struct registrar **rp, const struct registrar_prm *prm);
void registrar_free(struct registrar *r);
/** Any request that came in */
void registrar_recv(struct registrar *r, const struct text *t,
		    const struct sockaddr_in *from);
void registrar_malformed(struct registrar *r);
void registrar_send_failed(struct registrar *r, unsigned n);
void registrar_set_grant(struct registrar *r, uint32_t grant_s);
void registrar_set_nonce_life(struct registrar *r, uint32_t life_s);
void registrar_reset(struct registrar *r);
/** One line of JSON: counters only, or all there is */
void registrar_counts(const struct registrar *r, FILE *f);
void registrar_print(const struct registrar *r, FILE *f);
const struct users *registrar_users(const struct registrar *r);

#endif
