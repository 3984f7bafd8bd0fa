// SPDX-License-Identifier: BSD-3-Clause
#pragma once

// What document.c and document_write.c must agree on: which text is which value.

#include <jansson.h>
#include <stddef.h>

// A plain scalar by YAML's core schema: null, true, false, integers (decimal, 0o17, 0x1f), floats;
// all else is a string, infinities and NaN too, which JSON has not. Integers beyond 64 bits
// become floats. NULL: out of memory.
json_t *sluice_scalar_read(const char *text, size_t len);

// JSON writes characters beyond the BMP as two escapes (\ud83d\ude00), which YAML does not know.
// Where text is JSON and has such pairs, *out is a copy that has \U0001f600 in their place; else
// *out is NULL and *out_len is len. Returns 0 or -ENOMEM.
int sluice_json_surrogates(const char *text, size_t len, char **out, size_t *out_len);
