/**
 * @file sipis/media/media.c  The rtpengines of one profile
 */

#include <errno.h>
#include "sipis/media/priv.h"


static void destructor(void *data)
{
	struct media *m = data;

	list_flush(&m->orphans);
	for (uint32_t i = 0; i < m->nodec; i++)
		media_node_close(&m->nodev[i]);
	mem_deref(m->nodev);
	mem_deref(m->asks);
}


int media_alloc(struct media **mp, const struct media_cfg *cfg,
		const char *name)
{
	struct media *m;
	int err;

	if (!mp || !cfg || !cfg->rtpengine_count ||
	    cfg->rtpengine_count > MEDIA_NODES || !cfg->timeout_ms)
		return EINVAL;

	m = mem_zalloc(sizeof(*m), destructor);
	if (!m)
		return ENOMEM;

	m->name = name;
	m->timeout_ms = cfg->timeout_ms;
	m->nodev = mem_zalloc(cfg->rtpengine_count * sizeof(*m->nodev), NULL);
	err = m->nodev ? hash_alloc(&m->asks, MEDIA_HASH) : ENOMEM;
	for (uint32_t i = 0; !err && i < cfg->rtpengine_count; i++) {
		++m->nodec;
		err = media_node_open(&m->nodev[i], m, cfg->rtpengine[i]);
	}

	if (err)
		mem_deref(m);
	else
		*mp = m;

	return err;
}
