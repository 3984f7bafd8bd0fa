// SPDX-License-Identifier: BSD-3-Clause
#pragma once

// Numbers and times in words for people. A text is of fixed size and returned by value, so that
// several can stand in one printf.

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

struct sluice_text {
	char text[96];
};

// "512B", "40.0KiB", "1.2GiB".
struct sluice_text sluice_text_bytes(uint64_t bytes);

// As kubectl shows ages: "45s", "5m3s", "45m", "3h20m", "30h", "2d5h", "100d".
struct sluice_text sluice_text_duration(int64_t seconds);

// RFC 3339 to seconds since the epoch; false where it is none.
bool sluice_text_time(const char *rfc3339, time_t *t);

// Of a member of an object: "-" where it is absent or of another type.
struct sluice_text sluice_text_count(const json_t *object, const char *key);
struct sluice_text sluice_text_size(const json_t *object, const char *key);
struct sluice_text sluice_text_age(const json_t *object, const char *key);
// A string that lives as long as the object; "-" where there is none.
const char *sluice_text_string(const json_t *object, const char *key);

// "172.17.0.5:8080", "[2001:db8::1]:53".
struct sluice_text sluice_text_endpoint(const json_t *endpoint);

// Puts '?' for control characters: a line stays a line, and a terminal gets no orders.
void sluice_text_clean(char *text);

// "33.3%" of a total; "-" where the total is 0.
struct sluice_text sluice_text_share(uint64_t part, uint64_t total);
