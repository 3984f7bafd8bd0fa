// SPDX-License-Identifier: BSD-3-Clause
#include "control/document.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <yaml.h>

#include "control/document_scalar.h"

// Where a node stands. jansson shares true, false and null among all their places, so a place is
// named by what holds it: an array and an index, or the object's own copy of the key.
struct line_entry {
	const void *place; // NULL: free
	size_t index;
	unsigned line, key_line;
};

struct sluice_document_lines {
	struct line_entry *entries;
	size_t mask;
	size_t count;
};

static size_t line_hash(const void *place, size_t index)
{
	uint64_t h = ((uint64_t)(uintptr_t)place ^ ((uint64_t)index << 40)) + index;

	h *= 0x9e3779b97f4a7c15u;
	return (size_t)(h ^ (h >> 32));
}

static struct line_entry *line_find(const struct sluice_document_lines *lines, const void *place,
                                    size_t index)
{
	for (size_t i = line_hash(place, index);; i++) {
		struct line_entry *e = &lines->entries[i & lines->mask];

		if (e->place == NULL || (e->place == place && e->index == index))
			return e;
	}
}

static int lines_grow(struct sluice_document_lines *lines)
{
	struct sluice_document_lines bigger = {.count = lines->count};
	size_t size = lines->entries == NULL ? 256 : (lines->mask + 1) * 2;

	bigger.entries = calloc(size, sizeof(*bigger.entries));
	bigger.mask = size - 1;
	if (bigger.entries == NULL)
		return -ENOMEM;
	for (size_t i = 0; lines->entries != NULL && i <= lines->mask; i++) {
		const struct line_entry *e = &lines->entries[i];

		if (e->place != NULL)
			*line_find(&bigger, e->place, e->index) = *e;
	}
	free(lines->entries);
	*lines = bigger;
	return 0;
}

static int lines_add(struct sluice_document_lines *lines, const struct line_entry *entry)
{
	if (lines->entries == NULL || lines->count * 4 >= (lines->mask + 1) * 3) {
		if (lines_grow(lines) < 0)
			return -ENOMEM;
	}
	*line_find(lines, entry->place, entry->index) = *entry;
	lines->count++;
	return 0;
}

// An open list or object while its events come in.
struct level {
	json_t *container; // owned by the level above, or by the builder
	char *key;         // object: of the member that comes next
	unsigned key_line;
};

struct builder {
	yaml_parser_t parser;
	struct sluice_documents *out;
	struct sluice_error *err;
	json_t *root;
	unsigned root_line;
	size_t nodes;
	size_t depth;
	struct level levels[SLUICE_DOCUMENT_DEPTH_MAX];
};

__attribute__((format(printf, 3, 4))) static int builder_error(struct builder *b, unsigned line,
                                                               const char *format, ...)
{
	char message[sizeof(b->err->message)];
	va_list args;

	if (b->err == NULL || b->err->status != 0)
		return -EINVAL;
	va_start(args, format);
	vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	snprintf(b->err->source, sizeof(b->err->source), "%s", b->out->source);
	b->err->line = line;
	return sluice_error_set(b->err, 400, "bad_document", NULL, "%s", message);
}

static int builder_no_memory(struct builder *b)
{
	if (b->err != NULL && b->err->status == 0)
		snprintf(b->err->source, sizeof(b->err->source), "%s", b->out->source);
	sluice_error_set(b->err, 503, "no_memory", NULL, "out of memory");
	return -ENOMEM;
}

static unsigned event_line(const yaml_event_t *event)
{
	return (unsigned)event->start_mark.line + 1;
}

// Hangs value (whose reference it takes) into the tree.
static int builder_attach(struct builder *b, json_t *value, unsigned line)
{
	struct line_entry entry = {.line = line};

	if (value == NULL)
		return builder_no_memory(b);
	if (++b->nodes > SLUICE_DOCUMENT_NODES_MAX) {
		json_decref(value);
		return builder_error(b, line, "more than %d values", SLUICE_DOCUMENT_NODES_MAX);
	}
	if (b->depth == 0) {
		b->root = value;
		b->root_line = line;
		return 0;
	}

	struct level *top = &b->levels[b->depth - 1];

	if (json_is_array(top->container)) {
		entry.place = top->container;
		entry.index = json_array_size(top->container);
		entry.key_line = line;
		if (json_array_append_new(top->container, value) < 0)
			return builder_no_memory(b);
	} else {
		if (json_object_set_new(top->container, top->key, value) < 0)
			return builder_no_memory(b);
		entry.place = json_object_iter_key(json_object_iter_at(top->container, top->key));
		entry.key_line = top->key_line;
		free(top->key);
		top->key = NULL;
	}
	return lines_add(b->out->lines, &entry) < 0 ? builder_no_memory(b) : 0;
}

// Whether a key is what comes next.
static bool builder_wants_key(const struct builder *b)
{
	const struct level *top = b->depth > 0 ? &b->levels[b->depth - 1] : NULL;

	return top != NULL && json_is_object(top->container) && top->key == NULL;
}

static int builder_key(struct builder *b, const yaml_event_t *event)
{
	struct level *top = &b->levels[b->depth - 1];
	const char *text = (const char *)event->data.scalar.value;

	if (strlen(text) != event->data.scalar.length)
		return builder_error(b, event_line(event), "a key with a NUL character in it");
	if (json_object_get(top->container, text) != NULL)
		return builder_error(b, event_line(event), "the key '%.80s' is here twice", text);
	top->key = strdup(text);
	top->key_line = event_line(event);
	return top->key == NULL ? builder_no_memory(b) : 0;
}

static int builder_scalar(struct builder *b, const yaml_event_t *event)
{
	const char *text = (const char *)event->data.scalar.value;
	size_t len = event->data.scalar.length;
	bool plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;

	if (event->data.scalar.anchor != NULL)
		return builder_error(b, event_line(event), "anchors are not supported");
	if (event->data.scalar.tag != NULL)
		return builder_error(b, event_line(event), "tags are not supported");
	if (builder_wants_key(b))
		return builder_key(b, event);
	if (memchr(text, '\0', len) != NULL)
		return builder_error(b, event_line(event), "a string with a NUL character in it");
	return builder_attach(b, plain ? sluice_scalar_read(text, len) : json_stringn(text, len),
	                      event_line(event));
}

static int builder_open(struct builder *b, const yaml_event_t *event, json_t *container)
{
	bool object = event->type == YAML_MAPPING_START_EVENT;
	const yaml_char_t *anchor =
	        object ? event->data.mapping_start.anchor : event->data.sequence_start.anchor;
	const yaml_char_t *tag =
	        object ? event->data.mapping_start.tag : event->data.sequence_start.tag;
	const char *refusal = NULL;
	int rc;

	if (anchor != NULL)
		refusal = "anchors are not supported";
	else if (tag != NULL)
		refusal = "tags are not supported";
	else if (builder_wants_key(b))
		refusal = "a key must be a plain value, not a list or an object";
	else if (b->depth == SLUICE_DOCUMENT_DEPTH_MAX)
		refusal = "nested too deeply (64 levels are the most)";
	if (refusal != NULL) {
		json_decref(container);
		return builder_error(b, event_line(event), "%s", refusal);
	}
	rc = builder_attach(b, container, event_line(event));
	if (rc == 0)
		b->levels[b->depth++] = (struct level){.container = container};
	return rc;
}

static int documents_append(struct sluice_documents *out, json_t *root, unsigned line)
{
	json_t **roots = realloc(out->roots, (out->count + 1) * sizeof(json_t *));

	if (roots == NULL)
		return -ENOMEM;
	out->roots = roots;

	unsigned *root_lines = realloc(out->root_lines, (out->count + 1) * sizeof(*root_lines));

	if (root_lines == NULL)
		return -ENOMEM;
	out->root_lines = root_lines;
	out->roots[out->count] = root;
	out->root_lines[out->count++] = line;
	return 0;
}

static int builder_document_end(struct builder *b)
{
	json_t *root = b->root;

	b->root = NULL;
	if (root == NULL || json_is_null(root)) {
		json_decref(root);
		return 0;
	}
	if (documents_append(b->out, root, b->root_line) < 0) {
		json_decref(root);
		return builder_no_memory(b);
	}
	return 0;
}

static int builder_event(struct builder *b, const yaml_event_t *event)
{
	switch (event->type) {
	case YAML_SCALAR_EVENT:
		return builder_scalar(b, event);
	case YAML_SEQUENCE_START_EVENT:
		return builder_open(b, event, json_array());
	case YAML_MAPPING_START_EVENT:
		return builder_open(b, event, json_object());
	case YAML_SEQUENCE_END_EVENT:
	case YAML_MAPPING_END_EVENT:
		b->depth--;
		return 0;
	case YAML_ALIAS_EVENT:
		return builder_error(b, event_line(event), "aliases are not supported");
	case YAML_DOCUMENT_END_EVENT:
		return builder_document_end(b);
	default:
		return 0;
	}
}

static unsigned count_lines(const char *text, size_t len)
{
	unsigned line = 1;

	for (size_t i = 0; i < len; i++)
		line += text[i] == '\n';
	return line;
}

static int builder_parser_error(struct builder *b, const char *text, size_t len)
{
	const yaml_parser_t *p = &b->parser;
	const char *problem = p->problem != NULL ? p->problem : "not YAML";
	const char *context = p->context != NULL ? p->context : "";

	if (p->error == YAML_MEMORY_ERROR)
		return builder_no_memory(b);
	if (p->error == YAML_READER_ERROR) // these know an offset alone
		return builder_error(
		        b, count_lines(text, p->problem_offset < len ? p->problem_offset : len),
		        "%s", problem);
	return builder_error(b, (unsigned)p->problem_mark.line + 1, "%s%s%s", context,
	                     context[0] != '\0' ? ": " : "", problem);
}

static int builder_run(struct builder *b, const char *text, size_t len)
{
	yaml_event_t event;
	bool more = true;
	int rc = 0;

	while (rc == 0 && more) {
		if (!yaml_parser_parse(&b->parser, &event))
			return builder_parser_error(b, text, len);
		more = event.type != YAML_STREAM_END_EVENT;
		rc = builder_event(b, &event);
		yaml_event_delete(&event);
	}
	return rc;
}

static int documents_build(const char *text, size_t len, struct sluice_documents *out,
                           struct sluice_error *err)
{
	struct builder b = {.out = out, .err = err};
	int rc;

	out->lines = calloc(1, sizeof(*out->lines));
	if (out->lines == NULL || !yaml_parser_initialize(&b.parser))
		return builder_no_memory(&b);
	yaml_parser_set_encoding(&b.parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&b.parser, (const unsigned char *)text, len);
	rc = builder_run(&b, text, len);
	yaml_parser_delete(&b.parser);
	for (size_t i = 0; i < b.depth; i++)
		free(b.levels[i].key);
	json_decref(b.root);
	return rc;
}

int sluice_documents_parse(const char *text, size_t len, const char *source_name,
                           struct sluice_documents *out, struct sluice_error *err)
{
	char *rewritten = NULL;
	int rc;

	memset(out, 0, sizeof(*out));
	if (source_name != NULL)
		snprintf(out->source, sizeof(out->source), "%s", source_name);
	if (len > SLUICE_DOCUMENT_BYTES_MAX) {
		if (err != NULL && err->status == 0)
			snprintf(err->source, sizeof(err->source), "%s", out->source);
		return sluice_error_set(err, 413, "too_large", NULL, "larger than %d MiB",
		                        SLUICE_DOCUMENT_BYTES_MAX >> 20);
	}
	if (sluice_json_surrogates(text, len, &rewritten, &len) < 0) {
		sluice_error_set(err, 503, "no_memory", NULL, "out of memory");
		return -ENOMEM;
	}
	rc = documents_build(rewritten != NULL ? rewritten : text, len, out, err);
	free(rewritten);
	if (rc < 0)
		sluice_documents_clear(out);
	return rc;
}

// Reads all of a file, at most one byte more than a document may have.
static int file_read(int fd, char **out, size_t *len)
{
	size_t size = 0, room = 0;
	char *text = NULL;
	ssize_t n = 1;

	while (n > 0 && size <= SLUICE_DOCUMENT_BYTES_MAX) {
		if (size == room) {
			char *bigger = realloc(text, room = room == 0 ? 65536 : room * 2);

			if (bigger == NULL) {
				free(text);
				return -ENOMEM;
			}
			text = bigger;
		}
		n = read(fd, text + size, room - size);
		if (n < 0 && errno == EINTR)
			n = 1;
		else if (n > 0)
			size += (size_t)n;
	}
	if (n < 0) {
		int rc = -errno;

		free(text);
		return rc;
	}
	*out = text;
	*len = size;
	return 0;
}

int sluice_documents_load(const char *path, struct sluice_documents *out, struct sluice_error *err)
{
	const char *slash = strrchr(path, '/');
	char *text = NULL;
	size_t len = 0;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	int rc = fd < 0 ? -errno : file_read(fd, &text, &len);

	memset(out, 0, sizeof(*out));
	if (fd >= 0)
		close(fd);
	if (rc < 0) {
		sluice_error_set(err, rc == -ENOENT ? 404 : 400, "unreadable", NULL, "%s: %s", path,
		                 strerrordesc_np(-rc));
		return rc;
	}
	rc = sluice_documents_parse(text, len, slash != NULL ? slash + 1 : path, out, err);
	free(text);
	return rc;
}

void sluice_documents_clear(struct sluice_documents *documents)
{
	for (size_t i = 0; i < documents->count; i++)
		json_decref(documents->roots[i]);
	free(documents->roots);
	free(documents->root_lines);
	if (documents->lines != NULL)
		free(documents->lines->entries);
	free(documents->lines);
	memset(documents, 0, sizeof(*documents));
}

struct sluice_node sluice_documents_root(const struct sluice_documents *documents, size_t i)
{
	return (struct sluice_node){
	        .index = i, .value = documents->roots[i], .documents = documents};
}

bool sluice_node_member(const struct sluice_node *node, const char *key, struct sluice_node *out)
{
	void *iter = json_object_iter_at(node->value, key);

	if (iter == NULL)
		return false;
	*out = (struct sluice_node){.parent = node,
	                            .key = json_object_iter_key(iter),
	                            .value = json_object_iter_value(iter),
	                            .documents = node->documents};
	return true;
}

struct sluice_node sluice_node_item(const struct sluice_node *node, size_t i)
{
	return (struct sluice_node){.parent = node,
	                            .index = i,
	                            .value = json_array_get(node->value, i),
	                            .documents = node->documents};
}

unsigned sluice_node_line(const struct sluice_node *node, bool key_line)
{
	const struct sluice_documents *d = node->documents;
	const struct line_entry *e;

	if (d == NULL || d->lines == NULL)
		return 0;
	if (node->parent == NULL)
		return node->index < d->count ? d->root_lines[node->index] : 0;
	if (d->lines->entries == NULL)
		return 0;
	e = line_find(d->lines, node->key != NULL ? (const void *)node->key : node->parent->value,
	              node->key != NULL ? 0 : node->index);
	if (e->place == NULL)
		return 0;
	return key_line ? e->key_line : e->line;
}
