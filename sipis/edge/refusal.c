/**
 * @file refusal.c  A refusal of ours, as if the next hop had given it
 *
 * Those who wait for an answer take it apart and pass it up like any other.
 */

#include <errno.h>
#include "common/ident.h"
#include "sipis/edge/priv.h"


static bool is_copied(const struct sip_hdr *hdr)
{
	return hdr->id == SIP_HDR_VIA || hdr->id == SIP_HDR_FROM ||
	       hdr->id == SIP_HDR_CALL_ID || hdr->id == SIP_HDR_CSEQ;
}


static int print(struct mbuf *mb, const struct sip_msg *req, uint16_t scode,
		 const char *phrase)
{
	char tag[2 * 8 + 1];
	uint8_t raw[8];
	int err = ident_random(raw, sizeof(raw));

	/* the Via that our own request would have had */
	ident_hex(tag, raw, sizeof(raw));
	err = err ? err
		  : mbuf_printf(mb,
				"SIP/2.0 %u %s\r\n"
				"Via: SIP/2.0/%s edge.invalid;branch="
				"z9hG4bK%s\r\n",
				scode, phrase, sip_transp_name(req->tp), tag);
	for (struct le *le = req->hdrl.head; le && !err; le = le->next) {
		const struct sip_hdr *hdr = le->data;

		if (is_copied(hdr))
			err = mbuf_printf(mb, "%r: %r\r\n", &hdr->name,
					  &hdr->val);
	}
	err = err ? err : mbuf_printf(mb, "To: %r", &req->to.val);
	if (!err && !pl_isset(&req->to.tag))
		err = mbuf_printf(mb, ";tag=%s", tag);
	err = err ? err : mbuf_write_str(mb, "\r\nContent-Length: 0\r\n\r\n");
	mb->pos = 0;

	return err;
}


int edge_refusal(struct sip_msg **mp, const struct sip_msg *req,
		 uint16_t scode, const char *phrase)
{
	struct mbuf *mb = mbuf_alloc(512);
	int err = mb ? print(mb, req, scode, phrase) : ENOMEM;

	err = err ? err : sip_msg_decode(mp, mb);
	mem_deref(mb);

	return err;
}
