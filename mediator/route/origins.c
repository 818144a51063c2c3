/**
 * @file route/origins.c  The push services that one VAPID key is shown to
 */

#include <errno.h>
#include <string.h>
#include "mediator/drv/endpoint.h"
#include "mediator/route/origins.h"

struct origins {
	char *name, *subject, *ca;
	struct pool *pools;
	uint32_t pools_count;
	bool private_addresses;
	struct mcfg_link link;
	struct signer *signer;  /**< reference */
	struct signer_key *key; /**< reference */
	struct dest_hush *hush; /**< of hosts that only "*" allows */
	struct dest_counters counters;
	dest_result_h *resulth;
	void *arg;
};

/* The places of one pattern: hosts that only "*" allows do not crowd those
   out that are named */
struct pool {
	char *pattern;
	struct list places; /**< owns struct place; the last used is first */
	unsigned count;
};

struct place {
	struct le le;
	char *origin;
	struct dest *dest;
	struct list lines; /**< owns struct app_line */
};

struct app_line {
	struct le le;
	char *app;
	struct dest_line *line;
};

/* Where no endpoints are given: the browsers that are about */
static const char *const browsers[] = {
	"fcm.googleapis.com",
	"updates.push.services.mozilla.com",
	"*.push.apple.com",
	"*.notify.windows.com",
};

enum { BROWSERS = sizeof(browsers) / sizeof(browsers[0]) };


static void line_destructor(void *arg)
{
	struct app_line *al = arg;

	list_unlink(&al->le);
	mem_deref(al->line);
	mem_deref(al->app);
}


static void place_destructor(void *arg)
{
	struct place *pl = arg;

	list_unlink(&pl->le);
	list_flush(&pl->lines);
	mem_deref(pl->dest);
	mem_deref(pl->origin);
}


static void destructor(void *arg)
{
	struct origins *o = arg;

	for (uint32_t i = 0; o->pools && i < o->pools_count; i++) {
		list_flush(&o->pools[i].places);
		mem_deref(o->pools[i].pattern);
	}
	mem_deref(o->pools);
	mem_deref(o->hush);
	mem_deref(o->key);
	mem_deref(o->signer);
	mem_deref(o->ca);
	mem_deref(o->subject);
	mem_deref(o->name);
}


static bool anybody(const char *pattern)
{
	return !strcmp(pattern, "*");
}


/* "*" allows the browsers as well; as patterns of their own they have places
   that hosts of strangers cannot take */
static bool browsers_too(const struct mcfg_webpush *cfg)
{
	for (uint32_t i = 0; i < cfg->endpoints_count; i++)
		if (anybody(cfg->endpoints[i]))
			return true;

	return !cfg->endpoints_count;
}


static int pools_make(struct origins *o, const struct mcfg_webpush *cfg)
{
	const uint32_t own = cfg->endpoints_count;
	const uint32_t n = own + (browsers_too(cfg) ? BROWSERS : 0);
	int err = 0;

	o->pools = mem_zalloc(sizeof(*o->pools) * n, NULL);
	if (!o->pools)
		return ENOMEM;

	o->pools_count = n;
	for (uint32_t i = 0; !err && i < n; i++)
		err = str_dup(&o->pools[i].pattern,
			      i < own ? cfg->endpoints[i] : browsers[i - own]);

	return err;
}


int origins_alloc(struct origins **op, const struct origins_prm *prm)
{
	struct origins *o;
	int err;

	if (!op || !prm || !prm->cfg || !prm->key || !prm->resulth)
		return EINVAL;

	o = mem_zalloc(sizeof(*o), destructor);
	if (!o)
		return ENOMEM;

	o->private_addresses = prm->cfg->private_addresses;
	o->link = prm->cfg->link;
	o->signer = mem_ref(prm->signer);
	o->key = mem_ref(prm->key);
	if (prm->counters)
		o->counters = *prm->counters;
	o->resulth = prm->resulth;
	o->arg = prm->arg;
	err = str_dup(&o->name, prm->name);
	if (!err)
		err = str_dup(&o->subject, prm->cfg->subject);
	if (!err && o->link.ca)
		err = str_dup(&o->ca, o->link.ca);
	o->link.ca = o->ca;
	if (!err)
		err = pools_make(o, prm->cfg);
	if (!err)
		err = dest_hush_alloc(&o->hush);

	if (err)
		mem_deref(o);
	else
		*op = o;

	return err;
}


/* A host says more than a domain, a longer domain more than a shorter one */
static size_t precision(const char *pattern)
{
	return strlen(pattern) + (*pattern == '*' ? 0 : ENDPOINT_ORIGIN);
}


/* NULL: not allowed */
static struct pool *pool_of(const struct origins *o, struct endpoint *ep,
			    const char *token)
{
	struct pool *best = NULL;

	if (endpoint_read(ep, token, strcspn(token, " ")))
		return NULL;
	for (uint32_t i = 0; i < o->pools_count; i++) {
		struct pool *pool = &o->pools[i];

		if (endpoint_fits(ep, pool->pattern) &&
		    (!best ||
		     precision(pool->pattern) > precision(best->pattern)))
			best = pool;
	}

	return best;
}


bool origins_allow(const struct origins *o, const char *token)
{
	struct endpoint ep;

	return o && token && pool_of(o, &ep, token);
}


static struct place *place_find(const struct pool *pool, const char *origin)
{
	struct le *le;

	LIST_FOREACH (&pool->places, le) {
		struct place *pl = le->data;

		if (!strcmp(pl->origin, origin))
			return pl;
	}

	return NULL;
}


/* Each push that is under way has a reference of its destination */
static int room_make(struct pool *pool)
{
	struct le *le;

	if (pool->count < ORIGINS_MAX)
		return 0;
	for (le = pool->places.tail; le; le = le->prev) {
		struct place *pl = le->data;

		if (mem_nrefs(pl->dest) > 1)
			continue;
		mem_deref(pl);
		pool->count--;
		return 0;
	}

	return ENOSPC;
}


static int dest_make(struct place *pl, const struct origins *o,
		     const struct pool *pool, const struct endpoint *ep)
{
	char name[128 + ENDPOINT_HOST];
	struct auth *auth = NULL;
	const struct auth_vapid_prm aprm = {
		.signer = o->signer,
		.key = o->key,
		.name = o->name,
		.subject = o->subject,
		.origin = ep->origin,
	};
	struct dest_prm prm = {
		.drv = &drv_webpush,
		.name = name,
		.url = ep->origin,
		.link = &o->link,
		.outside_only = !o->private_addresses,
		.hush = anybody(pool->pattern) ? o->hush : NULL,
		.counters = &o->counters,
		.resulth = o->resulth,
		.arg = o->arg,
	};
	int err = auth_vapid_alloc(&auth, &aprm);

	(void)re_snprintf(name, sizeof(name), "%s/%s", o->name, ep->host);
	prm.auth = auth;
	if (!err)
		err = dest_alloc(&pl->dest, &prm);
	mem_deref(auth);

	return err;
}


static int place_make(struct place **plp, const struct origins *o,
		      struct pool *pool, const struct endpoint *ep)
{
	struct place *pl;
	int err = room_make(pool);

	if (err)
		return err;

	pl = mem_zalloc(sizeof(*pl), place_destructor);
	if (!pl)
		return ENOMEM;

	err = str_dup(&pl->origin, ep->origin);
	if (!err)
		err = dest_make(pl, o, pool, ep);
	if (err) {
		mem_deref(pl);
		return err;
	}

	list_prepend(&pool->places, &pl->le, pl);
	pool->count++;
	*plp = pl;
	return 0;
}


static int line_of(struct dest_line **lp, struct place *pl, const char *app)
{
	const struct drv_app prm = { .topic = NULL };
	struct app_line *al;
	struct le *le;
	int err;

	LIST_FOREACH (&pl->lines, le) {
		al = le->data;
		if (!strcmp(al->app, app)) {
			*lp = al->line;
			return 0;
		}
	}

	al = mem_zalloc(sizeof(*al), line_destructor);
	if (!al)
		return ENOMEM;
	err = str_dup(&al->app, app);
	if (!err)
		err = dest_line_alloc(&al->line, app, &prm);
	if (err) {
		mem_deref(al);
		return err;
	}

	list_append(&pl->lines, &al->le, al);
	*lp = al->line;
	return 0;
}


int origins_route(struct origins *o, const char *app, const char *token,
		  struct dest **dp, struct dest_line **lp)
{
	struct endpoint ep;
	struct pool *pool;
	struct place *pl;
	int err;

	if (!o || !app || !token)
		return EINVAL;
	pool = pool_of(o, &ep, token);
	if (!pool)
		return EACCES;

	pl = place_find(pool, ep.origin);
	if (!pl) {
		err = place_make(&pl, o, pool, &ep);
		if (err)
			return err;
	}
	else if (pl->le.prev) {
		list_unlink(&pl->le);
		list_prepend(&pool->places, &pl->le, pl);
	}

	err = line_of(lp, pl, app);
	if (!err)
		*dp = pl->dest;

	return err;
}


int origins_print(struct re_printf *pf, const struct origins *o)
{
	int err = 0;

	for (uint32_t i = 0; i < o->pools_count; i++) {
		struct le *le;

		LIST_FOREACH (&o->pools[i].places, le) {
			const struct place *pl = le->data;

			err |= dest_print(pf, pl->dest);
		}
	}

	return err;
}
