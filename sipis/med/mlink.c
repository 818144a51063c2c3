/**
 * @file mlink.c  One connection to one mediator, kept up
 *
 * A TLS 1.3 client is "established" before the server has judged its
 * certificate, so the link counts as up only when the mediator's Hello is
 * here.  libre sends one queued buffer per loop turn and destroys a TLS
 * stream whose send queue overflows: frames are gathered, and its queue is
 * looked at before each send.
 */

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <openssl/ssl.h>
#include <re/re.h>
#include "common/backoff.h"
#include "common/clock.h"
#include "common/ident.h"
#include "common/log.h"
#include "common/tlsctx.h"
#include "sipis/med/med.h"
#include "sipis/med/mlink_priv.h"

enum {
	TXQ_MAX = 256 * 1024, /**< of libre's 512 KiB; TLS adds to it */
	TXQ_POLL_MS = 5,      /**< while that is full */
};


static void try_start(void *arg);


static void conn_drop(struct mlink *l)
{
	l->lookup = mem_deref(l->lookup);
	tmr_cancel(&l->flush);
	l->tlsc = mem_deref(l->tlsc);
	l->tc = mem_deref(l->tc);
	l->tx = mem_deref(l->tx);
	l->draining = l->greeted = false;

	/* What is being fed now is freed by the one who feeds */
	if (!l->feeding) {
		wire_dec_free(l->dec);
		l->dec = NULL;
	}
}


static void destructor(void *data)
{
	struct mlink *l = data;

	tmr_cancel(&l->tmr);
	conn_drop(l);
	mem_deref(l->tls);
	mem_deref(l->our_node);
}


static void pause_start(struct mlink *l)
{
	const uint64_t now = clock_mono_ms();
	uint32_t rnd = 0;
	uint32_t ms;

	if (!l->wanted) {
		l->retry_at = UINT64_MAX;
		l->state = MLINK_IDLE;
		return;
	}

	(void)ident_random(&rnd, sizeof(rnd));
	ms = backoff_ms(l->prm.backoff_min_ms, l->prm.backoff_max_ms,
			l->fails ? l->fails - 1 : 0, rnd);
	l->retry_at = now + ms;
	l->state = MLINK_WAITING;
	tmr_start(&l->tmr, ms, try_start, l);
}


void mlink_down(struct mlink *l, const char *why)
{
	const bool was_up = l->state == MLINK_UP;

	str_ncpy(l->error, why, sizeof(l->error));
	l->error_ms = clock_wall_ms();
	if (was_up)
		l->since_ms = l->error_ms;
	tmr_cancel(&l->tmr);
	conn_drop(l);
	l->ended_at = clock_mono_ms();
	if (l->fails < 16)
		++l->fails;

	/* one line per outage, not one per try */
	if (was_up || l->fails == 1)
		log_warning("med", NULL, "mediator %s %s: %s", l->label,
			    was_up ? "is gone" : "cannot be reached", why);
	else
		log_debug("med", NULL, "mediator %s try %u: %s", l->label,
			  l->fails, why);

	if (l->closed)
		return;

	/* also after a mere try: those who wait may have to give up */
	pause_start(l);
	l->changeh(l, l->arg);
}


static void down_errno(struct mlink *l, int err)
{
	const char *why = tlsctx_last_error(l->tls);

	if (l->state != MLINK_UP && *why)
		mlink_down(l, why);
	else
		mlink_down(l, err ? strerror(err) : "closed by the mediator");
}


static int tx_ready(struct mlink *l)
{
	if (l->tx)
		return 0;

	l->tx = mbuf_alloc(4096);
	return l->tx ? 0 : ENOMEM;
}


/* As much as libre's queue may hold; the rest a moment later */
static void flush_handler(void *arg)
{
	struct mlink *l = arg;
	const size_t left = mbuf_get_left(l->tx);
	const size_t queued = tcp_conn_txqsz(l->tc);
	const size_t room = queued < TXQ_MAX ? TXQ_MAX - queued : 0;
	struct mbuf part;
	int err;

	if (!l->tc || !left)
		return;

	if (room) {
		part = *l->tx;
		part.end = part.pos + (left < room ? left : room);
		err = tcp_send(l->tc, &part);
		if (err) {
			mlink_down(l, strerror(err));
			return;
		}
		l->tx->pos += left < room ? left : room;
	}

	if (mbuf_get_left(l->tx))
		tmr_start(&l->flush, TXQ_POLL_MS, flush_handler, l);
	else
		mbuf_rewind(l->tx);
}


int mlink_send(struct mlink *l, const uint8_t *frame, size_t len)
{
	size_t pos;
	int err;

	if (!l || !frame || !len)
		return EINVAL;
	if (!l->tc)
		return ENOTCONN;

	err = tx_ready(l);
	if (err)
		return err;

	pos = l->tx->pos;
	l->tx->pos = l->tx->end;
	err = mbuf_write_mem(l->tx, frame, len);
	if (err)
		l->tx->end = l->tx->pos;
	l->tx->pos = pos;

	if (!err && !tmr_isrunning(&l->flush))
		tmr_start(&l->flush, 0, flush_handler, l);
	return err;
}


static void recv_handler(struct mbuf *mb, void *arg)
{
	struct mlink *l = arg;
	int err;

	l->heard_at = clock_mono_ms();

	mem_ref(l);
	l->word[0] = '\0';
	l->feeding = true;
	err = wire_dec_feed(l->dec, mbuf_buf(mb), mbuf_get_left(mb));
	l->feeding = false;

	if (!l->tc) {
		wire_dec_free(l->dec);
		l->dec = NULL;
	}
	else if (err) {
		mlink_down(l, l->word[0] ? l->word : strerror(err));
	}
	mem_deref(l);
}


static void estab_handler(void *arg)
{
	struct mlink *l = arg;
	int err;

	/* each try may have come to another host */
	memset(&l->skew, 0, sizeof(l->skew));
	err = mlink_talk_hello(l);
	l->greeted = !err;
	if (err)
		mlink_down(l, strerror(err));
}


static void close_handler(int err, void *arg)
{
	down_errno(arg, err);
}


static void limit_handler(void *arg)
{
	struct mlink *l = arg;

	if (!l->tc)
		mlink_down(l,
			   "its name was not resolved in time: look at DNS");
	else if (!l->greeted)
		mlink_down(
			l,
			"no TLS connection in time: look at its address and "
			"at firewalls");
	else
		mlink_down(l,
			   "connected, but no Hello in time: look at its log, "
			   "and whether that is a mediator's port");
}


static void sockopt_set(const struct mlink *l)
{
	const int fd = tcp_conn_fd(l->tc);
	const int on = 1;
	const unsigned ms = l->prm.dead_ms;

	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &ms, sizeof(ms));
}


static int conn_start(struct mlink *l, const struct sa *addr)
{
	int err = wire_dec_alloc(&l->dec, WIRE_MAX_FRAME, mlink_talk_heard, l);

	if (err)
		return err;

	err = tcp_connect(&l->tc, addr, estab_handler, recv_handler,
			  close_handler, l);
	if (err)
		return err;

	sockopt_set(l);
	return tls_start_tcp(&l->tlsc, l->tls, l->tc, 0);
}


static void lookup_handler(int err, const struct sa *addrv, unsigned n,
			   void *arg)
{
	struct mlink *l = arg;

	if (!err) {
		memcpy(l->addrv, addrv, n * sizeof(*addrv));
		l->addrc = n;
	}
	else if (!l->addrc) { /* else the last good answer serves */
		mlink_down(
			l,
			err == EHOSTUNREACH
				? "its name is not known to DNS: look at "
				  "mediator.addresses"
				: "its name cannot be resolved: look at DNS");
		return;
	}

	/* each try takes the next address of the name */
	err = conn_start(l, &l->addrv[l->addri++ % l->addrc]);
	if (err)
		mlink_down(l, strerror(err));
}


static void try_start(void *arg)
{
	struct mlink *l = arg;
	int err;

	l->retry_at = 0;
	l->state = MLINK_TRYING;
	tmr_start(&l->tmr, l->prm.connect_ms, limit_handler, l);

	l->lookup = mem_deref(l->lookup);
	err = lookup_alloc(&l->lookup, l->host, l->port, lookup_handler, l);
	if (err)
		mlink_down(l, strerror(err));
}


void mlink_want(struct mlink *l, bool want)
{
	if (!l || l->closed || l->wanted == want)
		return;

	l->wanted = want;
	if (want && l->state == MLINK_IDLE) {
		try_start(l);
	}
	else if (!want && l->state != MLINK_IDLE) {
		tmr_cancel(&l->tmr);
		if (l->state == MLINK_UP)
			l->since_ms = clock_wall_ms();
		conn_drop(l);
		pause_start(l);
		l->changeh(l, l->arg);
	}
}


void mlink_kick(struct mlink *l)
{
	const uint64_t now = clock_mono_ms();
	uint64_t at;

	if (!l || l->closed || l->state != MLINK_WAITING)
		return;

	at = l->ended_at + l->prm.kick_ms;
	if (at < now)
		at = now;
	if (at >= l->retry_at)
		return;

	l->retry_at = at;
	tmr_start(&l->tmr, at - now, try_start, l);
}


void mlink_restart(struct mlink *l)
{
	if (l && !l->closed && l->tc)
		mlink_down(l, "drained");
}


int mlink_renew(struct mlink *l, struct tls *fresh)
{
	return l ? tlsctx_renew(l->tls, fresh) : EINVAL;
}


void mlink_close(struct mlink *l)
{
	if (!l || l->closed)
		return;

	l->closed = true;
	l->wanted = false;
	tmr_cancel(&l->tmr);
	conn_drop(l);
	l->state = MLINK_IDLE;
}


static int tls_open(struct mlink *l, const struct mlink_prm *prm, char *reason,
		    size_t reason_sz)
{
	const struct tlsctx_prm tlsprm = {
		.cert = prm->certificate,
		.key = prm->key,
		.ca = prm->ca,
		.min_version = TLS1_3_VERSION,
		.peer_name = prm->name ? prm->name : l->host,
	};

	return tlsctx_alloc(&l->tls, &tlsprm, reason, reason_sz);
}


int mlink_alloc(struct mlink **lp, const struct mlink_prm *prm,
		mlink_change_h *changeh, mlink_frame_h *frameh, void *arg,
		char *reason, size_t reason_sz)
{
	struct mlink *l;
	int err;

	if (!lp || !prm || !prm->address || !changeh || !frameh || !reason)
		return EINVAL;

	l = mem_zalloc(sizeof(*l), destructor);
	if (!l)
		return ENOMEM;

	l->prm = *prm;
	l->changeh = changeh;
	l->frameh = frameh;
	l->arg = arg;
	l->retry_at = UINT64_MAX;
	l->since_ms = clock_wall_ms();

	err = str_dup(&l->our_node, prm->node ? prm->node : "");
	if (err)
		goto out;

	err = lookup_split(l->host, sizeof(l->host), &l->port, prm->address,
			   WIRE_PORT);
	if (err) {
		(void)re_snprintf(reason, reason_sz,
				  "mediator address \"%s\" is not host[:port]",
				  prm->address);
		goto out;
	}

	(void)re_snprintf(l->label, sizeof(l->label),
			  strchr(l->host, ':') ? "[%s]:%u" : "%s:%u", l->host,
			  l->port);
	err = tls_open(l, prm, reason, reason_sz);

out:
	if (err)
		mem_deref(l);
	else
		*lp = l;

	return err;
}


enum mlink_state mlink_state(const struct mlink *l)
{
	return l ? l->state : MLINK_IDLE;
}


bool mlink_ready(const struct mlink *l)
{
	return l && l->state == MLINK_UP && !l->draining;
}


bool mlink_draining(const struct mlink *l)
{
	return l && l->draining;
}


bool mlink_failed(const struct mlink *l)
{
	return l && (l->fails || l->draining);
}


uint64_t mlink_retry_at(const struct mlink *l)
{
	if (!l || l->state == MLINK_UP) /* draining: it ends, then pauses */
		return UINT64_MAX;

	return l->retry_at;
}


uint32_t mlink_window(const struct mlink *l)
{
	return l ? l->window : 0;
}


size_t mlink_max_frame(const struct mlink *l)
{
	return l ? l->max_frame : 0;
}


int64_t mlink_skew_ms(const struct mlink *l)
{
	return l && l->state == MLINK_UP ? skew_ms(&l->skew) : 0;
}


const char *mlink_name(const struct mlink *l)
{
	return l ? l->label : "";
}


static const char *state_name(const struct mlink *l)
{
	if (l->draining)
		return "draining";

	switch (l->state) {
	case MLINK_IDLE:
		return "spare";
	case MLINK_WAITING:
		return "waiting";
	case MLINK_TRYING:
		return "connecting";
	case MLINK_UP:
		return "up";
	}

	return "?";
}


void mlink_show(struct med_link *dst, const struct mlink *l)
{
	dst->mediator = l->label;
	dst->node = l->node;
	dst->state = state_name(l);
	dst->up = mlink_ready(l);
	dst->since_ms = l->since_ms;
	dst->error = l->error;
	dst->error_ms = l->error_ms;
	dst->failures = l->fails;
	dst->clock_offset_ms = mlink_skew_ms(l);
	dst->window = l->window;
}
