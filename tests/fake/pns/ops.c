/**
 * @file ops.c  What a test can ask on the control port
 *
 * One function per operation: it returns the answer, or NULL if the answer
 * comes later; *why is what is wrong.
 */

#include <errno.h>
#include <stdio.h>
#include "pns.h"

struct op {
	struct pns *pns;
	struct pns_ctl *ctl;
	json_t *o;
	const char *why; /**< not NULL: failed */
	bool later;
};

/** A wait that has not ended */
struct pending {
	struct le le;
	struct pns_ctl *ctl;
	json_t *id;
	struct pns_wait *wait;
	struct pns_line_wait *line_wait;
};


static const char *text(const struct op *op, const char *key)
{
	return json_string_value(json_object_get(op->o, key));
}


static int64_t number(const struct op *op, const char *key, int64_t def)
{
	const json_t *v = json_object_get(op->o, key);

	return json_is_integer(v) ? json_integer_value(v) : def;
}


static json_t *op_ping(struct op *op)
{
	return json_pack("{sI}", "now_ms", (json_int_t)pns_now_ms(op->pns));
}


static json_t *op_token(struct op *op)
{
	struct pns_token *t = NULL;

	if (pns_token_put(&t, op->pns, op->o, &op->why) || !t || !t->key)
		return NULL;

	return json_pack("{ssss}", "p256dh", t->p256dh, "auth", t->auth_text);
}


static struct pns_device *device(struct op *op)
{
	struct pns_device *dev = pns_device_find(op->pns, text(op, "device"));

	if (!dev)
		op->why = "no such device";

	return dev;
}


static json_t *op_device(struct op *op)
{
	const json_t *watch = json_object_get(op->o, "watch");
	struct pns_device *dev;
	json_t *o;
	size_t i;

	if (!text(op, "device") ||
	    pns_device_put(&dev, op->pns, text(op, "device"), op->ctl,
			   !json_is_false(watch))) {
		op->why = "device needs a name";
		return NULL;
	}
	json_array_foreach(json_object_get(op->o, "tokens"), i, o)
	{
		struct pns_token *token = NULL;

		if (pns_token_put(&token, op->pns, o, &op->why))
			return NULL;
		if (token)
			pns_device_own(dev, token);
	}
	pns_device_online(dev, true);

	return NULL;
}


static json_t *op_offline(struct op *op)
{
	struct pns_device *dev = device(op);

	if (dev)
		pns_device_online(dev, false);

	return NULL;
}


static json_t *op_online(struct op *op)
{
	struct pns_device *dev = device(op);

	if (dev)
		pns_device_online(dev, true);

	return NULL;
}


static json_t *op_reported(struct op *op)
{
	struct pns_device *dev = device(op);

	if (dev && pns_device_reported(dev, (uint64_t)number(op, "seq", 0)))
		op->why = "nothing to report, or too late";

	return NULL;
}


static json_t *op_revive(struct op *op)
{
	struct pns_device *dev = device(op);

	if (dev)
		pns_device_revive(dev);

	return NULL;
}


static json_t *op_devices(struct op *op)
{
	json_t *a = json_array();
	struct le *le;

	LIST_FOREACH (&op->pns->devl, le)
		json_array_append_new(a, pns_device_json(le->data));

	return json_pack("{so}", "devices", a);
}


static json_t *op_script(struct op *op)
{
	if (pns_fault_add(op->pns, op->o, &op->why) && !op->why)
		op->why = "no memory";

	return NULL;
}


static void thaw(struct pns *pns, const char *kind)
{
	struct le *le = pns->connl.head;

	while (le) {
		struct pns_conn *conn = le->data;

		le = le->next;
		if (pns_conn_fits(conn, kind))
			pns_conn_freeze(conn, false);
	}
}


static json_t *op_clear(struct op *op)
{
	const unsigned n = pns_fault_clear(op->pns, text(op, "name"));

	if (!text(op, "name"))
		thaw(op->pns, NULL);

	return json_pack("{si}", "cleared", (int)n);
}


static json_t *op_scripts(struct op *op)
{
	return json_pack("{so}", "scripts", pns_fault_json(op->pns));
}


static json_t *op_set(struct op *op)
{
	const char *key;
	char num[32];
	json_t *v;

	json_object_foreach(op->o, key, v)
	{
		const char *s = json_string_value(v);

		if (!strcmp(key, "op") || !strcmp(key, "id"))
			continue;
		if (json_is_integer(v)) {
			(void)snprintf(num, sizeof(num),
				       "%" JSON_INTEGER_FORMAT,
				       json_integer_value(v));
			s = num;
		}
		if (json_is_boolean(v))
			s = json_is_true(v) ? "1" : "0";
		if (!s || pns_set_text(op->pns->setv, key, s)) {
			op->why = "no such setting or value";
			return NULL;
		}
	}

	return json_pack("{so}", "settings", pns_set_json(op->pns->setv));
}


typedef void(each_h)(struct pns_conn *conn, struct op *op);


/* A handler may end its connection, so the next one is looked up before */
static json_t *each(struct op *op, each_h *h)
{
	struct le *le = op->pns->connl.head;
	int n = 0;

	while (le) {
		struct pns_conn *conn = le->data;

		le = le->next;
		if (!pns_conn_fits(conn, text(op, "kind")))
			continue;
		h(conn, op);
		++n;
	}

	return json_pack("{si}", "connections", n);
}


static void one_goaway(struct pns_conn *conn, struct op *op)
{
	struct pns_goaway g;

	if (pns_goaway_decode(&g, op->o)) {
		op->why = "last is all, none or a number";
		return;
	}
	pns_conn_goaway(conn, &g, 0);
	pns_conn_pump(conn);
}


static json_t *op_goaway(struct op *op)
{
	return each(op, one_goaway);
}


static void one_settings(struct pns_conn *conn, struct op *op)
{
	if (!conn->up)
		return;
	pns_conn_limit(conn, (uint32_t)number(op, "max_streams", 100));
	pns_conn_pump(conn);
}


static json_t *op_settings(struct op *op)
{
	return each(op, one_settings);
}


static void one_reset(struct pns_conn *conn, struct op *op)
{
	(void)op;
	pns_conn_doom(conn, true);
	pns_conn_pump(conn);
}


static json_t *op_reset(struct op *op)
{
	return each(op, one_reset);
}


static void one_freeze(struct pns_conn *conn, struct op *op)
{
	(void)op;
	pns_conn_freeze(conn, true);
}


static json_t *op_freeze(struct op *op)
{
	return each(op, one_freeze);
}


static void one_thaw(struct pns_conn *conn, struct op *op)
{
	(void)op;
	pns_conn_freeze(conn, false);
}


static json_t *op_thaw(struct op *op)
{
	return each(op, one_thaw);
}


static json_t *op_accept(struct op *op)
{
	if (!text(op, "mode") ||
	    pns_listener_mode(op->pns, text(op, "kind"), text(op, "mode")))
		op->why = "mode is normal, refuse, silent or close";

	return NULL;
}


static json_t *op_tls(struct op *op)
{
	if (!text(op, "cert") || !text(op, "key") ||
	    pns_tls_load(op->pns, text(op, "cert"), text(op, "key")))
		op->why = "cannot read cert and key";

	return NULL;
}


static json_t *op_counters(struct op *op)
{
	return json_pack("{so}", "counters", pns_count_json(&op->pns->count));
}


static json_t *op_reset_counters(struct op *op)
{
	pns_count_reset(&op->pns->count);

	return NULL;
}


static void pending_destructor(void *arg)
{
	struct pending *p = arg;

	list_unlink(&p->le);
	json_decref(p->id);
	mem_deref(p->wait);
	mem_deref(p->line_wait);
}


static struct pending *pending_make(struct op *op)
{
	struct pending *p = mem_zalloc(sizeof(*p), pending_destructor);

	if (!p)
		return NULL;
	p->ctl = op->ctl;
	p->id = json_incref(json_object_get(op->o, "id"));
	pns_ctl_keep(op->ctl, &p->le, p);
	op->later = true;

	return p;
}


/* Takes ans */
static void reply(struct pns_ctl *ctl, json_t *id, json_t *ans,
		  const char *why)
{
	if (!ans)
		ans = json_object();
	json_object_set_new(ans, "ok", json_boolean(!why));
	if (why)
		json_object_set_new(ans, "error", json_string(why));
	if (id)
		json_object_set(ans, "id", id);
	pns_ctl_send(ctl, ans);
}


static void wait_done(bool hit, int64_t value, void *arg)
{
	struct pending *p = arg;

	p->wait = NULL;
	reply(p->ctl, p->id, json_pack("{sI}", "value", (json_int_t)value),
	      hit ? NULL : "timeout");
	mem_deref(p);
}


static json_t *op_wait(struct op *op)
{
	struct pending *p = pending_make(op);
	int err;

	if (!p || !text(op, "counter")) {
		op->why = "counter is needed";
		mem_deref(p);
		return NULL;
	}
	err = pns_count_wait(&p->wait, &op->pns->count, text(op, "counter"),
			     number(op, "min", 1),
			     (uint32_t)number(op, "timeout_ms", 5000),
			     wait_done, p);
	if (err) {
		op->why = "no such counter";
		mem_deref(p);
	}

	return NULL;
}


static void line_done(const char *line, void *arg)
{
	struct pending *p = arg;

	p->line_wait = NULL;
	reply(p->ctl, p->id,
	      line ? json_pack("{so*}", "push", json_loads(line, 0, NULL))
		   : NULL,
	      line ? NULL : "timeout");
	mem_deref(p);
}


static json_t *op_wait_push(struct op *op)
{
	struct pending *p = pending_make(op);

	if (!p || pns_reqlog_wait(&p->line_wait, op->pns->log, op->o,
				  (uint32_t)number(op, "timeout_ms", 5000),
				  line_done, p)) {
		op->why = "no memory";
		mem_deref(p);
	}

	return NULL;
}


static json_t *op_quit(struct op *op)
{
	(void)op;
	re_cancel();

	return NULL;
}


static const struct {
	const char *name;
	json_t *(*h)(struct op *op);
} ops[] = {
	{ "ping", op_ping },
	{ "token", op_token },
	{ "device", op_device },
	{ "offline", op_offline },
	{ "online", op_online },
	{ "reported", op_reported },
	{ "revive", op_revive },
	{ "devices", op_devices },
	{ "script", op_script },
	{ "clear", op_clear },
	{ "scripts", op_scripts },
	{ "set", op_set },
	{ "goaway", op_goaway },
	{ "settings", op_settings },
	{ "reset", op_reset },
	{ "freeze", op_freeze },
	{ "thaw", op_thaw },
	{ "accept", op_accept },
	{ "tls", op_tls },
	{ "counters", op_counters },
	{ "reset_counters", op_reset_counters },
	{ "wait", op_wait },
	{ "wait_push", op_wait_push },
	{ "quit", op_quit },
};


void pns_ops_line(struct pns_ctl *ctl, const char *line, size_t len)
{
	struct op op = { .pns = pns_ctl_pns(ctl), .ctl = ctl };
	json_t *ans = NULL;
	const char *name;
	size_t i;

	op.o = json_loadb(line, len, 0, NULL);
	name = text(&op, "op");
	for (i = 0; name && i < ARRAY_SIZE(ops); i++) {
		if (!strcmp(ops[i].name, name))
			break;
	}
	if (!name || i == ARRAY_SIZE(ops))
		op.why = "no such op";
	else
		ans = ops[i].h(&op);

	if (!op.later || op.why)
		reply(ctl, json_object_get(op.o, "id"), ans, op.why);
	json_decref(op.o);
}
