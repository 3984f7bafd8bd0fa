// SPDX-License-Identifier: BSD-3-Clause

// The routes of the kernel mirror against a real kernel, which is asked for its own opinion.
#include <arpa/inet.h>
#include <event2/event.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "control/kernel_private.h"
#include "tests/kernel/namespace.h"
#include "tests/unit/random.h"

static const char *text_of(const struct sluice_address *a, char *text)
{
	unsigned len;
	const uint8_t *wire = sluice_address_wire(a, &len);

	return inet_ntop(len == 4 ? AF_INET : AF_INET6, wire, text, INET6_ADDRSTRLEN);
}

// "PREFIX/LENGTH via GATEWAY dev LINK", with "none" for no route and "reject" for one that
// rejects.
static const char *answer(const struct sluice_kernel *k, const char *to)
{
	static char line[200];
	char prefix[INET6_ADDRSTRLEN];
	char gateway[INET6_ADDRSTRLEN];
	struct sluice_address a = test_address(to);
	const struct sluice_kernel_route *route = sluice_kernel_route_lookup(k, &a);
	const struct sluice_kernel_next_hop *hop;

	if (route == NULL)
		return "none";
	hop = sluice_kernel_route_next_hop(k, route);
	if (hop == NULL)
		snprintf(line, sizeof(line), "%s/%d reject", text_of(&route->prefix, prefix),
		         route->prefix_length);
	else
		snprintf(line, sizeof(line), "%s/%d %s%s%s", text_of(&route->prefix, prefix),
		         route->prefix_length, hop->has_gateway ? "via " : "",
		         hop->has_gateway ? text_of(&hop->gateway, gateway) : "",
		         hop->has_gateway ? "" : "on link");
	return line;
}

static bool is(const struct sluice_kernel *k, const char *to, const char *expected)
{
	return strcmp(answer(k, to), expected) == 0;
}

// Commands, each with what a lookup answers after it.
struct step {
	const char *command;
	const char *to;
	const char *expected;
};

// Checks after each step, and that the loop was told; at the end that a mirror made now, which
// knows no history, answers the same.
static void run_steps(struct test_namespaces *n, const struct step *steps, size_t count)
{
	struct sluice_kernel *k = sluice_kernel_new(n->base, test_changed, n);
	struct sluice_kernel *fresh;

	assert_non_null(k);
	for (size_t i = 0; i < count; i++) {
		int64_t end = test_now_ms() + 2000;

		n->changes = 0;
		test_host(n, "%s", steps[i].command);
		while (!is(k, steps[i].to, steps[i].expected) && test_now_ms() < end)
			test_run_ms(n, 5);
		if (!is(k, steps[i].to, steps[i].expected))
			fail_msg("%s: %s answers %s, not %s", steps[i].command, steps[i].to,
			         answer(k, steps[i].to), steps[i].expected);
		test_run_ms(n, 20);
		assert_string_equal(answer(k, steps[i].to), steps[i].expected);
		if (strcmp(steps[i].command, "true") != 0 &&
		    !(n->changes & (SLUICE_KERNEL_ROUTES | SLUICE_KERNEL_LINKS)))
			fail_msg("%s: nobody was told", steps[i].command);

		fresh = sluice_kernel_new(n->base, test_changed, n);
		assert_non_null(fresh);
		assert_string_equal(answer(fresh, steps[i].to), steps[i].expected);
		assert_int_equal(sluice_kernel_route_count(fresh), sluice_kernel_route_count(k));
		sluice_kernel_free(fresh);
	}
	sluice_kernel_free(k);
}

#define RUN(n, ...)                                                                                \
	do {                                                                                       \
		static const struct step steps_[] = {__VA_ARGS__};                                 \
		run_steps((n), steps_, sizeof(steps_) / sizeof(steps_[0]));                        \
	} while (0)

static void test_routes_v4(void **state)
{
	RUN(*state, {"true", "10.0.0.7", "10.0.0.0/24 on link"}, {"true", "192.0.2.1", "none"},
	    {"ip route add default via 10.0.0.2", "192.0.2.1", "0.0.0.0/0 via 10.0.0.2"},
	    {"ip route add 192.0.2.0/24 via 10.0.0.3", "192.0.2.1", "192.0.2.0/24 via 10.0.0.3"},
	    {"true", "192.0.3.1", "0.0.0.0/0 via 10.0.0.2"},
	    {"ip route replace 192.0.2.0/24 via 10.0.0.4", "192.0.2.1",
	     "192.0.2.0/24 via 10.0.0.4"},
	    {"ip route add 192.0.2.1 dev v0", "192.0.2.1", "192.0.2.1/32 on link"},
	    {"ip route add blackhole 192.0.2.128/25", "192.0.2.130", "192.0.2.128/25 reject"},
	    {"ip route add unreachable 192.0.4.0/25", "192.0.4.0", "192.0.4.0/25 reject"},
	    {"ip route add prohibit 192.0.5.0/25", "192.0.5.0", "192.0.5.0/25 reject"},
	    {"ip route replace 192.0.5.0/25 via 10.0.0.9", "192.0.5.0",
	     "192.0.5.0/25 via 10.0.0.9"},
	    {"ip route delete blackhole 192.0.2.128/25", "192.0.2.130",
	     "192.0.2.0/24 via 10.0.0.4"},
	    {"ip route delete 192.0.2.1", "192.0.2.1", "192.0.2.0/24 via 10.0.0.4"},
	    {"ip route delete 192.0.2.0/24", "192.0.2.1", "0.0.0.0/0 via 10.0.0.2"},
	    {"ip route delete default", "192.0.2.1", "none"});
}

static void test_metrics_v4(void **state)
{
	RUN(*state,
	    {"ip route add 192.0.2.0/24 via 10.0.0.3 metric 100", "192.0.2.1",
	     "192.0.2.0/24 via 10.0.0.3"},
	    {"ip route add 192.0.2.0/24 via 10.0.0.4 metric 200", "192.0.2.1",
	     "192.0.2.0/24 via 10.0.0.3"},
	    {"ip route add 192.0.2.0/24 via 10.0.0.5 metric 50", "192.0.2.1",
	     "192.0.2.0/24 via 10.0.0.5"},
	    {"ip route delete 192.0.2.0/24 metric 50", "192.0.2.1", "192.0.2.0/24 via 10.0.0.3"},
	    {"ip route delete 192.0.2.0/24 metric 100", "192.0.2.1", "192.0.2.0/24 via 10.0.0.4"},
	    {"ip route delete 192.0.2.0/24 metric 200", "192.0.2.1", "none"});
}

// Several kernel routes of one prefix and metric: the kernel takes the first.
static void test_appended_and_prepended_v4(void **state)
{
	RUN(*state,
	    {"ip route add 192.0.2.0/24 via 10.0.0.3", "192.0.2.1", "192.0.2.0/24 via 10.0.0.3"},
	    {"ip route append 192.0.2.0/24 via 10.0.0.4", "192.0.2.1", "192.0.2.0/24 via 10.0.0.3"},
	    {"ip route prepend 192.0.2.0/24 via 10.0.0.5", "192.0.2.1",
	     "192.0.2.0/24 via 10.0.0.5"},
	    {"ip route delete 192.0.2.0/24 via 10.0.0.5", "192.0.2.1", "192.0.2.0/24 via 10.0.0.3"},
	    {"ip route replace 192.0.2.0/24 via 10.0.0.6", "192.0.2.1",
	     "192.0.2.0/24 via 10.0.0.6"},
	    {"ip route delete 192.0.2.0/24 via 10.0.0.6", "192.0.2.1", "192.0.2.0/24 via 10.0.0.4"},
	    {"ip route delete 192.0.2.0/24", "192.0.2.1", "none"});
}

static void test_multipath(void **state)
{
	struct test_namespaces *n = *state;

	test_host(n, "ip link add w0 type veth peer name w1 && ip link set w0 up && "
	             "ip link set w1 up && ip address add 10.1.0.1/24 dev w0");
	RUN(n,
	    {"ip route add 192.0.2.0/24 nexthop via 10.1.0.2 nexthop via 10.0.0.3 weight 3",
	     "192.0.2.1", "192.0.2.0/24 via 10.1.0.2"},
	    {"ip link set w1 down", "192.0.2.1", "192.0.2.0/24 via 10.0.0.3"}, // no carrier
	    {"ip link set w1 up", "192.0.2.1", "192.0.2.0/24 via 10.1.0.2"},
	    {"ip link set w0 down", "192.0.2.1", "192.0.2.0/24 via 10.0.0.3"}, // dead, not notified
	    {"ip link set w0 up", "192.0.2.1", "192.0.2.0/24 via 10.1.0.2"},
	    {"ip route delete 192.0.2.0/24", "192.0.2.1", "none"});
}

// The kernel says nothing about IPv4 routes that go with a link or an address.
static void test_routes_that_go_silently(void **state)
{
	struct test_namespaces *n = *state;

	test_host(n, "ip address add 10.3.0.1/24 dev v0");
	RUN(n, {"ip route add 192.0.2.0/24 via 10.0.0.3", "192.0.2.1", "192.0.2.0/24 via 10.0.0.3"},
	    {"ip route add 192.0.3.0/24 via 10.0.0.3 src 10.3.0.1", "192.0.3.1",
	     "192.0.3.0/24 via 10.0.0.3"},
	    {"ip address delete 10.3.0.1/24 dev v0", "192.0.3.1", "none"},
	    {"ip link set v0 down", "192.0.2.1", "none"},
	    {"ip link set v0 up", "10.0.0.9", "10.0.0.0/24 on link"},
	    {"ip route add 192.0.2.0/24 via 10.0.0.3", "192.0.2.1", "192.0.2.0/24 via 10.0.0.3"},
	    {"ip link delete v0", "192.0.2.1", "none"}, {"true", "2001:db8::7", "none"});
}

static void test_routes_v6(void **state)
{
	RUN(*state, {"true", "2001:db8::7", "2001:db8::/64 on link"},
	    {"ip route add default via fe80::99 dev v0", "2001:db9::1", "::/0 via fe80::99"},
	    {"ip route add 2001:db9::/48 via 2001:db8::3", "2001:db9::1",
	     "2001:db9::/48 via 2001:db8::3"},
	    {"ip route replace 2001:db9::/48 via 2001:db8::4", "2001:db9::1",
	     "2001:db9::/48 via 2001:db8::4"},
	    {"ip route add 2001:db9::/48 via 2001:db8::5 metric 10", "2001:db9::1",
	     "2001:db9::/48 via 2001:db8::5"},
	    {"ip route delete 2001:db9::/48 metric 10", "2001:db9::1",
	     "2001:db9::/48 via 2001:db8::4"},
	    {"ip route add blackhole 2001:db9::/56", "2001:db9::1", "2001:db9::/56 reject"},
	    {"ip route add unreachable ::ffff:0:0/96 && ip route delete 2001:db9::/56",
	     "2001:db9::1", "2001:db9::/48 via 2001:db8::4"},
	    {"true", "192.0.2.1", "none"}, {"true", "fe80::1", "::/0 via fe80::99"},
	    {"ip route delete 2001:db9::/48", "2001:db9::1", "::/0 via fe80::99"},
	    {"ip -6 route delete default", "2001:db9::1", "none"},
	    {"ip link set v0 down", "2001:db8::7", "none"});
}

static void test_multipath_v6(void **state)
{
	RUN(*state,
	    {"ip route add 2001:db9::/48 nexthop via 2001:db8::3 nexthop via 2001:db8::4",
	     "2001:db9::1", "2001:db9::/48 via 2001:db8::3"},
	    {"ip route append 2001:db9::/48 via 2001:db8::5", "2001:db9::1",
	     "2001:db9::/48 via 2001:db8::3"},
	    {"ip route delete 2001:db9::/48 via 2001:db8::3", "2001:db9::1",
	     "2001:db9::/48 via 2001:db8::4"},
	    {"ip route delete 2001:db9::/48 via 2001:db8::4", "2001:db9::1",
	     "2001:db9::/48 via 2001:db8::5"},
	    {"ip route replace 2001:db9::/48 nexthop via 2001:db8::6 nexthop via 2001:db8::7",
	     "2001:db9::1", "2001:db9::/48 via 2001:db8::6"},
	    {"ip route delete 2001:db9::/48 nexthop via 2001:db8::6 nexthop via 2001:db8::7",
	     "2001:db9::1", "none"});
}

static void test_v4_over_a_v6_gateway(void **state)
{
	RUN(*state, {"ip route add 192.0.2.0/24 via inet6 2001:db8::3", "192.0.2.1",
	             "192.0.2.0/24 via 2001:db8::3"});
}

static void test_next_hop_objects(void **state)
{
	RUN(*state,
	    {"ip nexthop add id 1 via 10.0.0.3 dev v0 && ip nexthop add id 2 via 10.0.0.4 dev v0 "
	     "&& "
	     "ip route add 192.0.2.0/24 nhid 1",
	     "192.0.2.1", "192.0.2.0/24 via 10.0.0.3"},
	    {"ip nexthop replace id 1 via 10.0.0.5 dev v0", "192.0.2.1",
	     "192.0.2.0/24 via 10.0.0.5"},
	    {"ip nexthop add id 3 group 2/1 && ip route replace 192.0.2.0/24 nhid 3", "192.0.2.1",
	     "192.0.2.0/24 via 10.0.0.4"},
	    {"ip nexthop replace id 3 group 1/2", "192.0.2.1", "192.0.2.0/24 via 10.0.0.5"},
	    {"ip nexthop add id 4 blackhole && ip route replace 192.0.2.0/24 nhid 4", "192.0.2.1",
	     "192.0.2.0/24 reject"},
	    {"ip nexthop delete id 4", "192.0.2.1", "none"}); // silently for the route
}

// Routes that name the object and no more.
static void test_next_hop_objects_alone(void **state)
{
	struct test_namespaces *n = *state;

	test_host(n, "sysctl -qw net.ipv4.nexthop_compat_mode=0");
	RUN(n,
	    {"ip nexthop add id 1 via 10.0.0.3 dev v0 && ip nexthop add id 2 via 10.0.0.4 dev v0 "
	     "&& "
	     "ip route add 192.0.2.0/24 nhid 1",
	     "192.0.2.1", "192.0.2.0/24 via 10.0.0.3"},
	    {"ip nexthop replace id 1 via 10.0.0.5 dev v0", "192.0.2.1",
	     "192.0.2.0/24 via 10.0.0.5"},
	    {"ip nexthop add id 3 group 2/1 && ip route replace 192.0.2.0/24 nhid 3", "192.0.2.1",
	     "192.0.2.0/24 via 10.0.0.4"},
	    {"ip nexthop add id 7 via 2001:db8::9 dev v0 && ip route add 2001:db9::/48 nhid 7",
	     "2001:db9::1", "2001:db9::/48 via 2001:db8::9"},
	    {"ip nexthop delete id 3", "192.0.2.1", "none"});
}

// main, then default; "throw" passes a prefix on.
static void test_tables(void **state)
{
	RUN(*state,
	    {"ip route add 192.0.2.0/24 via 10.0.0.3 table default", "192.0.2.1",
	     "192.0.2.0/24 via 10.0.0.3"},
	    {"ip route add 192.0.0.0/16 via 10.0.0.4", "192.0.2.1", "192.0.0.0/16 via 10.0.0.4"},
	    {"ip route add throw 192.0.2.0/25", "192.0.2.1", "192.0.2.0/24 via 10.0.0.3"},
	    {"ip route delete 192.0.2.0/24 table default", "192.0.2.1", "none"},
	    {"true", "192.0.2.200", "192.0.0.0/16 via 10.0.0.4"});

	struct test_namespaces *n = *state;
	struct sluice_kernel *k;

	test_host(n, "ip route add 192.0.2.9 via 10.0.0.9 table 77 && "
	             "ip rule add to 192.0.2.0/24 table 77");
	k = sluice_kernel_new(n->base, test_changed, n);
	assert_true(k->rules_reported);
	assert_true(is(k, "192.0.2.9", "none"));
	sluice_kernel_free(k);
}

// --- many routes: against the kernel, and what is visited against lookups

struct visited {
	size_t count;
	struct sluice_kernel_route routes[12000];
};

static void collect(void *context, const struct sluice_kernel_route *route)
{
	struct visited *v = context;

	assert_true(v->count < 12000);
	v->routes[v->count++] = *route;
}

static bool covers(const struct sluice_kernel_route *route, const struct sluice_address *a)
{
	bool v4 = sluice_address_family(&route->prefix) == SLUICE_IPV4;
	unsigned bits = route->prefix_length + (v4 ? 96U : 0U);

	for (unsigned i = 0; i < bits; i++) {
		unsigned mask = 0x80U >> (i % 8);

		if ((route->prefix.bytes[i / 8] & mask) != (a->bytes[i / 8] & mask))
			return false;
	}
	return true;
}

// Longest prefix match the slow way, over what was visited.
static const struct sluice_kernel_route *oracle(const struct visited *v,
                                                const struct sluice_address *a)
{
	const struct sluice_kernel_route *best = NULL;

	for (size_t i = 0; i < v->count; i++)
		if (covers(&v->routes[i], a) &&
		    (best == NULL || v->routes[i].prefix_length > best->prefix_length))
			best = &v->routes[i];
	return best;
}

// "10.0.0.7" or "none", as the kernel routes it.
static void kernel_says(const char *to, char *gateway, size_t size)
{
	char command[120];
	char line[400] = "";
	const char *via;
	FILE *output;

	snprintf(command, sizeof(command), "ip route get %s 2>&1", to);
	output = popen(command, "r"); // as people call it
	assert_non_null(output);
	assert_non_null(fgets(line, sizeof(line), output));
	pclose(output);
	via = strstr(line, "via ");
	snprintf(gateway, size, "none");
	if (via != NULL)
		sscanf(via, "via %63s", gateway);
}

static void compare_with_kernel(const struct sluice_kernel *k)
{
	uint64_t seed = 2;

	for (int i = 0; i < 150; i++) {
		char to[32];
		char expected[64];
		char got[INET6_ADDRSTRLEN] = "none";
		struct sluice_kernel_hop hop;
		struct sluice_address a;

		snprintf(to, sizeof(to), "20.%u.%u.%u", random_below(&seed, 48),
		         random_below(&seed, 256), random_below(&seed, 256));
		a = test_address(to);
		if (sluice_kernel_hop_find(k, &a, &hop) == 0)
			text_of(&hop.address, got);
		kernel_says(to, expected, sizeof(expected));
		if (strcmp(expected, got) != 0)
			fail_msg("%s: the kernel says %s, the mirror %s", to, expected, got);
	}
}

static void compare_with_oracle(const struct sluice_kernel *k, const struct visited *v)
{
	uint64_t seed = 3;

	for (int i = 0; i < 500; i++) {
		struct sluice_address a = sluice_address_from_v4(htonl(
		        20U << 24 | random_below(&seed, 48) << 16 | random_below(&seed, 65536)));
		const struct sluice_kernel_route *expected = oracle(v, &a);
		const struct sluice_kernel_route *got = sluice_kernel_route_lookup(k, &a);

		if (expected == NULL || got == NULL) {
			assert_ptr_equal(expected, got);
		} else if (got->type == SLUICE_KERNEL_ROUTE_UNICAST) {
			assert_ptr_equal(got->next_hops, expected->next_hops);
		} else {
			assert_int_equal(expected->type, got->type);
		}
	}
}

static void make_routes(struct test_namespaces *n)
{
	char path[] = "/tmp/sluice-test-routes.XXXXXX";
	uint64_t seed = 1;
	int fd = mkstemp(path);
	FILE *batch = fdopen(fd, "w");

	assert_non_null(batch);
	for (int i = 0; i < 10000; i++) {
		static const char *const kinds[] = {"", "", "", "", "", "blackhole "};
		unsigned length = 17 + random_below(&seed, 16);
		uint32_t prefix = 20U << 24 | (uint32_t)i % 40 << 16 | random_below(&seed, 65536);
		const char *kind = kinds[random_below(&seed, 6)];

		prefix &= ~0U << (32 - length);
		fprintf(batch, "route replace %s%u.%u.%u.%u/%u", kind, prefix >> 24,
		        prefix >> 16 & 255, prefix >> 8 & 255, prefix & 255, length);
		if (kind[0] == '\0')
			fprintf(batch, " via 10.0.0.%u", 2 + random_below(&seed, 250));
		fprintf(batch, " metric %u\n", 1 + random_below(&seed, 2));
	}
	fclose(batch);
	test_host(n,
	          "ip -batch %s && ip route replace throw 20.3.128.0/17 metric 1 && "
	          "ip route add 20.3.0.0/16 via 10.0.0.77 table default && "
	          "ip route add 20.44.0.0/16 via 10.0.0.78 table default; "
	          "rc=$?; rm %s; exit $rc",
	          path, path);
}

static void test_10000_routes(void **state)
{
	struct test_namespaces *n = *state;
	static struct visited v;
	struct sluice_kernel *live = sluice_kernel_new(n->base, test_changed, n);
	struct sluice_kernel *k;
	struct sluice_address a;
	size_t found = 0;
	int64_t start;

	make_routes(n);
	start = test_now_ms();
	k = sluice_kernel_new(n->base, test_changed, n);
	assert_non_null(k);
	print_message("%zu routes read in %d ms\n", sluice_kernel_route_count(k),
	              (int)(test_now_ms() - start));
	start = test_now_ms();
	test_wait(n, 3000, sluice_kernel_route_count(live) == sluice_kernel_route_count(k));
	print_message("10,000 notifications read in %d ms\n", (int)(test_now_ms() - start));

	sluice_kernel_routes_visit(k, collect, &v);
	compare_with_oracle(k, &v);
	compare_with_kernel(k);
	compare_with_kernel(live);

	start = test_now_ms();
	for (uint32_t i = 0; i < 100000; i++) {
		a = sluice_address_from_v4(htonl(20U << 24 | (i * 2654435761U & 0x2fffff)));
		found += sluice_kernel_route_lookup(k, &a) != NULL;
	}
	print_message("100,000 lookups (%zu found) in %d ms\n", found,
	              (int)(test_now_ms() - start));
	sluice_kernel_free(k);
	sluice_kernel_free(live);
}

int main(void)
{
#define TEST(name)                                                                                 \
	cmocka_unit_test_setup_teardown(name, test_namespaces_setup, test_namespaces_teardown)
	const struct CMUnitTest tests[] = {
	        TEST(test_routes_v4),
	        TEST(test_metrics_v4),
	        TEST(test_appended_and_prepended_v4),
	        TEST(test_multipath),
	        TEST(test_routes_that_go_silently),
	        TEST(test_routes_v6),
	        TEST(test_multipath_v6),
	        TEST(test_v4_over_a_v6_gateway),
	        TEST(test_next_hop_objects),
	        TEST(test_next_hop_objects_alone),
	        TEST(test_tables),
	        TEST(test_10000_routes),
	};

	test_namespaces_require();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
