// SPDX-License-Identifier: BSD-3-Clause

// Maglev's tables against the properties of the paper and against a plain version of it that
// writes all permutations down.

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "dataplane/hash.h"
#include "dataplane/maglev.h"
#include "tests/unit/random.h"

enum {
	SIZE = 65537,
};

static struct sluice_hash_key key;

static struct sluice_maglev_endpoint endpoint(uint32_t i, uint16_t weight)
{
	return (struct sluice_maglev_endpoint){
	        .address = sluice_address_from_v4(0x0a000000 + i * 7919),
	        .port = (uint16_t)(8080 + i % 3),
	        .weight = weight,
	};
}

static struct sluice_maglev_endpoint *make_endpoints(size_t count, uint16_t weight)
{
	struct sluice_maglev_endpoint *e = calloc(count, sizeof(*e));

	assert_non_null(e);
	for (size_t i = 0; i < count; i++)
		e[i] = endpoint((uint32_t)i, weight);
	return e;
}

static uint16_t *fill(const struct sluice_maglev_endpoint *e, size_t count, uint32_t size)
{
	uint16_t *rows = malloc(size * sizeof(*rows));

	assert_non_null(rows);
	memset(rows, 0xff, size * sizeof(*rows));
	assert_int_equal(sluice_maglev_fill(rows, size, e, count, &key), 0);
	return rows;
}

static uint32_t *count_rows(const uint16_t *rows, uint32_t size, size_t count)
{
	uint32_t *n = calloc(count, sizeof(*n));

	assert_non_null(n);
	for (uint32_t i = 0; i < size; i++) {
		assert_true(rows[i] < count);
		n[rows[i]]++;
	}
	return n;
}

static void rows_differ_by_at_most_one_at_equal_weights(void **state)
{
	(void)state;
	static const struct {
		uint32_t size;
		size_t count;
		uint16_t weight;
	} cases[] = {{2, 1, 1},      {2, 2, 9},        {3, 2, 1},        {7, 7, 1},
	             {251, 3, 100},  {SIZE, 1, 65535}, {SIZE, 4, 1},     {SIZE, 1000, 1},
	             {SIZE, 999, 7}, {SIZE, 65535, 1}, {655373, 1000, 1}};

	for (unsigned c = 0; c < sizeof(cases) / sizeof(cases[0]); c++) {
		size_t count = cases[c].count;
		struct sluice_maglev_endpoint *e = make_endpoints(count, cases[c].weight);
		uint16_t *rows = fill(e, count, cases[c].size);
		uint32_t *n = count_rows(rows, cases[c].size, count);

		for (size_t i = 0; i < count; i++) {
			assert_true(n[i] >= cases[c].size / count);
			assert_true(n[i] <= (cases[c].size + count - 1) / count);
		}
		free(n);
		free(rows);
		free(e);
	}
}

static void rows_follow_weights_to_within_one(void **state)
{
	(void)state;
	uint64_t seed = 1;

	for (unsigned round = 0; round < 60; round++) {
		size_t count = 1 + random_below(&seed, 300);
		uint32_t size = round % 2 ? SIZE : 1021;
		struct sluice_maglev_endpoint *e = make_endpoints(count, 0);
		uint64_t sum = 0;

		for (size_t i = 0; i < count; i++) {
			// Extremes too, and none.
			e[i].weight =
			        round % 3 == 0 && i > 0
			                ? (uint16_t)(i % 2)
			                : (uint16_t)(random_next(&seed) >> random_below(&seed, 64));
			e[0].weight = round % 3 == 0 ? 65535 : e[0].weight | 1;
		}
		for (size_t i = 0; i < count; i++)
			sum += e[i].weight;
		uint16_t *rows = fill(e, count, size);
		uint32_t *n = count_rows(rows, size, count);

		for (size_t i = 0; i < count; i++) {
			// |n - size * weight / sum| < 1, without rounding.
			uint64_t exact = (uint64_t)size * e[i].weight, got = n[i] * sum;

			assert_true(got < exact + sum && exact < got + sum);
			if (e[i].weight == 0)
				assert_int_equal(n[i], 0);
		}
		free(n);
		free(rows);
		free(e);
	}
}

static void order_of_input_does_not_matter(void **state)
{
	(void)state;
	uint64_t seed = 2;

	for (unsigned weighted = 0; weighted < 2; weighted++) {
		struct sluice_maglev_endpoint *e = make_endpoints(200, 1);

		for (size_t i = 0; weighted && i < 200; i++)
			e[i].weight = (uint16_t)(1 + i % 10);
		uint16_t *a = fill(e, 200, SIZE);
		struct sluice_maglev_endpoint *f = malloc(200 * sizeof(*f));

		memcpy(f, e, 200 * sizeof(*f));
		for (size_t i = 199; i > 0; i--) {
			size_t j = random_below(&seed, (uint32_t)i + 1);
			struct sluice_maglev_endpoint swap = f[i];

			f[i] = f[j];
			f[j] = swap;
		}
		uint16_t *b = fill(f, 200, SIZE);

		for (uint32_t i = 0; i < SIZE; i++)
			assert_memory_equal(&e[a[i]], &f[b[i]], sizeof(*e));
		free(e);
		free(f);
		free(a);
		free(b);
	}
}

// The share of rows that had another owner than endpoint `gone` and got a new one, in 1/1000.
static unsigned moved_rows(const struct sluice_maglev_endpoint *before, size_t before_count,
                           const struct sluice_maglev_endpoint *after, size_t after_count,
                           size_t gone)
{
	uint16_t *a = fill(before, before_count, SIZE), *b = fill(after, after_count, SIZE);
	unsigned moved = 0, others = 0;

	for (uint32_t i = 0; i < SIZE; i++) {
		const struct sluice_maglev_endpoint *x = &before[a[i]], *y = &after[b[i]];

		if (a[i] == gone)
			continue;
		others++;
		moved += memcmp(&x->address, &y->address, sizeof(x->address)) != 0 ||
		         x->port != y->port;
	}
	free(a);
	free(b);
	return moved * 1000 / others;
}

static void one_of_100_leaves_and_few_other_rows_move(void **state)
{
	(void)state;

	for (unsigned weighted = 0; weighted < 2; weighted++) {
		for (size_t gone = 0; gone < 100; gone += 11) {
			struct sluice_maglev_endpoint *e = make_endpoints(100, 1);

			for (size_t i = 0; weighted && i < 100; i++)
				e[i].weight = (uint16_t)(10 + i * 7 % 50);
			struct sluice_maglev_endpoint *f = malloc(100 * sizeof(*f));

			memcpy(f, e, 100 * sizeof(*f));
			memmove(&f[gone], &f[gone + 1], (99 - gone) * sizeof(*f));
			unsigned moved = moved_rows(e, 100, f, 99, gone);

			if (moved >= 30)
				fail_msg("%u of 1000 other rows moved", moved);
			free(e);
			free(f);
		}
	}
}

static void one_more_takes_its_share_and_little_else_moves(void **state)
{
	(void)state;
	static const size_t counts[] = {3, 10, 100};

	for (unsigned c = 0; c < 3; c++) {
		size_t n = counts[c];
		struct sluice_maglev_endpoint *e = make_endpoints(n + 1, 5);
		unsigned moved = moved_rows(e, n, e, n + 1, n + 1);

		// The new one's share, and some percent that change hands among the old.
		assert_true(moved >= 1000 / (n + 1) - 1);
		assert_true(moved < 1000 / (n + 1) + 50);
		free(e);
	}
}

static void a_changed_weight_moves_little_more_than_its_difference(void **state)
{
	(void)state;
	struct sluice_maglev_endpoint *e = make_endpoints(50, 100);
	struct sluice_maglev_endpoint *f = make_endpoints(50, 100);

	f[17].weight = 50; // 1 % of all rows less
	assert_true(moved_rows(e, 50, f, 50, 50) < 40);
	f[17].weight = 200; // 2 % more; the heaviest now, on which the others' turns depend
	assert_true(moved_rows(e, 50, f, 50, 50) < 60);
	free(e);
	free(f);
}

static void weight_zero_is_as_good_as_not_there(void **state)
{
	(void)state;
	struct sluice_maglev_endpoint *e = make_endpoints(20, 1);

	e[19].weight = 0;
	uint16_t *a = fill(e, 20, 1021), *b = fill(e, 19, 1021);

	assert_memory_equal(a, b, 1021 * sizeof(*a));
	free(a);
	free(b);
	free(e);
}

// The paper's algorithm word for word: permutations as arrays, turns in rounds.
static void equals_the_papers_pseudocode_at_equal_weights(void **state)
{
	(void)state;
	enum { M = 251, N = 17 };
	struct sluice_maglev_endpoint *e = make_endpoints(N, 1);
	static uint32_t permutation[N][M];
	uint32_t next[N] = {0}, n = 0;
	int entry[M];

	// Sorted: the addresses are v4 in memory order.
	for (unsigned i = 0; i < N; i++)
		e[i].address.bytes[12] = (uint8_t)i;
	for (unsigned i = 0; i < N; i++) {
		struct sluice_hash_key skip_key = key;
		uint8_t name[18];

		skip_key.k[0] = ~skip_key.k[0];
		memcpy(name, &e[i].address, 16);
		memcpy(name + 16, &e[i].port, 2);
		uint64_t offset = sluice_hash_bytes(&key, name, 18) % M;
		uint64_t skip = sluice_hash_bytes(&skip_key, name, 18) % (M - 1) + 1;

		for (uint64_t j = 0; j < M; j++)
			permutation[i][j] = (uint32_t)((offset + j * skip) % M);
	}
	for (unsigned j = 0; j < M; j++)
		entry[j] = -1;
	for (unsigned i = 0; n < M; i = (i + 1) % N, n++) {
		uint32_t c = permutation[i][next[i]];

		while (entry[c] >= 0)
			c = permutation[i][++next[i]];
		entry[c] = (int)i;
		next[i]++;
	}
	uint16_t *rows = fill(e, N, M);

	for (unsigned j = 0; j < M; j++)
		assert_int_equal(rows[j], entry[j]);
	free(rows);
	free(e);
}

// The rules of dataplane/maglev.c one by one, without a thought for speed.
struct plain_taker {
	const struct sluice_maglev_endpoint *endpoint;
	uint64_t offset, skip, next; // next: how many rows of the permutation are behind
	uint64_t quota, remainder;
};

struct plain_turn {
	uint64_t round;
	size_t taker;
};

static void plain_name(const struct sluice_maglev_endpoint *e, uint8_t name[18])
{
	memcpy(name, &e->address, 16);
	memcpy(name + 16, &e->port, 2);
}

static int by_name(const void *a, const void *b)
{
	uint8_t x[18], y[18];

	plain_name(((const struct plain_taker *)a)->endpoint, x);
	plain_name(((const struct plain_taker *)b)->endpoint, y);
	return memcmp(x, y, sizeof(x));
}

static int by_round(const void *a, const void *b)
{
	const struct plain_turn *x = a, *y = b;

	if (x->round != y->round)
		return x->round < y->round ? -1 : 1;
	return x->taker < y->taker ? -1 : x->taker > y->taker;
}

static size_t plain_takers(struct plain_taker *takers, const struct sluice_maglev_endpoint *e,
                           size_t count, uint64_t size)
{
	struct sluice_hash_key skip_key = key;
	size_t n = 0;

	skip_key.k[0] = ~skip_key.k[0];
	for (size_t i = 0; i < count; i++) {
		uint8_t name[18];

		plain_name(&e[i], name);
		if (e[i].weight > 0)
			takers[n++] = (struct plain_taker){
			        .endpoint = &e[i],
			        .offset = sluice_hash_bytes(&key, name, 18) % size,
			        .skip = size == 2 ? 1
			                          : sluice_hash_bytes(&skip_key, name, 18) %
			                                            (size - 1) +
			                                    1,
			};
	}
	qsort(takers, n, sizeof(*takers), by_name);
	return n;
}

static void plain_quotas(struct plain_taker *takers, size_t n, uint64_t size)
{
	uint64_t sum = 0, left = size;

	for (size_t i = 0; i < n; i++)
		sum += takers[i].endpoint->weight;
	for (size_t i = 0; i < n; i++) {
		takers[i].quota = size * takers[i].endpoint->weight / sum;
		takers[i].remainder = size * takers[i].endpoint->weight % sum;
		left -= takers[i].quota;
	}
	for (; left > 0; left--) {
		struct plain_taker *most = &takers[0];

		for (size_t i = 1; i < n; i++)
			most = takers[i].remainder > most->remainder ? &takers[i] : most;
		most->quota++;
		most->remainder = 0;
	}
}

static void plain_turns(struct plain_turn *turns, const struct plain_taker *takers, size_t n)
{
	uint64_t heaviest = 1, rounds = 1;
	struct plain_turn *turn = turns;

	for (size_t i = 0; i < n; i++) {
		uint64_t weight = takers[i].endpoint->weight;

		heaviest = weight > heaviest ? weight : heaviest;
		rounds = takers[i].quota > rounds ? takers[i].quota : rounds;
	}
	for (size_t i = 0; i < n; i++)
		for (uint64_t j = 0; j < takers[i].quota; j++) {
			uint64_t round = (2 * j + 1) * heaviest / (2 * takers[i].endpoint->weight);

			*turn++ = (struct plain_turn){round < rounds ? round : rounds - 1, i};
		}
	qsort(turns, (size_t)(turn - turns), sizeof(*turns), by_round);
}

static void assert_equals_plain(const struct sluice_maglev_endpoint *e, size_t count, uint32_t size)
{
	struct plain_taker *takers = calloc(count, sizeof(*takers));
	struct plain_turn *turns = calloc(size, sizeof(*turns));
	bool *is_taken = calloc(size, sizeof(*is_taken));
	uint16_t *rows = fill(e, count, size);
	size_t n = plain_takers(takers, e, count, size);

	plain_quotas(takers, n, size);
	plain_turns(turns, takers, n);
	for (uint32_t i = 0; i < size; i++) {
		struct plain_taker *k = &takers[turns[i].taker];
		uint64_t row;

		do
			row = (k->offset + k->next++ * k->skip) % size;
		while (is_taken[row]);
		is_taken[row] = true;
		if (rows[row] != k->endpoint - e)
			fail_msg("%u rows, %zu endpoints: row %u is %u's, not %u's", size, count,
			         (unsigned)row, rows[row], (unsigned)(k->endpoint - e));
	}
	free(takers);
	free(turns);
	free(is_taken);
	free(rows);
}

static uint16_t random_weight(uint64_t *seed, unsigned kind)
{
	switch (kind) {
	case 0:
		return 1;
	case 1:
		return (uint16_t)(1 + random_below(seed, 10));
	case 2: // extremes, and none
		return (uint16_t)(random_next(seed) >> random_below(seed, 64));
	default:
		return random_below(seed, 20) ? 1 : 65535;
	}
}

static void equals_the_plain_rules_at_any_size_count_and_weight(void **state)
{
	(void)state;
	static const uint32_t sizes[] = {2,   3,   5,   7,    11,   13,   61,    67,   127,
	                                 131, 251, 257, 1021, 4093, 4099, 16381, 65537};
	uint64_t seed = 3;

	for (unsigned s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
		uint32_t size = sizes[s], most = size < 1000 ? size : 1000;

		for (unsigned round = 0; round < (size < 5000 ? 200 : 12); round++) {
			// As many as there are rows, and nearly as many, among others.
			size_t count = round % 4 == 0 ? most - random_below(&seed, 2)
			                              : 1 + random_below(&seed, most);
			struct sluice_maglev_endpoint *e = make_endpoints(count, 1);

			for (size_t i = 0; i < count; i++) {
				e[i].address = sluice_address_from_v4((uint32_t)random_next(&seed));
				e[i].weight = random_weight(&seed, round / 4 % 4);
			}
			e[0].weight |= 1;
			assert_equals_plain(e, count, size);
			free(e);
		}
	}
}

static void equals_the_plain_rules_in_a_large_table(void **state)
{
	(void)state;
	struct sluice_maglev_endpoint *e = make_endpoints(1000, 1);

	assert_equals_plain(e, 1000, 655373);
	assert_equals_plain(e, 3, 2097143);
	free(e);
}

static void a_seed_gives_the_same_table_on_every_host(void **state)
{
	(void)state;
	struct sluice_maglev_endpoint *e = make_endpoints(10, 1);
	struct sluice_hash_key other;
	uint16_t *a = fill(e, 10, 1021);
	uint32_t same = 0;
	uint64_t sum = 0;

	// Hosts of one cluster may run different versions: this number must never change.
	for (unsigned i = 0; i < 1021; i++)
		sum = sum * 31 + a[i];
	assert_int_equal(sum, 0x73105170f2dbf886);
	sluice_hash_key_expand(&other, "another seed");
	uint16_t *b = malloc(1021 * sizeof(*b));

	assert_int_equal(sluice_maglev_fill(b, 1021, e, 10, &other), 0);
	for (unsigned i = 0; i < 1021; i++)
		same += a[i] == b[i];
	assert_true(same < 200); // a tenth by chance
	free(a);
	free(b);
	free(e);
}

static void what_can_not_be_is_refused(void **state)
{
	(void)state;
	struct sluice_maglev_endpoint *e = make_endpoints(65536, 1);
	uint16_t *rows = malloc(131101 * sizeof(*rows));

	assert_non_null(rows);
	assert_int_equal(sluice_maglev_fill(rows, 0, e, 1, &key), -EINVAL);
	assert_int_equal(sluice_maglev_fill(rows, 1, e, 1, &key), -EINVAL);
	assert_int_equal(sluice_maglev_fill(rows, 1000, e, 1, &key), -EINVAL);
	assert_int_equal(sluice_maglev_fill(rows, SIZE, e, 0, &key), -EINVAL);
	assert_int_equal(sluice_maglev_fill(rows, 131101, e, 65536, &key), -EINVAL);
	assert_int_equal(sluice_maglev_fill(rows, 101, e, 102, &key), -EINVAL);
	e[1].weight = 0; // 101 with weight again
	assert_int_equal(sluice_maglev_fill(rows, 101, e, 102, &key), 0);
	e[1] = e[0];
	assert_int_equal(sluice_maglev_fill(rows, 101, e, 10, &key), -EINVAL);
	for (unsigned i = 0; i < 10; i++)
		e[i].weight = 0;
	assert_int_equal(sluice_maglev_fill(rows, 101, e, 10, &key), -EINVAL);
	free(rows);
	free(e);
}

static void primes_are_told_from_others(void **state)
{
	(void)state;
	static uint8_t composite[100000];

	for (uint32_t i = 2; i < sizeof(composite); i++) {
		for (uint32_t j = 2 * i; j < sizeof(composite); j += i)
			composite[j] = 1;
		assert_int_equal(sluice_maglev_is_prime(i), !composite[i]);
	}
	assert_false(sluice_maglev_is_prime(0));
	assert_false(sluice_maglev_is_prime(1));
	assert_true(sluice_maglev_is_prime(655373));
	assert_true(sluice_maglev_is_prime(4294967291));
	assert_false(sluice_maglev_is_prime(4294836225)); // 65535^2
}

// A heavy one among many light ones must not cost a round of all for each of its rows.
static void no_weights_take_for_ever(void **state)
{
	(void)state;
	static const struct {
		const char *what;
		uint32_t size;
		size_t count;
		uint16_t first;
	} cases[] = {{"equal", SIZE, 1000, 1},
	             {"equal", 655373, 1000, 1},
	             {"one heavy", SIZE, 1000, 65535},
	             {"one heavy", SIZE, 65535, 65535}};

	for (unsigned c = 0; c < sizeof(cases) / sizeof(cases[0]); c++) {
		struct sluice_maglev_endpoint *e = make_endpoints(cases[c].count, 1);
		uint64_t best = UINT64_MAX;

		e[0].weight = cases[c].first;
		for (unsigned i = 0; i < 5; i++) {
			struct timespec a, b;

			clock_gettime(CLOCK_THREAD_CPUTIME_ID, &a);
			free(fill(e, cases[c].count, cases[c].size));
			clock_gettime(CLOCK_THREAD_CPUTIME_ID, &b);
			uint64_t ns = (uint64_t)(b.tv_sec - a.tv_sec) * 1000000000 +
			              (uint64_t)(b.tv_nsec - a.tv_nsec);

			best = ns < best ? ns : best;
		}
		printf("%u rows, %zu endpoints, %s: %llu us\n", cases[c].size, cases[c].count,
		       cases[c].what, (unsigned long long)best / 1000);
		assert_true(best < 1000000000);
		free(e);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(rows_differ_by_at_most_one_at_equal_weights),
	        cmocka_unit_test(rows_follow_weights_to_within_one),
	        cmocka_unit_test(order_of_input_does_not_matter),
	        cmocka_unit_test(one_of_100_leaves_and_few_other_rows_move),
	        cmocka_unit_test(one_more_takes_its_share_and_little_else_moves),
	        cmocka_unit_test(a_changed_weight_moves_little_more_than_its_difference),
	        cmocka_unit_test(weight_zero_is_as_good_as_not_there),
	        cmocka_unit_test(equals_the_papers_pseudocode_at_equal_weights),
	        cmocka_unit_test(equals_the_plain_rules_at_any_size_count_and_weight),
	        cmocka_unit_test(equals_the_plain_rules_in_a_large_table),
	        cmocka_unit_test(a_seed_gives_the_same_table_on_every_host),
	        cmocka_unit_test(what_can_not_be_is_refused),
	        cmocka_unit_test(primes_are_told_from_others),
	        cmocka_unit_test(no_weights_take_for_ever),
	};

	sluice_hash_key_expand(&key, "test");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
