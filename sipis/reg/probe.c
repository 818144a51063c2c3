/**
 * @file probe.c  Are these credentials good?  Before there is an account
 */

#include <errno.h>
#include <string.h>
#include "sipis/reg/priv.h"


static void destructor(void *data)
{
	struct probe *p = data;

	mem_deref(p->user);
	mem_deref(p->auth_user);
	mem_deref(p->proxy);
	mem_deref(p->realm);
	mem_deref(p->source);
	if (p->password)
		explicit_bzero(p->password, strlen(p->password));
	mem_deref(p->password);
	explicit_bzero(p->ha1, sizeof(p->ha1));
}


static int probe_make(struct probe **pp, const struct line *ln,
		      const struct reg_probe_prm *prm)
{
	struct probe *p;
	uint16_t number;
	int err;

	err = line_domain(ln, prm->domain, &number);
	if (err)
		return err;

	p = mem_zalloc(sizeof(*p), destructor);
	if (!p)
		return ENOMEM;

	p->domain = ln->cfg->domains[number];
	p->transport = prm->transport;
	err = str_dup(&p->user, prm->user);
	err |= str_dup(&p->auth_user,
		       prm->auth_user ? prm->auth_user : prm->user);
	err |= str_dup(&p->proxy,
		       prm->outbound_proxy ? prm->outbound_proxy : "");
	if (prm->realm)
		err |= str_dup(&p->realm, prm->realm);
	if (prm->source)
		err |= str_dup(&p->source, prm->source);
	p->known = prm->known;
	if (prm->ha1) {
		memcpy(p->ha1, prm->ha1, prm->alg == DIGEST_SHA256 ? 32 : 16);
		p->has_ha1 = true;
		p->alg = prm->alg;
	}
	else {
		err |= str_dup(&p->password,
			       prm->password ? prm->password : "");
	}
	(void)re_snprintf(p->callid, sizeof(p->callid), "%016llx%016llx",
			  rand_u64(), rand_u64());

	if (err)
		mem_deref(p);
	else
		*pp = p;

	return err;
}


int reg_probe(struct reg *reg, struct pbx *pbx,
	      const struct reg_probe_prm *prm, reg_answer_h *h, void *arg)
{
	struct probe *p;
	struct line *ln;
	int err;

	if (!reg || !pbx || !prm || !h || !prm->user || !prm->domain ||
	    reg->closed)
		return EINVAL;

	err = line_find(&ln, reg, pbx);
	if (err)
		return err;

	err = probe_make(&p, ln, prm);
	if (err)
		return err;

	err = probe_budget(ln, p, reg_now_ms()) == BUDGET_SPENT ? EAGAIN : 0;
	if (!err)
		err = line_op(ln, OP_PROBE, NULL, p, h, arg);
	mem_deref(p);

	return err;
}
