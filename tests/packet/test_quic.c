// SPDX-License-Identifier: BSD-3-Clause

// QUIC connections that keep their endpoint while the client's address and port change, and what
// may not be taken for one.

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "../unit/random.h"
#include "dataplane/quic.h"
#include "dataplane/target_table.h"
#include "snat_world.h"

// ---- where the server id is

// L: length of the server id. at: its offset, 0: there is none.
static const struct {
	const char *description;
	unsigned size;
	unsigned length;
	unsigned at;
	uint8_t bytes[40];
} rows[] = {
        {"short header", 30, 8, 2, {0x40, 0x1f}},
        {"short header, greased", 30, 8, 2, {0x00, 0x00}},
        {"short header, longest id", 21, 15, 2, {0x40}},
        {"short header, no room for the nonce", 20, 15, 0, {0x40}},
        {"short header, shortest id and nonce", 10, 4, 2, {0x40}},
        {"short header, a byte less", 9, 4, 0, {0x40}},
        {"configuration 1", 30, 8, 0, {0x40, 0x20}},
        {"configuration 4", 30, 8, 0, {0x40, 0x80}},
        {"configuration 7: not routable", 30, 8, 0, {0x40, 0xe0}},
        {"nothing", 0, 4, 0, {0}},
        {"one byte", 1, 4, 0, {0x40}},
        {"Initial", 30, 8, 0, {0xc0, 0, 0, 0, 1, 13}},
        {"0-RTT", 30, 8, 0, {0xd0, 0, 0, 0, 1, 13}},
        {"Handshake", 30, 8, 7, {0xe0, 0, 0, 0, 1, 13}},
        {"Handshake, longer nonce", 30, 8, 7, {0xe3, 0, 0, 0, 1, 20}},
        {"Handshake, connection id too short", 30, 8, 0, {0xe0, 0, 0, 0, 1, 12}},
        {"Handshake, no connection id", 30, 8, 0, {0xe0, 0, 0, 0, 1, 0}},
        {"Handshake, connection id to the end", 19, 8, 7, {0xe0, 0, 0, 0, 1, 13}},
        {"Handshake, cut in the connection id", 18, 8, 0, {0xe0, 0, 0, 0, 1, 13}},
        {"Handshake, cut in front of it", 6, 8, 0, {0xe0, 0, 0, 0, 1, 13}},
        {"Handshake, configuration 7", 30, 8, 0, {0xe0, 0, 0, 0, 1, 13, 0xff}},
        {"Retry", 30, 8, 0, {0xf0, 0, 0, 0, 1, 13}},
        {"version 2, Handshake", 30, 8, 7, {0xf0, 0x6b, 0x33, 0x43, 0xcf, 13}},
        {"version 2, 0-RTT, which is Handshake in version 1",
         30,
         8,
         0,
         {0xe0, 0x6b, 0x33, 0x43, 0xcf, 13}},
        {"a version to come", 30, 8, 0, {0xe0, 0, 0, 0, 9, 13}},
        {"Version Negotiation", 30, 8, 0, {0xe0, 0, 0, 0, 0, 13}},
};

static void test_server_id_is_found_where_the_draft_has_it(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		// In memory of its own, so that a byte too far is an error of the sanitizer's.
		uint8_t *payload = malloc(rows[i].size + 1);
		const uint8_t *id;

		assert_non_null(payload);
		memcpy(payload, rows[i].bytes, rows[i].size);
		payload = realloc(payload, rows[i].size ? rows[i].size : 1);
		id = sluice_quic_server_id(payload, rows[i].size, rows[i].length);
		if (id != (rows[i].at ? payload + rows[i].at : NULL))
			fail_msg("%s", rows[i].description);
		free(payload);
	}
}

// ---- connections

enum {
	ENDPOINTS = 6, // slots 1 to 6, of the first service
	SHARED = 7,    // slot of the second service at the address of slot 3
	ID = 5,        // bytes of an id
	CLIENTS = 100,
};

struct fixture {
	struct world *w;
	struct snat_world *snat; // where the services are forwarded by fullnat
	bool v6;
};

static void id_of(uint32_t slot, uint8_t id[ID])
{
	const uint8_t bytes[ID] = {0xa0, (uint8_t)slot, 0, 0xff, (uint8_t)(7 * slot)};

	memcpy(id, bytes, ID);
}

// The table of ids again: of the first service's endpoints that there are, and of the second's.
static void fixture_commit(struct fixture *fx)
{
	struct sluice_target_table *t = sluice_target_table_new(ENDPOINTS + 1);
	struct world *w = fx->w;

	free((void *)w->snapshot.server_ids);
	assert_non_null(t);
	for (uint32_t slot = 1; slot <= SHARED; slot++) {
		struct sluice_target target;
		uint8_t id[ID];

		if (w->endpoints[slot].generation == 0)
			continue;
		id_of(slot == SHARED ? 3 : slot, id);
		target = sluice_quic_target(id, ID, w->endpoints[slot].service);
		sluice_target_table_set(t, &target, slot);
	}
	w->snapshot.server_ids = t;
	world_commit(w);
}

static struct fixture fixture_new(bool v6, bool fullnat)
{
	struct fixture fx = {.w = world_new_empty(), .v6 = v6};
	char address[32];

	for (unsigned i = 0; i < 2; i++) {
		unsigned service = world_service(fx.w, SLUICE_ON_EMPTY_DROP);
		uint16_t id;

		snprintf(address, sizeof(address), v6 ? "2001:db8:96::%u" : "10.96.0.%u", i + 1);
		id = world_frontend(fx.w, service, address, 443, UDP);
		fx.w->frontends[id].server_id_length = ID;
	}
	for (unsigned i = 1; i <= ENDPOINTS + 1; i++) {
		snprintf(address, sizeof(address), v6 ? "fd00::%u" : "172.17.0.%u",
		         i == SHARED ? 3 + 4 : i + 4);
		world_endpoint(fx.w, i == SHARED, address, 4433, UDP);
	}
	fixture_commit(&fx);
	if (fullnat)
		fx.snat = snat_world_of(fx.w, 1024, 65535);
	return fx;
}

static void fixture_free(struct fixture *fx)
{
	free((void *)fx->w->snapshot.server_ids);
	if (fx->snat)
		snat_world_free(fx->snat);
	else
		world_free(fx->w);
}

// NOLINTBEGIN(bugprone-macro-parentheses): it is the name of a variable
#define FOR_EACH_KIND(fx)                                                                          \
	for (unsigned kind_ = 0; kind_ < 4; kind_++)                                               \
		for (struct fixture fx = fixture_new(kind_ & 1, kind_ & 2); (fx).w != NULL;        \
		     fixture_free(&(fx)), (fx).w = NULL)
// NOLINTEND(bugprone-macro-parentheses)

enum header { SHORT = 0x40, INITIAL = 0xc0, ZERO_RTT = 0xd0, HANDSHAKE = 0xe0 };

static void quic_frame(const struct fixture *fx, struct frame *f, unsigned client, unsigned vip,
                       enum header header, uint32_t slot)
{
	char address[32], destination[32];
	struct frame_fields fields = {
	        .mac_to = HOST_0,
	        .mac_from = GATEWAY,
	        .source = address,
	        .source_port = (uint16_t)(1024 + client),
	        .destination = destination,
	        .destination_port = 443,
	        .protocol = UDP,
	        .payload = 60,
	        .no_checksum = true,
	};
	uint8_t *payload;

	snprintf(address, sizeof(address), fx->v6 ? "2001:db8:100::%u" : "198.51.100.%u",
	         client % 200 + 1);
	snprintf(destination, sizeof(destination), fx->v6 ? "2001:db8:96::%u" : "10.96.0.%u", vip);
	frame_build(f, &fields);
	payload = f->bytes + f->length - 60;
	*payload++ = (uint8_t)header;
	if (header != SHORT) {
		const uint8_t version_and_length[] = {0, 0, 0, 1, 1 + ID + 8};

		memcpy(payload, version_and_length, sizeof(version_and_length));
		payload += sizeof(version_and_length);
	}
	*payload++ = 0x1b; // configuration 0
	id_of(slot, payload);
}

// The slot that the packet is sent on to; 0: none.
static uint32_t send_quic(struct fixture *fx, unsigned client, enum header header, uint32_t slot)
{
	struct outcome o;
	struct frame f;

	quic_frame(fx, &f, client, 1, header, slot);
	world_run_one(fx->w, &f, &o);
	return o.packet.verdict == SLUICE_VERDICT_TRANSMIT ? o.packet.slot : 0;
}

static void test_connection_follows_its_id_wherever_it_comes_from(void **state)
{
	(void)state;
	FOR_EACH_KIND(fx)
	{
		for (unsigned i = 0; i < CLIENTS; i++) {
			uint32_t slot = i % ENDPOINTS + 1;

			assert_int_equal(send_quic(&fx, i, SHORT, slot), slot);
			assert_int_equal(send_quic(&fx, i + 7, SHORT, slot), slot);
			fx.w->turn++;
			fixture_commit(&fx);
			assert_int_equal(send_quic(&fx, i + 300, SHORT, slot), slot);
			assert_int_equal(send_quic(&fx, i + 300, HANDSHAKE, slot), slot);
		}
	}
}

// And what has no id follows the flow table, which the ids have changed.
static void test_id_goes_before_the_flow_table_which_learns_it(void **state)
{
	(void)state;
	FOR_EACH_KIND(fx)
	{
		for (unsigned i = 0; i < CLIENTS; i++) {
			uint32_t first = send_quic(&fx, i, INITIAL, 1),
			         other = first % ENDPOINTS + 1;

			assert_int_equal(send_quic(&fx, i, INITIAL, 1), first);
			assert_int_equal(send_quic(&fx, i, SHORT, other), other);
			assert_int_equal(send_quic(&fx, i, INITIAL, 1), other);
			assert_int_equal(send_quic(&fx, i, SHORT, other), other);
		}
	}
}

// Nobody but the hash chooses for a connection that begins.
static void test_client_cannot_choose_the_endpoint_of_a_new_connection(void **state)
{
	static const enum header headers[] = {INITIAL, ZERO_RTT};

	(void)state;
	FOR_EACH_KIND(fx)
	{
		struct fixture other = fixture_new(fx.v6, fx.snat != NULL);

		for (unsigned i = 0; i < CLIENTS; i++) {
			uint32_t chosen = send_quic(&other, i, INITIAL, 0);

			assert_in_range(chosen, 1, ENDPOINTS);
			assert_int_equal(send_quic(&fx, i, headers[i % 2], i % ENDPOINTS + 1),
			                 chosen);
		}
		fixture_free(&other);
	}
}

static void test_unknown_id_is_no_hint(void **state)
{
	(void)state;
	FOR_EACH_KIND(fx)
	{
		struct fixture other = fixture_new(fx.v6, fx.snat != NULL);

		for (unsigned i = 0; i < CLIENTS; i++)
			assert_int_equal(send_quic(&fx, i, SHORT, 99),
			                 send_quic(&other, i, INITIAL, 0));
		fixture_free(&other);
	}
}

static void test_draining_endpoint_keeps_its_connections(void **state)
{
	(void)state;
	FOR_EACH_KIND(fx)
	{
		for (uint32_t slot = 1; slot <= ENDPOINTS; slot++)
			fx.w->endpoints[slot].flags =
			        SLUICE_ENDPOINT_DRAINING | SLUICE_ENDPOINT_NO_NEW_FLOWS;
		fixture_commit(&fx);
		assert_null(fx.w->services[0].rows); // also when it is the last one
		assert_int_equal(send_quic(&fx, 1, SHORT, 2), 2);
		assert_int_equal(send_quic(&fx, 2, SHORT, 2), 2);
		assert_int_equal(send_quic(&fx, 3, INITIAL, 2), 0);
	}
}

static void test_removed_endpoint_s_connections_are_placed_anew(void **state)
{
	(void)state;
	FOR_EACH_KIND(fx)
	{
		uint32_t now;

		assert_int_equal(send_quic(&fx, 1, SHORT, 2), 2);
		world_endpoint_remove(fx.w, 2);
		fixture_commit(&fx);
		now = send_quic(&fx, 1, SHORT, 2);
		assert_int_not_equal(now, 0);
		assert_int_not_equal(now, 2);
		assert_int_equal(send_quic(&fx, 1, SHORT, 2), now);
	}
}

// A connection that comes from a new address is none that begins.
static void test_migration_is_no_new_connection(void **state)
{
	(void)state;
	FOR_EACH_KIND(fx)
	{
		uint32_t slot = send_quic(&fx, 1, INITIAL, 0);
		const sluice_counter *count = &fx.w->endpoint_counters[slot].connections;
		const struct sluice_worker_counters *c = &fx.w->counters;

		assert_int_equal(sluice_counter_read(count), 1);
		for (unsigned i = 2; i < 10; i++)
			assert_int_equal(send_quic(&fx, i, SHORT, slot), slot);
		assert_int_equal(sluice_counter_read(count), 1);
		// Nor does an entry end that is another endpoint's now.
		slot = slot % ENDPOINTS + 1;
		assert_int_equal(send_quic(&fx, 1, SHORT, slot), slot);
		assert_int_equal(sluice_counter_read(&fx.w->endpoint_counters[slot].connections),
		                 0);
		assert_int_equal(sluice_counter_read(fx.snat ? &c->snat_inserts : &c->flow_inserts),
		                 9);
		assert_int_equal(sluice_counter_read(&c->flow_expirations) +
		                         sluice_counter_read(&c->snat_expirations),
		                 0);
	}
}

// The last byte of the virtual address that answers; 0: dropped.
static uint8_t answer_to(struct fixture *fx, unsigned client)
{
	struct frame_fields fields = {
	        .mac_to = HOST_1,
	        .mac_from = BACKEND,
	        .source = fx->v6 ? "fd00::7" : "172.17.0.7",
	        .source_port = 4433,
	        .destination_port = (uint16_t)(1024 + client),
	        .protocol = UDP,
	};
	char address[32];
	struct outcome o;
	struct frame f;

	snprintf(address, sizeof(address), fx->v6 ? "2001:db8:100::%u" : "198.51.100.%u",
	         client % 200 + 1);
	fields.destination = address;
	frame_build(&f, &fields);
	world_run_one(fx->w, &f, &o);
	return o.packet.verdict == SLUICE_VERDICT_TRANSMIT ? o.frame.bytes[fx->v6 ? 37 : 29] : 0;
}

// Two services have an endpoint, and so an id, in common. By fullnat each flow has a source of its
// own.
static void test_shared_endpoint_answers_as_the_service_that_was_asked(void **state)
{
	(void)state;
	FOR_EACH_KIND(fx)
	{
		if (fx.snat)
			continue;
		for (unsigned vip = 1; vip <= 2; vip++) {
			struct outcome o;
			struct frame f;

			assert_int_equal(answer_to(&fx, vip), 0);
			quic_frame(&fx, &f, vip, vip, SHORT, 3);
			world_run_one(fx.w, &f, &o);
			assert_int_equal(o.packet.slot, vip == 1 ? 3 : SHARED);
			assert_int_equal(answer_to(&fx, vip), vip);
		}
		// A flow of the first service at another endpoint that turns to this one.
		for (unsigned i = 10; i < CLIENTS; i++) {
			if (send_quic(&fx, i, INITIAL, 0) == 3)
				continue;
			assert_int_equal(answer_to(&fx, i), 0);
			assert_int_equal(send_quic(&fx, i, SHORT, 3), 3);
			assert_int_equal(answer_to(&fx, i), 1);
		}
	}
}

// An id is read as far as the packet's first segment goes.
static void test_id_in_a_later_segment_is_not_read(void **state)
{
	(void)state;
	FOR_EACH_KIND(fx)
	{
		uint32_t first = send_quic(&fx, 1, INITIAL, 0), other = first % ENDPOINTS + 1;
		const struct frame *frame;
		struct outcome o;
		struct frame f;

		quic_frame(&fx, &f, 1, 1, SHORT, other);
		frame = &f;
		for (uint32_t head = f.length - 60; head < f.length; head++) {
			uint32_t read = head - (f.length - 60);

			world_run(fx.w, &frame, &head, &o, 1);
			assert_int_equal(o.packet.slot, read < 1 + 1 + ID + 4 ? first : other);
		}
	}
}

// A UDP length that is less than what follows the header ends the datagram.
static void test_id_behind_the_datagram_is_not_read(void **state)
{
	(void)state;
	FOR_EACH_KIND(fx)
	{
		uint32_t first = send_quic(&fx, 1, INITIAL, 0), other = first % ENDPOINTS + 1;
		struct outcome o;
		struct frame f;

		quic_frame(&fx, &f, 1, 1, SHORT, other);
		f.bytes[f.length - 60 - 3] = 8 + 1 + ID + 4; // a byte less than there must be
		f.bytes[f.length - 60 - 4] = 0;
		world_run_one(fx.w, &f, &o);
		assert_int_equal(o.packet.slot, first);
		f.bytes[f.length - 60 - 3]++;
		world_run_one(fx.w, &f, &o);
		assert_int_equal(o.packet.slot, other);
	}
}

// A service beside it that does not look at ids.
static void test_other_services_ignore_ids(void **state)
{
	(void)state;
	FOR_EACH_KIND(fx)
	{
		uint32_t first;

		fx.w->frontends[1].server_id_length = 0;
		first = send_quic(&fx, 1, SHORT, 2);
		for (uint32_t slot = 1; slot <= ENDPOINTS; slot++)
			assert_int_equal(send_quic(&fx, 1, SHORT, slot), first);
	}
}

// Payloads of random bytes, some with the beginning of a header: always one verdict, nothing
// read that is not there (world_run sees to both), and never an endpoint that the id is not of.
static void test_random_payloads(void **state)
{
	uint64_t seed = 7;

	(void)state;
	FOR_EACH_KIND(fx)
	{
		for (unsigned i = 0; i < 50000; i++) {
			unsigned length = random_below(&seed, 61);
			struct outcome o;
			struct frame f;

			quic_frame(&fx, &f, random_below(&seed, 2000), 1, SHORT,
			           random_below(&seed, 10));
			random_fill(&seed, f.bytes + f.length - length, length);
			world_run_one(fx.w, &f, &o);
			assert_int_equal(o.packet.verdict, SLUICE_VERDICT_TRANSMIT);
			assert_in_range(o.packet.slot, 1, ENDPOINTS);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_server_id_is_found_where_the_draft_has_it),
	        cmocka_unit_test(test_connection_follows_its_id_wherever_it_comes_from),
	        cmocka_unit_test(test_id_goes_before_the_flow_table_which_learns_it),
	        cmocka_unit_test(test_client_cannot_choose_the_endpoint_of_a_new_connection),
	        cmocka_unit_test(test_unknown_id_is_no_hint),
	        cmocka_unit_test(test_draining_endpoint_keeps_its_connections),
	        cmocka_unit_test(test_removed_endpoint_s_connections_are_placed_anew),
	        cmocka_unit_test(test_migration_is_no_new_connection),
	        cmocka_unit_test(test_shared_endpoint_answers_as_the_service_that_was_asked),
	        cmocka_unit_test(test_id_in_a_later_segment_is_not_read),
	        cmocka_unit_test(test_id_behind_the_datagram_is_not_read),
	        cmocka_unit_test(test_other_services_ignore_ids),
	        cmocka_unit_test(test_random_payloads),
	};

	world_eal();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
