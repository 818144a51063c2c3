/**
 * @file talk.c  Offer and answer of one request, by way of an rtpengine
 *
 *     request with an SDP -----> offer; ACK: answer; PRACK: what is left
 *     its 1xx, 2xx with one ---> the other of the two; while one of them is
 *                                at the rtpengine those behind it wait
 *     refusal of a first INVITE, answer to BYE --> delete
 *
 * The one who offers is the from-tag of a call there, whatever the SIP message
 * says.
 */

#include <errno.h>
#include <string.h>
#include "common/log.h"
#include "sipis/edge/media.h"
#include "sipis/edge/sdp.h"
#include "sipis/edge/talk.h"


enum met { INVITE, ACK, PRACK, UPDATE, BYE, METS };

struct edge_talk {
	struct le le;
	struct edge *edge;
	struct pbx *pbx;
	struct media *media;
	struct sip_msg *msg;
	char *call; /**< what the rtpengine knows it by */
	enum met met;
	bool to_phone;
	bool offers;  /**< the request has an SDP, and it is an offer */
	bool bare;    /**< nobody has relayed that: nor are answers */
	bool settled; /**< the call goes on without it */
	int af;
	struct media_ask *ask;
	struct list responses; /**< the first one is being asked about */
	edge_note_h *noteh;
	edge_talk_h *requesth, *responseh;
	void *arg;
};

struct response {
	struct le le;
	struct sip_msg *msg;
};


static void response_destructor(void *data)
{
	struct response *r = data;

	list_unlink(&r->le);
	mem_deref(r->msg);
}


static void destructor(void *data)
{
	struct edge_talk *t = data;

	list_unlink(&t->le);
	mem_deref(t->ask);
	list_flush(&t->responses);
	mem_deref(t->media);
	mem_deref(t->msg);
	mem_deref(t->call);
}


void edge_talk_holder(struct edge_talk *t, edge_talk_h *responseh, void *arg)
{
	if (!t)
		return;

	t->responseh = responseh;
	t->arg = arg;
}


void edge_talk_drop(struct edge_talk *t)
{
	if (!t)
		return;

	t->noteh = NULL;
	t->requesth = t->responseh = NULL;
	t->ask = mem_deref(t->ask);
	mem_deref(t);
}


static enum met met_of(const struct pl *met)
{
	static const char *const names[METS] = { "INVITE", "ACK", "PRACK",
						 "UPDATE", "BYE" };
	unsigned i = 0;

	while (i < METS && pl_strcmp(met, names[i]))
		++i;

	return (enum met)i;
}


/* --- what is asked --- */

static int ask(struct edge_talk *t, enum ng_command command,
	       const struct sip_msg *msg, const struct pl *sdp, media_h *h)
{
	const struct media_cfg *cfg = &pbx_cfg(t->pbx)->media;
	/* does the SDP go to the phone? */
	const bool to_phone = t->to_phone == msg->req;
	/* a request offers for its From and answers for its To */
	const bool from_first = (command == NG_OFFER) == msg->req;
	struct ng_question q = {
		.command = command,
		.from_tag = from_first ? msg->from.tag : msg->to.tag,
		.to_tag = from_first ? msg->to.tag : msg->from.tag,
		.sdp = *sdp,
		.from_side =
			to_phone ? cfg->pbx_interface : cfg->phone_interface,
		.to_side =
			to_phone ? cfg->phone_interface : cfg->pbx_interface,
		.af = msg->req ? t->af : sa_af(&t->msg->src),
	};

	pl_set_str(&q.call, t->call);

	return media_ask(&t->ask, t->media, &q, h, t);
}


static const char *why_of(int err, const char *who)
{
	if (who)
		return who;

	return err == ENOENT ? "none of them has the call"
	       : err == ETIMEDOUT || err == ENETUNREACH
		       ? "no rtpengine answers"
		       : strerror(err);
}


/* True: the profile says that the call fails */
static bool unheard(struct edge_talk *t, const char *what, int err,
		    const char *who)
{
	const struct pbx_cfg *cfg = pbx_cfg(t->pbx);
	const bool fails = cfg->media.when_unreachable == CFG_MEDIA_FAIL;
	const char *why = why_of(err, who);
	char detail[NG_REASON + 32];

	metric_inc(&t->edge->metricv[EDGE_M_UNRELAYED]);
	log_warning("edge", NULL,
		    "media of call %s, pbx %s: the %s is not relayed (%s), "
		    "%s",
		    t->call, cfg->name, what, why,
		    fails ? "so it fails" : "it goes on as it is");
	(void)re_snprintf(detail, sizeof(detail), "%s: %s", why,
			  fails ? "fails" : "proceeds");
	if (t->noteh)
		t->noteh("media not relayed", detail, t->arg);

	return fails;
}


static void relayed(struct edge_talk *t, const char *who)
{
	metric_inc(&t->edge->metricv[EDGE_M_MEDIA]);
	log_debug("edge", NULL, "media of call %s: by rtpengine %s", t->call,
		  who);
}


static int replace(struct sip_msg **mp, const struct sip_msg *msg,
		   const struct pl *sdp, const char **who)
{
	const int err =
		pl_isset(sdp) ? edge_sdp_replace(mp, msg, sdp) : EBADMSG;

	if (err)
		*who = "its answer is of no use";

	return err;
}


/* --- the request --- */

static void request_handler(int err, const struct pl *sdp, const char *who,
			    void *arg)
{
	struct edge_talk *t = arg;
	struct sip_msg *msg = NULL;

	if (!err)
		err = replace(&msg, t->msg, sdp, &who);
	t->ask = mem_deref(t->ask);
	if (!err) {
		relayed(t, who);
		if (t->noteh)
			t->noteh("media relayed", who, t->arg);
		t->requesth(0, msg, t->arg);
		mem_deref(msg);
		return;
	}

	t->bare = true;
	/* nobody can refuse an ACK */
	if (!unheard(t, t->offers ? "offer" : "answer", err, who) ||
	    t->met == ACK)
		err = 0;
	t->requesth(err, t->msg, t->arg);
}


/* RFC 3262 5: an INVITE without an offer gets it in a 1xx */
static bool prack_answers(const struct edge_talk *prack)
{
	for (struct le *le = prack->edge->talks.head; le; le = le->next) {
		const struct edge_talk *t = le->data;

		if (t->met == INVITE && !strcmp(t->call, prack->call))
			return !t->offers;
	}

	return false;
}


bool edge_talk_request(struct edge_talk *t)
{
	struct pl sdp;
	int err;

	if (!t || t->met == BYE || !edge_sdp(&sdp, t->msg))
		return false;

	t->offers = t->met != ACK && (t->met != PRACK || !prack_answers(t));
	err = ask(t, t->offers ? NG_OFFER : NG_ANSWER, t->msg, &sdp,
		  request_handler);
	if (!err)
		return true;

	log_warning("edge", NULL, "media of call %s: %s", t->call,
		    strerror(err));
	t->bare = true;

	return false;
}


/* --- beside another talk of the same INVITE --- */

static struct edge_talk *sibling(const struct edge_talk *t, struct le *le)
{
	for (; le; le = le->next) {
		struct edge_talk *o = le->data;

		if (o != t && o->met == t->met && !strcmp(o->call, t->call))
			return o;
	}

	return NULL;
}


void edge_talk_resume(struct edge_talk *t)
{
	const struct edge_talk *o = sibling(t, t->edge->talks.head);
	struct pl sdp;

	t->offers = o ? o->offers : edge_sdp(&sdp, t->msg);
	t->bare = o && o->bare;
}


void edge_talk_settle(struct edge_talk *t)
{
	struct edge_talk *o = sibling(t, t->edge->talks.head);

	for (; o; o = sibling(t, o->le.next))
		o->settled = true;
}


/* --- its responses --- */

static bool answers(const struct edge_talk *t, const struct sip_msg *resp,
		    struct pl *sdp)
{
	return resp->scode < 300 && t->met != BYE && !t->bare &&
	       (t->offers || t->met == INVITE) && edge_sdp(sdp, resp);
}


/* A 2xx comes again until it has its ACK */
static void remember(struct edge_talk *t, const struct sip_msg *was,
		     const struct sip_msg *is)
{
	if (t->met == INVITE && was->scode >= 200 && was->scode < 300)
		edge_echo_keep(t->edge, t->call, was, is);
}


static void tell(struct edge_talk *t, struct response *r, int err,
		 const struct sip_msg *msg)
{
	const bool last = r->msg->scode >= 200;

	list_unlink(&r->le);
	if (!err)
		remember(t, r->msg, msg);
	/* no word of a 1xx that must not go up: the final answer decides */
	if (t->responseh && (!err || last))
		t->responseh(err, msg, t->arg);
	mem_deref(r);
}


static void pump(struct edge_talk *t);


static void response_handler(int err, const struct pl *sdp, const char *who,
			     void *arg)
{
	struct edge_talk *t = mem_ref(arg);
	struct response *r = list_ledata(list_head(&t->responses));
	struct sip_msg *msg = NULL;

	if (!err)
		err = replace(&msg, r->msg, sdp, &who);
	t->ask = mem_deref(t->ask);
	if (!err)
		relayed(t, who);
	else if (!unheard(t, t->offers ? "answer" : "offer", err, who) ||
		 pl_isset(&t->msg->to.tag))
		err = 0; /* a 2xx in a dialog cannot be taken back */
	tell(t, r, err, msg ? msg : r->msg);
	mem_deref(msg);
	pump(t);
	mem_deref(t);
}


/* Whoever hears of a final answer may drop us */
static void pump(struct edge_talk *t)
{
	struct le *le;

	while (t->responseh && !t->ask && (le = list_head(&t->responses))) {
		struct response *r = le->data;
		struct pl sdp;

		if (answers(t, r->msg, &sdp) &&
		    !ask(t, t->offers ? NG_ANSWER : NG_OFFER, r->msg, &sdp,
			 response_handler))
			return;
		tell(t, r, 0, r->msg);
	}
}


bool edge_talk_response(struct edge_talk *t, const struct sip_msg *resp)
{
	struct response *r;
	struct pl sdp;

	if (!t || (list_isempty(&t->responses) && !answers(t, resp, &sdp))) {
		if (t)
			remember(t, resp, resp);
		return false;
	}

	r = mem_zalloc(sizeof(*r), response_destructor);
	if (!r)
		return false;

	r->msg = mem_ref((void *)resp);
	list_append(&t->responses, &r->le, r);
	if (!t->ask && ask(t, t->offers ? NG_ANSWER : NG_OFFER, resp, &sdp,
			   response_handler)) {
		mem_deref(r);
		return false;
	}

	return true;
}


const struct sip_msg *edge_talk_taken(const struct edge_talk *t)
{
	const struct response *r =
		t ? list_ledata(list_tail(&t->responses)) : NULL;

	return r && r->msg->scode >= 200 && r->msg->scode < 300 ? r->msg
								: NULL;
}


bool edge_talk_asks(const struct edge *e, const char *call,
		    const struct sip_msg *resp)
{
	for (struct le *le = e->talks.head; le; le = le->next) {
		const struct edge_talk *t = le->data;
		const struct sip_msg *taken = edge_talk_taken(t);

		if (taken && t->met == INVITE && !strcmp(t->call, call) &&
		    resp->scode >= 200 && resp->scode < 300 &&
		    !pl_cmp(&taken->to.tag, &resp->to.tag))
			return true;
	}

	return false;
}


/* --- the end --- */


/* A challenge is no end: the same comes again */
static bool ends(const struct edge_talk *t, uint16_t scode)
{
	const bool again = scode == 401 || scode == 407;

	if (t->met == BYE)
		return !again;

	return t->met == INVITE && !pl_isset(&t->msg->to.tag) && !again &&
	       (!scode || scode >= 300);
}


void edge_talk_over(struct edge_talk *t, uint16_t scode)
{
	if (t && !t->settled && ends(t, scode))
		edge_media_forget(t->media, t->call);
}


int edge_talk_begin(struct edge_talk **tp, const struct edge_talk_prm *prm)
{
	struct media *media = edge_media_of(prm->edge, prm->pbx);
	const enum met met = media ? met_of(&prm->msg->met) : METS;
	struct edge_talk *t;
	int err;

	*tp = NULL;
	if (met == METS)
		return 0;

	t = mem_zalloc(sizeof(*t), destructor);
	if (!t)
		return ENOMEM;

	t->edge = prm->edge;
	t->pbx = prm->pbx;
	t->media = mem_ref(media);
	t->msg = mem_ref((void *)prm->msg);
	t->met = met;
	t->to_phone = prm->to_phone;
	t->af = prm->af;
	t->noteh = prm->noteh;
	t->requesth = prm->requesth;
	t->arg = prm->arg;
	err = edge_media_call(&t->call, prm->phone, prm->msg);
	if (err) {
		mem_deref(t);
		return err == EMSGSIZE ? 0 : err;
	}

	list_append(&prm->edge->talks, &t->le, t);
	*tp = t;

	return 0;
}
