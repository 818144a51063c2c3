/**
 * @file edge/media.c  The rtpengines of each profile, and its calls there
 *
 * For an rtpengine a call is a Call-ID and the phone: each phone that rings
 * has one of its own, and it is found again without a table.
 */

#include <errno.h>
#include "common/ident.h"
#include "sipis/edge/media.h"


enum { CALL_MAX = 400 };


int edge_media_open(struct edge *e)
{
	int err = 0;

	for (uint32_t i = 0; !err && i < e->prm.pbxc; i++) {
		const struct pbx_cfg *cfg = pbx_cfg(e->prm.pbxv[i]);

		if (!cfg->media.rtpengine_count)
			continue;
		if (!e->mediav) {
			e->mediav = mem_zalloc(
				e->prm.pbxc * sizeof(*e->mediav), NULL);
			err = e->mediav ? hash_alloc(&e->echoes, EDGE_ECHOES)
					: ENOMEM;
		}
		err = err ? err
			  : media_alloc(&e->mediav[i], &cfg->media, cfg->name);
	}

	return err;
}


void edge_media_close(struct edge *e)
{
	hash_flush(e->echoes);
	e->echoes = mem_deref(e->echoes);
	for (uint32_t i = 0; e->mediav && i < e->prm.pbxc; i++)
		mem_deref(e->mediav[i]);
	e->mediav = mem_deref(e->mediav);
}


struct media *edge_media_of(const struct edge *e, const struct pbx *pbx)
{
	for (uint32_t i = 0; e->mediav && i < e->prm.pbxc; i++)
		if (e->prm.pbxv[i] == pbx)
			return e->mediav[i];

	return NULL;
}


bool edge_media_on(const struct edge *e, const struct pbx *pbx)
{
	return edge_media_of(e, pbx) != NULL;
}


int edge_media_call(char **call, const uint8_t *phone,
		    const struct sip_msg *msg)
{
	char id[2 * EDGE_PHONE + 1];

	if (msg->callid.l > CALL_MAX)
		return EMSGSIZE;

	ident_hex(id, phone, EDGE_PHONE);

	return re_sdprintf(call, "%r/%s", &msg->callid, id);
}


void edge_media_forget(struct media *m, const char *call)
{
	struct ng_question q = { .command = NG_DELETE };

	pl_set_str(&q.call, call);
	(void)media_ask(NULL, m, &q, NULL, NULL);
}


void edge_media_end(struct edge *e, struct pbx *pbx, const uint8_t *phone,
		    const struct sip_msg *bye)
{
	struct media *m = edge_media_of(e, pbx);
	char *call = NULL;

	if (!m || pl_strcmp(&bye->met, "BYE") ||
	    edge_media_call(&call, phone, bye))
		return;

	edge_media_forget(m, call);
	mem_deref(call);
}


bool edge_media_again(struct sip_msg **mp, struct edge *e, struct pbx *pbx,
		      const uint8_t *phone, const struct sip_msg *resp)
{
	char *call = NULL;
	bool known;

	if (!edge_media_of(e, pbx) || edge_media_call(&call, phone, resp)) {
		*mp = mem_ref((void *)resp);
		return true;
	}

	known = edge_echo_find(mp, e, call, resp);
	mem_deref(call);

	return known;
}
