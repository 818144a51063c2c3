/**
 * @file vain.c  REGISTERs that came in vain
 *
 * Each stands in the log, in the timelines of the calls that wait for a phone
 * of its account, and in what sipisctl says of that.  One that is refused
 * before the store was asked about it has it asked, but seldom: that costs
 * more than the refusal.
 */

#include <string.h>
#include "common/clock.h"
#include "common/log.h"
#include "sipis/call/reason.h"
#include "sipis/edge/login.h"
#include "sipis/edge/rebuff.h"


struct seeker {
	struct le le;
	struct edge *edge; /**< NULL once that is closed */
	struct edge_rebuff b;
};


static void destructor(void *data)
{
	struct seeker *s = data;

	list_unlink(&s->le);
}


/* From another port it is the same again */
static uint32_t kind_of(const struct edge_rebuff *b)
{
	char addr[EDGE_ADDR], text[256];

	edge_addr_print(addr, &b->peer);
	(void)re_snprintf(text, sizeof(text), "%u %s %s", b->scode, b->why,
			  addr);

	return hash_joaat_str(text);
}


static void keep(struct edge *e, const struct edge_rebuff *b)
{
	char detail[sizeof(b->phone) + sizeof(b->why) + 96];

	(void)re_snprintf(detail, sizeof(detail), "%u %s; %s from %s %J",
			  b->scode, b->why, b->phone, edge_transport(b->tp),
			  &b->peer);
	edge_rebuffs_add(e->rebuffs, b);
	calls_rebuffed(e->prm.calls, b->acct, kind_of(b), detail);
}


static void acct_handler(int err, const struct acct_row *row, void *arg)
{
	struct seeker *s = arg;

	if (!err && s->edge) {
		s->b.acct = row->id;
		keep(s->edge, &s->b);
	}
	mem_deref(s);
}


static void seek(const struct edge_login *l, const struct edge_rebuff *b)
{
	struct edge *e = l->edge;
	struct seeker *s;

	if (!bucket_take(&e->seeks, 1, clock_mono_ms()))
		return;

	s = mem_zalloc(sizeof(*s), destructor);
	if (!s)
		return;

	s->edge = e;
	s->b = *b;
	list_append(&e->seekers, &s->le, s);
	if (store_acct_find(e->prm.store, pbx_cfg(l->pbx)->name, l->user,
			    l->domain, acct_handler, s))
		mem_deref(s);
}


/* Strangers choose it, and operators read it at a terminal */
static void name_take(struct edge_rebuff *b, const struct edge_contact *c)
{
	char name[EDGE_URI];
	struct pl pl;

	if (edge_contact_name(name, sizeof(name), c))
		str_ncpy(name, "a phone", sizeof(name));
	pl_set_str(&pl, name);
	reason_text(b->phone, sizeof(b->phone), &pl);
}


void edge_vain(struct edge_login *l, uint16_t scode, const char *why)
{
	const struct sip_msg *msg = l->msg;
	struct edge *e = l->edge;
	const bool lines = edge_may_log(e, &msg->src);
	struct edge_rebuff b = { .acct = l->acct,
				 .at_ms = clock_wall_ms(),
				 .scode = scode,
				 .tp = msg->tp,
				 .peer = msg->src };
	char from[64];

	metric_inc(&e->metricv[EDGE_M_REFUSED]);
	(void)re_snprintf(from, sizeof(from), "%J", &msg->src);
	if (lines)
		log_info("edge", NULL,
			 "%s@%s cannot register from %s %s: %u %s", l->user,
			 l->domain, edge_transport(msg->tp), from, scode, why);

	name_take(&b, &l->wish.contact);
	(void)str_ncpy(b.why, why, sizeof(b.why));
	if (b.acct)
		keep(e, &b);
	else if (lines && !l->looked_up)
		seek(l, &b);
}


/* One now and then is what a client does that keeps its nonce */
void edge_vain_stale(struct edge *e, const struct sip_msg *msg)
{
	const uint64_t now = clock_mono_ms();
	char addr[EDGE_ADDR], aor[EDGE_AOR], key[LIMIT_KEY_MAX];
	struct edge_login *l;

	edge_addr_print(addr, &msg->src);
	edge_aor_print(aor, msg);
	(void)re_snprintf(key, sizeof(key), "%llx",
			  edge_budget_key("stale", addr, aor));
	if (limit_take(e->stales, key, 1, now) ||
	    !limit_has(e->lines, addr, 1, now) || edge_login_alloc(&l, e, msg))
		return;

	edge_vain(l, 401,
		  "it answers challenges that are old, or were for another "
		  "port");
	mem_deref(l);
}


void edge_vain_close(struct edge *e)
{
	struct le *le;

	/* the store answers them yet */
	while ((le = list_head(&e->seekers))) {
		struct seeker *s = le->data;

		list_unlink(le);
		s->edge = NULL;
	}
}
