/**
 * @file log.c  One line per event
 *
 *     2026-11-22T14:41:03.123456Z info call 0f1e.. words key=value
 *
 * The sink is the one piece of state that the whole process shares: level
 * and descriptor are atomics, the table of the rate limit stands under a
 * lock.  A line leaves in one write(), so lines of threads never mix.
 */

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <re/re.h>
#define DEBUG_MODULE "log"
#define DEBUG_LEVEL  5
#include <re/re_dbg.h>
#include "common/clock.h"
#include "common/log.h"


enum {
	LINE_MAX_ = 1024, /**< bytes of a line, newline included */
	PAIRS = 64,       /**< pairs watched at a time, a power of 2 */
	PROBES = 8,
	PER_SECOND = 20
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
	_Atomic int fd;
	pthread_mutex_t lock;
	struct pair pairv[PAIRS];
	uint32_t held; /**< pairs with lines held back */
} sink = { LOG_INFO_, 2, PTHREAD_MUTEX_INITIALIZER, { { 0 } }, 0 };

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
	atomic_store_explicit(&sink.level, (int)level, memory_order_relaxed);
}


enum log_level log_get_level(void)
{
	return (enum log_level)atomic_load_explicit(&sink.level,
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
	atomic_store_explicit(&sink.fd, fd, memory_order_relaxed);
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


static void end_line(struct line *l)
{
	const int fd = atomic_load_explicit(&sink.fd, memory_order_relaxed);
	const char *p = l->buf;

	l->buf[l->len++] = '\n';

	while (l->len) {
		const ssize_t n = write(fd, p, l->len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return; /* nobody left to tell */

		p += n;
		l->len -= (size_t)n;
	}
}


static void print_held(const struct pair *p)
{
	struct line l;
	char text[LINE_MAX_];

	(void)snprintf(text, sizeof(text), "%u more lines like: %s", p->held,
		       p->fmt);

	begin_line(&l, p->level, p->module, NULL);
	add_escaped(&l, text, false);
	end_line(&l);
}


/* Sums up what was held back in seconds that are over */
static void flush_held(uint64_t second)
{
	for (size_t i = 0; i < PAIRS && sink.held; i++) {
		struct pair *p = &sink.pairv[i];

		if (!p->held || p->second == second)
			continue;

		print_held(p);
		p->held = 0;
		sink.held--;
	}
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
		struct pair *p = &sink.pairv[(home + i) % PAIRS];

		if (p->second != second) {
			old = old ? old : p;
			continue;
		}
		if (p->module == module && p->fmt == fmt)
			return p;
	}

	if (!old)
		return &sink.pairv[home % PAIRS];

	*old = (struct pair){ module, fmt, second, 0, 0, level };
	return old;
}


static bool admit(enum log_level level, const char *module, const char *fmt)
{
	const uint64_t second = clock_mono_ms() / 1000;
	struct pair *p;
	bool ok = true;

	(void)pthread_mutex_lock(&sink.lock);

	/* After this, only pairs of this second hold lines back */
	flush_held(second);
	p = pair_get(level, module, fmt, second);

	if (p->lines < PER_SECOND) {
		p->lines++;
	}
	else {
		if (!p->held++)
			sink.held++;
		ok = false;
	}

	(void)pthread_mutex_unlock(&sink.lock);

	return ok;
}


void log_line(enum log_level level, const char *module, const char *trace,
	      const char *fmt, ...)
{
	char text[LINE_MAX_];
	struct line l;
	va_list ap;

	if (level > log_get_level() || !fmt || !admit(level, module, fmt))
		return;

	va_start(ap, fmt);
	if (vsnprintf(text, sizeof(text), fmt, ap) < 0)
		text[0] = '\0';
	va_end(ap);

	begin_line(&l, level, module, trace);
	add_escaped(&l, text, false);
	end_line(&l);
}


static void re_handler(int level, const char *p, size_t len, void *arg)
{
	(void)arg;

	while (len && (p[len - 1] == '\n' || p[len - 1] == '\r'))
		len--;

	log_line(level <= DBG_WARNING ? LOG_WARNING_ : LOG_DEBUG_, "re", NULL,
		 "%.*s", (int)len, p);
}


void log_capture_re(void)
{
	dbg_init(DBG_WARNING, DBG_NONE);
	dbg_handler_set(re_handler, NULL);
}
