/**
 * @file bencode.c  Bencode, as the ng protocol of rtpengine uses it; pure
 */

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include "sipis/media/bencode.h"


enum { DIGITS = 9 /* no length or number of ours has more */ };


int bencode_put_text(struct mbuf *mb, const struct pl *text)
{
	const int err = mbuf_printf(mb, "%zu:", text->l);

	return err || !text->l
		       ? err
		       : mbuf_write_mem(mb, (const uint8_t *)text->p, text->l);
}


int bencode_put_str(struct mbuf *mb, const char *str)
{
	struct pl text;

	pl_set_str(&text, str);

	return bencode_put_text(mb, &text);
}


int bencode_put_int(struct mbuf *mb, int64_t n)
{
	return mbuf_printf(mb, "i%" PRId64 "e", n);
}


int bencode_put_mark(struct mbuf *mb, char mark)
{
	return mbuf_write_u8(mb, (uint8_t)mark);
}


/* The digits up to end, and past it */
static int number(struct pl *in, size_t *n, char end)
{
	size_t v = 0, i = 0;

	while (i < in->l && i < DIGITS && in->p[i] >= '0' && in->p[i] <= '9')
		v = v * 10 + (size_t)(in->p[i++] - '0');
	if (!i || i >= in->l || in->p[i] != end)
		return EBADMSG;

	*n = v;
	pl_advance(in, (ssize_t)i + 1);

	return 0;
}


static int string(struct pl *in, struct pl *text)
{
	size_t len;
	const int err = number(in, &len, ':');

	if (err)
		return err;
#ifndef PLANT_BUG /* for tests/fuzz/run.sh planted, never for use */
	if (len > in->l)
		return EBADMSG;
#endif

	text->p = in->p;
	text->l = len;
	pl_advance(in, (ssize_t)len);

	return 0;
}


/* 64 bits have 19 digits; what it says is of no interest */
static int integer(struct pl *in)
{
	size_t i = 1;

	if (i < in->l && in->p[i] == '-')
		++i;
	for (const size_t from = i;; ++i) {
		if (i >= in->l || i > from + 19)
			return EBADMSG;
		if (in->p[i] == 'e' && i > from)
			break;
		if (in->p[i] < '0' || in->p[i] > '9')
			return EBADMSG;
	}
	pl_advance(in, (ssize_t)i + 1);

	return 0;
}


static int skip(struct pl *in, unsigned depth);


static int skip_all(struct pl *in, bool dict, unsigned depth)
{
	struct pl key;
	int err = 0;

	pl_advance(in, 1);
	while (!err) {
		if (!in->l)
			return EBADMSG;
		if (*in->p == 'e') {
			pl_advance(in, 1);
			return 0;
		}
		if (dict)
			err = string(in, &key);
		if (!err)
			err = skip(in, depth);
	}

	return err;
}


static int skip(struct pl *in, unsigned depth)
{
	struct pl text;

	if (!in->l)
		return EBADMSG;

	switch (*in->p) {
	case 'i':
		return integer(in);
	case 'd':
	case 'l':
		return depth ? skip_all(in, *in->p == 'd', depth - 1)
			     : EBADMSG;
	default:
		return string(in, &text);
	}
}


int bencode_value(struct pl *value, const struct pl *in)
{
	struct pl rest = *in;
	const int err = skip(&rest, BENCODE_DEPTH);

	if (err)
		return err;

	value->p = in->p;
	value->l = in->l - rest.l;

	return 0;
}


int bencode_find(struct pl *value, const struct pl *dict, const char *key)
{
	struct pl in = *dict, name;

	if (!in.l || *in.p != 'd')
		return EBADMSG;

	pl_advance(&in, 1);
	while (in.l && *in.p != 'e') {
		if (string(&in, &name) || bencode_value(value, &in))
			return EBADMSG;
		if (!pl_strcmp(&name, key))
			return 0;
		pl_advance(&in, (ssize_t)value->l);
	}

	return ENOENT;
}


int bencode_text(struct pl *text, const struct pl *value)
{
	struct pl in = *value;

	return string(&in, text);
}
