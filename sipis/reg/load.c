/**
 * @file load.c  How much there is to do, and whether it can be carried
 *
 * More accounts than register_rate has room for lapse one after the other,
 * each by a little: that shall stand in the log, with what to set, before
 * the first caller notices.
 */

#include "common/log.h"
#include "sipis/reg/grid.h"
#include "sipis/reg/priv.h"


enum {
	LOOK_MS = 5000,
	ROOM = 4, /* to recommend: a quarter more than is needed */
};

static const struct {
	const char *name, *label, *help;
} kinds[LOAD_KINDS] = {
	[LOAD_FRESH] = { "sipis_reg_queue", ",lane=\"first\"",
			 "accounts that wait for their turn" },
	[LOAD_REFRESH] = { "sipis_reg_queue", ",lane=\"refresh\"",
			   "accounts that wait for their turn" },
	[LOAD_LAG] = { "sipis_reg_lag_seconds", "",
		       "how long the next refresh has been due" },
	[LOAD_NEED] = { "sipis_reg_needed_per_second", "",
			"REGISTERs that the accounts need" },
	[LOAD_RATE] = { "sipis_reg_allowed_per_second", "",
			"register_rate of the PBX" },
};


int load_metrics(struct line *ln, struct metrics *ms)
{
	struct load *load = &ln->load;

	for (int i = 0; i < LOAD_KINDS; i++) {
		(void)re_snprintf(load->name[i], sizeof(load->name[i]),
				  "%s{pbx=\"%s\"%s}", kinds[i].name,
				  ln->cfg->name, kinds[i].label);
		load->v[i].name = load->name[i];
		load->v[i].help = kinds[i].help;
		load->v[i].type = METRIC_GAUGE;
	}
	metric_set(&load->v[LOAD_RATE], ln->cfg->register_rate);

	return ms ? metrics_add(ms, load->v, LOAD_KINDS) : 0;
}


/* Said once, and again only after it was well for a while */
static bool is_news(bool *told, uint32_t need, uint32_t rate)
{
	if (need <= rate) {
		*told = *told && need > rate - rate / 10;
		return false;
	}
	if (*told)
		return false;

	*told = true;
	return true;
}


/* It may have been due before the machine was up */
static uint32_t due_for(const struct wheel_link *link)
{
	const int32_t s = (int32_t)(reg_now_s() - link->due);

	return s > 0 ? (uint32_t)s : 0;
}


uint32_t load_lag_s(const struct line *ln)
{
	return ln->refresh.n ? due_for(ln->refresh.head) : 0;
}


uint32_t load_owed_s(const struct line *ln)
{
	uint32_t most = load_lag_s(ln);

	for (struct le *le = ln->txl.head; le; le = le->next) {
		const struct tx *tx = le->data;
		const struct acct *a = tx->acct;

		/* Its due time stays until it has a new one */
		if (tx->kind == TX_REGISTER && a &&
		    a->state == REG_REGISTERED && a->place == PLACE_NONE &&
		    due_for(&a->link) > most)
			most = due_for(&a->link);
	}

	return most;
}


static uint32_t grant_of(const struct line *ln)
{
	return ln->grant_s ? ln->grant_s : ln->expires_s;
}


/* A challenge each time is a second REGISTER */
static uint32_t need_of(const struct line *ln)
{
	return grid_rate(ln->wanted * (nonce_keeps(ln) ? 1 : 2), grant_of(ln));
}


static void look(struct line *ln, uint32_t need)
{
	struct load *load = &ln->load;
	const uint32_t rate = ln->cfg->register_rate;

	metric_set(&load->v[LOAD_FRESH], ln->fresh.n);
	metric_set(&load->v[LOAD_REFRESH], ln->refresh.n);
	metric_set(&load->v[LOAD_LAG], load_lag_s(ln));
	metric_set(&load->v[LOAD_NEED], need);

	if (is_news(&load->told, need, rate))
		log_warning("reg", "-",
			    "more accounts than register_rate can carry "
			    "pbx=%s accounts=%u grant_s=%u needed=%u/s "
			    "register_rate=%u/s: bindings run out before "
			    "their turn; set register_rate of this pbx to %u "
			    "or more, or let the PBX grant more seconds",
			    ln->cfg->name, ln->wanted, grant_of(ln), need,
			    rate, need + need / ROOM + 1);
}


void load_tick(struct reg *reg, uint64_t now)
{
	const uint32_t rate = (uint32_t)reg->rate.rate;
	uint32_t need = 0, accounts = 0;

	if (now < reg->load_at)
		return;

	reg->load_at = now + LOOK_MS;
	for (struct le *le = reg->linel.head; le; le = le->next) {
		struct line *ln = le->data;
		const uint32_t n = need_of(ln);

		look(ln, n);
		need += n;
		accounts += ln->wanted;
	}

	if (is_news(&reg->load_told, need, rate))
		log_warning("reg", "-",
			    "more accounts than register_rate over all PBXs "
			    "can carry accounts=%u needed=%u/s "
			    "register_rate=%u/s: bindings run out before "
			    "their turn; set it to %u or more",
			    accounts, need, rate, need + need / ROOM + 1);
}
