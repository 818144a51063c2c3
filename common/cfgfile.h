/**
 * @file cfgfile.h  A YAML file into a C struct, with errors people can act on
 *
 * libcyaml does the work by a schema table; this adds what it lacks: the
 * first error as one line "FILE:LINE: key: what is wrong; what would be
 * right", unknown keys with the nearest known one, and exit codes of
 * sysexits.h (EX_NOINPUT 66 no such file, EX_CONFIG 78 bad content,
 * EX_NOPERM 77 unreadable).  A number that may be left out may not be 0: that
 * is how a left-out one looks in the struct.
 */

#ifndef COMMON_CFGFILE_H
#define COMMON_CFGFILE_H

#include <stddef.h>
#include <cyaml/cyaml.h>

struct cfgfile_err {
	int exit_code;    /**< of sysexits.h */
	char text[512];   /**< one line for the operator */
	char number[160]; /**< key of a number that its type cannot hold */
};

/** *datap is freed with cfgfile_free().  0, or an errno value with *e filled
 */
int cfgfile_load(void **datap, const char *path,
		 const cyaml_schema_value_t *schema, struct cfgfile_err *e);
void cfgfile_free(void *data, const cyaml_schema_value_t *schema);

/** For the checks behind the schema: fills *e as "FILE: key: text" with the
    line of key where it can be found, and returns EINVAL */
int cfgfile_fail(struct cfgfile_err *e, const char *path, const char *key,
		 const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/** A directory for what survives: of ours, or to be made in one that is
    there.  0, or EINVAL with *e filled */
int cfgfile_dir(struct cfgfile_err *e, const char *path, const char *key,
		const char *dir);

/** What a thing may be called that stands in logs and metrics */
#define CFGFILE_NAME_CHARS \
	"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"

/** 0, or EINVAL with *e filled */
int cfgfile_name(struct cfgfile_err *e, const char *path, const char *key,
		 const char *name);

#endif
