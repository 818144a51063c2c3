/**
 * @file visit.c  Connections come and go
 *
 * Counted before TLS begins; a slot of conn.h each; late ones are cut off by
 * one sweep over all of them twice a second.
 */

#include <poll.h>
#include <string.h>
#include <libwebsockets.h>
#include <openssl/ssl.h>
#include "common/clock.h"
#include "sipis/api/http.h"

#define SWEEP_US 500000


/* lws keeps its timers in one list and walks it at each start; the sweep does
   their work, so a connection that waits need not stand there */
void visit_no_timeout(struct lws *wsi)
{
	lws_set_timeout(wsi, NO_PENDING_TIMEOUT, 0);
}


int visit_let_in(struct server *s, struct lws *listener,
		 const struct lws_filter_network_conn_args *args)
{
	s->coming_admin = lws_get_vhost(listener) == s->admin;
	guard_addr(s->coming_addr, (const void *)&args->cli_addr);
	if (s->coming_admin) {
		s->coming = s->adminc < HTTP_ADMIN_CONNS;
		s->adminc += s->coming;
	}
	else {
		s->coming = guard_open(s->guard, s->coming_addr);
	}

	if (!s->coming)
		server_count(s, AM_REFUSED_CONNECTIONS);
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


void visit_born(struct server *s, struct lws *wsi)
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


/* The wsi learns its slot here, because lws forgets what is set while a wsi
   is made */
struct conn *visit_conn(struct server *s, struct lws *wsi)
{
	struct conn *c = lws_get_opaque_user_data(wsi);

	if (!c && s->newborn && s->newborn->wsi == wsi) {
		c = s->newborn;
		s->newborn = NULL;
		lws_set_opaque_user_data(wsi, c);
	}
	return c;
}


void visit_died(struct server *s, struct lws *wsi)
{
	struct conn *c = visit_conn(s, wsi);

	if (!c)
		return;

	lws_set_opaque_user_data(wsi, NULL);
	if (c->away) {
		struct ask *cancel = ask_alloc();

		if (cancel) {
			cancel->kind = ASK_CANCEL;
			cancel->slot = c->slot;
			cancel->serial = c->serial;
			server_ask(s, cancel);
		}
	}
	ask_free(c->ask);
	leave(s, c->admin, c->addr);
	conns_drop(s->conns, c);
}


/* A request that came behind another would keep lws running in circles until
   the first has its answer */
void visit_deaf(struct lws *wsi, bool deaf)
{
	(void)lws_rx_flow_control(wsi, !deaf);
}


/* Who is deaf does not hear either that the client has gone */
static bool client_gone(const struct conn *c)
{
	struct pollfd p = {
		.fd = lws_get_socket_fd(c->wsi),
		.events = POLLRDHUP,
	};

	return c->away && poll(&p, 1, 0) > 0 &&
	       p.revents & (POLLRDHUP | POLLERR | POLLHUP);
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
	if (client_gone(c)) {
		lws_set_timeout(c->wsi, PENDING_TIMEOUT_USER_OK,
				LWS_TO_KILL_ASYNC);
		return;
	}
	if (!conn_late(c, now))
		return;

	if (c->phase != PH_IDLE)
		server_count(s, AM_SLOW);
	conn_phase(c, PH_WORK, now); /* once is enough */
	lws_set_timeout(c->wsi, PENDING_TIMEOUT_USER_OK, LWS_TO_KILL_ASYNC);
}


static void sweep_handler(lws_sorted_usec_list_t *sul)
{
	struct server *s = lws_container_of(sul, struct server, sweep);

	conns_each(s->conns, sweep_conn, s);
	lws_sul_schedule(s->lws, 0, &s->sweep, sweep_handler, SWEEP_US);
}


void visit_start(struct server *s)
{
	lws_sul_schedule(s->lws, 0, &s->sweep, sweep_handler, SWEEP_US);
}
