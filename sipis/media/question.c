/**
 * @file question.c  One question: cookie, repeats, the next node
 *
 *              no answer: again after 1/5, 3/5 of its time
 *               +--+
 *               |  v       its time is over, ICMP, it refuses,
 *     begin --> ASKED(i)   or does not know the call
 *                  |  |----------------------------> ASKED(i + 1)
 *           answer |                                     | none is left
 *                  v                                     v
 *                over(0)                              over(err)
 */

#include <errno.h>
#include <string.h>
#include "common/ident.h"
#include "common/log.h"
#include "sipis/media/priv.h"


struct media_ask {
	struct le he;      /**< by cookie */
	struct le le;      /**< of those that nobody wants to hear of */
	struct le le_node; /**< of the node that it waits for */
	struct media *media;
	struct mbuf *mb;
	char cookie[NG_COOKIE + 1];
	struct media_node *nodev[MEDIA_NODES];
	unsigned nodec, at, sent;
	int err; /**< of the nodes before */
	char reason[NG_REASON];
	struct tmr tmr;
	media_h *h;
	void *arg;
};


static void next(struct media_ask *a);


static void destructor(void *data)
{
	struct media_ask *a = data;

	hash_unlink(&a->he);
	list_unlink(&a->le);
	list_unlink(&a->le_node);
	tmr_cancel(&a->tmr);
	mem_deref(a->mb);
}


static void over(struct media_ask *a, int err, const struct pl *sdp,
		 const char *who)
{
	media_h *h = a->h;

	hash_unlink(&a->he);
	list_unlink(&a->le_node);
	tmr_cancel(&a->tmr);
	a->h = NULL;
	if (a->le.list) {
		mem_deref(a);
	}
	else if (h) {
		mem_ref(a); /* who may be our own text */
		h(err, sdp, who, a->arg);
		mem_deref(a);
	}
}


/* It goes to logs and timelines */
static void keep_reason(struct media_ask *a, const struct pl *reason)
{
	(void)re_snprintf(a->reason, sizeof(a->reason), "%r", reason);
	for (char *p = a->reason; *p; p++)
		if (*p < ' ' || *p > '~')
			*p = '?';
}


/* What a node says weighs more than what another one does not say */
static void failed(struct media_ask *a, int err, const struct pl *reason)
{
	if (!a->err || a->err == ETIMEDOUT) {
		a->err = err;
		if (pl_isset(reason))
			keep_reason(a, reason);
	}
	++a->at;
	next(a);
}


static void silent_handler(void *arg)
{
	struct media_ask *a = arg;

	media_node_silent(a->nodev[a->at]);
	failed(a, ETIMEDOUT, &pl_null);
}


static void send_handler(void *arg)
{
	static const unsigned fifths[] = { 1, 2, 2 };
	const unsigned last = sizeof(fifths) / sizeof(*fifths) - 1;
	struct media_ask *a = arg;
	struct media_node *n = a->nodev[a->at];
	const uint64_t ms = (uint64_t)fifths[a->sent] * a->media->timeout_ms;

	a->mb->pos = 0;
	if (media_node_send(n, a->mb)) {
		/* not in here: its holder does not know us yet */
		tmr_start(&a->tmr, 0, silent_handler, a);
		return;
	}

	tmr_start(&a->tmr, ms / 5,
		  a->sent == last ? silent_handler : send_handler, a);
	++a->sent;
}


static void none_handler(void *arg)
{
	struct media_ask *a = arg;

	over(a, a->err ? a->err : ENETUNREACH, NULL,
	     *a->reason ? a->reason : NULL);
}


static void next(struct media_ask *a)
{
	list_unlink(&a->le_node);
	/* those that have gone silent since we began */
	while (a->nodec > 1 && a->at < a->nodec && a->nodev[a->at]->down)
		++a->at;
	if (a->at >= a->nodec) {
		tmr_start(&a->tmr, 0, none_handler, a);
		return;
	}

	a->sent = 0;
	list_append(&a->nodev[a->at]->asks, &a->le_node, a);
	send_handler(a);
}


static bool cookie_handler(struct le *le, void *arg)
{
	const struct media_ask *a = le->data;
	const struct pl *cookie = arg;

	return !pl_strcmp(cookie, a->cookie);
}


void media_answered(struct media_node *n, struct mbuf *mb)
{
	const struct pl in = { (const char *)mbuf_buf(mb), mbuf_get_left(mb) };
	struct media_ask *a = NULL;
	struct ng_answer ans;
	struct pl cookie;
	int err = ng_decode(&cookie, &ans, &in);

	if (!err)
		a = list_ledata(hash_lookup(n->media->asks,
					    hash_joaat_pl(&cookie),
					    cookie_handler, &cookie));
	if (!a || a->nodev[a->at] != n) {
		log_debug("media", NULL, "rtpengine %s: %s", n->name,
			  err ? "no answer that can be read"
			      : "an answer to nothing");
		return;
	}

	media_node_answers(n);
	if (ans.result == NG_OK)
		over(a, 0, &ans.sdp, n->name);
	else
		failed(a, ans.result == NG_UNKNOWN ? ENOENT : EPROTO,
		       &ans.reason);
}


void media_refused(struct media_node *n)
{
	struct le *le;

	while ((le = list_head(&n->asks)))
		silent_handler(le->data);
}


/* The highest of all hashes of call and node: it stays where it is when
   others come and go.  RFC 2991 calls it highest random weight */
static uint32_t weight(const struct ng_question *q, const struct media_node *n)
{
	char text[sizeof(n->name) + 512];

	(void)re_snprintf(text, sizeof(text), "%s %r", n->name, &q->call);

	return hash_joaat_str(text);
}


static void order(struct media_ask *a, const struct ng_question *q)
{
	uint32_t weightv[MEDIA_NODES];

	for (uint32_t i = 0; i < a->media->nodec; i++) {
		struct media_node *n = &a->media->nodev[i];
		const uint32_t w = weight(q, n);
		unsigned k;

		if (n->down)
			continue;
		for (k = a->nodec++; k && weightv[k - 1] < w; k--) {
			weightv[k] = weightv[k - 1];
			a->nodev[k] = a->nodev[k - 1];
		}
		weightv[k] = w;
		a->nodev[k] = n;
	}
}


static int ask_alloc(struct media_ask **ap, struct media *m,
		     const struct ng_question *q, media_h *h, void *arg)
{
	uint8_t raw[NG_COOKIE / 2];
	struct media_ask *a = mem_zalloc(sizeof(*a), destructor);
	int err;

	if (!a)
		return ENOMEM;

	a->media = m;
	a->h = h;
	a->arg = arg;
	a->mb = mbuf_alloc(q->sdp.l + 512);
	err = a->mb ? ident_random(raw, sizeof(raw)) : ENOMEM;
	if (!err) {
		ident_hex(a->cookie, raw, sizeof(raw));
		err = ng_encode(a->mb, a->cookie, q);
	}
	if (err) {
		mem_deref(a);
		return err;
	}

	hash_append(m->asks, hash_joaat_str(a->cookie), &a->he, a);
	*ap = a;

	return 0;
}


int media_ask_node(struct media_ask **ap, struct media_node *n,
		   const struct ng_question *q, media_h *h, void *arg)
{
	struct media_ask *a;
	const int err = ask_alloc(&a, n->media, q, h, arg);

	if (err)
		return err;

	a->nodev[a->nodec++] = n;
	next(a);
	*ap = a;

	return 0;
}


int media_ask(struct media_ask **ap, struct media *m,
	      const struct ng_question *q, media_h *h, void *arg)
{
	struct media_ask *a;
	int err;

	if (!m || !q)
		return EINVAL;

	err = ask_alloc(&a, m, q, h, arg);
	if (err)
		return err;

	order(a, q);
	if (ap)
		*ap = a;
	else
		list_append(&m->orphans, &a->le, a);
	next(a);

	return 0;
}
