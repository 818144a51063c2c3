/**
 * @file api/request.c  From the headers to a request that the loop can do
 *
 * Judged before a byte of the body has been read; the body is collected under
 * our own limit.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <libwebsockets.h>
#include "common/clock.h"
#include "sipis/api/http.h"

#define DRAIN_MAX (1u << 20) /**< of a body that is refused */


static enum problem limits(struct server *s, struct conn *c, struct ask *a)
{
	const uint64_t now = clock_mono_ms();

	if (c->admin)
		return PB_NONE;

	a->retry_after_s = guard_request(s->guard, c->addr, now);
	if (!a->retry_after_s && route_info(a->route.op)->bearer)
		a->retry_after_s = guard_secret(s->guard, c->addr, now);
	if (!a->retry_after_s)
		return PB_NONE;

	server_count(s, AM_THROTTLED);
	return PB_THROTTLED;
}


static enum problem body_judge(struct conn *c, const struct head *h,
			       struct lws *wsi)
{
	const struct route_info *info = route_info(c->ask->route.op);

	/* RFC 9112 6.3: with neither header there is no body */
	if (h->bodied && (h->chunked || (!h->has_length && info->body)))
		return PB_LENGTH_REQUIRED;
	if ((h->chunked || h->length) && info->body == BODY_NONE) {
		c->why = "This request has no body.";
		return PB_BAD_REQUEST;
	}
	if (h->length > BODY_MAX)
		return PB_TOO_LARGE;
	if (h->length && !head_is_json(wsi))
		return PB_MEDIA_TYPE;
	return PB_NONE;
}


/** All that can be said before a byte of the body has been read */
static enum problem judge(struct server *s, struct conn *c, struct head *h,
			  struct lws *wsi, const char *path)
{
	struct ask *a = c->ask;
	enum problem p = head_read(h, c, wsi);

	if (!p)
		p = head_route(a, wsi, c->admin, path);
	if (!p)
		p = limits(s, c, a);
	if (!p && route_info(a->route.op)->bearer && !head_bearer(a, wsi))
		p = PB_NO_BEARER;
	if (!p)
		p = body_judge(c, h, wsi);
	return p;
}


static void answer_now(struct conn *c, enum problem p, const char *why)
{
	ask_problem(c->ask, p, why);
	conn_phase(c, PH_SEND, clock_mono_ms());
	lws_callback_on_writable(c->wsi);
}


/** 1xx before the body, or a client waits for a second; RFC 9110 10.1.1 */
static int go_on(struct lws *wsi)
{
	static const char line[] = "HTTP/1.1 100 Continue\r\n\r\n";
	unsigned char buf[LWS_PRE + sizeof(line)];

	memcpy(buf + LWS_PRE, line, sizeof(line) - 1);
	return lws_write(wsi, buf + LWS_PRE, sizeof(line) - 1,
			 LWS_WRITE_HTTP_HEADERS) < 0;
}


static int parse_body(struct ask *a, const char *p, size_t len)
{
	a->has_body = true;
	switch (a->route.op) {
	case RT_CREATE:
		return body_new(&a->body, p, len);
	case RT_PATCH:
		return body_change(&a->body, p, len);
	case RT_STATE:
		return body_word(&a->body, p, len);
	default:
		a->has_body = false;
		return PB_NONE;
	}
}


/** Headers and body are here: on to the loop */
static void dispatch(struct server *s, struct conn *c)
{
	struct ask *a = c->ask;
	enum problem p;

	if (c->refused) {
		answer_now(c, c->refused, c->why);
		return;
	}

	p = (enum problem)parse_body(a, c->body ? c->body : "", c->body_len);
	if (c->body)
		explicit_bzero(c->body, c->body_len);
	if (p) {
		answer_now(c, p, a->body.why);
		return;
	}

	c->asked_us = (uint64_t)clock_wall_us();
	c->ask = NULL;
	c->away = true;
	conn_phase(c, PH_WORK, clock_mono_ms());
	visit_no_timeout(c->wsi);
	visit_deaf(c->wsi, true);
	server_ask(s, a);
}


static int body_room(struct conn *c, size_t length)
{
	char *body;

	if (length <= c->body_size)
		return 0;

	body = realloc(c->body, length);
	if (!body)
		return ENOMEM;

	c->body = body;
	c->body_size = length;
	return 0;
}


/** A random id of this process, and a number in its last 12 digits: as good
    as a random one in a log, for a tenth of its price */
static void trace_next(struct server *s, char *trace)
{
	memcpy(trace, s->trace, UUID_LEN - 12);
	(void)snprintf(trace + UUID_LEN - 12, 13, "%012llx",
		       (unsigned long long)++s->requests & 0xffffffffffff);
}


int request_begin(struct server *s, struct conn *c, struct lws *wsi,
		  const char *path)
{
	struct head h;
	struct ask *a;

	if (c->away || c->ask) /* lws does not pipeline; be sure */
		return -1;

	a = ask_alloc();
	if (!a)
		return -1;

	a->slot = c->slot;
	a->serial = c->serial;
	a->admin = c->admin;
	(void)str_ncpy(a->addr, c->addr, sizeof(a->addr));
	trace_next(s, a->trace);
	c->ask = a;
	c->why = NULL;
	c->body_len = 0;
	c->refused = judge(s, c, &h, wsi, path);

	/* what lws would wait for in vain, or cannot skip, ends the
	   connection */
	c->close_after =
		h.chunked ||
		h.bodied != (h.has_length && (h.bodied || h.length)) ||
		(c->refused && h.length > DRAIN_MAX);
	if (c->close_after && (c->refused || h.length)) {
		answer_now(c, c->refused ? c->refused : PB_BAD_REQUEST,
			   c->why);
		return 0;
	}
	/* nothing to wait for; of a body of 0 bytes lws says that it is
	   complete only for POST, and goes on only after that */
	if (!h.length && (!h.post || !h.has_length)) {
		dispatch(s, c);
		return 0;
	}

	if (!c->refused && body_room(c, h.length))
		return -1;

	conn_phase(c, PH_BODY, clock_mono_ms());
	return h.expects && !c->refused ? go_on(wsi) : 0;
}


/** Is this the start of a request, with a method of RFC 9110 9.1? */
static bool has_method(const char *p, size_t len)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "abcdefghijklmnopqrstuvwxyz"
				      "0123456789!#$%&'*+-.^_`|~";
	size_t n = 0;

	while (n < len && p[n] && strchr(letters, p[n]))
		++n;
	return n && n < len && p[n] == ' ';
}


int request_foreign(struct server *s, struct conn *c, struct lws *wsi,
		    const char *p, size_t len)
{
	if (c->ask)
		return -1;

	c->ask = ask_alloc();
	if (!c->ask)
		return -1;

	trace_next(s, c->ask->trace);
	c->close_after = true;
	answer_now(c, has_method(p, len) ? PB_NOT_IMPLEMENTED : PB_BAD_REQUEST,
		   NULL);
	return reply_write(s, c, wsi);
}


int request_body(struct conn *c, const void *p, size_t len)
{
	if (c->close_after || c->refused || !len)
		return 0;
	if (!c->ask)
		return -1;
	if (len > c->body_size - c->body_len)
		return -1;

	memcpy(c->body + c->body_len, p, len);
	c->body_len += len;
	return 0;
}


int request_end(struct server *s, struct conn *c)
{
	if (c->phase == PH_BODY)
		dispatch(s, c);
	return 0;
}
