// SPDX-License-Identifier: BSD-3-Clause

// The table of fullnat's flows under several writers, which is worth most in a build with
// -Db_sanitize=thread. Every source and every client that is found is held against what the table
// was told, so that half of one flow and half of another shows at once.

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "tests/unit/random.h"
#include "tests/unit/snat_memory.h"

enum {
	THREADS = 3,
	CAPACITY = 1024,
	ENDPOINTS = 6, // even: both families
	NOW = (1 << 20) - 100,
	OWN = 100, // established flows of each worker
#if defined(__SANITIZE_THREAD__)
	STEPS = 60000,
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
	STEPS = 60000,
#else
	STEPS = 500000,
#endif
#else
	STEPS = 500000,
#endif
};

struct worker {
	struct sluice_snat_table *t;
	const struct sluice_snat *snat;
	struct sluice_snat_worker is;
	_Atomic uint32_t *clock;
	uint64_t seed;
	uint32_t keys; // of all workers, drawn from
	uint64_t sources[OWN];
	uint64_t hits, inserts, exhausted, races;
	uint64_t strange; // found what can't be
	uint64_t lost;    // own flow gone, or another's client at its port
};

static struct snat_test_flow flow(uint32_t n)
{
	return snat_test_flow(n % 2 ? SLUICE_IPV6 : SLUICE_IPV4, n, n % ENDPOINTS);
}

static bool belongs(const struct worker *w, const struct snat_test_flow *f,
                    const struct sluice_snat_ref *ref)
{
	uint64_t wanted = snat_test_value(f, 0, 0) >> SLUICE_FLOW_GENERATION_SHIFT;
	uint16_t port = ntohs(sluice_snat_port_of(ref->source));

	return ref->value >> SLUICE_FLOW_GENERATION_SHIFT == wanted &&
	       ref->source >> SLUICE_FLOW_GENERATION_SHIFT == wanted &&
	       sluice_snat_address_of(ref->source) < 4 && port >= w->snat->first_port &&
	       port <= w->snat->last_port;
}

// A packet of any flow: what a worker does with it.
static void one_packet(struct worker *w, uint32_t n, uint8_t state, uint32_t now)
{
	struct snat_test_flow f = flow(n);
	struct sluice_snat_ref ref = snat_test_find(w->t, &f);
	uint64_t source;

	if (ref.entry && !sluice_flow_timed_out(&w->t->timeouts, ref.value, now)) {
		w->hits++;
		w->strange += !belongs(w, &f, &ref);
		sluice_snat_update(&ref, snat_test_value(&f, state, now));
		return;
	}
	switch (snat_test_insert(w->t, &f, &ref, w->snat, w->is, now, &source)) {
	case SLUICE_SNAT_EXISTS:
		w->races++;
		break;
	case SLUICE_SNAT_EXHAUSTED:
		w->exhausted++;
		break;
	default:
		w->inserts++;
		w->strange += ntohs(sluice_snat_port_of(source)) % w->is.count != w->is.number;
		break;
	}
}

// Flows of one's own stay as they were: same source, and the way back leads to their clients.
static void one_look(struct worker *w, uint32_t now)
{
	uint32_t i = random_below(&w->seed, OWN);
	struct snat_test_flow f = flow(w->is.number * OWN + i);
	struct sluice_snat_ref ref = snat_test_find(w->t, &f);

	w->lost += !ref.entry || ref.source != w->sources[i] ||
	           !snat_test_returns(w->t, &f, w->sources[i], w->snat);
	if (ref.entry)
		sluice_snat_update(&ref, snat_test_value(&f, SLUICE_FLOW_ESTABLISHED, now));
}

static void *work(void *arg)
{
	struct worker *w = arg;

	for (unsigned i = 0; i < STEPS; i++) {
		uint32_t now = atomic_load(w->clock);

		// In all less than workers' clocks may differ by: a thread may be held up for long.
		if (random_below(&w->seed, 40000) == 0)
			now = atomic_fetch_add(w->clock, 1) + 1;
		one_look(w, now);
		one_packet(w, THREADS * OWN + random_below(&w->seed, w->keys),
		           random_below(&w->seed, 2) ? SLUICE_FLOW_UDP : SLUICE_FLOW_CLOSING, now);
	}
	return NULL;
}

static void start_own(struct worker *w)
{
	for (uint32_t i = 0; i < OWN; i++) {
		struct snat_test_flow f = flow(w->is.number * OWN + i);
		struct sluice_snat_ref ref;

		assert_int_equal(
		        snat_test_insert(w->t, &f, NULL, w->snat, w->is, NOW, &w->sources[i]),
		        SLUICE_SNAT_INSERTED);
		ref = snat_test_find(w->t, &f);
		assert_true(sluice_snat_update(&ref,
		                               snat_test_value(&f, SLUICE_FLOW_ESTABLISHED, NOW)));
	}
}

static void workers_never_mix_flows_up(void **state)
{
	(void)state;
	// Few flows that all workers fight for; more than there are places; and scarce ports.
	static const struct {
		uint32_t keys;
		uint16_t ports;
	} rounds[] = {{50, 30000}, {3000, 30000}, {3000, 120}};

	for (unsigned round = 0; round < 3; round++) {
		struct sluice_snat_pool pool;
		struct sluice_snat snat;
		struct sluice_snat_table t;
		struct worker workers[THREADS] = {0};
		pthread_t threads[THREADS];
		_Atomic uint32_t clock = NOW;
		uint64_t hits = 0, inserts = 0;
		void *memory;

		snat_test_pool(&pool, 4, 2000, (uint16_t)(2000 + rounds[round].ports - 1));
		snat_test_snapshot(&snat, &pool);
		memory = snat_memory_new(&t, CAPACITY, &pool);
		assert_non_null(memory);
		t.timeouts = (struct sluice_flow_timeouts){.seconds = {2, 86400, 2, 5}};
		for (unsigned i = 0; i < THREADS; i++) {
			workers[i] = (struct worker){.t = &t,
			                             .snat = &snat,
			                             .is = {i, THREADS},
			                             .clock = &clock,
			                             .seed = i,
			                             .keys = rounds[round].keys};
			start_own(&workers[i]);
		}
		for (unsigned i = 0; i < THREADS; i++)
			assert_int_equal(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
		for (unsigned i = 0; i < THREADS; i++) {
			const struct worker *w = &workers[i];

			pthread_join(threads[i], NULL);
			printf("%u flows: %lu hits, %lu inserts, %lu exhausted, %lu races\n",
			       rounds[round].keys, w->hits, w->inserts, w->exhausted, w->races);
			assert_int_equal(w->strange, 0);
			assert_int_equal(w->lost, 0);
			hits += w->hits;
			inserts += w->inserts;
		}
		// Of all: the first one may be done before the others have begun.
		assert_true(hits > 0 && inserts > 0);
		free(memory);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(workers_never_mix_flows_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
