/**
 * @file line.c  One PBX: lanes, pacing, what its accounts have in common
 *
 *     asked by hand:  remove -> look -> probe      (ahead of all others)
 *     accounts:       refresh x 3, fresh x 1, ...
 *
 * Each REGISTER takes a token here and one of the whole service.  Work is
 * sent in bursts of one tick, a twelfth of a second's allowance: the PBX
 * never sees more than 110 % of the cap in any second, and the process wakes
 * up for many instead of for each.
 */

#include <errno.h>
#include <string.h>
#include "sipis/reg/priv.h"


enum {
	INFLIGHT_UNKNOWN = 32, /* until the PBX has answered once */
	DRAIN = 1024,          /* accounts per tick that are not sent */
	REFRESH_SHARE = 4,
};


static void destructor(void *data)
{
	struct line *ln = data;

	pbx_path_handler(ln->pbx, NULL, NULL);
	list_unlink(&ln->le);
	list_flush(&ln->txl);
	list_flush(&ln->removel);
	list_flush(&ln->lookl);
	list_flush(&ln->probel);
	list_flush(&ln->mistakel);

	for (uint16_t i = 0; i < ln->realmc; i++) {
		mem_deref(ln->realmv[i].name);
		mem_deref(ln->realmv[i].nonce[0]);
		mem_deref(ln->realmv[i].nonce[1]);
	}
	mem_deref(ln->realmv);
	for (uint16_t i = 0; i < ln->peerc; i++)
		mem_deref(ln->peerv[i]);
	mem_deref(ln->peerv);
	mem_deref(ln->pbx);
}


static void lane_init(struct lane *l)
{
	l->head = NULL;
	l->tailp = &l->head;
	l->n = 0;
}


static void lane_put(struct lane *l, struct wheel_link *link)
{
	link->next = NULL;
	link->pprev = l->tailp;
	*l->tailp = link;
	l->tailp = &link->next;
	++l->n;
}


static void lane_take(struct lane *l, struct wheel_link *link)
{
	*link->pprev = link->next;
	if (link->next)
		link->next->pprev = link->pprev;
	else
		l->tailp = link->pprev;
	link->next = NULL;
	link->pprev = NULL;
	--l->n;
}


static double burst(uint32_t rate)
{
	return rate > BURSTS ? (double)rate / BURSTS : 1;
}


static int line_alloc(struct line **lp, struct reg *reg, struct pbx *pbx)
{
	const struct pbx_cfg *cfg = pbx_cfg(pbx);
	const uint64_t now = reg_now_ms();
	struct line *ln = mem_zalloc(sizeof(*ln), destructor);

	if (!ln)
		return ENOMEM;

	ln->reg = reg;
	ln->pbx = mem_ref(pbx);
	ln->cfg = cfg;
	ln->expires_s = cfg->refresh_s;
	lane_init(&ln->fresh);
	lane_init(&ln->refresh);
	bucket_init(&ln->rate, cfg->register_rate, burst(cfg->register_rate),
		    now);
	bucket_init(&ln->looks, cfg->look_rate, burst(cfg->look_rate) + 1,
		    now);
	mistakes_init(ln, now);

	restart_line(ln);
	list_append(&reg->linel, &ln->le, ln);
	pbx_path_handler(pbx, watch_path, ln);
	*lp = ln;

	return 0;
}


int line_find(struct line **lp, struct reg *reg, struct pbx *pbx)
{
	if (reg->recent && reg->recent->pbx == pbx) {
		*lp = reg->recent;
		return 0;
	}

	for (struct le *le = reg->linel.head; le; le = le->next) {
		struct line *ln = le->data;

		if (ln->pbx == pbx) {
			*lp = reg->recent = ln;
			return 0;
		}
	}

	return line_alloc(lp, reg, pbx);
}


void line_queue(struct line *ln, struct acct *a, bool refresh)
{
	/* the second from which on it waits */
	a->link.due = reg_now_s();
	lane_put(refresh ? &ln->refresh : &ln->fresh, &a->link);
	a->place = refresh ? PLACE_REFRESH : PLACE_FRESH;
	reg_kick(ln->reg, TICK_MS);
}


void line_unqueue(struct line *ln, struct acct *a)
{
	lane_take(a->place == PLACE_REFRESH ? &ln->refresh : &ln->fresh,
		  &a->link);
	a->place = PLACE_NONE;
}


int line_domain(const struct line *ln, const char *domain, uint16_t *number)
{
	const struct pbx_cfg *cfg = ln->cfg;

	for (uint32_t i = 0; i < cfg->domains_count; i++) {
		if (!str_casecmp(cfg->domains[i], domain)) {
			*number = (uint16_t)i;
			return 0;
		}
	}

	return ENOENT;
}


int line_realm(struct line *ln, const char *name, uint16_t *number)
{
	struct realm *v;

	for (uint16_t i = 0; i < ln->realmc; i++) {
		if (!strcmp(ln->realmv[i].name, name)) {
			*number = (uint16_t)(i + 1);
			return 0;
		}
	}

	if (ln->realmc == REALMS_MAX)
		return EOVERFLOW;

	v = mem_reallocarray(ln->realmv, (size_t)ln->realmc + 1, sizeof(*v),
			     NULL);
	if (!v)
		return ENOMEM;
	ln->realmv = v;
	memset(&v[ln->realmc], 0, sizeof(*v));
	if (str_dup(&v[ln->realmc].name, name))
		return ENOMEM;

	*number = ++ln->realmc;

	return 0;
}


static int peer_alloc(struct peer **pp, const struct sa *addr,
		      enum sip_transp tp)
{
	struct peer *p = mem_zalloc(sizeof(*p), NULL);

	if (!p)
		return ENOMEM;

	p->addr = *addr;
	p->tp = tp;
	(void)re_snprintf(p->host, sizeof(p->host), "%j", addr);
	/* UDP is what libre takes first where nothing is said */
	(void)re_snprintf(p->params, sizeof(p->params), "%s",
			  sip_transp_param(tp));
	pl_set_str(&p->route.scheme, "sip");
	pl_set_str(&p->route.host, p->host);
	pl_set_str(&p->route.params, p->params);
	p->route.port = sa_port(addr);
	*pp = p;

	return 0;
}


struct peer *line_peer_find(const struct line *ln, const struct sa *addr,
			    enum sip_transp tp)
{
	for (uint16_t i = 0; i < ln->peerc; i++)
		if (ln->peerv[i]->tp == tp &&
		    sa_cmp(&ln->peerv[i]->addr, addr, SA_ALL))
			return ln->peerv[i];

	return NULL;
}


int line_peer(struct line *ln, struct peer **pp, const struct sa *addr,
	      enum sip_transp tp)
{
	struct peer **v;
	int err;

	*pp = line_peer_find(ln, addr, tp);
	if (*pp)
		return 0;

	if (ln->peerc == UINT16_MAX)
		return EOVERFLOW;

	v = mem_reallocarray(ln->peerv, (size_t)ln->peerc + 1, sizeof(*v),
			     NULL);
	if (!v)
		return ENOMEM;
	ln->peerv = v;

	err = peer_alloc(&v[ln->peerc], addr, tp);
	if (err)
		return err;

	v[ln->peerc]->number = ln->peerc;
	*pp = v[ln->peerc++];

	return 0;
}


const char *line_proxy(const struct line *ln, const char *proxy,
		       const char *domain)
{
	if (str_isset(proxy))
		return proxy;

	/* Without a proxy each domain is its own next hop */
	return ln->cfg->outbound_proxy || domain == ln->cfg->domains[0]
		       ? ""
		       : domain;
}


bool line_has_token(struct line *ln, uint64_t now)
{
	return !bucket_wait(&ln->rate, 1, now) &&
	       !bucket_wait(&ln->reg->rate, 1, now);
}


void line_take_token(struct line *ln, uint64_t now)
{
	(void)bucket_take(&ln->rate, 1, now);
	(void)bucket_take(&ln->reg->rate, 1, now);
}


void line_charge(struct line *ln)
{
	const uint64_t now = reg_now_ms();

	bucket_charge(&ln->rate, 1, now);
	bucket_charge(&ln->reg->rate, 1, now);
}


/* --- accounts --- */

static struct acct *next_acct(struct line *ln)
{
	struct lane *l = &ln->refresh;
	struct acct *a;

	if (!l->n || (ln->fresh.n && ++ln->turn % REFRESH_SHARE == 0))
		l = &ln->fresh;
	if (!l->n)
		return NULL;

	a = (struct acct *)(void *)l->head;
	line_unqueue(ln, a);

	return a;
}


static void later(struct acct *a, uint32_t retry_after_s)
{
	const uint32_t s = reg_wait_s(retry_after_s, a->fails, rand_u32());

	acct_failed(a);
	a->told = retry_after_s != 0;
	acct_event(a, REG_EV_LATER, s, "");
}


/* The PBX is away: who comes due now waits for its return */
static void drain(struct line *ln)
{
	for (int i = 0; i < DRAIN; i++) {
		struct acct *a = next_acct(ln);

		if (!a)
			break;
		a->scode = 0;
		later(a, 0);
	}
}


static bool start(struct line *ln, struct acct *a)
{
	const bool refresh = a->state == REG_REGISTERED;
	int err = tx_start(ln, TX_REGISTER, a, NULL);

	switch (err) {
	case 0:
		return true;
	case EAGAIN: /* no address yet, or no CSeq */
		line_queue(ln, a, refresh);
		return false;
	case ENOENT: /* every target has asked for peace */
		later(a, 1 + (uint32_t)(pbx_target_wait(
						ln->pbx,
						line_proxy(ln, acct_proxy(a),
							   acct_domain(a)),
						acct_transport(a)) /
					1000));
		return true;
	default:
		later(a, 0);
		return true;
	}
}


static void wait_for_budget(struct line *ln, struct acct *a, uint64_t now)
{
	const uint64_t ms = line_budget(ln, now) == BUDGET_OUT
				    ? 1000
				    : bucket_wait(&ln->fails, 1, now);

	wheel_start(ln->reg->wheel, &a->link,
		    reg_now_s() + 1 + (uint32_t)(ms / 1000));
	a->place = PLACE_WHEEL;
}


static bool pump_accts(struct line *ln, uint64_t now)
{
	const uint32_t cap =
		ln->health == HEALTH_UNKNOWN &&
				ln->cfg->register_inflight > INFLIGHT_UNKNOWN
			? INFLIGHT_UNKNOWN
			: ln->cfg->register_inflight;
	unsigned skips = DRAIN;

	if (ln->health == HEALTH_DOWN) {
		drain(ln);
		return ln->fresh.n + ln->refresh.n != 0;
	}

	while (skips && ln->inflight < cap) {
		struct acct *a;

		if (!line_has_token(ln, now))
			return true;

		a = next_acct(ln);
		if (!a)
			return false;
		if (a->busy) {
			line_queue(ln, a, a->state == REG_REGISTERED);
			--skips;
			continue;
		}
		if (!a->proven && line_budget(ln, now) != BUDGET_THERE) {
			wait_for_budget(ln, a, now);
			--skips;
			continue;
		}

		line_take_token(ln, now);
		if (!start(ln, a))
			return true;
	}

	return ln->fresh.n + ln->refresh.n != 0;
}


bool line_pump(struct line *ln, uint64_t now)
{
	bool more;

	more = op_pump(ln, &ln->removel, false, now);
	more |= op_pump(ln, &ln->lookl, true, now);
	more |= op_pump(ln, &ln->probel, false, now);
	more |= pump_accts(ln, now);

	return more || ln->removel.head || ln->lookl.head || ln->probel.head;
}
