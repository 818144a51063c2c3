/**
 * @file server.c  libwebsockets in a thread of its own
 *
 * What libwebsockets of Debian 12 does not do, or does wrong, is closed here:
 * HTTP/1.1 is the only protocol that is offered, and every Upgrade ends the
 * connection before the code that handles upgrades is reached; bodies are
 * collected by us under our own limit, chunked ones (which would never end)
 * refused; "Expect: 100-continue" is answered; deadlines are our own, one
 * sweep over all connections twice a second (conn.h); a connection is looked
 * up again when an answer comes back.
 */

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <arpa/inet.h>
#include <libwebsockets.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include "common/clock.h"
#include "common/log.h"
#include "common/secret.h"
#include "sipis/api/conn.h"
#include "sipis/api/priv.h"

#define LISTENERS   16
#define SWEEP_US    500000
#define ADMIN_CONNS 64
#define HEADER_MAX  16384
#define DRAIN_MAX   (1u << 20) /**< of a body that is refused */
#define LWS_LONG_S  3600       /**< the deadlines are ours */

struct server {
	struct api *api;
	struct lws_context *lws;
	struct lws_vhost *vhost[LISTENERS], *admin;
	struct lws_protocols protocols[2];
	struct guard *guard;
	struct conns *conns;
	unsigned adminc;
	struct mail *asks, **asks_tail; /**< read in this turn */
	struct mailbox *answers;
	atomic_bool woken, stop;
	pthread_t thread;
	bool running;
	lws_sorted_usec_list_t sweep;
	char trace[UUID_LEN + 1];
	uint64_t requests;
	bool coming; /**< a connection was let in and has no slot yet */
	bool coming_admin;
	char coming_addr[GUARD_ADDR_MAX];
	struct conn *newborn; /**< not known to its wsi yet */
};

/** What the headers of a request say about its body */
struct head {
	bool has_length, chunked, expects;
	bool bodied; /**< a method for which lws reads a body */
	bool post;
	size_t length;
};


static struct server *server_of(struct lws *wsi)
{
	return lws_context_user(lws_get_context(wsi));
}


static void count(struct server *s, enum api_metric m)
{
	metric_inc(&s->api->metrics[m]);
}


/** lws keeps its timers in one list and walks it at each start; the sweep does
    their work, so a connection that waits need not stand there */
static void no_timeout(struct lws *wsi)
{
	lws_set_timeout(wsi, NO_PENDING_TIMEOUT, 0);
}


/** What one turn of the loop has read goes over together */
static void asks_add(struct server *s, struct ask *a)
{
	a->mail.next = NULL;
	*s->asks_tail = &a->mail;
	s->asks_tail = &a->mail.next;
}


static void asks_flush(struct server *s)
{
	struct ask *first = (struct ask *)s->asks;

	s->asks = NULL;
	s->asks_tail = &s->asks;
	if (first) {
		first->more = first->mail.next;
		mailbox_put(s->api->inbox, &first->mail);
	}
}


/* connections */

static int let_in(struct server *s, struct lws *listener,
		  const struct lws_filter_network_conn_args *args)
{
	s->coming_admin = lws_get_vhost(listener) == s->admin;
	guard_addr(s->coming_addr, (const void *)&args->cli_addr);
	if (s->coming_admin) {
		s->coming = s->adminc < ADMIN_CONNS;
		s->adminc += s->coming;
	}
	else {
		s->coming = guard_open(s->guard, s->coming_addr);
	}

	if (!s->coming)
		count(s, AM_REFUSED_CONNECTIONS);
	return s->coming ? 0 : 1;
}


static void leave(struct server *s, bool admin, const char *addr)
{
	if (admin)
		s->adminc--;
	else
		guard_close(s->guard, addr);
	metric_set(&s->api->metrics[AM_CONNECTIONS], guard_count(s->guard));
}


static void born(struct server *s, struct lws *wsi)
{
	struct conn *c;

	if (!s->coming)
		return;

	s->coming = false;
	c = conns_new(s->conns, wsi, clock_mono_ms());
	if (!c) {
		leave(s, s->coming_admin, s->coming_addr);
		return;
	}

	c->admin = s->coming_admin;
	(void)str_ncpy(c->addr, s->coming_addr, sizeof(c->addr));
	if (c->admin)
		conn_phase(c, PH_HEADER, c->since_ms);
	metric_set(&s->api->metrics[AM_CONNECTIONS], guard_count(s->guard));
	s->newborn = c;
}


/** The slot of a wsi; it learns it here, because lws forgets what is set
    while a wsi is made */
static struct conn *conn_of(struct server *s, struct lws *wsi)
{
	struct conn *c = lws_get_opaque_user_data(wsi);

	if (!c && s->newborn && s->newborn->wsi == wsi) {
		c = s->newborn;
		s->newborn = NULL;
		lws_set_opaque_user_data(wsi, c);
	}
	return c;
}


static void died(struct server *s, struct lws *wsi)
{
	struct conn *c = conn_of(s, wsi);

	if (!c)
		return;

	lws_set_opaque_user_data(wsi, NULL);
	if (c->away) {
		struct ask *cancel = ask_alloc();

		if (cancel) {
			cancel->kind = ASK_CANCEL;
			cancel->slot = c->slot;
			cancel->serial = c->serial;
			asks_add(s, cancel);
		}
	}
	ask_free(c->ask);
	leave(s, c->admin, c->addr);
	conns_drop(s->conns, c);
}


static void sweep_conn(struct conn *c, void *arg)
{
	struct server *s = arg;
	const uint64_t now = clock_mono_ms();
	const SSL *ssl;

	if (c->phase == PH_HANDSHAKE) {
		ssl = lws_get_ssl(c->wsi);
		if (ssl && SSL_is_init_finished(ssl))
			conn_phase(c, PH_HEADER, now);
	}
	if (!conn_late(c, now))
		return;

	if (c->phase != PH_IDLE)
		count(s, AM_SLOW);
	conn_phase(c, PH_WORK, now); /* once is enough */
	lws_set_timeout(c->wsi, PENDING_TIMEOUT_USER_OK, LWS_TO_KILL_ASYNC);
}


static void sweep_handler(lws_sorted_usec_list_t *sul)
{
	struct server *s = lws_container_of(sul, struct server, sweep);

	conns_each(s->conns, sweep_conn, s);
	lws_sul_schedule(s->lws, 0, &s->sweep, sweep_handler, SWEEP_US);
}


/* requests */

static const char *method_of(struct lws *wsi)
{
	static const struct {
		enum lws_token_indexes token;
		const char *name;
	} methods[] = {
		{ WSI_TOKEN_GET_URI, "GET" },
		{ WSI_TOKEN_PUT_URI, "PUT" },
		{ WSI_TOKEN_POST_URI, "POST" },
		{ WSI_TOKEN_PATCH_URI, "PATCH" },
		{ WSI_TOKEN_DELETE_URI, "DELETE" },
		{ WSI_TOKEN_HEAD_URI, "HEAD" },
		{ WSI_TOKEN_OPTIONS_URI, "OPTIONS" },
	};

	for (size_t i = 0; i < sizeof(methods) / sizeof(*methods); i++)
		if (lws_hdr_total_length(wsi, methods[i].token) > 0)
			return methods[i].name;
	return "?";
}


static bool header(struct lws *wsi, enum lws_token_indexes token, char *dst,
		   size_t size)
{
	const int n = lws_hdr_total_length(wsi, token);

	*dst = 0;
	return n > 0 && n < (int)size &&
	       lws_hdr_copy(wsi, dst, (int)size, token) == n;
}


/** Content-Length as RFC 9110 8.6 writes it: digits, nothing else */
static bool length_of(size_t *len, const char *text)
{
	*len = 0;
	if (!*text || strlen(text) > 12)
		return false;
	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			return false;
		*len = *len * 10 + (size_t)(*text - '0');
	}
	return true;
}


static enum problem head_read(struct head *h, struct conn *c, struct lws *wsi)
{
	const char *method = method_of(wsi);
	char text[64];

	memset(h, 0, sizeof(*h));
	h->bodied = *method == 'P';
	h->post = !strcmp(method, "POST");
	c->bare = !strcmp(method, "HEAD");
	h->chunked = lws_hdr_total_length(
			     wsi, WSI_TOKEN_HTTP_TRANSFER_ENCODING) > 0;
	if (lws_hdr_total_length(wsi, WSI_TOKEN_HTTP_CONTENT_LENGTH) > 0) {
		if (!header(wsi, WSI_TOKEN_HTTP_CONTENT_LENGTH, text,
			    sizeof(text)) ||
		    !length_of(&h->length, text))
			return PB_BAD_REQUEST;
		h->has_length = true;
	}
	if (lws_hdr_total_length(wsi, WSI_TOKEN_HTTP_EXPECT) > 0) {
		if (!header(wsi, WSI_TOKEN_HTTP_EXPECT, text, sizeof(text)) ||
		    strcasecmp(text, "100-continue"))
			return PB_EXPECTATION;
		h->expects = true;
	}
	return PB_NONE;
}


static bool is_json(struct lws *wsi)
{
	char type[128];
	size_t n;

	if (!header(wsi, WSI_TOKEN_HTTP_CONTENT_TYPE, type, sizeof(type)))
		return false;
	n = strcspn(type, "; \t");
	return n == 16 && !strncasecmp(type, "application/json", n);
}


/** The secret as its hash; the secret itself goes no further */
static bool bearer_read(struct ask *a, struct lws *wsi)
{
	char text[HEADER_MAX];
	const char *p = text;
	bool ok;

	if (!header(wsi, WSI_TOKEN_HTTP_AUTHORIZATION, text, sizeof(text)) ||
	    strncasecmp(p, "Bearer ", 7))
		return false;

	for (p += 7; *p == ' ';)
		++p;
	ok = *p && !secret_sha256(a->secret_sha256, p, strlen(p));
	explicit_bzero(text, strlen(text));
	return ok;
}


static enum problem route_read(struct ask *a, struct lws *wsi, bool admin,
			       const char *path)
{
	char text[4][ROUTE_ID_MAX + 16];
	const char *queryv[4];
	unsigned n = 0;

	for (; n < 4; n++) {
		const int len =
			lws_hdr_copy_fragment(wsi, text[n], sizeof(text[n]),
					      WSI_TOKEN_HTTP_URI_ARGS, (int)n);

		if (len < 0)
			break;
		queryv[n] = text[n];
	}

	return route_find(&a->route, admin, method_of(wsi), path, queryv, n,
			  a->allow, sizeof(a->allow));
}


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

	count(s, AM_THROTTLED);
	return PB_THROTTLED;
}


static enum problem body_judge(struct conn *c, const struct head *h,
			       struct lws *wsi)
{
	const struct route_info *info = route_info(c->ask->route.op);

	if (h->bodied && (h->chunked || !h->has_length))
		return PB_LENGTH_REQUIRED;
	if ((h->chunked || h->length) && info->body == BODY_NONE) {
		c->why = "This request has no body.";
		return PB_BAD_REQUEST;
	}
	if (h->length > BODY_MAX)
		return PB_TOO_LARGE;
	if (h->length && !is_json(wsi))
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
		p = route_read(a, wsi, c->admin, path);
	if (!p)
		p = limits(s, c, a);
	if (!p && route_info(a->route.op)->bearer && !bearer_read(a, wsi))
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
	no_timeout(c->wsi);
	asks_add(s, a);
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


static int request(struct server *s, struct conn *c, struct lws *wsi,
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
	if (h.chunked ||
	    h.bodied != (h.has_length && (h.bodied || h.length)) ||
	    (c->refused && h.length > DRAIN_MAX)) {
		c->close_after = true;
		answer_now(c, c->refused ? c->refused : PB_BAD_REQUEST,
			   c->why);
		return 0;
	}
	/* nothing to wait for; of a body of 0 bytes lws says that it is
	   complete only for POST, and goes on only after that */
	if (!h.length && !h.post) {
		dispatch(s, c);
		return 0;
	}

	if (!c->refused && body_room(c, h.length))
		return -1;

	conn_phase(c, PH_BODY, clock_mono_ms());
	return h.expects && !c->refused ? go_on(wsi) : 0;
}


static int body_add(struct conn *c, const void *p, size_t len)
{
	if (!c->ask)
		return -1;
	if (c->refused || !len)
		return 0;
	if (len > c->body_size - c->body_len)
		return -1;

	memcpy(c->body + c->body_len, p, len);
	c->body_len += len;
	return 0;
}


/* answers */

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
	count(s, a->status < 400 ? AM_2XX : a->status < 500 ? AM_4XX : AM_5XX);
	if (c->asked_us)
		histogram_add(&s->api->latency,
			      (uint64_t)clock_wall_us() - c->asked_us);
}


/** Head and body leave in one write: one TLS record, one system call */
static int writable(struct server *s, struct conn *c, struct lws *wsi)
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
	no_timeout(wsi);
	return 0;
}


static void wrong_secret(struct server *s, struct conn *c, struct ask *a)
{
	uint32_t wait_s;

	count(s, AM_WRONG_SECRETS);
	wait_s = guard_wrong(s->guard, c->addr, clock_mono_ms());
	if (!wait_s)
		return;

	count(s, AM_THROTTLED);
	a->out.len = 0;
	a->out.comma = false;
	a->retry_after_s = wait_s;
	ask_problem(a, PB_THROTTLED, "Too many wrong secrets of late.");
}


static void answered(struct server *s, struct ask *a)
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
	lws_callback_on_writable(c->wsi);
}


static void answers_take(struct server *s)
{
	struct mail *mail, *next;

	/* cleared first: what is put from now on wakes us once more */
	atomic_store(&s->woken, false);
	for (mail = mailbox_wait(s->answers, 0); mail; mail = next) {
		next = mail->next;
		answered(s, (struct ask *)mail);
	}
}


void server_answer(struct server *s, struct ask *a)
{
	mailbox_put(s->answers, &a->mail);
}


void server_wake(struct server *s)
{
	if (!atomic_exchange(&s->woken, true))
		lws_cancel_service(s->lws);
}


/* lws */

/** TLS as we want it; the rest of the context is made by lws */
static int tls_setup(SSL_CTX *ctx)
{
	static const unsigned char id[] = "sipis-api";

	if (SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) != 1)
		return 1;

	(void)SSL_CTX_set_session_id_context(ctx, id, sizeof(id) - 1);
	(void)SSL_CTX_set_options(
		ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
			     SSL_OP_CIPHER_SERVER_PREFERENCE);
	return 0;
}


static int conn_event(struct server *s, struct lws *wsi,
		      enum lws_callback_reasons reason, void *in, size_t len)
{
	struct conn *c = conn_of(s, wsi);

	if (!c)
		return -1;

	switch (reason) {
	case LWS_CALLBACK_HTTP:
		return request(s, c, wsi, in);
	case LWS_CALLBACK_HTTP_BODY:
		return body_add(c, in, len);
	case LWS_CALLBACK_HTTP_BODY_COMPLETION:
		if (c->phase == PH_BODY)
			dispatch(s, c);
		return 0;
	case LWS_CALLBACK_HTTP_WRITEABLE:
		return writable(s, c, wsi);
	default:
		return 0;
	}
}


static int callback(struct lws *wsi, enum lws_callback_reasons reason,
		    void *user, void *in, size_t len)
{
	switch (reason) {
	case LWS_CALLBACK_OPENSSL_LOAD_EXTRA_SERVER_VERIFY_CERTS:
		return tls_setup(user);
	case LWS_CALLBACK_FILTER_NETWORK_CONNECTION:
		return let_in(server_of(wsi), wsi, user);
	case LWS_CALLBACK_WSI_CREATE:
		born(server_of(wsi), wsi);
		return 0;
	case LWS_CALLBACK_SERVER_NEW_CLIENT_INSTANTIATED:
		(void)conn_of(server_of(wsi), wsi);
		return 0;
	case LWS_CALLBACK_WSI_DESTROY:
		died(server_of(wsi), wsi);
		return 0;
	case LWS_CALLBACK_EVENT_WAIT_CANCELLED:
		answers_take(server_of(wsi));
		return 0;
	case LWS_CALLBACK_HTTP_CONFIRM_UPGRADE:
		/* neither WebSocket nor h2c; "in" may be stale, see above */
		return -1;
	case LWS_CALLBACK_HTTP:
	case LWS_CALLBACK_HTTP_BODY:
	case LWS_CALLBACK_HTTP_BODY_COMPLETION:
	case LWS_CALLBACK_HTTP_WRITEABLE:
		return conn_event(server_of(wsi), wsi, reason, in, len);
	default:
		return 0;
	}
}


static void *thread_main(void *arg)
{
	struct server *s = arg;

	(void)pthread_setname_np(pthread_self(), "http");
	lws_sul_schedule(s->lws, 0, &s->sweep, sweep_handler, SWEEP_US);
	while (!atomic_load(&s->stop) && lws_service(s->lws, 0) >= 0)
		asks_flush(s);
	asks_flush(s);
	return NULL;
}


static void emit(int level, const char *line)
{
	const size_t n = strcspn(line, "\r\n");

	if (level == LLL_ERR)
		log_warning("lws", NULL, "%.*s", (int)n, line);
	else
		log_debug("lws", NULL, "%.*s", (int)n, line);
}


/* listeners */

/** "host:port" or "[host]:port" */
static int listen_parse(char *host, size_t size, int *port, const char *text)
{
	const char *colon = strrchr(text, ':');
	const char *from = text, *to = colon;
	char *end;
	long n;

	if (!colon || !colon[1])
		return EINVAL;
	if (*from == '[') {
		++from;
		--to;
		if (to <= from || *to != ']')
			return EINVAL;
	}
	if (to < from || (size_t)(to - from) >= size)
		return EINVAL;

	n = strtol(colon + 1, &end, 10);
	if (*end || n < 0 || n > 65535)
		return EINVAL;

	memcpy(host, from, (size_t)(to - from));
	host[to - from] = 0;
	*port = (int)n;
	return 0;
}


static void vhost_tls(struct lws_context_creation_info *info,
		      const struct api_cfg *cfg)
{
	/* without this option lws would go on in the clear */
	info->options |= LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT |
			 LWS_SERVER_OPTION_DISABLE_OS_CA_CERTS;
	info->ssl_cert_filepath = cfg->certificate;
	info->ssl_private_key_filepath = cfg->key;
	info->alpn = "http/1.1";
	info->ssl_cipher_list = "ECDHE+AESGCM:ECDHE+CHACHA20";
}


static bool has_tls(struct lws_vhost *vhost)
{
	union lws_tls_cert_info_results res;

	return !lws_tls_vhost_cert_info(vhost, LWS_TLS_CERT_INFO_VALIDITY_TO,
					&res, 0);
}


static int vhost_open(struct server *s, struct lws_vhost **vhp,
		      const char *address, bool tls, char *reason,
		      size_t reason_sz)
{
	struct lws_context_creation_info info;
	char host[128];
	bool any;

	memset(&info, 0, sizeof(info));
	if (listen_parse(host, sizeof(host), &info.port, address)) {
		(void)snprintf(reason, reason_sz,
			       "cannot listen on \"%s\": not an address with "
			       "a port; write \"192.0.2.1:443\" or "
			       "\"[2001:db8::1]:443\"",
			       address);
		return EINVAL;
	}

	any = !*host || !strcmp(host, "0.0.0.0") || !strcmp(host, "::");
	info.iface = any ? NULL : host;
	info.protocols = s->protocols;
	info.vhost_name = address;
	info.keepalive_timeout = LWS_LONG_S;
	info.timeout_secs_ah_idle = LWS_LONG_S;
	info.options = LWS_SERVER_OPTION_FAIL_UPON_UNABLE_TO_BIND;
	if (!strchr(host, ':'))
		info.options |= LWS_SERVER_OPTION_DISABLE_IPV6;
	if (tls)
		vhost_tls(&info, s->api->prm.cfg);

	errno = 0;
	*vhp = lws_create_vhost(s->lws, &info);
	if (*vhp && tls && !has_tls(*vhp)) {
		(void)snprintf(reason, reason_sz,
			       "cannot use TLS on %s; see the log", address);
		return EPROTO;
	}
	if (*vhp && lws_get_vhost_listen_port(*vhp) > 0)
		return 0;

	(void)snprintf(reason, reason_sz, "cannot listen on %s: %s", address,
		       errno ? strerror(errno) : "see the log");
	return errno ? errno : EADDRINUSE;
}


/** lws says little about a certificate that it cannot use: try it first */
static int tls_check(const struct api_cfg *cfg, char *reason, size_t reason_sz)
{
	const char *what = NULL;
	char text[160];
	SSL_CTX *ctx;

	if (!cfg->certificate || !cfg->key) {
		(void)snprintf(reason, reason_sz,
			       "the API needs certificate and key");
		return EINVAL;
	}

	ctx = SSL_CTX_new(TLS_server_method());
	if (!ctx)
		return ENOMEM;

	ERR_clear_error();
	if (SSL_CTX_use_certificate_chain_file(ctx, cfg->certificate) != 1)
		what = cfg->certificate;
	else if (SSL_CTX_use_PrivateKey_file(ctx, cfg->key,
					     SSL_FILETYPE_PEM) != 1 ||
		 SSL_CTX_check_private_key(ctx) != 1)
		what = cfg->key;
	if (what) {
		ERR_error_string_n(ERR_get_error(), text, sizeof(text));
		(void)snprintf(reason, reason_sz, "the API cannot use %s: %s",
			       what, text);
	}
	SSL_CTX_free(ctx);
	return what ? EINVAL : 0;
}


static int context_open(struct server *s)
{
	struct lws_context_creation_info info;

	memset(&info, 0, sizeof(info));
	info.options = LWS_SERVER_OPTION_EXPLICIT_VHOSTS |
		       LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT;
	info.gid = (gid_t)-1;
	info.uid = (uid_t)-1;
	info.user = s;
	info.timeout_secs = LWS_LONG_S;
	info.max_http_header_data = HEADER_MAX;
	info.max_http_header_pool =
		(unsigned short)(s->api->prm.cfg->connections < 60000
					 ? s->api->prm.cfg->connections +
						   ADMIN_CONNS
					 : 65000);
	info.pt_serv_buf_size = HEADER_MAX;
	s->lws = lws_create_context(&info);
	return s->lws ? 0 : ENOMEM;
}


static int listeners_open(struct server *s, char *reason, size_t reason_sz)
{
	const struct api_cfg *cfg = s->api->prm.cfg;
	const struct admin_cfg *admin = s->api->prm.admin;
	int err = 0;

	if (cfg->listen_count > LISTENERS) {
		(void)snprintf(reason, reason_sz,
			       "too many addresses to listen on; %d at most",
			       LISTENERS);
		return EINVAL;
	}

	for (uint32_t i = 0; !err && i < cfg->listen_count; i++)
		err = vhost_open(s, &s->vhost[i], cfg->listen[i], true, reason,
				 reason_sz);
	if (!err && admin && admin->listen)
		err = vhost_open(s, &s->admin, admin->listen, false, reason,
				 reason_sz);
	return err;
}


static void destructor(void *arg)
{
	struct server *s = arg;
	struct mail *mail, *next;

	server_stop(s);
	if (s->lws)
		lws_context_destroy(s->lws);
	for (mail = s->answers ? mailbox_wait(s->answers, 0) : NULL; mail;
	     mail = next) {
		next = mail->next;
		ask_free((struct ask *)mail);
	}
	mem_deref(s->answers);
	mem_deref(s->conns);
	mem_deref(s->guard);
}


static int thread_start(struct server *s)
{
	sigset_t all, old;
	int err;

	/* signals are for the loop's thread */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	err = pthread_create(&s->thread, NULL, thread_main, s);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	s->running = !err;
	return err;
}


int server_alloc(struct server **sp, struct api *api, char *reason,
		 size_t reason_sz)
{
	const struct api_cfg *cfg = api->prm.cfg;
	struct server *s;
	int err;

	err = cfg->listen_count ? tls_check(cfg, reason, reason_sz) : 0;
	if (err)
		return err;

	s = mem_zalloc(sizeof(*s), destructor);
	if (!s)
		return ENOMEM;

	s->api = api;
	s->asks_tail = &s->asks;
	s->protocols[0].name = "http";
	s->protocols[0].callback = callback;
	lws_set_log_level(LLL_ERR | LLL_WARN, emit);
	err = ident_uuid_random(s->trace);
	if (!err)
		err = guard_alloc(&s->guard, cfg);
	if (!err)
		err = conns_alloc(&s->conns, cfg->connections + ADMIN_CONNS);
	if (!err)
		err = mailbox_alloc_thread(&s->answers);
	if (!err)
		err = context_open(s);
	if (!err)
		err = listeners_open(s, reason, reason_sz);
	if (!err)
		err = thread_start(s);
	if (err)
		mem_deref(s);
	else
		*sp = s;
	return err;
}


void server_stop(struct server *s)
{
	if (!s || !s->running)
		return;

	atomic_store(&s->stop, true);
	lws_cancel_service(s->lws);
	(void)pthread_join(s->thread, NULL);
	s->running = false;
}


uint16_t server_port(const struct server *s, unsigned n)
{
	return n < LISTENERS && s->vhost[n]
		       ? (uint16_t)lws_get_vhost_listen_port(s->vhost[n])
		       : 0;
}


uint16_t server_admin_port(const struct server *s)
{
	return s->admin ? (uint16_t)lws_get_vhost_listen_port(s->admin) : 0;
}
