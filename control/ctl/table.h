// SPDX-License-Identifier: BSD-3-Clause
#pragma once

// Text in aligned columns.

#include <stddef.h>
#include <stdio.h>

struct sluice_column {
	const char *header;
	enum { SLUICE_LEFT, SLUICE_RIGHT } align;
};

struct sluice_table {
	const struct sluice_column *columns;
	size_t column_count;
	char **cells; // row by row
	size_t cell_count, cell_room;
};

// The columns stay the caller's.
#define SLUICE_TABLE(array)                                                                        \
	{                                                                                          \
		.columns = (array), .column_count = sizeof(array) / sizeof((array)[0])             \
	}

// The next cell of the row; a row begins after the last column. NULL or "" shows as "-".
void sluice_table_add(struct sluice_table *table, const char *text);
__attribute__((format(printf, 2, 3))) void sluice_table_addf(struct sluice_table *table,
                                                             const char *format, ...);

// Prints header and rows, each line after indent.
void sluice_table_print(const struct sluice_table *table, const char *indent, FILE *out);
// "----" under each header, as kubectl underlines the tables inside a description.
void sluice_table_underline(struct sluice_table *table);
void sluice_table_clear(struct sluice_table *table);
