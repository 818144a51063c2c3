/**
 * @file net/hdrs.c  Header lines that many requests share
 */

#include <errno.h>
#include <re/re.h>
#include "mediator/net/hdrs.h"

struct hdrs {
	struct curl_slist *list;
};


static void destructor(void *arg)
{
	struct hdrs *h = arg;

	curl_slist_free_all(h->list);
}


int hdrs_alloc(struct hdrs **hp)
{
	if (!hp)
		return EINVAL;

	*hp = mem_zalloc(sizeof(**hp), destructor);
	return *hp ? 0 : ENOMEM;
}


int hdrs_add(struct hdrs *h, const char *line)
{
	struct curl_slist *list = curl_slist_append(h->list, line);

	if (!list)
		return ENOMEM;

	h->list = list;
	return 0;
}


struct curl_slist *hdrs_list(const struct hdrs *h)
{
	return h ? h->list : NULL;
}
