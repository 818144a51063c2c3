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
#include <string.h>
#include <libwebsockets.h>
#include "common/log.h"
#include "common/tlsctx.h"
#include "sipis/api/http.h"


static struct server *server_of(struct lws *wsi)
{
	return lws_context_user(lws_get_context(wsi));
}


void server_count(struct server *s, enum api_metric m)
{
	metric_inc(&s->api->metrics[m]);
}


void server_ask(struct server *s, struct ask *a)
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


static void answers_take(struct server *s)
{
	struct mail *mail, *next;

	/* cleared first: what is put from now on wakes us once more */
	atomic_store(&s->woken, false);
	for (mail = mailbox_wait(s->answers, 0); mail; mail = next) {
		next = mail->next;
		reply_take(s, (struct ask *)mail);
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


/* An SSL_CTX is copied from where a connection begins, which is in this
   thread, so nobody looks at it now */
static void fresh_take(struct server *s)
{
	SSL_CTX *fresh = atomic_exchange(&s->fresh, NULL);

	for (unsigned i = 0; fresh && i < s->ctxc; i++)
		if (tlsctx_copy_cert(s->ctxv[i], fresh))
			log_error("api", NULL,
				  "a listener keeps its old certificate");
	SSL_CTX_free(fresh);
}


void server_renew(struct server *s, SSL_CTX *fresh)
{
	SSL_CTX_free(atomic_exchange(&s->fresh, fresh));
	lws_cancel_service(s->lws);
}


static int tls_made(struct server *s, SSL_CTX *ctx)
{
	if (s->ctxc < HTTP_LISTENERS)
		s->ctxv[s->ctxc++] = ctx;
	return apitls_setup(ctx);
}


static int conn_event(struct server *s, struct lws *wsi,
		      enum lws_callback_reasons reason, void *in, size_t len)
{
	struct conn *c = visit_conn(s, wsi);

	if (!c)
		return -1;

	switch (reason) {
	case LWS_CALLBACK_HTTP:
		return request_begin(s, c, wsi, in);
	case LWS_CALLBACK_RAW_RX:
		return request_foreign(s, c, wsi, in, len);
	case LWS_CALLBACK_HTTP_BODY:
		return request_body(c, in, len);
	case LWS_CALLBACK_HTTP_BODY_COMPLETION:
		return request_end(s, c);
	case LWS_CALLBACK_HTTP_WRITEABLE:
		return reply_write(s, c, wsi);
	default:
		return 0;
	}
}


static int callback(struct lws *wsi, enum lws_callback_reasons reason,
		    void *user, void *in, size_t len)
{
	switch (reason) {
	case LWS_CALLBACK_OPENSSL_LOAD_EXTRA_SERVER_VERIFY_CERTS:
		return tls_made(server_of(wsi), user);
	case LWS_CALLBACK_FILTER_NETWORK_CONNECTION:
		return visit_let_in(server_of(wsi), wsi, user);
	case LWS_CALLBACK_WSI_CREATE:
		visit_born(server_of(wsi), wsi);
		return 0;
	case LWS_CALLBACK_SERVER_NEW_CLIENT_INSTANTIATED:
		(void)visit_conn(server_of(wsi), wsi);
		return 0;
	case LWS_CALLBACK_WSI_DESTROY:
		visit_died(server_of(wsi), wsi);
		return 0;
	case LWS_CALLBACK_EVENT_WAIT_CANCELLED:
		fresh_take(server_of(wsi));
		answers_take(server_of(wsi));
		return 0;
	case LWS_CALLBACK_HTTP_CONFIRM_UPGRADE:
		/* neither WebSocket nor h2c; "in" may be stale, see above */
		return -1;
	case LWS_CALLBACK_HTTP:
	case LWS_CALLBACK_HTTP_BODY:
	case LWS_CALLBACK_HTTP_BODY_COMPLETION:
	case LWS_CALLBACK_HTTP_WRITEABLE:
	case LWS_CALLBACK_RAW_RX:
		return conn_event(server_of(wsi), wsi, reason, in, len);
	default:
		return 0;
	}
}


static void *thread_main(void *arg)
{
	struct server *s = arg;

	(void)pthread_setname_np(pthread_self(), "http");
	visit_start(s);
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
	/* what its last connections still asked; nobody hears it any more */
	for (mail = s->asks; mail; mail = next) {
		next = mail->next;
		ask_free((struct ask *)mail);
	}
	SSL_CTX_free(atomic_exchange(&s->fresh, NULL));
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
	SSL_CTX *ctx = NULL;
	int err;

	err = cfg->listen_count ? apitls_load(&ctx, cfg, reason, reason_sz)
				: 0;
	if (err)
		return err;

	/* lws says little about a certificate that it cannot use */
	SSL_CTX_free(ctx);

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
		err = conns_alloc(&s->conns,
				  cfg->connections + HTTP_ADMIN_CONNS);
	if (!err)
		err = mailbox_alloc_thread(&s->answers);
	if (!err)
		err = listen_context(s);
	if (!err)
		err = listen_open(s, reason, reason_sz);
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
	return n < HTTP_LISTENERS && s->vhost[n]
		       ? (uint16_t)lws_get_vhost_listen_port(s->vhost[n])
		       : 0;
}


uint16_t server_admin_port(const struct server *s)
{
	return s->admin ? (uint16_t)lws_get_vhost_listen_port(s->admin) : 0;
}
