/**
 * @file daemon.h  What both daemons do to their process at start
 */

#ifndef COMMON_DAEMON_H
#define COMMON_DAEMON_H

/** No core file, not dumpable: secrets stay in the process.  Not under
    AddressSanitizer, whose leak check needs to look in */
int daemon_harden(void);

/** Lets the process and the libre loop of the calling thread have n
    descriptors; before the first fd_listen().  EPERM if the hard limit is
    lower and may not be raised; then it has as many as that allows */
int daemon_files(unsigned n);

/** Takes path for this process as long as *fdp is open, and writes its pid
    there.  EWOULDBLOCK if another process has it */
int daemon_lock(int *fdp, const char *path);

struct daemon_signals;
/** sig is SIGTERM, SIGINT or SIGHUP; called from the loop, not from a signal
    handler */
typedef void(daemon_signal_h)(int sig, void *arg);

/** Call before any thread is created: they inherit the mask.  SIGPIPE is
    ignored from here on.  Run the loop with re_main(NULL) */
int daemon_signals_alloc(struct daemon_signals **sp, daemon_signal_h *h,
			 void *arg);

#endif
