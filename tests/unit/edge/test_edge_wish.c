/**
 * @file test_edge_wish.c  What REGISTERs ask for
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <re/re.h>
#include "sipis/edge/wish.h"
#include "tests/unit/common/unit.h"

enum { HOUR = 3600 };

#define EIGHT                                      \
	"<sip:1@h>,<sip:2@h>,<sip:3@h>,<sip:4@h>," \
	"<sip:5@h>,<sip:6@h>,<sip:7@h>,<sip:8@h>"
#define URN "urn:uuid:00000000-0000-0000-0000-000000000001"

int __real_sip_addr_decode(struct sip_addr *addr, const struct pl *pl);
int __wrap_sip_addr_decode(struct sip_addr *addr, const struct pl *pl);

struct fix {
	struct sip_msg *msg;
	struct edge_wish w;
	unsigned decoded; /**< addresses */
};

/** Who counts; libre's decoders have no argument of ours */
static struct fix *fix;


int __wrap_sip_addr_decode(struct sip_addr *addr, const struct pl *pl)
{
	++fix->decoded;

	return __real_sip_addr_decode(addr, pl);
}


/* lines: of its own, each with its end */
static const struct edge_wish *wish_over(struct fix *f, enum sip_transp tp,
					 const char *lines)
{
	static struct edge_push_cfg apps[] = {
		{ .app = (char *)"demo", .fcm = (char *)"project" },
	};
	static const struct edge_cfg cfg = { .push = apps, .push_count = 1 };
	struct mbuf *mb = mbuf_alloc(1024);

	assert_int_equal(mbuf_printf(mb,
				     "REGISTER sip:h SIP/2.0\r\n"
				     "Via: SIP/2.0/TLS h;branch=z9hG4bKx\r\n"
				     "From: <sip:100@h>;tag=a\r\n"
				     "To: <sip:100@h>\r\n"
				     "Call-ID: x\r\nCSeq: 1 REGISTER\r\n"
				     "%sContent-Length: 0\r\n\r\n",
				     lines),
			 0);
	mb->pos = 0;
	f->msg = mem_deref(f->msg);
	assert_int_equal(sip_msg_decode(&f->msg, mb), 0);
	mem_deref(mb);
	f->msg->tp = tp;
	f->decoded = 0;
	edge_wish_read(&f->w, &cfg, f->msg);

	return &f->w;
}


static const struct edge_wish *wish(struct fix *f, const char *lines)
{
	return wish_over(f, SIP_TRANSP_UDP, lines);
}


static void name_is(const struct fix *f, const char *name)
{
	char text[EDGE_URI];

	assert_int_equal(edge_contact_name(text, sizeof(text), &f->w.contact),
			 0);
	assert_string_equal(text, name);
}


static void uri_is(const struct fix *f, const char *uri)
{
	assert_int_equal(pl_strcmp(&f->w.contact.addr.auri, uri), 0);
}


static void test_one(void **state)
{
	struct fix *f = *state;
	const struct edge_wish *w =
		wish(f, "Contact: <sip:a@1.2.3.4:5>;+sip.instance=\"<" URN
			">\";reg-id=7;expires=60\r\n");

	assert_false(w->bad || w->none || w->all || w->several);
	uri_is(f, "sip:a@1.2.3.4:5");
	name_is(f, URN);
	assert_int_equal(w->contact.expires_s, 60);
	assert_int_equal(w->contact.reg_id, 7);
	assert_int_equal(w->name, hash_joaat_str(URN));
	assert_int_equal(w->pn.kind, EDGE_PN_NONE);
}


static void test_odd(void **state)
{
	static const struct {
		const char *contact;
		uint32_t expires_s, reg_id;
		const char *name;
		bool instance;
	} v[] = {
		{ "sip:u@h;expires=60", 60, 0, "contact:u", false },
		{ "<sip:u@h;expires=5>", 120, 0, "contact:u", false },
		{ "<sip:u@h>;expires=soon", HOUR, 0, "contact:u", false },
		{ "<sip:u@h>;expires=", 120, 0, "contact:u", false },
		{ "<sip:u@h>;expires=9999999999", UINT32_MAX, 0, "contact:u",
		  false },
		{ "<sip:u@h> ; Expires = 61 ;q=1", 61, 0, "contact:u", false },
		{ "<sip:u@h>;expiresx=9", 120, 0, "contact:u", false },
		{ "<sip:u@h>;x=\";expires=9\";reg-id=2", 120, 2, "contact:u",
		  false },
		{ "<sip:u@h>;+SIP.instance = \"<" URN ">\"", 120, 0, URN,
		  true },
		{ "<sip:u@h>;+sip.instance=bad", 120, 0, "contact:u", true },
		{ "<sip:u@h>;+sip.instance=\"<>\"", 120, 0, "contact:u",
		  true },
		{ "<sip:u@h>;+sip.instance=\"<a>b>\"", 120, 0, "contact:u",
		  true },
	};
	struct fix *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(v); i++) {
		const struct edge_wish *w = &f->w;
		char lines[256];

		(void)re_snprintf(lines, sizeof(lines),
				  "Expires: 120\r\nContact: %s\r\n",
				  v[i].contact);
		(void)wish(f, lines);
		assert_false(w->bad);
		assert_int_equal(w->contact.expires_s, v[i].expires_s);
		assert_int_equal(w->contact.reg_id, v[i].reg_id);
		assert_int_equal(w->contact.instance, v[i].instance);
		name_is(f, v[i].name);
	}
}


/* Of what comes with each REGISTER nothing is read twice */
static void test_reads_once(void **state)
{
	struct fix *f = *state;

	(void)wish(f, "Contact: <sip:a@1.2.3.4:5>\r\n");
	assert_int_equal(f->decoded, 1);
	(void)wish(f, "Contact: <sip:a@h>;expires=0, <sip:b@h>\r\n"
		      "Contact: <sip:c@h>;expires=0\r\n");
	assert_int_equal(f->decoded, 3);
}


static void test_expires(void **state)
{
	static const struct {
		const char *lines;
		uint32_t expires_s;
	} v[] = {
		{ "Contact: <sip:a@h>\r\n", HOUR },
		{ "Contact: <sip:a@h>\r\nExpires: 120\r\n", 120 },
		{ "Contact: <sip:a@h>;expires=0\r\nExpires: 120\r\n", 0 },
		{ "Contact: <sip:a@h>;expires=soon\r\n", HOUR },
		{ "Contact: <sip:a@h>\r\nExpires: soon\r\n", HOUR },
		{ "Contact: <sip:a@h>;expires=99999999999\r\n", UINT32_MAX },
	};

	for (size_t i = 0; i < ARRAY_SIZE(v); i++) {
		const struct edge_wish *w = wish(*state, v[i].lines);

		assert_false(w->bad);
		assert_int_equal(w->contact.expires_s, v[i].expires_s);
	}
}


/* The first that lives, wherever it stands; else the first */
static void test_several(void **state)
{
	struct fix *f = *state;

	assert_true(wish(f, "Contact: <sip:a@h>;expires=0,\"x, <y>\" "
			    "<sip:b@h;p=\",\">, <sip:c@h>\r\n")
			    ->several);
	assert_false(f->w.bad);
	uri_is(f, "sip:b@h;p=\",\"");

	(void)wish(f, "Contact: <sip:a@h>;expires=0\r\n"
		      "Contact: <sip:b@h>;expires=0\r\n");
	assert_false(f->w.bad);
	uri_is(f, "sip:a@h");

	(void)wish(f, "Contact: <sip:a@h>;expires=0;reg-id=1\r\n"
		      "Contact: <sip:b@h>;reg-id=1\r\n");
	assert_false(f->w.bad);
	uri_is(f, "sip:b@h");
}


static void test_bad(void **state)
{
	static const char *const v[] = {
		"Contact: \r\n",
		"Contact: <tel:1>\r\n",
		"Contact: <sips:a@h>\r\n",
		"Contact: <sip:a@h>, <mailto:x>\r\n",
		"Contact: <sip:a@h>;reg-id=1, <sip:b@h>;reg-id=2\r\n",
		"Contact: *\r\n",
		"Contact: *\r\nExpires: 60\r\n",
		"Contact: *\r\nContact: <sip:a@h>\r\nExpires: 0\r\n",
	};

	for (size_t i = 0; i < ARRAY_SIZE(v); i++)
		assert_true(wish(*state, v[i])->bad);
	assert_true(wish(*state, "Contact: " EIGHT ",<sip:9@h>\r\n")->bad);
}


static void test_good(void **state)
{
	struct fix *f = *state;

	assert_true(wish(f, "")->none);
	assert_false(f->w.bad);
	assert_true(wish(f, "Contact: *\r\nExpires: 0\r\n")->all);
	assert_false(f->w.bad);
	assert_false(
		wish_over(f, SIP_TRANSP_TLS, "Contact: <sips:a@h>\r\n")->bad);
	assert_false(wish(f, "Contact: " EIGHT "\r\n")->bad);
}


/* Who cannot be called may still be known by what it says first */
static void test_bad_has_a_name(void **state)
{
	struct fix *f = *state;
	char text[EDGE_URI];

	assert_true(wish(f, "Contact: <sip:a@h>, <mailto:x>\r\n")->bad);
	name_is(f, "contact:a");
	assert_true(wish(f, "Contact: <mailto:x>\r\n")->bad);
	assert_int_equal(edge_contact_name(text, sizeof(text), &f->w.contact),
			 ENOENT);
	assert_int_equal(f->w.name, 0);
	assert_false(edge_contact_is_plain(&f->w.contact));
}


static void test_names(void **state)
{
	struct fix *f = *state;
	uint32_t port;

	(void)wish(f, "Contact: <sip:a@h:1>\r\n");
	name_is(f, "contact:a");
	assert_true(edge_contact_is_plain(&f->w.contact));
	port = f->w.name;
	(void)wish(f, "Contact: <sip:a@h:2>\r\n");
	assert_int_not_equal(f->w.name, port);

	/* no URN, but an instance */
	(void)wish(f, "Contact: <sip:a@h>;+sip.instance=\"x\"\r\n");
	name_is(f, "contact:a");
	assert_false(pl_isset(&f->w.contact.urn));
	assert_false(edge_contact_is_plain(&f->w.contact));

	(void)wish(f, "Contact: <sip:a@h;pn-provider=fcm;pn-param=project;"
		      "pn-prid=t>\r\n");
	assert_false(edge_contact_is_plain(&f->w.contact));
	assert_int_equal(f->w.pn.kind, EDGE_PN_TOKENS);
}


static uint32_t named(struct fix *f, char name[EDGE_URI], const char *contact)
{
	char line[512];

	(void)re_snprintf(line, sizeof(line), "Contact: %s\r\n", contact);
	(void)wish(f, line);
	assert_int_equal(edge_contact_name(name, EDGE_URI, &f->w.contact), 0);

	return f->w.name;
}


/* RFC 8599 5.3: wherever it is, its tokens tell it; an instance does better */
static void test_names_pn(void **state)
{
	static const char *const others[] = {
		"<sip:a@h;pn-provider=fcm;pn-param=project;pn-prid=u>",
		"<sip:a@h;pn-provider=fcm;pn-param=other;pn-prid=t>",
		"<sip:a@h;pn-provider=apns;pn-param=project;pn-prid=t>",
		"<sip:a@h>",
	};
	char name[EDGE_URI], other[EDGE_URI];
	struct fix *f = *state;
	const uint32_t hash = named(
		f, name,
		"<sip:a@h:1;pn-provider=fcm;pn-param=project;pn-prid=t>");

	assert_true(edge_contact_is_pn(&f->w.contact));
	assert_int_equal(strncmp(name, "pn:", 3), 0);
	assert_int_equal(strlen(name), 3 + 32);
	assert_int_equal(named(f, other,
			       "<sip:b@g:2;pn-prid=t;pn-param=project;pn-"
			       "provider=fcm>"),
			 hash);
	assert_string_equal(other, name);

	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		assert_int_not_equal(named(f, other, others[i]), hash);
		assert_string_not_equal(other, name);
	}
	(void)named(f, other,
		    "<sip:a@h;pn-provider=fcm;pn-param=project;pn-prid=t>"
		    ";+sip.instance=\"<" URN ">\"");
	assert_string_equal(other, URN);
	assert_false(edge_contact_is_pn(&f->w.contact));
}


/* RFC 8599 5.6.1.1 */
static void test_pushed_by_others(void **state)
{
	static const char contact[] =
		"Contact: <sip:a@h;pn-provider=fcm;pn-param=project;"
		"pn-prid=t>;+sip.pnsreg\r\n";
	char lines[512];

	assert_int_equal(wish(*state, contact)->pn.kind, EDGE_PN_TOKENS);
	(void)re_snprintf(lines, sizeof(lines),
			  "%sFeature-Caps: *;+sip.pns=\"fcm\"\r\n", contact);
	assert_int_equal(wish(*state, lines)->pn.kind, EDGE_PN_NONE);
}


/* RFC 5626 6 */
static void test_cut_off(void **state)
{
	static const struct {
		const char *lines;
		bool outbound, cut;
	} v[] = {
		{ "Contact: <sip:a@h>;reg-id=1\r\n", false, false },
		{ "Contact: <sip:a@h>\r\nSupported: outbound\r\n", false,
		  false },
		{ "Contact: <sip:a@h>;reg-id=1\r\nSupported: outbound\r\n",
		  true, false },
		{ "Contact: <sip:a@h>;reg-id=1\r\nSupported: outbound\r\n"
		  "Via: SIP/2.0/TCP p;branch=z9hG4bKp\r\n",
		  true, true },
		{ "Contact: <sip:a@h>;reg-id=1\r\nSupported: outbound\r\n"
		  "Via: SIP/2.0/TCP p;branch=z9hG4bKp\r\n"
		  "Path: <sip:p;lr;ob>\r\n",
		  true, false },
	};
	struct fix *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(v); i++) {
		const struct edge_wish *w = wish(f, v[i].lines);

		assert_int_equal(edge_wish_outbound(w, f->msg), v[i].outbound);
		assert_int_equal(edge_wish_cut_off(w, f->msg), v[i].cut);
	}
}


static void test_params(void **state)
{
	struct fix *f = *state;
	char text[64];

	(void)wish(f, "Contact: <sip:a@h>;q=0.5;expires=60;x=\"a;b\";"
		      "pub-gruu=\"sip:g\";temp-gruu=\"sip:t\";y\r\n");
	edge_contact_params(text, sizeof(text), &f->w.contact);
	assert_string_equal(text, ";q=0.5;x=\"a;b\";y");
	edge_contact_params(text, 8, &f->w.contact);
	assert_string_equal(text, ";q=0.5");
}


static void test_public(void **state)
{
	char text[64];
	(void)state;

	(void)re_snprintf(text, sizeof(text), "%H", edge_contact_public,
			  "sip:a@h;transport=tls;pn-provider=fcm;pn-prid=t;x");
	assert_string_equal(text, "sip:a@h;transport=tls;x");
}


static int setup(void **state)
{
	fix = calloc(1, sizeof(*fix));
	*state = fix;

	return fix ? 0 : -1;
}


static int teardown(void **state)
{
	mem_deref(fix->msg);
	free(fix);
	*state = NULL;

	return 0;
}


#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_one),        T(test_odd),
		T(test_reads_once), T(test_expires),
		T(test_several),    T(test_bad),
		T(test_good),       T(test_names),
		T(test_names_pn),   T(test_bad_has_a_name),
		T(test_cut_off),    T(test_pushed_by_others),
		T(test_params),     T(test_public),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
