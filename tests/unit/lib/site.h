/**
 * @file tests/unit/lib/site.h  A site in a process: all of sipis below its
 * door
 *
 * A PBX made of text over UDP, a mediator of this process over TLS, a store in
 * a file, and between them the real modules, as app.c connects them.
 */

#ifndef TESTS_UNIT_LIB_SITE_H
#define TESTS_UNIT_LIB_SITE_H

#include "common/secret.h"
#include "sipis/call/calls.h"
#include "tests/unit/lib/rawpbx.h"
#include "tests/unit/med/medserver.h"

enum { SITE_PUSH_MS = 1500, SITE_PHONES = 2 };

#define SITE_DOMAIN "pbx.test"

struct site {
	struct testcerts *certs; /**< of the whole group */
	struct medserver sv;
	struct rawpbx peer;
	struct dnsc *dnsc;
	struct store *store;
	struct cred_key key;
	struct pbx_cfg cfg;
	struct pbx *pbx;
	struct reg *reg;
	struct med *med;
	struct calls *calls;
	struct calls *dead[2]; /**< of daemons that were killed */
	unsigned deadc;
	unsigned restored; /**< calls that a start took up */
	pbx_pass_h *passh; /**< of an edge, or NULL */
	void *pass_arg;

	struct acct_row row; /**< 100@SITE_DOMAIN */
	struct acct *acct;   /**< registered */
	char inst[SITE_PHONES][STORE_ID_LEN + 1];
	unsigned instc;

	/* what they point to */
	struct med_cfg medcfg;
	char dir[64], path[96], proxy[32], med_addr[32];
	char *domains[1], *addresses[1];
};

/** libre and certificates, once: setup and teardown of a group, whose state
    are the certificates */
int site_group_open(void **state);
int site_group_close(void **state);

/** cfg: what the test wants of the profile; how the PBX is reached is filled
    in.  No account, no phone */
void site_open(struct site *s, struct testcerts *certs,
	       const struct pbx_cfg *cfg);
/** One account; it has to have a phone before it registers */
void site_account(struct site *s);
/** One more phone of it that sleeps; its tokens are call-NAME and ended-NAME
 */
void site_phone(struct site *s, char name);
/** The account is registered, the mediator is there */
void site_settle(struct site *s);
/** As kill -9: nothing is said, and the store alone remembers */
void site_calls_kill(struct site *s);
/** A start: a set without calls, then those of the store */
void site_calls_open(struct site *s);
void site_calls_load(struct site *s);
/** All three; what was to be written has been */
void site_crash(struct site *s);
/** Nobody says anything any more, and nothing is left; 0 or -1 */
int site_close(struct site *s);

/** For until() */
bool site_is_registered(void *site);
bool site_med_is_up(void *site);
bool site_med_is_down(void *site);

#endif
