// SPDX-License-Identifier: BSD-3-Clause
#include "control/ctl/table.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

#include "control/ctl/text.h"

enum {
	GAP = 2, // between columns: a line of traffic is long enough
};

void sluice_table_add(struct sluice_table *table, const char *text)
{
	char *cell = strdup(text != NULL && text[0] != '\0' ? text : "-");

	if (table->cell_count == table->cell_room) {
		table->cell_room = table->cell_room == 0 ? 64 : 2 * table->cell_room;
		table->cells = reallocarray(table->cells, table->cell_room, sizeof(*table->cells));
	}
	if (cell == NULL || table->cells == NULL)
		abort(); // out of memory
	sluice_text_clean(cell);
	table->cells[table->cell_count++] = cell;
}

void sluice_table_addf(struct sluice_table *table, const char *format, ...)
{
	char *text;
	va_list list;
	int n;

	va_start(list, format);
	n = vasprintf(&text, format, list);
	va_end(list);
	if (n < 0)
		abort(); // out of memory
	sluice_table_add(table, text);
	free(text);
}

void sluice_table_underline(struct sluice_table *table)
{
	static const char dashes[] = "--------------------------------";

	for (size_t i = 0; i < table->column_count; i++)
		sluice_table_addf(table, "%.*s", (int)strlen(table->columns[i].header), dashes);
}

// Columns of a terminal that the text takes; code points where the locale can't tell.
static size_t display_width(const char *text)
{
	size_t length = mbstowcs(NULL, text, 0);
	size_t width = 0;

	if (length != (size_t)-1) {
		wchar_t *wide = calloc(length + 1, sizeof(*wide));
		int columns = -1;

		if (wide != NULL && mbstowcs(wide, text, length + 1) == length)
			columns = wcswidth(wide, length);
		free(wide);
		if (columns >= 0)
			return (size_t)columns;
	}
	for (; *text != '\0'; text++)
		width += ((unsigned char)*text & 0xc0) != 0x80;
	return width;
}

static void print_row(const struct sluice_table *table, const size_t *widths,
                      const char *const *cells, const char *indent, FILE *out)
{
	size_t last = table->column_count - 1;

	fputs(indent, out);
	for (size_t i = 0; i <= last; i++) {
		int padding = (int)(widths[i] - display_width(cells[i]));
		bool right = table->columns[i].align == SLUICE_RIGHT;

		// Nothing hangs behind the last word of a line.
		fprintf(out, "%*s%s%*s", right ? padding : 0, "", cells[i],
		        i == last ? 0 : (right ? 0 : padding) + GAP, "");
	}
	fputc('\n', out);
}

void sluice_table_print(const struct sluice_table *table, const char *indent, FILE *out)
{
	size_t count = table->column_count;
	const char **headers = calloc(count, sizeof(*headers));
	size_t *widths = calloc(count, sizeof(*widths));

	if (headers == NULL || widths == NULL)
		abort(); // out of memory
	for (size_t i = 0; i < count; i++) {
		headers[i] = table->columns[i].header;
		widths[i] = display_width(headers[i]);
	}
	for (size_t i = 0; i < table->cell_count; i++) {
		size_t width = display_width(table->cells[i]);

		if (width > widths[i % count])
			widths[i % count] = width;
	}
	print_row(table, widths, headers, indent, out);
	for (size_t i = 0; i + count <= table->cell_count; i += count)
		print_row(table, widths, (const char *const *)&table->cells[i], indent, out);
	free(widths);
	free(headers);
}

void sluice_table_clear(struct sluice_table *table)
{
	for (size_t i = 0; i < table->cell_count; i++)
		free(table->cells[i]);
	free(table->cells);
	table->cells = NULL;
	table->cell_count = table->cell_room = 0;
}
