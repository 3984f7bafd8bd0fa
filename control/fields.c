// SPDX-License-Identifier: BSD-3-Clause
#include "control/fields.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "control/address.h"

enum {
	SHOWN = 128,  // room for a value in a message
	NEAREST = 32, // longest key that a suggestion is looked for
};

#define BAD 400, "bad_document"

// Edits that make b of a (Levenshtein), letter case aside; both at most NEAREST long.
static size_t edit_distance(const char *a, const char *b)
{
	size_t row[NEAREST + 1];
	size_t len_a = strlen(a), len_b = strlen(b);

	for (size_t j = 0; j <= len_b; j++)
		row[j] = j;
	for (size_t i = 1; i <= len_a; i++) {
		size_t diagonal = row[0];

		row[0] = i;
		for (size_t j = 1; j <= len_b; j++) {
			bool same = strncasecmp(&a[i - 1], &b[j - 1], 1) == 0;
			size_t best = diagonal + !same;

			diagonal = row[j];
			if (row[j] + 1 < best)
				best = row[j] + 1;
			if (row[j - 1] + 1 < best)
				best = row[j - 1] + 1;
			row[j] = best;
		}
	}
	return row[len_b];
}

// The key that was probably meant, or NULL.
static const char *nearest_key(const char *key, const struct sluice_field_table *table)
{
	size_t len = strlen(key), best = len / 3 + 2;
	const char *nearest = NULL;

	if (len > NEAREST)
		return NULL;
	for (size_t i = 0; i < table->count; i++) {
		const char *known = table->fields[i].key;
		size_t distance = strlen(known) <= NEAREST ? edit_distance(key, known) : best;

		if (distance < best && distance < strlen(known)) {
			best = distance;
			nearest = known;
		}
	}
	return nearest;
}

int sluice_field_unknown(const struct sluice_node *member, const struct sluice_field_table *table,
                         struct sluice_error *err)
{
	const char *nearest = nearest_key(member->key, table);
	bool first = err != NULL && err->status == 0;

	if (nearest != NULL)
		sluice_node_error(member, err, BAD, "'%.80s' is not a key here; did you mean '%s'?",
		                  member->key, nearest);
	else
		sluice_node_error(member, err, BAD, "'%.80s' is not a key here", member->key);
	if (first)
		err->line = sluice_node_line(member, true);
	return -EINVAL;
}

int sluice_node_no_memory(const struct sluice_node *node, struct sluice_error *err)
{
	sluice_node_error(node, err, 503, "no_memory", "out of memory");
	return -ENOMEM;
}

int sluice_node_expect(const struct sluice_node *node, json_type type, struct sluice_error *err)
{
	static const char *const names[] = {
	        [JSON_OBJECT] = "an object",    [JSON_ARRAY] = "a list",
	        [JSON_STRING] = "a string",     [JSON_INTEGER] = "a number",
	        [JSON_REAL] = "a number",       [JSON_TRUE] = "true or false",
	        [JSON_FALSE] = "true or false", [JSON_NULL] = "null",
	};
	char shown[SHOWN];

	if (json_typeof(node->value) == type)
		return 0;
	return sluice_node_error(node, err, BAD, "%s is not %s",
	                         sluice_node_show(node, shown, sizeof(shown)), names[type]);
}

static bool is_told(const struct sluice_field_table *table, const char *key)
{
	for (const char *const *told = table->told; told != NULL && *told != NULL; told++) {
		if (strcmp(*told, key) == 0)
			return true;
	}
	return false;
}

static int read_member(const struct sluice_node *member, const struct sluice_field_table *table,
                       void *out, uint64_t *seen, struct sluice_error *err)
{
	for (size_t i = 0; i < table->count; i++) {
		const struct sluice_field *field = &table->fields[i];

		if (strcmp(member->key, field->key) != 0)
			continue;
		if (table->foreign && json_is_null(member->value))
			return 0;
		*seen |= UINT64_C(1) << i;
		return field->read(member, field, (char *)out + field->offset, err);
	}
	if (table->foreign || is_told(table, member->key))
		return 0;
	return sluice_field_unknown(member, table, err);
}

int sluice_fields_read(const struct sluice_node *node, const struct sluice_field_table *table,
                       void *out, uint64_t *seen, struct sluice_error *err)
{
	uint64_t found = 0;
	const char *key;
	json_t *value;
	int rc = sluice_node_expect(node, JSON_OBJECT, err);

	if (rc < 0)
		return rc;
	json_object_foreach (node->value, key, value) {
		struct sluice_node member = {
		        .parent = node, .key = key, .value = value, .documents = node->documents};

		rc = read_member(&member, table, out, &found, err);
		if (rc < 0)
			return rc;
	}
	for (size_t i = 0; i < table->count; i++) {
		if (table->fields[i].required && (found & UINT64_C(1) << i) == 0)
			return sluice_node_error(node, err, BAD, "'%s' is missing",
			                         table->fields[i].key);
	}
	if (seen != NULL)
		*seen = found;
	return 0;
}

int sluice_read_bool(const struct sluice_node *node, const struct sluice_field *field, void *out,
                     struct sluice_error *err)
{
	(void)field;
	if (!json_is_boolean(node->value))
		return sluice_node_expect(node, JSON_TRUE, err);
	*(bool *)out = json_is_true(node->value);
	return 0;
}

static int read_integer(const struct sluice_node *node, const struct sluice_field *field,
                        int64_t *out, struct sluice_error *err)
{
	const char *what = field->extra != NULL ? field->extra : "a number";
	char shown[SHOWN];

	*out = json_integer_value(node->value);
	if (json_is_integer(node->value) && *out >= field->min && *out <= field->max)
		return 0;
	return sluice_node_error(node, err, BAD, "%s is not %s (%" PRId64 "-%" PRId64 ")",
	                         sluice_node_show(node, shown, sizeof(shown)), what, field->min,
	                         field->max);
}

int sluice_read_uint16(const struct sluice_node *node, const struct sluice_field *field, void *out,
                       struct sluice_error *err)
{
	int64_t value;
	int rc = read_integer(node, field, &value, err);

	if (rc == 0)
		*(uint16_t *)out = (uint16_t)value;
	return rc;
}

int sluice_read_uint32(const struct sluice_node *node, const struct sluice_field *field, void *out,
                       struct sluice_error *err)
{
	int64_t value;
	int rc = read_integer(node, field, &value, err);

	if (rc == 0)
		*(uint32_t *)out = (uint32_t)value;
	return rc;
}

int sluice_read_port(const struct sluice_node *node, const struct sluice_field *field, void *out,
                     struct sluice_error *err)
{
	static const struct sluice_field port = {.min = 1, .max = 65535, .extra = "a port"};

	(void)field;
	return sluice_read_uint16(node, &port, out, err);
}

int sluice_read_string(const struct sluice_node *node, const struct sluice_field *field, void *out,
                       struct sluice_error *err)
{
	char **to = out;
	char shown[SHOWN], *copy;

	if (!json_is_string(node->value)) {
		bool quotable = json_is_number(node->value) || json_is_boolean(node->value);

		return sluice_node_error(node, err, BAD, "%s is not a string%s",
		                         sluice_node_show(node, shown, sizeof(shown)),
		                         quotable ? ": put it in quotes" : "");
	}
	if (json_string_length(node->value) == 0)
		return sluice_node_error(node, err, BAD, "must not be empty");
	if (field->max > 0 && json_string_length(node->value) > (size_t)field->max)
		return sluice_node_error(node, err, BAD, "%s is longer than %" PRId64 " characters",
		                         sluice_node_show(node, shown, sizeof(shown)), field->max);
	copy = strdup(json_string_value(node->value));
	if (copy == NULL)
		return sluice_node_no_memory(node, err);
	free(*to);
	*to = copy;
	return 0;
}

int sluice_read_path(const struct sluice_node *node, const struct sluice_field *field, void *out,
                     struct sluice_error *err)
{
	char shown[SHOWN];

	if (json_is_string(node->value) && json_string_value(node->value)[0] != '/')
		return sluice_node_error(node, err, BAD, "%s is not an absolute path",
		                         sluice_node_show(node, shown, sizeof(shown)));
	return sluice_read_string(node, field, out, err);
}

// "nat, ipip or gue": the names that may be used in this version.
static void list_names(const struct sluice_name *names, char *out, size_t size)
{
	size_t at = 0, left = 0, i;

	out[0] = '\0';
	for (i = 0; names[i].name != NULL; i++)
		left += !names[i].unsupported;
	for (i = 0; names[i].name != NULL && at < size; i++) {
		if (names[i].unsupported)
			continue;
		left--;
		at += (size_t)snprintf(out + at, size - at, "%s%s", names[i].name,
		                       left > 1    ? ", "
		                       : left == 1 ? " or "
		                                   : "");
	}
}

int sluice_read_name(const struct sluice_node *node, const struct sluice_field *field, void *out,
                     struct sluice_error *err)
{
	const struct sluice_name *names = field->extra;
	const char *text = json_string_value(node->value);
	char shown[SHOWN], list[SHOWN];

	for (size_t i = 0; text != NULL && names[i].name != NULL; i++) {
		if (strcmp(names[i].name, text) != 0)
			continue;
		if (names[i].unsupported) {
			list_names(names, list, sizeof(list));
			return sluice_node_error(
			        node, err, 422, "unsupported",
			        "'%s' is not supported by this version (supported: %s)", text,
			        list);
		}
		*(int *)out = names[i].value;
		return 0;
	}
	list_names(names, list, sizeof(list));
	return sluice_node_error(node, err, BAD, "%s is not one of %s",
	                         sluice_node_show(node, shown, sizeof(shown)), list);
}

int sluice_read_address(const struct sluice_node *node, const struct sluice_field *field, void *out,
                        struct sluice_error *err)
{
	struct sluice_address address;
	char shown[SHOWN];
	const char *problem;

	(void)field;
	if (!json_is_string(node->value) ||
	    sluice_address_parse(json_string_value(node->value), &address) < 0)
		return sluice_node_error(node, err, BAD, "%s is not an IP address",
		                         sluice_node_show(node, shown, sizeof(shown)));
	problem = sluice_address_problem(&address);
	if (problem != NULL)
		return sluice_node_error(node, err, BAD, "%s %s", json_string_value(node->value),
		                         problem);
	*(struct sluice_address *)out = address;
	return 0;
}

int sluice_duration_parse(const char *text, uint64_t *ms)
{
	static const struct {
		const char *unit;
		uint64_t ms;
	} units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}};
	uint64_t value = 0;
	size_t i;

	for (i = 0; text[i] >= '0' && text[i] <= '9'; i++) {
		if (i == 15)
			return -ERANGE;
		value = value * 10 + (uint64_t)(text[i] - '0');
	}
	if (i == 0)
		return -EINVAL;
	for (size_t u = 0; u < sizeof(units) / sizeof(units[0]); u++) {
		if (strcmp(text + i, units[u].unit) != 0)
			continue;
		return __builtin_mul_overflow(value, units[u].ms, ms) ? -ERANGE : 0;
	}
	return -EINVAL;
}

const char *sluice_duration_format(int64_t ms, char out[static SLUICE_DURATION_TEXT])
{
	static const struct {
		const char *unit;
		int64_t ms;
	} units[] = {{"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}};
	size_t u = 0;

	while (ms % units[u].ms != 0 || ms < units[u].ms)
		u++;
	snprintf(out, SLUICE_DURATION_TEXT, "%" PRId64 "%s", ms / units[u].ms, units[u].unit);
	return out;
}

int sluice_read_duration(const struct sluice_node *node, const struct sluice_field *field,
                         void *out, struct sluice_error *err)
{
	char shown[SHOWN], min[SLUICE_DURATION_TEXT], max[SLUICE_DURATION_TEXT];
	uint64_t ms = 0;
	int rc = -EINVAL;

	sluice_node_show(node, shown, sizeof(shown));
	if (json_is_integer(node->value))
		return sluice_node_error(node, err, BAD,
		                         "%s has no unit (ms, s, m or h, as in '30s')", shown);
	if (json_is_string(node->value))
		rc = sluice_duration_parse(json_string_value(node->value), &ms);
	if (rc == -EINVAL)
		return sluice_node_error(node, err, BAD,
		                         "%s is not a duration (as '500ms', '30s', '5m', '2h')",
		                         shown);
	if (rc == -ERANGE || ms < (uint64_t)field->min || ms > (uint64_t)field->max)
		return sluice_node_error(node, err, BAD, "%s is out of range (%s-%s)", shown,
		                         sluice_duration_format(field->min, min),
		                         sluice_duration_format(field->max, max));
	*(uint32_t *)out = (uint32_t)ms;
	return 0;
}

int sluice_read_seconds(const struct sluice_node *node, const struct sluice_field *field, void *out,
                        struct sluice_error *err)
{
	uint32_t ms = 0;
	int rc = sluice_read_duration(node, field, &ms, err);

	if (rc == 0)
		*(uint32_t *)out = (ms + 999) / 1000;
	return rc;
}

int sluice_read_object(const struct sluice_node *node, const struct sluice_field *field, void *out,
                       struct sluice_error *err)
{
	return sluice_fields_read(node, field->extra, out, NULL, err);
}

int sluice_read_node(const struct sluice_node *node, const struct sluice_field *field, void *out,
                     struct sluice_error *err)
{
	(void)field;
	(void)err;
	*(const json_t **)out = node->value;
	return 0;
}
