/**
 * @file mediator/json.h  jansson beside libre
 *
 * Both name kinds of JSON values JSON_STRING and JSON_NULL.  libre's get other
 * names while its header is read; nothing here uses them.  So this comes
 * before any other header of ours.
 */

#ifndef MEDIATOR_JSON_H
#define MEDIATOR_JSON_H

#define JSON_STRING RE_JSON_STRING
#define JSON_NULL   RE_JSON_NULL
#include <re/re.h>
#undef JSON_STRING
#undef JSON_NULL
#include <jansson.h>

#endif
