/**
 * @file call.h  Calls between the PBX and phones, INVITE to BYE
 */

#ifndef BENCH_EDGE_CALL_H
#define BENCH_EDGE_CALL_H

#include "site.h"

enum call_way { CALL_IN, CALL_OUT, CALL_BOTH };

/** So many per second, until all have ended or 15 s after the last.
    CALL_IN: the PBX calls; CALL_BOTH: in turn */
void calls_run(struct site *s, unsigned rate, unsigned count,
	       enum call_way way);
/** p NULL: the PBX got it */
void call_msg(struct site *s, struct phone *p, const struct msg *m,
	      const struct sockaddr_in *from);

#endif
