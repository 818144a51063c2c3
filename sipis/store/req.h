/**
 * @file req.h  One request on its way through the store's threads
 *
 * Made on the loop's thread, run on the writer or the reader, answered on the
 * loop's thread; it belongs to one of them at a time and carries its
 * arguments and results in its own arena.
 */

#ifndef SIPIS_STORE_REQ_H
#define SIPIS_STORE_REQ_H

#include <stddef.h>
#include "common/mailbox.h"
#include "sipis/store/arena.h"
#include "sipis/store/store.h"

#define STORE_REQ_ROOM 3072 /**< bytes; most requests need no more */

enum store_op {
	OP_ACCT_FIND,
	OP_ACCT_GET,
	OP_ACCT_LEARN,
	OP_INST_PUT,
	OP_INST_GET,
	OP_INSTS_OF,
	OP_INST_STATE,
	OP_INST_PATCH,
	OP_INST_DELETE,
	OP_PUSH_GONE,
	OP_PUSH_END,
	OP_PUSH_RENEW,
	OP_OVERDUE,
	OP_CALL_PUT,
	OP_CALL_END,
	OP_CALL_GET,
	OP_CALLS,
	OP_LINES,
	OP_EVENTS,
	OP_LIST,
	OP_META_PUT,
	OPS
};

enum store_lane {
	LANE_WRITE,
	LANE_SOON, /**< a write that waits a few ms for its like, unless in a
			hurry */
	LANE_READ,
	LANE_READ_AFTER, /**< a read that must see all writes before it */
	LANE_LAZY        /**< a write that may wait for others */
};

enum store_reply {
	REPLY_NONE,
	REPLY_DONE,
	REPLY_ACCT,
	REPLY_INST,
	REPLY_INSTS, /**< all in one call */
	REPLY_EACH,  /**< one call per instance, then ENOENT */
	REPLY_CALL,
	REPLY_CALLS, /**< one call per call, then ENOENT */
	REPLY_EVENTS,
	REPLY_LIST /**< one call per account, then ENOENT */
};

struct store_op_info {
	const char *name;
	enum store_lane lane;
	enum store_reply reply;
	bool phones; /**< changes what store_insts_of() reads */
};

const struct store_op_info *store_op_info(enum store_op op);

/** An account with its instances: a row of the status page */
struct store_item {
	struct acct_row acct;
	struct inst_row *instv;
	unsigned instc;
	struct call_row call;
};

/** One line of a timeline on its way to the store */
struct store_line {
	struct store_line *next;
	struct event_row row;
};

struct store_req {
	struct mail mail;
	struct mail *more_answers; /**< those of its group, in one mail */
	enum store_op op;
	uint64_t at_ms;            /**< monotonic, when it was asked */
	bool hurry;                /**< of LANE_SOON: it does not wait */
	uint64_t ticket;           /**< of phones_expect() */
	struct phones_entry *kept; /**< instead of a read */
	struct arena arena;

	/* arguments */
	const char *id; /**< instance, call, key or filter */
	uint64_t acct_id;
	const struct acct_row *acct;
	const struct inst_row *inst;
	const struct call_row *call;
	struct store_line *lines, **lines_tail;
	unsigned linec;
	const uint8_t *blob; /**< handle, or SHA-256 of a secret */
	size_t blob_len;
	const uint8_t *renewed; /**< a handle in place of blob */
	size_t renewed_len;
	const char *text; /**< reason, tombstone */
	enum inst_state state;
	int64_t n1, n2;
	unsigned offset, max;

	/* a call that begins and ends within one group, see merge.h */
	struct store_req *ends;     /**< of a beginning: its ends, in order */
	struct store_req *next_end; /**< of an end: the next of that call */
	bool merged;                /**< of an end: its beginning runs it */

	/* results */
	int err;
	struct acct_row *racct;
	struct inst_row *rinst;
	struct call_row *rcall;
	struct event_row *revents;
	struct store_item *items;
	unsigned count;
	uint64_t cursor; /**< a list that goes on: last id seen */
	bool more;       /**< it wants another turn */

	/* who asked */
	union {
		store_done_h *done;
		store_acct_h *acct;
		store_inst_h *inst;
		store_insts_h *insts;
		store_call_h *call;
		store_calls_h *calls;
		store_events_h *events;
		store_list_h *list;
	} h;
	void *arg;

	max_align_t room[STORE_REQ_ROOM / sizeof(max_align_t)];
};

struct store_req *store_req_new(enum store_op op, void *arg);
void store_req_free(struct store_req *r);
/** Calls the handler of r, then frees r */
void store_req_answer(struct store_req *r);

const struct acct_row *store_req_acct(struct store_req *r,
				      const struct acct_row *acct);
const struct inst_row *store_req_inst(struct store_req *r,
				      const struct inst_row *inst);
/** Strings and tokens into the arena, which may fail */
void store_inst_copy(struct arena *a, struct inst_row *to,
		     const struct inst_row *from);
const struct call_row *store_req_call(struct store_req *r,
				      const struct call_row *call);
/** One more line of OP_LINES */
int store_req_line(struct store_req *r, const struct event_row *ev);
/** The lines of other behind those of r, whose memory they stay in */
void store_req_join(struct store_req *r, struct store_req *other);

/** Takes r over: queues it, or frees it on error */
int store_ask(struct store *st, struct store_req *r);
/** A line for the next OP_LINES */
void store_line(struct store *st, const struct event_row *ev);

#endif
