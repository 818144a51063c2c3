/**
 * @file mlink_talk.c  What a link says of itself: Hello, Ping, Drain, clocks
 *
 * Who listens for pushes' results is med.c.
 */

#include <errno.h>
#include <string.h>
#include "common/clock.h"
#include "common/log.h"
#include "sipis/med/mlink_priv.h"

enum {
	WINDOW_DEFAULT = 64,
	WINDOW_MAX = 65536,
	SKEW_MS = 1000, /**< clocks apart: worth a warning */
};


static int send_env(struct mlink *l, const Wire__Envelope *env)
{
	uint8_t buf[512];
	size_t len;
	int err = wire_enc(buf, sizeof(buf), &len, env);

	return err ? err : mlink_send(l, buf, len);
}


int mlink_talk_hello(struct mlink *l)
{
	Wire__Hello hello = WIRE__HELLO__INIT;
	Wire__Envelope env = WIRE__ENVELOPE__INIT;

	hello.version_min = WIRE_VERSION;
	hello.version_max = WIRE_VERSION;
	hello.software = (char *)"sipis/" SIPIS_VERSION;
	hello.node = l->our_node;
	hello.max_frame = WIRE_MAX_FRAME;
	hello.ping_ms = l->prm.ping_ms;
	hello.now_ms = clock_wall_ms();
	env.body_case = WIRE__ENVELOPE__BODY_HELLO;
	env.hello = &hello;
	l->nonce = 0;
	l->asked_at = clock_mono_ms();

	return send_env(l, &env);
}


static void ping_handler(void *arg)
{
	struct mlink *l = arg;
	Wire__Ping ping = WIRE__PING__INIT;
	Wire__Envelope env = WIRE__ENVELOPE__INIT;
	int err;

	if (clock_mono_ms() - l->heard_at >= l->prm.dead_ms) {
		mlink_down(l, "silent");
		return;
	}

	ping.nonce = ++l->nonce;
	l->asked_at = clock_mono_ms();
	env.body_case = WIRE__ENVELOPE__BODY_PING;
	env.ping = &ping;
	err = send_env(l, &env);
	if (err) {
		mlink_down(l, strerror(err));
		return;
	}

	tmr_start(&l->tmr, l->prm.ping_ms, ping_handler, l);
}


static int pong(struct mlink *l, const Wire__Ping *ping)
{
	Wire__Pong p = WIRE__PONG__INIT;
	Wire__Envelope env = WIRE__ENVELOPE__INIT;

	p.nonce = ping->nonce;
	env.body_case = WIRE__ENVELOPE__BODY_PONG;
	env.pong = &p;

	return send_env(l, &env);
}


/* Pushes are sent by its clock (medask.c), so it costs no call.  The phones
   still hear the times of a host whose clock is wrong, and logs do not fit */
static void clock_told(struct mlink *l, int64_t theirs_ms)
{
	int64_t off;

	skew_feed(&l->skew, l->asked_at, clock_mono_ms(), clock_wall_ms(),
		  theirs_ms);
	off = skew_ms(&l->skew);
	if (l->prm.skewh)
		l->prm.skewh(l, l->arg);
	if ((off > SKEW_MS || off < -SKEW_MS) == l->apart)
		return;

	l->apart = !l->apart;
	if (l->apart)
		log_warning("med", NULL,
			    "the clock of mediator %s is %lld ms off ours, "
			    "pushes are sent by its clock: check NTP on both",
			    l->label, (long long)off);
	else
		log_info("med", NULL,
			 "the clock of mediator %s is with ours again",
			 l->label);
}


static int hello_handler(struct mlink *l, const Wire__Hello *h)
{
	if (mlink_stands(l->state))
		return EPROTO;
	if (h->version_min > WIRE_VERSION || h->version_max < WIRE_VERSION) {
		log_error("med", NULL,
			  "mediator %s speaks versions %u to %u of the wire, "
			  "we speak %u",
			  l->label, h->version_min, h->version_max,
			  WIRE_VERSION);
		(void)re_snprintf(l->word, sizeof(l->word),
				  "it speaks versions %u to %u of the wire, "
				  "we speak %u",
				  h->version_min, h->version_max,
				  WIRE_VERSION);
		return EPROTO;
	}
	str_ncpy(l->node, h->node, sizeof(l->node));
	l->window = h->window ? h->window : WINDOW_DEFAULT;
	if (l->window > WINDOW_MAX)
		l->window = WINDOW_MAX;
	l->max_frame = h->max_frame ? h->max_frame : WIRE_MAX_FRAME;
	l->pace.fails = 0;
	tmr_start(&l->tmr, l->prm.ping_ms, ping_handler, l);

	log_info("med", NULL,
		 "mediator %s is up node=%s software=%s "
		 "window=%u",
		 l->label, l->node, h->software, l->window);
	(void)mlink_event(l, MLINK_HELLO);
	clock_told(l, h->now_ms);
	l->changeh(l, l->arg);
	return 0;
}


static void grace_handler(void *arg)
{
	struct mlink *l = arg;

	mlink_down(l, "drained");
}


static int drain_handler(struct mlink *l, const Wire__Drain *d)
{
	const uint32_t ms = d->grace_ms < 60000 ? d->grace_ms : 60000;

	log_info("med", NULL, "mediator %s drains grace_ms=%u", l->label,
		 d->grace_ms);
	(void)mlink_event(l, MLINK_DRAIN);
	tmr_start(&l->tmr, ms, grace_handler, l);
	l->changeh(l, l->arg);
	return 0;
}


int mlink_talk_heard(const Wire__Envelope *env, void *arg)
{
	struct mlink *l = arg;

	/* a handler before this one may have closed the connection */
	if (!l->tc)
		return ECONNABORTED;

	switch (env->body_case) {
	case WIRE__ENVELOPE__BODY_HELLO:
		return hello_handler(l, env->hello);
	case WIRE__ENVELOPE__BODY_PING:
		return pong(l, env->ping);
	case WIRE__ENVELOPE__BODY_PONG:
		/* an answer to an earlier one took longer than it looks */
		if (mlink_stands(l->state) && env->pong->nonce == l->nonce)
			clock_told(l, env->pong->now_ms);
		return 0;
	case WIRE__ENVELOPE__BODY_REFUSED:
		log_warning("med", NULL, "mediator %s refuses us: %s",
			    l->label, env->refused->reason);
		(void)re_snprintf(l->word, sizeof(l->word),
				  "it refuses us: %s", env->refused->reason);
		return ECONNREFUSED;
	case WIRE__ENVELOPE__BODY_DRAIN:
		return mlink_stands(l->state) ? drain_handler(l, env->drain)
					      : EPROTO;
	default:
		return mlink_stands(l->state) ? l->frameh(l, env, l->arg)
					      : EPROTO;
	}
}
