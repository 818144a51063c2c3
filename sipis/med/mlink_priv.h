/**
 * @file mlink_priv.h  What the two files of a link share
 *
 *     mlink_fsm.c    when it is tried, and what ends it (pure)
 *     mlink.c        the connection, kept up
 *     mlink_talk.c   what the two ends say to each other
 */

#ifndef SIPIS_MED_MLINK_PRIV_H
#define SIPIS_MED_MLINK_PRIV_H

#include "sipis/med/lookup.h"
#include "sipis/med/mlink.h"
#include "sipis/med/skew.h"

enum { MLINK_HOST_SIZE = 256, MLINK_ERROR_SIZE = 256 };

struct mlink {
	char host[MLINK_HOST_SIZE];
	char label[MLINK_HOST_SIZE + 8];
	char node[64]; /**< the mediator's, of its Hello */
	char *our_node;
	struct tls *tls;
	struct mlink_prm prm; /**< its strings are not ours after alloc */
	uint16_t port;

	enum mlink_state state;
	bool closed;
	struct mlink_pace pace;
	uint64_t heard_at;            /**< mono: last byte from there */
	int64_t since_ms;             /**< wall: up, draining or down */
	int64_t error_ms;             /**< wall: of error */
	char error[MLINK_ERROR_SIZE]; /**< why it ended last, "" never */
	char word[MLINK_ERROR_SIZE];  /**< the same in the mediator's words */
	struct tmr tmr;               /**< pause, connect limit, or ping */
	struct tmr flush;

	struct lookup *lookup;
	struct sa addrv[LOOKUP_MAX];
	unsigned addrc, addri;

	struct tcp_conn *tc;
	struct tls_conn *tlsc;
	struct wire_dec *dec;
	struct mbuf *tx;
	bool feeding; /**< the decoder is on the stack */
	bool greeted; /**< TLS stands, our Hello has left */
	uint32_t window;
	size_t max_frame;
	uint64_t nonce;    /**< of the last Ping; 0: Hello */
	uint64_t asked_at; /**< mono: when that left */
	struct skew skew;
	bool apart; /**< the operator knows that the clocks are */

	mlink_change_h *changeh;
	mlink_frame_h *frameh;
	void *arg;
};

enum mlink_act mlink_event(struct mlink *l, enum mlink_event ev);
/** The connection has ended, or none came about */
void mlink_down(struct mlink *l, const char *why);

/* --- mlink_talk.c --- */

int mlink_talk_hello(struct mlink *l);
/** A frame; fits wire_dec_alloc() */
int mlink_talk_heard(const Wire__Envelope *env, void *arg);

#endif
