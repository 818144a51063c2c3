/**
 * @file test_edge_token.c  What strangers must not be able to make up
 */

#include <string.h>
#include <re/re.h>
#include "sipis/edge/nonce.h"
#include "sipis/edge/spent.h"
#include "sipis/edge/purr.h"
#include "sipis/edge/token.h"
#include "tests/unit/common/unit.h"

static const struct edge_token token = {
	.phone = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 255 },
	.acct = 0xfedcba9876543210,
	.pbx = 0x12345678,
	.stride = { .on = true, .base = 0xabcd, .turn = 5 },
	.begins = true,
};

static const struct pl callid = PL("a84b4c76e66710@pc33.atlanta.example.com");


static void key_make(struct edge_key *key, uint8_t first)
{
	struct cred_key from = { .id = 1 };

	memset(from.key, first, sizeof(from.key));
	assert_int_equal(edge_key_derive(key, &from), 0);
}


static void test_token_round_trip(void **state)
{
	char text[EDGE_TOKEN_LEN + 1];
	struct edge_token read;
	struct edge_key key, again;
	struct pl pl;
	(void)state;

	key_make(&key, 7);
	key_make(&again, 7); /* the next start */
	assert_int_equal(edge_token_write(text, &key, &token, &callid), 0);
	pl_set_str(&pl, text);
	assert_int_equal(pl.l, EDGE_TOKEN_LEN);
	assert_int_equal(edge_token_read(&read, &again, &pl, &callid), 0);
	assert_memory_equal(read.phone, token.phone, EDGE_PHONE);
	assert_true(read.acct == token.acct);
	assert_int_equal(read.pbx, token.pbx);
	assert_true(read.stride.on);
	assert_int_equal(read.stride.base, token.stride.base);
	assert_int_equal(read.stride.turn, token.stride.turn);
	assert_true(read.begins);
	assert_true(read.bound);
}


/* Who has seen the token of one dialog has none of another */
static void test_token_other_dialog(void **state)
{
	char text[EDGE_TOKEN_LEN + 1];
	struct pl pl, other = callid;
	struct edge_token read;
	struct edge_key key;
	(void)state;

	key_make(&key, 7);
	assert_int_equal(edge_token_write(text, &key, &token, &callid), 0);
	pl_set_str(&pl, text);
	for (other.l = 0; other.l < callid.l; other.l++)
		assert_int_equal(edge_token_read(&read, &key, &pl, &other),
				 EBADMSG);
	pl_set_str(&other, "A84B4C76E66710@pc33.atlanta.example.com");
	assert_int_equal(edge_token_read(&read, &key, &pl, &other), EBADMSG);
	assert_int_equal(edge_token_read(&read, &key, &pl, &callid), 0);
}


/* What version 1 has written into a call that is still up */
static void test_token_version_1(void **state)
{
	static const char text[] =
		"AYUBAgMEBQYHCAkKCwwNDg___ty6mHZUMhASNFZ4q83U5mn9esepUiHOtaY";
	struct edge_token read;
	struct edge_key key;
	struct pl pl;
	(void)state;

	key_make(&key, 7);
	pl_set_str(&pl, text);
	assert_int_equal(edge_token_read(&read, &key, &pl, &callid), 0);
	assert_memory_equal(read.phone, token.phone, EDGE_PHONE);
	assert_true(read.acct == token.acct);
	assert_int_equal(read.stride.turn, token.stride.turn);
	assert_false(read.bound);
}


/* Every character counts, and every other key is a wrong one */
static void test_token_forged(void **state)
{
	char text[EDGE_TOKEN_LEN + 2] = "", *p;
	struct edge_token read;
	struct edge_key key, other;
	struct pl pl = { text, EDGE_TOKEN_LEN };
	(void)state;

	key_make(&key, 7);
	key_make(&other, 8);
	assert_int_equal(edge_token_write(text, &key, &token, &callid), 0);
	assert_int_equal(edge_token_read(&read, &other, &pl, &callid),
			 EBADMSG);
	for (p = text; *p; p++) {
		const char keep = *p;

		*p = keep == 'A' ? 'B' : 'A';
		assert_int_equal(edge_token_read(&read, &key, &pl, &callid),
				 EBADMSG);
		*p = '=';
		assert_int_equal(edge_token_read(&read, &key, &pl, &callid),
				 EBADMSG);
		*p = keep;
	}
	for (pl.l = 0; pl.l <= EDGE_TOKEN_LEN + 1; pl.l++)
		assert_int_equal(edge_token_read(&read, &key, &pl, &callid),
				 pl.l == EDGE_TOKEN_LEN ? 0 : EBADMSG);
}


static void test_nonce(void **state)
{
	char text[EDGE_NONCE_LEN + 1];
	const int64_t now = 1700000000;
	struct edge_key key, other;
	struct pl pl = { text, EDGE_NONCE_LEN };
	struct sa sa, elsewhere, port;
	const struct edge_asked who = { &sa, "100@example.org" };
	const struct edge_asked amiss[] = { { &elsewhere, who.aor },
					    { &port, who.aor },
					    { &sa, "101@example.org" },
					    { &sa, "" } };
	(void)state;

	key_make(&key, 7);
	key_make(&other, 8);
	assert_int_equal(sa_set_str(&sa, "192.0.2.1", 5060), 0);
	assert_int_equal(sa_set_str(&elsewhere, "192.0.2.2", 5060), 0);
	assert_int_equal(sa_set_str(&port, "192.0.2.1", 5061), 0);
	assert_int_equal(edge_nonce_write(text, &key, &who, now, 7), 0);
	assert_int_equal(edge_nonce_read(&pl, &key, &who, now),
			 EDGE_NONCE_GOOD);
	assert_int_equal(edge_nonce_read(&pl, &key, &who, now + EDGE_NONCE_S),
			 EDGE_NONCE_GOOD);
	assert_int_equal(
		edge_nonce_read(&pl, &key, &who, now + EDGE_NONCE_S + 1),
		EDGE_NONCE_STALE);
	/* not from the future either */
	assert_int_equal(edge_nonce_read(&pl, &key, &who, now - 1),
			 EDGE_NONCE_STALE);
	for (size_t i = 0; i < sizeof(amiss) / sizeof(amiss[0]); i++)
		assert_int_equal(edge_nonce_read(&pl, &key, &amiss[i], now),
				 EDGE_NONCE_FOREIGN);
	assert_int_equal(edge_nonce_read(&pl, &other, &who, now),
			 EDGE_NONCE_FOREIGN);
	text[3] ^= 1;
	assert_int_equal(edge_nonce_read(&pl, &key, &who, now),
			 EDGE_NONCE_FOREIGN);
	pl.l = 0;
	assert_int_equal(edge_nonce_read(&pl, &key, &who, now),
			 EDGE_NONCE_FOREIGN);
}


/* Each answer once; what was forgotten is not taken either */
static void test_spent(void **state)
{
	enum { MAX = 3, NOW = 1700000000 };
	struct edge_spent *s;
	char text[5][EDGE_NONCE_LEN + 1];
	struct pl pl[5];
	(void)state;

	assert_int_equal(edge_spent_alloc(&s, MAX, NOW), 0);
	for (unsigned i = 0; i < 5; i++) {
		(void)re_snprintf(text[i], sizeof(text[i]),
				  "%08x00000000%016x00000000", NOW + i, i + 1);
		pl_set_str(&pl[i], text[i]);
	}
	assert_true(edge_spent_take(s, &pl[0], 1, NOW + 5));
	assert_false(edge_spent_take(s, &pl[0], 1, NOW + 5));
	assert_true(edge_spent_take(s, &pl[0], 2, NOW + 5));
	assert_true(edge_spent_take(s, &pl[0], 9, NOW + 5));
	assert_false(edge_spent_take(s, &pl[0], 8, NOW + 5));
	assert_false(edge_spent_take(s, &pl[1], 0, NOW + 5));

	/* the fourth makes the first one go, and with it all of its age */
	for (unsigned i = 1; i < 4; i++)
		assert_true(edge_spent_take(s, &pl[i], 1, NOW + 5));
	assert_false(edge_spent_take(s, &pl[0], 10, NOW + 5));
	assert_true(edge_spent_take(s, &pl[1], 2, NOW + 5));
	assert_true(edge_spent_take(s, &pl[4], 1, NOW + 5));
	mem_deref(s);

	/* made before we were started */
	assert_int_equal(edge_spent_alloc(&s, MAX, NOW + 1), 0);
	assert_false(edge_spent_take(s, &pl[0], 1, NOW + 5));
	assert_true(edge_spent_take(s, &pl[1], 1, NOW + 5));
	mem_deref(s);
}


/* RFC 4231 4.2 and 4.3 */
static void test_mac(void **state)
{
	static const struct {
		const char *key, *text;
		uint8_t mac[8]; /* its beginning */
	} v[] = {
		{ "\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b"
		  "\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b",
		  "Hi There",
		  { 0xb0, 0x34, 0x4c, 0x61, 0xd8, 0xdb, 0x38, 0x53 } },
		{ "Jefe",
		  "what do ya want for nothing?",
		  { 0x5b, 0xdc, 0xc1, 0x46, 0xbf, 0x60, 0x75, 0x4e } },
	};
	(void)state;

	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		uint8_t mac[EDGE_MAC], long_key[65] = { 0 };
		struct edge_mac key;

		assert_int_equal(edge_mac_key(&key, (const uint8_t *)v[i].key,
					      strlen(v[i].key)),
				 0);
		assert_int_equal(
			edge_mac(mac, &key, v[i].text, strlen(v[i].text)), 0);
		assert_memory_equal(mac, v[i].mac, sizeof(v[i].mac));
		assert_int_equal(
			edge_mac_key(&key, long_key, sizeof(long_key)),
			EINVAL);
	}
}


static void test_purr(void **state)
{
	static const uint8_t other[EDGE_PHONE] = { 9 };
	const int64_t day = 20000LL * EDGE_PURR_S;
	char text[EDGE_PURR_LEN + 1], later[EDGE_PURR_LEN + 1],
		theirs[EDGE_PURR_LEN + 1];
	struct edge_key key, again, foreign;
	struct pl pl;
	(void)state;

	key_make(&key, 7);
	key_make(&again, 7); /* the next start */
	key_make(&foreign, 8);
	assert_int_equal(edge_purr_write(text, &key, token.phone, day), 0);
	assert_int_equal(
		edge_purr_write(later, &again, token.phone, day + 3600), 0);
	assert_string_equal(text, later);
	pl_set_str(&pl, text);
	assert_int_equal(pl.l, EDGE_PURR_LEN);
	assert_true(edge_purr_is(&pl, &again, token.phone));
	assert_false(edge_purr_is(&pl, &key, other));
	assert_false(edge_purr_is(&pl, &foreign, token.phone));

	/* of the next day: nothing but the day is alike, both are good */
	assert_int_equal(
		edge_purr_write(later, &key, token.phone, day + EDGE_PURR_S),
		0);
	assert_int_equal(edge_purr_write(theirs, &key, other, day), 0);
	assert_string_not_equal(text + 4, later + 4);
	assert_string_not_equal(text + 4, theirs + 4);
	pl_set_str(&pl, later);
	assert_true(edge_purr_is(&pl, &key, token.phone));
	memcpy(later, text, 4);
	assert_false(edge_purr_is(&pl, &key, token.phone));
	for (size_t i = 0; i < EDGE_PURR_LEN; i++) {
		text[i] = (char)(text[i] == '0' ? '1' : '0');
		pl_set_str(&pl, text);
		assert_false(edge_purr_is(&pl, &key, token.phone));
		assert_int_equal(edge_purr_write(text, &key, token.phone, day),
				 0);
	}
	--pl.l;
	assert_false(edge_purr_is(&pl, &key, token.phone));
}


int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mac),
		cmocka_unit_test(test_token_round_trip),
		cmocka_unit_test(test_token_other_dialog),
		cmocka_unit_test(test_token_version_1),
		cmocka_unit_test(test_token_forged),
		cmocka_unit_test(test_nonce),
		cmocka_unit_test(test_spent),
		cmocka_unit_test(test_purr),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
