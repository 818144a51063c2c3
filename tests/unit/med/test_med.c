/**
 * @file test_med.c  The links against mediators that misbehave
 *
 * The mediators are TLS servers of this process that speak the wire; each
 * records what it was sent and answers as it was told.
 */

#include <errno.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <re/re.h>
#include "common/clock.h"
#include "common/log.h"
#include "sipis/med/med.h"
#include "tests/unit/common/unit.h"
#include "tests/unit/common/loop.h"
#include "tests/unit/med/medserver.h"

/* Where the time-out is what is tried, and where it is not: then a loaded
   machine has to shake hands within it */
enum { PUSH_MS = 1200, ROOM_MS = 4000 };

/** A link as it was when it was asked for */
struct shown {
	struct med_link link;
	char mediator[64], node[64], state[16], error[256];
};

struct fix {
	struct testcerts *certs;
	struct medserver sv[2];
	struct med *med;
	struct {
		unsigned n;
		int err;
		Wire__Outcome outcome;
		char reason[64], mediator[64];
		bool late;
		uint64_t at;
		int64_t received_us, sent_us, answered_us;
	} res;
	unsigned results, sents, agains;
	unsigned gone;
	unsigned want;
	struct shown shown[2];
	unsigned shownc;
	struct metrics *metrics; /**< for med_open() */
	unsigned push_ms;        /**< the same */
};


/* --- the client side --- */

static void gone_handler(const uint8_t *handle, size_t len, const char *reason,
			 void *arg)
{
	struct fix *f = arg;
	(void)reason;

	assert_int_equal(len, 3);
	assert_memory_equal(handle, "abc", 3);
	++f->gone;
}


static void result_handler(const struct med_result *res, void *arg)
{
	struct fix *f = arg;

	++f->results;
	f->res.n = f->results;
	f->res.err = res->err;
	f->res.outcome = res->outcome;
	f->res.late = res->late;
	f->res.at = clock_mono_ms();
	f->res.received_us = res->received_us;
	f->res.sent_us = res->sent_us;
	f->res.answered_us = res->answered_us;
	str_ncpy(f->res.reason, res->reason ? res->reason : "",
		 sizeof(f->res.reason));
	str_ncpy(f->res.mediator, res->mediator ? res->mediator : "",
		 sizeof(f->res.mediator));
}


static void sent_handler(const char *mediator, bool again, void *arg)
{
	struct fix *f = arg;

	assert_non_null(strstr(mediator, "127.0.0.1:"));
	++f->sents;
	f->agains += again;
}


static void med_open(struct fix *f, unsigned n, const char *cert,
		     const char *name)
{
	static char addr[2][32];
	static char *addresses[2] = { addr[0], addr[1] };
	struct med_cfg cfg = {
		.addresses = addresses,
		.addresses_count = n,
		.push_timeout_ms = f->push_ms,
		.name = (char *)name,
		.ca = (char *)testcerts_path(f->certs, "ca"),
		.certificate = (char *)testcerts_path(f->certs, cert),
	};
	char reason[256] = "";

	for (unsigned i = 0; i < n; i++)
		(void)re_snprintf(addr[i], sizeof(addr[i]), "%J",
				  &f->sv[i].addr);
	assert_int_equal(med_alloc(&f->med, &cfg, "node-1", f->metrics,
				   gone_handler, f, reason, sizeof(reason)),
			 0);
}


static bool is_up(void *arg)
{
	struct fix *f = arg;

	return med_up(f->med) == f->want;
}


static void wait_up(struct fix *f, unsigned n)
{
	f->want = n;
	until(f, is_up);
}


static bool has_results(void *arg)
{
	struct fix *f = arg;

	return f->results >= f->want;
}


static void wait_results(struct fix *f, unsigned n)
{
	f->want = n;
	until(f, has_results);
}


static void push_it(struct fix *f, struct med_req **reqp, uint8_t id,
		    Wire__Use use, bool late)
{
	const struct med_push p = {
		.id = { id, 1, 2, 3 },
		.handle = (const uint8_t *)"abc",
		.handle_len = 3,
		.use = use,
		.trace = "t",
		.call = "c",
		.instance = "i",
		.from = "sip:a@b",
		.display_name = "A",
		.late = late,
		.senth = sent_handler,
	};
	const unsigned before = f->results;

	assert_int_equal(med_push(reqp, f->med, &p, 0, result_handler, f), 0);
	assert_int_equal(f->results, before);
}


static void push(struct fix *f, struct med_req **reqp, uint8_t id,
		 Wire__Use use)
{
	push_it(f, reqp, id, use, false);
}


static void link_handler(const struct med_link *link, void *arg)
{
	struct fix *f = arg;
	struct shown *s = &f->shown[f->shownc++ % 2];

	s->link = *link;
	str_ncpy(s->mediator, link->mediator, sizeof(s->mediator));
	str_ncpy(s->node, link->node, sizeof(s->node));
	str_ncpy(s->state, link->state, sizeof(s->state));
	str_ncpy(s->error, link->error, sizeof(s->error));
}


static const struct shown *show(struct fix *f, unsigned i)
{
	f->shownc = 0;
	med_links(f->med, link_handler, f);
	assert_true(i < f->shownc);
	return &f->shown[i];
}


static int setup(void **state)
{
	struct fix *f = calloc(1, sizeof(*f));
	static const struct testcert certv[] = {
		{ .file = "other-ca" },
		{ .file = "stranger",
		  .ca = "other-ca",
		  .ip = "127.0.0.1",
		  .dns = "push.example.com",
		  .eku = "serverAuth" },
		{ .file = "nobody",
		  .ca = "other-ca",
		  .uri = { "urn:sipis:tenant:t1" },
		  .eku = "clientAuth" },
	};

	log_set_level(LOG_ERROR_);
	if (!f || libre_init() || medserver_certs(&f->certs))
		return -1;
	for (size_t i = 0; i < sizeof(certv) / sizeof(certv[0]); i++)
		if (testcerts_make(f->certs, &certv[i]))
			return -1;
	*state = f;
	return 0;
}


static int teardown(void **state)
{
	struct fix *f = *state;

	testcerts_close(f->certs);
	free(f);
	libre_close();
	return 0;
}


static int start(void **state)
{
	struct fix *f = *state;

	f->push_ms = ROOM_MS;
	f->results = f->gone = f->sents = f->agains = 0;
	memset(&f->res, 0, sizeof(f->res));
	medserver_open(&f->sv[0], f->certs, "server");
	medserver_open(&f->sv[1], f->certs, "server");
	return 0;
}


static int stop(void **state)
{
	struct fix *f = *state;

	f->med = mem_deref(f->med);
	medserver_free(&f->sv[0]);
	medserver_free(&f->sv[1]);
	return 0;
}


static void test_med_push_and_result(void **state)
{
	struct fix *f = *state;
	struct med_req *req = NULL;

	med_open(f, 2, "client", NULL);
	wait_up(f, 2);
	assert_string_equal(f->sv[0].node, "node-1");

	push(f, &req, 1, WIRE__USE__USE_CALL);
	assert_non_null(req);
	wait_results(f, 1);
	assert_null(req);
	assert_int_equal(f->res.err, 0);
	assert_int_equal(f->res.outcome, WIRE__OUTCOME__DELIVERED);
	assert_string_equal(f->res.reason, "because");
	assert_int_equal(f->sv[0].seenc, 1);
	assert_int_equal(f->sv[1].seenc, 0);
}


static void test_med_waits_for_the_first_hello(void **state)
{
	struct fix *f = *state;

	med_open(f, 2, "client", NULL);
	assert_int_equal(med_up(f->med), 0);
	push(f, NULL, 1, WIRE__USE__USE_CALL);
	wait_results(f, 1);
	assert_int_equal(f->res.err, 0);
}


static void test_med_name_is_verified(void **state)
{
	struct fix *f = *state;

	f->push_ms = PUSH_MS;
	med_open(f, 1, "client", "push.example.com");
	wait_up(f, 1);
	f->med = mem_deref(f->med);

	med_open(f, 1, "client", "other.example.com");
	push(f, NULL, 1, WIRE__USE__USE_CALL);
	wait_results(f, 1);
	assert_int_equal(f->res.err, ENOTCONN);
	assert_int_equal(med_up(f->med), 0);
	assert_int_equal(f->sv[0].seenc, 0);
}


static void test_med_foreign_server(void **state)
{
	struct fix *f = *state;

	f->push_ms = PUSH_MS;
	medserver_free(&f->sv[0]);
	medserver_open(&f->sv[0], f->certs, "stranger");
	med_open(f, 1, "client", NULL);
	push(f, NULL, 1, WIRE__USE__USE_CALL);
	wait_results(f, 1);
	assert_int_equal(f->res.err, ENOTCONN);
	assert_int_equal(f->sv[0].hellos, 0);
}


static void mute_handler(const struct sa *peer, void *arg)
{
	(void)peer;
	(void)arg;
}


struct said {
	FILE *file;
	char text[4096];
};


static bool all_said(void *arg)
{
	struct said *s = arg;
	const ssize_t n =
		pread(fileno(s->file), s->text, sizeof(s->text) - 1, 0);

	s->text[n > 0 ? n : 0] = '\0';
	return strstr(s->text, "no TLS connection in time") &&
	       strstr(s->text, "no Hello in time") &&
	       strstr(s->text, "nobody.invalid:24998 cannot be reached: its "
			       "name ");
}


/* What an operator reads of a mediator that cannot be had */
static void test_med_log_says_where_to_look(void **state)
{
	struct fix *f = *state;
	char addr[2][32];
	char *addresses[] = { addr[0], addr[1], (char *)"nobody.invalid" };
	struct med_cfg cfg = {
		.addresses = addresses,
		.addresses_count = 3,
		.ca = (char *)testcerts_path(f->certs, "ca"),
		.certificate = (char *)testcerts_path(f->certs, "client"),
	};
	struct said said = { .file = tmpfile() };
	struct tcp_sock *mute = NULL; /* the kernel takes calls, nobody else */
	struct sa sa;
	char reason[256] = "";

	assert_non_null(said.file);
	assert_int_equal(sa_set_str(&sa, "127.0.0.1", 0), 0);
	assert_int_equal(tcp_listen(&mute, &sa, mute_handler, NULL), 0);
	assert_int_equal(tcp_local_get(mute, &sa), 0);
	f->sv[0].mode = MODE_NO_HELLO;
	(void)re_snprintf(addr[0], sizeof(addr[0]), "%J", &f->sv[0].addr);
	(void)re_snprintf(addr[1], sizeof(addr[1]), "%J", &sa);

	log_set_fd(fileno(said.file));
	log_set_level(LOG_WARNING_);
	assert_int_equal(med_alloc(&f->med, &cfg, "node-1", NULL, NULL, NULL,
				   reason, sizeof(reason)),
			 0);
	until(&said, all_said);
	log_set_level(LOG_ERROR_);
	log_set_fd(2);
	(void)fclose(said.file);
	mem_deref(mute);
}


/* TLS 1.3 calls us established before the server has seen our certificate */
static void test_med_our_certificate_refused(void **state)
{
	struct fix *f = *state;

	f->push_ms = PUSH_MS;
	med_open(f, 1, "nobody", NULL);
	push(f, NULL, 1, WIRE__USE__USE_CALL);
	wait_results(f, 1);
	assert_int_equal(f->res.err, ENOTCONN);
	assert_int_equal(f->sv[0].hellos, 0);
}


static void test_med_foreign_version(void **state)
{
	struct fix *f = *state;

	f->sv[0].mode = MODE_OLD_HELLO;
	med_open(f, 2, "client", NULL);
	wait_up(f, 1);
	push(f, NULL, 1, WIRE__USE__USE_CALL);
	wait_results(f, 1);
	assert_int_equal(f->sv[1].seenc, 1);
	assert_non_null(strstr(show(f, 0)->error, "of the wire, we speak"));
}


static void test_med_no_hello_is_not_up(void **state)
{
	struct fix *f = *state;

	f->sv[0].mode = MODE_NO_HELLO;
	med_open(f, 2, "client", NULL);
	wait_up(f, 1);
	push(f, NULL, 1, WIRE__USE__USE_CALL);
	wait_results(f, 1);
	assert_int_equal(f->sv[0].seenc, 0);
	assert_int_equal(f->sv[1].seenc, 1);
}


/* Refused everywhere, and the pause is longer than the call has */
static void test_med_nobody_there_fails_soon(void **state)
{
	struct fix *f = *state;
	uint64_t t0;

	f->push_ms = PUSH_MS;
	medserver_stop(&f->sv[0]);
	medserver_stop(&f->sv[1]);
	med_open(f, 2, "client", NULL);
	t0 = clock_mono_ms();
	push(f, NULL, 1, WIRE__USE__USE_CALL);
	wait_results(f, 1);
	assert_int_equal(f->res.err, ENOTCONN);
	assert_true(f->res.at - t0 <= PUSH_MS + 1000);
}


static void test_med_comes_back_within_the_time(void **state)
{
	struct fix *f = *state;

	med_open(f, 2, "client", NULL);
	wait_up(f, 2);
	medserver_stop(&f->sv[0]);
	medserver_stop(&f->sv[1]);
	wait_up(f, 0);
	push(f, NULL, 1, WIRE__USE__USE_CALL);
	medserver_listen(&f->sv[1]);
	wait_results(f, 1);
	assert_int_equal(f->res.err, 0);
	assert_int_equal(f->sv[1].seenc, 1);
}


static bool all_seen(void *arg)
{
	struct fix *f = arg;

	return f->sv[0].seenc >= f->want;
}


/* 2500 ms at the least, which is longer than the call has */
static bool pauses_long(void *arg)
{
	return show(arg, 0)->link.failures >= 6;
}


/* What "sipisctl status" and the metrics say of them */
static void test_med_links_shown(void **state)
{
	struct fix *f = *state;
	const int64_t t0 = clock_wall_ms();
	struct metrics *ms = NULL;
	const struct shown *s;
	char addr[32], line[96], *text = NULL;
	int64_t since;
	size_t len;

	assert_int_equal(metrics_alloc(&ms), 0);
	f->metrics = ms;
	med_open(f, 2, "client", NULL);
	f->metrics = NULL;
	assert_false(show(f, 0)->link.up);
	wait_up(f, 2);
	s = show(f, 0);
	(void)re_snprintf(addr, sizeof(addr), "%J", &f->sv[0].addr);
	assert_string_equal(s->mediator, addr);
	assert_string_equal(s->state, "up");
	assert_true(s->link.up && *s->node && s->link.window);
	assert_in_range(s->link.since_ms, t0, clock_wall_ms());
	assert_string_equal(s->error, "");
	assert_true(s->link.error_ms == 0);

	medserver_stop(&f->sv[0]);
	wait_up(f, 1);
	s = show(f, 0);
	assert_false(s->link.up);
	assert_string_not_equal(s->error, "");
	since = s->link.since_ms;
	assert_in_range(since, t0, clock_wall_ms());
	assert_true(s->link.error_ms == since);
	assert_true(show(f, 1)->link.up);

	assert_int_equal(metrics_print(ms, &text, &len), 0);
	(void)snprintf(line, sizeof(line),
		       "\nsipis_mediator_up{mediator=\"%s\"} 0\n", addr);
	assert_non_null(strstr(text, line));
	(void)re_snprintf(line, sizeof(line),
			  "\nsipis_mediator_up{mediator=\"%J\"} 1\n",
			  &f->sv[1].addr);
	assert_non_null(strstr(text, line));
	assert_null(strstr(text, "(null)"));
	free(text);

	/* down since then, however often it is tried */
	until(f, pauses_long);
	assert_true(show(f, 0)->link.since_ms == since);
	assert_true(show(f, 0)->link.error_ms > since);

	f->med = mem_deref(f->med);
	mem_deref(ms);
}


/* The pause has grown longer than the call has, and ends for it */
static void test_med_long_pause_ends_for_a_call(void **state)
{
	struct fix *f = *state;

	f->push_ms = 2 * PUSH_MS;
	med_open(f, 1, "client", NULL);
	wait_up(f, 1);
	medserver_stop(&f->sv[0]);
	until(f, pauses_long);
	push(f, NULL, 1, WIRE__USE__USE_CALL);
	assert_int_equal(f->sents, 0); /* nobody has it */
	medserver_listen(&f->sv[0]);
	wait_results(f, 1);
	assert_int_equal(f->sents, 1);
	assert_int_equal(f->agains, 0);
	assert_int_equal(f->res.err, 0);
	assert_int_equal(f->sv[0].seenc, 1);
}


/* Nobody knows whether it passed the push on, and it is asked again as long
   as there is time */
static void test_med_dies_with_the_push(void **state)
{
	struct fix *f = *state;
	struct medserver *sv = &f->sv[0];
	uint64_t t0;

	f->push_ms = 2 * PUSH_MS;
	sv->mode = MODE_HOLD;
	med_open(f, 1, "client", NULL);
	wait_up(f, 1);
	t0 = clock_mono_ms();
	push(f, NULL, 7, WIRE__USE__USE_CALL);
	f->want = 1;
	until(f, all_seen);
	medserver_stop(sv);
	wait_results(f, 1);
	assert_int_equal(f->res.err, ETIMEDOUT);
	assert_in_range(f->res.at - t0, f->push_ms - 500 - 20,
			f->push_ms + 1000);

	/* the next one finds it back, with the same id */
	medserver_listen(sv);
	wait_up(f, 1);
	push(f, NULL, 8, WIRE__USE__USE_CALL);
	f->want = 2;
	until(f, all_seen);
	medserver_stop(sv);
	wait_up(f, 0);
	sv->mode = MODE_ANSWER;
	medserver_listen(sv);
	wait_results(f, 2);
	assert_int_equal(f->res.err, 0);
	assert_int_equal(sv->seenc, 3);
	assert_memory_equal(sv->seen[1].id, sv->seen[2].id, WIRE_ID_LEN);
	assert_int_equal(f->sents, 3);
	assert_int_equal(f->agains, 1);
}


static void test_med_link_dies_same_id_over_the_other(void **state)
{
	struct fix *f = *state;

	f->sv[0].mode = MODE_DROP;
	med_open(f, 2, "client", NULL);
	wait_up(f, 2);
	push(f, NULL, 7, WIRE__USE__USE_CALL);
	wait_results(f, 1);
	assert_int_equal(f->res.err, 0);
	assert_int_equal(f->sv[0].seenc, 1);
	assert_int_equal(f->sv[1].seenc, 1);
	assert_memory_equal(f->sv[0].seen[0].id, f->sv[1].seen[0].id,
			    WIRE_ID_LEN);
}


static void test_med_silence_goes_to_the_other(void **state)
{
	struct fix *f = *state;
	uint64_t t0;

	f->push_ms = PUSH_MS;
	f->sv[0].mode = MODE_SILENT;
	med_open(f, 2, "client", NULL);
	wait_up(f, 2);
	t0 = clock_mono_ms();
	push(f, NULL, 7, WIRE__USE__USE_CALL);
	wait_results(f, 1);
	assert_int_equal(f->res.err, 0);
	assert_in_range(f->res.at - t0, PUSH_MS / 2 - 20, PUSH_MS - 20);

	/* the late result of the first one disturbs nobody */
	medserver_result(f->sv[0].seen[0].conn, f->sv[0].seen[0].id,
			 WIRE__OUTCOME__REJECTED);
	f->sv[0].mode = MODE_ANSWER;
	push(f, NULL, 8, WIRE__USE__USE_CALL);
	wait_results(f, 2);
	assert_int_equal(f->results, 2);
	assert_int_equal(f->res.outcome, WIRE__OUTCOME__DELIVERED);
}


static void test_med_all_silent_fails_in_time(void **state)
{
	struct fix *f = *state;
	uint64_t t0;

	f->push_ms = PUSH_MS;
	f->sv[0].mode = f->sv[1].mode = MODE_SILENT;
	med_open(f, 2, "client", NULL);
	wait_up(f, 2);
	t0 = clock_mono_ms();
	push(f, NULL, 7, WIRE__USE__USE_CALL);
	wait_results(f, 1);
	assert_int_equal(f->res.err, ETIMEDOUT);
	assert_in_range(f->res.at - t0, PUSH_MS - 20, PUSH_MS + 1000);
	assert_int_equal(f->sv[0].seenc + f->sv[1].seenc, 2);
}


static void test_med_retry_later_goes_to_the_other(void **state)
{
	struct fix *f = *state;

	f->sv[0].mode = MODE_LATER;
	med_open(f, 2, "client", NULL);
	wait_up(f, 2);
	push(f, NULL, 7, WIRE__USE__USE_CALL);
	wait_results(f, 1);
	assert_int_equal(f->res.outcome, WIRE__OUTCOME__DELIVERED);
	assert_int_equal(f->sv[0].seenc, 1);
	assert_int_equal(f->sv[1].seenc, 1);
}


static void test_med_all_say_later(void **state)
{
	struct fix *f = *state;

	f->sv[0].mode = f->sv[1].mode = MODE_LATER;
	med_open(f, 2, "client", NULL);
	wait_up(f, 2);
	push(f, NULL, 7, WIRE__USE__USE_CALL);
	wait_results(f, 1);
	assert_int_equal(f->res.outcome, WIRE__OUTCOME__RETRY_LATER);
	assert_string_equal(f->res.reason, "because");
}


static void test_med_token_gone(void **state)
{
	struct fix *f = *state;

	f->sv[0].mode = MODE_GONE;
	med_open(f, 2, "client", NULL);
	wait_up(f, 2);
	push(f, NULL, 7, WIRE__USE__USE_CALL);
	wait_results(f, 1);
	assert_int_equal(f->res.outcome, WIRE__OUTCOME__TOKEN_GONE);
	assert_int_equal(f->sv[1].seenc, 0);
}


static bool was_gone(void *arg)
{
	struct fix *f = arg;

	return f->gone > 0;
}


static void test_med_token_gone_outside_a_result(void **state)
{
	struct fix *f = *state;
	Wire__TokenGone gone = WIRE__TOKEN_GONE__INIT;
	Wire__Envelope env = WIRE__ENVELOPE__INIT;

	med_open(f, 1, "client", NULL);
	wait_up(f, 1);
	gone.handle.data = (uint8_t *)"abc";
	gone.handle.len = 3;
	gone.reason = (char *)"Unregistered";
	env.body_case = WIRE__ENVELOPE__BODY_TOKEN_GONE;
	env.token_gone = &gone;
	assert_int_equal(medserver_send(&f->sv[0].connv[0], &env), 0);
	until(f, was_gone);
}


static void release_all(struct medserver *sv, unsigned from)
{
	for (unsigned i = from; i < sv->seenc; i++) {
		--sv->held;
		medserver_result(sv->seen[i].conn, sv->seen[i].id,
				 WIRE__OUTCOME__DELIVERED);
	}
}


/* No more in flight than the window, and calls pass those who wait */
static void test_med_window_and_lanes(void **state)
{
	struct fix *f = *state;
	struct medserver *sv = &f->sv[0];
	unsigned done = 0;

	sv->mode = MODE_HOLD;
	med_open(f, 1, "client", NULL);
	wait_up(f, 1);
	for (unsigned i = 0; i < 30; i++)
		push(f, NULL, (uint8_t)(10 + i), WIRE__USE__USE_MESSAGE);
	push(f, NULL, 100, WIRE__USE__USE_ENDED);
	push(f, NULL, 101, WIRE__USE__USE_CALL);

	for (f->want = 10; done < 32; f->want = done + 10) {
		if (f->want > 32)
			f->want = 32;
		until(f, all_seen);
		release_all(sv, done);
		done = f->want;
	}

	wait_results(f, 32);
	assert_int_equal(sv->most, 10);
	assert_int_equal(sv->seen[10].use, WIRE__USE__USE_CALL);
	assert_int_equal(sv->seen[11].use, WIRE__USE__USE_ENDED);
	assert_int_equal(sv->seen[12].use, WIRE__USE__USE_MESSAGE);
}


static bool has_pong(void *arg)
{
	struct fix *f = arg;

	return f->sv[0].pongs >= f->want;
}


/* What was given up still fills the mediator's window */
static void test_med_given_up_keeps_its_place(void **state)
{
	struct fix *f = *state;
	struct medserver *sv = &f->sv[0];
	struct med_req *reqv[10];

	sv->mode = MODE_HOLD;
	med_open(f, 1, "client", NULL);
	wait_up(f, 1);
	for (unsigned i = 0; i < 10; i++)
		push(f, &reqv[i], (uint8_t)(1 + i), WIRE__USE__USE_CALL);
	f->want = 10;
	until(f, all_seen);
	for (unsigned i = 0; i < 10; i++)
		mem_deref(reqv[i]);

	push(f, NULL, 50, WIRE__USE__USE_CALL);
	medserver_ping(sv->seen[0].conn);
	f->want = 1;
	until(f, has_pong);
	assert_int_equal(sv->seenc, 10);
	medserver_result(sv->seen[3].conn, sv->seen[3].id,
			 WIRE__OUTCOME__DELIVERED);
	--sv->held;
	f->want = 11;
	until(f, all_seen);
	assert_int_equal(sv->most, 10);
	assert_int_equal(f->results, 0);
	medserver_result(sv->seen[10].conn, sv->seen[10].id,
			 WIRE__OUTCOME__DELIVERED);
	wait_results(f, 1);
}


static bool both_seen(void *arg)
{
	struct fix *f = arg;

	return f->sv[0].seenc >= f->want && f->sv[1].seenc >= f->want;
}


/* A mediator with two addresses: the first link hears that the second one was
   asked, and has its place again */
static void test_med_duplicate_leaves_the_window(void **state)
{
	struct fix *f = *state;
	struct medserver_push *p;

	f->sv[0].mode = f->sv[1].mode = MODE_HOLD;
	f->sv[0].window = 1;
	med_open(f, 2, "client", NULL);
	wait_up(f, 2);
	push(f, NULL, 7, WIRE__USE__USE_CALL);
	f->want = 1;
	until(f, both_seen);
	p = &f->sv[0].seen[0];
	medserver_result(p->conn, p->id, WIRE__OUTCOME__DUPLICATE);
	medserver_ping(p->conn);
	until(f, has_pong);
	assert_int_equal(f->results, 0);

	/* it has its place, and is not asked again */
	push(f, NULL, 8, WIRE__USE__USE_CALL);
	f->want = 2;
	until(f, all_seen);
	assert_int_equal(f->sv[0].seen[1].id[0], 8);

	p = &f->sv[1].seen[0];
	medserver_result(p->conn, p->id, WIRE__OUTCOME__DELIVERED);
	wait_results(f, 1);
	p = &f->sv[0].seen[1];
	medserver_result(p->conn, p->id, WIRE__OUTCOME__DELIVERED);
	wait_results(f, 2);

	/* nor does it keep one now */
	push(f, NULL, 9, WIRE__USE__USE_CALL);
	f->want = 3;
	until(f, all_seen);
	assert_int_equal(f->sv[0].seen[2].id[0], 9);
}


/* The word of a mediator that was frozen */
static void test_med_late_result(void **state)
{
	struct fix *f = *state;
	struct med_req *req = NULL;
	struct medserver_push *p = &f->sv[0].seen[0];

	f->push_ms = 2 * PUSH_MS;
	f->sv[0].mode = MODE_HOLD;
	f->sv[0].window = 1;
	med_open(f, 1, "client", NULL);
	wait_up(f, 1);
	push_it(f, &req, 7, WIRE__USE__USE_CALL, true);
	wait_results(f, 1);
	assert_int_equal(f->res.err, ETIMEDOUT);
	assert_false(f->res.late);
	assert_non_null(req);

	/* still in the window */
	push(f, NULL, 8, WIRE__USE__USE_CALL);
	medserver_ping(p->conn);
	f->want = 1;
	until(f, has_pong);
	assert_int_equal(f->sv[0].seenc, 1);

	medserver_result(p->conn, p->id, WIRE__OUTCOME__EXPIRED);
	wait_results(f, 2);
	assert_true(f->res.late);
	assert_int_equal(f->res.err, 0);
	assert_int_equal(f->res.outcome, WIRE__OUTCOME__EXPIRED);
	assert_null(req);
	f->want = 2;
	until(f, all_seen);
	medserver_result(p->conn, f->sv[0].seen[1].id,
			 WIRE__OUTCOME__DELIVERED);
	wait_results(f, 3);

	/* nobody waits for it any more */
	push_it(f, &req, 9, WIRE__USE__USE_CALL, true);
	wait_results(f, 4);
	req = mem_deref(req);
	medserver_result(p->conn, f->sv[0].seen[2].id,
			 WIRE__OUTCOME__DELIVERED);
	f->want = 2;
	medserver_ping(p->conn);
	until(f, has_pong);
	assert_int_equal(f->results, 4);
}


static void test_med_stop(void **state)
{
	struct fix *f = *state;
	struct medserver *sv = &f->sv[0];
	struct med_req *out = NULL, *waiting = NULL;

	f->push_ms = 2 * PUSH_MS;
	sv->mode = MODE_HOLD;
	sv->window = 1;
	med_open(f, 1, "client", NULL);
	wait_up(f, 1);
	push(f, &out, 1, WIRE__USE__USE_CALL);
	push(f, &waiting, 2, WIRE__USE__USE_CALL);
	f->want = 1;
	until(f, all_seen);

	assert_false(med_req_stop(&waiting));
	assert_null(waiting);
	assert_true(med_req_stop(&out));
	assert_non_null(out);

	/* it is not sent again, though its link dies */
	medserver_drop(sv->seen[0].conn);
	wait_results(f, 1);
	assert_int_equal(f->res.err, ETIMEDOUT);
	assert_null(out);
	wait_up(f, 1);
	assert_int_equal(sv->seenc, 1);
}


/* A duplicate means: in flight already, the result will come */
static void test_med_duplicate_is_no_result(void **state)
{
	struct fix *f = *state;
	struct medserver *sv = &f->sv[0];

	sv->mode = MODE_HOLD;
	med_open(f, 1, "client", NULL);
	wait_up(f, 1);
	push(f, NULL, 1, WIRE__USE__USE_CALL);
	f->want = 1;
	until(f, all_seen);
	medserver_result(sv->seen[0].conn, sv->seen[0].id,
			 WIRE__OUTCOME__DUPLICATE);
	medserver_result(sv->seen[0].conn, sv->seen[0].id,
			 WIRE__OUTCOME__DELIVERED);
	wait_results(f, 1);
	assert_int_equal(f->res.outcome, WIRE__OUTCOME__DELIVERED);
}


static bool reconnected(void *arg)
{
	struct fix *f = arg;

	return f->sv[0].connc >= 2;
}


static void test_med_drain(void **state)
{
	struct fix *f = *state;
	struct medserver *sv = &f->sv[0];
	Wire__Drain drain = WIRE__DRAIN__INIT;
	Wire__Envelope env = WIRE__ENVELOPE__INIT;

	sv->mode = MODE_HOLD;
	med_open(f, 2, "client", NULL);
	wait_up(f, 2);
	push(f, NULL, 1, WIRE__USE__USE_CALL);
	f->want = 1;
	until(f, all_seen);

	drain.grace_ms = 10000;
	env.body_case = WIRE__ENVELOPE__BODY_DRAIN;
	env.drain = &drain;
	assert_int_equal(medserver_send(sv->seen[0].conn, &env), 0);
	wait_up(f, 1);

	/* new work goes to the other one, the old result still counts */
	push(f, NULL, 2, WIRE__USE__USE_CALL);
	wait_results(f, 1);
	assert_int_equal(f->sv[1].seenc, 1);
	assert_int_equal(sv->seenc, 1);
	medserver_result(sv->seen[0].conn, sv->seen[0].id,
			 WIRE__OUTCOME__DELIVERED);
	wait_results(f, 2);
	assert_int_equal(f->res.err, 0);

	/* then that connection goes, and a new one comes */
	until(f, reconnected);
	wait_up(f, 2);
}


static void enrol_handler(int err, Wire__Outcome outcome, const char *reason,
			  const uint8_t *handle, size_t len, void *arg)
{
	struct fix *f = arg;
	(void)reason;

	++f->results;
	f->res.err = err;
	f->res.outcome = outcome;
	assert_int_equal(len, 5);
	assert_memory_equal(handle, "token", 5);
}


static void test_med_enrol(void **state)
{
	struct fix *f = *state;
	const struct med_token t = {
		.app = "a",
		.provider = "apns",
		.token = "token",
		.uses = 1u << WIRE__USE__USE_CALL,
	};

	med_open(f, 1, "client", NULL);
	assert_int_equal(med_enrol(NULL, f->med, &t, enrol_handler, f), 0);
	wait_results(f, 1);
	assert_int_equal(f->res.err, 0);
	assert_int_equal(f->res.outcome, WIRE__OUTCOME__DELIVERED);
}


static bool was_pinged(void *arg)
{
	struct fix *f = arg;

	return f->sv[0].pings >= 1;
}


/* Pings go out; a mediator that says nothing for 9 s is dead */
static void test_med_ping_and_silence(void **state)
{
	struct fix *f = *state;
	uint64_t t0;

	med_open(f, 1, "client", NULL);
	wait_up(f, 1);
	t0 = clock_mono_ms();
	until(f, was_pinged);
	wait_up(f, 0);
	assert_in_range(clock_mono_ms() - t0, 8500, 12500);
	wait_up(f, 1);
	assert_int_equal(f->sv[0].connc, 2);
}


static void test_med_garbage_closes(void **state)
{
	struct fix *f = *state;
	struct mbuf mb;
	uint8_t junk[] = { 0xff, 0xff, 0xff, 0xff, 1, 2, 3 };

	med_open(f, 1, "client", NULL);
	wait_up(f, 1);
	mbuf_init(&mb);
	mb.buf = junk;
	mb.size = mb.end = sizeof(junk);
	assert_int_equal(tcp_send(f->sv[0].connv[0].tc, &mb), 0);
	wait_up(f, 0);
	wait_up(f, 1);
}


static void test_med_many_in_one_turn(void **state)
{
	struct fix *f = *state;

	f->sv[0].window = 400;
	med_open(f, 1, "client", NULL);
	wait_up(f, 1);
	for (unsigned i = 0; i < 255; i++)
		push(f, NULL, (uint8_t)i, WIRE__USE__USE_CALL);
	wait_results(f, 255);
	assert_int_equal(f->res.err, 0);
}


/* Nobody hears anything after close, and nothing leaks */
static void test_med_close_is_quiet(void **state)
{
	struct fix *f = *state;
	struct med_req *req = NULL;

	f->sv[0].mode = MODE_SILENT;
	med_open(f, 1, "client", NULL);
	wait_up(f, 1);
	push(f, &req, 1, WIRE__USE__USE_CALL);
	med_close(f->med);
	f->med = mem_deref(f->med);
	assert_null(req);
	assert_int_equal(f->results, 0);
}


/* What our times became on their way: right to what the round trip took, and
   the push itself, both since then */
static void assert_moved(int64_t seen, int64_t ours, int64_t by, int64_t since)
{
	const int64_t took = clock_wall_ms() - since + 2;

	assert_in_range(seen - ours - by + took, 0, 2 * took);
}


static void push_timed(struct fix *f, uint8_t id, Wire__Use use, int64_t now)
{
	const struct med_push p = {
		.id = { id },
		.handle = (const uint8_t *)"abc",
		.handle_len = 3,
		.use = use,
		.display_name = "A",
		.received_ms = now - 100,
		.expires_ms = now + 15000,
	};

	assert_int_equal(med_push(NULL, f->med, &p, 0, result_handler, f), 0);
}


/* Each mediator hears by its own clock when to begin; what it says of its
   times is by ours */
static void test_med_clocks_apart(void **state)
{
	static const int64_t aheadv[] = { 20000, -30000 };
	struct fix *f = *state;
	const int64_t t0 = clock_wall_ms();
	int64_t now;

	f->push_ms = PUSH_MS;
	for (unsigned i = 0; i < 2; i++)
		f->sv[i].ahead_ms = aheadv[i];
	f->sv[0].mode = MODE_SILENT;
	med_open(f, 2, "client", NULL);
	wait_up(f, 2);
	now = clock_wall_ms();
	push_timed(f, 1, WIRE__USE__USE_CALL, now);
	wait_results(f, 1);
	for (unsigned i = 0; i < 2; i++) {
		const struct medserver_push *p = &f->sv[i].seen[0];

		assert_int_equal(p->id[0], 1);
		assert_string_equal(p->display_name, "A");
		assert_int_equal(p->received_ms, now - 100);
		/* the phone sees this one, and whose clock is right? */
		assert_moved(p->expires_ms, now + 15000,
			     aheadv[i] > 0 ? aheadv[i] : 0, t0);
		assert_moved(p->send_by_ms, now + PUSH_MS, aheadv[i], t0);
	}
	assert_int_equal(f->res.outcome, WIRE__OUTCOME__DELIVERED);
	assert_moved(f->res.received_us / 1000, now, 0, t0);
	assert_int_equal(f->res.sent_us, f->res.received_us + 1);
	assert_int_equal(f->res.answered_us, 0); /* it never was */

	/* what has no such time gets none */
	push_timed(f, 2, WIRE__USE__USE_ENDED, now);
	f->want = 2;
	until(f, all_seen);
	assert_int_equal(f->sv[0].seen[1].send_by_ms, 0);
}


/* Nothing is touched where the clocks agree */
static void test_med_clocks_together(void **state)
{
	struct fix *f = *state;
	const int64_t now = clock_wall_ms();

	med_open(f, 1, "client", NULL);
	wait_up(f, 1);
	push_timed(f, 1, WIRE__USE__USE_CALL, now);
	wait_results(f, 1);
	assert_int_equal(f->sv[0].seen[0].received_ms, now - 100);
	assert_int_equal(f->sv[0].seen[0].expires_ms, now + 15000);
}


static bool clock_is_off(void *arg)
{
	return show(arg, 0)->link.clock_offset_ms > 59000;
}


/* Somebody sets the clock of a mediator that is connected */
static void test_med_clock_is_set(void **state)
{
	struct fix *f = *state;
	int64_t now, t0;

	f->sv[0].ponging = true;
	med_open(f, 1, "client", NULL);
	wait_up(f, 1);
	assert_false(clock_is_off(f));
	t0 = clock_wall_ms();
	f->sv[0].ahead_ms = 60000;
	until(f, clock_is_off);
	now = clock_wall_ms();
	push_timed(f, 1, WIRE__USE__USE_CALL, now);
	wait_results(f, 1);
	assert_moved(f->sv[0].seen[0].expires_ms, now + 15000, 60000, t0);
}


#define MED_TEST(t) cmocka_unit_test_setup_teardown(t, start, stop)


int main(void)
{
	const struct CMUnitTest tests[] = {
		MED_TEST(test_med_push_and_result),
		MED_TEST(test_med_waits_for_the_first_hello),
		MED_TEST(test_med_name_is_verified),
		MED_TEST(test_med_foreign_server),
		MED_TEST(test_med_log_says_where_to_look),
		MED_TEST(test_med_our_certificate_refused),
		MED_TEST(test_med_foreign_version),
		MED_TEST(test_med_no_hello_is_not_up),
		MED_TEST(test_med_nobody_there_fails_soon),
		MED_TEST(test_med_comes_back_within_the_time),
		MED_TEST(test_med_links_shown),
		MED_TEST(test_med_long_pause_ends_for_a_call),
		MED_TEST(test_med_dies_with_the_push),
		MED_TEST(test_med_link_dies_same_id_over_the_other),
		MED_TEST(test_med_silence_goes_to_the_other),
		MED_TEST(test_med_all_silent_fails_in_time),
		MED_TEST(test_med_retry_later_goes_to_the_other),
		MED_TEST(test_med_all_say_later),
		MED_TEST(test_med_token_gone),
		MED_TEST(test_med_token_gone_outside_a_result),
		MED_TEST(test_med_window_and_lanes),
		MED_TEST(test_med_duplicate_leaves_the_window),
		MED_TEST(test_med_late_result),
		MED_TEST(test_med_given_up_keeps_its_place),
		MED_TEST(test_med_stop),
		MED_TEST(test_med_duplicate_is_no_result),
		MED_TEST(test_med_drain),
		MED_TEST(test_med_enrol),
		MED_TEST(test_med_ping_and_silence),
		MED_TEST(test_med_garbage_closes),
		MED_TEST(test_med_many_in_one_turn),
		MED_TEST(test_med_close_is_quiet),
		MED_TEST(test_med_clocks_apart),
		MED_TEST(test_med_clocks_together),
		MED_TEST(test_med_clock_is_set),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
