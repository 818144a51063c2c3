/**
 * @file room.h  Who gives way to one more phone of a full account; pure
 *
 * An app that is installed anew comes with a new instance id, and nothing
 * tells that the old one is gone.  So one that a REGISTER made gives way: one
 * without a live token before others, and of these the one that was silent
 * longest.  Never one that is here, nor one that came over HTTPS or by import.
 */

#ifndef SIPIS_INST_ROOM_H
#define SIPIS_INST_ROOM_H

#include "sipis/inst/inst.h"

/** NULL: nobody.  hereh NULL: none is here */
const struct inst_row *room_choose(const struct inst_row *instv,
				   unsigned instc, inst_here_h *hereh,
				   void *arg);

#endif
