// SPDX-License-Identifier: BSD-3-Clause
#pragma once

// Random numbers that are the same at every run (splitmix64, Vigna 2015), for tests.

#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline uint64_t random_next(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

// 0..n-1
static inline uint32_t random_below(uint64_t *state, uint32_t n)
{
	return (uint32_t)((random_next(state) >> 32) * n >> 32);
}

static inline void random_fill(uint64_t *state, void *to, size_t len)
{
	uint8_t *p = to;

	for (; len >= 8; p += 8, len -= 8) {
		uint64_t word = random_next(state);

		memcpy(p, &word, 8);
	}
	if (len > 0) {
		uint64_t word = random_next(state);

		memcpy(p, &word, len);
	}
}
