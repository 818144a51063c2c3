/**
 * @file pns.c  The root object of the fake, and its clocks
 */

#include <errno.h>
#include <time.h>
#include "pns.h"


static void pns_destructor(void *arg)
{
	struct pns *pns = arg;

	mem_deref(pns->ctl);
	list_flush(&pns->listenerl);
	list_flush(&pns->connl);
	pns_req_pool_flush(pns);
	list_flush(&pns->devl);
	list_flush(&pns->faultl);
	hash_flush(pns->tokens);
	hash_flush(pns->access);
	if (pns->jwts)
		pns_jwt_flush(pns);
	mem_deref(pns->tokens);
	mem_deref(pns->jwts);
	mem_deref(pns->access);
	mem_deref(pns->salts);
	list_flush(&pns->credl);
	list_flush(&pns->sal);
	mem_deref(pns->log);
	pns_count_close(&pns->count);
	nghttp2_session_callbacks_del(pns->h2_cb);
	nghttp2_option_del(pns->h2_option);
	SSL_CTX_free(pns->ssl);
}


int pns_alloc(struct pns **pp)
{
	struct pns *pns = mem_zalloc(sizeof(*pns), pns_destructor);
	int err;

	if (!pns)
		return ENOMEM;
	pns_set_default(pns->setv);
	pns->voip_watch = true;
	err = hash_alloc(&pns->tokens, PNS_BUCKETS);
	err |= hash_alloc(&pns->jwts, 256);
	err |= hash_alloc(&pns->access, 256);
	err |= pns_u64set_alloc(&pns->salts);
	err |= pns_count_init(&pns->count);
	if (err) {
		mem_deref(pns);
		return ENOMEM;
	}
	*pp = pns;

	return 0;
}


int64_t pns_now_us(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_REALTIME, &ts);

	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}


int64_t pns_now_ms(const struct pns *pns)
{
	return pns_now_us() / 1000 + pns->setv[SET_CLOCK_OFFSET_MS];
}


const char *pns_date(struct pns *pns)
{
	const time_t now = (time_t)(pns_now_ms(pns) / 1000);
	struct tm tm;

	if (now != pns->date_s) {
		pns->date_s = now;
		(void)gmtime_r(&now, &tm);
		(void)strftime(pns->date, sizeof(pns->date),
			       "%a, %d %b %Y %H:%M:%S GMT", &tm);
	}

	return pns->date;
}
