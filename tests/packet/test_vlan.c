// SPDX-License-Identifier: BSD-3-Clause

// 802.1Q: which VLANs are the host's own, and the tag that a packet leaves with.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "world.h"

enum {
	CLIENT_VLAN = 20,
	BACKEND_VLAN = 30,
	TAG = 0x8100,
	PRIORITY = 5 << 13, // in a tag's upper three bits
};

#define FROM_CLIENTS  .mac_to = HOST_0, .mac_from = GATEWAY
#define TO_BACKENDS   .mac_to = BACKEND, .mac_from = HOST_1, .ttl = 63
#define FROM_BACKENDS .mac_to = HOST_1, .mac_from = BACKEND
#define TO_CLIENTS    .mac_to = GATEWAY, .mac_from = HOST_0, .ttl = 63
#define TCP_IN_4                                                                                   \
	.protocol = TCP, .source = "198.51.100.9", .source_port = 40000, .flags = ACK, .payload = 9
#define TCP_IN_6                                                                                   \
	.protocol = TCP, .source = "2001:db8:100::9", .source_port = 40000, .flags = ACK,          \
	.payload = 9
#define TO(address, port) .destination = (address), .destination_port = (port)

// A host with an interface for each of the two VLANs on both ports.
static struct world *tagged_world(void)
{
	static struct sluice_vlans vlans[2];
	struct world *w = world_new();

	for (unsigned port = 0; port < 2; port++)
		vlans[port].ids[0] = 1ULL << CLIENT_VLAN | 1ULL << BACKEND_VLAN;
	w->snapshot.vlans = vlans;
	return w;
}

static void set_backend_vlan(struct world *w, uint16_t vlan)
{
	for (uint32_t slot = 0; slot < w->snapshot.endpoint_count; slot++)
		w->endpoints[slot].adjacency.vlan = vlan;
}

static void expect_frame(struct world *w, const struct frame_fields *in,
                         const struct frame_fields *out)
{
	static struct frame f, expected;
	struct outcome o;

	frame_build(&f, in);
	frame_build(&expected, out);
	world_run_one(w, &f, &o);
	assert_int_equal(o.packet.verdict, SLUICE_VERDICT_TRANSMIT);
	assert_int_equal(o.frame.length, expected.length);
	assert_memory_equal(o.frame.bytes, expected.bytes, expected.length);
}

static void expect_drop(struct world *w, const struct frame_fields *in, enum sluice_drop reason)
{
	static struct frame f;
	struct outcome o;

	frame_build(&f, in);
	world_run_one(w, &f, &o);
	assert_int_equal(o.packet.verdict, SLUICE_VERDICT_DROP);
	assert_int_equal(o.packet.reason, reason);
}

static void test_tag_goes_where_the_way_out_has_none(void **state)
{
	struct world *w = tagged_world();

	(void)state;
	expect_frame(
	        w,
	        &(struct frame_fields){FROM_CLIENTS, TCP_IN_4, TO("10.96.0.1", 80), .tags = {TAG}},
	        &(struct frame_fields){TO_BACKENDS, TCP_IN_4, TO("172.17.0.5", 8080)});
	expect_frame(w,
	             &(struct frame_fields){FROM_CLIENTS, TCP_IN_6, TO("2001:db8:96::1", 80),
	                                    .tags = {TAG}},
	             &(struct frame_fields){TO_BACKENDS, TCP_IN_6, TO("fd00::5", 8080)});
	world_free(w);
}

static void test_tag_is_put_on_where_the_way_out_has_one(void **state)
{
	struct world *w = tagged_world();

	(void)state;
	set_backend_vlan(w, BACKEND_VLAN);
	expect_frame(w, &(struct frame_fields){FROM_CLIENTS, TCP_IN_4, TO("10.96.0.1", 80)},
	             &(struct frame_fields){TO_BACKENDS, TCP_IN_4, TO("172.17.0.5", 8080),
	                                    .tags = {TAG}, .tci = BACKEND_VLAN});
	expect_frame(w, &(struct frame_fields){FROM_CLIENTS, TCP_IN_6, TO("2001:db8:96::1", 80)},
	             &(struct frame_fields){TO_BACKENDS, TCP_IN_6, TO("fd00::5", 8080),
	                                    .tags = {TAG}, .tci = BACKEND_VLAN});
	world_free(w);
}

static void test_tag_changes_vlan_and_keeps_its_priority(void **state)
{
	struct world *w = tagged_world();

	(void)state;
	set_backend_vlan(w, BACKEND_VLAN);
	expect_frame(w,
	             &(struct frame_fields){FROM_CLIENTS, TCP_IN_4, TO("10.96.0.1", 80),
	                                    .tags = {TAG}, .tci = PRIORITY | CLIENT_VLAN},
	             &(struct frame_fields){TO_BACKENDS, TCP_IN_4, TO("172.17.0.5", 8080),
	                                    .tags = {TAG}, .tci = PRIORITY | BACKEND_VLAN});
	world_free(w);
}

static void test_return_traffic_changes_tags_too(void **state)
{
	struct sluice_adjacency clients = {.destination = {2, 0, 0, 0, 0, GATEWAY},
	                                   .source = {2, 0, 0, 0, 0, HOST_0},
	                                   .mtu = WORLD_MTU,
	                                   .vlan = CLIENT_VLAN,
	                                   .state = SLUICE_ADJACENCY_READY};
	struct sluice_adjacency adjacencies[8];
	struct world *w = tagged_world();

	(void)state;
	for (unsigned i = 0; i < 8; i++)
		adjacencies[i] = clients;
	w->snapshot.adjacencies = adjacencies;
	expect_frame(w,
	             &(struct frame_fields){FROM_BACKENDS, .protocol = TCP, .source = "172.17.0.5",
	                                    .source_port = 8080, TO("198.51.100.9", 40000),
	                                    .payload = 700, .tags = {TAG}, .tci = BACKEND_VLAN},
	             &(struct frame_fields){TO_CLIENTS, .protocol = TCP, .source = "10.96.0.1",
	                                    .source_port = 80, TO("198.51.100.9", 40000),
	                                    .payload = 700, .tags = {TAG}, .tci = CLIENT_VLAN});
	world_free(w);
}

// A tag of VLAN 0 is a priority and nothing else (802.1Q, 9.6).
static void test_priority_tag_is_no_vlan(void **state)
{
	struct world *w = world_new();

	(void)state;
	expect_frame(w,
	             &(struct frame_fields){FROM_CLIENTS, TCP_IN_4, TO("10.96.0.1", 80),
	                                    .tags = {TAG}, .tci = PRIORITY},
	             &(struct frame_fields){TO_BACKENDS, TCP_IN_4, TO("172.17.0.5", 8080)});
	world_free(w);
}

static void test_vlan_without_an_interface_is_dropped(void **state)
{
	struct world *w = tagged_world();

	(void)state;
	expect_drop(w,
	            &(struct frame_fields){FROM_CLIENTS, TCP_IN_4, TO("10.96.0.1", 80),
	                                   .tags = {TAG}, .tci = 21},
	            SLUICE_DROP_VLAN);
	expect_drop(w,
	            &(struct frame_fields){FROM_BACKENDS, .protocol = TCP, .source = "172.17.0.5",
	                                   .source_port = 8080, TO("198.51.100.9", 40000),
	                                   .tags = {TAG}, .tci = 21},
	            SLUICE_DROP_VLAN);
	world_free(w);
}

static void test_mtu_is_that_of_the_ip_packet(void **state)
{
	struct world *w = tagged_world();
	struct frame_fields in = {FROM_CLIENTS, TCP_IN_4, TO("10.96.0.1", 80), .tags = {TAG}};
	struct frame_fields out = {TO_BACKENDS, TCP_IN_4, TO("172.17.0.5", 8080), .tags = {TAG},
	                           .tci = BACKEND_VLAN};

	(void)state;
	set_backend_vlan(w, BACKEND_VLAN);
	in.payload = out.payload = WORLD_MTU - 40;
	expect_frame(w, &in, &out);
	world_free(w);
}

static void test_refusal_goes_back_with_the_tag_it_came_with(void **state)
{
	struct world *w = tagged_world();

	(void)state;
	expect_frame(w,
	             &(struct frame_fields){FROM_CLIENTS, .protocol = TCP, .flags = SYN,
	                                    .source = "198.51.100.9", .source_port = 40000,
	                                    TO("10.96.0.5", 80), .tags = {TAG},
	                                    .tci = PRIORITY | CLIENT_VLAN},
	             &(struct frame_fields){.mac_to = GATEWAY,
	                                    .mac_from = HOST_0,
	                                    .protocol = TCP,
	                                    .fragment = 0x4000,
	                                    .flags = RST | ACK,
	                                    .acknowledgement = 1,
	                                    .source = "10.96.0.5",
	                                    .source_port = 80,
	                                    TO("198.51.100.9", 40000),
	                                    .tags = {TAG},
	                                    .tci = PRIORITY | CLIENT_VLAN});
	world_free(w);
}

static void test_truncated_tagged_frames_are_dropped(void **state)
{
	struct world *w = tagged_world();
	struct frame_fields in = {FROM_CLIENTS, TCP_IN_4, TO("10.96.0.1", 80), .tags = {TAG}};
	struct frame f;
	struct outcome o;

	(void)state;
	frame_build(&f, &in);
	for (uint32_t whole = f.length, n = 0; n < whole; n++) {
		f.length = n;
		world_run_one(w, &f, &o);
		assert_int_equal(o.packet.verdict, SLUICE_VERDICT_DROP);
		assert_int_equal(o.packet.reason, SLUICE_DROP_TRUNCATED);
	}
	world_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_tag_goes_where_the_way_out_has_none),
	        cmocka_unit_test(test_tag_is_put_on_where_the_way_out_has_one),
	        cmocka_unit_test(test_tag_changes_vlan_and_keeps_its_priority),
	        cmocka_unit_test(test_return_traffic_changes_tags_too),
	        cmocka_unit_test(test_priority_tag_is_no_vlan),
	        cmocka_unit_test(test_vlan_without_an_interface_is_dropped),
	        cmocka_unit_test(test_mtu_is_that_of_the_ip_packet),
	        cmocka_unit_test(test_refusal_goes_back_with_the_tag_it_came_with),
	        cmocka_unit_test(test_truncated_tagged_frames_are_dropped),
	};

	world_eal();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
