// SPDX-License-Identifier: BSD-3-Clause
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "control/document.h"
#include "control/document_scalar.h"

static int emit(yaml_emitter_t *emitter, int initialised, yaml_event_t *event)
{
	// The emitter owns the event from here on, whether it succeeds or not.
	return initialised && yaml_emitter_emit(emitter, event) ? 0 : -ENOMEM;
}

static int emit_text(yaml_emitter_t *emitter, const char *text, size_t len,
                     yaml_scalar_style_t style)
{
	yaml_event_t event;

	return emit(emitter,
	            yaml_scalar_event_initialize(&event, NULL, NULL, (const yaml_char_t *)text,
	                                         (int)len, 1, 1, style),
	            &event);
}

// Plain where that reads back as the same string (libyaml knows the syntax, we the schema), else
// in double quotes.
static int emit_string(yaml_emitter_t *emitter, const char *text, size_t len)
{
	json_t *back = sluice_scalar_read(text, len);
	bool plain = json_is_string(back) && strpbrk(text, "\r\n") == NULL;

	if (back == NULL)
		return -ENOMEM;
	json_decref(back);
	return emit_text(emitter, text, len,
	                 plain ? YAML_PLAIN_SCALAR_STYLE : YAML_DOUBLE_QUOTED_SCALAR_STYLE);
}

static int emit_number(yaml_emitter_t *emitter, const json_t *value)
{
	char text[512];
	size_t len = json_dumpb(value, text, sizeof(text), JSON_ENCODE_ANY);

	return len <= sizeof(text) ? emit_text(emitter, text, len, YAML_PLAIN_SCALAR_STYLE)
	                           : -EINVAL;
}

static int emit_end(yaml_emitter_t *emitter, bool object)
{
	yaml_event_t event;

	return emit(emitter,
	            object ? yaml_mapping_end_event_initialize(&event)
	                   : yaml_sequence_end_event_initialize(&event),
	            &event);
}

// An open container on the way down: what comes next of it.
struct writer_level {
	json_t *container;
	void *iter;
	size_t index;
};

static int emit_start(yaml_emitter_t *emitter, json_t *container, struct writer_level *level)
{
	bool object = json_is_object(container);
	yaml_event_t event;
	int initialised;

	level->container = container;
	level->iter = json_object_iter(container);
	level->index = 0;
	if (object)
		initialised = yaml_mapping_start_event_initialize(&event, NULL, NULL, 1,
		                                                  YAML_BLOCK_MAPPING_STYLE);
	else
		initialised = yaml_sequence_start_event_initialize(&event, NULL, NULL, 1,
		                                                   YAML_BLOCK_SEQUENCE_STYLE);
	return emit(emitter, initialised, &event);
}

static int emit_leaf(yaml_emitter_t *emitter, const json_t *value)
{
	if (json_is_string(value))
		return emit_string(emitter, json_string_value(value), json_string_length(value));
	if (json_is_number(value))
		return emit_number(emitter, value);
	if (json_is_boolean(value))
		return json_is_true(value)
		               ? emit_text(emitter, "true", 4, YAML_PLAIN_SCALAR_STYLE)
		               : emit_text(emitter, "false", 5, YAML_PLAIN_SCALAR_STYLE);
	return emit_text(emitter, "null", 4, YAML_PLAIN_SCALAR_STYLE);
}

// The next child of the level (its key is put out on the way), or NULL.
static json_t *next_child(yaml_emitter_t *emitter, struct writer_level *level, int *rc)
{
	json_t *child = NULL;

	if (json_is_array(level->container))
		return json_array_get(level->container, level->index++);
	if (level->iter != NULL) {
		const char *key = json_object_iter_key(level->iter);

		*rc = emit_string(emitter, key, strlen(key));
		child = json_object_iter_value(level->iter);
		level->iter = json_object_iter_next(level->container, level->iter);
	}
	return child;
}

static int emit_tree(yaml_emitter_t *emitter, json_t *tree)
{
	struct writer_level levels[SLUICE_DOCUMENT_DEPTH_MAX];
	size_t depth = 0;
	json_t *value = tree;
	int rc = 0;

	for (;;) {
		if (json_is_object(value) || json_is_array(value)) {
			if (depth == SLUICE_DOCUMENT_DEPTH_MAX)
				return -EINVAL;
			rc = emit_start(emitter, value, &levels[depth++]);
		} else {
			rc = emit_leaf(emitter, value);
		}
		for (value = NULL; rc == 0 && value == NULL && depth > 0;) {
			value = next_child(emitter, &levels[depth - 1], &rc);
			if (rc == 0 && value == NULL) {
				depth--; // json_is_object is a macro that looks twice
				rc = emit_end(emitter, json_is_object(levels[depth].container));
			}
		}
		if (rc < 0 || value == NULL)
			return rc;
	}
}

static int emit_stream(yaml_emitter_t *emitter, json_t *tree)
{
	yaml_event_t event;

	if (emit(emitter, yaml_stream_start_event_initialize(&event, YAML_UTF8_ENCODING), &event) <
	            0 ||
	    emit(emitter, yaml_document_start_event_initialize(&event, NULL, NULL, NULL, 1),
	         &event) < 0 ||
	    emit_tree(emitter, tree) < 0 ||
	    emit(emitter, yaml_document_end_event_initialize(&event, 1), &event) < 0)
		return -ENOMEM;
	return emit(emitter, yaml_stream_end_event_initialize(&event), &event);
}

struct buffer {
	char *text;
	size_t len, room;
};

static int buffer_write(void *context, unsigned char *data, size_t size)
{
	struct buffer *b = context;

	if (b->room - b->len <= size) {
		size_t room = (b->len + size + 1) * 2;
		char *text = realloc(b->text, room);

		if (text == NULL)
			return 0;
		b->text = text;
		b->room = room;
	}
	memcpy(b->text + b->len, data, size);
	b->len += size;
	b->text[b->len] = '\0';
	return 1;
}

char *sluice_document_yaml(const json_t *tree)
{
	struct buffer buffer = {0};
	yaml_emitter_t emitter;
	int rc;

	if (!yaml_emitter_initialize(&emitter))
		return NULL;
	yaml_emitter_set_output(&emitter, buffer_write, &buffer);
	yaml_emitter_set_unicode(&emitter, 1);
	yaml_emitter_set_width(&emitter, -1);
	// jansson's iterators want a tree that is not const, though they do not change it.
	rc = emit_stream(&emitter, (json_t *)(uintptr_t)tree);
	yaml_emitter_delete(&emitter);
	if (rc < 0) {
		free(buffer.text);
		return NULL;
	}
	return buffer.text;
}
