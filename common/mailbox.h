/**
 * @file mailbox.h  Handing work from one thread to another
 *
 * A mail is embedded in the object that travels; the receiver gets the mails
 * in the order they were put and owns them from then on.  Putting never
 * blocks and never fails.  The receiver is woken only when the box was empty,
 * so a burst costs one wake-up.
 */

#ifndef COMMON_MAILBOX_H
#define COMMON_MAILBOX_H

#include <stdbool.h>

struct mail {
	struct mail *next;
};

typedef void(mailbox_h)(struct mail *mail, void *arg);

struct mailbox;

/** A box that is emptied by the libre loop of the calling thread.
    mem_deref() it in that thread; mails still inside are handed over first */
int mailbox_alloc(struct mailbox **mbp, mailbox_h *h, void *arg);

/** A box that a plain thread empties with mailbox_wait() */
int mailbox_alloc_thread(struct mailbox **mbp);

/** Any thread */
void mailbox_put(struct mailbox *mb, struct mail *mail);
/** The same for a chain: it arrives as one burst */
void mailbox_put_all(struct mailbox *mb, struct mail *chain);

/** The whole chain, oldest first, linked by ->next; blocks while the box is
    empty.  NULL once mailbox_stop() was called and the box is empty.
    Thread boxes only.  wait_ms < 0 waits for ever, else NULL on time-out */
struct mail *mailbox_wait(struct mailbox *mb, int wait_ms);
void mailbox_stop(struct mailbox *mb);

#endif
