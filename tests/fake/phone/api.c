/**
 * @file api.c  The demo phone's HTTPS: libcurl's multi on libre's loop
 */

#include <errno.h>
#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>
#include "phone.h"

#define TIMEOUT_MS 40000L
#define ANSWER_MAX 65536

struct api {
	CURLM *multi;
	struct tmr tmr;
	struct list reql;
	char *base, *ca;
};

/** What curl watches: fd_h has no room for the descriptor */
struct watched {
	struct api *api;
	int fd;
};

struct request {
	struct le le;
	CURL *easy;
	struct curl_slist *headers;
	struct mbuf *mb;
	char *body;
	api_resp_h *h;
	void *arg;
	char err[CURL_ERROR_SIZE];
};


static void request_destructor(void *arg)
{
	struct request *r = arg;

	list_unlink(&r->le);
	curl_easy_cleanup(r->easy);
	curl_slist_free_all(r->headers);
	mem_deref(r->mb);
	free(r->body);
}


static void api_destructor(void *arg)
{
	struct api *api = arg;
	struct le *le;

	tmr_cancel(&api->tmr);
	LIST_FOREACH (&api->reql, le) {
		struct request *r = le->data;

		curl_multi_remove_handle(api->multi, r->easy);
	}
	list_flush(&api->reql);
	curl_multi_cleanup(api->multi);
	mem_deref(api->base);
	mem_deref(api->ca);
}


static void finish(struct api *api, CURL *easy, CURLcode code)
{
	struct request *r = NULL;
	json_t *body = NULL;
	long status = 0;

	curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **)&r);
	curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
	curl_multi_remove_handle(api->multi, easy);
	list_unlink(&r->le);
	if (!code)
		body = json_loadb((char *)r->mb->buf, r->mb->end, 0, NULL);

	r->h(code ? 0 : (int)status, body,
	     *r->err ? r->err : curl_easy_strerror(code), r->arg);
	json_decref(body);
	mem_deref(r);
}


static void done(struct api *api)
{
	CURLMsg *msg;
	int left;

	while ((msg = curl_multi_info_read(api->multi, &left))) {
		if (msg->msg == CURLMSG_DONE)
			finish(api, msg->easy_handle, msg->data.result);
	}
}


static void act(struct api *api, curl_socket_t fd, int what)
{
	int running;

	/* a handler may drop the last reference of the owner */
	mem_ref(api);
	(void)curl_multi_socket_action(api->multi, fd, what, &running);
	done(api);
	mem_deref(api);
}


static void fd_ready(int flags, void *arg)
{
	const struct watched *w = arg;

	act(w->api, w->fd,
	    (flags & FD_READ ? CURL_CSELECT_IN : 0) |
		    (flags & FD_WRITE ? CURL_CSELECT_OUT : 0) |
		    (flags & FD_EXCEPT ? CURL_CSELECT_ERR : 0));
}


static int socket_wanted(CURL *easy, curl_socket_t fd, int what, void *arg,
			 void *old)
{
	struct api *api = arg;
	struct watched *w = old;
	int flags = 0;
	(void)easy;

	if (what == CURL_POLL_REMOVE) {
		fd_close(fd);
		mem_deref(w);
		return 0;
	}
	if (!w) {
		w = mem_zalloc(sizeof(*w), NULL);
		if (!w)
			return -1;
		w->api = api;
		w->fd = fd;
		curl_multi_assign(api->multi, fd, w);
	}
	if (what & CURL_POLL_IN)
		flags |= FD_READ;
	if (what & CURL_POLL_OUT)
		flags |= FD_WRITE;

	return fd_listen(fd, flags, fd_ready, w) ? -1 : 0;
}


static void timeout(void *arg)
{
	act(arg, CURL_SOCKET_TIMEOUT, 0);
}


static int timer_wanted(CURLM *multi, long ms, void *arg)
{
	struct api *api = arg;
	(void)multi;

	if (ms < 0)
		tmr_cancel(&api->tmr);
	else
		tmr_start(&api->tmr, (uint64_t)ms, timeout, api);

	return 0;
}


int api_alloc(struct api **ap, const char *base, const char *ca)
{
	struct api *api = mem_zalloc(sizeof(*api), api_destructor);
	int err;

	if (!api)
		return ENOMEM;
	tmr_init(&api->tmr);
	api->multi = curl_multi_init();
	err = api->multi ? 0 : ENOMEM;
	if (!err)
		err = str_dup(&api->base, base);
	if (!err && ca)
		err = str_dup(&api->ca, ca);
	if (err) {
		mem_deref(api);
		return err;
	}
	curl_multi_setopt(api->multi, CURLMOPT_SOCKETFUNCTION, socket_wanted);
	curl_multi_setopt(api->multi, CURLMOPT_SOCKETDATA, api);
	curl_multi_setopt(api->multi, CURLMOPT_TIMERFUNCTION, timer_wanted);
	curl_multi_setopt(api->multi, CURLMOPT_TIMERDATA, api);
	*ap = api;

	return 0;
}


static size_t answer_data(char *p, size_t size, size_t n, void *arg)
{
	struct request *r = arg;

	if (r->mb->end + size * n > ANSWER_MAX ||
	    mbuf_write_mem(r->mb, (uint8_t *)p, size * n))
		return 0;

	return size * n;
}


static void header(struct request *r, const char *name, const char *value)
{
	char line[512];

	(void)re_snprintf(line, sizeof(line), "%s: %s", name, value);
	r->headers = curl_slist_append(r->headers, line);
}


static void easy_setup(struct api *api, struct request *r, const char *method,
		       const char *path)
{
	char url[1024];

	(void)re_snprintf(url, sizeof(url), "%s%s", api->base, path);
	curl_easy_setopt(r->easy, CURLOPT_URL, url);
	curl_easy_setopt(r->easy, CURLOPT_CUSTOMREQUEST, method);
	curl_easy_setopt(r->easy, CURLOPT_HTTP_VERSION,
			 (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(r->easy, CURLOPT_PROTOCOLS_STR, "https");
	curl_easy_setopt(r->easy, CURLOPT_SSLVERSION,
			 (long)CURL_SSLVERSION_TLSv1_2);
	if (api->ca)
		curl_easy_setopt(r->easy, CURLOPT_CAINFO, api->ca);
	curl_easy_setopt(r->easy, CURLOPT_HTTPHEADER, r->headers);
	if (r->body) {
		curl_easy_setopt(r->easy, CURLOPT_POSTFIELDSIZE,
				 (long)strlen(r->body));
		curl_easy_setopt(r->easy, CURLOPT_POSTFIELDS, r->body);
	}
	else if (!strcmp(method, "POST")) {
		curl_easy_setopt(r->easy, CURLOPT_POSTFIELDSIZE, 0L);
		curl_easy_setopt(r->easy, CURLOPT_POSTFIELDS, "");
	}
	curl_easy_setopt(r->easy, CURLOPT_TIMEOUT_MS, TIMEOUT_MS);
	curl_easy_setopt(r->easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(r->easy, CURLOPT_ERRORBUFFER, r->err);
	curl_easy_setopt(r->easy, CURLOPT_WRITEFUNCTION, answer_data);
	curl_easy_setopt(r->easy, CURLOPT_WRITEDATA, r);
	curl_easy_setopt(r->easy, CURLOPT_PRIVATE, r);
}


int api_request(struct api *api, const char *method, const char *path,
		const char *secret, json_t *body, api_resp_h *h, void *arg)
{
	struct request *r = mem_zalloc(sizeof(*r), request_destructor);
	char bearer[256];

	if (r) {
		r->easy = curl_easy_init();
		r->mb = mbuf_alloc(512);
		r->body = body ? json_dumps(body, JSON_COMPACT) : NULL;
	}
	json_decref(body);
	if (!r || !r->easy || !r->mb) {
		mem_deref(r);
		return ENOMEM;
	}

	r->h = h;
	r->arg = arg;
	if (secret) {
		(void)re_snprintf(bearer, sizeof(bearer), "Bearer %s", secret);
		header(r, "Authorization", bearer);
	}
	if (r->body)
		header(r, "Content-Type", "application/json");
	header(r, "Expect", "");
	easy_setup(api, r, method, path);
	list_append(&api->reql, &r->le, r);
	if (curl_multi_add_handle(api->multi, r->easy)) {
		mem_deref(r);
		return EPROTO;
	}

	return 0;
}
