/**
 * @file stranger.c  Who knocks and is not of the PBX
 */

#include <errno.h>
#include <string.h>
#include "common/clock.h"
#include "common/log.h"
#include "sipis/sip/priv.h"
#include "sipis/sip/stranger.h"


enum { QUIET_MS = 10 * 1000, START = 128 };

struct stranger {
	struct pbx *pbx;
	uint64_t quiet_until;
	unsigned unsaid;
};


int stranger_alloc(struct stranger **sp, struct pbx *pbx)
{
	struct stranger *s;

	if (!sp || !pbx)
		return EINVAL;

	s = mem_zalloc(sizeof(*s), NULL);
	if (!s)
		return ENOMEM;

	s->pbx = pbx;
	*sp = s;

	return 0;
}


static void say(struct stranger *s, const struct sa *src, const char *what)
{
	const uint64_t now = clock_mono_ms();
	char addr[64];

	if (now < s->quiet_until) {
		++s->unsaid;
		return;
	}

	(void)re_snprintf(addr, sizeof(addr), "%J", src);
	log_warning("sip", "-",
		    "%s from %s, which is no address of this PBX: dropped; "
		    "if it is one, list it under addresses pbx=%s unsaid=%u",
		    what, addr, s->pbx->cfg->name, s->unsaid);
	s->quiet_until = now + QUIET_MS;
	s->unsaid = 0;
}


static bool is_contact(const struct stranger *s, const struct pl *user)
{
	return !s->pbx->closed && door_acct(s->pbx, user);
}


/* The user of a request line, as "INVITE sip:user@" */
static int invited(struct pl *user, const struct mbuf *mb)
{
	static const char met[] = "INVITE sip";
	const char *p = (const char *)mbuf_buf(mb);
	size_t l = mbuf_get_left(mb);

	if (l < sizeof(met) || memcmp(p, met, sizeof(met) - 1))
		return ENOENT;

	return re_regex(p, l < START ? l : START, "INVITE sip[s]*:[^@ ]+@",
			NULL, user);
}


void stranger_datagram(struct stranger *s, const struct sa *src,
		       const struct mbuf *mb)
{
	struct pl user;

	if (s && src && mb && !invited(&user, mb) && is_contact(s, &user))
		say(s, src, "INVITE to a contact of ours");
}


void stranger_connection(struct stranger *s, const struct sa *src)
{
	if (s && src)
		say(s, src, "connection");
}


void stranger_request(struct stranger *s, const struct sip_msg *msg)
{
	if (s && msg && !pl_strcmp(&msg->met, "INVITE") &&
	    is_contact(s, &msg->uri.user))
		say(s, &msg->src, "INVITE to a contact of ours");
}
