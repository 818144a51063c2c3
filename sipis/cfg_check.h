/**
 * @file sipis/cfg_check.h  The rules between keys, and those on files
 */

#ifndef SIPIS_CFG_CHECK_H
#define SIPIS_CFG_CHECK_H

#include "sipis/cfg.h"

/** Names, domains, addresses, ports; that keys and certificates are good:
    what passes here does not fail at the start for the file's sake */
int cfg_check(const struct sipis_cfg *cfg, const char *path,
	      struct cfgfile_err *e);

#endif
