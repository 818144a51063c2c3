/**
 * @file guard.c  Who may still ask: connections, requests, wrong secrets
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <re/re.h>
#include "common/bucket.h"
#include "sipis/api/guard.h"
#include "sipis/inst/limit.h"

#define KEYS_MAX  20000
#define WRONG_ALL 10 /**< in all, times what one address may */

struct guard {
	struct hash *addrs;
	unsigned count, max, max_addr;
	struct limit *requests, *wrong;
	struct bucket wrong_all;
};

struct addr {
	struct le he;
	unsigned count;
	char text[GUARD_ADDR_MAX];
};


static void destructor(void *arg)
{
	struct guard *g = arg;

	hash_flush(g->addrs);
	mem_deref(g->addrs);
	mem_deref(g->requests);
	mem_deref(g->wrong);
}


int guard_alloc(struct guard **gp, const struct api_cfg *cfg)
{
	const double rate = cfg->requests_per_second;
	const double wrong = cfg->bad_secrets_per_min;
	struct guard *g;
	int err;

	g = mem_zalloc(sizeof(*g), destructor);
	if (!g)
		return ENOMEM;

	g->max = cfg->connections;
	g->max_addr = cfg->connections_per_address;
	bucket_init(&g->wrong_all, WRONG_ALL * wrong / 60, WRONG_ALL * wrong,
		    0);
	err = hash_alloc(&g->addrs, 1024);
	if (!err)
		err = limit_alloc(&g->requests, rate, 2 * rate, KEYS_MAX);
	if (!err)
		err = limit_alloc(&g->wrong, wrong / 60, wrong, KEYS_MAX);
	if (err)
		mem_deref(g);
	else
		*gp = g;
	return err;
}


void guard_addr(char *dst, const struct sockaddr *sa)
{
	const struct sockaddr_in6 *in6 = (const void *)sa;
	const struct sockaddr_in *in = (const void *)sa;
	struct in6_addr net;

	*dst = 0;
	if (sa->sa_family == AF_INET) {
		(void)inet_ntop(AF_INET, &in->sin_addr, dst, GUARD_ADDR_MAX);
		return;
	}
	if (sa->sa_family != AF_INET6)
		return;

	if (IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr)) {
		(void)inet_ntop(AF_INET, &in6->sin6_addr.s6_addr[12], dst,
				GUARD_ADDR_MAX);
		return;
	}
	net = in6->sin6_addr;
	memset(&net.s6_addr[8], 0, 8);
	(void)inet_ntop(AF_INET6, &net, dst, GUARD_ADDR_MAX);
}


static bool same(struct le *le, void *arg)
{
	const struct addr *a = le->data;

	return !strcmp(a->text, arg);
}


static struct addr *find(const struct guard *g, const char *addr)
{
	return list_ledata(hash_lookup(g->addrs, hash_joaat_str(addr), same,
				       (void *)addr));
}


static void addr_destructor(void *arg)
{
	struct addr *a = arg;

	hash_unlink(&a->he);
}


bool guard_open(struct guard *g, const char *addr)
{
	struct addr *a = find(g, addr);

	if (g->count >= g->max || (a && a->count >= g->max_addr))
		return false;
	if (!a) {
		a = mem_zalloc(sizeof(*a), addr_destructor);
		if (!a)
			return false;
		(void)str_ncpy(a->text, addr, sizeof(a->text));
		hash_append(g->addrs, hash_joaat_str(addr), &a->he, a);
	}

	a->count++;
	g->count++;
	return true;
}


void guard_close(struct guard *g, const char *addr)
{
	struct addr *a = find(g, addr);

	if (!a)
		return;

	g->count--;
	if (!--a->count)
		mem_deref(a);
}


unsigned guard_count(const struct guard *g)
{
	return g->count;
}


uint32_t guard_request(struct guard *g, const char *addr, uint64_t now_ms)
{
	return limit_take(g->requests, addr, 1, now_ms)
		       ? 0
		       : limit_wait_s(g->requests, addr, 1, now_ms);
}


static uint32_t all_wait_s(const struct guard *g, uint64_t now_ms)
{
	const uint64_t ms = bucket_wait(&g->wrong_all, 1, now_ms);

	return (uint32_t)((ms + 999) / 1000);
}


uint32_t guard_secret(struct guard *g, const char *addr, uint64_t now_ms)
{
	const double whole = limit_burst(g->wrong);

	if (!limit_has(g->wrong, addr, 1, now_ms))
		return limit_wait_s(g->wrong, addr, 1, now_ms);

	/* one of those who used them up? */
	if (!limit_has(g->wrong, addr, whole, now_ms))
		return all_wait_s(g, now_ms);
	return 0;
}


uint32_t guard_wrong(struct guard *g, const char *addr, uint64_t now_ms)
{
	(void)limit_take(g->wrong, addr, 1, now_ms);
	return bucket_take(&g->wrong_all, 1, now_ms) ? 0
						     : all_wait_s(g, now_ms);
}
