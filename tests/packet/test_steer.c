// SPDX-License-Identifier: BSD-3-Clause

// What the XDP program and the tc guard say to frames, row by row, run by the kernel
// (BPF_PROG_TEST_RUN). No socket is bound, so what is service traffic shows as a drop.

#include <arpa/inet.h>
#include <errno.h>
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <cmocka.h>

#include "control/key_set.h"
#include "dataplane/steer_maps.h"
#include "sluice/types.h"

enum verdict {
	PASS, // the kernel's
	OURS,
};

struct frame {
	uint8_t bytes[512];
	size_t length;
};

static void put(struct frame *f, const void *bytes, size_t n)
{
	memcpy(&f->bytes[f->length], bytes, n);
	f->length += n;
}

static void put16(struct frame *f, unsigned value)
{
	uint16_t v = htons((uint16_t)value);

	put(f, &v, 2);
}

static void put8(struct frame *f, unsigned value)
{
	uint8_t v = (uint8_t)value;

	put(f, &v, 1);
}

static void zeros(struct frame *f, size_t n)
{
	while (n-- > 0)
		put8(f, 0);
}

// A frame in words: "vlan:88a8 vlan:8100 4 tcp SOURCE:PORT DESTINATION:PORT options:8 at:185 more"
struct shape {
	uint16_t vlan[3]; // protocols of tags, outermost first
	uint16_t ethertype;
	const char *source, *destination;
	uint16_t source_port, destination_port;
	uint8_t protocol;
	uint8_t options;       // bytes of IPv4 options
	uint8_t extensions[9]; // IPv6: header types, in order
	uint16_t fragment;     // offset in 8 bytes
	bool more;             // fragments
	uint8_t segments_left; // IPv6: of routing headers
	uint16_t id;           // of the datagram; 0: one of its own
};

static void put_address(struct frame *f, int family, const char *text)
{
	uint8_t bytes[16];

	assert_int_equal(inet_pton(family, text, bytes), 1);
	put(f, bytes, family == AF_INET ? 4 : 16);
}

static void put_ipv4(struct frame *f, const struct shape *s)
{
	put8(f, 0x40 | (5 + s->options / 4));
	put8(f, 0);
	put16(f, 20u + s->options + 20);
	put16(f, s->id);
	put16(f, s->fragment | (s->more ? 0x2000 : 0));
	put8(f, 64);
	put8(f, s->protocol);
	put16(f, 0);
	put_address(f, AF_INET, s->source);
	put_address(f, AF_INET, s->destination);
	for (unsigned i = 0; i < s->options; i++)
		put8(f, 1);
}

static void put_ipv6(struct frame *f, const struct shape *s)
{
	const uint8_t *e = s->extensions;

	put16(f, 0x6000);
	put16(f, 0);
	put16(f, 0);
	put8(f, *e ? (*e == 255 ? IPPROTO_HOPOPTS : *e) : s->protocol);
	put8(f, 64);
	put_address(f, AF_INET6, s->source);
	put_address(f, AF_INET6, s->destination);
	for (; *e; e++) {
		unsigned length = *e == IPPROTO_DSTOPTS ? 2 : 0; // some longer than the least

		put8(f, e[1] ? e[1] : s->protocol);
		if (*e == IPPROTO_FRAGMENT) {
			put8(f, 0);
			put16(f, (unsigned)(s->fragment << 3) | s->more);
			put16(f, 0);
			put16(f, s->id);
		} else {
			put8(f, length);
			put8(f, 0);
			put8(f, *e == IPPROTO_ROUTING ? s->segments_left : 0);
			zeros(f, 4 + length * 8);
		}
	}
}

static struct frame frame_build(const struct shape *shape)
{
	static uint16_t id = 1000;
	struct shape with_id = *shape;
	const struct shape *s = &with_id;
	struct frame f = {};
	bool v6 = strchr(s->destination, ':') != NULL;

	if (!s->id)
		with_id.id = id++;

	zeros(&f, 12);
	for (unsigned i = 0; i < 3 && s->vlan[i]; i++) {
		put16(&f, s->vlan[i]);
		put16(&f, 7 + i);
	}
	put16(&f, s->ethertype ? s->ethertype : v6 ? 0x86dd : 0x0800);
	if (v6)
		put_ipv6(&f, s);
	else
		put_ipv4(&f, s);
	put16(&f, s->source_port);
	put16(&f, s->destination_port);
	zeros(&f, 16);
	return f;
}

#define VIP      "10.96.43.114"
#define VIP6     "2001:db8::10"
#define CLIENT   "203.0.113.9"
#define CLIENT6  "2001:db8:1::9"
#define BACKEND  "172.17.0.5"
#define BACKEND6 "2001:db8:2::5"
#define HOST     "192.0.2.1"
#define HOST6    "2001:db8:3::1"
#define FARM     "172.17.0.6" // an endpoint of fullnat
#define FARM6    "2001:db8:2::6"
#define SNAT     "192.0.2.200" // not one of the host's own addresses
#define SNAT6    "2001:db8:3::200"

#define TO_VIP                                                                                     \
	.source = CLIENT, .destination = VIP, .source_port = 40000, .destination_port = 8080,      \
	.protocol = IPPROTO_TCP
#define TO_VIP6                                                                                    \
	.source = CLIENT6, .destination = VIP6, .source_port = 40000, .destination_port = 8080,    \
	.protocol = IPPROTO_TCP
#define FROM_BACKEND                                                                               \
	.source = BACKEND, .destination = CLIENT, .source_port = 80, .destination_port = 40000,    \
	.protocol = IPPROTO_TCP
#define FROM_BACKEND6                                                                              \
	.source = BACKEND6, .destination = CLIENT6, .source_port = 80, .destination_port = 40000,  \
	.protocol = IPPROTO_TCP

#define FROM_FARM                                                                                  \
	.source = FARM, .destination = HOST, .source_port = 80, .destination_port = 20000,         \
	.protocol = IPPROTO_TCP
#define FROM_FARM6                                                                                 \
	.source = FARM6, .destination = HOST6, .source_port = 80, .destination_port = 20000,       \
	.protocol = IPPROTO_TCP

// A row says how it differs from its start.
#pragma GCC diagnostic ignored "-Woverride-init"

// The sets: VIP:8080/TCP, VIP:53/UDP, HOST:30854/TCP (a node port); BACKEND:80/TCP; and the same
// of IPv6. Local addresses: HOST, and the VIPs, as they are on lo. Fullnat sends from HOST and
// SNAT, ports 1024-32767, to FARM:80/TCP, which is known without its port, too.
static const struct row {
	const char *what;
	enum verdict expected;
	struct shape shape;
} rows[] = {
        {"TCP to the VIP", OURS, {TO_VIP}},
        {"TCP to the VIP, IPv6", OURS, {TO_VIP6}},
        {"UDP to the VIP's TCP port", PASS, {TO_VIP, .protocol = IPPROTO_UDP}},
        {"UDP to the VIP's UDP port",
         OURS,
         {TO_VIP, .destination_port = 53, .protocol = IPPROTO_UDP}},
        {"another port of the VIP", PASS, {TO_VIP, .destination_port = 22}},
        {"another address", PASS, {TO_VIP, .destination = "10.96.43.115"}},
        {"another address, IPv6", PASS, {TO_VIP6, .destination = "2001:db8::11"}},
        {"node port on a host address",
         OURS,
         {TO_VIP, .destination = HOST, .destination_port = 30854}},
        {"ssh to the host", PASS, {TO_VIP, .destination = HOST, .destination_port = 22}},
        {"one VLAN tag", OURS, {TO_VIP, .vlan = {0x8100}}},
        {"QinQ", PASS, {TO_VIP6, .vlan = {0x88a8, 0x8100}}},
        {"two VLAN tags", PASS, {TO_VIP, .vlan = {0x8100, 0x8100}}},
        {"three VLAN tags", PASS, {TO_VIP, .vlan = {0x88a8, 0x8100, 0x8100}}},
        {"IPv4 options", OURS, {TO_VIP, .options = 8}},
        {"IPv4 options, the most", OURS, {TO_VIP, .options = 40}},
        {"IPv6 hop-by-hop", OURS, {TO_VIP6, .extensions = {255}}},
        {"IPv6 destination options, longer", OURS, {TO_VIP6, .extensions = {IPPROTO_DSTOPTS}}},
        {"IPv6 routing", OURS, {TO_VIP6, .extensions = {IPPROTO_ROUTING}}},
        {"IPv6 routing, segments left",
         PASS,
         {TO_VIP6, .extensions = {IPPROTO_DSTOPTS, IPPROTO_ROUTING}, .segments_left = 1}},
        {"IPv6 chain", OURS, {TO_VIP6, .extensions = {IPPROTO_DSTOPTS, IPPROTO_ROUTING, 60}}},
        {"IPv6 chain of 8", OURS, {TO_VIP6, .extensions = {60, 60, 60, 60, 60, 60, 60, 60}}},
        {"IPv6 chain of 9", PASS, {TO_VIP6, .extensions = {43, 43, 43, 43, 43, 43, 43, 43, 43}}},
        {"IPv6 ESP", PASS, {TO_VIP6, .extensions = {IPPROTO_ESP}}},
        {"first fragment", OURS, {TO_VIP, .more = true}},
        {"first fragment, IPv6", OURS, {TO_VIP6, .extensions = {IPPROTO_FRAGMENT}, .more = true}},
        {"first fragment to another port", PASS, {TO_VIP, .more = true, .destination_port = 22}},
        {"middle fragment", OURS, {TO_VIP, .more = true, .fragment = 185}},
        {"last fragment", OURS, {TO_VIP, .fragment = 185}},
        {"last fragment, IPv6", OURS, {TO_VIP6, .extensions = {IPPROTO_FRAGMENT}, .fragment = 185}},
        {"fragment of a ping to the VIP",
         PASS,
         {TO_VIP, .fragment = 185, .protocol = IPPROTO_ICMP}},
        {"fragment of a ping to the VIP, IPv6",
         PASS,
         {TO_VIP6, .extensions = {IPPROTO_FRAGMENT}, .fragment = 185, .protocol = IPPROTO_ICMPV6}},
        {"last fragment of UDP, whatever its port",
         OURS,
         {TO_VIP, .fragment = 185, .protocol = IPPROTO_UDP}},
        {"last fragment to another address", PASS, {TO_VIP, .destination = HOST, .fragment = 185}},
        {"last fragment to another address, IPv6",
         PASS,
         {TO_VIP6, .destination = HOST6, .extensions = {IPPROTO_FRAGMENT}, .fragment = 185}},
        {"last fragment that begins with destination options, IPv6",
         OURS,
         {TO_VIP6, .extensions = {IPPROTO_FRAGMENT}, .fragment = 185, .protocol = 60}},
        {"last fragment of a backend's answer", OURS, {FROM_BACKEND, .fragment = 185}},
        {"last fragment of a backend's answer, IPv6",
         OURS,
         {FROM_BACKEND6, .extensions = {IPPROTO_FRAGMENT}, .fragment = 185}},
        {"last fragment of a backend to the host",
         PASS,
         {FROM_BACKEND, .destination = HOST, .fragment = 185}},
        {"last fragment of a backend to the host, IPv6",
         PASS,
         {FROM_BACKEND6, .destination = HOST6, .extensions = {IPPROTO_FRAGMENT}, .fragment = 185}},
        {"last fragment of a backend's ping",
         PASS,
         {FROM_BACKEND, .fragment = 185, .protocol = IPPROTO_ICMP}},
        {"last fragment to us, at the host's own address", OURS, {FROM_FARM, .fragment = 185}},
        {"last fragment to us, at the host's own address, IPv6",
         OURS,
         {FROM_FARM6, .extensions = {IPPROTO_FRAGMENT}, .fragment = 185}},
        {"last fragment to us, at an address for that",
         OURS,
         {FROM_FARM, .destination = SNAT, .fragment = 185}},
        {"last fragment of fullnat's endpoint to who spoke to it directly",
         PASS,
         {FROM_FARM, .destination = CLIENT, .fragment = 185}},
        {"last fragment of anybody to an address for that",
         PASS,
         {TO_VIP, .destination = SNAT, .fragment = 185}},
        {"last fragment of its ping to the host",
         PASS,
         {FROM_FARM, .fragment = 185, .protocol = IPPROTO_ICMP}},
        {"answer of a backend", OURS, {FROM_BACKEND}},
        {"answer of a backend, IPv6", OURS, {FROM_BACKEND6}},
        {"answer of a backend to a client's port that looks like the VIP's",
         OURS,
         {FROM_BACKEND, .destination_port = 8080}},
        {"a backend's other port", PASS, {FROM_BACKEND, .source_port = 22}},
        {"a backend's UDP", PASS, {FROM_BACKEND, .protocol = IPPROTO_UDP}},
        {"a backend answers the host's probe", PASS, {FROM_BACKEND, .destination = HOST}},
        {"a backend answers the host's probe, IPv6", PASS, {FROM_BACKEND6, .destination = HOST6}},
        {"a backend is a client of the VIP",
         OURS,
         {FROM_BACKEND, .destination = VIP, .destination_port = 8080}},
        {"a backend to the VIP's other port", PASS, {FROM_BACKEND, .destination = VIP}},
        {"answer to us, at the host's own address", OURS, {FROM_FARM}},
        {"answer to us, at the host's own address, IPv6", OURS, {FROM_FARM6}},
        {"answer to us, at an address for that", OURS, {FROM_FARM, .destination = SNAT}},
        {"answer to us, at an address for that, IPv6", OURS, {FROM_FARM6, .destination = SNAT6}},
        {"the first of our ports", OURS, {FROM_FARM, .destination_port = 1024}},
        {"the last of our ports", OURS, {FROM_FARM6, .destination_port = 32767}},
        {"below our ports", PASS, {FROM_FARM, .destination_port = 1023}},
        {"above our ports: the host's probe", PASS, {FROM_FARM, .destination_port = 32768}},
        {"another address", PASS, {FROM_FARM, .destination = "192.0.2.201"}},
        {"fullnat's endpoint, to who spoke to it directly",
         PASS,
         {FROM_FARM, .destination = CLIENT}},
        {"another port of fullnat's endpoint", PASS, {FROM_FARM, .source_port = 22}},
        {"a backend to such a port of the host",
         PASS,
         {FROM_BACKEND, .destination = HOST, .destination_port = 20000}},
        {"anybody to such a port of the host",
         PASS,
         {TO_VIP, .destination = HOST, .destination_port = 20000}},
        {"ICMP to the VIP", PASS, {TO_VIP, .protocol = IPPROTO_ICMP}},
        {"ICMPv6 to the VIP (ND)", PASS, {TO_VIP6, .protocol = IPPROTO_ICMPV6}},
        {"SCTP to the VIP", PASS, {TO_VIP, .protocol = IPPROTO_SCTP}},
        {"ARP", PASS, {TO_VIP, .ethertype = 0x0806}},
        {"IPv6 in an IPv4 frame", PASS, {TO_VIP6, .ethertype = 0x0800}},
        {"IPv4 in an IPv6 frame", PASS, {TO_VIP, .ethertype = 0x86dd}},
};

// ICMP errors: type, and the packet that is quoted. In the error's own shape the ports are unused.
#define BY_ROUTER(to)  .source = "203.0.113.77", .destination = (to), .protocol = IPPROTO_ICMP
#define BY_ROUTER6(to) .source = "2001:db8:77::1", .destination = (to), .protocol = IPPROTO_ICMPV6
#define FROM_VIP                                                                                   \
	.source = VIP, .destination = CLIENT, .source_port = 8080, .destination_port = 40000,      \
	.protocol = IPPROTO_TCP
#define FROM_VIP6                                                                                  \
	.source = VIP6, .destination = CLIENT6, .source_port = 8080, .destination_port = 40000,    \
	.protocol = IPPROTO_TCP
#define TO_BACKEND                                                                                 \
	.source = CLIENT, .destination = BACKEND, .source_port = 40000, .destination_port = 80,    \
	.protocol = IPPROTO_TCP
#define TO_BACKEND6                                                                                \
	.source = CLIENT6, .destination = BACKEND6, .source_port = 40000, .destination_port = 80,  \
	.protocol = IPPROTO_TCP

#define TO_FARM                                                                                    \
	.source = HOST, .destination = FARM, .source_port = 20000, .destination_port = 80,         \
	.protocol = IPPROTO_TCP
#define TO_FARM6                                                                                   \
	.source = HOST6, .destination = FARM6, .source_port = 20000, .destination_port = 80,       \
	.protocol = IPPROTO_TCP

#define TUNNEL(next)  .source = HOST, .destination = BACKEND, .protocol = (next)
#define TUNNEL6(next) .source = HOST6, .destination = BACKEND6, .protocol = (next)
#define GUE           TUNNEL(IPPROTO_UDP), .source_port = 50000, .destination_port = 6080
#define GUE6          TUNNEL6(IPPROTO_UDP), .source_port = 50000, .destination_port = 6080

static const struct error {
	const char *what;
	enum verdict expected;
	uint8_t type;
	struct shape shape, quote;
	struct shape inner; // of a tunnel, where it has a source
} errors[] = {
        {"unreachable, about an answer", OURS, 3, {BY_ROUTER(VIP)}, {FROM_VIP}},
        {"time exceeded, about an answer", OURS, 11, {BY_ROUTER(VIP)}, {FROM_VIP}},
        {"parameter problem, about an answer", OURS, 12, {BY_ROUTER(VIP)}, {FROM_VIP}},
        {"source quench", PASS, 4, {BY_ROUTER(VIP)}, {FROM_VIP}},
        {"redirect", PASS, 5, {BY_ROUTER(VIP)}, {FROM_VIP}},
        {"echo with such data", PASS, 8, {BY_ROUTER(VIP)}, {FROM_VIP}},
        {"unreachable, about an answer, IPv6", OURS, 1, {BY_ROUTER6(VIP6)}, {FROM_VIP6}},
        {"too big, about an answer, IPv6", OURS, 2, {BY_ROUTER6(VIP6)}, {FROM_VIP6}},
        {"time exceeded, about an answer, IPv6", OURS, 3, {BY_ROUTER6(VIP6)}, {FROM_VIP6}},
        {"parameter problem, about an answer, IPv6", OURS, 4, {BY_ROUTER6(VIP6)}, {FROM_VIP6}},
        {"echo with such data, IPv6", PASS, 128, {BY_ROUTER6(VIP6)}, {FROM_VIP6}},
        {"neighbour solicitation with such data", PASS, 135, {BY_ROUTER6(VIP6)}, {FROM_VIP6}},
        {"tagged", OURS, 3, {BY_ROUTER(VIP), .vlan = {0x8100}}, {FROM_VIP}},
        {"IPv4 options", OURS, 3, {BY_ROUTER(VIP), .options = 40}, {FROM_VIP, .options = 40}},
        {"IPv6 extension headers",
         OURS,
         2,
         {BY_ROUTER6(VIP6), .extensions = {60, 60, 60, 60, 60, 60, 60, 60}},
         {FROM_VIP6, .extensions = {60, 60, 60, 60, 60, 60, 60, 60}}},
        {"IPv6 chain of 9 quoted",
         PASS,
         2,
         {BY_ROUTER6(VIP6)},
         {FROM_VIP6, .extensions = {43, 43, 43, 43, 43, 43, 43, 43, 43}}},
        {"about another port's answer", PASS, 3, {BY_ROUTER(VIP)}, {FROM_VIP, .source_port = 22}},
        {"about UDP of a TCP port", PASS, 3, {BY_ROUTER(VIP)}, {FROM_VIP, .protocol = IPPROTO_UDP}},
        {"about a ping", PASS, 3, {BY_ROUTER(VIP)}, {FROM_VIP, .protocol = IPPROTO_ICMP}},
        {"about a packet to the VIP", PASS, 3, {BY_ROUTER(CLIENT)}, {TO_VIP}},
        {"about a first fragment", OURS, 3, {BY_ROUTER(VIP)}, {FROM_VIP, .more = true}},
        {"about a later fragment", PASS, 3, {BY_ROUTER(VIP)}, {FROM_VIP, .fragment = 9}},
        {"about a later fragment, IPv6",
         PASS,
         2,
         {BY_ROUTER6(VIP6)},
         {FROM_VIP6, .extensions = {IPPROTO_FRAGMENT}, .fragment = 9}},
        {"in fragments, the first", PASS, 3, {BY_ROUTER(VIP), .more = true}, {FROM_VIP}},
        {"in fragments, the first, IPv6",
         PASS,
         2,
         {BY_ROUTER6(VIP6), .extensions = {IPPROTO_FRAGMENT}, .more = true},
         {FROM_VIP6}},
        {"about a packet on a source route",
         PASS,
         2,
         {BY_ROUTER6(VIP6)},
         {FROM_VIP6, .extensions = {IPPROTO_ROUTING}, .segments_left = 1}},
        {"about a packet to a backend", OURS, 3, {BY_ROUTER(CLIENT)}, {TO_BACKEND}},
        {"about a packet to a backend, IPv6", OURS, 2, {BY_ROUTER6(CLIENT6)}, {TO_BACKEND6}},
        {"about a packet to a backend's other port",
         PASS,
         3,
         {BY_ROUTER(CLIENT)},
         {TO_BACKEND, .destination_port = 22}},
        {"about the host's probe", PASS, 3, {BY_ROUTER(HOST)}, {TO_BACKEND, .source = HOST}},
        {"about the host's probe, IPv6",
         PASS,
         1,
         {BY_ROUTER6(HOST6)},
         {TO_BACKEND6, .source = HOST6}},
        {"about what we sent", OURS, 3, {BY_ROUTER(HOST)}, {TO_FARM}},
        {"about what we sent, IPv6", OURS, 2, {BY_ROUTER6(HOST6)}, {TO_FARM6}},
        {"about the host's probe of fullnat's endpoint",
         PASS,
         3,
         {BY_ROUTER(HOST)},
         {TO_FARM, .source_port = 40000}},
        {"in a tunnel", OURS, 3, {BY_ROUTER(HOST)}, {TUNNEL(IPPROTO_IPIP)}, {TO_VIP}},
        {"in a tunnel, IPv6 in IPv4",
         OURS,
         3,
         {BY_ROUTER(HOST)},
         {TUNNEL(IPPROTO_IPV6)},
         {TO_VIP6}},
        {"in a tunnel, IPv4 in IPv6",
         OURS,
         2,
         {BY_ROUTER6(HOST6)},
         {TUNNEL6(IPPROTO_IPIP)},
         {TO_VIP}},
        {"in a tunnel, IPv6", OURS, 3, {BY_ROUTER6(HOST6)}, {TUNNEL6(IPPROTO_IPV6)}, {TO_VIP6}},
        {"behind UDP", OURS, 3, {BY_ROUTER(HOST)}, {GUE}, {TO_VIP}},
        {"behind UDP, IPv6 in IPv4", OURS, 11, {BY_ROUTER(HOST)}, {GUE}, {TO_VIP6}},
        {"behind UDP, IPv4 in IPv6", OURS, 1, {BY_ROUTER6(HOST6)}, {GUE6}, {TO_VIP}},
        {"behind UDP, IPv6", OURS, 2, {BY_ROUTER6(HOST6)}, {GUE6}, {TO_VIP6}},
        {"behind UDP, another port",
         PASS,
         3,
         {BY_ROUTER(HOST)},
         {GUE, .destination_port = 53},
         {TO_VIP}},
        {"in a tunnel, about another address",
         PASS,
         3,
         {BY_ROUTER(HOST)},
         {TUNNEL(IPPROTO_IPIP)},
         {TO_VIP, .destination = HOST}},
        {"in a tunnel, the other family",
         PASS,
         3,
         {BY_ROUTER(HOST)},
         {TUNNEL(IPPROTO_IPV6)},
         {TO_VIP}},
        {"in a tunnel in a tunnel",
         PASS,
         3,
         {BY_ROUTER(HOST)},
         {TUNNEL(IPPROTO_IPIP)},
         {TO_VIP, .protocol = IPPROTO_IPIP}},
        {"in fragments in a tunnel",
         PASS,
         3,
         {BY_ROUTER(HOST)},
         {TUNNEL(IPPROTO_IPIP)},
         {TO_VIP, .fragment = 9}},
        {"ICMPv6 in IPv4", PASS, 3, {BY_ROUTER(VIP), .protocol = IPPROTO_ICMPV6}, {FROM_VIP}},
        {"IPv6 quoted by IPv4", PASS, 3, {BY_ROUTER(VIP)}, {FROM_VIP6}},
        {"IPv4 quoted by IPv6", PASS, 2, {BY_ROUTER6(VIP6)}, {FROM_VIP}},
};

// The ICMP header has the place of the ports and of four bytes behind them.
static struct frame error_build(const struct error *e)
{
	struct shape shape = e->shape;
	struct frame quote = frame_build(&e->quote), inner, f;

	if (e->inner.source) {
		inner = frame_build(&e->inner);
		quote.length -= e->quote.protocol == IPPROTO_UDP ? 12 : 20;
		put(&quote, inner.bytes + 14, inner.length - 14);
	}
	shape.source_port = (uint16_t)(e->type << 8);
	f = frame_build(&shape);
	f.length -= 12;
	put(&f, quote.bytes + 14, quote.length - 14);
	return f;
}

struct fixture {
	struct bpf_object *steer, *guard;
	int xdp, tc; // programs
};

static struct sluice_target target(const char *address, unsigned port, uint8_t protocol)
{
	struct sluice_target t = {.port = htons((uint16_t)port), .protocol = protocol};
	uint32_t v4;

	t.family = strchr(address, ':') ? SLUICE_IPV6 : SLUICE_IPV4;
	if (t.family == SLUICE_IPV6) {
		assert_int_equal(inet_pton(AF_INET6, address, t.address.bytes), 1);
	} else {
		assert_int_equal(inet_pton(AF_INET, address, &v4), 1);
		t.address = sluice_address_from_v4(v4);
	}
	return t;
}

static void insert(struct bpf_object *o, const char *map, const void *key)
{
	uint8_t one = 1;
	int fd = bpf_object__find_map_fd_by_name(o, map);

	assert_true(fd >= 0);
	assert_int_equal(bpf_map_update_elem(fd, key, &one, BPF_ANY), 0);
}

static void fill(struct bpf_object *o)
{
	static const char *const addresses[2][5] = {{VIP, BACKEND, HOST, FARM, SNAT},
	                                            {VIP6, BACKEND6, HOST6, FARM6, SNAT6}};
	uint32_t first = 0, ports = 1024 << 16 | 32767;
	int fd = bpf_object__find_map_fd_by_name(o, STEER_SNAT_PORTS);

	assert_int_equal(bpf_map_update_elem(fd, &first, &ports, BPF_ANY), 0);

	for (unsigned i = 0; i < 2; i++) {
		const char *const *a = addresses[i];
		struct sluice_target t = target(a[0], 8080, IPPROTO_TCP);

		insert(o, STEER_VIRTUAL_TARGETS, &t);
		insert(o, STEER_VIRTUAL_ADDRESSES, &t.address);
		insert(o, STEER_LOCAL_ADDRESSES, &t.address);
		t = target(a[0], 53, IPPROTO_UDP);
		insert(o, STEER_VIRTUAL_TARGETS, &t);
		t = target(a[2], 30854, IPPROTO_TCP);
		insert(o, STEER_VIRTUAL_TARGETS, &t);
		insert(o, STEER_LOCAL_ADDRESSES, &t.address);
		insert(o, STEER_SNAT_ADDRESSES, &t.address);
		t = target(a[4], 0, 0);
		insert(o, STEER_SNAT_ADDRESSES, &t.address);
		t = target(a[3], 80, IPPROTO_TCP);
		insert(o, STEER_SNAT_TARGETS, &t);
		t = target(a[3], 0, 0);
		insert(o, STEER_SNAT_TARGETS, &t);
		t = target(a[1], 80, IPPROTO_TCP);
		insert(o, STEER_RETURN_TARGETS, &t);
		insert(o, STEER_RETURN_ADDRESSES, &t.address);
	}
}

static struct bpf_object *object_load(const char *path)
{
	struct bpf_object *o = bpf_object__open_file(path, NULL);

	assert_non_null(o);
	assert_int_equal(bpf_object__load(o), 0);
	fill(o);
	return o;
}

static int setup(void **state)
{
	static struct fixture f;

	f.steer = object_load(getenv("SLUICE_STEER_OBJECT"));
	f.guard = object_load(getenv("SLUICE_GUARD_OBJECT"));
	f.xdp = bpf_program__fd(bpf_object__next_program(f.steer, NULL));
	f.tc = bpf_program__fd(bpf_object__find_program_by_name(f.guard, STEER_GUARD));
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	bpf_object__close(f->steer);
	bpf_object__close(f->guard);
	return 0;
}

static uint32_t run(int program, const void *bytes, size_t length)
{
	LIBBPF_OPTS(bpf_test_run_opts, o, .data_in = bytes, .data_size_in = (uint32_t)length,
	            .repeat = 1);

	assert_int_equal(bpf_prog_test_run_opts(program, &o), 0);
	return o.retval;
}

static void traffic_goes_to_whom_it_belongs(void **state)
{
	struct fixture *fixture = *state;
	unsigned wrong = 0;

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		const struct row *row = &rows[i];
		struct frame f = frame_build(&row->shape);
		uint32_t xdp = run(fixture->xdp, f.bytes, f.length);
		uint32_t tc = run(fixture->tc, f.bytes, f.length);

		if (xdp != (row->expected == OURS ? XDP_DROP : XDP_PASS) ||
		    tc != (row->expected == OURS ? TC_ACT_SHOT : (uint32_t)TC_ACT_UNSPEC)) {
			print_error("%s: xdp %u, tc %d\n", row->what, xdp, (int)tc);
			wrong++;
		}
	}
	assert_int_equal(wrong, 0);
}

// The same, cut anywhere before the end of the quoted ports, is the kernel's.
static void errors_go_to_whom_the_reply_belongs(void **state)
{
	struct fixture *fixture = *state;
	unsigned wrong = 0;

	for (size_t i = 0; i < sizeof(errors) / sizeof(*errors); i++) {
		const struct error *e = &errors[i];
		struct frame f = error_build(e);
		size_t needed = f.length - 16;

		// The kernel runs tc programs on whole IP headers only.
		for (size_t length = f.length; length >= 14 + 40; length--) {
			bool ours = e->expected == OURS && length >= needed;
			uint32_t xdp = run(fixture->xdp, f.bytes, length);
			uint32_t tc = run(fixture->tc, f.bytes, length);

			if (xdp == (ours ? XDP_DROP : XDP_PASS) &&
			    tc == (ours ? TC_ACT_SHOT : (uint32_t)TC_ACT_UNSPEC))
				continue;
			print_error("%s, %zu of %zu bytes: xdp %u, tc %d\n", e->what, length,
			            f.length, xdp, (int)tc);
			wrong++;
			break;
		}
	}
	assert_int_equal(wrong, 0);
}

#define OF6(number) .extensions = {IPPROTO_FRAGMENT}, .id = (number)
#define FIRST       .more = true
#define MIDDLE      .fragment = 185, .more = true
#define LAST        .fragment = 370

// In this order: what the first fragment was, the later ones are.
static const struct row steps[] = {
        {"first to another port", PASS, {TO_VIP, .destination_port = 22, FIRST, .id = 1}},
        {"its second", PASS, {TO_VIP, MIDDLE, .id = 1}},
        {"its last", PASS, {TO_VIP, LAST, .id = 1}},
        {"last of another datagram", OURS, {TO_VIP, LAST, .id = 2}},
        {"last of another sender", OURS, {TO_VIP, .source = "203.0.113.10", LAST, .id = 1}},
        {"the id again, to the service", OURS, {TO_VIP, FIRST, .id = 1}},
        {"its last", OURS, {TO_VIP, LAST, .id = 1}},
        {"first to another port, IPv6", PASS, {TO_VIP6, .destination_port = 22, FIRST, OF6(1)}},
        {"its last, IPv6", PASS, {TO_VIP6, LAST, OF6(1)}},
        {"its last, of another protocol", PASS, {TO_VIP6, LAST, OF6(1), .protocol = 60}},
        {"last of another datagram, IPv6", OURS, {TO_VIP6, LAST, OF6(2)}},
        {"a backend's own business", PASS, {FROM_BACKEND, .source_port = 22, FIRST, .id = 1}},
        {"its last", PASS, {FROM_BACKEND, LAST, .id = 1}},
        {"a backend's own, IPv6", PASS, {FROM_BACKEND6, .source_port = 22, FIRST, OF6(1)}},
        {"its last, IPv6", PASS, {FROM_BACKEND6, LAST, OF6(1)}},
        {"a backend's answer", OURS, {FROM_BACKEND, FIRST, .id = 3}},
        {"its last", OURS, {FROM_BACKEND, LAST, .id = 3}},
        {"node port",
         OURS,
         {TO_VIP, .destination = HOST, .destination_port = 30854, FIRST, .id = 4}},
        {"its last", OURS, {TO_VIP, .destination = HOST, LAST, .id = 4}},
        {"last of another's to the host", PASS, {TO_VIP, .destination = HOST, LAST, .id = 5}},
        {"an answer to us", OURS, {FROM_FARM, FIRST, .id = 6}},
        {"its last", OURS, {FROM_FARM, LAST, .id = 6}},
        {"an answer to the host itself",
         PASS,
         {FROM_FARM, .destination_port = 50000, FIRST, .id = 7}},
        {"its second", PASS, {FROM_FARM, MIDDLE, .id = 7}},
        {"its last", PASS, {FROM_FARM, LAST, .id = 7}},
        {"an answer to the host itself, IPv6",
         PASS,
         {FROM_FARM6, .destination_port = 50000, FIRST, OF6(7)}},
        {"its last, IPv6", PASS, {FROM_FARM6, LAST, OF6(7)}},
        {"node port, IPv6",
         OURS,
         {TO_VIP6, .destination = HOST6, .destination_port = 30854, FIRST, OF6(4)}},
        {"its last, IPv6", OURS, {TO_VIP6, .destination = HOST6, LAST, OF6(4)}},
};

static void later_fragments_follow_the_first(void **state)
{
	struct fixture *fixture = *state;

	for (size_t i = 0; i < sizeof(steps) / sizeof(*steps); i++) {
		struct frame f = frame_build(&steps[i].shape);
		bool ours = steps[i].expected == OURS;
		uint32_t xdp = run(fixture->xdp, f.bytes, f.length);
		uint32_t tc = run(fixture->tc, f.bytes, f.length);

		if (xdp != (ours ? XDP_DROP : XDP_PASS) ||
		    tc != (ours ? TC_ACT_SHOT : (uint32_t)TC_ACT_UNSPEC))
			fail_msg("step %zu, %s: xdp %u, tc %d", i, steps[i].what, xdp, (int)tc);
	}
}

// What was said of a datagram is forgotten before its id comes again.
static void first_fragments_are_forgotten(void **state)
{
	struct fixture *fixture = *state;
	struct shape first = {TO_VIP, .destination_port = 22, FIRST, .id = 9};
	struct shape last = {TO_VIP, LAST, .id = 9};
	struct frame f = frame_build(&first);
	int map = bpf_object__find_map_fd_by_name(fixture->steer, "datagrams");
	struct steer_datagram key = {
	        .id = htons(9),
	        .protocol = IPPROTO_TCP,
	        .source = {.bytes = {[10] = 0xff, 0xff}},
	        .destination = {.bytes = {[10] = 0xff, 0xff}},
	};
	uint64_t value;

	inet_pton(AF_INET, CLIENT, &key.source.bytes[12]);
	inet_pton(AF_INET, VIP, &key.destination.bytes[12]);
	assert_int_equal(run(fixture->xdp, f.bytes, f.length), XDP_PASS);
	f = frame_build(&last);
	assert_int_equal(run(fixture->xdp, f.bytes, f.length), XDP_PASS);
	assert_int_equal(bpf_map_lookup_elem(map, &key, &value), 0);
	value -= 2000000000;
	assert_int_equal(bpf_map_update_elem(map, &key, &value, BPF_ANY), 0);
	assert_int_equal(run(fixture->xdp, f.bytes, f.length), XDP_DROP);
}

// Cut anywhere before the ports' end, a frame is the kernel's; after it, the workers'.
static void truncated_frames_are_the_kernels(void **state)
{
	struct fixture *fixture = *state;

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		const struct row *row = &rows[i];
		struct frame f = frame_build(&row->shape);
		size_t needed = f.length - 16;

		if (row->expected != OURS)
			continue;
		if (row->shape.fragment)
			needed -= 4 + row->shape.options;
		for (size_t length = 14; length <= f.length; length++) {
			uint32_t expected = length < needed ? XDP_PASS : XDP_DROP;

			if (run(fixture->xdp, f.bytes, length) != expected)
				fail_msg("%s, %zu bytes: not %u", row->what, length, expected);
		}
	}
}

// What a switch floods to us has another destination.
static void frames_for_others_are_the_kernels(void **state)
{
	static const uint8_t none[8], mac[8] = {0x02, 0, 0, 0x5e, 0, 0x10};
	struct fixture *fixture = *state;
	int map = bpf_object__find_map_fd_by_name(fixture->steer, STEER_PORT_MAC);
	uint32_t first = 0;

	assert_int_equal(bpf_map_update_elem(map, &first, mac, BPF_ANY), 0);
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct frame f = frame_build(&rows[i].shape);

		for (unsigned at = 0; at < 6; at++) {
			memcpy(f.bytes, mac, 6);
			f.bytes[at] ^= 1; // the first: to many
			assert_int_equal(run(fixture->xdp, f.bytes, f.length), XDP_PASS);
		}
		memcpy(f.bytes, mac, 6);
		assert_int_equal(run(fixture->xdp, f.bytes, f.length),
		                 rows[i].expected == OURS ? XDP_DROP : XDP_PASS);
	}
	assert_int_equal(bpf_map_update_elem(map, &first, none, BPF_ANY), 0);
}

static void bad_headers_are_the_kernels(void **state)
{
	struct fixture *fixture = *state;
	struct shape shape = {TO_VIP};
	struct frame f = frame_build(&shape);

	for (unsigned header = 0; header < 5; header++) {
		f.bytes[14] = (uint8_t)(0x40 | header);
		assert_int_equal(run(fixture->xdp, f.bytes, f.length), XDP_PASS);
	}
	f.bytes[14] = 0x55;
	assert_int_equal(run(fixture->xdp, f.bytes, f.length), XDP_PASS);
}

// The driver takes the first program and the map of this name.
static void the_driver_finds_what_it_needs(void **state)
{
	struct fixture *f = *state;
	struct bpf_program *first = bpf_object__next_program(f->steer, NULL);

	assert_string_equal(bpf_program__name(first), STEER_PROGRAM);
	assert_null(bpf_object__next_program(f->steer, first));
	assert_non_null(bpf_object__find_map_by_name(f->steer, "xsks_map"));
}

static void sets_differ_as_sets_do(void **state)
{
	(void)state;
	for (unsigned round = 0; round < 200; round++) {
		bool in_a[64] = {}, in_b[64] = {};
		uint8_t keys[2][100];
		struct sluice_key_set a, b, only_a;

		for (unsigned i = 0; i < 100; i++) {
			in_a[keys[0][i] = (uint8_t)(random() % 64)] = true;
			in_b[keys[1][i] = (uint8_t)(random() % 64)] = true;
		}
		assert_int_equal(sluice_key_set_build(&a, keys[0], 100, 1), 0);
		assert_int_equal(sluice_key_set_build(&b, keys[1], 100, 1), 0);
		assert_int_equal(sluice_key_set_difference(&only_a, &a, &b), 0);
		assert_int_equal(sluice_key_set_merge(&b, &a), 0);
		for (unsigned k = 0, i = 0, j = 0; k < 64; k++) {
			if (in_a[k] && !in_b[k])
				assert_int_equal(only_a.keys[i++], k);
			if (in_a[k] || in_b[k])
				assert_int_equal(b.keys[j++], k);
			if (k == 63) {
				assert_int_equal(only_a.count, i);
				assert_int_equal(b.count, j);
			}
		}
		sluice_key_set_clear(&a);
		sluice_key_set_clear(&b);
		sluice_key_set_clear(&only_a);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(traffic_goes_to_whom_it_belongs),
	        cmocka_unit_test(errors_go_to_whom_the_reply_belongs),
	        cmocka_unit_test(later_fragments_follow_the_first),
	        cmocka_unit_test(first_fragments_are_forgotten),
	        cmocka_unit_test(truncated_frames_are_the_kernels),
	        cmocka_unit_test(frames_for_others_are_the_kernels),
	        cmocka_unit_test(bad_headers_are_the_kernels),
	        cmocka_unit_test(the_driver_finds_what_it_needs),
	        cmocka_unit_test(sets_differ_as_sets_do),
	};

	return cmocka_run_group_tests_name("steer", tests, setup, teardown);
}
