/**
 * @file queue/tenant.c  One operator at run time
 */

#include <errno.h>
#include <string.h>
#include "mediator/queue/tenant.h"


static void apps_flush(struct tenant *t)
{
	for (uint32_t i = 0; i < t->apps_count; i++)
		mem_deref(t->apps[i]);
	t->apps = mem_deref(t->apps);
	t->apps_count = 0;
}


static void destructor(void *arg)
{
	struct tenant *t = arg;

	list_unlink(&t->le);
	apps_flush(t);
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


int tenant_configure(struct tenant *t, const struct mcfg_tenant *cfg,
		     uint64_t now)
{
	bool first = !t->limits.rate;

	apps_flush(t);
	t->apps = mem_zalloc(sizeof(*t->apps) * (cfg->apps_count + 1), NULL);
	if (!t->apps)
		return ENOMEM;

	for (uint32_t i = 0; i < cfg->apps_count; i++) {
		int err = str_dup(&t->apps[i], cfg->apps[i]);
		if (err)
			return err;
		t->apps_count = i + 1;
	}

	t->limits = cfg->limits;
	for (int i = 0; i < QUEUE_LANES; i++)
		bucket_renew(&t->bucket[i], &t->limits, first, now);

	return 0;
}


bool tenant_may(const struct tenant *t, const char *app)
{
	for (uint32_t i = 0; i < t->apps_count; i++)
		if (!strcmp(t->apps[i], app))
			return true;

	return false;
}
