// SPDX-License-Identifier: BSD-3-Clause

// How fullnat's flows are placed, kept and found again: endpoints that come and go, clients that
// use a port again, several workers, and services that change their mode.

#include <stdio.h>

#include "snat_world.h"

enum {
	ENDPOINTS = 6, // slots 1 to 6, of one service
	CLIENTS = 300,
	FIRST_PORT = 20000,
	LAST_PORT = 29999,
};

struct fixture {
	struct snat_world *s;
	struct world *w;
	bool v6;
	uint8_t protocol;
};

static struct fixture fixture_new(bool v6, uint8_t protocol)
{
	struct world *w = world_new_empty();
	unsigned service = world_service(w, SLUICE_ON_EMPTY_DROP);
	char address[32];

	world_frontend(w, service, v6 ? "2001:db8:96::1" : "10.96.0.1", 80, protocol);
	for (unsigned i = 1; i <= ENDPOINTS; i++) {
		snprintf(address, sizeof(address), v6 ? "fd00::%u" : "172.17.0.%u", i + 4);
		world_endpoint(w, service, address, 8080, protocol);
	}
	return (struct fixture){.s = snat_world_of(w, FIRST_PORT, LAST_PORT),
	                        .w = w,
	                        .v6 = v6,
	                        .protocol = protocol};
}

// NOLINTBEGIN(bugprone-macro-parentheses): it is the name of a variable
#define FOR_EACH_KIND(fx)                                                                          \
	for (unsigned kind = 0; kind < 4; kind++)                                                  \
		for (struct fixture fx = fixture_new(kind & 1, kind & 2 ? UDP : TCP); fx.s;        \
		     snat_world_free(fx.s), fx.s = NULL)
// NOLINTEND(bugprone-macro-parentheses)

// Where a client's packet went, and what it left with.
struct way {
	uint32_t slot; // 0: it was not sent on
	uint16_t port; // host byte order
};

static bool same_way(struct way a, struct way b)
{
	return a.slot == b.slot && a.port == b.port;
}

static const char *client_address(const struct fixture *fx, unsigned client)
{
	static char address[32];

	snprintf(address, sizeof(address), fx->v6 ? "2001:db8:100::%u" : "198.51.100.%u",
	         client % 250);
	return address;
}

static void client_frame(const struct fixture *fx, struct frame *f, unsigned client, uint8_t flags)
{
	struct frame_fields fields = {.mac_to = HOST_0,
	                              .mac_from = GATEWAY,
	                              .source = client_address(fx, client),
	                              .source_port = (uint16_t)(1024 + client),
	                              .destination = fx->v6 ? "2001:db8:96::1" : "10.96.0.1",
	                              .destination_port = 80,
	                              .protocol = fx->protocol,
	                              .flags = flags};

	frame_build(f, &fields);
}

static struct way way_of(const struct outcome *o)
{
	if (o->packet.verdict != SLUICE_VERDICT_TRANSMIT)
		return (struct way){0};
	return (struct way){.slot = o->packet.slot,
	                    .port = ntohs(sluice_packet_port(&o->packet, SLUICE_SOURCE))};
}

static struct way send_from(const struct fixture *fx, unsigned client, uint8_t flags)
{
	static struct frame f;
	struct outcome o;

	client_frame(fx, &f, client, flags);
	world_run_one(fx->w, &f, &o);
	return way_of(&o);
}

// What becomes of an answer of the endpoint in that slot to a port of ours.
static void answer(const struct fixture *fx, struct way way, struct outcome *o)
{
	char address[32];
	static struct frame f;
	struct frame_fields fields = {.mac_to = HOST_1,
	                              .mac_from = BACKEND,
	                              .source = address,
	                              .source_port = 8080,
	                              .destination = fx->v6 ? "fd00::1" : "172.17.0.1",
	                              .destination_port = way.port,
	                              .protocol = fx->protocol,
	                              .flags = ACK};

	snprintf(address, sizeof(address), fx->v6 ? "fd00::%u" : "172.17.0.%u", way.slot + 4);
	frame_build(&f, &fields);
	world_run_one(fx->w, &f, o);
}

// Whether such an answer reaches the client, as from the service.
static bool is_answered(const struct fixture *fx, unsigned client, struct way way)
{
	static struct frame expected;
	struct outcome o;
	struct frame_fields fields = {.mac_to = GATEWAY,
	                              .mac_from = HOST_0,
	                              .ttl = 63,
	                              .source = fx->v6 ? "2001:db8:96::1" : "10.96.0.1",
	                              .source_port = 80,
	                              .destination = client_address(fx, client),
	                              .destination_port = (uint16_t)(1024 + client),
	                              .protocol = fx->protocol,
	                              .flags = ACK};

	answer(fx, way, &o);
	frame_build(&expected, &fields);
	return o.packet.verdict == SLUICE_VERDICT_TRANSMIT && o.packet.port_out == 0 &&
	       o.frame.length == expected.length &&
	       memcmp(o.frame.bytes, expected.bytes, expected.length) == 0;
}

static uint64_t inserts(const struct fixture *fx)
{
	return sluice_counter_read(&fx->w->counters.snat_inserts);
}

static void test_flows_keep_their_endpoint_and_port(void **state)
{
	(void)state;
	FOR_EACH_KIND(fx)
	{
		struct way ways[CLIENTS];
		unsigned used = 0;

		for (unsigned i = 0; i < CLIENTS; i++) {
			ways[i] = send_from(&fx, i, SYN);
			assert_true(ways[i].slot > 0);
			used |= 1U << ways[i].slot;
			for (unsigned k = 0; k < i; k++)
				assert_false(same_way(ways[i], ways[k]));
		}
		assert_int_equal(used, (1U << (ENDPOINTS + 1)) - 2); // each has some
		fx.w->turn = 3;                                      // every row moves
		world_commit(fx.w);
		for (unsigned i = 0; i < CLIENTS; i++) {
			assert_true(same_way(send_from(&fx, i, ACK), ways[i]));
			assert_true(is_answered(&fx, i, ways[i]));
		}
		assert_int_equal(inserts(&fx), CLIENTS);
		assert_int_equal(sluice_counter_read(&fx.w->counters.flow_inserts), 0);
	}
}

static void test_a_burst_of_one_new_flow_leaves_with_one_port(void **state)
{
	(void)state;
	FOR_EACH_KIND(fx)
	{
		static struct frame f;
		static struct outcome outcomes[SLUICE_BURST];
		const struct frame *frames[SLUICE_BURST];

		client_frame(&fx, &f, 7, ACK);
		for (unsigned i = 0; i < SLUICE_BURST; i++)
			frames[i] = &f;
		world_run(fx.w, frames, NULL, outcomes, SLUICE_BURST);
		for (unsigned i = 0; i < SLUICE_BURST; i++)
			assert_true(same_way(way_of(&outcomes[i]), way_of(&outcomes[0])));
		assert_int_equal(inserts(&fx), 1);
	}
}

// The flows of an endpoint that is gone go elsewhere, with the first packet that comes; what it
// still sends is nobody's.
static void test_a_removed_endpoints_flows_are_placed_anew(void **state)
{
	(void)state;
	FOR_EACH_KIND(fx)
	{
		struct way before[CLIENTS];
		struct outcome o;
		unsigned moved = 0;

		for (unsigned i = 0; i < CLIENTS; i++) {
			before[i] = send_from(&fx, i, SYN);
			send_from(&fx, i, ACK);
		}
		world_endpoint_remove(fx.w, 2);
		world_commit(fx.w);
		for (unsigned i = 0; i < CLIENTS; i++) {
			struct way now;

			answer(&fx, before[i], &o);
			assert_int_equal(o.packet.verdict, before[i].slot == 2
			                                           ? SLUICE_VERDICT_PASS
			                                           : SLUICE_VERDICT_TRANSMIT);
			now = send_from(&fx, i, ACK);
			if (before[i].slot != 2) {
				assert_true(same_way(now, before[i]));
				continue;
			}
			assert_true(now.slot > 0 && now.slot != 2);
			assert_true(same_way(send_from(&fx, i, ACK), now));
			assert_true(is_answered(&fx, i, now));
			moved++;
		}
		assert_in_range(moved, 1, CLIENTS / 2);
	}
}

// The slot of an endpoint that is gone may be another one's now. What the old endpoint sends, as
// one of another service, must not be taken for what the new one would.
static void test_a_slot_that_is_anothers_now_answers_for_nobody(void **state)
{
	(void)state;
	FOR_EACH_KIND(fx)
	{
		struct way way = send_from(&fx, 1, SYN);
		char address[32];
		unsigned service;
		struct outcome o;

		snprintf(address, sizeof(address), fx.v6 ? "fd00::%u" : "172.17.0.%u",
		         way.slot + 4);
		service = world_service(fx.w, SLUICE_ON_EMPTY_DROP);
		world_frontend(fx.w, service, fx.v6 ? "2001:db8:96::9" : "10.96.0.9", 80,
		               fx.protocol);
		fx.w->frontends[2].forwarding = SLUICE_FORWARD_FULLNAT;
		world_endpoint(fx.w, service, address, 8080, fx.protocol);
		fx.w->endpoints[way.slot].generation++;
		fx.w->endpoints[way.slot].target.address.bytes[15] = 200;
		world_commit(fx.w);
		answer(&fx, way, &o);
		assert_int_equal(o.packet.verdict,
		                 SLUICE_VERDICT_PASS); // the address is the host's
	}
}

static void test_a_draining_endpoint_keeps_its_flows_and_gets_no_new_ones(void **state)
{
	(void)state;
	FOR_EACH_KIND(fx)
	{
		struct way before[CLIENTS];

		for (unsigned i = 0; i < CLIENTS; i++) {
			before[i] = send_from(&fx, i, SYN);
			send_from(&fx, i, ACK);
		}
		fx.w->endpoints[3].flags = SLUICE_ENDPOINT_DRAINING;
		world_commit(fx.w);
		for (unsigned i = 0; i < CLIENTS; i++) {
			assert_true(same_way(send_from(&fx, i, ACK), before[i]));
			assert_true(is_answered(&fx, i, before[i]));
			assert_true(send_from(&fx, CLIENTS + i, SYN).slot != 3);
			if (fx.protocol == TCP && before[i].slot == 3)
				assert_true(send_from(&fx, i, SYN).slot != 3);
		}
	}
}

// A client that has closed and uses its port again gets a connection with another port of ours: the
// endpoint may remember the old one.
static void test_a_closed_flow_starts_afresh_and_ends(void **state)
{
	(void)state;
	for (unsigned v6 = 0; v6 < 2; v6++) {
		struct fixture fx = fixture_new(v6, TCP);
		struct way first = send_from(&fx, 1, SYN), second;

		send_from(&fx, 1, ACK);
		assert_true(same_way(send_from(&fx, 1, FIN | ACK), first));
		assert_true(same_way(send_from(&fx, 1, ACK), first)); // the last ones of it
		assert_true(is_answered(&fx, 1, first));
		second = send_from(&fx, 1, SYN);
		assert_int_equal(second.slot, first.slot);
		assert_int_not_equal(second.port, first.port);
		assert_true(is_answered(&fx, 1, second));
		send_from(&fx, 1, ACK);
		send_from(&fx, 1, RST);
		fx.w->pipeline.now += 29;
		assert_true(same_way(send_from(&fx, 1, ACK), second));
		fx.w->pipeline.now += 30;
		assert_int_equal(inserts(&fx), 2);
		assert_true(send_from(&fx, 1, ACK).slot > 0);
		assert_int_equal(inserts(&fx), 3);
		snat_world_free(fx.s);
	}
}

// Any worker may take any packet; a new flow's port is the worker's that has its first one.
static void test_workers_share_flows_and_divide_ports(void **state)
{
	(void)state;
	FOR_EACH_KIND(fx)
	{
		for (unsigned i = 0; i < CLIENTS; i++) {
			struct sluice_snat_worker *worker = &fx.w->pipeline.worker;
			struct way way;

			*worker = (struct sluice_snat_worker){i % 3, 3};
			way = send_from(&fx, i, SYN);
			assert_int_equal(way.port % 3, i % 3);
			for (unsigned k = 0; k < 3; k++) {
				worker->number = k;
				assert_true(same_way(send_from(&fx, i, ACK), way));
				assert_true(is_answered(&fx, i, way));
			}
			*worker = (struct sluice_snat_worker){0, 1}; // after a restart
			assert_true(same_way(send_from(&fx, i, ACK), way));
		}
		assert_int_equal(inserts(&fx), CLIENTS);
	}
}

static void set_mode(struct fixture *fx, enum sluice_forwarding mode)
{
	fx->w->frontends[1].forwarding = (uint8_t)mode;
	world_commit(fx->w);
}

// From mode to mode and back: each has its own flows, and neither trips over the other's.
static void test_a_service_changes_its_mode(void **state)
{
	(void)state;
	FOR_EACH_KIND(fx)
	{
		struct way ways[CLIENTS];

		for (unsigned i = 0; i < CLIENTS; i++)
			ways[i] = send_from(&fx, i, ACK);
		set_mode(&fx, SLUICE_FORWARD_NAT);
		for (unsigned i = 0; i < CLIENTS; i++) {
			struct way now = send_from(&fx, i, ACK);

			assert_int_equal(now.port, 1024 + i);     // the client's own
			assert_int_equal(now.slot, ways[i].slot); // as the hash says in both
			// What an endpoint sends to the old port still goes to its client.
			assert_true(is_answered(&fx, i, ways[i]));
		}
		set_mode(&fx, SLUICE_FORWARD_FULLNAT);
		for (unsigned i = 0; i < CLIENTS; i++) {
			assert_true(same_way(send_from(&fx, i, ACK), ways[i]));
			assert_true(is_answered(&fx, i, ways[i]));
		}
	}
}

static void test_established_flows_outlive_a_flood(void **state)
{
	enum { FLOOD = 4 * SNAT_CAPACITY };
	(void)state;
	for (unsigned v6 = 0; v6 < 2; v6++) {
		struct fixture fx = fixture_new(v6, TCP);
		struct way ways[CLIENTS];

		for (unsigned i = 0; i < CLIENTS; i++) {
			ways[i] = send_from(&fx, i, SYN);
			send_from(&fx, i, ACK);
		}
		for (unsigned i = 0; i < FLOOD; i++) {
			static struct frame f;
			struct outcome o;

			client_frame(&fx, &f, CLIENTS + i % 50000, SYN);
			f.bytes[v6 ? 36 : 28] = (uint8_t)(i / 50000 + 1); // another client
			world_run_one(fx.w, &f, &o);
		}
		assert_true(inserts(&fx) > FLOOD / 2);
		for (unsigned i = 0; i < CLIENTS; i++) {
			assert_true(same_way(send_from(&fx, i, ACK), ways[i]));
			assert_true(is_answered(&fx, i, ways[i]));
		}
		snat_world_free(fx.s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_flows_keep_their_endpoint_and_port),
	        cmocka_unit_test(test_a_burst_of_one_new_flow_leaves_with_one_port),
	        cmocka_unit_test(test_a_removed_endpoints_flows_are_placed_anew),
	        cmocka_unit_test(test_a_slot_that_is_anothers_now_answers_for_nobody),
	        cmocka_unit_test(test_a_draining_endpoint_keeps_its_flows_and_gets_no_new_ones),
	        cmocka_unit_test(test_a_closed_flow_starts_afresh_and_ends),
	        cmocka_unit_test(test_workers_share_flows_and_divide_ports),
	        cmocka_unit_test(test_a_service_changes_its_mode),
	        cmocka_unit_test(test_established_flows_outlive_a_flood),
	};

	world_eal();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
