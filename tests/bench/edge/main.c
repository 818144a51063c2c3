/**
 * @file tests/bench/edge/main.c  The load of scripts/bench edge
 *
 *     bench-edge PBX PROXY EDGE udp|tcp|tls USERS
 *
 * Reads commands, one per line, and answers each with a line of JSON when it
 * is done:
 *
 *     phones COUNT WINDOW         open and register
 *     refresh RATE COUNT          REGISTERs
 *     calls RATE COUNT in|out|both
 *     state                       who is bound; with all that has come in
 *     drop                        close all ways
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <poll.h>
#include <strings.h>
#include <unistd.h>
#include <arpa/inet.h>
#include <signal.h>
#include <sys/resource.h>
#include "call.h"
#include "phone.h"


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


static bool transport(const char *s, enum way_tp *tp)
{
	for (*tp = WAY_UDP; *tp <= WAY_TLS; ++*tp)
		if (!strcasecmp(s, way_name(*tp)))
			return true;

	return false;
}


static void tell(const struct site *s)
{
	printf("{\"phones\":%u,\"bound\":%u,\"answered\":%u,\"failed\":%u,"
	       "\"started\":%u,\"done\":%u,\"refused\":%u,\"refusal\":%d,"
	       "\"repeats\":%u,\"pbx_registers\":%u}\n",
	       s->phonec, s->bound, s->answered, s->failed, s->started,
	       s->done, s->refused, s->refusal, s->repeats, s->pbx_registers);
	(void)fflush(stdout);
}


static bool command(struct site *s, const char *line)
{
	unsigned a, b;
	char word[8];

	if (sscanf(line, "phones %u %u", &a, &b) == 2 && a <= s->prm.users)
		phones_open(s, a, b ? b : 1);
	else if (sscanf(line, "refresh %u %u", &a, &b) == 2 && a && s->phonec)
		phones_refresh(s, a, b);
	else if (sscanf(line, "calls %u %u %7s", &a, &b, word) == 3 && a)
		calls_run(s, a, b,
			  !strcmp(word, "in")    ? CALL_IN
			  : !strcmp(word, "out") ? CALL_OUT
						 : CALL_BOTH);
	else if (!strncmp(line, "drop", 4))
		phones_close(s);
	else if (strncmp(line, "state", 5))
		return false;

	tell(s);
	return true;
}


/* Commands come one at a time; between them the PBX answers */
static void serve(struct site *s)
{
	struct pollfd v[2] = { { .fd = STDIN_FILENO, .events = POLLIN },
			       { .fd = s->epoll, .events = POLLIN } };
	char line[128];

	while (poll(v, 2, -1) >= 0) {
		if (v[1].revents)
			site_turn(s, 0);
		if (v[0].revents) {
			const ssize_t n =
				read(STDIN_FILENO, line, sizeof(line) - 1);

			line[n > 0 ? n : 0] = '\0';
			if (n <= 0 || !command(s, line))
				return;
		}
	}
}


int main(int argc, char **argv)
{
	struct rlimit lim;
	struct site_prm prm = { 0 };
	struct site s = { 0 };
	int err;

	if (argc != 6 || !address(argv[1], &prm.pbx) ||
	    !address(argv[2], &prm.proxy) || !address(argv[3], &prm.edge) ||
	    !transport(argv[4], &prm.tp) ||
	    !(prm.users = (unsigned)strtoul(argv[5], NULL, 10))) {
		fputs("usage: bench-edge PBX PROXY EDGE udp|tcp|tls USERS\n",
		      stderr);
		return 64;
	}

	(void)signal(SIGPIPE, SIG_IGN);
	if (!getrlimit(RLIMIT_NOFILE, &lim)) {
		lim.rlim_cur = lim.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &lim);
	}
	err = site_open(&s, &prm);
	if (err)
		fprintf(stderr, "bench-edge: %s\n", strerror(err));
	else {
		tell(&s);
		serve(&s);
	}
	site_close(&s);

	return err ? 1 : 0;
}
