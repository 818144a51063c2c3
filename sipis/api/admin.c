/**
 * @file admin.c  What the operator may see: health, figures, accounts, calls
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "sipis/api/priv.h"

/** A timeline on its way: events first, then the call, then its account */
struct timeline {
	char call[UUID_LEN + 1];
	struct text events;
};


static void timeline_destructor(void *arg)
{
	struct timeline *tl = arg;

	text_free(&tl->events);
}


static void health(struct api *api, struct ask *a)
{
	/* the listeners open last of all: whoever gets here finds all of it */
	a->status = 200;
	text_object(&a->out, NULL);
	text_str(&a->out, "status", "ready");
	if (a->admin) {
		text_str(&a->out, "node", api->prm.node ? api->prm.node : "");
		text_str(&a->out, "version", SIPIS_VERSION);
		text_int(&a->out, "mediators", med_up(api->prm.med));
		text_int(&a->out, "calls", calls_count(api->prm.calls));
	}
	text_object_end(&a->out);
	api_answer(a);
}


static void metrics(struct api *api, struct ask *a)
{
	char *buf = NULL;
	size_t len = 0;

	if (metrics_print(api->prm.metrics, &buf, &len)) {
		ask_problem(a, PB_INTERNAL, NULL);
	}
	else {
		a->status = 200;
		a->type = "text/plain; version=0.0.4; charset=utf-8";
		text_raw(&a->out, buf, len);
	}
	free(buf);
	api_answer(a);
}


/* accounts */

static void account(const struct ask *a, struct text *t,
		    const struct acct_row *acct)
{
	const struct acct *ac = reg_find(a->api->prm.reg, acct->id);
	const enum reg_state state = ac ? acct_state(ac) : REG_IDLE;
	const uint16_t scode = ac ? acct_scode(ac) : 0;

	show_aor(t, "account", acct);
	text_str(t, "pbx", acct->pbx);
	text_str(t, "registration", ac ? reg_state_name(state) : "unknown");
	text_str(t, "why",
		 ac ? inst_reg_why(state, scode)
		    : "its PBX is configured no more");
	text_int(t, "pbx_status", scode);
	text_int(t, "due_in_s", ac ? acct_due_in(ac) : 0);
}


static const char *instance_why(const struct inst_row *inst)
{
	switch (inst->state) {
	case INST_ACTIVE:
		return "registers by itself";
	case INST_INACTIVE:
		return inst->push_enabled ? "" : "wants no pushes";
	case INST_EXITED:
		return inst->push_after_exit ? "closed by its user"
					     : "closed by its user: no pushes";
	case INST_EXPIRED:
		return "silent for too long: no pushes";
	case INST_GONE:
		return "its push tokens are dead: no pushes";
	}
	return "";
}


static void instance(struct text *t, const struct inst_sight *sight,
		     const struct inst_row *inst)
{
	text_object(t, NULL);
	text_str(t, "instance", inst->id);
	text_str(t, "state", inst_state_name(inst->state));
	text_str(t, "app", inst->app);
	text_str(t, "platform", inst->platform);
	text_str(t, "label", inst->label);
	text_str(t, "why", instance_why(inst));
	text_time(t, "seen_at", inst->seen_ms);
	show_push(t, inst);
	show_sight(t, sight, inst);
	text_object_end(t);
}


static void list_handler(int err, const struct acct_row *acct,
			 const struct inst_row *instv, unsigned instc,
			 void *arg)
{
	struct ask *a = arg;
	const struct inst_sight *sight = &a->api->prm.sight;
	struct text *t = &a->out;

	if (err == ENOENT) {
		text_list_end(t);
		text_object_end(t);
		a->status = 200;
		api_answer(a);
		return;
	}
	if (err) {
		t->len = 0;
		t->comma = false;
		exec_store_problem(a, err);
		api_answer(a);
		return;
	}

	text_object(t, NULL);
	account(a, t, acct);
	text_list(t, "instances");
	for (unsigned i = 0; i < instc; i++)
		instance(t, sight, &instv[i]);
	text_list_end(t);
	show_strangers(t, sight, acct->id, instv, instc);
	text_object_end(t);
}


static void mediator(const struct med_link *link, void *arg)
{
	struct text *t = arg;

	text_object(t, NULL);
	text_str(t, "mediator", link->mediator);
	text_str(t, "node", link->node);
	text_bool(t, "up", link->up);
	text_str(t, "state", link->state);
	text_time(t, "since", link->since_ms);
	text_str(t, "error", link->error);
	text_time(t, "error_at", link->error_ms);
	text_int(t, "failures", link->failures);
	text_int(t, "clock_offset_ms", link->clock_offset_ms);
	text_int(t, "in_flight", link->in_flight);
	text_int(t, "window", link->window);
	text_object_end(t);
}


static int status(struct api *api, struct ask *a)
{
	text_object(&a->out, NULL);
	text_list(&a->out, "mediators");
	med_links(api->prm.med, mediator, &a->out);
	text_list_end(&a->out);
	text_list(&a->out, "accounts");
	return store_list(api->prm.store, a->route.filter, a->route.offset,
			  a->route.max, list_handler, a);
}


/* calls */

static void call_head(struct text *t, const struct call_row *call)
{
	text_str(t, "call", call->id);
	text_str(t, "from", call->from);
	text_str(t, "display_name", call->display_name);
	text_bool(t, "video", call->video);
	text_time(t, "received_at", call->received_ms);
	text_str(t, "handover", call->handover);
	text_str(t, "ended", call->ended ? call->ended : "");
	text_time(t, "ended_at", call->ended ? call->ended_ms : 0);
}


static void calls_handler(int err, const struct call_row *call,
			  const struct acct_row *acct, void *arg)
{
	struct ask *a = arg;
	struct text *t = &a->out;

	if (err == ENOENT) {
		text_list_end(t);
		text_object_end(t);
		a->status = 200;
		api_answer(a);
		return;
	}
	if (err) {
		t->len = 0;
		t->comma = false;
		exec_store_problem(a, err);
		api_answer(a);
		return;
	}

	text_object(t, NULL);
	call_head(t, call);
	show_aor(t, "account", acct);
	text_object_end(t);
}


static int calls(struct api *api, struct ask *a)
{
	text_object(&a->out, NULL);
	text_list(&a->out, "calls");
	return store_calls(api->prm.store, a->route.filter, a->route.max,
			   calls_handler, a);
}


static void timeline_answer(struct ask *a)
{
	struct timeline *tl = a->work;
	struct text *t = &a->out;

	text_list(t, "events");
	if (tl->events.len)
		text_raw(t, tl->events.buf, tl->events.len);
	text_list_end(t);
	text_object_end(t);
	a->work = mem_deref(tl);
	a->status = 200;
	api_answer(a);
}


static void timeline_acct(int err, const struct acct_row *acct, void *arg)
{
	struct ask *a = arg;

	show_aor(&a->out, "account", err ? NULL : acct);
	timeline_answer(a);
}


static void timeline_call(int err, const struct call_row *call, void *arg)
{
	struct ask *a = arg;
	struct timeline *tl = a->work;
	struct text *t = &a->out;

	text_object(t, NULL);
	if (!err) {
		call_head(t, call);
		if (!store_acct_get(a->api->prm.store, call->acct,
				    timeline_acct, a))
			return;
	}
	else {
		/* events of an INVITE that never became a call */
		text_str(t, "call", tl->call);
		text_str(t, "ended", "");
	}
	timeline_answer(a);
}


static void timeline_events(int err, const struct event_row *ev, unsigned evc,
			    void *arg)
{
	struct ask *a = arg;
	struct timeline *tl = a->work;
	struct text *t = &tl->events;

	if (!err && !evc)
		err = ENOENT;
	if (err)
		goto out;

	(void)str_ncpy(tl->call, ev[0].call, sizeof(tl->call));
	for (unsigned i = 0; i < evc; i++) {
		text_object(t, NULL);
		text_int(t, "at_us", ev[i].at_us);
		text_str(t, "who", ev[i].who);
		text_str(t, "what", ev[i].what);
		text_str(t, "detail", ev[i].detail);
		text_object_end(t);
	}
	err = t->failed ? ENOMEM
			: store_call_get(a->api->prm.store, tl->call,
					 timeline_call, a);
out:
	if (err) {
		a->work = mem_deref(tl);
		exec_store_problem(a, err);
		api_answer(a);
	}
}


static int timeline(struct api *api, struct ask *a)
{
	struct timeline *tl = mem_zalloc(sizeof(*tl), timeline_destructor);
	int err;

	if (!tl)
		return ENOMEM;

	text_init(&tl->events, 0);
	a->work = tl;
	err = store_events(api->prm.store, a->route.id, timeline_events, a);
	if (err)
		a->work = mem_deref(tl);
	return err;
}


void admin_ask(struct api *api, struct ask *a)
{
	int err = 0;

	switch (a->route.op) {
	case RT_HEALTH:
		health(api, a);
		break;
	case RT_METRICS:
		metrics(api, a);
		break;
	case RT_ADMIN_STATUS:
		err = status(api, a);
		break;
	case RT_ADMIN_CALLS:
		err = calls(api, a);
		break;
	default:
		err = timeline(api, a);
		break;
	}

	if (err) {
		a->out.len = 0;
		a->out.comma = false;
		exec_store_problem(a, err);
		api_answer(a);
	}
}
