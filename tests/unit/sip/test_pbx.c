/**
 * @file test_pbx.c  Who may speak, what is heard, what survives a restart
 *
 * The PBX is a plain UDP socket of the test on 127.0.0.1, a stranger one on
 * 127.0.0.2; the profile runs in this process on real sockets.
 */

#include "tests/unit/common/unit.h"
#include "tests/unit/common/loop.h"
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <re/re.h>
#include "common/ident.h"
#include "common/log.h"
#include "common/tmr_heap.h"
#include "sipis/sip/pbx.h"
#include "sipis/sip/request.h"

enum { DEADLINE_MS = 10000, QUIET_MS = 100 };

#define CONTACT "000102030405060708090a0b0c0d0e0f"

struct fixture {
	struct pbx_cfg cfg;
	char *domainv[1];
	char proxy[32];
	struct pbx *pbx;
	struct sa laddr;
	int peer, stranger;
	unsigned invites, messages, cancels, order;
	unsigned cancel_at, strans_at;
	char reason[256], callid[64];
	struct sip_strans *st;
	bool answer;
};

static void cancel_of_transaction(void *arg)
{
	struct fixture *f = arg;

	f->strans_at = ++f->order;
}


static bool invite_handler(struct pbx *pbx, struct acct *acct,
			   const struct sip_msg *msg, void *arg)
{
	struct fixture *f = arg;

	assert_ptr_equal((struct acct *)f, acct);
	++f->invites;
	if (f->answer) {
		assert_false(pl_isset(&msg->to.tag));
		f->st = mem_deref(f->st);
		assert_int_equal(0,
				 sip_strans_alloc(&f->st, pbx_sip(pbx), msg,
						  cancel_of_transaction, f));
		assert_int_equal(0, sip_treply(&f->st, pbx_sip(pbx), msg, 180,
					       "Ringing"));
	}

	return true;
}


static bool message_handler(struct pbx *pbx, struct acct *acct,
			    const struct sip_msg *msg, void *arg)
{
	struct fixture *f = arg;
	(void)pbx;
	(void)acct;
	(void)msg;

	++f->messages;

	return false;
}


static void cancel_handler(struct pbx *pbx, const struct pl *callid,
			   const struct pl *branch, const struct pl *reason,
			   void *arg)
{
	struct fixture *f = arg;
	(void)pbx;

	++f->cancels;
	f->cancel_at = ++f->order;
	assert_true(branch->l > 0);
	(void)pl_strcpy(reason, f->reason, sizeof(f->reason));
	(void)pl_strcpy(callid, f->callid, sizeof(f->callid));
}


static struct acct *acct_handler(struct pbx *pbx, const uint8_t contact[16],
				 void *arg)
{
	uint8_t known[16];
	(void)pbx;

	(void)ident_unhex(known, sizeof(known), CONTACT);

	/* Any pointer will do: nobody looks behind it here */
	return memcmp(known, contact, sizeof(known)) ? NULL : arg;
}


static int udp_at(const char *addr, struct sockaddr_in *sin)
{
	socklen_t len = sizeof(*sin);
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	memset(sin, 0, sizeof(*sin));
	sin->sin_family = AF_INET;
	assert_int_equal(1, inet_pton(AF_INET, addr, &sin->sin_addr));
	assert_int_equal(0, bind(fd, (struct sockaddr *)sin, sizeof(*sin)));
	assert_int_equal(0, getsockname(fd, (struct sockaddr *)sin, &len));

	return fd;
}


/* Or anew, with another profile */
static void open_pbx(struct fixture *f)
{
	const struct pbx_prm prm = {
		.cfg = &f->cfg,
		.accth = acct_handler,
		.inviteh = invite_handler,
		.messageh = message_handler,
		.cancelh = cancel_handler,
		.arg = f,
	};
	char reason[256] = "";
	struct sa sa;

	f->pbx = mem_deref(f->pbx);
	if (pbx_alloc(&f->pbx, &prm, reason, sizeof(reason)))
		fail_msg("%s", reason);

	assert_int_equal(0, sa_set_str(&sa, "127.0.0.1", 5060));
	assert_int_equal(0, pbx_local(f->pbx, SIP_TRANSP_UDP, &sa, &f->laddr));
	run_for(20); /* the letter to ourselves arrives */
}


static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	static char name[] = "test", domain[] = "d.test", lo[] = "127.0.0.1";
	struct sockaddr_in sin;

	assert_int_equal(0, tmrheap_check());
	f->peer = udp_at("127.0.0.1", &sin);
	(void)re_snprintf(f->proxy, sizeof(f->proxy), "127.0.0.1:%u",
			  ntohs(sin.sin_port));
	f->stranger = udp_at("127.0.0.2", &sin);

	f->domainv[0] = domain;
	f->cfg.name = name;
	f->cfg.domains = f->domainv;
	f->cfg.domains_count = 1;
	f->cfg.outbound_proxy = f->proxy;
	f->cfg.transport = CFG_TP_UDP;
	f->cfg.local_address = lo;
	open_pbx(f);
	*state = f;

	return 0;
}


static int teardown(void **state)
{
	struct fixture *f = *state;

	mem_deref(f->st);
	mem_deref(f->pbx);
	close(f->peer);
	close(f->stranger);
	free(f);

	return 0;
}


static void send_text(struct fixture *f, int fd, const char *text)
{
	assert_int_equal(strlen(text), sendto(fd, text, strlen(text), 0,
					      &f->laddr.u.sa, f->laddr.len));
}


/* A request to a contact user; branch and extra headers as given */
static void request(struct fixture *f, int fd, const char *met,
		    const char *user, const char *branch, const char *extra)
{
	char buf[2048];
	struct sockaddr_in sin = { 0 };
	socklen_t len = sizeof(sin);

	assert_int_equal(0, getsockname(fd, (struct sockaddr *)&sin, &len));
	assert_true(
		re_snprintf(
			buf, sizeof(buf),
			"%s sip:%s%s127.0.0.1 SIP/2.0\r\n"
			"Via: SIP/2.0/UDP 127.0.0.1:%u;branch=z9hG4bK%s\r\n"
			"Max-Forwards: 70\r\n"
			"From: <sip:200@d.test>;tag=f\r\n"
			"To: <sip:100@d.test>\r\n"
			"Call-ID: c1\r\n"
			"CSeq: 1 %s\r\n"
			"%s"
			"Content-Length: 0\r\n\r\n",
			met, user, *user ? "@" : "", ntohs(sin.sin_port),
			branch, met, extra) > 0);
	send_text(f, fd, buf);
}


/* Runs the loop until something comes to fd; "" = nothing did */
static const char *receive(int fd, unsigned ms)
{
	static char buf[4096];

	buf[0] = '\0';
	for (unsigned t = 0; t < ms; t += 5) {
		ssize_t n;

		run_for(5);
		n = recv(fd, buf, sizeof(buf) - 1, MSG_DONTWAIT);
		if (n > 0) {
			buf[n] = '\0';
			break;
		}
	}

	return buf;
}


static void answered(int fd, const char *start)
{
	const char *s = receive(fd, DEADLINE_MS);

	if (strncmp(s, start, strlen(start)))
		fail_msg("got \"%s\", not \"%s\"", s, start);
}


static void silent(int fd)
{
	assert_string_equal("", receive(fd, QUIET_MS));
}


static void test_pbx_invite_from_the_pbx(void **state)
{
	struct fixture *f = *state;

	f->answer = true;
	request(f, f->peer, "INVITE", CONTACT, "1", "");
	answered(f->peer, "SIP/2.0 180 ");
	assert_int_equal(1, f->invites);

	/* Repeated: libre answers, nobody is called twice */
	request(f, f->peer, "INVITE", CONTACT, "1", "");
	answered(f->peer, "SIP/2.0 180 ");
	assert_int_equal(1, f->invites);
}


static void test_pbx_second_branch_is_a_branch(void **state)
{
	struct fixture *f = *state;

	f->answer = true;
	request(f, f->peer, "INVITE", CONTACT, "1", "");
	answered(f->peer, "SIP/2.0 180 ");
	request(f, f->peer, "INVITE", CONTACT, "2", "");
	answered(f->peer, "SIP/2.0 180 ");
	assert_int_equal(2, f->invites);
}


static void test_pbx_strangers_get_nothing(void **state)
{
	static const char *const mets[] = { "INVITE",  "OPTIONS", "CANCEL",
					    "MESSAGE", "BYE",     "NOTIFY",
					    "REGISTER" };
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(mets) / sizeof(mets[0]); i++)
		request(f, f->stranger, mets[i], CONTACT, "1", "");
	silent(f->stranger);
	assert_int_equal(0, f->invites + f->messages + f->cancels);
}


/* An address that DNS does not give, but the operator */
static void test_pbx_listed_address(void **state)
{
	static char range[] = "127.0.0.2/31", *ranges[] = { range };
	struct fixture *f = *state;

	f->cfg.addresses = ranges;
	f->cfg.addresses_count = 1;
	open_pbx(f);
	f->answer = true;
	request(f, f->stranger, "INVITE", CONTACT, "1", "");
	answered(f->stranger, "SIP/2.0 180 ");
	assert_int_equal(1, f->invites);
}


/* What the log says meanwhile goes to a file */
struct said {
	FILE *file;
	char text[4096];
};


static void said_start(struct said *s)
{
	s->file = tmpfile();
	assert_non_null(s->file);
	log_set_fd(fileno(s->file));
}


static const char *said_end(struct said *s)
{
	ssize_t n;

	log_set_fd(2);
	n = pread(fileno(s->file), s->text, sizeof(s->text) - 1, 0);
	s->text[n > 0 ? n : 0] = '\0';
	(void)fclose(s->file);

	return s->text;
}


/* "Why did it not ring?"  One line says from where, and what to do */
static void test_pbx_unknown_source_is_named(void **state)
{
	struct fixture *f = *state;
	struct said said;
	const char *line;

	said_start(&said);
	request(f, f->stranger, "OPTIONS", CONTACT, "1", "");
	request(f, f->stranger, "INVITE", "100", "2", "");
	request(f, f->stranger, "INVITE", "000102030405060708090a0b0c0d0e00",
		"3", "");
	silent(f->stranger);
	assert_string_equal("", said_end(&said));

	said_start(&said);
	for (int i = 0; i < 5; i++)
		request(f, f->stranger, "INVITE", CONTACT, "4", "");
	silent(f->stranger);
	line = strstr(said_end(&said), "INVITE to a contact of ours from "
				       "127.0.0.2:");
	assert_non_null(line);
	assert_non_null(strstr(line, "list it under addresses pbx=test"));
	assert_null(strstr(line + 1, "INVITE"));
	assert_int_equal(0, f->invites);
}


static void no_answer(int err, const struct answer *ans, void *arg)
{
	(void)err;
	(void)ans;
	(void)arg;
}


/* Behind NAT that maps address to address: seen from outside, it is as if
   there were none */
static void test_pbx_public_address(void **state)
{
	static char seen[] = "203.0.113.9";
	struct fixture *f = *state;
	struct request *req = NULL;
	struct request_prm prm = {
		.met = "OPTIONS",
		.uri = "sip:d.test",
		.tp = SIP_TRANSP_UDP,
		.h = no_answer,
	};
	struct sa dst = { 0 };
	char via[128];

	f->cfg.public_address = seen;
	f->cfg.local_port = sa_port(&f->laddr);
	open_pbx(f);
	assert_int_equal(f->cfg.local_port, sa_port(&f->laddr));
	(void)re_snprintf(via, sizeof(via),
			  "OPTIONS sip:d.test SIP/2.0\r\n"
			  "Via: SIP/2.0/UDP 203.0.113.9:%u;branch=",
			  f->cfg.local_port);

	assert_int_equal(0, sa_decode(&dst, f->proxy, strlen(f->proxy)));
	prm.dst = &dst;
	prm.mb = mbuf_alloc(8);
	assert_int_equal(0, mbuf_write_str(prm.mb, "\r\n"));
	prm.mb->pos = 0;
	assert_int_equal(0, pbx_request(&req, f->pbx, &prm));
	answered(f->peer, via);
	mem_deref(req);
	mem_deref(prm.mb);

	assert_int_equal(0, sa_set_str(&dst, "::1", 5060));
	assert_int_equal(0,
			 pbx_local(f->pbx, SIP_TRANSP_TCP, &dst, &f->laddr));
	assert_int_equal(AF_INET6, sa_af(&f->laddr));
}


/* At once, from the PBX's address; a stranger hears no word of it */
static void test_pbx_unknown_contact_gets_404(void **state)
{
	static const char *const users[] = {
		"100",
		"000102030405060708090a0b0c0d0e00",
		"000102030405060708090a0b0c0d0e0",
		"zz0102030405060708090a0b0c0d0e0f",
	};
	static const char *const mets[] = { "INVITE", "OPTIONS", "NOTIFY",
					    "MESSAGE" };
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(users) / sizeof(users[0]); i++) {
		for (size_t k = 0; k < sizeof(mets) / sizeof(mets[0]); k++) {
			request(f, f->stranger, mets[k], users[i], "1", "");
			request(f, f->peer, mets[k], users[i], "1", "");
			answered(f->peer, "SIP/2.0 404 ");
		}
		request(f, f->peer, "ACK", users[i], "1", "");
		request(f, f->peer, "INVITE", users[i], "1", "");
		answered(f->peer, "SIP/2.0 404 ");
		request(f, f->peer, "CANCEL", users[i], "1", "");
		answered(f->peer, "SIP/2.0 481 ");
	}
	silent(f->peer);
	silent(f->stranger);
	assert_int_equal(0, f->invites + f->messages);
}


static void test_pbx_options_and_messages(void **state)
{
	struct fixture *f = *state;

	request(f, f->peer, "OPTIONS", CONTACT, "1", "");
	answered(f->peer, "SIP/2.0 200 ");
	request(f, f->peer, "OPTIONS", "", "2", "");
	answered(f->peer, "SIP/2.0 200 ");
	request(f, f->peer, "NOTIFY", CONTACT, "3",
		"Event: message-summary\r\n");
	answered(f->peer, "SIP/2.0 200 ");
	assert_int_equal(1, f->messages);
	request(f, f->peer, "PUBLISH", CONTACT, "4", "");
	answered(f->peer, "SIP/2.0 480 ");
	request(f, f->peer, "ACK", CONTACT, "5", "");
	silent(f->peer);
}


static void test_pbx_cancel_brings_its_reason(void **state)
{
	struct fixture *f = *state;

	f->answer = true;
	request(f, f->peer, "INVITE", CONTACT, "1", "");
	answered(f->peer, "SIP/2.0 180 ");

	request(f, f->peer, "CANCEL", CONTACT, "1",
		"Reason: SIP;cause=200;text=\"Call completed elsewhere\"\r\n"
		"Reason: Q.850;cause=26\r\n");
	answered(f->peer, "SIP/2.0 200 ");
	assert_int_equal(1, f->cancels);
	assert_string_equal("SIP;cause=200;text=\"Call completed elsewhere\""
			    ", Q.850;cause=26",
			    f->reason);
	assert_string_equal("c1", f->callid);
	assert_int_equal(1, f->cancel_at);
	assert_int_equal(2, f->strans_at);

	/* One that fits no call */
	request(f, f->peer, "CANCEL", CONTACT, "9", "");
	answered(f->peer, "SIP/2.0 481 ");
	assert_string_equal("", f->reason);
}


static void test_pbx_garbage(void **state)
{
	static const char *const texts[] = {
		"",
		"x",
		"\r\n\r\n",
		"\r\n\r\n\r\n\r\n",
		"INVITE sip:a@b SIP/2.0\r\n\r\n",
		"INVITE sip:" CONTACT "@b SIP/2.0\r\nVia: x\r\n\r\n",
		"INVITE sip:" CONTACT "@b SIP/2.0\r\n"
		"Via: SIP/2.0/UDP 127.0.0.1\r\nFrom: <sip:a@b>\r\n"
		"To: <sip:a@b>\r\nCSeq: 1 INVITE\r\n"
		"Content-Length: 0\r\n\r\n",
		"OPTIONS sip:" CONTACT "@b SIP/2.0\r\n"
		"Via: SIP/2.0/UDP 127.0.0.1;branch=z9hG4bK1\r\n"
		"From: <sip:a@b>;tag=1\r\nTo: <sip:a@b>\r\nCall-ID: 1\r\n"
		"CSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n",
		"SIP/2.0 200 OK\r\n\r\n",
		"GET / HTTP/1.1\r\n\r\n",
		"SIP/2.0 999999999999 OK\r\nCSeq: x\r\n\r\n",
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		send_text(f, f->peer, texts[i]);
	silent(f->peer);

	request(f, f->peer, "OPTIONS", CONTACT, "1", "");
	answered(f->peer, "SIP/2.0 200 ");
}


static void test_pbx_revive_over_udp(void **state)
{
	struct fixture *f = *state;
	char raw[1024];
	struct sip_strans *st = NULL;
	struct sip_msg *msg;
	uint64_t tag;
	int n = re_snprintf(raw, sizeof(raw),
			    "INVITE sip:" CONTACT "@127.0.0.1 SIP/2.0\r\n"
			    "Via: SIP/2.0/UDP %s;branch=z9hG4bKr;rport\r\n"
			    "Max-Forwards: 70\r\n"
			    "From: <sip:200@d.test>;tag=f\r\n"
			    "To: <sip:100@d.test>\r\nCall-ID: r1\r\n"
			    "CSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n",
			    f->proxy);

	assert_int_equal(EINVAL,
			 pbx_msg_revive(&msg, f->pbx, (uint8_t *)raw,
					(size_t)n, "nowhere", SIP_TRANSP_UDP));
	assert_int_not_equal(0, pbx_msg_revive(&msg, f->pbx, (uint8_t *)raw,
					       20, f->proxy, SIP_TRANSP_UDP));
	assert_int_equal(0,
			 pbx_msg_revive(&msg, f->pbx, (uint8_t *)raw,
					(size_t)n, f->proxy, SIP_TRANSP_UDP));
	tag = msg->tag;
	assert_true(tag != 0);
	assert_int_equal(
		0, sip_strans_alloc(&st, pbx_sip(f->pbx), msg, NULL, NULL));
	assert_int_equal(
		0, sip_treply(&st, pbx_sip(f->pbx), msg, 180, "Ringing"));
	answered(f->peer, "SIP/2.0 180 ");

	/* The PBX repeats its INVITE: known */
	send_text(f, f->peer, raw);
	answered(f->peer, "SIP/2.0 180 ");
	assert_int_equal(0, f->invites);

	assert_int_equal(0, sip_treply(&st, pbx_sip(f->pbx), msg, 480,
				       "Temporarily Unavailable"));
	answered(f->peer, "SIP/2.0 480 ");
	mem_deref(msg);
}


static void test_pbx_revive_over_tcp(void **state)
{
	struct fixture *f = *state;
	int ls = socket(AF_INET, SOCK_STREAM, 0), fd = -1;
	struct sockaddr_in sin = { .sin_family = AF_INET };
	socklen_t len = sizeof(sin);
	char raw[1024], via[32];
	struct sip_strans *st = NULL;
	struct sip_msg *msg;
	int n;

	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(0, bind(ls, (struct sockaddr *)&sin, sizeof(sin)));
	assert_int_equal(0, getsockname(ls, (struct sockaddr *)&sin, &len));
	assert_int_equal(0, listen(ls, 1));
	(void)re_snprintf(via, sizeof(via), "127.0.0.1:%u",
			  ntohs(sin.sin_port));
	n = re_snprintf(raw, sizeof(raw),
			"INVITE sip:" CONTACT "@127.0.0.1 SIP/2.0\r\n"
			"Via: SIP/2.0/TCP %s;branch=z9hG4bKt\r\n"
			"Max-Forwards: 70\r\n"
			"From: <sip:200@d.test>;tag=f\r\n"
			"To: <sip:100@d.test>\r\nCall-ID: t1\r\n"
			"CSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n",
			via);

	/* The connection it came over is gone; Via names where to go */
	assert_int_equal(0, pbx_msg_revive(&msg, f->pbx, (uint8_t *)raw,
					   (size_t)n, "127.0.0.1:9",
					   SIP_TRANSP_TCP));
	assert_int_equal(
		0, sip_strans_alloc(&st, pbx_sip(f->pbx), msg, NULL, NULL));
	assert_int_equal(0, sip_treply(&st, pbx_sip(f->pbx), msg, 480,
				       "Temporarily Unavailable"));
	for (int i = 0; fd < 0 && i < DEADLINE_MS / 5; i++) {
		struct pollfd p = { .fd = ls, .events = POLLIN };

		run_for(5);
		if (poll(&p, 1, 0) > 0)
			fd = accept(ls, NULL, NULL);
	}
	assert_true(fd >= 0);
	answered(fd, "SIP/2.0 480 ");

	close(fd);
	close(ls);
	mem_deref(msg);
}


static void test_pbx_targets(void **state)
{
	struct fixture *f = *state;
	enum sip_transp tp;
	struct sa sa;
	char buf[64];

	assert_int_equal(0, pbx_target(f->pbx, NULL, -1, 0, &sa, &tp));
	(void)re_snprintf(buf, sizeof(buf), "%J", &sa);
	assert_string_equal(f->proxy, buf);
	assert_int_equal(SIP_TRANSP_UDP, tp);
	assert_int_equal(ENOENT, pbx_target(f->pbx, "", -1, 1, &sa, &tp));

	assert_int_equal(0, pbx_target(f->pbx, "127.0.0.3:99", CFG_TP_TCP, 0,
				       &sa, &tp));
	assert_int_equal(SIP_TRANSP_TCP, tp);
	assert_int_equal(99, sa_port(&sa));

	/* No context that verifies, no TLS */
	assert_int_equal(EPROTONOSUPPORT, pbx_target(f->pbx, "127.0.0.3",
						     CFG_TP_TLS, 0, &sa, &tp));
	assert_int_equal(EINVAL, pbx_target(f->pbx, "a:b:c", -1, 0, &sa, &tp));

	assert_int_equal(0, sa_decode(&sa, f->proxy, strlen(f->proxy)));
	pbx_target_down(f->pbx, &sa, SIP_TRANSP_UDP, 10);
	assert_int_equal(ENOENT, pbx_target(f->pbx, NULL, -1, 0, &sa, &tp));
	assert_true(pbx_target_wait(f->pbx, NULL, -1) > 9000);

	assert_true(pbx_has_domain(f->pbx, "D.test"));
	assert_false(pbx_has_domain(f->pbx, "e.test"));
}


/* What an app may name, with this profile's proxy and domain */
static void proxy(struct fixture *f, const char *own, const char *text,
		  bool yes)
{
	char buf[64] = "";

	if (own)
		(void)re_snprintf(buf, sizeof(buf), "%s", own);
	f->cfg.outbound_proxy = own ? buf : NULL;
	if (pbx_allows_proxy(f->pbx, text) != yes)
		fail_msg("%s with %s", text, own ? own : "no proxy");
}


static void test_pbx_proxy_of_an_app(void **state)
{
	struct fixture *f = *state;

	proxy(f, NULL, "d.test", true);
	proxy(f, NULL, "D.TEST", true);
	proxy(f, NULL, "d.test:5060", true);
	proxy(f, NULL, "d.test:5061", true);
	proxy(f, NULL, "d.test:22", false);
	proxy(f, NULL, "d.test:5062", false);
	proxy(f, NULL, "d.test:", false);
	proxy(f, NULL, "d.test:0", false);
	proxy(f, NULL, "d.test:65536", false);
	proxy(f, NULL, "x.d.test", false);
	proxy(f, NULL, "d.test.x", false);
	proxy(f, NULL, "127.0.0.1", false);
	proxy(f, NULL, "", false);

	proxy(f, "p.test:5080", "p.test:5080", true);
	proxy(f, "p.test:5080", "P.test", true);
	proxy(f, "p.test:5080", "p.test:5081", false);
	proxy(f, "p.test:5080", "d.test", true);
	proxy(f, "p.test:5080", "d.test:5080", false);
	proxy(f, "p.test:5080", "p.tes", false);

	proxy(f, "[2001:db8::1]:5080", "[2001:db8::1]:5080", true);
	proxy(f, "[2001:db8::1]:5080", "2001:db8::1", true);
	proxy(f, "[2001:db8::1]:5080", "[2001:db8::1]:80", false);
	proxy(f, "[2001:db8::1]:5080", "[2001:db8::2]:5080", false);
	proxy(f, "[2001:db8::1]:5080", "[2001:db8::1", false);
	f->cfg.outbound_proxy = f->proxy;
}


static void test_pbx_closed_is_quiet(void **state)
{
	struct fixture *f = *state;
	enum sip_transp tp;
	struct sa sa;

	f->answer = true;
	request(f, f->peer, "INVITE", CONTACT, "1", "");
	answered(f->peer, "SIP/2.0 180 ");
	pbx_close(f->pbx);
	assert_int_equal(1, mem_nrefs(f->st)); /* it is still ours to drop */
	f->st = mem_deref(f->st);
	assert_int_equal(EINVAL, pbx_target(f->pbx, NULL, -1, 0, &sa, &tp));
	silent(f->peer);
}


static void test_pbx_port_taken(void **state)
{
	struct fixture *f = *state;
	const struct pbx_prm prm = { .cfg = &f->cfg };
	char reason[256] = "";
	struct pbx *pbx;

	f->cfg.local_port = sa_port(&f->laddr);
	assert_int_equal(EADDRINUSE,
			 pbx_alloc(&pbx, &prm, reason, sizeof(reason)));
	assert_non_null(strstr(reason, "pbx test: cannot listen on "
				       "127.0.0.1 port"));
}


int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_pbx_invite_from_the_pbx),
		T(test_pbx_second_branch_is_a_branch),
		T(test_pbx_strangers_get_nothing),
		T(test_pbx_listed_address),
		T(test_pbx_unknown_source_is_named),
		T(test_pbx_public_address),
		T(test_pbx_unknown_contact_gets_404),
		T(test_pbx_options_and_messages),
		T(test_pbx_cancel_brings_its_reason),
		T(test_pbx_garbage),
		T(test_pbx_revive_over_udp),
		T(test_pbx_revive_over_tcp),
		T(test_pbx_targets),
		T(test_pbx_proxy_of_an_app),
		T(test_pbx_closed_is_quiet),
		T(test_pbx_port_taken),
	};

	return cmocka_run_group_tests(tests, loop_open, loop_close);
}
