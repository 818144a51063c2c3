/**
 * @file test_cfgfile.c  Configuration files, right ones and wrong ones
 */

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>
#include "common/cfgfile.h"
#include "tests/unit/common/unit.h"


enum mode { MODE_A, MODE_B };

struct app {
	char *name;
	uint16_t port;
};

struct cfg {
	char *listen;
	int16_t offset;
	uint32_t limit;
	double rate;
	bool strict;
	enum mode mode;
	struct app *app;
	unsigned app_count;
};

static const cyaml_strval_t modes[] = {
	{ "alpha", MODE_A },
	{ "beta", MODE_B },
};

static const cyaml_schema_field_t app_fields[] = {
	CYAML_FIELD_STRING_PTR("name", CYAML_FLAG_POINTER, struct app, name, 1,
			       20),
	CYAML_FIELD_UINT("port", CYAML_FLAG_OPTIONAL, struct app, port),
	CYAML_FIELD_END
};

static const cyaml_schema_value_t app_schema = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct app, app_fields),
};

static const cyaml_schema_field_t fields[] = {
	CYAML_FIELD_STRING_PTR("listen", CYAML_FLAG_POINTER, struct cfg,
			       listen, 1, 64),
	CYAML_FIELD_INT("offset", CYAML_FLAG_OPTIONAL, struct cfg, offset),
	CYAML_FIELD_UINT("limit", CYAML_FLAG_OPTIONAL, struct cfg, limit),
	CYAML_FIELD_FLOAT("rate", CYAML_FLAG_OPTIONAL, struct cfg, rate),
	CYAML_FIELD_BOOL("strict", CYAML_FLAG_OPTIONAL, struct cfg, strict),
	CYAML_FIELD_ENUM("mode", CYAML_FLAG_OPTIONAL | CYAML_FLAG_STRICT,
			 struct cfg, mode, modes, 2),
	CYAML_FIELD_SEQUENCE("app", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL,
			     struct cfg, app, &app_schema, 0, 3),
	CYAML_FIELD_END
};

static const cyaml_schema_value_t schema = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct cfg, fields),
};

struct file {
	char dir[40];
	char path[64];
};


static void put(const struct file *f, const char *text, size_t len)
{
	FILE *fp = fopen(f->path, "w");

	assert_non_null(fp);
	assert_int_equal(fwrite(text, 1, len, fp), len);
	assert_int_equal(fclose(fp), 0);
}


/* want: what follows the path in the one line of the error */
static void refuse(void **state, const char *text, const char *want)
{
	const struct file *f = *state;
	struct cfgfile_err e;
	void *data = NULL;

	put(f, text, strlen(text));
	assert_int_equal(cfgfile_load(&data, f->path, &schema, &e), EINVAL);
	assert_null(data);
	assert_int_equal(e.exit_code, EX_CONFIG);
	assert_int_equal(strncmp(e.text, f->path, strlen(f->path)), 0);
	assert_string_equal(e.text + strlen(f->path), want);
}


static void test_cfgfile_loads(void **state)
{
	static const char text[] = "listen: \"[::1]:443\"\n"
				   "offset: -12\n"
				   "limit: 4294967295\n"
				   "rate: 0.5\n"
				   "strict: yes\n"
				   "mode: beta\n"
				   "app:\n"
				   "  - name: one\n"
				   "    port: 65535\n"
				   "  - { name: two }\n";
	const struct file *f = *state;
	struct cfgfile_err e;
	struct cfg *cfg;
	void *data;

	put(f, text, sizeof(text) - 1);
	assert_int_equal(cfgfile_load(&data, f->path, &schema, &e), 0);
	cfg = data;

	assert_string_equal(cfg->listen, "[::1]:443");
	assert_int_equal(cfg->offset, -12);
	assert_int_equal(cfg->limit, UINT32_MAX);
	assert_true(cfg->rate == 0.5);
	assert_true(cfg->strict);
	assert_int_equal(cfg->mode, MODE_B);
	assert_int_equal(cfg->app_count, 2);
	assert_int_equal(cfg->app[0].port, 65535);
	assert_string_equal(cfg->app[1].name, "two");
	cfgfile_free(data, &schema);
	cfgfile_free(NULL, &schema);
}


static void test_cfgfile_unknown_keys(void **state)
{
	refuse(state, "listen: a\nlimt: 3\n",
	       ":2: limt: unknown key; did you mean \"limit\"?");
	refuse(state, "listen: a\napp:\n  - name: b\n  - Nmae: c\n",
	       ":4: app[1].Nmae: unknown key; did you mean \"name\"?");
	refuse(state, "listen: a\nzzzzzzzzz: 3\n",
	       ":2: zzzzzzzzz: unknown key; known here: listen, offset, "
	       "limit, rate, strict, mode, app");
	refuse(state, "? [a, b]\n: c\n",
	       ":1: a key is not a plain word; write key: value");
}


static void test_cfgfile_missing_and_double(void **state)
{
	refuse(state, "limit: 3\n",
	       ":1: listen: is missing; a text is needed");
	refuse(state, "listen: a\napp:\n  - name: b\n  - port: 3\n",
	       ":4: app[1].name: is missing; a text is needed");
	refuse(state, "listen: a\nlimit: 3\nlisten: b\n",
	       ":3: listen: stands twice, first in line 1; leave one");
}


static void test_cfgfile_numbers(void **state)
{
	refuse(state, "listen: a\nlimit: many\n",
	       ":2: limit: \"many\" is not a whole number; write digits");
	refuse(state, "listen: a\nlimit: 010\n",
	       ":2: limit: \"010\" is not a whole number; write digits");
	refuse(state, "listen: a\nlimit: 1.5\n",
	       ":2: limit: \"1.5\" is not a whole number; write digits");
	refuse(state, "listen: a\nlimit:\n",
	       ":2: limit: \"\" is not a whole number; write digits");
	refuse(state, "listen: a\nlimit: 4294967296\n",
	       ":2: limit: 4294967296 is out of range; 0 to 4294967295");
	refuse(state, "listen: a\nlimit: -1\n",
	       ":2: limit: -1 is out of range; 0 to 4294967295");
	refuse(state, "listen: a\nlimit: 99999999999999999999999\n",
	       ":2: limit: 99999999999999999999999 is out of range; 0 to "
	       "4294967295");
	refuse(state, "listen: a\noffset: -32769\n",
	       ":2: offset: -32769 is out of range; -32768 to 32767");
	refuse(state, "listen: a\nrate: 0x1p3\n",
	       ":2: rate: \"0x1p3\" is not a number; write digits");
	refuse(state, "listen: a\napp:\n- {name: b, port: 65536}\n",
	       ":3: app[0].port: 65536 is out of range; 0 to 65535");
}


static void test_cfgfile_words(void **state)
{
	refuse(state, "listen: a\nstrict: off\n",
	       ":2: strict: \"off\" is neither yes nor no; write true or "
	       "false");
	refuse(state, "listen: a\nmode: gamma\n",
	       ":2: mode: \"gamma\" is not known here; one of: alpha, beta");
	refuse(state, "listen: ''\n",
	       ":1: listen: is empty; a text is needed");
	refuse(state, "listen: a\napp:\n- name: a23456789a123456789a1\n",
	       ":3: app[0].name: has 21 characters; 1 to 20 are right");
	refuse(state, "listen: \"a\\0b\"\n",
	       ":1: listen: has a NUL character in it; leave it out");
}


static void test_cfgfile_shapes(void **state)
{
	refuse(state, "listen: [a]\n",
	       ":1: listen: is of the wrong form; a text is needed");
	refuse(state, "listen: a\napp: b\n",
	       ":2: app: is of the wrong form; a list is needed");
	refuse(state, "listen: a\napp: [b]\n",
	       ":2: app[0]: is of the wrong form; keys with values, indented "
	       "is needed");
	refuse(state, "- a\n",
	       ":1: is of the wrong form; keys with values, indented is "
	       "needed");
	refuse(state,
	       "listen: a\napp: [{name: a},{name: b},{name: c},{name: d}]\n",
	       ":2: app: has 4 entries; 0 to 3 are right");
	refuse(state, "listen: &x a\napp:\n- name: *x\n",
	       ":1: app[0].name: is an alias of this line; write it out");
}


static void test_cfgfile_not_yaml(void **state)
{
	refuse(state, "listen: a\n\tlimit: 3\n",
	       ":2: yaml: not YAML: found a tab character that violates "
	       "indentation; look at indentation and quotes there and above");
	refuse(state, "listen: \"a\nlimit: 3\n",
	       ":3: yaml: not YAML: found unexpected end of stream; look at "
	       "indentation and quotes there and above");
	refuse(state, "", ": yaml: is empty; settings are needed");
	refuse(state, "# nothing but words\n",
	       ": yaml: is empty; settings are needed");
	refuse(state, "listen: a\n---\nlisten: b\n",
	       ":3: yaml: a second document begins; one is right");
}


static void test_cfgfile_bytes(void **state)
{
	const struct file *f = *state;
	struct cfgfile_err e;
	void *data;

	put(f, "listen: a\0b\n", 12);
	assert_int_equal(cfgfile_load(&data, f->path, &schema, &e), EINVAL);
	assert_non_null(strstr(e.text, "NUL bytes"));

	put(f, "listen: \xff\xfe\n", 11);
	assert_int_equal(cfgfile_load(&data, f->path, &schema, &e), EINVAL);
	assert_non_null(strstr(e.text, "not YAML: "));
}


/* Every prefix of a good file is refused or complete, and leaks nothing */
static void test_cfgfile_every_cut(void **state)
{
	static const char text[] = "app:\n"
				   "  - { name: \"two\", port: 7 }\n"
				   "  - name: 'x'\n"
				   "listen: \"[::1]:443\"\n";
	const struct file *f = *state;
	struct cfgfile_err e;
	void *data;

	for (size_t n = 0; n < sizeof(text) - 2; n++) {
		put(f, text, n);
		assert_int_equal(cfgfile_load(&data, f->path, &schema, &e),
				 EINVAL);
		assert_null(strchr(e.text, '\n'));
	}
}


static void test_cfgfile_unreadable(void **state)
{
	const struct file *f = *state;
	struct cfgfile_err e;
	void *data;

	assert_int_equal(
		cfgfile_load(&data, "/nonexistent/a.yaml", &schema, &e),
		ENOENT);
	assert_int_equal(e.exit_code, EX_NOINPUT);
	assert_string_equal(e.text, "/nonexistent/a.yaml: cannot be read: No "
				    "such file or directory; give the path of "
				    "a readable file");

	assert_int_equal(cfgfile_load(&data, f->dir, &schema, &e), EISDIR);
	assert_int_equal(e.exit_code, EX_NOINPUT);

	put(f, "listen: a\n", 10);
	assert_int_equal(chmod(f->path, 0), 0);
	if (access(f->path, R_OK)) {
		assert_int_equal(cfgfile_load(&data, f->path, &schema, &e),
				 EACCES);
		assert_int_equal(e.exit_code, EX_NOPERM);
	}
}


static void test_cfgfile_fail_finds_the_line(void **state)
{
	static const char text[] = "listen: a\n"
				   "app:\n"
				   "  - name: one\n"
				   "  - name: one\n"
				   "    port: 3\n";
	const struct file *f = *state;
	static const struct {
		const char *key, *want;
	} v[] = {
		{ "listen", ":1: listen: no; yes" },
		{ "app[1].name", ":4: app[1].name: no; yes" },
		{ "app[1].port", ":5: app[1].port: no; yes" },
		{ "app[0]", ":3: app[0]: no; yes" },
		{ "app[0].port", ":3: app[0].port: no; yes" },
		{ "app[7].name", ":2: app[7].name: no; yes" },
		{ "app[", ":2: app[: no; yes" },
		{ "strict", ": strict: no; yes" },
		{ "..", ": ..: no; yes" },
	};
	struct cfgfile_err e;

	put(f, text, sizeof(text) - 1);

	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		assert_int_equal(cfgfile_fail(&e, f->path, v[i].key, "%s; %s",
					      "no", "yes"),
				 EINVAL);
		assert_int_equal(e.exit_code, EX_CONFIG);
		assert_string_equal(e.text + strlen(f->path), v[i].want);
	}
}


static int setup(void **state)
{
	static struct file f;

	(void)snprintf(f.dir, sizeof(f.dir), "/tmp/test_cfgfile.XXXXXX");
	if (!mkdtemp(f.dir))
		return -1;
	(void)snprintf(f.path, sizeof(f.path), "%s/a.yaml", f.dir);
	*state = &f;

	return 0;
}


static int teardown(void **state)
{
	struct file *f = *state;

	(void)unlink(f->path);
	return rmdir(f->dir);
}


int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cfgfile_bytes),
		cmocka_unit_test(test_cfgfile_every_cut),
		cmocka_unit_test(test_cfgfile_fail_finds_the_line),
		cmocka_unit_test(test_cfgfile_loads),
		cmocka_unit_test(test_cfgfile_missing_and_double),
		cmocka_unit_test(test_cfgfile_not_yaml),
		cmocka_unit_test(test_cfgfile_numbers),
		cmocka_unit_test(test_cfgfile_shapes),
		cmocka_unit_test(test_cfgfile_unknown_keys),
		cmocka_unit_test(test_cfgfile_unreadable),
		cmocka_unit_test(test_cfgfile_words),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
