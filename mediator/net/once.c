/**
 * @file net/once.c  A single HTTPS POST, off the path of pushes
 */

#include <errno.h>
#include <string.h>
#include "mediator/net/curl_loop.h"
#include "mediator/net/once.h"

enum { ONCE_ANSWER_MAX = 16384 };

struct once {
	struct curl_loop *cl;
	CURL *easy;
	struct curl_slist *list;
	bool running;
	struct mbuf *mb;
	once_h *h;
	void *arg;
};


static void destructor(void *arg)
{
	struct once *o = arg;

	if (o->running)
		curl_loop_remove(o->cl, o->easy);
	if (o->easy)
		curl_easy_cleanup(o->easy);
	curl_slist_free_all(o->list);
	mem_deref(o->cl);
	mem_deref(o->mb);
}


static size_t write_cb(char *p, size_t size, size_t n, void *arg)
{
	struct once *o = arg;

	if (o->mb->end + size * n > ONCE_ANSWER_MAX)
		return 0;

	return mbuf_write_mem(o->mb, (uint8_t *)p, size * n) ? 0 : size * n;
}


static int64_t answer_date(CURL *easy)
{
	struct curl_header *h;
	time_t t;

	if (curl_easy_header(easy, "date", 0, CURLH_HEADER, -1, &h))
		return 0;

	t = curl_getdate(h->value, NULL);
	return t == -1 ? 0 : (int64_t)t * 1000;
}


static void done_handler(CURL *easy, CURLcode rc, void *arg)
{
	struct once *o = arg;
	curl_off_t sent = 0;
	long status = 0;
	int64_t date = 0;

	o->running = false;
	(void)curl_easy_getinfo(easy, CURLINFO_PRETRANSFER_TIME_T, &sent);
	if (!rc) {
		(void)curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
		date = answer_date(easy);
	}
	if (mbuf_write_u8(o->mb, 0))
		rc = CURLE_OUT_OF_MEMORY;

	o->h(net_fail(rc, sent > 0), (uint32_t)status, (char *)o->mb->buf,
	     date, o->arg);
}


static int setup(struct once *o, const struct once_prm *prm)
{
	char line[128];
	CURL *e = o->easy;

	(void)re_snprintf(line, sizeof(line), "content-type: %s",
			  prm->content_type);
	o->list = curl_slist_append(NULL, line);
	if (!o->list)
		return ENOMEM;

	curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "https");
	curl_easy_setopt(e, CURLOPT_PROXY, "");
	curl_easy_setopt(e, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	curl_easy_setopt(e, CURLOPT_TIMEOUT_MS, (long)prm->timeout_ms);
	curl_easy_setopt(e, CURLOPT_HTTPHEADER, o->list);
	curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, write_cb);
	curl_easy_setopt(e, CURLOPT_WRITEDATA, o);
	if (prm->ca && curl_easy_setopt(e, CURLOPT_CAINFO, prm->ca))
		return EINVAL;
	if (curl_easy_setopt(e, CURLOPT_URL, prm->url) ||
	    curl_easy_setopt(e, CURLOPT_COPYPOSTFIELDS, prm->body))
		return ENOMEM;

	return 0;
}


int once_post(struct once **op, const struct once_prm *prm, once_h *h,
	      void *arg)
{
	struct once *o;
	int err;

	if (!op || !prm || !h)
		return EINVAL;

	o = mem_zalloc(sizeof(*o), destructor);
	if (!o)
		return ENOMEM;

	o->h = h;
	o->arg = arg;
	o->mb = mbuf_alloc(1024);
	o->easy = curl_easy_init();
	err = o->mb && o->easy ? 0 : ENOMEM;
	if (!err)
		err = curl_loop_alloc(&o->cl, done_handler, o);
	if (!err)
		err = setup(o, prm);
	if (!err)
		err = curl_loop_add(o->cl, o->easy);
	if (err) {
		mem_deref(o);
		return err;
	}

	o->running = true;
	*op = o;
	return 0;
}
