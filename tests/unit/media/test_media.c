/**
 * @file test_media.c  Questions against rtpengines that answer, are silent,
 * refuse, or say what nobody can read
 */

#include <errno.h>
#include <string.h>
#include <re/re.h>
#include "sipis/media/media.h"
#include "tests/unit/common/unit.h"
#include "tests/unit/common/loop.h"

/** A peer on the ng port */
struct peer {
	struct udp_sock *us;
	char text[32];
	const char *say; /**< its dictionary; NULL: nothing */
	bool garbage;    /**< before it */
	unsigned drop;   /**< questions that it does not hear */
	unsigned heard, pinged;
	char cookie[32]; /**< of the last question */
};

struct told {
	unsigned n;
	int err;
	char sdp[64], who[64];
};

struct lab {
	struct peer peerv[2];
	struct media *media;
	struct media_cfg cfg;
	char *addrv[2];
	struct told told;
};


static void say(struct peer *p, const struct sa *to, const char *cookie,
		const char *dict)
{
	struct mbuf *mb = mbuf_alloc(256);

	assert_int_equal(mbuf_printf(mb, "%s %s", cookie, dict), 0);
	mb->pos = 0;
	(void)udp_send(p->us, to, mb);
	mem_deref(mb);
}


static void peer_handler(const struct sa *src, struct mbuf *mb, void *arg)
{
	struct peer *p = arg;
	char text[512] = "";

	(void)mbuf_read_str(mb, text, MIN(mbuf_get_left(mb), 511));
	if (strstr(text, "4:ping")) {
		++p->pinged;
		*strchr(text, ' ') = '\0';
		if (p->say)
			say(p, src, text, "d6:result4:ponge");
		return;
	}

	++p->heard;
	*strchr(text, ' ') = '\0';
	(void)re_snprintf(p->cookie, sizeof(p->cookie), "%s", text);
	if (p->drop) {
		--p->drop;
		return;
	}
	if (p->garbage) {
		say(p, src, "", "");
		say(p, src, text, "d6:result");
		say(p, src, text, "d6:result999999999:oke");
		say(p, src, text, "llllllllllllllllllllllllll");
		say(p, src, "ffffffffffffffff", "d6:result2:oke");
	}
	if (p->say)
		say(p, src, text, p->say);
}


static void peer_open(struct peer *p)
{
	struct sa sa;

	(void)sa_set_str(&sa, "127.0.0.1", 0);
	assert_int_equal(udp_listen(&p->us, &sa, peer_handler, p), 0);
	assert_int_equal(udp_local_get(p->us, &sa), 0);
	(void)re_snprintf(p->text, sizeof(p->text), "%J", &sa);
}


static void lab_open(struct lab *lab, uint32_t peers)
{
	lab->cfg.rtpengine = lab->addrv;
	lab->cfg.rtpengine_count = peers;
	lab->cfg.timeout_ms = 100;
	for (uint32_t i = 0; i < peers; i++) {
		peer_open(&lab->peerv[i]);
		lab->addrv[i] = lab->peerv[i].text;
	}
	assert_int_equal(media_alloc(&lab->media, &lab->cfg, "test"), 0);
}


static void lab_close(struct lab *lab)
{
	mem_deref(lab->media);
	mem_deref(lab->peerv[0].us);
	mem_deref(lab->peerv[1].us);
}


static void told_handler(int err, const struct pl *sdp, const char *who,
			 void *arg)
{
	struct told *t = arg;

	++t->n;
	t->err = err;
	*t->sdp = *t->who = '\0';
	if (sdp)
		(void)pl_strcpy(sdp, t->sdp, sizeof(t->sdp));
	if (who)
		(void)re_snprintf(t->who, sizeof(t->who), "%s", who);
}


static bool is_told(void *arg)
{
	return ((struct told *)arg)->n > 0;
}


static void ask(struct lab *lab, const char *call)
{
	struct ng_question q = { .command = NG_ANSWER };
	struct media_ask *a = NULL;

	pl_set_str(&q.call, call);
	pl_set_str(&q.sdp, "v=0");
	memset(&lab->told, 0, sizeof(lab->told));
	assert_int_equal(
		media_ask(&a, lab->media, &q, told_handler, &lab->told), 0);
	assert_int_equal(lab->told.n, 0);
	until(&lab->told, is_told);
	mem_deref(a);
	assert_int_equal(lab->told.n, 1);
}


#define OK      "d3:sdp3:new6:result2:oke"
#define UNKNOWN "d6:result5:error12:error-reason15:Unknown call-ide"
#define FULL    "d6:result5:error12:error-reason16:Ran out of portse"


static void test_media_ok(void **state)
{
	struct lab lab = { 0 };
	(void)state;

	lab_open(&lab, 1);
	lab.peerv[0].say = OK;
	ask(&lab, "c");
	assert_int_equal(lab.told.err, 0);
	assert_string_equal(lab.told.sdp, "new");
	assert_string_equal(lab.told.who, lab.peerv[0].text);
	lab_close(&lab);
}


/* The same cookie: rtpengine does it once */
static void test_media_repeats(void **state)
{
	struct lab lab = { 0 };
	(void)state;

	lab_open(&lab, 1);
	lab.peerv[0].say = OK;
	lab.peerv[0].drop = 2;
	ask(&lab, "c");
	assert_int_equal(lab.told.err, 0);
	assert_int_equal(lab.peerv[0].heard, 3);
	lab_close(&lab);
}


static void test_media_garbage(void **state)
{
	struct lab lab = { 0 };
	(void)state;

	lab_open(&lab, 1);
	lab.peerv[0].say = OK;
	lab.peerv[0].garbage = true;
	ask(&lab, "c");
	assert_int_equal(lab.told.err, 0);
	assert_string_equal(lab.told.sdp, "new");

	lab.peerv[0].say = NULL;
	ask(&lab, "c");
	assert_int_equal(lab.told.err, ETIMEDOUT);
	lab_close(&lab);
}


static bool is_pinged(void *arg)
{
	return ((struct peer *)arg)->pinged > 0;
}


/* One that is silent delays one question; it is asked again once it has
   answered a ping */
static void test_media_silent(void **state)
{
	struct lab lab = { 0 };
	struct peer *p = lab.peerv;
	(void)state;

	lab_open(&lab, 1);
	ask(&lab, "c");
	assert_int_equal(lab.told.err, ETIMEDOUT);
	p->heard = p->pinged = 0;
	ask(&lab, "c");
	assert_int_equal(lab.told.err, ENETUNREACH);
	assert_int_equal(p->heard, 0);

	p->say = OK;
	until(p, is_pinged);
	for (unsigned i = 0; i < 50 && !p->heard; i++)
		ask(&lab, "c");
	assert_int_equal(lab.told.err, 0);
	lab_close(&lab);
}


/* ICMP says so at once */
static void test_media_nobody(void **state)
{
	struct lab lab = { 0 };
	const uint64_t start = tmr_jiffies();
	(void)state;

	lab.cfg.timeout_ms = 5000;
	peer_open(&lab.peerv[0]);
	lab.peerv[0].us = mem_deref(lab.peerv[0].us);
	lab.addrv[0] = lab.peerv[0].text;
	lab.cfg.rtpengine = lab.addrv;
	lab.cfg.rtpengine_count = 1;
	assert_int_equal(media_alloc(&lab.media, &lab.cfg, "test"), 0);
	ask(&lab, "c");
	assert_int_equal(lab.told.err, ETIMEDOUT);
	assert_true(tmr_jiffies() - start < 4000);
	lab_close(&lab);
}


static void test_media_failover(void **state)
{
	struct lab lab = { 0 };
	struct peer *p = lab.peerv;
	unsigned first;
	(void)state;

	lab_open(&lab, 2);
	p[0].say = p[1].say = OK;
	ask(&lab, "call");
	assert_int_equal(p[0].heard + p[1].heard, 1);
	first = p[0].heard ? 0 : 1;
	ask(&lab, "call");
	assert_int_equal(p[first].heard, 2);

	p[first].say = UNKNOWN;
	ask(&lab, "call");
	assert_int_equal(lab.told.err, 0);
	assert_string_equal(lab.told.who, p[!first].text);

	p[!first].say = FULL;
	ask(&lab, "call");
	assert_int_equal(lab.told.err, ENOENT);
	p[first].say = FULL;
	ask(&lab, "call");
	assert_int_equal(lab.told.err, EPROTO);
	assert_string_equal(lab.told.who, "Ran out of ports");

	p[first].say = NULL;
	p[!first].say = OK;
	ask(&lab, "call");
	assert_int_equal(lab.told.err, 0);
	assert_string_equal(lab.told.who, p[!first].text);
	p[first].heard = 0;
	ask(&lab, "call");
	assert_int_equal(p[first].heard, 0);
	lab_close(&lab);
}


/* Both get their share */
static void test_media_spread(void **state)
{
	struct lab lab = { 0 };
	struct peer *p = lab.peerv;
	char call[16];
	(void)state;

	lab_open(&lab, 2);
	p[0].say = p[1].say = OK;
	for (unsigned i = 0; i < 40; i++) {
		(void)re_snprintf(call, sizeof(call), "call-%u", i);
		ask(&lab, call);
	}
	assert_true(p[0].heard > 5 && p[1].heard > 5);
	lab_close(&lab);
}


static bool is_heard(void *arg)
{
	return ((struct peer *)arg)->heard > 0;
}


/* Who has forgotten its question is not called; one that nobody waits for
   ends by itself */
static void test_media_forgotten(void **state)
{
	struct lab lab = { 0 };
	struct ng_question q = { .command = NG_DELETE };
	struct media_ask *a = NULL;
	(void)state;

	lab_open(&lab, 1);
	lab.peerv[0].say = OK;
	pl_set_str(&q.call, "c");
	assert_int_equal(media_ask(&a, lab.media, &q, told_handler, &lab.told),
			 0);
	mem_deref(a);
	assert_int_equal(media_ask(NULL, lab.media, &q, NULL, NULL), 0);
	until(&lab.peerv[0], is_heard);
	ask(&lab, "c");
	assert_int_equal(lab.told.n, 1);
	lab_close(&lab);
}


static void test_media_bad_cfg(void **state)
{
	char *addr = "rtpengine.example:2223";
	struct media_cfg cfg = { .rtpengine = &addr, .timeout_ms = 100 };
	struct media *m = NULL;
	(void)state;

	assert_int_equal(media_alloc(&m, &cfg, "test"), EINVAL);
	cfg.rtpengine_count = 1;
	assert_int_equal(media_alloc(&m, &cfg, "test"), EINVAL);
	addr = "127.0.0.1:0";
	assert_int_equal(media_alloc(&m, &cfg, "test"), EINVAL);
}


int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_media_ok),
		cmocka_unit_test(test_media_repeats),
		cmocka_unit_test(test_media_garbage),
		cmocka_unit_test(test_media_silent),
		cmocka_unit_test(test_media_nobody),
		cmocka_unit_test(test_media_failover),
		cmocka_unit_test(test_media_spread),
		cmocka_unit_test(test_media_forgotten),
		cmocka_unit_test(test_media_bad_cfg),
	};

	return cmocka_run_group_tests(tests, loop_open, loop_close);
}
