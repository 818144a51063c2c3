/**
 * @file nonce.c  Nonces that are kept
 *
 * Most PBXs hand out nonces that are good for minutes and for any account,
 * so one 401 serves thousands of refreshes.  A PBX that thinks otherwise is
 * found out by its answers: three refusals in a row without stale, or more
 * than half of all uses stale, and this PBX is asked anew each time.
 */

#include "common/log.h"
#include "sipis/reg/priv.h"


enum {
	STRIKES = 3,
	SAMPLE = 64,
	PAUSE_MS = 3600 * 1000,
};


bool nonce_keeps(const struct line *ln)
{
	return ln->cfg->nonce == CFG_NONCE_SHARED &&
	       ln->keep_not_before <= reg_now_ms();
}


/* An account that was brought in with its password has no realm yet.  Where
   all others have the same one, it will be that */
static struct digest_nonce *likely(const struct line *ln)
{
	const struct realm *r = ln->realmv;

	if (ln->realmc != 1)
		return NULL;

	return r->nonce[DIGEST_SHA256] ? r->nonce[DIGEST_SHA256]
				       : r->nonce[DIGEST_MD5];
}


struct digest_nonce *nonce_kept(struct line *ln, const struct acct *a)
{
	if (!a || !a->proven || !nonce_keeps(ln))
		return NULL;

	if (!a->realm)
		return a->is_ha1 ? NULL : likely(ln);

	return ln->realmv[a->realm - 1].nonce[a->alg];
}


static void stop_keeping(struct line *ln, const char *why)
{
	log_info("reg", "-", "nonces are not kept any more pbx=%s: %s",
		 ln->cfg->name, why);

	ln->keep_not_before = reg_now_ms() + PAUSE_MS;
	ln->kept_uses = ln->kept_stale = ln->kept_strikes = 0;
	for (uint16_t i = 0; i < ln->realmc; i++) {
		for (int k = 0; k < 2; k++)
			ln->realmv[i].nonce[k] =
				mem_deref(ln->realmv[i].nonce[k]);
	}
}


static void count_use(struct line *ln, bool stale)
{
	ln->kept_stale += stale;
	if (++ln->kept_uses < SAMPLE)
		return;

	if (ln->kept_stale > SAMPLE / 2)
		stop_keeping(ln, "most are stale at once");
	ln->kept_uses = ln->kept_stale = 0;
}


void nonce_good(struct line *ln, struct acct *a, struct digest_nonce *n,
		enum nonce_use use, const struct answer *ans)
{
	struct digest_nonce **slot, *next = NULL;

	if (!a || !a->realm || !n)
		return;

	if (use == NONCE_KEPT) {
		ln->kept_strikes = 0;
		metric_inc(&ln->reg->m[M_NONCE_KEPT]);
		count_use(ln, false);
	}
	else if (use == NONCE_DOUBTED && ++ln->kept_strikes >= STRIKES) {
		stop_keeping(ln, "refused for other accounts");
	}
	if (!nonce_keeps(ln))
		return;

	slot = &ln->realmv[a->realm - 1].nonce[digest_nonce_alg(n)];
	if (!digest_nonce_next(&next, n, ans)) {
		mem_deref(*slot);
		*slot = next;
	}
	else if (!*slot || use == NONCE_DOUBTED) {
		mem_deref(*slot);
		*slot = mem_ref(n);
	}
}


static void forget(struct line *ln, const struct digest_nonce *n)
{
	for (uint16_t i = 0; i < ln->realmc; i++) {
		struct digest_nonce **slot =
			&ln->realmv[i].nonce[digest_nonce_alg(n)];

		if (*slot == n)
			*slot = mem_deref(*slot);
	}
}


/* Without stale it may be the password as well: whether keeping nonces is to
   blame is judged by what comes next.  This one is not shown again */
void nonce_refused(struct line *ln, struct digest_nonce *n, bool stale)
{
	forget(ln, n);
	if (stale)
		count_use(ln, true);
}
