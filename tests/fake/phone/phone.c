/**
 * @file phone.c  What the demo phone does, and when
 *
 *   starting: POST instance, push connection, inactive
 *   asleep -> waking (wake_ms) -> up (PUT active, REGISTER) -> call
 *          -> leaving (un-REGISTER) -> resting (PUT inactive) -> asleep
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "phone.h"

enum state {
	STARTING,
	ASLEEP,
	WAKING,
	UP,
	LEAVING,
	RESTING,
	STOPPING,
};

/* A call that no INVITE came for is given up this long after its deadline */
#define GRACE_MS 2000

/** A call that a push has announced */
struct expected {
	struct le le;
	struct phone *ph;
	struct tmr tmr;
	char id[64], caller[128];
	bool seen; /**< its INVITE is or was here */
};

struct phone {
	const struct phone_cfg *cfg;
	struct steps *steps;
	struct api *api;
	struct pns *pns;
	struct ua *ua;
	struct call *call;
	struct list expectl, askedl;
	struct tmr tmr;
	char *instance, *secret;
	char waker[64]; /**< the call that woke us */
	enum state state;
	unsigned calls_done;
	int exit_code;
	bool ready, stop;
};

static void leave(struct phone *ph);
static void consider_sleep(struct phone *ph);


static void phone_destructor(void *arg)
{
	struct phone *ph = arg;

	tmr_cancel(&ph->tmr);
	list_flush(&ph->expectl);
	list_flush(&ph->askedl);
	mem_deref(ph->call);
	mem_deref(ph->ua);
	mem_deref(ph->pns);
	mem_deref(ph->api);
	mem_deref(ph->steps);
	mem_deref(ph->instance);
	mem_deref(ph->secret);
}


const struct phone_cfg *phone_cfg(const struct phone *ph)
{
	return ph->cfg;
}


struct steps *phone_steps(const struct phone *ph)
{
	return ph->steps;
}


int phone_exit_code(const struct phone *ph)
{
	return ph->exit_code;
}


static void finish(struct phone *ph, int code)
{
	ph->exit_code = code;
	ph->state = STOPPING;
	re_cancel();
}


static void give_up(struct phone *ph, const char *what, int status,
		    const char *why)
{
	(void)fprintf(stderr, "demo-phone: %s: %d %s\n", what, status,
		      why ? why : "");
	finish(ph, 1);
}


static int64_t now_ms(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_REALTIME, &ts);

	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}


/* ---- what the API is told ---- */

/** A request to the API: its answer is a step of the log, then then() */
struct asked {
	struct le le;
	struct phone *ph;
	const char *step;
	char call[64];
	void (*then)(struct phone *ph, int status, const json_t *body);
};


static void asked_destructor(void *arg)
{
	struct asked *a = arg;

	list_unlink(&a->le);
}


/* What of an answer belongs into the log */
static json_t *facts(int status, const json_t *body, const char *err)
{
	const json_t *calls = json_object_get(body, "calls");
	json_t *ended = json_object_get(body, "ended");
	json_t *detail = json_object_get(body, "detail");
	json_t *o = json_pack("{si}", "status", status);

	if (!status)
		json_object_set_new(o, "error", json_string(err));
	if (calls)
		json_object_set_new(
			o, "calls",
			json_integer((json_int_t)json_array_size(calls)));
	if (ended)
		json_object_set(o, "ended", ended);
	if (status >= 300 && detail)
		json_object_set(o, "error", detail);

	return o;
}


static void told(int status, const json_t *body, const char *err, void *arg)
{
	struct asked *a = arg;
	struct phone *ph = a->ph;

	if (a->step)
		steps_put(ph->steps, a->step, a->call,
			  facts(status, body, err));
	if (a->then)
		a->then(ph, status, body);
	mem_deref(a);
}


/* step and then may be NULL; takes body */
static void ask(struct phone *ph, const char *method, const char *tail,
		json_t *body, const char *step, const char *call,
		void (*then)(struct phone *, int, const json_t *))
{
	struct asked *a = mem_zalloc(sizeof(*a), asked_destructor);
	char path[256];

	if (!a) {
		json_decref(body);
		give_up(ph, method, 0, "no memory");
		return;
	}
	a->ph = ph;
	a->step = step;
	a->then = then;
	str_ncpy(a->call, call ? call : "", sizeof(a->call));
	list_append(&ph->askedl, &a->le, a);
	(void)re_snprintf(path, sizeof(path), "/v1/instances/%s%s",
			  ph->instance, tail);
	if (api_request(ph->api, method, path, ph->secret, body, told, a))
		give_up(ph, method, 0, "no memory");
}


static void ask_call(struct phone *ph, const char *method, const char *call,
		     const char *word, const char *step)
{
	char tail[160];

	if (!*call)
		return;
	(void)re_snprintf(tail, sizeof(tail), "/calls/%s%s", call, word);
	ask(ph, method, tail, NULL, step, call, NULL);
}


void phone_ringing(struct phone *ph, const char *call)
{
	ask_call(ph, "POST", call, "/ringing", "ringing");
}


void phone_declined(struct phone *ph, const char *call)
{
	ask_call(ph, "POST", call, "/decline", "decline");
}


static void look_up(struct phone *ph, const char *call)
{
	ask_call(ph, "GET", call, "", "tombstone");
}


/* ---- calls that pushes announced ---- */

static void expected_destructor(void *arg)
{
	struct expected *x = arg;

	list_unlink(&x->le);
	tmr_cancel(&x->tmr);
}


static void forget(struct phone *ph, const char *call)
{
	struct le *le = ph->expectl.head;

	while (le) {
		struct expected *x = le->data;

		le = le->next;
		if (!strcmp(x->id, call))
			mem_deref(x);
	}
}


static void count_call(struct phone *ph)
{
	++ph->calls_done;
	if (ph->cfg->calls && ph->calls_done >= ph->cfg->calls)
		ph->stop = true;
}


static void never_came(void *arg)
{
	struct expected *x = arg;
	struct phone *ph = x->ph;

	steps_put(ph->steps, "no_invite", x->id, NULL);
	if (ph->state != WAKING)
		look_up(ph, x->id);
	steps_put(ph->steps, "ended", x->id,
		  json_pack("{ss}", "outcome", "lost"));
	mem_deref(x);
	count_call(ph);
	consider_sleep(ph);
}


static void expect(struct phone *ph, const char *call, const char *caller,
		   int64_t expires_ms)
{
	struct expected *x = mem_zalloc(sizeof(*x), expected_destructor);
	const int64_t left = expires_ms - now_ms();

	if (!x)
		return;
	x->ph = ph;
	str_ncpy(x->id, call, sizeof(x->id));
	str_ncpy(x->caller, caller, sizeof(x->caller));
	tmr_init(&x->tmr);
	list_append(&ph->expectl, &x->le, x);
	tmr_start(&x->tmr, (uint64_t)max(left, 0) + GRACE_MS, never_came, x);
}


const char *phone_match(struct phone *ph, const char *caller)
{
	struct expected *found = NULL;
	struct le *le;

	LIST_FOREACH (&ph->expectl, le) {
		struct expected *x = le->data;

		if (x->seen)
			continue;
		/* the caller decides; a PBX may have rewritten him, then the
		   newest call it can be */
		if (!found || !strcmp(x->caller, caller))
			found = x;
		if (!strcmp(x->caller, caller))
			break;
	}
	if (!found)
		return "";
	found->seen = true;
	tmr_cancel(&found->tmr);

	return found->id;
}


static bool expecting(const struct phone *ph)
{
	struct le *le;

	LIST_FOREACH (&ph->expectl, le) {
		const struct expected *x = le->data;

		if (!x->seen)
			return true;
	}

	return false;
}


/* ---- up ---- */

static int64_t payload_ms(const json_t *o, const char *key)
{
	const json_t *v = json_object_get(o, key);

	return json_is_string(v) ? strtoll(json_string_value(v), NULL, 10)
				 : json_integer_value(v);
}


static const char *payload_text(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "";
}


static json_t *active_body(const struct phone *ph, const char *contact)
{
	return json_pack("{ssss*ss*}", "state", "active", "call",
			 *ph->waker ? ph->waker : NULL, "contact", contact);
}


static void start_register(struct phone *ph)
{
	const int err = ua_register(ph->ua);

	steps_put(ph->steps, "registering", ph->waker, NULL);
	if (err)
		phone_registered(ph, err, 0, "");
}


static void active_told(struct phone *ph, int status, const json_t *body)
{
	(void)status;
	(void)body;

	if (ph->cfg->sequential && ph->state == UP)
		start_register(ph);
}


/* Awake after the call was over: the app asks what it was and sleeps on */
static void too_late(struct phone *ph)
{
	char call[64];

	str_ncpy(call, ph->waker, sizeof(call));
	*ph->waker = '\0';
	ph->state = ASLEEP;
	steps_put(ph->steps, "late_push", call, NULL);
	look_up(ph, call);
	if (ph->stop)
		phone_stop(ph);
}


static void wake(void *arg)
{
	struct phone *ph = arg;
	int err;

	if (!expecting(ph)) {
		too_late(ph);
		return;
	}
	err = ua_alloc(&ph->ua, ph);
	if (err) {
		steps_put(ph->steps, "error", ph->waker,
			  json_pack("{sssi}", "what", "SIP stack", "errno",
				    err));
		ph->state = ASLEEP;
		return;
	}
	ph->state = UP;
	steps_put(ph->steps, "awake", ph->waker, NULL);
	ask(ph, "PUT", "/state", active_body(ph, NULL), "active", ph->waker,
	    active_told);
	if (!ph->cfg->sequential)
		start_register(ph);
}


void phone_registered(struct phone *ph, int err, uint16_t scode,
		      const char *contact)
{
	if (ph->state != UP)
		return;
	if (err || scode != 200) {
		steps_put(ph->steps, "error", ph->waker,
			  json_pack("{sssisi}", "what", "REGISTER", "errno",
				    err, "status", (int)scode));
		leave(ph);
		return;
	}
	steps_put(ph->steps, "registered", ph->waker,
		  json_pack("{ss}", "contact", contact));
	ask(ph, "PUT", "/state", active_body(ph, contact), "reported",
	    ph->waker, NULL);
}


bool phone_busy(const struct phone *ph)
{
	return ph->call != NULL || ph->state != UP;
}


void phone_invite(struct phone *ph, struct call *call)
{
	ph->call = call;
}


void phone_call_ended(struct phone *ph, const char *call, const char *outcome)
{
	char id[64];
	(void)outcome;

	str_ncpy(id, call, sizeof(id));
	forget(ph, id);
	ph->call = mem_deref(ph->call);
	count_call(ph);
	consider_sleep(ph);
}


/* ---- back to sleep ---- */

static void asleep(struct phone *ph)
{
	ph->state = ASLEEP;
	steps_put(ph->steps, "asleep", NULL, NULL);
	if (!ph->ready) {
		ph->ready = true;
		(void)printf("{\"ready\":true,\"pid\":%d,\"instance\":\"%s\""
			     "}\n",
			     (int)getpid(), ph->instance);
		(void)fflush(stdout);
	}
	if (ph->stop) {
		phone_stop(ph);
		return;
	}
	/* a push may have come while we were falling asleep */
	if (expecting(ph)) {
		ph->state = WAKING;
		tmr_start(&ph->tmr, ph->cfg->wake_ms, wake, ph);
	}
}


static void inactive_told(struct phone *ph, int status, const json_t *body)
{
	const char *why = json_string_value(json_object_get(body, "detail"));

	if (status != 200 && !ph->ready)
		give_up(ph, "PUT inactive", status, why);
	else
		asleep(ph);
}


static void rest(struct phone *ph)
{
	ph->state = RESTING;
	ask(ph, "PUT", "/state", json_pack("{ss}", "state", "inactive"),
	    "inactive", NULL, inactive_told);
}


void phone_unregistered(struct phone *ph, uint16_t scode)
{
	if (ph->state != LEAVING)
		return;
	steps_put(ph->steps, "unregistered", ph->waker,
		  json_pack("{si}", "status", (int)scode));
	ua_close(ph->ua);
	ph->ua = NULL;
	*ph->waker = '\0';
	rest(ph);
}


static void leave(struct phone *ph)
{
	ph->state = LEAVING;
	ua_unregister(ph->ua);
}


static void leave_now(void *arg)
{
	struct phone *ph = arg;

	if (ph->state == UP && !ph->call && !expecting(ph))
		leave(ph);
}


/* From a session's own handler the stack must not be taken away: so with the
   next turn of the loop */
static void consider_sleep(struct phone *ph)
{
	if (ph->state == ASLEEP && ph->stop)
		phone_stop(ph);
	if (ph->state != UP || ph->call || expecting(ph))
		return;
	if (ph->cfg->stay_awake && !ph->stop)
		return;
	tmr_start(&ph->tmr, 0, leave_now, ph);
}


/* ---- pushes ---- */

/* The user part of a SIP URI or of "Name" <uri> */
static void caller_user(char *dst, size_t size, const char *from)
{
	const char *p = strstr(from, "sip");

	*dst = '\0';
	if (!p)
		return;
	p += strcspn(p, ":");
	if (!*p)
		return;
	++p;
	str_ncpy(dst, p, min(size, strcspn(p, "@;>") + 1));
}


static void call_pushed(struct phone *ph, const char *call,
			const json_t *payload)
{
	const int64_t expires = payload_ms(payload, "expires_at");
	const char *from = payload_text(payload, "from");
	const bool late = expires && expires < now_ms();
	char user[128];

	/* FCM reserves "from" */
	if (!*from)
		from = payload_text(payload, "caller");
	steps_put(ph->steps, "push", call,
		  json_pack("{sssbss}", "use", "call", "late", late, "from",
			    from));
	if (ph->cfg->no_wake)
		return;
	if (late) {
		steps_put(ph->steps, "late_push", call, NULL);
		look_up(ph, call);
		return;
	}

	caller_user(user, sizeof(user), from);
	expect(ph, call, user, expires);
	if (ph->state == UP)
		return;
	str_ncpy(ph->waker, call, sizeof(ph->waker));
	if (ph->state != ASLEEP)
		return;
	ph->state = WAKING;
	tmr_start(&ph->tmr, ph->cfg->wake_ms, wake, ph);
}


static void end_pushed(struct phone *ph, const char *call,
		       const json_t *payload)
{
	struct le *le;

	steps_put(
		ph->steps, "ended_push", call,
		json_pack("{ss}", "reason", payload_text(payload, "reason")));

	LIST_FOREACH (&ph->expectl, le) {
		struct expected *x = le->data;

		if (strcmp(x->id, call) || x->seen)
			continue;
		steps_put(ph->steps, "ended", call,
			  json_pack("{ss}", "outcome", "cancelled"));
		mem_deref(x);
		count_call(ph);
		consider_sleep(ph);
		return;
	}
}


void phone_push(struct phone *ph, uint64_t seq, const json_t *payload)
{
	const char *use = payload_text(payload, "use");
	const char *call = payload_text(payload, "call");

	/* iOS wants a call for each VoIP push, Android something to see for
	   each message of high priority */
	if (!ph->cfg->no_report &&
	    (!strcmp(use, "call") || !strcmp(ph->cfg->platform, "android")))
		pns_reported(ph->pns, seq);
	if (!strcmp(use, "call"))
		call_pushed(ph, call, payload);
	else if (!strcmp(use, "ended"))
		end_pushed(ph, call, payload);
	else
		steps_put(ph->steps, "push", call,
			  json_pack("{ss}", "use", use));
}


/* ---- the beginning and the end ---- */

void phone_pns_up(struct phone *ph)
{
	if (ph->state == STARTING)
		rest(ph);
}


static void instance_save(const struct phone *ph)
{
	json_t *o = json_pack("{ssss}", "instance", ph->instance, "secret",
			      ph->secret);
	const int fd = open(ph->cfg->instance_file,
			    O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	FILE *f = fd >= 0 ? fdopen(fd, "w") : NULL;

	if (f) {
		(void)json_dumpf(o, f, JSON_COMPACT);
		(void)fclose(f);
	}
	json_decref(o);
}


static int instance_take(struct phone *ph, const json_t *o)
{
	const char *id = json_string_value(json_object_get(o, "instance"));
	const char *secret = json_string_value(json_object_get(o, "secret"));

	if (!id || !secret)
		return EBADMSG;
	ph->instance = mem_deref(ph->instance);
	ph->secret = mem_deref(ph->secret);

	return str_dup(&ph->instance, id) || str_dup(&ph->secret, secret);
}


static void created(int status, const json_t *body, const char *err, void *arg)
{
	struct phone *ph = arg;
	const char *detail =
		json_string_value(json_object_get(body, "detail"));

	if (status != 201 || instance_take(ph, body)) {
		give_up(ph, "POST /v1/instances", status,
			status ? detail : err);
		return;
	}
	steps_put(ph->steps, "created", NULL,
		  json_pack("{sssi}", "instance", ph->instance, "status",
			    status));
	if (ph->cfg->instance_file)
		instance_save(ph);
	if (pns_alloc(&ph->pns, ph))
		give_up(ph, "push service", 0, ph->cfg->pns);
}


static json_t *apns_push(const struct phone_cfg *cfg, const char *token,
			 const char *suffix, json_t *use)
{
	char topic[256];

	(void)re_snprintf(topic, sizeof(topic), "%s%s", cfg->topic, suffix);

	return json_pack("{sossssssss}", "use", use, "provider", "apns",
			 "token", token, "topic", topic, "environment",
			 cfg->environment);
}


static json_t *push_list(const struct phone_cfg *cfg)
{
	const char *comma = strchr(cfg->token, ',');
	json_t *a = json_array();
	char voip[256];

	if (!strcmp(cfg->platform, "android")) {
		json_array_append_new(
			a, json_pack("{s[sssss]ssss}", "use", "call", "ended",
				     "message", "voicemail", "wake",
				     "provider", "fcm", "token", cfg->token));
		return a;
	}
	str_ncpy(voip, cfg->token,
		 min(sizeof(voip),
		     comma ? (size_t)(comma - cfg->token) + 1 : sizeof(voip)));
	json_array_append_new(
		a, apns_push(cfg, voip, ".voip", json_pack("[s]", "call")));
	if (comma)
		json_array_append_new(
			a, apns_push(cfg, comma + 1, "",
				     json_pack("[ssss]", "ended", "message",
					       "voicemail", "wake")));

	return a;
}


static int password_read(const char *path, char *buf, size_t size)
{
	FILE *f = fopen(path, "re");
	const char *got;

	if (!f)
		return errno;
	got = fgets(buf, (int)size, f);
	(void)fclose(f);
	buf[strcspn(buf, "\r\n")] = '\0';

	return got ? 0 : EBADMSG;
}


static int create(struct phone *ph)
{
	const struct phone_cfg *cfg = ph->cfg;
	char password[256] = "";
	json_t *o;
	int err;

	err = password_read(cfg->password_file, password, sizeof(password));
	if (err)
		return err;
	o = json_pack("{sssssssss{ssssss}so}", "app", cfg->app, "installation",
		      cfg->installation, "label", "demo phone", "platform",
		      cfg->platform, "account", "aor", cfg->aor, "auth_user",
		      cfg->auth_user, "password", password, "push",
		      push_list(cfg));

	return api_request(ph->api, "POST", "/v1/instances", NULL, o, created,
			   ph);
}


/* An instance from an earlier life may be gone at the server by now */
static void known(struct phone *ph, int status, const json_t *body)
{
	(void)body;

	if (status != 200) {
		if (create(ph))
			give_up(ph, "GET instance", status, "");
		return;
	}
	if (pns_alloc(&ph->pns, ph))
		give_up(ph, "push service", 0, ph->cfg->pns);
}


static bool instance_load(struct phone *ph)
{
	json_t *o = ph->cfg->instance_file
			    ? json_load_file(ph->cfg->instance_file, 0, NULL)
			    : NULL;
	const bool ok = o && !instance_take(ph, o);

	json_decref(o);

	return ok;
}


int phone_alloc(struct phone **pp, const struct phone_cfg *cfg)
{
	struct phone *ph = mem_zalloc(sizeof(*ph), phone_destructor);
	int err;

	if (!ph)
		return ENOMEM;
	ph->cfg = cfg;
	tmr_init(&ph->tmr);
	err = steps_alloc(&ph->steps, cfg->log);
	if (!err)
		err = api_alloc(&ph->api, cfg->api, cfg->ca);
	if (!err) {
		if (instance_load(ph))
			ask(ph, "GET", "", NULL, "known", NULL, known);
		else
			err = create(ph);
	}
	if (err)
		mem_deref(ph);
	else
		*pp = ph;

	return err;
}


static void deleted(struct phone *ph, int status, const json_t *body)
{
	(void)status;
	(void)body;

	if (ph->cfg->instance_file)
		(void)unlink(ph->cfg->instance_file);
	finish(ph, 0);
}


void phone_stop(struct phone *ph)
{
	ph->stop = true;

	switch (ph->state) {

	case UP:
		if (ph->call)
			call_hangup(ph->call);
		else
			leave(ph);
		break;

	case LEAVING:
	case RESTING:
		break;

	case WAKING:
	case ASLEEP:
		tmr_cancel(&ph->tmr);
		ph->state = STOPPING;
		if (ph->cfg->delete_at_exit)
			ask(ph, "DELETE", "", NULL, "deleted", NULL, deleted);
		else
			finish(ph, 0);
		break;

	case STOPPING:
	case STARTING:
		finish(ph, ph->ready ? 0 : 1);
		break;
	}
}
