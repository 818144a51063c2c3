/**
 * @file drv/alert.c  What a human must hear of a destination
 */

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include "common/clock.h"
#include "common/log.h"
#include "mediator/drv/dest_impl.h"

enum { HUSH_MS = 60000 };

struct dest_hush {
	bool told;
	uint64_t at; /**< monotonic ms */
};


int dest_hush_alloc(struct dest_hush **hp)
{
	if (!hp)
		return EINVAL;

	*hp = mem_zalloc(sizeof(**hp), NULL);
	return *hp ? 0 : ENOMEM;
}


static enum log_level level_of(struct dest_hush *h)
{
	const uint64_t now = clock_mono_ms();

	if (!h)
		return LOG_ERROR_;
	if (h->told && now < h->at + HUSH_MS)
		return LOG_DEBUG_;

	h->told = true;
	h->at = now;
	return LOG_WARNING_;
}


void dest_alert(const struct dest *d, const char *fmt, ...)
{
	const enum log_level level = level_of(d->hush);
	char text[640];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	log_line(level, "dest", "-", "%s%s",
		 level == LOG_ERROR_ ? "ALERT " : "", text);
}
