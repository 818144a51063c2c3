/**
 * @file net/curl_loop.c  A curl multi handle on the libre loop; nothing else
 *
 * curl says which descriptors and which time it waits for, libre waits.
 * Inside curl's callbacks nothing is called back into curl: 7.88 calls the
 * timer function from within curl_multi_add_handle().
 *
 * With many transfers on one connection curl asks for "write" and takes it
 * back for each of them within one call; what it wants in the end is what
 * libre is told.
 */

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include "mediator/net/curl_loop.h"

struct curl_loop {
	CURLM *multi;
	struct list socks;
	struct list changed; /**< of them, flags differ perhaps */
	struct tmr tmr;
	curl_loop_h *h;
	void *arg;
};

struct sock {
	struct le le;
	struct le changed;
	struct curl_loop *cl;
	curl_socket_t fd;
	int has, wants; /**< FD_ flags */
};


static void sock_destructor(void *arg)
{
	struct sock *s = arg;

	fd_close((int)s->fd);
	list_unlink(&s->changed);
	list_unlink(&s->le);
}


static void destructor(void *arg)
{
	struct curl_loop *cl = arg;

	tmr_cancel(&cl->tmr);
	if (cl->multi)
		(void)curl_multi_cleanup(cl->multi);
	tmr_cancel(&cl->tmr);
	list_flush(&cl->socks);
}


static void fd_handler(int flags, void *arg);


static int sock_listen(struct sock *s)
{
	if (s->has == s->wants)
		return 0;

	s->has = s->wants;
	return fd_listen((int)s->fd, s->wants, fd_handler, s);
}


static void settle(struct curl_loop *cl)
{
	struct le *le;

	while ((le = cl->changed.head)) {
		list_unlink(le);
		(void)sock_listen(le->data);
	}
}


/* The handler may drop the loop, hence the reference */
static void harvest(struct curl_loop *cl)
{
	CURLMsg *msg;
	int left;

	mem_ref(cl);
	while (mem_nrefs(cl) > 1 &&
	       (msg = curl_multi_info_read(cl->multi, &left))) {
		CURL *easy = msg->easy_handle;
		CURLcode rc = msg->data.result;

		if (msg->msg != CURLMSG_DONE)
			continue;
		(void)curl_multi_remove_handle(cl->multi, easy);
		cl->h(easy, rc, cl->arg);
	}
	settle(cl);
	mem_deref(cl);
}


/* curl writes three small pieces for each request, each a packet; held back
   until it is through, they share packets with those of other requests.
   Sockets that are not TCP do not mind */
static void cork(struct curl_loop *cl, int on)
{
	struct le *le;

	LIST_FOREACH (&cl->socks, le) {
		const struct sock *s = le->data;

		(void)setsockopt((int)s->fd, IPPROTO_TCP, TCP_CORK, &on,
				 sizeof(on));
	}
}


static void act(struct curl_loop *cl, curl_socket_t fd, int ev)
{
	int running;

	cork(cl, 1);
	(void)curl_multi_socket_action(cl->multi, fd, ev, &running);
	cork(cl, 0);
	harvest(cl);
}


static void fd_handler(int flags, void *arg)
{
	struct sock *s = arg;
	int ev = 0;

	if (flags & FD_READ)
		ev |= CURL_CSELECT_IN;
	if (flags & FD_WRITE)
		ev |= CURL_CSELECT_OUT;
	if (flags & FD_EXCEPT)
		ev |= CURL_CSELECT_ERR;

	act(s->cl, s->fd, ev);
}


static void timeout_handler(void *arg)
{
	act(arg, CURL_SOCKET_TIMEOUT, 0);
}


static struct sock *sock_add(struct curl_loop *cl, curl_socket_t fd)
{
	struct sock *s = mem_zalloc(sizeof(*s), sock_destructor);

	if (!s)
		return NULL;

	s->cl = cl;
	s->fd = fd;
	list_append(&cl->socks, &s->le, s);
	(void)curl_multi_assign(cl->multi, fd, s);
	return s;
}


static int socket_cb(CURL *easy, curl_socket_t fd, int what, void *userp,
		     void *sockp)
{
	struct curl_loop *cl = userp;
	struct sock *s = sockp;
	int flags = FD_EXCEPT;
	(void)easy;

	if (what == CURL_POLL_REMOVE) {
		mem_deref(s);
		return 0;
	}

	if (!s)
		s = sock_add(cl, fd);
	if (!s)
		return -1;

	if (what & CURL_POLL_IN)
		flags |= FD_READ;
	if (what & CURL_POLL_OUT)
		flags |= FD_WRITE;

	s->wants = flags;
	if (!s->has)
		return sock_listen(s) ? -1 : 0;
	if (!s->changed.list)
		list_append(&cl->changed, &s->changed, s);
	return 0;
}


static int timer_cb(CURLM *multi, long timeout_ms, void *userp)
{
	struct curl_loop *cl = userp;
	(void)multi;

	if (timeout_ms < 0)
		tmr_cancel(&cl->tmr);
	else
		tmr_start(&cl->tmr, (uint64_t)timeout_ms, timeout_handler, cl);

	return 0;
}


int curl_loop_alloc(struct curl_loop **clp, curl_loop_h *h, void *arg)
{
	struct curl_loop *cl;

	if (!clp || !h)
		return EINVAL;

	cl = mem_zalloc(sizeof(*cl), destructor);
	if (!cl)
		return ENOMEM;

	cl->h = h;
	cl->arg = arg;
	tmr_init(&cl->tmr);
	cl->multi = curl_multi_init();
	if (!cl->multi) {
		mem_deref(cl);
		return ENOMEM;
	}

	curl_multi_setopt(cl->multi, CURLMOPT_SOCKETFUNCTION, socket_cb);
	curl_multi_setopt(cl->multi, CURLMOPT_SOCKETDATA, cl);
	curl_multi_setopt(cl->multi, CURLMOPT_TIMERFUNCTION, timer_cb);
	curl_multi_setopt(cl->multi, CURLMOPT_TIMERDATA, cl);

	*clp = cl;
	return 0;
}


CURLM *curl_loop_multi(struct curl_loop *cl)
{
	return cl ? cl->multi : NULL;
}


int curl_loop_add(struct curl_loop *cl, CURL *easy)
{
	CURLMcode rc = curl_multi_add_handle(cl->multi, easy);

	settle(cl);
	return rc ? EIO : 0;
}


void curl_loop_remove(struct curl_loop *cl, CURL *easy)
{
	(void)curl_multi_remove_handle(cl->multi, easy);
	settle(cl);
}
