/**
 * @file sipis/cfg_check_priv.h  What the checks of the configuration share
 *
 *     cfg_check.c       the whole file: files, addresses, what goes together
 *     cfg_check_pbx.c   one PBX
 *     cfg_check_edge.c  the edge
 *
 * Each check is 0, or EINVAL with c->e filled; key is what to blame.
 */

#ifndef SIPIS_CFG_CHECK_PRIV_H
#define SIPIS_CFG_CHECK_PRIV_H

#include "common/tlsctx.h"
#include "sipis/cfg.h"

#define CFG_CHECK_ANY_NAME \
	"peer.invalid" /* tlsctx makes none without a name */

struct check {
	const struct sipis_cfg *cfg;
	const char *path;
	struct cfgfile_err *e;
};

/** "pbx[2].ca": where a key stands */
struct where {
	char text[160];
};

struct where cfg_check_at(const char *fmt, ...)
	__attribute__((format(printf, 1, 2)));
/** It can be read; NULL is good */
int cfg_check_file(const struct check *c, struct where key, const char *file);
/** A context of these files, thrown away again: whether certificate, key and
    CA are good and fit together */
int cfg_check_tls(const struct check *c, struct where key,
		  const struct tlsctx_prm *prm);
/** "address:port" or "[address]:port" */
int cfg_check_listen(const struct check *c, struct where key, const char *text,
		     bool loopback);
/** "host", "host:port", "address" or "[address]:port" */
int cfg_check_host(const struct check *c, struct where key, const char *text);

int cfg_check_pbx(const struct check *c, uint32_t i);
int cfg_check_edge(const struct check *c);

#endif
