/**
 * @file sieve.c  Strangers' packets end in the kernel
 *
 * A program in the old Berkeley packet filter, which anybody may attach to
 * his own socket.  On a TCP socket it sees the packet from the TCP header on;
 * the IP header is reached at SKF_NET_OFF.  For each range:
 *
 *     for each word of the prefix: load; and mask; not equal: next range
 *     return all
 *
 * and in the end: return nothing.  The jump over a range is short enough for
 * the eight bits that it has.
 */

#include <errno.h>
#include <string.h>
#include <arpa/inet.h>
#include <linux/filter.h>
#include <sys/socket.h>
#include "sipis/sip/sieve.h"


enum {
	SADDR4 = 12, /* in the IP headers */
	SADDR6 = 8,
	PER_RANGE = 4 * 3 + 1,
};

struct program {
	struct sock_filter *v;
	unsigned short n;
};


static void put(struct program *p, uint16_t code, uint8_t jf, uint32_t k)
{
	const struct sock_filter f = { .code = code, .jf = jf, .k = k };

	p->v[p->n++] = f;
}


static uint32_t word_of(const struct sa *sa, unsigned i)
{
	uint32_t word;

	if (sa_af(sa) == AF_INET)
		return sa_in(sa);

	memcpy(&word, (const uint8_t *)&sa->u.in6.sin6_addr + 4 * (size_t)i,
	       sizeof(word));
	return ntohl(word);
}


static void put_range(struct program *p, const struct cidr *c)
{
	const unsigned words = (c->bits + 31) / 32;
	const uint32_t base = (uint32_t)SKF_NET_OFF +
			      (sa_af(&c->addr) == AF_INET ? SADDR4 : SADDR6);

	for (unsigned i = 0; i < words; i++) {
		const unsigned rest = c->bits - 32 * i;
		const uint32_t mask =
			rest >= 32 ? UINT32_MAX : ~(UINT32_MAX >> rest);
		const unsigned over = 3 * (words - i - 1) + 1;

		put(p, BPF_LD | BPF_W | BPF_ABS, 0, base + 4 * i);
		put(p, BPF_ALU | BPF_AND | BPF_K, 0, mask);
		put(p, BPF_JMP | BPF_JEQ | BPF_K, (uint8_t)over,
		    word_of(&c->addr, i) & mask);
	}

	put(p, BPF_RET | BPF_K, 0, UINT32_MAX);
}


int sieve_attach(int fd, int af, const struct cidr *v, size_t n)
{
	struct program p = { NULL, 0 };
	struct sock_fprog prog;
	int err = 0;

	if (n > (BPF_MAXINSNS - 1) / PER_RANGE)
		return E2BIG;

	p.v = mem_zalloc((n * PER_RANGE + 1) * sizeof(*p.v), NULL);
	if (!p.v)
		return ENOMEM;

	for (size_t i = 0; i < n; i++) {
		if (sa_af(&v[i].addr) == af)
			put_range(&p, &v[i]);
	}
	put(&p, BPF_RET | BPF_K, 0, 0);

	prog.len = p.n;
	prog.filter = p.v;
	if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &prog, sizeof(prog)))
		err = errno;
	mem_deref(p.v);

	return err;
}


int sieve_detach(int fd)
{
	const int on = 1;

	return setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, &on, sizeof(on))
		       ? errno
		       : 0;
}
