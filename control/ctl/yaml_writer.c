// SPDX-License-Identifier: BSD-3-Clause
#include "control/ctl/yaml_writer.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <yaml.h>

// Digits in groups, "2026-11-24" or "02:00:5e", are a date or a number to base 60 to some readers.
static bool reads_as_groups(const char *text)
{
	return isdigit((unsigned char)text[0]) && text[strspn(text, "0123456789_:-")] == '\0';
}

static bool reads_as_number(const char *text)
{
	char copy[64], *end;
	size_t length = 0;

	if (!isdigit((unsigned char)text[0]) && strchr("+-.", text[0]) == NULL)
		return false;
	for (const char *c = text; *c != '\0'; c++) {
		if (length == sizeof(copy) - 1)
			return true; // long enough to be quoted unread
		if (*c != '_')
			copy[length++] = *c;
	}
	copy[length] = '\0';
	if (strncasecmp(copy, "0o", 2) == 0 || strncasecmp(copy, "0b", 2) == 0)
		return true;
	strtod(copy, &end);
	return *end == '\0';
}

// Whether a plain scalar of these letters would be taken for something other than a string, by
// readers of YAML 1.1 or 1.2.
static bool reads_as_other(const char *text)
{
	static const char *const words[] = {"",   "~",    "null",  "true",  "false", "yes",
	                                    "no", "on",   "off",   "y",     "n",     "=",
	                                    "<<", ".inf", "+.inf", "-.inf", ".nan"};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strcasecmp(text, words[i]) == 0)
			return true;
	// A time (2026-11-24T03:51:42Z) begins with a date.
	if (strlen(text) >= 10 && text[4] == '-' && text[7] == '-' &&
	    isdigit((unsigned char)text[0]))
		return true;
	return reads_as_groups(text) || reads_as_number(text);
}

static bool emit(yaml_emitter_t *emitter, yaml_event_t *event, int initialized)
{
	return initialized == 1 && yaml_emitter_emit(emitter, event) == 1;
}

static bool emit_scalar(yaml_emitter_t *emitter, const char *text, size_t length,
                        yaml_scalar_style_t style)
{
	yaml_event_t event;

	return emit(emitter, &event,
	            yaml_scalar_event_initialize(&event, NULL, NULL, (const yaml_char_t *)text,
	                                         (int)length, 1, 1, style));
}

static bool emit_string(yaml_emitter_t *emitter, const char *text, size_t length)
{
	yaml_scalar_style_t style = YAML_PLAIN_SCALAR_STYLE;

	if (strlen(text) != length || strchr(text, '\n') != NULL || reads_as_other(text))
		style = YAML_DOUBLE_QUOTED_SCALAR_STYLE;
	return emit_scalar(emitter, text, length, style);
}

static bool emit_value(yaml_emitter_t *emitter, const json_t *value);

static bool emit_object(yaml_emitter_t *emitter, const json_t *object)
{
	yaml_mapping_style_t style =
	        json_object_size(object) == 0 ? YAML_FLOW_MAPPING_STYLE : YAML_BLOCK_MAPPING_STYLE;
	yaml_event_t event;
	const char *key;
	json_t *member;

	if (!emit(emitter, &event,
	          yaml_mapping_start_event_initialize(&event, NULL, NULL, 1, style)))
		return false;
	json_object_foreach ((json_t *)object, key, member) {
		if (!emit_string(emitter, key, strlen(key)) || !emit_value(emitter, member))
			return false;
	}
	return emit(emitter, &event, yaml_mapping_end_event_initialize(&event));
}

static bool emit_array(yaml_emitter_t *emitter, const json_t *array)
{
	yaml_sequence_style_t style =
	        json_array_size(array) == 0 ? YAML_FLOW_SEQUENCE_STYLE : YAML_BLOCK_SEQUENCE_STYLE;
	yaml_event_t event;
	json_t *element;
	size_t i;

	if (!emit(emitter, &event,
	          yaml_sequence_start_event_initialize(&event, NULL, NULL, 1, style)))
		return false;
	json_array_foreach (array, i, element) {
		if (!emit_value(emitter, element))
			return false;
	}
	return emit(emitter, &event, yaml_sequence_end_event_initialize(&event));
}

static bool emit_value(yaml_emitter_t *emitter, const json_t *value)
{
	bool emitted;
	char *text;

	if (json_is_object(value))
		return emit_object(emitter, value);
	if (json_is_array(value))
		return emit_array(emitter, value);
	if (json_is_string(value))
		return emit_string(emitter, json_string_value(value), json_string_length(value));
	// What is left is written alike in both languages.
	text = json_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(15));
	emitted = text != NULL && emit_scalar(emitter, text, strlen(text), YAML_PLAIN_SCALAR_STYLE);
	free(text);
	return emitted;
}

int sluice_yaml_write(const json_t *value, FILE *out)
{
	yaml_emitter_t emitter;
	yaml_event_t event;
	bool written;

	if (yaml_emitter_initialize(&emitter) == 0)
		return -EIO;
	yaml_emitter_set_output_file(&emitter, out);
	yaml_emitter_set_unicode(&emitter, 1);
	yaml_emitter_set_width(&emitter, -1); // no folding: a line a member
	written = emit(&emitter, &event,
	               yaml_stream_start_event_initialize(&event, YAML_UTF8_ENCODING)) &&
	          emit(&emitter, &event,
	               yaml_document_start_event_initialize(&event, NULL, NULL, NULL, 1)) &&
	          emit_value(&emitter, value) &&
	          emit(&emitter, &event, yaml_document_end_event_initialize(&event, 1)) &&
	          emit(&emitter, &event, yaml_stream_end_event_initialize(&event)) &&
	          yaml_emitter_flush(&emitter) == 1;
	yaml_emitter_delete(&emitter);
	return written ? 0 : -EIO;
}
