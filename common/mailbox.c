/**
 * @file mailbox.c  Handing work from one thread to another
 *
 * libre's own mqueue is a pipe: it fills up and then loses messages.  This is
 * a locked list that never fills, and a wake-up only when it was empty.
 */

#include <errno.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>
#include <re/re.h>
#include "common/mailbox.h"


struct mailbox {
	pthread_mutex_t lock;
	pthread_cond_t filled; /**< thread boxes */
	struct mail *head;
	struct mail **tailp;
	bool stopped;
	bool ready;   /**< the locks are made */
	int fd;       /**< eventfd of a loop box, else -1 */
	mailbox_h *h; /**< loop boxes */
	void *arg;
};


static struct mail *take_all(struct mailbox *mb)
{
	struct mail *chain = mb->head;

	mb->head = NULL;
	mb->tailp = &mb->head;

	return chain;
}


static void hand_out(struct mailbox *mb)
{
	struct mail *mail;

	(void)pthread_mutex_lock(&mb->lock);
	mail = take_all(mb);
	(void)pthread_mutex_unlock(&mb->lock);

	while (mail) {
		struct mail *next = mail->next;

		mail->next = NULL;
		mb->h(mail, mb->arg);
		mail = next;
	}
}


static void destructor(void *data)
{
	struct mailbox *mb = data;

	if (mb->fd >= 0) {
		fd_close(mb->fd);
		hand_out(mb);
		(void)close(mb->fd);
	}

	if (mb->ready) {
		(void)pthread_cond_destroy(&mb->filled);
		(void)pthread_mutex_destroy(&mb->lock);
	}
}


static void wake_handler(int flags, void *arg)
{
	struct mailbox *mb = arg;
	uint64_t n;

	(void)flags;

	/* Cleared before the list is taken: a mail put in between wakes us
	   once more, it is never left lying.  EAGAIN is a stale event */
	(void)!read(mb->fd, &n, sizeof(n));

	mem_ref(mb);
	hand_out(mb);
	mem_deref(mb);
}


static int locks_init(struct mailbox *mb)
{
	pthread_condattr_t attr;
	int err;

	err = pthread_mutex_init(&mb->lock, NULL);
	if (err)
		return err;

	err = pthread_condattr_init(&attr);
	if (err)
		goto out;

	err = pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	err = err ? err : pthread_cond_init(&mb->filled, &attr);
	(void)pthread_condattr_destroy(&attr);

out:
	if (err)
		(void)pthread_mutex_destroy(&mb->lock);

	return err;
}


static int box_alloc(struct mailbox **mbp)
{
	struct mailbox *mb;
	int err;

	mb = mem_zalloc(sizeof(*mb), destructor);
	if (!mb)
		return ENOMEM;

	mb->fd = -1;
	mb->tailp = &mb->head;

	err = locks_init(mb);
	if (err)
		goto out;
	mb->ready = true;

out:
	if (err)
		mem_deref(mb);
	else
		*mbp = mb;

	return err;
}


int mailbox_alloc(struct mailbox **mbp, mailbox_h *h, void *arg)
{
	struct mailbox *mb = NULL;
	int err;

	if (!mbp || !h)
		return EINVAL;

	err = box_alloc(&mb);
	if (err)
		return err;

	mb->h = h;
	mb->arg = arg;

	mb->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (mb->fd < 0) {
		err = errno;
		goto out;
	}

	err = fd_listen(mb->fd, FD_READ, wake_handler, mb);

out:
	if (err)
		mem_deref(mb);
	else
		*mbp = mb;

	return err;
}


int mailbox_alloc_thread(struct mailbox **mbp)
{
	return mbp ? box_alloc(mbp) : EINVAL;
}


void mailbox_put_all(struct mailbox *mb, struct mail *chain)
{
	const uint64_t one = 1;
	struct mail *last = chain;
	bool empty;

	if (!mb || !chain)
		return;

	while (last->next)
		last = last->next;

	(void)pthread_mutex_lock(&mb->lock);
	empty = !mb->head;
	*mb->tailp = chain;
	mb->tailp = &last->next;
	if (empty && mb->fd < 0)
		(void)pthread_cond_signal(&mb->filled);
	else if (empty)
		(void)!write(mb->fd, &one, sizeof(one));
	(void)pthread_mutex_unlock(&mb->lock);
}


void mailbox_put(struct mailbox *mb, struct mail *mail)
{
	if (!mail)
		return;

	mail->next = NULL;
	mailbox_put_all(mb, mail);
}


static struct timespec deadline(int wait_ms)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);

	ts.tv_sec += wait_ms / 1000;
	ts.tv_nsec += wait_ms % 1000 * 1000000L;
	if (ts.tv_nsec >= 1000000000L) {
		ts.tv_sec++;
		ts.tv_nsec -= 1000000000L;
	}

	return ts;
}


struct mail *mailbox_wait(struct mailbox *mb, int wait_ms)
{
	struct timespec until = { 0 };
	struct mail *chain;
	int err = 0;

	if (!mb)
		return NULL;

	if (wait_ms >= 0)
		until = deadline(wait_ms);

	(void)pthread_mutex_lock(&mb->lock);

	while (!mb->head && !mb->stopped && !err) {
		if (wait_ms < 0)
			err = pthread_cond_wait(&mb->filled, &mb->lock);
		else
			err = pthread_cond_timedwait(&mb->filled, &mb->lock,
						     &until);
	}
	chain = take_all(mb);

	(void)pthread_mutex_unlock(&mb->lock);

	return chain;
}


void mailbox_stop(struct mailbox *mb)
{
	if (!mb)
		return;

	(void)pthread_mutex_lock(&mb->lock);
	mb->stopped = true;
	(void)pthread_cond_broadcast(&mb->filled);
	(void)pthread_mutex_unlock(&mb->lock);
}
