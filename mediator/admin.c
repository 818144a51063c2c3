/**
 * @file mediator/admin.c  Prometheus text and liveness, for this host only
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <re/re.h>
#include "mediator/admin.h"

struct admin {
	struct http_sock *sock;
	const struct metrics *metrics;
	admin_more_h *moreh;
	void *arg;
};


static void destructor(void *arg)
{
	struct admin *a = arg;

	mem_deref(a->sock);
}


static int more_print(struct re_printf *pf, const struct admin *a)
{
	return a->moreh ? a->moreh(pf, a->arg) : 0;
}


static void metrics_reply(struct http_conn *conn, const struct admin *a)
{
	char *text = NULL;
	size_t len = 0;

	if (metrics_print(a->metrics, &text, &len))
		(void)http_ereply(conn, 500, "Internal Server Error");
	else
		(void)http_creply(conn, 200, "OK", "text/plain; version=0.0.4",
				  "%b%H", text, len, more_print, a);
	free(text);
}


static void req_handler(struct http_conn *conn, const struct http_msg *msg,
			void *arg)
{
	if (pl_strcmp(&msg->met, "GET"))
		(void)http_ereply(conn, 405, "Method Not Allowed");
	else if (!pl_strcmp(&msg->path, "/metrics"))
		metrics_reply(conn, arg);
	else if (!pl_strcmp(&msg->path, "/healthz"))
		(void)http_creply(conn, 200, "OK", "text/plain", "ok\n");
	else
		(void)http_ereply(conn, 404, "Not Found");
}


int admin_alloc(struct admin **ap, const char *listen,
		const struct metrics *metrics, admin_more_h *moreh, void *arg,
		char *reason, size_t reason_sz)
{
	struct admin *a;
	struct sa addr;
	int err;

	if (!ap || !listen || !metrics)
		return EINVAL;

	a = mem_zalloc(sizeof(*a), destructor);
	if (!a)
		return ENOMEM;

	a->metrics = metrics;
	a->moreh = moreh;
	a->arg = arg;
	err = sa_decode(&addr, listen, strlen(listen));
	if (!err)
		err = http_listen(&a->sock, &addr, req_handler, a);
	if (err) {
		(void)re_snprintf(reason, reason_sz, "cannot listen on %s: %s",
				  listen, strerror(err));
		mem_deref(a);
		return err;
	}

	*ap = a;
	return 0;
}
