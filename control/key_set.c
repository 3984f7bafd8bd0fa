// SPDX-License-Identifier: BSD-3-Clause
#include "control/key_set.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int key_compare(const void *a, const void *b, void *size)
{
	return memcmp(a, b, *(size_t *)size);
}

static bool is_sorted(const uint8_t *keys, size_t count, size_t size)
{
	for (size_t i = 1; i < count; i++) {
		if (memcmp(&keys[(i - 1) * size], &keys[i * size], size) > 0)
			return false;
	}
	return true;
}

static int set_allocate(struct sluice_key_set *set, size_t count, size_t size)
{
	*set = (struct sluice_key_set){.size = size};
	if (count == 0)
		return 0;
	set->keys = reallocarray(NULL, count, size);
	return set->keys ? 0 : -ENOMEM;
}

static void set_append(struct sluice_key_set *set, const uint8_t *key)
{
	assert(set->keys && key);
	memcpy(&set->keys[set->count++ * set->size], key, set->size);
}

int sluice_key_set_build(struct sluice_key_set *set, const void *keys, size_t count, size_t size)
{
	size_t unique = 0;
	int r = set_allocate(set, count, size);

	if (!set->keys)
		return r;
	memcpy(set->keys, keys, count * size);
	if (!is_sorted(set->keys, count, size))
		qsort_r(set->keys, count, size, key_compare, &size);
	for (size_t i = 0; i < count; i++) {
		const uint8_t *key = &set->keys[i * size];

		if (unique > 0 && memcmp(key - size, key, size) == 0)
			continue;
		if (unique != i)
			memcpy(&set->keys[unique * size], key, size);
		unique++;
	}
	set->count = unique;
	return 0;
}

int sluice_key_set_difference(struct sluice_key_set *set, const struct sluice_key_set *a,
                              const struct sluice_key_set *b)
{
	size_t size = a->size;
	size_t j = 0;
	int r = set_allocate(set, a->count, size);

	if (r < 0)
		return r;
	for (size_t i = 0; i < a->count; i++) {
		const uint8_t *key = &a->keys[i * size];

		while (j < b->count && memcmp(&b->keys[j * size], key, size) < 0)
			j++;
		if (j == b->count || memcmp(&b->keys[j * size], key, size) != 0)
			set_append(set, key);
	}
	return 0;
}

int sluice_key_set_merge(struct sluice_key_set *a, const struct sluice_key_set *b)
{
	struct sluice_key_set merged;
	size_t i = 0, j = 0;
	int r = set_allocate(&merged, a->count + b->count, b->size);

	if (r < 0)
		return r;
	while (i < a->count || j < b->count) {
		const uint8_t *left = i < a->count ? &a->keys[i * b->size] : NULL;
		const uint8_t *right = j < b->count ? &b->keys[j * b->size] : NULL;
		int order = !left ? 1 : !right ? -1 : memcmp(left, right, b->size);

		set_append(&merged, order <= 0 ? left : right);
		i += order <= 0;
		j += order >= 0;
	}
	sluice_key_set_clear(a);
	*a = merged;
	return 0;
}

void sluice_key_set_clear(struct sluice_key_set *set)
{
	free(set->keys);
	*set = (struct sluice_key_set){.size = set->size};
}
