/**
 * @file recall.h  What a timeline says of phones, after a restart
 */

#ifndef SIPIS_CALL_RECALL_H
#define SIPIS_CALL_RECALL_H

#include <re/re.h>
#include "sipis/call/call.h"

/** A provider took its push */
struct recalled {
	struct le le;
	char inst[STORE_ID_LEN + 1];
};

/** What the timeline knows, the record knows again; into accepted, of struct
    recalled, what the record is told once its push would go */
void recall_event(struct call *c, struct list *accepted,
		  const struct event_row *ev);

#endif
