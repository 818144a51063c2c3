/**
 * @file enrol.h  Push tokens become handles that only the mediator can open
 */

#ifndef SIPIS_ENROL_H
#define SIPIS_ENROL_H

#include "sipis/inst/inst.h"

struct enrol;

/** handlev[i] belongs to tokenv[i]; valid until the handler returns.  res is
    INST_R_OK only if the mediator took all of them */
typedef void(enrol_h)(enum inst_res res, const char *detail,
		      const struct push_row *pushv, unsigned pushc, void *arg);

/** All tokens at once; one call of h, never before this returns.  mem_deref()
    gives up */
int enrol_alloc(struct enrol **ep, struct med *med, const char *app,
		const char *trace, const struct inst_token *tokenv,
		unsigned tokenc, enrol_h *h, void *arg);

#endif
