/**
 * @file pbx.c  One PBX profile at run time: stack, targets, trust
 *
 * Requests pass two listeners of ours, libre's transaction layer stands
 * between them:
 *
 *     PBX --> gate -----> libre: repeats, ACK, CANCEL --> door --> handlers
 *              | stranger                                  | nobody's
 *              v                                           v
 *            nothing                              nothing, 200, 481 or 405
 *
 * libre appends listeners behind its own, and its own answers strangers
 * (482, CANCEL); so the gate is moved to the head of the list after the fact.
 */

#include <errno.h>
#include <string.h>
#include <openssl/ssl.h>
#include "common/clock.h"
#include "common/ident.h"
#include "common/log.h"
#include "common/tlsctx.h"
#include "sipis/sip/flow.h"
#include "sipis/sip/pbx.h"
#include "sipis/sip/request.h"
#include "sipis/sip/resolve.h"
#include "sipis/sip/stack.h"
#include "sipis/sip/trust.h"
#include "sipis/sip/utrans.h"
#include "sipis/store/store.h"


enum {
	CTRANS_SIZE = 4096, /* libre's tables never grow */
	STRANS_SIZE = 8192,
	CONN_SIZE = 256,
	PROXY_BUCKETS = 64,
	REASON_MAX = 512,
};

enum { M_STRANGER, M_NOBODY, M_INVITE, M_CANCEL, M_OTHER, M_COUNT };

struct pbx {
	const struct pbx_cfg *cfg;
	struct dnsc *dnsc;
	struct sip *sip;
	struct sip_lsnr *gate, *door, *resp;
	struct tls *tls;
	struct stack *stack;
	struct flows *flows;
	struct utrans_table *utrans;
	struct trust *trust;
	struct resolve *main;  /* the profile's own next hop */
	struct hash *ht_proxy; /* struct way: next hops of single accounts */
	pbx_acct_h *accth;
	pbx_request_h *inviteh, *dialogh, *messageh;
	pbx_cancel_h *cancelh;
	void *arg;
	pbx_path_h *pathh;
	void *path_arg;
	bool closed;
	struct metric m[M_COUNT];
	char mname[M_COUNT][96];
};

/* A next hop that an account brings along */
struct way {
	struct le he;
	struct resolve *r;
};


static void path_none(struct pbx *pbx, const struct sa *addr,
		      enum sip_transp tp, int err, void *arg)
{
	(void)pbx;
	(void)addr;
	(void)tp;
	(void)err;
	(void)arg;
}


static void destructor(void *data)
{
	struct pbx *pbx = data;

	pbx_close(pbx);
}


static void way_destructor(void *data)
{
	struct way *w = data;

	hash_unlink(&w->he);
	mem_deref(w->r);
}


/* --- what comes in --- */

static bool allow_handler(const struct sa *src, void *arg)
{
	struct pbx *pbx = arg;
	const bool ok = trust_has(pbx->trust, src, clock_mono_ms());

	if (!ok)
		metric_inc(&pbx->m[M_STRANGER]);

	return ok;
}


static bool recv_handler(const struct mbuf *mb, void *arg)
{
	struct pbx *pbx = arg;

	return utrans_recv(pbx->utrans, mb);
}


bool pbx_trusts(const struct pbx *pbx, const struct sip_msg *msg)
{
	if (!pbx || !msg)
		return false;

	return trust_has(pbx->trust, &msg->src, clock_mono_ms()) ||
	       flows_has(pbx->flows, msg);
}


struct text {
	char buf[REASON_MAX];
	size_t len;
};


static bool reason_handler(const struct sip_hdr *hdr,
			   const struct sip_msg *msg, void *arg)
{
	struct text *t = arg;
	int n;
	(void)msg;

	n = re_snprintf(t->buf + t->len, sizeof(t->buf) - t->len, "%s%r",
			t->len ? ", " : "", &hdr->val);
	if (n < 0)
		return true;
	t->len += (size_t)n;

	return false;
}


static void see_cancel(struct pbx *pbx, const struct sip_msg *msg)
{
	struct text t = { .len = 0 };
	struct pl reason = { t.buf, 0 };

	metric_inc(&pbx->m[M_CANCEL]);
	(void)sip_msg_hdr_apply(msg, true, SIP_HDR_REASON, reason_handler, &t);
	reason.l = t.len;

	if (pbx->cancelh)
		pbx->cancelh(pbx, &msg->callid, &msg->via.branch, &reason,
			     pbx->arg);
}


/* libre looks into these without asking whether they are there */
static bool is_whole(const struct sip_msg *msg)
{
	return pl_isset(&msg->via.branch) && pl_isset(&msg->via.sentby) &&
	       pl_isset(&msg->callid) && pl_isset(&msg->from.tag) &&
	       pl_isset(&msg->to.auri) && pl_isset(&msg->cseq.met) &&
	       !pl_cmp(&msg->cseq.met, &msg->met);
}


/* A proxy that looks a user up a second time sends the same INVITE on a new
   branch.  libre would answer 482 to what has no To tag yet, so it gets one
   on the way past libre */
static const char merge_guard[] = "-";


static void guard_on(struct sip_msg *msg)
{
	if (!pl_isset(&msg->to.tag))
		pl_set_str(&msg->to.tag, merge_guard);
}


static void guard_off(struct sip_msg *msg)
{
	if (msg->to.tag.p == merge_guard)
		msg->to.tag = pl_null;
}


static bool gate_handler(const struct sip_msg *msg, void *arg)
{
	struct pbx *pbx = arg;

	if (stack_sees(pbx->stack, msg))
		return true;

	if (!is_whole(msg) || !pbx_trusts(pbx, msg)) {
		metric_inc(&pbx->m[M_STRANGER]);
		return true;
	}

	flows_heard(pbx->flows, msg);

	if (!pl_strcmp(&msg->met, "CANCEL"))
		see_cancel(pbx, msg);
	else if (!pl_strcmp(&msg->met, "INVITE"))
		guard_on((struct sip_msg *)msg);

	return false;
}


static struct acct *find_acct(struct pbx *pbx, const struct sip_msg *msg)
{
	uint8_t contact[STORE_CONTACT];
	char user[2 * STORE_CONTACT + 1];

	if (msg->uri.user.l != 2 * STORE_CONTACT || !pbx->accth)
		return NULL;

	(void)pl_strcpy(&msg->uri.user, user, sizeof(user));
	if (ident_unhex(contact, sizeof(contact), user))
		return NULL;

	return pbx->accth(pbx, contact, pbx->arg);
}


static const char *allowed(const struct pbx *pbx)
{
	return pbx->messageh ? "INVITE, ACK, CANCEL, OPTIONS, UPDATE, NOTIFY, "
			       "MESSAGE"
			     : "INVITE, ACK, CANCEL, OPTIONS, UPDATE, NOTIFY";
}


static void not_allowed(struct pbx *pbx, const struct sip_msg *msg)
{
	(void)sip_replyf(pbx->sip, msg, 405, "Method Not Allowed",
			 "Allow: %s\r\nContent-Length: 0\r\n\r\n",
			 allowed(pbx));
}


static void on_invite(struct pbx *pbx, const struct sip_msg *msg)
{
	struct acct *acct = find_acct(pbx, msg);

	if (!acct) {
		metric_inc(&pbx->m[M_NOBODY]);
		return;
	}

	metric_inc(&pbx->m[M_INVITE]);
	if (!pbx->inviteh || !pbx->inviteh(pbx, acct, msg, pbx->arg))
		(void)sip_reply(pbx->sip, msg, 480, "Temporarily Unavailable");
}


static void on_message(struct pbx *pbx, const struct sip_msg *msg)
{
	struct acct *acct = find_acct(pbx, msg);

	if (!acct) {
		metric_inc(&pbx->m[M_NOBODY]);
		return;
	}

	metric_inc(&pbx->m[M_OTHER]);
	if (pbx->messageh && pbx->messageh(pbx, acct, msg, pbx->arg))
		return;

	/* A 200 would tell the sender that somebody read it */
	if (pl_strcmp(&msg->met, "MESSAGE"))
		(void)sip_reply(pbx->sip, msg, 200, "OK");
	else
		not_allowed(pbx, msg);
}


/* A request with a To tag: of a dialog that our 180 made, or of none */
static void on_dialog(struct pbx *pbx, const struct sip_msg *msg)
{
	struct acct *acct = find_acct(pbx, msg);

	if (!acct || !pbx->dialogh || !pbx->dialogh(pbx, acct, msg, pbx->arg))
		(void)sip_reply(pbx->sip, msg, 481,
				"Call/Transaction Does Not Exist");
}


static void on_options(struct pbx *pbx, const struct sip_msg *msg)
{
	if (pl_isset(&msg->uri.user) && !find_acct(pbx, msg)) {
		metric_inc(&pbx->m[M_NOBODY]);
		return;
	}

	metric_inc(&pbx->m[M_OTHER]);
	(void)sip_replyf(pbx->sip, msg, 200, "OK",
			 "Allow: %s\r\nContent-Length: 0\r\n\r\n",
			 allowed(pbx));
}


static bool door_handler(const struct sip_msg *msg, void *arg)
{
	struct pbx *pbx = arg;

	guard_off((struct sip_msg *)msg);

	if (!pl_strcmp(&msg->met, "ACK"))
		return true;

	/* A NOTIFY of a subscription is taken as one outside would be */
	if (!pl_strcmp(&msg->met, "NOTIFY") ||
	    (!pl_strcmp(&msg->met, "MESSAGE") && !pl_isset(&msg->to.tag)))
		on_message(pbx, msg);
	else if (!pl_strcmp(&msg->met, "CANCEL"))
		(void)sip_reply(pbx->sip, msg, 481,
				"Call/Transaction Does Not Exist");
	else if (pl_isset(&msg->to.tag))
		on_dialog(pbx, msg);
	else if (!pl_strcmp(&msg->met, "INVITE"))
		on_invite(pbx, msg);
	else if (!pl_strcmp(&msg->met, "OPTIONS"))
		on_options(pbx, msg);
	else
		not_allowed(pbx, msg);

	return true;
}


/* What no transaction waits for; libre would print it */
static bool response_handler(const struct sip_msg *msg, void *arg)
{
	(void)msg;
	(void)arg;

	return true;
}


/* Every listener of libre begins with its list element */
static int move_to_head(struct sip_lsnr *lsnr)
{
	struct le *le = (struct le *)(void *)lsnr;
	struct list *l = le->list;

	if (le->data != (void *)lsnr || !l)
		return ENOSYS;

	list_unlink(le);
	list_prepend(l, le, lsnr);

	return 0;
}


static int listen_all(struct pbx *pbx)
{
	int err;

	err = sip_listen(&pbx->gate, pbx->sip, true, gate_handler, pbx);
	err |= sip_listen(&pbx->door, pbx->sip, true, door_handler, pbx);
	err |= sip_listen(&pbx->resp, pbx->sip, false, response_handler, pbx);

	return err ? err : move_to_head(pbx->gate);
}


/* --- the way there --- */

static void lost_handler(const struct sa *peer, enum sip_transp tp, int err,
			 void *arg)
{
	struct pbx *pbx = arg;

	log_info("sip", "-", "connection lost pbx=%s transport=%s: %s",
		 pbx->cfg->name, sip_transp_name(tp), strerror(err));
	pbx->pathh(pbx, peer, tp, err, pbx->path_arg);
}


static void trust_hops(struct pbx *pbx, const struct resolve *r)
{
	const uint64_t until = resolve_good_until(r);
	struct resolve_hop hop;

	for (unsigned n = 0; !resolve_hop(r, n, 0, &hop); n++)
		trust_add(pbx->trust, &hop.addr, until);
	for (unsigned n = 0; !resolve_hop(r, n, UINT64_MAX, &hop); n++)
		trust_add(pbx->trust, &hop.addr, until);
}


/* The port must be open before the first call of the PBX, not before our
   first REGISTER */
static void open_hops(struct pbx *pbx, const struct resolve *r)
{
	struct resolve_hop hop;

	for (unsigned n = 0; !resolve_hop(r, n, UINT64_MAX, &hop); n++)
		(void)stack_open(pbx->stack, hop.tp, &hop.addr);
}


static void resolve_handler(struct resolve *r, void *arg)
{
	struct pbx *pbx = arg;

	trust_hops(pbx, r);
	open_hops(pbx, r);
	pbx->pathh(pbx, NULL, SIP_TRANSP_NONE, 0, pbx->path_arg);
}


static int resolve_new(struct resolve **rp, struct pbx *pbx, const char *host,
		       uint16_t port, enum cfg_transport tp)
{
	const struct resolve_prm prm = {
		.dnsc = pbx->dnsc,
		.host = host,
		.port = port,
		.tp = tp,
		.h = resolve_handler,
		.arg = pbx,
	};
	int err = resolve_alloc(rp, &prm);

	if (!err)
		trust_hops(pbx, *rp);

	return err;
}


static struct resolve *way_find(struct pbx *pbx, const char *host,
				uint16_t port, enum cfg_transport tp)
{
	const uint32_t key = hash_joaat_str_ci(host);
	struct le *le = list_head(hash_list(pbx->ht_proxy, key));
	struct way *w;

	for (; le; le = le->next) {
		w = le->data;
		if (resolve_is(w->r, host, port, tp))
			return w->r;
	}

	w = mem_zalloc(sizeof(*w), way_destructor);
	if (!w)
		return NULL;

	if (resolve_new(&w->r, pbx, host, port, tp)) {
		mem_deref(w);
		return NULL;
	}

	hash_append(pbx->ht_proxy, key, &w->he, w);

	return w->r;
}


static struct resolve *way_of(struct pbx *pbx, const char *proxy,
			      int transport)
{
	const enum cfg_transport tp = transport < 0
					      ? pbx->cfg->transport
					      : (enum cfg_transport)transport;
	char host[256];
	uint16_t port;

	if (!str_isset(proxy) && tp == pbx->cfg->transport)
		return pbx->main;

	if (!str_isset(proxy))
		proxy = pbx->cfg->outbound_proxy ? pbx->cfg->outbound_proxy
						 : pbx->cfg->domains[0];

	return resolve_split(proxy, host, sizeof(host), &port)
		       ? NULL
		       : way_find(pbx, host, port, tp);
}


int pbx_target(struct pbx *pbx, const char *proxy, int transport, unsigned n,
	       struct sa *addr, enum sip_transp *tp)
{
	struct resolve_hop hop;
	struct resolve *r;
	int err;

	if (!pbx || !addr || !tp || pbx->closed)
		return EINVAL;

	r = way_of(pbx, proxy, transport);
	if (!r)
		return EINVAL;

	err = resolve_hop(r, n, clock_mono_ms(), &hop);
	if (err)
		return err;

	err = stack_open(pbx->stack, hop.tp, &hop.addr);
	if (err) {
		log_warning("sip", "-", "cannot send to the PBX pbx=%s: %s",
			    pbx->cfg->name, strerror(err));
		return err;
	}

	*addr = hop.addr;
	*tp = hop.tp;

	return 0;
}


void pbx_target_down(struct pbx *pbx, const struct sa *addr,
		     enum sip_transp tp, uint32_t for_s)
{
	const uint64_t until = clock_mono_ms() + (uint64_t)for_s * 1000;

	if (!pbx || !addr || pbx->closed)
		return;

	resolve_down(pbx->main, addr, tp, until);

	for (uint32_t i = 0; i < hash_bsize(pbx->ht_proxy); i++) {
		struct le *le = list_head(hash_list(pbx->ht_proxy, i));

		for (; le; le = le->next) {
			struct way *w = le->data;

			resolve_down(w->r, addr, tp, until);
		}
	}
}


uint64_t pbx_target_wait(struct pbx *pbx, const char *proxy, int transport)
{
	if (!pbx || pbx->closed)
		return 0;

	return resolve_wait(way_of(pbx, proxy, transport), clock_mono_ms());
}


void pbx_path_handler(struct pbx *pbx, pbx_path_h *h, void *arg)
{
	if (!pbx)
		return;

	pbx->pathh = h ? h : path_none;
	pbx->path_arg = arg;
}


int pbx_local(struct pbx *pbx, enum sip_transp tp, const struct sa *dst,
	      struct sa *laddr)
{
	int err;

	if (!pbx || !dst || !laddr || pbx->closed)
		return EINVAL;

	err = stack_open(pbx->stack, tp, dst);

	return err ? err : sip_transp_laddr(pbx->sip, laddr, tp, dst);
}


/* --- requests --- */

struct request {
	struct pbx *pbx;
	struct request **rp;
	struct utrans *u;
	struct sip_request *req;
	struct tmr tmr;
	request_h *h;
	void *arg;
};


static void request_destructor(void *data)
{
	struct request *r = data;

	tmr_cancel(&r->tmr);
	mem_deref(r->u);
	mem_deref(r->req);
}


static void request_done(int err, const struct answer *ans, void *arg)
{
	struct request *r = arg;
	request_h *h = r->h;
	void *h_arg = r->arg;

	*r->rp = NULL;
	mem_deref(r);
	h(err, ans, h_arg);
}


static void request_timeout(void *arg)
{
	request_done(ETIMEDOUT, NULL, arg);
}


static void libre_handler(int err, const struct sip_msg *msg, void *arg)
{
	struct answer ans;

	if (err || !msg) {
		request_done(err ? err : EPROTO, NULL, arg);
		return;
	}
	if (msg->scode < 200)
		return;

	flows_heard(((struct request *)arg)->pbx->flows, msg);
	answer_of_msg(&ans, msg);
	request_done(0, &ans, arg);
}


static int request_start(struct request *r, struct pbx *pbx,
			 const struct request_prm *prm)
{
	struct udp_sock *us;
	const char *laddr;

	if (prm->tp == SIP_TRANSP_UDP &&
	    !stack_udp(pbx->stack, prm->dst, &us, &laddr))
		return utrans_send(&r->u, pbx->utrans, us, laddr, prm->dst,
				   prm->met, prm->uri, prm->mb, request_done,
				   r);

	return sip_request(&r->req, pbx->sip, true, prm->met, -1, prm->uri, -1,
			   prm->route, prm->mb, 0, NULL, libre_handler, r);
}


int pbx_request(struct request **rp, struct pbx *pbx,
		const struct request_prm *prm)
{
	struct request *r;
	int err;

	if (!rp || !pbx || !prm || !prm->h || pbx->closed)
		return EINVAL;

	r = mem_zalloc(sizeof(*r), request_destructor);
	if (!r)
		return ENOMEM;

	r->pbx = pbx;
	r->rp = rp;
	r->h = prm->h;
	r->arg = prm->arg;

	err = request_start(r, pbx, prm);
	if (err)
		mem_deref(r);
	else
		*rp = r;
	if (!err && prm->timeout_ms)
		tmr_start(&r->tmr, prm->timeout_ms, request_timeout, r);

	return err;
}


/* --- making and closing --- */

static int tls_make(struct pbx *pbx, const char *host, char *reason,
		    size_t reason_sz)
{
	const struct pbx_cfg *cfg = pbx->cfg;
	const struct tlsctx_prm prm = {
		.cert = cfg->certificate,
		.key = cfg->key,
		.ca = cfg->ca,
		.min_version = TLS1_2_VERSION,
		.peer_name = cfg->tls_name ? cfg->tls_name : host,
	};

	return tlsctx_alloc(&pbx->tls, &prm, reason, reason_sz);
}


static int stack_make(struct pbx *pbx)
{
	const struct stack_prm prm = {
		.sip = pbx->sip,
		.tls = pbx->tls,
		.local_address = pbx->cfg->local_address,
		.local_port = pbx->cfg->local_port,
		.allowh = allow_handler,
		.recvh = recv_handler,
		.arg = pbx,
	};
	int err = sip_alloc(&pbx->sip, NULL, CTRANS_SIZE, STRANS_SIZE,
			    CONN_SIZE, "sipis/" SIPIS_VERSION, NULL, NULL);

	if (!err) {
		struct stack_prm p = prm;

		p.sip = pbx->sip;
		err = stack_alloc(&pbx->stack, &p);
	}
	if (!err)
		err = utrans_table_alloc(&pbx->utrans);
	if (!err)
		err = flows_alloc(&pbx->flows, pbx->sip, lost_handler, pbx);

	return err ? err : listen_all(pbx);
}


/* A port that is taken should stop the start, not show up hours later */
static int open_first(struct pbx *pbx)
{
	struct resolve_hop hop;
	struct sa sa;

	if (!resolve_hop(pbx->main, 0, 0, &hop))
		return stack_open(pbx->stack, hop.tp, &hop.addr);

	if (!pbx->cfg->local_address || pbx->cfg->transport == CFG_TP_AUTO ||
	    sa_set_str(&sa, pbx->cfg->local_address, SIP_PORT))
		return 0;

	return stack_open(pbx->stack,
			  pbx->cfg->transport == CFG_TP_UDP   ? SIP_TRANSP_UDP
			  : pbx->cfg->transport == CFG_TP_TCP ? SIP_TRANSP_TCP
							      : SIP_TRANSP_TLS,
			  &sa);
}


static int metrics_make(struct pbx *pbx, struct metrics *ms)
{
	static const struct {
		const char *name, *label, *help;
	} table[M_COUNT] = {
		[M_STRANGER] = { "sipis_sip_dropped_total", "stranger",
				 "requests dropped without an answer" },
		[M_NOBODY] = { "sipis_sip_dropped_total", "unknown_contact",
			       "requests dropped without an answer" },
		[M_INVITE] = { "sipis_sip_requests_total", "INVITE",
			       "requests of the PBX" },
		[M_CANCEL] = { "sipis_sip_requests_total", "CANCEL",
			       "requests of the PBX" },
		[M_OTHER] = { "sipis_sip_requests_total", "other",
			      "requests of the PBX" },
	};

	for (int i = 0; i < M_COUNT; i++) {
		(void)re_snprintf(pbx->mname[i], sizeof(pbx->mname[i]),
				  "%s{pbx=\"%s\",kind=\"%s\"}", table[i].name,
				  pbx->cfg->name, table[i].label);
		pbx->m[i].name = pbx->mname[i];
		pbx->m[i].help = table[i].help;
		pbx->m[i].type = METRIC_COUNTER;
	}

	return ms ? metrics_add(ms, pbx->m, M_COUNT) : 0;
}


static int build(struct pbx *pbx, const struct pbx_prm *prm, char *reason,
		 size_t reason_sz)
{
	const struct pbx_cfg *cfg = prm->cfg;
	char host[256];
	uint16_t port;
	int err;

	err = resolve_split(cfg->outbound_proxy ? cfg->outbound_proxy
						: cfg->domains[0],
			    host, sizeof(host), &port);
	if (err) {
		(void)re_snprintf(reason, reason_sz,
				  "pbx %s: bad outbound proxy or domain",
				  cfg->name);
		return err;
	}

	if (cfg->transport == CFG_TP_TLS || cfg->transport == CFG_TP_AUTO) {
		err = tls_make(pbx, host, reason, reason_sz);
		if (err)
			return err;
	}

	err = trust_alloc(&pbx->trust);
	err = err ? err : hash_alloc(&pbx->ht_proxy, PROXY_BUCKETS);
	err = err ? err : stack_make(pbx);
	err = err ? err
		  : resolve_new(&pbx->main, pbx, host, port, cfg->transport);
	err = err ? err : metrics_make(pbx, prm->metrics);
	if (err) {
		(void)re_snprintf(reason, reason_sz, "pbx %s: %m", cfg->name,
				  err);
		return err;
	}

	err = open_first(pbx);
	if (err)
		(void)re_snprintf(reason, reason_sz,
				  "pbx %s: cannot listen on %s port %u: %m",
				  cfg->name,
				  cfg->local_address ? cfg->local_address
						     : "the own address",
				  cfg->local_port, err);

	return err;
}


int pbx_alloc(struct pbx **pbxp, const struct pbx_prm *prm, char *reason,
	      size_t reason_sz)
{
	struct pbx *pbx;
	int err;

	if (!pbxp || !prm || !prm->cfg || !prm->cfg->domains_count || !reason)
		return EINVAL;

	pbx = mem_zalloc(sizeof(*pbx), destructor);
	if (!pbx)
		return ENOMEM;

	pbx->cfg = prm->cfg;
	pbx->dnsc = mem_ref(prm->dnsc);
	pbx->accth = prm->accth;
	pbx->inviteh = prm->inviteh;
	pbx->dialogh = prm->dialogh;
	pbx->messageh = prm->messageh;
	pbx->cancelh = prm->cancelh;
	pbx->arg = prm->arg;
	pbx->pathh = path_none;

	err = build(pbx, prm, reason, reason_sz);
	if (err)
		mem_deref(pbx);
	else
		*pbxp = pbx;

	return err;
}


void pbx_close(struct pbx *pbx)
{
	if (!pbx || pbx->closed)
		return;

	pbx->closed = true;
	pbx->pathh = path_none;

	/* The filters first: a socket outlives its transport as long as
	   somebody holds a message of it */
	pbx->stack = mem_deref(pbx->stack);

	/* Without a transport nothing that is dropped now can speak */
	sip_transp_flush(pbx->sip);
	sip_close(pbx->sip, true);

	pbx->main = mem_deref(pbx->main);
	hash_flush(pbx->ht_proxy);
	pbx->ht_proxy = mem_deref(pbx->ht_proxy);
	pbx->flows = mem_deref(pbx->flows);
	pbx->utrans = mem_deref(pbx->utrans);
	pbx->gate = mem_deref(pbx->gate);
	pbx->door = mem_deref(pbx->door);
	pbx->resp = mem_deref(pbx->resp);
	pbx->sip = mem_deref(pbx->sip);
	pbx->trust = mem_deref(pbx->trust);
	pbx->tls = mem_deref(pbx->tls);
	pbx->dnsc = mem_deref(pbx->dnsc);
}


const struct pbx_cfg *pbx_cfg(const struct pbx *pbx)
{
	return pbx ? pbx->cfg : NULL;
}


struct sip *pbx_sip(const struct pbx *pbx)
{
	return pbx ? pbx->sip : NULL;
}


bool pbx_has_domain(const struct pbx *pbx, const char *domain)
{
	if (!pbx || !domain)
		return false;

	for (uint32_t i = 0; i < pbx->cfg->domains_count; i++) {
		if (!str_casecmp(pbx->cfg->domains[i], domain))
			return true;
	}

	return false;
}


int pbx_msg_revive(struct sip_msg **msgp, struct pbx *pbx, const uint8_t *raw,
		   size_t len, const char *src, enum sip_transp tp)
{
	struct sip_msg *msg = NULL;
	struct mbuf *mb;
	struct sa sa;
	int err;

	if (!msgp || !pbx || !raw || !src || pbx->closed)
		return EINVAL;

	err = sa_decode(&sa, src, strlen(src));
	if (err)
		return err;

	mb = mbuf_alloc(len);
	if (!mb)
		return ENOMEM;

	err = mbuf_write_mem(mb, raw, len);
	mb->pos = 0;
	err = err ? err : sip_msg_decode(&msg, mb);
	if (err)
		goto out;

	/* The old socket is gone.  Without one libre sends UDP from the
	   profile's and opens a connection for the rest (RFC 3261 18.2.2) */
	msg->src = sa;
	msg->tp = tp;
	err = pbx_local(pbx, tp, &sa, &msg->dst);

out:
	mem_deref(mb);
	if (err)
		mem_deref(msg);
	else
		*msgp = msg;

	return err;
}
