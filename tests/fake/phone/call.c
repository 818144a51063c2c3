/**
 * @file call.c  One INVITE at the demo phone
 *
 * 180 at once, then what the user does.  Media is a bound RTP port and a
 * valid answer; what arrives there is counted.
 */

#include <errno.h>
#include "phone.h"

struct call {
	struct ua *ua;
	struct phone *ph;
	struct sipsess *sess;
	struct sdp_session *sdp;
	struct udp_sock *rtp;
	struct tmr tmr;
	char id[64];
	uint64_t packets;
	bool offerless; /**< the INVITE had no SDP: ours is the offer */
	bool answered, declined, hung_up;
};


static void call_destructor(void *arg)
{
	struct call *call = arg;

	tmr_cancel(&call->tmr);
	mem_deref(call->sess);
	mem_deref(call->sdp);
	mem_deref(call->rtp);
}


const char *call_id(const struct call *call)
{
	return call->id;
}


static void step(const struct call *call, const char *name, json_t *more)
{
	steps_put(phone_steps(call->ph), name, call->id, more);
}


/* The phone lets go of us here */
static void ended(struct call *call, const char *outcome)
{
	tmr_cancel(&call->tmr);
	step(call, "ended",
	     json_pack("{sssI}", "outcome", outcome, "rtp_packets",
		       (json_int_t)call->packets));
	phone_call_ended(call->ph, call->id, outcome);
}


/* An answered session is ended by BYE, one that rings by CANCEL; libre tells
   neither apart */
static void closed(int err, const struct sip_msg *msg, void *arg)
{
	struct call *call = arg;
	(void)msg;

	if (call->hung_up)
		return;
	if (call->answered && err == ETIMEDOUT) {
		ended(call, "lost");
	}
	else if (call->answered) {
		step(call, "bye", json_pack("{ss}", "by", "peer"));
		ended(call, "answered");
	}
	else if (err == ECONNRESET) {
		step(call, "cancel",
		     json_pack("{ss}", "reason", ua_cancel_reason(call->ua)));
		step(call, "487", NULL);
		ended(call, "cancelled");
	}
	else {
		ended(call, call->declined ? "declined" : "lost");
	}
}


static void hang_up_now(void *arg)
{
	struct call *call = arg;

	call_hangup(call);
}


static void established(const struct sip_msg *msg, void *arg)
{
	struct call *call = arg;
	const int64_t ms = phone_cfg(call->ph)->hangup_ms;
	(void)msg;

	step(call, "ack", NULL);
	if (ms >= 0)
		tmr_start(&call->tmr, (uint64_t)ms, hang_up_now, call);
}


static int offered(struct mbuf **descp, const struct sip_msg *msg, void *arg)
{
	struct call *call = arg;
	const bool offer = mbuf_get_left(msg->mb) > 0;
	int err = 0;

	if (offer)
		err = sdp_decode(call->sdp, msg->mb, true);

	return err ? err : sdp_encode(descp, call->sdp, !offer);
}


static int answer_came(const struct sip_msg *msg, void *arg)
{
	struct call *call = arg;

	return sdp_decode(call->sdp, msg->mb, false);
}


static void no_refer(struct sip *sip, const struct sip_msg *msg, void *arg)
{
	(void)arg;
	(void)sip_reply(sip, msg, 603, "Declined");
}


static void no_info(struct sip *sip, const struct sip_msg *msg, void *arg)
{
	(void)arg;
	(void)sip_reply(sip, msg, 200, "OK");
}


static void answer(void *arg)
{
	struct call *call = arg;
	struct mbuf *desc = NULL;
	int err;

	err = sdp_encode(&desc, call->sdp, call->offerless);
	if (!err)
		err = sipsess_answer(call->sess, 200, "OK", desc, NULL);
	mem_deref(desc);
	if (err) {
		step(call, "error",
		     json_pack("{sssi}", "what", "answer", "errno", err));
		return;
	}
	call->answered = true;
	step(call, "200", NULL);
}


static void decline(void *arg)
{
	struct call *call = arg;

	call->declined = true;
	phone_declined(call->ph, call->id);
	(void)sipsess_reject(call->sess, 486, "Busy Here", NULL);
	step(call, "486", NULL);
	call->hung_up = true;
	ended(call, "declined");
}


void call_hangup(struct call *call)
{
	call->hung_up = true;
	if (call->answered)
		step(call, "bye", json_pack("{ss}", "by", "me"));
	/* with the last reference the session says BYE, or 486 */
	call->sess = mem_deref(call->sess);
	ended(call, call->answered ? "answered" : "declined");
}


static void rtp_came(const struct sa *src, struct mbuf *mb, void *arg)
{
	struct call *call = arg;
	(void)src;
	(void)mb;

	++call->packets;
}


static int sdp_setup(struct call *call, const struct sip_msg *msg)
{
	struct sa laddr = msg->dst;
	struct sdp_media *m;
	int err;

	sa_set_port(&laddr, 0);
	err = udp_listen(&call->rtp, &laddr, rtp_came, call);
	if (!err)
		err = udp_local_get(call->rtp, &laddr);
	if (!err)
		err = sdp_session_alloc(&call->sdp, &laddr);
	if (!err)
		err = sdp_media_add(&m, call->sdp, sdp_media_audio,
				    sa_port(&laddr), sdp_proto_rtpavp);
	if (!err)
		err = sdp_format_add(NULL, m, false, "0", "PCMU", 8000, 1,
				     NULL, NULL, NULL, false, NULL);
	if (!err)
		err = sdp_format_add(NULL, m, false, "8", "PCMA", 8000, 1,
				     NULL, NULL, NULL, false, NULL);
	call->offerless = !mbuf_get_left(msg->mb);
	if (!err && !call->offerless)
		err = sdp_decode(call->sdp, msg->mb, true);

	return err;
}


static void user_acts(struct call *call)
{
	const struct phone_cfg *cfg = phone_cfg(call->ph);

	if (cfg->user == USER_ANSWERS)
		tmr_start(&call->tmr, cfg->user_ms, answer, call);
	else if (cfg->user == USER_DECLINES)
		tmr_start(&call->tmr, cfg->user_ms, decline, call);
}


static json_t *invite_facts(const struct sip_msg *msg)
{
	json_t *o = json_object();

	json_object_set_new(o, "call_id",
			    json_stringn(msg->callid.p, msg->callid.l));
	json_object_set_new(o, "from",
			    json_stringn(msg->from.auri.p, msg->from.auri.l));
	json_object_set_new(
		o, "name",
		json_stringn(msg->from.dname.p ? msg->from.dname.p : "",
			     msg->from.dname.l));

	return o;
}


int call_alloc(struct call **cp, struct ua *ua, struct sipsess_sock *sock,
	       const struct sip_msg *msg)
{
	struct call *call = mem_zalloc(sizeof(*call), call_destructor);
	char caller[128] = "";
	int err;

	if (!call)
		return ENOMEM;
	call->ua = ua;
	call->ph = ua_phone(ua);
	tmr_init(&call->tmr);
	(void)pl_strcpy(&msg->from.uri.user, caller, sizeof(caller));
	str_ncpy(call->id, phone_match(call->ph, caller), sizeof(call->id));
	step(call, "invite", invite_facts(msg));

	err = sdp_setup(call, msg);
	if (!err)
		err = sipsess_accept(&call->sess, sock, msg, 180, "Ringing",
				     ua_contact_user(ua), "application/sdp",
				     NULL, NULL, NULL, false, offered,
				     answer_came, established, no_info,
				     no_refer, closed, call, NULL);
	if (err) {
		mem_deref(call);
		return err;
	}

	step(call, "180", NULL);
	phone_ringing(call->ph, call->id);
	user_acts(call);
	*cp = call;

	return 0;
}
