/**
 * @file medserver.h  A mediator that does as it is told
 *
 * A TLS server of the test's own process that speaks the wire.  It records
 * what it was sent and answers each push in its mode.
 */

#ifndef TESTS_UNIT_MED_MEDSERVER_H
#define TESTS_UNIT_MED_MEDSERVER_H

#include <re/re.h>
#include "proto/wire.h"
#include "tests/unit/common/testcerts.h"

enum { MEDSERVER_SEEN = 512, MEDSERVER_CONNS = 8 };

enum medserver_mode {
	MODE_ANSWER, /**< DELIVERED at once */
	MODE_SILENT,
	MODE_LATER, /**< RETRY_LATER */
	MODE_GONE,  /**< TOKEN_GONE */
	MODE_DROP,  /**< closes at the first push */
	MODE_NO_HELLO,
	MODE_OLD_HELLO, /**< speaks another version */
	MODE_HOLD,      /**< keeps them until it is told */
};

struct medserver;

struct medserver_conn {
	struct medserver *sv;
	struct tcp_conn *tc;
	struct tls_conn *tlsc;
	struct wire_dec *dec;
};

struct medserver_push {
	uint8_t id[WIRE_ID_LEN];
	Wire__Use use;
	char call[64], instance[64], from[128], display_name[64], reason[64];
	char handle[64];
	bool video;
	int64_t received_ms, expires_ms, send_by_ms;
	struct medserver_conn *conn;
};

struct medserver {
	struct tls *tls;
	struct tcp_sock *ts;
	struct sa addr;
	enum medserver_mode mode;
	uint32_t window;
	int64_t ahead_ms; /**< its clock is that far ahead of ours */
	bool ponging;     /**< it answers pings */
	struct medserver_conn connv[MEDSERVER_CONNS];
	unsigned connc, hellos, pings, pongs;
	struct medserver_push seen[MEDSERVER_SEEN];
	unsigned seenc, held, most;
	char node[64];
};

/** "ca", and of it "server" (127.0.0.1, push.example.com) and "client" (tenant
    t1); testcerts_close() takes them away.  0 or -1 */
int medserver_certs(struct testcerts **certsp);

/** Listens on 127.0.0.1; cert and "ca" are files of certs */
void medserver_open(struct medserver *sv, struct testcerts *certs,
		    const char *cert);
/** Again on the same port, after medserver_stop() */
void medserver_listen(struct medserver *sv);
void medserver_stop(struct medserver *sv);
void medserver_free(struct medserver *sv);

int medserver_send(struct medserver_conn *c, const Wire__Envelope *env);
void medserver_result(struct medserver_conn *c, uint8_t *id,
		      Wire__Outcome outcome);
/** Its answer comes behind all that was sent before */
void medserver_ping(struct medserver_conn *c);
void medserver_drop(struct medserver_conn *c);

#endif
