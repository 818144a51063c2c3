/**
 * @file fault.c  What a test wants to happen instead of the verdict
 *
 * A fault has a match, a number of times, and a pns_do.  The list is walked
 * for each request, in the order in which a test wrote it; without faults a
 * request does not come here.
 */

#include <errno.h>
#include "pns.h"

struct pns_fault {
	struct le le;
	char name[64];
	json_t *match;
	struct pns_do *d;
	int64_t times; /**< left; -1 for ever */
	int64_t skip;
	int64_t hits;
};

static const char *const rst_names[] = {
	"NO_ERROR",
	"PROTOCOL_ERROR",
	"INTERNAL_ERROR",
	"FLOW_CONTROL_ERROR",
	"SETTINGS_TIMEOUT",
	"STREAM_CLOSED",
	"FRAME_SIZE_ERROR",
	"REFUSED_STREAM",
	"CANCEL",
	"COMPRESSION_ERROR",
	"CONNECT_ERROR",
	"ENHANCE_YOUR_CALM",
	"INADEQUATE_SECURITY",
	"HTTP_1_1_REQUIRED",
};


static void do_destructor(void *arg)
{
	struct pns_do *d = arg;

	mem_deref(d->body);
}


static void fault_destructor(void *arg)
{
	struct pns_fault *f = arg;

	list_unlink(&f->le);
	json_decref(f->match);
	mem_deref(f->d);
}


static void text(char *dst, size_t size, const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	if (s)
		str_ncpy(dst, s, size);
}


static int64_t number(const json_t *o, const char *key, int64_t def)
{
	const json_t *v = json_object_get(o, key);

	return json_is_integer(v) ? json_integer_value(v) : def;
}


static bool truth(const json_t *o, const char *key)
{
	return json_is_true(json_object_get(o, key));
}


static int rst_decode(int64_t *rst, const json_t *v)
{
	const char *s = json_string_value(v);

	*rst = -1;
	if (!v)
		return 0;
	if (json_is_integer(v)) {
		*rst = json_integer_value(v);
		return 0;
	}
	for (size_t i = 0; s && i < ARRAY_SIZE(rst_names); i++) {
		if (!strcmp(rst_names[i], s)) {
			*rst = (int64_t)i;
			return 0;
		}
	}

	return EINVAL;
}


int pns_goaway_decode(struct pns_goaway *g, const json_t *o)
{
	const json_t *last = json_object_get(o, "last");
	const char *s = json_string_value(last);

	memset(g, 0, sizeof(*g));
	g->on = true;
	g->error = (uint32_t)number(o, "error", 0);
	g->twice = truth(o, "twice");
	g->close_ms = number(o, "close_ms", -1);
	text(g->debug, sizeof(g->debug), o, "debug");
	if (json_is_integer(last)) {
		g->last = GOAWAY_ID;
		g->id = (int32_t)json_integer_value(last);
		return 0;
	}
	if (!s || !strcmp(s, "all"))
		g->last = GOAWAY_ALL;
	else if (!strcmp(s, "none"))
		g->last = GOAWAY_NONE;
	else if (!strcmp(s, "this"))
		g->last = GOAWAY_THIS;
	else if (!strcmp(s, "before"))
		g->last = GOAWAY_BEFORE;
	else
		return EINVAL;

	return 0;
}


static void retry_after(struct pns_do *d, const json_t *o)
{
	const json_t *v = json_object_get(o, "retry_after");

	if (json_is_integer(v))
		(void)re_snprintf(d->retry_after, sizeof(d->retry_after),
				  "%lld", (long long)json_integer_value(v));
	else
		text(d->retry_after, sizeof(d->retry_after), o, "retry_after");
}


static void do_flags(struct pns_do *d, const json_t *o)
{
	d->headers_only = truth(o, "headers_only");
	d->early = truth(o, "early");
	d->black_hole = truth(o, "black_hole");
	d->tcp_reset = truth(o, "tcp_reset");
	d->wedge = truth(o, "wedge");
	d->deliver = truth(o, "deliver");
	d->no_details = json_is_false(json_object_get(o, "details"));
}


static int do_decode(struct pns_do *d, const json_t *o, const char **why)
{
	const char *body = json_string_value(json_object_get(o, "body"));
	const json_t *goaway = json_object_get(o, "goaway");

	d->status = (int)number(o, "status", 0);
	text(d->reason, sizeof(d->reason), o, "reason");
	text(d->location, sizeof(d->location), o, "location");
	text(d->content_type, sizeof(d->content_type), o, "content_type");
	d->timestamp_ms = number(o, "timestamp_ms", 0);
	d->truncate = number(o, "truncate", -1);
	d->split = (size_t)number(o, "split", 0);
	d->delay_ms = (uint32_t)number(o, "delay_ms", 0);
	d->max_streams = number(o, "max_streams", -1);
	retry_after(d, o);
	do_flags(d, o);

	if (rst_decode(&d->rst, json_object_get(o, "rst"))) {
		*why = "rst: no such HTTP/2 error";
		return EINVAL;
	}
	if (goaway && pns_goaway_decode(&d->goaway, goaway)) {
		*why = "goaway: last is all, none, this, before or a number";
		return EINVAL;
	}

	return body ? str_dup(&d->body, body) : 0;
}


bool pns_do_keeps_verdict(const struct pns_do *d)
{
	return !d->status && !*d->reason && !d->body && d->rst < 0 &&
	       !d->tcp_reset && !d->black_hole &&
	       !(d->goaway.on && (d->goaway.last == GOAWAY_NONE ||
				  d->goaway.last == GOAWAY_BEFORE));
}


/* A typing error in a script must not become a fault that never happens */
static bool known_keys(const json_t *o, const char *const *keys, size_t n)
{
	const char *key;
	json_t *v;

	json_object_foreach((json_t *)o, key, v)
	{
		size_t i;

		for (i = 0; i < n && strcmp(keys[i], key); i++)
			;
		if (i == n)
			return false;
	}

	return true;
}


static const char *const match_keys[] = {
	"kind", "token", "topic", "push_type", "use", "call", "env", "status",
};

static const char *const do_keys[] = {
	"status", "reason",   "timestamp_ms", "retry_after",
	"body",   "truncate", "content_type", "headers_only",
	"split",  "delay_ms", "early",        "black_hole",
	"rst",    "goaway",   "tcp_reset",    "max_streams",
	"wedge",  "deliver",  "details",      "location",
};


int pns_fault_add(struct pns *pns, const json_t *o, const char **why)
{
	const json_t *what = json_object_get(o, "do");
	json_t *match = json_object_get(o, "match");
	struct pns_fault *f;
	int err;

	if (!known_keys(match, match_keys, ARRAY_SIZE(match_keys)) ||
	    !known_keys(what, do_keys, ARRAY_SIZE(do_keys)) ||
	    !json_is_object(what)) {
		*why = "unknown member in match or do";
		return EINVAL;
	}

	f = mem_zalloc(sizeof(*f), fault_destructor);
	if (!f)
		return ENOMEM;
	f->d = mem_zalloc(sizeof(*f->d), do_destructor);
	err = f->d ? do_decode(f->d, what, why) : ENOMEM;
	if (err) {
		mem_deref(f);
		return err;
	}
	f->match = json_incref(match);
	f->times = number(o, "times", 1);
	if (!f->times)
		f->times = -1;
	f->skip = number(o, "skip", 0);
	text(f->name, sizeof(f->name), o, "name");
	list_append(&pns->faultl, &f->le, f);

	return 0;
}


unsigned pns_fault_clear(struct pns *pns, const char *name)
{
	struct le *le = pns->faultl.head;
	unsigned n = 0;

	while (le) {
		struct pns_fault *f = le->data;

		le = le->next;
		if (name && strcmp(f->name, name))
			continue;
		mem_deref(f);
		++n;
	}

	return n;
}


json_t *pns_fault_json(const struct pns *pns)
{
	json_t *a = json_array();
	struct le *le;

	LIST_FOREACH (&pns->faultl, le) {
		const struct pns_fault *f = le->data;

		json_array_append_new(a,
				      json_pack("{sssIsI}", "name", f->name,
						"hits", (json_int_t)f->hits,
						"left", (json_int_t)f->times));
	}

	return a;
}


static bool same(const json_t *match, const char *key, const char *value)
{
	const char *want = json_string_value(json_object_get(match, key));

	return !want || !strcmp(want, value);
}


static bool fits(const struct pns_fault *f, const struct pns_req *req)
{
	const char *kind =
		json_string_value(json_object_get(f->match, "kind"));

	if (kind && strcmp(kind, "any") &&
	    strcmp(kind, pns_kind_name(req->kind)))
		return false;

	return same(f->match, "token", req->token) &&
	       same(f->match, "topic", pns_req_h(req, H_APNS_TOPIC)) &&
	       same(f->match, "push_type", pns_req_h(req, H_APNS_PUSH_TYPE)) &&
	       same(f->match, "use", req->use) &&
	       same(f->match, "call", req->call) &&
	       same(f->match, "env", req->sandbox ? "sandbox" : "production");
}


struct pns_do *pns_fault_take(struct pns *pns, const struct pns_req *req,
			      bool early)
{
	struct le *le;

	LIST_FOREACH (&pns->faultl, le) {
		struct pns_fault *f = le->data;

		if (f->d->early != early || !f->times || !fits(f, req))
			continue;
		if (f->skip) {
			--f->skip;
			continue;
		}
		if (f->times > 0)
			--f->times;
		++f->hits;
		return mem_ref(f->d);
	}

	return NULL;
}
