/**
 * @file queue/push.c  One push on its way through the mediator
 */

#include <errno.h>
#include <string.h>
#include "mediator/queue/push.h"
#include "mediator/queue/utf8.h"

enum {
	TRACE_MAX = 64,
	CALL_MAX = 64,
	INSTANCE_MAX = 64,
	REASON_MAX = 64,
	FROM_MAX = 512,
	NAME_MAX_ = 256,
};


static void destructor(void *arg)
{
	struct push *p = arg;

	tmr_cancel(&p->tmr);
	queue_remove(&p->q);
	list_unlink(&p->le);
	hash_unlink(&p->call_le);
	mem_deref(p->renewed);
	mem_deref(p->line);
	mem_deref(p->dest);
	mem_deref(p->origin);
	mem_deref(p->q.tenant);
}


/* Takes the next piece of the block behind the struct */
static const char *put(char **pos, const char *src)
{
	size_t n = strlen(src) + 1;
	char *dst = *pos;

	memcpy(dst, src, n);
	*pos += n;
	return dst;
}


static const char *put_text(char **pos, const char *src, size_t max)
{
	char *dst = *pos;

	*pos += utf8_copy(dst, src, max) + 1;
	return dst;
}


static size_t text_size(const char *src, size_t max)
{
	size_t n = strlen(src) * UTF8_GROWTH;

	return (n < max ? n : max) + 1;
}


static size_t block_size(const Wire__Push *f, const struct push_target *t)
{
	return strlen(t->app) + strlen(t->topic) + strlen(t->token) + 3 +
	       strlen(t->provider) + 1 + text_size(f->trace, TRACE_MAX) +
	       text_size(f->call, CALL_MAX) +
	       text_size(f->instance, INSTANCE_MAX) +
	       text_size(f->reason, REASON_MAX) +
	       text_size(f->from, FROM_MAX) +
	       text_size(f->display_name, NAME_MAX_) + f->handle.len;
}


static void fill(struct push *p, char *pos, const Wire__Push *f,
		 const struct push_target *t)
{
	p->target = *t;
	p->target.provider = put(&pos, t->provider);
	p->target.app = put(&pos, t->app);
	p->target.topic = put(&pos, t->topic);
	p->target.token = put(&pos, t->token);
	p->trace = put_text(&pos, f->trace, TRACE_MAX);
	p->call = put_text(&pos, f->call, CALL_MAX);
	p->instance = put_text(&pos, f->instance, INSTANCE_MAX);
	p->reason = put_text(&pos, f->reason, REASON_MAX);
	p->from = put_text(&pos, f->from, FROM_MAX);
	p->display_name = put_text(&pos, f->display_name, NAME_MAX_);
	if (f->handle.len)
		memcpy(pos, f->handle.data, f->handle.len);
	p->handle = (const uint8_t *)pos;
	p->handle_len = f->handle.len;

	memcpy(p->id, f->id.data, WIRE_ID_LEN);
	p->use = f->use;
	p->video = f->video;
	p->received_ms = f->received_at_ms;
	p->expires_ms = f->expires_at_ms;
	p->send_by_ms = f->send_by_ms;
	p->q.lane = f->use == WIRE__USE__USE_CALL ? QUEUE_CALLS : QUEUE_OTHERS;
}


int push_alloc(struct push **pp, const Wire__Push *frame,
	       const struct push_target *target)
{
	struct push *p;

	if (!pp || !frame || !target || frame->id.len != WIRE_ID_LEN)
		return EINVAL;
	if (strlen(frame->trace) > TRACE_MAX ||
	    strlen(frame->call) > CALL_MAX ||
	    strlen(frame->instance) > INSTANCE_MAX)
		return EMSGSIZE;

	p = mem_alloc(sizeof(*p) + block_size(frame, target), destructor);
	if (!p)
		return ENOMEM;

	memset(p, 0, sizeof(*p));
	fill(p, (char *)(p + 1), frame, target);
	(void)ident_uuid_encode(p->uuid, p->id);
	push_outcome(p, WIRE__OUTCOME__OUTCOME_UNKNOWN, NULL);
	p->res.provider_id = p->res_id;

	*pp = p;
	return 0;
}


void push_outcome(struct push *p, Wire__Outcome outcome, const char *reason)
{
	p->res.outcome = outcome;
	str_ncpy(p->res_reason, reason ? reason : "", sizeof(p->res_reason));
	p->res.reason = p->res_reason;
}
