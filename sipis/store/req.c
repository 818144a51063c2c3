/**
 * @file req.c  One request on its way through the store's threads
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "sipis/store/req.h"

static const struct store_op_info ops[OPS] = {
	[OP_ACCT_FIND] = { "acct_find", LANE_READ, REPLY_ACCT },
	[OP_ACCT_GET] = { "acct_get", LANE_READ, REPLY_ACCT },
	[OP_ACCT_LEARN] = { "acct_learn", LANE_WRITE, REPLY_DONE },
	[OP_INST_PUT] = { "inst_put", LANE_WRITE, REPLY_INST },
	[OP_INST_GET] = { "inst_get", LANE_READ, REPLY_INST },
	[OP_INSTS_OF] = { "insts_of", LANE_READ, REPLY_INSTS },
	[OP_INST_STATE] = { "inst_state", LANE_WRITE, REPLY_INST },
	[OP_INST_PATCH] = { "inst_patch", LANE_WRITE, REPLY_INST },
	[OP_INST_DELETE] = { "inst_delete", LANE_WRITE, REPLY_INST },
	[OP_PUSH_GONE] = { "push_gone", LANE_WRITE, REPLY_INST },
	[OP_PUSH_END] = { "push_end", LANE_WRITE, REPLY_INST },
	[OP_PUSH_RENEW] = { "push_renew", LANE_WRITE, REPLY_DONE },
	[OP_OVERDUE] = { "overdue", LANE_WRITE, REPLY_EACH },
	[OP_CALL_PUT] = { "call_put", LANE_SOON, REPLY_DONE },
	[OP_CALL_END] = { "call_end", LANE_SOON, REPLY_DONE },
	[OP_CALL_GET] = { "call_get", LANE_READ_AFTER, REPLY_CALL },
	[OP_CALLS] = { "calls", LANE_READ, REPLY_CALLS },
	[OP_EVENT] = { "event", LANE_LAZY, REPLY_NONE },
	[OP_EVENTS] = { "events", LANE_READ_AFTER, REPLY_EVENTS },
	[OP_LIST] = { "list", LANE_READ, REPLY_LIST },
	[OP_META_PUT] = { "meta_put", LANE_WRITE, REPLY_DONE },
};


const struct store_op_info *store_op_info(enum store_op op)
{
	return &ops[op];
}


struct store_req *store_req_new(enum store_op op, void *arg)
{
	struct store_req *r = malloc(sizeof(*r));

	if (!r)
		return NULL;

	memset(r, 0, offsetof(struct store_req, room));
	arena_init(&r->arena, r->room, sizeof(r->room));
	r->op = op;
	r->arg = arg;
	return r;
}


void store_req_free(struct store_req *r)
{
	if (!r)
		return;

	arena_clear(&r->arena);
	free(r);
}


const struct acct_row *store_req_acct(struct store_req *r,
				      const struct acct_row *acct)
{
	struct arena *a = &r->arena;
	struct acct_row *c = acct ? arena_get(a, sizeof(*c)) : NULL;

	if (!c)
		return NULL;

	*c = *acct;
	c->pbx = arena_str(a, acct->pbx);
	c->user = arena_str(a, acct->user);
	c->domain = arena_str(a, acct->domain);
	c->auth_user = arena_str(a, acct->auth_user);
	c->display_name = arena_str(a, acct->display_name);
	c->outbound_proxy = arena_str(a, acct->outbound_proxy);
	c->realm = arena_str(a, acct->realm);
	c->sealed = arena_dup(a, acct->sealed, acct->sealed_len);
	return c;
}


const struct inst_row *store_req_inst(struct store_req *r,
				      const struct inst_row *inst)
{
	struct arena *a = &r->arena;
	struct inst_row *c;

	if (!inst)
		return NULL;
	if (inst->push_count > STORE_PUSH_MAX) {
		a->failed = true;
		return NULL;
	}

	c = arena_get(a, sizeof(*c));
	if (!c)
		return NULL;

	*c = *inst;
	c->id = arena_str(a, inst->id);
	c->app = arena_str(a, inst->app);
	c->installation = arena_str(a, inst->installation);
	c->label = arena_str(a, inst->label);
	c->platform = arena_str(a, inst->platform);
	c->options = arena_str(a, inst->options);

	for (unsigned i = 0; i < inst->push_count; i++) {
		const struct push_row *from = &inst->push[i];
		struct push_row *to = &c->push[i];

		to->provider = arena_str(a, from->provider);
		to->topic = arena_str(a, from->topic);
		to->environment = arena_str(a, from->environment);
		to->gone_reason = arena_str(a, from->gone_reason);
		to->handle = arena_dup(a, from->handle, from->handle_len);
	}
	return c;
}


const struct call_row *store_req_call(struct store_req *r,
				      const struct call_row *call)
{
	struct arena *a = &r->arena;
	struct call_row *c = call ? arena_get(a, sizeof(*c)) : NULL;

	if (!c)
		return NULL;

	*c = *call;
	c->id = arena_str(a, call->id);
	c->from = arena_str(a, call->from);
	c->display_name = arena_str(a, call->display_name);
	c->invite = arena_dup(a, call->invite, call->invite_len);
	c->src = arena_str(a, call->src);
	c->handover = arena_str(a, call->handover);
	c->to_tag = arena_str(a, call->to_tag);
	c->ended = arena_str(a, call->ended);
	return c;
}


const struct event_row *store_req_event(struct store_req *r,
					const struct event_row *ev)
{
	struct arena *a = &r->arena;
	struct event_row *c = ev ? arena_get(a, sizeof(*c)) : NULL;

	if (!c)
		return NULL;

	c->at_us = ev->at_us;
	c->call = arena_str(a, ev->call);
	c->who = arena_str(a, ev->who);
	c->what = arena_str(a, ev->what);
	c->detail = arena_str(a, ev->detail);
	return c;
}


static void answer_each(const struct store_req *r)
{
	for (unsigned i = 0; i < r->count; i++)
		r->h.inst(0, r->items[i].instv, &r->items[i].acct, r->arg);

	r->h.inst(r->err ? r->err : ENOENT, NULL, NULL, r->arg);
}


static void answer_calls(const struct store_req *r)
{
	for (unsigned i = 0; i < r->count; i++) {
		const struct store_item *it = &r->items[i];

		r->h.calls(0, &it->call, it->acct.id ? &it->acct : NULL,
			   r->arg);
	}
	r->h.calls(r->err ? r->err : ENOENT, NULL, NULL, r->arg);
}


static void answer_list(const struct store_req *r)
{
	for (unsigned i = 0; i < r->count; i++)
		r->h.list(0, &r->items[i].acct, r->items[i].instv,
			  r->items[i].instc, r->arg);

	r->h.list(r->err ? r->err : ENOENT, NULL, NULL, 0, r->arg);
}


static void answer(const struct store_req *r)
{
	const bool ok = !r->err;

	switch (ops[r->op].reply) {
	case REPLY_NONE:
		break;
	case REPLY_DONE:
		r->h.done(r->err, r->arg);
		break;
	case REPLY_ACCT:
		r->h.acct(r->err, ok ? r->racct : NULL, r->arg);
		break;
	case REPLY_INST:
		r->h.inst(r->err, ok ? r->rinst : NULL, ok ? r->racct : NULL,
			  r->arg);
		break;
	case REPLY_INSTS:
		r->h.insts(r->err, ok ? r->rinst : NULL, ok ? r->count : 0,
			   r->arg);
		break;
	case REPLY_EACH:
		answer_each(r);
		break;
	case REPLY_CALL:
		r->h.call(r->err, ok ? r->rcall : NULL, r->arg);
		break;
	case REPLY_CALLS:
		answer_calls(r);
		break;
	case REPLY_EVENTS:
		r->h.events(r->err, ok ? r->revents : NULL, ok ? r->count : 0,
			    r->arg);
		break;
	case REPLY_LIST:
		answer_list(r);
		break;
	}
}


void store_req_answer(struct store_req *r)
{
	if (r->h.done)
		answer(r);
	store_req_free(r);
}
