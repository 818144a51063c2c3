/**
 * @file ntop.c  libre's sa_ntop(), without sprintf()
 */

#include <dlfcn.h>
#include <errno.h>
#include <string.h>
#include <re/re.h>
#include "common/ntop.h"

#define TEXT_MAX sizeof("255.255.255.255")

typedef int(ntop_h)(const struct sa *sa, char *buf, int size);


#pragma GCC visibility push(default)
int sa_ntop(const struct sa *sa, char *buf, int size);
#pragma GCC visibility pop


static char *octet(char *p, unsigned v)
{
	if (v > 99)
		*p++ = (char)('0' + v / 100);
	if (v > 9)
		*p++ = (char)('0' + v / 10 % 10);
	*p++ = (char)('0' + v % 10);

	return p;
}


static int by_libre(const struct sa *sa, char *buf, int size)
{
	/* looked up once; it goes by thread, for libre's function names no
	   place to keep things */
	static _Thread_local ntop_h *h;

	if (!h)
		h = (ntop_h *)dlsym(RTLD_NEXT, "sa_ntop");

	return h ? h(sa, buf, size) : ENOSYS;
}


int sa_ntop(const struct sa *sa, char *buf, int size)
{
	char text[TEXT_MAX], *p = text;
	uint32_t in;

	if (!sa || !buf || sa_af(sa) != AF_INET || size < (int)sizeof(text))
		return by_libre(sa, buf, size);

	in = sa_in(sa);
	for (int shift = 24; shift >= 0; shift -= 8) {
		if (p > text)
			*p++ = '.';
		p = octet(p, in >> shift & 0xff);
	}
	*p++ = '\0';
	memcpy(buf, text, (size_t)(p - text));

	return 0;
}


int ntop_check(void)
{
	return dlsym(RTLD_DEFAULT, "sa_ntop") == (void *)sa_ntop ? 0 : ENOSYS;
}
