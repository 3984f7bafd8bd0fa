// SPDX-License-Identifier: BSD-3-Clause
#pragma once

// Objects read by table: a row says the key, how its value is read, where it goes and what range
// it has. Keys that are in no row are errors that name the nearest one.

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "control/document.h"
#include "control/error.h"

struct sluice_field;

// Reads node into *out (the row's member). Returns 0 or -EINVAL with *err filled.
typedef int sluice_field_reader(const struct sluice_node *node, const struct sluice_field *field,
                                void *out, struct sluice_error *err);

struct sluice_field {
	const char *key;
	sluice_field_reader *read;
	size_t offset;
	bool required;
	int64_t min, max;  // range, where the reader has one
	const void *extra; // the reader's: names of an enum, what to call the value, a table
};

struct sluice_field_table {
	const struct sluice_field *fields;
	size_t count; // at most 64
	bool foreign; // others' documents: unknown keys are fine, null is as good as absent
	const char *const *told; // NULL, or keys up to a NULL: what answers say beside, not read
};

#define SLUICE_FIELD_TABLE(array)                                                                  \
	{                                                                                          \
		.fields = (array), .count = sizeof(array) / sizeof((array)[0])                     \
	}

// Reads the object node into *out. *seen (may be NULL): bit i set where row i was there.
int sluice_fields_read(const struct sluice_node *node, const struct sluice_field_table *table,
                       void *out, uint64_t *seen, struct sluice_error *err);

// A name for each value of an enum. One with a refusal is known and refused with it.
struct sluice_name {
	const char *name; // NULL ends the list
	int value;
	bool unsupported; // a feature that this version does not have
};

// Readers. A string is a new allocation that replaces (frees) what *out had.
sluice_field_reader sluice_read_bool;     // bool
sluice_field_reader sluice_read_uint16;   // uint16_t in min..max; extra: "port" for the message
sluice_field_reader sluice_read_uint32;   // uint32_t in min..max
sluice_field_reader sluice_read_port;     // uint16_t, 1-65535
sluice_field_reader sluice_read_string;   // char *, not empty, at most max bytes where max > 0
sluice_field_reader sluice_read_path;     // char *, absolute, at most max bytes where max > 0
sluice_field_reader sluice_read_name;     // int, extra: const struct sluice_name[]
sluice_field_reader sluice_read_address;  // struct sluice_address fit for VIPs and endpoints
sluice_field_reader sluice_read_duration; // uint32_t milliseconds in min..max
sluice_field_reader sluice_read_seconds;  // the same, but rounded up to uint32_t seconds
sluice_field_reader sluice_read_object;   // extra: const struct sluice_field_table, out its struct
sluice_field_reader sluice_read_node;     // json_t *, borrowed: for what is read later

// "2h" "500ms" -> milliseconds; a unit is a must. -EINVAL, -ERANGE.
int sluice_duration_parse(const char *text, uint64_t *ms);

enum {
	SLUICE_DURATION_TEXT = 32,
};

// 10800000 -> "3h", in the largest unit that needs no fraction; ms > 0. Returns out.
const char *sluice_duration_format(int64_t ms, char out[static SLUICE_DURATION_TEXT]);

// "'nmae' is not known here; did you mean 'name'?" Returns -EINVAL.
int sluice_field_unknown(const struct sluice_node *member, const struct sluice_field_table *table,
                         struct sluice_error *err);

// The node must be of the type ("a list", "an object"...). Returns 0 or -EINVAL.
int sluice_node_expect(const struct sluice_node *node, json_type type, struct sluice_error *err);

// Takes "out of memory" as an error: 503, -ENOMEM.
int sluice_node_no_memory(const struct sluice_node *node, struct sluice_error *err);
