/**
 * @file daemon.c  What both daemons do to their process at start
 */

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>
#include <re/re.h>
#include "common/daemon.h"


struct daemon_signals {
	int fd;
	sigset_t before;
	daemon_signal_h *h;
	void *arg;
};

#if defined(__SANITIZE_ADDRESS__)
#define WATCHED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WATCHED 1
#endif
#endif


int daemon_harden(void)
{
	const struct rlimit none = { 0, 0 };

	if (setrlimit(RLIMIT_CORE, &none))
		return errno;

#ifndef WATCHED
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0))
		return errno;
#endif

	return 0;
}


int daemon_files(unsigned n)
{
	struct rlimit lim, wish;
	int err = 0, fderr;

	if (!n || n > INT32_MAX)
		return EINVAL;
	if (getrlimit(RLIMIT_NOFILE, &lim))
		return errno;

	if (lim.rlim_cur < n) {
		wish.rlim_cur = n;
		wish.rlim_max = lim.rlim_max < n ? n : lim.rlim_max;
		if (setrlimit(RLIMIT_NOFILE, &wish)) {
			err = errno;
			lim.rlim_cur = n = (unsigned)lim.rlim_max;
			if (setrlimit(RLIMIT_NOFILE, &lim))
				return errno;
		}
	}

	fderr = fd_setsize((int)n);
	return err ? err : fderr;
}


int daemon_lock(int *fdp, const char *path)
{
	char pid[16];
	int fd, n, err = 0;

	if (!fdp || !path)
		return EINVAL;

	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return errno;

	n = snprintf(pid, sizeof(pid), "%ld\n", (long)getpid());
	if (flock(fd, LOCK_EX | LOCK_NB) || ftruncate(fd, 0))
		err = errno;
	else if (write(fd, pid, (size_t)n) != n)
		err = ENOSPC;

	if (err)
		(void)close(fd);
	else
		*fdp = fd;

	return err;
}


static void destructor(void *data)
{
	struct daemon_signals *s = data;

	if (s->fd >= 0) {
		fd_close(s->fd);
		(void)close(s->fd);
	}
	(void)pthread_sigmask(SIG_SETMASK, &s->before, NULL);
}


static void read_handler(int flags, void *arg)
{
	struct daemon_signals *s = arg;
	struct signalfd_siginfo si;

	(void)flags;

	mem_ref(s);

	while (read(s->fd, &si, sizeof(si)) == (ssize_t)sizeof(si))
		s->h((int)si.ssi_signo, s->arg);

	mem_deref(s);
}


int daemon_signals_alloc(struct daemon_signals **sp, daemon_signal_h *h,
			 void *arg)
{
	struct daemon_signals *s;
	sigset_t set, before;
	int err;

	if (!sp || !h)
		return EINVAL;

	if (signal(SIGPIPE, SIG_IGN) == SIG_ERR)
		return errno;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGINT);
	(void)sigaddset(&set, SIGHUP);

	err = pthread_sigmask(SIG_BLOCK, &set, &before);
	if (err)
		return err;

	s = mem_zalloc(sizeof(*s), destructor);
	if (!s) {
		(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
		return ENOMEM;
	}

	s->before = before;
	s->h = h;
	s->arg = arg;

	s->fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	if (s->fd < 0) {
		err = errno;
		goto out;
	}

	err = fd_listen(s->fd, FD_READ, read_handler, s);

out:
	if (err)
		mem_deref(s);
	else
		*sp = s;

	return err;
}
