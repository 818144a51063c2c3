/**
 * @file draft.h  An account and a phone while they are being agreed on
 *
 * Deep copies of what the app sent, and what PBX, mediator and store have
 * added so far; nothing of it is in force before the store has taken it.
 */

#ifndef SIPIS_DRAFT_H
#define SIPIS_DRAFT_H

#include "sipis/inst/enrol.h"
#include "sipis/inst/priv.h"
#include "sipis/store/arena.h"

struct draft {
	struct arena arena;
	struct pbx *pbx;
	bool create; /**< or a change */

	/* what the app wants; creds NULL: they stay as they are */
	const char *app, *installation, *label, *platform;
	const struct inst_creds *creds;
	const struct inst_options *options;
	const struct inst_token *tokenv;
	unsigned tokenc;
	bool new_secret;

	/* the rows as they grow */
	struct acct_row acct;
	struct inst_row inst;
	uint8_t sealed[CRED_SEALED_MAX];
	char secret[STORE_SECRET_LEN + 1];
	char realm[128];
	char options_json[160];
	struct enrol *enrol;
	unsigned tries; /**< of the write */
	bool pressed;   /**< somebody has given way to it */
};

int draft_alloc(struct draft **dp);
const struct inst_creds *draft_creds(struct draft *d,
				     const struct inst_creds *creds);
const struct inst_token *draft_tokens(struct draft *d,
				      const struct inst_token *tokenv,
				      unsigned n);
const struct inst_options *draft_options(struct draft *d,
					 const struct inst_options *options);

/** Options and the profile's defaults into the row */
void draft_apply_options(struct draft *d, const struct inst_options *options);
/** A fresh secret, of which the row gets the hash */
int draft_secret(struct draft *d);
/** Seals HA1 or password to d->acct.id; ans is what the PBX said */
int draft_seal(struct draft *d, const struct cred_key *key);

#endif
