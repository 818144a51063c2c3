/**
 * @file rawpbx.h  A PBX on one UDP socket, made of text
 *
 * Knows one user, keeps his bindings, rings the one that is ours, and notes
 * every response.  What a SIP stack would hide or forbid (a repeated INVITE,
 * a CANCEL with Reason, an echo) is written by hand here.
 */

#ifndef TESTS_UNIT_LIB_RAWPBX_H
#define TESTS_UNIT_LIB_RAWPBX_H

#include <re/re.h>

enum { RAWPBX_RESPONSES = 128, RAWPBX_APPS = 2, RAWPBX_ASKED = 16 };

struct rawpbx_response {
	unsigned scode;
	char branch[64], callid[64], contact[256], to_tag[32];
	char retry_after[16], unsupported[64]; /**< "" none */
};

struct rawpbx {
	struct udp_sock *us;
	struct sa addr, peer;
	char ours[256];             /**< our Contact, "" none */
	const char *to;             /**< of an INVITE; NULL: the user's AOR */
	char apps[RAWPBX_APPS][64]; /**< other bindings, "" none */
	unsigned registers, removes, looks;
	bool stubborn;                 /**< 500 to an un-REGISTER */
	bool deaf;                     /**< does not answer REGISTERs */
	char askedv[RAWPBX_ASKED][64]; /**< branches of what it heard deaf */
	unsigned askedc;
	struct rawpbx_response resv[RAWPBX_RESPONSES];
	unsigned resc;
};

void rawpbx_open(struct rawpbx *p);
void rawpbx_close(struct rawpbx *p);

/** headers: more lines, each with CRLF */
void rawpbx_invite(struct rawpbx *p, const char *callid, const char *branch,
		   const char *from, const char *headers);
void rawpbx_cancel(struct rawpbx *p, const char *callid, const char *branch,
		   const char *from, const char *headers);

/** In the dialog of a response to that call; body "" or SDP */
void rawpbx_dialog(struct rawpbx *p, const char *met,
		   const struct rawpbx_response *r, const char *branch,
		   const char *from, const char *headers, const char *body);

/** The newest response with that code to a branch, scode 0: with any */
const struct rawpbx_response *rawpbx_response(const struct rawpbx *p,
					      const char *branch,
					      unsigned scode);
unsigned rawpbx_count(const struct rawpbx *p, const char *branch,
		      unsigned scode);

#endif
