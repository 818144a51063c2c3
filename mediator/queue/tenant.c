/**
 * @file queue/tenant.c  One operator at run time
 */

#include <errno.h>
#include <string.h>
#include "mediator/queue/tenant.h"


struct tenant_rights {
	char **apps;
	uint32_t apps_count;
	struct mcfg_limits limits;
};


static void rights_destructor(void *arg)
{
	struct tenant_rights *r = arg;

	for (uint32_t i = 0; i < r->apps_count; i++)
		mem_deref(r->apps[i]);
	mem_deref(r->apps);
}


static void destructor(void *arg)
{
	struct tenant *t = arg;

	list_unlink(&t->le);
	mem_deref(t->rights);
	mem_deref(t->name);
}


int tenant_alloc(struct tenant **tp, const char *name)
{
	struct tenant *t;
	int err;

	if (!tp || !name)
		return EINVAL;

	t = mem_zalloc(sizeof(*t), destructor);
	if (!t)
		return ENOMEM;

	err = str_dup(&t->name, name);
	if (err)
		mem_deref(t);
	else
		*tp = t;

	return err;
}


static void bucket_renew(struct bucket *b, const struct mcfg_limits *l,
			 bool first, uint64_t now)
{
	double kept = first ? l->burst : b->tokens;

	bucket_init(b, l->rate, l->burst, now);
	if (kept < b->tokens)
		b->tokens = kept;
}


int tenant_rights_alloc(struct tenant_rights **rp,
			const struct mcfg_tenant *cfg)
{
	struct tenant_rights *r;
	int err = 0;

	if (!rp || !cfg)
		return EINVAL;

	r = mem_zalloc(sizeof(*r), rights_destructor);
	if (!r)
		return ENOMEM;

	r->limits = cfg->limits;
	r->apps = mem_zalloc(sizeof(*r->apps) * (cfg->apps_count + 1), NULL);
	if (!r->apps)
		err = ENOMEM;
	for (uint32_t i = 0; !err && i < cfg->apps_count; i++) {
		err = str_dup(&r->apps[i], cfg->apps[i]);
		r->apps_count = i + 1;
	}

	if (err)
		mem_deref(r);
	else
		*rp = r;

	return err;
}


void tenant_grant(struct tenant *t, struct tenant_rights *r, uint64_t now)
{
	bool first = !t->rights;

	mem_ref(r);
	mem_deref(t->rights);
	t->rights = r;
	t->limits = r->limits;
	for (int i = 0; i < QUEUE_LANES; i++)
		bucket_renew(&t->bucket[i], &t->limits, first, now);
}


bool tenant_may(const struct tenant *t, const char *app)
{
	const struct tenant_rights *r = t->rights;

	for (uint32_t i = 0; r && i < r->apps_count; i++)
		if (!strcmp(r->apps[i], app))
			return true;

	return false;
}
