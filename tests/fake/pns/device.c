/**
 * @file device.c  The phone behind the tokens
 *
 * What becomes of an accepted push: delivered to the control connection that
 * plays the phone, stored, or lost.  iOS kills an app that took a VoIP push
 * and reported no call, and stops VoIP pushes after repeats; Android turns
 * messages of high priority that show nothing into normal ones.
 */

#include <errno.h>
#include "pns.h"

#define KILLS_MAX      3
#define UNSEEN_MAX     3
#define FCM_STORED_MAX 100

struct pns_device {
	struct le le;
	struct pns *pns;
	struct pns_ctl *ctl; /**< NULL: nobody plays it at present */
	struct list tokenl, storedl, watchl;
	char *name;
	uint64_t seq;
	unsigned kills, unseen;
	bool online, watch, dropped, deprioritised;
};

/** A push on its way to the phone, or kept for it */
struct parcel {
	struct le le;
	json_t *event;
	char key[160]; /**< a newer one of the same key replaces it */
	int64_t expires_ms;
	bool voip, fcm, high;
};

/** A delivered push that the app has yet to make visible */
struct watch {
	struct le le;
	struct tmr tmr;
	struct pns_device *dev;
	uint64_t seq;
	bool voip;
};


static void device_destructor(void *arg)
{
	struct pns_device *dev = arg;
	struct le *le;

	LIST_FOREACH (&dev->tokenl, le) {
		struct pns_token *token = le->data;

		token->dev = NULL;
	}
	list_clear(&dev->tokenl);
	list_unlink(&dev->le);
	list_flush(&dev->storedl);
	list_flush(&dev->watchl);
	mem_deref(dev->name);
}


struct pns_device *pns_device_find(const struct pns *pns, const char *name)
{
	struct le *le;

	LIST_FOREACH (&pns->devl, le) {
		struct pns_device *dev = le->data;

		if (name && !strcmp(dev->name, name))
			return dev;
	}

	return NULL;
}


int pns_device_put(struct pns_device **dp, struct pns *pns, const char *name,
		   struct pns_ctl *ctl, bool watch)
{
	struct pns_device *dev = pns_device_find(pns, name);
	int err;

	if (!dev) {
		dev = mem_zalloc(sizeof(*dev), device_destructor);
		if (!dev)
			return ENOMEM;
		err = str_dup(&dev->name, name);
		if (err) {
			mem_deref(dev);
			return err;
		}
		dev->pns = pns;
		list_append(&pns->devl, &dev->le, dev);
	}
	dev->ctl = ctl;
	dev->watch = watch;
	*dp = dev;

	return 0;
}


void pns_device_own(struct pns_device *dev, struct pns_token *token)
{
	list_unlink(&token->dev_le);
	list_append(&dev->tokenl, &token->dev_le, token);
	token->dev = dev;
}


static void parcel_destructor(void *arg)
{
	struct parcel *p = arg;

	list_unlink(&p->le);
	json_decref(p->event);
}


static void watch_destructor(void *arg)
{
	struct watch *w = arg;

	list_unlink(&w->le);
	tmr_cancel(&w->tmr);
}


static void killed(struct pns_device *dev, uint64_t seq)
{
	++dev->kills;
	pns_count_add(&dev->pns->count, CNT_APP_KILLS, 1);
	if (dev->kills >= KILLS_MAX)
		dev->dropped = true;
	if (dev->ctl)
		pns_ctl_send(dev->ctl, json_pack("{sssssIsi}", "event",
						 "killed", "device", dev->name,
						 "seq", (json_int_t)seq,
						 "kills", (int)dev->kills));
}


static void unreported(void *arg)
{
	struct watch *w = arg;
	struct pns_device *dev = w->dev;
	const uint64_t seq = w->seq;
	const bool voip = w->voip;

	mem_deref(w);
	if (voip)
		killed(dev, seq);
	else if (++dev->unseen >= UNSEEN_MAX)
		dev->deprioritised = true;
}


static void watch_start(struct pns_device *dev, const struct parcel *p)
{
	struct watch *w;

	if (!dev->watch || !dev->pns->voip_watch || !(p->voip || p->high))
		return;
	w = mem_zalloc(sizeof(*w), watch_destructor);
	if (!w)
		return;
	w->dev = dev;
	w->seq = dev->seq;
	w->voip = p->voip;
	list_append(&dev->watchl, &w->le, w);
	tmr_start(&w->tmr, (uint64_t)dev->pns->setv[SET_REPORT_MS], unreported,
		  w);
}


static void deliver(struct pns_device *dev, const struct parcel *p)
{
	struct pns_count *count = &dev->pns->count;
	json_t *ev = p->event;

	if (p->voip && dev->dropped) {
		pns_count_add(count, CNT_VOIP_DROPPED, 1);
		return;
	}
	if (p->high && dev->deprioritised) {
		json_object_set_new(ev, "priority", json_integer(5));
		pns_count_add(count, CNT_DEPRIORITISED, 1);
	}

	++dev->seq;
	json_object_set_new(ev, "seq", json_integer((json_int_t)dev->seq));
	json_object_set_new(ev, "at_us", json_integer(pns_now_us()));
	pns_ctl_send(dev->ctl, json_incref(ev));
	pns_count_add(count, CNT_DELIVERED, 1);
	watch_start(dev, p);
}


/* APNs keeps one per bundle; FCM one per collapse key, else up to 100 */
static void store(struct pns_device *dev, struct parcel *p)
{
	struct le *le = dev->storedl.head;
	unsigned fcmc = 0;

	while (le) {
		struct parcel *old = le->data;

		le = le->next;
		fcmc += old->fcm;
		if (*p->key && !strcmp(old->key, p->key))
			mem_deref(old);
	}
	if (p->fcm && fcmc >= FCM_STORED_MAX) {
		pns_count_add(&dev->pns->count, CNT_LOST_OFFLINE, 1);
		return;
	}
	list_append(&dev->storedl, &p->le, mem_ref(p));
	pns_count_add(&dev->pns->count, CNT_STORED, 1);
}


static json_t *event_make(const struct pns_device *dev,
			  const struct pns_token *token, struct pns_req *req)
{
	json_t *root = token->webpush ? req->root : pns_req_root(req);
	json_t *msg = json_object_get(root, "message");
	json_t *data =
		json_object_get(json_object_get(msg, "android"), "data");
	json_t *payload = root;
	const char *type = pns_req_h(req, H_APNS_PUSH_TYPE);
	const char *provider = token->webpush ? "webpush"
			       : token->fcm   ? "fcm"
					      : "apns";

	if (token->fcm)
		payload = data ? data : json_object_get(msg, "data");

	return json_pack("{sssssisIssssss*sisO*}", "event", "push", "device",
			 dev->name, "seq", 0, "at_us", (json_int_t)0,
			 "provider", provider, "token", token->text,
			 "push_type",
			 token->fcm || token->webpush ? "data" : type,
			 "priority", req->priority, "payload", payload);
}


static int64_t expiry(const struct pns_req *req, bool fcm)
{
	if (req->expiration < 0)
		return INT64_MAX;
	if (fcm && req->expiration <= req->request_us / 1000000)
		return 0;

	return req->expiration * 1000;
}


static struct parcel *parcel_make(const struct pns_device *dev,
				  const struct pns_token *token,
				  struct pns_req *req)
{
	const json_t *root = token->webpush ? req->root : pns_req_root(req);
	const json_t *android =
		json_object_get(json_object_get(root, "message"), "android");
	const char *collapse =
		json_string_value(json_object_get(android, "collapse_key"));
	struct parcel *p = mem_zalloc(sizeof(*p), parcel_destructor);

	if (!p)
		return NULL;
	p->fcm = token->fcm;
	p->voip = !token->fcm &&
		  !strcmp(pns_req_h(req, H_APNS_PUSH_TYPE), "voip");
	p->high = token->fcm && req->priority == 10;
	p->expires_ms = expiry(req, token->fcm || token->webpush);
	if (token->webpush)
		str_ncpy(p->key, pns_req_h(req, H_TOPIC), sizeof(p->key));
	else if (!token->fcm)
		str_ncpy(p->key, token->topic, sizeof(p->key));
	else if (collapse)
		str_ncpy(p->key, collapse, sizeof(p->key));
	p->event = event_make(dev, token, req);

	return p;
}


void pns_device_push(struct pns_token *token, struct pns_req *req)
{
	struct pns_device *dev = token->dev;
	struct parcel *p = parcel_make(dev, token, req);

	if (!p || !p->event) {
		mem_deref(p);
		return;
	}
	if (dev->online && dev->ctl)
		deliver(dev, p);
	else if (p->expires_ms > pns_now_ms(dev->pns))
		store(dev, p);
	else
		pns_count_add(&dev->pns->count, CNT_LOST_OFFLINE, 1);
	mem_deref(p);
}


void pns_device_online(struct pns_device *dev, bool online)
{
	struct le *le = dev->storedl.head;

	dev->online = online;
	if (!online || !dev->ctl)
		return;

	while (le) {
		struct parcel *p = le->data;

		le = le->next;
		if (p->expires_ms > pns_now_ms(dev->pns))
			deliver(dev, p);
		else
			pns_count_add(&dev->pns->count, CNT_EXPIRED_STORED, 1);
		mem_deref(p);
	}
}


int pns_device_reported(struct pns_device *dev, uint64_t seq)
{
	struct le *le;

	LIST_FOREACH (&dev->watchl, le) {
		struct watch *w = le->data;

		if (w->seq != seq)
			continue;
		dev->unseen = 0;
		mem_deref(w);
		return 0;
	}

	return ENOENT;
}


void pns_device_revive(struct pns_device *dev)
{
	list_flush(&dev->watchl);
	dev->kills = dev->unseen = 0;
	dev->dropped = dev->deprioritised = false;
}


json_t *pns_device_json(const struct pns_device *dev)
{
	return json_pack(
		"{sssbsisbsbsisI}", "device", dev->name, "online",
		dev->online && dev->ctl, "kills", (int)dev->kills, "dropped",
		dev->dropped, "deprioritised", dev->deprioritised, "stored",
		(int)list_count(&dev->storedl), "seq", (json_int_t)dev->seq);
}


void pns_device_orphan(struct pns *pns, const struct pns_ctl *ctl)
{
	struct le *le;

	LIST_FOREACH (&pns->devl, le) {
		struct pns_device *dev = le->data;

		if (dev->ctl != ctl)
			continue;
		dev->ctl = NULL;
		dev->online = false;
		list_flush(&dev->watchl);
	}
}
