/**
 * @file recall.c  What a timeline says of phones, after a restart
 */

#include <stdio.h>
#include <string.h>
#include "common/clock.h"
#include "sipis/call/fact.h"
#include "sipis/call/recall.h"


static void destructor(void *data)
{
	struct recalled *k = data;

	list_unlink(&k->le);
}


static void recall_accepted(struct list *accepted, const char *inst)
{
	struct recalled *k = mem_zalloc(sizeof(*k), destructor);

	if (!k)
		return;

	(void)snprintf(k->inst, sizeof(k->inst), "%s", inst);
	list_append(accepted, &k->le, k);
}


/* Every detail that concerns a phone begins with its id */
static bool inst_of(char inst[STORE_ID_LEN + 1], const struct event_row *ev)
{
	const size_t len = strcspn(ev->detail, " ");

	if (len != STORE_ID_LEN)
		return false;

	memcpy(inst, ev->detail, len);
	inst[len] = '\0';
	return true;
}


void recall_event(struct call *c, struct list *accepted,
		  const struct event_row *ev)
{
	const uint64_t now = clock_mono_ms();
	char inst[STORE_ID_LEN + 1];
	enum call_fact fact;

	if (!inst_of(inst, ev) || !call_fact_of(&fact, ev->who, ev->what))
		return;

	switch (fact) {
	case CALL_FACT_ACCEPTED:
		recall_accepted(accepted, inst);
		break;
	case CALL_FACT_AWAKE:
		call_came(c, inst, false, "", now);
		break;
	case CALL_FACT_REGISTERED:
		call_came(c, inst, true, "", now);
		break;
	case CALL_FACT_RINGING:
		call_rings(c, inst, now);
		break;
	case CALL_FACT_INVITED:
	case CALL_FACT_RANG:
		call_relay_had(c, inst, fact == CALL_FACT_RANG, now);
		break;
	case CALL_FACT_DECLINED:
		call_declines(c, inst, now);
		break;
	case CALL_FACT_REFUSED:
		call_refuses(c, inst, now);
		break;
	default:
		break;
	}
}
