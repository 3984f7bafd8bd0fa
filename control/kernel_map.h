// SPDX-License-Identifier: BSD-3-Clause
#pragma once

// What the kernel mirror keeps its entries in: a hash map from a fixed key to a value of one size.

#include <stdalign.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sluice/snapshot.h"
#include "sluice/types.h"

// No padding: hashed and compared as bytes.
struct sluice_kernel_key {
	struct sluice_address address;
	uint32_t where;  // interface index or routing table
	uint32_t length; // of a prefix, in bits; 0 where there is none
};
static_assert(sizeof(struct sluice_kernel_key) == 24, "hashed as bytes");

struct sluice_kernel_node {
	struct sluice_kernel_node *next;
	struct sluice_kernel_key key;
	uint32_t epoch; // of the last dump that had it, or that it came after
	alignas(8) unsigned char value[];
};

struct sluice_kernel_map {
	struct sluice_kernel_node **buckets;
	size_t mask; // buckets - 1
	size_t count;
	size_t value_size;
	size_t compare_size; // the part of the value that makes it another one
	struct sluice_hash_key hash;
};

// 0 or -ENOMEM.
int sluice_kernel_map_init(struct sluice_kernel_map *m, size_t value_size, size_t compare_size);
void sluice_kernel_map_clear(struct sluice_kernel_map *m);

struct sluice_kernel_node *sluice_kernel_map_find(const struct sluice_kernel_map *m,
                                                  const struct sluice_kernel_key *key);

// Sets the value of a key (value_size bytes, no padding left uninitialised).
// 1: new or different in its compared part; 0: as it was; -ENOMEM.
int sluice_kernel_map_put(struct sluice_kernel_map *m, const struct sluice_kernel_key *key,
                          const void *value, uint32_t epoch);

// Whether there was one.
bool sluice_kernel_map_remove(struct sluice_kernel_map *m, const struct sluice_kernel_key *key);

// Visits every node in no order and removes those for which keep says false. Nothing else may
// change the map meanwhile. Returns how many were removed.
size_t sluice_kernel_map_filter(struct sluice_kernel_map *m,
                                bool (*keep)(void *context, struct sluice_kernel_node *node),
                                void *context);

// Visits every node of a map that is not to be changed.
void sluice_kernel_map_visit(const struct sluice_kernel_map *m,
                             void (*visit)(void *context, const struct sluice_kernel_node *node),
                             void *context);
