// SPDX-License-Identifier: BSD-3-Clause

// The file of fullnat's flows over restarts, each as a close and an open of this process: what
// test_flow_file.c does not say of the flow table's file, whose code it shares.

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

#include "dataplane/flow_file.h"
#include "tests/unit/snat_memory.h"

enum {
	NOW = 5000,
	CAPACITY = 4096,
	FLOWS = 1000, // confirmed, but for every tenth
};

static char directory[64];
static struct sluice_snat_pool pool;
static uint64_t sources[FLOWS];

static struct sluice_flow_file_options options(void)
{
	return (struct sluice_flow_file_options){
	        .directory = directory,
	        .snat = &pool,
	        .capacity = CAPACITY,
	        .epoch = 7,
	        .now = NOW,
	        .timeouts = {.seconds = {60, 7200, 30, 180}},
	};
}

static int set_up(void **state)
{
	(void)state;
	snprintf(directory, sizeof(directory), "/dev/shm/sluice-test-XXXXXX");
	snat_test_pool(&pool, 4, 1024, 32767);
	return mkdtemp(directory) ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	static const char *const names[] = {"flows", "flows.lock", "snat", "snat.lock"};

	for (unsigned i = 0; i < 4; i++) {
		char path[96];

		snprintf(path, sizeof(path), "%s/%s", directory, names[i]);
		unlink(path);
	}
	return rmdir(directory);
}

static struct snat_test_flow flow(unsigned i)
{
	return snat_test_flow(i % 2 ? SLUICE_IPV6 : SLUICE_IPV4, i, i % 10);
}

static void open_filled(const struct sluice_flow_file_options *o)
{
	struct sluice_flow_file f;
	struct sluice_snat snat;

	snat_test_snapshot(&snat, &pool);
	assert_int_equal(sluice_flow_file_open(&f, o), 0);
	for (unsigned i = 0; i < FLOWS; i++) {
		struct snat_test_flow flow_i = flow(i);
		struct sluice_snat_ref ref;

		assert_int_equal(snat_test_insert(&f.snat, &flow_i, NULL, &snat,
		                                  (struct sluice_snat_worker){i % 3, 3}, NOW,
		                                  &sources[i]),
		                 SLUICE_SNAT_INSERTED);
		ref = snat_test_find(&f.snat, &flow_i);
		assert_true(i % 10 == 0 ||
		            sluice_snat_update(
		                    &ref, snat_test_value(&flow_i, SLUICE_FLOW_ESTABLISHED, NOW)));
	}
	sluice_flow_file_close(&f);
}

// How many flows are there, both ways, at the addresses and ports that they had.
static unsigned count_right(const struct sluice_flow_file *f, const struct sluice_snat_pool *now)
{
	struct sluice_snat snat;
	unsigned n = 0;

	snat_test_snapshot(&snat, now);
	for (unsigned i = 0; i < FLOWS; i++) {
		struct snat_test_flow flow_i = flow(i);
		struct sluice_snat_ref ref = snat_test_find(&f->snat, &flow_i);

		if (!ref.entry)
			continue;
		assert_true(
		        sluice_address_equal(&now->addresses[sluice_snat_address_of(ref.source)],
		                             &pool.addresses[sluice_snat_address_of(sources[i])]));
		assert_int_equal(sluice_snat_port_of(ref.source), sluice_snat_port_of(sources[i]));
		assert_true(snat_test_returns(&f->snat, &flow_i, ref.source, &snat));
		n++;
	}
	return n;
}

static void expect(const struct sluice_flow_file_options *o, enum sluice_flow_origin origin,
                   unsigned flows)
{
	struct sluice_flow_file f;

	assert_int_equal(sluice_flow_file_open(&f, o), 0);
	assert_string_equal(sluice_flow_origin_text(f.origin), sluice_flow_origin_text(origin));
	assert_int_equal(count_right(&f, o->snat), flows);
	sluice_flow_file_close(&f);
}

static void flows_survive_a_restart_and_a_change_of_capacity(void **state)
{
	(void)state;
	struct sluice_flow_file_options o = options();

	expect(&o, SLUICE_FLOW_FRESH_NONE, 0);
	open_filled(&o);
	expect(&o, SLUICE_FLOW_KEPT, FLOWS);
	o.capacity *= 4;
	expect(&o, SLUICE_FLOW_CARRIED, FLOWS);
	expect(&o, SLUICE_FLOW_KEPT, FLOWS);
	o.capacity = CAPACITY;
	expect(&o, SLUICE_FLOW_CARRIED, FLOWS);
	o.epoch++;
	expect(&o, SLUICE_FLOW_FRESH_EPOCH, 0);
}

// Of addresses that stay, whatever their order is; the others' flows are lost, and counted.
static void flows_survive_a_change_of_addresses(void **state)
{
	(void)state;
	struct sluice_flow_file_options o = options();
	struct sluice_snat_pool other = pool;
	struct sluice_flow_file f;
	unsigned stay = 0, lost = 0;

	open_filled(&o);
	other.count = 3;
	for (unsigned i = 0; i < 3; i++)
		other.addresses[i] = pool.addresses[3 - i];
	other.addresses[3] = (struct sluice_address){0};
	for (unsigned i = 0; i < FLOWS; i++) {
		bool gone = sluice_snat_address_of(sources[i]) == 0;

		stay += !gone;
		lost += gone && i % 10 != 0;
	}
	o.snat = &other;
	assert_int_equal(sluice_flow_file_open(&f, &o), 0);
	assert_int_equal(f.origin, SLUICE_FLOW_CARRIED);
	assert_int_equal(f.carried, stay);
	assert_int_equal(f.lost, lost);
	assert_true(stay > 0 && lost > 0);
	sluice_flow_file_close(&f);
	expect(&o, SLUICE_FLOW_KEPT, stay);
}

static void what_a_killed_process_was_writing_is_taken_back(void **state)
{
	(void)state;
	struct sluice_flow_file_options o = options();
	struct snat_test_flow first = flow(0);
	struct sluice_flow_file f;

	open_filled(&o);
	assert_int_equal(sluice_flow_file_open(&f, &o), 0);
	atomic_store(&snat_test_find(&f.snat, &first).entry->key, SLUICE_SNAT_BUSY);
	sluice_flow_file_close(&f);
	expect(&o, SLUICE_FLOW_KEPT, FLOWS - 1);
	assert_int_equal(sluice_flow_file_open(&f, &o), 0);
	for (uint64_t i = 0; i < sluice_snat_table_capacity(&f.snat); i++)
		assert_true(atomic_load(&f.snat.forward[i / 2].entries[i % 2].key) !=
		            SLUICE_SNAT_BUSY);
	sluice_flow_file_close(&f);
}

static void both_tables_lie_side_by_side(void **state)
{
	(void)state;
	struct sluice_flow_file_options o = options(), plain = options();
	struct sluice_flow_file f, snat, again;

	plain.snat = NULL;
	open_filled(&o);
	assert_int_equal(sluice_flow_file_open(&f, &plain), 0);
	assert_int_equal(sluice_flow_file_open(&snat, &o), 0);
	assert_string_not_equal(f.path, snat.path);
	assert_int_equal(snat.origin, SLUICE_FLOW_KEPT);
	assert_int_equal(sluice_flow_table_capacity(&f.table), CAPACITY);
	assert_int_equal(sluice_snat_table_capacity(&snat.snat), CAPACITY);
	assert_int_equal(snat.snat.timeouts.seconds[SLUICE_FLOW_UDP], 180);
	assert_int_equal(sluice_flow_file_open(&again, &o), -EBUSY);
	sluice_flow_file_close(&snat);
	sluice_flow_file_close(&f);
	// Neither takes the other's file for its own.
	char from[96], to[96];

	snprintf(from, sizeof(from), "%s/flows", directory);
	snprintf(to, sizeof(to), "%s/snat", directory);
	assert_int_equal(rename(from, to), 0);
	expect(&o, SLUICE_FLOW_FRESH_INVALID, 0);
}

int main(void)
{
#define ROW(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
	        ROW(flows_survive_a_restart_and_a_change_of_capacity),
	        ROW(flows_survive_a_change_of_addresses),
	        ROW(what_a_killed_process_was_writing_is_taken_back),
	        ROW(both_tables_lie_side_by_side),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
