/**
 * @file logsink.h  Where the lines of the log go, each whole
 *
 * At once, until logsink_gather(); from then on together: a daemon under
 * load writes some ten times a second, not once per line, and never waits
 * for a slow reader of its log unless 256 KiB of it are in the way.  Safe
 * from any thread.
 */

#ifndef COMMON_LOGSINK_H
#define COMMON_LOGSINK_H

#include <stdbool.h>
#include <stddef.h>

/** Called some ten times a second as long as it returns true, from a thread
    of the sink's; it may call logsink_line().  last: never again */
typedef bool(logsink_tick_h)(bool last);

/** Default 2 (stderr) */
void logsink_set_fd(int fd);

/** len <= 1024, with its newline; urgent: it and all before it, now */
void logsink_line(const char *line, size_t len, bool urgent);

/** Lines wait at most 100 ms for others until logsink_end(), which exit()
    calls too.  What ends the process by a fault or abort() writes them as
    well; a SIGKILL loses them */
int logsink_gather(logsink_tick_h *tickh);
void logsink_end(void);

/** There is something for the tick to do */
void logsink_wake(void);

#endif
