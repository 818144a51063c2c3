/**
 * @file node.c  One rtpengine: its socket, whether it answers
 *
 *              a question timed out, ICMP
 *     ANSWERS --------------------------> SILENT  (a ping each second)
 *        ^                                  |
 *        +----------------------------------+
 *                     any answer
 */

#include <errno.h>
#include <string.h>
#include "common/log.h"
#include "sipis/media/priv.h"


static void ping(void *arg);


static void recv_handler(const struct sa *src, struct mbuf *mb, void *arg)
{
	(void)src;

	media_answered(arg, mb);
}


/* ICMP: nobody listens there */
static void error_handler(int err, void *arg)
{
	struct media_node *n = arg;
	(void)err;

	media_refused(n);
}


/* A connected one hears of ICMP, and of that node alone.  Which address of
   ours it has is settled here, so one that is silent gets a new one */
static int socket_open(struct media_node *n)
{
	struct sa any;
	int err;

	n->us = mem_deref(n->us);
	sa_init(&any, sa_af(&n->addr));
	err = udp_listen(&n->us, &any, recv_handler, n);
	if (err)
		return err;

	udp_rxsz_set(n->us, NG_SIZE);
	udp_error_handler_set(n->us, error_handler);
	err = udp_connect(n->us, &n->addr);
	if (err)
		n->us = mem_deref(n->us);

	return err;
}


static void ping_handler(int err, const struct pl *sdp, const char *who,
			 void *arg)
{
	struct media_node *n = arg;
	(void)sdp;
	(void)who;

	n->ping = mem_deref(n->ping);
	if (err)
		tmr_start(&n->tmr, MEDIA_PING_MS, ping, n);
}


static void ping(void *arg)
{
	const struct ng_question q = { .command = NG_PING };
	struct media_node *n = arg;

	if (n->ping)
		return;

	if (socket_open(n) || media_ask_node(&n->ping, n, &q, ping_handler, n))
		tmr_start(&n->tmr, MEDIA_PING_MS, ping, n);
}


int media_node_open(struct media_node *n, struct media *m, const char *addr)
{
	int err;

	n->media = m;
	tmr_init(&n->tmr);
	err = sa_decode(&n->addr, addr, str_len(addr));
	if (err || !sa_port(&n->addr))
		return EINVAL;

	(void)re_snprintf(n->name, sizeof(n->name), "%J", &n->addr);
	ping(n);

	return 0;
}


void media_node_close(struct media_node *n)
{
	tmr_cancel(&n->tmr);
	n->ping = mem_deref(n->ping);
	n->us = mem_deref(n->us);
}


int media_node_send(struct media_node *n, struct mbuf *mb)
{
	int err;

	if (!n->us)
		return ENOTCONN;

	/* the first one tells of the ICMP that the one before brought */
	err = udp_send(n->us, &n->addr, mb);
	if (err == ECONNREFUSED)
		err = udp_send(n->us, &n->addr, mb);

	return err;
}


void media_node_answers(struct media_node *n)
{
	if (n->down)
		log_info("media", NULL, "rtpengine %s of pbx %s answers again",
			 n->name, n->media->name);
	n->down = false;
}


void media_node_silent(struct media_node *n)
{
	if (!n->down)
		log_warning("media", NULL,
			    "rtpengine %s of pbx %s does not answer", n->name,
			    n->media->name);
	n->down = true;
	if (!n->ping && !tmr_isrunning(&n->tmr))
		tmr_start(&n->tmr, MEDIA_PING_MS, ping, n);
}
