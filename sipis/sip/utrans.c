/**
 * @file utrans.c  Client transactions over UDP, not INVITE; RFC 3261 17.1.2
 *
 *     trying --1xx--> proceeding       timer E: 0.5 s, doubled up to 4 s
 *       |  \              |                     (proceeding: 4 s)
 *       |   +----2xx-6xx--+--> gone    timer F: 32 s
 *       +--F, transport error----> gone
 *
 * A branch is "z9hG4bKu", the slot's number and 64 random bits: the answer
 * finds its transaction without a search, and nobody can guess one.
 */

#include <errno.h>
#include <string.h>
#include "common/ident.h"
#include "sipis/sip/utrans.h"


enum {
	BRANCH_LEN = 8 + 8 + 16,
	ROOM = 256, /* request line and Via */
	SLOTS_MIN = 64,
	RANDOM = 8,  /* bytes of a branch */
	POOL = 2048, /* and of many: one draw costs as much */
};

static const char prefix[] = "z9hG4bKu";

struct utrans_table {
	struct utrans **v;
	uint32_t size, used;
	uint32_t hint;      /* below it every slot is taken */
	uint8_t pool[POOL]; /* random; nobody forks */
	size_t pooled;
};

struct utrans {
	struct utrans_table *t;
	struct utrans **up;
	struct udp_sock *us;
	struct mbuf *mb;
	struct sa dst;
	struct tmr tmr;
	uint64_t end; /* of timer F */
	uint32_t slot, wait;
	bool proceeding;
	char branch[BRANCH_LEN + 1];
	utrans_h *h;
	void *arg;
};


static void table_destructor(void *data)
{
	struct utrans_table *t = data;

	for (uint32_t i = 0; i < t->size; i++) {
		if (t->v[i])
			t->v[i]->t = NULL;
	}
	mem_deref(t->v);
}


int utrans_table_alloc(struct utrans_table **tp)
{
	struct utrans_table *t;

	if (!tp)
		return EINVAL;

	t = mem_zalloc(sizeof(*t), table_destructor);
	if (!t)
		return ENOMEM;

	*tp = t;

	return 0;
}


static int slot_take(struct utrans_table *t, struct utrans *u)
{
	if (t->used == t->size) {
		const uint32_t size = t->size ? 2 * t->size : SLOTS_MIN;
		struct utrans **v =
			mem_reallocarray(t->v, size, sizeof(*v), NULL);

		if (!v)
			return ENOMEM;
		memset(v + t->size, 0, (size - t->size) * sizeof(*v));
		t->hint = t->size;
		t->v = v;
		t->size = size;
	}

	while (t->v[t->hint])
		++t->hint;

	u->slot = t->hint++;
	u->t = t;
	t->v[u->slot] = u;
	++t->used;

	return 0;
}


static void slot_leave(struct utrans *u)
{
	struct utrans_table *t = u->t;

	if (!t)
		return;

	t->v[u->slot] = NULL;
	--t->used;
	if (u->slot < t->hint)
		t->hint = u->slot;
	u->t = NULL;
}


static void destructor(void *data)
{
	struct utrans *u = data;

	tmr_cancel(&u->tmr);
	slot_leave(u);
	mem_deref(u->mb);
	mem_deref(u->us);
}


static void done(struct utrans *u, int err, const struct answer *ans)
{
	utrans_h *h = u->h;
	void *arg = u->arg;

	*u->up = NULL;
	mem_deref(u);
	h(err, ans, arg);
}


static int transmit(struct utrans *u)
{
	u->mb->pos = 0;

	return udp_send(u->us, &u->dst, u->mb);
}


static void timer_handler(void *arg)
{
	struct utrans *u = arg;
	const uint64_t now = tmr_jiffies();
	int err;

	if (now >= u->end) {
		done(u, ETIMEDOUT, NULL);
		return;
	}

	err = transmit(u);
	if (err) {
		done(u, err, NULL);
		return;
	}

	u->wait = u->proceeding || 2 * u->wait > SIP_T2 ? SIP_T2 : 2 * u->wait;
	tmr_start(&u->tmr, u->wait < u->end - now ? u->wait : u->end - now,
		  timer_handler, u);
}


/* What is given away is not kept */
static int draw(struct utrans_table *t, uint8_t *raw)
{
	if (t->pooled < RANDOM) {
		int err = ident_random(t->pool, POOL);

		if (err)
			return err;
		t->pooled = POOL;
	}

	t->pooled -= RANDOM;
	memcpy(raw, t->pool + t->pooled, RANDOM);
	memset(t->pool + t->pooled, 0, RANDOM);

	return 0;
}


static int make_branch(struct utrans *u)
{
	uint8_t raw[4 + RANDOM];
	int err = draw(u->t, raw + 4);

	if (err)
		return err;

	for (int i = 0; i < 4; i++)
		raw[i] = (uint8_t)(u->slot >> (24 - 8 * i));

	memcpy(u->branch, prefix, 8);
	ident_hex(u->branch + 8, raw, sizeof(raw));

	return 0;
}


static int put(struct mbuf *mb, const char *s)
{
	return mbuf_write_mem(mb, (const uint8_t *)s, strlen(s));
}


static int compose(struct utrans *u, const char *laddr, const char *met,
		   const char *uri, const struct mbuf *mb)
{
	int err;

	u->mb = mbuf_alloc(ROOM + mbuf_get_left(mb));
	if (!u->mb)
		return ENOMEM;

	err = put(u->mb, met);
	err |= put(u->mb, " ");
	err |= put(u->mb, uri);
	err |= put(u->mb, " SIP/2.0\r\nVia: SIP/2.0/UDP ");
	err |= put(u->mb, laddr);
	err |= put(u->mb, ";branch=");
	err |= put(u->mb, u->branch);
	err |= put(u->mb, ";rport\r\n");
	err |= mbuf_write_mem(u->mb, mbuf_buf(mb), mbuf_get_left(mb));

	return err;
}


int utrans_send(struct utrans **up, struct utrans_table *t,
		struct udp_sock *us, const char *laddr, const struct sa *dst,
		const char *met, const char *uri, struct mbuf *mb, utrans_h *h,
		void *arg)
{
	struct utrans *u;
	int err;

	if (!up || !t || !us || !laddr || !dst || !met || !uri || !mb || !h)
		return EINVAL;

	u = mem_zalloc(sizeof(*u), destructor);
	if (!u)
		return ENOMEM;

	u->up = up;
	u->us = mem_ref(us);
	u->dst = *dst;
	u->h = h;
	u->arg = arg;

	err = slot_take(t, u);
	if (err)
		goto out;

	err = make_branch(u);
	err = err ? err : compose(u, laddr, met, uri, mb);
	err = err ? err : transmit(u);
	if (err)
		goto out;

	u->wait = SIP_T1;
	u->end = tmr_jiffies() + 64 * SIP_T1;
	tmr_start(&u->tmr, u->wait, timer_handler, u);

out:
	if (err)
		mem_deref(u);
	else
		*up = u;

	return err;
}


static bool unhex(uint32_t *v, const char *s)
{
	uint8_t raw[4];
	char buf[9];

	memcpy(buf, s, 8);
	buf[8] = '\0';
	if (ident_unhex(raw, sizeof(raw), buf))
		return false;

	*v = (uint32_t)raw[0] << 24 | (uint32_t)raw[1] << 16 |
	     (uint32_t)raw[2] << 8 | raw[3];

	return true;
}


static struct utrans *find(const struct utrans_table *t,
			   const struct pl *branch)
{
	struct utrans *u;
	uint32_t slot;

	if (branch->l != BRANCH_LEN || !unhex(&slot, branch->p + 8) ||
	    slot >= t->size)
		return NULL;

	u = t->v[slot];

	return u && !memcmp(u->branch, branch->p, BRANCH_LEN) ? u : NULL;
}


static void take(struct utrans *u, const struct answer *ans)
{
	if (ans->scode < 200)
		u->proceeding = true;
	else
		done(u, 0, ans);
}


static bool is_ours(const struct pl *branch)
{
	return branch->l >= sizeof(prefix) - 1 &&
	       !memcmp(branch->p, prefix, sizeof(prefix) - 1);
}


/* Folded lines: libre knows how */
static bool recv_folded(struct utrans_table *t, const struct mbuf *mb)
{
	struct mbuf *copy = mbuf_alloc(mbuf_get_left(mb));
	struct sip_msg *msg = NULL;
	struct answer ans;
	struct utrans *u;
	bool ours = false;

	if (!copy)
		return false;

	(void)mbuf_write_mem(copy, mbuf_buf(mb), mbuf_get_left(mb));
	copy->pos = 0;
	if (sip_msg_decode(&msg, copy))
		goto out;

	ours = !msg->req && is_ours(&msg->via.branch);
	u = ours ? find(t, &msg->via.branch) : NULL;
	if (u) {
		answer_of_msg(&ans, msg);
		take(u, &ans);
	}

out:
	mem_deref(msg);
	mem_deref(copy);

	return ours;
}


/* Most of what comes in is not: a look at its Vias must do */
static bool may_be_ours(const char *p, const char *end)
{
	const char *line = p;

	while ((p = memchr(p, '\n', (size_t)(end - p)))) {
		if (++p < end && (*p == ' ' || *p == '\t'))
			continue;
		if ((*line | 0x20) == 'v' &&
		    memmem(line, (size_t)(p - line), prefix,
			   sizeof(prefix) - 1))
			return true;
		line = p;
	}

	return false;
}


bool utrans_recv(struct utrans_table *t, const struct mbuf *mb)
{
	const char *p = (const char *)mbuf_buf(mb);
	struct answer ans;
	struct utrans *u;
	struct pl branch;
	int err;

	if (!t || !may_be_ours(p, p + mbuf_get_left(mb)))
		return false;

	err = answer_decode(&ans, p, mbuf_get_left(mb));
	if (err == ENOSYS)
		return recv_folded(t, mb);
	if (err || answer_branch(&ans, &branch) || !is_ours(&branch))
		return false;

	u = find(t, &branch);
	if (u)
		take(u, &ans);

	return true;
}
