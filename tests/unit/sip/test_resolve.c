/**
 * @file test_resolve.c  Names to hops, against a small DNS server of ours
 *
 * The server speaks real DNS over UDP on a port of its own; libre's client
 * asks it.  Time runs as it does, and jumps where a test says so.
 */

#include "tests/unit/common/jump.h"
#include "tests/unit/common/unit.h"
#include "tests/unit/common/loop.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <re/re.h>
#include "common/clock.h"
#include "common/tmr_heap.h"
#include "sipis/sip/hosts.h"
#include "sipis/sip/resolve.h"

enum { RECORDS = 32 };

struct rec {
	const char *name;
	uint16_t type;
	const char *a;       /* address, or target / replacement */
	uint16_t x, y, port; /* SRV pri weight; NAPTR order pref */
	const char *service;
};

struct fixture {
	struct udp_sock *us;
	struct dnsc *dnsc;
	struct sa addr;
	const struct rec *zone;
	uint16_t broken; /* questions of this type, and what they get: */
	uint8_t rcode;
	bool silent;
	unsigned asked, asked_addr;
	char hosts[64];
	struct resolve *r;
	unsigned answers;
};


static void put_rdata(struct dnsrr *rr, const struct rec *rec)
{
	struct sa sa;

	switch (rec->type) {
	case DNS_TYPE_A:
		assert_int_equal(0, sa_set_str(&sa, rec->a, 0));
		rr->rdata.a.addr = sa_in(&sa);
		break;
	case DNS_TYPE_AAAA:
		assert_int_equal(0, sa_set_str(&sa, rec->a, 0));
		sa_in6(&sa, rr->rdata.aaaa.addr);
		break;
	case DNS_TYPE_SRV:
		rr->rdata.srv.pri = rec->x;
		rr->rdata.srv.weight = rec->y;
		rr->rdata.srv.port = rec->port;
		(void)str_dup(&rr->rdata.srv.target, rec->a);
		break;
	case DNS_TYPE_NAPTR:
		rr->rdata.naptr.order = rec->x;
		rr->rdata.naptr.pref = rec->y;
		(void)str_dup(&rr->rdata.naptr.flags, "s");
		(void)str_dup(&rr->rdata.naptr.services, rec->service);
		(void)str_dup(&rr->rdata.naptr.regexp, "");
		(void)str_dup(&rr->rdata.naptr.replace, rec->a);
		break;
	}
}


static void answer(struct mbuf *mb, const struct rec *rec)
{
	struct dnsrr *rr = dns_rr_alloc();

	rr->type = rec->type;
	rr->dnsclass = DNS_CLASS_IN;
	rr->ttl = 300;
	(void)str_dup(&rr->name, rec->name);
	put_rdata(rr, rec);
	assert_int_equal(0, dns_rr_encode(mb, rr, 0, NULL, 0));
	mem_deref(rr);
}


static void dns_handler(const struct sa *src, struct mbuf *mb, void *arg)
{
	struct fixture *f = arg;
	struct mbuf *out = mbuf_alloc(1024);
	struct dnshdr hdr;
	uint16_t type;
	char *name;

	++f->asked;
	assert_int_equal(0, dns_hdr_decode(mb, &hdr));
	assert_int_equal(0, dns_dname_decode(mb, &name, 0));
	type = ntohs(mbuf_read_u16(mb));
	f->asked_addr += type == DNS_TYPE_A || type == DNS_TYPE_AAAA;

	hdr.qr = true;
	hdr.nans = 0;
	for (const struct rec *r = f->zone; r->name; r++)
		hdr.nans =
			(uint16_t)(hdr.nans + (r->type == type &&
					       !str_casecmp(r->name, name)));
	hdr.rcode = hdr.nans ? DNS_RCODE_OK : DNS_RCODE_NAME_ERR;
	if (f->broken == type) {
		hdr.nans = 0;
		hdr.rcode = f->rcode;
	}

	assert_int_equal(0, dns_hdr_encode(out, &hdr));
	assert_int_equal(0, dns_dname_encode(out, name, NULL, 0, false));
	(void)mbuf_write_u16(out, htons(type));
	(void)mbuf_write_u16(out, htons(DNS_CLASS_IN));
	for (const struct rec *r = f->zone; hdr.nans && r->name; r++) {
		if (r->type == type && !str_casecmp(r->name, name))
			answer(out, r);
	}
	out->pos = 0;
	if (f->broken != type || !f->silent)
		(void)udp_send(f->us, src, out);

	mem_deref(name);
	mem_deref(out);
}


static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct sa laddr;

	assert_int_equal(0, tmrheap_check());
	assert_int_equal(0, sa_set_str(&laddr, "127.0.0.1", 0));
	assert_int_equal(0, udp_listen(&f->us, &laddr, dns_handler, f));
	assert_int_equal(0, udp_local_get(f->us, &f->addr));
	assert_int_equal(0, dnsc_alloc(&f->dnsc, NULL, &f->addr, 1));
	(void)strcpy(f->hosts, "/tmp/hostsXXXXXX");
	close(mkstemp(f->hosts));
	*state = f;

	return 0;
}


static int teardown(void **state)
{
	struct fixture *f = *state;

	mem_deref(f->r);
	mem_deref(f->dnsc);
	mem_deref(f->us);
	(void)unlink(f->hosts);
	free(f);

	return 0;
}


static void resolve_done(struct resolve *r, void *arg)
{
	struct fixture *f = arg;
	(void)r;

	++f->answers;
	re_cancel();
}


static void ask(struct fixture *f, const struct rec *zone, const char *host,
		uint16_t port, enum cfg_transport tp)
{
	const struct resolve_prm prm = {
		.dnsc = f->dnsc,
		.host = host,
		.port = port,
		.tp = tp,
		.hosts = f->hosts,
		.h = resolve_done,
		.arg = f,
	};

	f->zone = zone;
	assert_int_equal(0, resolve_alloc(&f->r, &prm));
	if (f->answers)
		return;
	loop_run();
}


static void hop(struct fixture *f, unsigned n, const char *addr,
		enum sip_transp tp)
{
	struct resolve_hop h;
	char buf[64];

	assert_int_equal(0, resolve_hop(f->r, n, clock_mono_ms(), &h));
	(void)re_snprintf(buf, sizeof(buf), "%J", &h.addr);
	assert_string_equal(addr, buf);
	assert_int_equal(tp, h.tp);
}


static void no_hop(struct fixture *f, unsigned n, int err)
{
	struct resolve_hop h;

	assert_int_equal(err, resolve_hop(f->r, n, clock_mono_ms(), &h));
}


static void test_resolve_numeric_is_there_at_once(void **state)
{
	struct fixture *f = *state;
	const struct rec none[] = { { 0 } };
	const struct resolve_prm prm = { .host = "::1", .tp = CFG_TP_TLS };

	f->zone = none;
	assert_int_equal(0, resolve_alloc(&f->r, &prm));
	hop(f, 0, "[::1]:5061", SIP_TRANSP_TLS);
	no_hop(f, 1, ENOENT);
	assert_int_equal(0, f->asked);
}


static void test_resolve_naptr_order(void **state)
{
	struct fixture *f = *state;
	const struct rec zone[] = {
		{ "d.test", DNS_TYPE_NAPTR, "_sip._udp.d.test", 20, 1, 0,
		  "SIP+D2U" },
		{ "d.test", DNS_TYPE_NAPTR, "_sips._tcp.d.test", 10, 5, 0,
		  "SIPS+D2T" },
		{ "d.test", DNS_TYPE_NAPTR, "_ws.d.test", 5, 5, 0, "SIP+D2W" },
		{ "_sip._udp.d.test", DNS_TYPE_SRV, "b.d.test", 0, 0, 5070,
		  NULL },
		{ "_sips._tcp.d.test", DNS_TYPE_SRV, "a.d.test", 0, 0, 5071,
		  NULL },
		{ "a.d.test", DNS_TYPE_A, "192.0.2.1", 0, 0, 0, NULL },
		{ "a.d.test", DNS_TYPE_AAAA, "2001:db8::1", 0, 0, 0, NULL },
		{ "b.d.test", DNS_TYPE_A, "192.0.2.2", 0, 0, 0, NULL },
		{ 0 },
	};

	ask(f, zone, "d.test", 0, CFG_TP_AUTO);
	hop(f, 0, "192.0.2.1:5071", SIP_TRANSP_TLS);
	hop(f, 1, "[2001:db8::1]:5071", SIP_TRANSP_TLS);
	hop(f, 2, "192.0.2.2:5070", SIP_TRANSP_UDP);
	no_hop(f, 3, ENOENT);
}


/* C6: marked TLS never falls to TCP or UDP, whatever DNS says */
static void test_resolve_tls_stays_tls(void **state)
{
	struct fixture *f = *state;
	const struct rec zone[] = {
		{ "d.test", DNS_TYPE_NAPTR, "_sip._udp.d.test", 1, 1, 0,
		  "SIP+D2U" },
		{ "_sip._udp.d.test", DNS_TYPE_SRV, "b.d.test", 0, 0, 5070,
		  NULL },
		{ "b.d.test", DNS_TYPE_A, "192.0.2.2", 0, 0, 0, NULL },
		{ "d.test", DNS_TYPE_A, "192.0.2.3", 0, 0, 0, NULL },
		{ 0 },
	};

	ask(f, zone, "d.test", 0, CFG_TP_TLS);
	hop(f, 0, "192.0.2.3:5061", SIP_TRANSP_TLS);
	no_hop(f, 1, ENOENT);
}


static void test_resolve_srv_without_naptr(void **state)
{
	struct fixture *f = *state;
	const struct rec zone[] = {
		{ "_sip._udp.d.test", DNS_TYPE_SRV, "u.d.test", 0, 0, 1,
		  NULL },
		{ "_sip._tcp.d.test", DNS_TYPE_SRV, "t.d.test", 0, 0, 2,
		  NULL },
		{ "u.d.test", DNS_TYPE_A, "192.0.2.1", 0, 0, 0, NULL },
		{ "t.d.test", DNS_TYPE_A, "192.0.2.2", 0, 0, 0, NULL },
		{ 0 },
	};

	ask(f, zone, "d.test", 0, CFG_TP_AUTO);
	hop(f, 0, "192.0.2.2:2", SIP_TRANSP_TCP);
	no_hop(f, 1, ENOENT);
}


static void test_resolve_srv_priorities(void **state)
{
	struct fixture *f = *state;
	const struct rec zone[] = {
		{ "_sip._udp.d.test", DNS_TYPE_SRV, "c.d.test", 20, 9, 5060,
		  NULL },
		{ "_sip._udp.d.test", DNS_TYPE_SRV, "a.d.test", 10, 0, 5060,
		  NULL },
		{ "_sip._udp.d.test", DNS_TYPE_SRV, ".", 1, 0, 0, NULL },
		{ "a.d.test", DNS_TYPE_A, "192.0.2.1", 0, 0, 0, NULL },
		{ "c.d.test", DNS_TYPE_A, "192.0.2.3", 0, 0, 0, NULL },
		{ 0 },
	};

	ask(f, zone, "d.test", 0, CFG_TP_UDP);
	hop(f, 0, "192.0.2.1:5060", SIP_TRANSP_UDP);
	hop(f, 1, "192.0.2.3:5060", SIP_TRANSP_UDP);
	no_hop(f, 2, ENOENT);
}


static void test_resolve_nothing_but_an_address(void **state)
{
	struct fixture *f = *state;
	const struct rec zone[] = {
		{ "d.test", DNS_TYPE_A, "192.0.2.1", 0, 0, 0, NULL },
		{ 0 },
	};

	ask(f, zone, "d.test", 0, CFG_TP_AUTO);
	hop(f, 0, "192.0.2.1:5060", SIP_TRANSP_UDP);
	assert_true(f->asked >= 6);
}


static void test_resolve_port_asks_for_addresses_only(void **state)
{
	struct fixture *f = *state;
	const struct rec zone[] = {
		{ "d.test", DNS_TYPE_NAPTR, "_sip._tcp.d.test", 1, 1, 0,
		  "SIP+D2T" },
		{ "d.test", DNS_TYPE_A, "192.0.2.1", 0, 0, 0, NULL },
		{ 0 },
	};

	ask(f, zone, "d.test", 5080, CFG_TP_TCP);
	hop(f, 0, "192.0.2.1:5080", SIP_TRANSP_TCP);
	assert_int_equal(2, f->asked);
}


static void test_resolve_hosts_file_first(void **state)
{
	struct fixture *f = *state;
	const struct rec none[] = { { 0 } };
	FILE *file = fopen(f->hosts, "w");

	(void)fputs("# PBXs\n192.0.2.7 other pbx.TEST # mine\n"
		    "2001:db8::7\tpbx.test\nbroken pbx.test\n192.0.2.8\n",
		    file);
	(void)fclose(file);

	ask(f, none, "pbx.test", 0, CFG_TP_AUTO);
	hop(f, 0, "192.0.2.7:5060", SIP_TRANSP_UDP);
	hop(f, 1, "[2001:db8::7]:5060", SIP_TRANSP_UDP);
	no_hop(f, 2, ENOENT);
	assert_int_equal(0, f->asked);
}


/* What only the system knows: "localhost" is not in this DNS, nor in this
   hosts file */
static void test_resolve_asks_the_system_last(void **state)
{
	struct fixture *f = *state;
	const struct rec none[] = { { 0 } };
	struct resolve_hop h;

	ask(f, none, "localhost", 5060, CFG_TP_UDP);
	assert_int_equal(0, resolve_hop(f->r, 0, 0, &h));
	assert_true(sa_is_loopback(&h.addr));
	assert_int_equal(2, f->asked);
}


static void test_resolve_down_and_up(void **state)
{
	struct fixture *f = *state;
	const struct rec zone[] = {
		{ "d.test", DNS_TYPE_A, "192.0.2.1", 0, 0, 0, NULL },
		{ "d.test", DNS_TYPE_A, "192.0.2.2", 0, 0, 0, NULL },
		{ 0 },
	};
	const uint64_t now = clock_mono_ms();
	struct resolve_hop a, b, h;

	ask(f, zone, "d.test", 5060, CFG_TP_UDP);
	assert_int_equal(0, resolve_hop(f->r, 0, now, &a));
	assert_int_equal(0, resolve_hop(f->r, 1, now, &b));
	assert_int_equal(0, resolve_wait(f->r, now));

	resolve_down(f->r, &a.addr, SIP_TRANSP_UDP, now + 5000);
	assert_int_equal(0, resolve_hop(f->r, 0, now, &h));
	assert_true(sa_cmp(&h.addr, &b.addr, SA_ALL));
	assert_int_equal(ENOENT, resolve_hop(f->r, 1, now, &h));
	assert_int_equal(0, resolve_wait(f->r, now));

	resolve_down(f->r, &b.addr, SIP_TRANSP_UDP, now + 3000);
	assert_int_equal(ENOENT, resolve_hop(f->r, 0, now, &h));
	assert_int_equal(3000, resolve_wait(f->r, now));
	assert_int_equal(0, resolve_hop(f->r, 0, now + 3000, &h));
	assert_true(sa_cmp(&h.addr, &b.addr, SA_ALL));
	assert_int_equal(0, resolve_hop(f->r, 0, now + 5000, &h));
	assert_true(sa_cmp(&h.addr, &a.addr, SA_ALL));

	assert_true(resolve_has(f->r, &a.addr));
	sa_set_port(&a.addr, 1);
	assert_true(resolve_has(f->r, &a.addr));
	assert_int_equal(0, sa_set_str(&a.addr, "192.0.2.9", 5060));
	assert_false(resolve_has(f->r, &a.addr));
}


static void test_resolve_unknown_name_waits(void **state)
{
	struct fixture *f = *state;
	const struct rec none[] = { { 0 } };
	const struct resolve_prm prm = {
		.dnsc = f->dnsc,
		.host = "nobody.invalid",
		.tp = CFG_TP_UDP,
		.hosts = f->hosts,
		.h = resolve_done,
		.arg = f,
	};

	f->zone = none;
	assert_int_equal(0, resolve_alloc(&f->r, &prm));
	no_hop(f, 0, EAGAIN);
	while (f->asked < 3)
		run_for(20);
	no_hop(f, 0, EAGAIN);
	assert_int_equal(0, f->answers);
}


/* A walk that changes nothing, so much later: it ends with questions for
   addresses.  step: time that goes by meanwhile */
static void kept(struct fixture *f, unsigned s, unsigned step)
{
	const unsigned asked = f->asked_addr, answers = f->answers;

	jump_ms((uint64_t)s * 1000);
	for (; f->asked_addr < asked + 2; run_for(5))
		jump_ms(step);
	run_for(20);
	assert_int_equal(answers, f->answers);
	hop(f, 0, "192.0.2.1:5070", SIP_TRANSP_UDP);
	no_hop(f, 1, ENOENT);
}


static void adopted(struct fixture *f, unsigned s, const char *addr)
{
	const unsigned answers = f->answers;

	jump_ms((uint64_t)s * 1000);
	loop_run();
	assert_int_equal(answers + 1, f->answers);
	hop(f, 0, addr, SIP_TRANSP_UDP);
	no_hop(f, 1, ENOENT);
}


static const struct rec two_ports[] = {
	{ "_sip._udp.d.test", DNS_TYPE_SRV, "a.d.test", 0, 0, 5070, NULL },
	{ "a.d.test", DNS_TYPE_A, "192.0.2.1", 0, 0, 0, NULL },
	{ "d.test", DNS_TYPE_A, "192.0.2.9", 0, 0, 0, NULL },
	{ 0 },
};


/* Kept, asked again soon, and then the answer counts */
static void broken_keeps(struct fixture *f, uint8_t rcode)
{
	ask(f, two_ports, "d.test", 0, CFG_TP_UDP);
	hop(f, 0, "192.0.2.1:5070", SIP_TRANSP_UDP);

	f->broken = DNS_TYPE_SRV;
	f->rcode = rcode;
	kept(f, 310, 0);
	f->broken = 0;
	adopted(f, 10, "192.0.2.1:5070");
}


static void test_resolve_servfail_keeps_the_answer(void **state)
{
	broken_keeps(*state, DNS_RCODE_SRV_FAIL);
}


static void test_resolve_refused_keeps_the_answer(void **state)
{
	broken_keeps(*state, DNS_RCODE_REFUSED);
}


static void test_resolve_timeout_keeps_the_answer(void **state)
{
	struct fixture *f = *state;

	ask(f, two_ports, "d.test", 0, CFG_TP_UDP);
	f->broken = DNS_TYPE_SRV;
	f->silent = true;
	kept(f, 310, 1000); /* libre asks a few times, and gives up */
}


/* What is no SRV any more is one answer; what was guessed may be followed by
   another guess */
static void test_resolve_guesses(void **state)
{
	struct fixture *f = *state;
	const struct rec moved[] = {
		{ "d.test", DNS_TYPE_A, "192.0.2.8", 0, 0, 0, NULL },
		{ 0 },
	};

	f->broken = DNS_TYPE_SRV;
	f->rcode = DNS_RCODE_SRV_FAIL;
	ask(f, two_ports, "d.test", 0, CFG_TP_UDP);
	hop(f, 0, "192.0.2.9:5060", SIP_TRANSP_UDP);

	f->zone = moved;
	adopted(f, 10, "192.0.2.8:5060");

	f->zone = two_ports;
	f->broken = 0;
	adopted(f, 10, "192.0.2.1:5070");

	f->zone = moved;
	adopted(f, 310, "192.0.2.8:5060");
}


/* An answer does not stand for ever */
static void test_resolve_guess_after_a_day(void **state)
{
	struct fixture *f = *state;

	ask(f, two_ports, "d.test", 0, CFG_TP_UDP);
	f->broken = DNS_TYPE_SRV;
	f->rcode = DNS_RCODE_SRV_FAIL;
	adopted(f, 24 * 3600 + 1, "192.0.2.9:5060");
}


static void check_split(const char *s, int err, const char *host,
			uint16_t port)
{
	char buf[32] = "";
	uint16_t p = 0;

	if (err != resolve_split(s, buf, sizeof(buf), &p))
		fail_msg("\"%s\"", s);
	if (err)
		return;
	assert_string_equal(host, buf);
	assert_int_equal(port, p);
}


static void test_resolve_split(void **state)
{
	(void)state;

	check_split("pbx.test", 0, "pbx.test", 0);
	check_split("pbx.test:5080", 0, "pbx.test", 5080);
	check_split("192.0.2.1:1", 0, "192.0.2.1", 1);
	check_split("[2001:db8::1]", 0, "2001:db8::1", 0);
	check_split("[2001:db8::1]:65535", 0, "2001:db8::1", 65535);
	check_split("2001:db8::1", 0, "2001:db8::1", 0);
	check_split("", EINVAL, NULL, 0);
	check_split(":5060", EINVAL, NULL, 0);
	check_split("a:", EINVAL, NULL, 0);
	check_split("a:0", EINVAL, NULL, 0);
	check_split("a:65536", EINVAL, NULL, 0);
	check_split("a:5060x", EINVAL, NULL, 0);
	check_split("[::1", EINVAL, NULL, 0);
	check_split("[::1]5060", EINVAL, NULL, 0);
	check_split("0123456789012345678901234567890123", EINVAL, NULL, 0);
}


int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_resolve_numeric_is_there_at_once),
		T(test_resolve_naptr_order),
		T(test_resolve_tls_stays_tls),
		T(test_resolve_srv_without_naptr),
		T(test_resolve_srv_priorities),
		T(test_resolve_nothing_but_an_address),
		T(test_resolve_port_asks_for_addresses_only),
		T(test_resolve_hosts_file_first),
		T(test_resolve_asks_the_system_last),
		T(test_resolve_down_and_up),
		T(test_resolve_unknown_name_waits),
		T(test_resolve_servfail_keeps_the_answer),
		T(test_resolve_refused_keeps_the_answer),
		T(test_resolve_timeout_keeps_the_answer),
		T(test_resolve_guesses),
		T(test_resolve_guess_after_a_day),
		cmocka_unit_test(test_resolve_split),
	};

	return cmocka_run_group_tests(tests, loop_open, loop_close);
}
