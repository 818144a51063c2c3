/**
 * @file nameserv.c  The name servers of /etc/resolv.conf, as they are now
 */

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include "common/log.h"
#include "common/nameserv.h"

#define RESOLV_CONF "/etc/resolv.conf"

enum { SERVERS = 4 };

/* Which file it was; zero: there is none */
struct mark {
	dev_t dev;
	ino_t ino;
	off_t size;
	struct timespec mtime;
};

struct nameserv {
	struct dnsc *dnsc;
	struct mark mark;
	uint32_t changes;
};


static void destructor(void *arg)
{
	struct nameserv *n = arg;

	mem_deref(n->dnsc);
}


static struct mark mark_now(void)
{
	struct mark m = { 0 };
	struct stat st;

	if (!stat(RESOLV_CONF, &st)) {
		m.dev = st.st_dev;
		m.ino = st.st_ino;
		m.size = st.st_size;
		m.mtime = st.st_mtim;
	}

	return m;
}


static bool mark_same(const struct mark *a, const struct mark *b)
{
	return a->dev == b->dev && a->ino == b->ino && a->size == b->size &&
	       a->mtime.tv_sec == b->mtime.tv_sec &&
	       a->mtime.tv_nsec == b->mtime.tv_nsec;
}


int nameserv_alloc(struct nameserv **np, struct dnsc **dnscp)
{
	struct sa srv[SERVERS];
	uint32_t c = SERVERS;
	struct nameserv *n;
	int err;

	if (!np || !dnscp)
		return EINVAL;

	n = mem_zalloc(sizeof(*n), destructor);
	if (!n)
		return ENOMEM;

	/* before it is read: a change in between is seen by the next look */
	n->mark = mark_now();
	if (dns_srv_get(NULL, 0, srv, &c))
		c = 0;

	err = dnsc_alloc(&n->dnsc, NULL, srv, c);
	if (err) {
		mem_deref(n);
		return err;
	}

	*dnscp = mem_ref(n->dnsc);
	*np = n;

	return 0;
}


uint32_t nameserv_look(struct nameserv *n)
{
	struct sa srv[SERVERS];
	uint32_t c = SERVERS;
	struct mark now;
	char first[64];

	if (!n)
		return 0;

	now = mark_now();
	if (mark_same(&now, &n->mark))
		return n->changes;

	n->mark = now;
	if (dns_srv_get(NULL, 0, srv, &c) || !c ||
	    dnsc_srv_set(n->dnsc, srv, c)) {
		log_warning("dns", "-",
			    RESOLV_CONF " has changed and names no server; "
					"the old ones are asked");
		return n->changes;
	}

	(void)re_snprintf(first, sizeof(first), "%J", &srv[0]);
	log_info("dns", "-", RESOLV_CONF " has changed: %u servers, first %s",
		 c, first);

	return ++n->changes;
}
