// SPDX-License-Identifier: BSD-3-Clause
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <netinet/in.h>
#include <string.h>

#include "control/slots.h"

static void test_slot_rests_before_it_is_used_again(void **state)
{
	struct sluice_slots s;
	uint16_t generation;

	(void)state;
	sluice_slots_init(&s, 2);
	assert_int_equal(sluice_slots_reserve(&s, 2, 0), 0);
	assert_int_equal(sluice_slots_take(&s, 0, &generation), 0);
	assert_int_equal(generation, 1);
	assert_int_equal(sluice_slots_take(&s, 0, &generation), 1);
	assert_int_equal(sluice_slots_reserve(&s, 1, 0), -ENOSPC);
	sluice_slots_give(&s, 1, 1000);
	sluice_slots_give(&s, 0, 1001);
	assert_int_equal(sluice_slots_reserve(&s, 1, 2999), -EAGAIN);
	assert_int_equal(sluice_slots_reserve(&s, 1, 3000), 0);
	assert_int_equal(sluice_slots_take(&s, 3000, &generation), 1); // first in, first out
	assert_int_equal(generation, 2);
	assert_int_equal(sluice_slots_reserve(&s, 1, 3000), -EAGAIN);
	assert_int_equal(sluice_slots_reserve(&s, 2, 9000), -ENOSPC);
	sluice_slots_free(&s);
}

static void test_generation_never_zero_and_repeats_late(void **state)
{
	struct sluice_slots s;
	uint16_t generation;
	uint64_t now = 0;

	(void)state;
	sluice_slots_init(&s, 1);
	for (uint32_t i = 0; i < 65536; i++) {
		assert_int_equal(sluice_slots_reserve(&s, 1, now), 0);
		assert_int_equal(sluice_slots_take(&s, now, &generation), 0);
		assert_int_equal(generation, i % 65535 + 1);
		sluice_slots_give(&s, 0, now);
		now += SLUICE_SLOT_QUARANTINE_MS;
	}
	assert_true(now > 86400ull * 1000); // the first one came back after more than a day
	sluice_slots_free(&s);
}

static void test_restored_slots_go_on_where_they_were(void **state)
{
	struct sluice_slots s;
	uint16_t generations[] = {7, 65535, 9}, generation;
	uint8_t used[] = {0x05}; // 0 and 2

	(void)state;
	sluice_slots_init(&s, 3);
	assert_int_equal(sluice_slots_restore(&s, generations, 3, used, 100), 0);
	assert_int_equal(sluice_slots_reserve(&s, 1, 100), -EAGAIN);
	assert_int_equal(sluice_slots_reserve(&s, 1, 2100), 0);
	assert_int_equal(sluice_slots_take(&s, 2100, &generation), 1);
	assert_int_equal(generation, 1); // not 0
	sluice_slots_free(&s);
}

static struct sluice_target target(uint16_t port)
{
	return (struct sluice_target){
	        .address = sluice_address_from_v4(htonl(0x0a602b72)),
	        .port = htons(port),
	        .protocol = IPPROTO_TCP,
	        .family = SLUICE_IPV4,
	};
}

static void test_frontend_id_stays_with_its_target_and_service(void **state)
{
	struct sluice_frontends f;
	struct sluice_target a = target(80), b = target(443);

	(void)state;
	sluice_frontends_init(&f);
	assert_int_equal(sluice_frontends_get(&f, &a, 1, 0), 1);
	assert_int_equal(sluice_frontends_get(&f, &b, 1, 0), 2);
	assert_int_equal(sluice_frontends_get(&f, &a, 1, 0), 1);
	assert_int_equal(sluice_frontends_get(&f, &a, 2, 0), 3); // the flows of 1 are not 2's
	sluice_frontends_sweep(&f, 0);
	assert_int_equal(sluice_frontends_get(&f, &a, 2, 10), 3);
	sluice_frontends_sweep(&f, 10); // 1 and 2 were not asked for
	assert_int_equal(f.count, 1);
	assert_int_equal(sluice_frontends_get(&f, &b, 1, 11), 4); // at rest: a fresh one
	assert_int_equal(sluice_frontends_get(&f, &a, 1, 2011), 1);
	sluice_frontends_free(&f);
}

static void test_frontend_ids_run_out(void **state)
{
	struct sluice_frontends f;
	struct sluice_target t;

	(void)state;
	sluice_frontends_init(&f);
	for (uint32_t i = 1; i <= 65535; i++) {
		t = target((uint16_t)i);
		assert_int_equal(sluice_frontends_get(&f, &t, 1, 0), i);
	}
	t = target(1);
	assert_int_equal(sluice_frontends_get(&f, &t, 2, 0), -ENOSPC);
	sluice_frontends_sweep(&f, 0);
	sluice_frontends_sweep(&f, 0);
	assert_int_equal(sluice_frontends_get(&f, &t, 2, 0), -EAGAIN);
	assert_int_equal(sluice_frontends_get(&f, &t, 2, 2000), 1);
	sluice_frontends_free(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_slot_rests_before_it_is_used_again),
	        cmocka_unit_test(test_generation_never_zero_and_repeats_late),
	        cmocka_unit_test(test_restored_slots_go_on_where_they_were),
	        cmocka_unit_test(test_frontend_id_stays_with_its_target_and_service),
	        cmocka_unit_test(test_frontend_ids_run_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
