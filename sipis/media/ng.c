/**
 * @file ng.c  The ng protocol of rtpengine: what is asked and answered; pure
 *
 * Keys and values are those of "The ng Control Protocol" in its manual.
 */

#include <errno.h>
#include <string.h>
#include <strings.h>
#include "sipis/media/bencode.h"
#include "sipis/media/ng.h"


/* Several who answer one offer share the ports that they were offered */
static const char branch[] = "sipis";

static const char *const commands[] = {
	[NG_PING] = "ping",
	[NG_OFFER] = "offer",
	[NG_ANSWER] = "answer",
	[NG_DELETE] = "delete",
};


static int pair(struct mbuf *mb, const char *key, const char *value)
{
	const int err = bencode_put_str(mb, key);

	return err ? err : bencode_put_str(mb, value);
}


static int pair_pl(struct mbuf *mb, const char *key, const struct pl *value)
{
	const int err = bencode_put_str(mb, key);

	return err ? err : bencode_put_text(mb, value);
}


static int list2(struct mbuf *mb, const char *key, const char *a,
		 const char *b)
{
	int err = bencode_put_str(mb, key);

	err |= bencode_put_mark(mb, 'l');
	err |= bencode_put_str(mb, a);
	err |= bencode_put_str(mb, b);

	return err | bencode_put_mark(mb, 'e');
}


static bool has(const struct pl *sdp, const char *line)
{
	struct pl pl;

	return !re_regex(sdp->p, sdp->l, line, &pl);
}


/* Who does ICE gets rtpengine as a candidate, who does not hears nothing of
   it.  Keys are of the two ends alone: what is encrypted passes as it is. */
static int put_sdp(struct mbuf *mb, const struct ng_question *q)
{
	int err = pair_pl(mb, "sdp", &q->sdp);

	err |= list2(mb, "replace", "origin", "session-connection");
	err |= pair(mb, "ICE",
		    has(&q->sdp, "a=ice-ufrag:[^\r\n]+") ? "force" : "remove");
	if (has(&q->sdp, "a=crypto:[^\r\n]+") ||
	    has(&q->sdp, "a=fingerprint:[^\r\n]+"))
		err |= pair(mb, "passthrough", "on");

	return err;
}


static int put_call(struct mbuf *mb, const struct ng_question *q)
{
	int err = pair_pl(mb, "call-id", &q->call);

	if (q->command == NG_DELETE) {
		err |= bencode_put_str(mb, "delete-delay");
		return err | bencode_put_int(mb, 0);
	}

	err |= pair_pl(mb, "from-tag", &q->from_tag);
	if (pl_isset(&q->to_tag))
		err |= pair_pl(mb, "to-tag", &q->to_tag);
	if (q->command == NG_ANSWER || !pl_isset(&q->to_tag))
		err |= pair(mb, "via-branch", branch);
	err |= put_sdp(mb, q);
	if (q->command != NG_OFFER)
		return err;

	if (q->from_side && q->to_side)
		err |= list2(mb, "direction", q->from_side, q->to_side);
	if (q->af != AF_UNSPEC)
		err |= pair(mb, "address-family",
			    q->af == AF_INET6 ? "IP6" : "IP4");

	return err;
}


int ng_encode(struct mbuf *mb, const char *cookie, const struct ng_question *q)
{
	const size_t start = mb->pos;
	int err = mbuf_printf(mb, "%s ", cookie);

	err |= bencode_put_mark(mb, 'd');
	err |= pair(mb, "command", commands[q->command]);
	if (q->command != NG_PING)
		err |= put_call(mb, q);
	err |= bencode_put_mark(mb, 'e');
	if (err)
		return ENOMEM;
	if (mb->end - start > NG_SIZE)
		return EMSGSIZE;

	mb->pos = start;

	return 0;
}


static bool text_of(struct pl *text, const struct pl *dict, const char *key)
{
	struct pl value;

	*text = pl_null;

	return !bencode_find(&value, dict, key) && !bencode_text(text, &value);
}


static bool begins(const struct pl *text, const char *with)
{
	const size_t len = strlen(with);

	return text->l >= len && !strncasecmp(text->p, with, len);
}


static enum ng_result result_of(const struct pl *result,
				const struct pl *reason)
{
	if (!pl_strcmp(result, "pong"))
		return NG_OK;
	if (begins(reason, "Unknown call-id") ||
	    begins(reason, "Call-ID not found"))
		return NG_UNKNOWN;

	return !pl_strcmp(result, "ok") ? NG_OK : NG_REFUSED;
}


int ng_decode(struct pl *cookie, struct ng_answer *a, const struct pl *in)
{
	const char *space = memchr(in->p, ' ', in->l);
	struct pl dict, rest, result;

	if (!space || space - in->p > NG_COOKIE)
		return EBADMSG;

	cookie->p = in->p;
	cookie->l = (size_t)(space - in->p);
	rest.p = space + 1;
	rest.l = in->l - cookie->l - 1;
	if (bencode_value(&dict, &rest) || dict.l != rest.l ||
	    !text_of(&result, &dict, "result"))
		return EBADMSG;

	if (!text_of(&a->reason, &dict, "error-reason"))
		(void)text_of(&a->reason, &dict, "warning");
	(void)text_of(&a->sdp, &dict, "sdp");
	a->result = result_of(&result, &a->reason);

	return 0;
}
