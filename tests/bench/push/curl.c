/**
 * @file tests/bench/push/curl.c  The peer of "push": a bare curl multi
 *
 * The shortest program that sends the same requests: one multi handle on
 * epoll with curl_multi_socket_action(), as curl's documentation advises for
 * many transfers, a pool of easy handles, headers and body made beforehand.
 * No queue, no retry, no result for anyone.  Prints one line of JSON with the
 * CPU time of the whole process after its first request.
 */

#include <errno.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <curl/curl.h>
#include <sys/epoll.h>

enum { EVENTS = 64, BODY_MAX = 8192, URL_MAX = 512, LINE = 128 };

struct slot {
	struct slot *next;
	CURL *easy;
	char url[URL_MAX];
	struct curl_slist own[3]; /**< in front of the shared lines */
	char id[LINE], expiration[LINE], collapse[LINE];
};

struct peer {
	const char *url, *ca, *topic;
	uint32_t count, outstanding, streams, connections;
	CURLM *multi;
	int ep;
	long timeout_ms;
	struct curl_slist *shared;
	char body[BODY_MAX];
	struct slot *slots, *idle;
	uint32_t sent, done, good;
	char bearer[1024];
};


static uint64_t now_us(clockid_t clock)
{
	struct timespec ts;

	(void)clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}


static int socket_cb(CURL *easy, curl_socket_t fd, int what, void *arg,
		     void *known)
{
	struct peer *p = arg;
	struct epoll_event ev = { .data.fd = fd };
	(void)easy;

	if (what == CURL_POLL_REMOVE) {
		(void)epoll_ctl(p->ep, EPOLL_CTL_DEL, fd, NULL);
		return 0;
	}

	ev.events = (what & CURL_POLL_IN ? EPOLLIN : 0u) |
		    (what & CURL_POLL_OUT ? EPOLLOUT : 0u);
	(void)epoll_ctl(p->ep, known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &ev);
	(void)curl_multi_assign(p->multi, fd, p);
	return 0;
}


static int timer_cb(CURLM *multi, long timeout_ms, void *arg)
{
	struct peer *p = arg;
	(void)multi;

	p->timeout_ms = timeout_ms;
	return 0;
}


static size_t write_cb(char *data, size_t size, size_t n, void *arg)
{
	(void)data;
	(void)arg;
	return size * n;
}


static bool slot_setup(struct peer *p, struct slot *s)
{
	s->easy = curl_easy_init();
	if (!s->easy)
		return false;

	curl_easy_setopt(s->easy, CURLOPT_PRIVATE, s);
	curl_easy_setopt(s->easy, CURLOPT_POST, 1L);
	curl_easy_setopt(s->easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(s->easy, CURLOPT_HTTP_VERSION,
			 (long)CURL_HTTP_VERSION_2TLS);
	curl_easy_setopt(s->easy, CURLOPT_PIPEWAIT, 1L);
	curl_easy_setopt(s->easy, CURLOPT_CAINFO, p->ca);
	curl_easy_setopt(s->easy, CURLOPT_TIMEOUT_MS, 10000L);
	curl_easy_setopt(s->easy, CURLOPT_WRITEFUNCTION, write_cb);
	curl_easy_setopt(s->easy, CURLOPT_POSTFIELDS, p->body);
	curl_easy_setopt(s->easy, CURLOPT_POSTFIELDSIZE,
			 (long)strlen(p->body));
	s->own[0] = (struct curl_slist){ s->id, &s->own[1] };
	s->own[1] = (struct curl_slist){ s->expiration, &s->own[2] };
	s->own[2] = (struct curl_slist){ s->collapse, p->shared };
	return true;
}


static bool setup(struct peer *p)
{
	char line[2048];

	p->multi = curl_multi_init();
	p->ep = epoll_create1(EPOLL_CLOEXEC);
	p->slots = calloc(p->outstanding, sizeof(*p->slots));
	if (!p->multi || p->ep < 0 || !p->slots)
		return false;

	curl_multi_setopt(p->multi, CURLMOPT_SOCKETFUNCTION, socket_cb);
	curl_multi_setopt(p->multi, CURLMOPT_SOCKETDATA, p);
	curl_multi_setopt(p->multi, CURLMOPT_TIMERFUNCTION, timer_cb);
	curl_multi_setopt(p->multi, CURLMOPT_TIMERDATA, p);
	curl_multi_setopt(p->multi, CURLMOPT_MAX_HOST_CONNECTIONS,
			  (long)p->connections);
	curl_multi_setopt(p->multi, CURLMOPT_MAX_CONCURRENT_STREAMS,
			  (long)p->streams);

	snprintf(line, sizeof(line), "authorization: bearer %s", p->bearer);
	p->shared = curl_slist_append(NULL, line);
	snprintf(line, sizeof(line), "apns-topic: %s.voip", p->topic);
	p->shared = curl_slist_append(p->shared, line);
	p->shared = curl_slist_append(p->shared, "apns-push-type: voip");
	p->shared = curl_slist_append(p->shared, "apns-priority: 10");
	p->shared =
		curl_slist_append(p->shared, "content-type: application/json");
	p->shared = curl_slist_append(p->shared, "Accept:");

	for (uint32_t i = 0; i < p->outstanding; i++) {
		if (!slot_setup(p, &p->slots[i]))
			return false;
		p->slots[i].next = p->idle;
		p->idle = &p->slots[i];
	}

	return true;
}


static void send_one(struct peer *p)
{
	struct slot *s = p->idle;
	uint32_t n = p->sent++;

	p->idle = s->next;
	snprintf(s->url, sizeof(s->url), "%s/3/device/%064x", p->url,
		 n % 1000);
	snprintf(s->id, LINE, "apns-id: be000000-%04x-4000-8000-%012x",
		 (unsigned)getpid() & 0xffff, n);
	snprintf(s->expiration, LINE, "apns-expiration: %lld",
		 (long long)time(NULL) + 15);
	snprintf(s->collapse, LINE,
		 "apns-collapse-id: be000000-%04x-4000-8000-%012x",
		 (unsigned)getpid() & 0xffff, n);
	curl_easy_setopt(s->easy, CURLOPT_URL, s->url);
	curl_easy_setopt(s->easy, CURLOPT_HTTPHEADER, &s->own[0]);
	(void)curl_multi_add_handle(p->multi, s->easy);
}


static void harvest(struct peer *p)
{
	CURLMsg *m;
	int left;

	while ((m = curl_multi_info_read(p->multi, &left))) {
		CURL *easy = m->easy_handle;
		struct slot *s = NULL;
		long status = 0;

		curl_easy_getinfo(easy, CURLINFO_PRIVATE, &s);
		curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
		p->done++;
		if (m->data.result == CURLE_OK && status == 200)
			p->good++;
		(void)curl_multi_remove_handle(p->multi, easy);
		s->next = p->idle;
		p->idle = s;
	}
}


static void turn(struct peer *p)
{
	struct epoll_event ev[EVENTS];
	int running, n = epoll_wait(p->ep, ev, EVENTS, (int)p->timeout_ms);

	for (int i = 0; i < n; i++) {
		int what = (ev[i].events & EPOLLIN ? CURL_CSELECT_IN : 0) |
			   (ev[i].events & EPOLLOUT ? CURL_CSELECT_OUT : 0);

		(void)curl_multi_socket_action(p->multi, ev[i].data.fd, what,
					       &running);
	}
	if (!n || !p->timeout_ms)
		(void)curl_multi_socket_action(p->multi, CURL_SOCKET_TIMEOUT,
					       0, &running);
	harvest(p);
}


/* Like any sender to Apple: one request first */
static void run(struct peer *p)
{
	uint64_t wall, cpu;
	uint32_t first;

	send_one(p);
	while (!p->done)
		turn(p);
	first = p->done;

	wall = now_us(CLOCK_MONOTONIC);
	cpu = now_us(CLOCK_PROCESS_CPUTIME_ID);
	while (p->done < p->count) {
		while (p->sent < p->count && p->idle)
			send_one(p);
		turn(p);
	}
	wall = now_us(CLOCK_MONOTONIC) - wall;
	cpu = now_us(CLOCK_PROCESS_CPUTIME_ID) - cpu;
	printf("{\"pushes\":%u,\"good\":%u,\"seconds\":%.6f,\"cpu_us\":%.3f}"
	       "\n",
	       p->done, p->good, (double)wall / 1e6,
	       (double)cpu / (p->done - first));
}


static bool options(struct peer *p, int argc, char **argv)
{
	static const struct option longopts[] = {
		{ "url", required_argument, NULL, 'u' },
		{ "ca", required_argument, NULL, 'a' },
		{ "topic", required_argument, NULL, 't' },
		{ "count", required_argument, NULL, 'N' },
		{ "outstanding", required_argument, NULL, 'O' },
		{ "streams", required_argument, NULL, 'S' },
		{ "connections", required_argument, NULL, 'C' },
		{ NULL, 0, NULL, 0 },
	};
	const char **const texts[128] = {
		['u'] = &p->url,
		['a'] = &p->ca,
		['t'] = &p->topic,
	};
	uint32_t *const numbers[128] = {
		['N'] = &p->count,
		['O'] = &p->outstanding,
		['S'] = &p->streams,
		['C'] = &p->connections,
	};
	int c;

	while ((c = getopt_long(argc, argv, "", longopts, NULL)) != -1) {
		if (c > 0 && c < 128 && texts[c])
			*texts[c] = optarg;
		else if (c > 0 && c < 128 && numbers[c])
			*numbers[c] = (uint32_t)strtoul(optarg, NULL, 10);
		else
			return false;
	}

	return p->url && p->ca && p->topic && p->count && p->outstanding &&
	       p->streams && p->connections;
}


int main(int argc, char **argv)
{
	static struct peer peer;
	struct peer *p = &peer;

	if (!options(p, argc, argv) ||
	    !fgets(p->bearer, sizeof(p->bearer), stdin) ||
	    !fgets(p->body, sizeof(p->body), stdin)) {
		fputs("usage: bench-push-curl --url U --ca F --topic T "
		      "--count N --outstanding N --streams N --connections N "
		      "<BEARER-AND-BODY\n",
		      stderr);
		return 64;
	}

	p->bearer[strcspn(p->bearer, "\n")] = '\0';
	p->body[strcspn(p->body, "\n")] = '\0';
	(void)curl_global_init(CURL_GLOBAL_DEFAULT);
	if (!setup(p))
		return 1;
	run(p);
	return p->good == p->count ? 0 : 1;
}
