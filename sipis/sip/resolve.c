/**
 * @file resolve.c  From a SIP domain to addresses; RFC 3263, RFC 2782
 *
 *   numeric ----------------------------------------------------+
 *   in the hosts file ------------------------------------------+
 *   port given ----------------------------> A + AAAA ----------+--> hops
 *   transport given --> SRV of it ---------> A + AAAA ----------+
 *   neither --> NAPTR --> SRV of each -----> A + AAAA ----------+
 *                 | none
 *                 +--> SRV TLS, TCP, UDP; the first that exists
 *
 * No SRV: the name itself with the protocol's port.  A target without an
 * address in DNS is asked of the system (hosts.h) as a last resort.  One
 * question at a time, but for A and AAAA; none waits for more than 5 s.
 *
 * A NAPTR or SRV question without an answer (time-out, SERVFAIL, REFUSED) is
 * no "there is none": what the walk finds then is a guess.  A guess never
 * replaces an answer that still stands.
 */

#include <errno.h>
#include <string.h>
#include "common/log.h"
#include "common/nameserv.h"
#include "sipis/sip/resolve_priv.h"


enum {
	TTL_MIN = 30,
	TTL_MAX = 3600,
	TTL_HOSTS = 60, /* the hosts file has none */
	RETRY_S = 10,
};


static void ask(void *arg);
static void next_service(struct resolve *r);
static void next_target(struct resolve *r);


static void destructor(void *data)
{
	struct resolve *r = data;

	tmr_cancel(&r->tmr);
	mem_deref(r->q);
	mem_deref(r->q6);
	mem_deref(r->hq);
	mem_deref(r->host);
	mem_deref(r->hosts);
	mem_deref(r->dnsc);
	mem_deref(r->nameserv);
}


/* Nobody has answered.  New servers may have what the old ones would not */
static void limit(void *arg)
{
	struct resolve *r = arg;

	r->q = mem_deref(r->q);
	r->q6 = mem_deref(r->q6);
	if (!r->hopc && !r->unanswered)
		log_warning("sip", "-", "no name server answers host=%s",
			    r->host);

	if (nameserv_look(r->nameserv) != r->servers)
		ask(r);
	else
		r->qh(ETIMEDOUT, NULL, NULL, NULL, NULL, r);
}


static int question(struct resolve *r, struct dns_query **qp, const char *name,
		    uint16_t type, dns_query_h *qh)
{
	int err =
		dnsc_query(qp, r->dnsc, name, type, DNS_CLASS_IN, true, qh, r);

	if (err)
		return err;

	r->qh = qh;
	tmr_start(&r->tmr, NAMESERV_LIMIT_MS, limit, r);

	return 0;
}


static enum sip_transp transp(enum cfg_transport tp)
{
	switch (tp) {
	case CFG_TP_TCP:
		return SIP_TRANSP_TCP;
	case CFG_TP_TLS:
		return SIP_TRANSP_TLS;
	default:
		return SIP_TRANSP_UDP;
	}
}


static void finish(struct resolve *r)
{
	const bool keep = resolve_hops_stand(r);
	uint32_t wait = r->ttl < TTL_MIN ? TTL_MIN : r->ttl;

	r->q = mem_deref(r->q);
	r->q6 = mem_deref(r->q6);
	r->hq = mem_deref(r->hq);

	if (keep || !r->nextc || r->unanswered)
		wait = RETRY_S;
	if (keep || !r->nextc)
		log_warning("sip", "-", "DNS has no %s for the PBX host=%s%s",
			    r->nextc ? "whole answer" : "address", r->host,
			    keep ? " (the old addresses stay)" : "");

	if (!keep)
		resolve_hops_adopt(r);

	tmr_start(&r->tmr, (uint64_t)wait * 1000, ask, r);

	if (!keep && r->hopc && r->h)
		r->h(r, r->arg);
}


static void see_ttl(struct resolve *r, const struct dnsrr *rr)
{
	if (rr->ttl >= 0 && rr->ttl < (int64_t)r->ttl)
		r->ttl = (uint32_t)rr->ttl;
}


static void add_target(struct resolve *r, const char *name, enum sip_transp tp,
		       uint16_t port, uint16_t pri, uint16_t weight)
{
	struct target *t = &r->targetv[r->targetc];

	if (r->targetc >= RESOLVE_TARGETS || str_len(name) >= sizeof(t->name))
		return;

	str_ncpy(t->name, name, sizeof(t->name));
	t->tp = tp;
	t->port = port;
	t->pri = pri;
	t->weight = weight;
	t->service = r->servicei;
	++r->targetc;
}


static void add_service(struct resolve *r, const char *name,
			enum sip_transp tp, uint16_t order, uint16_t pref)
{
	struct service *s, tmp;
	unsigned i;

	if (r->servicec >= RESOLVE_SERVICES ||
	    str_len(name) >= sizeof(s->name))
		return;

	s = &r->servicev[r->servicec];
	str_ncpy(s->name, name, sizeof(s->name));
	s->tp = tp;
	s->order = order;
	s->pref = pref;

	for (i = r->servicec++; i > 0; i--) {
		struct service *a = &r->servicev[i - 1];
		struct service *b = &r->servicev[i];

		if (a->order < b->order ||
		    (a->order == b->order && a->pref <= b->pref))
			break;
		tmp = *a;
		*a = *b;
		*b = tmp;
	}
}


static void add_srv_name(struct resolve *r, enum sip_transp tp)
{
	static const char *const prefix[] = {
		[SIP_TRANSP_UDP] = "_sip._udp.",
		[SIP_TRANSP_TCP] = "_sip._tcp.",
		[SIP_TRANSP_TLS] = "_sips._tcp.",
	};
	char name[256];

	if (re_snprintf(name, sizeof(name), "%s%s", prefix[tp], r->host) > 0)
		add_service(r, name, tp, 0, 0);
}


/* RFC 2782: by priority, within one at random by weight */
static void sort_targets(struct target *v, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		uint32_t sum = 0, pick;
		uint16_t pri = UINT16_MAX;
		unsigned k, at = i;
		struct target tmp;

		for (k = i; k < n; k++) {
			if (v[k].pri < pri)
				pri = v[k].pri;
		}
		for (k = i; k < n; k++)
			sum += v[k].pri == pri ? v[k].weight + 1u : 0;

		pick = sum ? rand_u32() % sum : 0;
		for (k = i; k < n; k++) {
			if (v[k].pri != pri)
				continue;
			at = k;
			if (pick < v[k].weight + 1u)
				break;
			pick -= v[k].weight + 1u;
		}

		tmp = v[i];
		v[i] = v[at];
		v[at] = tmp;
	}
}


/* --- A and AAAA --- */

static void system_handler(const struct sa *v, unsigned n, void *arg)
{
	struct resolve *r = arg;
	const struct target *t = &r->targetv[r->targeti];

	for (unsigned i = 0; i < n; i++)
		resolve_hop_add(r, &v[i], t->tp, t->port);
	if (n && r->ttl > TTL_HOSTS)
		r->ttl = TTL_HOSTS;

	++r->targeti;
	r->hq = mem_deref(r->hq);
	next_target(r);
}


static bool addr_rr_handler(struct dnsrr *rr, void *arg)
{
	struct resolve *r = arg;
	const struct target *t = &r->targetv[r->targeti];
	struct sa sa;

	sa_init(&sa, AF_UNSPEC); /* what follows leaves the scope as it is */
	if (rr->type == DNS_TYPE_A)
		sa_set_in(&sa, rr->rdata.a.addr, 0);
	else if (rr->type == DNS_TYPE_AAAA)
		sa_set_in6(&sa, rr->rdata.aaaa.addr, 0);
	else
		return false;

	see_ttl(r, rr);
	resolve_hop_add(r, &sa, t->tp, t->port);

	return false;
}


static void addr_done(struct resolve *r, bool found)
{
	const struct target *t = &r->targetv[r->targeti];

	if (r->q || r->q6)
		return; /* the other family is still to come */

	tmr_cancel(&r->tmr);
	for (unsigned i = 0; !found && i < r->nextc; i++)
		found = r->nextv[i].tp == t->tp &&
			sa_port(&r->nextv[i].addr) == t->port;

	if (!found && !hosts_lookup(&r->hq, t->name, system_handler, r))
		return;

	++r->targeti;
	next_target(r);
}


static void addr_handler(int err, const struct dnshdr *hdr, struct list *ansl,
			 struct list *authl, struct list *addl, void *arg)
{
	struct resolve *r = arg;
	const unsigned before = r->nextc;
	(void)err;
	(void)hdr;
	(void)authl;
	(void)addl;

	if (ansl)
		(void)dns_rrlist_apply2(ansl, NULL, DNS_TYPE_A, DNS_TYPE_AAAA,
					DNS_CLASS_IN, false, addr_rr_handler,
					r);
	addr_done(r, r->nextc > before);
}


static void next_target(struct resolve *r)
{
	struct target *t = &r->targetv[r->targeti];
	struct sa v[HOSTS_MAX] = { 0 };
	unsigned n;

	if (r->targeti >= r->targetc) {
		finish(r);
		return;
	}

	if (!sa_set_str(&v[0], t->name, 0)) {
		n = 1;
	}
	else {
		n = hosts_file(v, HOSTS_MAX, r->hosts, t->name);
		if (n && r->ttl > TTL_HOSTS)
			r->ttl = TTL_HOSTS;
	}

	if (n) {
		for (unsigned i = 0; i < n; i++)
			resolve_hop_add(r, &v[i], t->tp, t->port);
		++r->targeti;
		next_target(r);
		return;
	}

	if (r->dnsc) {
		(void)question(r, &r->q, t->name, DNS_TYPE_A, addr_handler);
		(void)question(r, &r->q6, t->name, DNS_TYPE_AAAA,
			       addr_handler);
	}
	if (!r->q && !r->q6)
		addr_done(r, false);
}


/* --- SRV --- */

/* "There is none" and "I do not know that type" are answers */
static void see_answer(struct resolve *r, int err, const struct dnshdr *hdr)
{
	if (err || !hdr || hdr->rcode == DNS_RCODE_SRV_FAIL ||
	    hdr->rcode == DNS_RCODE_REFUSED)
		r->unanswered = true;
}


static bool srv_rr_handler(struct dnsrr *rr, void *arg)
{
	struct resolve *r = arg;

	/* RFC 2782: a lone dot says that the service is not there */
	if (str_isset(rr->rdata.srv.target) &&
	    strcmp(rr->rdata.srv.target, ".")) {
		see_ttl(r, rr);
		add_target(r, rr->rdata.srv.target,
			   r->servicev[r->servicei].tp, rr->rdata.srv.port,
			   rr->rdata.srv.pri, rr->rdata.srv.weight);
	}

	return false;
}


static void srv_handler(int err, const struct dnshdr *hdr, struct list *ansl,
			struct list *authl, struct list *addl, void *arg)
{
	struct resolve *r = arg;
	const unsigned before = r->targetc;
	(void)authl;
	(void)addl;

	tmr_cancel(&r->tmr);
	see_answer(r, err, hdr);
	if (ansl)
		(void)dns_rrlist_apply(ansl, NULL, DNS_TYPE_SRV, DNS_CLASS_IN,
				       false, srv_rr_handler, r);
	sort_targets(&r->targetv[before], r->targetc - before);

	++r->servicei;
	if (r->first_service_only && r->targetc)
		r->servicei = r->servicec;

	next_service(r);
}


static void next_service(struct resolve *r)
{
	while (r->servicei < r->servicec) {
		if (!question(r, &r->q, r->servicev[r->servicei].name,
			      DNS_TYPE_SRV, srv_handler))
			return;
		r->unanswered = true;
		++r->servicei;
	}

	if (!r->targetc) {
		const enum sip_transp tp = transp(r->want);

		add_target(r, r->host, tp, sip_transp_port(tp, 0), 0, 0);
	}

	next_target(r);
}


/* --- NAPTR --- */

static bool naptr_rr_handler(struct dnsrr *rr, void *arg)
{
	static const struct {
		const char *name;
		enum sip_transp tp;
	} table[] = {
		{ "SIP+D2U", SIP_TRANSP_UDP },
		{ "SIP+D2T", SIP_TRANSP_TCP },
		{ "SIPS+D2T", SIP_TRANSP_TLS },
	};
	struct resolve *r = arg;

	if (str_casecmp(rr->rdata.naptr.flags, "s"))
		return false;

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		if (str_casecmp(rr->rdata.naptr.services, table[i].name))
			continue;
		see_ttl(r, rr);
		add_service(r, rr->rdata.naptr.replace, table[i].tp,
			    rr->rdata.naptr.order, rr->rdata.naptr.pref);
	}

	return false;
}


static void naptr_handler(int err, const struct dnshdr *hdr, struct list *ansl,
			  struct list *authl, struct list *addl, void *arg)
{
	struct resolve *r = arg;
	(void)authl;
	(void)addl;

	tmr_cancel(&r->tmr);
	see_answer(r, err, hdr);
	if (ansl)
		(void)dns_rrlist_apply(ansl, NULL, DNS_TYPE_NAPTR,
				       DNS_CLASS_IN, false, naptr_rr_handler,
				       r);
	if (!r->servicec) {
		r->first_service_only = true;
		add_srv_name(r, SIP_TRANSP_TLS);
		add_srv_name(r, SIP_TRANSP_TCP);
		add_srv_name(r, SIP_TRANSP_UDP);
	}

	next_service(r);
}


/* --- the whole --- */

static void ask(void *arg)
{
	struct resolve *r = arg;
	const enum sip_transp tp = transp(r->want);
	struct sa sa;

	r->nextc = r->servicec = r->servicei = 0;
	r->targetc = r->targeti = 0;
	r->first_service_only = r->unanswered = false;
	r->ttl = TTL_MAX;
	r->servers = nameserv_look(r->nameserv);

	if (r->port || !r->dnsc || hosts_file(&sa, 1, r->hosts, r->host)) {
		add_target(r, r->host, tp, sip_transp_port(tp, r->port), 0, 0);
		next_target(r);
		return;
	}

	if (r->want != CFG_TP_AUTO) {
		add_srv_name(r, tp);
		next_service(r);
		return;
	}

	if (question(r, &r->q, r->host, DNS_TYPE_NAPTR, naptr_handler))
		naptr_handler(0, NULL, NULL, NULL, NULL, r);
}


int resolve_alloc(struct resolve **rp, const struct resolve_prm *prm)
{
	struct resolve *r;
	struct sa sa = { 0 };
	int err;

	if (!rp || !prm || !str_isset(prm->host))
		return EINVAL;

	r = mem_zalloc(sizeof(*r), destructor);
	if (!r)
		return ENOMEM;

	r->port = prm->port;
	r->want = prm->tp;
	r->dnsc = mem_ref(prm->dnsc);
	r->nameserv = mem_ref(prm->nameserv);
	r->h = prm->h;
	r->arg = prm->arg;

	err = str_dup(&r->host, prm->host);
	if (prm->hosts)
		err |= str_dup(&r->hosts, prm->hosts);
	if (err)
		goto out;

	if (!sa_set_str(&sa, r->host, 0)) {
		const enum sip_transp tp = transp(r->want);

		resolve_hop_add(r, &sa, tp, sip_transp_port(tp, r->port));
		resolve_hops_adopt(r);
		r->good_until = UINT64_MAX;
	}
	else {
		tmr_start(&r->tmr, 1, ask, r);
	}

out:
	if (err)
		mem_deref(r);
	else
		*rp = r;

	return err;
}


bool resolve_is(const struct resolve *r, const char *host, uint16_t port,
		enum cfg_transport tp)
{
	return r && r->port == port && r->want == tp &&
	       !str_casecmp(r->host, host);
}


static int parse_port(const char *s, uint16_t *port)
{
	struct pl pl;
	uint32_t v;

	pl_set_str(&pl, s);
	if (!pl.l || pl.l > 5)
		return EINVAL;
	for (size_t i = 0; i < pl.l; i++) {
		if (pl.p[i] < '0' || pl.p[i] > '9')
			return EINVAL;
	}

	v = pl_u32(&pl);
	if (!v || v > UINT16_MAX)
		return EINVAL;
	*port = (uint16_t)v;

	return 0;
}


int resolve_split(const char *hostport, char *host, size_t size,
		  uint16_t *port)
{
	const char *end, *colon;
	struct sa sa;
	size_t len;

	if (!str_isset(hostport) || !host || !port)
		return EINVAL;

	*port = 0;
	if (*hostport == '[') {
		++hostport;
		end = strchr(hostport, ']');
		if (!end || (end[1] && end[1] != ':'))
			return EINVAL;
		colon = end[1] ? end + 1 : NULL;
	}
	else {
		colon = strchr(hostport, ':');
		if (colon && !sa_set_str(&sa, hostport, 0))
			colon = NULL;
		end = colon ? colon : hostport + strlen(hostport);
	}

	len = (size_t)(end - hostport);
	if (!len || len >= size)
		return EINVAL;
	if (colon && parse_port(colon + 1, port))
		return EINVAL;

	memcpy(host, hostport, len);
	host[len] = '\0';

	return 0;
}
