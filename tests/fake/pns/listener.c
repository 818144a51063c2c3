/**
 * @file listener.c  Listening sockets and the certificate they show
 */

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>
#include "pns.h"

#define BACKLOG 4096

struct pns_listener {
	struct le le;
	struct pns *pns;
	enum pns_role role;
	enum pns_accept mode;
	struct sa addr;
	int fd;
};

static const char *const modes[] = {
	[ACCEPT_NORMAL] = "normal",
	[ACCEPT_REFUSE] = "refuse",
	[ACCEPT_SILENT] = "silent",
	[ACCEPT_CLOSE] = "close",
};

static const char *const roles[ROLE_N] = {
	[ROLE_ANY] = "any",
	[ROLE_APNS] = "apns",
	[ROLE_SANDBOX] = "sandbox",
	[ROLE_FCM] = "fcm",
};


const char *pns_role_name(enum pns_role role)
{
	return roles[role];
}


int pns_role_decode(enum pns_role *role, const char *name, size_t len)
{
	for (int i = 0; i < ROLE_N; i++) {
		if (strlen(roles[i]) == len && !strncmp(roles[i], name, len)) {
			*role = (enum pns_role)i;
			return 0;
		}
	}

	return ENOENT;
}


static void listener_stop(struct pns_listener *l)
{
	if (l->fd < 0)
		return;
	fd_close(l->fd);
	(void)close(l->fd);
	l->fd = -1;
}


static void listener_destructor(void *arg)
{
	struct pns_listener *l = arg;

	list_unlink(&l->le);
	listener_stop(l);
}


static void reset_socket(int fd)
{
	const struct linger lin = { .l_onoff = 1, .l_linger = 0 };

	(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &lin, sizeof(lin));
	(void)close(fd);
}


/* Apple takes frequent connecting for an attack */
static void count_connect(struct pns *pns)
{
	const int64_t minute = pns_now_us() / 60000000;

	if (minute != pns->connect_minute) {
		pns->connect_minute = minute;
		pns->connects = 0;
	}
	pns_count_add(&pns->count, CNT_CONNECTIONS, 1);
	pns_count_max(&pns->count, CNT_CONNECT_RATE_MAX, ++pns->connects);
}


static void take(struct pns_listener *l, int fd)
{
	const int on = 1;
	struct pns_conn *conn;

	count_connect(l->pns);
	if (l->mode == ACCEPT_CLOSE) {
		reset_socket(fd);
		return;
	}

	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (pns_conn_alloc(l->pns, fd, l->role)) {
		(void)close(fd);
		return;
	}
	if (l->mode == ACCEPT_SILENT) {
		conn = list_ledata(list_tail(&l->pns->connl));
		pns_conn_freeze(conn, true);
	}
}


static void acceptable(int flags, void *arg)
{
	struct pns_listener *l = arg;
	(void)flags;

	while (l->fd >= 0) {
		const int fd = accept4(l->fd, NULL, NULL,
				       SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd < 0)
			return;
		take(l, fd);
	}
}


static int listener_start(struct pns_listener *l)
{
	const int on = 1;
	int fd, err = 0;

	fd = socket(sa_af(&l->addr),
		    SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return errno;

	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	l->addr.len = sizeof(l->addr.u);
	if (bind(fd, &l->addr.u.sa,
		 sa_af(&l->addr) == AF_INET ? sizeof(l->addr.u.in)
					    : sizeof(l->addr.u.in6)) ||
	    listen(fd, BACKLOG) ||
	    getsockname(fd, &l->addr.u.sa, &l->addr.len))
		err = errno;
	else
		err = fd_listen(fd, FD_READ, acceptable, l);
	if (err) {
		(void)close(fd);
		return err;
	}
	l->fd = fd;

	return 0;
}


int pns_listener_add(struct pns *pns, const char *spec)
{
	const char *eq = strchr(spec, '=');
	struct pns_listener *l;
	int err = 0;

	l = mem_zalloc(sizeof(*l), listener_destructor);
	if (!l)
		return ENOMEM;
	l->fd = -1;
	l->pns = pns;
	if (eq)
		err = pns_role_decode(&l->role, spec, (size_t)(eq - spec));
	if (!err)
		err = sa_decode(&l->addr, eq ? eq + 1 : spec,
				strlen(eq ? eq + 1 : spec));
	if (!err)
		err = listener_start(l);
	if (err)
		mem_deref(l);
	else
		list_append(&pns->listenerl, &l->le, l);

	return err;
}


static int mode_set(struct pns_listener *l, enum pns_accept mode)
{
	l->mode = mode;
	if (mode == ACCEPT_REFUSE)
		listener_stop(l);
	else if (l->fd < 0)
		return listener_start(l);

	return 0;
}


int pns_listener_mode(struct pns *pns, const char *role, const char *mode)
{
	struct le *le;
	int m, err = 0;

	for (m = 0; m < (int)ARRAY_SIZE(modes); m++) {
		if (!strcmp(modes[m], mode))
			break;
	}
	if (m == (int)ARRAY_SIZE(modes))
		return EINVAL;

	LIST_FOREACH (&pns->listenerl, le) {
		struct pns_listener *l = le->data;

		if (!role || !strcmp(roles[l->role], role))
			err |= mode_set(l, (enum pns_accept)m);
	}

	return err;
}


json_t *pns_listener_ports(const struct pns *pns)
{
	json_t *o = json_object();
	struct le *le;

	LIST_FOREACH (&pns->listenerl, le) {
		const struct pns_listener *l = le->data;

		json_object_set_new(o, roles[l->role],
				    json_integer(sa_port(&l->addr)));
	}

	return o;
}


/* Only h2: Apple's and Google's servers close on anything else, and so a
   sender that forgot ALPN must fail here too */
static int alpn_select(SSL *ssl, const uint8_t **out, uint8_t *outlen,
		       const uint8_t *in, unsigned inlen, void *arg)
{
	(void)ssl;
	(void)arg;

	for (unsigned i = 0; i < inlen && i + in[i] < inlen; i += 1u + in[i]) {
		if (in[i] == 2 && !memcmp(&in[i + 1], "h2", 2)) {
			*out = &in[i + 1];
			*outlen = 2;
			return SSL_TLSEXT_ERR_OK;
		}
	}

	return SSL_TLSEXT_ERR_ALERT_FATAL;
}


static int sni_seen(SSL *ssl, int *alert, void *arg)
{
	const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
	struct pns_conn *conn = SSL_get_app_data(ssl);
	(void)alert;
	(void)arg;

	if (!name || conn->role != ROLE_ANY)
		return SSL_TLSEXT_ERR_OK;
	if (!strcmp(name, "api.push.apple.com"))
		conn->role = ROLE_APNS;
	else if (!strcmp(name, "api.sandbox.push.apple.com"))
		conn->role = ROLE_SANDBOX;
	else if (!strcmp(name, "fcm.googleapis.com") ||
		 !strcmp(name, "oauth2.googleapis.com"))
		conn->role = ROLE_FCM;

	return SSL_TLSEXT_ERR_OK;
}


int pns_tls_load(struct pns *pns, const char *cert, const char *key)
{
	static const uint8_t sid[] = "fake-pns";
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());

	if (!ctx)
		return ENOMEM;
	SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
	SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE |
				      SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
				      SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_alpn_select_cb(ctx, alpn_select, NULL);
	SSL_CTX_set_tlsext_servername_callback(ctx, sni_seen);
	SSL_CTX_set_session_id_context(ctx, sid, sizeof(sid) - 1);
	if (SSL_CTX_use_certificate_chain_file(ctx, cert) != 1 ||
	    SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM) != 1 ||
	    (*pns->client_ca &&
	     SSL_CTX_load_verify_locations(ctx, pns->client_ca, NULL) != 1)) {
		SSL_CTX_free(ctx);
		return ENOENT;
	}
	if (*pns->client_ca)
		SSL_CTX_set_verify(
			ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT,
			NULL);

	SSL_CTX_free(pns->ssl);
	pns->ssl = ctx;

	return 0;
}
