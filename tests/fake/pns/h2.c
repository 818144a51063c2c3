/**
 * @file h2.c  nghttp2's callbacks, and the limit on streams
 *
 * Apple and Google answer a stream too many in their own ways, and Apple
 * starts with a limit of one.  nghttp2 would end the connection by itself
 * after the client has acknowledged a limit.  So it is told a limit that
 * nobody reaches, with the real one in its low bits, and the SETTINGS frame
 * is corrected on its way out; on_begin_headers() does the counting.
 */

#include <errno.h>
#include "pns.h"

#define LIMIT_FLAG 0x40000000u
#define LIMIT_MASK 0x3fffffffu


void pns_h2_patch(uint8_t *f, size_t len)
{
	if (len < 9 || f[3] != NGHTTP2_SETTINGS || f[4] & NGHTTP2_FLAG_ACK)
		return;

	for (size_t i = 9; i + 6 <= len; i += 6) {
		if (f[i] == 0 &&
		    f[i + 1] == NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS)
			f[i + 2] &= (uint8_t)(LIMIT_MASK >> 24);
	}
}


uint32_t pns_h2_acked_limit(const struct pns_conn *conn)
{
	const uint32_t v = nghttp2_session_get_local_settings(
		conn->h2, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);

	return v == UINT32_MAX ? v : v & LIMIT_MASK;
}


int pns_h2_settings(struct pns_conn *conn, uint32_t limit, bool first)
{
	const nghttp2_settings_entry iv[] = {
		{ NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS,
		  LIMIT_FLAG | (limit & LIMIT_MASK) },
		{ NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, 8000 },
	};

	return nghttp2_submit_settings(conn->h2, NGHTTP2_FLAG_NONE, iv,
				       first ? 2 : 1)
		       ? EPROTO
		       : 0;
}


static uint32_t first_limit(const struct pns_conn *conn)
{
	const int64_t *setv = conn->pns->setv;

	return (uint32_t)(conn->role == ROLE_FCM
				  ? setv[SET_FCM_STREAMS]
				  : setv[SET_APNS_STREAMS_FIRST]);
}


static void refuse(struct pns_conn *conn, int32_t stream, bool warned)
{
	static const char *const debug[] = {
		"Maximum active streams violated for this endpoint",
		"exceeded_max_concurrent_streams",
	};
	const struct pns *pns = conn->pns;
	struct pns_goaway g = { .last = GOAWAY_BEFORE, .close_ms = -1 };

	pns_count_add(&conn->pns->count, CNT_STREAMS_REFUSED, 1);
	if (warned)
		pns_count_add(&conn->pns->count, CNT_STREAMS_OVER_LIMIT, 1);
	if (warned && pns->setv[SET_EXCESS]) {
		g.error = NGHTTP2_ENHANCE_YOUR_CALM;
		str_ncpy(g.debug, debug[conn->role == ROLE_FCM],
			 sizeof(g.debug));
		pns_conn_goaway(conn, &g, stream);
		return;
	}
	(void)nghttp2_submit_rst_stream(conn->h2, NGHTTP2_FLAG_NONE, stream,
					NGHTTP2_REFUSED_STREAM);
}


/* Before the client has seen a limit it cannot be blamed for passing it */
static bool excess(const struct pns_conn *conn, bool *warned)
{
	const uint32_t acked = pns_h2_acked_limit(conn);

	if (conn->streams < conn->limit)
		return false;
	*warned = conn->streams >= acked;

	return true;
}


static int on_begin_headers(nghttp2_session *h2, const nghttp2_frame *frame,
			    void *arg)
{
	struct pns_conn *conn = arg;
	struct pns_req *req = NULL;
	bool warned = false;

	if (frame->headers.cat != NGHTTP2_HCAT_REQUEST)
		return 0;
	if (excess(conn, &warned)) {
		refuse(conn, frame->hd.stream_id, warned);
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	}
	if (pns_req_alloc(&req, conn, frame->hd.stream_id))
		return NGHTTP2_ERR_CALLBACK_FAILURE;

	++conn->streams;
	pns_count_add(&conn->pns->count, CNT_STREAMS_OPEN, 1);
	pns_count_max(&conn->pns->count, CNT_MAX_STREAMS_SEEN, conn->streams);

	return nghttp2_session_set_stream_user_data(h2, frame->hd.stream_id,
						    req);
}


static int on_header(nghttp2_session *h2, const nghttp2_frame *frame,
		     nghttp2_rcbuf *name, nghttp2_rcbuf *value, uint8_t flags,
		     void *arg)
{
	struct pns_req *req =
		nghttp2_session_get_stream_user_data(h2, frame->hd.stream_id);
	(void)flags;
	(void)arg;

	if (req)
		pns_req_header(req, name, value);

	return 0;
}


static int on_data(nghttp2_session *h2, uint8_t flags, int32_t stream,
		   const uint8_t *p, size_t len, void *arg)
{
	struct pns_req *req = nghttp2_session_get_stream_user_data(h2, stream);
	(void)flags;
	(void)arg;

	if (req)
		pns_req_data(req, p, len);

	return 0;
}


static void on_request_frame(nghttp2_session *h2, const nghttp2_frame *frame)
{
	struct pns_req *req =
		nghttp2_session_get_stream_user_data(h2, frame->hd.stream_id);

	if (!req)
		return;
	if (frame->hd.type == NGHTTP2_HEADERS &&
	    frame->headers.cat == NGHTTP2_HCAT_REQUEST)
		pns_req_headers_done(req);
	if (frame->hd.flags & NGHTTP2_FLAG_END_STREAM)
		pns_req_complete(req);
}


static int on_frame(nghttp2_session *h2, const nghttp2_frame *frame, void *arg)
{
	struct pns_conn *conn = arg;

	switch (frame->hd.type) {

	case NGHTTP2_HEADERS:
	case NGHTTP2_DATA:
		on_request_frame(h2, frame);
		break;

	case NGHTTP2_PING:
		if (!(frame->hd.flags & NGHTTP2_FLAG_ACK))
			pns_count_add(&conn->pns->count, CNT_PINGS, 1);
		break;

	case NGHTTP2_RST_STREAM:
		pns_count_add(&conn->pns->count, CNT_RST_RECEIVED, 1);
		break;

	default:
		break;
	}

	return 0;
}


static int on_sent(nghttp2_session *h2, const nghttp2_frame *frame, void *arg)
{
	struct pns_req *req;
	(void)arg;

	if (!(frame->hd.flags & NGHTTP2_FLAG_END_STREAM) ||
	    (frame->hd.type != NGHTTP2_HEADERS &&
	     frame->hd.type != NGHTTP2_DATA))
		return 0;
	req = nghttp2_session_get_stream_user_data(h2, frame->hd.stream_id);
	if (req)
		pns_req_sent(req);

	return 0;
}


static int on_close(nghttp2_session *h2, int32_t stream, uint32_t error,
		    void *arg)
{
	struct pns_conn *conn = arg;
	struct pns_req *req = nghttp2_session_get_stream_user_data(h2, stream);
	(void)error;

	if (!req)
		return 0;
	--conn->streams;
	pns_count_add(&conn->pns->count, CNT_STREAMS_OPEN, -1);
	pns_req_free(req);

	return 0;
}


static int callbacks_make(struct pns *pns)
{
	nghttp2_session_callbacks *cb;

	if (nghttp2_session_callbacks_new(&cb))
		return ENOMEM;
	nghttp2_session_callbacks_set_on_begin_headers_callback(
		cb, on_begin_headers);
	nghttp2_session_callbacks_set_on_header_callback2(cb, on_header);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_data);
	nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame);
	nghttp2_session_callbacks_set_on_frame_send_callback(cb, on_sent);
	nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_close);
	pns->h2_cb = cb;

	if (nghttp2_option_new(&pns->h2_option))
		return ENOMEM;
	if (!pns->default_reset_rate)
		nghttp2_option_set_stream_reset_rate_limit(pns->h2_option,
							   1u << 30, 1u << 30);

	return 0;
}


int pns_h2_init(struct pns_conn *conn)
{
	struct pns *pns = conn->pns;

	if (!pns->h2_cb) {
		const int err = callbacks_make(pns);

		if (err)
			return err;
	}
	if (nghttp2_session_server_new2(&conn->h2, pns->h2_cb, conn,
					pns->h2_option))
		return ENOMEM;

	conn->limit = first_limit(conn);

	return pns_h2_settings(conn, conn->limit, true);
}


static ssize_t body_read(nghttp2_session *h2, int32_t stream, uint8_t *buf,
			 size_t len, uint32_t *flags, nghttp2_data_source *src,
			 void *arg)
{
	struct pns_req *req = src->ptr;
	size_t left = mbuf_get_left(req->answer);
	(void)h2;
	(void)stream;
	(void)arg;

	if (req->answer_max && len > req->answer_max)
		len = req->answer_max;
	if (left <= len)
		*flags |= NGHTTP2_DATA_FLAG_EOF;
	else
		left = len;
	(void)mbuf_read_mem(req->answer, buf, left);

	return (ssize_t)left;
}


static void nv_set(nghttp2_nv *nv, const char *name, const char *value)
{
	nv->name = (uint8_t *)name;
	nv->namelen = strlen(name);
	nv->value = (uint8_t *)value;
	nv->valuelen = strlen(value);
	nv->flags = NGHTTP2_NV_FLAG_NO_COPY_NAME;
}


int pns_h2_answer(struct pns_req *req)
{
	nghttp2_data_provider prd = { .source.ptr = req,
				      .read_callback = body_read };
	nghttp2_nv nv[10];
	char status[8];
	size_t n = 0;
	bool body;

	(void)re_snprintf(status, sizeof(status), "%d", req->status);
	nv_set(&nv[n++], ":status", status);
	nv_set(&nv[n++], "date", pns_date(req->conn->pns));
	if (*req->id)
		nv_set(&nv[n++], "apns-id", req->id);
	if (*req->unique_id)
		nv_set(&nv[n++], "apns-unique-id", req->unique_id);
	if (req->content_type)
		nv_set(&nv[n++], "content-type", req->content_type);
	if (*req->ttl && req->status / 100 == 2) {
		nv_set(&nv[n++], "location", req->message);
		nv_set(&nv[n++], "ttl", req->ttl);
	}
	else if (req->fault && *req->fault->location) {
		nv_set(&nv[n++], "location", req->fault->location);
	}
	if (*req->retry_after)
		nv_set(&nv[n++], "retry-after", req->retry_after);

	mbuf_set_pos(req->answer, 0);
	body = !req->headers_only && mbuf_get_left(req->answer);
	if (nghttp2_submit_response(req->conn->h2, req->stream, nv, n,
				    body ? &prd : NULL))
		return EPROTO;

	return 0;
}
