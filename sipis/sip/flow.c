/**
 * @file flow.c  TCP and TLS connections to a PBX
 *
 * A CRLF pair is RFC 5626's ping and keeps the PBX's end open.  A PBX that
 * knows it answers with CRLF, which keeps libre's end open but is not shown to
 * us; so after a longer silence there is an OPTIONS as well.
 */

#include <errno.h>
#include "common/clock.h"
#include "sipis/sip/flow.h"


enum {
	OPTIONS_IDLE_MS = 240 * 1000,
	/* libre's keep-alive at an interval that never comes: it is used for
	   its report of a lost connection alone.  Above 4294967 its
	   arithmetic overflows */
	NEVER_S = 4000000,
};

struct flows {
	struct list l;
	struct sip *sip;
	uint64_t keepalive_ms;
	flow_lost_h *h;
	void *arg;
};

struct flow {
	struct le le;
	struct flows *fs;
	struct sip_keepalive *ka;
	void *sock; /* libre's connection; only compared and handed back */
	struct sa peer;
	enum sip_transp tp;
	struct tmr tmr;
	uint64_t heard, pinged, asked; /* when last, by CRLF, by OPTIONS */
};


static void destructor(void *data)
{
	struct flows *fs = data;

	list_flush(&fs->l);
}


static void flow_destructor(void *data)
{
	struct flow *f = data;

	tmr_cancel(&f->tmr);
	list_unlink(&f->le);
	mem_deref(f->ka);
}


static struct flow *find(const struct flows *fs, const struct sip_msg *msg)
{
	for (struct le *le = fs->l.head; le; le = le->next) {
		struct flow *f = le->data;

		if (f->sock == msg->sock)
			return f;
	}

	return NULL;
}


static int send_crlf(struct flow *f)
{
	struct mbuf *mb = mbuf_alloc(4);
	int err;

	if (!mb)
		return ENOMEM;

	err = mbuf_write_str(mb, "\r\n\r\n");
	mb->pos = 0;
	if (!err)
		err = sip_send(f->fs->sip, f->sock, f->tp, &f->peer, mb);
	mem_deref(mb);

	return err;
}


static int send_options(struct flow *f)
{
	char uri[128], host[64], params[32];
	struct uri route = { .port = sa_port(&f->peer) };
	struct mbuf *mb;
	int err;

	if (re_snprintf(host, sizeof(host), "%j", &f->peer) < 0 ||
	    re_snprintf(uri, sizeof(uri), "sip:%J", &f->peer) < 0 ||
	    re_snprintf(params, sizeof(params), "%s",
			sip_transp_param(f->tp)) < 0)
		return EINVAL;

	pl_set_str(&route.scheme, "sip");
	pl_set_str(&route.host, host);
	pl_set_str(&route.params, params);

	mb = mbuf_alloc(512);
	if (!mb)
		return ENOMEM;

	err = mbuf_printf(mb,
			  "Max-Forwards: 70\r\n"
			  "To: <%s>\r\n"
			  "From: <%s>;tag=%08x\r\n"
			  "Call-ID: %016llx\r\n"
			  "CSeq: 1 OPTIONS\r\n"
			  "Content-Length: 0\r\n\r\n",
			  uri, uri, rand_u32(), rand_u64());
	mb->pos = 0;
	if (!err)
		err = sip_request(NULL, f->fs->sip, false, "OPTIONS", -1, uri,
				  -1, &route, mb, 0, NULL, NULL, NULL);
	mem_deref(mb);

	return err;
}


static uint64_t later(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}


/* The timer is not moved for each message: it looks when it is due */
static void idle_handler(void *arg)
{
	struct flow *f = arg;
	const uint64_t now = clock_mono_ms(), ms = f->fs->keepalive_ms;
	const uint64_t due = later(f->heard, f->pinged) + ms;

	if (now < due) {
		tmr_start(&f->tmr, due - now, idle_handler, f);
		return;
	}

	tmr_start(&f->tmr, ms, idle_handler, f);
	f->pinged = now;
	if (send_crlf(f) || now < later(f->heard, f->asked) + OPTIONS_IDLE_MS)
		return;

	f->asked = now;
	(void)send_options(f);
}


static void lost_handler(int err, void *arg)
{
	struct flow *f = arg;
	struct flows *fs = f->fs;
	const struct sa peer = f->peer;
	const enum sip_transp tp = f->tp;

	mem_deref(f);
	fs->h(&peer, tp, err, fs->arg);
}


int flows_alloc(struct flows **fsp, struct sip *sip, uint32_t keepalive_s,
		flow_lost_h *h, void *arg)
{
	struct flows *fs;

	if (!fsp || !sip || !h)
		return EINVAL;

	fs = mem_zalloc(sizeof(*fs), destructor);
	if (!fs)
		return ENOMEM;

	fs->sip = sip;
	fs->keepalive_ms = (uint64_t)keepalive_s * 1000;
	fs->h = h;
	fs->arg = arg;

	*fsp = fs;

	return 0;
}


void flows_heard(struct flows *fs, const struct sip_msg *msg)
{
	struct flow *f;

	if (!fs || !msg || !msg->sock ||
	    (msg->tp != SIP_TRANSP_TCP && msg->tp != SIP_TRANSP_TLS))
		return;

	f = find(fs, msg);
	if (!f) {
		f = mem_zalloc(sizeof(*f), flow_destructor);
		if (!f)
			return;
		f->fs = fs;
		f->sock = msg->sock;
		f->peer = msg->src;
		f->tp = msg->tp;
		if (sip_keepalive_start(&f->ka, fs->sip, msg, NEVER_S,
					lost_handler, f)) {
			mem_deref(f);
			return;
		}
		list_append(&fs->l, &f->le, f);
		if (fs->keepalive_ms)
			tmr_start(&f->tmr, fs->keepalive_ms, idle_handler, f);
	}

	f->heard = clock_mono_ms();
}


bool flows_has(const struct flows *fs, const struct sip_msg *msg)
{
	return fs && msg && msg->sock && find(fs, msg);
}


unsigned flows_count(const struct flows *fs)
{
	return fs ? list_count(&fs->l) : 0;
}
