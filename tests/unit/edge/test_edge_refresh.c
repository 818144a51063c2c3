/**
 * @file test_edge_refresh.c  Pushes before bindings run out, in virtual time
 *
 * The linker leads the clock, the push and the look at the bindings here
 * (--wrap), and the beat's handler is called by hand: hours take moments.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "sipis/edge/flow.h"
#include "sipis/edge/priv.h"
#include "sipis/edge/wake.h"
#include "tests/unit/common/unit.h"
#include "tests/unit/common/loop.h"

enum { PHONES = 10000, PER_S = 50, GRANT_S = 14400, LEAD_S = 3600 };

enum what { GO_OUT, LATER, FAIL, STAY }; /* what becomes of a push */

struct edge_wake {
	edge_wake_h *h;
	void *arg;
};

struct fixture {
	struct edge edge;
	struct edge_cfg cfg;
	uint64_t now_ms;
	enum what what;
	unsigned pushes, beat; /**< all, and of this second */
	unsigned times[PHONES];
	uint64_t last_s[PHONES];
	struct edge_wake *stay[PHONES];
	unsigned stays;
	struct edge_binding here; /**< of whom no push is wanted */
	struct edge_flow flow;
	bool is_here;
};

static struct fixture *world; /* the wrapped know no argument of ours */

/* The names are the linker's */
/* NOLINTBEGIN(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp) */
uint64_t __wrap_clock_mono_ms(void);
int __wrap_edge_wake(struct edge_wake **wp, const struct edge_wake_prm *prm);
void __wrap_edge_wake_stop(struct edge_wake **wp);
struct edge_binding *__wrap_edge_binding_of(const struct edge *e,
					    const uint8_t phone[EDGE_PHONE]);


uint64_t __wrap_clock_mono_ms(void)
{
	return world->now_ms;
}


int __wrap_edge_wake(struct edge_wake **wp, const struct edge_wake_prm *prm)
{
	const unsigned long i = strtoul(prm->id, NULL, 10);
	struct edge_wake *w;

	assert_in_range(i, 0, PHONES - 1);
	assert_true(prm->life_ms > 0);
	if (world->what == FAIL)
		return ENOMEM;

	w = *wp = calloc(1, sizeof(*w));
	assert_non_null(w);
	*w = (struct edge_wake){ prm->h, prm->arg };
	++world->pushes;
	++world->beat;
	++world->times[i];
	world->last_s[i] = world->now_ms / 1000;
	world->stay[world->stays++] = w;

	return 0;
}


void __wrap_edge_wake_stop(struct edge_wake **wp)
{
	struct edge_wake *w = *wp;

	*wp = NULL;
	for (unsigned i = 0; w && i < world->stays; i++)
		if (world->stay[i] == w)
			world->stay[i] = NULL;
	free(w);
}


struct edge_binding *__wrap_edge_binding_of(const struct edge *e,
					    const uint8_t phone[EDGE_PHONE])
{
	(void)e;

	return world->is_here && !memcmp(phone, world->here.phone, EDGE_PHONE)
		       ? &world->here
		       : NULL;
}
/* NOLINTEND(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp) */


static void binding_of(struct edge_binding *b, unsigned i)
{
	memset(b, 0, sizeof(*b));
	memcpy(b->phone, &i, sizeof(i));
	(void)re_snprintf(b->id, sizeof(b->id), "%u", i);
}


static void set(struct fixture *f, unsigned i, uint32_t expires_s)
{
	struct edge_binding b;

	binding_of(&b, i);
	assert_int_equal(edge_refresh_set(&f->edge, &b, expires_s), 0);
}


/* What the mediators say of the pushes of this second */
static void answer(struct fixture *f)
{
	const enum edge_woken res =
		f->what == LATER ? EDGE_WAKE_LATER : EDGE_WOKEN;

	for (unsigned i = 0; f->what != STAY && i < f->stays; i++)
		if (f->stay[i])
			f->stay[i]->h(res, f->stay[i]->arg);
	if (f->what != STAY)
		f->stays = 0;
}


/* One second; false if nobody is waited for any more */
static bool second(struct fixture *f)
{
	tmr_h *h = f->edge.beat.th;
	void *arg = f->edge.beat.arg;

	if (!tmr_isrunning(&f->edge.beat))
		return false;

	f->now_ms += 1000;
	f->beat = 0;
	tmr_cancel(&f->edge.beat);
	h(arg);
	assert_in_range(f->beat, 0, PER_S);
	answer(f);

	return true;
}


static void until_s(struct fixture *f, uint64_t end_s)
{
	while (f->now_ms / 1000 < end_s && second(f))
		;
}


static int start(void **state)
{
	struct fixture *f = world = calloc(1, sizeof(*f));

	if (!f)
		return -1;

	f->now_ms = 1000000;
	f->here.flow = &f->flow;
	f->flow.edge = &f->edge;
	f->edge.prm.cfg = &f->cfg;
	f->cfg.flow_timer_s = 120;
	tmr_init(&f->edge.beat);
	*state = f;

	return edge_refresh_open(&f->edge);
}


static int stop(void **state)
{
	struct fixture *f = *state;

	edge_refresh_close(&f->edge);
	assert_int_equal(f->edge.sleeperc, 0);
	free(f);

	return 0;
}


static void test_refresh_lead(void **state)
{
	(void)state;

	assert_int_equal(edge_refresh_lead(0), 0);
	assert_int_equal(edge_refresh_lead(60), 30);
	assert_int_equal(edge_refresh_lead(300), 120);
	assert_int_equal(edge_refresh_lead(600), 150);
	assert_int_equal(edge_refresh_lead(GRANT_S), LEAD_S);
	assert_int_equal(edge_refresh_lead(UINT32_MAX), LEAD_S);
}


/* RFC 8599 5.6.1.1: bigger than 120, and before we push; a grant so short
   that it cannot be is refreshed by push alone */
static void test_refresh_by(void **state)
{
	static const uint32_t grants[] = { 162, 200, 240,    300,
					   600, 900, 604800, UINT32_MAX };
	(void)state;

	assert_int_equal(edge_refresh_by(0), 0);
	assert_int_equal(edge_refresh_by(60), 0);
	assert_int_equal(edge_refresh_by(161), 0);
	assert_int_equal(edge_refresh_by(600), 225);
	assert_int_equal(edge_refresh_by(604800), 5400);
	for (size_t i = 0; i < sizeof(grants) / sizeof(*grants); i++) {
		const uint32_t lead = edge_refresh_lead(grants[i]);
		const uint32_t by = edge_refresh_by(grants[i]);

		assert_in_range(by, 121, grants[i] - grants[i] / 4);
		assert_in_range(lead, 1, by - 1);
	}
}


/* All have registered in one second, as after a restart: never more than 50
   a second, each of them once, and none too late or before its time */
static void test_refresh_pace(void **state)
{
	struct fixture *f = *state;
	const uint64_t t0 = f->now_ms / 1000;

	for (unsigned i = 0; i < PHONES; i++)
		set(f, i, GRANT_S);
	until_s(f, t0 + GRANT_S - LEAD_S - 1);
	assert_int_equal(f->pushes, 0);
	until_s(f, t0 + GRANT_S - LEAD_S + PHONES / PER_S + 1);
	assert_int_equal(f->pushes, PHONES);
	for (unsigned i = 0; i < PHONES; i++) {
		assert_int_equal(f->times[i], 1);
		assert_in_range(f->last_s[i], t0 + GRANT_S - LEAD_S,
				t0 + GRANT_S - 1);
	}
	assert_int_equal(f->edge.sleeperc, 0);
	(void)second(f);
	assert_false(second(f)); /* the beat rests */
}


/* It has registered again while others were pushed before it */
static void test_refresh_back_in_time(void **state)
{
	struct fixture *f = *state;
	const uint64_t t0 = f->now_ms / 1000;

	for (unsigned i = 0; i < 3 * PER_S; i++)
		set(f, i, GRANT_S);
	until_s(f, t0 + GRANT_S - LEAD_S);
	assert_int_equal(f->pushes, PER_S);
	for (unsigned i = 0; i < 3 * PER_S; i++)
		if (!f->times[i])
			set(f, i, GRANT_S);
	until_s(f, t0 + GRANT_S - 1);
	assert_int_equal(f->pushes, PER_S);
	until_s(f, t0 + 2 * GRANT_S);
	assert_int_equal(f->pushes, 3 * PER_S);
	for (unsigned i = 0; i < 3 * PER_S; i++)
		assert_int_equal(f->times[i], 1);
}


/* Signed off while it is due, and while its push is on its way */
static void test_refresh_signs_off(void **state)
{
	struct fixture *f = *state;
	const uint64_t t0 = f->now_ms / 1000;
	struct edge_binding b;

	f->what = STAY;
	for (unsigned i = 0; i < 2 * PER_S; i++)
		set(f, i, GRANT_S);
	until_s(f, t0 + GRANT_S - LEAD_S);
	for (unsigned i = 0; i < 2 * PER_S; i++) {
		binding_of(&b, i);
		edge_refresh_drop(&f->edge, b.phone);
		edge_refresh_drop(&f->edge, b.phone); /* nor twice */
	}
	assert_int_equal(f->edge.sleeperc, 0);
	until_s(f, t0 + GRANT_S);
	assert_int_equal(f->pushes, PER_S);
}


/* Connected over TCP or TLS it refreshes by itself; it is looked at again */
static void test_refresh_awake(void **state)
{
	struct fixture *f = *state;
	const uint64_t t0 = f->now_ms / 1000;

	binding_of(&f->here, 7);
	f->here.flow = &f->flow;
	f->flow.tp = SIP_TRANSP_TLS;
	f->is_here = true;
	set(f, 7, GRANT_S);
	until_s(f, t0 + GRANT_S - 1200);
	assert_int_equal(f->pushes, 0);
	f->is_here = false; /* it sleeps */
	until_s(f, t0 + GRANT_S - 1);
	assert_int_equal(f->times[7], 1);
}


/* A UDP flow tells nobody that it has ended: who has said nothing since its
   REGISTER is pushed, also when that is not long ago */
static void test_refresh_udp(void **state)
{
	static const uint32_t grants[] = { 60, 200, 600 };
	struct fixture *f = *state;

	binding_of(&f->here, 7);
	f->here.flow = &f->flow;
	f->flow.tp = SIP_TRANSP_UDP;
	f->is_here = true;
	for (unsigned i = 0; i < sizeof(grants) / sizeof(*grants); i++) {
		const uint64_t t0 = f->now_ms / 1000;

		f->flow.heard = f->now_ms;
		set(f, 7, grants[i]);
		until_s(f, t0 + grants[i] - edge_refresh_lead(grants[i]) + 1);
		assert_int_equal(f->times[7], i + 1);
	}
}


/* It pings, and refreshes by itself; then it says nothing more */
static void test_refresh_udp_pings(void **state)
{
	struct fixture *f = *state;
	const uint64_t t0 = f->now_ms / 1000;

	binding_of(&f->here, 7);
	f->here.flow = &f->flow;
	f->flow.tp = SIP_TRANSP_UDP;
	f->is_here = true;
	set(f, 7, GRANT_S);
	while (f->now_ms / 1000 < t0 + GRANT_S - 1200) {
		f->flow.heard = f->now_ms;
		until_s(f, f->now_ms / 1000 + 30);
	}
	assert_int_equal(f->times[7], 0);
	until_s(f, t0 + GRANT_S - 1);
	assert_int_equal(f->times[7], 1);
}


/* No mediator can: three tries, spread over what is left */
static void test_refresh_nobody_can(void **state)
{
	struct fixture *f = *state;
	const uint64_t t0 = f->now_ms / 1000;

	f->what = LATER;
	set(f, 1, GRANT_S);
	until_s(f, t0 + GRANT_S - LEAD_S + 1);
	assert_int_equal(f->times[1], 1);
	until_s(f, t0 + GRANT_S - LEAD_S + 60);
	assert_int_equal(f->times[1], 1);
	until_s(f, t0 + 2 * GRANT_S);
	assert_int_equal(f->times[1], 3);
	assert_int_equal(f->edge.sleeperc, 0);
}


/* We cannot even ask: it ends with the binding, and is no busy loop */
static void test_refresh_out_of_memory(void **state)
{
	struct fixture *f = *state;
	const uint64_t t0 = f->now_ms / 1000;

	f->what = FAIL;
	set(f, 1, GRANT_S);
	until_s(f, t0 + GRANT_S - 1800);
	f->what = GO_OUT;
	until_s(f, t0 + GRANT_S - 1);
	assert_int_equal(f->times[1], 1);
	f->what = FAIL;
	set(f, 2, GRANT_S);
	until_s(f, t0 + 3 * GRANT_S);
	assert_int_equal(f->edge.sleeperc, 0);
}


#define REFRESH(t) cmocka_unit_test_setup_teardown(t, start, stop)


int main(void)
{
	const struct CMUnitTest tests[] = {
		REFRESH(test_refresh_lead),
		REFRESH(test_refresh_by),
		REFRESH(test_refresh_pace),
		REFRESH(test_refresh_back_in_time),
		REFRESH(test_refresh_signs_off),
		REFRESH(test_refresh_awake),
		REFRESH(test_refresh_udp),
		REFRESH(test_refresh_udp_pings),
		REFRESH(test_refresh_nobody_can),
		REFRESH(test_refresh_out_of_memory),
	};

	return cmocka_run_group_tests(tests, loop_open, loop_close);
}
