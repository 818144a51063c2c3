/**
 * @file req.c  One stream: headers, body, verdict, fault, answer
 *
 *   headers_done --(early fault)----------------.
 *        |                                      v
 *     complete --> fault? --> delay? --> judge, spoil --> answer --> sent
 *
 * The verdict is reached after the delay: a push counts as accepted, and the
 * phone gets it, when the service would have said so.
 */

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include "pns.h"

#define BODY_KEEP 16384
#define SPARE_MAX 4096

static const char *const header_names[H_N] = {
	[H_METHOD] = ":method",
	[H_PATH] = ":path",
	[H_AUTHORITY] = ":authority",
	[H_SCHEME] = ":scheme",
	[H_AUTHORIZATION] = "authorization",
	[H_APNS_ID] = "apns-id",
	[H_APNS_TOPIC] = "apns-topic",
	[H_APNS_PUSH_TYPE] = "apns-push-type",
	[H_APNS_PRIORITY] = "apns-priority",
	[H_APNS_EXPIRATION] = "apns-expiration",
	[H_APNS_COLLAPSE_ID] = "apns-collapse-id",
	[H_TTL] = "ttl",
	[H_URGENCY] = "urgency",
	[H_TOPIC] = "topic",
	[H_CONTENT_ENCODING] = "content-encoding",
	[H_CRYPTO_KEY] = "crypto-key",
	[H_ENCRYPTION] = "encryption",
	[H_CONTENT_TYPE] = "content-type",
	[H_CONTENT_LENGTH] = "content-length",
	[H_USER_AGENT] = "user-agent",
};

static const char *const kinds[] = {
	[KIND_OTHER] = "other", [KIND_APNS] = "apns",       [KIND_FCM] = "fcm",
	[KIND_OAUTH] = "oauth", [KIND_WEBPUSH] = "webpush",
};


const char *pns_kind_name(enum pns_kind kind)
{
	return kinds[kind];
}


static void let_go(struct pns_req *req)
{
	list_unlink(&req->le);
	tmr_cancel(&req->tmr);
	for (int i = 0; i < H_N; i++) {
		if (req->hv[i])
			nghttp2_rcbuf_decref(req->hv[i]);
	}
	for (unsigned i = 0; i < req->otherc; i++)
		nghttp2_rcbuf_decref(req->other[i]);
	mem_deref(req->fault);
	json_decref(req->root);
}


static void req_destructor(void *arg)
{
	struct pns_req *req = arg;

	let_go(req);
	mem_deref(req->body);
	mem_deref(req->answer);
}


static void req_clean(struct pns_req *req)
{
	struct mbuf *body = req->body, *answer = req->answer;

	memset(req, 0, sizeof(*req));
	req->body = body;
	req->answer = answer;
	mbuf_rewind(body);
	mbuf_rewind(answer);
}


void pns_req_free(struct pns_req *req)
{
	struct pns *pns = req->conn->pns;

	if (pns->sparec >= SPARE_MAX) {
		mem_deref(req);
		return;
	}
	let_go(req);
	req_clean(req);
	list_append(&pns->sparel, &req->le, req);
	++pns->sparec;
}


void pns_req_pool_flush(struct pns *pns)
{
	list_flush(&pns->sparel);
	pns->sparec = 0;
}


static struct pns_req *req_new(struct pns *pns)
{
	struct pns_req *req = list_ledata(pns->sparel.head);

	if (req) {
		list_unlink(&req->le);
		--pns->sparec;
		return req;
	}
	req = mem_zalloc(sizeof(*req), req_destructor);
	if (!req)
		return NULL;
	req->body = mbuf_alloc(1024);
	req->answer = mbuf_alloc(64);
	if (!req->body || !req->answer)
		req = mem_deref(req);

	return req;
}


int pns_req_alloc(struct pns_req **rp, struct pns_conn *conn, int32_t stream)
{
	struct pns_req *req = req_new(conn->pns);

	if (!req)
		return ENOMEM;
	tmr_init(&req->tmr);
	req->conn = conn;
	req->stream = stream;
	req->expiration = -1;
	req->reason = "";
	list_append(&conn->reql, &req->le, req);
	*rp = req;

	return 0;
}


const char *pns_req_h(const struct pns_req *req, enum pns_header h)
{
	return req->hv[h] ? (char *)nghttp2_rcbuf_get_buf(req->hv[h]).base
			  : "";
}


bool pns_req_has(const struct pns_req *req, enum pns_header h)
{
	return req->hv[h] != NULL;
}


static bool rcbuf_same(nghttp2_rcbuf *a, const char *s, size_t len)
{
	const nghttp2_vec v = nghttp2_rcbuf_get_buf(a);

	return v.len == len && !memcmp(v.base, s, len);
}


static void other_header(struct pns_req *req, nghttp2_rcbuf *name)
{
	const nghttp2_vec v = nghttp2_rcbuf_get_buf(name);

	for (unsigned i = 0; i < req->otherc; i++) {
		if (rcbuf_same(req->other[i], (char *)v.base, v.len))
			req->duplicate_header = true;
	}
	if (req->otherc >= PNS_OTHER_HEADERS)
		return;
	nghttp2_rcbuf_incref(name);
	req->other[req->otherc++] = name;
}


void pns_req_header(struct pns_req *req, nghttp2_rcbuf *name,
		    nghttp2_rcbuf *value)
{
	for (int i = 0; i < H_N; i++) {
		const char *s = header_names[i];

		if (!rcbuf_same(name, s, strlen(s)))
			continue;
		if (req->hv[i]) {
			req->duplicate_header = true;
			return;
		}
		nghttp2_rcbuf_incref(value);
		req->hv[i] = value;
		return;
	}
	other_header(req, name);
}


void pns_req_data(struct pns_req *req, const uint8_t *p, size_t len)
{
	req->body_len += len;
	if (req->body_len <= BODY_KEEP)
		(void)mbuf_write_mem(req->body, p, len);
}


static enum pns_kind classify(const char *path)
{
	static const struct pl device = PL("/3/device");
	static const struct pl token = PL("/token");
	static const struct pl projects = PL("/v1/projects/");
	static const struct pl send = PL("/messages:send");
	const struct pl p = { path, strcspn(path, "?") };
	struct pl head = p, tail = p;

	if (pns_webpush_path(path))
		return KIND_WEBPUSH;
	head.l = min(p.l, device.l);
	if (!pl_cmp(&head, &device))
		return KIND_APNS;
	if (!pl_cmp(&p, &token))
		return KIND_OAUTH;
	head.l = min(p.l, projects.l);
	pl_advance(&tail, (ssize_t)(p.l - min(p.l, send.l)));
	if (!pl_cmp(&head, &projects) && !pl_cmp(&tail, &send))
		return KIND_FCM;

	return KIND_OTHER;
}


void pns_req_verdict(struct pns_req *req, int status, const char *reason)
{
	req->status = status;
	str_ncpy(req->reason_buf, reason, sizeof(req->reason_buf));
	req->reason = req->reason_buf;
}


void pns_req_printf(struct pns_req *req, const char *fmt, ...)
{
	char buf[2048];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(buf, sizeof(buf), fmt, ap);
	va_end(ap);
	if (n > 0)
		(void)mbuf_write_mem(req->answer, (uint8_t *)buf,
				     min((size_t)n, sizeof(buf) - 1));
}


json_t *pns_req_root(struct pns_req *req)
{
	if (!req->root && req->body_len == req->body->end)
		req->root = json_loadb((char *)req->body->buf, req->body->end,
				       0, NULL);

	return req->root;
}


static void text(char *dst, size_t size, const char *value, size_t len)
{
	str_ncpy(dst, value, min(size, len + 1));
}


void pns_req_payload(struct pns_req *req, const char *key, size_t keylen,
		     const char *value, size_t len)
{
	if (pns_scan_is(key, keylen, "use"))
		text(req->use, sizeof(req->use), value, len);
	else if (pns_scan_is(key, keylen, "call"))
		text(req->call, sizeof(req->call), value, len);
	else if (pns_scan_is(key, keylen, "trace"))
		text(req->trace, sizeof(req->trace), value, len);
	else if (pns_scan_is(key, keylen, "expires_at") ||
		 pns_scan_is(key, keylen, "expires_at_ms"))
		req->expires_ms = strtoll(value, NULL, 10);
}


static void judge(struct pns_req *req)
{
	req->judged = true;

	switch (req->kind) {

	case KIND_APNS:
		pns_apns_judge(req);
		break;

	case KIND_FCM:
		pns_fcm_judge(req);
		break;

	case KIND_OAUTH:
		pns_oauth_judge(req);
		break;

	case KIND_WEBPUSH:
		pns_webpush_judge(req);
		break;

	default:
		pns_req_verdict(req, 404, "NotFound");
		req->content_type = "text/html; charset=UTF-8";
		pns_req_printf(req, "<html><title>404</title></html>");
		break;
	}
}


static int known_status(const struct pns_req *req, const char *reason)
{
	if (!*reason)
		return 200;

	if (req->kind == KIND_OAUTH)
		return 400;
	if (req->kind == KIND_WEBPUSH)
		return pns_webpush_status(reason);

	return req->kind == KIND_FCM ? pns_fcm_status(reason)
				     : pns_apns_status(reason);
}


static void spoil_verdict(struct pns_req *req, const struct pns_do *d)
{
	if (!d->status && !*d->reason)
		return;

	pns_req_verdict(req,
			d->status ? d->status : known_status(req, d->reason),
			d->reason);
	mbuf_rewind(req->answer);
	if (req->kind == KIND_APNS)
		pns_apns_body(req, d->timestamp_ms);
	else if (req->kind == KIND_FCM)
		pns_fcm_body(req, !d->no_details);
	else if (req->kind == KIND_OAUTH)
		pns_oauth_body(req);
	else if (req->kind == KIND_WEBPUSH)
		pns_webpush_body(req);
}


static void spoil_body(struct pns_req *req, const struct pns_do *d)
{
	if (d->body) {
		mbuf_rewind(req->answer);
		(void)mbuf_write_str(req->answer, d->body);
	}
	if (*d->content_type)
		req->content_type = d->content_type;
	if (*d->retry_after)
		str_ncpy(req->retry_after, d->retry_after,
			 sizeof(req->retry_after));
	if (d->truncate >= 0 && (size_t)d->truncate < req->answer->end)
		req->answer->end = (size_t)d->truncate;
	req->headers_only = d->headers_only;
	req->answer_max = d->split;
}


/* true: the stream gets no answer */
static bool spoil_stream(struct pns_req *req, const struct pns_do *d)
{
	struct pns_conn *conn = req->conn;

	if (d->goaway.on)
		pns_conn_goaway(conn, &d->goaway, req->stream);
	if (d->max_streams >= 0)
		pns_conn_limit(conn, (uint32_t)d->max_streams);
	if (d->wedge)
		conn->wedged = true;

	if (d->rst >= 0) {
		req->fault_name = "rst";
		(void)nghttp2_submit_rst_stream(conn->h2, NGHTTP2_FLAG_NONE,
						req->stream, (uint32_t)d->rst);
	}
	else if (d->tcp_reset) {
		req->fault_name = "tcp_reset";
		pns_conn_doom(conn, true);
	}
	else if (d->black_hole) {
		req->fault_name = "black_hole";
	}
	else if (d->goaway.on && (d->goaway.last == GOAWAY_NONE ||
				  d->goaway.last == GOAWAY_BEFORE)) {
		req->fault_name = "goaway";
	}

	return req->fault_name != NULL;
}


static void tally(const struct pns_req *req)
{
	static const enum pns_counter ok[] = {
		[KIND_OTHER] = CNT_OTHER,        [KIND_APNS] = CNT_APNS_OK,
		[KIND_FCM] = CNT_FCM_OK,         [KIND_OAUTH] = CNT_OAUTH_OK,
		[KIND_WEBPUSH] = CNT_WEBPUSH_OK,
	};
	struct pns_count *count = &req->conn->pns->count;

	if (*req->reason)
		pns_count_reason(count, req->reason);
	if (req->status / 100 == 2 || req->kind == KIND_OTHER)
		pns_count_add(count, ok[req->kind], 1);
	else if (req->kind == KIND_APNS)
		pns_count_add(count, CNT_APNS_REJECTED, 1);
	else if (req->kind == KIND_FCM)
		pns_count_add(count, CNT_FCM_REJECTED, 1);
	else if (req->kind == KIND_WEBPUSH)
		pns_count_add(count, CNT_WEBPUSH_REJECTED, 1);
}


static void log_end(struct pns_req *req, int64_t answer_us)
{
	pns_reqlog_put(req->conn->pns->log, req, answer_us);
}


static void act(void *arg)
{
	struct pns_req *req = arg;
	struct pns_conn *conn = req->conn;
	const struct pns_do *d = req->fault;
	bool dumb = false;

	req->answered = true;
	if (!d || d->deliver || pns_do_keeps_verdict(d))
		judge(req);
	if (d) {
		pns_count_add(&conn->pns->count, CNT_FAULTS, 1);
		spoil_verdict(req, d);
		spoil_body(req, d);
		dumb = spoil_stream(req, d);
	}

	if (dumb) {
		if (!req->judged)
			req->status = 0;
		log_end(req, 0);
	}
	else {
		tally(req);
		if (pns_h2_answer(req))
			pns_conn_doom(conn, false);
	}
	pns_conn_pump(conn);
}


static uint32_t delay_ms(const struct pns_req *req)
{
	const int64_t *setv = req->conn->pns->setv;
	int64_t ms = setv[SET_DELAY_MS];

	if (req->fault && req->fault->delay_ms)
		return req->fault->delay_ms;
	if (req->kind != KIND_APNS && req->kind != KIND_FCM &&
	    req->kind != KIND_WEBPUSH)
		return 0;
	if (setv[SET_DELAY_JITTER_MS] > 0)
		ms += rand_u32() % (uint32_t)(setv[SET_DELAY_JITTER_MS] + 1);

	return ms > 0 ? (uint32_t)ms : 0;
}


static void schedule(struct pns_req *req)
{
	const uint32_t ms = delay_ms(req);

	if (ms)
		tmr_start(&req->tmr, ms, act, req);
	else
		act(req);
}


void pns_req_headers_done(struct pns_req *req)
{
	const char *host = pns_req_h(req, H_AUTHORITY);
	struct pns *pns = req->conn->pns;

	req->kind = classify(pns_req_h(req, H_PATH));
	req->sandbox = req->conn->role == ROLE_SANDBOX ||
		       (req->conn->role == ROLE_ANY &&
			!strncmp(host, "api.sandbox.", 12));

	if (list_isempty(&pns->faultl))
		return;
	req->fault = pns_fault_take(pns, req, true);
	if (req->fault)
		schedule(req);
}


static void tally_arrival(struct pns_req *req)
{
	static const enum pns_counter cnt[] = {
		[KIND_OTHER] = CNT_REQUESTS,  [KIND_APNS] = CNT_APNS,
		[KIND_FCM] = CNT_FCM,         [KIND_OAUTH] = CNT_OAUTH,
		[KIND_WEBPUSH] = CNT_WEBPUSH,
	};
	struct pns_count *count = &req->conn->pns->count;
	const char *id = pns_req_h(req, H_APNS_ID);

	pns_count_add(count, CNT_REQUESTS, 1);
	if (req->kind != KIND_OTHER)
		pns_count_add(count, cnt[req->kind], 1);
	if (*id &&
	    pns_u64set_put(count->apns_ids, pns_hash64(0, id, strlen(id))))
		pns_count_add(count, CNT_DUPLICATES_APNS_ID, 1);
	if (req->expires_ms && req->request_us / 1000 > req->expires_ms) {
		req->late = true;
		pns_count_add(count, CNT_LATE, 1);
	}
}


void pns_req_complete(struct pns_req *req)
{
	struct pns *pns = req->conn->pns;

	req->complete = true;
	req->request_us = pns_now_us();
	/* a NUL behind the body for those who read it as text */
	if (!mbuf_write_u8(req->body, 0))
		--req->body->end;
	if (req->kind == KIND_APNS)
		pns_apns_prepare(req);
	else if (req->kind == KIND_FCM)
		pns_fcm_prepare(req);
	else if (req->kind == KIND_WEBPUSH)
		pns_webpush_prepare(req);
	tally_arrival(req);
	if (req->fault)
		return;

	if (!list_isempty(&pns->faultl))
		req->fault = pns_fault_take(pns, req, false);
	schedule(req);
}


void pns_req_sent(struct pns_req *req)
{
	log_end(req, pns_now_us());
}
