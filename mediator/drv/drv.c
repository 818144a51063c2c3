/**
 * @file drv/drv.c  The providers there are
 */

#include <string.h>
#include "mediator/drv/drv.h"


const struct drv *drv_find(const char *name)
{
	if (!strcmp(name, drv_apns.name))
		return &drv_apns;
	if (!strcmp(name, drv_fcm.name))
		return &drv_fcm;
	if (!strcmp(name, drv_webpush.name))
		return &drv_webpush;

	return NULL;
}
