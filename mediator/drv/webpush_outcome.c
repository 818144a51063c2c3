/**
 * @file drv/webpush_outcome.c  What push services of browsers answer
 */

#include <stdio.h>
#include <string.h>
#include "mediator/json.h"
#include "mediator/drv/webpush_outcome.h"

#define OUT(o) WIRE__OUTCOME__##o
#define V(o, a, ...)                                           \
	{                                                      \
		.outcome = OUT(o), .act = DRV_##a, __VA_ARGS__ \
	}
#define ROWS (sizeof(rows) / sizeof(rows[0]))

/* Chrome's word, with 400, for a subscription made with another key */
#define OTHER_KEY "UnauthorizedRegistration"

struct row {
	uint32_t status;
	struct verdict v;
};

/* clang-format off */
static const struct row rows[] = {
	/* The subscription has moved.  Where to is for its app to learn: we go
	   to no place that a stranger's server names */
	{ 301, V(TOKEN_GONE, TOKEN) },
	{ 308, V(TOKEN_GONE, TOKEN) },
	{ 400, V(REJECTED, DONE) },
	/* Of one subscription: it was made with another key.  Of all: our key,
	   our clock or our claims */
	{ 401, V(TOKEN_GONE, TOKEN_AUTH, .clock = true) },
	{ 403, V(TOKEN_GONE, TOKEN_AUTH, .clock = true) },
	{ 404, V(TOKEN_GONE, TOKEN) },
	{ 410, V(TOKEN_GONE, TOKEN) },
	{ 413, V(REJECTED, DONE) },
	{ 429, V(THROTTLED, DONE) },
	{ 500, V(RETRY_LATER, RETRY) },
	{ 502, V(RETRY_LATER, RETRY) },
	{ 503, V(RETRY_LATER, RETRY) },
	{ 504, V(RETRY_LATER, RETRY) },
	/* ntfy: nobody has asked for this topic of late; he may come back */
	{ 507, V(RETRY_LATER, RETRY) },
};
/* clang-format on */


static void judge_class(struct verdict *v, uint32_t status)
{
	v->act = DRV_DONE;
	v->unknown = true;
	v->outcome = status >= 400 && status < 500 ? OUT(REJECTED)
						   : OUT(RETRY_LATER);
	if (status >= 500)
		v->act = DRV_RETRY;
}


void webpush_judge(struct verdict *v, const struct answer *a)
{
	uint32_t status = a->status;

	memset(v, 0, sizeof(*v));
	if (status / 100 == 2) {
		v->outcome = OUT(DELIVERED);
		return;
	}
	if (status == 400 && strstr(a->reason, OTHER_KEY))
		status = 403;

	for (size_t i = 0; i < ROWS; i++)
		if (rows[i].status == status) {
			*v = rows[i].v;
			return;
		}

	judge_class(v, status);
}


/* Text of a stranger's server, on its way into logs and the wire */
static void keep(struct answer *a, const char *text, size_t len)
{
	size_t n = 0;

	for (size_t i = 0; i < len && n + 1 < sizeof(a->reason); i++) {
		const char c = text[i];

		if (c == '\n' || c == '\r')
			break;
		a->reason[n++] = c < ' ' || c > '~' || c == '"' ? '?' : c;
	}
	a->reason[n] = '\0';
}


static const char *word_of(const json_t *root)
{
	static const char *const names[] = { "reason", "error", "message" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const json_t *v = json_object_get(root, names[i]);

		if (json_is_string(v))
			return json_string_value(v);
	}

	return NULL;
}


void webpush_parse(struct answer *a, const char *body, size_t len)
{
	json_t *root = json_loadb(body, len, 0, NULL);
	const json_t *number = json_object_get(root, "errno");
	const char *word = word_of(root);
	char text[64];

	if (json_is_integer(number)) {
		(void)snprintf(text, sizeof(text), "%lld %s",
			       (long long)json_integer_value(number),
			       word ? word : "");
		word = text;
	}

	if (a->status / 100 == 2)
		a->reason[0] = '\0';
	else if (word)
		keep(a, word, strlen(word));
	else if (!root && len && *body != '<')
		keep(a, body, len);

	json_decref(root);
}
