/**
 * @file handshake.c  Why somebody's TLS did not come up
 *
 *     accept --> SSL_new(): who it is hangs at the SSL
 *                   |
 *                   +-- alert, first record: why
 *                   +-- Finished of theirs: it is up, nothing hangs there
 *                   +-- freed before that: told
 */

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <openssl/ssl.h>
#include "common/handshake.h"


/** Hangs at an SSL until it is up */
struct handshake {
	struct sa peer;
	bool any;    /**< it has sent something */
	bool no_tls; /**< which is none */
	bool alerted;
	bool theirs;   /**< the alert was */
	uint8_t alert; /**< RFC 8446 6.2 */
};

/* OpenSSL gives places at its objects by number, once for all of them */
static struct {
	int watch;     /**< at a context */
	int handshake; /**< at a connection */
} places = { -1, -1 };
static pthread_once_t once = PTHREAD_ONCE_INIT;


static const struct handshake_watch *watch_of(const SSL *ssl)
{
	const SSL_CTX *ctx = SSL_get_SSL_CTX(ssl);

	return ctx ? SSL_CTX_get_ex_data(ctx, places.watch) : NULL;
}


static void reason(char *dst, size_t size, const struct handshake *h)
{
	const char *text = SSL_alert_desc_string_long(h->alert);

	if (h->no_tls)
		(void)str_ncpy(dst, "what it sends is no TLS", size);
	else if (!h->alerted)
		(void)str_ncpy(dst, "it went away", size);
	else if (h->theirs && h->alert >= SSL_AD_BAD_CERTIFICATE &&
		 h->alert <= SSL_AD_UNKNOWN_CA)
		(void)re_snprintf(dst, size,
				  "it does not trust our certificate (%s)",
				  text);
	else if (!h->theirs && h->alert == SSL_AD_PROTOCOL_VERSION)
		(void)str_ncpy(dst, "it speaks no TLS 1.2 or newer", size);
	else
		(void)re_snprintf(dst, size, "%s alert: %s",
				  h->theirs ? "it sent" : "we sent", text);
}


/* Of any SSL that is made, also by others and in other threads */
static void new_handler(void *parent, void *ptr, CRYPTO_EX_DATA *ad, int place,
			long argl, void *argp)
{
	SSL *ssl = parent;
	const struct handshake_watch *w = watch_of(ssl);
	struct handshake *h;

	(void)ptr;
	(void)ad;
	(void)argl;
	(void)argp;

	h = w ? OPENSSL_zalloc(sizeof(*h)) : NULL;
	if (!h)
		return;

	sa_init(&h->peer, AF_UNSPEC);
	if (w->peerh)
		w->peerh(&h->peer, w->arg);
	if (!SSL_set_ex_data(ssl, place, h))
		OPENSSL_free(h);
}


static void free_handler(void *parent, void *ptr, CRYPTO_EX_DATA *ad,
			 int place, long argl, void *argp)
{
	const struct handshake_watch *w;
	struct handshake *h = ptr;
	char why[128];

	(void)ad;
	(void)place;
	(void)argl;
	(void)argp;

	if (!h)
		return;

	/* who only connects looks whether we are there */
	w = watch_of(parent);
	if (w && h->any) {
		reason(why, sizeof(why), h);
		w->failedh(&h->peer, why, w->arg);
	}
	OPENSSL_free(h);
}


static void watch_free(void *parent, void *ptr, CRYPTO_EX_DATA *ad, int place,
		       long argl, void *argp)
{
	(void)parent;
	(void)ad;
	(void)place;
	(void)argl;
	(void)argp;

	OPENSSL_free(ptr);
}


static void handshake_end(SSL *ssl, struct handshake *h)
{
	(void)SSL_set_ex_data(ssl, places.handshake, NULL);
	OPENSSL_free(h);
}


static void alert_take(struct handshake *h, bool theirs, const uint8_t *alert)
{
	if (*alert != SSL3_AL_FATAL)
		return;

	h->alerted = true;
	h->theirs = theirs;
	h->alert = alert[1];
}


static void record_handler(int written, int version, int type, const void *buf,
			   size_t len, SSL *ssl, void *arg)
{
	struct handshake *h = SSL_get_ex_data(ssl, places.handshake);
	const uint8_t *p = buf;

	(void)version;
	(void)arg;

	if (!h || !len)
		return;

	if (!SSL_is_server(ssl) ||
	    (!written && type == SSL3_RT_HANDSHAKE && *p == SSL3_MT_FINISHED))
		handshake_end(ssl, h);
	else if (type == SSL3_RT_ALERT && len > 1)
		alert_take(h, !written, p);
	else if (!written && type == SSL3_RT_HEADER && !h->any) {
		h->any = true;
		h->no_tls = *p != SSL3_RT_HANDSHAKE;
	}
}


static void places_get(void)
{
	places.watch =
		SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, watch_free);
	places.handshake =
		SSL_get_ex_new_index(0, NULL, new_handler, NULL, free_handler);
}


int handshake_watch(struct tls *tls, const struct handshake_watch *watch)
{
	SSL_CTX *ctx = tls ? tls_openssl_context(tls) : NULL;
	struct handshake_watch *w = NULL;

	if (!ctx || (watch && !watch->failedh))
		return EINVAL;

	(void)pthread_once(&once, places_get);
	if (places.watch < 0 || places.handshake < 0)
		return ENOMEM;

	if (watch) {
		w = OPENSSL_memdup(watch, sizeof(*watch));
		if (!w)
			return ENOMEM;
	}

	OPENSSL_free(SSL_CTX_get_ex_data(ctx, places.watch));
	if (!SSL_CTX_set_ex_data(ctx, places.watch, w)) {
		OPENSSL_free(w);
		return ENOMEM;
	}
	SSL_CTX_set_msg_callback(ctx, w ? record_handler : NULL);

	return 0;
}
