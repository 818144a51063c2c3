/**
 * @file reg_fsm.c  The rules of a registration, without I/O and clock
 *
 *                 WANT                    OK
 *     +------+ ---------> +-------------+ -------> +------------+ --+ DUE, OK:
 *     | idle |            | registering |          | registered | <-+ refresh
 *     +------+ <-----+    +-------------+ <------- +------------+
 *        ^           |      ^    |  |  |   LOST,      |  |  |
 *        | GONE      |      |    |  |  |   CREDS      |  |  |
 *   +---------------+|  DUE,|    |  |  +--- REFUSED --|--|--|-> +----------+
 *   | unregistering ||  BACK|    |  |                 |  |  +-> | rejected |
 *   +---------------+|      |    |  +------ AUTH -----|--|--+   +----------+
 *        ^           |      |    | LATER        LATER |  |  |     | DUE
 *        | UNWANT    |    +---------+ <---------------+  |  |     v
 *        +- from any |    | waiting |                    |  v   registering
 *          that may  |    +---------+                    |  +-------------+
 *          be bound  |                                   +->| auth failed |
 *                    +------ UNWANT -------- rejected, -----|             |
 *                            auth failed                    +-------------+
 *
 * CREDS leads back to registering from everywhere but idle and unregistering.
 * WANT in unregistering leads to registering: the REGISTER goes out once the
 * un-REGISTER under way is answered.  rejected is DUE again only for accounts
 * that the PBX once took; auth failed never: the next word is the app's.  Such
 * an account is also rejected, not auth failed, when its credentials are
 * refused for the first time; it is auth failed if they are refused again.
 */

#include "common/backoff.h"
#include "sipis/reg/reg_fsm.h"


enum {
	BACKOFF_BASE_MS = 30 * 1000, /* RFC 5626 4.5 */
	BACKOFF_MAX_MS = 1800 * 1000,
};

#define I REG_IDLE
#define G REG_REGISTERING
#define R REG_REGISTERED
#define U REG_UNREGISTERING
#define W REG_WAITING
#define A REG_AUTH_FAILED
#define X REG_REJECTED

#define NOTHING REG_DO_NOTHING

static const struct reg_step table[REG_STATES][REG_EVENTS] = {
	[I] = {
		[REG_EV_WANT] = { G, REG_DO_REGISTER },
		[REG_EV_UNWANT] = { I, NOTHING },
		[REG_EV_CREDS] = { I, NOTHING },
		[REG_EV_DUE] = { I, NOTHING },
		[REG_EV_OK] = { U, REG_DO_REMOVE },
		[REG_EV_GONE] = { I, NOTHING },
		[REG_EV_LATER] = { I, NOTHING },
		[REG_EV_AUTH] = { A, REG_DO_STOP },
		[REG_EV_REFUSED] = { I, NOTHING },
		[REG_EV_LOST] = { I, NOTHING },
		[REG_EV_BACK] = { I, NOTHING },
	},
	[G] = {
		[REG_EV_WANT] = { G, NOTHING },
		[REG_EV_UNWANT] = { U, REG_DO_REMOVE },
		[REG_EV_CREDS] = { G, REG_DO_REGISTER },
		[REG_EV_DUE] = { G, REG_DO_REGISTER },
		[REG_EV_OK] = { R, REG_DO_SLEEP },
		[REG_EV_GONE] = { G, NOTHING },
		[REG_EV_LATER] = { W, REG_DO_WAIT },
		[REG_EV_AUTH] = { A, REG_DO_STOP },
		[REG_EV_REFUSED] = { X, REG_DO_WAIT },
		[REG_EV_LOST] = { G, NOTHING },
		[REG_EV_BACK] = { G, NOTHING },
	},
	[R] = {
		[REG_EV_WANT] = { R, NOTHING },
		[REG_EV_UNWANT] = { U, REG_DO_REMOVE },
		[REG_EV_CREDS] = { G, REG_DO_REGISTER },
		[REG_EV_DUE] = { R, REG_DO_REFRESH },
		[REG_EV_OK] = { R, REG_DO_SLEEP },
		[REG_EV_GONE] = { G, REG_DO_REGISTER },
		[REG_EV_LATER] = { W, REG_DO_WAIT },
		[REG_EV_AUTH] = { A, REG_DO_STOP },
		[REG_EV_REFUSED] = { X, REG_DO_WAIT },
		[REG_EV_LOST] = { G, REG_DO_REGISTER },
		[REG_EV_BACK] = { R, NOTHING },
	},
	[U] = {
		[REG_EV_WANT] = { G, REG_DO_REGISTER },
		[REG_EV_UNWANT] = { U, NOTHING },
		[REG_EV_CREDS] = { U, NOTHING },
		[REG_EV_DUE] = { U, REG_DO_REMOVE },
		[REG_EV_OK] = { U, NOTHING },
		[REG_EV_GONE] = { I, REG_DO_STOP },
		[REG_EV_LATER] = { U, NOTHING },
		[REG_EV_AUTH] = { U, NOTHING },
		[REG_EV_REFUSED] = { U, NOTHING },
		[REG_EV_LOST] = { U, NOTHING },
		[REG_EV_BACK] = { U, NOTHING },
	},
	[W] = {
		[REG_EV_WANT] = { W, NOTHING },
		[REG_EV_UNWANT] = { U, REG_DO_REMOVE },
		[REG_EV_CREDS] = { G, REG_DO_REGISTER },
		[REG_EV_DUE] = { G, REG_DO_REGISTER },
		[REG_EV_OK] = { R, REG_DO_SLEEP },
		[REG_EV_GONE] = { W, NOTHING },
		[REG_EV_LATER] = { W, REG_DO_WAIT },
		[REG_EV_AUTH] = { A, REG_DO_STOP },
		[REG_EV_REFUSED] = { X, REG_DO_WAIT },
		[REG_EV_LOST] = { W, NOTHING },
		[REG_EV_BACK] = { G, REG_DO_REGISTER },
	},
	[A] = {
		[REG_EV_WANT] = { A, NOTHING },
		[REG_EV_UNWANT] = { I, REG_DO_STOP },
		[REG_EV_CREDS] = { G, REG_DO_REGISTER },
		[REG_EV_DUE] = { A, NOTHING },
		[REG_EV_OK] = { R, REG_DO_SLEEP },
		[REG_EV_GONE] = { A, NOTHING },
		[REG_EV_LATER] = { A, NOTHING },
		[REG_EV_AUTH] = { A, NOTHING },
		[REG_EV_REFUSED] = { A, NOTHING },
		[REG_EV_LOST] = { A, NOTHING },
		[REG_EV_BACK] = { A, NOTHING },
	},
	[X] = {
		[REG_EV_WANT] = { X, NOTHING },
		[REG_EV_UNWANT] = { I, REG_DO_STOP },
		[REG_EV_CREDS] = { G, REG_DO_REGISTER },
		[REG_EV_DUE] = { G, REG_DO_REGISTER },
		[REG_EV_OK] = { R, REG_DO_SLEEP },
		[REG_EV_GONE] = { X, NOTHING },
		[REG_EV_LATER] = { X, NOTHING },
		[REG_EV_AUTH] = { A, REG_DO_STOP },
		[REG_EV_REFUSED] = { X, NOTHING },
		[REG_EV_LOST] = { X, NOTHING },
		[REG_EV_BACK] = { X, NOTHING },
	},
};


struct reg_step reg_fsm(enum reg_state state, enum reg_event event)
{
	return table[state][event];
}


const char *reg_state_name(enum reg_state s)
{
	static const char *const names[REG_STATES] = {
		[I] = "idle",       [G] = "registering",
		[R] = "registered", [U] = "unregistering",
		[W] = "waiting",    [A] = "auth_failed",
		[X] = "rejected",
	};

	return (unsigned)s < REG_STATES ? names[s] : "?";
}


const char *reg_event_name(enum reg_event ev)
{
	static const char *const names[REG_EVENTS] = {
		[REG_EV_WANT] = "want",       [REG_EV_UNWANT] = "unwant",
		[REG_EV_CREDS] = "creds",     [REG_EV_DUE] = "due",
		[REG_EV_OK] = "ok",           [REG_EV_GONE] = "gone",
		[REG_EV_LATER] = "later",     [REG_EV_AUTH] = "auth",
		[REG_EV_REFUSED] = "refused", [REG_EV_LOST] = "lost",
		[REG_EV_BACK] = "back",
	};

	return (unsigned)ev < REG_EVENTS ? names[ev] : "?";
}


enum reg_verdict reg_judge(int err, uint16_t scode, bool sent_creds)
{
	if (err)
		return REG_V_HOP;
	if (scode < 200)
		return REG_V_WAIT;
	if (scode < 300)
		return REG_V_OK;
	if (scode < 400)
		return REG_V_LATER; /* credentials do not follow redirects */

	switch (scode) {
	case 401:
	case 407:
		return REG_V_CHALLENGE;
	case 403:
		return sent_creds ? REG_V_AUTH : REG_V_REFUSED;
	case 408:
	case 430: /* RFC 5626: flow failed */
		return REG_V_HOP;
	case 423:
		return REG_V_BRIEF;
	case 429:
	case 480:
	case 486:
	case 491:
		return REG_V_LATER;
	case 500:
	case 502:
	case 503:
	case 504:
	case 580:
		return REG_V_HOP;
	default:
		break;
	}

	if (scode >= 500 && scode < 600)
		return REG_V_LATER;

	return scode < 700 ? REG_V_REFUSED : REG_V_LATER;
}


uint32_t reg_wait_s(uint32_t retry_after_s, unsigned fails, uint32_t rnd)
{
	uint32_t s = retry_after_s;

	if (!s)
		return backoff_ms(BACKOFF_BASE_MS, BACKOFF_MAX_MS, fails,
				  rnd) /
		       1000;

	if (s > REG_RETRY_MAX)
		s = REG_RETRY_MAX;

	/* Rounded up: never before the time that was given */
	return s + 1 + (uint32_t)((uint64_t)s * (rnd % 201) / 1000);
}


uint32_t reg_doubt_s(uint32_t rnd)
{
	return REG_DOUBT_MIN + rnd % (REG_DOUBT_MIN + 1);
}


uint32_t reg_brief(uint32_t asked, uint32_t min_expires)
{
	uint32_t s = min_expires;

	if (!min_expires)
		return 0;

	if (s < REG_GRANT_MIN)
		s = REG_GRANT_MIN;
	if (s > REG_GRANT_MAX)
		s = REG_GRANT_MAX;

	return s > asked ? s : 0;
}
