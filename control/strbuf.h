// SPDX-License-Identifier: BSD-3-Clause
#pragma once

// A string that grows: what state, metrics and answers are written into. Pure.

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sluice/types.h"

// Zeroed is empty. Once memory has run out failed is set, and later writes do nothing, so that
// only the end needs a check. data is NULL or ends in a NUL that len does not count.
struct sluice_strbuf {
	char *data;
	size_t len;
	size_t capacity;
	bool failed;
};

void sluice_strbuf_free(struct sluice_strbuf *b);
void sluice_strbuf_reset(struct sluice_strbuf *b); // empty, the memory stays

void sluice_strbuf_put(struct sluice_strbuf *b, const void *data, size_t len);
void sluice_strbuf_puts(struct sluice_strbuf *b, const char *s);
void sluice_strbuf_putc(struct sluice_strbuf *b, char c);
void sluice_strbuf_u64(struct sluice_strbuf *b, uint64_t value);
void sluice_strbuf_i64(struct sluice_strbuf *b, int64_t value);
__attribute__((format(printf, 2, 3))) void sluice_strbuf_printf(struct sluice_strbuf *b,
                                                                const char *format, ...);

// A JSON string with its quotes; s is UTF-8.
void sluice_strbuf_json(struct sluice_strbuf *b, const char *s);

// 10.0.0.1 or 2001:db8::1; with a port (host byte order) 10.0.0.1:80 or [2001:db8::1]:80.
void sluice_strbuf_address(struct sluice_strbuf *b, const struct sluice_address *a);
void sluice_strbuf_endpoint(struct sluice_strbuf *b, const struct sluice_address *a, uint16_t port);
