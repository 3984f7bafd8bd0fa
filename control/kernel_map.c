// SPDX-License-Identifier: BSD-3-Clause
#include "control/kernel_map.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "dataplane/hash.h"

enum {
	BUCKETS_AT_FIRST = 64,
};

static size_t key_bucket(const struct sluice_kernel_map *m, const struct sluice_kernel_key *key)
{
	return sluice_hash_bytes(&m->hash, key, sizeof(*key)) & m->mask;
}

int sluice_kernel_map_init(struct sluice_kernel_map *m, size_t value_size, size_t compare_size)
{
	m->buckets = calloc(BUCKETS_AT_FIRST, sizeof(struct sluice_kernel_node *));
	if (m->buckets == NULL)
		return -ENOMEM;
	m->mask = BUCKETS_AT_FIRST - 1;
	m->count = 0;
	m->value_size = value_size;
	m->compare_size = compare_size;
	// Others choose the addresses: without a secret they could choose a bucket too. Where there
	// is no randomness (a kernel that has just started) the map works all the same.
	if (getrandom(&m->hash, sizeof(m->hash), GRND_NONBLOCK) < 0)
		sluice_hash_key_expand(&m->hash, "kernel map");
	return 0;
}

void sluice_kernel_map_clear(struct sluice_kernel_map *m)
{
	if (m->buckets == NULL)
		return;
	for (size_t i = 0; i <= m->mask; i++) {
		for (struct sluice_kernel_node *n = m->buckets[i], *next; n != NULL; n = next) {
			next = n->next;
			free(n);
		}
	}
	free((void *)m->buckets);
	memset(m, 0, sizeof(*m));
}

struct sluice_kernel_node *sluice_kernel_map_find(const struct sluice_kernel_map *m,
                                                  const struct sluice_kernel_key *key)
{
	struct sluice_kernel_node *n = m->buckets[key_bucket(m, key)];

	while (n != NULL && memcmp(&n->key, key, sizeof(*key)) != 0)
		n = n->next;
	return n;
}

// Doubles the buckets; where there is no memory for it the chains get longer instead.
static void grow(struct sluice_kernel_map *m)
{
	struct sluice_kernel_node **old = m->buckets;
	size_t old_mask = m->mask;
	struct sluice_kernel_node **buckets =
	        calloc((old_mask + 1) * 2, sizeof(struct sluice_kernel_node *));

	if (buckets == NULL)
		return;
	m->buckets = buckets;
	m->mask = old_mask * 2 + 1;
	for (size_t i = 0; i <= old_mask; i++) {
		for (struct sluice_kernel_node *n = old[i], *next; n != NULL; n = next) {
			size_t bucket = key_bucket(m, &n->key);

			next = n->next;
			n->next = buckets[bucket];
			buckets[bucket] = n;
		}
	}
	free((void *)old);
}

int sluice_kernel_map_put(struct sluice_kernel_map *m, const struct sluice_kernel_key *key,
                          const void *value, uint32_t epoch)
{
	struct sluice_kernel_node *n = sluice_kernel_map_find(m, key);

	if (n != NULL) {
		bool same = memcmp(n->value, value, m->compare_size) == 0;

		memcpy(n->value, value, m->value_size);
		n->epoch = epoch;
		return same ? 0 : 1;
	}
	n = malloc(sizeof(*n) + m->value_size);
	if (n == NULL)
		return -ENOMEM;
	if (m->count > m->mask)
		grow(m);
	n->key = *key;
	n->epoch = epoch;
	memcpy(n->value, value, m->value_size);

	size_t bucket = key_bucket(m, key);

	n->next = m->buckets[bucket];
	m->buckets[bucket] = n;
	m->count++;
	return 1;
}

bool sluice_kernel_map_remove(struct sluice_kernel_map *m, const struct sluice_kernel_key *key)
{
	struct sluice_kernel_node **link = &m->buckets[key_bucket(m, key)];

	for (; *link != NULL; link = &(*link)->next) {
		struct sluice_kernel_node *n = *link;

		if (memcmp(&n->key, key, sizeof(*key)) == 0) {
			*link = n->next;
			free(n);
			m->count--;
			return true;
		}
	}
	return false;
}

size_t sluice_kernel_map_filter(struct sluice_kernel_map *m,
                                bool (*keep)(void *context, struct sluice_kernel_node *node),
                                void *context)
{
	size_t removed = 0;

	for (size_t i = 0; i <= m->mask; i++) {
		struct sluice_kernel_node **link = &m->buckets[i];

		while (*link != NULL) {
			struct sluice_kernel_node *n = *link;

			if (keep(context, n)) {
				link = &n->next;
				continue;
			}
			*link = n->next;
			free(n);
			removed++;
		}
	}
	m->count -= removed;
	return removed;
}

void sluice_kernel_map_visit(const struct sluice_kernel_map *m,
                             void (*visit)(void *context, const struct sluice_kernel_node *node),
                             void *context)
{
	for (size_t i = 0; i <= m->mask; i++)
		for (const struct sluice_kernel_node *n = m->buckets[i]; n != NULL; n = n->next)
			visit(context, n);
}
