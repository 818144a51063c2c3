/**
 * @file log.c  One line per event
 *
 *     2026-11-22T14:41:03.123456Z info call 0f1e.. words key=value
 *
 * The whole process shares one limit: the level is an atomic, the table of
 * what was said in this second stands under a lock.  A line with the id of a
 * call is limited by what limits calls; for the log there is one bound over
 * all of them, which no working system meets.
 */

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <re/re.h>
#define DEBUG_MODULE "log"
#define DEBUG_LEVEL  5
#include <re/re_dbg.h>
#include "common/clock.h"
#include "common/log.h"
#include "common/logsink.h"


enum {
	LINE_MAX_ = 1024, /**< bytes of a line, newline included */
	PAIRS = 64,       /**< pairs watched at a time, a power of 2 */
	PROBES = 8,
	PER_SECOND = 20,
	TRACED_PER_SECOND = 20000
};

struct pair {
	const char *module; /**< compared as pointers: both are literals */
	const char *fmt;
	uint64_t second;
	uint32_t lines;
	uint32_t held;
	enum log_level level;
};

static struct {
	_Atomic int level;
	pthread_mutex_t lock;
	struct pair pairv[PAIRS + 1]; /**< the last: all lines with a trace */
	uint32_t held;                /**< pairs with lines held back */
} limit = { LOG_INFO_, PTHREAD_MUTEX_INITIALIZER, { { 0 } }, 0 };

static const char *const level_names[] = {
	[LOG_ERROR_] = "error",
	[LOG_WARNING_] = "warning",
	[LOG_INFO_] = "info",
	[LOG_DEBUG_] = "debug",
};

struct line {
	char buf[LINE_MAX_];
	size_t len;
};


void log_set_level(enum log_level level)
{
	atomic_store_explicit(&limit.level, (int)level, memory_order_relaxed);
}


enum log_level log_get_level(void)
{
	return (enum log_level)atomic_load_explicit(&limit.level,
						    memory_order_relaxed);
}


int log_level_decode(enum log_level *level, const char *name)
{
	if (!level || !name)
		return EINVAL;

	for (int i = LOG_ERROR_; i <= LOG_DEBUG_; i++) {
		if (!strcmp(name, level_names[i])) {
			*level = (enum log_level)i;
			return 0;
		}
	}

	return EINVAL;
}


void log_set_fd(int fd)
{
	logsink_set_fd(fd);
}


/* What would end the line, move a terminal's cursor or pass for another
   field becomes \xNN */
static void add_escaped(struct line *l, const char *s, bool word)
{
	static const char hex[] = "0123456789abcdef";
	const size_t room = sizeof(l->buf) - 1; /* the newline */

	for (; *s; s++) {
		const unsigned char c = (unsigned char)*s;

		if (c >= (word ? 0x21 : 0x20) && c < 0x7f && c != '\\') {
			if (l->len + 1 > room)
				return;
			l->buf[l->len++] = (char)c;
			continue;
		}

		if (l->len + 4 > room)
			return;
		l->buf[l->len++] = '\\';
		l->buf[l->len++] = 'x';
		l->buf[l->len++] = hex[c >> 4];
		l->buf[l->len++] = hex[c & 15];
	}
}


static void begin_line(struct line *l, enum log_level level,
		       const char *module, const char *trace)
{
	const int64_t us = clock_wall_us();
	const time_t sec = (time_t)(us / 1000000);
	struct tm tm;

	(void)gmtime_r(&sec, &tm);
	l->len = strftime(l->buf, sizeof(l->buf), "%Y-%m-%dT%H:%M:%S", &tm);
	l->len += (size_t)snprintf(l->buf + l->len, sizeof(l->buf) - l->len,
				   ".%06dZ %s ", (int)(us % 1000000),
				   level_names[level]);

	add_escaped(l, module && *module ? module : "-", true);
	add_escaped(l, " ", false);
	add_escaped(l, trace && *trace ? trace : "-", true);
	add_escaped(l, " ", false);
}


static void end_line(struct line *l, enum log_level level)
{
	l->buf[l->len++] = '\n';
	logsink_line(l->buf, l->len, level <= LOG_WARNING_);
}


static void print_held(const struct pair *p)
{
	struct line l;
	char text[LINE_MAX_];

	(void)snprintf(text, sizeof(text), "%u more lines like: %s", p->held,
		       p->fmt);

	begin_line(&l, p->level, p->module, NULL);
	add_escaped(&l, text, false);
	end_line(&l, LOG_INFO_);
}


/* Sums up what was held back in seconds that are over, or in all */
static void flush_held(uint64_t second, bool all)
{
	for (size_t i = 0; i <= PAIRS && limit.held; i++) {
		struct pair *p = &limit.pairv[i];

		if (!p->held || (!all && p->second == second))
			continue;

		print_held(p);
		p->held = 0;
		limit.held--;
	}
}


static uint64_t this_second(void)
{
	return clock_mono_ms() / 1000;
}


/* Who held lines back may fall silent: time brings the sum */
static bool tick_handler(bool last)
{
	bool more;

	(void)pthread_mutex_lock(&limit.lock);
	flush_held(this_second(), last);
	more = limit.held;
	(void)pthread_mutex_unlock(&limit.lock);

	return more;
}


int log_gather(void)
{
	return logsink_gather(tick_handler);
}


/* The pair's own slot, a fresh one near its place, or, when all of those are
   busy in this second, one that it shares: it is limited in any case */
static struct pair *pair_get(enum log_level level, const char *module,
			     const char *fmt, uint64_t second)
{
	const uintptr_t h = ((uintptr_t)fmt ^ (uintptr_t)module >> 4) *
			    (uintptr_t)0x9e3779b97f4a7c15;
	const size_t home = h >> 40;
	struct pair *old = NULL;

	for (size_t i = 0; i < PROBES; i++) {
		struct pair *p = &limit.pairv[(home + i) % PAIRS];

		if (p->second != second) {
			old = old ? old : p;
			continue;
		}
		if (p->module == module && p->fmt == fmt)
			return p;
	}

	if (!old)
		return &limit.pairv[home % PAIRS];

	*old = (struct pair){ module, fmt, second, 0, 0, level };
	return old;
}


static struct pair *traced_get(uint64_t second)
{
	struct pair *p = &limit.pairv[PAIRS];

	if (p->second != second)
		*p = (struct pair){ "log",  "(those with a trace)",
				    second, 0,
				    0,      LOG_WARNING_ };
	return p;
}


static bool has_trace(const char *trace)
{
	return trace && *trace && strcmp(trace, "-") != 0;
}


static bool admit(enum log_level level, const char *module, bool traced,
		  const char *fmt)
{
	const uint32_t most = traced ? TRACED_PER_SECOND : PER_SECOND;
	const uint64_t second = this_second();
	struct pair *p;
	bool ok = true, first = false;

	(void)pthread_mutex_lock(&limit.lock);

	/* After this, only pairs of this second hold lines back */
	flush_held(second, false);
	p = traced ? traced_get(second) : pair_get(level, module, fmt, second);

	if (p->lines < most) {
		p->lines++;
	}
	else {
		ok = false;
		if (!p->held++)
			first = !limit.held++;
	}

	(void)pthread_mutex_unlock(&limit.lock);

	if (first)
		logsink_wake();
	return ok;
}


void log_line(enum log_level level, const char *module, const char *trace,
	      const char *fmt, ...)
{
	char text[LINE_MAX_];
	struct line l;
	va_list ap;

	if (level > log_get_level() || !fmt ||
	    !admit(level, module, has_trace(trace), fmt))
		return;

	va_start(ap, fmt);
	if (vsnprintf(text, sizeof(text), fmt, ap) < 0)
		text[0] = '\0';
	va_end(ap);

	begin_line(&l, level, module, trace);
	add_escaped(&l, text, false);
	end_line(&l, level);
}


/* handshake.h tells more of it */
static bool is_known(const char *p, size_t len)
{
	static const char accept[] = "tls: accept error";

	return len >= sizeof(accept) - 1 &&
	       !memcmp(p, accept, sizeof(accept) - 1);
}


static void re_handler(int level, const char *p, size_t len, void *arg)
{
	(void)arg;

	while (len && (p[len - 1] == '\n' || p[len - 1] == '\r'))
		len--;

	log_line(level <= DBG_WARNING && !is_known(p, len) ? LOG_WARNING_
							   : LOG_DEBUG_,
		 "re", NULL, "%.*s", (int)len, p);
}


void log_capture_re(void)
{
	dbg_init(DBG_WARNING, DBG_NONE);
	dbg_handler_set(re_handler, NULL);
}
