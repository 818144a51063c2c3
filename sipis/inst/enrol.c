/**
 * @file enrol.c  Push tokens become handles that only the mediator can open
 */

#include <errno.h>
#include <string.h>
#include "sipis/inst/enrol.h"

struct one {
	struct enrol *e;
	struct med_req *req;
	uint8_t handle[STORE_HANDLE_MAX];
};

struct enrol {
	struct one one[STORE_PUSH_MAX];
	struct push_row push[STORE_PUSH_MAX];
	char text[STORE_PUSH_MAX][3][256];
	unsigned count, open;
	enum inst_res res;
	const char *detail;
	enrol_h *h;
	void *arg;
};


static void destructor(void *arg)
{
	struct enrol *e = arg;

	for (unsigned i = 0; i < e->count; i++)
		mem_deref(e->one[i].req);
}


static enum inst_res judge(int err, Wire__Outcome outcome, size_t len,
			   const char **detail)
{
	if (err) {
		*detail = "No mediator can be reached; push tokens cannot be "
			  "enrolled at present.";
		return INST_R_NO_MEDIATOR;
	}

	switch (outcome) {
	case WIRE__OUTCOME__DELIVERED:
		*detail = "";
		return len && len <= STORE_HANDLE_MAX ? INST_R_OK
						      : INST_R_FAILED;
	case WIRE__OUTCOME__NOT_ALLOWED:
		*detail = "The mediator does not push to this app for this "
			  "operator.";
		return INST_R_NOT_ALLOWED;
	case WIRE__OUTCOME__REJECTED:
	case WIRE__OUTCOME__TOKEN_GONE:
		*detail = "The mediator does not accept a push token, topic "
			  "or environment.";
		return INST_R_INVALID;
	default:
		*detail = "The mediator cannot enrol push tokens at present.";
		return INST_R_NO_MEDIATOR;
	}
}


static void one_handler(int err, Wire__Outcome outcome, const char *reason,
			const uint8_t *handle, size_t len, void *arg)
{
	struct one *one = arg;
	struct enrol *e = one->e;
	const unsigned i = (unsigned)(one - e->one);
	const char *detail;
	enum inst_res res;
	(void)reason;

	one->req = mem_deref(one->req);
	res = judge(err, outcome, len, &detail);
	if (res == INST_R_OK) {
		memcpy(one->handle, handle, len);
		e->push[i].handle = one->handle;
		e->push[i].handle_len = len;
	}
	else if (e->res == INST_R_OK) {
		e->res = res;
		e->detail = detail;
	}

	if (--e->open)
		return;

	e->h(e->res, e->detail, e->push, e->count, e->arg);
}


static const char *keep(char *dst, const char *src)
{
	(void)str_ncpy(dst, src ? src : "", 256);
	return dst;
}


int enrol_alloc(struct enrol **ep, struct med *med, const char *app,
		const char *trace, const struct inst_token *tokenv,
		unsigned tokenc, enrol_h *h, void *arg)
{
	struct enrol *e;
	int err = 0;

	if (!ep || !med || !tokenv || !tokenc || tokenc > STORE_PUSH_MAX || !h)
		return EINVAL;

	e = mem_zalloc(sizeof(*e), destructor);
	if (!e)
		return ENOMEM;

	e->res = INST_R_OK;
	e->detail = "";
	e->h = h;
	e->arg = arg;
	e->count = tokenc;
	for (unsigned i = 0; !err && i < tokenc; i++) {
		const struct inst_token *t = &tokenv[i];
		struct push_row *p = &e->push[i];
		const struct med_token mt = {
			.app = app,
			.provider = t->provider,
			.token = t->token,
			.topic = t->topic,
			.environment = t->environment,
			.p256dh = t->keys.p256dh,
			.auth = t->keys.auth,
			.trace = trace,
			.uses = t->uses,
		};

		p->uses = t->uses;
		p->provider = keep(e->text[i][0], t->provider);
		p->topic = keep(e->text[i][1], t->topic);
		p->environment = keep(e->text[i][2], t->environment);
		p->gone_reason = "";
		e->one[i].e = e;
		err = med_enrol(&e->one[i].req, med, &mt, one_handler,
				&e->one[i]);
		if (!err)
			e->open++;
	}

	if (err)
		mem_deref(e);
	else
		*ep = e;
	return err;
}
