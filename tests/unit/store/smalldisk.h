/**
 * @file smalldisk.h  A disk that is as small as a test wants
 *
 * In place of the system calls that SQLite writes with, which it lets us
 * replace: what does not fit is written in part, and then not at all (ENOSPC),
 * as the kernel does it.  All above is as it always is.  For the rest of the
 * process.
 */

#ifndef TESTS_UNIT_STORE_SMALLDISK_H
#define TESTS_UNIT_STORE_SMALLDISK_H

#include <stddef.h>

/** Room for all files in dir together; 0 or errno */
int smalldisk_make(const char *dir, size_t room);
void smalldisk_grow(size_t room);

#endif
