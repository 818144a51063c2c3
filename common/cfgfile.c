/**
 * @file cfgfile.c  A YAML file into a C struct, with errors people can act on
 *
 * The file is read once, whole, and judged from that copy: checked along the
 * schema by yamlcheck, then loaded by libcyaml.  Empty, unreadable or partly
 * read is an error, never a default.
 */

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>
#include "common/cfgfile.h"
#include "common/yamlcheck.h"


enum { FILE_MAX_ = 1024 * 1024, NAME_LEN = 64 };

static void keep_line(cyaml_log_t level, void *ctx, const char *fmt,
		      va_list ap);


/* Where libcyaml's first line of complaint goes */
struct complaint {
	char text[256];
};


static void keep_line(cyaml_log_t level, void *ctx, const char *fmt,
		      va_list ap)
{
	struct complaint *c = ctx;

	if (level < CYAML_LOG_ERROR || c->text[0])
		return;

	(void)vsnprintf(c->text, sizeof(c->text), fmt, ap);
	c->text[strcspn(c->text, "\r\n")] = '\0';
}


static cyaml_config_t config(struct complaint *c)
{
	return (cyaml_config_t){
		.log_fn = keep_line,
		.log_ctx = c,
		.log_level = CYAML_LOG_ERROR,
		.mem_fn = cyaml_mem,
		.flags = CYAML_CFG_NO_ALIAS,
	};
}


/* The text may quote the file, and must stay one line */
static void flatten(char *s)
{
	for (; *s; s++) {
		if ((unsigned char)*s < 0x20 || *s == 0x7f)
			*s = '?';
	}
}


static int tell(struct cfgfile_err *e, int exit_code, int err,
		const char *path, size_t line, const char *key,
		const char *text)
{
	char place[24] = "";

	if (line)
		(void)snprintf(place, sizeof(place), ":%zu", line);

	e->exit_code = exit_code;
	(void)snprintf(e->text, sizeof(e->text), "%s%s: %s%s%s", path, place,
		       key, *key ? ": " : "", text);
	flatten(e->text);

	return err;
}


static int cannot_read(struct cfgfile_err *e, const char *path, int err)
{
	char text[160];
	int code = EX_NOINPUT;

	if (err == EFBIG)
		return tell(e, EX_CONFIG, err, path, 0, "",
			    "is larger than 1 MiB; give the path of a "
			    "configuration");
	if (err == EACCES || err == EPERM)
		code = EX_NOPERM;
	else if (err != ENOENT && err != ENOTDIR && err != EISDIR)
		code = EX_IOERR;

	(void)snprintf(text, sizeof(text),
		       "cannot be read: %s; give the path of a readable file",
		       strerror(err));

	return tell(e, code, err, path, 0, "", text);
}


static int read_fd(int fd, char **bufp, size_t *lenp)
{
	size_t size = 4096, len = 0;
	char *buf = malloc(size);
	ssize_t n = 0;

	while (buf) {
		if (len == size) {
			char *bigger = realloc(buf, size * 2);

			if (!bigger)
				break;
			buf = bigger;
			size *= 2;
		}

		n = read(fd, buf + len, size - len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;

		len += (size_t)n;
		if (len > FILE_MAX_) {
			free(buf);
			return EFBIG;
		}
	}

	if (!buf || n) {
		const int err = n < 0 ? errno : ENOMEM;

		free(buf);
		return err;
	}

	*bufp = buf;
	*lenp = len;
	return 0;
}


static int read_file(char **bufp, size_t *lenp, const char *path)
{
	struct stat st;
	int fd, err;

	/* Opening a fifo must not hang; "/dev/stdin" is fine */
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		return errno;

	err = fstat(fd, &st) ? errno : 0;
	if (!err && S_ISDIR(st.st_mode))
		err = EISDIR;
	err = err ? err : read_fd(fd, bufp, lenp);

	(void)close(fd);
	return err;
}


static int judge(const char *text, size_t len, const char *path,
		 const cyaml_schema_value_t *schema, struct cfgfile_err *e)
{
	struct yamlcheck_fault f;
	int err;

	if (memchr(text, 0, len))
		return tell(e, EX_CONFIG, EINVAL, path, 0, "yaml",
			    "has NUL bytes in it; a text file is needed");

	err = yamlcheck_schema(text, len, schema, &f);
	if (err == EINVAL && f.number)
		(void)snprintf(e->number, sizeof(e->number), "%s", f.key);
	if (err == EINVAL)
		return tell(e, EX_CONFIG, EINVAL, path, f.line, f.key, f.text);
	if (err)
		return tell(e, EX_OSERR, err, path, 0, "", strerror(err));

	return 0;
}


int cfgfile_load(void **datap, const char *path,
		 const cyaml_schema_value_t *schema, struct cfgfile_err *e)
{
	struct complaint c = { "" };
	const cyaml_config_t cfg = config(&c);
	cyaml_data_t *data = NULL;
	cyaml_err_t cerr;
	char *text = NULL;
	size_t len = 0;
	int err;

	if (!datap || !path || !schema || !e)
		return EINVAL;

	*e = (struct cfgfile_err){ 0 };

	err = read_file(&text, &len, path);
	if (!text)
		return cannot_read(e, path, err);

	err = judge(text, len, path, schema, e);
	if (err)
		goto out;

	cerr = cyaml_load_data((const uint8_t *)text, len, &cfg, schema, &data,
			       NULL);
	if (cerr != CYAML_OK)
		err = tell(e, EX_CONFIG, EINVAL, path, 0, "yaml",
			   c.text[0] ? c.text : cyaml_strerror(cerr));
	else if (!data)
		err = tell(e, EX_CONFIG, EINVAL, path, 0, "yaml",
			   "sets nothing; settings are needed");
	else
		*datap = data;

out:
	free(text);
	return err;
}


void cfgfile_free(void *data, const cyaml_schema_value_t *schema)
{
	struct complaint c = { "" };
	const cyaml_config_t cfg = config(&c);

	if (data && schema)
		(void)cyaml_free(&cfg, schema, data, 0);
}


int cfgfile_fail(struct cfgfile_err *e, const char *path, const char *key,
		 const char *fmt, ...)
{
	char words[320], *text = NULL;
	size_t len = 0, line = 0;
	va_list ap;

	if (!e || !path || !key || !fmt)
		return EINVAL;

	va_start(ap, fmt);
	(void)vsnprintf(words, sizeof(words), fmt, ap);
	va_end(ap);

	if (!read_file(&text, &len, path))
		line = yamlcheck_line(text, len, key);
	free(text);

	return tell(e, EX_CONFIG, EINVAL, path, line, key, words);
}


int cfgfile_name(struct cfgfile_err *e, const char *path, const char *key,
		 const char *name)
{
	const size_t n = name ? strlen(name) : 0;

	if (n && n <= NAME_LEN && strspn(name, CFGFILE_NAME_CHARS) == n &&
	    *name != '.')
		return 0;

	return cfgfile_fail(e, path, key,
			    "\"%s\" is no name; give at most %d letters, "
			    "digits, dots, dashes and underlines, no dot "
			    "first",
			    name ? name : "", NAME_LEN);
}


/* Where dir would be made */
static int parent_of(char parent[PATH_MAX], const char *dir)
{
	size_t n = strlen(dir);

	while (n > 1 && dir[n - 1] == '/')
		--n;
	while (n && dir[n - 1] != '/')
		--n;
	if (n >= PATH_MAX)
		return ENAMETOOLONG;

	(void)snprintf(parent, PATH_MAX, "%.*s", n ? (int)n : 1,
		       n ? dir : ".");
	return 0;
}


/** 0: it can be made; EACCES, EPERM, EROFS: not by this user */
static int dir_missing(const char *dir)
{
	char parent[PATH_MAX];
	struct stat st;
	int err = parent_of(parent, dir);

	if (err)
		return err;
	if (stat(parent, &st))
		return errno;
	if (!S_ISDIR(st.st_mode))
		return ENOTDIR;

	return access(parent, W_OK | X_OK) ? errno : 0;
}


static bool is_forbidden(int err)
{
	return err == EACCES || err == EPERM || err == EROFS;
}


int cfgfile_dir(struct cfgfile_err *e, const char *path, const char *key,
		const char *dir)
{
	struct stat st;
	int err;

	if (stat(dir, &st)) {
		err = errno == ENOENT ? dir_missing(dir) : errno;
		if (!err)
			return 0;

		(void)cfgfile_fail(e, path, key,
				   is_forbidden(err)
					   ? "\"%s\" cannot be made: %s; make "
					     "it, for the user that the "
					     "daemon runs as"
					   : "\"%s\" cannot be made: %s; make "
					     "the directory that it is to be "
					     "in",
				   dir, strerror(err));
		if (is_forbidden(err))
			e->exit_code = EX_NOPERM;
		return EINVAL;
	}

	if (!S_ISDIR(st.st_mode))
		return cfgfile_fail(e, path, key,
				    "\"%s\" is not a directory; give one for "
				    "this daemon alone",
				    dir);
	if (!access(dir, R_OK | W_OK | X_OK))
		return 0;

	(void)cfgfile_fail(e, path, key,
			   "cannot use \"%s\": %s; give a directory of the "
			   "user that the daemon runs as",
			   dir, strerror(errno));
	e->exit_code = EX_NOPERM;
	return EINVAL;
}
