// SPDX-License-Identifier: BSD-3-Clause

// Session affinity by client address: which of a client's flows stay together, how long, and what
// ends it.

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "../unit/random.h"
#include "snat_world.h"

enum {
	ENDPOINTS = 8, // slots 1 to 8, of one service
	CLIENTS = 200,
	TIMEOUT = 100,
};

struct fixture {
	struct world *w;
	struct snat_world *snat; // where the service is forwarded by fullnat
	bool v6;
	uint8_t protocol;
	uint16_t next_port; // of whatever client: no flow has been there before
};

static struct fixture fixture_new(bool v6, uint8_t protocol, bool fullnat)
{
	struct fixture f = {
	        .w = world_new_empty(), .v6 = v6, .protocol = protocol, .next_port = 1024};
	unsigned service = world_service(f.w, SLUICE_ON_EMPTY_DROP);
	char address[32];

	f.w->services[service].affinity =
	        world_frontend(f.w, service, v6 ? "2001:db8:96::1" : "10.96.0.1", 80, protocol);
	f.w->services[service].affinity_timeout = TIMEOUT;
	world_frontend(f.w, service, v6 ? "2001:db8:2::10" : "192.0.2.10", 30080, protocol);
	for (unsigned i = 1; i <= ENDPOINTS; i++) {
		snprintf(address, sizeof(address), v6 ? "fd00::%u" : "172.17.0.%u", i + 4);
		world_endpoint(f.w, service, address, 8080, protocol);
	}
	world_commit(f.w);
	if (fullnat)
		f.snat = snat_world_of(f.w, 1024, 65535);
	return f;
}

static void fixture_free(struct fixture *fx)
{
	if (fx->snat)
		snat_world_free(fx->snat);
	else
		world_free(fx->w);
	fx->w = NULL;
}

static uint32_t send_packet(struct fixture *fx, unsigned client, uint16_t port, uint8_t flags,
                            bool node_port)
{
	const char *vip = fx->v6 ? "2001:db8:96::1" : "10.96.0.1";
	const char *node = fx->v6 ? "2001:db8:2::10" : "192.0.2.10";
	char address[32];
	struct frame_fields fields = {
	        .mac_to = HOST_0,
	        .mac_from = GATEWAY,
	        .source = address,
	        .source_port = port,
	        .destination = node_port ? node : vip,
	        .destination_port = node_port ? 30080 : 80,
	        .protocol = fx->protocol,
	        .flags = flags,
	};
	struct outcome o;
	struct frame f;

	snprintf(address, sizeof(address), fx->v6 ? "2001:db8:100::%x:%x" : "198.51.%u.%u",
	         client / 250, client % 250 + 1);
	frame_build(&f, &fields);
	world_run_one(fx->w, &f, &o);
	return o.packet.verdict == SLUICE_VERDICT_TRANSMIT ? o.packet.slot : 0;
}

// One packet of a new flow; its slot, 0 where it was not sent on.
static uint32_t start(struct fixture *fx, unsigned client)
{
	return send_packet(fx, client, fx->next_port++, SYN, false);
}

// A new flow of two packets.
static uint32_t converse(struct fixture *fx, unsigned client)
{
	uint32_t slot = send_packet(fx, client, fx->next_port, SYN, false);

	assert_int_equal(send_packet(fx, client, fx->next_port, ACK, false), slot);
	fx->next_port++;
	return slot;
}

// Every client's row becomes another endpoint's.
static void turn(struct fixture *fx, unsigned by)
{
	fx->w->turn += by;
	world_commit(fx->w);
}

static void close_endpoint(struct fixture *fx, uint32_t slot, bool closed)
{
	enum { FLAGS = SLUICE_ENDPOINT_DRAINING | SLUICE_ENDPOINT_NO_NEW_FLOWS };

	fx->w->endpoints[slot].flags = closed ? FLAGS : 0;
	world_commit(fx->w);
}

static uint64_t entries(const struct fixture *fx)
{
	const struct sluice_worker_counters *c = &fx->w->counters;

	return sluice_counter_read(&c->flow_inserts) + sluice_counter_read(&c->snat_inserts);
}

// NOLINTBEGIN(bugprone-macro-parentheses): it is the name of a variable
#define FOR_EACH_KIND(fx)                                                                          \
	for (unsigned kind_ = 0; kind_ < 8; kind_++)                                               \
		for (struct fixture fx = fixture_new(kind_ & 1, kind_ & 2 ? UDP : TCP, kind_ & 4); \
		     (fx).w != NULL; fixture_free(&(fx)))
// NOLINTEND(bugprone-macro-parentheses)

// Without a word between them: each host starts with an empty table.
static void test_hosts_agree_on_a_client_s_endpoint(void **state)
{
	(void)state;
	FOR_EACH_KIND(fx)
	{
		struct fixture other = fixture_new(fx.v6, fx.protocol, fx.snat != NULL);
		bool used[ENDPOINTS + 1] = {false};

		other.next_port = 40000;
		for (unsigned client = 0; client < CLIENTS; client++) {
			uint32_t slot = start(&fx, client);

			assert_in_range(slot, 1, ENDPOINTS);
			used[slot] = true;
			for (unsigned i = 0; i < 5; i++)
				assert_int_equal(start(&other, client), slot);
		}
		for (unsigned i = 1; i <= ENDPOINTS; i++)
			assert_true(used[i]);
		fixture_free(&other);
	}
}

static void test_client_stays_when_rows_move(void **state)
{
	(void)state;
	FOR_EACH_KIND(fx)
	{
		uint32_t slots[CLIENTS];

		for (unsigned i = 0; i < CLIENTS; i++)
			slots[i] = converse(&fx, i);
		for (unsigned by = 1; by <= 3; by++) {
			turn(&fx, 1);
			for (unsigned i = 0; i < CLIENTS; i++)
				assert_int_equal(converse(&fx, i), slots[i]);
		}
		// A client that was not there before goes by the rows that there are now.
		for (unsigned i = CLIENTS; i < 2 * CLIENTS; i++) {
			uint32_t slot = start(&fx, i);

			turn(&fx, 1);
			assert_int_not_equal(start(&fx, i), slot);
		}
	}
}

static void test_flood_of_single_packets_is_not_remembered(void **state)
{
	(void)state;
	FOR_EACH_KIND(fx)
	{
		uint32_t slots[CLIENTS];

		for (unsigned i = 0; i < CLIENTS; i++)
			slots[i] = start(&fx, i);
		assert_int_equal(entries(&fx), CLIENTS); // of the flows, and none besides
		turn(&fx, 1);
		for (unsigned i = 0; i < CLIENTS; i++)
			assert_int_not_equal(start(&fx, i), slots[i]);
	}
}

static void test_time_out_counts_from_the_last_flow(void **state)
{
	static const uint32_t timeouts[] = {1, 2, 10800, 86400};

	(void)state;
	for (unsigned t = 0; t < 4; t++) {
		FOR_EACH_KIND(fx)
		{
			uint32_t slot;

			fx.w->services[0].affinity_timeout = timeouts[t];
			slot = converse(&fx, 1);
			turn(&fx, 1);
			for (unsigned i = 0; i < 3; i++) {
				fx.w->pipeline.now += timeouts[t];
				assert_int_equal(converse(&fx, 1), slot);
			}
			fx.w->pipeline.now += timeouts[t];
			assert_int_equal(start(&fx, 1), slot); // but this one ends after a packet
			fx.w->pipeline.now += 1;
			assert_int_not_equal(converse(&fx, 1), slot);
		}
	}
}

static void test_flow_that_goes_on_is_no_new_flow(void **state)
{
	(void)state;
	FOR_EACH_KIND(fx)
	{
		uint32_t slot = converse(&fx, 1);
		uint16_t port = (uint16_t)(fx.next_port - 1);

		turn(&fx, 1);
		for (unsigned i = 0; i <= TIMEOUT; i++) {
			fx.w->pipeline.now++;
			assert_int_equal(send_packet(&fx, 1, port, ACK, false), slot);
		}
		assert_int_not_equal(start(&fx, 1), slot);
		assert_int_equal(send_packet(&fx, 1, port, ACK, false), slot);
	}
}

static void test_changed_time_out_counts_from_the_next_flow(void **state)
{
	(void)state;
	FOR_EACH_KIND(fx)
	{
		uint32_t slot = converse(&fx, 1);

		turn(&fx, 1);
		fx.w->services[0].affinity_timeout = 10;
		fx.w->pipeline.now += 50;
		assert_int_equal(converse(&fx, 1), slot);
		fx.w->pipeline.now += 11;
		assert_int_not_equal(converse(&fx, 1), slot);
	}
}

static void test_client_leaves_an_endpoint_that_takes_no_new_flows(void **state)
{
	(void)state;
	FOR_EACH_KIND(fx)
	{
		uint32_t slot = converse(&fx, 1), now;
		uint16_t port = (uint16_t)(fx.next_port - 1);

		close_endpoint(&fx, slot, true);
		now = converse(&fx, 1);
		assert_int_not_equal(now, slot);
		assert_int_equal(send_packet(&fx, 1, port, ACK, false), slot);
		// And does not go back to it.
		close_endpoint(&fx, slot, false);
		turn(&fx, 1);
		assert_int_equal(converse(&fx, 1), now);
		assert_int_equal(send_packet(&fx, 1, port, ACK, false), slot);
	}
}

// What is confirmed at an endpoint that meanwhile drains takes nobody there.
static void test_late_confirmation_binds_nobody_to_a_draining_endpoint(void **state)
{
	(void)state;
	FOR_EACH_KIND(fx)
	{
		uint32_t slot = send_packet(&fx, 1, 9999, SYN, false);

		close_endpoint(&fx, slot, true);
		assert_int_equal(send_packet(&fx, 1, 9999, ACK, false), slot);
		close_endpoint(&fx, slot, false);
		turn(&fx, 1);
		assert_int_not_equal(start(&fx, 1), slot);
	}
}

static void test_older_flow_does_not_take_the_client_along(void **state)
{
	(void)state;
	FOR_EACH_KIND(fx)
	{
		uint32_t first = send_packet(&fx, 1, 9999, SYN, false), slot;

		turn(&fx, 1);
		slot = converse(&fx, 1);
		assert_int_not_equal(slot, first);
		assert_int_equal(send_packet(&fx, 1, 9999, ACK, false), first);
		assert_int_equal(converse(&fx, 1), slot);
	}
}

static void test_slot_reused_binds_no_old_client(void **state)
{
	(void)state;
	FOR_EACH_KIND(fx)
	{
		uint32_t slot = converse(&fx, 1);

		fx.w->endpoints[slot].generation++;
		turn(&fx, 3);
		assert_int_not_equal(converse(&fx, 1), slot);
	}
}

static void test_slot_of_another_service_binds_no_client(void **state)
{
	(void)state;
	FOR_EACH_KIND(fx)
	{
		uint32_t slot = converse(&fx, 1);

		world_service(fx.w, SLUICE_ON_EMPTY_DROP);
		fx.w->endpoints[slot].service = 1;
		world_commit(fx.w);
		assert_int_not_equal(converse(&fx, 1), slot);
	}
}

static void test_node_port_is_the_same_service(void **state)
{
	(void)state;
	FOR_EACH_KIND(fx)
	{
		for (unsigned i = 0; i < CLIENTS; i++) {
			uint32_t slot = converse(&fx, i);

			turn(&fx, 1);
			assert_int_equal(send_packet(&fx, i, 7777, SYN, true), slot);
			assert_int_equal(send_packet(&fx, i, 7777, ACK, true), slot);
		}
	}
}

// Flows from port 0, and from the port that is the frontend's number, are flows as others are.
static void test_no_flow_has_the_client_s_key(void **state)
{
	static const uint8_t flags[] = {SYN, ACK, FIN | ACK, RST, SYN, RST};

	(void)state;
	FOR_EACH_KIND(fx)
	{
		uint32_t slot = converse(&fx, 1);

		// Port 0 last: no later flow may put right what it spoilt.
		for (uint16_t port = 4; port-- > 0;)
			for (unsigned i = 0; i < sizeof(flags); i++) {
				send_packet(&fx, 1, (uint16_t)(port << 8), flags[i], false);
				send_packet(&fx, 1, port, flags[i], false);
			}
		turn(&fx, 1);
		assert_int_equal(converse(&fx, 1), slot);
	}
}

// ---- against an oracle

// A client as its own notes have it.
struct client {
	uint32_t slot; // 0: not remembered
	uint16_t generation;
	uint32_t until; // the last second in which it is remembered
};

struct oracle {
	struct fixture fx;    // under test
	struct fixture blank; // the same rows, and a table that knows nobody
	struct client clients[16];
	uint64_t seed;
};

static bool stays(const struct oracle *o, const struct client *c)
{
	const struct sluice_endpoint *e = &o->fx.w->endpoints[c->slot];

	return c->slot && e->generation == c->generation && e->flags == 0 &&
	       o->fx.w->pipeline.now <= c->until;
}

static void random_flow(struct oracle *o)
{
	unsigned n = random_below(&o->seed, 16);
	struct client *c = &o->clients[n];
	uint32_t wanted = stays(o, c) ? c->slot : start(&o->blank, n), slot;

	if (random_below(&o->seed, 3) == 0) {
		assert_int_equal(start(&o->fx, n), wanted);
		return;
	}
	slot = converse(&o->fx, n);
	assert_int_equal(slot, wanted);
	c->slot = slot;
	c->generation = o->fx.w->endpoints[slot].generation;
	c->until = o->fx.w->pipeline.now + TIMEOUT;
}

// The same change to both.
static void random_change(struct oracle *o)
{
	uint32_t slot = 1 + random_below(&o->seed, ENDPOINTS), what = random_below(&o->seed, 4);
	struct fixture *both[] = {&o->fx, &o->blank};

	for (unsigned i = 0; i < 2; i++) {
		struct world *w = both[i]->w;

		if (what == 0)
			w->turn++;
		else if (what == 1)
			w->endpoints[slot].generation++;
		else if (slot > 1) // one stays open
			w->endpoints[slot].flags = what == 2 ? SLUICE_ENDPOINT_NO_NEW_FLOWS : 0;
		world_commit(w);
	}
}

static void test_random_clients_go_where_their_notes_say(void **state)
{
	(void)state;
	FOR_EACH_KIND(fx)
	{
		struct oracle o = {.fx = fx, .seed = (uint64_t)fx.v6 + fx.protocol};

		o.blank = fixture_new(fx.v6, fx.protocol, false);
		for (unsigned i = 0; i < 20000; i++) {
			uint32_t what = random_below(&o.seed, 100);

			if (what < 3)
				random_change(&o);
			else if (what < 10)
				o.fx.w->pipeline.now += random_below(&o.seed, 50);
			else
				random_flow(&o);
		}
		fixture_free(&o.blank);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_hosts_agree_on_a_client_s_endpoint),
	        cmocka_unit_test(test_client_stays_when_rows_move),
	        cmocka_unit_test(test_flood_of_single_packets_is_not_remembered),
	        cmocka_unit_test(test_time_out_counts_from_the_last_flow),
	        cmocka_unit_test(test_flow_that_goes_on_is_no_new_flow),
	        cmocka_unit_test(test_changed_time_out_counts_from_the_next_flow),
	        cmocka_unit_test(test_client_leaves_an_endpoint_that_takes_no_new_flows),
	        cmocka_unit_test(test_late_confirmation_binds_nobody_to_a_draining_endpoint),
	        cmocka_unit_test(test_older_flow_does_not_take_the_client_along),
	        cmocka_unit_test(test_slot_reused_binds_no_old_client),
	        cmocka_unit_test(test_slot_of_another_service_binds_no_client),
	        cmocka_unit_test(test_node_port_is_the_same_service),
	        cmocka_unit_test(test_no_flow_has_the_client_s_key),
	        cmocka_unit_test(test_random_clients_go_where_their_notes_say),
	};

	world_eal();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
