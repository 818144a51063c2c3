/**
 * @file yamlcheck.h  What libcyaml would say, for people: place, key, cure
 *
 * libcyaml 1.3.1 names no line for a syntax error, takes every word but a few
 * for "true", numbers with a leading 0 as octal, and of two equal keys the
 * last.  This walks the document along the same schema first.
 */

#ifndef COMMON_YAMLCHECK_H
#define COMMON_YAMLCHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <cyaml/cyaml.h>

struct yamlcheck_fault {
	size_t line;    /**< from 1; 0 = the whole file */
	char key[160];  /**< apps[1].credential */
	char text[320]; /**< what is wrong; what would be right */
	bool number;    /**< one that its type cannot hold */
};

/** EINVAL with *f filled, ENOMEM */
int yamlcheck_schema(const char *text, size_t len,
		     const cyaml_schema_value_t *schema,
		     struct yamlcheck_fault *f);

/** The line of a key as yamlcheck_fault writes it, or of the longest part of
    it that is there; 0 if none is */
size_t yamlcheck_line(const char *text, size_t len, const char *key);

#endif
