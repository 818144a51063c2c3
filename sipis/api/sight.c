/**
 * @file api/sight.c  What the edge sees of an account's phones, as JSON
 */

#include <string.h>
#include "sipis/api/priv.h"

/** Which of them: an instance's, or with NULL those that are no instance's */
struct view {
	struct text *t;
	const struct inst_row *instv;
	unsigned instc;
	const struct inst_row *inst;
	struct inst_rebuff last;
	char phone[128], why[96];
};


static bool is_of(const struct inst_row *inst, const char *phone)
{
	return !str_casecmp(inst->id, phone) || inst_is_called(inst, phone);
}


static bool is_seen(const struct view *v, const char *phone)
{
	if (v->inst)
		return is_of(v->inst, phone);

	for (unsigned i = 0; i < v->instc; i++)
		if (is_of(&v->instv[i], phone))
			return false;

	return true;
}


static void address(struct text *t, const char *transport,
		    const struct sa *peer)
{
	char buf[64];

	(void)re_snprintf(buf, sizeof(buf), "%J", peer);
	text_str(t, "transport", transport);
	text_str(t, "address", buf);
}


static void flow_handler(const struct inst_flow *f, void *arg)
{
	const struct view *v = arg;
	struct text *t = v->t;

	if (!is_seen(v, f->phone))
		return;

	text_object(t, NULL);
	if (!v->inst) {
		text_str(t, "phone", f->phone);
		text_str(t, "contact", f->contact);
	}
	address(t, f->transport, &f->peer);
	text_time(t, "since", f->since_ms);
	text_time(t, "until", f->until_ms);
	text_object_end(t);
}


static void flows(const struct inst_sight *s, struct view *v, uint64_t acct)
{
	text_list(v->t, "flows");
	s->flows(acct, flow_handler, v, s->arg);
	text_list_end(v->t);
}


static void rebuff(const struct view *v, const char *name,
		   const struct inst_rebuff *b)
{
	struct text *t = v->t;

	text_object(t, name);
	if (!v->inst)
		text_str(t, "phone", b->phone);
	text_time(t, "at", b->at_ms);
	text_int(t, "status", b->scode);
	text_str(t, "why", b->why);
	address(t, b->transport, &b->peer);
	text_object_end(t);
}


static void last_handler(const struct inst_rebuff *b, void *arg)
{
	struct view *v = arg;

	if (!is_seen(v, b->phone))
		return;

	v->last = *b;
	(void)str_ncpy(v->why, b->why, sizeof(v->why));
	(void)str_ncpy(v->phone, b->phone, sizeof(v->phone));
	v->last.why = v->why;
	v->last.phone = v->phone;
}


static void each_handler(const struct inst_rebuff *b, void *arg)
{
	const struct view *v = arg;

	if (is_seen(v, b->phone))
		rebuff(v, NULL, b);
}


void show_sight(struct text *t, const struct inst_sight *s,
		const struct inst_row *inst)
{
	struct view v = { .t = t, .inst = inst };

	if (!s->flows) {
		text_null(t, "edge");
		return;
	}

	text_object(t, "edge");
	flows(s, &v, inst->acct);
	s->rebuffs(inst->acct, last_handler, &v, s->arg);
	if (v.last.scode)
		rebuff(&v, "refused", &v.last);
	else
		text_null(t, "refused");
	text_object_end(t);
}


void show_strangers(struct text *t, const struct inst_sight *s, uint64_t acct,
		    const struct inst_row *instv, unsigned instc)
{
	struct view v = { .t = t, .instv = instv, .instc = instc };

	if (!s->flows) {
		text_null(t, "others");
		return;
	}

	text_object(t, "others");
	flows(s, &v, acct);
	text_list(t, "refused");
	s->rebuffs(acct, each_handler, &v, s->arg);
	text_list_end(t);
	text_object_end(t);
}
