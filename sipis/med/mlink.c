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
#include "sipis/med/mlink.h"
#include "sipis/med/lookup.h"
#include "sipis/med/skew.h"


enum {
	HOST_SIZE = 256,
	TXQ_MAX = 256 * 1024, /**< of libre's 512 KiB; TLS adds to it */
	TXQ_POLL_MS = 5,      /**< while that is full */
	WINDOW_DEFAULT = 64,
	WINDOW_MAX = 65536,
	ERROR_SIZE = 256,
	SKEW_MS = 1000, /**< clocks apart: worth a warning */
};

struct mlink {
	char host[HOST_SIZE];
	char label[HOST_SIZE + 8];
	char node[64]; /**< the mediator's, of its Hello */
	char *our_node;
	struct tls *tls;
	struct mlink_prm prm; /**< its strings are not ours after alloc */
	uint16_t port;

	enum mlink_state state;
	bool wanted, draining, closed;
	unsigned fails;    /**< in a row */
	uint64_t ended_at; /**< mono: last try or connection */
	uint64_t retry_at;
	uint64_t heard_at;      /**< mono: last byte from there */
	int64_t since_ms;       /**< wall: up, draining or down */
	int64_t error_ms;       /**< wall: of error */
	char error[ERROR_SIZE]; /**< why it ended last, "" never */
	char word[ERROR_SIZE];  /**< the same in the mediator's words */
	struct tmr tmr;         /**< pause, connect limit, or ping */
	struct tmr flush;

	struct lookup *lookup;
	struct sa addrv[LOOKUP_MAX];
	unsigned addrc, addri;

	struct tcp_conn *tc;
	struct tls_conn *tlsc;
	struct wire_dec *dec;
	struct mbuf *tx;
	bool feeding; /**< the decoder is on the stack */
	bool greeted; /**< TLS stands, our Hello has left */
	uint32_t window;
	size_t max_frame;
	uint64_t nonce;    /**< of the last Ping; 0: Hello */
	uint64_t asked_at; /**< mono: when that left */
	struct skew skew;
	bool apart; /**< the operator knows that the clocks are */

	mlink_change_h *changeh;
	mlink_frame_h *frameh;
	void *arg;
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


/* The connection has ended, or none came about */
static void down(struct mlink *l, const char *why)
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
		down(l, why);
	else
		down(l, err ? strerror(err) : "closed by the mediator");
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
			down(l, strerror(err));
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


static int send_env(struct mlink *l, const Wire__Envelope *env)
{
	uint8_t buf[512];
	size_t len;
	int err = wire_enc(buf, sizeof(buf), &len, env);

	return err ? err : mlink_send(l, buf, len);
}


static int send_hello(struct mlink *l)
{
	Wire__Hello hello = WIRE__HELLO__INIT;
	Wire__Envelope env = WIRE__ENVELOPE__INIT;

	hello.version_min = WIRE_VERSION;
	hello.version_max = WIRE_VERSION;
	hello.software = (char *)"sipis/" SIPIS_VERSION;
	hello.node = l->our_node;
	hello.max_frame = WIRE_MAX_FRAME;
	hello.ping_ms = l->prm.ping_ms;
	hello.now_ms = clock_wall_ms();
	env.body_case = WIRE__ENVELOPE__BODY_HELLO;
	env.hello = &hello;
	l->nonce = 0;
	l->asked_at = clock_mono_ms();

	return send_env(l, &env);
}


static void ping_handler(void *arg)
{
	struct mlink *l = arg;
	Wire__Ping ping = WIRE__PING__INIT;
	Wire__Envelope env = WIRE__ENVELOPE__INIT;
	int err;

	if (clock_mono_ms() - l->heard_at >= l->prm.dead_ms) {
		down(l, "silent");
		return;
	}

	ping.nonce = ++l->nonce;
	l->asked_at = clock_mono_ms();
	env.body_case = WIRE__ENVELOPE__BODY_PING;
	env.ping = &ping;
	err = send_env(l, &env);
	if (err) {
		down(l, strerror(err));
		return;
	}

	tmr_start(&l->tmr, l->prm.ping_ms, ping_handler, l);
}


static int pong(struct mlink *l, const Wire__Ping *ping)
{
	Wire__Pong p = WIRE__PONG__INIT;
	Wire__Envelope env = WIRE__ENVELOPE__INIT;

	p.nonce = ping->nonce;
	env.body_case = WIRE__ENVELOPE__BODY_PONG;
	env.pong = &p;

	return send_env(l, &env);
}


/* Pushes are sent by its clock (medask.c), so it costs no call.  The phones
   still hear the times of a host whose clock is wrong, and logs do not fit */
static void clock_told(struct mlink *l, int64_t theirs_ms)
{
	int64_t off;

	skew_feed(&l->skew, l->asked_at, clock_mono_ms(), clock_wall_ms(),
		  theirs_ms);
	off = skew_ms(&l->skew);
	if (l->prm.skewh)
		l->prm.skewh(l, l->arg);
	if ((off > SKEW_MS || off < -SKEW_MS) == l->apart)
		return;

	l->apart = !l->apart;
	if (l->apart)
		log_warning("med", NULL,
			    "the clock of mediator %s is %lld ms off ours, "
			    "pushes are sent by its clock: check NTP on both",
			    l->label, (long long)off);
	else
		log_info("med", NULL,
			 "the clock of mediator %s is with ours again",
			 l->label);
}


static int hello_handler(struct mlink *l, const Wire__Hello *h)
{
	if (l->state == MLINK_UP)
		return EPROTO;
	if (h->version_min > WIRE_VERSION || h->version_max < WIRE_VERSION) {
		log_error("med", NULL,
			  "mediator %s speaks versions %u to %u of the wire, "
			  "we speak %u",
			  l->label, h->version_min, h->version_max,
			  WIRE_VERSION);
		(void)re_snprintf(l->word, sizeof(l->word),
				  "it speaks versions %u to %u of the wire, "
				  "we speak %u",
				  h->version_min, h->version_max,
				  WIRE_VERSION);
		return EPROTO;
	}
	str_ncpy(l->node, h->node, sizeof(l->node));
	l->window = h->window ? h->window : WINDOW_DEFAULT;
	if (l->window > WINDOW_MAX)
		l->window = WINDOW_MAX;
	l->max_frame = h->max_frame ? h->max_frame : WIRE_MAX_FRAME;
	l->fails = 0;
	tmr_start(&l->tmr, l->prm.ping_ms, ping_handler, l);

	log_info("med", NULL,
		 "mediator %s is up node=%s software=%s "
		 "window=%u",
		 l->label, l->node, h->software, l->window);
	l->state = MLINK_UP;
	l->since_ms = clock_wall_ms();
	clock_told(l, h->now_ms);
	l->changeh(l, l->arg);
	return 0;
}


static void grace_handler(void *arg)
{
	struct mlink *l = arg;

	down(l, "drained");
}


static int drain_handler(struct mlink *l, const Wire__Drain *d)
{
	const uint32_t ms = d->grace_ms < 60000 ? d->grace_ms : 60000;

	log_info("med", NULL, "mediator %s drains grace_ms=%u", l->label,
		 d->grace_ms);
	l->draining = true;
	l->since_ms = clock_wall_ms();
	tmr_start(&l->tmr, ms, grace_handler, l);
	l->changeh(l, l->arg);
	return 0;
}


static int env_handler(const Wire__Envelope *env, void *arg)
{
	struct mlink *l = arg;

	/* a handler before this one may have closed the connection */
	if (!l->tc)
		return ECONNABORTED;

	switch (env->body_case) {
	case WIRE__ENVELOPE__BODY_HELLO:
		return hello_handler(l, env->hello);
	case WIRE__ENVELOPE__BODY_PING:
		return pong(l, env->ping);
	case WIRE__ENVELOPE__BODY_PONG:
		/* an answer to an earlier one took longer than it looks */
		if (l->state == MLINK_UP && env->pong->nonce == l->nonce)
			clock_told(l, env->pong->now_ms);
		return 0;
	case WIRE__ENVELOPE__BODY_REFUSED:
		log_warning("med", NULL, "mediator %s refuses us: %s",
			    l->label, env->refused->reason);
		(void)re_snprintf(l->word, sizeof(l->word),
				  "it refuses us: %s", env->refused->reason);
		return ECONNREFUSED;
	case WIRE__ENVELOPE__BODY_DRAIN:
		return l->state == MLINK_UP ? drain_handler(l, env->drain)
					    : EPROTO;
	default:
		return l->state == MLINK_UP ? l->frameh(l, env, l->arg)
					    : EPROTO;
	}
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
		down(l, l->word[0] ? l->word : strerror(err));
	}
	mem_deref(l);
}


static void estab_handler(void *arg)
{
	struct mlink *l = arg;
	int err;

	/* each try may have come to another host */
	memset(&l->skew, 0, sizeof(l->skew));
	err = send_hello(l);
	l->greeted = !err;
	if (err)
		down(l, strerror(err));
}


static void close_handler(int err, void *arg)
{
	down_errno(arg, err);
}


static void limit_handler(void *arg)
{
	struct mlink *l = arg;

	if (!l->tc)
		down(l, "its name was not resolved in time: look at DNS");
	else if (!l->greeted)
		down(l, "no TLS connection in time: look at its address and "
			"at firewalls");
	else
		down(l, "connected, but no Hello in time: look at its log, "
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
	int err = wire_dec_alloc(&l->dec, WIRE_MAX_FRAME, env_handler, l);

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
		down(l, err == EHOSTUNREACH
				? "its name is not known to DNS: look at "
				  "mediator.addresses"
				: "its name cannot be resolved: look at DNS");
		return;
	}

	/* each try takes the next address of the name */
	err = conn_start(l, &l->addrv[l->addri++ % l->addrc]);
	if (err)
		down(l, strerror(err));
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
		down(l, strerror(err));
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
		down(l, "drained");
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
