/**
 * @file test_edge_guest.c  Phones that are here for their dialogs alone
 *
 * They have answered before they registered again, or they have left.
 *
 * An edge in a site: a PBX and phones made of text, and all between them is
 * real, but what calls/ knows of the call that a 2xx answers: that is the
 * test's to say (--wrap), for test_late.c has it.  Time runs as it does, and
 * jumps where a test says so.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "common/clock.h"
#include "sipis/edge/flow.h"
#include "sipis/edge/priv.h"
#include "tests/unit/common/jump.h"
#include "tests/unit/common/unit.h"
#include "tests/unit/common/loop.h"
#include "tests/unit/edge/rawphone.h"
#include "tests/unit/lib/site.h"

enum {
	GUESTS = 1000,
	HOUR_S = 3600,
	PORTS = 10,
	AGAIN_MS = 32000,
	MUTE_MS = 21000
};

#define BOB "sip:200@pbx.test"

struct fix {
	struct site site;
	struct inst *in;
	struct api_cfg api;
	struct edge_cfg cfg;
	char listen[32], *listenv[1];
	struct sa addr; /**< of the edge */
	struct edge *edge;
	struct edge_key key;
	struct edge_binding *here; /**< NULL: it has not registered */
	struct rawphone phone, other;
	unsigned pings;
	char branch[32];

	/* what calls/ says, and what it has heard */
	enum calls_late late;
	unsigned asked, taken, rings, told;
	const char *reason;
	char via[32], inst[STORE_ID_LEN + 1];
};

static const uint8_t phone_id[EDGE_PHONE] = "one phone here.";
static const uint8_t other_id[EDGE_PHONE] = "another phone..";

/* The one that runs; those who are led astray (--wrap) know no test */
static struct fix *world;

/* The names are the linker's */
/* NOLINTBEGIN(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp) */
enum calls_late __wrap_calls_late(const struct calls *cs, uint64_t acct,
				  const struct sip_msg *resp,
				  const struct pl *branch);
int __wrap_calls_late_take(struct calls *cs, uint64_t acct, const char *inst,
			   const struct sip_msg *resp,
			   const struct pl *branch);
void __wrap_calls_late_rings(struct calls *cs, uint64_t acct, const char *inst,
			     const struct sip_msg *resp,
			     const struct pl *branch);
const char *__wrap_calls_late_told(struct calls *cs, uint64_t acct,
				   const char *inst,
				   const struct sip_msg *resp,
				   const struct pl *branch);


enum calls_late __wrap_calls_late(const struct calls *cs, uint64_t acct,
				  const struct sip_msg *resp,
				  const struct pl *branch)
{
	struct fix *f = world;

	assert_ptr_equal(cs, f->site.calls);
	assert_true(acct == f->site.row.id);
	assert_true(resp->scode < 300);
	(void)pl_strcpy(branch, f->via, sizeof(f->via));
	++f->asked;

	return f->late;
}


int __wrap_calls_late_take(struct calls *cs, uint64_t acct, const char *inst,
			   const struct sip_msg *resp, const struct pl *branch)
{
	struct fix *f = world;
	(void)resp;
	(void)branch;

	assert_ptr_equal(cs, f->site.calls);
	assert_true(acct == f->site.row.id);
	str_ncpy(f->inst, inst, sizeof(f->inst));
	++f->taken;

	return 0;
}


void __wrap_calls_late_rings(struct calls *cs, uint64_t acct, const char *inst,
			     const struct sip_msg *resp,
			     const struct pl *branch)
{
	struct fix *f = world;
	(void)resp;
	(void)branch;

	assert_ptr_equal(cs, f->site.calls);
	assert_true(acct == f->site.row.id);
	str_ncpy(f->inst, inst, sizeof(f->inst));
	++f->rings;
}


const char *__wrap_calls_late_told(struct calls *cs, uint64_t acct,
				   const char *inst,
				   const struct sip_msg *resp,
				   const struct pl *branch)
{
	struct fix *f = world;
	(void)resp;
	(void)branch;

	assert_ptr_equal(cs, f->site.calls);
	assert_true(acct == f->site.row.id);
	str_ncpy(f->inst, inst, sizeof(f->inst));
	++f->told;

	return f->late == CALLS_LATE_FOREIGN ? NULL : f->reason;
}
/* NOLINTEND(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp) */


/* --- the parts, as app.c connects them --- */

static bool pass_handler(struct pbx *pbx, const struct sip_msg *msg, void *arg)
{
	return edge_pass(((struct fix *)arg)->edge, pbx, msg);
}


static void open_inst(struct fix *f)
{
	const struct inst_prm prm = {
		.store = f->site.store,
		.reg = f->site.reg,
		.calls = f->site.calls,
		.med = f->site.med,
		.key = &f->site.key,
		.cfg = &f->api,
		.pbxv = &f->site.pbx,
		.pbxc = 1,
	};

	assert_int_equal(inst_alloc(&f->in, &prm), 0);
}


/* The edge wants to be told its port */
static void free_port(struct sa *sa)
{
	struct udp_sock *us;

	assert_int_equal(sa_set_str(sa, "127.0.0.1", 0), 0);
	assert_int_equal(udp_listen(&us, sa, NULL, NULL), 0);
	assert_int_equal(udp_local_get(us, sa), 0);
	mem_deref(us);
}


static void open_edge(struct fix *f)
{
	const struct edge_prm prm = {
		.cfg = &f->cfg,
		.store = f->site.store,
		.reg = f->site.reg,
		.calls = f->site.calls,
		.inst = f->in,
		.key = &f->site.key,
		.pbxv = &f->site.pbx,
		.pbxc = 1,
		.files = 1024,
	};
	char reason[256] = "";
	int err = EADDRINUSE;

	f->listenv[0] = f->listen;
	f->cfg = (struct edge_cfg){
		.listen = f->listenv,
		.listen_count = 1,
		.expires_s = 3600,
		.flow_timer_s = 120,
		.connections_per_address = 10,
		.requests_per_second = 100000,
		.bad_secrets_per_min = 10,
	};
	for (int i = 0; err == EADDRINUSE && i < PORTS; i++) {
		free_port(&f->addr);
		(void)re_snprintf(f->listen, sizeof(f->listen), "udp:%J",
				  &f->addr);
		err = edge_alloc(&f->edge, &prm, reason, sizeof(reason));
	}
	if (err)
		fail_msg("edge_alloc: %d %s", err, reason);
	assert_int_equal(edge_key_derive(&f->key, &f->site.key), 0);
	f->site.pass_arg = f;
	f->site.passh = pass_handler;
}


static int setup(void **state)
{
	static const struct pbx_cfg cfg = {
		.handover = CFG_HANDOVER_RELAY,
		.wake_timeout_s = 30,
		.ring_timeout_s = 60,
		.auth_failures = 2,
		.call_pushes_per_min = 10,
	};
	struct fix *f = world = calloc(1, sizeof(*f));

	assert_non_null(f);
	site_open(&f->site, *state, &cfg);
	site_account(&f->site);
	site_phone(&f->site, 'A');
	site_settle(&f->site);
	open_inst(f);
	open_edge(f);
	rawphone_open(&f->phone, &f->addr);
	rawphone_open(&f->other, &f->addr);
	*state = f;

	return 0;
}


static int teardown(void **state)
{
	struct fix *f = *state;
	int rc;

	edge_close(f->edge);
	inst_close(f->in);
	rawphone_close(&f->phone);
	rawphone_close(&f->other);
	mem_deref(f->in);
	f->site.passh = NULL;
	/* transactions of the profile may be the edge's */
	pbx_close(f->site.pbx);
	mem_deref(f->edge);
	rc = site_close(&f->site);
	free(f);

	return rc;
}


/* --- what they say --- */

static void token(char dst[EDGE_TOKEN_LEN + 1], const struct fix *f,
		  const uint8_t id[EDGE_PHONE], const char *callid,
		  bool begins)
{
	struct edge_token t = { .acct = f->site.row.id,
				.pbx = edge_token_pbx("p"),
				.begins = begins };
	struct pl pl;

	pl_set_str(&pl, callid);
	memcpy(t.phone, id, EDGE_PHONE);
	assert_int_equal(edge_token_write(dst, &f->key, &t, &pl), 0);
}


/** A 200 as a phone says it that had our INVITE before we were started */
struct words {
	const char *callid;
	const char *token;   /**< NULL: the phone's for callid */
	const char *met;     /**< NULL: INVITE */
	const char *below;   /**< Vias behind ours, NULL: the PBX's */
	const char *contact; /**< NULL: its address */
	const char *to;      /**< NULL: its To, with a tag */
	unsigned scode;      /**< 0: 200 */
	bool begins;         /**< its token stood in the first request */
};


static void answers(struct fix *f, struct rawphone *p, const struct words *w)
{
	char text[EDGE_TOKEN_LEN + 1], below[128], contact[64];

	token(text, f, phone_id, w->callid, w->begins);
	(void)re_snprintf(below, sizeof(below),
			  "Via: SIP/2.0/UDP %J;branch=z9hG4bKb1;rport=%u\r\n",
			  &f->site.peer.addr, sa_port(&f->site.peer.addr));
	(void)re_snprintf(contact, sizeof(contact), "<sip:100@%J>", &p->addr);
	rawphone_say(p,
		     "SIP/2.0 %u Word\r\n"
		     "Via: SIP/2.0/UDP %J;branch=z9hG4bKours\r\n"
		     "%s"
		     "Record-Route: <sip:%s@%J;lr>\r\n"
		     "From: <%s>;tag=f%s\r\n"
		     "To: %s\r\n"
		     "Call-ID: %s\r\n"
		     "CSeq: 1 %s\r\n"
		     "Contact: %s\r\n"
		     "Content-Length: 0\r\n\r\n",
		     w->scode ? w->scode : 200, &f->addr,
		     w->below ? w->below : below, w->token ? w->token : text,
		     &f->addr, BOB, w->callid,
		     w->to ? w->to : "<sip:100@pbx.test>;tag=phone", w->callid,
		     w->met ? w->met : "INVITE",
		     w->contact ? w->contact : contact);
}


static void becomes_guest(struct fix *f, struct rawphone *p,
			  const char *callid)
{
	f->late = CALLS_LATE_WAITED;
	f->taken = 0;
	answers(f, p, &(struct words){ .callid = callid });
	rawphone_settle(p);
	assert_int_equal(f->taken, 1);
}


static bool pbx_has_response(void *arg)
{
	const struct fix *f = arg;

	return rawpbx_response(&f->site.peer, f->branch, 0);
}


/* What each side said before has been read, and passed on */
static void settle(struct fix *f)
{
	static const struct rawpbx_response none = { .callid = "ping" };

	rawphone_settle(&f->phone);
	rawphone_settle(&f->other);
	(void)re_snprintf(f->branch, sizeof(f->branch), "ping%u", f->pings++);
	rawpbx_dialog(&f->site.peer, "OPTIONS", &none, f->branch, BOB, "", "");
	until(f, pbx_has_response);
	rawphone_settle(&f->phone);
	rawphone_settle(&f->other);
}


/* In the dialog with a phone, as its token names it */
static void pbx_says(struct fix *f, const char *met, const uint8_t *id,
		     const char *callid, const char *branch)
{
	struct rawpbx_response r = { .to_tag = "phone" };
	char text[EDGE_TOKEN_LEN + 1], headers[512];

	token(text, f, id, callid, false);
	str_ncpy(r.callid, callid, sizeof(r.callid));
	(void)re_snprintf(headers, sizeof(headers),
			  "Route: <sip:%s@127.0.0.1;lr>\r\n"
			  "Route: <sip:%s@%J;lr>\r\n",
			  text, text, &f->addr);
	rawpbx_dialog(&f->site.peer, met, &r, branch, BOB, headers, "");
}


enum where { NOWHERE, PHONE, OTHER };


/* It answers, so that nothing comes again */
static bool hears(struct rawphone *p, const char *met, const char *callid)
{
	const struct sip_msg *msg = rawphone_last(p, met);

	if (!msg || pl_strcmp(&msg->callid, callid))
		return false;
	assert_null(sip_msg_hdr(msg, SIP_HDR_ROUTE)); /* both were ours */
	if (pl_strcmp(&msg->met, "ACK"))
		rawphone_answer(p, msg, "200 OK");

	return true;
}


/* Which of the two hears it? */
static enum where goes(struct fix *f, const char *met, const uint8_t *id,
		       const char *callid)
{
	char branch[16];
	bool phone, other;

	rawphone_forget(&f->phone);
	rawphone_forget(&f->other);
	f->site.peer.resc = 0;
	(void)re_snprintf(branch, sizeof(branch), "d%u", f->pings++);
	pbx_says(f, met, id, callid, branch);
	settle(f);
	phone = hears(&f->phone, met, callid);
	other = hears(&f->other, met, callid);
	assert_false(phone && other);
	if (phone || other) {
		settle(f);
		assert_int_equal(rawpbx_count(&f->site.peer, branch, 200),
				 strcmp(met, "ACK") != 0);
	}

	return phone ? PHONE : other ? OTHER : NOWHERE;
}


/* --- it registers --- */

static void registers(struct fix *f, const struct rawphone *p, uint64_t acct)
{
	struct edge_bind prm = {
		.pbx = f->site.pbx,
		.acct = acct,
		.user = "100",
		.domain = SITE_DOMAIN,
		.transport = -1,
		.expires_s = 2 * HOUR_S,
	};
	const struct sip_msg msg = { .src = p->addr,
				     .dst = f->addr,
				     .tp = SIP_TRANSP_UDP };

	memcpy(prm.phone, phone_id, EDGE_PHONE);
	pl_set_str(&prm.contact, "sip:100@192.0.2.1");
	pl_set_str(&prm.callid, "register");
	pl_set_str(&prm.params, "");
	assert_int_equal(edge_flow_get(&prm.flow, f->edge, &msg), 0);
	assert_int_equal(edge_bind(&f->here, &prm), 0);
	edge_guests_join(f->edge, f->here);
}


/* err: see edge_flow_left() */
static void leaves(struct fix *f, int err)
{
	if (f->here)
		edge_unbind(f->here, err);
	f->here = NULL;
}


/* --- whose answer is it? --- */

/** What becomes of a 2xx: the PBX has it, its call has it and the phone is a
    guest, the phone has ACK and BYE */
static const struct fate {
	enum calls_late late;
	enum where here; /**< it has registered from where it speaks, or not */
	bool up, taken, guest, hung_up;
	bool begins; /**< it answers what began its dialog */
	bool aged;   /**< nobody repeats a 2xx of before our start any more */
} fates[] = {
	{ CALLS_LATE_FOREIGN, NOWHERE, 0, 0, 0, 0, 0, 0 },
	{ CALLS_LATE_SOON, NOWHERE, 0, 0, 0, 0, 0, 0 },
	{ CALLS_LATE_WAITED, NOWHERE, 0, 1, 1, 0, 0, 0 },
	{ CALLS_LATE_WON, NOWHERE, 1, 0, 0, 0, 0, 0 },
	{ CALLS_LATE_LOST, NOWHERE, 0, 0, 0, 1, 0, 0 },

	{ CALLS_LATE_FOREIGN, PHONE, 1, 0, 0, 0, 0, 0 },
	{ CALLS_LATE_SOON, PHONE, 0, 0, 0, 0, 0, 0 },
	{ CALLS_LATE_WAITED, PHONE, 0, 1, 0, 0, 0, 0 },
	{ CALLS_LATE_WON, PHONE, 1, 0, 0, 0, 0, 0 },
	{ CALLS_LATE_LOST, PHONE, 0, 0, 0, 1, 0, 0 },

	{ CALLS_LATE_FOREIGN, OTHER, 0, 0, 0, 0, 0, 0 },
	{ CALLS_LATE_SOON, OTHER, 0, 0, 0, 0, 0, 0 },
	{ CALLS_LATE_WAITED, OTHER, 0, 1, 0, 0, 0, 0 },
	{ CALLS_LATE_WON, OTHER, 1, 0, 0, 0, 0, 0 },
	{ CALLS_LATE_LOST, OTHER, 0, 0, 0, 1, 0, 0 },

	{ CALLS_LATE_FOREIGN, NOWHERE, 0, 0, 0, 0, 1, 0 },
	{ CALLS_LATE_FOREIGN, PHONE, 1, 0, 0, 0, 1, 0 },
	{ CALLS_LATE_WAITED, NOWHERE, 0, 1, 1, 0, 1, 0 },
	{ CALLS_LATE_WON, PHONE, 1, 0, 0, 0, 1, 0 },
	{ CALLS_LATE_LOST, PHONE, 0, 0, 0, 1, 1, 0 },

	{ CALLS_LATE_FOREIGN, PHONE, 1, 0, 0, 0, 0, 1 },
	{ CALLS_LATE_FOREIGN, NOWHERE, 0, 0, 0, 1, 1, 1 },
	{ CALLS_LATE_FOREIGN, PHONE, 0, 0, 0, 1, 1, 1 },
	{ CALLS_LATE_FOREIGN, OTHER, 0, 0, 0, 1, 1, 1 },
	{ CALLS_LATE_SOON, PHONE, 0, 0, 0, 0, 1, 1 },
	{ CALLS_LATE_WAITED, PHONE, 0, 1, 0, 0, 1, 1 },
	{ CALLS_LATE_WON, PHONE, 1, 0, 0, 0, 1, 1 },
	{ CALLS_LATE_LOST, PHONE, 0, 0, 0, 1, 1, 1 },
};


/* What is of before our start is not said again any more */
static void age(struct fix *f, bool aged)
{
	if (aged && clock_mono_ms() <= f->edge->since + AGAIN_MS)
		jump_ms(AGAIN_MS + 1);
	settle(f);
}


/* As often as it comes */
static void expect_hung_up(struct fix *f, const char *callid, unsigned times)
{
	const struct sip_msg *ack = rawphone_last(&f->phone, "ACK");
	const struct sip_msg *bye = rawphone_last(&f->phone, "BYE");

	assert_int_equal(rawphone_count(&f->phone, "ACK"), times);
	assert_int_equal(rawphone_count(&f->other, NULL), 0);
	if (!times) {
		assert_null(bye);
		return;
	}

	assert_non_null(bye);
	assert_int_equal(pl_strcmp(&ack->callid, callid), 0);
	assert_int_equal(pl_strcmp(&bye->callid, callid), 0);
	assert_int_equal(pl_strcmp(&ack->to.tag, "phone"), 0);
	assert_int_equal(pl_strcmp(&bye->to.tag, "phone"), 0);
	assert_int_equal(ack->cseq.num, 1);
	assert_int_equal(bye->cseq.num, 2);
	rawphone_answer(&f->phone, bye, "200 OK");
}


static void expect_fate(struct fix *f, const struct fate *x,
			const char *callid)
{
	const struct words w = { .callid = callid, .begins = x->begins };

	age(f, x->aged);
	f->late = x->late;
	f->asked = f->taken = 0;
	f->site.peer.resc = 0;
	rawphone_forget(&f->phone);
	rawphone_forget(&f->other);
	for (unsigned n = 1; n <= 2; n++) {
		answers(f, &f->phone, &w);
		settle(f);
		assert_int_equal(f->asked, n);
		assert_string_equal(f->via, "z9hG4bKb1");
		assert_int_equal(f->taken, n * x->taken);
		assert_int_equal(rawpbx_count(&f->site.peer, "b1", 200),
				 n * x->up);
		expect_hung_up(f, callid, n * x->hung_up);
	}
	if (x->taken)
		assert_string_equal(f->inst,
				    "6f6e652070686f6e6520686572652e00");
}


static void test_guest_every_answer(void **state)
{
	struct fix *f = *state;

	for (unsigned i = 0; i < ARRAY_SIZE(fates); i++) {
		const struct fate *x = &fates[i];
		char callid[16];

		(void)re_snprintf(callid, sizeof(callid), "a%u", i);
		if (x->here)
			registers(f, x->here == PHONE ? &f->phone : &f->other,
				  f->site.row.id);
		expect_fate(f, x, callid);
		/* its ACK goes to where it has registered */
		assert_int_equal(goes(f, "ACK", phone_id, callid),
				 x->guest ? PHONE : x->here);
		leaves(f, ECONNABORTED);
		assert_int_equal(goes(f, "ACK", phone_id, callid),
				 x->guest ? PHONE : NOWHERE);
	}
}


/* --- it rings by an INVITE that nobody waits for --- */

/** What becomes of a 1xx: the phone has CANCEL, or its call hears of it */
static const struct ring {
	enum calls_late late;
	unsigned scode;
	bool cancelled, rings;
	bool begins, aged; /**< as above */
} ringv[] = {
	{ CALLS_LATE_FOREIGN, 180, 0, 0, 0, 0 },
	{ CALLS_LATE_FOREIGN, 180, 0, 0, 1, 0 },
	{ CALLS_LATE_SOON, 180, 0, 0, 1, 0 },
	{ CALLS_LATE_WAITED, 180, 0, 1, 1, 0 },
	{ CALLS_LATE_WON, 180, 0, 0, 1, 0 },
	{ CALLS_LATE_LOST, 180, 1, 0, 0, 0 },
	{ CALLS_LATE_LOST, 180, 1, 0, 1, 0 },
	{ CALLS_LATE_FOREIGN, 180, 0, 0, 0, 1 },
	{ CALLS_LATE_FOREIGN, 180, 1, 0, 1, 1 },
	{ CALLS_LATE_SOON, 180, 0, 0, 1, 1 },
	{ CALLS_LATE_WAITED, 180, 0, 1, 1, 1 },
	{ CALLS_LATE_WON, 180, 0, 0, 1, 1 },
	{ CALLS_LATE_LOST, 180, 1, 0, 1, 1 },

	{ CALLS_LATE_WAITED, 100, 0, 0, 1, 1 },
	{ CALLS_LATE_LOST, 100, 1, 0, 1, 1 },
	{ CALLS_LATE_FOREIGN, 199, 1, 0, 1, 1 },
};


/* RFC 3261 9.1: all of the INVITE's, and no tag of the phone's */
static void expect_cancelled(const struct fix *f, const char *callid,
			     const char *to)
{
	const struct sip_msg *cancel = rawphone_last(&f->phone, "CANCEL");

	assert_non_null(cancel);
	assert_int_equal(pl_strcmp(&cancel->via.branch, "z9hG4bKours"), 0);
	assert_true(sa_cmp(&cancel->via.addr, &f->addr, SA_ALL));
	assert_int_equal(pl_strcmp(&cancel->callid, callid), 0);
	assert_int_equal(pl_strcmp(&cancel->to.val, to), 0);
	assert_true(pl_isset(&cancel->from.tag));
	assert_int_equal(cancel->cseq.num, 1);
	assert_int_equal(pl_strcmp(&cancel->cseq.met, "CANCEL"), 0);
}


static void expect_reason(const struct fix *f, const char *reason)
{
	const struct sip_msg *cancel = rawphone_last(&f->phone, "CANCEL");
	const struct sip_hdr *hdr = sip_msg_hdr(cancel, SIP_HDR_REASON);

	if (*reason)
		assert_int_equal(pl_strcmp(&hdr->val, reason), 0);
	else
		assert_null(hdr);
}


static void test_late_every_ring(void **state)
{
	struct fix *f = *state;

	for (unsigned i = 0; i < ARRAY_SIZE(ringv); i++) {
		const struct ring *x = &ringv[i];
		char callid[16];

		(void)re_snprintf(callid, sizeof(callid), "r%u", i);
		age(f, x->aged);
		f->late = x->late;
		f->rings = f->told = 0;
		f->reason = i % 2 ? "SIP;cause=200" : "";
		f->site.peer.resc = 0;
		rawphone_forget(&f->phone);
		answers(f, &f->phone,
			&(struct words){ .callid = callid,
					 .scode = x->scode,
					 .begins = x->begins });
		settle(f);
		assert_int_equal(f->rings, x->rings);
		assert_int_equal(f->told, x->cancelled);
		assert_int_equal(rawphone_count(&f->phone, NULL),
				 x->cancelled);
		assert_int_equal(rawpbx_count(&f->site.peer, "b1", 0), 0);
		if (x->cancelled)
			expect_cancelled(f, callid, "<sip:100@pbx.test>");
		if (x->cancelled)
			expect_reason(f, x->late == CALLS_LATE_LOST ? f->reason
								    : "");
	}
}


/* However its tag is written */
static void test_late_ring_tags(void **state)
{
	static const char *const tos[][2] = {
		{ "<sip:100@pbx.test>;tag=a", "<sip:100@pbx.test>" },
		{ "\"A; tag=x\" <sip:100@pbx.test>;TAG=a;p=1",
		  "\"A; tag=x\" <sip:100@pbx.test>;p=1" },
		{ "<sip:100@pbx.test> ; tag = a", "<sip:100@pbx.test>" },
		{ "<sip:100@pbx.test>", "<sip:100@pbx.test>" },
	};
	struct fix *f = *state;

	f->late = CALLS_LATE_LOST;
	f->reason = "";
	for (unsigned i = 0; i < ARRAY_SIZE(tos); i++) {
		char callid[16];

		(void)re_snprintf(callid, sizeof(callid), "t%u", i);
		rawphone_forget(&f->phone);
		answers(f, &f->phone,
			&(struct words){ .callid = callid,
					 .scode = 180,
					 .to = tos[i][0] });
		settle(f);
		expect_cancelled(f, callid, tos[i][1]);
	}
}


/* Its 487 to such a CANCEL has ACK, if it is known; else it would come again
 */
static void test_late_refusal(void **state)
{
	static const unsigned scodes[] = { 302, 487, 699 };
	struct fix *f = *state;

	for (unsigned i = 0; i < 2 * ARRAY_SIZE(scodes); i++) {
		const bool here = i >= ARRAY_SIZE(scodes);
		const struct sip_msg *ack;

		if (here && !f->here)
			registers(f, &f->phone, f->site.row.id);
		rawphone_forget(&f->phone);
		answers(f, &f->phone,
			&(struct words){ .callid = "c1",
					 .scode = scodes[i % 3] });
		settle(f);
		ack = rawphone_last(&f->phone, "ACK");
		assert_int_equal(rawphone_count(&f->phone, NULL), here);
		if (!here)
			continue;
		assert_int_equal(pl_strcmp(&ack->via.branch, "z9hG4bKours"),
				 0);
		assert_int_equal(pl_strcmp(&ack->to.tag, "phone"), 0);
		assert_int_equal(ack->cseq.num, 1);
		/* what its Contact says is not where our INVITE went */
		assert_int_equal(pl_strcmp(&ack->ruri, "sip:100@192.0.2.1"),
				 0);
	}
	leaves(f, ESHUTDOWN);
}


/* --- what the PBX says then --- */

/* A phone that is here and says nothing: whoever asks hears of that before he
   gives up, after 32 s */
static void test_mute(void **state)
{
	static const char *const asked[] = { "BYE", "INFO", "MESSAGE" };
	struct fix *f = *state;

	registers(f, &f->phone, f->site.row.id);
	for (unsigned i = 0; i < ARRAY_SIZE(asked); i++) {
		f->site.peer.resc = 0;
		rawphone_forget(&f->phone);
		(void)re_snprintf(f->branch, sizeof(f->branch), "mute%u", i);
		pbx_says(f, asked[i], phone_id, "c1", f->branch);
		rawphone_settle(&f->phone);
		assert_true(rawphone_count(&f->phone, asked[i]) > 0);
		assert_false(pbx_has_response(f));
		jump_ms(MUTE_MS);
		until(f, pbx_has_response);
		assert_int_equal(rawpbx_count(&f->site.peer, f->branch, 480),
				 1);
	}
	leaves(f, ESHUTDOWN);
}


static const char *const metv[] = { "ACK",       "BYE",     "INVITE", "PRACK",
				    "UPDATE",    "INFO",    "REFER",  "NOTIFY",
				    "SUBSCRIBE", "MESSAGE", "OPTIONS" };


/* Each method x what there is of the phone */
static void test_guest_every_request(void **state)
{
	struct fix *f = *state;

	for (unsigned i = 0; i < ARRAY_SIZE(metv); i++) {
		const char *met = metv[i];
		const bool ends = !strcmp(met, "BYE");
		char never[16], guest[16], bye[16];

		(void)re_snprintf(never, sizeof(never), "never%u", i);
		(void)re_snprintf(guest, sizeof(guest), "guest%u", i);
		(void)re_snprintf(bye, sizeof(bye), "bye%u", i);
		becomes_guest(f, &f->phone, guest);
		becomes_guest(f, &f->phone, bye);
		assert_int_equal(goes(f, "BYE", phone_id, bye), PHONE);

		/* another dialog, an end, another phone in the same dialog */
		assert_int_equal(goes(f, met, phone_id, never), NOWHERE);
		assert_int_equal(goes(f, met, phone_id, bye), NOWHERE);
		assert_int_equal(goes(f, met, other_id, guest), NOWHERE);

		assert_int_equal(goes(f, met, phone_id, guest), PHONE);
		assert_int_equal(goes(f, met, phone_id, guest),
				 ends ? NOWHERE : PHONE);
		/* one of another account's is another's */
		registers(f, &f->other, f->site.row.id + 1);
		assert_int_equal(goes(f, met, phone_id, guest), NOWHERE);
		leaves(f, ECONNABORTED);
		/* it has registered: that is where it was last */
		becomes_guest(f, &f->phone, guest);
		registers(f, &f->other, f->site.row.id);
		assert_int_equal(goes(f, met, phone_id, guest), OTHER);
		leaves(f, ECONNABORTED);
		assert_int_equal(goes(f, met, phone_id, guest), NOWHERE);
	}
}


static void test_guest_moves(void **state)
{
	struct fix *f = *state;

	becomes_guest(f, &f->phone, "c1");
	becomes_guest(f, &f->phone, "c2");
	becomes_guest(f, &f->other, "c1");
	assert_int_equal(goes(f, "ACK", phone_id, "c1"), OTHER);
	assert_int_equal(goes(f, "ACK", phone_id, "c2"), PHONE);
	assert_int_equal(goes(f, "BYE", phone_id, "c1"), OTHER);
	/* and is not where it was before */
	assert_int_equal(goes(f, "ACK", phone_id, "c1"), NOWHERE);
}


static void test_guest_hour(void **state)
{
	struct fix *f = *state;

	becomes_guest(f, &f->phone, "c1");
	jump_ms((HOUR_S - 60) * 1000);
	settle(f);
	becomes_guest(f, &f->phone, "c2");
	assert_int_equal(goes(f, "ACK", phone_id, "c1"), PHONE);
	jump_ms(61 * 1000);
	settle(f);
	assert_int_equal(goes(f, "ACK", phone_id, "c1"), NOWHERE);
	assert_int_equal(goes(f, "ACK", phone_id, "c2"), PHONE);

	/* its 2xx again is an hour more */
	jump_ms((HOUR_S - 120) * 1000);
	settle(f);
	becomes_guest(f, &f->phone, "c2");
	jump_ms(120 * 1000);
	settle(f);
	assert_int_equal(goes(f, "ACK", phone_id, "c2"), PHONE);
}


static void many(struct fix *f, unsigned n)
{
	f->late = CALLS_LATE_WAITED;
	f->taken = 0;
	for (unsigned i = 0; i < n; i++) {
		char callid[16];

		(void)re_snprintf(callid, sizeof(callid), "m%u", i);
		answers(f, &f->phone, &(struct words){ .callid = callid });
		if (i % 50 == 49)
			rawphone_settle(&f->phone);
	}
	rawphone_settle(&f->phone);
	assert_int_equal(f->taken, n);
}


/* The oldest one goes; who comes again is not the oldest, and is one */
static void test_guest_room(void **state)
{
	struct fix *f = *state;

	many(f, GUESTS);
	assert_int_equal(goes(f, "ACK", phone_id, "m0"), PHONE);
	many(f, GUESTS);
	assert_int_equal(goes(f, "ACK", phone_id, "m0"), PHONE);
	assert_int_equal(goes(f, "ACK", phone_id, "m999"), PHONE);

	becomes_guest(f, &f->phone, "m0");
	becomes_guest(f, &f->phone, "one more");
	assert_int_equal(goes(f, "ACK", phone_id, "m1"), NOWHERE);
	assert_int_equal(goes(f, "ACK", phone_id, "m2"), PHONE);
	assert_int_equal(goes(f, "ACK", phone_id, "m0"), PHONE);
	assert_int_equal(goes(f, "ACK", phone_id, "one more"), PHONE);
}


/* --- phones that have left --- */

/* Each method x how it has left */
static void test_leaver_every_request(void **state)
{
	static const struct {
		int err;
		enum where where;
	} waysv[] = { { ESHUTDOWN, PHONE },
		      { ENOTCONN, PHONE },
		      { ECONNABORTED, NOWHERE },
		      { ECONNRESET, NOWHERE } };
	struct fix *f = *state;

	for (unsigned i = 0; i < ARRAY_SIZE(waysv); i++)
		for (unsigned k = 0; k < ARRAY_SIZE(metv); k++) {
			registers(f, &f->phone, f->site.row.id);
			assert_int_equal(goes(f, metv[k], phone_id, "c1"),
					 PHONE);
			leaves(f, waysv[i].err);
			assert_int_equal(goes(f, metv[k], phone_id, "c1"),
					 waysv[i].where);
			assert_int_equal(goes(f, metv[k], other_id, "c1"),
					 NOWHERE);
		}
}


/* How a leaver ends: each x what there is afterwards */
static void test_leaver_every_end(void **state)
{
	struct fix *f = *state;

	/* it registers elsewhere, and that binding goes */
	registers(f, &f->phone, f->site.row.id);
	leaves(f, ESHUTDOWN);
	registers(f, &f->other, f->site.row.id);
	assert_int_equal(goes(f, "INFO", phone_id, "c1"), OTHER);
	leaves(f, ECONNABORTED);
	assert_int_equal(goes(f, "INFO", phone_id, "c1"), NOWHERE);

	/* it leaves twice: the newest counts */
	registers(f, &f->phone, f->site.row.id);
	leaves(f, ENOTCONN);
	registers(f, &f->other, f->site.row.id);
	leaves(f, ESHUTDOWN);
	assert_int_equal(goes(f, "INFO", phone_id, "c1"), OTHER);

	/* the dialog of one that answers is where it answers */
	becomes_guest(f, &f->phone, "c2");
	assert_int_equal(goes(f, "ACK", phone_id, "c2"), PHONE);
	assert_int_equal(goes(f, "ACK", phone_id, "c1"), OTHER);

	/* the same phone with another account */
	registers(f, &f->phone, f->site.row.id + 1);
	leaves(f, ESHUTDOWN);
	assert_int_equal(goes(f, "INFO", phone_id, "c1"), NOWHERE);

	/* it is deleted */
	registers(f, &f->phone, f->site.row.id);
	leaves(f, ESHUTDOWN);
	edge_leavers_drop(f->edge, other_id);
	assert_int_equal(goes(f, "INFO", phone_id, "c1"), PHONE);
	edge_leavers_drop(f->edge, phone_id);
	assert_int_equal(goes(f, "INFO", phone_id, "c1"), NOWHERE);

	/* nobody tells of the end of a UDP flow */
	registers(f, &f->phone, f->site.row.id);
	leaves(f, ESHUTDOWN);
	jump_ms((HOUR_S - 60) * 1000);
	settle(f);
	assert_int_equal(goes(f, "INFO", phone_id, "c1"), PHONE);
	jump_ms(61 * 1000);
	settle(f);
	assert_int_equal(goes(f, "INFO", phone_id, "c1"), NOWHERE);
}


/* Its time runs out in a call, for a refresh was lost */
static void test_leaver_late(void **state)
{
	struct fix *f = *state;

	registers(f, &f->phone, f->site.row.id);
	jump_ms((2 * HOUR_S + 1) * 1000);
	settle(f);
	f->here = NULL;
	assert_null(edge_binding_of(f->edge, phone_id));
	assert_int_equal(goes(f, "BYE", phone_id, "c1"), PHONE);
}


/* --- hostile input --- */

static void ignored(struct fix *f, const struct words *w)
{
	f->late = CALLS_LATE_WAITED;
	f->asked = f->taken = 0;
	answers(f, &f->phone, w);
	rawphone_settle(&f->phone);
	assert_int_equal(f->asked, 0);
	assert_int_equal(f->taken, 0);
	assert_int_equal(goes(f, "ACK", phone_id, w->callid), NOWHERE);
}


static void test_guest_hostile(void **state)
{
	static const char *const below[] = { "", "Via: x\r\n",
					     "Via: SIP/2.0/UDP\r\n" };
	static const unsigned scodes[] = { 300, 486, 699 };
	struct fix *f = *state;
	char good[EDGE_TOKEN_LEN + 1], bad[EDGE_TOKEN_LEN + 1];

	token(good, f, phone_id, "c1", false);
	for (unsigned i = 0; i < EDGE_TOKEN_LEN; i += 7) {
		memcpy(bad, good, sizeof(bad));
		bad[i] = bad[i] == 'A' ? 'B' : 'A';
		ignored(f, &(struct words){ .callid = "c1", .token = bad });
		ignored(f, &(struct words){ .callid = "c1",
					    .token = bad,
					    .scode = 180 });
	}
	ignored(f, &(struct words){ .callid = "c2", .token = good });
	ignored(f, &(struct words){ .callid = "c1", .token = "x" });
	for (unsigned i = 0; i < ARRAY_SIZE(below); i++)
		ignored(f,
			&(struct words){ .callid = "c1", .below = below[i] });
	for (unsigned i = 0; i < ARRAY_SIZE(scodes); i++)
		ignored(f,
			&(struct words){ .callid = "c1", .scode = scodes[i] });
	for (unsigned i = 1; i < ARRAY_SIZE(metv); i++)
		if (strcmp(metv[i], "INVITE"))
			ignored(f, &(struct words){ .callid = "c1",
						    .met = metv[i] });
}


static void stranger_handler(const struct sa *src, struct mbuf *mb, void *arg)
{
	(void)src;
	(void)mb;
	++*(unsigned *)arg;
}


/* Its Vias may say that the PBX is elsewhere */
static void test_guest_does_not_reflect(void **state)
{
	static const char *const tps[] = { "UDP", "CARRIER-PIGEON" };
	struct fix *f = *state;
	struct udp_sock *us;
	struct sa sa;
	char below[128];
	unsigned heard = 0;

	assert_int_equal(sa_set_str(&sa, "127.0.0.2", 0), 0);
	assert_int_equal(udp_listen(&us, &sa, stranger_handler, &heard), 0);
	assert_int_equal(udp_local_get(us, &sa), 0);
	f->late = CALLS_LATE_WON;
	for (unsigned i = 0; i < ARRAY_SIZE(tps); i++) {
		(void)re_snprintf(below, sizeof(below),
				  "Via: SIP/2.0/%s %J;branch=z9hG4bKb1\r\n",
				  tps[i], &sa);
		answers(f, &f->phone,
			&(struct words){ .callid = "c1", .below = below });
		settle(f);
		assert_int_equal(f->asked, i + 1);
		assert_int_equal(heard, 0);
	}

	/* whose Contact is none has no BYE */
	f->late = CALLS_LATE_LOST;
	answers(f, &f->phone,
		&(struct words){ .callid = "c1", .contact = "<<>>" });
	settle(f);
	assert_int_equal(f->asked, ARRAY_SIZE(tps) + 1);
	assert_int_equal(rawphone_count(&f->phone, NULL), 0);
	mem_deref(us);
}


#define GUEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)


int main(void)
{
	const struct CMUnitTest tests[] = {
		GUEST(test_guest_every_answer),
		GUEST(test_late_every_ring),
		GUEST(test_late_ring_tags),
		GUEST(test_late_refusal),
		GUEST(test_mute),
		GUEST(test_guest_every_request),
		GUEST(test_guest_moves),
		GUEST(test_guest_hour),
		GUEST(test_guest_room),
		GUEST(test_leaver_every_request),
		GUEST(test_leaver_every_end),
		GUEST(test_leaver_late),
		GUEST(test_guest_hostile),
		GUEST(test_guest_does_not_reflect),
	};

	return cmocka_run_group_tests(tests, site_group_open,
				      site_group_close);
}
