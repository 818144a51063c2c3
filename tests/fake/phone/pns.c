/**
 * @file pns.c  The push connection: this process is a device of fake-pns
 *
 * A phone keeps its push connection while everything else sleeps.  It comes
 * back by itself when the service was away.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "phone.h"

#define RETRY_MS  200
#define LINE_SIZE (256 * 1024)

struct pns {
	struct phone *ph;
	struct tcp_conn *tc;
	struct mbuf *mb;
	struct tmr tmr;
	struct sa addr;
	bool up;
};

static void dial(void *arg);


static void pns_destructor(void *arg)
{
	struct pns *pns = arg;

	tmr_cancel(&pns->tmr);
	mem_deref(pns->tc);
	mem_deref(pns->mb);
}


static void put(struct pns *pns, json_t *o)
{
	char *s = json_dumps(o, JSON_COMPACT);
	struct mbuf *mb = mbuf_alloc(512);

	json_decref(o);
	if (s && mb && pns->tc) {
		(void)mbuf_printf(mb, "%s\n", s);
		mb->pos = 0;
		(void)tcp_send(pns->tc, mb);
	}
	mem_deref(mb);
	free(s);
}


static json_t *apns_token(const struct phone_cfg *cfg, const char *token,
			  const char *suffix)
{
	char topic[256];

	(void)re_snprintf(topic, sizeof(topic), "%s%s", cfg->topic, suffix);

	return json_pack("{ssssssss}", "provider", "apns", "token", token,
			 "topic", topic, "environment", cfg->environment);
}


static json_t *tokens(const struct phone_cfg *cfg)
{
	const char *comma = strchr(cfg->token, ',');
	json_t *a = json_array();
	char voip[256];

	if (!strcmp(cfg->platform, "android")) {
		json_array_append_new(a, json_pack("{ssssss*}", "provider",
						   "fcm", "token", cfg->token,
						   "project", cfg->project));
		return a;
	}
	str_ncpy(voip, cfg->token,
		 min(sizeof(voip),
		     comma ? (size_t)(comma - cfg->token) + 1 : sizeof(voip)));
	json_array_append_new(a, apns_token(cfg, voip, ".voip"));
	if (comma)
		json_array_append_new(a, apns_token(cfg, comma + 1, ""));

	return a;
}


static void established(void *arg)
{
	struct pns *pns = arg;
	const struct phone_cfg *cfg = phone_cfg(pns->ph);

	put(pns, json_pack("{ssssso}", "op", "device", "device",
			   cfg->installation, "tokens", tokens(cfg)));
}


static void line(struct pns *pns, const char *p, size_t len)
{
	json_t *o = json_loadb(p, len, 0, NULL);
	const char *event = json_string_value(json_object_get(o, "event"));
	const char *error = json_string_value(json_object_get(o, "error"));

	/* once up we only report, and the service may have stopped to wait */
	if (error && !pns->up)
		steps_put(phone_steps(pns->ph), "error", NULL,
			  json_pack("{ssss}", "what", "push service", "error",
				    error));
	else if (!event && !pns->up) {
		pns->up = true;
		phone_pns_up(pns->ph);
	}
	else if (event && !strcmp(event, "push"))
		phone_push(pns->ph,
			   (uint64_t)json_integer_value(
				   json_object_get(o, "seq")),
			   json_object_get(o, "payload"));
	else if (event && !strcmp(event, "killed"))
		steps_put(phone_steps(pns->ph), "killed", NULL, NULL);
	json_decref(o);
}


static void lost(int err, void *arg)
{
	struct pns *pns = arg;

	steps_put(phone_steps(pns->ph), "error", NULL,
		  json_pack("{sssi}", "what", "push service away", "errno",
			    err));
	pns->tc = mem_deref(pns->tc);
	mbuf_rewind(pns->mb);
	tmr_start(&pns->tmr, RETRY_MS, dial, pns);
}


static void received(struct mbuf *mb, void *arg)
{
	struct pns *pns = arg;
	struct mbuf *all = pns->mb;
	const char *nl;

	if (mbuf_write_mem(all, mbuf_buf(mb), mbuf_get_left(mb)) ||
	    all->end > LINE_SIZE) {
		lost(EOVERFLOW, pns);
		return;
	}
	all->pos = 0;
	while ((nl = memchr(mbuf_buf(all), '\n', mbuf_get_left(all)))) {
		const char *p = (char *)mbuf_buf(all);

		line(pns, p, (size_t)(nl - p));
		all->pos += (size_t)(nl - p) + 1;
	}
	memmove(all->buf, mbuf_buf(all), mbuf_get_left(all));
	all->end -= all->pos;
	all->pos = all->end;
}


static void dial(void *arg)
{
	struct pns *pns = arg;
	const int err = tcp_connect(&pns->tc, &pns->addr, established,
				    received, lost, pns);

	if (err)
		tmr_start(&pns->tmr, RETRY_MS, dial, pns);
}


int pns_alloc(struct pns **pp, struct phone *ph)
{
	const char *addr = phone_cfg(ph)->pns;
	struct pns *pns = mem_zalloc(sizeof(*pns), pns_destructor);
	int err;

	if (!pns)
		return ENOMEM;
	pns->ph = ph;
	tmr_init(&pns->tmr);
	pns->mb = mbuf_alloc(1024);
	err = pns->mb ? sa_decode(&pns->addr, addr, strlen(addr)) : ENOMEM;
	if (err) {
		mem_deref(pns);
		return err;
	}
	dial(pns);
	*pp = pns;

	return 0;
}


void pns_reported(struct pns *pns, uint64_t seq)
{
	put(pns, json_pack("{sssssI}", "op", "reported", "device",
			   phone_cfg(pns->ph)->installation, "seq",
			   (json_int_t)seq));
}
