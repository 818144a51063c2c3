/**
 * @file net/outside.c  Is this an address of the open internet?
 */

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <string.h>
#include "mediator/net/outside.h"

#define V4(a, b, c, d)                                                    \
	((uint32_t)(a) << 24 | (uint32_t)(b) << 16 | (uint32_t)(c) << 8 | \
	 (uint32_t)(d))

enum { V6_LEN = 16, V4_LEN = 4 };

struct range4 {
	uint32_t first;
	unsigned bits;
};

struct range6 {
	uint8_t first[V6_LEN];
	unsigned bits;
	int v4; /**< where the IPv4 address stands that is meant; -1: none */
};

static const struct range4 inside4[] = {
	{ V4(0, 0, 0, 0), 8 },       /* this host, this network */
	{ V4(10, 0, 0, 0), 8 },      /* private */
	{ V4(100, 64, 0, 0), 10 },   /* shared by a carrier's customers */
	{ V4(127, 0, 0, 0), 8 },     /* loopback */
	{ V4(169, 254, 0, 0), 16 },  /* link, and the clouds' metadata */
	{ V4(172, 16, 0, 0), 12 },   /* private */
	{ V4(192, 0, 0, 0), 24 },    /* protocols */
	{ V4(192, 0, 2, 0), 24 },    /* documentation */
	{ V4(192, 88, 99, 0), 24 },  /* relays of 6to4 */
	{ V4(192, 168, 0, 0), 16 },  /* private */
	{ V4(198, 18, 0, 0), 15 },   /* benches */
	{ V4(198, 51, 100, 0), 24 }, /* documentation */
	{ V4(203, 0, 113, 0), 24 },  /* documentation */
	{ V4(224, 0, 0, 0), 3 },     /* multicast, reserved, broadcast */
};

/* Of 2000::/3, all that is given out, and of what leads to IPv4 */
static const struct range6 special6[] = {
	{ { [10] = 0xff, 0xff }, 96, 12 },      /* ::ffff:0:0 mapped */
	{ { 0x00, 0x64, 0xff, 0x9b }, 96, 12 }, /* NAT64 */
	{ { 0x20, 0x02 }, 16, 2 },              /* 6to4 */
	{ { 0x20, 0x01 }, 23, -1 },             /* protocols, Teredo */
	{ { 0x20, 0x01, 0x0d, 0xb8 }, 32, -1 }, /* documentation */
	{ { 0x3f, 0xff }, 20, -1 },             /* documentation */
};


static bool outside4(uint32_t addr)
{
	for (size_t i = 0; i < sizeof(inside4) / sizeof(inside4[0]); i++)
		if (!((addr ^ inside4[i].first) >> (32 - inside4[i].bits)))
			return false;

	return true;
}


static uint32_t v4_at(const uint8_t *p)
{
	uint32_t addr;

	memcpy(&addr, p, V4_LEN);
	return ntohl(addr);
}


static bool has6(const struct range6 *r, const uint8_t *addr)
{
	const unsigned whole = r->bits / 8, rest = r->bits % 8;

	if (memcmp(addr, r->first, whole))
		return false;

	return !rest || !((addr[whole] ^ r->first[whole]) >> (8 - rest));
}


static bool outside6(const uint8_t *addr)
{
	for (size_t i = 0; i < sizeof(special6) / sizeof(special6[0]); i++) {
		const struct range6 *r = &special6[i];

		if (has6(r, addr))
			return r->v4 >= 0 && outside4(v4_at(addr + r->v4));
	}

	return addr[0] >> 5 == 1;
}


bool net_outside(const struct sockaddr *sa)
{
	struct sockaddr_in in4;
	struct sockaddr_in6 in6;

	switch (sa->sa_family) {

	case AF_INET:
		memcpy(&in4, sa, sizeof(in4));
		return outside4(ntohl(in4.sin_addr.s_addr));

	case AF_INET6:
		memcpy(&in6, sa, sizeof(in6));
		return outside6(in6.sin6_addr.s6_addr);

	default:
		return false;
	}
}
