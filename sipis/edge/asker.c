/**
 * @file asker.c  What a PBX asks phones for, and with which nonce; pure
 */

#include <string.h>
#include "sipis/edge/asker.h"


enum {
	ASKERS_MAX = 256,
	STRIKES = 3,
	PAUSE_MS = 3600 * 1000,
};


static void destructor(void *data)
{
	struct edge_asker *a = data;

	list_unlink(&a->le);
	mem_deref(a->realm);
	mem_deref(a->nonce);
}


uint32_t edge_asker_kind(const struct pl *met, bool within)
{
	static const char *const names[] = {
		"INVITE",  "BYE",     "UPDATE",    "REFER",
		"INFO",    "MESSAGE", "SUBSCRIBE", "NOTIFY",
		"OPTIONS", "PUBLISH", "PRACK",
	};
	const size_t n = sizeof(names) / sizeof(names[0]);
	size_t i = 0;

	while (i < n && pl_strcmp(met, names[i]))
		++i;

	return 1u << (2 * i + within);
}


struct edge_asker *edge_asker_get(struct list *askers, const struct pbx *pbx,
				  const char *realm,
				  const struct digest_chall *ch)
{
	struct edge_asker *a;

	for (struct le *le = list_head(askers); le; le = le->next) {
		a = le->data;
		if (a->pbx == pbx && a->alg == ch->alg &&
		    a->proxy == ch->proxy && !strcmp(a->realm, realm))
			return a;
	}

	if (list_count(askers) >= ASKERS_MAX) {
		a = list_ledata(list_head(askers));
		list_unlink(&a->le); /* requests may hold it */
		mem_deref(a);
	}

	a = mem_zalloc(sizeof(*a), destructor);
	if (!a || str_dup(&a->realm, realm))
		return mem_deref(a);

	a->pbx = pbx;
	a->alg = ch->alg;
	a->proxy = ch->proxy;
	list_append(askers, &a->le, a);

	return a;
}


bool edge_asker_ready(const struct edge_asker *a, uint32_t kind)
{
	return a->nonce && (a->kinds & kind);
}


void edge_asker_good(struct edge_asker *a, struct digest_nonce *n, bool kept,
		     struct digest_nonce *next, uint64_t now_ms)
{
	if (kept)
		a->strikes = 0;
	if (now_ms < a->paused)
		return;

	if (next || !a->nonce || !kept) {
		mem_deref(a->nonce);
		a->nonce = mem_ref(next ? next : n);
	}
}


void edge_asker_bad(struct edge_asker *a, const struct digest_nonce *n,
		    uint64_t now_ms)
{
	if (a->nonce != n)
		return; /* one of many that went out with it */

	a->nonce = mem_deref(a->nonce);
	if (++a->strikes < STRIKES)
		return;

	a->strikes = 0;
	a->paused = now_ms + PAUSE_MS;
}
