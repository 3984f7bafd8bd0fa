// SPDX-License-Identifier: BSD-3-Clause
#include "dataplane/target_table.h"

#include <stdlib.h>
#include <sys/random.h>

struct sluice_target_table *sluice_target_table_new(size_t count)
{
	struct sluice_target_table *t;
	size_t n = 2, size;

	while (n / 2 < count && n < SIZE_MAX / sizeof(struct sluice_target_entry) / 4)
		n *= 2;
	// A free entry ends every search, so one more than count is the least there must be.
	if (n <= count)
		return NULL;
	size = sizeof(*t) + n * sizeof(t->entries[0]);
	t = aligned_alloc(64, (size + 63) / 64 * 64);
	if (!t)
		return NULL;
	memset(t, 0, sizeof(*t));
	t->mask = n - 1;
	if (getrandom(&t->key, sizeof(t->key), 0) != (ssize_t)sizeof(t->key)) {
		free(t);
		return NULL;
	}
	for (size_t i = 0; i < n; i++)
		t->entries[i] = (struct sluice_target_entry){.value = SLUICE_TARGET_NONE};
	return t;
}

void sluice_target_table_set(struct sluice_target_table *t, const struct sluice_target *target,
                             uint32_t value)
{
	enum sluice_family family = target->family == SLUICE_IPV4 ? SLUICE_IPV4 : SLUICE_IPV6;
	uint64_t i = sluice_target_table_hash(t, sluice_target_view(target), family);
	struct sluice_target_entry *e;

	for (;; i++) {
		e = &t->entries[i & t->mask];
		if (e->value == SLUICE_TARGET_NONE ||
		    memcmp(&e->target, target, sizeof(*target)) == 0)
			break;
	}
	e->target = *target;
	e->value = value;
}
