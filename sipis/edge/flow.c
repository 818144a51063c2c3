/**
 * @file sipis/edge/flow.c  The ways to phones
 *
 * A connection that a phone opened, or an address that it speaks from.  libre
 * keeps the connections; a keep-alive whose time never comes tells when one
 * has ended (see sipis/sip/flow.c).
 */

#include <errno.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include "common/clock.h"
#include "sipis/edge/flow.h"
#include "sipis/edge/forward.h"
#include "sipis/edge/priv.h"
#include "sipis/edge/turnstile.h"


static void destructor(void *data)
{
	struct edge_flow *f = data;

	hash_unlink(&f->he);
	mem_deref(f->ka);
	list_flush(&f->bindings);
	list_flush(&f->leavers);
	list_clear(&f->forwards);
}


struct edge_flow *edge_flow_at(const struct edge *e, const struct sa *peer,
			       enum sip_transp tp)
{
	struct le *le = list_head(hash_list(e->flows, sa_hash(peer, SA_ALL)));

	for (; le; le = le->next) {
		struct edge_flow *f = le->data;

		if (f->tp == tp && sa_cmp(&f->peer, peer, SA_ALL))
			return f;
	}

	return NULL;
}


struct edge_flow *edge_flow_find(const struct edge *e,
				 const struct sip_msg *msg)
{
	struct edge_flow *f = edge_flow_at(e, &msg->src, msg->tp);

	return f && (f->tp == SIP_TRANSP_UDP || f->sock == msg->sock) ? f
								      : NULL;
}


static void here(struct edge_flow *f, bool on)
{
	struct metric *m = &f->edge->metricv[EDGE_M_FLOWS];

	if (f->here == on)
		return;

	f->here = on;
	metric_set(m, atomic_load(&m->value) + (on ? 1 : -1));
}


void edge_flow_lost(struct edge_flow *f, int err)
{
	struct le *le;

	hash_unlink(&f->he);
	here(f, false);
	while ((le = list_head(&f->forwards))) {
		list_unlink(le);
		edge_forward_lost(le->data, err);
	}

	mem_deref(f);
}


bool edge_flow_cut(struct edge_flow *f)
{
	const struct linger none = { .l_onoff = 1 };
	const int fd = f->tp == SIP_TRANSP_UDP
			       ? -1
			       : turnstile_fd(f->edge->turnstile, &f->peer);
	int unsent;

	if (fd < 0 || ioctl(fd, SIOCOUTQ, &unsent) || !unsent)
		return false;

	/* libre reads its end, and closes it */
	(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof(none));
	(void)shutdown(fd, SHUT_RD);
	edge_flow_lost(f, ETIMEDOUT);

	return true;
}


static void lost_handler(int err, void *arg)
{
	edge_flow_lost(arg, err ? err : ECONNRESET);
}


int edge_flow_get(struct edge_flow **fp, struct edge *e,
		  const struct sip_msg *msg)
{
	struct edge_flow *f = edge_flow_find(e, msg);
	int err = 0;

	if (f) {
		f->heard = clock_mono_ms();
		*fp = f;
		return 0;
	}

	f = mem_zalloc(sizeof(*f), destructor);
	if (!f)
		return ENOMEM;

	f->edge = e;
	f->peer = msg->src;
	f->laddr = msg->dst;
	f->tp = msg->tp;
	f->since = clock_wall_ms();
	f->heard = clock_mono_ms();
	if (f->tp != SIP_TRANSP_UDP) {
		f->sock = msg->sock;
		err = sip_keepalive_start(&f->ka, e->sip, msg, EDGE_NEVER_S,
					  lost_handler, f);
	}
	if (err) {
		mem_deref(f);
		return err;
	}

	hash_append(e->flows, sa_hash(&f->peer, SA_ALL), &f->he, f);
	*fp = f;

	return 0;
}


bool edge_flow_silent(const struct edge_flow *f)
{
	const uint64_t timer_ms = f->edge->prm.cfg->flow_timer_s * 1000ull;

	return f->tp == SIP_TRANSP_UDP &&
	       clock_mono_ms() > f->heard + timer_ms;
}


void edge_flow_joined(struct edge_flow *f)
{
	here(f, true);
}


/* What is under way in a dialog stays; a waiting call goes to where its phone
   is next */
static void calls_leave(struct edge_flow *f, int err)
{
	struct list calls = LIST_INIT;
	struct le *le = list_head(&f->forwards);

	while (le) {
		struct edge_forward *fwd = le->data;
		struct le *next = le->next;

		if (edge_forward_roams(fwd)) {
			list_unlink(le);
			list_append(&calls, le, fwd);
		}
		le = next;
	}

	while ((le = list_head(&calls))) {
		list_unlink(le);
		edge_forward_lost(le->data, err);
	}
}


void edge_flow_left(struct edge_flow *f, int err)
{
	if (!f->he.list || !list_isempty(&f->bindings))
		return;

	here(f, false);
	if (list_isempty(&f->leavers))
		edge_flow_lost(f, err);
	else
		calls_leave(f, err);
}
