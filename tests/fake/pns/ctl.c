/**
 * @file ctl.c  The control port: lines in, lines out
 */

#include <errno.h>
#include <stdlib.h>
#include "pns.h"

#define LINE_MAX_ (1024 * 1024)
#define TXQ_MAX   (64 * 1024 * 1024)

struct pns_ctlsrv {
	struct pns *pns;
	struct tcp_sock *ts;
	struct list ctll;
};

struct pns_ctl {
	struct le le;
	struct pns *pns;
	struct tcp_conn *tc;
	struct mbuf *mb;
	struct list keptl;
	bool dead;
};


static void ctl_destructor(void *arg)
{
	struct pns_ctl *ctl = arg;

	list_unlink(&ctl->le);
	list_flush(&ctl->keptl);
	pns_device_orphan(ctl->pns, ctl);
	mem_deref(ctl->tc);
	mem_deref(ctl->mb);
}


struct pns *pns_ctl_pns(const struct pns_ctl *ctl)
{
	return ctl->pns;
}


void pns_ctl_keep(struct pns_ctl *ctl, struct le *le, void *data)
{
	list_append(&ctl->keptl, le, data);
}


void pns_ctl_send(struct pns_ctl *ctl, json_t *o)
{
	char *s = json_dumps(o, JSON_COMPACT);
	struct mbuf *mb = mbuf_alloc(s ? strlen(s) + 2 : 2);

	json_decref(o);
	if (s && mb && !ctl->dead) {
		(void)mbuf_printf(mb, "%s\n", s);
		mb->pos = 0;
		/* a peer that does not read is closed when it is next heard */
		ctl->dead = tcp_send(ctl->tc, mb) != 0;
	}
	mem_deref(mb);
	free(s);
}


static void lines(struct pns_ctl *ctl)
{
	struct mbuf *mb = ctl->mb;

	mb->pos = 0;
	while (mb->pos < mb->end && !ctl->dead) {
		const char *p = (char *)mbuf_buf(mb);
		const char *nl = memchr(p, '\n', mbuf_get_left(mb));
		size_t n;

		if (!nl)
			break;
		n = (size_t)(nl - p);
		if (n)
			pns_ops_line(ctl, p, n);
		mb->pos += n + 1;
	}
	if (mb->pos) {
		memmove(mb->buf, mbuf_buf(mb), mbuf_get_left(mb));
		mb->end -= mb->pos;
	}
	mb->pos = mb->end;
}


static void recv_handler(struct mbuf *mb, void *arg)
{
	struct pns_ctl *ctl = arg;

	if (mbuf_write_mem(ctl->mb, mbuf_buf(mb), mbuf_get_left(mb)) ||
	    ctl->mb->end > LINE_MAX_)
		ctl->dead = true;
	else
		lines(ctl);
	if (ctl->dead)
		mem_deref(ctl);
}


static void close_handler(int err, void *arg)
{
	(void)err;
	mem_deref(arg);
}


static void conn_handler(const struct sa *peer, void *arg)
{
	struct pns_ctlsrv *srv = arg;
	struct pns_ctl *ctl = mem_zalloc(sizeof(*ctl), ctl_destructor);
	(void)peer;

	if (!ctl) {
		tcp_reject(srv->ts);
		return;
	}
	ctl->pns = srv->pns;
	ctl->mb = mbuf_alloc(1024);
	if (!ctl->mb || tcp_accept(&ctl->tc, srv->ts, NULL, recv_handler,
				   close_handler, ctl)) {
		mem_deref(ctl);
		return;
	}
	tcp_conn_txqsz_set(ctl->tc, TXQ_MAX);
	list_append(&srv->ctll, &ctl->le, ctl);
}


static void srv_destructor(void *arg)
{
	struct pns_ctlsrv *srv = arg;

	list_flush(&srv->ctll);
	mem_deref(srv->ts);
}


int pns_ctl_listen(struct pns *pns, const char *addr)
{
	struct pns_ctlsrv *srv;
	struct sa sa;
	int err;

	err = sa_decode(&sa, addr, strlen(addr));
	if (err || !sa_is_loopback(&sa))
		return err ? err : EACCES;
	srv = mem_zalloc(sizeof(*srv), srv_destructor);
	if (!srv)
		return ENOMEM;

	srv->pns = pns;
	err = tcp_listen(&srv->ts, &sa, conn_handler, srv);
	if (err)
		mem_deref(srv);
	else
		pns->ctl = srv;

	return err;
}


uint16_t pns_ctl_port(const struct pns *pns)
{
	struct sa sa;

	if (tcp_sock_local_get(pns->ctl->ts, &sa))
		return 0;

	return sa_port(&sa);
}
