// SPDX-License-Identifier: BSD-3-Clause

// Virtual IPs on an interface, as the kernel and a peer see them.
#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "control/announce.h"
#include "tests/kernel/namespace.h"

// Announces up to two.
static int announce(struct sluice_announce *a, const char *first, const char *second)
{
	struct sluice_address vips[3];
	size_t count = 0;

	if (first != NULL)
		vips[count++] = test_address(first);
	if (second != NULL)
		vips[count++] = test_address(second);
	if (first != NULL)
		vips[count++] = test_address(first); // twice is once
	return sluice_announce_set(a, vips, count);
}

// The VIPs that the kernel has on an interface, in a line.
static void assert_on(struct test_namespaces *n, const char *interface, const char *expected)
{
	test_host(n,
	          "got=$(ip -o address show dev %s | awk '{print $4}' | grep -e ^10.96 -e "
	          "^2001:db8:96 "
	          "| sort | xargs); test \"$got\" = '%s' || { echo \"got: $got\"; exit 1; }",
	          interface, expected);
}

struct fixture {
	struct test_namespaces *n;
	struct sluice_kernel *k;
	struct sluice_announce *a;
};

static struct fixture start(void **state, const char *interface)
{
	struct fixture f = {.n = *state};

	f.k = sluice_kernel_new(f.n->base, test_changed, f.n);
	assert_non_null(f.k);
	f.a = sluice_announce_new(f.k, interface);
	assert_non_null(f.a);
	return f;
}

static void stop(struct fixture *f)
{
	sluice_announce_free(f->a);
	sluice_kernel_free(f->k);
}

static void test_peer_reaches_vips(void **state)
{
	struct fixture f = start(state, "lo");
	struct sluice_address vip = test_address("10.96.43.114");

	test_host(f.n, "ip link set lo down"); // as in a new namespace
	test_wait(f.n, 2000, !sluice_kernel_link_find_name(f.k, "lo")->up);
	assert_int_equal(announce(f.a, "10.96.43.114", "2001:db8:96::1"), 0);
	assert_on(f.n, "lo", "10.96.43.114/32 2001:db8:96::1/128");
	test_peer(f.n, "ip route add 10.96.43.114 dev v1 && ip route add 2001:db8:96::1 dev v1 && "
	               "ping -q -c 1 -W 2 10.96.43.114 > /dev/null");
	test_peer(f.n, "ip route replace 2001:db8:96::1 via 2001:db8::1 && "
	               "ping -q -c 1 -W 2 2001:db8:96::1 > /dev/null");
	// The host's own connections do not take a VIP for their source.
	test_host(f.n, "ip -6 route get 2001:db8::2 | grep -q 'src 2001:db8::1'");
	test_wait(f.n, 2000, sluice_kernel_address_find(f.k, 0, &vip) != NULL);
	assert_true(sluice_kernel_address_find(f.k, 0, &vip)->announced);
	stop(&f);
}

static void test_set_changes_and_withdraw(void **state)
{
	struct fixture f = start(state, "lo");

	assert_int_equal(announce(f.a, "10.96.0.1", "2001:db8:96::1"), 0);
	assert_int_equal(announce(f.a, "10.96.0.1", "10.96.0.2"), 0); // the mirror is behind
	assert_on(f.n, "lo", "10.96.0.1/32 10.96.0.2/32");
	assert_int_equal(announce(f.a, "10.96.0.1", "10.96.0.2"), 0);
	test_run_ms(f.n, 50);
	assert_int_equal(announce(f.a, "10.96.0.2", "10.96.0.3"), 0);
	assert_on(f.n, "lo", "10.96.0.2/32 10.96.0.3/32");
	assert_int_equal(announce(f.a, NULL, NULL), 0);
	assert_int_equal(announce(f.a, "10.96.0.2", NULL), 0); // still in the mirror, gone in fact
	assert_on(f.n, "lo", "10.96.0.2/32");
	assert_int_equal(sluice_announce_withdraw(f.a), 0);
	assert_on(f.n, "lo", "");
	stop(&f);
}

// What the administrator put there stays his.
static void test_administrators_addresses_stay(void **state)
{
	struct fixture f = start(state, "lo");

	test_host(f.n, "ip address add 10.96.0.1/32 dev lo && ip address add 10.96.0.9/24 dev lo");
	assert_int_equal(announce(f.a, "10.96.0.1", "10.96.0.2"), 0); // before the mirror knows
	test_run_ms(f.n, 50);
	assert_int_equal(announce(f.a, "10.96.0.1", "10.96.0.9"), 0);
	assert_on(f.n, "lo", "10.96.0.1/32 10.96.0.9/24");
	assert_int_equal(sluice_announce_withdraw(f.a), 0);
	assert_on(f.n, "lo", "10.96.0.1/32 10.96.0.9/24");
	stop(&f);
}

// A process that was killed leaves its VIPs: the next one takes over those that it wants, and
// removes the others, from whatever interface.
static void test_crash_leaves_nothing_stale(void **state)
{
	struct fixture f = start(state, "v0");

	assert_int_equal(announce(f.a, "10.96.0.7", NULL), 0);
	stop(&f);
	f = start(state, "lo");
	assert_int_equal(announce(f.a, "10.96.0.1", "2001:db8:96::2"), 0);
	assert_on(f.n, "v0", "");
	stop(&f); // without withdrawing
	assert_on(f.n, "lo", "10.96.0.1/32 2001:db8:96::2/128");
	f = start(state, "lo");
	assert_int_equal(announce(f.a, "10.96.0.1", "10.96.0.3"), 0);
	assert_on(f.n, "lo", "10.96.0.1/32 10.96.0.3/32");
	assert_int_equal(sluice_announce_withdraw(f.a), 0);
	assert_on(f.n, "lo", "");
	assert_int_equal(announce(f.a, "10.96.0.1", "10.96.0.3"), 0);
	stop(&f);
	f = start(state, NULL); // announce: none
	assert_int_equal(announce(f.a, "10.96.0.1", NULL), 0);
	assert_on(f.n, "lo", "");
	stop(&f);
}

// Removed by somebody, they come back; so they do on an interface that is made later.
static void test_refresh(void **state)
{
	struct fixture f = start(state, "vip0");

	assert_int_equal(announce(f.a, "10.96.0.1", NULL), -ENODEV);
	test_host(f.n, "ip link add vip0 type veth peer name vip1");
	test_wait(f.n, 2000, sluice_kernel_link_find_name(f.k, "vip0") != NULL);
	assert_int_equal(sluice_announce_refresh(f.a), 0);
	assert_on(f.n, "vip0", "10.96.0.1/32");
	test_run_ms(f.n, 50);
	f.n->changes = 0;
	test_host(f.n, "ip address delete 10.96.0.1/32 dev vip0");
	test_wait(f.n, 2000, f.n->changes & SLUICE_KERNEL_ADDRESSES);
	assert_int_equal(sluice_announce_refresh(f.a), 0);
	assert_on(f.n, "vip0", "10.96.0.1/32");
	test_host(f.n, "ip link delete vip0");
	test_wait(f.n, 2000, sluice_kernel_link_find_name(f.k, "vip0") == NULL);
	assert_int_equal(sluice_announce_refresh(f.a), -ENODEV);
	test_host(f.n, "ip link add vip0 type veth peer name vip1");
	test_wait(f.n, 2000, sluice_kernel_link_find_name(f.k, "vip0") != NULL);
	assert_int_equal(sluice_announce_refresh(f.a), 0);
	assert_on(f.n, "vip0", "10.96.0.1/32");
	stop(&f);
}

static void test_1000_vips(void **state)
{
	enum {
		VIPS = 1000,
	};
	struct fixture f = start(state, "lo");
	static struct sluice_address vips[VIPS];
	int64_t begin;

	for (uint32_t i = 0; i < VIPS; i++)
		vips[i] = sluice_address_from_v4(htonl(0x0a600000 + i));
	begin = test_now_ms();
	assert_int_equal(sluice_announce_set(f.a, vips, VIPS), 0);
	print_message("1000 addresses added in %d ms\n", (int)(test_now_ms() - begin));
	test_host(f.n, "test $(ip -o address show dev lo | grep -c 10.96) = %d", VIPS);
	test_run_ms(f.n, 100);
	begin = test_now_ms();
	assert_int_equal(sluice_announce_set(f.a, vips, VIPS), 0);
	print_message("... found to be there in %d ms\n", (int)(test_now_ms() - begin));
	assert_int_equal(sluice_announce_withdraw(f.a), 0);
	assert_on(f.n, "lo", "");
	stop(&f);
}

int main(void)
{
#define TEST(name)                                                                                 \
	cmocka_unit_test_setup_teardown(name, test_namespaces_setup, test_namespaces_teardown)
	const struct CMUnitTest tests[] = {
	        TEST(test_peer_reaches_vips),
	        TEST(test_set_changes_and_withdraw),
	        TEST(test_administrators_addresses_stay),
	        TEST(test_crash_leaves_nothing_stale),
	        TEST(test_refresh),
	        TEST(test_1000_vips),
	};

	test_namespaces_require();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
