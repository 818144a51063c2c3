/**
 * @file api.c  The loop's end of the API
 */

#include <errno.h>
#include <string.h>
#include "common/clock.h"
#include "common/log.h"
#include "sipis/api/http.h"


static void cancel(struct api *api, const struct ask *c)
{
	struct le *le;

	LIST_FOREACH (&api->asks, le) {
		struct ask *a = le->data;

		if (a->slot != c->slot || a->serial != c->serial || !a->job)
			continue;

		/* nobody listens any more: stop waiting for the call's end */
		a->job = mem_deref(a->job);
		list_unlink(&a->le);
		ask_free(a);
		return;
	}
}


static void take(struct api *api, struct ask *a)
{
	if (a->kind == ASK_CANCEL) {
		cancel(api, a);
		ask_free(a);
		return;
	}

	a->api = api;
	list_append(&api->asks, &a->le, a);
	exec_ask(api, a);
}


static void inbox_handler(struct mail *mail, void *arg)
{
	struct mail *next;

	for (mail->next = ((struct ask *)mail)->more; mail; mail = next) {
		next = mail->next;
		take(arg, (struct ask *)mail);
	}
}


static void wake_handler(void *arg)
{
	struct api *api = arg;

	server_wake(api->server);
}


void api_answer(struct ask *a)
{
	struct api *api = a->api;

	list_unlink(&a->le);
	a->job = mem_deref(a->job);
	if (api->closed) {
		ask_free(a);
		return;
	}

	server_answer(api->server, a);
	if (!tmr_isrunning(&api->wake))
		tmr_start(&api->wake, 0, wake_handler, api);
}


static void destructor(void *arg)
{
	struct api *api = arg;

	api_close(api);
	mem_deref(api->server);
	mem_deref(api->inbox);
}


static int metrics_init(struct api *api)
{
	static const struct {
		const char *name, *help;
		enum metric_type type;
	} d[AM_N] = {
		[AM_CONNECTIONS] = { "sipis_api_connections",
				     "Connections of apps", METRIC_GAUGE },
		[AM_REFUSED_CONNECTIONS] = { "sipis_api_connections_refused_"
					     "total",
					     "Connections over a limit",
					     METRIC_COUNTER },
		[AM_2XX] = { "sipis_api_requests_total{class=\"2xx\"}",
			     "Requests by class of answer", METRIC_COUNTER },
		[AM_4XX] = { "sipis_api_requests_total{class=\"4xx\"}",
			     "Requests by class of answer", METRIC_COUNTER },
		[AM_5XX] = { "sipis_api_requests_total{class=\"5xx\"}",
			     "Requests by class of answer", METRIC_COUNTER },
		[AM_WRONG_SECRETS] = { "sipis_api_wrong_secrets_total",
				       "Unknown instances and wrong secrets",
				       METRIC_COUNTER },
		[AM_THROTTLED] = { "sipis_api_throttled_total",
				   "Requests over a limit", METRIC_COUNTER },
		[AM_SLOW] = { "sipis_api_slow_clients_total",
			      "Connections cut off for being slow",
			      METRIC_COUNTER },
	};
	int err;

	for (unsigned i = 0; i < AM_N; i++) {
		api->metrics[i].name = d[i].name;
		api->metrics[i].help = d[i].help;
		api->metrics[i].type = d[i].type;
	}
	api->latency.name = "sipis_api_request_seconds";
	api->latency.help = "From the request's last byte to its answer";

	err = metrics_add(api->prm.metrics, api->metrics, AM_N);
	return err ? err
		   : metrics_add_histogram(api->prm.metrics, &api->latency);
}


int api_alloc(struct api **apip, const struct api_prm *prm, char *reason,
	      size_t reason_sz)
{
	struct api *api;
	int err;

	if (!apip || !prm || !prm->cfg || !prm->inst || !prm->store ||
	    !prm->metrics || !reason || !reason_sz)
		return EINVAL;

	*reason = 0;
	api = mem_zalloc(sizeof(*api), destructor);
	if (!api)
		return ENOMEM;

	api->prm = *prm;
	tmr_init(&api->wake);
	err = metrics_init(api);
	if (!err)
		err = mailbox_alloc(&api->inbox, inbox_handler, api);
	if (!err)
		err = server_alloc(&api->server, api, reason, reason_sz);
	if (err) {
		if (!*reason)
			(void)re_snprintf(reason, reason_sz,
					  "cannot start the API: %m", err);
		mem_deref(api);
	}
	else {
		*apip = api;
	}
	return err;
}


void api_close(struct api *api)
{
	struct le *le;

	if (!api || api->closed)
		return;

	tmr_cancel(&api->wake);
	server_stop(api->server);

	/* answers still to come find it closed and free their ask; those that
	   wait for a call's end would wait on */
	api->closed = true;
	le = list_head(&api->asks);
	while (le) {
		struct ask *a = le->data;

		le = le->next;
		if (!a->job)
			continue;
		a->job = mem_deref(a->job);
		list_unlink(&a->le);
		ask_free(a);
	}
}


int api_renew(struct api *api, char *reason, size_t reason_sz)
{
	SSL_CTX *ctx = NULL;
	int err;

	if (!api || api->closed || !api->prm.cfg->listen_count)
		return 0;

	err = apitls_load(&ctx, api->prm.cfg, reason, reason_sz);
	if (!err)
		server_renew(api->server, ctx);
	return err;
}


uint16_t api_port(const struct api *api, unsigned n)
{
	return api ? server_port(api->server, n) : 0;
}


uint16_t api_admin_port(const struct api *api)
{
	return api ? server_admin_port(api->server) : 0;
}
