/**
 * @file net/req.c  One request to a provider, used again and again
 */

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include "common/clock.h"
#include "mediator/net/conn.h"
#include "mediator/net/outside.h"
#include "mediator/net/req.h"

enum {
	CONN_AGE_S = 7 * 86400, /* providers want connections kept for days */
	KEEP_IDLE_S = 15,
	KEEP_INTERVAL_S = 5,
	/* 7.88 forgets the rest of an HTTP/2 answer that does not fit */
	ANSWER_BUFFER = 16384,
};


static void destructor(void *arg)
{
	struct req *r = arg;

	list_unlink(&r->le);
	if (r->easy)
		curl_easy_cleanup(r->easy);
	mem_deref(r->hdrs);
}


static size_t write_cb(char *p, size_t size, size_t n, void *arg)
{
	struct req *r = arg;
	size_t len = size * n, room = sizeof(r->answer) - r->answer_len;

	if (room > len)
		room = len;
	memcpy(r->answer + r->answer_len, p, room);
	r->answer_len += room;

	return len;
}


static int sockopt_cb(void *arg, curl_socket_t fd, curlsocktype purpose)
{
	struct req *r = arg;
	(void)purpose;

	conn_opened(r->conn, (int)fd);
	return CURL_SOCKOPT_OK;
}


/* The address, not the name: that may mean another one at each look */
static curl_socket_t opensocket_cb(void *arg, curlsocktype purpose,
				   struct curl_sockaddr *addr)
{
	struct req *r = arg;
	(void)purpose;

	if (!net_outside(&addr->addr)) {
		r->barred = true;
		return CURL_SOCKET_BAD;
	}

	r->outside = true;
	return socket(addr->family, addr->socktype | SOCK_CLOEXEC,
		      addr->protocol);
}


static int prereq_cb(void *arg, char *primary_ip, char *local_ip,
		     int primary_port, int local_port)
{
	struct req *r = arg;
	(void)primary_ip;
	(void)local_ip;
	(void)primary_port;
	(void)local_port;

	return conn_admits(r->conn, r) ? CURL_PREREQFUNC_OK
				       : CURL_PREREQFUNC_ABORT;
}


static int setup(struct req *r, const struct req_prm *prm)
{
	CURL *e = r->easy;
	CURLcode rc = CURLE_OK;

#define SET(opt, val)                                       \
	do {                                                \
		if (!rc)                                    \
			rc = curl_easy_setopt(e, opt, val); \
	} while (0)

	SET(CURLOPT_PRIVATE, r);
	SET(CURLOPT_POST, 1L);
	SET(CURLOPT_NOSIGNAL, 1L);
	SET(CURLOPT_PROTOCOLS_STR, "https");
	SET(CURLOPT_PROXY, "");
	SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
	SET(CURLOPT_PIPEWAIT, 1L);
	SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	SET(CURLOPT_SSL_VERIFYPEER, 1L);
	SET(CURLOPT_SSL_VERIFYHOST, 2L);
	SET(CURLOPT_DNS_CACHE_TIMEOUT, 0L);
	SET(CURLOPT_MAXAGE_CONN, (long)CONN_AGE_S);
	SET(CURLOPT_TCP_KEEPALIVE, 1L);
	SET(CURLOPT_TCP_KEEPIDLE, (long)KEEP_IDLE_S);
	SET(CURLOPT_TCP_KEEPINTVL, (long)KEEP_INTERVAL_S);
	SET(CURLOPT_CONNECTTIMEOUT_MS, (long)prm->connect_timeout_ms);
	SET(CURLOPT_BUFFERSIZE, (long)ANSWER_BUFFER);
	SET(CURLOPT_WRITEFUNCTION, write_cb);
	SET(CURLOPT_WRITEDATA, r);
	SET(CURLOPT_POSTFIELDS, r->body);
	SET(CURLOPT_SOCKOPTFUNCTION, sockopt_cb);
	SET(CURLOPT_SOCKOPTDATA, r);
	SET(CURLOPT_PREREQFUNCTION, prereq_cb);
	SET(CURLOPT_PREREQDATA, r);
	/* An endpoint of a browser is used byte for byte */
	SET(CURLOPT_PATH_AS_IS, 1L);
	if (prm->outside_only) {
		SET(CURLOPT_OPENSOCKETFUNCTION, opensocket_cb);
		SET(CURLOPT_OPENSOCKETDATA, r);
	}
	if (prm->ca)
		SET(CURLOPT_CAINFO, prm->ca);
#undef SET

	return rc ? EINVAL : 0;
}


int req_alloc(struct req **rp, const struct req_prm *prm)
{
	struct req *r;
	int err;

	if (!rp || !prm)
		return EINVAL;

	r = mem_zalloc(sizeof(*r), destructor);
	if (!r)
		return ENOMEM;

	r->easy = curl_easy_init();
	err = r->easy ? setup(r, prm) : ENOMEM;
	if (err)
		mem_deref(r);
	else
		*rp = r;

	return err;
}


int req_line(struct req *r, const char *fmt, ...)
{
	va_list ap;
	int n;

	if (r->own_count >= REQ_OWN_MAX)
		return EOVERFLOW;

	va_start(ap, fmt);
	n = vsnprintf(r->line[r->own_count], REQ_LINE_MAX, fmt, ap);
	va_end(ap);
	if (n < 0 || n >= REQ_LINE_MAX)
		return EMSGSIZE;

	r->own[r->own_count].data = r->line[r->own_count];
	r->own_count++;
	return 0;
}


void req_ready(struct req *r, struct hdrs *hdrs, uint32_t timeout_ms)
{
	struct curl_slist *list = hdrs_list(hdrs);

	r->hdrs = mem_ref(hdrs);
	for (unsigned i = r->own_count; i > 0; i--) {
		r->own[i - 1].next = list;
		list = &r->own[i - 1];
	}

	curl_easy_setopt(r->easy, CURLOPT_HTTPHEADER, list);
	curl_easy_setopt(r->easy, CURLOPT_URL, r->url);
	curl_easy_setopt(r->easy, CURLOPT_POSTFIELDSIZE, (long)r->body_len);
	curl_easy_setopt(r->easy, CURLOPT_TIMEOUT_MS, (long)timeout_ms);
}


void req_clear(struct req *r)
{
	r->hdrs = mem_deref(r->hdrs);
	r->own_count = 0;
	r->body_len = 0;
	r->answer_len = 0;
	r->barred = false;
	r->outside = false;
	r->conn = NULL;
	r->arg = NULL;
}


const char *req_answer_header(const struct req *r, const char *name)
{
	struct curl_header *h;

	if (curl_easy_header(r->easy, name, 0, CURLH_HEADER, -1, &h))
		return NULL;

	return h->value;
}


void req_times(const struct req *r, int64_t *sent_us, int64_t *answered_us)
{
	curl_off_t sent = 0, total = 0;

	(void)curl_easy_getinfo(r->easy, CURLINFO_PRETRANSFER_TIME_T, &sent);
	(void)curl_easy_getinfo(r->easy, CURLINFO_TOTAL_TIME_T, &total);

	*sent_us = sent ? r->started_us + sent : 0;
	*answered_us = total ? r->started_us + total : 0;
}
