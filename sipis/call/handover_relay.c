/**
 * @file handover_relay.c  The waiting INVITE goes to the phone as it is
 *
 * Over the flow that the phone opened to us: stateful proxy, no second call.
 * Several phones ring side by side; the first 2xx wins.  The PBX is asked
 * nothing and told nothing but what the phones say: an 18x goes up at once,
 * after which nobody sends the INVITE again, so a phone gets it only once a
 * restart would find the call.
 */

#include "sipis/call/call.h"


static uint64_t relay_decide(struct call *c, uint64_t now)
{
	(void)now;

	for (unsigned i = 0; c->stored && i < c->phonec; i++) {
		struct call_phone *p = &c->phonev[i];

		if ((p->flow == PHONE_FLOW_OPEN ||
		     p->flow == PHONE_FLOW_BACK) &&
		    !p->declined)
			call_relay(c, p);
	}

	return CALL_NEVER;
}


const struct handover handover_relay = {
	.name = "relay",
	.relays = true,
	.decline_scode = 480,
	.decide = relay_decide,
};
