// SPDX-License-Identifier: BSD-3-Clause

// Packets handed to the kernel arrive at a peer that nobody had resolved, as they were sent.
#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/udp.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "control/slow_path.h"
#include "tests/kernel/namespace.h"

enum {
	PAYLOAD = 32,
	UDP_SUM = 0xbeef, // wrong on purpose: it is nobody's to touch
};

// A socket that sees what comes in at v1.
static int peer_capture(struct test_namespaces *n)
{
	struct sockaddr_ll at = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL)};
	int fd;

	test_enter_peer(n);
	fd = socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC, htons(ETH_P_ALL));
	assert_true(fd >= 0);
	at.sll_ifindex = (int)if_nametoindex("v1");
	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	test_enter_host(n);
	return fd;
}

// Waits for an incoming packet whose last bytes are those of the one sent; its length, or 0.
static size_t capture_wait(int fd, const void *sent, size_t len, unsigned char *got, size_t size)
{
	int64_t end = test_now_ms() + 3000;
	const unsigned char *tail = (const unsigned char *)sent + len - PAYLOAD;

	while (test_now_ms() < end) {
		struct pollfd p = {.fd = fd, .events = POLLIN};
		ssize_t n;

		if (poll(&p, 1, 100) <= 0)
			continue;
		n = recv(fd, got, size, 0);
		if (n >= PAYLOAD && memcmp(got + n - PAYLOAD, tail, PAYLOAD) == 0)
			return (size_t)n;
	}
	return 0;
}

static void udp_fill(unsigned char *at)
{
	struct udphdr udp = {.source = htons(40000),
	                     .dest = htons(8080),
	                     .len = htons(sizeof(udp) + PAYLOAD),
	                     .check = htons(UDP_SUM)};

	memcpy(at, &udp, sizeof(udp));
	for (int i = 0; i < PAYLOAD; i++)
		at[sizeof(udp) + i] = (unsigned char)(i * 7);
}

static uint16_t header_sum(const struct iphdr *header)
{
	const unsigned char *bytes = (const unsigned char *)header;
	uint32_t sum = 0;

	for (size_t i = 0; i < sizeof(*header); i += 2)
		sum += (uint32_t)bytes[i] << 8 | bytes[i + 1];
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

static size_t packet_v4(unsigned char *packet, const char *from, const char *to, uint16_t id,
                        bool df)
{
	size_t len = sizeof(struct iphdr) + sizeof(struct udphdr) + PAYLOAD;
	struct iphdr ip = {.version = 4,
	                   .ihl = 5,
	                   .tos = 0x28,
	                   .tot_len = htons((uint16_t)len),
	                   .id = htons(id),
	                   .frag_off = htons(df ? IP_DF : 0),
	                   .ttl = 61,
	                   .protocol = IPPROTO_UDP};

	inet_pton(AF_INET, from, &ip.saddr);
	inet_pton(AF_INET, to, &ip.daddr);
	ip.check = htons(header_sum(&ip));
	memcpy(packet, &ip, sizeof(ip));
	udp_fill(packet + sizeof(ip));
	return len;
}

static size_t packet_v6(unsigned char *packet, const char *from, const char *to)
{
	size_t payload = sizeof(struct udphdr) + PAYLOAD;
	struct ip6_hdr ip = {.ip6_flow = htonl(0x6121beef), // traffic class and flow label
	                     .ip6_plen = htons((uint16_t)payload),
	                     .ip6_nxt = IPPROTO_UDP,
	                     .ip6_hlim = 61};

	inet_pton(AF_INET6, from, &ip.ip6_src);
	inet_pton(AF_INET6, to, &ip.ip6_dst);
	memcpy(packet, &ip, sizeof(ip));
	udp_fill(packet + sizeof(ip));
	return sizeof(ip) + payload;
}

// Source: the host's own, a VIP on lo, somebody else's. All to neighbours not asked for yet.
static void test_v4_arrives_unchanged(void **state)
{
	static const struct {
		const char *from, *to;
		uint16_t id;
		bool df;
	} rows[] = {
	        {"10.0.0.1", "10.0.0.2", 0x1234, true},
	        {"10.96.43.114", "10.0.0.3", 0x1234, true},
	        {"203.0.113.9", "10.0.0.4", 0x1234, true},
	        {"203.0.113.9", "10.0.0.5", 0, true},
	        {"203.0.113.9", "10.0.0.6", 7, false},
	        {"203.0.113.9", "198.51.100.1", 7, false},
	};
	struct test_namespaces *n = *state;
	struct sluice_slow_path *s = sluice_slow_path_new();
	int capture = peer_capture(n);

	assert_non_null(s);
	test_host(n, "ip address add 10.96.43.114/32 dev lo && ip route add default via 10.0.0.7");
	test_peer(n, "for i in 3 4 5 6 7; do ip address add 10.0.0.$i/24 dev v1; done");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		unsigned char sent[128];
		unsigned char got[2048];
		size_t len = packet_v4(sent, rows[i].from, rows[i].to, rows[i].id, rows[i].df);

		assert_int_equal(sluice_slow_path_send(s, sent, len), 0);
		assert_int_equal(capture_wait(capture, sent, len, got, sizeof(got)), len);
		assert_memory_equal(got, sent, len);
	}
	close(capture);
	sluice_slow_path_free(s);
}

// Without DF the kernel gives an identification to a packet that has none; nothing else changes.
static void test_v4_without_identification(void **state)
{
	struct test_namespaces *n = *state;
	struct sluice_slow_path *s = sluice_slow_path_new();
	int capture = peer_capture(n);
	unsigned char sent[128];
	unsigned char got[2048];
	size_t len = packet_v4(sent, "203.0.113.9", "10.0.0.2", 0, false);
	struct iphdr header;

	assert_int_equal(sluice_slow_path_send(s, sent, len), 0);
	assert_int_equal(capture_wait(capture, sent, len, got, sizeof(got)), len);
	memcpy(&header, got, sizeof(header));
	assert_int_equal(header_sum(&header), 0);
	memcpy(got + 4, sent + 4, 2);
	memcpy(got + 10, sent + 10, 2);
	assert_memory_equal(got, sent, len);
	close(capture);
	sluice_slow_path_free(s);
}

static void test_v6_arrives_unchanged(void **state)
{
	static const char *const from[] = {"2001:db8::1", "2001:db8:96::1", "2001:db8:ffff::9"};
	struct test_namespaces *n = *state;
	struct sluice_slow_path *s = sluice_slow_path_new();
	int capture = peer_capture(n);

	test_host(n, "ip address add 2001:db8:96::1/128 dev lo && ip link set v0 down && "
	             "ip link set v0 up && ip address add 2001:db8::1/64 dev v0 nodad");
	for (size_t i = 0; i < sizeof(from) / sizeof(from[0]); i++) {
		unsigned char sent[128];
		unsigned char got[2048];
		size_t len = packet_v6(sent, from[i], "2001:db8::2");

		assert_int_equal(sluice_slow_path_send(s, sent, len), 0);
		assert_int_equal(capture_wait(capture, sent, len, got, sizeof(got)), len);
		assert_memory_equal(got, sent, len);
		test_host(n, "ip -6 neighbour flush dev v0");
	}
	close(capture);
	sluice_slow_path_free(s);
}

static void test_refuses_what_is_no_packet(void **state)
{
	struct test_namespaces *n = *state;
	struct sluice_slow_path *s = sluice_slow_path_new();
	unsigned char packet[3000] = {0};
	size_t len = packet_v4(packet, "10.0.0.1", "10.0.0.2", 1, true);

	for (size_t i = 0; i < len; i++)
		assert_int_equal(sluice_slow_path_send(s, packet, i), -EINVAL);
	assert_int_equal(sluice_slow_path_send(s, packet, len + 1), -EINVAL);
	packet[0] = 0x44;
	assert_int_equal(sluice_slow_path_send(s, packet, len), -EINVAL);
	packet[0] = 0x55;
	assert_int_equal(sluice_slow_path_send(s, packet, len), -EINVAL);
	len = packet_v6(packet, "2001:db8::1", "2001:db8::2");
	for (size_t i = 0; i < len; i++)
		assert_int_equal(sluice_slow_path_send(s, packet, i), -EINVAL);
	len = packet_v4(packet, "10.0.0.1", "198.51.100.1", 1, true);
	assert_int_equal(sluice_slow_path_send(s, packet, len), -ENETUNREACH);
	packet_v4(packet, "10.0.0.1", "10.0.0.2", 1, true);
	packet[2] = sizeof(packet) >> 8;
	packet[3] = sizeof(packet) & 0xff;
	assert_int_equal(sluice_slow_path_send(s, packet, sizeof(packet)), -EMSGSIZE);
	assert_non_null(n);
	sluice_slow_path_free(s);
}

int main(void)
{
#define TEST(name)                                                                                 \
	cmocka_unit_test_setup_teardown(name, test_namespaces_setup, test_namespaces_teardown)
	const struct CMUnitTest tests[] = {
	        TEST(test_v4_arrives_unchanged),
	        TEST(test_v4_without_identification),
	        TEST(test_v6_arrives_unchanged),
	        TEST(test_refuses_what_is_no_packet),
	};

	test_namespaces_require();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
