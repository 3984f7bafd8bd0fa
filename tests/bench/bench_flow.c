// SPDX-License-Identifier: BSD-3-Clause

// What does sharing the flow table cost? Two workers, each with its half of 1 Mi established
// flows, once in one table and once in a table each of half the size; and once in one table with
// every flow's packets at either worker, which only a shared table allows. A tenth of the packets
// are new flows' first ones, of the others about a third are a flow's first in a second and
// refresh its entry. The packets come in bursts and are prefetched for as in the pipeline.
//
// Times are the threads' own CPU times, so that other processes count as little as may be. The
// time a cache line needs from core to core is measured around each run: on virtual machines it
// may change severalfold from one moment to the next, and with it what sharing costs.

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "tests/unit/flow_memory.h"
#include "tests/unit/random.h"

enum {
	WORKERS = 2,
	RUNS = 5,
	FLOWS = 1 << 20,
	CAPACITY = 1 << 21,
	BURST = 32,
	BURSTS = 1 << 17,              // of one run: 4 Mi packets a worker
	BURSTS_A_SECOND = BURSTS / 16, // of the time that flows are stamped with
	BOUNCES = 20000,
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

static uint64_t now_ns(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void pin(unsigned cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	pthread_setaffinity_np(pthread_self(), sizeof(set), &set);
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
	start = now_ns(CLOCK_THREAD_CPUTIME_ID);
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
	w->ns = now_ns(CLOCK_THREAD_CPUTIME_ID) - start;
	return NULL;
}

struct bounce {
	_Alignas(64) _Atomic unsigned turn;
	unsigned cpus[WORKERS];
};

static void *bounce_back(void *arg)
{
	struct bounce *b = arg;

	pin(b->cpus[1]);
	for (unsigned i = 0; i < BOUNCES; i++) {
		while (atomic_load_explicit(&b->turn, memory_order_acquire) != 2 * i + 1)
			;
		atomic_store_explicit(&b->turn, 2 * i + 2, memory_order_release);
	}
	return NULL;
}

// Nanoseconds a written cache line takes from one core to the other. The best of five, as either
// thread may be put off its core.
static double measure_bounce(const unsigned *cpus)
{
	double best = 1e9;

	for (unsigned run = 0; run < 5; run++) {
		struct bounce b = {.cpus = {cpus[0], cpus[1]}};
		pthread_t other;
		uint64_t start = 0;

		pin(cpus[0]);
		if (pthread_create(&other, NULL, bounce_back, &b) != 0)
			abort();
		for (unsigned i = 0; i < BOUNCES; i++) {
			if (i == BOUNCES / 10) // by now both run
				start = now_ns(CLOCK_MONOTONIC);
			atomic_store_explicit(&b.turn, 2 * i + 1, memory_order_release);
			while (atomic_load_explicit(&b.turn, memory_order_acquire) != 2 * i + 2)
				;
		}
		double ns = (double)(now_ns(CLOCK_MONOTONIC) - start) / (2 * BOUNCES * 9 / 10.0);

		pthread_join(other, NULL);
		best = ns < best ? ns : best;
	}
	return best;
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
			printf("worker %u missed %lu established flows\n", i,
			       (unsigned long)workers[i].missing);
	}
	pthread_barrier_destroy(&barrier);
	for (unsigned i = 0; i < table_count; i++)
		free(memory[i]);
	return ns;
}

static int compare_doubles(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static double median(double *values)
{
	qsort(values, RUNS, sizeof(*values), compare_doubles);
	return values[RUNS / 2];
}

// The first two CPUs this process may use.
static bool find_cpus(unsigned *cpus)
{
	unsigned n = 0;
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set) != 0)
		return false;
	for (unsigned i = 0; i < CPU_SETSIZE && n < WORKERS; i++) {
		if (CPU_ISSET(i, &set))
			cpus[n++] = i;
	}
	return n == WORKERS;
}

int main(void)
{
	double ns[MODES][RUNS], medians[MODES];
	unsigned cpus[WORKERS];

	if (!find_cpus(cpus)) {
		fprintf(stderr, "bench_flow: needs two CPUs\n");
		return 77;
	}
	printf("%u established flows, capacity %u, %u workers, 10 %% new flows\n", FLOWS, CAPACITY,
	       WORKERS);
	for (unsigned i = 0; i < RUNS; i++) {
		for (unsigned mode = 0; mode < MODES; mode++) {
			double before = measure_bounce(cpus);

			ns[mode][i] = run(mode, cpus);
			printf("%-26s %6.1f ns a packet, cache line core to core %.0f ns before, "
			       "%.0f after\n",
			       mode_names[mode], ns[mode][i], before, measure_bounce(cpus));
		}
	}
	for (unsigned mode = 0; mode < MODES; mode++) {
		medians[mode] = median(ns[mode]);
		printf("median: %-26s %6.1f ns, %6.2f million packets/s a worker, %+.1f %%\n",
		       mode_names[mode], medians[mode], 1000 / medians[mode],
		       100 * (medians[mode] / medians[ONE_EACH] - 1));
	}
	return 0;
}
