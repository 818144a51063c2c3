/**
 * @file budget.c  Who may be wrong how often; pure, time is an argument
 *
 *     here over this flow?  --> the flow's purse
 *     was right before?     --> the phone's
 *     else                  --> the address's and the account's
 *                               the account's is empty: of an address where
 *                               nobody was wrong of late, the spare one
 */

#include <errno.h>
#include <string.h>
#include "common/bucket.h"
#include "common/secret.h"
#include "sipis/edge/budget.h"
#include "sipis/inst/limit.h"


enum {
	ACCOUNT_FACTOR = 10,
	KEYS_MAX = 20000,
	PHONES_MAX = 100000,
	PHONES_SIZE = 16384,
};

struct edge_budget {
	double rate, burst;
	struct limit *addrs, *flows;
	struct limit *aors, *spare;
	struct hash *phones; /**< that were right */
	struct list lru;     /**< longest silent first */
	unsigned phonec;
};

struct phone {
	struct le he, le;
	uint64_t key;
	struct bucket bucket;
};


void edge_addr_print(char dst[EDGE_ADDR], const struct sa *sa)
{
	struct sa net = *sa;

	/* whoever has one address of IPv6 has 2^64 of them */
	if (sa_af(sa) == AF_INET6) {
		net.u.in6.sin6_scope_id = 0;
		memset((uint8_t *)&net.u.in6.sin6_addr + 8, 0, 8);
	}
	(void)re_snprintf(dst, EDGE_ADDR, "%j", &net);
}


uint64_t edge_budget_key(const char *one, const char *two, const char *three)
{
	char text[1024];
	uint8_t md[32];
	uint64_t key;
	int n = re_snprintf(text, sizeof(text), "%s\n%s\n%s", one, two, three);

	if (n < 0 || secret_sha256(md, text, (size_t)n))
		return 1;

	memcpy(&key, md, sizeof(key));

	return key ? key : 1;
}


static void phone_destructor(void *data)
{
	struct phone *p = data;

	hash_unlink(&p->he);
	list_unlink(&p->le);
}


static void destructor(void *data)
{
	struct edge_budget *b = data;

	list_flush(&b->lru);
	mem_deref(b->phones);
	mem_deref(b->addrs);
	mem_deref(b->flows);
	mem_deref(b->aors);
	mem_deref(b->spare);
}


int edge_budget_alloc(struct edge_budget **bp, double per_min)
{
	struct edge_budget *b;
	int err;

	if (!bp || per_min < 1)
		return EINVAL;

	b = mem_zalloc(sizeof(*b), destructor);
	if (!b)
		return ENOMEM;

	b->rate = per_min / 60;
	b->burst = per_min;
	err = limit_alloc(&b->addrs, b->rate, b->burst, KEYS_MAX);
	err |= limit_alloc(&b->flows, b->rate, b->burst, KEYS_MAX);
	err |= limit_alloc(&b->aors, ACCOUNT_FACTOR * b->rate,
			   ACCOUNT_FACTOR * b->burst, KEYS_MAX);
	err |= limit_alloc(&b->spare, ACCOUNT_FACTOR * b->rate,
			   ACCOUNT_FACTOR * b->burst, KEYS_MAX);
	err |= hash_alloc(&b->phones, PHONES_SIZE);
	if (err)
		mem_deref(b);
	else
		*bp = b;

	return err;
}


static bool key_handler(struct le *le, void *arg)
{
	const struct phone *p = le->data;
	const uint64_t *key = arg;

	return p->key == *key;
}


static struct phone *phone_find(const struct edge_budget *b, uint64_t key)
{
	return key ? list_ledata(hash_lookup(b->phones, (uint32_t)key,
					     key_handler, &key))
		   : NULL;
}


static void aor_print(char dst[LIMIT_KEY_MAX], const struct edge_claim *c)
{
	(void)re_snprintf(dst, LIMIT_KEY_MAX, "%llx", c->aor);
}


static enum edge_purse stranger(const struct edge_budget *b,
				const struct edge_claim *c, uint64_t now_ms)
{
	char aor[LIMIT_KEY_MAX];

	if (!limit_has(b->addrs, c->addr, 1, now_ms))
		return EDGE_PURSE_NONE;

	aor_print(aor, c);
	if (!c->aor || limit_has(b->aors, aor, 1, now_ms))
		return EDGE_PURSE_STRANGER;

	return limit_has(b->addrs, c->addr, b->burst, now_ms) &&
			       limit_has(b->spare, aor, 1, now_ms)
		       ? EDGE_PURSE_CLEAN
		       : EDGE_PURSE_NONE;
}


enum edge_purse edge_budget_may(const struct edge_budget *b,
				const struct edge_claim *c, uint64_t now_ms)
{
	const struct phone *p = phone_find(b, c->phone);

	if (*c->flow && limit_has(b->flows, c->flow, 1, now_ms))
		return EDGE_PURSE_FLOW;
	if (p && !bucket_wait(&p->bucket, 1, now_ms))
		return EDGE_PURSE_PHONE;

	return stranger(b, c, now_ms);
}


void edge_budget_wrong(struct edge_budget *b, const struct edge_claim *c,
		       enum edge_purse purse, uint64_t now_ms)
{
	struct phone *p = phone_find(b, c->phone);
	char aor[LIMIT_KEY_MAX];

	aor_print(aor, c);
	switch (purse) {

	case EDGE_PURSE_FLOW:
		(void)limit_take(b->flows, c->flow, 1, now_ms);
		break;

	case EDGE_PURSE_PHONE:
		if (p)
			(void)bucket_take(&p->bucket, 1, now_ms);
		break;

	case EDGE_PURSE_STRANGER:
		(void)limit_take(b->addrs, c->addr, 1, now_ms);
		if (c->aor)
			(void)limit_take(b->aors, aor, 1, now_ms);
		break;

	case EDGE_PURSE_CLEAN:
		(void)limit_take(b->addrs, c->addr, 1, now_ms);
		(void)limit_take(b->spare, aor, 1, now_ms);
		break;

	case EDGE_PURSE_NONE:
		break;
	}
}


static void phone_add(struct edge_budget *b, uint64_t key, uint64_t now_ms)
{
	struct phone *p;

	if (b->phonec >= PHONES_MAX)
		mem_deref(list_ledata(list_head(&b->lru)));
	else
		++b->phonec;

	p = mem_zalloc(sizeof(*p), phone_destructor);
	if (!p) {
		--b->phonec;
		return;
	}

	p->key = key;
	bucket_init(&p->bucket, b->rate, b->burst, now_ms);
	hash_append(b->phones, (uint32_t)key, &p->he, p);
	list_append(&b->lru, &p->le, p);
}


void edge_budget_right(struct edge_budget *b, const struct edge_claim *c,
		       uint64_t now_ms)
{
	struct phone *p = phone_find(b, c->phone);

	if (p) {
		list_unlink(&p->le);
		list_append(&b->lru, &p->le, p);
	}
	else if (c->phone) {
		phone_add(b, c->phone, now_ms);
	}
}
