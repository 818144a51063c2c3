/**
 * @file fuzz_ng.c  What may come in on the ng port
 *
 * Judged: no crash, what is found lies within what came in, and a value that
 * was good is as long as it says and is good again.
 */

#include <stdlib.h>
#include <string.h>
#include <re/re.h>
#include "sipis/media/bencode.h"
#include "sipis/media/ng.h"

#define CHECK(cond)              \
	do {                     \
		if (!(cond))     \
			abort(); \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


static void lies_in(const struct pl *all, const struct pl *part)
{
	CHECK(!part->l ||
	      (part->p >= all->p && part->p + part->l <= all->p + all->l));
}


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* of exactly its size, so that one byte too far is seen */
	char *exact = malloc(size ? size : 1);
	const struct pl in = { exact, size };
	struct pl value, again, cookie;
	struct ng_answer ans;

	CHECK(exact);
	if (size)
		memcpy(exact, data, size);
	if (!bencode_value(&value, &in)) {
		lies_in(&in, &value);
		CHECK(value.p == in.p && value.l);
		CHECK(!bencode_value(&again, &value));
		CHECK(again.l == value.l);
		if (!bencode_find(&again, &value, "sdp"))
			lies_in(&value, &again);
	}
	if (!ng_decode(&cookie, &ans, &in)) {
		lies_in(&in, &cookie);
		lies_in(&in, &ans.sdp);
		lies_in(&in, &ans.reason);
		CHECK(cookie.l <= NG_COOKIE);
	}
	free(exact);

	return 0;
}
