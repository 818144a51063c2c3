/**
 * @file server/ses.c  One connection from a sipis
 *
 * Frames in are handed on at once; frames out are gathered until the turn of
 * the loop ends and leave in one write, because a TLS record costs as much as
 * thirty frames.
 */

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include "common/clock.h"
#include "common/log.h"
#include "common/tlsctx.h"
#include "mediator/server/server_impl.h"

#define TENANT_URN "urn:sipis:tenant:"

enum {
	PINGS_TO_DEATH = 3,
	CLOSING_MS = 1000,
	URI_MAX = 256,
	OUT_START = 4096,
	PREFIX_LEN = 4, /* of each frame: its length */
	SKEW_MS = 2000,
	QUEUE_MAX = 1 << 20, /* libre's buffer; an overflow would break TLS */
	BACKLOG_MAX = 512 << 10, /* a peer that reads nothing for so long */
};

struct ses {
	struct le le;
	struct le stranger; /**< of the server's list before its Hello */
	struct sa peer;
	struct server *srv; /**< NULL once closed */
	enum ses_state state;
	struct tcp_conn *tc;
	struct tls_conn *sc;
	struct tls *tls; /**< reference; a reload may change the server's */
	struct wire_dec *dec;
	struct tenant *tenant; /**< reference, after the handshake */
	struct mbuf *out;
	struct tmr tmr;   /**< of the state */
	struct tmr flush; /**< at the end of this turn */
	char from[64];    /**< address and port of the peer */
	char node[64];
	uint64_t heard;     /**< monotonic ms */
	uint32_t max_frame; /**< bytes of envelope that the peer takes */
	int64_t received_us;
	uint32_t unanswered;
	uint64_t nonce;
	bool counted; /**< among the tenant's connections */
};

static void ses_event(struct ses *ses, enum ses_event e, const char *why);


static void destructor(void *arg)
{
	struct ses *ses = arg;

	tmr_cancel(&ses->tmr);
	tmr_cancel(&ses->flush);
	list_unlink(&ses->le);
	list_unlink(&ses->stranger);
	mem_deref(ses->sc);
	mem_deref(ses->tc);
	mem_deref(ses->tls);
	mem_deref(ses->out);
	mem_deref(ses->tenant);
	wire_dec_free(ses->dec);
}


static const char *tenant_name(const struct ses *ses)
{
	return ses->tenant ? ses->tenant->name : "-";
}


static void flush_now(struct ses *ses)
{
	int err;

	if (!ses->tc || !ses->out->end)
		return;

	ses->out->pos = 0;
	err = tcp_send(ses->tc, ses->out);
	ses->out->pos = ses->out->end = 0;
	if (err || tcp_conn_txqsz(ses->tc) > BACKLOG_MAX)
		ses_event(ses, SES_EV_GONE,
			  err ? strerror(err) : "reads nothing");
	else if (ses->state == SES_CLOSING && !tcp_conn_txqsz(ses->tc))
		(void)shutdown(tcp_conn_fd(ses->tc), SHUT_WR);
}


static void flush_handler(void *arg)
{
	flush_now(arg);
}


static void enqueue(struct ses *ses, const Wire__Envelope *env)
{
	size_t n = wire_enc_size(env), len = 0;
	struct mbuf *mb = ses->out;

	if (n - PREFIX_LEN > ses->max_frame) {
		log_error("server", "-",
			  "%s takes frames of %u bytes only, one of %zu is "
			  "not sent",
			  tenant_name(ses), ses->max_frame, n - PREFIX_LEN);
		return;
	}
	if (mb->end + n > mb->size && mbuf_resize(mb, (mb->end + n) * 2)) {
		ses_event(ses, SES_EV_GONE, "out of memory");
		return;
	}
	if (wire_enc(mb->buf + mb->end, mb->size - mb->end, &len, env)) {
		log_error("server", "-", "a frame of %zu bytes is too long",
			  n);
		return;
	}

	mb->end += len;
	if (!tmr_isrunning(&ses->flush))
		tmr_start(&ses->flush, 0, flush_handler, ses);
}


void ses_tell(struct ses *ses, const Wire__Envelope *env)
{
	if (ses->state == SES_READY || ses->state == SES_DRAINING)
		enqueue(ses, env);
}


void ses_answer(struct ses *ses, const Wire__Envelope *env)
{
	ses->unanswered--;
	ses_tell(ses, env);
}


static void greet(struct ses *ses)
{
	Wire__Envelope env = WIRE__ENVELOPE__INIT;
	Wire__Hello hello = WIRE__HELLO__INIT;

	hello.version_min = hello.version_max = WIRE_VERSION;
	hello.software = "mediator/" SIPIS_VERSION;
	hello.node = ses->srv->node;
	hello.max_frame = WIRE_MAX_FRAME;
	hello.window = ses->srv->window;
	hello.ping_ms = ses->srv->ping_ms;
	hello.now_ms = clock_wall_ms();
	env.body_case = WIRE__ENVELOPE__BODY_HELLO;
	env.hello = &hello;
	enqueue(ses, &env);
}


static void say_drain(struct ses *ses)
{
	Wire__Envelope env = WIRE__ENVELOPE__INIT;
	Wire__Drain drain = WIRE__DRAIN__INIT;

	drain.grace_ms = ses->srv->drain_ms;
	env.body_case = WIRE__ENVELOPE__BODY_DRAIN;
	env.drain = &drain;
	enqueue(ses, &env);
}


/* The first word is for the peer, the rest for our log */
static void say_refused(struct ses *ses, const char *why)
{
	Wire__Envelope env = WIRE__ENVELOPE__INIT;
	Wire__Refused refused = WIRE__REFUSED__INIT;
	char word[32];

	str_ncpy(word, why, sizeof(word));
	word[strcspn(word, ":")] = '\0';
	refused.reason = word;
	env.body_case = WIRE__ENVELOPE__BODY_REFUSED;
	env.refused = &refused;
	enqueue(ses, &env);
}


static void say_ping(struct ses *ses, bool pong, uint64_t nonce)
{
	Wire__Envelope env = WIRE__ENVELOPE__INIT;
	Wire__Ping ping = WIRE__PING__INIT;
	Wire__Pong answer = WIRE__PONG__INIT;

	ping.nonce = answer.nonce = nonce;
	if (pong) {
		answer.now_ms = clock_wall_ms();
		env.body_case = WIRE__ENVELOPE__BODY_PONG;
		env.pong = &answer;
	}
	else {
		env.body_case = WIRE__ENVELOPE__BODY_PING;
		env.ping = &ping;
	}
	enqueue(ses, &env);
}


static void timeout_handler(void *arg)
{
	ses_event(arg, SES_EV_TIMEOUT, "frame: no Hello in time");
}


static void ping_handler(void *arg)
{
	struct ses *ses = arg;
	uint64_t quiet = clock_mono_ms() - ses->heard;
	uint32_t ping_ms = ses->srv->ping_ms;

	if (quiet >= (uint64_t)ping_ms * PINGS_TO_DEATH) {
		ses_event(ses, SES_EV_SILENT, "silent");
		return;
	}
	if (quiet >= ping_ms)
		say_ping(ses, false, ++ses->nonce);
	tmr_start(&ses->tmr, ping_ms, ping_handler, ses);
}


static void uncount(struct ses *ses)
{
	if (ses->counted)
		ses->tenant->connections--;
	ses->counted = false;
}


/* Pushes under way may hold the struct for a while; all else goes */
void ses_bury(struct ses *ses)
{
	tmr_cancel(&ses->tmr);
	tmr_cancel(&ses->flush);
	list_unlink(&ses->stranger);
	ses->state = SES_CLOSED;
	ses->sc = mem_deref(ses->sc);
	ses->tc = mem_deref(ses->tc);
	uncount(ses);
	list_unlink(&ses->le);
	ses->srv = NULL;
	mem_deref(ses);
}


/* Not in the middle of libre's or our own handlers */
static void bury_handler(void *arg)
{
	ses_bury(arg);
}


static void drop(struct ses *ses)
{
	tmr_cancel(&ses->flush);
	tcp_set_handlers(ses->tc, NULL, NULL, NULL, NULL);
	tmr_start(&ses->tmr, 0, bury_handler, ses);
}


static void enter(struct ses *ses, enum ses_state old)
{
	if (old <= SES_HELLO && ses->state > SES_HELLO)
		list_unlink(&ses->stranger);

	switch (ses->state) {

	case SES_READY:
		tmr_start(&ses->tmr, ses->srv->ping_ms, ping_handler, ses);
		log_info("server", "-", "tenant %s connected from %s node=%s",
			 tenant_name(ses), ses->from, ses->node);
		break;

	case SES_CLOSING:
		uncount(ses);
		tmr_start(&ses->tmr, CLOSING_MS, timeout_handler, ses);
		break;

	default:
		break;
	}
}


static void ses_set_state(struct ses *ses, enum ses_state next,
			  enum ses_event e)
{
	enum ses_state old = ses->state;

	if (old == next)
		return;

	log_debug("server", "-", "%s: %s -> %s (%s)", tenant_name(ses),
		  ses_state_name(old), ses_state_name(next),
		  ses_event_name(e));
	ses->state = next;
	enter(ses, old);
}


/* Every change of a session goes through here.  why: for CLOSING and CLOSED */
static void ses_event(struct ses *ses, enum ses_event e, const char *why)
{
	const struct ses_step step = ses_next(ses->state, e);

	switch (step.act) {

	case SES_ACT_GREET:
		greet(ses);
		break;

	case SES_ACT_DRAIN:
		say_drain(ses);
		break;

	case SES_ACT_REFUSE:
		metric_inc(&ses->srv->metrics[SERVER_FAULTS]);
		log_warning("server", "-", "closing tenant %s at %s: %s",
			    tenant_name(ses), ses->from, why);
		say_refused(ses, why);
		break;

	case SES_ACT_DROP:
		log_info("server", "-", "tenant %s at %s is gone: %s",
			 tenant_name(ses), ses->from, why);
		break;

	default:
		break;
	}

	ses_set_state(ses, step.next, e);
	if (step.act == SES_ACT_DROP)
		drop(ses);
}


void ses_drain(struct ses *ses)
{
	ses_event(ses, SES_EV_DRAIN, "draining");
}


void ses_prune(struct ses *ses)
{
	struct server *srv = ses->srv;

	if (ses->tenant &&
	    srv->prm.tenanth(ses->tenant->name, srv->prm.arg) != ses->tenant)
		ses_event(ses, SES_EV_FAULT, "tenant: not one any more");
}


const struct sa *ses_peer(const struct ses *ses)
{
	return &ses->peer;
}


bool ses_ready_for(const struct ses *ses, const struct tenant *t)
{
	return ses->state == SES_READY && ses->tenant == t;
}


struct tenant *ses_tenant(const struct ses *ses)
{
	return ses ? ses->tenant : NULL;
}


bool ses_open(const struct ses *ses)
{
	return ses && (ses->state == SES_READY || ses->state == SES_DRAINING);
}


/* NULL, or why this peer is turned away */
static const char *stranger(struct ses *ses)
{
	const size_t n = strlen(TENANT_URN);
	struct server *srv = ses->srv;
	char uri[URI_MAX];
	struct tenant *t;

	if (tlsctx_peer_uri(ses->sc, uri, sizeof(uri)) ||
	    strncmp(uri, TENANT_URN, n))
		return "tenant: the certificate names none; it needs exactly "
		       "one URI " TENANT_URN "NAME";

	t = srv->prm.tenanth(uri + n, srv->prm.arg);
	if (!t)
		return "tenant: not known here";
	if (t->connections >= t->limits.connections)
		return "connections: too many of this tenant";

	ses->tenant = mem_ref(t);
	ses->counted = true;
	t->connections++;
	return NULL;
}


static void estab_handler(void *arg)
{
	struct ses *ses = arg;
	const char *why = stranger(ses);

	ses_event(ses, why ? SES_EV_FAULT : SES_EV_SECURE, why);
}


static void clock_check(const struct ses *ses, int64_t now_ms)
{
	int64_t diff = now_ms - ses->received_us / 1000;

	if (!now_ms || (diff <= SKEW_MS && diff >= -SKEW_MS))
		return;

	log_warning("server", "-",
		    "the clock of tenant %s at %s is %lld ms off ours; its "
		    "pushes expire at the wrong time: check NTP on both",
		    tenant_name(ses), ses->from, (long long)diff);
}


static void hello_recv(struct ses *ses, const Wire__Hello *hello)
{
	if (hello->version_min > WIRE_VERSION ||
	    hello->version_max < WIRE_VERSION) {
		ses_event(ses, SES_EV_FAULT, "version: none in common");
		return;
	}

	if (ses->state == SES_HELLO) {
		str_ncpy(ses->node, hello->node, sizeof(ses->node));
		if (hello->max_frame && hello->max_frame < ses->max_frame)
			ses->max_frame = hello->max_frame;
		clock_check(ses, hello->now_ms);
	}
	ses_event(ses, SES_EV_HELLO, "frame: a second Hello");
}


/* True if the frame may be handed on */
static bool work_begin(struct ses *ses, size_t id_len)
{
	const struct ses_step step = ses_next(ses->state, SES_EV_WORK);

	if (step.act == SES_ACT_WORK && id_len != WIRE_ID_LEN) {
		ses_event(ses, SES_EV_FAULT, "frame: an id has 16 bytes");
		return false;
	}

	ses_event(ses, SES_EV_WORK, "frame: before Hello");
	if (step.act != SES_ACT_WORK)
		return false;

	ses->unanswered++;
	return true;
}


/* Only now, because a request that is sent again counts once */
static void work_end(struct ses *ses)
{
	if (ses->unanswered > ses->srv->window)
		ses_event(ses, SES_EV_FAULT, "window: too many unanswered");
}


static int frame_handler(const Wire__Envelope *env, void *arg)
{
	struct ses *ses = arg;
	struct server_prm *prm = &ses->srv->prm;

	switch (env->body_case) {

	case WIRE__ENVELOPE__BODY_PUSH:
		if (!work_begin(ses, env->push->id.len))
			break;
		prm->pushh(ses, env->push, ses->received_us, prm->arg);
		work_end(ses);
		break;

	case WIRE__ENVELOPE__BODY_ENROL:
		if (!work_begin(ses, env->enrol->id.len))
			break;
		prm->enrolh(ses, env->enrol, prm->arg);
		work_end(ses);
		break;

	case WIRE__ENVELOPE__BODY_HELLO:
		hello_recv(ses, env->hello);
		break;

	case WIRE__ENVELOPE__BODY_PING:
		ses_event(ses, SES_EV_PING, "frame: before Hello");
		if (ses->state == SES_READY || ses->state == SES_DRAINING)
			say_ping(ses, true, env->ping->nonce);
		break;

	case WIRE__ENVELOPE__BODY_PONG:
		ses_event(ses, SES_EV_PONG, "frame: before Hello");
		break;

	case WIRE__ENVELOPE__BODY_REFUSED:
		ses_event(ses, SES_EV_REFUSED, "it refused us");
		break;

	default:
		ses_event(ses, SES_EV_FAULT, "frame: in the wrong direction");
		break;
	}

	return ses->state >= SES_CLOSING ? ECONNABORTED : 0;
}


static void recv_handler(struct mbuf *mb, void *arg)
{
	struct ses *ses = arg;
	int err;

	if (ses->state >= SES_CLOSING)
		return;

	ses->heard = clock_mono_ms();
	ses->received_us = clock_wall_us();
	err = wire_dec_feed(ses->dec, mbuf_buf(mb), mbuf_get_left(mb));
	if (err && ses->state < SES_CLOSING)
		ses_event(ses, SES_EV_FAULT,
			  err == EMSGSIZE ? "frame: too long"
					  : "frame: makes no sense");
}


static void close_handler(int err, void *arg)
{
	struct ses *ses = arg;
	const char *tls = "";

	if (ses->state == SES_TLS)
		tls = tlsctx_last_error(ses->tls);

	ses_event(ses, SES_EV_GONE,
		  *tls  ? tls
		  : err ? strerror(err)
			: "closed by the peer");
}


static void socket_setup(struct ses *ses)
{
	unsigned ms = ses->srv->ping_ms * PINGS_TO_DEATH;
	int fd = tcp_conn_fd(ses->tc), on = 1;

	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &ms, sizeof(ms));
	tcp_conn_txqsz_set(ses->tc, QUEUE_MAX);
}


int ses_accept(struct server *srv, struct tcp_sock *ts, const struct sa *peer)
{
	struct ses *ses = mem_zalloc(sizeof(*ses), destructor);
	int err;

	if (!ses) {
		tcp_reject(ts);
		return ENOMEM;
	}

	tmr_init(&ses->tmr);
	tmr_init(&ses->flush);
	ses->tls = mem_ref(srv->tls);
	(void)re_snprintf(ses->from, sizeof(ses->from), "%J", peer);
	ses->out = mbuf_alloc(OUT_START);
	err = ses->out ? wire_dec_alloc(&ses->dec, WIRE_MAX_FRAME,
					frame_handler, ses)
		       : ENOMEM;
	if (err)
		tcp_reject(ts);
	else
		err = tcp_accept(&ses->tc, ts, estab_handler, recv_handler,
				 close_handler, ses);
	if (!err)
		err = tls_start_tcp(&ses->sc, ses->tls, ses->tc, 0);
	if (err) {
		mem_deref(ses);
		return err;
	}

	ses->srv = srv;
	ses->max_frame = WIRE_MAX_FRAME;
	ses->heard = clock_mono_ms();
	list_append(&srv->sess, &ses->le, ses);
	ses->peer = *peer;
	list_append(&srv->strangers, &ses->stranger, ses);
	socket_setup(ses);
	tmr_start(&ses->tmr, srv->handshake_ms, timeout_handler, ses);
	return 0;
}
