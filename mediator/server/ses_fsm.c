/**
 * @file server/ses_fsm.c  The life of one connection from a sipis
 */

#include "mediator/server/ses_fsm.h"

#define STAY(s)                       \
	{                             \
		SES_##s, SES_ACT_NONE \
	}
#define GO(s, a)                     \
	{                            \
		SES_##s, SES_ACT_##a \
	}
#define REFUSE GO(CLOSING, REFUSE)
#define DROP   GO(CLOSED, DROP)

/* clang-format off */
static const struct ses_step steps[SES_STATES][SES_EVENTS] = {
	[SES_TLS] = {
		[SES_EV_SECURE]  = STAY(HELLO),
		[SES_EV_HELLO]   = DROP,
		[SES_EV_WORK]    = DROP,
		[SES_EV_PING]    = DROP,
		[SES_EV_PONG]    = DROP,
		[SES_EV_REFUSED] = DROP,
		[SES_EV_FAULT]   = REFUSE,
		[SES_EV_DRAIN]   = DROP,
		[SES_EV_TIMEOUT] = DROP,
		[SES_EV_SILENT]  = STAY(TLS),
		[SES_EV_GONE]    = DROP,
	},
	[SES_HELLO] = {
		[SES_EV_SECURE]  = STAY(HELLO),
		[SES_EV_HELLO]   = GO(READY, GREET),
		[SES_EV_WORK]    = REFUSE,
		[SES_EV_PING]    = REFUSE,
		[SES_EV_PONG]    = REFUSE,
		[SES_EV_REFUSED] = DROP,
		[SES_EV_FAULT]   = REFUSE,
		[SES_EV_DRAIN]   = REFUSE,
		[SES_EV_TIMEOUT] = REFUSE,
		[SES_EV_SILENT]  = STAY(HELLO),
		[SES_EV_GONE]    = DROP,
	},
	[SES_READY] = {
		[SES_EV_SECURE]  = STAY(READY),
		[SES_EV_HELLO]   = REFUSE,
		[SES_EV_WORK]    = GO(READY, WORK),
		[SES_EV_PING]    = GO(READY, PONG),
		[SES_EV_PONG]    = STAY(READY),
		[SES_EV_REFUSED] = DROP,
		[SES_EV_FAULT]   = REFUSE,
		[SES_EV_DRAIN]   = GO(DRAINING, DRAIN),
		[SES_EV_TIMEOUT] = STAY(READY),
		[SES_EV_SILENT]  = DROP,
		[SES_EV_GONE]    = DROP,
	},
	[SES_DRAINING] = {
		[SES_EV_SECURE]  = STAY(DRAINING),
		[SES_EV_HELLO]   = REFUSE,
		[SES_EV_WORK]    = GO(DRAINING, WORK),
		[SES_EV_PING]    = GO(DRAINING, PONG),
		[SES_EV_PONG]    = STAY(DRAINING),
		[SES_EV_REFUSED] = DROP,
		[SES_EV_FAULT]   = REFUSE,
		[SES_EV_DRAIN]   = STAY(DRAINING),
		[SES_EV_TIMEOUT] = STAY(DRAINING),
		[SES_EV_SILENT]  = DROP,
		[SES_EV_GONE]    = DROP,
	},
	[SES_CLOSING] = {
		[SES_EV_SECURE]  = STAY(CLOSING),
		[SES_EV_HELLO]   = STAY(CLOSING),
		[SES_EV_WORK]    = STAY(CLOSING),
		[SES_EV_PING]    = STAY(CLOSING),
		[SES_EV_PONG]    = STAY(CLOSING),
		[SES_EV_REFUSED] = STAY(CLOSING),
		[SES_EV_FAULT]   = STAY(CLOSING),
		[SES_EV_DRAIN]   = STAY(CLOSING),
		[SES_EV_TIMEOUT] = DROP,
		[SES_EV_SILENT]  = DROP,
		[SES_EV_GONE]    = DROP,
	},
	[SES_CLOSED] = {
		[SES_EV_SECURE]  = STAY(CLOSED),
		[SES_EV_HELLO]   = STAY(CLOSED),
		[SES_EV_WORK]    = STAY(CLOSED),
		[SES_EV_PING]    = STAY(CLOSED),
		[SES_EV_PONG]    = STAY(CLOSED),
		[SES_EV_REFUSED] = STAY(CLOSED),
		[SES_EV_FAULT]   = STAY(CLOSED),
		[SES_EV_DRAIN]   = STAY(CLOSED),
		[SES_EV_TIMEOUT] = STAY(CLOSED),
		[SES_EV_SILENT]  = STAY(CLOSED),
		[SES_EV_GONE]    = STAY(CLOSED),
	},
};
/* clang-format on */


struct ses_step ses_next(enum ses_state s, enum ses_event e)
{
	return steps[s][e];
}


const char *ses_state_name(enum ses_state s)
{
	static const char *const names[SES_STATES] = {
		"tls", "hello", "ready", "draining", "closing", "closed",
	};

	return (unsigned)s < SES_STATES ? names[s] : "?";
}


const char *ses_event_name(enum ses_event e)
{
	static const char *const names[SES_EVENTS] = {
		"secure", "hello", "work",    "ping",   "pong", "refused",
		"fault",  "drain", "timeout", "silent", "gone",
	};

	return (unsigned)e < SES_EVENTS ? names[e] : "?";
}
