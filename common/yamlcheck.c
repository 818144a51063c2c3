/**
 * @file yamlcheck.c  What libcyaml would say, for people: place, key, cure
 *
 * One function per kind of value; each returns at the first fault.  The depth
 * is known before the document is built, for libyaml takes quadratic time for
 * nested lists; and every node is visited once: a second visit is an alias,
 * which is refused.
 */

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <yaml.h>
#include "common/yamlcheck.h"


enum {
	WORD_MAX = 48,
	DEPTH_MAX = 32 /**< of lists and mappings in each other */
};

struct walk {
	yaml_document_t *doc;
	unsigned char *seen; /**< per node */
	struct yamlcheck_fault *f;
};


static int fault(struct walk *w, size_t line, const char *key, const char *fmt,
		 ...) __attribute__((format(printf, 4, 5)));

static int fault(struct walk *w, size_t line, const char *key, const char *fmt,
		 ...)
{
	va_list ap;

	w->f->line = line;
	w->f->number = false;
	(void)snprintf(w->f->key, sizeof(w->f->key), "%s", key);

	va_start(ap, fmt);
	(void)vsnprintf(w->f->text, sizeof(w->f->text), fmt, ap);
	va_end(ap);

	return EINVAL;
}


static size_t line_of(const yaml_node_t *node)
{
	return node->start_mark.line + 1;
}


static const char *scalar(const yaml_node_t *node)
{
	return node->type == YAML_SCALAR_NODE
		       ? (const char *)node->data.scalar.value
		       : "";
}


static void join(char *dst, size_t size, const char *path, const char *key)
{
	(void)snprintf(dst, size, "%s%s%s", path, *path ? "." : "", key);
}


/* Levenshtein, case ignored */
static unsigned distance(const char *a, const char *b)
{
	unsigned row[WORD_MAX + 1];
	const size_t n = strlen(b);

#ifndef PLANT_BUG /* for tests/fuzz/run.sh planted, never for use */
	if (n > WORD_MAX || strlen(a) > WORD_MAX)
		return WORD_MAX;
#endif

	for (unsigned j = 0; j <= n; j++)
		row[j] = j;

	for (unsigned i = 1; *a; a++, i++) {
		unsigned diag = row[0];

		row[0] = i;
		for (size_t j = 1; j <= n; j++) {
			const bool same = tolower((unsigned char)*a) ==
					  tolower((unsigned char)b[j - 1]);
			unsigned best = diag + !same;

			if (row[j] + 1 < best)
				best = row[j] + 1;
			if (row[j - 1] + 1 < best)
				best = row[j - 1] + 1;
			diag = row[j];
			row[j] = best;
		}
	}

	return row[n];
}


static const char *nearest(const cyaml_schema_field_t *field, const char *key)
{
	unsigned best = (unsigned)strlen(key) / 3 + 2;
	const char *found = NULL;

	for (; field->key; field++) {
		const unsigned d = distance(field->key, key);

		if (d < best) {
			best = d;
			found = field->key;
		}
	}

	return found;
}


static void list_fields(char *dst, size_t size,
			const cyaml_schema_field_t *field)
{
	size_t len = 0;

	dst[0] = '\0';
	for (; field->key && len < size; field++)
		len += (size_t)snprintf(dst + len, size - len, "%s%s",
					len ? ", " : "", field->key);
}


static void list_words(char *dst, size_t size, const cyaml_schema_value_t *s)
{
	size_t len = 0;

	dst[0] = '\0';
	for (uint32_t i = 0; i < s->enumeration.count && len < size; i++)
		len += (size_t)snprintf(dst + len, size - len, "%s%s",
					len ? ", " : "",
					s->enumeration.strings[i].str);
}


static int unknown_key(struct walk *w, const cyaml_schema_field_t *fields,
		       const yaml_node_t *node, const char *path)
{
	const char *guess = nearest(fields, scalar(node));
	char known[200];

	if (guess)
		return fault(w, line_of(node), path,
			     "unknown key; did you mean \"%s\"?", guess);

	list_fields(known, sizeof(known), fields);
	return fault(w, line_of(node), path, "unknown key; known here: %s",
		     known);
}


static const char *kind(const cyaml_schema_value_t *s)
{
	switch (s->type) {

	case CYAML_INT:
	case CYAML_UINT:
		return "a whole number";
	case CYAML_BOOL:
		return "true or false";
	case CYAML_FLOAT:
		return "a number";
	case CYAML_MAPPING:
		return "keys with values, indented";
	case CYAML_SEQUENCE:
	case CYAML_SEQUENCE_FIXED:
		return "a list";
	case CYAML_ENUM:
		return "one of the known words";
	default:
		return "a text";
	}
}


static bool is_whole(const char *s)
{
	const char *digits = *s == '-' ? s + 1 : s;

	return *digits && digits[strspn(digits, "0123456789")] == '\0' &&
	       (digits[0] != '0' || !digits[1]);
}


static int check_int(struct walk *w, const cyaml_schema_value_t *s,
		     const yaml_node_t *node, const char *path)
{
	const unsigned bits = s->data_size * 8;
	const char *v = scalar(node);
	long long max, n;

	if (bits < 8 || bits > 64 || !is_whole(v))
		return fault(w, line_of(node), path,
			     "\"%.60s\" is not a whole number; write digits",
			     v);

	max = (long long)(UINT64_MAX >> (65 - bits));
	errno = 0;
	n = strtoll(v, NULL, 10);
	if (errno || n > max || n < -max - 1)
		return fault(w, line_of(node), path,
			     "%.60s is out of range; %lld to %lld", v,
			     -max - 1, max);

	return 0;
}


static int check_uint(struct walk *w, const cyaml_schema_value_t *s,
		      const yaml_node_t *node, const char *path)
{
	const unsigned bits = s->data_size * 8;
	const char *v = scalar(node);
	unsigned long long max, n;

	if (bits < 8 || bits > 64 || !is_whole(v))
		return fault(w, line_of(node), path,
			     "\"%.60s\" is not a whole number; write digits",
			     v);

	max = UINT64_MAX >> (64 - bits);
	errno = 0;
	n = *v == '-' ? 0 : strtoull(v, NULL, 10);
	if (errno || n > max || *v == '-') {
		(void)fault(w, line_of(node), path,
			    "%.60s is out of range; 0 to %llu", v, max);
		w->f->number = true;
		return EINVAL;
	}

	/* In the struct it would look like a key that was left out */
	if (!n && s->flags & CYAML_FLAG_OPTIONAL)
		return fault(w, line_of(node), path,
			     "0 means nothing here; give at least 1, or leave "
			     "the key out for its default");

	return 0;
}


static int check_bool(struct walk *w, const yaml_node_t *node,
		      const char *path)
{
	static const char *const words[] = { "true", "false", "yes", "no" };
	const char *v = scalar(node);

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (!strcmp(v, words[i]))
			return 0;
	}

	return fault(w, line_of(node), path,
		     "\"%.60s\" is neither yes nor no; write true or false",
		     v);
}


static int check_float(struct walk *w, const yaml_node_t *node,
		       const char *path)
{
	const char *v = scalar(node);

	/* No hexadecimal, no infinity */
	if (*v && v[strspn(v, "+-.0123456789eE")] == '\0') {
		char *end;

		(void)strtod(v, &end);
		if (!*end)
			return 0;
	}

	return fault(w, line_of(node), path,
		     "\"%.60s\" is not a number; write digits", v);
}


static int check_enum(struct walk *w, const cyaml_schema_value_t *s,
		      const yaml_node_t *node, const char *path)
{
	const char *v = scalar(node);
	char known[200];

	for (uint32_t i = 0; i < s->enumeration.count; i++) {
		if (!strcmp(v, s->enumeration.strings[i].str))
			return 0;
	}

	list_words(known, sizeof(known), s);
	return fault(w, line_of(node), path,
		     "\"%.60s\" is not known here; one of: %s", v, known);
}


static int check_string(struct walk *w, const cyaml_schema_value_t *s,
			const yaml_node_t *node, const char *path)
{
	const size_t len = node->data.scalar.length;

	if (memchr(node->data.scalar.value, 0, len))
		return fault(w, line_of(node), path,
			     "has a NUL character in it; leave it out");
	if (!len && s->string.min)
		return fault(w, line_of(node), path,
			     "is empty; a text is needed");
	if (len < s->string.min || len > s->string.max)
		return fault(w, line_of(node), path,
			     "has %zu characters; %u to %u are right", len,
			     s->string.min, s->string.max);

	return 0;
}


static int check_value(struct walk *w, const cyaml_schema_value_t *s,
		       int index, const char *path);


static int check_sequence(struct walk *w, const cyaml_schema_value_t *s,
			  const yaml_node_t *node, const char *path)
{
	const yaml_node_item_t *first = node->data.sequence.items.start;
	const size_t n = (size_t)(node->data.sequence.items.top - first);
	char sub[160];

	if (n < s->sequence.min || n > s->sequence.max)
		return fault(w, line_of(node), path,
			     "has %zu entries; %u to %u are right", n,
			     s->sequence.min, s->sequence.max);

	for (size_t i = 0; i < n; i++) {
		int err;

		(void)snprintf(sub, sizeof(sub), "%s[%zu]", path, i);
		err = check_value(w, s->sequence.entry, first[i], sub);
		if (err)
			return err;
	}

	return 0;
}


static const cyaml_schema_field_t *field_find(
	const cyaml_schema_field_t *field, const char *key)
{
	for (; field->key; field++) {
		if (!strcmp(field->key, key))
			return field;
	}

	return NULL;
}


static const yaml_node_pair_t *pair_find(yaml_document_t *doc,
					 const yaml_node_t *node,
					 const char *key)
{
	const yaml_node_pair_t *p = node->data.mapping.pairs.start;

	for (; p < node->data.mapping.pairs.top; p++) {
		const yaml_node_t *k = yaml_document_get_node(doc, p->key);

		if (k && !strcmp(scalar(k), key))
			return p;
	}

	return NULL;
}


static int check_pair(struct walk *w, const cyaml_schema_field_t *fields,
		      const yaml_node_t *map, const yaml_node_pair_t *p,
		      const char *path)
{
	const yaml_node_t *key = yaml_document_get_node(w->doc, p->key);
	const cyaml_schema_field_t *field;
	const yaml_node_pair_t *first;
	char sub[160];

	if (!key || key->type != YAML_SCALAR_NODE)
		return fault(w, line_of(map), path,
			     "a key is not a plain word; write key: value");

	join(sub, sizeof(sub), path, scalar(key));

	field = field_find(fields, scalar(key));
	if (!field)
		return unknown_key(w, fields, key, sub);

	first = pair_find(w->doc, map, scalar(key));
	if (first != p)
		return fault(
			w, line_of(key), sub,
			"stands twice, first in line %zu; leave one",
			line_of(yaml_document_get_node(w->doc, first->key)));

	return check_value(w, &field->value, p->value, sub);
}


static int check_mapping(struct walk *w, const cyaml_schema_value_t *s,
			 const yaml_node_t *node, const char *path)
{
	const cyaml_schema_field_t *field = s->mapping.fields;
	const yaml_node_pair_t *p = node->data.mapping.pairs.start;
	char sub[160];
	int err;

	for (; p < node->data.mapping.pairs.top; p++) {
		err = check_pair(w, field, node, p, path);
		if (err)
			return err;
	}

	for (; field->key; field++) {
		if (field->value.flags & CYAML_FLAG_OPTIONAL ||
		    pair_find(w->doc, node, field->key))
			continue;

		join(sub, sizeof(sub), path, field->key);
		return fault(w, line_of(node), sub, "is missing; %s is needed",
			     kind(&field->value));
	}

	return 0;
}


static int check_scalar(struct walk *w, const cyaml_schema_value_t *s,
			const yaml_node_t *node, const char *path)
{
	switch (s->type) {

	case CYAML_INT:
		return check_int(w, s, node, path);
	case CYAML_UINT:
		return check_uint(w, s, node, path);
	case CYAML_BOOL:
		return check_bool(w, node, path);
	case CYAML_FLOAT:
		return check_float(w, node, path);
	case CYAML_ENUM:
		return check_enum(w, s, node, path);
	case CYAML_STRING:
		return check_string(w, s, node, path);
	default:
		return 0;
	}
}


static yaml_node_type_t node_type(const cyaml_schema_value_t *s)
{
	switch (s->type) {

	case CYAML_MAPPING:
	case CYAML_BITFIELD:
		return YAML_MAPPING_NODE;
	case CYAML_SEQUENCE:
	case CYAML_SEQUENCE_FIXED:
	case CYAML_FLAGS:
		return YAML_SEQUENCE_NODE;
	default:
		return YAML_SCALAR_NODE;
	}
}


static int check_value(struct walk *w, const cyaml_schema_value_t *s,
		       int index, const char *path)
{
	const yaml_node_t *node = yaml_document_get_node(w->doc, index);

	if (!node)
		return fault(w, 0, path, "cannot be read; %s is needed",
			     kind(s));
	if (w->seen[index - 1]++)
		return fault(w, line_of(node), path,
			     "is an alias of this line; write it out");
	if (s->type == CYAML_IGNORE)
		return 0;
	if (node->type != node_type(s))
		return fault(w, line_of(node), path,
			     "is of the wrong form; %s is needed", kind(s));

	if (s->type == CYAML_MAPPING)
		return check_mapping(w, s, node, path);
	if (s->type == CYAML_SEQUENCE || s->type == CYAML_SEQUENCE_FIXED)
		return check_sequence(w, s, node, path);

	return check_scalar(w, s, node, path);
}


static int syntax_fault(struct walk *w, const yaml_parser_t *parser)
{
	const char *problem = parser->problem ? parser->problem : "bad input";

	if (parser->error == YAML_MEMORY_ERROR)
		return ENOMEM;

	/* Only the reader leaves the mark empty */
	return fault(w, parser->problem_mark.line + 1, "yaml",
		     "not YAML: %s; look at indentation and quotes there and "
		     "above",
		     problem);
}


static int event_depth(yaml_event_type_t type)
{
	switch (type) {
	case YAML_SEQUENCE_START_EVENT:
	case YAML_MAPPING_START_EVENT:
		return 1;
	case YAML_SEQUENCE_END_EVENT:
	case YAML_MAPPING_END_EVENT:
		return -1;
	default:
		return 0;
	}
}


static int check_depth(struct walk *w, const char *text, size_t len)
{
	yaml_event_type_t type;
	yaml_parser_t parser;
	yaml_event_t ev;
	int depth = 0, err = 0;

	if (!yaml_parser_initialize(&parser))
		return ENOMEM;

	yaml_parser_set_input_string(&parser, (const unsigned char *)text,
				     len);
	do {
		if (!yaml_parser_parse(&parser, &ev)) {
			err = syntax_fault(w, &parser);
			break;
		}
		type = ev.type;
		depth += event_depth(type);
		if (depth > DEPTH_MAX)
			err = fault(w, ev.start_mark.line + 1, "yaml",
				    "is nested deeper than %d; no setting is",
				    DEPTH_MAX);
		yaml_event_delete(&ev);
	} while (!err && type != YAML_STREAM_END_EVENT);

	yaml_parser_delete(&parser);
	return err;
}


static int check_document(struct walk *w, const cyaml_schema_value_t *schema)
{
	yaml_node_t *root = yaml_document_get_root_node(w->doc);
	size_t n;
	int err;

	if (!root)
		return fault(w, 0, "yaml", "is empty; settings are needed");

	n = (size_t)(w->doc->nodes.top - w->doc->nodes.start);
	w->seen = calloc(n, 1);
	if (!w->seen)
		return ENOMEM;

	err = check_value(w, schema, 1, "");
	free(w->seen);

	return err;
}


static int check_end(struct walk *w, yaml_parser_t *parser)
{
	yaml_document_t more;
	yaml_node_t *root;
	int err = 0;

	if (!yaml_parser_load(parser, &more))
		return syntax_fault(w, parser);

	root = yaml_document_get_root_node(&more);
	if (root)
		err = fault(w, line_of(root), "yaml",
			    "a second document begins; one is right");

	yaml_document_delete(&more);
	return err;
}


int yamlcheck_schema(const char *text, size_t len,
		     const cyaml_schema_value_t *schema,
		     struct yamlcheck_fault *f)
{
	yaml_document_t doc;
	yaml_parser_t parser;
	struct walk w = { &doc, NULL, f };
	int err;

	if (!text || !schema || !f)
		return EINVAL;
	err = check_depth(&w, text, len);
	if (err)
		return err;
	if (!yaml_parser_initialize(&parser))
		return ENOMEM;

	yaml_parser_set_input_string(&parser, (const unsigned char *)text,
				     len);

	if (!yaml_parser_load(&parser, &doc)) {
		err = syntax_fault(&w, &parser);
		goto out;
	}

	err = check_document(&w, schema);
	err = err ? err : check_end(&w, &parser);
	yaml_document_delete(&doc);

out:
	yaml_parser_delete(&parser);
	return err;
}


/* One step of a path: ".word" or "[n]"; *line only moves when it is there */
static const yaml_node_t *step(yaml_document_t *doc, const yaml_node_t *node,
			       const char **pathp, size_t *line)
{
	const char *p = *pathp + (**pathp == '.');
	const yaml_node_pair_t *pair;
	char word[160];
	size_t n;

	if (*p == '[' && isdigit((unsigned char)p[1]) &&
	    node->type == YAML_SEQUENCE_NODE) {
		const yaml_node_item_t *first =
			node->data.sequence.items.start;

		n = strtoul(p + 1, (char **)&p, 10);
		*pathp = p + (*p == ']');
		if (n >= (size_t)(node->data.sequence.items.top - first))
			return NULL;
		node = yaml_document_get_node(doc, first[n]);
		*line = node ? line_of(node) : *line;
		return node;
	}

	n = strcspn(p, ".[");
	if (!n || n >= sizeof(word) || node->type != YAML_MAPPING_NODE)
		return NULL;

	memcpy(word, p, n);
	word[n] = '\0';
	*pathp = p + n;

	pair = pair_find(doc, node, word);
	if (!pair)
		return NULL;

	*line = line_of(yaml_document_get_node(doc, pair->key));
	return yaml_document_get_node(doc, pair->value);
}


size_t yamlcheck_line(const char *text, size_t len, const char *key)
{
	const yaml_node_t *node;
	yaml_document_t doc;
	yaml_parser_t parser;
	struct yamlcheck_fault f;
	struct walk w = { &doc, NULL, &f };
	size_t line = 0;

	if (!text || !key || check_depth(&w, text, len) ||
	    !yaml_parser_initialize(&parser))
		return 0;

	yaml_parser_set_input_string(&parser, (const unsigned char *)text,
				     len);

	if (yaml_parser_load(&parser, &doc)) {
		node = yaml_document_get_root_node(&doc);
		while (node && *key)
			node = step(&doc, node, &key, &line);
		yaml_document_delete(&doc);
	}

	yaml_parser_delete(&parser);
	return line;
}
