/**
 * @file hosts.c  The hosts file, and the system's resolver on a thread
 */

#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/mailbox.h"
#include "sipis/sip/hosts.h"


static unsigned hosts_line(struct sa *sa, char *line, const char *name)
{
	char *save = NULL, *word;
	struct sa addr;

	line[strcspn(line, "#\r\n")] = '\0';

	word = strtok_r(line, " \t", &save);
	if (!word || sa_set_str(&addr, word, 0))
		return 0;

	while ((word = strtok_r(NULL, " \t", &save))) {
		if (!str_casecmp(word, name)) {
			*sa = addr;
			return 1;
		}
	}

	return 0;
}


unsigned hosts_file(struct sa *v, unsigned max, const char *path,
		    const char *name)
{
	char line[1024];
	unsigned n = 0;
	FILE *f;

	if (!v || !name)
		return 0;

	f = fopen(path ? path : "/etc/hosts", "re");
	if (!f)
		return 0;

	while (n < max && fgets(line, sizeof(line), f))
		n += hosts_line(&v[n], line, name);

	(void)fclose(f);

	return n;
}


/* Lives outside of libre's memory: two threads share it.  The last one to
   let go frees it */
struct job {
	struct mail mail;
	pthread_mutex_t lock;
	struct mailbox *mb; /* NULL: nobody waits any more */
	struct sa v[HOSTS_MAX];
	unsigned n;
	bool done;
	char name[256];
};

struct hosts_query {
	struct mailbox *mb;
	struct job *job;
	hosts_h *h;
	void *arg;
};


static void job_free(struct job *job)
{
	pthread_mutex_destroy(&job->lock);
	free(job);
}


static void resolve_name(struct job *job)
{
	const struct addrinfo hints = {
		.ai_socktype = SOCK_DGRAM,
		.ai_flags = AI_ADDRCONFIG,
	};
	struct addrinfo *res = NULL, *ai;

	if (getaddrinfo(job->name, NULL, &hints, &res))
		return;

	for (ai = res; ai && job->n < HOSTS_MAX; ai = ai->ai_next) {
		if (!sa_set_sa(&job->v[job->n], ai->ai_addr))
			++job->n;
	}

	freeaddrinfo(res);
}


static void *thread_main(void *arg)
{
	struct job *job = arg;
	bool orphan;

	resolve_name(job);

	pthread_mutex_lock(&job->lock);
	job->done = true;
	orphan = !job->mb;
	if (!orphan)
		mailbox_put(job->mb, &job->mail);
	pthread_mutex_unlock(&job->lock);

	if (orphan)
		job_free(job);

	return NULL;
}


static void destructor(void *data)
{
	struct hosts_query *q = data;
	struct job *job = q->job;
	bool done = true;

	q->h = NULL;
	if (job) {
		pthread_mutex_lock(&job->lock);
		done = job->done;
		job->mb = NULL;
		pthread_mutex_unlock(&job->lock);
	}

	mem_deref(q->mb);
	if (job && done)
		job_free(job);
}


static void mail_handler(struct mail *mail, void *arg)
{
	struct hosts_query *q = arg;
	(void)mail;

	/* The lock makes sure that the thread has let go of the job */
	pthread_mutex_lock(&q->job->lock);
	pthread_mutex_unlock(&q->job->lock);

	if (q->h)
		q->h(q->job->v, q->job->n, q->arg);
}


static int start_thread(struct job *job)
{
	pthread_attr_t attr;
	pthread_t tid;
	int err;

	err = pthread_attr_init(&attr);
	if (err)
		return err;

	(void)pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	err = pthread_create(&tid, &attr, thread_main, job);
	pthread_attr_destroy(&attr);

	return err;
}


int hosts_lookup(struct hosts_query **qp, const char *name, hosts_h *h,
		 void *arg)
{
	struct hosts_query *q;
	struct job *job;
	int err;

	if (!qp || !name || !h || strlen(name) >= sizeof(job->name))
		return EINVAL;

	q = mem_zalloc(sizeof(*q), destructor);
	job = calloc(1, sizeof(*job));
	if (!q || !job) {
		err = ENOMEM;
		goto out;
	}

	err = mailbox_alloc(&q->mb, mail_handler, q);
	if (err)
		goto out;

	(void)pthread_mutex_init(&job->lock, NULL);
	memcpy(job->name, name, strlen(name) + 1);
	job->mb = q->mb;
	q->h = h;
	q->arg = arg;

	err = start_thread(job);
	if (err) {
		pthread_mutex_destroy(&job->lock);
		goto out;
	}

	q->job = job;
	*qp = q;

	return 0;

out:
	free(job);
	mem_deref(q);

	return err;
}
