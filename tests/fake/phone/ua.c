/**
 * @file ua.c  The SIP stack of one waking period
 *
 * Made at a push and closed when the phone sleeps again, as on a real phone,
 * whose sockets do not survive sleep.  Ready for an INVITE before its
 * REGISTER is answered: a PBX that forks late sends one right behind the 200.
 * The Contact names where the PBX saw us (rport of the challenge), so that it
 * finds the connection that we opened.
 */

#include <errno.h>
#include <netdb.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <string.h>
#include "phone.h"
#include "common/tlsctx.h"

#define TRIES_MAX 3
#define HASH_SIZE 32

struct ua {
	struct phone *ph;
	struct sip *sip;
	struct sipsess_sock *sock;
	struct sip_request *req;
	struct sip_auth *auth;
	struct sip_lsnr *lsnr;
	struct tls *tls;
	struct tmr tmr;       /**< refresh */
	struct sa peer, seen; /**< seen: ourselves, as the PBX sees us */
	enum sip_transp tp;
	char *aor, *domain, *password;
	char contact_user[24], call_id[40], tag[20], uuid[40];
	char reason[256];
	uint32_t cseq;
	unsigned tries;
	bool registering, registered;
};


static void ua_destructor(void *arg)
{
	struct ua *ua = arg;

	tmr_cancel(&ua->tmr);
	mem_deref(ua->req);
	mem_deref(ua->lsnr);
	mem_deref(ua->sock);
	mem_deref(ua->sip);
	mem_deref(ua->auth);
	mem_deref(ua->tls);
	mem_deref(ua->aor);
	mem_deref(ua->domain);
	mem_deref(ua->password);
}


const char *ua_password(struct ua *ua)
{
	return ua->password;
}


struct phone *ua_phone(const struct ua *ua)
{
	return ua->ph;
}


const char *ua_contact_user(const struct ua *ua)
{
	return ua->contact_user;
}


const char *ua_cancel_reason(const struct ua *ua)
{
	return ua->reason;
}


static void invited(const struct sip_msg *msg, void *arg)
{
	struct ua *ua = arg;
	struct call *call;

	if (phone_busy(ua->ph))
		(void)sip_treply(NULL, ua->sip, msg, 486, "Busy Here");
	else if (call_alloc(&call, ua, ua->sock, msg))
		(void)sip_treply(NULL, ua->sip, msg, 488,
				 "Not Acceptable Here");
	else
		phone_invite(ua->ph, call);
}


/* A phone is asked for more than INVITEs; a PBX that qualifies it must not
   think it gone */
static bool asked(const struct sip_msg *msg, void *arg)
{
	struct ua *ua = arg;

	if (pl_strcmp(&msg->met, "OPTIONS") &&
	    pl_strcmp(&msg->met, "NOTIFY") && pl_strcmp(&msg->met, "MESSAGE"))
		return false;
	(void)sip_reply(ua->sip, msg, 200, "OK");

	return true;
}


static void note_reason(struct ua *ua, const char *p, size_t len)
{
	static const char head[] = "\r\nReason:";
	const char *end = p + len, *eol;
	size_t n = 0;

	*ua->reason = '\0';
	while ((p = memmem(p, (size_t)(end - p), head, sizeof(head) - 1))) {
		p += sizeof(head) - 1;
		eol = memmem(p, (size_t)(end - p), "\r\n", 2);
		if (!eol)
			return;
		n += (size_t)re_snprintf(ua->reason + n,
					 sizeof(ua->reason) - n, "%s%b",
					 n ? "," : "", p, (size_t)(eol - p));
		p = eol;
	}
}


/* libre's session does not hand the CANCEL on */
static void traced(bool tx, enum sip_transp tp, const struct sa *src,
		   const struct sa *dst, const uint8_t *pkt, size_t len,
		   void *arg)
{
	(void)tp;
	(void)src;
	(void)dst;

	if (!tx && len > 7 && !memcmp(pkt, "CANCEL ", 7))
		note_reason(arg, (const char *)pkt, len);
}


/* A name may have addresses that one cannot go to from where we listen */
static int resolve(struct sa *sa, const struct pl *host, uint16_t port, int af)
{
	const struct addrinfo hints = { .ai_family = af };
	struct addrinfo *ai = NULL;
	char name[256];
	int err;

	if (!sa_set(sa, host, port))
		return 0;
	(void)pl_strcpy(host, name, sizeof(name));
	if (getaddrinfo(name, NULL, &hints, &ai))
		return ENOENT;
	err = sa_set_sa(sa, ai->ai_addr);
	sa_set_port(sa, port);
	freeaddrinfo(ai);

	return err;
}


static int peer_decode(struct ua *ua, const char *registrar, int af,
		       char *host, size_t size)
{
	struct pl pl = { registrar, strlen(registrar) }, tp;
	struct uri uri;
	int err;

	err = uri_decode(&uri, &pl);
	if (err)
		return err;
	ua->tp = SIP_TRANSP_UDP;
	if (!msg_param_decode(&uri.params, "transport", &tp)) {
		if (!pl_strcasecmp(&tp, "tcp"))
			ua->tp = SIP_TRANSP_TCP;
		else if (!pl_strcasecmp(&tp, "tls"))
			ua->tp = SIP_TRANSP_TLS;
		else if (pl_strcasecmp(&tp, "udp"))
			return EPROTONOSUPPORT;
	}
	(void)pl_strcpy(&uri.host, host, size);

	return resolve(&ua->peer, &uri.host, sip_transp_port(ua->tp, uri.port),
		       af);
}


static int tls_setup(struct ua *ua, const char *host)
{
	const struct phone_cfg *cfg = phone_cfg(ua->ph);
	const struct tlsctx_prm prm = {
		.ca = cfg->sip_ca,
		.min_version = TLS1_2_VERSION,
		.peer_name = cfg->sip_name ? cfg->sip_name : host,
	};
	char why[256] = "";
	int err = tlsctx_alloc(&ua->tls, &prm, why, sizeof(why));

	if (err)
		steps_put(phone_steps(ua->ph), "error", NULL,
			  json_pack("{ssss}", "what", "TLS", "error", why));

	return err;
}


static int stack_setup(struct ua *ua)
{
	const struct phone_cfg *cfg = phone_cfg(ua->ph);
	const char *listen = cfg->sip_listen;
	char host[256];
	struct sa laddr;
	int err;

	err = sa_set_str(&laddr, listen, 0);
	if (!err)
		err = peer_decode(ua, cfg->registrar, sa_af(&laddr), host,
				  sizeof(host));
	if (!err && ua->tp == SIP_TRANSP_TLS)
		err = tls_setup(ua, host);
	if (!err)
		err = sip_transp_add(ua->sip, ua->tp, &laddr, ua->tls);
	if (err)
		return err;

	sip_set_trace_handler(ua->sip, traced);
	err = sip_listen(&ua->lsnr, ua->sip, true, asked, ua);
	if (!err)
		err = sipsess_listen(&ua->sock, ua->sip, HASH_SIZE, invited,
				     ua);

	return err;
}


static int auth_wanted(char **user, char **pass, const char *realm, void *arg)
{
	struct ua *ua = arg;
	(void)realm;

	return str_dup(user, phone_cfg(ua->ph)->auth_user) ||
	       str_dup(pass, ua->password);
}


static int password_read(struct ua *ua)
{
	const char *path = phone_cfg(ua->ph)->password_file;
	FILE *f = fopen(path, "re");
	char buf[256] = "";
	char *got;

	if (!f)
		return errno;
	got = fgets(buf, sizeof(buf), f);
	(void)fclose(f);
	if (!got)
		return EBADMSG;
	buf[strcspn(buf, "\r\n")] = '\0';

	return str_dup(&ua->password, buf);
}


/* The installation names the phone, whatever its stack is called today:
   +sip.instance is the same UUID each time (RFC 5626) */
static void names_draw(struct ua *ua)
{
	static const char urn[] = "urn:uuid:";
	const char *inst = phone_cfg(ua->ph)->installation;
	const uint32_t h = hash_joaat_str(inst);

	(void)re_snprintf(ua->contact_user, sizeof(ua->contact_user),
			  "app-%08x", rand_u32());
	(void)re_snprintf(ua->call_id, sizeof(ua->call_id), "%016llx%016llx",
			  rand_u64(), rand_u64());
	(void)re_snprintf(ua->tag, sizeof(ua->tag), "%016llx", rand_u64());
	if (!strncmp(inst, urn, strlen(urn)))
		(void)str_ncpy(ua->uuid, inst + strlen(urn), sizeof(ua->uuid));
	else
		(void)re_snprintf(ua->uuid, sizeof(ua->uuid),
				  "%08x-%04x-4000-8000-%08x%04x", h,
				  h & 0xffff, ~h, h >> 16);
}


static int names_setup(struct ua *ua)
{
	const struct pl aor = { phone_cfg(ua->ph)->aor,
				strlen(phone_cfg(ua->ph)->aor) };
	struct uri uri;
	int err;

	err = uri_decode(&uri, &aor);
	if (!err)
		err = pl_strdup(&ua->domain, &uri.host);
	if (!err)
		err = pl_strdup(&ua->aor, &aor);
	if (!err)
		err = password_read(ua);
	names_draw(ua);

	return err;
}


static void stack_gone(void *arg)
{
	mem_deref(arg);
}


int ua_alloc(struct ua **up, struct phone *ph)
{
	struct ua *ua = mem_zalloc(sizeof(*ua), ua_destructor);
	int err;

	if (!ua)
		return ENOMEM;
	ua->ph = ph;
	tmr_init(&ua->tmr);
	sa_init(&ua->seen, AF_UNSPEC);
	err = names_setup(ua);
	if (!err)
		err = sip_alloc(&ua->sip, NULL, HASH_SIZE, HASH_SIZE,
				HASH_SIZE, "demo-phone", stack_gone, ua);
	if (!err)
		err = stack_setup(ua);
	if (!err)
		err = sip_auth_alloc(&ua->auth, auth_wanted, ua, false);
	if (err)
		mem_deref(ua);
	else
		*up = ua;

	return err;
}


static void contact_print(const struct ua *ua, const struct sa *laddr,
			  char *buf, size_t size)
{
	(void)re_snprintf(buf, size, "sip:%s@%J%s", ua->contact_user,
			  sa_isset(&ua->seen, SA_ALL) ? &ua->seen : laddr,
			  sip_transp_param(ua->tp));
}


static int add_contact(enum sip_transp tp, const struct sa *src,
		       const struct sa *dst, struct mbuf *mb, void *arg)
{
	struct ua *ua = arg;
	char uri[256];
	(void)tp;
	(void)dst;

	contact_print(ua, src, uri, sizeof(uri));

	return mbuf_printf(mb,
			   "Contact: <%s>;expires=%u"
			   ";+sip.instance=\"<urn:uuid:%s>\"\r\n",
			   uri,
			   ua->registering ? phone_cfg(ua->ph)->expires_s : 0,
			   ua->uuid);
}


static void learn_address(struct ua *ua, const struct sip_msg *msg)
{
	struct pl rport, received;
	struct sa sa = msg->via.addr;

	if (msg_param_decode(&msg->via.params, "rport", &rport) ||
	    !pl_u32(&rport))
		return;
	if (!msg_param_decode(&msg->via.params, "received", &received) &&
	    sa_set(&sa, &received, 0))
		return;
	sa_set_port(&sa, (uint16_t)pl_u32(&rport));
	ua->seen = sa;
}


static int send_register(struct ua *ua);


static void refresh(void *arg)
{
	struct ua *ua = arg;

	ua->tries = 0;
	sip_auth_reset(ua->auth);
	if (send_register(ua))
		phone_registered(ua->ph, EIO, 0, "");
}


static void finished(struct ua *ua, int err, uint16_t scode)
{
	const bool again = ua->registered;
	struct sa laddr;
	char uri[256] = "";

	if (!ua->registering) {
		phone_unregistered(ua->ph, scode);
		return;
	}
	ua->registered = !err && scode == 200;
	if (ua->registered)
		tmr_start(&ua->tmr, phone_cfg(ua->ph)->expires_s * 800ull,
			  refresh, ua);
	if (again && ua->registered)
		return;
	if (!sip_transp_laddr(ua->sip, &laddr, ua->tp, &ua->peer))
		contact_print(ua, &laddr, uri, sizeof(uri));
	phone_registered(ua->ph, err, scode, uri);
}


static void answered(int err, const struct sip_msg *msg, void *arg)
{
	struct ua *ua = arg;

	if (err || !msg) {
		finished(ua, err ? err : EPROTO, 0);
		return;
	}
	if (msg->scode < 200)
		return;
	learn_address(ua, msg);
	if ((msg->scode == 401 || msg->scode == 407) &&
	    ++ua->tries < TRIES_MAX && !sip_auth_authenticate(ua->auth, msg) &&
	    !send_register(ua))
		return;

	finished(ua, 0, msg->scode);
}


static int send_register(struct ua *ua)
{
	struct uri route;
	char uri[128], text[128];
	struct pl pl;

	(void)re_snprintf(uri, sizeof(uri), "sip:%s", ua->domain);
	(void)re_snprintf(text, sizeof(text), "sip:%J%s", &ua->peer,
			  sip_transp_param(ua->tp));
	pl_set_str(&pl, text);
	if (uri_decode(&route, &pl))
		return EINVAL;

	return sip_requestf(&ua->req, ua->sip, true, "REGISTER", uri, &route,
			    ua->auth, add_contact, answered, ua,
			    "To: <%s>\r\n"
			    "From: <%s>;tag=%s\r\n"
			    "Call-ID: %s\r\n"
			    "CSeq: %u REGISTER\r\n"
			    "Supported: path,outbound\r\n"
			    "Content-Length: 0\r\n\r\n",
			    ua->aor, ua->aor, ua->tag, ua->call_id,
			    ++ua->cseq);
}


static int begin(struct ua *ua, bool registering)
{
	ua->registering = registering;
	ua->registered = false;
	ua->tries = 0;
	tmr_cancel(&ua->tmr);
	ua->req = mem_deref(ua->req);
	sip_auth_reset(ua->auth);

	return send_register(ua);
}


int ua_register(struct ua *ua)
{
	return begin(ua, true);
}


void ua_unregister(struct ua *ua)
{
	if (begin(ua, false))
		phone_unregistered(ua->ph, 0);
}


static void close_now(void *arg)
{
	struct ua *ua = arg;

	sip_close(ua->sip, false);
}


/* Transactions hold the stack until they have ended, then it says so.  We may
   be in a handler of the stack here: the rest with the next turn of the
   loop */
void ua_close(struct ua *ua)
{
	ua->req = mem_deref(ua->req);
	ua->lsnr = mem_deref(ua->lsnr);
	ua->sock = mem_deref(ua->sock);
	tmr_start(&ua->tmr, 0, close_now, ua);
}
