// SPDX-License-Identifier: BSD-3-Clause

// What does sharing the flow table cost? Two workers, each with its half of 1 Mi established
// flows, once in one table and once in a table each of half the size; and once in one table with
// every flow's packets at either worker, which only a shared table allows. A tenth of the packets
// are new flows' first ones, of the others about a third are a flow's first in a second and
// refresh its entry. The packets come in bursts and are prefetched for as in the pipeline.
//
// Times are the threads' own CPU times, so that other processes count as little as may be.

#include <getopt.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "bounce.h"
#include "tests/unit/flow_memory.h"
#include "tests/unit/random.h"

enum {
	WORKERS = 2,
	FLOWS = 1 << 20,
	CAPACITY = 1 << 21,
	BURST = 32,
	BURSTS = 1 << 17,              // of one run: 4 Mi packets a worker
	BURSTS_A_SECOND = BURSTS / 16, // of the time that flows are stamped with
	TRIES = 5,                     // of a round
	START = 1000,
};

enum mode {
	ONE_EACH,
	SHARED,
	SHARED_ANY,
	MODES,
};

static const char *const mode_names[MODES] = {
        [ONE_EACH] = "one table per worker",
        [SHARED] = "shared, flows per worker",
        [SHARED_ANY] = "shared, any flow anywhere",
};

struct worker {
	struct sluice_flow_table *table;
	unsigned cpu;
	uint64_t seed;
	uint32_t first, count; // flows that its packets are of
	uint64_t fresh;        // key number of its next new flow
	pthread_barrier_t *barrier;
	uint64_t ns;
	uint64_t found, refreshed, inserted, missing;
};

static uint64_t key_of(uint64_t i)
{
	return (i + 1) * 0x9e3779b97f4a7c15;
}

static uint64_t value_of(uint64_t key, enum sluice_flow_state state, uint32_t now)
{
	return sluice_flow_pack((struct sluice_flow_value){
	        .slot = key & 0xffff, .generation = 1, .state = state, .seen = now});
}

static void follow(struct worker *w, uint64_t key, uint64_t hash, bool is_new, uint32_t now)
{
	struct sluice_flow_ref ref = sluice_flow_find(w->table, key, hash);

	if (ref.entry) {
		uint64_t value = (ref.value & ~(uint64_t)SLUICE_FLOW_SEEN_MASK) | now;

		w->found++;
		if (value != ref.value)
			w->refreshed += sluice_flow_update(&ref, value);
	} else {
		uint64_t value = value_of(key, SLUICE_FLOW_PROBATION, now);

		w->missing += !is_new;
		w->inserted += sluice_flow_insert(w->table, key, hash, value, now) !=
		               SLUICE_FLOW_UNTRACKED;
	}
}

static void *work(void *arg)
{
	struct worker *w = arg;
	uint64_t start;

	pin(w->cpu);
	pthread_barrier_wait(w->barrier);
	start = thread_ns();
	for (unsigned burst = 0; burst < BURSTS; burst++) {
		uint64_t keys[BURST], hashes[BURST];
		bool is_new[BURST];
		uint32_t now = START + 1 + burst / BURSTS_A_SECOND;

		for (unsigned i = 0; i < BURST; i++) {
			uint64_t r = random_next(&w->seed);

			is_new[i] = (uint32_t)r < UINT32_MAX / 10;
			keys[i] = key_of(is_new[i] ? w->fresh++
			                           : w->first + ((r >> 32) * w->count >> 32));
			hashes[i] = sluice_flow_hash(w->table, keys[i]);
			sluice_flow_prefetch(w->table, hashes[i]);
		}
		for (unsigned i = 0; i < BURST; i++)
			follow(w, keys[i], hashes[i], is_new[i], now);
	}
	w->ns = thread_ns() - start;
	return NULL;
}

static void establish(struct sluice_flow_table *tables, enum mode mode)
{
	for (uint32_t i = 0; i < FLOWS; i++) {
		struct sluice_flow_table *t = &tables[mode == ONE_EACH ? i / (FLOWS / WORKERS) : 0];
		uint64_t key = key_of(i);

		if (sluice_flow_insert(t, key, sluice_flow_hash(t, key),
		                       value_of(key, SLUICE_FLOW_ESTABLISHED, START),
		                       START) == SLUICE_FLOW_UNTRACKED)
			abort();
	}
}

// Nanoseconds a packet, the mean of both workers.
static double run(enum mode mode, const unsigned *cpus)
{
	unsigned table_count = mode == ONE_EACH ? WORKERS : 1;
	struct sluice_flow_table tables[WORKERS];
	struct worker workers[WORKERS];
	pthread_barrier_t barrier;
	void *memory[WORKERS] = {0};
	pthread_t threads[WORKERS];
	double ns = 0;

	for (unsigned i = 0; i < table_count; i++) {
		memory[i] = flow_memory_new(&tables[i], CAPACITY / table_count);
		if (!memory[i])
			abort();
	}
	establish(tables, mode);
	pthread_barrier_init(&barrier, NULL, WORKERS);
	for (unsigned i = 0; i < WORKERS; i++) {
		workers[i] = (struct worker){
		        .table = &tables[i % table_count],
		        .cpu = cpus[i],
		        .seed = i,
		        .first = mode == SHARED_ANY ? 0 : i * (FLOWS / WORKERS),
		        .count = mode == SHARED_ANY ? FLOWS : FLOWS / WORKERS,
		        .fresh = (uint64_t)(i + 1) << 40,
		        .barrier = &barrier,
		};
		if (pthread_create(&threads[i], NULL, work, &workers[i]) != 0)
			abort();
	}
	for (unsigned i = 0; i < WORKERS; i++) {
		pthread_join(threads[i], NULL);
		ns += (double)workers[i].ns / ((double)BURSTS * BURST) / WORKERS;
		if (workers[i].missing > 0)
			printf("# worker %u missed %lu established flows\n", i,
			       (unsigned long)workers[i].missing);
	}
	pthread_barrier_destroy(&barrier);
	for (unsigned i = 0; i < table_count; i++)
		free(memory[i]);
	return ns;
}

// The round again and again until the cores lay as near each other before as after it, so that its
// three runs are comparable. Returns nanoseconds of a cache line's way, or 0 where they never did.
static double settle(double ns[MODES], const unsigned *cpus)
{
	double before = measure_bounce(cpus), after;

	for (unsigned try = 0; try < TRIES; try++) {
		for (unsigned mode = 0; mode < MODES; mode++)
			ns[mode] = run(mode, cpus);
		after = measure_bounce(cpus);
		if (after < 2 * before && before < 2 * after)
			return (before + after) / 2;
		before = after;
	}
	return 0;
}

int main(int argc, char **argv)
{
	struct series ns[MODES] = {0}, bounce = {.count = 0};
	unsigned cpus[WORKERS], rounds = 5;
	double one[MODES];

	for (int c; (c = getopt(argc, argv, "r:")) != -1;) {
		if (c != 'r')
			return 2;
		rounds = (unsigned)strtoul(optarg, NULL, 10);
	}
	if (!bounce_cpus(cpus)) {
		fprintf(stderr, "bench_flow: needs two CPUs\n");
		return 77;
	}
	printf("# %u established flows, capacity %u, %u workers, 10 %% new flows; %u rounds.\n",
	       FLOWS, CAPACITY, WORKERS, rounds);
	for (unsigned i = 0; i < rounds; i++) {
		double way = settle(one, cpus);

		if (way == 0) {
			printf("# A round is left out: the cores kept moving.\n");
			continue;
		}
		series_add(&bounce, way);
		for (unsigned mode = 0; mode < MODES; mode++)
			series_add(&ns[mode], one[mode]);
	}
	row_print("a cache line from core to core meanwhile", "ns", &bounce, "-");
	for (unsigned mode = SHARED; mode < MODES; mode++)
		row_print_ratio(mode_names[mode], "ns/packet", &ns[mode], mode_names[ONE_EACH],
		                &ns[ONE_EACH], "-");
	return 0;
}
