// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stddef.h>

// Why a document or a call was refused, in words for the person who sent it.

struct sluice_error {
	int status;        // HTTP status that fits: 400, 404, 409, 413, 415, 422, 503
	const char *code;  // static: "bad_document", "conflict", "not_found", ...
	char message[512]; // "99999 is not a port (1-65535)"
	char path[256];    // "services[0].port"; empty where none
	char source[128];  // file name; empty for the API
	unsigned line;     // 1-based; 0 where unknown
};

// Fills *e (once: the first error stays) and returns -EINVAL, for `return sluice_error_set(...)`.
// path may be NULL.
__attribute__((format(printf, 5, 6))) int sluice_error_set(struct sluice_error *e, int status,
                                                           const char *code, const char *path,
                                                           const char *format, ...);

// "sluice.yaml:12: services[0].port: 99999 is not a port (1-65535)"; parts that are missing are
// left out. Returns out.
const char *sluice_error_format(const struct sluice_error *e, char *out, size_t size);
