/**
 * @file logsink.c  Where the lines of the log go, each whole
 *
 *     line -> bufv[turn] --- full, urgent, 100 ms, end, fault ---> write()
 *
 * Two buffers: one fills while the other is written, so that only who finds
 * both in use waits for the reader of the log.
 */

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "common/logsink.h"


enum { BUF_SIZE = 256 * 1024, GATHER_MS = 100 };

/* The process has one log.  out is taken before lock, and is held over the
   write(), so that buffers leave in their order */
static struct {
	_Atomic int fd;
	pthread_mutex_t out, lock;
	pthread_cond_t cond;
	pthread_t thread;
	logsink_tick_h *tickh;
	bool gathering, woken;
	unsigned turn;
	size_t len; /**< of bufv[turn] */
	char bufv[2][BUF_SIZE];
} sink = {
	.fd = 2,
	.out = PTHREAD_MUTEX_INITIALIZER,
	.lock = PTHREAD_MUTEX_INITIALIZER,
};


static void write_all(const char *p, size_t len)
{
	const int fd = atomic_load_explicit(&sink.fd, memory_order_relaxed);

	while (len) {
		const ssize_t n = write(fd, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return; /* nobody left to tell */

		p += n;
		len -= (size_t)n;
	}
}


static void write_out(void)
{
	const char *buf;
	size_t len;

	(void)pthread_mutex_lock(&sink.out);

	(void)pthread_mutex_lock(&sink.lock);
	buf = sink.bufv[sink.turn];
	len = sink.len;
	sink.turn = !sink.turn;
	sink.len = 0;
	(void)pthread_mutex_unlock(&sink.lock);

	write_all(buf, len);

	(void)pthread_mutex_unlock(&sink.out);
}


void logsink_set_fd(int fd)
{
	atomic_store_explicit(&sink.fd, fd, memory_order_relaxed);
}


void logsink_line(const char *line, size_t len, bool urgent)
{
	(void)pthread_mutex_lock(&sink.lock);

	while (sink.len + len > BUF_SIZE) {
		(void)pthread_mutex_unlock(&sink.lock);
		write_out();
		(void)pthread_mutex_lock(&sink.lock);
	}

	memcpy(sink.bufv[sink.turn] + sink.len, line, len);
	sink.len += len;

	if (!sink.gathering)
		urgent = true;
	else if (sink.len == len)
		(void)pthread_cond_signal(&sink.cond);

	(void)pthread_mutex_unlock(&sink.lock);

	if (urgent)
		write_out();
}


void logsink_wake(void)
{
	(void)pthread_mutex_lock(&sink.lock);
	sink.woken = true;
	if (sink.gathering)
		(void)pthread_cond_signal(&sink.cond);
	(void)pthread_mutex_unlock(&sink.lock);
}


/* With the lock: waits for others to join what came first */
static void gather(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	ts.tv_nsec += GATHER_MS * 1000000;
	if (ts.tv_nsec >= 1000000000) {
		ts.tv_nsec -= 1000000000;
		ts.tv_sec++;
	}

	while (sink.gathering && pthread_cond_timedwait(&sink.cond, &sink.lock,
							&ts) != ETIMEDOUT)
		;
}


static void *gatherer(void *arg)
{
	bool more;

	(void)arg;
	(void)pthread_mutex_lock(&sink.lock);

	while (sink.gathering) {
		if (!sink.len && !sink.woken) {
			(void)pthread_cond_wait(&sink.cond, &sink.lock);
			continue;
		}

		gather();
		sink.woken = false;
		(void)pthread_mutex_unlock(&sink.lock);

		more = sink.tickh(false);
		write_out();

		(void)pthread_mutex_lock(&sink.lock);
		sink.woken |= more;
	}

	(void)pthread_mutex_unlock(&sink.lock);
	return NULL;
}


/* No lock: this very thread may hold it.  At worst a line is cut */
static void fault_handler(int sig)
{
	write_all(sink.bufv[sink.turn], sink.len);
	(void)raise(sig);
}


static void faults_catch(void)
{
	static const int sigv[] = { SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGSEGV };
	const struct sigaction act = {
		.sa_handler = fault_handler,
		.sa_flags = SA_RESETHAND | SA_NODEFER,
	};
	struct sigaction old;

	/* A sanitizer's handler knows more than ours */
	for (size_t i = 0; i < sizeof(sigv) / sizeof(sigv[0]); i++)
		if (!sigaction(sigv[i], NULL, &old) &&
		    old.sa_handler == SIG_DFL)
			(void)sigaction(sigv[i], &act, NULL);
}


static int thread_start(void)
{
	sigset_t all, before;
	int err;

	/* Signals belong to the loops */
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	err = pthread_create(&sink.thread, NULL, gatherer, NULL);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);

	return err;
}


int logsink_gather(logsink_tick_h *tickh)
{
	pthread_condattr_t attr;
	int err;

	if (!tickh)
		return EINVAL;
	if (sink.gathering)
		return EALREADY;

	err = pthread_condattr_init(&attr);
	if (err)
		return err;
	err = pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	if (!err)
		err = pthread_cond_init(&sink.cond, &attr);
	(void)pthread_condattr_destroy(&attr);
	if (err)
		return err;

	sink.tickh = tickh;
	sink.gathering = true;
	err = thread_start();
	if (err) {
		sink.gathering = false;
		return err;
	}

	faults_catch();
	return atexit(logsink_end) ? ENOMEM : 0;
}


void logsink_end(void)
{
	(void)pthread_mutex_lock(&sink.lock);
	if (!sink.gathering) {
		(void)pthread_mutex_unlock(&sink.lock);
		return;
	}
	sink.gathering = false;
	(void)pthread_cond_signal(&sink.cond);
	(void)pthread_mutex_unlock(&sink.lock);

	(void)pthread_join(sink.thread, NULL);
	(void)sink.tickh(true);
	write_out();
}
