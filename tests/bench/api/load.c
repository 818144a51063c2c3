/**
 * @file load.c  State changes over kept TLS connections, as fast as answered
 *
 *   bench-api-load --port P --ca FILE --phones FILE --connections N
 *                  --seconds S --final FILE
 *
 * FILE of phones: "id secret" per line.  Each connection has phones of its
 * own and, in turn, tells the opposite of what it told of the phone before;
 * the next request leaves when the answer to the last is here.  An answer
 * that is not 200 with the state that was told ends the program.  The last
 * acknowledged state of each phone goes to the final file, so that a bench
 * can look for it after a kill -9.  Prints one line of JSON.
 */

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#define BUF     8192
#define BUCKETS 200000 /**< of 5 us: up to a second */

struct phone {
	char id[33], secret[44];
	bool active; /**< as acknowledged last */
	bool known;
};

struct conn {
	SSL *ssl;
	int fd;
	struct phone *phones; /**< its share */
	uint32_t count, next;
	struct phone *now;
	uint64_t sent_us;
	char buf[BUF];
	size_t len;
	bool up;
};

struct load {
	const char *ca, *phones_path, *final_path;
	uint16_t port;
	uint32_t connections, seconds;
	SSL_CTX *ctx;
	int ep;
	struct phone *phones;
	uint32_t phonec;
	struct conn *conns;
	uint64_t done, begin_us, end_us, worst_us;
	uint32_t open; /**< requests that wait for their answer */
	uint32_t *bucket;
};


static void die(const char *fmt, ...)
{
	va_list ap;

	fputs("bench-api-load: ", stderr);
	va_start(ap, fmt);
	(void)vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	exit(1);
}


static uint64_t now_us(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}


static void phones_read(struct load *ld)
{
	FILE *f = fopen(ld->phones_path, "re");
	uint32_t room = 0;
	char line[128];

	if (!f)
		die("cannot read %s: %s", ld->phones_path, strerror(errno));

	while (fgets(line, sizeof(line), f)) {
		struct phone *p;

		if (ld->phonec == room) {
			room = room ? 2 * room : 1024;
			ld->phones = realloc(ld->phones,
					     room * sizeof(*ld->phones));
			if (!ld->phones)
				die("no memory");
		}
		p = &ld->phones[ld->phonec++];
		memset(p, 0, sizeof(*p));
		if (sscanf(line, "%32s %43s", p->id, p->secret) != 2)
			die("%s: not \"id secret\"", ld->phones_path);
	}
	(void)fclose(f);
	if (ld->phonec < ld->connections)
		die("fewer phones than connections");
}


static void connect_one(struct load *ld, struct conn *c)
{
	struct sockaddr_in sin = { .sin_family = AF_INET };
	struct epoll_event ev = { .events = EPOLLIN, .data.ptr = c };
	const int one = 1;

	sin.sin_port = htons(ld->port);
	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (c->fd < 0 ||
	    connect(c->fd, (struct sockaddr *)&sin, sizeof(sin)) < 0)
		die("cannot connect: %s", strerror(errno));
	(void)setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));

	c->ssl = SSL_new(ld->ctx);
	if (!c->ssl || SSL_set_fd(c->ssl, c->fd) != 1 ||
	    SSL_set1_host(c->ssl, "localhost") != 1 ||
	    SSL_set_tlsext_host_name(c->ssl, "localhost") != 1 ||
	    SSL_connect(c->ssl) != 1)
		die("no TLS: %s", ERR_reason_error_string(ERR_get_error()));

	(void)fcntl(c->fd, F_SETFL, O_NONBLOCK);
	if (epoll_ctl(ld->ep, EPOLL_CTL_ADD, c->fd, &ev))
		die("epoll: %s", strerror(errno));
}


static void ask(struct load *ld, struct conn *c)
{
	struct phone *p = &c->phones[c->next++ % c->count];
	const char *state = p->active ? "inactive" : "active";
	char body[64], req[512];
	int n, len;

	len = snprintf(body, sizeof(body), "{\"state\":\"%s\"}", state);
	n = snprintf(req, sizeof(req),
		     "PUT /v1/instances/%s/state HTTP/1.1\r\n"
		     "Host: localhost\r\nAuthorization: Bearer %s\r\n"
		     "Content-Type: application/json\r\n"
		     "Content-Length: %d\r\n\r\n%s",
		     p->id, p->secret, len, body);
	c->now = p;
	c->len = 0;
	c->sent_us = now_us();
	/* a request is smaller than an empty socket buffer */
	if (SSL_write(c->ssl, req, n) != n)
		die("cannot send");
	ld->open++;
}


/** Has the whole answer come?  Its body's length, else -1 */
static long whole(struct conn *c, const char **body)
{
	const char *end = strstr(c->buf, "\r\n\r\n");
	const char *length = strcasestr(c->buf, "content-length:");
	long n;

	if (!end || !length || length > end)
		return -1;
	n = strtol(length + 15, NULL, 10);
	*body = end + 4;
	return c->buf + c->len - *body >= n ? n : -1;
}


static void answered(struct load *ld, struct conn *c)
{
	const char *body, *wanted;
	const uint64_t now = now_us(), us = now - c->sent_us;

	if (whole(c, &body) < 0)
		return;

	wanted = c->now->active ? "{\"state\":\"inactive\""
				: "{\"state\":\"active\"";
	if (strncmp(c->buf, "HTTP/1.1 200 ", 13) ||
	    strncmp(body, wanted, strlen(wanted)))
		die("a wrong answer: %s", c->buf);

	c->now->active = !c->now->active;
	c->now->known = true;
	ld->open--;
	ld->done++;
	ld->bucket[us / 5 < BUCKETS ? us / 5 : BUCKETS - 1]++;
	if (us > ld->worst_us)
		ld->worst_us = us;
	if (now < ld->end_us)
		ask(ld, c);
}


static void readable(struct load *ld, struct conn *c)
{
	for (;;) {
		int n = SSL_read(c->ssl, c->buf + c->len,
				 (int)(BUF - 1 - c->len));

		if (n <= 0) {
			if (SSL_get_error(c->ssl, n) == SSL_ERROR_WANT_READ)
				return;
			die("the server has closed a connection");
		}
		c->len += (size_t)n;
		c->buf[c->len] = 0;
		answered(ld, c);
	}
}


static void run(struct load *ld)
{
	struct epoll_event ev[256];

	for (uint32_t i = 0; i < ld->connections; i++) {
		struct conn *c = &ld->conns[i];
		const uint32_t share = ld->phonec / ld->connections;

		c->phones = &ld->phones[i * share];
		c->count = share;
		connect_one(ld, c);
	}

	ld->begin_us = now_us();
	ld->end_us = ld->begin_us + ld->seconds * 1000000ull;
	for (uint32_t i = 0; i < ld->connections; i++)
		ask(ld, &ld->conns[i]);

	while (ld->open) {
		const int n = epoll_wait(ld->ep, ev, 256, 5000);

		if (n <= 0)
			die("no answer for 5 s; %u requests are lost",
			    ld->open);
		for (int i = 0; i < n; i++)
			readable(ld, ev[i].data.ptr);
	}
}


static double percentile(const struct load *ld, double share)
{
	uint64_t rank = (uint64_t)((double)ld->done * share), seen = 0;

	for (uint32_t i = 0; i < BUCKETS; i++) {
		seen += ld->bucket[i];
		if (seen > rank)
			return (i + 1) * 5 / 1000.0;
	}
	return 0;
}


static void report(const struct load *ld)
{
	const double seconds = (double)(now_us() - ld->begin_us) / 1e6;
	FILE *f = fopen(ld->final_path, "we");

	if (!f)
		die("cannot write %s: %s", ld->final_path, strerror(errno));
	for (uint32_t i = 0; i < ld->phonec; i++)
		if (ld->phones[i].known)
			fprintf(f, "%s %s\n", ld->phones[i].id,
				ld->phones[i].active ? "active" : "inactive");
	(void)fclose(f);

	printf("{\"requests\": %llu, \"seconds\": %.3f, \"per_s\": %.1f, "
	       "\"p50_ms\": %.3f, \"p99_ms\": %.3f, \"max_ms\": %.3f}\n",
	       (unsigned long long)ld->done, seconds,
	       (double)ld->done / seconds, percentile(ld, 0.5),
	       percentile(ld, 0.99), (double)ld->worst_us / 1000.0);
}


int main(int argc, char **argv)
{
	static const struct option opts[] = {
		{ "port", required_argument, NULL, 'p' },
		{ "ca", required_argument, NULL, 'c' },
		{ "phones", required_argument, NULL, 'f' },
		{ "connections", required_argument, NULL, 'n' },
		{ "seconds", required_argument, NULL, 's' },
		{ "final", required_argument, NULL, 'o' },
		{ NULL, 0, NULL, 0 },
	};
	struct load ld = { .connections = 128, .seconds = 5 };
	int c;

	while ((c = getopt_long(argc, argv, "", opts, NULL)) != -1) {
		switch (c) {
		case 'p':
			ld.port = (uint16_t)atoi(optarg);
			break;
		case 'c':
			ld.ca = optarg;
			break;
		case 'f':
			ld.phones_path = optarg;
			break;
		case 'n':
			ld.connections = (uint32_t)atoi(optarg);
			break;
		case 's':
			ld.seconds = (uint32_t)atoi(optarg);
			break;
		case 'o':
			ld.final_path = optarg;
			break;
		default:
			return 64;
		}
	}
	if (!ld.port || !ld.ca || !ld.phones_path || !ld.final_path ||
	    !ld.connections)
		die("--port, --ca, --phones, --final are needed");

	ld.ctx = SSL_CTX_new(TLS_client_method());
	if (!ld.ctx || SSL_CTX_load_verify_locations(ld.ctx, ld.ca, NULL) != 1)
		die("cannot use %s", ld.ca);
	SSL_CTX_set_verify(ld.ctx, SSL_VERIFY_PEER, NULL);
	ld.ep = epoll_create1(EPOLL_CLOEXEC);
	ld.bucket = calloc(BUCKETS, sizeof(*ld.bucket));
	ld.conns = calloc(ld.connections, sizeof(*ld.conns));
	if (ld.ep < 0 || !ld.bucket || !ld.conns)
		die("no memory");

	phones_read(&ld);
	run(&ld);
	report(&ld);
	return 0;
}
