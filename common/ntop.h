/**
 * @file ntop.h  libre's sa_ntop(), without sprintf()
 *
 * libre writes an address some forty times while a call passes through us, in
 * each Via, Route and Contact that it prints, and for that inet_ntop() calls
 * sprintf(): a tenth of what the loop does for a call.  ntop.c defines
 * sa_ntop() anew; libre calls it through the PLT.  What is no IPv4 address it
 * leaves to libre's own.
 */

#ifndef COMMON_NTOP_H
#define COMMON_NTOP_H

/** ENOSYS if the function in use is not ours.  Calling it is also what makes
    the linker take ntop.c out of the library */
int ntop_check(void);

#endif
