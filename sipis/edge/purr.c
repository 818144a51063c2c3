/**
 * @file purr.c  What a phone puts into the Contact of its dialogs; pure
 *
 *     day (2) | HMAC-SHA256 of phone and day, cut to 128 bits
 */

#include <string.h>
#include "common/ident.h"
#include "common/secret.h"
#include "sipis/edge/purr.h"


enum { DAY = 2, MAC = 16, RAW = DAY + MAC };


static int mac_of(uint8_t raw[RAW], const struct edge_key *key,
		  const uint8_t phone[EDGE_PHONE])
{
	uint8_t text[EDGE_PHONE + DAY], mac[EDGE_MAC];
	int err;

	memcpy(text, phone, EDGE_PHONE);
	memcpy(text + EDGE_PHONE, raw, DAY);
	err = edge_mac(mac, &key->purr, text, sizeof(text));
	if (!err)
		memcpy(raw + DAY, mac, MAC);

	return err;
}


int edge_purr_write(char *dst, const struct edge_key *key,
		    const uint8_t phone[EDGE_PHONE], int64_t now_s)
{
	const uint64_t day = (uint64_t)now_s / EDGE_PURR_S;
	uint8_t raw[RAW] = { (uint8_t)(day >> 8), (uint8_t)day };
	int err = mac_of(raw, key, phone);

	if (!err)
		ident_hex(dst, raw, RAW);

	return err;
}


bool edge_purr_is(const struct pl *text, const struct edge_key *key,
		  const uint8_t phone[EDGE_PHONE])
{
	uint8_t read[RAW], raw[RAW];
	char hex[EDGE_PURR_LEN + 1];

	if (text->l != EDGE_PURR_LEN || pl_strcpy(text, hex, sizeof(hex)) ||
	    ident_unhex(read, RAW, hex))
		return false;

	memcpy(raw, read, DAY);

	return !mac_of(raw, key, phone) && secret_equal(raw, read, RAW);
}
