/**
 * @file conn.c  Connections of the listeners: slots and deadlines
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <re/re.h>
#include "sipis/api/conn.h"

static const uint32_t deadlines_ms[PHASES] = {
	[PH_HANDSHAKE] = 5000, [PH_HEADER] = 10000, [PH_BODY] = 20000,
	[PH_SEND] = 20000,     [PH_IDLE] = 30000,
};

struct conns {
	uint32_t max, top; /**< slots below top have been used */
	uint64_t serial;
	struct conn **v;
	uint32_t *free;
	uint32_t freec;
};


static void destructor(void *arg)
{
	struct conns *cs = arg;

	for (uint32_t i = 0; cs->v && i < cs->top; i++) {
		free(cs->v[i]->body);
		free(cs->v[i]);
	}
	free(cs->v);
	free(cs->free);
}


int conns_alloc(struct conns **csp, uint32_t max)
{
	struct conns *cs;

	if (!csp || !max)
		return EINVAL;

	cs = mem_zalloc(sizeof(*cs), destructor);
	if (!cs)
		return ENOMEM;

	cs->max = max;
	cs->v = calloc(max, sizeof(*cs->v));
	cs->free = calloc(max, sizeof(*cs->free));
	if (!cs->v || !cs->free) {
		mem_deref(cs);
		return ENOMEM;
	}

	*csp = cs;
	return 0;
}


struct conn *conns_new(struct conns *cs, void *wsi, uint64_t now_ms)
{
	struct conn *c;
	uint32_t slot;

	if (cs->freec) {
		slot = cs->free[--cs->freec];
		c = cs->v[slot];
	}
	else {
		if (cs->top >= cs->max)
			return NULL;
		c = malloc(sizeof(*c));
		if (!c)
			return NULL;
		slot = cs->top++;
		cs->v[slot] = c;
	}

	memset(c, 0, sizeof(*c));
	c->wsi = wsi;
	c->slot = slot;
	c->serial = ++cs->serial;
	conn_phase(c, PH_HANDSHAKE, now_ms);
	return c;
}


void conns_drop(struct conns *cs, struct conn *c)
{
	if (c->body)
		explicit_bzero(c->body, c->body_len);
	free(c->body);
	c->body = NULL;
	c->phase = PH_FREE;
	c->wsi = NULL;
	cs->free[cs->freec++] = c->slot;
}


struct conn *conns_find(const struct conns *cs, uint32_t slot, uint64_t serial)
{
	struct conn *c = slot < cs->top ? cs->v[slot] : NULL;

	return c && c->phase != PH_FREE && c->serial == serial ? c : NULL;
}


void conn_phase(struct conn *c, enum phase ph, uint64_t now_ms)
{
	c->phase = ph;
	c->since_ms = now_ms;
}


bool conn_late(const struct conn *c, uint64_t now_ms)
{
	const uint32_t ms = deadlines_ms[c->phase];

	return ms && now_ms >= c->since_ms + ms;
}


void conns_each(struct conns *cs, conn_h *h, void *arg)
{
	for (uint32_t i = 0; i < cs->top; i++)
		if (cs->v[i]->phase != PH_FREE)
			h(cs->v[i], arg);
}
