// SPDX-License-Identifier: BSD-3-Clause
// Nodes as error messages name them.
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "control/document.h"

// Appends what fits; *at stays within size - 1.
__attribute__((format(printf, 4, 5))) static void append(char *out, size_t size, size_t *at,
                                                         const char *format, ...)
{
	va_list args;
	int n;

	if (*at + 1 >= size)
		return;
	va_start(args, format);
	n = vsnprintf(out + *at, size - *at, format, args);
	va_end(args);
	if (n > 0)
		*at = *at + (size_t)n < size ? *at + (size_t)n : size - 1;
}

const char *sluice_node_path(const struct sluice_node *node, char *out, size_t size)
{
	const struct sluice_node *way[SLUICE_DOCUMENT_DEPTH_MAX + 1];
	size_t depth = 0, at = 0;

	for (; node->parent != NULL && depth < SLUICE_DOCUMENT_DEPTH_MAX + 1; node = node->parent)
		way[depth++] = node;
	out[0] = '\0';
	while (depth-- > 0) {
		if (way[depth]->key == NULL)
			append(out, size, &at, "[%zu]", way[depth]->index);
		else
			append(out, size, &at, "%s%.80s", at > 0 ? "." : "", way[depth]->key);
	}
	return out;
}

// 'text', cut where it is long (between characters) and with what is not printable as '?'.
static void show_string(const char *text, char *out, size_t size)
{
	enum { LONGEST = 80 };

	size_t len = strlen(text), shown = len;
	size_t at = 0;

	if (len > LONGEST) {
		for (shown = LONGEST; shown > 0 && ((unsigned char)text[shown] & 0xc0) == 0x80;)
			shown--;
	}
	append(out, size, &at, "'%.*s%s'", (int)shown, text, shown < len ? "..." : "");
	for (size_t i = 0; i < at; i++) {
		if ((unsigned char)out[i] < ' ' || out[i] == 0x7f)
			out[i] = '?';
	}
}

const char *sluice_node_show(const struct sluice_node *node, char *out, size_t size)
{
	switch (json_typeof(node->value)) {
	case JSON_OBJECT:
		snprintf(out, size, "an object");
		break;
	case JSON_ARRAY:
		snprintf(out, size, "a list");
		break;
	case JSON_STRING:
		show_string(json_string_value(node->value), out, size);
		break;
	case JSON_INTEGER:
		snprintf(out, size, "%" JSON_INTEGER_FORMAT, json_integer_value(node->value));
		break;
	case JSON_REAL:
		snprintf(out, size, "%.15g", json_real_value(node->value));
		break;
	case JSON_TRUE:
		snprintf(out, size, "true");
		break;
	case JSON_FALSE:
		snprintf(out, size, "false");
		break;
	case JSON_NULL:
		snprintf(out, size, "null");
		break;
	}
	return out;
}

int sluice_node_error(const struct sluice_node *node, struct sluice_error *err, int status,
                      const char *code, const char *format, ...)
{
	char message[sizeof(err->message)], path[sizeof(err->path)];
	va_list args;

	if (err == NULL || err->status != 0)
		return -EINVAL;
	va_start(args, format);
	vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	err->line = sluice_node_line(node, false);
	if (node->documents != NULL)
		snprintf(err->source, sizeof(err->source), "%s", node->documents->source);
	return sluice_error_set(err, status, code, sluice_node_path(node, path, sizeof(path)), "%s",
	                        message);
}
