/**
 * @file store.c  Three threads in front of a database
 *
 *   loop --ask--> writer: takes all that waits, one transaction, COMMIT
 *    |              |  \
 *    |              |   +--> reader, for reads that must see those writes
 *    +----ask-----------> reader
 *    ^              |      |
 *    +---- answers -+------+
 *
 * The more comes in while a COMMIT waits for the disk, the larger the next
 * group: the rate grows with the load while the time to an answer stays at
 * about two COMMITs.
 *
 * What may wait gathers before it gets there: calls until the last group of
 * them is some milliseconds old (unless they are in a hurry), so that one call
 * alone waits for nothing; lines of timelines for longer.
 *
 * The third thread, the keeper, moves what COMMITs have left in the log to
 * its place, so that no COMMIT waits for that.  Under load the log is never
 * quite empty when the keeper is through; the writer then moves the small
 * rest itself between two groups, and the log begins anew.
 */

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <re/re.h>
#include "common/clock.h"
#include "common/ident.h"
#include "common/log.h"
#include "common/metrics.h"
#include "sipis/store/engine.h"
#include "sipis/store/merge.h"
#include "sipis/store/phones.h"

#define GROUP_MAX     1000
#define BUSY_MS       2000
#define BUSY_MIN_MS   50 /**< what is left for who has waited already */
#define KEEP_S        86400
#define CALLS_MAX     500000
#define LAZY_MS       200
#define LAZY_MAX      1000  /**< lines */
#define LINES_MAX     100   /**< of one request */
#define HELD_MS       50    /**< on the loop's side, before that */
#define SOON_MS       20    /**< the same for calls, from group to group */
#define IDLE_MS       10000 /**< after which rows kept for calls go */
#define PRUNE_MS      10000 /**< between two looks for old things */
#define CALM          100   /**< commits between them that are few */
#define PRUNE_MORE_MS 50    /**< while there is more to remove */
#define LOG_PAGES     2000  /**< from which on the log is worked off */
#define LOG_REST      300   /**< of which the writer takes care itself */

enum { M_REQUESTS, M_COMMITS, M_ERRORS, M_EVENTS_LOST, M_PRUNE_ERRORS, M_N };

struct lane {
	struct store *st;
	struct mailbox *box;
	void *db;
	pthread_t thread;
	bool running;
};

struct store {
	const struct store_engine *eng;
	struct store_prm prm;
	char *path;
	struct mailbox *answers;
	struct lane writer, reader, keeper;
	void *loader; /**< the loop thread's own connection */
	atomic_bool stopping;
	struct mail kick;    /**< the keeper's only mail */
	atomic_uint keeping; /**< files whose logs it moves, as bits */
	atomic_uint log_moved[ENGINE_FILES]; /**< pages that it has moved */
	bool closed;

	/* of the loop's thread: what need not wake the writer by itself */
	struct mail *held, **held_tail;
	struct tmr held_tmr;
	bool soon;               /**< calls are among them */
	uint64_t put_ms;         /**< when calls were put last */
	struct store_req *lines; /**< of those held, if there is one */
	struct phones *phones;
	struct mail *known, **known_tail; /**< they ask for rows kept there */
	struct tmr known_tmr;

	/* of the writer's thread */
	struct mail *lazy, **lazy_tail;
	uint64_t lazy_since;
	uint64_t prune_at;
	unsigned commits; /**< since then */
	int last_err;     /**< of the last group, to log changes only */

	struct metric metrics[M_N];
	struct histogram commit_us;
};


/** Rows that are kept, if nothing has changed them since it was asked */
static void answer_kept(struct store *st, struct store_req *r)
{
	struct phones_entry *kept = r->kept;

	r->kept = NULL;
	if (phones_current(kept) || st->closed) {
		phones_answer(kept, r);
		store_req_free(r);
	}
	else {
		r->ticket = phones_expect(st->phones, r->acct_id);
		mailbox_put(st->reader.box, &r->mail);
	}
	mem_deref(kept);
}


/* In the turn of the loop in which they were asked for, as a rule */
static void known_handler(void *arg)
{
	struct store *st = arg;
	struct mail *mail = st->known, *next;

	st->known = NULL;
	st->known_tail = &st->known;

	for (; mail; mail = next) {
		next = mail->next;
		answer_kept(st, (struct store_req *)mail);
	}
}


static void know(struct store *st, struct mail *mail)
{
	mail->next = NULL;
	*st->known_tail = mail;
	st->known_tail = &mail->next;
	if (!tmr_isrunning(&st->known_tmr))
		tmr_start(&st->known_tmr, 0, known_handler, st);
}


static void answer_handler(struct mail *mail, void *arg)
{
	struct store *st = arg;

	/* before any of the handlers, which may ask at once */
	for (struct mail *m = mail; m;
	     m = ((struct store_req *)m)->more_answers)
		if (store_op_info(((struct store_req *)m)->op)->phones)
			phones_changed(st->phones, (struct store_req *)m);

	while (mail) {
		struct store_req *r = (struct store_req *)mail;

		mail = r->more_answers;
		if (r->ticket)
			phones_keep(st->phones, r);
		store_req_answer(r);
	}
}


static void reader_main(struct lane *lane)
{
	const struct store_engine *eng = lane->st->eng;
	struct mail *mail, *next;

	while ((mail = mailbox_wait(lane->box, -1))) {
		for (; mail; mail = next) {
			struct store_req *r = (struct store_req *)mail;

			next = mail->next;
			r->more = false;
			r->err = eng->begin(lane->db, false,
					    lane->st->prm.busy_timeout_ms);
			if (!r->err) {
				r->err = eng->run(lane->db, r);
				eng->rollback(lane->db);
			}

			mailbox_put(r->more ? lane->box : lane->st->answers,
				    mail);
		}
	}
}


static void keeper_main(struct lane *lane)
{
	struct store *st = lane->st;

	while (mailbox_wait(lane->box, -1)) {
		const unsigned files = atomic_load(&st->keeping);

		for (unsigned f = 0; f < st->eng->files; f++) {
			unsigned moved;
			int err;

			if (!(files & 1u << f))
				continue;

			err = st->eng->log_move(lane->db, f, &moved);
			atomic_store(&st->log_moved[f], err ? 0 : moved);
			if (err)
				log_debug("store", NULL, "log not moved: %s",
					  strerror(err));
		}
		atomic_store(&st->keeping, 0);
	}
}


/* the writer */

/** True if the log is for the keeper.  It grows until it has been moved whole;
    then it begins anew */
static bool log_is_long(struct store *st, unsigned file)
{
	const unsigned pages = st->eng->log_pages(st->writer.db, file);
	unsigned moved;

	if (pages < LOG_PAGES)
		return false;

	moved = atomic_exchange(&st->log_moved[file], 0);
	if (!moved || moved > pages || pages - moved > LOG_REST)
		return true;

	(void)st->eng->log_move(st->writer.db, file, &moved);
	return false;
}


static void keep_logs(struct store *st)
{
	unsigned files = 0;

	if (atomic_load(&st->keeping))
		return;

	for (unsigned f = 0; f < st->eng->files; f++)
		if (log_is_long(st, f))
			files |= 1u << f;
	if (!files)
		return;

	atomic_store(&st->keeping, files);
	mailbox_put(st->keeper.box, &st->kick);
}


/** All lines go to the first request: those of a call shall be one row */
static void lazy_add(struct store *st, struct mail *mail)
{
	if (!st->lazy)
		st->lazy_since = clock_mono_ms();
	mail->next = NULL;
	*st->lazy_tail = mail;
	st->lazy_tail = &mail->next;
	if (mail != st->lazy)
		store_req_join((struct store_req *)st->lazy,
			       (struct store_req *)mail);
}


static unsigned lazy_lines(const struct store *st)
{
	return st->lazy ? ((struct store_req *)st->lazy)->linec : 0;
}


static bool lazy_due(const struct store *st, uint64_t now)
{
	return st->lazy &&
	       (lazy_lines(st) >= LAZY_MAX || now - st->lazy_since >= LAZY_MS);
}


static void lazy_clear(struct store *st)
{
	while (st->lazy) {
		struct store_req *r = (struct store_req *)st->lazy;

		st->lazy = st->lazy->next;
		store_req_free(r);
	}
	st->lazy_tail = &st->lazy;
}


/** Runs the chain inside the open transaction; what fails fails alone as
    long as the transaction stands */
static int run_chain(struct store *st, struct mail *mail)
{
	for (; mail; mail = mail->next) {
		struct store_req *r = (struct store_req *)mail;

		if (r->merged || store_op_info(r->op)->lane == LANE_READ_AFTER)
			continue;

		r->err = st->eng->run(st->writer.db, r);
		if (r->err && !st->eng->in_transaction(st->writer.db))
			return r->err;
	}

	return 0;
}


static void note_error(struct store *st, int err)
{
	if (err)
		metric_inc(&st->metrics[M_ERRORS]);
	if (err == st->last_err)
		return;

	if (err)
		log_error("store", NULL,
			  "cannot write to %s: %s; changes are refused until "
			  "this is mended, calls and refreshes go on",
			  st->path, strerror(err));
	else
		log_info("store", NULL, "writes to %s work again", st->path);
	st->last_err = err;
}


/** One transaction; its error, or 0 when it is durable */
static int transact(struct store *st, struct mail *chain, struct mail *lazy,
		    unsigned wait_ms)
{
	void *db = st->writer.db;
	const int64_t t0 = clock_wall_us();
	int err;

	err = st->eng->begin(db, true, wait_ms);
	if (err)
		return err;

	merge_calls(chain);
	err = run_chain(st, chain);
	if (!err)
		err = run_chain(st, lazy);
	if (!err)
		err = st->eng->commit(db);
	if (err) {
		if (st->eng->in_transaction(db))
			st->eng->rollback(db);
		return err;
	}

	++st->commits;
	metric_inc(&st->metrics[M_COMMITS]);
	histogram_add(&st->commit_us, (uint64_t)(clock_wall_us() - t0));
	return 0;
}


/** All answers of a group travel as one mail: the loop wakes up once */
static void answer_chain(struct store *st, struct mail *mail, int err)
{
	struct store_req *first = NULL, *last = NULL;
	struct mail *next;

	for (; mail; mail = next) {
		struct store_req *r = (struct store_req *)mail;

		next = mail->next;
		if (store_op_info(r->op)->lane == LANE_READ_AFTER) {
			mailbox_put(st->reader.box, mail);
			continue;
		}

		metric_inc(&st->metrics[M_REQUESTS]);
		if (err && !r->err)
			r->err = err;
		if (!r->h.done && !store_op_info(r->op)->phones) {
			store_req_free(r);
			continue;
		}

		if (last)
			last->more_answers = mail;
		else
			first = r;
		last = r;
	}

	if (first)
		mailbox_put(st->answers, &first->mail);
}


static void group(struct store *st, struct mail *chain, bool lazy)
{
	const uint64_t now = clock_mono_ms();
	unsigned wait_ms = st->prm.busy_timeout_ms;
	int err;

	if (!chain && !(lazy && st->lazy))
		return;

	if (chain) {
		const uint64_t at = ((struct store_req *)chain)->at_ms;
		const uint64_t age = now > at ? now - at : 0;

		wait_ms = age + BUSY_MIN_MS < wait_ms
				  ? (unsigned)(wait_ms - age)
				  : BUSY_MIN_MS;
	}

	err = transact(st, chain, lazy ? st->lazy : NULL, wait_ms);
	note_error(st, err);
	if (lazy) {
		if (err)
			atomic_fetch_add(&st->metrics[M_EVENTS_LOST].value,
					 lazy_lines(st));
		lazy_clear(st);
	}

	answer_chain(st, chain, err);
	if (!err)
		keep_logs(st);
}


/** Splits what came in into groups.  Lines go with the last of them, for their
    calls may be in any; so do reads, which are to see it all */
static void write_all(struct store *st, struct mail *mail)
{
	struct mail *head = NULL, **tail = &head, *next;
	struct mail *reads = NULL, **reads_tail = &reads;
	unsigned n = 0;

	for (; mail; mail = next) {
		struct store_req *r = (struct store_req *)mail;
		const enum store_lane lane = store_op_info(r->op)->lane;

		next = mail->next;
		if (lane == LANE_LAZY) {
			lazy_add(st, mail);
			continue;
		}

		mail->next = NULL;
		if (lane == LANE_READ_AFTER) {
			*reads_tail = mail;
			reads_tail = &mail->next;
			continue;
		}

		if (n == st->prm.group_max) {
			group(st, head, false);
			head = NULL;
			tail = &head;
			n = 0;
		}
		*tail = mail;
		tail = &mail->next;
		++n;
	}

	*tail = reads;
	group(st, head, reads || lazy_due(st, clock_mono_ms()));
}


static void prune(struct store *st, uint64_t now)
{
	const int64_t before =
		clock_wall_ms() - (int64_t)st->prm.keep_s * 1000;
	bool more = false;
	int err;

	if (now < st->prune_at)
		return;

	err = st->eng->begin(st->writer.db, true, 0);
	if (!err) {
		err = st->eng->prune(st->writer.db, before, st->prm.calls_max,
				     &more);
		if (!err)
			err = st->eng->commit(st->writer.db);
		if (err && st->eng->in_transaction(st->writer.db))
			st->eng->rollback(st->writer.db);
	}
	if (err)
		metric_inc(&st->metrics[M_PRUNE_ERRORS]);

	if (!more && st->commits < CALM)
		st->eng->rest(st->writer.db);
	st->commits = 0;
	st->prune_at = now + (more && !err ? PRUNE_MORE_MS : PRUNE_MS);
}


static int pause_ms(const struct store *st, uint64_t now)
{
	uint64_t at = st->prune_at;

	if (st->lazy && st->lazy_since + LAZY_MS < at)
		at = st->lazy_since + LAZY_MS;
	return at > now ? (int)(at - now) : 0;
}


static void writer_main(struct lane *lane)
{
	struct store *st = lane->st;

	for (;;) {
		struct mail *mail;

		mail = mailbox_wait(lane->box, pause_ms(st, clock_mono_ms()));
		if (!mail && atomic_load(&st->stopping))
			break;

		write_all(st, mail);
		prune(st, clock_mono_ms());
	}

	group(st, NULL, true);
}


static void *writer_thread(void *arg)
{
	(void)pthread_setname_np(pthread_self(), "writer");
	writer_main(arg);
	return NULL;
}


static void *reader_thread(void *arg)
{
	(void)pthread_setname_np(pthread_self(), "reader");
	reader_main(arg);
	return NULL;
}


static void *keeper_thread(void *arg)
{
	(void)pthread_setname_np(pthread_self(), "keeper");
	keeper_main(arg);
	return NULL;
}


/* life */

static int lane_start(struct lane *lane, void *(*main)(void *))
{
	sigset_t all, old;
	int err;

	/* signals are for the loop's thread */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	err = pthread_create(&lane->thread, NULL, main, lane);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	lane->running = !err;
	return err;
}


static void lane_stop(struct lane *lane)
{
	if (lane->running) {
		mailbox_stop(lane->box);
		(void)pthread_join(lane->thread, NULL);
		lane->running = false;
	}
}


static void destructor(void *arg)
{
	struct store *st = arg;

	store_close(st);
	mem_deref(st->writer.box);
	mem_deref(st->reader.box);
	mem_deref(st->keeper.box);
	mem_deref(st->phones);
	mem_deref(st->path);
}


static void metrics_init(struct store *st)
{
	static const struct {
		const char *name, *help;
	} d[M_N] = {
		[M_REQUESTS] = { "sipis_store_requests_total",
				 "Changes asked of the store" },
		[M_COMMITS] = { "sipis_store_commits_total",
				"Transactions that became durable" },
		[M_ERRORS] = { "sipis_store_errors_total",
			       "Transactions that failed as a whole" },
		[M_EVENTS_LOST] = { "sipis_store_events_lost_total",
				    "Lines of timelines not written" },
		[M_PRUNE_ERRORS] = { "sipis_store_prune_errors_total",
				     "Failed removals of old calls" },
	};

	for (unsigned i = 0; i < M_N; i++) {
		st->metrics[i].name = d[i].name;
		st->metrics[i].help = d[i].help;
		st->metrics[i].type = METRIC_COUNTER;
	}
	st->commit_us.name = "sipis_store_commit_seconds";
	st->commit_us.help = "Time of a transaction, COMMIT included";
}


static int parameters(struct store *st, const struct store_prm *prm)
{
	int err = str_dup(&st->path, prm->path);

	st->prm = *prm;
	st->prm.path = st->path;
	if (!st->prm.group_max)
		st->prm.group_max = GROUP_MAX;
	if (!st->prm.busy_timeout_ms)
		st->prm.busy_timeout_ms = BUSY_MS;
	if (!st->prm.keep_s)
		st->prm.keep_s = KEEP_S;
	if (!st->prm.calls_max)
		st->prm.calls_max = CALLS_MAX;

	metrics_init(st);
	if (!err && prm->metrics)
		err = metrics_add(prm->metrics, st->metrics, M_N);
	if (!err && prm->metrics)
		err = metrics_add_histogram(prm->metrics, &st->commit_us);
	return err;
}


static int open_all(struct store *st, char *reason, size_t reason_sz)
{
	int err;

	err = st->eng->open(&st->writer.db, &st->prm, ENGINE_WRITER, reason,
			    reason_sz);
	if (err)
		return err;

	err = st->eng->open(&st->reader.db, &st->prm, ENGINE_READER, reason,
			    reason_sz);
	if (err)
		return err;

	err = st->eng->open(&st->keeper.db, &st->prm, ENGINE_KEEPER, reason,
			    reason_sz);
	if (err)
		return err;

	return st->eng->open(&st->loader, &st->prm, ENGINE_READER, reason,
			     reason_sz);
}


int store_alloc(struct store **stp, const struct store_prm *prm, char *reason,
		size_t reason_sz)
{
	struct store *st;
	int err;

	if (!stp || !prm || !prm->path || !reason || !reason_sz)
		return EINVAL;

	*reason = 0;
	st = mem_zalloc(sizeof(*st), destructor);
	if (!st)
		return ENOMEM;

	st->eng = store_sqlite();
	st->lazy_tail = &st->lazy;
	st->held_tail = &st->held;
	st->known_tail = &st->known;
	st->writer.st = st;
	st->reader.st = st;
	st->keeper.st = st;

	err = parameters(st, prm);
	if (err)
		goto out;

	err = open_all(st, reason, reason_sz);
	if (err)
		goto out;

	err = phones_alloc(&st->phones, IDLE_MS);
	if (!err)
		err = mailbox_alloc(&st->answers, answer_handler, st);
	if (!err)
		err = mailbox_alloc_thread(&st->writer.box);
	if (!err)
		err = mailbox_alloc_thread(&st->reader.box);
	if (!err)
		err = mailbox_alloc_thread(&st->keeper.box);
	if (!err)
		err = lane_start(&st->writer, writer_thread);
	if (!err)
		err = lane_start(&st->reader, reader_thread);
	if (!err)
		err = lane_start(&st->keeper, keeper_thread);
out:
	if (err) {
		if (!*reason)
			(void)re_snprintf(reason, reason_sz,
					  "cannot start the store: %m", err);
		mem_deref(st);
	}
	else {
		*stp = st;
	}
	return err;
}


/* A call writes a dozen lines of its timeline and has a begin and an end;
   each would wake the writer */
static void held_put(struct store *st)
{
	mailbox_put_all(st->writer.box, st->held);
	st->held = NULL;
	st->held_tail = &st->held;
	st->lines = NULL;
	if (st->soon)
		st->put_ms = clock_mono_ms();
	st->soon = false;
	tmr_cancel(&st->held_tmr);
}


static void held_handler(void *arg)
{
	held_put(arg);
}


static void hold(struct store *st, struct mail *mail, uint64_t ms)
{
	mail->next = NULL;
	*st->held_tail = mail;
	st->held_tail = &mail->next;
	if (!tmr_isrunning(&st->held_tmr) ||
	    tmr_get_expire(&st->held_tmr) > ms)
		tmr_start(&st->held_tmr, ms, held_handler, st);
}


void store_close(struct store *st)
{
	if (!st || st->closed)
		return;

	held_put(st);

	/* the writer first: it hands reads on to the reader */
	st->closed = true;
	atomic_store(&st->stopping, true);
	lane_stop(&st->writer);
	lane_stop(&st->reader);
	lane_stop(&st->keeper);
	tmr_cancel(&st->known_tmr);
	known_handler(st);
	st->answers = mem_deref(st->answers);
	lazy_clear(st);

	/* the writer last: its checkpoint leaves one file behind */
	st->eng->close(st->loader);
	st->eng->close(st->reader.db);
	st->eng->close(st->keeper.db);
	st->eng->close(st->writer.db);
}


/** True if no read is needed: it is answered in its turn all the same */
static bool look_up(struct store *st, struct store_req *r)
{
	r->kept = phones_get(st->phones, r->acct_id);
	if (!r->kept)
		r->ticket = phones_expect(st->phones, r->acct_id);
	return r->kept;
}


int store_ask(struct store *st, struct store_req *r)
{
	const enum store_lane lane = store_op_info(r->op)->lane;

	if (r->arena.failed || st->closed) {
		int err = st->closed ? ESHUTDOWN : ENOMEM;

		store_req_free(r);
		return err;
	}

	r->at_ms = clock_mono_ms();
	if (lane == LANE_LAZY) {
		hold(st, &r->mail, HELD_MS);
	}
	else if (lane == LANE_SOON && !r->hurry) {
		const uint64_t age = r->at_ms - st->put_ms;

		hold(st, &r->mail, age < SOON_MS ? SOON_MS - age : 0);
		st->soon = true;
	}
	else if (lane == LANE_READ) {
		if (r->op == OP_INSTS_OF && look_up(st, r))
			know(st, &r->mail);
		else
			mailbox_put(st->reader.box, &r->mail);
	}
	else {
		hold(st, &r->mail, 0);
		st->soon |= lane == LANE_SOON;
		held_put(st);
	}
	return 0;
}


void store_line(struct store *st, const struct event_row *ev)
{
	if (st->closed)
		return;

	if (!st->lines || st->lines->linec >= LINES_MAX) {
		st->lines = store_req_new(OP_LINES, NULL);
		if (!st->lines || store_ask(st, st->lines))
			return;
	}
	(void)store_req_line(st->lines, ev);
}


int store_load_accts(struct store *st, store_load_acct_h *h, void *arg)
{
	if (!st || !h || st->closed)
		return EINVAL;

	return st->eng->load_accts(st->loader, h, arg);
}


int store_load_calls(struct store *st, store_load_call_h *h, void *arg)
{
	if (!st || !h || st->closed)
		return EINVAL;

	return st->eng->load_calls(st->loader, h, arg);
}


int store_meta_get(struct store *st, const char *key, int64_t *value)
{
	if (!st || !key || !value || st->closed)
		return EINVAL;

	return st->eng->meta_get(st->loader, key, value);
}


uint64_t store_id_new(void)
{
	uint32_t rnd;

	/* the clock in front keeps new rows together in the file; 42 bits of
	   milliseconds last until 2109 */
	if (ident_random(&rnd, sizeof(rnd)))
		return 0;

	return (((uint64_t)clock_wall_ms() << 21) | (rnd & 0x1fffff)) &
	       INT64_MAX;
}


int store_inst_id_new(char *dst)
{
	const uint64_t front = store_id_new();
	uint8_t raw[STORE_ID_LEN / 2];

	if (!front || ident_random(raw + 8, 8))
		return EIO;

	for (unsigned i = 0; i < 8; i++)
		raw[i] = (uint8_t)(front >> (56 - 8 * i));
	ident_hex(dst, raw, sizeof(raw));
	return 0;
}
