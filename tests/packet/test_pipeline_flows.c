// SPDX-License-Identifier: BSD-3-Clause

// How the flow table and the consistent hash place flows: what stays, what moves, and when.

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "world.h"

enum {
	ENDPOINTS = 8, // slots 1 to 8, of one service
	CLIENTS = 500,
};

struct fixture {
	struct world *w;
	uint16_t frontend;
	bool v6;
	uint8_t protocol;
};

static struct fixture fixture_new(bool v6, uint8_t protocol)
{
	struct fixture f = {.w = world_new_empty(), .v6 = v6, .protocol = protocol};
	unsigned service = world_service(f.w, SLUICE_ON_EMPTY_DROP);
	char address[32];

	f.frontend =
	        world_frontend(f.w, service, v6 ? "2001:db8:96::1" : "10.96.0.1", 80, protocol);
	for (unsigned i = 1; i <= ENDPOINTS; i++) {
		snprintf(address, sizeof(address), v6 ? "fd00::%u" : "172.17.0.%u", i + 4);
		world_endpoint(f.w, service, address, 8080, protocol);
	}
	world_commit(f.w);
	return f;
}

// A packet of client number i.
static void client_frame(const struct fixture *fx, struct frame *f, unsigned i, uint8_t flags)
{
	char address[32];
	struct frame_fields fields = {
	        .mac_to = HOST_0,
	        .mac_from = GATEWAY,
	        .source = address,
	        .source_port = (uint16_t)(1024 + i),
	        .destination = fx->v6 ? "2001:db8:96::1" : "10.96.0.1",
	        .destination_port = 80,
	        .protocol = fx->protocol,
	        .flags = flags,
	};

	snprintf(address, sizeof(address), fx->v6 ? "2001:db8:100::%u" : "198.51.100.%u", i % 250);
	frame_build(f, &fields);
}

// Sends a packet of client i and returns its endpoint's slot; 0 where it was not sent on.
static uint32_t send_from(const struct fixture *fx, unsigned i, uint8_t flags)
{
	struct frame f;
	struct outcome o;

	client_frame(fx, &f, i, flags);
	world_run_one(fx->w, &f, &o);
	return o.packet.verdict == SLUICE_VERDICT_TRANSMIT ? o.packet.slot : 0;
}

static bool flow_of(const struct fixture *fx, unsigned i, struct sluice_flow_value *v)
{
	struct sluice_target t = {.family = fx->v6 ? SLUICE_IPV6 : SLUICE_IPV4};
	struct sluice_flow_ref ref;
	struct frame f;
	uint64_t key;

	client_frame(fx, &f, i, 0);
	if (fx->v6)
		memcpy(t.address.bytes, f.bytes + 22, 16);
	else
		t.address = sluice_address_from_v4(0);
	if (!fx->v6)
		memcpy(&t.address.bytes[12], f.bytes + 26, 4);
	memcpy(&t.port, f.bytes + (fx->v6 ? 54 : 34), 2);
	key = sluice_flow_key(&fx->w->flows, sluice_target_view(&t), fx->frontend, t.family);
	ref = sluice_flow_find(&fx->w->flows, key, sluice_flow_hash(&fx->w->flows, key));
	if (ref.entry)
		*v = sluice_flow_unpack(ref.value);
	return ref.entry != NULL;
}

static int state_of(const struct fixture *fx, unsigned i)
{
	struct sluice_flow_value v;

	return flow_of(fx, i, &v) ? v.state : -1;
}

static uint64_t inserts(const struct fixture *fx)
{
	return sluice_counter_read(&fx->w->counters.flow_inserts);
}

static uint64_t connections(const struct fixture *fx)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < WORLD_ENDPOINTS; i++)
		n += sluice_counter_read(&fx->w->endpoint_counters[i].connections);
	return n;
}

static const struct {
	bool v6;
	uint8_t protocol;
} kinds[] = {{false, TCP}, {false, UDP}, {true, TCP}, {true, UDP}};

#define FOR_EACH_KIND(fx)                                                                          \
	for (unsigned kind_ = 0; kind_ < 4; kind_++)                                               \
		for (struct fixture fx = fixture_new(kinds[kind_].v6, kinds[kind_].protocol);      \
		     (fx).w != NULL; world_free((fx).w), (fx).w = NULL)

// ---- which endpoint

static void test_choice_is_a_pure_function(void **state)
{
	(void)state;
	FOR_EACH_KIND(fx)
	{
		struct fixture other = fixture_new(fx.v6, fx.protocol);
		uint32_t chosen[CLIENTS];
		bool used[ENDPOINTS + 1] = {false};

		for (unsigned i = 0; i < CLIENTS; i++) {
			chosen[i] = send_from(&fx, i, SYN);
			assert_in_range(chosen[i], 1, ENDPOINTS);
			used[chosen[i]] = true;
		}
		for (unsigned i = 1; i <= ENDPOINTS; i++)
			assert_true(used[i]);
		// Another table, order, flag and time: the same choice.
		other.w->pipeline.now += 5000;
		for (unsigned i = CLIENTS; i-- > 0;)
			assert_int_equal(send_from(&other, i, ACK), chosen[i]);
		world_free(other.w);
	}
}

static void test_flows_spread_over_endpoints(void **state)
{
	enum { FLOWS = 20000 };

	(void)state;
	FOR_EACH_KIND(fx)
	{
		unsigned share[ENDPOINTS + 1] = {0};

		for (unsigned i = 0; i < FLOWS; i++)
			share[send_from(&fx, i, SYN)]++;
		assert_int_equal(share[0], 0);
		// Rows differ by at most one in 251 / 8; 8 standard deviations are 14 %.
		for (unsigned i = 1; i <= ENDPOINTS; i++)
			assert_in_range(share[i], FLOWS / ENDPOINTS * 80 / 100,
			                FLOWS / ENDPOINTS * 120 / 100);
	}
}

// A client that overloads one endpoint of a service does not meet it in every other service.
static void test_services_choose_independently(void **state)
{
	(void)state;
	FOR_EACH_KIND(fx)
	{
		struct fixture other = fixture_new(fx.v6, fx.protocol);
		unsigned same = 0;

		other.w->services[0].salt = 0xd1b54a32d192ed03; // as another VIP's hash
		for (unsigned i = 0; i < CLIENTS; i++)
			same += send_from(&fx, i, SYN) == send_from(&other, i, SYN);
		assert_in_range(same, CLIENTS / ENDPOINTS / 2, CLIENTS / ENDPOINTS * 2);
		world_free(other.w);
	}
}

static void test_flow_stays_when_rows_move(void **state)
{
	(void)state;
	FOR_EACH_KIND(fx)
	{
		struct fixture other = fixture_new(fx.v6, fx.protocol);
		uint32_t chosen[CLIENTS];

		for (unsigned i = 0; i < CLIENTS; i++)
			chosen[i] = send_from(&fx, i, SYN);
		fx.w->turn = other.w->turn = 3;
		world_commit(fx.w);
		world_commit(other.w);
		for (unsigned i = 0; i < CLIENTS; i++) {
			assert_int_equal(send_from(&fx, i, ACK), chosen[i]);
			// A table that does not know the flow goes by the new rows.
			assert_int_not_equal(send_from(&other, i, ACK), chosen[i]);
		}
		world_free(other.w);
	}
}

static void test_removed_endpoint_flows_are_selected_anew(void **state)
{
	(void)state;
	FOR_EACH_KIND(fx)
	{
		uint32_t chosen[CLIENTS];

		for (unsigned i = 0; i < CLIENTS; i++)
			chosen[i] = send_from(&fx, i, SYN);
		world_endpoint_remove(fx.w, 3);
		world_commit(fx.w);
		for (unsigned i = 0; i < CLIENTS; i++) {
			uint32_t now = send_from(&fx, i, ACK);

			assert_int_not_equal(now, 0);
			assert_int_not_equal(now, 3);
			if (chosen[i] != 3)
				assert_int_equal(now, chosen[i]);
			assert_int_equal(send_from(&fx, i, ACK), now); // and stays there
		}
	}
}

// The slot's next tenant gets none of the old one's flows.
static void test_slot_reused_binds_no_old_flow(void **state)
{
	(void)state;
	FOR_EACH_KIND(fx)
	{
		struct sluice_flow_value v;
		unsigned stranger = 0;

		for (unsigned i = 0; i < CLIENTS; i++)
			send_from(&fx, i, SYN);
		fx.w->endpoints[3].generation++; // another endpoint in the same slot
		fx.w->turn = 5;                  // whose rows are others
		world_commit(fx.w);
		for (unsigned i = 0; i < CLIENTS; i++) {
			assert_true(flow_of(&fx, i, &v));
			if (v.slot != 3)
				continue;
			assert_int_not_equal(v.generation, fx.w->endpoints[3].generation);
			stranger += send_from(&fx, i, ACK) != 3;
			assert_true(flow_of(&fx, i, &v));
			assert_int_equal(v.generation, fx.w->endpoints[v.slot].generation);
		}
		assert_true(stranger > 0);
	}
}

static void test_slot_of_another_service_binds_no_flow(void **state)
{
	(void)state;
	FOR_EACH_KIND(fx)
	{
		uint32_t chosen = send_from(&fx, 1, SYN);

		world_service(fx.w, SLUICE_ON_EMPTY_DROP);
		fx.w->endpoints[chosen].service = 1;
		world_commit(fx.w);
		assert_int_not_equal(send_from(&fx, 1, ACK), chosen);
	}
}

// ---- whom a shared endpoint answers for

// Two services that share the endpoint 172.17.0.5:8080, the first with one more.
struct shared {
	struct world *w;
	uint32_t first, other, second; // slots
};

static struct shared shared_new(void)
{
	struct shared s = {.w = world_new_empty()};
	unsigned a = world_service(s.w, SLUICE_ON_EMPTY_DROP);
	unsigned b = world_service(s.w, SLUICE_ON_EMPTY_DROP);

	world_frontend(s.w, a, "10.96.0.1", 80, TCP);
	world_frontend(s.w, b, "10.96.0.2", 80, TCP);
	s.first = world_endpoint(s.w, a, "172.17.0.5", 8080, TCP);
	s.other = world_endpoint(s.w, a, "172.17.0.6", 8080, TCP);
	s.second = world_endpoint(s.w, b, "172.17.0.5", 8080, TCP);
	world_commit(s.w);
	return s;
}

static uint32_t shared_send(struct shared *s, const char *vip, uint16_t port, uint8_t flags)
{
	struct frame_fields fields = {.mac_to = HOST_0,
	                              .mac_from = GATEWAY,
	                              .source = "198.51.100.9",
	                              .source_port = port,
	                              .destination = vip,
	                              .destination_port = 80,
	                              .protocol = TCP,
	                              .flags = flags};
	struct outcome o;
	struct frame f;

	frame_build(&f, &fields);
	world_run_one(s->w, &f, &o);
	assert_int_equal(o.packet.verdict, SLUICE_VERDICT_TRANSMIT);
	return o.packet.slot;
}

static uint32_t shared_in(struct shared *s, const char *vip, uint16_t port)
{
	return shared_send(s, vip, port, SYN);
}

// The last byte of the address that the endpoint's answer carries; 0: dropped.
static uint8_t shared_out(struct shared *s, uint16_t port)
{
	struct frame_fields fields = {.mac_to = HOST_1,
	                              .mac_from = BACKEND,
	                              .source = "172.17.0.5",
	                              .source_port = 8080,
	                              .destination = "198.51.100.9",
	                              .destination_port = port,
	                              .protocol = TCP,
	                              .flags = SYN | ACK};
	struct outcome o;
	struct frame f;

	frame_build(&f, &fields);
	world_run_one(s->w, &f, &o);
	return o.packet.verdict == SLUICE_VERDICT_TRANSMIT ? o.frame.bytes[29] : 0;
}

// A client has a flow of the first service at the other endpoint, and from the same port one of
// the second at the shared endpoint.
static void test_shared_endpoint_ignores_flows_of_its_neighbour(void **state)
{
	struct shared s = shared_new();
	uint16_t port = 1024;

	(void)state;
	while (shared_in(&s, "10.96.0.1", port) != s.other)
		port++;
	assert_int_equal(shared_out(&s, port), 0);
	shared_in(&s, "10.96.0.2", port);
	assert_int_equal(shared_out(&s, port), 2);
	world_free(s.w);
}

// The flow seen last is meant, also where the clock of the worker who saw it is ahead of the one of
// the worker with the answer.
static void test_shared_endpoint_answers_the_flow_seen_last(void **state)
{
	struct shared s = shared_new();
	uint16_t port = 1024;

	(void)state;
	while (shared_in(&s, "10.96.0.1", port) != s.first)
		port++;
	s.w->pipeline.now++;
	shared_in(&s, "10.96.0.2", port);
	assert_int_equal(shared_out(&s, port), 2);
	s.w->pipeline.now--;
	assert_int_equal(shared_out(&s, port), 2);
	world_free(s.w);
}

// What the client sends last is a FIN, and the answer to it is of that flow: one of the same port
// that was never closed is long over.
static void test_shared_endpoint_answers_no_dead_flow(void **state)
{
	struct shared s = shared_new();
	uint16_t port = 1024;

	(void)state;
	while (shared_in(&s, "10.96.0.1", port) != s.first)
		port++;
	shared_send(&s, "10.96.0.1", port, ACK);
	assert_int_equal(shared_out(&s, port), 1);
	s.w->pipeline.now += 7201;
	assert_int_equal(shared_out(&s, port), 1); // better than none
	shared_in(&s, "10.96.0.2", port);
	shared_send(&s, "10.96.0.2", port, ACK);
	shared_send(&s, "10.96.0.2", port, FIN | ACK);
	assert_int_equal(shared_out(&s, port), 2);
	world_free(s.w);
}

// The slot that a flow of the first service names belongs to another endpoint since.
static void test_shared_endpoint_ignores_flows_of_its_slot_before(void **state)
{
	struct shared s = shared_new();
	uint16_t port = 1024;

	(void)state;
	while (shared_in(&s, "10.96.0.1", port) != s.first)
		port++;
	assert_int_equal(shared_out(&s, port), 1);
	s.w->endpoints[s.first].generation++;
	world_commit(s.w);
	assert_int_equal(shared_out(&s, port), 0);
	shared_in(&s, "10.96.0.2", port);
	assert_int_equal(shared_out(&s, port), 2);
	world_free(s.w);
}

// ---- draining

static void test_draining_keeps_flows_and_takes_no_new_ones(void **state)
{
	(void)state;
	FOR_EACH_KIND(fx)
	{
		uint32_t chosen[CLIENTS];

		for (unsigned i = 0; i < CLIENTS; i++)
			chosen[i] = send_from(&fx, i, SYN);
		fx.w->endpoints[2].flags |= SLUICE_ENDPOINT_DRAINING;
		world_commit(fx.w);
		for (unsigned i = 0; i < CLIENTS; i++)
			assert_int_equal(send_from(&fx, i, ACK), chosen[i]);
		for (unsigned i = CLIENTS; i < 2 * CLIENTS; i++)
			assert_int_not_equal(send_from(&fx, i, SYN), 2);
	}
}

static void test_syn_leaves_a_draining_endpoint(void **state)
{
	(void)state;
	for (unsigned v6 = 0; v6 < 2; v6++) {
		struct fixture fx = fixture_new(v6, TCP);
		unsigned left = 0;

		for (unsigned i = 0; i < CLIENTS; i++) {
			uint32_t chosen = send_from(&fx, i, SYN), now;

			send_from(&fx, i, ACK);
			if (chosen != 2)
				continue;
			fx.w->endpoints[2].flags |= SLUICE_ENDPOINT_DRAINING;
			world_commit(fx.w);
			assert_int_equal(send_from(&fx, i, SYN | ACK), 2); // no fresh start
			now = send_from(&fx, i, SYN);
			assert_int_not_equal(now, 2);
			assert_int_equal(state_of(&fx, i), SLUICE_FLOW_PROBATION);
			assert_int_equal(send_from(&fx, i, ACK), now);
			fx.w->endpoints[2].flags &= ~SLUICE_ENDPOINT_DRAINING;
			world_commit(fx.w);
			left++;
		}
		assert_true(left > 0);
		world_free(fx.w);
	}
}

static void test_last_draining_endpoint_keeps_its_flows(void **state)
{
	(void)state;
	FOR_EACH_KIND(fx)
	{
		uint32_t chosen = send_from(&fx, 7, SYN);

		for (unsigned i = 1; i <= ENDPOINTS; i++)
			fx.w->endpoints[i].flags |= SLUICE_ENDPOINT_DRAINING;
		world_commit(fx.w);
		assert_null(fx.w->services[0].rows);
		assert_int_equal(send_from(&fx, 7, ACK), chosen);
		assert_int_equal(send_from(&fx, 8, SYN), 0);
		assert_int_equal(
		        sluice_counter_read(&fx.w->counters.drops[SLUICE_DROP_NO_ENDPOINT]), 1);
	}
}

// ---- the table

static void test_one_insert_for_a_flow_twice_in_a_burst(void **state)
{
	(void)state;
	FOR_EACH_KIND(fx)
	{
		static struct frame frames[SLUICE_BURST];
		static struct outcome outcomes[SLUICE_BURST];
		const struct frame *pointers[SLUICE_BURST];

		// Four flows, eight packets each.
		for (unsigned i = 0; i < SLUICE_BURST; i++) {
			client_frame(&fx, &frames[i], i % 4, i < 4 ? SYN : ACK);
			pointers[i] = &frames[i];
		}
		world_run(fx.w, pointers, NULL, outcomes, SLUICE_BURST);
		assert_int_equal(inserts(&fx), 4);
		assert_int_equal(connections(&fx), 4);
		for (unsigned i = 4; i < SLUICE_BURST; i++)
			assert_int_equal(outcomes[i].packet.slot, outcomes[i % 4].packet.slot);
		assert_int_equal(state_of(&fx, 0),
		                 fx.protocol == TCP ? SLUICE_FLOW_ESTABLISHED : SLUICE_FLOW_UDP);
	}
}

struct step {
	uint8_t flags;
	int state;
};

static void walk(bool v6, uint8_t protocol, const struct step *steps, unsigned count,
                 unsigned connections)
{
	struct fixture fx = fixture_new(v6, protocol);

	for (unsigned i = 0; i < count; i++) {
		assert_int_not_equal(send_from(&fx, 1, steps[i].flags), 0);
		assert_int_equal(state_of(&fx, 1), steps[i].state);
	}
	assert_int_equal(inserts(&fx), connections);
	world_free(fx.w);
}

static void test_states_follow_tcp(void **state)
{
	static const struct step closed_by_fin[] = {
	        {SYN, SLUICE_FLOW_PROBATION},
	        {SYN, SLUICE_FLOW_PROBATION}, // once more: lost on the way
	        {ACK, SLUICE_FLOW_ESTABLISHED},
	        {ACK | PSH, SLUICE_FLOW_ESTABLISHED},
	        {SYN, SLUICE_FLOW_ESTABLISHED}, // a stray one ends nothing
	        {FIN | ACK, SLUICE_FLOW_CLOSING},
	        {ACK, SLUICE_FLOW_CLOSING},
	        {SYN, SLUICE_FLOW_PROBATION}, // the port again
	        {ACK, SLUICE_FLOW_ESTABLISHED},
	};
	static const struct step closed_by_reset[] = {
	        {ACK, SLUICE_FLOW_PROBATION}, // picked up in the middle
	        {ACK, SLUICE_FLOW_ESTABLISHED},
	        {RST, SLUICE_FLOW_CLOSING},
	        {ACK, SLUICE_FLOW_CLOSING},
	};
	static const struct step never_open[] = {
	        {SYN, SLUICE_FLOW_PROBATION},
	        {RST, SLUICE_FLOW_PROBATION},
	        {FIN | ACK, SLUICE_FLOW_PROBATION},
	};
	static const struct step datagrams[] = {
	        {0, SLUICE_FLOW_PROBATION},
	        {0, SLUICE_FLOW_UDP},
	        {0, SLUICE_FLOW_UDP},
	};

	(void)state;
	for (unsigned v6 = 0; v6 < 2; v6++) {
		walk(v6, TCP, closed_by_fin, 9, 2);
		walk(v6, TCP, closed_by_reset, 4, 1);
		walk(v6, TCP, never_open, 3, 1);
		walk(v6, UDP, datagrams, 3, 1);
	}
}

static void test_expired_flow_starts_again(void **state)
{
	(void)state;
	FOR_EACH_KIND(fx)
	{
		uint32_t timeout = fx.protocol == TCP ? 7200 : 180, chosen, other = 0;
		unsigned client = 0;

		// A flow that other rows would place elsewhere.
		for (; other == 0; client++) {
			fx.w->turn = 0;
			world_commit(fx.w);
			chosen = send_from(&fx, client, SYN);
			send_from(&fx, client, ACK);
			fx.w->turn = 1;
			world_commit(fx.w);
			other = chosen % ENDPOINTS + 1;
		}
		client--;
		fx.w->pipeline.now += timeout - 1;
		assert_int_equal(send_from(&fx, client, ACK),
		                 chosen); // just in time, and refreshed
		fx.w->pipeline.now += timeout - 1;
		assert_int_equal(send_from(&fx, client, ACK), chosen);
		fx.w->pipeline.now += timeout + 1;
		assert_int_equal(send_from(&fx, client, ACK), other);
		assert_int_equal(state_of(&fx, client), SLUICE_FLOW_PROBATION);
		assert_int_equal(sluice_counter_read(&fx.w->counters.flow_expirations), 1);
		assert_int_equal(inserts(&fx), 2);
	}
}

static void test_probation_is_short(void **state)
{
	(void)state;
	FOR_EACH_KIND(fx)
	{
		send_from(&fx, 1, SYN);
		fx.w->pipeline.now += 61;
		send_from(&fx, 1, ACK);
		assert_int_equal(state_of(&fx, 1), SLUICE_FLOW_PROBATION);
		assert_int_equal(connections(&fx), 2);
	}
}

// More flows than the table has room for: each is still sent where the hash says, is counted
// once, and an established one stays.
static void test_full_table_still_forwards(void **state)
{
	enum { FLOOD = 100000 }; // of 65536 entries

	(void)state;
	FOR_EACH_KIND(fx)
	{
		uint32_t chosen[CLIENTS];

		for (unsigned i = 0; i < CLIENTS; i++) {
			chosen[i] = send_from(&fx, i, SYN);
			send_from(&fx, i, ACK);
		}
		fx.w->turn = 4;
		world_commit(fx.w);
		for (unsigned i = 0; i < FLOOD; i++)
			assert_int_not_equal(send_from(&fx, CLIENTS + i, SYN), 0);
		for (unsigned i = 0; i < CLIENTS; i++)
			assert_int_equal(send_from(&fx, i, ACK), chosen[i]);
		assert_int_equal(connections(&fx),
		                 inserts(&fx) +
		                         sluice_counter_read(&fx.w->counters.flow_untracked));
		assert_int_equal(sluice_counter_read(&fx.w->counters.flow_evictions_established),
		                 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_choice_is_a_pure_function),
	        cmocka_unit_test(test_flows_spread_over_endpoints),
	        cmocka_unit_test(test_services_choose_independently),
	        cmocka_unit_test(test_flow_stays_when_rows_move),
	        cmocka_unit_test(test_removed_endpoint_flows_are_selected_anew),
	        cmocka_unit_test(test_slot_reused_binds_no_old_flow),
	        cmocka_unit_test(test_slot_of_another_service_binds_no_flow),
	        cmocka_unit_test(test_shared_endpoint_ignores_flows_of_its_neighbour),
	        cmocka_unit_test(test_shared_endpoint_answers_the_flow_seen_last),
	        cmocka_unit_test(test_shared_endpoint_answers_no_dead_flow),
	        cmocka_unit_test(test_shared_endpoint_ignores_flows_of_its_slot_before),
	        cmocka_unit_test(test_draining_keeps_flows_and_takes_no_new_ones),
	        cmocka_unit_test(test_syn_leaves_a_draining_endpoint),
	        cmocka_unit_test(test_last_draining_endpoint_keeps_its_flows),
	        cmocka_unit_test(test_one_insert_for_a_flow_twice_in_a_burst),
	        cmocka_unit_test(test_states_follow_tcp),
	        cmocka_unit_test(test_expired_flow_starts_again),
	        cmocka_unit_test(test_probation_is_short),
	        cmocka_unit_test(test_full_table_still_forwards),
	};

	world_eal();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
