/**
 * @file decode.h  libre's SIP decoders, at once where a message is ordinary
 *
 * libre looks at a message byte by byte, has a block of memory for each of its
 * headers, and matches patterns for all that stands in them.  decode_msg.c and
 * decode_part.c define these of its functions anew:
 *
 *     sip_msg_decode, sip_via_decode, sip_addr_decode, sip_cseq_decode,
 *     uri_decode, msg_param_decode, msg_param_exists
 *
 * libre calls them through the PLT, so they take the place of its own in all
 * of libre.  What is not of the ordinary form (folded lines, empty elements,
 * quoted-pairs, ...) they leave to libre's own; results are the same, byte for
 * byte.  tests/fuzz/fuzz_decode.c holds both side by side.
 */

#ifndef SIPIS_SIP_DECODE_H
#define SIPIS_SIP_DECODE_H

/** ENOSYS if the functions in use are not ours.  Calling it is also what
    makes the linker take them out of the library */
int decode_check(void);

#endif
