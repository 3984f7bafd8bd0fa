// SPDX-License-Identifier: BSD-3-Clause

// How endpoints are reached, by forwarding mode, with a real kernel that is asked what it would
// send from.
#include <arpa/inet.h>
#include <event2/event.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "control/announce.h"
#include "control/reach.h"
#include "dataplane/port.h"
#include "tests/kernel/namespace.h"

// v0 is the port.
static void find(struct test_namespaces *n, const char *to, enum sluice_forwarding forwarding,
                 struct sluice_reach *out)
{
	struct sluice_kernel *k = sluice_kernel_new(n->base, test_changed, n);
	struct sluice_address a = test_address(to);
	struct sluice_port port = {.mtu = 1500};
	struct sluice_reacher r;

	assert_non_null(k);
	port.ifindex = (int)sluice_kernel_link_find_name(k, "v0")->ifindex;
	assert_int_equal(sluice_reacher_init(&r, k, &port, 1), 0);
	sluice_reach_find(&r, &a, forwarding, out);
	sluice_reacher_clear(&r);
	sluice_kernel_free(k);
}

// What `ip route get` says that packets come from.
static struct sluice_address kernel_source(const char *to)
{
	char command[100], line[400] = "", source[64] = "";
	const char *at;
	FILE *output;

	snprintf(command, sizeof(command), "ip route get %s 2>&1", to);
	output = popen(command, "r");
	assert_non_null(output);
	assert_non_null(fgets(line, sizeof(line), output));
	pclose(output);
	at = strstr(line, " src ");
	if (at == NULL || sscanf(at, " src %63s", source) != 1)
		fail_msg("%s: %s", command, line);
	return test_address(source);
}

static void expect_source(struct test_namespaces *n, const char *to)
{
	struct sluice_address expected = kernel_source(to);
	struct sluice_reach r;

	find(n, to, SLUICE_FORWARD_IPIP, &r);
	if (r.adjacency.state == SLUICE_ADJACENCY_NONE ||
	    !sluice_address_equal(&r.tunnel_source, &expected))
		fail_msg("%s: not the kernel's source", to);
}

static void expect_no_way(struct test_namespaces *n, const char *to,
                          enum sluice_forwarding forwarding, const char *obstacle)
{
	struct sluice_reach r;

	find(n, to, forwarding, &r);
	assert_int_equal(r.adjacency.state, SLUICE_ADJACENCY_NONE);
	assert_int_equal(r.hop.ifindex, 0);
	assert_non_null(r.obstacle);
	assert_string_equal(r.obstacle, obstacle);
}

static void expect_way(struct test_namespaces *n, const char *to, enum sluice_forwarding forwarding,
                       const char *next_hop)
{
	struct sluice_address hop = test_address(next_hop);
	struct sluice_reach r;

	find(n, to, forwarding, &r);
	assert_int_equal(r.adjacency.state, SLUICE_ADJACENCY_UNRESOLVED);
	assert_string_equal(r.obstacle, "next hop unresolved");
	assert_true(sluice_address_equal(&r.hop.address, &hop));
}

static void test_tunnels_start_where_the_kernel_would(void **state)
{
	struct test_namespaces *n = *state;

	test_host(n, "ip address add 10.0.1.1/24 dev v0");
	test_host(n, "ip address add 10.0.2.1/24 dev v0");
	test_host(n, "ip address add 2001:db8:1::1/64 dev v0 nodad");
	test_host(n, "ip address add 2001:db8:2::1/64 dev v0 nodad");
	test_host(n, "ip route add 192.0.2.0/24 via 10.0.1.9");
	test_host(n, "ip route add 192.0.3.0/24 via 10.0.2.9");
	test_host(n, "ip route add 192.0.4.0/24 dev v0 src 10.0.2.1");
	test_host(n, "ip route add 192.0.5.0/24 via 10.0.1.9 src 10.0.0.1");
	test_host(n, "ip route add 2001:db8:99::/64 via fe80::9 dev v0 src 2001:db8:2::1");
	for (const char *const *to =
	             (const char *const[]){"10.0.0.5", "10.0.1.5", "10.0.2.5", "192.0.2.1",
	                                   "192.0.3.1", "192.0.4.1", "192.0.5.1", "2001:db8::5",
	                                   "2001:db8:1::5", "2001:db8:2::5", "2001:db8:99::5",
	                                   NULL};
	     *to != NULL; to++)
		expect_source(n, *to);

	// A route that changes only where it comes from is another answer.
	test_host(n, "ip route replace 192.0.4.0/24 dev v0 src 10.0.0.1");
	expect_source(n, "192.0.4.1");
}

static void test_preferred_source_is_followed(void **state)
{
	struct test_namespaces *n = *state;
	struct sluice_address to = test_address("192.0.2.1"), from = test_address("10.0.1.1");
	struct sluice_kernel *k;
	const struct sluice_kernel_route *route;

	test_host(n, "ip address add 10.0.1.1/24 dev v0");
	test_host(n, "ip route add 192.0.2.0/24 dev v0 src 10.0.0.1");
	k = sluice_kernel_new(n->base, test_changed, n);
	assert_non_null(k);
	n->changes = 0;
	test_host(n, "ip route replace 192.0.2.0/24 dev v0 src 10.0.1.1");
	test_wait(n, 2000,
	          (route = sluice_kernel_route_lookup(k, &to)) && route->has_source &&
	                  sluice_address_equal(&route->source, &from));
	assert_true(n->changes & SLUICE_KERNEL_ROUTES);
	sluice_kernel_free(k);
}

static void announce(struct test_namespaces *n, const char *address)
{
	struct sluice_kernel *k = sluice_kernel_new(n->base, test_changed, n);
	struct sluice_address vip = test_address(address);
	struct sluice_announce *a = sluice_announce_new(k, "v0");

	assert_non_null(a);
	assert_int_equal(sluice_announce_set(a, &vip, 1), 0);
	sluice_announce_free(a);
	sluice_kernel_free(k);
}

static void test_tunnels_need_an_address_to_start_from(void **state)
{
	struct test_namespaces *n = *state;

	test_host(n, "ip address flush dev v0");
	test_host(n, "ip route add 192.0.2.0/24 dev v0");
	test_host(n, "ip route add 2001:db8:9::/64 dev v0");
	expect_no_way(n, "192.0.2.1", SLUICE_FORWARD_IPIP, "no source address");
	expect_no_way(n, "192.0.2.1", SLUICE_FORWARD_GUE, "no source address");
	expect_no_way(n, "2001:db8:9::1", SLUICE_FORWARD_GUE, "no source address");
	expect_way(n, "192.0.2.1", SLUICE_FORWARD_NAT, "192.0.2.1");
	expect_way(n, "192.0.2.1", SLUICE_FORWARD_L2DSR, "192.0.2.1");

	// An address of the link alone is none for elsewhere, and a virtual one none of the host's.
	test_host(n, "ip address add 169.254.7.7/16 dev v0 scope link");
	announce(n, "192.0.2.77");
	expect_no_way(n, "192.0.2.1", SLUICE_FORWARD_IPIP, "no source address");
}

static void test_l2dsr_needs_the_endpoint_on_a_link(void **state)
{
	struct test_namespaces *n = *state;

	test_host(n, "ip route add 192.0.2.0/24 via 10.0.0.9");
	test_host(n, "ip route add 2001:db8:9::/64 via 2001:db8::9");
	expect_no_way(n, "192.0.2.1", SLUICE_FORWARD_L2DSR, "not on a link");
	expect_no_way(n, "2001:db8:9::1", SLUICE_FORWARD_L2DSR, "not on a link");
	expect_no_way(n, "198.51.100.1", SLUICE_FORWARD_L2DSR, "no route over a port");
	expect_way(n, "10.0.0.9", SLUICE_FORWARD_L2DSR, "10.0.0.9");
	expect_way(n, "192.0.2.1", SLUICE_FORWARD_NAT, "10.0.0.9");
	expect_way(n, "192.0.2.1", SLUICE_FORWARD_GUE, "10.0.0.9");
	expect_way(n, "2001:db8:9::1", SLUICE_FORWARD_IPIP, "2001:db8::9");
}

static void test_resolved_is_no_obstacle(void **state)
{
	struct test_namespaces *n = *state;
	struct sluice_reach r;

	test_host(n, "ip neighbour add 10.0.0.5 lladdr 02:00:00:00:00:05 dev v0");
	for (unsigned mode = SLUICE_FORWARD_NAT; mode < SLUICE_FORWARD_COUNT; mode++) {
		find(n, "10.0.0.5", mode, &r);
		assert_null(r.obstacle);
		assert_int_equal(r.adjacency.state, SLUICE_ADJACENCY_READY);
	}
}

int main(void)
{
#define TEST(name)                                                                                 \
	cmocka_unit_test_setup_teardown(name, test_namespaces_setup, test_namespaces_teardown)
	const struct CMUnitTest tests[] = {
	        TEST(test_tunnels_start_where_the_kernel_would),
	        TEST(test_preferred_source_is_followed),
	        TEST(test_tunnels_need_an_address_to_start_from),
	        TEST(test_l2dsr_needs_the_endpoint_on_a_link),
	        TEST(test_resolved_is_no_obstacle),
	};

	test_namespaces_require();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
