/**
 * @file resolve_hops.c  The hops that a resolver has found
 *
 * The last good answer stays until there is a better one, or a day is over.
 */

#include <errno.h>
#include <string.h>
#include "common/clock.h"
#include "sipis/sip/resolve_priv.h"

enum { KEEP_MS = 24 * 3600 * 1000 };


void resolve_hop_add(struct resolve *r, const struct sa *addr,
		     enum sip_transp tp, uint16_t port)
{
	struct resolve_hop *hop = &r->nextv[r->nextc];

	if (r->nextc >= RESOLVE_HOPS)
		return;

	memset(hop, 0, sizeof(*hop));
	hop->addr = *addr;
	sa_set_port(&hop->addr, port);
	hop->tp = tp;

	for (unsigned i = 0; i < r->nextc; i++) {
		if (r->nextv[i].tp == tp &&
		    sa_cmp(&r->nextv[i].addr, &hop->addr, SA_ALL))
			return;
	}

	++r->nextc;
}


void resolve_hops_adopt(struct resolve *r)
{
	for (unsigned i = 0; i < r->nextc; i++) {
		for (unsigned k = 0; k < r->hopc; k++) {
			if (r->nextv[i].tp == r->hopv[k].tp &&
			    sa_cmp(&r->nextv[i].addr, &r->hopv[k].addr,
				   SA_ALL))
				r->nextv[i].down_until = r->hopv[k].down_until;
		}
	}

	memcpy(r->hopv, r->nextv, sizeof(r->hopv));
	r->hopc = r->nextc;
	r->guessed = r->unanswered;
	r->good_until = r->hopc ? clock_mono_ms() + KEEP_MS : 0;
}


bool resolve_hops_stand(const struct resolve *r)
{
	return r->hopc && clock_mono_ms() < r->good_until &&
	       (!r->nextc || (r->unanswered && !r->guessed));
}


int resolve_hop(const struct resolve *r, unsigned n, uint64_t now,
		struct resolve_hop *hop)
{
	if (!r || !hop)
		return EINVAL;
	if (!r->hopc)
		return EAGAIN;

	for (unsigned i = 0; i < r->hopc; i++) {
		if (r->hopv[i].down_until > now)
			continue;
		if (!n--) {
			*hop = r->hopv[i];
			return 0;
		}
	}

	return ENOENT;
}


void resolve_down(struct resolve *r, const struct sa *addr, enum sip_transp tp,
		  uint64_t until)
{
	if (!r || !addr)
		return;

	for (unsigned i = 0; i < r->hopc; i++) {
		if (r->hopv[i].tp == tp &&
		    sa_cmp(&r->hopv[i].addr, addr, SA_ALL))
			r->hopv[i].down_until = until;
	}
}


uint64_t resolve_wait(const struct resolve *r, uint64_t now)
{
	uint64_t wait = UINT64_MAX;

	if (!r || !r->hopc)
		return 0;

	for (unsigned i = 0; i < r->hopc; i++) {
		if (r->hopv[i].down_until <= now)
			return 0;
		if (r->hopv[i].down_until - now < wait)
			wait = r->hopv[i].down_until - now;
	}

	return wait;
}


bool resolve_has(const struct resolve *r, const struct sa *addr)
{
	if (!r || !addr)
		return false;

	for (unsigned i = 0; i < r->hopc; i++) {
		if (sa_cmp(&r->hopv[i].addr, addr, SA_ADDR))
			return true;
	}

	return false;
}


uint64_t resolve_good_until(const struct resolve *r)
{
	return r ? r->good_until : 0;
}
