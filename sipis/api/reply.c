/**
 * @file reply.c  Answers, on their way to the connection they belong to
 */

#include <stdio.h>
#include <string.h>
#include <libwebsockets.h>
#include "common/clock.h"
#include "sipis/api/http.h"


static size_t head_print(char *dst, size_t size, const struct conn *c,
			 const struct ask *a)
{
	const char *type = a->type      ? a->type
			   : a->problem ? "application/problem+json"
					: "application/json";
	char more[160] = "";
	int n = 0;

	if (a->retry_after_s)
		n += snprintf(more, sizeof(more), "retry-after: %u\r\n",
			      a->retry_after_s);
	if (a->problem == PB_METHOD)
		n += snprintf(more + n, sizeof(more) - (size_t)n,
			      "allow: %s\r\n", a->allow);
	if (a->problem == PB_NO_BEARER)
		n += snprintf(more + n, sizeof(more) - (size_t)n,
			      "www-authenticate: Bearer\r\n");
	if (c->close_after)
		(void)snprintf(more + n, sizeof(more) - (size_t)n,
			       "connection: close\r\n");

	if (a->status == 204)
		n = snprintf(dst, size, "HTTP/1.1 204 No Content\r\n");
	else
		n = snprintf(dst, size,
			     "HTTP/1.1 %d %s\r\ncontent-type: %s\r\n"
			     "content-length: %zu\r\n",
			     a->status, problem_status_text(a->status), type,
			     a->out.len);
	n += snprintf(dst + n, size - (size_t)n,
		      "%s%scache-control: no-store\r\n\r\n", more,
		      c->admin ? ""
			       : "strict-transport-security: "
				 "max-age=31536000\r\n");
	return (size_t)n;
}


static void count_answer(struct server *s, const struct conn *c,
			 const struct ask *a)
{
	server_count(s, a->status < 400   ? AM_2XX
			: a->status < 500 ? AM_4XX
					  : AM_5XX);
	if (c->asked_us)
		histogram_add(&s->api->latency,
			      (uint64_t)clock_wall_us() - c->asked_us);
}


/** Head and body leave in one write: one TLS record, one system call */
int reply_write(struct server *s, struct conn *c, struct lws *wsi)
{
	struct ask *a = c->ask;
	char head[API_HEAD - LWS_PRE];
	size_t n;
	char *p;

	if (c->phase != PH_SEND || !a)
		return 0;
	if (a->out.failed)
		return -1;
	if (!a->out.buf) /* 204 */
		text_raw(&a->out, "", 0);
	if (!a->out.buf)
		return -1;

	n = head_print(head, sizeof(head), c, a);
	p = a->out.buf + a->out.head - n;
	memcpy(p, head, n);
	if (!c->bare)
		n += a->out.len;
	if (lws_write(wsi, (unsigned char *)p, n, LWS_WRITE_HTTP_FINAL) !=
	    (int)n)
		return -1;

	count_answer(s, c, a);
	ask_free(a);
	c->ask = NULL;
	c->asked_us = 0;
	if (c->close_after)
		return -1;

	conn_phase(c, PH_IDLE, clock_mono_ms());
	if (lws_http_transaction_completed(wsi))
		return -1;
	visit_no_timeout(wsi);
	return 0;
}


static void wrong_secret(struct server *s, struct conn *c, struct ask *a)
{
	uint32_t wait_s;

	server_count(s, AM_WRONG_SECRETS);
	wait_s = guard_wrong(s->guard, c->addr, clock_mono_ms());
	if (!wait_s)
		return;

	server_count(s, AM_THROTTLED);
	a->out.len = 0;
	a->out.comma = false;
	a->retry_after_s = wait_s;
	ask_problem(a, PB_THROTTLED, "Too many wrong secrets of late.");
}


void reply_take(struct server *s, struct ask *a)
{
	struct conn *c = conns_find(s->conns, a->slot, a->serial);

	if (!c || !c->away) {
		ask_free(a);
		return;
	}

	if (a->wrong_secret && !c->admin)
		wrong_secret(s, c, a);
	c->away = false;
	c->ask = a;
	conn_phase(c, PH_SEND, clock_mono_ms());
	/* in this order: who is deaf cannot write either */
	visit_deaf(c->wsi, false);
	lws_callback_on_writable(c->wsi);
}
