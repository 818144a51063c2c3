/**
 * @file login.c  One REGISTER under way, and its answer
 */

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include "common/log.h"
#include "sipis/edge/login.h"


static void destructor(void *data)
{
	struct edge_login *l = data;

	list_unlink(&l->le);
	mem_deref(l->st);
	mem_deref(l->msg);
	mem_deref(l->user);
	mem_deref(l->domain);
	mem_deref(l->proxy);
}


static struct pbx *pbx_of(const struct edge *e, const char *domain)
{
	for (uint32_t i = 0; i < e->prm.pbxc; i++)
		if (pbx_has_domain(e->prm.pbxv[i], domain))
			return e->prm.pbxv[i];

	return NULL;
}


/* However it is spelled, it is one account; RFC 3261 19.1.4.  EBADMSG: it can
   be nobody's */
static int aor_read(struct edge_login *l)
{
	const struct uri *to = &l->msg->to.uri;
	char user[128];
	int n = re_snprintf(user, sizeof(user), "%H", uri_user_unescape,
			    &to->user);

	/* %00 */
	if (n < 0 || strlen(user) != (size_t)n)
		return EBADMSG;
	if (str_dup(&l->user, user) || pl_strdup(&l->domain, &to->host))
		return ENOMEM;

	for (char *p = l->domain; *p; p++)
		*p = (char)tolower((unsigned char)*p);

	return 0;
}


int edge_login_alloc(struct edge_login **lp, struct edge *e,
		     const struct sip_msg *msg)
{
	struct edge_login *l = mem_zalloc(sizeof(*l), destructor);
	int err;

	if (!l)
		return ENOMEM;

	l->edge = e;
	l->msg = mem_ref((void *)msg);
	l->transport = -1;
	list_append(&e->logins, &l->le, l);
	edge_wish_read(&l->wish, e->prm.cfg, l->msg);
	err = aor_read(l);
	if (!err && !(l->pbx = pbx_of(e, l->domain)))
		err = ENOENT;
	if (err)
		mem_deref(l);
	else
		*lp = l;

	return err;
}


void edge_login_replyf(struct edge_login *l, uint16_t scode,
		       const char *phrase, const char *fmt, ...)
{
	struct mbuf *mb = mbuf_alloc(256);
	va_list ap;
	int err = mb ? 0 : ENOMEM;

	va_start(ap, fmt);
	if (!err && fmt)
		err = mbuf_vprintf(mb, fmt, ap);
	va_end(ap);
	if (!err)
		err = sip_treplyf(&l->st, NULL, l->edge->sip, l->msg, false,
				  scode, phrase, "%bContent-Length: 0\r\n\r\n",
				  mb->buf, mb->end);
	if (err)
		log_warning("edge", NULL, "cannot answer a REGISTER: %s",
			    strerror(err));

	l->st = NULL; /* it ends by itself */
	list_unlink(&l->le);
	mem_deref(mb);
	mem_deref(l);
}


void edge_login_refuse(struct edge_login *l, const char *why)
{
	edge_vain(l, 403, why);
	edge_login_replyf(l, 403, "Forbidden", NULL);
}


void edge_login_again(struct edge_login *l, bool stale)
{
	l->st = mem_deref(l->st);
	edge_challenge(l->edge, l->msg, stale);
	mem_deref(l);
}


void edge_logins_close(struct edge *e)
{
	struct le *le;

	/* the store answers them yet */
	while ((le = list_head(&e->logins))) {
		struct edge_login *l = le->data;

		list_unlink(le);
		l->edge = NULL;
		l->st = mem_deref(l->st);
		l->msg = mem_deref(l->msg);
		if (l->adopting)
			mem_deref(l);
	}
}


void edge_logins_deleted(struct edge *e, const char *inst)
{
	for (struct le *le = list_head(&e->logins); le; le = le->next) {
		struct edge_login *l = le->data;

		if (!strcmp(l->inst, inst))
			*l->inst = '\0';
	}
}
