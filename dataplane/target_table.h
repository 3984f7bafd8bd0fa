// SPDX-License-Identifier: BSD-3-Clause
#pragma once

// An immutable map from target to a 32-bit value: built whole by control, read by workers.
// Open addressing at half load, two entries a cache line; rte_hash would cost a version check
// and a second line per lookup for updates in place that a snapshot never makes.

#include <stdalign.h>
#include <stddef.h>
#include <stdint.h>

#include "dataplane/hash.h"
#include "sluice/types.h"

enum {
	SLUICE_TARGET_NONE = UINT32_MAX, // no such target
};

struct sluice_target_entry {
	alignas(32) uint32_t value;  // SLUICE_TARGET_NONE: free
	struct sluice_target target; // the last 8 bytes, all that IPv4 needs, are aligned
	uint64_t reserved;
};
static_assert(sizeof(struct sluice_target_entry) == 32, "two to a cache line");

struct sluice_target_table {
	uint64_t mask;
	struct sluice_hash_key key;
	alignas(64) struct sluice_target_entry entries[];
};

// Room for count targets. NULL: out of memory. Free with free(3).
struct sluice_target_table *sluice_target_table_new(size_t count);

// Adds a target before publication; a target that is there already gets the new value.
// At most count different ones. value must not be SLUICE_TARGET_NONE.
void sluice_target_table_set(struct sluice_target_table *t, const struct sluice_target *target,
                             uint32_t value);

// One round is enough: what is stored comes from the administrator, so nobody else can make
// entries collide, and a search ends at the first free one.
SLUICE_INLINE uint64_t sluice_target_table_hash(const struct sluice_target_table *t,
                                                struct sluice_target_view v,
                                                enum sluice_family family)
{
	uint64_t first, h = sluice_target_tail(v) ^ t->key.k[0];
	uint32_t middle;

	if (family == SLUICE_IPV6) {
		memcpy(&first, v.address, 8);
		memcpy(&middle, v.address + 8, 4);
		h ^= sluice_hash_fold(first ^ t->key.k[2], middle ^ t->key.k[3]);
	}
	return sluice_hash_fold(h, t->key.k[1]);
}

SLUICE_INLINE uint32_t sluice_target_table_get(const struct sluice_target_table *t,
                                               struct sluice_target_view v,
                                               enum sluice_family family)
{
	uint64_t i = sluice_target_table_hash(t, v, family);

	for (;; i++) {
		const struct sluice_target_entry *e = &t->entries[i & t->mask];
		uint64_t tail;

		if (e->value == SLUICE_TARGET_NONE)
			return SLUICE_TARGET_NONE;
		memcpy(&tail, &e->target.address.bytes[12], 8);
		if (tail == sluice_target_tail(v) &&
		    (family == SLUICE_IPV4 || memcmp(&e->target, v.address, 12) == 0))
			return e->value;
	}
}
