/**
 * @file drv/endpoint.c  The URL that a browser's push service has given out
 */

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "mediator/drv/endpoint.h"

#define SCHEME     "https://"
#define HOST_CHARS "abcdefghijklmnopqrstuvwxyz0123456789-."

enum { HTTPS = 443, PORT_MAX = 65535, PORT_DIGITS = 5 };


/* What follows the host: nothing, or ":port" */
static int port_read(uint16_t *port, const char *text, size_t len)
{
	unsigned long n;
	char digits[PORT_DIGITS + 1];

	*port = HTTPS;
	if (!len)
		return 0;
	if (*text != ':' || len == 1 || len > sizeof(digits))
		return EBADMSG;

	memcpy(digits, text + 1, len - 1);
	digits[len - 1] = '\0';
	if (strspn(digits, "0123456789") != len - 1)
		return EBADMSG;
	n = strtoul(digits, NULL, 10);
	if (!n || n > PORT_MAX)
		return EBADMSG;

	*port = (uint16_t)n;
	return 0;
}


static bool host_good(const char *host)
{
	const size_t n = strlen(host);

	return n && strspn(host, HOST_CHARS) == n && *host != '.' &&
	       *host != '-' && host[n - 1] != '.' && !strstr(host, "..");
}


/* "host" or "host:port" */
static int authority_read(char host[ENDPOINT_HOST], uint16_t *port,
			  const char *text, size_t len)
{
	const char *colon = memchr(text, ':', len);
	const size_t n = colon ? (size_t)(colon - text) : len;

	if (n >= ENDPOINT_HOST)
		return EBADMSG;
	for (size_t i = 0; i < n; i++)
		host[i] = (char)tolower((unsigned char)text[i]);
	host[n] = '\0';

	return host_good(host) ? port_read(port, text + n, len - n) : EBADMSG;
}


int endpoint_read(struct endpoint *ep, const char *url, size_t len)
{
	const size_t scheme = strlen(SCHEME);
	const char *path;
	int err;

	if (len <= scheme || len > ENDPOINT_MAX ||
	    strncmp(url, SCHEME, scheme))
		return EBADMSG;
	for (size_t i = 0; i < len; i++)
		if (url[i] <= ' ' || url[i] >= 0x7f ||
		    strchr("\"#<>\\^`{|}", url[i]))
			return EBADMSG;
	path = memchr(url + scheme, '/', len - scheme);
	if (!path)
		return EBADMSG;

	err = authority_read(ep->host, &ep->port, url + scheme,
			     (size_t)(path - url) - scheme);
	if (err)
		return err;

	if (ep->port == HTTPS)
		(void)snprintf(ep->origin, sizeof(ep->origin), SCHEME "%s",
			       ep->host);
	else
		(void)snprintf(ep->origin, sizeof(ep->origin), SCHEME "%s:%u",
			       ep->host, ep->port);
	return 0;
}


int endpoint_pattern_check(const char *pattern)
{
	char host[ENDPOINT_HOST];
	uint16_t port;

	if (!strcmp(pattern, "*"))
		return 0;
	if (!strncmp(pattern, "*.", 2))
		pattern += 2;

	return authority_read(host, &port, pattern, strlen(pattern)) ? EINVAL
								     : 0;
}


/* Names of the net end in letters; what the resolver would take for a
   number, in all its old forms, does not */
static bool has_name(const char *host)
{
	const char *dot = strrchr(host, '.');

	return dot && isalpha((unsigned char)dot[1]);
}


bool endpoint_fits(const struct endpoint *ep, const char *pattern)
{
	const bool below = !strncmp(pattern, "*.", 2);
	const size_t n = strlen(ep->host);
	char host[ENDPOINT_HOST];
	uint16_t port;
	size_t m;

	if (!strcmp(pattern, "*"))
		return ep->port == HTTPS && has_name(ep->host);
	if (authority_read(host, &port, pattern + (below ? 2 : 0),
			   strlen(pattern) - (below ? 2 : 0)) ||
	    port != ep->port)
		return false;
	if (!below)
		return !strcmp(host, ep->host);

	m = strlen(host);
	return n > m + 1 && ep->host[n - m - 1] == '.' &&
	       !strcmp(ep->host + n - m, host);
}
