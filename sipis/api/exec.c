/**
 * @file exec.c  Requests of apps, carried out by inst
 */

#include <errno.h>
#include <string.h>
#include "common/log.h"
#include "sipis/api/priv.h"

/** The outcomes of inst, in HTTP */
static const enum problem problems[] = {
	[INST_R_OK] = PB_NONE,
	[INST_R_CREATED] = PB_NONE,
	[INST_R_UNAUTHORIZED] = PB_NO_INSTANCE,
	[INST_R_NO_CALL] = PB_NO_CALL,
	[INST_R_CALL_OVER] = PB_CALL_OVER,
	[INST_R_INVALID] = PB_INVALID,
	[INST_R_NOT_ALLOWED] = PB_NOT_ALLOWED,
	[INST_R_PBX_REFUSED] = PB_PBX_REFUSED,
	[INST_R_PBX_ERROR] = PB_PBX_ERROR,
	[INST_R_PBX_TIMEOUT] = PB_PBX_TIMEOUT,
	[INST_R_THROTTLED] = PB_THROTTLED,
	[INST_R_NO_MEDIATOR] = PB_NO_MEDIATOR,
	[INST_R_TOO_MANY] = PB_TOO_MANY_PHONES,
	[INST_R_FULL] = PB_FULL,
	[INST_R_BUSY] = PB_BUSY,
	[INST_R_STOPPING] = PB_STOPPING,
	[INST_R_FAILED] = PB_INTERNAL,
};


static void show(struct ask *a, const struct inst_answer *ans)
{
	a->status = 200;
	switch (a->route.op) {
	case RT_CREATE:
		a->status = 201;
		show_created(&a->out, ans);
		break;
	case RT_READ:
	case RT_PATCH:
		show_instance(&a->out, ans);
		break;
	case RT_STATE:
		show_state(&a->out, ans, a->api->prm.edge);
		break;
	case RT_CALL:
		show_call(&a->out, NULL, ans->callv, a->api->prm.edge);
		break;
	default:
		a->status = 204;
		break;
	}
}


static void answer_handler(const struct inst_answer *ans, void *arg)
{
	struct ask *a = arg;
	const enum problem p = problems[ans->res];

	if (p == PB_NONE) {
		show(a, ans);
	}
	else {
		const struct problem_info *info = problem_info(p);

		a->problem = p;
		a->status = info->status;
		a->wrong_secret = ans->res == INST_R_UNAUTHORIZED;
		a->retry_after_s = ans->retry_after_s ? ans->retry_after_s
						      : info->retry_after_s;
		problem_write(&a->out, p, ans->detail, ans->pbx_status,
			      ans->pbx_reason, a->trace);
	}
	api_answer(a);
}


static int call_ask(struct api *api, struct ask *a, const struct inst_who *who)
{
	struct inst *in = api->prm.inst;
	const struct route *rt = &a->route;

	if (rt->op == RT_CALL)
		return inst_call_get(&a->job, in, who, rt->call,
				     rt->wait_s * 1000, answer_handler, a);

	return inst_call_word(in, who, rt->call,
			      rt->op == RT_RINGING ? INST_CALL_RINGING
						   : INST_CALL_DECLINE,
			      answer_handler, a);
}


static int app_ask(struct api *api, struct ask *a)
{
	struct inst *in = api->prm.inst;
	struct inst_who who = {
		.id = a->route.id,
		.addr = a->addr,
		.trace = a->trace,
	};

	memcpy(who.secret_sha256, a->secret_sha256, sizeof(who.secret_sha256));
	switch (a->route.op) {
	case RT_CREATE:
		return inst_create(in, &who, &a->body.nw, answer_handler, a);
	case RT_READ:
		return inst_read(in, &who, answer_handler, a);
	case RT_PATCH:
		return inst_patch(in, &who, &a->body.change, answer_handler,
				  a);
	case RT_DELETE:
		return inst_delete(in, &who, answer_handler, a);
	case RT_STATE:
		return inst_word(in, &who, &a->body.word, answer_handler, a);
	default:
		return call_ask(api, a, &who);
	}
}


void exec_ask(struct api *api, struct ask *a)
{
	int err;

	if (route_info(a->route.op)->admin) {
		admin_ask(api, a);
		return;
	}

	err = app_ask(api, a);
	if (!err)
		return;

	if (err == ESHUTDOWN) {
		ask_problem(a, PB_STOPPING, NULL);
	}
	else {
		log_error("api", a->trace, "cannot take the request: %s",
			  strerror(err));
		ask_problem(a, PB_INTERNAL, NULL);
	}
	api_answer(a);
}


void exec_store_problem(struct ask *a, int err)
{
	switch (err) {
	case ENOENT:
		ask_problem(a, PB_NO_CALL, NULL);
		break;
	case ENOTUNIQ:
		ask_problem(a, PB_AMBIGUOUS, NULL);
		break;
	case EBUSY:
		ask_problem(a, PB_BUSY, NULL);
		break;
	case ENOSPC:
		ask_problem(a, PB_FULL, NULL);
		break;
	case ESHUTDOWN:
		ask_problem(a, PB_STOPPING, NULL);
		break;
	default:
		ask_problem(a, PB_INTERNAL, NULL);
		break;
	}
}
