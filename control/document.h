// SPDX-License-Identifier: BSD-3-Clause
#pragma once

// YAML and JSON text -> jansson trees whose nodes know their lines. One reader for both, as JSON
// is YAML; scalars follow YAML's core schema (quoted ones are strings, and so are yes, on, n).
// Refused: anchors, aliases, tags, duplicate keys, keys that are no scalars, NUL, invalid UTF-8,
// more than 64 levels, 16 MiB or 2 million nodes. Pure; any thread.

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "control/error.h"

enum {
	SLUICE_DOCUMENT_BYTES_MAX = 16 << 20,
	SLUICE_DOCUMENT_NODES_MAX = 2000000,
	SLUICE_DOCUMENT_DEPTH_MAX = 64,
};

struct sluice_document_lines; // node -> line

// A stream of documents; empty ones (nothing but comments) are left out. Owns the trees.
struct sluice_documents {
	char source[128]; // file name for errors; empty for the API
	size_t count;
	json_t **roots;
	unsigned *root_lines;
	struct sluice_document_lines *lines;
};

// source_name may be NULL. On error *out is empty, and *err (may be NULL) says line and why.
// Returns 0, -EINVAL (*err filled, 400 or 413) or -ENOMEM (*err filled, 503).
int sluice_documents_parse(const char *text, size_t len, const char *source_name,
                           struct sluice_documents *out, struct sluice_error *err);

// The same for a file. Unreadable: *err filled (404, 400), -errno.
int sluice_documents_load(const char *path, struct sluice_documents *out, struct sluice_error *err);

void sluice_documents_clear(struct sluice_documents *documents);

// A place in a document: nodes live on the reader's stack and link to the one above, so that a
// path is only spelled out when there is an error to report.
struct sluice_node {
	const struct sluice_node *parent;         // NULL: root
	const char *key;                          // member of an object; NULL: item or root
	size_t index;                             // item of an array; of a root: the document
	json_t *value;                            // borrowed
	const struct sluice_documents *documents; // NULL: a tree without lines
};

// Root of document i. For a bare tree (no lines): (struct sluice_node){.value = tree}.
struct sluice_node sluice_documents_root(const struct sluice_documents *documents, size_t i);

// *out = the member; false where the object has none (or node is no object).
bool sluice_node_member(const struct sluice_node *node, const char *key, struct sluice_node *out);
struct sluice_node sluice_node_item(const struct sluice_node *node, size_t i);

// "services[0].port"; empty for a root. Returns out; cut off where it does not fit.
const char *sluice_node_path(const struct sluice_node *node, char *out, size_t size);

// Line of the value (of the key, where the node is a member and key_line is set); 0: unknown.
unsigned sluice_node_line(const struct sluice_node *node, bool key_line);

// The value as an error message quotes it: 99999, 'abc', a list, an object, null.
const char *sluice_node_show(const struct sluice_node *node, char *out, size_t size);

// sluice_error_set with source, line and path of the node. Returns -EINVAL.
__attribute__((format(printf, 5, 6))) int sluice_node_error(const struct sluice_node *node,
                                                            struct sluice_error *err, int status,
                                                            const char *code, const char *format,
                                                            ...);

// The tree as YAML that this reader reads back as the same tree. Free with free(3); NULL: no
// memory.
char *sluice_document_yaml(const json_t *tree);
