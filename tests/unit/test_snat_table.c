// SPDX-License-Identifier: BSD-3-Clause

// The table of fullnat's flows against a list of flows that is searched from end to end.

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/random.h>

#include <cmocka.h>

#include "tests/unit/random.h"
#include "tests/unit/snat_memory.h"

enum {
	NOW = (1 << 20) - 50, // wraps on the way
	CAPACITY = 1024,
};

static const struct sluice_snat_worker alone = {0, 1};

struct fixture {
	struct sluice_snat_pool pool;
	struct sluice_snat snat;
	struct sluice_snat_table t;
	void *memory;
};

static void begin(struct fixture *x, uint64_t capacity, unsigned addresses, uint16_t first,
                  uint16_t last)
{
	snat_test_pool(&x->pool, addresses, first, last);
	snat_test_snapshot(&x->snat, &x->pool);
	x->memory = snat_memory_new(&x->t, capacity, &x->pool);
	assert_non_null(x->memory);
}

static bool insert(struct fixture *x, const struct snat_test_flow *f, uint32_t now,
                   uint64_t *source)
{
	return snat_test_insert(&x->t, f, NULL, &x->snat, alone, now, source) < SLUICE_SNAT_EXISTS;
}

static bool confirm(struct fixture *x, const struct snat_test_flow *f, uint32_t now)
{
	struct sluice_snat_ref ref = snat_test_find(&x->t, f);

	return ref.entry &&
	       sluice_snat_update(&ref, snat_test_value(f, SLUICE_FLOW_ESTABLISHED, now));
}

static void a_flow_is_found_both_ways(void **state)
{
	(void)state;
	struct fixture x;

	begin(&x, CAPACITY, 4, 1024, 32767);
	for (uint32_t i = 0; i < 200; i++) {
		enum sluice_family family = i % 2 ? SLUICE_IPV6 : SLUICE_IPV4;
		struct snat_test_flow f = snat_test_flow(family, i, i % 7);
		struct sluice_snat_ref ref;
		uint64_t source;
		uint16_t port;

		assert_null(snat_test_find(&x.t, &f).entry);
		assert_true(insert(&x, &f, NOW, &source));
		ref = snat_test_find(&x.t, &f);
		assert_non_null(ref.entry);
		assert_true(ref.source == source);
		assert_true(ref.value == snat_test_value(&f, SLUICE_FLOW_PROBATION, NOW));
		assert_int_equal(sluice_snat_address_of(source) % 2, i % 2); // of its family
		port = ntohs(sluice_snat_port_of(source));
		assert_in_range(port, 1024, 32767);
		assert_true(snat_test_returns(&x.t, &f, source, &x.snat));
		f.endpoint.port ^= 1;
		assert_false(snat_test_returns(&x.t, &f, source, &x.snat));
	}
	free(x.memory);
}

// A list of flows as they ought to be.
enum { MODEL = 4000 };

struct model_flow {
	bool known;
	uint8_t state;
	uint32_t seen;
	uint64_t source;
};

static const uint32_t seconds[] = {
        [SLUICE_FLOW_PROBATION] = 3,
        [SLUICE_FLOW_ESTABLISHED] = 20,
        [SLUICE_FLOW_CLOSING] = 5,
        [SLUICE_FLOW_UDP] = 9,
};

static bool lives(const struct model_flow *m, uint32_t now)
{
	return m->known && now - m->seen < seconds[m->state];
}

static bool is_certain(const struct model_flow *m, uint32_t now)
{
	return lives(m, now) && m->state != SLUICE_FLOW_PROBATION;
}

// No port stands for two certain flows of one endpoint, and each is found both ways.
static void check_model(struct fixture *x, const struct model_flow *model, unsigned endpoints,
                        uint32_t now)
{
	unsigned certain = 0;

	for (uint32_t i = 0; i < MODEL; i++) {
		struct snat_test_flow f =
		        snat_test_flow(i % 2 ? SLUICE_IPV6 : SLUICE_IPV4, i, i % endpoints);
		struct sluice_snat_ref ref;

		if (!is_certain(&model[i], now))
			continue;
		certain++;
		ref = snat_test_find(&x->t, &f);
		assert_non_null(ref.entry);
		assert_true(ref.source == model[i].source);
		assert_true(snat_test_returns(&x->t, &f, ref.source, &x->snat));
		for (uint32_t k = i % endpoints; k < i; k += endpoints)
			assert_false(is_certain(&model[k], now) &&
			             model[k].source == model[i].source);
	}
	assert_true(certain > 100);
}

static void model_packet(struct fixture *x, uint32_t i, struct model_flow *m, unsigned endpoints,
                         uint8_t next, uint32_t now)
{
	struct snat_test_flow f =
	        snat_test_flow(i % 2 ? SLUICE_IPV6 : SLUICE_IPV4, i, i % endpoints);
	struct sluice_snat_ref ref = snat_test_find(&x->t, &f);

	if (is_certain(m, now))
		assert_non_null(ref.entry);
	if (ref.entry && !sluice_flow_timed_out(&x->t.timeouts, ref.value, now)) {
		assert_true(lives(m, now) && ref.source == m->source);
		assert_true(sluice_snat_update(&ref, snat_test_value(&f, next, now)));
		m->state = next;
		m->seen = now;
		return;
	}
	m->known = snat_test_insert(&x->t, &f, &ref, &x->snat, alone, now, &m->source) <
	           SLUICE_SNAT_EXISTS;
	m->state = SLUICE_FLOW_PROBATION;
	m->seen = now;
}

static void the_table_agrees_with_a_list(void **state)
{
	(void)state;
	static const unsigned ports[] = {40, 400, 30000}; // scarce, enough, plenty
	static struct model_flow model[MODEL];
	uint64_t seed = 1;

	for (unsigned round = 0; round < 3; round++) {
		struct fixture x;
		uint32_t now = NOW;
		unsigned endpoints = 4 * round + 8; // even: both families

		begin(&x, CAPACITY, 4, 2000, (uint16_t)(2000 + ports[round] - 1));
		memcpy(x.t.timeouts.seconds, seconds, sizeof(seconds));
		memset(model, 0, sizeof(model));
		for (unsigned step = 0; step < 200000; step++) {
			// A few flows talk much, many little.
			uint32_t n = random_below(&seed, 2) ? random_below(&seed, 300)
			                                    : random_below(&seed, MODEL);

			model_packet(&x, n, &model[n], endpoints,
			             (uint8_t)(1 + random_below(&seed, 3)), now);
			now += step % 300 == 299;
			if (step % 20000 == 19999)
				check_model(&x, model, endpoints, now);
		}
		free(x.memory);
	}
}

static void ports_are_reserved_by_worker(void **state)
{
	(void)state;
	struct fixture x;
	uint64_t sources[300];

	begin(&x, CAPACITY, 2, 1001, 1400);
	for (uint32_t i = 0; i < 300; i++) {
		struct snat_test_flow f = snat_test_flow(SLUICE_IPV4, i, i % 5);
		struct sluice_snat_worker w = {i % 3, 3};

		assert_int_equal(snat_test_insert(&x.t, &f, NULL, &x.snat, w, NOW, &sources[i]),
		                 SLUICE_SNAT_INSERTED);
		assert_int_equal(ntohs(sluice_snat_port_of(sources[i])) % 3, i % 3);
		assert_true(confirm(&x, &f, NOW));
	}
	// With another number of workers, the old ones' ports are not free to the new ones.
	for (uint32_t i = 300; i < 900; i++) {
		struct snat_test_flow f = snat_test_flow(SLUICE_IPV4, i, i % 5);
		struct sluice_snat_worker w = {i % 2, 2};
		uint64_t source;

		if (snat_test_insert(&x.t, &f, NULL, &x.snat, w, NOW, &source) >=
		    SLUICE_SNAT_EXISTS)
			continue;
		for (uint32_t k = i % 5; k < 300; k += 5)
			assert_true(sources[k] != source);
	}
	for (uint32_t i = 0; i < 300; i++) {
		struct snat_test_flow f = snat_test_flow(SLUICE_IPV4, i, i % 5);

		assert_true(snat_test_find(&x.t, &f).source == sources[i]);
		assert_true(snat_test_returns(&x.t, &f, sources[i], &x.snat));
	}
	free(x.memory);
}

static void a_share_of_no_ports_is_exhausted(void **state)
{
	(void)state;
	struct fixture x;
	struct snat_test_flow f = snat_test_flow(SLUICE_IPV4, 1, 0);

	begin(&x, CAPACITY, 2, 3000, 3000);
	assert_int_equal(snat_test_insert(&x.t, &f, NULL, &x.snat,
	                                  (struct sluice_snat_worker){1, 2}, NOW, NULL),
	                 SLUICE_SNAT_EXHAUSTED);
	assert_true(snat_test_insert(&x.t, &f, NULL, &x.snat, (struct sluice_snat_worker){0, 2},
	                             NOW, NULL) < SLUICE_SNAT_EXISTS);
	free(x.memory);
}

static void ports_are_reused_across_endpoints_and_run_out_at_one(void **state)
{
	(void)state;
	enum { PORTS = 8, ENDPOINTS = 50 };
	struct fixture x;
	unsigned stored[ENDPOINTS] = {0}, all = 0;
	uint32_t n = 0;

	// So large that hardly any port is lost to a full line.
	begin(&x, 64 * CAPACITY, 1, 5000, 5000 + PORTS - 1);
	for (uint32_t slot = 0; slot < ENDPOINTS; slot++) {
		for (unsigned i = 0; i < 4 * PORTS; i++) {
			struct snat_test_flow f = snat_test_flow(SLUICE_IPV4, n++, slot);

			if (!insert(&x, &f, NOW, NULL))
				continue;
			assert_true(confirm(&x, &f, NOW));
			stored[slot]++;
		}
		assert_in_range(stored[slot], PORTS - 1, PORTS);
		all += stored[slot];
	}
	assert_true(all > ENDPOINTS * PORTS * 95 / 100);
	// They are free again when their flows' time is up, and not a second before.
	for (uint32_t end = x.t.timeouts.seconds[SLUICE_FLOW_ESTABLISHED], i = 0; i < 2; i++) {
		struct snat_test_flow f = snat_test_flow(SLUICE_IPV4, n++, 3);

		if (stored[3] == PORTS)
			assert_int_equal(insert(&x, &f, NOW + end - 1 + i, NULL), i == 1);
	}
	free(x.memory);
}

// Who only ever sent one packet does not keep a port from others.
static void a_flow_on_probation_gives_its_port_away(void **state)
{
	(void)state;
	struct fixture x;
	struct snat_test_flow first = snat_test_flow(SLUICE_IPV6, 0, 1);
	struct snat_test_flow second = snat_test_flow(SLUICE_IPV6, 1, 1);
	struct snat_test_flow third = snat_test_flow(SLUICE_IPV6, 2, 1);
	uint64_t a, b;

	begin(&x, CAPACITY, 2, 7000, 7000); // one port
	assert_true(insert(&x, &first, NOW, &a));
	assert_true(insert(&x, &second, NOW, &b));
	assert_null(snat_test_find(&x.t, &first).entry);
	assert_true(snat_test_returns(&x.t, &second, b, &x.snat));
	assert_true(confirm(&x, &second, NOW));
	assert_int_equal(snat_test_insert(&x.t, &third, NULL, &x.snat, alone, NOW, NULL),
	                 SLUICE_SNAT_EXHAUSTED);
	assert_null(snat_test_find(&x.t, &third).entry);
	assert_true(snat_test_returns(&x.t, &second, b, &x.snat));
	free(x.memory);
}

// A flow whose endpoint is gone gets another one, with its old entry's place.
static void a_flow_starts_afresh_in_its_own_place(void **state)
{
	(void)state;
	struct fixture x;
	struct snat_test_flow f = snat_test_flow(SLUICE_IPV4, 1, 1);
	struct snat_test_flow moved = snat_test_flow(SLUICE_IPV4, 1, 2);
	struct sluice_snat_ref old, stale;
	uint64_t a, b;

	begin(&x, CAPACITY, 2, 1024, 32767);
	assert_true(insert(&x, &f, NOW, &a));
	old = stale = snat_test_find(&x.t, &f);
	assert_int_equal(snat_test_insert(&x.t, &moved, NULL, &x.snat, alone, NOW, NULL),
	                 SLUICE_SNAT_EXISTS);
	assert_int_equal(snat_test_insert(&x.t, &moved, &old, &x.snat, alone, NOW, &b),
	                 SLUICE_SNAT_INSERTED);
	assert_ptr_equal(snat_test_find(&x.t, &f).entry, old.entry);
	assert_true(snat_test_find(&x.t, &f).source == b);
	assert_true(snat_test_returns(&x.t, &moved, b, &x.snat));
	// Who comes with what he saw before is told to look again, and leaves nothing behind.
	assert_int_equal(snat_test_insert(&x.t, &f, &stale, &x.snat, alone, NOW, &a),
	                 SLUICE_SNAT_EXISTS);
	assert_true(snat_test_find(&x.t, &f).source == b);
	assert_false(snat_test_returns(&x.t, &f, a, &x.snat) && a != b);
	free(x.memory);
}

static void established_flows_survive_a_flood(void **state)
{
	(void)state;
	enum { OWN = CAPACITY / 2 };
	struct fixture x;
	uint64_t sources[OWN];
	unsigned refused = 0;

	begin(&x, CAPACITY, 2, 1024, 32767);
	for (uint32_t i = 0; i < OWN; i++) {
		struct snat_test_flow f = snat_test_flow(SLUICE_IPV4, i, i % 16);

		assert_true(insert(&x, &f, NOW, &sources[i]));
		assert_true(confirm(&x, &f, NOW));
	}
	for (uint32_t i = OWN; i < 100 * CAPACITY; i++) {
		struct snat_test_flow f = snat_test_flow(SLUICE_IPV4, i, i % 16);

		refused += !insert(&x, &f, NOW, NULL);
	}
	printf("flood: %u of %u refused\n", refused, 100 * CAPACITY - OWN);
	assert_true(refused < CAPACITY);
	for (uint32_t i = 0; i < OWN; i++) {
		struct snat_test_flow f = snat_test_flow(SLUICE_IPV4, i, i % 16);

		assert_true(snat_test_find(&x.t, &f).source == sources[i]);
		assert_true(snat_test_returns(&x.t, &f, sources[i], &x.snat));
	}
	free(x.memory);
}

static void most_of_the_places_can_be_used(void **state)
{
	(void)state;
	enum { MANY = 1 << 16 };
	struct fixture x;
	uint32_t n = 0;

	begin(&x, MANY, 2, 1024, 32767);
	for (;; n++) {
		struct snat_test_flow f = snat_test_flow(SLUICE_IPV4, n, n % 64);

		if (!insert(&x, &f, NOW, NULL))
			break;
		assert_true(confirm(&x, &f, NOW));
	}
	printf("first flow without a place: number %u of %u\n", n, MANY);
	assert_true(n > MANY / 2);
	free(x.memory);
}

// Whatever the secret and the endpoint: ports in a row have lines all over the table, as if thrown
// at random (323 of 512 expected).
static void an_endpoint_s_ports_are_spread(void **state)
{
	(void)state;
	enum { PORTS = 512 };
	struct fixture x;

	begin(&x, 2 * PORTS, 1, 1024, 32767);
	assert_int_equal(x.t.line_mask, PORTS - 1);
	for (uint32_t n = 0; n < 500; n++) {
		struct snat_test_flow f = snat_test_flow(SLUICE_IPV4, 0, n);
		struct sluice_target snat = x.snat.addresses[0].target;
		bool used[PORTS] = {false};
		unsigned lines = 0;

		if (n % 10 == 0)
			assert_int_equal(getrandom(&x.t.key, sizeof(x.t.key), 0), sizeof(x.t.key));
		snat.protocol = f.endpoint.protocol;
		for (unsigned port = 0; port < PORTS; port++) {
			uint64_t print;

			snat.port = htons((uint16_t)(2000 + port));
			print = sluice_snat_fingerprint(&x.t, sluice_target_view(&f.endpoint),
			                                sluice_target_view(&snat), SLUICE_IPV4);
			lines += !used[print & x.t.line_mask];
			used[print & x.t.line_mask] = true;
		}
		assert_in_range(lines, 250, 400);
	}
	free(x.memory);
}

// ---- from process to process

static void what_a_killed_process_was_writing_is_taken_back(void **state)
{
	(void)state;
	struct fixture x;
	struct snat_test_flow f = snat_test_flow(SLUICE_IPV4, 1, 1);
	struct snat_test_flow g = snat_test_flow(SLUICE_IPV4, 2, 1);
	struct snat_test_flow h = snat_test_flow(SLUICE_IPV6, 3, 2);
	struct sluice_snat_entry *reverse = NULL;
	uint64_t source, kept;

	begin(&x, CAPACITY, 2, 1024, 32767);
	assert_true(insert(&x, &f, NOW, &source));
	for (uint64_t i = 0; i < CAPACITY; i++) {
		struct sluice_snat_entry *e = &x.t.reverse[i / 2].entries[i % 2];

		if (atomic_load(&e->key))
			reverse = e;
	}
	assert_true(insert(&x, &g, NOW, &source));
	assert_true(insert(&x, &h, NOW, &kept));
	// Killed between the two entries of the one, and within the first of the other.
	atomic_store(&reverse->key, SLUICE_SNAT_BUSY);
	atomic_store(&snat_test_find(&x.t, &g).entry->key, SLUICE_SNAT_BUSY);
	sluice_snat_table_recover(&x.t);
	assert_null(snat_test_find(&x.t, &f).entry);
	assert_null(snat_test_find(&x.t, &g).entry);
	assert_true(snat_test_find(&x.t, &h).source == kept);
	for (uint64_t i = 0; i < CAPACITY; i++) {
		assert_true(atomic_load(&x.t.forward[i / 2].entries[i % 2].key) !=
		            SLUICE_SNAT_BUSY);
		assert_true(atomic_load(&x.t.reverse[i / 2].entries[i % 2].key) !=
		            SLUICE_SNAT_BUSY);
	}
	free(x.memory);
}

static void flows_are_carried_to_another_table(void **state)
{
	(void)state;
	struct fixture x, y;
	uint64_t sources[300], carried = 0, lost = 0;
	unsigned gone = 0;

	begin(&x, CAPACITY, 4, 1024, 32767);
	for (uint32_t i = 0; i < 300; i++) {
		struct snat_test_flow f =
		        snat_test_flow(i % 2 ? SLUICE_IPV6 : SLUICE_IPV4, i, i % 10);

		assert_true(insert(&x, &f, NOW, &sources[i]));
		if (i % 3)
			assert_true(confirm(&x, &f, NOW));
	}
	// Twice the places; the addresses in another order, one of them gone; fewer ports.
	begin(&y, 2 * CAPACITY, 3, 1024, 30000);
	y.pool.addresses[0] = x.pool.addresses[3];
	y.pool.addresses[1] = x.pool.addresses[0];
	y.pool.addresses[2] = x.pool.addresses[1];
	snat_test_snapshot(&y.snat, &y.pool);
	y.t.key = x.t.key;
	sluice_snat_table_carry(&y.t, &y.pool, &x.t, &x.pool, NOW, &carried, &lost);
	for (uint32_t i = 0; i < 300; i++) {
		static const unsigned to[] = {1, 2, 0, 0};
		struct snat_test_flow f =
		        snat_test_flow(i % 2 ? SLUICE_IPV6 : SLUICE_IPV4, i, i % 10);
		struct sluice_snat_ref ref = snat_test_find(&y.t, &f);
		unsigned from = sluice_snat_address_of(sources[i]);

		if (from == 2 || ntohs(sluice_snat_port_of(sources[i])) > 30000) {
			assert_null(ref.entry);
			gone += i % 3 != 0;
			continue;
		}
		assert_non_null(ref.entry);
		assert_int_equal(sluice_snat_address_of(ref.source), to[from]);
		assert_int_equal(sluice_snat_port_of(ref.source), sluice_snat_port_of(sources[i]));
		assert_true(snat_test_returns(&y.t, &f, ref.source, &y.snat));
		carried--;
	}
	assert_int_equal(carried, 0);
	assert_int_equal(lost, gone);
	free(x.memory);
	free(y.memory);
}

static void only_a_table_is_attached_to(void **state)
{
	(void)state;
	struct fixture x;
	struct sluice_snat_table t;
	struct sluice_snat_header *h;
	size_t size = sluice_snat_table_size(CAPACITY);

	begin(&x, CAPACITY, 2, 1024, 32767);
	h = x.memory;
	assert_int_equal(sluice_snat_table_capacity(&x.t), CAPACITY);
	assert_int_equal(size, SLUICE_FLOW_HEADER_SIZE + 64 * CAPACITY); // 64 bytes a flow
	assert_int_equal(sluice_snat_table_attach(&t, x.memory, size, 2), -EINVAL);
	assert_int_equal(sluice_snat_table_attach(&t, x.memory, size - 1, 1), -EINVAL);
	h->common.bucket_count *= 2;
	assert_int_equal(sluice_snat_table_attach(&t, x.memory, size, 1), -EINVAL);
	h->common.bucket_count /= 2;
	h->common.layout++;
	assert_int_equal(sluice_snat_table_attach(&t, x.memory, size, 1), -EINVAL);
	h->common.layout--;
	assert_int_equal(sluice_snat_table_attach(&t, x.memory, size, 1), 0);
	free(x.memory);
}

static void count(void *context, uint64_t key, struct sluice_flow_value v)
{
	(void)key;
	(void)v;
	++*(unsigned *)context;
}

static void a_walk_sees_what_lives_and_frees_what_is_long_dead(void **state)
{
	(void)state;
	struct fixture x;
	unsigned seen = 0;

	begin(&x, CAPACITY, 2, 1024, 32767);
	for (uint32_t i = 0; i < 100; i++) {
		struct snat_test_flow f = snat_test_flow(SLUICE_IPV4, i, 1);

		assert_true(insert(&x, &f, NOW + (i % 2 ? 0 : 40), NULL));
	}
	sluice_snat_table_walk(&x.t, NOW + 70, count, &seen);
	assert_int_equal(seen, 50);
	sluice_snat_table_walk(&x.t, NOW + 4 * 86400, count, &seen);
	assert_int_equal(seen, 50);
	for (uint32_t i = 0; i < 100; i++) {
		struct snat_test_flow f = snat_test_flow(SLUICE_IPV4, i, 1);

		assert_null(snat_test_find(&x.t, &f).entry);
	}
	free(x.memory);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(a_flow_is_found_both_ways),
	        cmocka_unit_test(the_table_agrees_with_a_list),
	        cmocka_unit_test(ports_are_reserved_by_worker),
	        cmocka_unit_test(a_share_of_no_ports_is_exhausted),
	        cmocka_unit_test(ports_are_reused_across_endpoints_and_run_out_at_one),
	        cmocka_unit_test(a_flow_on_probation_gives_its_port_away),
	        cmocka_unit_test(a_flow_starts_afresh_in_its_own_place),
	        cmocka_unit_test(established_flows_survive_a_flood),
	        cmocka_unit_test(most_of_the_places_can_be_used),
	        cmocka_unit_test(an_endpoint_s_ports_are_spread),
	        cmocka_unit_test(what_a_killed_process_was_writing_is_taken_back),
	        cmocka_unit_test(flows_are_carried_to_another_table),
	        cmocka_unit_test(only_a_table_is_attached_to),
	        cmocka_unit_test(a_walk_sees_what_lives_and_frees_what_is_long_dead),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
