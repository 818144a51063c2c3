/**
 * @file auth/account.h  A Google service account's JSON file
 */

#ifndef MEDIATOR_AUTH_ACCOUNT_H
#define MEDIATOR_AUTH_ACCOUNT_H

#include <stddef.h>

/** mem_deref() */
struct account {
	char *project_id, *client_email, *private_key_id, *private_key;
	char *token_uri;
};

/** *reason gets a sentence on failure */
int account_parse(struct account **ap, const char *text, char *reason,
		  size_t reason_sz);

#endif
