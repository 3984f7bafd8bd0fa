// SPDX-License-Identifier: BSD-3-Clause

// Each endpoint has a permutation of the rows (offset, offset + skip, offset + 2 skip, ... modulo
// a prime) and in its turn takes the first row of it that is still free. Of the permutation only
// the place reached is kept. Who takes how many rows is fixed beforehand; in which order is said
// by a list of turns, in which an endpoint of twice the weight stands twice as often, evenly
// spread, so that a change of one weight or endpoint leaves the others' order as it was.
//
// With f of n rows free a turn walks over n / f rows: of all steps, more than half would look for
// the last sqrt(n). Those rows are listed instead, and a turn asks each of them how far away it is.

#include "dataplane/maglev.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/hash.h"

// An endpoint with weight.
struct taker {
	const struct sluice_maglev_endpoint *endpoint;
	uint64_t remainder;
	uint32_t quota; // rows it gets
};

// What a turn needs of its taker, apart and small: those of 1,000 stay in the first-level cache.
struct walk {
	uint32_t cursor; // the row of its permutation that is next
	uint32_t skip;
	uint16_t index; // into the caller's endpoints
};

struct table {
	struct taker *takers; // sorted by (address, port)
	struct walk *walks;   // in the same order
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
		t->takers[t->count++] = (struct taker){.endpoint = e};
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

static int seed_permutations(struct table *t, const struct sluice_maglev_endpoint *endpoints,
                             const struct sluice_hash_key *key)
{
	struct sluice_hash_key skip_key = *key;

	skip_key.k[0] = ~skip_key.k[0];
	t->walks = calloc(t->count, sizeof(*t->walks));
	if (!t->walks)
		return -ENOMEM;
	for (uint32_t i = 0; i < t->count; i++) {
		const struct sluice_maglev_endpoint *e = t->takers[i].endpoint;
		struct walk *w = &t->walks[i];
		uint8_t name[sizeof(e->address) + sizeof(e->port)];

		memcpy(name, &e->address, sizeof(e->address));
		memcpy(name + sizeof(e->address), &e->port, sizeof(e->port));
		w->index = (uint16_t)(e - endpoints);
		w->cursor = (uint32_t)(sluice_hash_bytes(key, name, sizeof(name)) % t->size);
		w->skip = 1;
		if (t->size > 2)
			w->skip += sluice_hash_bytes(&skip_key, name, sizeof(name)) % (t->size - 1);
	}
	return 0;
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

// Which round a taker's next turn is in. Turn number n (from 0) is in round
// (2n + 1) weight_max / (2 weight), rounded down: the heaviest has one a round, the others one in
// the middle of every weight_max / weight rounds. Kept as a mixed number, as a division for each
// turn would take longer than all else that is done to list it.
struct pace {
	uint64_t round;
	uint32_t parts, whole;         // of a round: parts / whole
	uint32_t rounds, rounds_parts; // from a turn to the next
};

static struct pace first_turn(const struct table *t, const struct taker *k)
{
	uint32_t whole = 2 * (uint32_t)k->endpoint->weight;

	return (struct pace){
	        .round = t->weight_max / whole,
	        .parts = t->weight_max % whole,
	        .whole = whole,
	        .rounds = 2 * t->weight_max / whole,
	        .rounds_parts = 2 * t->weight_max % whole,
	};
}

static inline void next_turn(struct pace *p)
{
	p->round += p->rounds;
	p->parts += p->rounds_parts;
	if (p->parts >= p->whole) {
		p->parts -= p->whole;
		p->round++;
	}
}

// Rounding gives some a row more than their share: its turn is in the last round at the latest.
static inline uint64_t turn_round(const struct pace *p, uint32_t rounds)
{
	return p->round < rounds ? p->round : rounds - 1;
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
		struct pace p = first_turn(t, &t->takers[i]);

		for (uint32_t n = 0; n < t->takers[i].quota; n++, next_turn(&p))
			starts[turn_round(&p, rounds) + 1]++;
	}
	for (uint32_t i = 1; i < rounds; i++)
		starts[i] += starts[i - 1];
	for (uint32_t i = 0; i < t->count; i++) {
		struct pace p = first_turn(t, &t->takers[i]);

		for (uint32_t n = 0; n < t->takers[i].quota; n++, next_turn(&p))
			turns[starts[turn_round(&p, rounds)]++] = (uint16_t)i;
	}
	free(starts);
	return turns;
}

// The next row of a permutation. Written so that nothing passes 2^32.
static inline uint32_t next_row(uint32_t row, uint32_t skip, uint32_t size)
{
	uint32_t wrap = size - skip;

	return row >= wrap ? row - wrap : row + skip;
}

// skip^-1 modulo the prime size, by Euclid's extended algorithm.
static uint32_t inverse(uint32_t skip, uint32_t size)
{
	int64_t times_a = 1, times_b = 0; // a = times_a * skip, b = times_b * skip, modulo size
	uint32_t a = skip, b = size;

	while (a > 1) {
		int64_t times_rest = times_b - b / a * times_a;
		uint32_t rest = b % a;

		b = a;
		times_b = times_a;
		a = rest;
		times_a = times_rest;
	}
	return (uint32_t)(times_a < 0 ? times_a + size : times_a);
}

// The first free row of a permutation, from its cursor on. Four steps at a time without a branch in
// between: nothing can predict where a walk ends.
static inline uint32_t walk(const uint64_t *is_taken, const struct walk *w, uint32_t size)
{
	uint32_t row = w->cursor, ahead = row, taken;

	do {
		taken = 1;
		for (unsigned step = 0; step < 4; step++) {
			taken &= (uint32_t)(is_taken[ahead / 64] >> ahead % 64);
			ahead = next_row(ahead, w->skip, size);
			row = taken ? ahead : row;
		}
	} while (taken);
	return row;
}

// A bitmap says which rows are taken: it stays in the first-level cache, rows doesn't, and no
// index has to be kept back to mean "free".
static void walk_turns(struct table *t, const uint16_t *turns, uint32_t count, uint64_t *is_taken,
                       uint16_t *rows)
{
	for (uint32_t i = 0; i < count; i++) {
		struct walk *w = &t->walks[turns[i]];
		uint32_t row = walk(is_taken, w, t->size);

		is_taken[row / 64] |= (uint64_t)1 << row % 64;
		rows[row] = w->index;
		w->cursor = next_row(row, w->skip, t->size);
	}
}

// Which of the free rows comes first in a permutation. A row's place in it is (row - cursor) / skip
// modulo size. Only the order of places matters: each is kept as the 64-bit fraction place / size,
// as a multiplication drops what is whole by itself. Rounding up 1 / skip / size makes a fraction
// at most size * 2^-64 too large, which is less than what lies between two places.
static uint32_t first_free(const uint32_t *free_rows, uint32_t count, const struct walk *w,
                           uint32_t size)
{
	unsigned __int128 one_row = (unsigned __int128)inverse(w->skip, size) << 64;
	uint64_t fraction = (uint64_t)(one_row / size) + 1;
	uint64_t least = UINT64_MAX;
	uint32_t first = 0;

	for (uint32_t i = 0; i < count; i++) {
		uint32_t row = free_rows[i];
		uint32_t ahead = row < w->cursor ? row + (size - w->cursor) : row - w->cursor;
		uint64_t place = ahead * fraction;

		if (place < least) {
			least = place;
			first = i;
		}
	}
	return first;
}

// The turns for the last rows.
static void pick_turns(struct table *t, const uint16_t *turns, uint32_t *free_rows, uint32_t count,
                       uint16_t *rows)
{
	for (; count > 0; count--, turns++) {
		struct walk *w = &t->walks[*turns];
		uint32_t i = first_free(free_rows, count, w, t->size);

		rows[free_rows[i]] = w->index;
		w->cursor = next_row(free_rows[i], w->skip, t->size);
		free_rows[i] = free_rows[count - 1];
	}
}

static void list_free_rows(const uint64_t *is_taken, uint32_t *free_rows, uint32_t count)
{
	uint32_t n = 0;

	for (uint32_t word = 0; n < count; word++) {
		// The last word's bits past the table come after all rows: count leaves them out.
		for (uint64_t bits = ~is_taken[word]; bits && n < count; bits &= bits - 1)
			free_rows[n++] = word * 64 + (uint32_t)__builtin_ctzll(bits);
	}
}

// At least one, and no more than there are.
static uint32_t square_root(uint32_t n)
{
	uint32_t root = 1;

	while ((uint64_t)root * root < n)
		root++;
	return root;
}

static int take_rows(struct table *t, uint16_t *rows)
{
	uint32_t last = square_root(t->size), walked = t->size - last;
	uint64_t *is_taken = calloc((size_t)t->size / 64 + 1, sizeof(*is_taken));
	uint32_t *free_rows = malloc(last * sizeof(*free_rows));
	uint16_t *turns = list_turns(t);
	int err = -ENOMEM;

	if (is_taken && free_rows && turns) {
		walk_turns(t, turns, walked, is_taken, rows);
		list_free_rows(is_taken, free_rows, last);
		pick_turns(t, turns + walked, free_rows, last, rows);
		err = 0;
	}
	free(is_taken);
	free(free_rows);
	free(turns);
	return err;
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
	err = seed_permutations(&t, endpoints, key);
	if (err)
		goto out;
	err = share_rows(&t);
	if (!err)
		err = take_rows(&t, rows);
out:
	free(t.walks);
	free(t.takers);
	return err;
}
