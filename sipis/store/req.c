/**
 * @file req.c  One request on its way through the store's threads
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "sipis/store/req.h"

static const struct store_op_info ops[OPS] = {
	[OP_ACCT_FIND] = { "acct_find", LANE_READ, REPLY_ACCT, false },
	[OP_ACCT_GET] = { "acct_get", LANE_READ, REPLY_ACCT, false },
	[OP_ACCT_LEARN] = { "acct_learn", LANE_WRITE, REPLY_DONE, false },
	[OP_INST_PUT] = { "inst_put", LANE_WRITE, REPLY_INST, true },
	[OP_INST_GET] = { "inst_get", LANE_READ, REPLY_INST, false },
	[OP_INSTS_OF] = { "insts_of", LANE_READ, REPLY_INSTS, false },
	[OP_INST_STATE] = { "inst_state", LANE_WRITE, REPLY_INST, true },
	[OP_INST_PATCH] = { "inst_patch", LANE_WRITE, REPLY_INST, true },
	[OP_INST_DELETE] = { "inst_delete", LANE_WRITE, REPLY_INST, true },
	[OP_PUSH_GONE] = { "push_gone", LANE_WRITE, REPLY_INST, true },
	[OP_PUSH_END] = { "push_end", LANE_WRITE, REPLY_INST, true },
	[OP_PUSH_RENEW] = { "push_renew", LANE_WRITE, REPLY_DONE, true },
	[OP_OVERDUE] = { "overdue", LANE_WRITE, REPLY_EACH, true },
	[OP_CALL_PUT] = { "call_put", LANE_SOON, REPLY_DONE, false },
	[OP_CALL_END] = { "call_end", LANE_SOON, REPLY_DONE, false },
	[OP_CALL_GET] = { "call_get", LANE_READ_AFTER, REPLY_CALL, false },
	[OP_CALLS] = { "calls", LANE_READ, REPLY_CALLS, false },
	[OP_LINES] = { "lines", LANE_LAZY, REPLY_NONE, false },
	[OP_EVENTS] = { "events", LANE_READ_AFTER, REPLY_EVENTS, false },
	[OP_LIST] = { "list", LANE_READ, REPLY_LIST, false },
	[OP_META_PUT] = { "meta_put", LANE_WRITE, REPLY_DONE, false },
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
	r->lines_tail = &r->lines;
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


void store_inst_copy(struct arena *a, struct inst_row *to,
		     const struct inst_row *from)
{
	*to = *from;
	to->id = arena_str(a, from->id);
	to->app = arena_str(a, from->app);
	to->installation = arena_str(a, from->installation);
	to->label = arena_str(a, from->label);
	to->platform = arena_str(a, from->platform);
	to->options = arena_str(a, from->options);

	for (unsigned i = 0; i < from->push_count; i++) {
		const struct push_row *p = &from->push[i];
		struct push_row *copy = &to->push[i];

		copy->provider = arena_str(a, p->provider);
		copy->topic = arena_str(a, p->topic);
		copy->environment = arena_str(a, p->environment);
		copy->gone_reason = arena_str(a, p->gone_reason);
		copy->handle = arena_dup(a, p->handle, p->handle_len);
	}
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
	if (c)
		store_inst_copy(a, c, inst);
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


static const char *text_put(char **at, const char *s, size_t size)
{
	const char *text = memcpy(*at, s, size);

	*at += size;
	return text;
}


int store_req_line(struct store_req *r, const struct event_row *ev)
{
	const char *detail = ev->detail ? ev->detail : "";
	const size_t call = strlen(ev->call) + 1, who = strlen(ev->who) + 1,
		     what = strlen(ev->what) + 1, more = strlen(detail) + 1;
	struct store_line *l =
		arena_get(&r->arena, sizeof(*l) + call + who + what + more);
	char *at;

	if (!l)
		return ENOMEM;

	at = (char *)(l + 1);
	l->next = NULL;
	l->row.at_us = ev->at_us;
	l->row.call = text_put(&at, ev->call, call);
	l->row.who = text_put(&at, ev->who, who);
	l->row.what = text_put(&at, ev->what, what);
	l->row.detail = text_put(&at, detail, more);

	*r->lines_tail = l;
	r->lines_tail = &l->next;
	++r->linec;
	return 0;
}


void store_req_join(struct store_req *r, struct store_req *other)
{
	if (!other->lines)
		return;

	*r->lines_tail = other->lines;
	r->lines_tail = other->lines_tail;
	r->linec += other->linec;
	other->lines = NULL;
	other->lines_tail = &other->lines;
	other->linec = 0;
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
