/**
 * @file net/conn.c  One HTTP/2 connection to one provider
 *
 * An epoch is the time between two connections: what a request of an earlier
 * epoch hears says nothing about the connection of now.
 */

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include "common/backoff.h"
#include "common/clock.h"
#include "common/log.h"
#include "mediator/net/conn.h"
#include "mediator/net/curl_loop.h"

enum {
	DOWN_BASE_MS = 250,
	DOWN_MAX_MS = 5000,
	MULTI_CONNECTS = 2,
	IDLE_MS = 10000, /* after that a burst waits for its first answer */
};

struct conn {
	struct le le; /**< once it is retired */
	struct curl_loop *cl;
	enum conn_state state;
	const char *name;
	unsigned number;
	uint32_t streams, user_timeout_ms;
	uint32_t inflight;
	uint32_t epoch, epoch_inflight;
	struct metric *opened;
	unsigned fails;
	uint64_t heard; /**< monotonic ms of the last answer */
	uint64_t since;
	struct tmr tmr;
	conn_done_h *doneh;
	conn_room_h *roomh;
	void *arg;
};


static void destructor(void *arg)
{
	struct conn *c = arg;

	tmr_cancel(&c->tmr);
	list_unlink(&c->le);
	mem_deref(c->cl);
}


static void new_epoch(struct conn *c)
{
	c->epoch++;
	c->epoch_inflight = 0;
}


static void rest_handler(void *arg);


static void conn_set_state(struct conn *c, enum conn_event e)
{
	enum conn_state next = conn_next(c->state, e);

	if (next == c->state)
		return;

	log_debug("conn", "-", "%s/%u: %s -> %s", c->name, c->number,
		  conn_state_name(c->state), conn_state_name(next));
	c->state = next;
	c->since = clock_mono_ms();
	tmr_cancel(&c->tmr);

	switch (next) {

	case CONN_COLD:
	case CONN_PRIMING:
		new_epoch(c);
		break;

	case CONN_WARM:
		c->fails = 0;
		break;

	case CONN_DOWN:
		new_epoch(c);
		tmr_start(&c->tmr,
			  backoff_ms(DOWN_BASE_MS, DOWN_MAX_MS, c->fails++,
				     rand_u32()),
			  rest_handler, c);
		break;

	default:
		break;
	}
}


static void rest_handler(void *arg)
{
	struct conn *c = arg;

	conn_set_state(c, CONN_REST);
	c->roomh(c, c->arg);
}


static void conn_judge(struct conn *c, const struct req *r, enum net_fail fail)
{
	if (fail == NET_OK) {
		c->heard = clock_mono_ms();
		return;
	}
	if (r->epoch != c->epoch)
		return;

	c->epoch_inflight--;
	if (fail == NET_LOST)
		conn_set_state(c, CONN_LOST);
	else if (fail == NET_UNSENT || fail == NET_UNTRUSTED ||
		 fail == NET_BARRED)
		conn_set_state(c, CONN_FAILED);
}


static void done_handler(CURL *easy, CURLcode rc, void *arg)
{
	struct conn *c = arg;
	struct req *r = NULL;
	curl_off_t sent = 0;
	enum net_fail fail;
	long status = 0;

	(void)curl_easy_getinfo(easy, CURLINFO_PRIVATE, &r);
	if (rc)
		(void)curl_easy_getinfo(easy, CURLINFO_PRETRANSFER_TIME_T,
					&sent);
	else
		(void)curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);

	fail = net_fail(rc, sent > 0);
	/* One that is out there and does not answer now may do so later */
	if (fail == NET_UNSENT && r->barred && !r->outside)
		fail = NET_BARRED;
	c->inflight--;
	if (fail == NET_OK && r->epoch == c->epoch)
		c->epoch_inflight--;
	conn_judge(c, r, fail);

	mem_ref(c);
	c->doneh(c, r, fail, (uint32_t)status, c->arg);
	if (c->le.list && !c->inflight)
		mem_deref(c);
	mem_deref(c);
}


int conn_alloc(struct conn **cp, const struct conn_prm *prm)
{
	struct conn *c;
	CURLM *m;
	int err;

	if (!cp || !prm || !prm->doneh || !prm->roomh)
		return EINVAL;

	c = mem_zalloc(sizeof(*c), destructor);
	if (!c)
		return ENOMEM;

	tmr_init(&c->tmr);
	c->name = prm->name;
	c->number = prm->number;
	c->streams = prm->streams;
	c->user_timeout_ms = prm->user_timeout_ms;
	c->opened = prm->opened;
	c->doneh = prm->doneh;
	c->roomh = prm->roomh;
	c->arg = prm->arg;

	err = curl_loop_alloc(&c->cl, done_handler, c);
	if (err) {
		mem_deref(c);
		return err;
	}

	m = curl_loop_multi(c->cl);
	curl_multi_setopt(m, CURLMOPT_PIPELINING, (long)CURLPIPE_MULTIPLEX);
	curl_multi_setopt(m, CURLMOPT_MAX_HOST_CONNECTIONS, 1L);
	curl_multi_setopt(m, CURLMOPT_MAXCONNECTS, (long)MULTI_CONNECTS);
	curl_multi_setopt(m, CURLMOPT_MAX_CONCURRENT_STREAMS,
			  (long)c->streams);

	*cp = c;
	return 0;
}


uint32_t conn_room(const struct conn *c)
{
	if (c->le.list || c->inflight >= c->streams)
		return 0;

	switch (c->state) {

	case CONN_COLD:
		return 1;
	case CONN_PRIMING:
		return c->epoch_inflight ? 0 : 1;
	case CONN_WARM:
		return c->streams - c->inflight;
	default:
		return 0;
	}
}


uint32_t conn_inflight(const struct conn *c)
{
	return c->inflight;
}


unsigned conn_number(const struct conn *c)
{
	return c->number;
}


enum conn_state conn_state(const struct conn *c)
{
	return c->state;
}


int conn_send(struct conn *c, struct req *r)
{
	uint64_t now = clock_mono_ms();
	int err;

	if (!c->inflight && now > c->heard + IDLE_MS)
		conn_set_state(c, CONN_IDLE);
	conn_set_state(c, CONN_SEND);
	r->conn = c;
	r->epoch = c->epoch;
	r->started = now;
	r->started_us = clock_wall_us();

	err = curl_loop_add(c->cl, r->easy);
	if (err)
		return err;

	c->inflight++;
	c->epoch_inflight++;
	return 0;
}


void conn_proved(struct conn *c, const struct req *r)
{
	if (r->epoch == c->epoch)
		conn_set_state(c, CONN_PROVED);
}


bool conn_silent(const struct conn *c, const struct req *r)
{
	return c->heard < r->started;
}


void conn_cancel(struct conn *c, struct req *r)
{
	curl_loop_remove(c->cl, r->easy);
	c->inflight--;
	if (r->epoch == c->epoch)
		c->epoch_inflight--;
}


void conn_retire(struct conn *c, struct list *retired)
{
	tmr_cancel(&c->tmr);
	if (c->inflight)
		list_append(retired, &c->le, c);
	else
		mem_deref(c);
}


uint64_t conn_since(const struct conn *c)
{
	return c->since;
}


/* In WARM this is curl replacing a connection on its own, after a GOAWAY: the
   new one wants priming as well, and what is in flight belongs to the old */
void conn_opened(struct conn *c, int fd)
{
	unsigned ms = c->user_timeout_ms;

	if (c->opened)
		metric_inc(c->opened);
	(void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &ms, sizeof(ms));
	conn_set_state(c, CONN_OPENED);
}


/* After a GOAWAY curl sends all that was under way over the new connection at
   once.  A provider that allows one stream at first refuses the rest, for
   which curl takes yet another connection: hundreds of them.  So all but one
   come back to us */
bool conn_admits(struct conn *c, struct req *r)
{
	if (c->state == CONN_WARM || r->epoch == c->epoch)
		return true;
	if (c->epoch_inflight)
		return false;

	r->epoch = c->epoch;
	c->epoch_inflight++;
	return true;
}
