/**
 * @file plan.c  Which mediator takes a request, and when it is another's turn
 *
 * A request goes to the first mediator that is up and has room.  It goes to
 * the next one with the same id when the first connection dies, when the
 * first one answers RETRY_LATER, and when it is silent for half of the time
 * that is left.  It is never twice in flight at one mediator.
 */

#include <errno.h>
#include <stddef.h>
#include "sipis/med/plan.h"


static bool is_out(const struct plan_req *req, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		if (req->link[i].on == PLAN_SENT ||
		    req->link[i].on == PLAN_MOVED)
			return true;

	return false;
}


/* May this link have the request now? */
static bool is_open(const struct plan_req *req, const struct plan_link *linkv,
		    unsigned i, uint64_t now)
{
	if (!linkv[i].up)
		return false;

	return req->link[i].on == PLAN_FREE ||
	       (req->link[i].on == PLAN_LATER && req->link[i].until <= now);
}


static struct plan_step pick(const struct plan_req *req,
			     const struct plan_link *linkv, unsigned n,
			     uint64_t now)
{
	struct plan_step step = { .what = PLAN_WAIT, .at = req->deadline };

	for (unsigned i = 0; i < n; i++) {
		if (!is_open(req, linkv, i, now))
			continue;
		if (linkv[i].room) {
			step.what = PLAN_SEND;
			step.link = i;
			break;
		}
		step.what = PLAN_QUEUE;
	}

	return step;
}


/* When a link may open that is closed now */
static uint64_t opens_at(const struct plan_req *req,
			 const struct plan_link *link, unsigned i)
{
	if (!link->up)
		return link->retry_at;

	return req->link[i].on == PLAN_LATER ? req->link[i].until : PLAN_NEVER;
}


static struct plan_step wait_or_fail(const struct plan_req *req,
				     const struct plan_link *linkv, unsigned n,
				     bool out)
{
	struct plan_step step = { .what = PLAN_WAIT, .at = req->deadline };
	bool hope = out, later = false;

	for (unsigned i = 0; i < n; i++) {
		const uint64_t at = opens_at(req, &linkv[i], i);

		later |= req->link[i].on == PLAN_LATER;
		if (at >= req->deadline)
			continue;
		hope = true;
		if (linkv[i].up && at < step.at)
			step.at = at;
	}

	if (!hope) {
		step.what = PLAN_FAIL;
		step.err = req->lost ? ETIMEDOUT : later ? EAGAIN : ENOTCONN;
	}

	return step;
}


struct plan_step plan_next(const struct plan_req *req,
			   const struct plan_link *linkv, unsigned n,
			   uint64_t now)
{
	const bool out = is_out(req, n);
	struct plan_step step = { .what = PLAN_FAIL };

	if (now >= req->deadline) {
		step.err = out || req->lost ? ETIMEDOUT : ENOTCONN;
		return step;
	}

	if (out && now < req->resend_at) {
		step.what = PLAN_WAIT;
		step.at = req->resend_at;
		return step;
	}

	step = pick(req, linkv, n, now);
	if (step.what != PLAN_WAIT)
		return step;

	return wait_or_fail(req, linkv, n, out);
}


struct plan_step plan_rest(const struct plan_req *req, unsigned n,
			   uint64_t now)
{
	struct plan_step step = { .what = PLAN_WAIT, .at = req->deadline };

	if (now >= req->deadline || !is_out(req, n)) {
		step.what = PLAN_FAIL;
		step.err = ETIMEDOUT;
	}

	return step;
}


void plan_sent(struct plan_req *req, unsigned link, uint64_t now)
{
	req->link[link].on = PLAN_SENT;
	req->resend_at = now + (req->deadline - now) / 2;
}


void plan_later(struct plan_req *req, unsigned link, uint64_t now,
		uint32_t retry_after_ms)
{
	const uint32_t pause = retry_after_ms > PLAN_TWICE_MS ? retry_after_ms
							      : PLAN_TWICE_MS;

	req->link[link].on = PLAN_LATER;
	req->link[link].until = now + pause;
}


bool plan_left(struct plan_req *req, unsigned link)
{
	const bool was_out = req->link[link].on == PLAN_SENT;

	req->link[link].on = PLAN_FREE;
	return was_out;
}


bool plan_lost(struct plan_req *req, unsigned link)
{
	const bool was_moved = req->link[link].on == PLAN_MOVED;
	const bool was_out = plan_left(req, link);

	req->lost |= was_out || was_moved;
	return was_out;
}


bool plan_moved(struct plan_req *req, unsigned link)
{
	const bool was_out = req->link[link].on == PLAN_SENT;

	if (was_out)
		req->link[link].on = PLAN_MOVED;
	return was_out;
}


unsigned plan_wanted(const struct plan_link *linkv, unsigned n)
{
	unsigned mask = 0, count = 0;

	for (unsigned i = 0; i < n && count < 2; i++) {
		mask |= 1u << i;
		if (linkv[i].up || !linkv[i].failed)
			++count;
	}

	return mask;
}
