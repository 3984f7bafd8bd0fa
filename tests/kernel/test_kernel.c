// SPDX-License-Identifier: BSD-3-Clause

// The kernel mirror against a real kernel: links, addresses, neighbours, next hops in use, lost
// messages. Routes: test_kernel_route.c.
#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <linux/if.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "control/kernel_private.h"
#include "sluice/log.h"
#include "tests/kernel/namespace.h"

static struct sluice_kernel *mirror(struct test_namespaces *n)
{
	struct sluice_kernel *k = sluice_kernel_new(n->base, test_changed, n);

	assert_non_null(k);
	return k;
}

static uint32_t ifindex(const struct sluice_kernel *k, const char *name)
{
	const struct sluice_kernel_link *link = sluice_kernel_link_find_name(k, name);

	return link == NULL ? 0 : link->ifindex;
}

static const struct sluice_kernel_neighbour *neighbour(const struct sluice_kernel *k,
                                                       const char *text)
{
	struct sluice_address a = test_address(text);

	return sluice_kernel_neighbour_find(k, ifindex(k, "v0"), &a);
}

static bool usable(const struct sluice_kernel *k, const char *text, const char *mac)
{
	const struct sluice_kernel_neighbour *n = neighbour(k, text);
	char shown[18];

	if (n == NULL || !n->usable)
		return false;
	snprintf(shown, sizeof(shown), "%02x:%02x:%02x:%02x:%02x:%02x", n->mac[0], n->mac[1],
	         n->mac[2], n->mac[3], n->mac[4], n->mac[5]);
	return mac == NULL || strcmp(mac, shown) == 0;
}

static const struct sluice_kernel_address *host_address(const struct sluice_kernel *k,
                                                        const char *text)
{
	struct sluice_address a = test_address(text);

	return sluice_kernel_address_find(k, ifindex(k, "v0"), &a);
}

static void test_links_follow(void **state)
{
	struct test_namespaces *n = *state;
	struct sluice_kernel *k = mirror(n);
	const struct sluice_kernel_link *link = sluice_kernel_link_find_name(k, "v0");

	assert_non_null(link);
	assert_true(link->up && link->running && !link->loopback);
	assert_int_equal(link->mtu, 1500);
	assert_true(sluice_kernel_link_find_name(k, "lo")->loopback);

	test_host(n, "ip link set v0 mtu 1400");
	test_wait(n, 2000, sluice_kernel_link_find_name(k, "v0")->mtu == 1400);
	assert_true(n->changes & SLUICE_KERNEL_LINKS);
	test_host(n, "ip link set v0 address 02:00:00:00:00:aa");
	test_wait(n, 2000, sluice_kernel_link_find_name(k, "v0")->mac[5] == 0xaa);
	test_peer(n, "ip link set v1 down");
	test_wait(n, 2000, !sluice_kernel_link_find_name(k, "v0")->running);
	assert_true(sluice_kernel_link_find_name(k, "v0")->up);
	test_peer(n, "ip link set v1 up");
	test_wait(n, 2000, sluice_kernel_link_find_name(k, "v0")->running);
	test_host(n, "ip link set v0 down");
	test_wait(n, 2000, !sluice_kernel_link_find_name(k, "v0")->up);
	sluice_kernel_free(k);
}

// As the kernel describes an interface that `ip link add link v0 name v0.20 type vlan id 20` makes;
// not every kernel that tests run on has the module.
static struct nl_msg *vlan_message(uint32_t parent, uint16_t protocol, uint16_t id)
{
	struct ifinfomsg header = {.ifi_index = 77, .ifi_flags = IFF_UP | IFF_RUNNING};
	struct nl_msg *m = nlmsg_alloc_simple(RTM_NEWLINK, 0);
	struct nlattr *info, *data;

	assert_non_null(m);
	assert_int_equal(nlmsg_append(m, &header, sizeof(header), NLMSG_ALIGNTO), 0);
	nla_put_string(m, IFLA_IFNAME, "v0.20");
	nla_put_u32(m, IFLA_MTU, 1496);
	nla_put(m, IFLA_ADDRESS, 6, "\2\0\0\0\0\7");
	nla_put_u32(m, IFLA_LINK, parent);
	info = nla_nest_start(m, IFLA_LINKINFO);
	nla_put_string(m, IFLA_INFO_KIND, "vlan");
	data = nla_nest_start(m, IFLA_INFO_DATA);
	nla_put_u16(m, IFLA_VLAN_ID, id);
	nla_put_u16(m, IFLA_VLAN_PROTOCOL, htons(protocol));
	nla_nest_end(m, data);
	nla_nest_end(m, info);
	return m;
}

static void test_vlan_interface_names_its_parent(void **state)
{
	struct test_namespaces *n = *state;
	struct sluice_kernel *k = mirror(n);
	const struct sluice_kernel_link *link;
	struct nl_msg *m;

	assert_int_equal(sluice_kernel_link_find_name(k, "v0")->vlan, 0);
	m = vlan_message(ifindex(k, "v0"), 0x8100, 20);
	sluice_kernel_link_message(k, nlmsg_hdr(m));
	nlmsg_free(m);
	link = sluice_kernel_link_find_name(k, "v0.20");
	assert_non_null(link);
	assert_int_equal(link->vlan, 20);
	assert_int_equal(link->parent, ifindex(k, "v0"));
	assert_int_equal(link->mtu, 1496);

	m = vlan_message(ifindex(k, "v0"), 0x88a8, 20);
	sluice_kernel_link_message(k, nlmsg_hdr(m));
	nlmsg_free(m);
	assert_int_equal(sluice_kernel_link_find_name(k, "v0.20")->vlan, 0);
	sluice_kernel_free(k);
}

static void test_link_renamed_and_recreated(void **state)
{
	struct test_namespaces *n = *state;
	struct sluice_kernel *k = mirror(n);
	uint32_t before = ifindex(k, "v0");

	test_host(n, "ip link set v0 down && ip link set v0 name eth9");
	test_wait(n, 2000, ifindex(k, "eth9") == before && ifindex(k, "v0") == 0);
	test_host(n, "ip link delete eth9");
	test_wait(n, 2000, ifindex(k, "eth9") == 0);
	assert_null(sluice_kernel_link_find(k, before));

	struct sluice_address own = test_address("10.0.0.1");

	assert_null(sluice_kernel_address_find(k, 0, &own));
	n->changes = 0;
	test_host(n, "ip link add v0 type veth peer name v2 && ip link set v0 up && "
	             "ip address add 10.0.0.1/24 dev v0");
	test_wait(n, 2000, ifindex(k, "v0") != 0 && host_address(k, "10.0.0.1") != NULL);
	assert_int_not_equal(ifindex(k, "v0"), before);
	assert_true(n->changes & SLUICE_KERNEL_LINKS);
	assert_true(n->changes & SLUICE_KERNEL_ADDRESSES);
	sluice_kernel_free(k);
}

static void test_addresses_follow(void **state)
{
	struct test_namespaces *n = *state;
	struct sluice_kernel *k = mirror(n);

	assert_int_equal(host_address(k, "10.0.0.1")->prefix_length, 24);
	assert_int_equal(host_address(k, "2001:db8::1")->prefix_length, 64);
	assert_false(host_address(k, "10.0.0.1")->announced);
	test_host(n, "ip address add 10.7.0.1 peer 10.8.0.1/32 dev v0");
	test_wait(n, 2000, host_address(k, "10.7.0.1") != NULL);
	assert_null(host_address(k, "10.8.0.1"));
	assert_true(n->changes & SLUICE_KERNEL_ADDRESSES);
	test_host(n, "ip address delete 10.7.0.1 peer 10.8.0.1/32 dev v0");
	test_wait(n, 2000, host_address(k, "10.7.0.1") == NULL);
	test_host(n, "ip address add 2001:db8:1::1/128 dev v0");
	test_wait(n, 4000,
	          host_address(k, "2001:db8:1::1") && !host_address(k, "2001:db8:1::1")->tentative);
	sluice_kernel_free(k);
}

// What does not matter to a packet is not a change: a state that moves on with the same MAC.
static void test_neighbour_changes_that_matter(void **state)
{
	struct test_namespaces *n = *state;
	struct sluice_kernel *k = mirror(n);

	test_host(n, "ip neighbour add 10.0.0.9 lladdr 02:00:00:00:00:09 dev v0 nud reachable");
	test_wait(n, 2000, usable(k, "10.0.0.9", "02:00:00:00:00:09"));
	test_run_ms(n, 50);
	n->changes = 0;
	test_host(n, "ip neighbour change 10.0.0.9 lladdr 02:00:00:00:00:09 dev v0 nud stale");
	test_run_ms(n, 100);
	assert_int_equal(n->changes, 0);
	test_host(n, "ip neighbour change 10.0.0.9 lladdr 02:00:00:00:00:0a dev v0 nud stale");
	test_wait(n, 2000, usable(k, "10.0.0.9", "02:00:00:00:00:0a"));
	assert_int_equal(n->changes, SLUICE_KERNEL_NEIGHBOURS);
	n->changes = 0;
	test_host(n, "ip neighbour delete 10.0.0.9 dev v0");
	test_wait(n, 2000, n->changes == SLUICE_KERNEL_NEIGHBOURS);
	assert_false(usable(k, "10.0.0.9", NULL));
	n->changes = 0;
	test_host(n, "ip neighbour add 2001:db8::9 lladdr 02:00:00:00:00:09 dev v0 nud permanent");
	test_wait(n, 2000, usable(k, "2001:db8::9", "02:00:00:00:00:09"));
	assert_int_equal(n->changes, SLUICE_KERNEL_NEIGHBOURS);
	sluice_kernel_free(k);
}

static void test_resolve_asks(void **state)
{
	struct test_namespaces *n = *state;
	struct sluice_kernel *k = mirror(n);
	struct sluice_address v4 = test_address("10.0.0.2");
	struct sluice_address v6 = test_address("2001:db8::2");
	struct sluice_address nobody = test_address("10.0.0.77");

	assert_null(neighbour(k, "10.0.0.2"));
	assert_int_equal(sluice_kernel_resolve(k, ifindex(k, "v0"), &v4), 0);
	assert_int_equal(sluice_kernel_resolve(k, ifindex(k, "v0"), &v6), 0);
	assert_int_equal(sluice_kernel_resolve(k, ifindex(k, "v0"), &nobody), 0);
	test_wait(n, 2000, usable(k, "10.0.0.2", NULL) && usable(k, "2001:db8::2", NULL));
	test_wait(n, 5000, neighbour(k, "10.0.0.77") && neighbour(k, "10.0.0.77")->failed);
	sluice_kernel_free(k);
}

static void watch(struct sluice_kernel *k, const char *first, const char *second)
{
	struct sluice_kernel_hop hops[] = {
	        {.address = test_address(first), .ifindex = ifindex(k, "v0")},
	        {.address = test_address(second), .ifindex = ifindex(k, "v0")},
	        {.address = test_address(first), .ifindex = ifindex(k, "v0")},
	};

	assert_int_equal(sluice_kernel_watch_next_hops(k, hops, 3), 0);
	assert_int_equal(k->watched_count, 2);
}

// A next hop that announces its new MAC is followed at once, one that does not within seven.
static void test_next_hop_changes_its_mac(void **state)
{
	struct test_namespaces *n = *state;
	struct sluice_kernel *k = mirror(n);
	int64_t start;

	watch(k, "10.0.0.2", "2001:db8::2");
	test_wait(n, 2000, usable(k, "10.0.0.2", NULL) && usable(k, "2001:db8::2", NULL));

	test_peer(n, "sysctl -qw net.ipv4.conf.v1.arp_notify=1 net.ipv6.conf.v1.ndisc_notify=1 && "
	             "ip link set v1 address 02:00:00:00:00:b1");
	test_wait(n, 500,
	          usable(k, "10.0.0.2", "02:00:00:00:00:b1") &&
	                  usable(k, "2001:db8::2", "02:00:00:00:00:b1"));

	test_peer(n, "sysctl -qw net.ipv4.conf.v1.arp_notify=0 net.ipv6.conf.v1.ndisc_notify=0 && "
	             "ip link set v1 address 02:00:00:00:00:b2");
	start = test_now_ms();
	test_wait(n, 7000,
	          usable(k, "10.0.0.2", "02:00:00:00:00:b2") &&
	                  usable(k, "2001:db8::2", "02:00:00:00:00:b2"));
	print_message("silent change of MAC seen after %d ms\n", (int)(test_now_ms() - start));
	sluice_kernel_free(k);
}

// A next hop that is not there is asked for again until it is.
static void test_next_hop_comes_late(void **state)
{
	struct test_namespaces *n = *state;
	struct sluice_kernel *k = mirror(n);

	watch(k, "10.0.0.3", "2001:db8::3");
	n->changes = 0;
	test_wait(n, 6000, neighbour(k, "10.0.0.3") && neighbour(k, "10.0.0.3")->failed);
	test_wait(n, 6000, n->changes == SLUICE_KERNEL_NEIGHBOURS); // who waits for it may give up
	n->changes = 0;
	test_run_ms(n, 3000);
	assert_true(neighbour(k, "10.0.0.3")->failed); // while the kernel is asking too
	assert_int_equal(n->changes & SLUICE_KERNEL_NEIGHBOURS, 0);
	test_peer(
	        n,
	        "ip address add 10.0.0.3/24 dev v1 && ip address add 2001:db8::3/64 dev v1 nodad");
	test_wait(n, 6000, usable(k, "10.0.0.3", NULL) && usable(k, "2001:db8::3", NULL));
	sluice_kernel_free(k);
}

// An entry that somebody deletes is there again at once.
static void test_next_hop_deleted(void **state)
{
	struct test_namespaces *n = *state;
	struct sluice_kernel *k = mirror(n);

	watch(k, "10.0.0.2", "2001:db8::2");
	test_wait(n, 2000, usable(k, "10.0.0.2", NULL));
	n->changes = 0;
	test_host(n, "ip neighbour flush dev v0");
	test_wait(n, 1000, n->changes != 0 && usable(k, "10.0.0.2", NULL));
	sluice_kernel_free(k);
}

// What an administrator fixed stays fixed.
static void test_next_hop_permanent(void **state)
{
	struct test_namespaces *n = *state;
	struct sluice_kernel *k = mirror(n);

	test_host(n, "ip neighbour add 10.0.0.9 lladdr 02:00:00:00:00:09 dev v0 nud permanent");
	test_host(n, "ip neighbour add 10.0.0.8 lladdr 02:00:00:00:00:08 dev v0 nud reachable "
	             "extern_learn");
	watch(k, "10.0.0.9", "10.0.0.8");
	test_wait(n, 1000, usable(k, "10.0.0.9", NULL) && usable(k, "10.0.0.8", NULL));
	test_run_ms(n, 6000);
	test_host(n, "ip neighbour show 10.0.0.9 | grep -q PERMANENT");
	test_host(n, "ip neighbour show 10.0.0.8 | grep -q extern_learn");
	sluice_kernel_free(k);
}

static size_t asked(const struct sluice_kernel *k)
{
	size_t count = 0;

	for (size_t i = 0; i < k->watched_count; i++)
		count += k->watched[i].tries > 0;
	return count;
}

// Many next hops are asked for little by little.
static void test_watch_is_paced(void **state)
{
	enum {
		HOPS = 600,
	};
	struct test_namespaces *n = *state;
	struct sluice_kernel *k = mirror(n);
	static struct sluice_kernel_hop hops[HOPS];
	int64_t start;

	test_host(n, "ip address add 10.9.0.1/16 dev v0");
	for (unsigned i = 0; i < HOPS; i++) {
		hops[i].address = sluice_address_from_v4(htonl(0x0a090100 + i));
		hops[i].ifindex = ifindex(k, "v0");
	}
	assert_int_equal(sluice_kernel_watch_next_hops(k, hops, HOPS), 0);
	start = test_now_ms();
	test_run_ms(n, 100);
	assert_in_range(asked(k), 10, (uint64_t)(test_now_ms() - start) + 100);
	test_wait(n, 3000, asked(k) == HOPS);
	assert_true(test_now_ms() - start >= HOPS - 100);
	test_host(n, "test $(ip neighbour show dev v0 | grep -c '^10.9.') = %d", HOPS);
	assert_int_equal(sluice_kernel_watch_next_hops(k, NULL, 0), 0);
	sluice_kernel_free(k);
}

// With a receive buffer that holds next to nothing the kernel drops most of what follows; in the
// end the mirror has it all.
static void test_lost_messages_are_made_up_for(void **state)
{
	struct test_namespaces *n = *state;
	struct sluice_kernel *k = mirror(n);
	struct sluice_address gone = test_address("10.0.0.1");
	int tiny = 1;
	size_t routes = sluice_kernel_route_count(k);

	assert_int_equal(
	        setsockopt(nl_socket_get_fd(k->socket), SOL_SOCKET, SO_RCVBUF, &tiny, sizeof(tiny)),
	        0);
	test_host(n, "for i in $(seq 1 200); do "
	             "echo route add 10.50.$i.0/24 via 10.0.0.2; "
	             "echo neighbour add 10.0.0.$((i + 20)) lladdr 02:00:00:00:00:09 dev v0 nud "
	             "permanent; "
	             "done > /tmp/sluice-test-batch.$$ && ip -batch /tmp/sluice-test-batch.$$; "
	             "rc=$?; rm /tmp/sluice-test-batch.$$; exit $rc");
	test_host(n, "ip link set v0 mtu 1300 && ip address add 10.77.0.1/24 dev v0 &&"
	             "ip route delete 10.50.7.0/24 && ip neighbour delete 10.0.0.27 dev v0");
	test_wait(n, 5000,
	          sluice_kernel_route_count(k) == routes + 200 &&
	                  sluice_kernel_neighbour_count(k) >= 199);
	assert_int_equal(k->epochs[SLUICE_KERNEL_DUMP_LINKS] > 1, 1); // it did lose some
	assert_false(usable(k, "10.0.0.27", NULL));
	assert_true(usable(k, "10.0.0.28", NULL));
	assert_int_equal(sluice_kernel_link_find_name(k, "v0")->mtu, 1300);
	assert_non_null(host_address(k, "10.77.0.1"));
	assert_non_null(sluice_kernel_address_find(k, 0, &gone));
	assert_int_equal(n->changes, SLUICE_KERNEL_LINKS | SLUICE_KERNEL_ADDRESSES |
	                                     SLUICE_KERNEL_ROUTES | SLUICE_KERNEL_NEIGHBOURS);
	sluice_kernel_free(k);
}

static void count_neighbour(void *context, const struct sluice_kernel_neighbour *neighbour_)
{
	size_t *count = context;

	*count += neighbour_->usable;
}

static void test_4096_neighbours(void **state)
{
	struct test_namespaces *n = *state;
	struct sluice_kernel *k;
	size_t count = 0;
	int64_t start;

	test_host(n,
	          "ip address add 10.9.0.1/16 dev v0 && for i in $(seq 0 15); do "
	          "for j in $(seq 0 255); do echo neighbour add 10.9.$((i + 1)).$j "
	          "lladdr 02:00:00:00:$(printf %%02x:%%02x $i $j) dev v0 nud permanent; done; done "
	          "| ip -batch -");
	start = test_now_ms();
	k = mirror(n);
	print_message("4096 neighbours read in %d ms\n", (int)(test_now_ms() - start));
	sluice_kernel_neighbours_visit(k, count_neighbour, &count);
	assert_int_equal(count, 4096);
	assert_true(usable(k, "10.9.16.255", "02:00:00:00:0f:ff"));
	sluice_kernel_free(k);
}

int main(void)
{
#define TEST(name)                                                                                 \
	cmocka_unit_test_setup_teardown(name, test_namespaces_setup, test_namespaces_teardown)
	const struct CMUnitTest tests[] = {
	        TEST(test_links_follow),
	        TEST(test_vlan_interface_names_its_parent),
	        TEST(test_link_renamed_and_recreated),
	        TEST(test_addresses_follow),
	        TEST(test_neighbour_changes_that_matter),
	        TEST(test_resolve_asks),
	        TEST(test_next_hop_changes_its_mac),
	        TEST(test_next_hop_comes_late),
	        TEST(test_next_hop_deleted),
	        TEST(test_next_hop_permanent),
	        TEST(test_watch_is_paced),
	        TEST(test_lost_messages_are_made_up_for),
	        TEST(test_4096_neighbours),
	};

	test_namespaces_require();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
