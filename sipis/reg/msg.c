/**
 * @file msg.c  The bytes of a REGISTER behind libre's Via; RFC 3261 10.2
 *
 * Pieces are copied, nothing goes through a format: this runs for every
 * refresh.
 */

#include <errno.h>
#include <string.h>
#include "common/ident.h"
#include "sipis/reg/priv.h"


enum { MSG_ROOM = 1024 };


static int put(struct mbuf *mb, const char *s)
{
	return mbuf_write_mem(mb, (const uint8_t *)s, strlen(s));
}


static int put_u32(struct mbuf *mb, uint32_t v)
{
	char buf[10];
	size_t i = sizeof(buf);

	do {
		buf[--i] = (char)('0' + v % 10);
		v /= 10;
	} while (v);

	return mbuf_write_mem(mb, (uint8_t *)buf + i, sizeof(buf) - i);
}


static bool is_user_char(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
	       (c >= 'A' && c <= 'Z') || (c && strchr("-_.!~*'()&=+$,;?/", c));
}


/* RFC 3261 25.1 user */
static int put_user(struct mbuf *mb, const char *user)
{
	static const char hex[] = "0123456789ABCDEF";
	size_t n = 0;
	int err = 0;

	while (is_user_char(user[n]))
		++n;
	err = mbuf_write_mem(mb, (const uint8_t *)user, n);

	for (user += n; *user && !err; user++) {
		const uint8_t c = (uint8_t)*user;

		if (is_user_char(*user)) {
			err = mbuf_write_u8(mb, c);
			continue;
		}
		err = mbuf_write_u8(mb, '%');
		err |= mbuf_write_u8(mb, (uint8_t)hex[c >> 4]);
		err |= mbuf_write_u8(mb, (uint8_t)hex[c & 15]);
	}

	return err;
}


static int put_aor(struct mbuf *mb, const char *header,
		   const struct msg_prm *prm)
{
	int err;

	err = put(mb, header);
	err |= put_user(mb, prm->user);
	err |= put(mb, "@");
	err |= put(mb, prm->domain);

	return err;
}


int msg_register(struct mbuf **mbp, const struct msg_prm *prm)
{
	struct mbuf *mb;
	char uri[256];
	int err;

	if (re_snprintf(uri, sizeof(uri), "sip:%s", prm->domain) < 0)
		return EOVERFLOW;

	mb = mbuf_alloc(MSG_ROOM);
	if (!mb)
		return ENOMEM;

	err = put(mb, "Max-Forwards: 70\r\n");
	err |= put_aor(mb, "To: <sip:", prm);
	err |= put_aor(mb, ">\r\nFrom: <sip:", prm);
	err |= put(mb, ">;tag=");
	err |= put(mb, prm->callid + 8);
	err |= put(mb, "\r\nCall-ID: ");
	err |= put(mb, prm->callid);
	err |= put(mb, "\r\nCSeq: ");
	err |= put_u32(mb, prm->cseq);
	err |= put(mb, " REGISTER\r\n");
	if (*prm->contact) {
		err |= put(mb, "Contact: <");
		err |= put(mb, prm->contact);
		err |= put(mb, ">");
		if (prm->instance) {
			err |= put(mb, ";+sip.instance=\"<");
			err |= put(mb, prm->instance);
			err |= put(mb, ">\"\r\nSupported: gruu");
		}
		err |= put(mb, "\r\nExpires: ");
		err |= put_u32(mb, prm->expires_s);
		err |= put(mb, "\r\n");
	}
	if (prm->nonce)
		err |= digest_authorize(mb, prm->nonce, prm->auth_user,
					prm->ha1, "REGISTER", uri);
	err |= put(mb, "User-Agent: sipis/" SIPIS_VERSION "\r\n"
		       "Content-Length: 0\r\n\r\n");
	mb->pos = 0;

	if (err)
		mem_deref(mb);
	else
		*mbp = mb;

	return err;
}


int msg_options(struct mbuf **mbp, const char *uri)
{
	struct mbuf *mb = mbuf_alloc(512);
	int err;

	if (!mb)
		return ENOMEM;

	err = mbuf_printf(mb,
			  "Max-Forwards: 70\r\n"
			  "To: <%s>\r\n"
			  "From: <%s>;tag=%08x\r\n"
			  "Call-ID: %016llx\r\n"
			  "CSeq: 1 OPTIONS\r\n"
			  "User-Agent: sipis/" SIPIS_VERSION "\r\n"
			  "Content-Length: 0\r\n\r\n",
			  uri, uri, rand_u32(), rand_u64());
	mb->pos = 0;

	if (err)
		mem_deref(mb);
	else
		*mbp = mb;

	return err;
}


int msg_contact(char *buf, size_t size, const struct acct *a,
		enum sip_transp tp, const struct sa *laddr)
{
	char user[2 * STORE_CONTACT + 1], mark[GRANT_MARK_LEN + 1];

	ident_hex(user, a->contact, STORE_CONTACT);
	grant_mark(mark, a->contact);

	return re_snprintf(buf, size, "sip:%s@%J%s;" GRANT_PARAM "=%s", user,
			   laddr, sip_transp_param(tp), mark) < 0
		       ? EOVERFLOW
		       : 0;
}


/* The same after a restart, without a word in the store; half of the contact
   user's bits, mixed, so that it can not be told from the Call-ID */
void msg_callid(char *buf, const struct acct *a)
{
	uint8_t raw[8];
	uint64_t x, y;

	memcpy(&x, a->contact, 8);
	memcpy(&y, a->contact + 8, 8);
	x ^= y * 0x9e3779b97f4a7c15ULL;
	x ^= x >> 31;
	x *= 0xbf58476d1ce4e5b9ULL;
	x ^= x >> 29;
	for (int i = 0; i < 8; i++)
		raw[i] = (uint8_t)(x >> (56 - 8 * i));
	ident_hex(buf, raw, sizeof(raw));
}
