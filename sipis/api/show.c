/**
 * @file show.c  Rows as JSON, as docs/openapi.yaml says
 */

#include <stdio.h>
#include <string.h>
#include "sipis/api/priv.h"
#include "sipis/edge/listen.h"


void show_aor(struct text *t, const char *name, const struct acct_row *acct)
{
	static const char plain[] = "-_.!~*'()&=+$,";
	const char *user = acct ? acct->user : "";
	char buf[800] = "sip:";
	size_t n = 4;

	for (const char *p = user; *p && n + 4 < sizeof(buf) / 2; p++) {
		const unsigned char c = (unsigned char)*p;
		const bool alnum = (c >= '0' && c <= '9') ||
				   ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');

		if (alnum || strchr(plain, c))
			buf[n++] = (char)c;
		else
			n += (size_t)snprintf(buf + n, sizeof(buf) - n,
					      "%%%02X", c);
	}
	if (acct)
		(void)snprintf(buf + n, sizeof(buf) - n, "@%s", acct->domain);
	text_str(t, name, acct ? buf : "");
}


static void registration(struct text *t, const struct inst_answer *ans)
{
	text_object(t, "registration");
	text_str(t, "state", reg_state_name(ans->reg));
	text_str(t, "why", ans->reg_why);
	text_object_end(t);
}


static void account(struct text *t, const struct inst_answer *ans)
{
	const struct acct_row *a = ans->acct;

	text_object(t, "account");
	show_aor(t, "aor", a);
	text_str(t, "pbx", a->pbx);
	text_str(t, "auth_user", a->auth_user);
	text_str(t, "display_name", a->display_name);
	if (a->outbound_proxy)
		text_str(t, "outbound_proxy", a->outbound_proxy);
	registration(t, ans);
	text_object_end(t);
}


void show_push(struct text *t, const struct inst_row *inst)
{
	text_list(t, "push");
	for (unsigned i = 0; i < inst->push_count; i++) {
		const struct push_row *p = &inst->push[i];

		text_object(t, NULL);
		text_list(t, "use");
		for (int use = 1; use <= WIRE__USE__USE_TEST; use++)
			if (p->uses & 1u << use)
				text_str(t, NULL,
					 wire_use_name((Wire__Use)use));
		text_list_end(t);
		text_str(t, "provider", p->provider);
		text_str(t, "topic", p->topic);
		text_str(t, "environment", p->environment);
		text_bool(t, "gone", p->gone);
		text_str(t, "reason", p->gone_reason);
		text_object_end(t);
	}
	text_list_end(t);
}


void show_created(struct text *t, const struct inst_answer *ans)
{
	text_object(t, NULL);
	text_str(t, "instance", ans->inst->id);
	text_str(t, "secret", ans->secret);
	account(t, ans);
	text_str(t, "state", inst_state_name(ans->inst->state));
	text_object_end(t);
}


void show_instance(struct text *t, const struct inst_answer *ans)
{
	const struct inst_row *inst = ans->inst;
	const bool active = inst->state == INST_ACTIVE;

	text_object(t, NULL);
	text_str(t, "instance", inst->id);
	if (ans->secret)
		text_str(t, "secret", ans->secret);
	text_str(t, "app", inst->app);
	text_str(t, "installation", inst->installation);
	text_str(t, "label", inst->label);
	text_str(t, "platform", inst->platform);
	text_str(t, "state", inst_state_name(inst->state));
	text_time(t, "lease_until", active ? inst->lease_until_ms : 0);
	text_time(t, "expires_at", active ? 0 : inst->lease_until_ms);
	text_time(t, "seen_at", inst->seen_ms);
	text_time(t, "created_at", inst->created_ms);
	text_json(t, "options", inst->options);
	show_push(t, inst);
	account(t, ans);
	text_object_end(t);
}


/* A call of another handover comes from the PBX itself */
static void way_in(struct text *t, const struct call_info *call,
		   const struct edge_cfg *edge)
{
	char buf[320];

	if (edge && !strcmp(call->handover, "relay") &&
	    !edge_listen_shown(buf, sizeof(buf), edge) && *buf)
		text_str(t, "edge", buf);
	else
		text_null(t, "edge");
}


void show_call(struct text *t, const char *name, const struct call_info *call,
	       const struct edge_cfg *edge)
{
	text_object(t, name);
	text_str(t, "call", call->id);
	text_str(t, "from", call->from);
	text_str(t, "display_name", call->display_name);
	text_bool(t, "video", call->video);
	text_time(t, "received_at", call->received_ms);
	text_time(t, "expires_at", call->expires_ms);
	text_str(t, "handover", call->handover);
	way_in(t, call, edge);
	if (call->ended)
		text_str(t, "ended", call->ended);
	else
		text_null(t, "ended");
	text_object_end(t);
}


void show_state(struct text *t, const struct inst_answer *ans,
		const struct edge_cfg *edge)
{
	text_object(t, NULL);
	text_str(t, "state", inst_state_name(ans->inst->state));
	text_time(t, "lease_until",
		  ans->inst->state == INST_ACTIVE ? ans->inst->lease_until_ms
						  : 0);
	registration(t, ans);
	text_list(t, "calls");
	for (unsigned i = 0; i < ans->callc; i++)
		show_call(t, NULL, &ans->callv[i], edge);
	text_list_end(t);
	text_object_end(t);
}
