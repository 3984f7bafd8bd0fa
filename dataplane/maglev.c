// SPDX-License-Identifier: BSD-3-Clause

// Each endpoint has a permutation of the rows (offset, offset + skip, offset + 2 skip, ... modulo
// a prime) and in its turn takes the first row of it that is still free. Of the permutation only
// the place reached is kept. Who takes how many rows is fixed beforehand; in which order is said
// by a list of turns, in which an endpoint of twice the weight stands twice as often, evenly
// spread, so that a change of one weight or endpoint leaves the others' order as it was.

#include "dataplane/maglev.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/hash.h"

// An endpoint with weight.
struct taker {
	const struct sluice_maglev_endpoint *endpoint;
	uint32_t cursor; // the row of its permutation that is next
	uint32_t skip;
	uint32_t quota; // rows it gets
	uint16_t index; // into the caller's endpoints
	uint64_t remainder;
};

struct table {
	struct taker *takers; // sorted by (address, port)
	uint32_t count;
	uint32_t size;
	uint32_t weight_max;
	uint64_t weight_sum;
};

bool sluice_maglev_is_prime(uint32_t n)
{
	if (n < 4)
		return n >= 2;
	if (n % 2 == 0)
		return false;
	for (uint32_t i = 3; (uint64_t)i * i <= n; i += 2) {
		if (n % i == 0)
			return false;
	}
	return true;
}

static int compare_endpoints(const struct sluice_maglev_endpoint *a,
                             const struct sluice_maglev_endpoint *b)
{
	int order = memcmp(&a->address, &b->address, sizeof(a->address));

	return order ? order : memcmp(&a->port, &b->port, sizeof(a->port));
}

static int by_endpoint(const void *a, const void *b)
{
	return compare_endpoints(((const struct taker *)a)->endpoint,
	                         ((const struct taker *)b)->endpoint);
}

// Largest remainder first; takers stand in one array, sorted by endpoint, which breaks ties.
static int by_remainder(const void *a, const void *b)
{
	const struct taker *x = *(struct taker *const *)a, *y = *(struct taker *const *)b;

	if (x->remainder != y->remainder)
		return x->remainder > y->remainder ? -1 : 1;
	return x < y ? -1 : x > y;
}

static int collect_takers(struct table *t, const struct sluice_maglev_endpoint *endpoints,
                          size_t count)
{
	t->takers = calloc(count, sizeof(*t->takers));
	if (!t->takers)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		const struct sluice_maglev_endpoint *e = &endpoints[i];

		if (e->weight == 0)
			continue;
		t->takers[t->count++] = (struct taker){.endpoint = e, .index = (uint16_t)i};
		t->weight_sum += e->weight;
		if (e->weight > t->weight_max)
			t->weight_max = e->weight;
	}
	if (t->count == 0 || t->count > t->size)
		return -EINVAL;
	qsort(t->takers, t->count, sizeof(*t->takers), by_endpoint);
	for (uint32_t i = 1; i < t->count; i++) {
		if (by_endpoint(&t->takers[i - 1], &t->takers[i]) == 0)
			return -EINVAL;
	}
	return 0;
}

static void seed_permutations(struct table *t, const struct sluice_hash_key *key)
{
	struct sluice_hash_key skip_key = *key;

	skip_key.k[0] = ~skip_key.k[0];
	for (uint32_t i = 0; i < t->count; i++) {
		struct taker *k = &t->takers[i];
		uint8_t name[sizeof(k->endpoint->address) + sizeof(k->endpoint->port)];

		memcpy(name, &k->endpoint->address, sizeof(k->endpoint->address));
		memcpy(name + sizeof(k->endpoint->address), &k->endpoint->port,
		       sizeof(k->endpoint->port));
		k->cursor = (uint32_t)(sluice_hash_bytes(key, name, sizeof(name)) % t->size);
		k->skip = 1;
		if (t->size > 2)
			k->skip += sluice_hash_bytes(&skip_key, name, sizeof(name)) % (t->size - 1);
	}
}

// Largest remainders: whole rows first, the rows that rounding left go to those who lost most.
static int share_rows(struct table *t)
{
	struct taker **losers = malloc(t->count * sizeof(struct taker *));
	uint32_t left = t->size;

	if (!losers)
		return -ENOMEM;
	for (uint32_t i = 0; i < t->count; i++) {
		struct taker *k = &t->takers[i];
		uint64_t share = (uint64_t)t->size * k->endpoint->weight;

		k->quota = (uint32_t)(share / t->weight_sum);
		k->remainder = share % t->weight_sum;
		left -= k->quota;
		losers[i] = k;
	}
	qsort(losers, t->count, sizeof(struct taker *), by_remainder);
	for (uint32_t i = 0; i < left; i++)
		losers[i]->quota++;
	free(losers);
	return 0;
}

// The round in which a taker has its turn number n (from 0): the heaviest has one a round, the
// others one in the middle of every weight_max / weight rounds.
static inline uint32_t turn_round(const struct table *t, const struct taker *k, uint32_t n,
                                  uint32_t rounds)
{
	uint64_t round =
	        (2 * (uint64_t)n + 1) * t->weight_max / (2 * (uint64_t)k->endpoint->weight);

	return round < rounds ? (uint32_t)round : rounds - 1;
}

// The takers in the order of their turns, one turn a row: a counting sort by round, stable, so
// that within a round they are in order of (address, port). NULL: out of memory.
static uint16_t *list_turns(const struct table *t)
{
	uint32_t rounds = 1;

	for (uint32_t i = 0; i < t->count; i++) {
		if (t->takers[i].quota > rounds)
			rounds = t->takers[i].quota;
	}
	uint32_t *starts = calloc((size_t)rounds + 1, sizeof(*starts));
	uint16_t *turns = calloc(t->size, sizeof(*turns));

	if (!starts || !turns) {
		free(starts);
		free(turns);
		return NULL;
	}
	for (uint32_t i = 0; i < t->count; i++) {
		for (uint32_t n = 0; n < t->takers[i].quota; n++)
			starts[turn_round(t, &t->takers[i], n, rounds) + 1]++;
	}
	for (uint32_t i = 1; i < rounds; i++)
		starts[i] += starts[i - 1];
	for (uint32_t i = 0; i < t->count; i++) {
		for (uint32_t n = 0; n < t->takers[i].quota; n++)
			turns[starts[turn_round(t, &t->takers[i], n, rounds)]++] = (uint16_t)i;
	}
	free(starts);
	return turns;
}

// The next row of a permutation. 64-bit: cursor + skip may pass 2^32.
static inline uint32_t next_row(uint32_t cursor, uint32_t skip, uint32_t size)
{
	uint64_t row = (uint64_t)cursor + skip;

	return (uint32_t)(row < size ? row : row - size);
}

// A bitmap says which rows are taken: it stays in the first-level cache, rows doesn't, and no
// index has to be kept back to mean "free".
static int take_rows(struct table *t, uint16_t *rows)
{
	uint64_t *is_taken = calloc((size_t)t->size / 64 + 1, sizeof(*is_taken));
	uint16_t *turns = list_turns(t);

	if (!is_taken || !turns) {
		free(is_taken);
		free(turns);
		return -ENOMEM;
	}
	for (uint32_t i = 0; i < t->size; i++) {
		struct taker *k = &t->takers[turns[i]];
		uint32_t row = k->cursor;

		while (is_taken[row / 64] >> row % 64 & 1)
			row = next_row(row, k->skip, t->size);
		is_taken[row / 64] |= (uint64_t)1 << row % 64;
		rows[row] = k->index;
		k->cursor = next_row(row, k->skip, t->size);
	}
	free(is_taken);
	free(turns);
	return 0;
}

int sluice_maglev_fill(uint16_t *rows, uint32_t size,
                       const struct sluice_maglev_endpoint *endpoints, size_t count,
                       const struct sluice_hash_key *key)
{
	struct table t = {.size = size};
	int err;

	if (!sluice_maglev_is_prime(size) || count == 0 || count > SLUICE_SERVICE_ENDPOINTS_MAX)
		return -EINVAL;
	err = collect_takers(&t, endpoints, count);
	if (err)
		goto out;
	seed_permutations(&t, key);
	err = share_rows(&t);
	if (!err)
		err = take_rows(&t, rows);
out:
	free(t.takers);
	return err;
}
