/**
 * @file reqlog.c  The request log: a line per request, and the recent past
 *
 * Lines go to the file before the answers that they are of leave, in one write
 * for all that leave together.  The last ones are kept for wait_push, so that
 * a test may ask after the fact.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>
#include "pns.h"

#define PAST_MAX   4096
#define LINE_KEEP  1200
#define FLUSH_SIZE 65536

struct past {
	size_t len; /**< of line */
	char tag[9], call[64], use[16];
	int status;
	char line[LINE_KEEP];
};

struct pns_line_wait {
	struct le le;
	struct tmr tmr;
	json_t *match;
	char tag[9];
	pns_line_h *h;
	void *arg;
};

struct pns_reqlog {
	struct pns *pns;
	int fd; /**< -1: no file */
	struct pns_jw buf;
	struct tmr tmr;
	struct list waitl;
	struct past *past; /**< ring */
	uint64_t pastc;    /**< ever */
};


static void reqlog_destructor(void *arg)
{
	struct pns_reqlog *log = arg;

	pns_reqlog_flush(log);
	tmr_cancel(&log->tmr);
	mem_deref(log->past);
	list_flush(&log->waitl);
	free(log->buf.p);
	if (log->fd >= 0)
		(void)close(log->fd);
}


int pns_reqlog_alloc(struct pns_reqlog **lp, struct pns *pns, const char *path)
{
	struct pns_reqlog *log = mem_zalloc(sizeof(*log), reqlog_destructor);

	if (!log)
		return ENOMEM;
	log->pns = pns;
	log->fd = -1;
	tmr_init(&log->tmr);
	log->past = mem_alloc(PAST_MAX * sizeof(*log->past), NULL);
	if (!log->past) {
		mem_deref(log);
		return ENOMEM;
	}
	if (path) {
		log->fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC,
			       0600);
		if (log->fd < 0) {
			const int err = errno;

			mem_deref(log);
			return err;
		}
	}
	*lp = log;

	return 0;
}


void pns_reqlog_flush(struct pns_reqlog *log)
{
	size_t pos = 0;

	while (log->fd >= 0 && pos < log->buf.len) {
		const ssize_t n =
			write(log->fd, log->buf.p + pos, log->buf.len - pos);

		if (n <= 0)
			break;
		pos += (size_t)n;
	}
	log->buf.len = 0;
}


static void flush_now(void *arg)
{
	pns_reqlog_flush(arg);
}


static bool same(const json_t *match, const char *key, const char *value)
{
	const char *want = json_string_value(json_object_get(match, key));

	return !want || !strcmp(want, value);
}


static bool fits(const struct pns_line_wait *w, const struct past *p)
{
	const json_t *status = json_object_get(w->match, "status");

	return (!*w->tag || !strcmp(w->tag, p->tag)) &&
	       same(w->match, "call", p->call) &&
	       same(w->match, "use", p->use) &&
	       (!status || json_integer_value(status) == p->status);
}


static void wait_destructor(void *arg)
{
	struct pns_line_wait *w = arg;

	list_unlink(&w->le);
	tmr_cancel(&w->tmr);
	json_decref(w->match);
}


static void wait_end(struct pns_line_wait *w, const char *line)
{
	pns_line_h *h = w->h;
	void *arg = w->arg;

	mem_deref(w);
	h(line, arg);
}


static void wait_timeout(void *arg)
{
	wait_end(arg, NULL);
}


static struct past *find(const struct pns_reqlog *log,
			 const struct pns_line_wait *w)
{
	uint64_t i = log->pastc > PAST_MAX ? log->pastc - PAST_MAX : 0;

	for (; i < log->pastc; i++) {
		struct past *p = &log->past[i % PAST_MAX];

		if (fits(w, p))
			return p;
	}

	return NULL;
}


int pns_reqlog_wait(struct pns_line_wait **wp, struct pns_reqlog *log,
		    const json_t *match, uint32_t timeout_ms, pns_line_h *h,
		    void *arg)
{
	const char *token = json_string_value(json_object_get(match, "token"));
	struct pns_line_wait *w = mem_zalloc(sizeof(*w), wait_destructor);
	struct past *p;

	if (!w)
		return ENOMEM;
	w->match = json_incref((json_t *)match);
	w->h = h;
	w->arg = arg;
	if (token)
		pns_token_tag(w->tag, token);
	*wp = w;
	list_append(&log->waitl, &w->le, w);
	tmr_start(&w->tmr, timeout_ms, wait_timeout, w);
	p = find(log, w);
	if (p)
		wait_end(w, p->line);

	return 0;
}


static void remember(struct pns_reqlog *log, const struct pns_req *req,
		     const char *tag, const char *line, size_t len)
{
	struct past *p = &log->past[log->pastc++ % PAST_MAX];
	struct le *le = log->waitl.head;

	p->len = min(len, sizeof(p->line) - 1);
	memcpy(p->line, line, p->len);
	p->line[p->len] = '\0';
	memcpy(p->tag, tag, sizeof(p->tag));
	memcpy(p->call, req->call, sizeof(p->call));
	memcpy(p->use, req->use, sizeof(p->use));
	p->status = req->status;

	while (le) {
		struct pns_line_wait *w = le->data;

		le = le->next;
		if (fits(w, p))
			wait_end(w, p->line);
	}
}


static void put_push(struct pns_jw *w, const struct pns_req *req,
		     const char *tag)
{
	pns_jw_text(w, "token", tag);
	pns_jw_text(w, "apns_id", req->id);
	pns_jw_text(w, "topic", pns_req_h(req, H_APNS_TOPIC));
	pns_jw_text(w, "push_type", pns_req_h(req, H_APNS_PUSH_TYPE));
	pns_jw_int(w, "priority", req->priority);
	if (req->expiration >= 0)
		pns_jw_int(w, "expiration", req->expiration);
	pns_jw_text(w, "collapse_id", pns_req_h(req, H_APNS_COLLAPSE_ID));
	if (req->kind == KIND_WEBPUSH) {
		pns_jw_text(w, "topic", pns_req_h(req, H_TOPIC));
		pns_jw_text(w, "ttl", pns_req_h(req, H_TTL));
		pns_jw_text(w, "urgency", pns_req_h(req, H_URGENCY));
		pns_jw_int(w, "body", (int64_t)req->body_len);
	}
	pns_jw_text(w, "use", req->use);
	pns_jw_text(w, "call", req->call);
	pns_jw_text(w, "trace", req->trace);
	if (req->expires_ms)
		pns_jw_int(w, "expires_at_ms", req->expires_ms);
	pns_jw_bool(w, "late", req->late);
}


static void put_line(struct pns_jw *w, const struct pns_req *req,
		     const char *tag, int64_t answer_us)
{
	pns_jw_raw(w, "{", 1);
	pns_jw_text(w, "kind", pns_kind_name(req->kind));
	pns_jw_text(w, "env", req->sandbox ? "sandbox" : "production");
	pns_jw_int(w, "conn", (int64_t)req->conn->id);
	pns_jw_int(w, "stream", req->stream);
	pns_jw_int(w, "request_us", req->request_us);
	pns_jw_int(w, "answer_us", answer_us);
	if (req->kind == KIND_APNS || req->kind == KIND_FCM ||
	    req->kind == KIND_WEBPUSH)
		put_push(w, req, tag);
	else
		pns_jw_text(w, "path", pns_req_h(req, H_PATH));
	pns_jw_int(w, "status", req->status);
	pns_jw_text(w, "reason", req->reason);
	pns_jw_text(w, "fault", req->fault_name);
	pns_jw_text(w, "provider_id", *req->message ? req->message : req->id);
	pns_jw_raw(w, "}\n", 2);
}


void pns_reqlog_put(struct pns_reqlog *log, const struct pns_req *req,
		    int64_t answer_us)
{
	const size_t start = log->buf.len;
	char tag[9] = "";

	if (!log->pns->setv[SET_LOG])
		return;
	if (*req->token)
		pns_token_tag(tag, req->token);
	put_line(&log->buf, req, tag, answer_us);
	if (log->buf.len > start + 1)
		remember(log, req, tag, log->buf.p + start,
			 log->buf.len - start - 1);

	if (log->buf.len > FLUSH_SIZE)
		pns_reqlog_flush(log);
	else if (!tmr_isrunning(&log->tmr))
		tmr_start(&log->tmr, 1, flush_now, log);
}
