/**
 * @file reg.c  Keeping very many accounts registered
 *
 * One tick drives everything: the wheel hands out the accounts that are due,
 * the lines send what their allowance permits, the watch looks after the
 * PBXs.  It comes once a second, or every 80 ms while there is work.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "common/clock.h"
#include "common/log.h"
#include "sipis/reg/grid.h"
#include "sipis/reg/priv.h"


static void tick(void *arg);


static void destructor(void *data)
{
	struct reg *reg = data;

	reg_close(reg);
}


uint64_t reg_now_ms(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_BOOTTIME, &ts);

	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}


uint32_t reg_now_s(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_BOOTTIME, &ts);

	return (uint32_t)ts.tv_sec;
}


uint32_t reg_grid(const struct reg *reg)
{
	return reg_now_s() + reg->grid_off;
}


void reg_kick(struct reg *reg, uint32_t ms)
{
	const uint64_t at = clock_mono_ms() + ms;

	if (reg->closed || reg->tick_at <= at)
		return;

	reg->tick_at = at;
	tmr_start(&reg->tmr, ms, tick, reg);
}


/* --- the tick --- */

static void due_handler(struct wheel_link *link, void *arg)
{
	struct acct *a = (struct acct *)(void *)link;
	(void)arg;

	a->place = PLACE_NONE;
	acct_event(a, REG_EV_DUE, 0, "");
}


/* The line that was first is last next time: the service's own allowance
   goes round */
static bool lines_tick(struct reg *reg, uint64_t now)
{
	struct le *le = reg->linel.head;
	bool more = false;

	for (; le; le = le->next) {
		struct line *ln = le->data;

		more |= watch_tick(ln, now);
		more |= line_pump(ln, now);
	}

	le = reg->linel.head;
	if (le && le->next) {
		list_unlink(le);
		list_append(&reg->linel, le, le->data);
	}

	return more;
}


static void tick(void *arg)
{
	struct reg *reg = arg;
	uint64_t now = reg_now_ms();
	bool more;

	reg->tick_at = UINT64_MAX;

	wheel_turn(reg->wheel, (uint32_t)(now / 1000));
	more = lines_tick(reg, now);
	restart_beat(reg, now);
	load_tick(reg, now);

	now = reg_now_ms();
	reg_kick(reg, more ? TICK_MS : 1000 - (uint32_t)(now % 1000) + 1);
}


/* A PBX that is away takes all its bindings with it: the log counts lines of
   one format, so each kind has its own */
static void tell_change(const struct acct *a, enum reg_state old,
			const char *reason)
{
	const enum reg_state state = (enum reg_state)a->state;
	const char *user = acct_user(a), *domain = acct_domain(a);
	const char *pbx = a->line->cfg->name;
	const char *from = reg_state_name(old), *to = reg_state_name(state);

	if (state == REG_REGISTERED)
		log_info("reg", NULL, "%s@%s has a binding pbx=%s %s -> %s",
			 user, domain, pbx, from, to);
	else if (old == REG_REGISTERED && state != REG_UNREGISTERING)
		log_info("reg", NULL,
			 "%s@%s has lost its binding pbx=%s %s -> %s code=%u "
			 "%s",
			 user, domain, pbx, from, to, a->scode, reason);
	else if (state == REG_AUTH_FAILED || state == REG_REJECTED)
		log_info("reg", NULL,
			 "%s@%s is refused pbx=%s %s -> %s code=%u %s", user,
			 domain, pbx, from, to, a->scode, reason);
	else
		log_debug("reg", NULL, "%s@%s pbx=%s %s -> %s code=%u %s",
			  user, domain, pbx, from, to, a->scode, reason);
}


void reg_state_changed(struct acct *a, enum reg_state old, const char *reason)
{
	struct reg *reg = a->line->reg;
	const enum reg_state state = (enum reg_state)a->state;

	metric_set(&reg->m[M_STATE + old], reg->counts[old]);
	metric_set(&reg->m[M_STATE + state], reg->counts[state]);

	tell_change(a, old, reason ? reason : "");
	if (reg->changeh && !reg->closed)
		reg->changeh(a, state, a->scode, reason ? reason : "",
			     reg->arg);
}


/* --- accounts --- */

static int fill(struct acct *a, struct line *ln, const struct acct_row *row)
{
	uint16_t number;
	int err;

	err = line_domain(ln, row->domain, &number);
	if (err)
		return err;
	acct_set_domain(a, number);
	if (row->transport < -1 || row->transport > CFG_TP_TLS)
		return EINVAL;

	err = acct_set_strings(a, ln->reg, row);
	if (err)
		return err;

	a->realm = 0;
	if (row->realm) {
		err = line_realm(ln, row->realm, &number);
		if (err)
			return err;
		acct_set_realm(a, number);
	}

	a->transport = (unsigned)(row->transport + 1) & 7;
	a->alg = row->alg & 1;
	a->is_ha1 = row->sealed_is_ha1;
	a->auth_failed = row->auth_failed;
	a->proven = row->proven;

	return 0;
}


/* Is the binding of before the restart worth waiting for? */
static bool stands(const struct acct *a)
{
	return a->proven && a->grant_s && !a->auth_failed &&
	       acct_transport(a) != CFG_TP_TCP &&
	       acct_transport(a) != CFG_TP_TLS;
}


static void restore(struct acct *a)
{
	struct reg *reg = a->line->reg;
	uint32_t wait = 0, overdue = a->grant_s;

	if (reg->grid_known) {
		wait = grid_after(a->id, a->grant_s, reg->grid_from,
				  reg_grid(reg));
		overdue = reg_grid(reg) - reg->grid_from;
	}

	--reg->counts[a->state];
	a->state = REG_REGISTERED;
	++reg->counts[a->state];
	a->bound = true;

	if (wait) {
		wheel_start(reg->wheel, &a->link, reg_now_s() + wait);
		a->place = PLACE_WHEEL;
	}
	else {
		/* Not since this start: ended again before its turn, it would
		   count as served and wait for another period */
		line_queue(a->line, a, true);
		a->link.due -= overdue;
	}
}


static void begin(struct acct *a, bool fresh)
{
	if (!a->want)
		return;

	if (!fresh && stands(a))
		restore(a);
	else
		acct_event(a, a->auth_failed ? REG_EV_AUTH : REG_EV_WANT, 0,
			   "");
}


int reg_pbx(struct reg *reg, struct pbx *pbx)
{
	struct line *ln;
	int err;

	if (!reg || !pbx || reg->closed)
		return EINVAL;

	err = line_find(&ln, reg, pbx);

	return err ? err : load_metrics(ln, reg->metrics);
}


int reg_add(struct acct **acctp, struct reg *reg, struct pbx *pbx,
	    const struct acct_row *row, bool fresh)
{
	struct acct *a;
	struct line *ln;
	uint32_t slot;
	int err;

	if (!reg || !pbx || !row || !row->id || !row->user || !row->domain ||
	    reg->closed)
		return EINVAL;
	if (reg_find(reg, row->id))
		return EEXIST;

	err = line_find(&ln, reg, pbx);
	if (err)
		return err;

	err = table_new(reg, &slot);
	if (err)
		return err;

	a = reg_slot(reg, slot);
	a->id = row->id;
	memcpy(a->contact, row->contact, STORE_CONTACT);
	a->cseq = reg->cseq_base;
	acct_set_grant(a, row->grant_s);
	a->unsettled = !a->grant_s;
	a->want = row->want;

	err = fill(a, ln, row);
	if (err)
		goto out;

	a->line = ln;
	err = table_add(reg, slot);
	if (err)
		goto out;

	++reg->accounts;
	++ln->accounts;
	ln->wanted += a->want;
	if (a->grant_s)
		ln->grant_s = a->grant_s;
	++reg->counts[REG_IDLE];
	metric_set(&reg->m[M_STATE + REG_IDLE], reg->counts[REG_IDLE]);

	/* Nobody is told of what was before we were */
	if (acctp)
		*acctp = a;
	begin(a, fresh);

out:
	if (err)
		table_free(reg, slot);

	return err;
}


static bool same_secret(const struct acct *a, const struct acct_row *row)
{
	const char *proxy = row->outbound_proxy ? row->outbound_proxy : "";

	return a->tail->sealed_len == row->sealed_len &&
	       !memcmp(a->tail->data, row->sealed, row->sealed_len) &&
	       !strcmp(acct_auth_user(a),
		       row->auth_user ? row->auth_user : row->user) &&
	       !strcmp(acct_proxy(a), proxy) &&
	       acct_transport(a) == row->transport;
}


int reg_update(struct acct *acct, const struct acct_row *row)
{
	int err;

	if (!acct || !row || row->id != acct->id)
		return EINVAL;

	if (!same_secret(acct, row)) {
		err = fill(acct, acct->line, row);
		if (err)
			return err;
		acct->fails = 0;
		acct->told = false;
		acct->doubted = false;
		/* A word of the old secret may still be on its way to the
		   store: the next answer says it again */
		acct->unsettled = true;
		if (acct->want && !acct->auth_failed)
			acct_event(acct, REG_EV_CREDS, 0, "");
		if (acct->state == REG_REGISTERING ||
		    acct->state == REG_UNREGISTERING)
			tx_outdate(acct->line, acct);
	}

	reg_want(acct, row->want);

	return 0;
}


void reg_remove(struct acct *acct)
{
	struct line *ln = acct ? acct->line : NULL;
	struct reg *reg;

	if (!ln)
		return;

	reg = ln->reg;
	line_forget(ln, acct);
	if (!acct->line)
		return; /* one of the handlers was faster */

	--reg->counts[acct->state];
	metric_set(&reg->m[M_STATE + acct->state], reg->counts[acct->state]);
	--reg->accounts;
	--ln->accounts;
	ln->wanted -= acct->want;
	table_remove(reg, acct);
}


void reg_want(struct acct *acct, bool registered)
{
	if (!acct || acct->line->reg->closed || acct->want == registered)
		return;

	acct->want = registered;
	acct->line->wanted += registered ? 1 : -1;
	if (!registered)
		acct_event(acct, REG_EV_UNWANT, 0, "");
	else
		acct_event(acct, acct->auth_failed ? REG_EV_AUTH : REG_EV_WANT,
			   0, "");
	if (acct->line)
		reg_kick(acct->line->reg, 0);
}


int reg_look(struct acct *acct, reg_answer_h *h, void *arg)
{
	if (!acct || !h || acct->line->reg->closed)
		return EINVAL;

	return line_op(acct->line, OP_LOOK, acct, NULL, h, arg);
}


void reg_counts(const struct reg *reg, uint32_t counts[7])
{
	if (reg && counts)
		memcpy(counts, reg->counts, sizeof(reg->counts));
}


/* --- the service --- */

static int metrics_make(struct reg *reg, struct metrics *ms)
{
	static const struct metric table[M_COUNT] = {
		[M_SENT] = { "sipis_reg_requests_total", "REGISTERs sent",
			     METRIC_COUNTER, 0 },
		[M_OK] = { "sipis_reg_done_total{result=\"ok\"}",
			   "requests that ended", METRIC_COUNTER, 0 },
		[M_FAILED] = { "sipis_reg_done_total{result=\"failed\"}",
			       "requests that ended", METRIC_COUNTER, 0 },
		[M_TIMEOUT] = { "sipis_reg_done_total{result=\"no_answer\"}",
				"requests that ended", METRIC_COUNTER, 0 },
		[M_CHALLENGED] = { "sipis_reg_challenges_total",
				   "challenges answered", METRIC_COUNTER, 0 },
		[M_NONCE_KEPT] = { "sipis_reg_kept_nonce_total",
				   "REGISTERs that needed no challenge",
				   METRIC_COUNTER, 0 },
#define STATE(s, name)                                            \
	[M_STATE + (s)] = { "sipis_accounts{state=\"" name "\"}", \
			    "accounts by state", METRIC_GAUGE, 0 }
		STATE(REG_IDLE, "idle"),
		STATE(REG_REGISTERING, "registering"),
		STATE(REG_REGISTERED, "registered"),
		STATE(REG_UNREGISTERING, "unregistering"),
		STATE(REG_WAITING, "waiting"),
		STATE(REG_AUTH_FAILED, "auth_failed"),
		STATE(REG_REJECTED, "rejected"),
	};

	reg->m = mem_zalloc(sizeof(table), NULL);
	if (!reg->m)
		return ENOMEM;

	for (int i = 0; i < M_COUNT; i++) {
		reg->m[i].name = table[i].name;
		reg->m[i].help = table[i].help;
		reg->m[i].type = table[i].type;
	}

	return ms ? metrics_add(ms, reg->m, M_COUNT) : 0;
}


int reg_alloc(struct reg **regp, const struct reg_prm *prm)
{
	struct reg *reg;
	int err;

	if (!regp || !prm || !prm->key || !prm->rate)
		return EINVAL;

	reg = mem_zalloc(sizeof(*reg), destructor);
	if (!reg)
		return ENOMEM;

	reg->store = prm->store;
	reg->key = prm->key;
	reg->metrics = prm->metrics;
	reg->changeh = prm->changeh;
	reg->arg = prm->arg;
	reg->free_slot = UINT32_MAX;
	reg->tick_at = UINT64_MAX;
	bucket_init(&reg->rate, prm->rate,
		    prm->rate > BURSTS ? (double)prm->rate / BURSTS : 1,
		    reg_now_ms());

	err = cred_opener_alloc(&reg->opener, prm->key);
	if (err)
		goto out;
	err = metrics_make(reg, prm->metrics);
	if (err)
		goto out;
	err = wheel_alloc(&reg->wheel, reg_now_s(), due_handler, reg);
	if (err)
		goto out;

	restart_begin(reg);
	reg_kick(reg, 1000);

out:
	if (err)
		mem_deref(reg);
	else
		*regp = reg;

	return err;
}


void reg_close(struct reg *reg)
{
	if (!reg || reg->closed)
		return;

	/* The last beat: a quick restart has nothing to make up for */
	reg->beat_at = 0;
	restart_beat(reg, 1);
	reg->closed = true;
	tmr_cancel(&reg->tmr);

	list_flush(&reg->linel);
	reg->recent = NULL;

	reg->wheel = mem_deref(reg->wheel);
	table_close(reg);
	reg->m = mem_deref(reg->m);
	reg->opener = mem_deref(reg->opener);
}
