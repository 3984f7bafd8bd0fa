// SPDX-License-Identifier: BSD-3-Clause

// The target table against a list that is searched from its start.

#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "dataplane/target_table.h"
#include "tests/unit/random.h"

enum {
	TARGETS = 3000,
};

// Few different addresses and ports, so that targets differ in any one part only.
static struct sluice_target random_target(uint64_t *seed)
{
	struct sluice_target t = {.port = (uint16_t)random_below(seed, 20)};
	uint32_t low = 0x0a000000 + random_below(seed, 20);

	t.protocol = (uint8_t[]){0, IPPROTO_TCP, IPPROTO_UDP}[random_below(seed, 3)];
	if (random_below(seed, 2)) {
		t.address = sluice_address_from_v4(low);
		t.family = SLUICE_IPV4;
		return t;
	}
	t.family = SLUICE_IPV6;
	t.address.bytes[0] = 0x20;
	t.address.bytes[7] = (uint8_t)random_below(seed, 3);
	t.address.bytes[11] = (uint8_t)random_below(seed, 3);
	memcpy(&t.address.bytes[12], &low, 4); // same tail as an IPv4 address
	return t;
}

static uint32_t get(const struct sluice_target_table *t, const struct sluice_target *target)
{
	// The family is a constant at every call, as in the pipeline.
	if (target->family == SLUICE_IPV4)
		return sluice_target_table_get(t, sluice_target_view(target), SLUICE_IPV4);
	return sluice_target_table_get(t, sluice_target_view(target), SLUICE_IPV6);
}

static uint32_t oracle(const struct sluice_target *targets, const uint32_t *values, size_t count,
                       const struct sluice_target *target)
{
	for (size_t i = count; i-- > 0;) { // the last set wins
		if (memcmp(&targets[i], target, sizeof(*target)) == 0)
			return values[i];
	}
	return SLUICE_TARGET_NONE;
}

static void finds_what_a_list_finds(void **state)
{
	(void)state;
	static struct sluice_target targets[TARGETS];
	static uint32_t values[TARGETS];
	struct sluice_target_table *t = sluice_target_table_new(TARGETS);
	uint64_t seed = 1;
	unsigned misses = 0;

	assert_non_null(t);
	assert_int_equal((uintptr_t)t->entries % 64, 0);
	for (unsigned i = 0; i < TARGETS; i++) {
		targets[i] = random_target(&seed);
		values[i] = random_below(&seed, UINT32_MAX);
		sluice_target_table_set(t, &targets[i], values[i]);
	}
	for (unsigned i = 0; i < 10000; i++) {
		struct sluice_target target = random_target(&seed);
		uint32_t expected = oracle(targets, values, TARGETS, &target);

		misses += expected == SLUICE_TARGET_NONE;
		assert_int_equal(get(t, &target), expected);
	}
	assert_true(misses > 1000 && misses < 9000);
	free(t);
}

static void every_count_of_targets_fits(void **state)
{
	(void)state;

	for (size_t count = 0; count < 70; count++) {
		struct sluice_target_table *t = sluice_target_table_new(count);
		struct sluice_target target = {.family = SLUICE_IPV4, .port = 1};

		assert_non_null(t);
		for (size_t i = 0; i < count; i++) {
			target.address = sluice_address_from_v4((uint32_t)i);
			sluice_target_table_set(t, &target, (uint32_t)i);
		}
		for (size_t i = 0; i < count; i++) {
			target.address = sluice_address_from_v4((uint32_t)i);
			assert_int_equal(get(t, &target), i);
		}
		target.address = sluice_address_from_v4((uint32_t)count);
		assert_int_equal(get(t, &target), SLUICE_TARGET_NONE); // and comes to an end
		free(t);
	}
}

static void an_impossible_count_is_an_error(void **state)
{
	(void)state;
	assert_null(sluice_target_table_new(SIZE_MAX));
	assert_null(sluice_target_table_new(SIZE_MAX / 64));
}

// Neighbouring addresses and ports, as real services have them, must not pile up in runs.
static void searches_are_short_for_orderly_targets(void **state)
{
	(void)state;
	enum { N = 32768 };
	struct sluice_target_table *t = sluice_target_table_new(N);
	struct sluice_target target = {.family = SLUICE_IPV4, .protocol = IPPROTO_TCP};
	uint64_t run = 0, longest = 0;

	assert_non_null(t);
	for (uint32_t i = 0; i < N; i++) {
		target.address = sluice_address_from_v4(htonl(0x0a600000 + i / 4));
		target.port = htons((uint16_t)(8000 + i % 4));
		sluice_target_table_set(t, &target, i);
	}
	for (uint64_t i = 0; i <= t->mask; i++) {
		run = t->entries[i].value == SLUICE_TARGET_NONE ? 0 : run + 1;
		longest = run > longest ? run : longest;
	}
	assert_true(longest < 100); // about 40 where places are random
	free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(finds_what_a_list_finds),
	        cmocka_unit_test(every_count_of_targets_fits),
	        cmocka_unit_test(an_impossible_count_is_an_error),
	        cmocka_unit_test(searches_are_short_for_orderly_targets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
