// SPDX-License-Identifier: BSD-3-Clause

// ICMP errors and tunnels: a client's packet goes in, a router inside the tunnel quotes what came
// out, and the client must hear of it in terms of what it sent.

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tunnel_world.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

enum {
	ETHERNET = 14,
	UNREACHABLE_4 = 0x0301, // host
	UNREACHABLE_6 = 0x0103, // address
	TOO_BIG_4 = 0x0304,
	TOO_BIG_6 = 0x0200,
	NOTHING = 0xffff,
};

// A way through a tunnel.
struct way {
	enum sluice_forwarding mode;
	bool inner_6, outer_6;
	uint32_t overhead;
};

static const struct way ways[] = {
        {SLUICE_FORWARD_IPIP, false, false, 20}, {SLUICE_FORWARD_IPIP, true, false, 20},
        {SLUICE_FORWARD_IPIP, false, true, 40},  {SLUICE_FORWARD_IPIP, true, true, 40},
        {SLUICE_FORWARD_GUE, false, false, 28},  {SLUICE_FORWARD_GUE, true, false, 28},
        {SLUICE_FORWARD_GUE, false, true, 48},   {SLUICE_FORWARD_GUE, true, true, 48},
};

static char vip[40];

// What a client sends that way; in vip is whom to.
static struct frame_fields client_packet(const struct way *way, uint8_t protocol, unsigned payload)
{
	snprintf(vip, sizeof(vip), way->inner_6 ? "2001:db8:96:1::%u" : "10.96.1.%u",
	         way->mode * 10 + (way->outer_6 ? 6 : 4));
	return (struct frame_fields){
	        .mac_to = HOST_0,
	        .mac_from = GATEWAY,
	        .source = way->inner_6 ? "2001:db8:100::9" : "198.51.100.9",
	        .destination = vip,
	        .protocol = protocol,
	        .source_port = 40000,
	        .destination_port = protocol == TCP ? 80 : 53,
	        .flags = ACK,
	        .fragment = way->inner_6 ? 0 : 0x4000,
	        .payload = payload,
	};
}

static struct frame_fields router_error(const struct way *way)
{
	return (struct frame_fields){
	        .mac_to = HOST_1,
	        .mac_from = BACKEND,
	        .source = way->outer_6 ? "fd00:17::fe" : "172.17.0.254",
	        .destination = way->outer_6 ? "fd00:17::1" : "172.17.0.1",
	        .protocol = way->outer_6 ? ICMP6 : ICMP,
	};
}

static struct frame_fields client_error(const struct way *way)
{
	return (struct frame_fields){
	        .mac_to = GATEWAY,
	        .mac_from = HOST_0,
	        .source = vip,
	        .destination = way->inner_6 ? "2001:db8:100::9" : "198.51.100.9",
	        .protocol = way->inner_6 ? ICMP6 : ICMP,
	        .fragment = way->inner_6 ? 0 : 0x4000,
	};
}

// The client's packet and how it looks in the tunnel.
static void send_in(struct world *w, const struct way *way, uint8_t protocol, unsigned payload,
                    struct frame *sent, struct frame *tunnelled)
{
	struct frame_fields fields = client_packet(way, protocol, payload);
	struct outcome o;

	frame_build(sent, &fields);
	world_run_one(w, sent, &o);
	assert_int_equal(o.packet.verdict, SLUICE_VERDICT_TRANSMIT);
	*tunnelled = o.frame;
	assert_int_equal(tunnelled->length, sent->length + way->overhead);
}

static void expect_error(const struct way *way, const struct frame *sent, uint16_t type_code,
                         uint32_t word, uint32_t quoted, const struct outcome *o)
{
	struct frame_fields fields = client_error(way);
	uint32_t most = way->inner_6 ? 1232 : 548;
	struct frame expected;

	frame_build_error(&expected, &fields, type_code, word, sent, quoted < most ? quoted : most);
	assert_int_equal(o->packet.verdict, SLUICE_VERDICT_TRANSMIT);
	assert_int_equal(o->packet.port_out, 0);
	assert_int_equal(o->frame.length, expected.length);
	assert_memory_equal(o->frame.bytes, expected.bytes, expected.length);
}

// ---- meanings

struct meaning {
	uint16_t type_code; // as the router says it
	uint32_t word;
	uint16_t means_4, means_6; // for a client of either family; NOTHING: the error is passed
};

static const struct meaning meanings_4[] = {
        {0x0300, 0, UNREACHABLE_4, UNREACHABLE_6}, // network
        {0x0301, 0, UNREACHABLE_4, UNREACHABLE_6}, // host
        {0x0302, 0, UNREACHABLE_4, UNREACHABLE_6}, // protocol: nobody at the tunnel's end
        {0x0303, 0, UNREACHABLE_4, UNREACHABLE_6}, // port: the same
        {0x0304, 1400, TOO_BIG_4, TOO_BIG_6},      // fragmentation needed
        {0x0304, 0, NOTHING, NOTHING},             // from before RFC 1191
        {0x0305, 0, NOTHING, NOTHING},             // source route failed
        {0x030d, 0, UNREACHABLE_4, UNREACHABLE_6}, // prohibited
        {0x0b00, 0, UNREACHABLE_4, UNREACHABLE_6}, // TTL of the outer header
        {0x0c00, 20U << 24, NOTHING, NOTHING},     // parameter problem
        {0x0400, 0, NOTHING, NOTHING},             // source quench
};

static const struct meaning meanings_6[] = {
        {0x0100, 0, UNREACHABLE_4, UNREACHABLE_6},
        {0x0103, 0, UNREACHABLE_4, UNREACHABLE_6},
        {0x0104, 0, UNREACHABLE_4, UNREACHABLE_6},
        {0x0200, 1400, TOO_BIG_4, TOO_BIG_6},
        {0x0200, 100000, NOTHING, NOTHING},
        {0x0300, 0, UNREACHABLE_4, UNREACHABLE_6},
        {0x0401, 40, NOTHING, NOTHING},
};

static void try_meaning(struct world *w, const struct way *way, const struct meaning *m,
                        uint8_t protocol)
{
	struct frame_fields router = router_error(way);
	uint16_t means = way->inner_6 ? m->means_6 : m->means_4;
	bool too_big = means == TOO_BIG_4 || means == TOO_BIG_6;
	struct frame sent, tunnelled, error;
	struct outcome o;

	send_in(w, way, protocol, 77, &sent, &tunnelled);
	frame_build_error(&error, &router, m->type_code, m->word, &tunnelled,
	                  tunnelled.length - ETHERNET);
	world_run_one(w, &error, &o);
	if (means == NOTHING)
		assert_int_equal(o.packet.verdict, SLUICE_VERDICT_PASS);
	else
		expect_error(way, &sent, means, too_big ? m->word - way->overhead : 0,
		             sent.length - ETHERNET, &o);
}

static void test_errors_are_put_in_the_clients_words(void **state)
{
	struct world *w = tunnel_world_new();

	(void)state;
	for (size_t i = 0; i < COUNT(ways); i++) {
		const struct meaning *m = ways[i].outer_6 ? meanings_6 : meanings_4;
		size_t count = ways[i].outer_6 ? COUNT(meanings_6) : COUNT(meanings_4);

		for (size_t k = 0; k < count; k++) {
			try_meaning(w, &ways[i], &m[k], TCP);
			try_meaning(w, &ways[i], &m[k], UDP);
		}
	}
	world_free(w);
}

// No path that carries IPv6 is said to carry less than 1280 bytes, none that carries IPv4 less
// than 68.
static void test_mtu_is_no_less_than_what_must_be(void **state)
{
	struct world *w = tunnel_world_new();

	(void)state;
	for (size_t i = 0; i < COUNT(ways); i++) {
		struct frame_fields router = router_error(&ways[i]);
		struct frame sent, tunnelled, error;
		struct outcome o;

		send_in(w, &ways[i], UDP, 20, &sent, &tunnelled);
		frame_build_error(&error, &router, ways[i].outer_6 ? TOO_BIG_6 : TOO_BIG_4, 100,
		                  &tunnelled, tunnelled.length - ETHERNET);
		world_run_one(w, &error, &o);
		expect_error(&ways[i], &sent, ways[i].inner_6 ? TOO_BIG_6 : TOO_BIG_4,
		             ways[i].inner_6               ? 1280
		             : 100 - ways[i].overhead < 68 ? 68
		                                           : 100 - ways[i].overhead,
		             sent.length - ETHERNET, &o);
	}
	world_free(w);
}

// ---- quotes

static void test_quotes_may_end_anywhere_behind_the_ports(void **state)
{
	struct world *w = tunnel_world_new();

	(void)state;
	for (size_t i = 0; i < COUNT(ways); i++) {
		const struct way *way = &ways[i];
		struct frame_fields router = router_error(way);
		uint32_t needed = way->overhead + (way->inner_6 ? 40 : 20) + 4;
		struct frame sent, tunnelled, error;
		struct outcome o;

		send_in(w, way, UDP, 1300, &sent, &tunnelled);
		for (uint32_t n = 0; n <= tunnelled.length - ETHERNET; n++) {
			frame_build_error(&error, &router, way->outer_6 ? TOO_BIG_6 : TOO_BIG_4,
			                  1400, &tunnelled, n);
			world_run_one(w, &error, &o);
			if (n < needed)
				assert_int_equal(o.packet.verdict, SLUICE_VERDICT_PASS);
			else
				expect_error(way, &sent, way->inner_6 ? TOO_BIG_6 : TOO_BIG_4,
				             1400 - way->overhead, n - way->overhead, &o);
		}
	}
	world_free(w);
}

// Words that say how long the quote is, and an MPLS label behind it: the client gets no label.
static void test_extensions_are_cut_off(void **state)
{
	struct world *w = tunnel_world_new();

	(void)state;
	for (size_t i = 0; i < COUNT(ways); i++) {
		const struct way *way = &ways[i];
		struct frame_fields router = router_error(way);
		struct frame sent, tunnelled, error;
		struct outcome o;

		send_in(w, way, UDP, 200, &sent, &tunnelled);
		frame_build_error(&error, &router, way->outer_6 ? 0x0300 : 0x0b00,
		                  way->outer_6 ? 16U << 24 : 32U << 16, &tunnelled, 128 + 12);
		world_run_one(w, &error, &o);
		expect_error(way, &sent, way->inner_6 ? UNREACHABLE_6 : UNREACHABLE_4, 0,
		             128 - way->overhead, &o);
	}
	world_free(w);
}

// What no tunnel of ours has sent is the kernel's, or nobody's.
static void test_strangers_errors_are_passed(void **state)
{
	struct world *w = tunnel_world_new();

	(void)state;
	for (size_t i = 0; i < COUNT(ways); i++) {
		const struct way *way = &ways[i];
		struct frame_fields router = router_error(way);
		uint32_t address = ETHERNET + (way->outer_6 ? 24 : 16);
		struct frame sent, tunnelled, changed, error;
		struct outcome o;

		send_in(w, way, TCP, 9, &sent, &tunnelled);
		// Another endpoint, another virtual address, another port of it, another tunnel.
		const uint32_t places[] = {
		        address + (way->outer_6 ? 15 : 3),
		        ETHERNET + way->overhead + (way->inner_6 ? 39 : 19),
		        ETHERNET + way->overhead + (way->inner_6 ? 43 : 23),
		        ETHERNET + (way->outer_6 ? 6 : 9),
		};

		for (size_t k = 0; k < COUNT(places); k++) {
			changed = tunnelled;
			changed.bytes[places[k]] ^= 0x40;
			frame_build_error(&error, &router, way->outer_6 ? TOO_BIG_6 : TOO_BIG_4,
			                  1400, &changed, changed.length - ETHERNET);
			world_run_one(w, &error, &o);
			assert_int_equal(o.packet.verdict, SLUICE_VERDICT_PASS);
		}
	}
	world_free(w);
}

// ---- ways

static void test_errors_take_the_clients_route(void **state)
{
	static const struct {
		const char *client_4, *client_6;
		uint8_t verdict, reason;
	} routes[] = {
	        {"198.51.101.9", "2001:db8:101::9", SLUICE_VERDICT_RESOLVE, 0},
	        {"203.0.113.9", "2001:db8:bad::9", SLUICE_VERDICT_DROP, SLUICE_DROP_NO_ROUTE},
	        {"198.51.102.9", "2001:db8:102::9", SLUICE_VERDICT_DROP, SLUICE_DROP_TOO_BIG},
	        {"224.0.0.9", "ff02::9", SLUICE_VERDICT_PASS, 0}, // no single host
	};
	struct world *w = tunnel_world_new();

	(void)state;
	for (size_t i = 0; i < COUNT(ways) * COUNT(routes); i++) {
		const struct way *way = &ways[i / COUNT(routes)];
		struct frame_fields fields = client_packet(way, UDP, 90),
		                    router = router_error(way);
		size_t k = i % COUNT(routes);
		struct frame sent, error;
		struct outcome o;

		fields.source = way->inner_6 ? routes[k].client_6 : routes[k].client_4;
		frame_build(&sent, &fields);
		world_run_one(w, &sent, &o);
		frame_build_error(&error, &router, way->outer_6 ? 0x0100 : 0x0300, 0, &o.frame,
		                  o.frame.length - ETHERNET);
		world_run_one(w, &error, &o);
		assert_int_equal(o.packet.verdict, routes[k].verdict);
		if (o.packet.verdict == SLUICE_VERDICT_DROP)
			assert_int_equal(o.packet.reason, routes[k].reason);
	}
	world_free(w);
}

// An error about what an endpoint answered past this host goes to it as any packet of the client:
// as it came, in the tunnel.
static void test_errors_about_answers_go_in(void **state)
{
	struct world *w = tunnel_world_new();

	(void)state;
	for (size_t i = 0; i < COUNT(ways); i++) {
		const struct way *way = &ways[i];
		struct frame_fields in = client_packet(way, TCP, 0), quoted = in, outer = in;
		struct frame original, error;
		struct outcome o;

		quoted.source = in.destination;
		quoted.destination = in.source;
		quoted.source_port = in.destination_port;
		quoted.destination_port = in.source_port;
		outer.protocol = way->inner_6 ? ICMP6 : ICMP;
		frame_build(&original, &quoted);
		frame_build_error(&error, &outer, way->inner_6 ? TOO_BIG_6 : TOO_BIG_4, 1400,
		                  &original, original.length - ETHERNET);
		world_run_one(w, &error, &o);
		assert_int_equal(o.packet.verdict, SLUICE_VERDICT_TRANSMIT);
		assert_int_equal(o.packet.port_out, 1);
		assert_int_equal(o.frame.length, error.length + way->overhead);
		assert_memory_equal(o.frame.bytes + ETHERNET + way->overhead,
		                    error.bytes + ETHERNET, error.length - ETHERNET);
	}
	world_free(w);
}

// ---- at random

// Any byte may be any: what goes out is well-formed, and quotes what came in.
static void check_sent(const struct frame *in, const struct outcome *o)
{
	const struct frame *f = &o->frame;
	const uint8_t *ip = f->bytes + ETHERNET;
	bool v6 = ip[0] >> 4 == 6;
	uint32_t header = v6 ? 40 : 20, quote = ETHERNET + header + 8;

	if (o->packet.verdict != SLUICE_VERDICT_TRANSMIT || o->packet.port_out != 0)
		return;
	assert_int_equal(f->bytes[12] * 256 + f->bytes[13], v6 ? 0x86dd : 0x0800);
	if (!v6)
		assert_int_equal(frame_sum(ip, 20, 0), 0);
	assert_int_equal(
	        frame_sum(ip + header, f->length - ETHERNET - header,
	                  v6 ? frame_pseudo_sum(ip, ICMP6, f->length - ETHERNET - header) : 0),
	        0);
	assert_non_null(memmem(in->bytes, in->length, f->bytes + quote, f->length - quote));
}

static void test_mangled_errors(void **state)
{
	struct world *w = tunnel_world_new();
	uint64_t sent_on = 0;

	(void)state;
	srandom(7);
	for (unsigned i = 0; i < 200000; i++) {
		const struct way *way = &ways[(size_t)random() % COUNT(ways)];
		struct frame_fields router = router_error(way);
		struct frame sent, tunnelled, error;
		struct outcome o;
		uint32_t at;

		send_in(w, way, i % 2 ? TCP : UDP, (unsigned)random() % 150, &sent, &tunnelled);
		frame_build_error(&error, &router, way->outer_6 ? TOO_BIG_6 : 0x0b00, 1400,
		                  &tunnelled, tunnelled.length - ETHERNET);
		for (unsigned n = (unsigned)random() % 3; n > 0; n--) {
			at = (uint32_t)random() % (error.length < 150 ? error.length : 150);
			error.bytes[at] = (uint8_t)random();
		}
		if (random() % 8 == 0)
			error.length = (uint32_t)random() % (error.length + 1);
		world_run_one(w, &error, &o);
		check_sent(&error, &o);
		sent_on += o.packet.verdict == SLUICE_VERDICT_TRANSMIT;
	}
	assert_true(sent_on > 50000 && sent_on < 190000);
	world_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_errors_are_put_in_the_clients_words),
	        cmocka_unit_test(test_mtu_is_no_less_than_what_must_be),
	        cmocka_unit_test(test_quotes_may_end_anywhere_behind_the_ports),
	        cmocka_unit_test(test_extensions_are_cut_off),
	        cmocka_unit_test(test_strangers_errors_are_passed),
	        cmocka_unit_test(test_errors_take_the_clients_route),
	        cmocka_unit_test(test_errors_about_answers_go_in),
	        cmocka_unit_test(test_mangled_errors),
	};

	world_eal();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
