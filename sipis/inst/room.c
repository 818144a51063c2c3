/**
 * @file room.c  Who gives way to one more phone of a full account; pure
 */

#include "sipis/inst/room.h"


/* Nobody has been told the secret of such a one, so it has none */
static bool is_of_register(const struct inst_row *inst)
{
	for (size_t i = 0; i < sizeof(inst->secret_sha256); i++)
		if (inst->secret_sha256[i])
			return false;

	return true;
}


static bool is_sooner(const struct inst_row *a, const struct inst_row *b)
{
	const bool dead = a->state == INST_GONE;

	if (dead != (b->state == INST_GONE))
		return dead;

	return a->seen_ms < b->seen_ms;
}


const struct inst_row *room_choose(const struct inst_row *instv,
				   unsigned instc, inst_here_h *hereh,
				   void *arg)
{
	const struct inst_row *best = NULL;

	for (unsigned i = 0; i < instc; i++) {
		const struct inst_row *inst = &instv[i];

		if (is_of_register(inst) && !(hereh && hereh(inst->id, arg)) &&
		    (!best || is_sooner(inst, best)))
			best = inst;
	}

	return best;
}
