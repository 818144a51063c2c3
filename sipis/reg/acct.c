/**
 * @file acct.c  One account, asleep
 *
 * A slot in a chunk plus one allocation for its strings and sealed secret.
 */

#include <errno.h>
#include <string.h>
#include "common/log.h"
#include "sipis/reg/grid.h"
#include "sipis/reg/priv.h"


enum {
	STRINGS = 3,
	SEALED_ROOM = 4 + 16 + 28, /* HA1 of MD5 fits in a password's place */
	STRING_MAX = 1024,
	NO_MEMORY_S = 5,
};


static const char *string_of(const struct acct *a, int n)
{
	const char *s = (const char *)a->tail->data + a->tail->sealed_cap;

	while (n--)
		s += strlen(s) + 1;

	return s;
}


const char *acct_user(const struct acct *acct)
{
	return acct && acct->tail ? string_of(acct, 0) : "";
}


const char *acct_auth_user(const struct acct *a)
{
	const char *s = string_of(a, 1);

	return *s ? s : string_of(a, 0);
}


const char *acct_proxy(const struct acct *a)
{
	return string_of(a, 2);
}


size_t tail_size(const struct tail *t)
{
	const char *s = (const char *)t->data + t->sealed_cap;

	for (int i = 0; i < STRINGS; i++)
		s += strlen(s) + 1;

	return (size_t)(s - (const char *)t);
}


static struct tail *tail_make(struct reg *reg, const char *const v[STRINGS],
			      const uint8_t *sealed, size_t sealed_len)
{
	const size_t cap = sealed_len < SEALED_ROOM ? SEALED_ROOM : sealed_len;
	size_t len[STRINGS], n = sizeof(struct tail) + cap;
	struct tail *t;
	uint8_t *p;

	for (int i = 0; i < STRINGS; i++) {
		len[i] = (v[i] ? strlen(v[i]) : 0) + 1;
		if (len[i] > STRING_MAX)
			return NULL;
		n += len[i];
	}

	t = acctmem_alloc(&reg->mem, n);
	if (!t)
		return NULL;

	t->sealed_cap = (uint16_t)cap;
	t->sealed_len = (uint16_t)sealed_len;
	if (sealed_len)
		memcpy(t->data, sealed, sealed_len);
	p = t->data + cap;
	for (int i = 0; i < STRINGS; i++) {
		memcpy(p, v[i] ? v[i] : "", len[i]);
		p += len[i];
	}

	return t;
}


static int tail_replace(struct acct *a, struct reg *reg,
			const char *const v[STRINGS], const uint8_t *sealed,
			size_t sealed_len)
{
	struct tail *t = tail_make(reg, v, sealed, sealed_len);

	if (!t)
		return ENOMEM;

	if (a->tail)
		acctmem_free(&reg->mem, a->tail, tail_size(a->tail));
	a->tail = t;

	return 0;
}


int acct_set_strings(struct acct *a, struct reg *reg,
		     const struct acct_row *row)
{
	const char *const v[STRINGS] = {
		row->user,
		row->auth_user && strcmp(row->auth_user, row->user)
			? row->auth_user
			: "",
		row->outbound_proxy,
	};

	if (row->sealed_len > CRED_SEALED_MAX)
		return EOVERFLOW;

	return tail_replace(a, reg, v, row->sealed,
			    row->sealed ? row->sealed_len : 0);
}


int acct_set_sealed(struct acct *a, const uint8_t *sealed, size_t len)
{
	const char *const v[STRINGS] = { string_of(a, 0), string_of(a, 1),
					 string_of(a, 2) };

	if (len > a->tail->sealed_cap)
		return tail_replace(a, a->line->reg, v, sealed, len);

	memcpy(a->tail->data, sealed, len);
	a->tail->sealed_len = (uint16_t)len;

	return 0;
}


uint32_t acct_since(const struct acct *a)
{
	return a->known ? (uint16_t)(reg_now_s() - a->last) : UINT32_MAX;
}


void acct_failed(struct acct *a)
{
	if (a->fails < FAILS_MAX)
		a->fails = (a->fails + 1) & FAILS_MAX;
}


void acct_row_fill(struct acct_row *row, const struct acct *a)
{
	const struct line *ln = a->line;
	const char *proxy = acct_proxy(a);

	memset(row, 0, sizeof(*row));
	row->id = a->id;
	row->pbx = ln->cfg->name;
	row->user = acct_user(a);
	row->domain = acct_domain(a);
	row->auth_user = acct_auth_user(a);
	row->outbound_proxy = *proxy ? proxy : NULL;
	row->transport = acct_transport(a);
	row->sealed = a->tail->data;
	row->sealed_len = a->tail->sealed_len;
	row->sealed_is_ha1 = a->is_ha1;
	row->realm = a->realm ? ln->realmv[a->realm - 1].name : NULL;
	row->alg = (enum digest_alg)a->alg;
	memcpy(row->contact, a->contact, sizeof(row->contact));
	row->grant_s = a->unsettled ? 0 : a->grant_s;
	row->proven = a->proven;
	row->auth_failed = a->auth_failed;
	row->want = a->want;
}


void acct_learn(struct acct *a)
{
	struct acct_row row;

	if (!a->line->reg->store || a->leaving)
		return;

	acct_row_fill(&row, a);
	(void)store_acct_learn(a->line->reg->store, &row, NULL, NULL);
}


void acct_unplace(struct acct *a)
{
	if (a->place == PLACE_WHEEL)
		wheel_cancel(&a->link);
	else if (a->place != PLACE_NONE)
		line_unqueue(a->line, a);
	a->place = PLACE_NONE;
}


void acct_sleep(struct acct *a, uint32_t wait_s)
{
	acct_unplace(a);
	wheel_start(a->line->reg->wheel, &a->link, reg_now_s() + wait_s);
	a->place = PLACE_WHEEL;
}


static void queue(struct acct *a, bool refresh)
{
	acct_unplace(a);
	line_queue(a->line, a, refresh);
}


/* Whatever a PBX or its connection does: no account goes round faster */
static void register_soon(struct acct *a, enum reg_event ev)
{
	const uint32_t since = acct_since(a);

	if (ev == REG_EV_LOST && since < REG_REFRESH_MIN)
		acct_sleep(a, REG_REFRESH_MIN - since);
	else
		queue(a, false);
}


static void remove_binding(struct acct *a)
{
	acct_unplace(a);

	if (leave_begin(a))
		acct_sleep(a, NO_MEMORY_S);
}


/* A restart must not take for bound what is not: the store hears of it */
static void settle(struct acct *a, enum reg_event ev)
{
	const bool lost = ev == REG_EV_LATER || ev == REG_EV_REFUSED ||
			  ev == REG_EV_LOST || ev == REG_EV_GONE;

	if (ev == REG_EV_AUTH) {
		a->unsettled = true;
		a->auth_failed = true;
		acct_learn(a);
	}
	else if (lost && !a->unsettled && a->grant_s) {
		a->unsettled = true;
		acct_learn(a);
	}
}


void acct_event(struct acct *a, enum reg_event ev, uint32_t wait_s,
		const char *reason)
{
	const enum reg_state old = (enum reg_state)a->state;
	struct reg_step step = reg_fsm(old, ev);
	struct reg *reg = a->line->reg;

	if (step.action == REG_DO_REMOVE && leave_is_done(a)) {
		ev = REG_EV_GONE;
		step = reg_fsm(step.next, ev);
	}

	if (step.next != old) {
		a->state = step.next & 7;
		--reg->counts[old];
		++reg->counts[step.next];
		if (step.next == REG_IDLE)
			a->bound = false;
		settle(a, ev);
	}

	switch (step.action) {
	case REG_DO_NOTHING:
		break;
	case REG_DO_REGISTER:
		register_soon(a, ev);
		break;
	case REG_DO_REFRESH:
		queue(a, true);
		break;
	case REG_DO_REMOVE:
		remove_binding(a);
		break;
	case REG_DO_SLEEP:
		acct_sleep(a, grid_wait(a->id, a->grant_s, reg_grid(reg),
					REG_REFRESH_MIN));
		break;
	case REG_DO_WAIT:
		if (wait_s)
			acct_sleep(a, wait_s);
		else
			acct_unplace(a);
		break;
	case REG_DO_STOP:
		acct_unplace(a);
		break;
	}

	if (step.next != old)
		reg_state_changed(a, old, reason);
}


uint64_t acct_id(const struct acct *acct)
{
	return acct ? acct->id : 0;
}


struct pbx *acct_pbx(const struct acct *acct)
{
	return acct ? acct->line->pbx : NULL;
}


struct reg *acct_reg(const struct acct *acct)
{
	return acct ? acct->line->reg : NULL;
}


const char *acct_domain(const struct acct *acct)
{
	return acct ? acct->line->cfg->domains[acct->domain] : "";
}


enum reg_state acct_state(const struct acct *acct)
{
	return acct ? (enum reg_state)acct->state : REG_IDLE;
}


uint16_t acct_scode(const struct acct *acct)
{
	return acct ? acct->scode : 0;
}


uint32_t acct_due_in(const struct acct *acct)
{
	const uint32_t now = reg_now_s();

	if (!acct || acct->place == PLACE_NONE)
		return 0;
	if (acct->place != PLACE_WHEEL || acct->link.due <= now)
		return 1;

	return acct->link.due - now;
}
