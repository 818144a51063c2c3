/**
 * @file medask.c  Pushes and enrolments as frames
 */

#include <errno.h>
#include <string.h>
#include "common/clock.h"
#include "common/ident.h"
#include "sipis/med/priv.h"

#define ENROL_TIMEOUT_MS 10000


static uint32_t timeout_of(const struct med *med, const struct med_push *p,
			   uint32_t timeout_ms)
{
	uint32_t ms = timeout_ms ? timeout_ms : med->timeout_ms;
	int64_t left;

	if (!p->expires_ms)
		return ms;

	left = p->expires_ms - clock_wall_ms();
	if (left < 1)
		left = 1;
	return left < (int64_t)ms ? (uint32_t)left : ms;
}


static char *text(const char *s)
{
	return (char *)(s ? s : "");
}


int med_push(struct med_req **reqp, struct med *med, const struct med_push *p,
	     uint32_t timeout_ms, med_result_h *h, void *arg)
{
	Wire__Push push = WIRE__PUSH__INIT;
	Wire__Envelope env = WIRE__ENVELOPE__INIT;
	struct medreq_prm prm = { .resulth = h, .arg = arg };

	if (!med || !p || !h)
		return EINVAL;

	memcpy(prm.id, p->id, sizeof(prm.id));
	prm.late = p->late;
	prm.senth = p->senth;
	prm.timeout_ms = timeout_of(med, p, timeout_ms);
	prm.lane = p->use == WIRE__USE__USE_CALL    ? LANE_CALL
		   : p->use == WIRE__USE__USE_ENDED ? LANE_ENDED
						    : LANE_REST;

	push.id.data = (uint8_t *)p->id;
	push.id.len = WIRE_ID_LEN;
	push.handle.data = (uint8_t *)p->handle;
	push.handle.len = p->handle_len;
	push.use = p->use;
	push.trace = text(p->trace);
	push.call = text(p->call);
	push.instance = text(p->instance);
	push.from = text(p->from);
	push.display_name = text(p->display_name);
	push.video = p->video;
	push.received_at_ms = p->received_ms;
	push.expires_at_ms = p->expires_ms;
	/* a phone must not ring for what was given up */
	if (p->use == WIRE__USE__USE_CALL)
		push.send_by_ms = clock_wall_ms() + prm.timeout_ms;
	push.reason = text(p->reason);
	env.body_case = WIRE__ENVELOPE__BODY_PUSH;
	env.push = &push;

	return medreq_start(reqp, med, &env, &prm);
}


static void shift(int64_t *t, int64_t ms)
{
	if (*t)
		*t += ms;
}


/* It may be asked long after it was encoded, and each link has its clock.
   When to begin is for the mediator alone.  The end is also for the push
   service and the phone, and nobody knows whose clock is right: one that is
   too late costs nothing, one that is past a call */
int medask_send(struct mlink *link, const struct med_req *req)
{
	const int64_t ms = req->enrol ? 0 : mlink_skew_ms(link);
	uint8_t buf[WIRE_MAX_FRAME + 4];
	Wire__Envelope *env;
	size_t len;
	int err;

	if (!ms)
		return mlink_send(link, req->frame, req->len);

	env = wire__envelope__unpack(NULL, req->len - 4, req->frame + 4);
	if (!env)
		return ENOMEM;

	shift(&env->push->send_by_ms, ms);
	shift(&env->push->expires_at_ms, ms > 0 ? ms : 0);
	err = wire_enc(buf, sizeof(buf), &len, env);
	wire__envelope__free_unpacked(env, NULL);

	return err ? err : mlink_send(link, buf, len);
}


static size_t uses_list(Wire__Use *usev, uint32_t mask)
{
	size_t n = 0;

	for (int u = WIRE__USE__USE_CALL; u <= WIRE__USE__USE_TEST; u++)
		if (mask & (1u << u))
			usev[n++] = (Wire__Use)u;

	return n;
}


int med_enrol(struct med_req **reqp, struct med *med,
	      const struct med_token *t, med_enrol_h *h, void *arg)
{
	Wire__Enrol enrol = WIRE__ENROL__INIT;
	Wire__Envelope env = WIRE__ENVELOPE__INIT;
	struct medreq_prm prm = {
		.lane = LANE_REST,
		.enrol = true,
		.timeout_ms = ENROL_TIMEOUT_MS,
		.enrolh = h,
		.arg = arg,
	};
	Wire__Use usev[WIRE__USE__USE_TEST];
	int err;

	if (!med || !t || !h)
		return EINVAL;

	err = ident_random(prm.id, sizeof(prm.id));
	if (err)
		return err;

	enrol.id.data = prm.id;
	enrol.id.len = WIRE_ID_LEN;
	enrol.app = text(t->app);
	enrol.provider = text(t->provider);
	enrol.token = text(t->token);
	enrol.topic = text(t->topic);
	enrol.environment = text(t->environment);
	enrol.trace = text(t->trace);
	enrol.p256dh = text(t->p256dh);
	enrol.auth = text(t->auth);
	enrol.n_use = uses_list(usev, t->uses);
	enrol.use = usev;
	env.body_case = WIRE__ENVELOPE__BODY_ENROL;
	env.enrol = &enrol;

	return medreq_start(reqp, med, &env, &prm);
}
