// SPDX-License-Identifier: BSD-3-Clause
#pragma once

// Sets of fixed-size keys as sorted arrays: what a BPF map holds, and how that differs from what
// it should.

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sluice_key_set {
	uint8_t *keys; // sorted by memcmp, no two alike; owned
	size_t count;
	size_t size; // bytes of a key
};

// The set of count keys in any order, repeats allowed. -ENOMEM.
int sluice_key_set_build(struct sluice_key_set *set, const void *keys, size_t count, size_t size);

// What is in a and not in b. -ENOMEM.
int sluice_key_set_difference(struct sluice_key_set *set, const struct sluice_key_set *a,
                              const struct sluice_key_set *b);

// Adds what is in b to a. -ENOMEM: a is as it was.
int sluice_key_set_merge(struct sluice_key_set *a, const struct sluice_key_set *b);

void sluice_key_set_clear(struct sluice_key_set *set);
