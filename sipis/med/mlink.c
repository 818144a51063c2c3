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


static void conn_drop(struct mlink *l)
{
	l->lookup = mem_deref(l->lookup);
	tmr_cancel(&l->flush);
	l->tlsc = mem_deref(l->tlsc);
	l->tc = mem_deref(l->tc);
	l->tx = mem_deref(l->tx);
	l->greeted = false;

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


static void due_handler(void *arg)
{
	(void)mlink_event(arg, MLINK_DUE);
}


/* Also after a mere try: those who wait may have to give up */
static void pause_start(struct mlink *l)
{
	const uint64_t now = clock_mono_ms();
	uint32_t rnd = 0;

	(void)ident_random(&rnd, sizeof(rnd));
	mlink_pace_lost(&l->pace, now, rnd);
	tmr_start(&l->tmr, l->pace.retry_at - now, due_handler, l);
}


void mlink_down(struct mlink *l, const char *why)
{
	const bool was_up = mlink_stands(l->state);

	str_ncpy(l->error, why, sizeof(l->error));
	l->error_ms = clock_wall_ms();

	/* one line per outage, not one per try */
	if (was_up || !l->pace.fails)
		log_warning("med", NULL, "mediator %s %s: %s", l->label,
			    was_up ? "is gone" : "cannot be reached", why);
	else
		log_debug("med", NULL, "mediator %s try %u: %s", l->label,
			  l->pace.fails + 1, why);

	if (mlink_event(l, MLINK_LOST) == MLINK_PAUSE)
		l->changeh(l, l->arg);
}


static void down_errno(struct mlink *l, int err)
{
	const char *why = tlsctx_last_error(l->tls);

	if (!mlink_stands(l->state) && *why)
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


static void try_start(struct mlink *l)
{
	int err;

	l->pace.retry_at = 0;
	tmr_start(&l->tmr, l->prm.connect_ms, limit_handler, l);

	l->lookup = mem_deref(l->lookup);
	err = lookup_alloc(&l->lookup, l->host, l->port, lookup_handler, l);
	if (err)
		mlink_down(l, strerror(err));
}


static void end(struct mlink *l)
{
	tmr_cancel(&l->tmr);
	conn_drop(l);
	l->pace.retry_at = UINT64_MAX;
}


static void kick(struct mlink *l)
{
	const uint64_t now = clock_mono_ms();

	if (mlink_pace_kick(&l->pace, now))
		tmr_start(&l->tmr, l->pace.retry_at - now, due_handler, l);
}


enum mlink_act mlink_event(struct mlink *l, enum mlink_event ev)
{
	const struct mlink_step step = mlink_next(l->state, ev);

	if (mlink_stands(l->state) != mlink_stands(step.state) ||
	    step.act == MLINK_FINISH)
		/* an end has one moment, that of its reason */
		l->since_ms = ev == MLINK_LOST ? l->error_ms : clock_wall_ms();
	l->state = step.state;

	switch (step.act) {

	case MLINK_TRY:
		try_start(l);
		break;
	case MLINK_PAUSE:
		conn_drop(l);
		pause_start(l);
		break;
	case MLINK_SOONER:
		kick(l);
		break;
	case MLINK_END:
		end(l);
		break;
	case MLINK_SERVE:
	case MLINK_FINISH: /* what it said is with mlink_talk.c */
	case MLINK_NOTHING:
		break;
	}

	return step.act;
}


void mlink_want(struct mlink *l, bool want)
{
	if (!l || l->closed)
		return;

	if (mlink_event(l, want ? MLINK_WANT : MLINK_UNWANT) == MLINK_END)
		l->changeh(l, l->arg);
}


void mlink_kick(struct mlink *l)
{
	if (l && !l->closed)
		(void)mlink_event(l, MLINK_KICK);
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
	(void)mlink_event(l, MLINK_UNWANT);
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
	l->pace = (struct mlink_pace){
		.min_ms = prm->backoff_min_ms,
		.max_ms = prm->backoff_max_ms,
		.kick_ms = prm->kick_ms,
		.retry_at = UINT64_MAX,
	};
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
	return l && l->state == MLINK_UP;
}


bool mlink_draining(const struct mlink *l)
{
	return l && l->state == MLINK_DRAINING;
}


bool mlink_failed(const struct mlink *l)
{
	return l && (l->pace.fails || l->state == MLINK_DRAINING);
}


uint64_t mlink_retry_at(const struct mlink *l)
{
	if (!l || mlink_stands(l->state)) /* draining: it ends, then pauses */
		return UINT64_MAX;

	return l->pace.retry_at;
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
	return l && mlink_stands(l->state) ? skew_ms(&l->skew) : 0;
}


const char *mlink_name(const struct mlink *l)
{
	return l ? l->label : "";
}


void mlink_show(struct med_link *dst, const struct mlink *l)
{
	dst->mediator = l->label;
	dst->node = l->node;
	dst->state = mlink_state_name(l->state);
	dst->up = mlink_ready(l);
	dst->since_ms = l->since_ms;
	dst->error = l->error;
	dst->error_ms = l->error_ms;
	dst->failures = l->pace.fails;
	dst->clock_offset_ms = mlink_skew_ms(l);
	dst->window = l->window;
}
