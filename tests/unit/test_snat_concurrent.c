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

// One flow, or two, that a worker starts again and again while another one looks at them.
struct restarts {
	struct sluice_snat_table t;
	struct sluice_snat snat;
	void *memory;
	struct snat_test_flow flows[2];
	uint64_t sources[2]; // that it has in turn
	_Atomic uint64_t looks;
	uint64_t torn;
	atomic_bool done;
};

static void restarts_begin(struct restarts *r, uint16_t ports)
{
	struct sluice_snat_pool pool;

	*r = (struct restarts){0};
	snat_test_pool(&pool, 2, 2000, (uint16_t)(2000 + ports - 1));
	snat_test_snapshot(&r->snat, &pool);
	r->memory = snat_memory_new(&r->t, CAPACITY, &pool);
	assert_non_null(r->memory);
	r->flows[0] = snat_test_flow(SLUICE_IPV6, 1, 1);
	r->flows[1] = snat_test_flow(SLUICE_IPV6, 1002, 1); // another address, another port
}

static uint64_t restart(struct restarts *r, const struct snat_test_flow *f, uint32_t now)
{
	struct sluice_snat_ref ref = snat_test_find(&r->t, f);
	uint64_t source;

	snat_test_insert(&r->t, f, &ref, &r->snat, (struct sluice_snat_worker){0, 1}, now, &source);
	return source;
}

static void restarts_run(struct restarts *r, void *(*look)(void *), unsigned flow_count)
{
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, look, r), 0);
	for (uint32_t i = 2; i < STEPS || r->looks < STEPS; i++)
		restart(r, &r->flows[i % flow_count], i);
	atomic_store(&r->done, true);
	pthread_join(thread, NULL);
	printf("%lu looks\n", r->looks);
	assert_int_equal(r->torn, 0);
	free(r->memory);
}

static void *look_for_source(void *argument)
{
	struct restarts *r = argument;

	while (!atomic_load_explicit(&r->done, memory_order_relaxed)) {
		struct sluice_snat_ref ref = snat_test_find(&r->t, &r->flows[0]);

		if (!ref.entry)
			continue;
		r->looks++;
		r->torn += ref.source != r->sources[ref.value % 2];
	}
	return NULL;
}

// In its own place, at the same endpoint, with another port each time.
static void a_flow_that_starts_afresh_has_its_new_source(void **state)
{
	(void)state;
	static struct restarts r;

	restarts_begin(&r, 30000);
	for (uint32_t i = 0; i < 2; i++)
		r.sources[i] = restart(&r, &r.flows[0], i);
	assert_true(r.sources[0] != r.sources[1]);
	restarts_run(&r, look_for_source, 1);
}

static void *look_for_client(void *argument)
{
	struct restarts *r = argument;
	struct sluice_target to = r->snat.addresses[1].target;
	struct sluice_snat_return found;
	uint64_t print;

	to.port = htons(2000);
	to.protocol = IPPROTO_TCP;
	print = sluice_snat_fingerprint(&r->t, sluice_target_view(&r->flows[0].endpoint),
	                                sluice_target_view(&to), SLUICE_IPV6);
	while (!atomic_load_explicit(&r->done, memory_order_relaxed)) {
		if (!sluice_snat_return_find(&r->t, print, &found))
			continue;
		const struct sluice_target *client =
		        &r->flows[found.port != r->flows[0].client.port].client;

		r->looks++;
		r->torn += found.port != client->port ||
		           !sluice_address_equal(&found.client, &client->address);
	}
	return NULL;
}

// There is one port, so each of two flows pushes the other one out.
static void a_port_that_changes_hands_is_one_clients(void **state)
{
	(void)state;
	static struct restarts r;

	restarts_begin(&r, 1);
	restart(&r, &r.flows[0], 1);
	restarts_run(&r, look_for_client, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(workers_never_mix_flows_up),
	        cmocka_unit_test(a_flow_that_starts_afresh_has_its_new_source),
	        cmocka_unit_test(a_port_that_changes_hands_is_one_clients),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
