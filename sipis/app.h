/**
 * @file sipis/app.h  The daemon as one object
 */

#ifndef SIPIS_APP_H
#define SIPIS_APP_H

#include <stddef.h>
#include "sipis/cfg.h"

struct app;

/** Everything from the configuration up to open sockets.  On failure *reason
    gets a sentence for the operator and *exit_code one of sysexits.h */
int app_alloc(struct app **appp, const struct sipis_cfg *cfg, char *reason,
	      size_t reason_sz, int *exit_code);

/** Certificates, keys and CAs, read again from where the configuration says;
    what is no good stays as it was, with an error in the log */
void app_renew(struct app *app);

/** Stops taking work, says goodbye to nobody: bindings stay at the PBXs and
    waiting calls with their callers, for the next start to take up */
void app_close(struct app *app);

/** Fills the store from a file of JSON lines; the daemon must not run */
int app_import(const struct sipis_cfg *cfg, const char *file, char *reason,
	       size_t reason_sz, int *exit_code);

#endif
