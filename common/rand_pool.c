/**
 * @file rand_pool.c  libre's random numbers, fetched many at a time
 */

#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <re/re.h>
#include "common/ident.h"
#include "common/rand_pool.h"


/* getrandom(2): up to 256 bytes always come, and whole */
enum { POOL = 256 };

/* libre's functions name no pool: it goes by thread.  Nothing forks that goes
   on to use it */
static _Thread_local struct {
	uint8_t bytes[POOL];
	size_t left;
} pool;


#pragma GCC visibility push(default)
uint32_t rand_u32(void);
uint64_t rand_u64(void);
#pragma GCC visibility pop


/* What was handed out is nowhere else */
static void take(void *dst, size_t len)
{
	if (pool.left < len) {
		/* tags and branches must not be guessed: better none at all */
		if (ident_random(pool.bytes, POOL))
			abort();
		pool.left = POOL;
	}

	pool.left -= len;
	memcpy(dst, pool.bytes + pool.left, len);
	explicit_bzero(pool.bytes + pool.left, len);
}


uint32_t rand_u32(void)
{
	uint32_t v;

	take(&v, sizeof(v));
	return v;
}


uint64_t rand_u64(void)
{
	uint64_t v;

	take(&v, sizeof(v));
	return v;
}


int randpool_check(void)
{
	return dlsym(RTLD_DEFAULT, "rand_u32") == (void *)rand_u32 &&
			       dlsym(RTLD_DEFAULT, "rand_u64") ==
				       (void *)rand_u64
		       ? 0
		       : ENOSYS;
}
