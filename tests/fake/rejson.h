/**
 * @file rejson.h  libre and jansson in one file
 *
 * Both name the kinds of JSON values JSON_STRING and JSON_NULL.  libre's are
 * renamed while its header is read; nothing here uses them.
 */

#ifndef FAKE_REJSON_H
#define FAKE_REJSON_H

#define JSON_STRING RE_JSON_STRING
#define JSON_NULL   RE_JSON_NULL
#include <re/re.h>
#undef JSON_STRING
#undef JSON_NULL
#include <jansson.h>

#endif
