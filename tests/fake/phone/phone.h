/**
 * @file phone.h  The demo phone: what its files share
 *
 * One process is one app on one phone.  It sleeps with nothing but its push
 * connection, and lives from a push to the end of the call:
 *
 *   asleep --push--> waking --> registering --> ready --INVITE--> call
 *      ^                                          |                 |
 *      '------- leaving (un-REGISTER, inactive) <-'-----------------'
 *
 * phone.c decides; api.c speaks HTTPS with sipis, pns.c hears pushes, ua.c
 * is the SIP stack of one waking period, call.c one INVITE.
 */

#ifndef DEMO_PHONE_H
#define DEMO_PHONE_H

#include "tests/fake/rejson.h"

struct phone;
struct api;
struct pns;
struct ua;
struct call;

enum phone_user { USER_ANSWERS, USER_DECLINES, USER_LISTENS };

/** As given on the command line; strings live as long as main() */
struct phone_cfg {
	const char *api, *ca, *app, *platform, *aor, *auth_user;
	const char *password_file, *installation, *token, *topic;
	const char *environment, *project, *pns, *registrar, *sip_ca;
	const char *sip_name, *sip_listen, *instance_file, *log;
	enum phone_user user;
	uint32_t user_ms;  /**< until the user answers or declines */
	int64_t hangup_ms; /**< -1: waits for BYE */
	uint32_t wake_ms;
	uint32_t calls; /**< 0: for ever */
	uint32_t expires_s;
	bool no_wake, no_report, stay_awake, delete_at_exit, sequential,
		stdin_life;
};


/* main.c */

int phone_options(struct phone_cfg *cfg, int argc, char *argv[]);


/* phone.c */

int phone_alloc(struct phone **pp, const struct phone_cfg *cfg);
/** SIGTERM: un-REGISTER, inactive, perhaps DELETE, then the loop ends */
void phone_stop(struct phone *ph);
int phone_exit_code(const struct phone *ph);
const struct phone_cfg *phone_cfg(const struct phone *ph);

/* events of the other files */
void phone_push(struct phone *ph, uint64_t seq, const json_t *payload);
void phone_pns_up(struct phone *ph);
void phone_registered(struct phone *ph, int err, uint16_t scode,
		      const char *contact);
void phone_unregistered(struct phone *ph, uint16_t scode);
/** The call that an INVITE of this caller belongs to, "" if none */
const char *phone_match(struct phone *ph, const char *caller);
bool phone_busy(const struct phone *ph);
/** Takes it */
void phone_invite(struct phone *ph, struct call *call);
void phone_ringing(struct phone *ph, const char *call);
void phone_declined(struct phone *ph, const char *call);
void phone_call_ended(struct phone *ph, const char *call, const char *outcome);


/* step.c: one JSON line per step */

struct steps;
int steps_alloc(struct steps **sp, const char *path);
/** Takes more (an object, may be NULL); call may be NULL or "" */
void steps_put(struct steps *s, const char *step, const char *call,
	       json_t *more);
struct steps *phone_steps(const struct phone *ph);


/* api.c: sipis's HTTPS API */

/** status 0: no answer, err says why.  body may be NULL */
typedef void(api_resp_h)(int status, const json_t *body, const char *err,
			 void *arg);

int api_alloc(struct api **ap, const char *base, const char *ca);
/** Takes body (may be NULL).  path begins with a slash; secret may be NULL */
int api_request(struct api *api, const char *method, const char *path,
		const char *secret, json_t *body, api_resp_h *h, void *arg);


/* pns.c: the push connection */

int pns_alloc(struct pns **pp, struct phone *ph);
void pns_reported(struct pns *pns, uint64_t seq);


/* ua.c: the SIP stack of one waking period */

int ua_alloc(struct ua **up, struct phone *ph);
int ua_register(struct ua *ua);
void ua_unregister(struct ua *ua);
/** Transactions under way may end; the object goes away by itself */
void ua_close(struct ua *ua);
const char *ua_password(struct ua *ua);
struct phone *ua_phone(const struct ua *ua);
const char *ua_contact_user(const struct ua *ua);
/** Why the last CANCEL came, as its Reason headers say */
const char *ua_cancel_reason(const struct ua *ua);


/* call.c: one INVITE */

int call_alloc(struct call **cp, struct ua *ua, struct sipsess_sock *sock,
	       const struct sip_msg *msg);
const char *call_id(const struct call *call);
/** BYE, 480 or nothing, as the case may be; then ended */
void call_hangup(struct call *call);

#endif
