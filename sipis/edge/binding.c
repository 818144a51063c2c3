/**
 * @file binding.c  Which phone is at the end of which flow
 *
 * One per phone and reg-id (RFC 5626), whatever Call-ID and Contact it comes
 * with: a phone that wakes up anew each time piles nothing up.
 */

#include <errno.h>
#include <string.h>
#include "common/clock.h"
#include "common/ident.h"
#include "common/log.h"
#include "sipis/edge/flow.h"
#include "sipis/edge/priv.h"


static void count(struct edge *e, int n)
{
	struct metric *m = &e->metricv[EDGE_M_BINDINGS];

	metric_set(m, atomic_load(&m->value) + n);
}


static void destructor(void *data)
{
	struct edge_binding *b = data;

	if (b->he_acct.list)
		count(b->flow->edge, -1);
	edge_leaver_gone(b);
	tmr_cancel(&b->tmr);
	hash_unlink(&b->he_phone);
	hash_unlink(&b->he_acct);
	list_unlink(&b->le);
	mem_deref(b->user);
	mem_deref(b->domain);
	mem_deref(b->proxy);
	mem_deref(b->contact);
	mem_deref(b->params);
	mem_deref(b->callid);
}


static uint32_t phone_key(const uint8_t phone[EDGE_PHONE])
{
	return hash_joaat(phone, EDGE_PHONE);
}


static struct list *phone_list(const struct edge *e,
			       const uint8_t phone[EDGE_PHONE])
{
	return hash_list(e->phones, phone_key(phone));
}


static uint32_t acct_key(uint64_t acct)
{
	return hash_joaat((const uint8_t *)&acct, sizeof(acct));
}


static bool is_of(const struct edge_binding *b,
		  const uint8_t phone[EDGE_PHONE])
{
	return !memcmp(b->phone, phone, EDGE_PHONE);
}


/* A flow that has just ended still has its bindings */
static bool is_here(const struct edge_binding *b)
{
	return b->flow->he.list != NULL;
}


/* The last one in the list registered last, or is preferred */
struct edge_binding *edge_binding_besides(const struct edge *e,
					  const uint8_t phone[EDGE_PHONE],
					  const struct sa *peer)
{
	for (struct le *le = list_tail(phone_list(e, phone)); le;
	     le = le->prev) {
		struct edge_binding *b = le->data;

		if (is_of(b, phone) && is_here(b) &&
		    !(peer && sa_cmp(&b->flow->peer, peer, SA_ALL)))
			return b;
	}

	return NULL;
}


struct edge_binding *edge_binding_of(const struct edge *e,
				     const uint8_t phone[EDGE_PHONE])
{
	return edge_binding_besides(e, phone, NULL);
}


void edge_binding_prefer(const struct edge *e, const uint8_t phone[EDGE_PHONE],
			 const struct sa *peer)
{
	for (struct le *le = list_head(phone_list(e, phone)); le;
	     le = le->next) {
		struct edge_binding *b = le->data;

		if (!is_of(b, phone) || !is_here(b) ||
		    !sa_cmp(&b->flow->peer, peer, SA_ALL))
			continue;

		hash_unlink(&b->he_phone);
		hash_append(e->phones, phone_key(phone), &b->he_phone, b);
		return;
	}
}


struct edge_binding *edge_binding_reg(const struct edge *e,
				      const uint8_t phone[EDGE_PHONE],
				      uint32_t reg_id)
{
	for (struct le *le = list_head(phone_list(e, phone)); le;
	     le = le->next) {
		struct edge_binding *b = le->data;

		if (is_of(b, phone) && b->reg_id == reg_id)
			return b;
	}

	return NULL;
}


struct edge_binding *edge_binding_next(const struct edge *e, uint64_t acct,
				       const struct edge_binding *after)
{
	struct le *le = after ? after->he_acct.next
			      : list_head(hash_list(e->accts, acct_key(acct)));

	for (; le; le = le->next) {
		struct edge_binding *b = le->data;

		if (b->acct == acct)
			return b;
	}

	return NULL;
}


bool edge_binding_pushed(const struct edge *e, const uint8_t phone[EDGE_PHONE])
{
	struct le *le = list_head(hash_list(e->phones, phone_key(phone)));

	for (; le; le = le->next) {
		const struct edge_binding *b = le->data;

		if (is_of(b, phone) && b->pn_hash)
			return true;
	}

	return false;
}


struct edge_binding *edge_binding_on(const struct edge_flow *f,
				     const uint8_t phone[EDGE_PHONE])
{
	for (struct le *le = list_head(&f->bindings); le; le = le->next)
		if (is_of(le->data, phone))
			return le->data;

	return NULL;
}


struct edge_binding *edge_binding_from(const struct edge_flow *f,
				       const struct uri *from)
{
	char user[128];

	if (re_snprintf(user, sizeof(user), "%H", uri_user_unescape,
			&from->user) < 0)
		return NULL;

	for (struct le *le = list_head(&f->bindings); le; le = le->next) {
		struct edge_binding *b = le->data;

		if (!strcmp(b->user, user) &&
		    !pl_strcasecmp(&from->host, b->domain))
			return b;
	}

	return NULL;
}


struct edge_binding *edge_binding_again(const struct edge_flow *f,
					const struct uri *aor, uint32_t name)
{
	const struct edge_binding *first = edge_binding_from(f, aor);

	for (struct le *le = first ? f->bindings.head : NULL; le;
	     le = le->next) {
		struct edge_binding *b = le->data;

		if (b->acct == first->acct && b->name == name)
			return b;
	}

	return NULL;
}


bool edge_binding_late(const struct edge_binding *b, const struct sip_msg *msg)
{
	return b && !pl_strcmp(&msg->callid, b->callid) &&
	       msg->cseq.num <= b->cseq;
}


void edge_unbind(struct edge_binding *b, int err)
{
	struct edge_flow *f = b->flow;

	if (b->he_acct.list)
		count(f->edge, -1);
	hash_unlink(&b->he_phone);
	hash_unlink(&b->he_acct);
	list_unlink(&b->le);
	if (!edge_leaver(b, err))
		mem_deref(b);
	edge_flow_left(f, err);
}


static void expired_handler(void *arg)
{
	struct edge_binding *b = arg;

	log_info("edge", NULL, "%s of %s@%s has not registered again", b->id,
		 b->user, b->domain);
	edge_unbind(b, ENOTCONN);
}


static int fill(struct edge_binding *b, const struct edge_bind *prm)
{
	int err;

	b->flow = prm->flow;
	b->pbx = prm->pbx;
	memcpy(b->phone, prm->phone, EDGE_PHONE);
	ident_hex(b->id, prm->phone, EDGE_PHONE);
	b->known = prm->known;
	b->acct = prm->acct;
	b->transport = prm->transport;
	b->cseq = prm->cseq;
	b->reg_id = prm->reg_id;
	b->pn_hash = prm->pn_hash;
	b->name = prm->name;
	b->slot = prm->slot;
	err = str_dup(&b->user, prm->user);
	err |= str_dup(&b->domain, prm->domain);
	if (str_isset(prm->proxy))
		err |= str_dup(&b->proxy, prm->proxy);
	err |= pl_strdup(&b->contact, &prm->contact);
	err |= pl_strdup(&b->params, &prm->params);
	err |= pl_strdup(&b->callid, &prm->callid);

	return err;
}


int edge_bind(struct edge_binding **bp, const struct edge_bind *prm)
{
	struct edge *e = prm->flow->edge;
	struct edge_binding *old, *b = mem_zalloc(sizeof(*b), destructor);
	int err;

	if (!b)
		return ENOMEM;

	err = fill(b, prm);
	if (err) {
		mem_deref(b);
		return err;
	}

	old = edge_binding_reg(e, prm->phone, prm->reg_id);
	hash_append(e->phones, phone_key(b->phone), &b->he_phone, b);
	hash_append(e->accts, acct_key(b->acct), &b->he_acct, b);
	list_append(&b->flow->bindings, &b->le, b);
	count(e, 1);
	edge_flow_joined(b->flow);
	b->until = clock_mono_ms() + prm->expires_s * 1000ull;
	tmr_start(&b->tmr, prm->expires_s * 1000ull, expired_handler, b);
	if (old)
		edge_unbind(old, ECONNABORTED);
	edge_leavers_drop(e, b->phone);

	*bp = b;

	return 0;
}
