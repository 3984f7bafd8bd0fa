// SPDX-License-Identifier: BSD-3-Clause

// What tables rely on: every bit of the input and of the key moves half the bits of the hash, and
// orderly inputs spread as random ones do.

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "dataplane/hash.h"
#include "tests/unit/random.h"

// 256 bits of input: value and key together make the flips of both one loop.
struct input {
	struct sluice_hash_key key;
	struct sluice_target target;
};

static uint64_t hash_u64(const struct input *in)
{
	uint64_t value;

	memcpy(&value, &in->target.address.bytes[12], 8);
	return sluice_hash_u64(&in->key, value);
}

static uint64_t hash_v6(const struct input *in)
{
	return sluice_hash_target(&in->key, sluice_target_view(&in->target), SLUICE_IPV6);
}

static uint64_t hash_bytes(const struct input *in)
{
	return sluice_hash_bytes(&in->key, &in->target, sizeof(in->target));
}

static void expect_avalanche(uint64_t (*hash)(const struct input *in), size_t first, size_t last)
{
	enum { ROUNDS = 4000 };
	uint64_t seed = 1;

	for (size_t bit = first * 8; bit < last * 8; bit++) {
		unsigned flips[64] = {0};

		for (unsigned round = 0; round < ROUNDS; round++) {
			struct input in;

			random_fill(&seed, &in, sizeof(in));
			uint64_t before = hash(&in);

			((uint8_t *)&in)[bit / 8] ^= (uint8_t)(1 << bit % 8);
			uint64_t changed = before ^ hash(&in);

			for (unsigned i = 0; i < 64; i++)
				flips[i] += changed >> i & 1;
		}
		for (unsigned i = 0; i < 64; i++) {
			if (flips[i] < ROUNDS * 2 / 5 || flips[i] > ROUNDS * 3 / 5)
				fail_msg("input bit %zu flips bit %u %u times of %u", bit, i,
				         flips[i], ROUNDS);
		}
	}
}

static void every_bit_of_input_moves_every_bit_of_hash(void **state)
{
	(void)state;
	size_t target = offsetof(struct input, target);

	expect_avalanche(hash_u64, target + 12, target + 20);
	expect_avalanche(hash_v6, target, target + 20);
	expect_avalanche(hash_bytes, target, target + 20);
}

static void every_bit_of_key_matters(void **state)
{
	(void)state;
	expect_avalanche(hash_u64, 0, 32);
}

// Chi-square over 1,024 buckets: 1023 +- 5 sigma (45).
static void expect_even(const unsigned *counts, unsigned total)
{
	double expected = total / 1024.0, chi = 0;

	for (unsigned i = 0; i < 1024; i++)
		chi += (counts[i] - expected) * (counts[i] - expected) / expected;
	if (chi < 1023 - 225 || chi > 1023 + 225)
		fail_msg("chi-square %f", chi);
}

static void orderly_inputs_spread_over_all_bits_that_tables_use(void **state)
{
	(void)state;
	static const unsigned steps[] = {0, 16, 32, 48}; // bits the input counts up in
	uint64_t seed = 2;

	for (unsigned step = 0; step < 4; step++) {
		for (unsigned shift = 0; shift <= 54; shift += 6) {
			unsigned counts[1024] = {0};
			struct sluice_hash_key key;

			random_fill(&seed, &key, sizeof(key));
			for (uint64_t i = 0; i < 65536; i++)
				counts[sluice_hash_u64(&key, i << steps[step]) >> shift & 1023]++;
			expect_even(counts, 65536);
		}
	}
}

static void ranges_are_even_and_never_left(void **state)
{
	(void)state;
	enum { N = 1024 };
	unsigned counts[N] = {0};
	uint64_t seed = 3;

	for (unsigned i = 0; i < 1000000; i++)
		counts[sluice_hash_range(random_next(&seed), N)]++;
	expect_even(counts, 1000000);
	assert_int_equal(sluice_hash_range(UINT64_MAX, 65537), 65536);
	assert_int_equal(sluice_hash_range(0, 65537), 0);
	assert_int_equal(sluice_hash_range(UINT64_MAX, 1), 0);
	assert_int_equal(sluice_hash_range(UINT64_MAX, UINT32_MAX), UINT32_MAX - 1);
}

static void bytes_of_all_lengths_differ(void **state)
{
	(void)state;
	struct sluice_hash_key key;
	uint8_t zeros[40] = {0};
	uint64_t hashes[40];

	sluice_hash_key_expand(&key, "x");
	for (size_t i = 0; i < 40; i++) {
		hashes[i] = sluice_hash_bytes(&key, zeros, i);
		for (size_t j = 0; j < i; j++)
			assert_int_not_equal(hashes[i], hashes[j]);
	}
}

// Hosts of one cluster may run different versions: these numbers must never change.
static void seeds_expand_alike_everywhere(void **state)
{
	(void)state;
	struct sluice_hash_key a, b;

	sluice_hash_key_expand(&a, "seed");
	sluice_hash_key_expand(&b, "seee");
	for (unsigned i = 0; i < 4; i++) {
		assert_int_not_equal(a.k[i], b.k[i]);
		for (unsigned j = 0; j < i; j++)
			assert_int_not_equal(a.k[i], a.k[j]);
	}
	assert_int_equal(a.k[0], 0x90b763e5c4b1a25e);
	assert_int_equal(sluice_hash_u64(&a, 42), 0x3dd43a2a7dde3c21);
	assert_int_equal(sluice_hash_bytes(&a, "0123456789", 10), 0x7d45a0381f6ab5e1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(every_bit_of_input_moves_every_bit_of_hash),
	        cmocka_unit_test(every_bit_of_key_matters),
	        cmocka_unit_test(orderly_inputs_spread_over_all_bits_that_tables_use),
	        cmocka_unit_test(ranges_are_even_and_never_left),
	        cmocka_unit_test(bytes_of_all_lengths_differ),
	        cmocka_unit_test(seeds_expand_alike_everywhere),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
