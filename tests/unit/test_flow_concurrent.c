// SPDX-License-Identifier: BSD-3-Clause

// The flow table under several writers, which is worth most in a build with -Db_sanitize=thread.
// A value's slot and generation are a function of its key, so that any value found with another
// key, or half of two, shows at once.

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "tests/unit/flow_memory.h"
#include "tests/unit/random.h"

enum {
	THREADS = 3,
	CAPACITY = 1024,
	NOW = (1 << 20) - 100, // wraps on the way
#if defined(__SANITIZE_THREAD__)
	STEPS = 300000,
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
	STEPS = 300000,
#else
	STEPS = 3000000,
#endif
#else
	STEPS = 3000000,
#endif
};

struct worker {
	struct sluice_flow_table *t;
	uint64_t seed;
	unsigned keys;   // drawn from
	uint64_t first;  // key number of the worker's own flows
	uint64_t errors; // values found with keys that they don't belong to
	uint64_t lost;   // own, established flows that were gone or not what they were
	uint64_t hits, inserts, updates, updates_lost;
	_Atomic uint32_t *clock;
};

static uint64_t key_of(uint64_t i)
{
	return (i + 1) << 16 | 1;
}

static uint64_t value_of(uint64_t key, uint8_t state, uint32_t seen)
{
	uint64_t h = key * 0x9e3779b97f4a7c15;

	return sluice_flow_pack((struct sluice_flow_value){
	        .slot = (uint32_t)(h >> 44),
	        .generation = (uint16_t)(h >> 20),
	        .state = state,
	        .seen = seen,
	});
}

static bool belongs(uint64_t key, uint64_t value)
{
	return (value_of(key, 0, 0) ^ value) >> SLUICE_FLOW_GENERATION_SHIFT == 0;
}

// What a worker does with a packet, and what can't be must never be seen. state: the flow's when
// it was known already.
static void one_packet(struct worker *w, uint64_t key, uint8_t state, uint32_t now)
{
	uint64_t hash = sluice_flow_hash(w->t, key);
	struct sluice_flow_ref ref = sluice_flow_find(w->t, key, hash);

	if (ref.entry) {
		w->hits++;
		w->errors += !belongs(key, ref.value);
		if (sluice_flow_expired(w->t, ref.value, now))
			state = SLUICE_FLOW_PROBATION;
		if (sluice_flow_update(&ref, value_of(key, state, now)))
			w->updates++;
		else
			w->updates_lost++;
		return;
	}
	w->inserts += sluice_flow_insert(w->t, key, hash, value_of(key, SLUICE_FLOW_PROBATION, now),
	                                 now) != SLUICE_FLOW_UNTRACKED;
}

static void *mix(void *arg)
{
	struct worker *w = arg;

	for (unsigned i = 0; i < STEPS; i++) {
		uint32_t now = atomic_load(w->clock);

		if (random_below(&w->seed, 200) == 0)
			now = atomic_fetch_add(w->clock, 1) + 1;
		one_packet(w, key_of(random_below(&w->seed, w->keys)),
		           (uint8_t)random_below(&w->seed, SLUICE_FLOW_STATES), now);
	}
	return NULL;
}

static void check_entry(void *context, uint64_t key, struct sluice_flow_value v)
{
	uint64_t *errors = context;

	*errors += !belongs(key, sluice_flow_pack(v));
}

static void run(struct worker *workers, unsigned count, void *(*body)(void *))
{
	pthread_t threads[THREADS];

	for (unsigned i = 0; i < count; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, body, &workers[i]), 0);
	for (unsigned i = 0; i < count; i++)
		pthread_join(threads[i], NULL);
}

// Twice as many flows as places: entries are replaced, moved and updated all the time.
static void a_value_found_always_belongs_to_its_key(void **state)
{
	(void)state;
	static const unsigned keys[] = {64, 900, 2 * CAPACITY};

	for (unsigned round = 0; round < 3; round++) {
		struct sluice_flow_table t;
		void *memory = flow_memory_new(&t, CAPACITY);
		struct worker workers[THREADS] = {0};
		_Atomic uint32_t clock = NOW;
		uint64_t errors = 0;

		sluice_flow_table_set_timeouts(
		        &t, &(struct sluice_flow_timeouts){.seconds = {5, 40, 10, 20}});
		for (unsigned i = 0; i < THREADS; i++)
			workers[i] = (struct worker){
			        .t = &t, .seed = i, .keys = keys[round], .clock = &clock};
		run(workers, THREADS, mix);
		for (unsigned i = 0; i < THREADS; i++) {
			printf("%u keys: %llu hits, %llu inserts, %llu updates, %llu lost\n",
			       keys[round], (unsigned long long)workers[i].hits,
			       (unsigned long long)workers[i].inserts,
			       (unsigned long long)workers[i].updates,
			       (unsigned long long)workers[i].updates_lost);
			assert_int_equal(workers[i].errors, 0);
			assert_true(workers[i].updates > STEPS / 10);
		}
		sluice_flow_table_walk(&t, clock, check_entry, &errors);
		assert_int_equal(errors, 0);
		free(memory);
	}
}

enum {
	OWN = 250, // established flows of each of two workers: half the table
};

// Follows flows of its own, each by this worker alone, while others flood the table with flows
// of one packet and with flows that settle and die: its own must be there at every look.
static void *follow_own(void *arg)
{
	struct worker *w = arg;
	uint32_t seen[OWN];

	for (unsigned i = 0; i < OWN; i++)
		seen[i] = NOW;
	for (unsigned step = 0; step < STEPS; step++) {
		unsigned i = random_below(&w->seed, OWN);
		uint64_t key = key_of(w->first + i), hash = sluice_flow_hash(w->t, key);
		struct sluice_flow_ref ref = sluice_flow_find(w->t, key, hash);
		uint32_t now = atomic_load(w->clock);

		if (!ref.entry || !belongs(key, ref.value) ||
		    (ref.value & SLUICE_FLOW_SEEN_MASK) != (seen[i] & SLUICE_FLOW_SEEN_MASK)) {
			w->lost++;
			continue;
		}
		w->hits++;
		// Fails only where the entry is on its way to its other bucket.
		if (now != seen[i] &&
		    sluice_flow_update(&ref, value_of(key, SLUICE_FLOW_ESTABLISHED, now))) {
			seen[i] = now;
			w->updates++;
		}
	}
	return NULL;
}

static void *flood(void *arg)
{
	struct worker *w = arg;
	uint64_t n = 1 << 20;

	for (unsigned step = 0; step < STEPS; step++) {
		uint32_t now = atomic_load(w->clock);

		if (step % 200 == 0)
			atomic_fetch_add(w->clock, 1);
		one_packet(w, key_of(n), SLUICE_FLOW_UDP, now);
		if (random_below(&w->seed, 4) == 0) // a second packet: now confirmed, for a while
			one_packet(w, key_of(n), SLUICE_FLOW_UDP, now);
		n++;
	}
	return NULL;
}

static void *own_or_flood(void *arg)
{
	const struct worker *w = arg;

	return w->first == UINT64_MAX ? flood(arg) : follow_own(arg);
}

static void established_flows_are_there_at_every_look(void **state)
{
	(void)state;
	struct sluice_flow_table t;
	void *memory = flow_memory_new(&t, CAPACITY);
	struct worker workers[3] = {0};
	_Atomic uint32_t clock = NOW;

	// A clock that runs STEPS / 200 s, and time-outs that only the flood's flows can reach.
	sluice_flow_table_set_timeouts(&t,
	                               &(struct sluice_flow_timeouts){.seconds = {5, 86400, 2, 2}});
	for (unsigned i = 0; i < 2 * OWN; i++) {
		uint64_t key = key_of(i);

		assert_int_equal(sluice_flow_insert(&t, key, sluice_flow_hash(&t, key),
		                                    value_of(key, SLUICE_FLOW_ESTABLISHED, NOW),
		                                    NOW),
		                 SLUICE_FLOW_INSERTED);
	}
	for (unsigned i = 0; i < 3; i++)
		workers[i] = (struct worker){.t = &t, .seed = i, .first = i * OWN, .clock = &clock};
	workers[2].first = UINT64_MAX;
	run(workers, 3, own_or_flood);
	printf("flood: %llu inserts; own: %llu + %llu looks\n",
	       (unsigned long long)workers[2].inserts, (unsigned long long)workers[0].hits,
	       (unsigned long long)workers[1].hits);
	assert_int_equal(workers[0].lost + workers[1].lost, 0);
	assert_true(workers[0].updates > 0 && workers[1].updates > 0);
	assert_true(workers[2].inserts > STEPS / 2);
	free(memory);
}

enum {
	ROUNDS = STEPS / 600,
	BATCH = CAPACITY * 3 / 4, // confirmed flows that each of two workers brings
};

struct filler {
	struct sluice_flow_table *t;
	pthread_barrier_t *start;
	uint64_t first; // key number
	bool stored[BATCH];
};

static void *fill(void *arg)
{
	struct filler *f = arg;

	pthread_barrier_wait(f->start);
	for (unsigned i = 0; i < BATCH; i++) {
		uint64_t key = key_of(f->first + i);

		f->stored[i] = sluice_flow_insert(f->t, key, sluice_flow_hash(f->t, key),
		                                  value_of(key, SLUICE_FLOW_ESTABLISHED, NOW),
		                                  NOW) != SLUICE_FLOW_UNTRACKED;
	}
	return NULL;
}

static unsigned count_lost(const struct filler *f)
{
	unsigned lost = 0;

	for (unsigned i = 0; i < BATCH; i++) {
		uint64_t key = key_of(f->first + i);

		lost += f->stored[i] &&
		        !sluice_flow_find(f->t, key, sluice_flow_hash(f->t, key)).entry;
	}
	return lost;
}

// Two workers who need the same place move the same flow out of it at once: neither may take the
// other's copy for its own, and clear it when it comes second.
static void two_workers_fill_the_table_and_lose_nothing(void **state)
{
	(void)state;
	static struct filler fillers[2];
	unsigned lost = 0;

	for (uint64_t round = 0; round < ROUNDS; round++) {
		struct sluice_flow_table t;
		void *memory = flow_memory_new(&t, CAPACITY);
		pthread_barrier_t start;
		pthread_t threads[2];

		pthread_barrier_init(&start, NULL, 2);
		for (unsigned i = 0; i < 2; i++) {
			fillers[i] = (struct filler){&t, &start, (2 * round + i) * BATCH, {0}};
			assert_int_equal(pthread_create(&threads[i], NULL, fill, &fillers[i]), 0);
		}
		for (unsigned i = 0; i < 2; i++)
			pthread_join(threads[i], NULL);
		pthread_barrier_destroy(&start);
		lost += count_lost(&fillers[0]) + count_lost(&fillers[1]);
		free(memory);
	}
	assert_int_equal(lost, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(a_value_found_always_belongs_to_its_key),
	        cmocka_unit_test(established_flows_are_there_at_every_look),
	        cmocka_unit_test(two_workers_fill_the_table_and_lose_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
