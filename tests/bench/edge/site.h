/**
 * @file site.h  A PBX, its phones, and the proxy between them
 */

#ifndef BENCH_EDGE_SITE_H
#define BENCH_EDGE_SITE_H

#include <stdint.h>
#include "way.h"

#define SITE_DOMAIN "bench.test"

struct call;
struct phone;

struct site_prm {
	struct sockaddr_in pbx;   /**< we listen there */
	struct sockaddr_in proxy; /**< where the PBX sends its calls */
	struct sockaddr_in edge;  /**< where phones send theirs */
	enum way_tp tp;           /**< of the phones */
	unsigned users;
};

struct site {
	struct site_prm prm;
	int epoll;
	SSL_CTX *ctx;
	struct way *pbx;
	char **contacts; /**< what the PBX has been told, by user */
	unsigned pbx_registers;

	struct phone *phonev;
	unsigned phonec;
	unsigned pending, bound, failed, answered; /**< of REGISTERs */

	struct call *callv;
	unsigned run, callc, started, done;
	unsigned refused; /**< final answers that are no 2xx */
	int refusal;      /**< the last of them */
	unsigned repeats; /**< INVITEs that came again */
};

int site_open(struct site *s, const struct site_prm *prm);
void site_close(struct site *s);
/** Until something has come in, or for so long */
void site_turn(struct site *s, int wait_ms);
uint64_t site_now_us(void);

/** Who speaks: a phone, or the PBX (NULL) */
const char *site_contact(const struct site *s, const struct phone *p,
			 char *buf, size_t size);
void site_send(const struct site *s, const struct phone *p,
	       const struct out *o, const struct sockaddr_in *to);
void site_via(const struct site *s, const struct phone *p, struct out *o,
	      const char *branch);

#endif
