/**
 * @file mediator/cfg_check.h  The rules between keys, and those on files
 */

#ifndef MEDIATOR_CFG_CHECK_H
#define MEDIATOR_CFG_CHECK_H

#include <stddef.h>
#include "mediator/cfg.h"

/** Names, references, addresses, URLs; that files can be read */
int mcfg_check(const struct mcfg *cfg, const char *path,
	       struct cfgfile_err *e);

/** Fills *e for a file that could not be read, by errno value; returns it */
int mcfg_file_fail(struct cfgfile_err *e, const char *path, const char *key,
		   const char *file, int err);

#endif
