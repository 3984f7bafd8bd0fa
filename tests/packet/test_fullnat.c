// SPDX-License-Identifier: BSD-3-Clause

// Forwarding mode fullnat: both ends of every packet, both ways, against frames that are built from
// scratch; what has no flow or no port; ICMP errors about either way.

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "golden_fullnat.h"
#include "snat_world.h"

enum {
	FIRST_PORT = 20000,
	LAST_PORT = 20255,
};

// What one flow looks like from both sides.
struct path {
	const char *client, *vip, *snat, *endpoint;
	uint16_t vip_port, endpoint_port;
	uint8_t protocol, icmp;
};

static const struct path paths[] = {
        {"198.51.100.9", "10.96.0.1", "172.17.0.1", "172.17.0.5", 80, 8080, TCP, ICMP},
        {"198.51.100.9", "10.96.0.1", "172.17.0.1", "172.17.0.5", 53, 5353, UDP, ICMP},
        {"2001:db8:100::9", "2001:db8:96::1", "fd00::1", "fd00::5", 80, 8080, TCP, ICMP6},
        {"2001:db8:100::9", "2001:db8:96::1", "fd00::1", "fd00::5", 53, 5353, UDP, ICMP6},
};

static struct frame_fields from_client(const struct path *p, uint16_t port)
{
	return (struct frame_fields){.mac_to = HOST_0,
	                             .mac_from = GATEWAY,
	                             .source = p->client,
	                             .source_port = port,
	                             .destination = p->vip,
	                             .destination_port = p->vip_port,
	                             .protocol = p->protocol,
	                             .flags = p->protocol == TCP ? SYN : 0,
	                             .payload = 33};
}

static struct frame_fields to_endpoint(const struct path *p, uint16_t port)
{
	struct frame_fields f = from_client(p, 0);

	f.mac_to = BACKEND;
	f.mac_from = HOST_1;
	f.ttl = 63;
	f.source = p->snat;
	f.source_port = port;
	f.destination = p->endpoint;
	f.destination_port = p->endpoint_port;
	return f;
}

static struct frame_fields from_endpoint(const struct path *p, uint16_t port)
{
	return (struct frame_fields){.mac_to = HOST_1,
	                             .mac_from = BACKEND,
	                             .source = p->endpoint,
	                             .source_port = p->endpoint_port,
	                             .destination = p->snat,
	                             .destination_port = port,
	                             .protocol = p->protocol,
	                             .flags = p->protocol == TCP ? SYN | ACK : 0,
	                             .payload = 70};
}

static struct frame_fields to_client(const struct path *p, uint16_t port)
{
	struct frame_fields f = from_endpoint(p, 0);

	f.mac_to = GATEWAY;
	f.mac_from = HOST_0;
	f.ttl = 63;
	f.source = p->vip;
	f.source_port = p->vip_port;
	f.destination = p->client;
	f.destination_port = port;
	return f;
}

static void expect_frame(const struct outcome *o, const struct frame *expected, uint8_t port)
{
	assert_int_equal(o->packet.verdict, SLUICE_VERDICT_TRANSMIT);
	assert_int_equal(o->packet.port_out, port);
	assert_int_equal(o->frame.length, expected->length);
	assert_memory_equal(o->frame.bytes, expected->bytes, expected->length);
}

// Sends a client's packet; returns the port that it left with.
static uint16_t open_flow(struct snat_world *s, const struct path *p, uint16_t client_port)
{
	struct frame_fields in = from_client(p, client_port), out;
	static struct frame f, expected;
	struct outcome o;
	uint16_t port;

	frame_build(&f, &in);
	world_run_one(s->w, &f, &o);
	assert_int_equal(o.packet.verdict, SLUICE_VERDICT_TRANSMIT);
	port = ntohs(sluice_packet_port(&o.packet, SLUICE_SOURCE));
	assert_in_range(port, FIRST_PORT, LAST_PORT);
	out = to_endpoint(p, port);
	frame_build(&expected, &out);
	expect_frame(&o, &expected, 1);
	return port;
}

static void test_both_ends_change_both_ways(void **state)
{
	struct snat_world *s = snat_world_of(world_new(), FIRST_PORT, LAST_PORT);
	static struct frame f, expected;
	struct outcome o;

	(void)state;
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		const struct path *p = &paths[i];
		uint16_t port = open_flow(s, p, 40000);
		struct frame_fields in = from_endpoint(p, port), out = to_client(p, 40000);

		assert_int_equal(open_flow(s, p, 40000), port); // the flow keeps it
		frame_build(&f, &in);
		frame_build(&expected, &out);
		world_run_one(s->w, &f, &o);
		expect_frame(&o, &expected, 0);
	}
	snat_world_free(s);
}

static void test_udp_without_checksum_stays_without(void **state)
{
	struct snat_world *s = snat_world_of(world_new(), FIRST_PORT, LAST_PORT);
	const struct path *p = &paths[1];
	uint16_t port = open_flow(s, p, 40000);
	struct frame_fields in = from_endpoint(p, port), out = to_client(p, 40000);
	static struct frame f, expected;
	struct outcome o;

	(void)state;
	in.no_checksum = out.no_checksum = true;
	frame_build(&f, &in);
	frame_build(&expected, &out);
	world_run_one(s->w, &f, &o);
	expect_frame(&o, &expected, 0);
	snat_world_free(s);
}

static void expect_verdict(struct snat_world *s, const struct frame_fields *in,
                           enum sluice_verdict verdict, enum sluice_drop reason)
{
	static struct frame f;
	struct outcome o;

	frame_build(&f, in);
	world_run_one(s->w, &f, &o);
	assert_int_equal(o.packet.verdict, verdict);
	if (verdict == SLUICE_VERDICT_DROP)
		assert_int_equal(o.packet.reason, reason);
}

// The addresses are the host's own: what is no flow's is the kernel's, as are other ports.
static void test_the_hosts_own_traffic_is_the_kernels(void **state)
{
	struct snat_world *s = snat_world_of(world_new(), FIRST_PORT, LAST_PORT);
	struct frame_fields f = from_endpoint(&paths[0], FIRST_PORT);

	(void)state;
	expect_verdict(s, &f, SLUICE_VERDICT_PASS, 0);
	f.destination_port = 50000;
	expect_verdict(s, &f, SLUICE_VERDICT_PASS, 0);
	snat_world_free(s);
}

static void test_no_port_left_is_a_named_drop(void **state)
{
	struct snat_world *s = snat_world_of(world_new(), FIRST_PORT, LAST_PORT);
	struct frame_fields f;
	static struct frame frame;
	struct outcome o;
	unsigned taken = 0;

	(void)state;
	for (uint16_t port = 1024; port < 1024 + 2000; port++) {
		f = from_client(&paths[0], port);
		frame_build(&frame, &f);
		world_run_one(s->w, &frame, &o);
		f.flags = ACK; // confirmed: nobody pushes it out
		frame_build(&frame, &f);
		world_run_one(s->w, &frame, &o);
		taken += o.packet.verdict == SLUICE_VERDICT_TRANSMIT;
	}
	assert_in_range(taken, (LAST_PORT - FIRST_PORT + 1) / 2, LAST_PORT - FIRST_PORT + 1);
	assert_true(sluice_counter_read(&s->w->counters.drops[SLUICE_DROP_SNAT_EXHAUSTED]) > 0);
	// Ports are an endpoint's: another one's are all free.
	open_flow(s, &paths[1], 40000);
	snat_world_free(s);
}

static void error_frame(struct frame *f, const struct frame_fields *outer,
                        const struct frame_fields *quoted)
{
	static struct frame original;

	frame_build(&original, quoted);
	frame_build_error(f, outer, outer->protocol == ICMP ? 0x0303 : 0x0104, 0, &original,
	                  original.length - 14);
}

// From the endpoint, about what it was sent: the client gets it as from the virtual address.
static void test_errors_reach_the_client(void **state)
{
	struct snat_world *s = snat_world_of(world_new(), FIRST_PORT, LAST_PORT);
	static struct frame f, expected;
	struct outcome o;

	(void)state;
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		const struct path *p = &paths[i];
		uint16_t port = open_flow(s, p, 40000);
		struct frame_fields quoted = to_endpoint(p, port), theirs = from_client(p, 40000);
		struct frame_fields in = from_endpoint(p, 0), out = to_client(p, 0);

		in.protocol = out.protocol = p->icmp;
		theirs.ttl = 63;
		error_frame(&f, &in, &quoted);
		error_frame(&expected, &out, &theirs);
		world_run_one(s->w, &f, &o);
		expect_frame(&o, &expected, 0);
	}
	snat_world_free(s);
}

// From the client, about what the endpoint sent.
static void test_errors_reach_the_endpoint(void **state)
{
	struct snat_world *s = snat_world_of(world_new(), FIRST_PORT, LAST_PORT);
	static struct frame f, expected;
	struct outcome o;

	(void)state;
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		const struct path *p = &paths[i];
		uint16_t port = open_flow(s, p, 40000);
		struct frame_fields quoted = to_client(p, 40000), theirs = from_endpoint(p, port);
		struct frame_fields in = from_client(p, 0), out = to_endpoint(p, 0);

		in.protocol = out.protocol = p->icmp;
		theirs.ttl = 63;
		error_frame(&f, &in, &quoted);
		error_frame(&expected, &out, &theirs);
		world_run_one(s->w, &f, &o);
		expect_frame(&o, &expected, 1);
	}
	snat_world_free(s);
}

// The same against frames that scapy made. With one port there is no choice.
static void test_frames_are_as_scapy_makes_them(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(golden_fullnat) / sizeof(golden_fullnat[0]); i++) {
		const struct golden_fullnat *g = &golden_fullnat[i];
		struct snat_world *s = snat_world_of(world_new(), FIRST_PORT, FIRST_PORT);
		static struct frame f, expected;
		struct outcome o;

		for (unsigned way = 0; way < 2; way++) {
			f.length = g->length[way];
			expected.length = g->length[way];
			memcpy(f.bytes, g->before[way], f.length);
			memcpy(expected.bytes, g->after[way], f.length);
			world_run_one(s->w, &f, &o);
			expect_frame(&o, &expected, way == 0);
		}
		snat_world_free(s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_both_ends_change_both_ways),
	        cmocka_unit_test(test_frames_are_as_scapy_makes_them),
	        cmocka_unit_test(test_udp_without_checksum_stays_without),
	        cmocka_unit_test(test_the_hosts_own_traffic_is_the_kernels),
	        cmocka_unit_test(test_no_port_left_is_a_named_drop),
	        cmocka_unit_test(test_errors_reach_the_client),
	        cmocka_unit_test(test_errors_reach_the_endpoint),
	};

	world_eal();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
