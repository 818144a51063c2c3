/**
 * @file mediator/app.h  Connects the parts of the mediator
 */

#ifndef MEDIATOR_APP_H
#define MEDIATOR_APP_H

#include "mediator/cfg.h"

struct app;

/** Reads the configuration and everything it points to, and starts nothing.
    0, or an errno value with *e filled */
int app_check(const char *path, struct cfgfile_err *e);

/** Listens when it returns 0; else *e says why.  cfg is taken over */
int app_alloc(struct app **ap, struct mcfg *cfg, const char *path,
	      struct cfgfile_err *e);

/** A new configuration if it is good as a whole, else the old one and an
    alert */
void app_reload(struct app *a);

/** Lets pushes under way end, then stops the loop */
void app_drain(struct app *a);

#endif
