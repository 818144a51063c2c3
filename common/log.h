/**
 * @file log.h  One line per event: time level module trace words key=value
 *
 * The trace is the id of the call (or of the API request) and is the same in
 * every line of both daemons; "-" where there is none.  Info is something a
 * user could notice, debug a transition, warning "we coped", error "a human
 * must act".  Never log tokens, passwords, bearers, digests or SIP bodies.
 * Foreign text is escaped by the log; lines are cut at 1024 bytes.  A
 * (module, format) pair that repeats more than 20 times in a second is
 * counted and summed up in one line; not so lines with a trace, of which
 * 20,000 a second pass.  Safe from any thread.
 */

#ifndef COMMON_LOG_H
#define COMMON_LOG_H

enum log_level { LOG_ERROR_, LOG_WARNING_, LOG_INFO_, LOG_DEBUG_ };

void log_set_level(enum log_level level);
enum log_level log_get_level(void);
int log_level_decode(enum log_level *level, const char *name);

/** Where lines go; default 2 (stderr). */
void log_set_fd(int fd);

/** For daemons: info and debug lines wait up to 100 ms and are written
    together, before the next warning or error and at exit at the latest; and
    sums of what was held back come by time.  Starts a thread */
int log_gather(void);

void log_line(enum log_level level, const char *module, const char *trace,
	      const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/** Sends libre's own warnings through the log; call once per libre thread */
void log_capture_re(void);

#define log_error(m, t, ...)   log_line(LOG_ERROR_, (m), (t), __VA_ARGS__)
#define log_warning(m, t, ...) log_line(LOG_WARNING_, (m), (t), __VA_ARGS__)
#define log_info(m, t, ...)    log_line(LOG_INFO_, (m), (t), __VA_ARGS__)
#define log_debug(m, t, ...)                                         \
	do {                                                         \
		if (log_get_level() >= LOG_DEBUG_)                   \
			log_line(LOG_DEBUG_, (m), (t), __VA_ARGS__); \
	} while (0)

#endif
