/**
 * @file tests/bench/registrar/main.c  The PBX of the benches
 *
 * One thread, one UDP socket.  It answers as fast as it can, checks every
 * digest, remembers every binding, and calls the users it has.
 */

#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <arpa/inet.h>
#include <sys/prctl.h>
#include "caller.h"
#include "control.h"
#include "registrar.h"

struct bench {
	struct udp *udp;
	struct registrar *registrar;
	struct caller *caller;
	struct control *control;
};

struct args {
	struct registrar_prm prm;
	struct sockaddr_in listen;
	const char *domain;
	uint16_t control;
};


static void recv_handler(const char *buf, size_t len,
			 const struct sockaddr_in *from, void *arg)
{
	struct bench *b = arg;
	struct text t;

	if (len <= 4) /* keep-alive */
		return;
	if (text_read(&t, buf, len))
		registrar_malformed(b->registrar);
	else if (t.scode)
		(void)caller_response(b->caller, &t);
	else
		registrar_recv(b->registrar, &t, from);
}


static bool turn(struct bench *b)
{
	struct pollfd v[3] = { { .fd = udpsock_fd(b->udp),
				 .events = POLLIN } };
	const uint64_t wait = caller_poll(b->caller);
	struct timespec ts = { .tv_sec = (time_t)(wait / 1000000000),
			       .tv_nsec = (long)(wait % 1000000000) };

	registrar_send_failed(b->registrar, udpsock_flush(b->udp));
	control_fds(b->control, &v[1].fd, &v[2].fd);
	v[1].events = v[2].events = POLLIN;
	if (ppoll(v, 3, wait == UINT64_MAX ? NULL : &ts, NULL) <= 0)
		return true;

	if (v[0].revents)
		(void)udpsock_recv(b->udp, recv_handler, b);
	registrar_send_failed(b->registrar, udpsock_flush(b->udp));
	if (v[2].revents && control_read(b->control))
		return false;
	if (v[1].revents)
		control_accept(b->control);
	return true;
}


static int serve(const struct args *a)
{
	struct bench b = { 0 };
	struct registrar_prm prm = a->prm;
	struct control_prm cprm = { .domain = a->domain, .port = a->control };
	int err;

	err = udpsock_alloc(&b.udp, &a->listen);
	if (err)
		goto out;
	prm.udp = b.udp;
	err = registrar_alloc(&b.registrar, &prm);
	if (err)
		goto out;
	err = caller_alloc(&b.caller, b.udp, registrar_users(b.registrar));
	if (err)
		goto out;
	cprm.registrar = b.registrar;
	cprm.caller = b.caller;
	err = control_alloc(&b.control, &cprm);
	if (err)
		goto out;

	printf("{\"ready\":true,\"sip\":%u,\"control\":%u}\n",
	       ntohs(udpsock_laddr(b.udp)->sin_port), control_port(b.control));
	(void)fflush(stdout);
	while (turn(&b))
		;
	registrar_print(b.registrar, stdout);
out:
	if (err)
		fprintf(stderr, "registrar: %s\n", strerror(err));
	if (b.control)
		control_free(b.control);
	if (b.caller)
		caller_free(b.caller);
	if (b.registrar)
		registrar_free(b.registrar);
	if (b.udp)
		udpsock_free(b.udp);
	return err ? 1 : 0;
}


static bool number(const char *s, uint32_t *n)
{
	char *end;
	unsigned long v = strtoul(s, &end, 10);

	*n = (uint32_t)v;
	return *s && !*end && v <= UINT32_MAX;
}


static bool address(const char *s, struct sockaddr_in *sa)
{
	char ip[64];
	unsigned port;

	if (sscanf(s, "%63[0-9.]:%u", ip, &port) != 2 || port > 65535)
		return false;
	sa->sin_family = AF_INET;
	sa->sin_port = htons((uint16_t)port);
	return inet_pton(AF_INET, ip, &sa->sin_addr) == 1;
}


static bool option(struct args *a, int c, const char *val)
{
	uint32_t n;

	switch (c) {
	case 'l':
		return address(val, &a->listen);
	case 'c':
		if (!number(val, &n) || n > 65535)
			return false;
		a->control = (uint16_t)n;
		return true;
	case 'u':
		return number(val, &a->prm.users) && a->prm.users;
	case 'g':
		return number(val, &a->prm.grant_s) && a->prm.grant_s;
	case 'n':
		return number(val, &a->prm.nonce_life_s);
	case 'r':
		a->prm.realm = val;
		return true;
	case 'd':
		a->domain = val;
		return true;
	default:
		return false;
	}
}


int main(int argc, char **argv)
{
	static const struct option longopts[] = {
		{ "listen", required_argument, NULL, 'l' },
		{ "control", required_argument, NULL, 'c' },
		{ "users", required_argument, NULL, 'u' },
		{ "grant", required_argument, NULL, 'g' },
		{ "nonce-life", required_argument, NULL, 'n' },
		{ "realm", required_argument, NULL, 'r' },
		{ "domain", required_argument, NULL, 'd' },
		{ NULL, 0, NULL, 0 },
	};
	struct args a = { .prm = { .users = 1000,
				   .realm = "bench.test",
				   .grant_s = 3600,
				   .nonce_life_s = 3600 },
			  .domain = "bench.test" };
	int c;

	(void)address("127.0.0.1:5060", &a.listen);
	while ((c = getopt_long(argc, argv, "", longopts, NULL)) != -1)
		if (!option(&a, c, optarg)) {
			fputs("usage: registrar [--listen IP:PORT] "
			      "[--control PORT] [--users N] [--grant S]\n"
			      "  [--nonce-life S] [--realm R] [--domain D]\n"
			      "Commands: tests/bench/registrar/control.h\n",
			      stderr);
			return 64;
		}

	(void)prctl(PR_SET_TIMERSLACK, 1);
	(void)signal(SIGPIPE, SIG_IGN);
	return serve(&a);
}
