/**
 * @file stride.c  The CSeq of a phone as its PBX sees it; pure
 */

#include "sipis/edge/stride.h"


enum {
	LIMIT = 1u << 27, /* from here on a base is needed */
	BASE_SHIFT = 16,
	DIGITS = 10,
};

static const uint32_t span = (1u << 31) / EDGE_TURNS;


void edge_stride_begin(struct edge_stride *s, uint32_t cseq)
{
	s->on = true;
	s->base = (uint16_t)(cseq < LIMIT ? 0 : cseq >> BASE_SHIFT);
	s->turn = 0;
}


static uint32_t base_of(const struct edge_stride *s)
{
	return (uint32_t)s->base << BASE_SHIFT;
}


uint32_t edge_stride_out(const struct edge_stride *s, uint32_t cseq,
			 unsigned turn)
{
	return s->on ? (cseq - base_of(s)) % span * EDGE_TURNS +
			       turn % EDGE_TURNS
		     : cseq;
}


uint32_t edge_stride_in(const struct edge_stride *s, uint32_t cseq)
{
	return s->on ? cseq / EDGE_TURNS + base_of(s) : cseq;
}


unsigned edge_stride_turn(const struct edge_stride *s, uint32_t cseq)
{
	return s->on ? cseq % EDGE_TURNS : 0;
}


static bool is_number(const struct pl *pl)
{
	if (!pl->l || pl->l > DIGITS)
		return false;
	for (size_t i = 0; i < pl->l; i++)
		if (pl->p[i] < '0' || pl->p[i] > '9')
			return false;

	return true;
}


bool edge_stride_rack(struct pl *num, const struct pl *val)
{
	return !re_regex(val->p, val->l, "[0-9]+[ \t]+[0-9]+[ \t]+[^ \t]+",
			 NULL, NULL, num, NULL, NULL) &&
	       is_number(num);
}


bool edge_stride_refer(struct pl *num, const struct pl *val)
{
	struct pl event, params;

	if (re_regex(val->p, val->l, "[^; \t]+[^]*", &event, &params) ||
	    pl_strcasecmp(&event, "refer"))
		return false;

	return !msg_param_decode(&params, "id", num) && is_number(num);
}
