/**
 * @file fuzz_body.c  Foreign bytes as the body of a request of an app
 *
 *     byte 0   which body: a new phone, a change, a state; bit 7: the rest is
 *              one text for every member, in JSON that is otherwise good
 *     rest     the body, or that text
 *
 * Judged: no crash, no leak; a refusal has a reason, and its problem document
 * is JSON; what is taken keeps the limits of docs/openapi.yaml, and its
 * texts hold no control characters.
 */

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <jansson.h>
#include "sipis/api/body.h"

#define CHECK(cond)              \
	do {                     \
		if (!(cond))     \
			abort(); \
	} while (0)

typedef enum problem(read_h)(struct body *b, const char *p, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


static char *text_of(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);

	CHECK(text);
	if (size)
		memcpy(text, data, size);
	text[size] = '\0';
	return text;
}


/* Which member it is put in, its first byte says */
static char *dressed(const uint8_t *data, size_t size)
{
	static const char *const forms[] = {
		"{\"app\":\"a\",\"installation\":\"i\",\"platform\":\"ios\","
		"\"push\":[{\"use\":[\"call\"],\"provider\":\"apns\","
		"\"token\":\"00112233\",\"topic\":%s}],\"account\":{\"aor\":"
		"\"sip:1@e.org\",\"password\":\"p\"}}",
		"{\"app\":\"a\",\"installation\":\"i\",\"platform\":\"ios\","
		"\"push\":[{\"use\":[\"call\"],\"provider\":\"apns\","
		"\"token\":\"00112233\"}],\"account\":{\"aor\":%s,"
		"\"password\":\"p\"}}",
		"{\"label\":%s}",
		"{\"account\":{\"password\":%s}}",
		"{\"state\":%s}",
		"{\"state\":\"active\",\"contact\":%s}",
	};
	char *word = text_of(data + 1, size - 1), *quoted, *body;
	json_t *text = json_string(word);
	size_t n;

	if (!text) /* it is not UTF-8 */
		text = json_string("");
	quoted = json_dumps(text, JSON_ENCODE_ANY);
	CHECK(quoted);
	n = strlen(quoted) + 512;
	body = malloc(n);
	CHECK(body);
	(void)snprintf(body, n, forms[data[0] % 6], quoted);
	free(quoted);
	json_decref(text);
	free(word);
	return body;
}


/* NULL is "not said" */
static void judge_text(const char *s, size_t min, size_t max)
{
	if (!s)
		return;

	CHECK(strlen(s) >= min && strlen(s) <= max);
	for (; *s; s++)
		CHECK((unsigned char)*s >= 0x20 && *s != 0x7f);
}


static void judge_push(const struct inst_token *v, unsigned n)
{
	CHECK(n <= STORE_PUSH_MAX);
	for (unsigned i = 0; i < n; i++) {
		judge_text(v[i].token, 8, 2048);
		judge_text(v[i].topic, 0, 255);
		judge_text(v[i].provider, 1, 64);
		judge_text(v[i].environment, 0, 64);
		CHECK(v[i].token && v[i].provider && v[i].uses);
	}
}


static void judge_new(const struct body *b)
{
	const struct inst_new *nw = &b->nw;

	CHECK(nw->app && nw->installation && nw->push_count);
	judge_text(nw->label, 0, 256);
	judge_text(nw->aor_user, 1, sizeof(b->user) - 1);
	judge_text(nw->aor_domain, 1, sizeof(b->domain) - 1);
	judge_text(nw->display_name, 0, 256);
	judge_push(nw->push, nw->push_count);
}


static void judge_change(const struct body *b)
{
	const struct inst_change *c = &b->change;

	judge_text(c->label, 0, 256);
	if (c->push)
		judge_push(c->push, c->push_count);
	if (c->creds)
		judge_text(c->creds->password, 1, 256);
}


static void judge_word(const struct body *b)
{
	const struct inst_word *w = &b->word;

	CHECK(w->state == INST_ACTIVE || w->state == INST_INACTIVE ||
	      w->state == INST_EXITED);
	CHECK(w->lease_s <= 86400);
	judge_text(w->contact, 0, 511);
	judge_text(w->call, 0, 36);
}


/* The app gets it as JSON, whatever it quotes */
static void judge_refusal(const struct body *b, enum problem p)
{
	struct text t;
	json_t *root;

	CHECK(p == PB_NOT_JSON || p == PB_INVALID);
	CHECK(memchr(b->why, 0, sizeof(b->why)));
	CHECK(b->why[0]);

	text_init(&t, 0);
	problem_write(&t, p, b->why, 0, NULL, "trace");
	CHECK(!t.failed);
	root = json_loadb(t.buf + t.head, t.len, 0, NULL);
	CHECK(json_string_length(json_object_get(root, "detail")));
	json_decref(root);
	text_free(&t);
}


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static read_h *const readers[] = { body_new, body_change, body_word };
	enum problem p;
	struct body *b;
	unsigned which;
	char *text;

	if (size < 2)
		return 0;

	which = (data[0] & 0x7f) % 3;
	text = data[0] & 0x80 ? dressed(data + 1, size - 1)
			      : text_of(data + 1, size - 1);
	b = calloc(1, sizeof(*b));
	CHECK(b);
	p = readers[which](b, text, data[0] & 0x80 ? strlen(text) : size - 1);
	if (p)
		judge_refusal(b, p);
	else if (which == 0)
		judge_new(b);
	else if (which == 1)
		judge_change(b);
	else
		judge_word(b);
	body_free(b);
	free(b);
	free(text);
	return 0;
}
