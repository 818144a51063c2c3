/**
 * @file cfgnum.c  Numbers of a configuration: default and range
 */

#include <stdio.h>
#include <string.h>
#include "common/cfgnum.h"

enum { KEY_MAX = 160 };


int cfgnum_apply(void *base, const struct cfgnum *v, size_t n,
		 const char *where, const char *path, struct cfgfile_err *e)
{
	for (size_t i = 0; i < n; i++) {
		uint32_t *p = (uint32_t *)(void *)((char *)base + v[i].offset);
		char key[KEY_MAX];

		if (!*p)
			*p = v[i].def;
		if (*p >= v[i].min && *p <= v[i].max)
			continue;

		(void)snprintf(key, sizeof(key), "%s%s", where, v[i].key);
		return cfgfile_fail(e, path, key,
				    "%u is out of range; give a number from "
				    "%u to %u",
				    *p, v[i].min, v[i].max);
	}

	return 0;
}


/* "pbx[12].lease_s" is "pbx[]." and "lease_s" */
static const struct cfgnum *find(const char *key, const struct cfgnum_group *g)
{
	char bare[KEY_MAX];
	const size_t where = strlen(g->where);
	size_t len = 0;

	while (*key && len + 1 < sizeof(bare)) {
		bare[len++] = *key;
		key += *key == '[' ? 1 + strspn(key + 1, "0123456789") : 1;
	}
	bare[len] = '\0';

	if (strncmp(bare, g->where, where) != 0)
		return NULL;
	for (size_t i = 0; i < g->n; i++)
		if (!strcmp(bare + where, g->v[i].key))
			return &g->v[i];

	return NULL;
}


void cfgnum_tell(struct cfgfile_err *e, const char *path,
		 const struct cfgnum_group *groupv, size_t n)
{
	char key[KEY_MAX];

	if (!e || !path || !e->number[0])
		return;

	(void)snprintf(key, sizeof(key), "%s", e->number);
	for (size_t i = 0; i < n; i++) {
		const struct cfgnum *v = find(key, &groupv[i]);

		if (!v)
			continue;
		(void)cfgfile_fail(e, path, key,
				   "is out of range; give a number from %u to "
				   "%u",
				   v->min, v->max);
		return;
	}
}
