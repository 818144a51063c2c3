/**
 * @file net/fail.c  How a request ended below HTTP
 */

#include "mediator/net/fail.h"


enum net_fail net_fail(CURLcode rc, bool sent)
{
	switch (rc) {

	case CURLE_OK:
		return NET_OK;

	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_COULDNT_RESOLVE_PROXY:
	case CURLE_COULDNT_CONNECT:
	case CURLE_SSL_CONNECT_ERROR:
		return NET_UNSENT;

	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CACERT_BADFILE:
	case CURLE_SSL_CERTPROBLEM:
	case CURLE_SSL_ISSUER_ERROR:
		return NET_UNTRUSTED;

	case CURLE_OPERATION_TIMEDOUT:
		return sent ? NET_TIMEOUT : NET_UNSENT;

	case CURLE_ABORTED_BY_CALLBACK:
		return NET_TURNED_BACK;

	case CURLE_OUT_OF_MEMORY:
	case CURLE_URL_MALFORMAT:
	case CURLE_UNSUPPORTED_PROTOCOL:
	case CURLE_BAD_FUNCTION_ARGUMENT:
	case CURLE_FAILED_INIT:
		return NET_BROKEN;

	default:
		/* 16, 18, 52, 55, 56, 92 and whatever comes with time */
		return sent ? NET_LOST : NET_UNSENT;
	}
}


const char *net_fail_name(enum net_fail fail)
{
	switch (fail) {

	case NET_OK:
		return "ok";
	case NET_UNSENT:
		return "no connection";
	case NET_UNTRUSTED:
		return "certificate not trusted";
	case NET_TURNED_BACK:
		return "turned back";
	case NET_BARRED:
		return "address of a private network";
	case NET_LOST:
		return "connection lost";
	case NET_TIMEOUT:
		return "no answer in time";
	case NET_BROKEN:
		return "internal error";
	}

	return "?";
}
