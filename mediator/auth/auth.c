/**
 * @file auth/auth.c  The bearer of one credential
 */

#include <errno.h>
#include <string.h>
#include "common/clock.h"
#include "common/log.h"
#include "mediator/auth/auth.h"


void auth_destruct(struct auth *a)
{
	tmr_cancel(&a->tmr);
	list_clear(&a->watches);
	mem_deref(a->sign);
	mem_deref(a->key);
	mem_deref(a->signer);
	mem_deref(a->input);
	mem_deref(a->tok.value);
	mem_deref(a->name);
}


void auth_watch(struct auth *a, struct auth_watch *w, auth_change_h *h,
		void *arg)
{
	w->h = h;
	w->arg = arg;
	list_append(&a->watches, &w->le, w);
}


static void changed(struct auth *a)
{
	struct le *le = a->watches.head;

	while (le) {
		struct auth_watch *w = le->data;

		le = le->next;
		w->h(w->arg);
	}
}


const char *auth_bearer(struct auth *a, uint32_t *gen)
{
	unsigned need = token_need(&a->tok, clock_mono_ms());

	if (need & TOKEN_FETCH) {
		int err = a->fetch(a);
		if (err)
			auth_failed(a, NULL);
	}

	*gen = a->tok.gen;
	return need & TOKEN_USE ? a->tok.value : NULL;
}


static void fetch_handler(void *arg)
{
	struct auth *a = arg;
	uint32_t gen;

	(void)auth_bearer(a, &gen);
	auth_schedule(a);
}


void auth_schedule(struct auth *a)
{
	uint64_t now = clock_mono_ms(), due = token_due(&a->tok);

	if (a->tok.fetching)
		tmr_cancel(&a->tmr);
	else
		tmr_start(&a->tmr, due > now ? due - now : 0, fetch_handler,
			  a);
}


const char *auth_broken(const struct auth *a)
{
	return a->broken[0] ? a->broken : NULL;
}


enum token_refused auth_refused(struct auth *a, uint32_t gen)
{
	enum token_refused rc =
		token_refuse(&a->tok, gen, clock_mono_ms(), a->min_age_ms);

	auth_schedule(a);
	return rc;
}


int auth_sign(struct auth *a, signer_h *h)
{
	a->sign = mem_deref(a->sign);

	return signer_sign(&a->sign, a->signer, a->key, a->input,
			   strlen(a->input), h, a);
}


void auth_got(struct auth *a, char *value, uint64_t age_ms, uint64_t renew_ms,
	      uint64_t life_ms)
{
	if (a->broken[0])
		log_info("auth", "-", "credential \"%s\" works again",
			 a->name);
	a->broken[0] = '\0';

	token_got(&a->tok, value, clock_mono_ms(), age_ms, renew_ms, life_ms);
	auth_schedule(a);
	changed(a);
}


void auth_failed(struct auth *a, const char *broken)
{
	bool was = a->broken[0];

	token_failed(&a->tok, clock_mono_ms(), rand_u32());
	auth_schedule(a);
	str_ncpy(a->broken, broken ? broken : "", sizeof(a->broken));
	if (broken && !was)
		log_error("auth", "-",
			  "ALERT credential \"%s\": %s; its pushes fail until "
			  "that is mended",
			  a->name, broken);
	changed(a);
}
