/**
 * @file watch.c  Is the PBX there, and are its bindings?
 *
 *     unknown --answer--> up --32 s without an answer, or 3 errors--> down
 *                          ^                                           |
 *                          +------- answer to a binding query ---------+
 *                                   (sent once OPTIONS is answered)
 *
 * While nothing else is heard an OPTIONS goes out every 15 s.  What answers
 * it may still be deaf to REGISTERs, so one of these, without a Contact, has
 * the last word; then the waits of all accounts end.
 *
 * Every 60 s one account's bindings are queried.  If ours is missing, or
 * leads to where we are no more, that account registers and is asked again:
 *
 *     missing --> registers --> there    --> next account --> missing: all
 *                         \                            +--> there: just one
 *                          +-> missing: this PBX does not tell; no queries
 *
 * Sweeps walk over the slots a piece per tick and only as fast as the lanes
 * empty.
 */

#include <string.h>
#include "common/log.h"
#include "sipis/reg/priv.h"


enum {
	CANARY_MS = 15 * 1000,
	QUERY_MS = 60 * 1000,
	SILENT_MS = 30 * 1000,
	ERRORS = 3,
	SCAN = 4096,               /* slots per tick */
	NO_QUERY_MS = 3600 * 1000, /* the PBX does not tell */
};


/* Of any account that has a say here */
static void try_register(struct line *ln)
{
	struct reg *reg = ln->reg;

	for (uint32_t i = 0; i < SCAN && i < reg->slots; i++) {
		struct acct *a = reg_slot(reg, (ln->cursor + i) % reg->slots);

		if (a->line == ln && !a->busy &&
		    (a->state == REG_WAITING || a->state == REG_REGISTERED)) {
			ln->try_out = true;
			if (line_op(ln, OP_TRY, a, NULL, NULL, NULL))
				ln->try_out = false;
			return;
		}
	}
	if (reg->slots)
		ln->cursor = (ln->cursor + SCAN) % reg->slots;
}


void watch_heard(struct line *ln, bool canary)
{
	const enum health old = ln->health;

	ln->heard = reg_now_ms();
	if (canary) {
		if (ln->health == HEALTH_DOWN && !ln->try_out)
			try_register(ln);
		return;
	}

	ln->fails_in_row = 0;
	ln->health = HEALTH_UP;
	if (old != HEALTH_DOWN)
		return;

	log_info("reg", "-", "PBX answers again pbx=%s", ln->cfg->name);
	ln->query_at = ln->heard;
	if (ln->sweep < SWEEP_BACK)
		watch_sweep(ln, SWEEP_BACK, 0);
}


void watch_silent(struct line *ln, int err)
{
	if (ln->fails_in_row < UINT8_MAX)
		++ln->fails_in_row;

	if (ln->health == HEALTH_DOWN)
		return;
	if (ln->health == HEALTH_UP && ln->fails_in_row < ERRORS &&
	    reg_now_ms() < ln->heard + SILENT_MS)
		return;

	ln->health = HEALTH_DOWN;
	log_warning("reg", "-", "PBX does not answer pbx=%s: %s",
		    ln->cfg->name, strerror(err));
}


void watch_canary_done(struct line *ln)
{
	ln->canary_out = false;
}


static void canary(struct line *ln, uint64_t now)
{
	if (ln->canary_out || now < ln->canary_at)
		return;
	if (ln->health == HEALTH_UP && now < ln->heard + CANARY_MS)
		return;

	ln->canary_at = now + CANARY_MS;
	if (!tx_start(ln, TX_CANARY, NULL, NULL))
		ln->canary_out = true;
}


/* --- binding queries --- */

static struct acct *next_registered(struct line *ln)
{
	struct reg *reg = ln->reg;

	for (uint32_t i = 0; i < SCAN && i < reg->slots; i++) {
		struct acct *a;

		if (ln->cursor >= reg->slots)
			ln->cursor = 0;
		a = reg_slot(reg, ln->cursor++);

		/* One that has just registered could not do so again yet */
		if (a->line == ln && a->state == REG_REGISTERED && !a->busy &&
		    acct_since(a) >= REG_REFRESH_MIN)
			return a;
	}

	return NULL;
}


/* The account that was found missing, once it has registered again */
static struct acct *suspect(struct line *ln)
{
	struct acct *a = reg_find(ln->reg, ln->suspect);

	if (!a || a->line != ln ||
	    (a->state != REG_REGISTERED && a->state != REG_REGISTERING)) {
		ln->suspect = 0;
		return NULL;
	}

	return a->state == REG_REGISTERED && !a->busy ? a : NULL;
}


static void query(struct line *ln, uint64_t now)
{
	struct acct *a;

	/* Unknown is the state after a start: the bindings of the last run
	   are a hope until one of them was seen */
	if (ln->query_out || now < ln->query_at || ln->health == HEALTH_DOWN ||
	    ln->health == HEALTH_TRYING)
		return;

	a = ln->suspect ? suspect(ln) : next_registered(ln);
	if (!a)
		return; /* soon, or the cursor moves on with the next tick */

	ln->query_at = now + QUERY_MS;
	ln->query_out = !line_op(ln, OP_QUERY, a, NULL, NULL, NULL);
}


static void on_missing(struct line *ln, struct acct *a)
{
	if (ln->suspect == a->id) {
		log_info("reg", "-",
			 "bindings are not told, no queries pbx=%s",
			 ln->cfg->name);
		ln->suspect = 0;
		ln->one_lost = false;
		ln->query_at = reg_now_ms() + NO_QUERY_MS;
		return;
	}

	log_info("reg", "-", "binding lost pbx=%s account=%llu", ln->cfg->name,
		 (unsigned long long)a->id);
	acct_event(a, REG_EV_LOST, 0, "binding lost");

	if (ln->one_lost) {
		ln->one_lost = false;
		watch_sweep(ln, SWEEP_LOST, 0);
		return;
	}

	ln->suspect = a->id;
	ln->query_at = reg_now_ms();
}


static void on_there(struct line *ln, const struct acct *a)
{
	/* Its loss was real: is it the only one? */
	ln->one_lost = ln->suspect == a->id;
	if (ln->one_lost)
		ln->query_at = reg_now_ms();
	ln->suspect = 0;
}


void watch_query_done(struct line *ln, struct acct *a,
		      const struct reg_answer *ans)
{
	if (!a || ans->err || ans->scode != 200)
		return;

	/* Ours gone and another in its place is an app that has come; a stale
	   one leads to where we were before */
	if (ans->ours && !ans->stale)
		on_there(ln, a);
	else if ((ans->stale || !ans->others) && a->state == REG_REGISTERED)
		on_missing(ln, a);
}


/* --- sweeps --- */

static const char *sweep_words(enum sweep kind)
{
	switch (kind) {
	case SWEEP_BACK:
		return "accounts that wait try again";
	case SWEEP_RESTORED:
		return "accounts not registered since the start register";
	case SWEEP_FLOW:
		return "accounts of a lost connection register anew";
	default:
		return "all accounts register anew";
	}
}


void watch_sweep(struct line *ln, enum sweep kind, uint16_t peer)
{
	/* Two connections at once, or one of them in the sweep after the
	   start: rather all than too few */
	if (kind == SWEEP_FLOW &&
	    (ln->sweep == SWEEP_RESTORED ||
	     (ln->sweep == SWEEP_FLOW && ln->sweep_peer != peer)))
		kind = SWEEP_LOST;
	if (ln->sweep > kind)
		kind = ln->sweep;

	log_info("reg", "-", "%s pbx=%s", sweep_words(kind), ln->cfg->name);
	ln->sweep = kind;
	ln->sweep_peer = peer;
	ln->sweep_slot = 0;
	reg_kick(ln->reg, TICK_MS);
}


static void sweep_one(struct line *ln, struct acct *a)
{
	if (a->leaving && a->place == PLACE_WHEEL && !a->told) {
		acct_event(a, REG_EV_DUE, 0, "");
		return;
	}
	if (a->state == REG_WAITING) {
		if (!a->told)
			acct_event(a, REG_EV_BACK, 0, "PBX is back");
		return;
	}
	if (a->state != REG_REGISTERED)
		return;

	if (ln->sweep == SWEEP_LOST ||
	    (ln->sweep == SWEEP_FLOW &&
	     a->peer == acct_peer(ln->sweep_peer)) ||
	    (ln->sweep == SWEEP_RESTORED && !a->known))
		acct_event(a, REG_EV_LOST, 0, "binding lost");
}


static bool sweep_step(struct line *ln)
{
	const uint32_t full = ln->cfg->register_rate + 16;

	if (ln->sweep == SWEEP_NONE || ln->health == HEALTH_DOWN)
		return false;

	for (uint32_t i = 0; i < SCAN; i++) {
		struct acct *a;

		if (ln->sweep_slot >= ln->reg->slots) {
			if (ln->sweep == SWEEP_RESTORED ||
			    ln->sweep == SWEEP_LOST)
				restart_path_done(ln);
			ln->sweep = SWEEP_NONE;
			return false;
		}
		if (ln->fresh.n >= full)
			break;

		a = reg_slot(ln->reg, ln->sweep_slot++);
		if (a->line == ln)
			sweep_one(ln, a);
	}

	return true;
}


/* Bindings over a connection did not survive our restart, or may not be
   reachable any more; nor do those that lead to another address of ours */
static void learn_path(struct line *ln)
{
	enum sip_transp tp;
	struct sa addr, laddr;

	if (ln->path_known || pbx_target(ln->pbx, "", -1, 0, &addr, &tp) ||
	    pbx_local(ln->pbx, tp, &addr, &laddr))
		return;

	ln->path_known = true;
	if (!restart_path(ln, tp, &laddr) || tp != SIP_TRANSP_UDP)
		watch_sweep(ln, SWEEP_RESTORED, 0);
}


bool watch_tick(struct line *ln, uint64_t now)
{
	if (!ln->accounts)
		return false;

	learn_path(ln);
	canary(ln, now);
	query(ln, now);

	return sweep_step(ln);
}


void watch_path(struct pbx *pbx, const struct sa *addr, enum sip_transp tp,
		int err, void *arg)
{
	struct line *ln = arg;
	const struct peer *p;
	(void)pbx;

	if (!addr) {
		reg_kick(ln->reg, 0);
		return;
	}

	/* Connections that the PBX opened to us carry no binding */
	p = line_peer_find(ln, addr, tp);
	if (!p)
		return;

	tx_flow_lost(ln, p->number, err);
	watch_sweep(ln, SWEEP_FLOW, p->number);
}
