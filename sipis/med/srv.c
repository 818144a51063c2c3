/**
 * @file srv.c  A DNS SRV name into the mediators behind it
 */

#include <errno.h>
#include <string.h>
#include "common/ident.h"
#include "common/log.h"
#include "common/nameserv.h"
#include "sipis/med/srv.h"

enum {
	AGAIN_MS = 2000, /**< after an answer that is none */
	LEAST_S = 5,
	MOST_S = 60, /**< a mediator that is new is used within a minute */
};

struct srv {
	char *name;
	struct dnsc *dnsc;
	struct nameserv *nameserv;
	struct dns_query *q;
	struct tmr tmr;
	size_t key;  /**< of this process: weights spread the processes */
	bool silent; /**< and that has been told */
	srv_h *h;
	void *arg;
};

struct found {
	char targetv[SRV_MAX][SRV_NAME_SIZE];
	unsigned n;
	int64_t ttl;
};


bool srv_is_name(const char *name)
{
	return name && *name == '_';
}


static void destructor(void *arg)
{
	struct srv *s = arg;

	tmr_cancel(&s->tmr);
	mem_deref(s->q);
	mem_deref(s->dnsc);
	mem_deref(s->nameserv);
	mem_deref(s->name);
}


static bool rr_handler(struct dnsrr *rr, void *arg)
{
	struct found *f = arg;
	char *to = f->targetv[f->n];

	/* "." says that the service is not offered */
	if (!*rr->rdata.srv.target || !strcmp(rr->rdata.srv.target, "."))
		return false;

	if (re_snprintf(to, SRV_NAME_SIZE, "%s:%u", rr->rdata.srv.target,
			rr->rdata.srv.port) > 0)
		++f->n;
	if (rr->ttl < f->ttl)
		f->ttl = rr->ttl;
	return f->n == SRV_MAX;
}


static void ask(void *arg);


static void query_handler(int err, const struct dnshdr *hdr, struct list *ansl,
			  struct list *authl, struct list *addl, void *arg)
{
	struct srv *s = arg;
	struct found f = { .ttl = MOST_S };
	(void)authl;
	(void)addl;

	if (!err && !hdr->rcode) {
		dns_rrlist_sort(ansl, DNS_TYPE_SRV, s->key);
		(void)dns_rrlist_apply(ansl, NULL, DNS_TYPE_SRV, DNS_CLASS_IN,
				       false, rr_handler, &f);
	}

	if (!f.n) {
		if (!s->silent)
			log_warning("med", NULL, "no mediators behind %s: %s",
				    s->name,
				    err ? strerror(err)
				    : hdr->rcode
					    ? dns_hdr_rcodename(hdr->rcode)
					    : "no SRV records");
		s->silent = true;
		tmr_start(&s->tmr, AGAIN_MS, ask, s);
		return;
	}

	s->silent = false;
	tmr_start(&s->tmr, (f.ttl < LEAST_S ? LEAST_S : f.ttl) * 1000, ask, s);
	s->h((const char(*)[SRV_NAME_SIZE])f.targetv, f.n, s->arg);
}


static void late(void *arg)
{
	struct srv *s = arg;

	s->q = mem_deref(s->q);
	query_handler(ETIMEDOUT, NULL, NULL, NULL, NULL, s);
}


static void ask(void *arg)
{
	struct srv *s = arg;

	s->q = mem_deref(s->q);
	(void)nameserv_look(s->nameserv);
	tmr_start(&s->tmr, NAMESERV_LIMIT_MS, late, s);
	if (dnsc_query(&s->q, s->dnsc, s->name, DNS_TYPE_SRV, DNS_CLASS_IN,
		       true, query_handler, s))
		tmr_start(&s->tmr, AGAIN_MS, ask, s);
}


int srv_alloc(struct srv **sp, const char *name, srv_h *h, void *arg)
{
	struct srv *s;
	int err;

	if (!sp || !srv_is_name(name) || !h)
		return EINVAL;

	s = mem_zalloc(sizeof(*s), destructor);
	if (!s)
		return ENOMEM;

	tmr_init(&s->tmr);
	s->h = h;
	s->arg = arg;
	err = str_dup(&s->name, name);
	if (!err)
		err = ident_random(&s->key, sizeof(s->key));
	if (!err)
		err = nameserv_alloc(&s->nameserv, &s->dnsc);
	if (err) {
		mem_deref(s);
		return err;
	}

	tmr_start(&s->tmr, 0, ask, s);
	*sp = s;
	return 0;
}
