// SPDX-License-Identifier: BSD-3-Clause
#include "control/maglev_table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int compare(const struct sluice_maglev_endpoint *a, const struct sluice_maglev_endpoint *b)
{
	int order = memcmp(&a->address, &b->address, sizeof(a->address));

	return order ? order : memcmp(&a->port, &b->port, sizeof(a->port));
}

static bool is_of(const struct sluice_maglev_table *t, uint32_t size,
                  const struct sluice_maglev_endpoint *endpoints, size_t count)
{
	if (!t || t->size != size || t->count != count)
		return false;
	for (size_t i = 0; i < count; i++)
		if (compare(&t->endpoints[i], &endpoints[i]) != 0 ||
		    t->endpoints[i].weight != endpoints[i].weight)
			return false;
	return true;
}

struct sluice_maglev_table *sluice_maglev_table_of(struct sluice_maglev_table *old, uint32_t size,
                                                   const struct sluice_maglev_endpoint *endpoints,
                                                   size_t count, const struct sluice_hash_key *key)
{
	struct sluice_maglev_table *t;
	int error = -ENOMEM;

	if (is_of(old, size, endpoints, count))
		return sluice_maglev_table_get(old);
	t = calloc(1, sizeof(*t) + size * sizeof(t->rows[0]));
	if (!t)
		return NULL;
	t->references = 1;
	t->size = size;
	t->count = count;
	t->endpoints = malloc(count * sizeof(*endpoints));
	if (t->endpoints) {
		memcpy(t->endpoints, endpoints, count * sizeof(*endpoints));
		error = sluice_maglev_fill(t->rows, size, endpoints, count, key);
	}
	if (error) {
		sluice_maglev_table_put(t);
		errno = -error;
		return NULL;
	}
	return t;
}

struct sluice_maglev_table *sluice_maglev_table_get(struct sluice_maglev_table *t)
{
	t->references++;
	return t;
}

void sluice_maglev_table_put(struct sluice_maglev_table *t)
{
	if (!t || --t->references > 0)
		return;
	free(t->endpoints);
	free(t);
}

uint64_t sluice_maglev_table_moved(const struct sluice_maglev_table *a,
                                   const struct sluice_maglev_table *b)
{
	uint64_t moved = 0;
	uint32_t *to_b; // index in a -> index in b, or UINT32_MAX

	if (a == b)
		return 0;
	if (!a || !b || a->size != b->size)
		return b ? b->size : a->size;
	to_b = malloc(a->count * sizeof(*to_b));
	if (!to_b)
		return b->size; // only a figure for people
	for (size_t i = 0, j = 0; i < a->count; i++) {
		while (j < b->count && compare(&b->endpoints[j], &a->endpoints[i]) < 0)
			j++;
		bool same = j < b->count && compare(&b->endpoints[j], &a->endpoints[i]) == 0;

		to_b[i] = same ? (uint32_t)j : UINT32_MAX;
	}
	for (uint32_t row = 0; row < a->size; row++)
		moved += to_b[a->rows[row]] != b->rows[row];
	free(to_b);
	return moved;
}
