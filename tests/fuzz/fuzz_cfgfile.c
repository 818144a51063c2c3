/**
 * @file fuzz_cfgfile.c  Foreign bytes as a configuration file
 *
 * Judged: no crash, no leak; a refusal is one line with a reason and a place
 * inside the file; what the check lets pass libcyaml takes, and nothing that
 * came through is outside of what the schema allows.
 */

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "common/cfgfile.h"
#include "common/yamlcheck.h"


#define CHECK(cond)              \
	do {                     \
		if (!(cond))     \
			abort(); \
	} while (0)

enum word { WORD_A, WORD_B };

struct entry {
	char *name;
	uint8_t port;
	char **list;
	unsigned list_count;
};

struct cfg {
	char *listen;
	int16_t offset;
	uint64_t limit;
	double rate;
	bool strict;
	enum word word;
	struct entry *entry;
	unsigned entry_count;
};

static const cyaml_strval_t words[] = {
	{ "alpha", WORD_A },
	{ "beta", WORD_B },
};

static const cyaml_schema_value_t text_schema = {
	CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char *, 0, 8),
};

static const cyaml_schema_field_t entry_fields[] = {
	CYAML_FIELD_STRING_PTR("name", CYAML_FLAG_POINTER, struct entry, name,
			       1, 8),
	CYAML_FIELD_UINT("port", CYAML_FLAG_OPTIONAL, struct entry, port),
	CYAML_FIELD_SEQUENCE("list", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL,
			     struct entry, list, &text_schema, 0, 3),
	CYAML_FIELD_END
};

static const cyaml_schema_value_t entry_schema = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct entry, entry_fields),
};

static const cyaml_schema_field_t fields[] = {
	CYAML_FIELD_STRING_PTR("listen", CYAML_FLAG_POINTER, struct cfg,
			       listen, 1, 16),
	CYAML_FIELD_INT("offset", CYAML_FLAG_OPTIONAL, struct cfg, offset),
	CYAML_FIELD_UINT("limit", CYAML_FLAG_OPTIONAL, struct cfg, limit),
	CYAML_FIELD_FLOAT("rate", CYAML_FLAG_OPTIONAL, struct cfg, rate),
	CYAML_FIELD_BOOL("strict", CYAML_FLAG_OPTIONAL, struct cfg, strict),
	CYAML_FIELD_ENUM("word", CYAML_FLAG_OPTIONAL | CYAML_FLAG_STRICT,
			 struct cfg, word, words, 2),
	CYAML_FIELD_SEQUENCE("entry", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL,
			     struct cfg, entry, &entry_schema, 0, 3),
	CYAML_FIELD_END
};

static const cyaml_schema_value_t schema = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct cfg, fields),
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


static size_t lines(const uint8_t *data, size_t size)
{
	size_t n = 1;

	while (size--)
		n += data[size] == '\n' || data[size] == '\r' ||
		     data[size] >= 0x80; /* U+0085, U+2028, U+2029 */

	return n;
}


static bool judge_fault(const uint8_t *data, size_t size)
{
	struct yamlcheck_fault f = { 0 };
	int err;

	err = yamlcheck_schema((const char *)data, size, &schema, &f);
	if (!err)
		return true;

	CHECK(err == EINVAL);
	CHECK(f.text[0]);
	CHECK(f.line <= lines(data, size) + 1);
	(void)yamlcheck_line((const char *)data, size, f.key);

	return false;
}


static void judge_cfg(const struct cfg *cfg)
{
	const size_t len = strlen(cfg->listen);

	CHECK(len >= 1 && len <= 16);
	CHECK(cfg->word == WORD_A || cfg->word == WORD_B);
	CHECK(cfg->entry_count <= 3);

	for (unsigned i = 0; i < cfg->entry_count; i++) {
		const struct entry *e = &cfg->entry[i];

		CHECK(e->name && *e->name && strlen(e->name) <= 8);
		CHECK(e->list_count <= 3);
		for (unsigned k = 0; k < e->list_count; k++)
			CHECK(strlen(e->list[k]) <= 8);
	}
}


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cfgfile_err e;
	void *cfg = NULL;
	char path[32];
	bool good;
	int fd, err;

	good = judge_fault(data, size) && !memchr(data, 0, size);

	fd = memfd_create("cfg", MFD_CLOEXEC);
	CHECK(fd >= 0 && write(fd, data, size) == (ssize_t)size);
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);

	err = cfgfile_load(&cfg, path, &schema, &e);
	CHECK(!err == !!cfg);
	if (err) {
		CHECK(e.exit_code >= 64 && e.exit_code <= 78);
		CHECK(!strncmp(e.text, path, strlen(path)));
		CHECK(strlen(e.text) > strlen(path) + 8);
		for (const char *p = e.text; *p; p++)
			CHECK((unsigned char)*p >= 0x20);
		CHECK(!good); /* nothing is left for libcyaml to find */
	}
	else {
		judge_cfg(cfg);
		cfgfile_free(cfg, &schema);
	}

	(void)close(fd);
	return 0;
}
