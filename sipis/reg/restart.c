/**
 * @file restart.c  What survives a restart beside the account rows
 *
 * How far the grid was served (every 10 s), the address that each PBX has of
 * us, and a CSeq that no account has reached yet: reserved in blocks and
 * before use, so that a REGISTER after a crash always has a higher one,
 * without a write for each.
 */

#include <errno.h>
#include <string.h>
#include "common/clock.h"
#include "common/log.h"
#include "sipis/reg/grid.h"
#include "sipis/reg/priv.h"


enum {
	BEAT_MS = 10 * 1000,
	ROUND_S = 2, /* of two clocks, each by a second */
	CSEQ_BLOCK = 1000,
	CSEQ_LOW = 300, /* ask for the next block when so few are left */
};


/* Who is due may still wait for his turn or for an answer: the grid is served
   up to there, and no further */
static uint32_t behind_s(const struct reg *reg)
{
	uint32_t most = 0;

	for (struct le *le = reg->linel.head; le; le = le->next) {
		const uint32_t owed = load_owed_s(le->data);

		if (owed > most)
			most = owed;
	}

	return most + ROUND_S;
}


void restart_beat(struct reg *reg, uint64_t now)
{
	uint32_t grid, behind;

	if (now < reg->beat_at || !reg->store)
		return;

	reg->beat_at = now + BEAT_MS;
	grid = reg_grid(reg);
	behind = behind_s(reg);
	if (behind > grid)
		behind = grid;

	(void)store_meta_put(
		reg->store, "grid",
		grid_pack(grid - behind, clock_wall_ms() / 1000 - behind),
		NULL, NULL);
}


static void grid_begin(struct reg *reg)
{
	int64_t packed;
	uint32_t now;

	if (!reg->store || store_meta_get(reg->store, "grid", &packed)) {
		reg->grid_off = 0;
		return;
	}

	reg->grid_known = grid_resume(packed, clock_wall_ms() / 1000,
				      &reg->grid_from, &now);
	reg->grid_off = now - reg_now_s();
}


static void cseq_handler(int err, void *arg)
{
	struct reg *reg = arg;

	if (err) {
		log_warning("reg", "-", "no CSeq reserved: %s", strerror(err));
		reg->cseq_asked = reg->cseq_ceiling;
		return;
	}

	reg->cseq_ceiling = reg->cseq_asked;
	reg_kick(reg, 0);
}


static void cseq_reserve(struct reg *reg)
{
	if (!reg->store || reg->cseq_asked != reg->cseq_ceiling)
		return;

	reg->cseq_asked = reg->cseq_ceiling + CSEQ_BLOCK;
	if (store_meta_put(reg->store, "cseq_ceiling", reg->cseq_asked,
			   cseq_handler, reg))
		reg->cseq_asked = reg->cseq_ceiling;
}


static void cseq_begin(struct reg *reg)
{
	int64_t v = 0;

	if (!reg->store) {
		reg->cseq_ceiling = INT32_MAX;
		return;
	}

	if (store_meta_get(reg->store, "cseq_ceiling", &v) || v < 0 ||
	    v > INT32_MAX - CSEQ_BLOCK)
		v = 0;

	reg->cseq_base = reg->cseq_ceiling = (uint32_t)v;
	reg->cseq_asked = reg->cseq_ceiling;
	cseq_reserve(reg);
}


bool reg_cseq(struct reg *reg, struct acct *a, uint32_t *cseq)
{
	if (a->cseq + CSEQ_LOW >= reg->cseq_ceiling)
		cseq_reserve(reg);
	if (a->cseq >= reg->cseq_ceiling)
		return false;

	*cseq = ++a->cseq;

	return true;
}


/* --- our address --- */

/* No binding was ever made from anywhere */
enum { PATH_FIRST = -1 };

static int path_key(char *buf, size_t size, const struct line *ln)
{
	return re_snprintf(buf, size, "path %s", ln->cfg->name) < 0 ? EOVERFLOW
								    : 0;
}


static void path_put(struct line *ln, int64_t path)
{
	char key[256];

	if (!ln->reg->store || ln->path_stored == path ||
	    path_key(key, sizeof(key), ln))
		return;

	ln->path_stored = path;
	(void)store_meta_put(ln->reg->store, key, path, NULL, NULL);
}


void restart_line(struct line *ln)
{
	char key[256];

	if (!ln->reg->store || path_key(key, sizeof(key), ln) ||
	    store_meta_get(ln->reg->store, key, &ln->path_stored))
		ln->path_stored = PATH_FIRST;
}


bool restart_path(struct line *ln, enum sip_transp tp, const struct sa *laddr)
{
	char text[64];

	/* Never 0, which is no path */
	(void)re_snprintf(text, sizeof(text), "%s %J", sip_transp_name(tp),
			  laddr);
	ln->path = (int64_t)1 << 32 | hash_joaat_str(text);
	if (ln->path == ln->path_stored)
		return true;
	if (ln->path_stored == PATH_FIRST) {
		path_put(ln, ln->path);
		return true;
	}

	path_put(ln, 0);

	return false;
}


void restart_path_done(struct line *ln)
{
	if (ln->path)
		path_put(ln, ln->path);
}


void restart_begin(struct reg *reg)
{
	grid_begin(reg);
	cseq_begin(reg);
}
