/**
 * @file merge.c  Calls that begin and end within one group
 */

#include <string.h>
#include "sipis/store/merge.h"

enum { SLOTS = 256 };

bool merge_stands(const char *before, const char *word)
{
	return !strcmp(before, "handed") &&
	       (!strcmp(word, "answered") || !strcmp(word, "declined"));
}


/* Ids are hashes in hex digits */
static unsigned slot_of(const char *id)
{
	unsigned slot = 0;

	for (unsigned i = 0; i < 4 && id[i]; i++)
		slot = slot << 4 ^ (unsigned char)id[i] ^
		       (unsigned char)id[i] >> 6;
	return slot % SLOTS;
}


/** The beginning of this call if it is the last one in its slot; who is
    pushed out by another is not merged */
static struct store_req *begun(struct store_req *const *slots, const char *id)
{
	struct store_req *r = slots[slot_of(id)];

	return r && !strcmp(r->call->id, id) ? r : NULL;
}


static void end_add(struct store_req *begin, struct store_req *end)
{
	struct store_req **tail = &begin->ends;

	while (*tail)
		tail = &(*tail)->next_end;
	*tail = end;
	end->next_end = NULL;
	end->merged = true;
}


void merge_calls(struct mail *chain)
{
	struct store_req *slots[SLOTS];
	bool any = false;

	for (struct mail *m = chain; m; m = m->next) {
		struct store_req *r = (struct store_req *)m;
		struct store_req *begin;

		if (r->op != OP_CALL_PUT && (!any || r->op != OP_CALL_END))
			continue;
		if (!any)
			memset(slots, 0, sizeof(slots));
		any = true;

		if (r->op == OP_CALL_PUT) {
			slots[slot_of(r->call->id)] =
				r->call->ended ? NULL : r;
			continue;
		}
		begin = begun(slots, r->id);
		if (begin)
			end_add(begin, r);
	}
}
