/**
 * @file conn.c  One TLS connection with HTTP/2 on it
 *
 * Bytes in: socket, OpenSSL, nghttp2, callbacks in h2.c.  Bytes out: nghttp2
 * is asked for frames until a record is full.  A callback must not free the
 * connection below nghttp2's feet, so it only dooms it; pns_conn_pump(), the
 * last thing that every event does, carries that out.
 */

#include <errno.h>
#include <openssl/err.h>
#include <sys/socket.h>
#include <unistd.h>
#include "pns.h"

#define READS_PER_EVENT 32

static void ready(int flags, void *arg);


static void conn_destructor(void *arg)
{
	struct pns_conn *conn = arg;

	list_unlink(&conn->le);
	tmr_cancel(&conn->tmr_close);
	if (conn->fd_flags)
		fd_close(conn->fd);
	nghttp2_session_del(conn->h2);
	list_flush(&conn->reql);
	mem_deref(conn->jwt);
	SSL_free(conn->ssl);
	if (conn->fd >= 0) {
		(void)close(conn->fd);
		pns_count_add(&conn->pns->count, CNT_STREAMS_OPEN,
			      -(int64_t)conn->streams);
		pns_count_add(&conn->pns->count, CNT_CONNECTIONS_OPEN, -1);
	}
}


static void poll_for(struct pns_conn *conn, int flags)
{
	if (conn->frozen || flags == conn->fd_flags)
		return;
	if (!fd_listen(conn->fd, flags, ready, conn))
		conn->fd_flags = flags;
}


int pns_conn_alloc(struct pns *pns, int fd, enum pns_role role)
{
	struct pns_conn *conn = mem_zalloc(sizeof(*conn), conn_destructor);

	if (!conn)
		return ENOMEM;
	conn->pns = pns;
	conn->role = role;
	conn->fd = -1;
	tmr_init(&conn->tmr_close);
	conn->ssl = SSL_new(pns->ssl);
	if (!conn->ssl || SSL_set_fd(conn->ssl, fd) != 1) {
		mem_deref(conn);
		return ENOMEM;
	}

	SSL_set_app_data(conn->ssl, conn);
	SSL_set_accept_state(conn->ssl);
	conn->fd = fd;
	conn->id = ++pns->conn_id;
	list_append(&pns->connl, &conn->le, conn);
	pns_count_add(&pns->count, CNT_CONNECTIONS_OPEN, 1);
	poll_for(conn, FD_READ);

	return 0;
}


void pns_conn_doom(struct pns_conn *conn, bool reset)
{
	if (conn->doom != DOOM_RESET)
		conn->doom = reset ? DOOM_RESET : DOOM_CLOSE;
}


static void die(struct pns_conn *conn)
{
	const struct linger lin = { .l_onoff = 1, .l_linger = 0 };

	if (conn->doom == DOOM_RESET)
		(void)setsockopt(conn->fd, SOL_SOCKET, SO_LINGER, &lin,
				 sizeof(lin));
	else if (conn->up)
		(void)SSL_shutdown(conn->ssl);
	mem_deref(conn);
}


/* Writes what is in obuf; EAGAIN if the socket is full */
static int drain(struct pns_conn *conn)
{
	while (conn->opos < conn->olen) {
		int n;

		ERR_clear_error();
		n = SSL_write(conn->ssl, conn->obuf + conn->opos,
			      (int)(conn->olen - conn->opos));
		if (n > 0) {
			conn->opos += (size_t)n;
			continue;
		}
		n = SSL_get_error(conn->ssl, n);

		return n == SSL_ERROR_WANT_WRITE || n == SSL_ERROR_WANT_READ
			       ? EAGAIN
			       : EPIPE;
	}
	conn->olen = conn->opos = 0;

	return 0;
}


/* A frame that nghttp2 gave must go out, so it is only asked while the
   largest one would fit */
static int gather(struct pns_conn *conn)
{
	const uint8_t *p;
	ssize_t n;

	while (conn->olen + PNS_FRAME_MAX <= sizeof(conn->obuf)) {
		n = nghttp2_session_mem_send(conn->h2, &p);
		if (n <= 0)
			return n ? EPROTO : 0;
		if (n > PNS_FRAME_MAX)
			return EMSGSIZE;
		memcpy(conn->obuf + conn->olen, p, (size_t)n);
		pns_h2_patch(conn->obuf + conn->olen, (size_t)n);
		conn->olen += (size_t)n;
	}

	return 0;
}


static int flush(struct pns_conn *conn)
{
	int err;

	do {
		err = gather(conn);
		if (err || !conn->olen)
			return err;
		/* who hears an answer may look for its line */
		pns_reqlog_flush(conn->pns->log);
		err = drain(conn);
	} while (!err);

	return err;
}


void pns_conn_pump(struct pns_conn *conn)
{
	int err = 0;

	if (conn->busy || (conn->frozen && !conn->doom))
		return;
	if (conn->up && conn->doom != DOOM_RESET)
		err = flush(conn);
	if (err && err != EAGAIN)
		pns_conn_doom(conn, false);
	if (conn->up && !nghttp2_session_want_read(conn->h2) &&
	    !nghttp2_session_want_write(conn->h2) && !err)
		pns_conn_doom(conn, false);
	if (conn->doom) {
		die(conn);
		return;
	}

	poll_for(conn, err == EAGAIN ? FD_READ | FD_WRITE : FD_READ);
}


static int handshake(struct pns_conn *conn)
{
	struct pns_count *count = &conn->pns->count;
	const uint8_t *alpn;
	unsigned len;
	int n;

	ERR_clear_error();
	n = SSL_do_handshake(conn->ssl);
	if (n != 1) {
		n = SSL_get_error(conn->ssl, n);
		if (n == SSL_ERROR_WANT_READ)
			return EAGAIN;
		pns_count_add(count, CNT_HANDSHAKES_FAILED, 1);
		return EPROTO;
	}

	SSL_get0_alpn_selected(conn->ssl, &alpn, &len);
	if (len != 2) {
		pns_count_add(count, CNT_HANDSHAKES_FAILED, 1);
		return EPROTO;
	}
	pns_count_add(count, CNT_HANDSHAKES, 1);
	if (SSL_session_reused(conn->ssl))
		pns_count_add(count, CNT_RESUMED, 1);
	conn->client_cert = SSL_get0_peer_certificate(conn->ssl) != NULL;
	conn->up = true;

	return pns_h2_init(conn);
}


static int receive(struct pns_conn *conn)
{
	uint8_t buf[16384];

	for (int i = 0; i < READS_PER_EVENT || SSL_pending(conn->ssl); i++) {
		int n;

		ERR_clear_error();
		n = SSL_read(conn->ssl, buf, sizeof(buf));
		if (n <= 0) {
			n = SSL_get_error(conn->ssl, n);
			return n == SSL_ERROR_WANT_READ ? 0 : ECONNRESET;
		}
		if (nghttp2_session_mem_recv(conn->h2, buf, (size_t)n) < 0)
			return EPROTO;
		if (conn->doom)
			return 0;
	}

	return 0;
}


static void ready(int flags, void *arg)
{
	struct pns_conn *conn = arg;
	int err = 0;
	(void)flags;

	conn->busy = true;
	if (!conn->up)
		err = handshake(conn);
	if (!err)
		err = receive(conn);
	conn->busy = false;

	if (err && err != EAGAIN)
		pns_conn_doom(conn, false);
	pns_conn_pump(conn);
}


void pns_conn_limit(struct pns_conn *conn, uint32_t limit)
{
	if (conn->limit == limit)
		return;
	conn->limit = limit;
	(void)pns_h2_settings(conn, limit, false);
}


static void close_now(void *arg)
{
	struct pns_conn *conn = arg;

	pns_conn_doom(conn, false);
	pns_conn_pump(conn);
}


static int32_t goaway_last(const struct pns_conn *conn,
			   const struct pns_goaway *g, int32_t ref)
{
	switch (g->last) {

	case GOAWAY_NONE:
		return 0;

	case GOAWAY_THIS:
		return ref;

	case GOAWAY_BEFORE:
		return ref > 2 ? ref - 2 : 0;

	case GOAWAY_ID:
		return g->id;

	default:
		return nghttp2_session_get_last_proc_stream_id(conn->h2);
	}
}


void pns_conn_goaway(struct pns_conn *conn, const struct pns_goaway *g,
		     int32_t ref)
{
	if (!conn->up)
		return;

	if (g->twice)
		(void)nghttp2_submit_shutdown_notice(conn->h2);
	(void)nghttp2_submit_goaway(
		conn->h2, NGHTTP2_FLAG_NONE, goaway_last(conn, g, ref),
		g->error, (const uint8_t *)g->debug, strlen(g->debug));
	conn->goaway = true;
	pns_count_add(&conn->pns->count, CNT_GOAWAY_SENT, 1);
	if (g->close_ms >= 0)
		tmr_start(&conn->tmr_close, (uint64_t)g->close_ms, close_now,
			  conn);
}


/* Neither reads nor writes, and keeps the socket: a peer behind a cut wire,
   but for the kernel's ACKs */
void pns_conn_freeze(struct pns_conn *conn, bool frozen)
{
	if (conn->frozen == frozen)
		return;
	conn->frozen = frozen;
	if (frozen) {
		fd_close(conn->fd);
		conn->fd_flags = 0;
		return;
	}
	ready(0, conn);
}


bool pns_conn_fits(const struct pns_conn *conn, const char *kind)
{
	return !kind || !strcmp(kind, "any") ||
	       !strcmp(pns_role_name(conn->role), kind);
}
