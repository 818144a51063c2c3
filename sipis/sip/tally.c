/**
 * @file tally.c  What is counted of a profile's SIP
 */

#include <errno.h>
#include <re/re.h>
#include "sipis/sip/tally.h"


enum { NAME_SIZE = 96 };

struct tally {
	struct metric v[TALLY_KINDS];
	char name[TALLY_KINDS][NAME_SIZE];
};

static const struct {
	const char *name, *label, *help;
} kinds[TALLY_KINDS] = {
	[TALLY_STRANGER] = { "sipis_sip_dropped_total", "stranger",
			     "requests and connections of strangers" },
	[TALLY_CONNECTION] = { "sipis_sip_dropped_total", "connection",
			       "requests and connections of strangers" },
	[TALLY_NOBODY] = { "sipis_sip_requests_total", "unknown_contact",
			   "requests of the PBX" },
	[TALLY_INVITE] = { "sipis_sip_requests_total", "INVITE",
			   "requests of the PBX" },
	[TALLY_CANCEL] = { "sipis_sip_requests_total", "CANCEL",
			   "requests of the PBX" },
	[TALLY_OTHER] = { "sipis_sip_requests_total", "other",
			  "requests of the PBX" },
};


int tally_alloc(struct tally **tp, const char *pbx, struct metrics *ms)
{
	struct tally *t;
	int err = 0;

	if (!tp || !pbx)
		return EINVAL;

	t = mem_zalloc(sizeof(*t), NULL);
	if (!t)
		return ENOMEM;

	for (int i = 0; i < TALLY_KINDS; i++) {
		(void)re_snprintf(t->name[i], sizeof(t->name[i]),
				  "%s{pbx=\"%s\",kind=\"%s\"}", kinds[i].name,
				  pbx, kinds[i].label);
		t->v[i].name = t->name[i];
		t->v[i].help = kinds[i].help;
		t->v[i].type = METRIC_COUNTER;
	}

	if (ms)
		err = metrics_add(ms, t->v, TALLY_KINDS);
	if (err)
		mem_deref(t);
	else
		*tp = t;

	return err;
}


void tally_inc(struct tally *t, enum tally_kind kind)
{
	metric_inc(&t->v[kind]);
}
