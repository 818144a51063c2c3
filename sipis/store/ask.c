/**
 * @file ask.c  The questions of store.h, each packed into a request
 */

#include <errno.h>
#include <string.h>
#include "sipis/store/app_state.h"
#include "sipis/store/req.h"

#define LIST_MAX 1000


int store_acct_find(struct store *st, const char *pbx, const char *user,
		    const char *domain, store_acct_h *h, void *arg)
{
	const struct acct_row key = { .pbx = pbx,
				      .user = user,
				      .domain = domain };
	struct store_req *r;

	if (!st || !pbx || !user || !domain || !h)
		return EINVAL;

	r = store_req_new(OP_ACCT_FIND, arg);
	if (!r)
		return ENOMEM;

	r->h.acct = h;
	r->acct = store_req_acct(r, &key);
	return store_ask(st, r);
}


int store_acct_get(struct store *st, uint64_t acct, store_acct_h *h, void *arg)
{
	struct store_req *r;

	if (!st || !h)
		return EINVAL;

	r = store_req_new(OP_ACCT_GET, arg);
	if (!r)
		return ENOMEM;

	r->h.acct = h;
	r->acct_id = acct;
	return store_ask(st, r);
}


int store_acct_learn(struct store *st, const struct acct_row *acct,
		     store_done_h *h, void *arg)
{
	struct store_req *r;

	if (!st || !acct || !acct->id)
		return EINVAL;

	r = store_req_new(OP_ACCT_LEARN, arg);
	if (!r)
		return ENOMEM;

	r->h.done = h;
	r->acct = store_req_acct(r, acct);
	return store_ask(st, r);
}


int store_inst_put(struct store *st, const struct acct_row *acct,
		   const struct inst_row *inst, store_inst_h *h, void *arg)
{
	struct store_req *r;

	if (!st || !inst || !inst->app || !inst->installation ||
	    !inst->platform || (!acct && !inst->acct))
		return EINVAL;
	if (acct && (!acct->pbx || !acct->user || !acct->domain ||
		     !acct->auth_user || !acct->sealed))
		return EINVAL;

	r = store_req_new(OP_INST_PUT, arg);
	if (!r)
		return ENOMEM;

	r->h.inst = h;
	r->acct = store_req_acct(r, acct);
	r->inst = store_req_inst(r, inst);
	return store_ask(st, r);
}


/** Requests that are about one instance, by its id */
static int inst_req(struct store_req **rp, enum store_op op, const char *id,
		    store_inst_h *h, void *arg)
{
	struct store_req *r = store_req_new(op, arg);

	if (!r)
		return ENOMEM;

	r->h.inst = h;
	r->id = arena_str(&r->arena, id);
	*rp = r;
	return 0;
}


int store_inst_get(struct store *st, const char *id, store_inst_h *h,
		   void *arg)
{
	struct store_req *r;
	int err;

	if (!st || !id || !h)
		return EINVAL;

	err = inst_req(&r, OP_INST_GET, id, h, arg);
	return err ? err : store_ask(st, r);
}


int store_insts_of(struct store *st, uint64_t acct, store_insts_h *h,
		   void *arg)
{
	struct store_req *r;

	if (!st || !h)
		return EINVAL;

	r = store_req_new(OP_INSTS_OF, arg);
	if (!r)
		return ENOMEM;

	r->h.insts = h;
	r->acct_id = acct;
	return store_ask(st, r);
}


int store_inst_state(struct store *st, const char *id, const uint8_t *sha256,
		     enum inst_state state, int64_t lease_until_ms,
		     int64_t seen_ms, store_inst_h *h, void *arg)
{
	struct store_req *r;
	enum app_event event;
	int err;

	if (!st || !id || app_says(&event, state))
		return EINVAL;

	err = inst_req(&r, OP_INST_STATE, id, h, arg);
	if (err)
		return err;

	r->blob = arena_dup(&r->arena, sha256, 32);
	r->blob_len = sha256 ? 32 : 0;
	r->state = state;
	r->n1 = lease_until_ms;
	r->n2 = seen_ms;
	return store_ask(st, r);
}


int store_inst_patch(struct store *st, const struct acct_row *acct,
		     const struct inst_row *inst, store_inst_h *h, void *arg)
{
	struct store_req *r;
	int err;

	if (!st || !inst || !inst->id)
		return EINVAL;

	err = inst_req(&r, OP_INST_PATCH, inst->id, h, arg);
	if (err)
		return err;

	r->acct = store_req_acct(r, acct);
	r->inst = store_req_inst(r, inst);
	return store_ask(st, r);
}


int store_inst_delete(struct store *st, const char *id, store_inst_h *h,
		      void *arg)
{
	struct store_req *r;
	int err;

	if (!st || !id)
		return EINVAL;

	err = inst_req(&r, OP_INST_DELETE, id, h, arg);
	return err ? err : store_ask(st, r);
}


int store_push_gone(struct store *st, const char *inst, const uint8_t *handle,
		    size_t handle_len, const char *reason, store_inst_h *h,
		    void *arg)
{
	struct store_req *r;
	int err;

	if (!st || !handle || !handle_len)
		return EINVAL;

	err = inst_req(&r, OP_PUSH_GONE, inst, h, arg);
	if (err)
		return err;

	r->blob = arena_dup(&r->arena, handle, handle_len);
	r->blob_len = handle_len;
	r->text = arena_str(&r->arena, reason ? reason : "");
	return store_ask(st, r);
}


int store_push_end(struct store *st, const char *inst, const char *reason,
		   store_inst_h *h, void *arg)
{
	struct store_req *r;
	int err;

	if (!st || !inst)
		return EINVAL;

	err = inst_req(&r, OP_PUSH_END, inst, h, arg);
	if (err)
		return err;

	r->text = arena_str(&r->arena, reason ? reason : "");
	return store_ask(st, r);
}


int store_push_renew(struct store *st, const uint8_t *handle,
		     size_t handle_len, const uint8_t *renewed,
		     size_t renewed_len, store_done_h *h, void *arg)
{
	struct store_req *r;

	if (!st || !handle || !handle_len || !renewed || !renewed_len || !h)
		return EINVAL;

	r = store_req_new(OP_PUSH_RENEW, arg);
	if (!r)
		return ENOMEM;

	r->h.done = h;
	r->blob = arena_dup(&r->arena, handle, handle_len);
	r->blob_len = handle_len;
	r->renewed = arena_dup(&r->arena, renewed, renewed_len);
	r->renewed_len = renewed_len;
	return store_ask(st, r);
}


int store_inst_overdue(struct store *st, int64_t now_ms, unsigned max,
		       store_inst_h *h, void *arg)
{
	struct store_req *r;

	if (!st || !h || !max)
		return EINVAL;

	r = store_req_new(OP_OVERDUE, arg);
	if (!r)
		return ENOMEM;

	r->h.inst = h;
	r->n1 = now_ms;
	r->max = max < LIST_MAX ? max : LIST_MAX;
	return store_ask(st, r);
}


int store_call_put(struct store *st, const struct call_row *call,
		   store_done_h *h, void *arg)
{
	struct store_req *r;

	if (!st || !call || !call->id)
		return EINVAL;

	r = store_req_new(OP_CALL_PUT, arg);
	if (!r)
		return ENOMEM;

	r->h.done = h;
	r->call = store_req_call(r, call);
	r->hurry = call->hurry;
	return store_ask(st, r);
}


int store_call_end(struct store *st, const char *id, const char *ended,
		   int64_t ended_ms, store_done_h *h, void *arg)
{
	struct store_req *r;

	if (!st || !id || !ended)
		return EINVAL;

	r = store_req_new(OP_CALL_END, arg);
	if (!r)
		return ENOMEM;

	r->h.done = h;
	r->id = arena_str(&r->arena, id);
	r->text = arena_str(&r->arena, ended);
	r->n1 = ended_ms;
	return store_ask(st, r);
}


int store_call_get(struct store *st, const char *id, store_call_h *h,
		   void *arg)
{
	struct store_req *r;

	if (!st || !id || !h)
		return EINVAL;

	r = store_req_new(OP_CALL_GET, arg);
	if (!r)
		return ENOMEM;

	r->h.call = h;
	r->id = arena_str(&r->arena, id);
	return store_ask(st, r);
}


int store_calls(struct store *st, const char *account, unsigned max,
		store_calls_h *h, void *arg)
{
	struct store_req *r;

	if (!st || !account || !h || !max)
		return EINVAL;

	r = store_req_new(OP_CALLS, arg);
	if (!r)
		return ENOMEM;

	r->h.calls = h;
	r->id = arena_str(&r->arena, account);
	r->max = max < LIST_MAX ? max : LIST_MAX;
	return store_ask(st, r);
}


void store_event(struct store *st, const struct event_row *ev)
{
	if (st && ev && ev->call && ev->who && ev->what)
		store_line(st, ev);
}


int store_events(struct store *st, const char *call, store_events_h *h,
		 void *arg)
{
	struct store_req *r;

	if (!st || !call || !h)
		return EINVAL;

	r = store_req_new(OP_EVENTS, arg);
	if (!r)
		return ENOMEM;

	r->h.events = h;
	r->id = arena_str(&r->arena, call);
	return store_ask(st, r);
}


int store_list(struct store *st, const char *filter, unsigned offset,
	       unsigned max, store_list_h *h, void *arg)
{
	struct store_req *r;

	if (!st || !filter || !h || !max)
		return EINVAL;

	r = store_req_new(OP_LIST, arg);
	if (!r)
		return ENOMEM;

	r->h.list = h;
	r->id = arena_str(&r->arena, filter);
	r->offset = offset;
	r->max = max < LIST_MAX ? max : LIST_MAX;
	return store_ask(st, r);
}


int store_meta_put(struct store *st, const char *key, int64_t value,
		   store_done_h *h, void *arg)
{
	struct store_req *r;

	if (!st || !key)
		return EINVAL;

	r = store_req_new(OP_META_PUT, arg);
	if (!r)
		return ENOMEM;

	r->h.done = h;
	r->id = arena_str(&r->arena, key);
	r->n1 = value;
	return store_ask(st, r);
}
