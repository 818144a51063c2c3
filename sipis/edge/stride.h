/**
 * @file stride.h  The CSeq of a phone as its PBX sees it; pure
 *
 * Where sipis answers the challenges of a PBX, each answer is a request more
 * than the phone knows of, with a higher CSeq (RFC 3261 22.2), and that for
 * the life of a dialog.  No sum of them is kept: each CSeq of the phone has
 * eight of the PBX's.
 *
 *     phone  c   ->   PBX  8 (c - base) + turn
 *
 * turn counts the answers to one request.  Numbers only rise and gaps are
 * allowed (12.2.1.1), and the way back is a division: nothing is lost when we
 * are started again.
 */

#ifndef SIPIS_EDGE_STRIDE_H
#define SIPIS_EDGE_STRIDE_H

#include <re/re.h>

enum { EDGE_TURNS = 8 };

struct edge_stride {
	bool on;       /**< else the PBX sees the phone's own */
	uint16_t base; /**< times 2^16 */
	uint8_t turn;  /**< of the request that began the dialog */
};

/** Of a dialog that begins with this request.  Below 2^27 the base is 0, also
    for phones that are called, whose CSeq is not known yet */
void edge_stride_begin(struct edge_stride *s, uint32_t cseq);
uint32_t edge_stride_out(const struct edge_stride *s, uint32_t cseq,
			 unsigned turn);
/** The phone's, from the PBX's */
uint32_t edge_stride_in(const struct edge_stride *s, uint32_t cseq);
unsigned edge_stride_turn(const struct edge_stride *s, uint32_t cseq);

/** Where the CSeq stands in "RAck: 7 1 INVITE"; false: nowhere */
bool edge_stride_rack(struct pl *num, const struct pl *val);
/** And in "Event: refer;id=1", RFC 3515 2.4.6 */
bool edge_stride_refer(struct pl *num, const struct pl *val);

#endif
