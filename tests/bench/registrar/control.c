/**
 * @file control.c  Commands to the registrar over TCP on loopback
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>
#include "control.h"

struct control {
	struct control_prm prm;
	int listener, client;
	char line[1024];
	size_t len;
};


int control_alloc(struct control **cp, const struct control_prm *prm)
{
	struct control *c = calloc(1, sizeof(*c));
	struct sockaddr_in sa = { .sin_family = AF_INET,
				  .sin_port = htons(prm->port),
				  .sin_addr = { htonl(INADDR_LOOPBACK) } };
	const int on = 1;
	int err;

	if (!c)
		return ENOMEM;

	c->prm = *prm;
	c->client = -1;
	c->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	(void)setsockopt(c->listener, SOL_SOCKET, SO_REUSEADDR, &on,
			 sizeof(on));
	if (c->listener < 0 ||
	    bind(c->listener, (struct sockaddr *)&sa, sizeof(sa)) ||
	    listen(c->listener, 8)) {
		err = errno;
		control_free(c);
		return err;
	}

	*cp = c;
	return 0;
}


void control_free(struct control *c)
{
	if (c->client >= 0)
		(void)close(c->client);
	if (c->listener >= 0)
		(void)close(c->listener);
	free(c);
}


uint16_t control_port(const struct control *c)
{
	struct sockaddr_in sa = { 0 };
	socklen_t len = sizeof(sa);

	(void)getsockname(c->listener, (struct sockaddr *)&sa, &len);
	return ntohs(sa.sin_port);
}


void control_fds(const struct control *c, int *listener, int *client)
{
	*listener = c->listener;
	*client = c->client;
}


void control_accept(struct control *c)
{
	int fd = accept4(c->listener, NULL, NULL, SOCK_CLOEXEC);

	if (fd < 0)
		return;
	if (c->client >= 0)
		(void)close(c->client);
	c->client = fd;
	c->len = 0;
}


static void done(FILE *f, int err)
{
	if (err)
		fprintf(f, "{\"ok\":false,\"error\":\"%s\"}\n", strerror(err));
	else
		fputs("{\"ok\":true}\n", f);
}


static int invite(struct control *c, const char *args)
{
	struct caller_prm prm = { .domain = c->prm.domain };
	char ip[64] = "";
	unsigned port = 0;
	int n = sscanf(args, "%lf %u %u %u %63s %u", &prm.rate, &prm.count,
		       &prm.first, &prm.users, ip, &port);

	if (n != 4 && n != 6)
		return EINVAL;
	prm.target.sin_family = AF_INET;
	prm.target.sin_port = htons((uint16_t)port);
	if (n == 6 && inet_pton(AF_INET, ip, &prm.target.sin_addr) != 1)
		return EINVAL;

	return caller_start(c->prm.caller, &prm);
}


static bool command(struct control *c, const char *line, FILE *f)
{
	uint32_t n;

	if (!strcmp(line, "quit")) {
		done(f, 0);
		return true;
	}
	if (!strcmp(line, "stats")) {
		registrar_print(c->prm.registrar, f);
	}
	else if (!strcmp(line, "counts")) {
		registrar_counts(c->prm.registrar, f);
	}
	else if (!strcmp(line, "reset")) {
		registrar_reset(c->prm.registrar);
		done(f, 0);
	}
	else if (sscanf(line, "grant %u", &n) == 1) {
		registrar_set_grant(c->prm.registrar, n);
		done(f, 0);
	}
	else if (sscanf(line, "nonce-life %u", &n) == 1) {
		registrar_set_nonce_life(c->prm.registrar, n);
		done(f, 0);
	}
	else if (!strncmp(line, "invite ", 7)) {
		done(f, invite(c, line + 7));
	}
	else if (!strcmp(line, "calls")) {
		caller_print(c->prm.caller, f);
	}
	else if (!strncmp(line, "dump ", 5)) {
		done(f, caller_dump(c->prm.caller, line + 5));
	}
	else {
		done(f, EINVAL);
	}

	return false;
}


static bool answer(struct control *c, const char *line)
{
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);
	bool quit;

	if (!f)
		return false;
	quit = command(c, line, f);
	(void)fclose(f);
	for (size_t at = 0; at < len;) {
		ssize_t n = send(c->client, text + at, len - at, MSG_NOSIGNAL);

		if (n <= 0)
			break;
		at += (size_t)n;
	}

	free(text);
	return quit;
}


bool control_read(struct control *c)
{
	ssize_t n = recv(c->client, c->line + c->len,
			 sizeof(c->line) - 1 - c->len, 0);
	char *nl;
	bool quit = false;

	if (n <= 0) {
		(void)close(c->client);
		c->client = -1;
		return false;
	}

	c->len += (size_t)n;
	c->line[c->len] = '\0';
	while (!quit && (nl = strchr(c->line, '\n'))) {
		*nl = '\0';
		quit = answer(c, c->line);
		c->len -= (size_t)(nl + 1 - c->line);
		memmove(c->line, nl + 1, c->len + 1);
	}

	return quit;
}
