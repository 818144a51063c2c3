/**
 * @file fuzz_pattern.c  re_regex(): ours beside libre's own
 *
 * The first line is a pattern, or its first byte the number of one that libre
 * uses; the rest is the text.  Judged: the same answer, and the same found,
 * also where it failed.
 */

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <re/re.h>
#include "common/pattern.h"

#define CHECK(cond)              \
	do {                     \
		if (!(cond))     \
			abort(); \
	} while (0)

typedef int(regex_h)(const char *ptr, size_t len, const char *expr, ...);

enum { FOUND = 16, TEXT = 128 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const known[] = {
	"[^:]+:[^@:]*[:]*[^@]*@[^/;? ]+[^;? ]*[^?]*[^]*",
	"[^:]+:[^/;? ]+[^;? ]*[^?]*[^]*",
	"[a-z]+ [^ ]+ [^ ]+[^]*",
	"[a-z]+[ \t\r\n]*/[ \t\r\n]*[^ ;\t\r\n]+[^]*",
	"[~ \t\r\n<]*[ \t\r\n]*<[^>]+>[^]*",
	"[^;]+[^]*",
	"[^ \t\r\n]+[ \t\r\n]*[A-Z]+[ \t\r\n]*[^]*",
	"[0-9]+[ \t\r\n]+[^ \t\r\n]+",
	"[ \t\r\n]*tag[ \t\r\n]*[=]*[ \t\r\n]*[~;]+[;]*",
	"[;]*[ \t\r\n]*expires[ \t\r\n=]*[0-9]+",
	"\\[[0-9a-f:]+\\][:]*[0-9]*",
	"[^:]+[:]*[0-9]*",
	"[0-9]+.[0-9]+[.\\-]1[0-9]+",
	"[0-9]+ IN IP[46]1 [^ ]+",
};


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	regex_h *libre = (regex_h *)dlsym(RTLD_NEXT, "re_regex");
	struct pl a[FOUND] = { { NULL, 0 } }, b[FOUND] = { { NULL, 0 } };
	char own[TEXT];
	const char *pat = own, *text = (const char *)data;
	unsigned brackets = 0;
	size_t len = size;

	CHECK(libre && !pattern_check());
	if (!size)
		return 0;

	if (*data < ARRAY_SIZE(known)) {
		pat = known[*data];
		++text;
		--len;
	}
	else {
		const char *eol = memchr(text, '\n', len);
		const size_t n = eol ? (size_t)(eol - text) : len;

		if (n >= sizeof(own) || memchr(text, '\0', n))
			return 0;
		memcpy(own, text, n);
		own[n] = '\0';
		text += eol ? n + 1 : n;
		len -= eol ? n + 1 : n;
	}
	for (const char *p = pat; *p; p++)
		brackets += *p == '[';
	if (brackets > FOUND)
		return 0;

	CHECK(re_regex(text, len, pat, &a[0], &a[1], &a[2], &a[3], &a[4],
		       &a[5], &a[6], &a[7], &a[8], &a[9], &a[10], &a[11],
		       &a[12], &a[13], &a[14], &a[15]) ==
	      libre(text, len, pat, &b[0], &b[1], &b[2], &b[3], &b[4], &b[5],
		    &b[6], &b[7], &b[8], &b[9], &b[10], &b[11], &b[12], &b[13],
		    &b[14], &b[15]));
	CHECK(!memcmp(a, b, sizeof(a)));

	return 0;
}
