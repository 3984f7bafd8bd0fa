// SPDX-License-Identifier: BSD-3-Clause

// The flow table in one thread: against a plain array of flows, full, and under a flood.

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include <netinet/in.h>

#include "tests/unit/flow_memory.h"
#include "tests/unit/random.h"

enum {
	NOW = 1000000, // not far from where seen wraps, at 1,048,576
};

static uint64_t value_of(uint32_t slot, enum sluice_flow_state state, uint32_t seen)
{
	return sluice_flow_pack((struct sluice_flow_value){
	        .slot = slot & 0xfffff, .generation = 1, .state = state, .seen = seen});
}

static uint64_t key_of(uint64_t i)
{
	return (i + 1) << 16 | 1;
}

static struct sluice_flow_ref find(const struct sluice_flow_table *t, uint64_t key)
{
	return sluice_flow_find(t, key, sluice_flow_hash(t, key));
}

static enum sluice_flow_insert insert(struct sluice_flow_table *t, uint64_t key, uint64_t value,
                                      uint32_t now)
{
	return sluice_flow_insert(t, key, sluice_flow_hash(t, key), value, now);
}

static void values_survive_packing(void **state)
{
	(void)state;
	uint64_t seed = 1;

	for (unsigned i = 0; i < 100000; i++) {
		struct sluice_flow_value v = {
		        .slot = random_below(&seed, 1 << 20),
		        .generation = (uint16_t)random_next(&seed),
		        .state = (uint8_t)random_below(&seed, 16),
		        .seen = random_below(&seed, 1 << 20),
		};
		struct sluice_flow_value w = sluice_flow_unpack(sluice_flow_pack(v));

		assert_int_equal(w.slot, v.slot);
		assert_int_equal(w.generation, v.generation);
		assert_int_equal(w.state, v.state);
		assert_int_equal(w.seen, v.seen);
	}
	// Every field at its largest, alone; and parts that don't fit touch no other field.
	assert_int_equal(sluice_flow_pack((struct sluice_flow_value){.slot = 0xfffff}),
	                 0xfffff00000000000);
	assert_int_equal(sluice_flow_pack((struct sluice_flow_value){.generation = 0xffff}),
	                 0x00000ffff0000000);
	assert_int_equal(sluice_flow_pack((struct sluice_flow_value){.state = 15}), 0xf000000);
	assert_int_equal(sluice_flow_pack((struct sluice_flow_value){.seen = UINT32_MAX}), 0xfffff);
}

// The key of a client's flow; port in network byte order.
static uint64_t client_key(const struct sluice_flow_table *t, const struct sluice_address *client,
                           uint16_t port, uint16_t frontend)
{
	enum sluice_family family = sluice_address_family(client);
	struct sluice_target target = {
	        .address = *client,
	        .port = port,
	        .protocol = IPPROTO_TCP,
	        .family = (uint8_t)family,
	};

	return family == SLUICE_IPV4
	               ? sluice_flow_key(t, sluice_target_view(&target), frontend, SLUICE_IPV4)
	               : sluice_flow_key(t, sluice_target_view(&target), frontend, SLUICE_IPV6);
}

static void keys_tell_flows_apart(void **state)
{
	(void)state;
	struct sluice_flow_table t;
	void *memory = flow_memory_new(&t, 1024);
	struct sluice_address v4 = sluice_address_from_v4(0x01020304);
	struct sluice_address v6 = {.bytes = {0x20, 1, [15] = 9}};
	uint64_t base = client_key(&t, &v6, 0x1122, 77);

	assert_int_equal(client_key(&t, &v4, 0x1122, 77), 0x010203041122004d);
	assert_int_not_equal(base, client_key(&t, &v6, 0x1123, 77));
	assert_int_not_equal(base, client_key(&t, &v6, 0x1122, 78));
	for (unsigned bit = 0; bit < 128; bit++) {
		v6.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_int_not_equal(base, client_key(&t, &v6, 0x1122, 77));
		v6.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	free(memory);
}

static void time_is_up_when_it_should_be_also_across_the_wrap(void **state)
{
	(void)state;
	struct sluice_flow_table t;
	void *memory = flow_memory_new(&t, 1024);
	static const uint32_t nows[] = {100,           NOW,      (1 << 20) - 1, 1 << 20,
	                                (1 << 20) + 5, 7u << 20, UINT32_MAX};

	sluice_flow_table_set_timeouts(
	        &t, &(struct sluice_flow_timeouts){.seconds = {60, 1 << 30, 30, 180}});
	assert_int_equal(t.timeouts.seconds[SLUICE_FLOW_ESTABLISHED], SLUICE_FLOW_TIMEOUT_MAX);
	for (unsigned i = 0; i < sizeof(nows) / sizeof(nows[0]); i++) {
		for (unsigned s = 0; s < SLUICE_FLOW_STATES; s++) {
			uint32_t limit = t.timeouts.seconds[s], now = nows[i];

			for (int64_t age = -60; age<90000; age += age> 200 ? 61 : 1) {
				uint64_t v = value_of(1, s, (uint32_t)(now - age));

				assert_int_equal(sluice_flow_expired(&t, v, now), age >= limit);
			}
		}
		assert_true(
		        sluice_flow_expired(&t, value_of(1, SLUICE_FLOW_STATES, nows[i]), nows[i]));
	}
	free(memory);
}

static void memory_that_is_no_table_is_not_attached(void **state)
{
	(void)state;
	struct sluice_flow_table t;
	char *memory = flow_memory_new(&t, 5000);
	struct sluice_flow_header *h = (struct sluice_flow_header *)memory;
	size_t size = sluice_flow_table_size(5000);

	assert_int_equal(sluice_flow_table_capacity(&t), 8192);
	assert_int_equal(size, 4096 + 8192 * 16);
	assert_int_equal(sluice_flow_table_size(0), 4096 + 1024 * 16);
	assert_int_equal(sluice_flow_table_size(UINT64_MAX), 4096 + ((size_t)16 << 30));
	assert_int_equal(sluice_flow_table_attach(&t, memory, size, 1), 0);
	assert_int_equal(sluice_flow_table_attach(&t, memory, size, 2), -EINVAL);
	assert_int_equal(sluice_flow_table_attach(&t, memory, size - 1, 1), -EINVAL);
	assert_int_equal(sluice_flow_table_attach(&t, memory, 100, 1), -EINVAL);
	assert_int_equal(sluice_flow_table_attach(&t, memory + 64, size, 1), -EINVAL);
	h->bucket_count--;
	assert_int_equal(sluice_flow_table_attach(&t, memory, size, 1), -EINVAL);
	h->bucket_count++;
	h->magic[0]++;
	assert_int_equal(sluice_flow_table_attach(&t, memory, size, 1), -EINVAL);
	free(memory);
}

// Flows come, are followed, fall silent and come back, in a table that has so much room that none
// on probation is pushed out; an array of what each should be is the oracle. Time passes the wrap.
static void does_what_a_plain_array_does(void **state)
{
	(void)state;
	enum { KEYS = 1500 };
	struct sluice_flow_table t;
	void *memory = flow_memory_new(&t, 1 << 15);
	static uint64_t expected[KEYS]; // 0: none
	uint64_t seed = 3;
	uint32_t now = NOW;

	for (unsigned step = 0; step < 2000000; step++) {
		unsigned i = random_below(&seed, KEYS);
		struct sluice_flow_ref ref = find(&t, key_of(i));
		bool live = expected[i] && !sluice_flow_expired(&t, expected[i], now);
		uint64_t value = value_of(step, random_below(&seed, SLUICE_FLOW_STATES), now);

		now += random_below(&seed, 20) == 0;
		if (live) {
			assert_non_null(ref.entry);
			assert_int_equal(ref.value, expected[i]);
		}
		if (random_below(&seed, 4) == 0)
			continue; // looked at only
		if (ref.entry) {
			assert_int_equal(ref.value, expected[i]);
			assert_true(sluice_flow_update(&ref, value));
		} else {
			assert_int_not_equal(insert(&t, key_of(i), value, now),
			                     SLUICE_FLOW_UNTRACKED);
		}
		expected[i] = value;
	}
	free(memory);
}

static void an_update_needs_the_value_that_was_found(void **state)
{
	(void)state;
	struct sluice_flow_table t;
	void *memory = flow_memory_new(&t, 1024);
	uint64_t v = value_of(1, SLUICE_FLOW_PROBATION, NOW);

	insert(&t, key_of(1), v, NOW);
	struct sluice_flow_ref a = find(&t, key_of(1)), b = a;

	assert_true(sluice_flow_update(&a, value_of(1, SLUICE_FLOW_ESTABLISHED, NOW)));
	assert_true(sluice_flow_update(&a, value_of(1, SLUICE_FLOW_ESTABLISHED, NOW + 1)));
	assert_false(sluice_flow_update(&b, value_of(2, SLUICE_FLOW_ESTABLISHED, NOW)));
	assert_int_equal(find(&t, key_of(1)).value, value_of(1, SLUICE_FLOW_ESTABLISHED, NOW + 1));
	free(memory);
}

static void a_flow_is_stored_once(void **state)
{
	(void)state;
	struct sluice_flow_table t;
	void *memory = flow_memory_new(&t, 1024);
	uint64_t v = value_of(1, SLUICE_FLOW_UDP, NOW), w = value_of(2, SLUICE_FLOW_PROBATION, NOW);

	assert_int_equal(insert(&t, key_of(1), v, NOW), SLUICE_FLOW_INSERTED);
	assert_int_equal(insert(&t, key_of(1), w, NOW), SLUICE_FLOW_EXISTS);
	assert_int_equal(find(&t, key_of(1)).value, v);
	w = value_of(2, SLUICE_FLOW_PROBATION, NOW + 180);
	assert_int_equal(insert(&t, key_of(1), w, NOW + 180), SLUICE_FLOW_REPLACED_EXPIRED);
	assert_int_equal(find(&t, key_of(1)).value, w);
	free(memory);
}

// Confirmed flows until the first that finds no place; then as many again as the table has
// places. None that was stored may be lost, whatever is moved about.
static void a_full_table_keeps_all_it_has(void **state)
{
	(void)state;
	enum { CAPACITY = 1 << 18 };
	static bool stored[2 * CAPACITY];
	struct sluice_flow_table t;
	void *memory = flow_memory_new(&t, CAPACITY);
	unsigned entries = 0, first = 0, secondary = 0, untracked = 0, untracked_at[21] = {0};

	for (unsigned i = 0; i < 2 * CAPACITY; i++) {
		uint64_t v = value_of(i, SLUICE_FLOW_ESTABLISHED, NOW);
		enum sluice_flow_insert how = insert(&t, key_of(i), v, NOW);

		stored[i] = how != SLUICE_FLOW_UNTRACKED;
		entries += stored[i];
		untracked += !stored[i];
		if (!stored[i] && first == 0)
			first = i;
		if ((i + 1) % (CAPACITY / 20) == 0 && i < CAPACITY) {
			secondary = 0;
			untracked_at[(i + 1) / (CAPACITY / 20)] = untracked;
			for (unsigned j = 0; j <= i; j++) {
				uint64_t hash = sluice_flow_hash(&t, key_of(j));
				uint64_t b = sluice_flow_primary(&t, hash);

				secondary += stored[j] &&
				             !sluice_flow_find_in(&t.buckets[b], key_of(j)).entry;
			}
			printf("%3u %% offered: %u untracked, %4.1f %% in the secondary bucket\n",
			       (i + 1) / (CAPACITY / 100), untracked, 100.0 * secondary / entries);
		}
	}
	printf("first untracked at %.1f %%, in the end %.2f %% full\n", 100.0 * first / CAPACITY,
	       100.0 * entries / CAPACITY);
	assert_int_equal(untracked_at[12], 0);                  // none up to 60 %
	assert_true(untracked_at[16] < CAPACITY * 0.8 * 0.001); // one of 1,000 up to 80 %
	assert_true(untracked_at[18] < CAPACITY * 0.9 * 0.01);  // one of 100 up to 90 %
	assert_true(entries > CAPACITY * 0.99);
	for (unsigned i = 0; i < 2 * CAPACITY; i++) {
		struct sluice_flow_ref ref = find(&t, key_of(i));

		assert_int_equal(ref.entry != NULL, stored[i]);
		if (ref.entry)
			assert_int_equal(ref.value, value_of(i, SLUICE_FLOW_ESTABLISHED, NOW));
	}
	free(memory);
}

// Half the table established, in all three confirmed states; then 5 million flows of one packet
// each. Then time passes, and the flood's places are free again.
static void a_flood_pushes_out_no_established_flow(void **state)
{
	(void)state;
	enum { CAPACITY = 1 << 18, N = CAPACITY / 2, FLOOD = 5000000 };
	struct sluice_flow_table t;
	void *memory = flow_memory_new(&t, CAPACITY);
	unsigned counts[SLUICE_FLOW_EXISTS + 1] = {0};
	uint32_t now = (1 << 20) - 5; // wraps in the middle of the flood

	sluice_flow_table_set_timeouts(
	        &t, &(struct sluice_flow_timeouts){.seconds = {60, 7200, 30, 180}});
	for (unsigned i = 0; i < N; i++)
		assert_int_equal(insert(&t, key_of(i), value_of(i, 1 + i % 3, now), now),
		                 SLUICE_FLOW_INSERTED);
	for (unsigned i = 0; i < FLOOD; i++) {
		uint64_t v = value_of(i, SLUICE_FLOW_PROBATION, now + i / 500000);

		counts[insert(&t, key_of(N + (uint64_t)i), v, now + i / 500000)]++;
	}
	assert_int_equal(counts[SLUICE_FLOW_REPLACED_EXPIRED], 0);
	for (unsigned i = 0; i < N; i++) {
		struct sluice_flow_ref ref = find(&t, key_of(i));

		assert_non_null(ref.entry);
		assert_int_equal(ref.value, value_of(i, 1 + i % 3, now));
	}
	// Without a place: those whose eight were all confirmed and could not be moved.
	printf("flood: %u new, %u in place of others, %u untracked\n", counts[SLUICE_FLOW_INSERTED],
	       counts[SLUICE_FLOW_REPLACED_PROBATION], counts[SLUICE_FLOW_UNTRACKED]);
	assert_true(counts[SLUICE_FLOW_UNTRACKED] < FLOOD / 1000);
	unsigned untracked = 0;

	for (unsigned i = 0; i < N / 2; i++) {
		uint64_t v = value_of(i, SLUICE_FLOW_ESTABLISHED, now + 100);

		untracked +=
		        insert(&t, key_of(FLOOD * 2ul + i), v, now + 100) == SLUICE_FLOW_UNTRACKED;
	}
	assert_true(untracked < N / 10000); // up to 58 % full: chance has it that some find none
	free(memory);
}

struct walked {
	unsigned count;
	uint64_t sum;
};

static void add_up(void *context, uint64_t key, struct sluice_flow_value v)
{
	struct walked *w = context;

	w->count++;
	w->sum += key ^ sluice_flow_pack(v);
}

static void a_walk_sees_the_live_ones_and_clears_the_long_dead(void **state)
{
	(void)state;
	struct sluice_flow_table t;
	void *memory = flow_memory_new(&t, 4096);
	struct walked expected = {0}, w = {0};

	for (unsigned i = 0; i < 1000; i++)
		insert(&t, key_of(i), value_of(i, SLUICE_FLOW_UDP, NOW), NOW);
	for (unsigned i = 0; i < 1000; i++) { // aged afterwards, so that none takes another's place
		uint64_t v = value_of(i, SLUICE_FLOW_UDP, NOW - i);
		struct sluice_flow_ref ref = find(&t, key_of(i));

		assert_true(sluice_flow_update(&ref, v));
		if (i < 180) {
			expected.count++;
			expected.sum += key_of(i) ^ v;
		}
	}
	sluice_flow_table_walk(&t, NOW, add_up, &w);
	assert_int_equal(w.count, expected.count);
	assert_int_equal(w.sum, expected.sum);
	for (unsigned i = 0; i < 1000; i++) // dead, but not for days
		assert_non_null(find(&t, key_of(i)).entry);
	w.count = 0;
	sluice_flow_table_walk(&t, NOW + 4 * 86400, add_up, &w);
	assert_int_equal(w.count, 0);
	for (unsigned i = 0; i < 1000; i++) // or else they would be back in twelve days
		assert_null(find(&t, key_of(i)).entry);
	free(memory);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(values_survive_packing),
	        cmocka_unit_test(keys_tell_flows_apart),
	        cmocka_unit_test(time_is_up_when_it_should_be_also_across_the_wrap),
	        cmocka_unit_test(memory_that_is_no_table_is_not_attached),
	        cmocka_unit_test(does_what_a_plain_array_does),
	        cmocka_unit_test(an_update_needs_the_value_that_was_found),
	        cmocka_unit_test(a_flow_is_stored_once),
	        cmocka_unit_test(a_full_table_keeps_all_it_has),
	        cmocka_unit_test(a_flood_pushes_out_no_established_flow),
	        cmocka_unit_test(a_walk_sees_the_live_ones_and_clears_the_long_dead),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
