// SPDX-License-Identifier: BSD-3-Clause

// Datagrams in fragments, through two workers' pipelines and holds, in any order: gathered where
// they arrive, they must be the datagram that a whole one would have become, to the checksum over
// all of it.

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "dataplane/fragments.h"
#include "path.h"
#include "pieces.h"
#include "world.h"

enum {
	PAYLOAD = 2900,
};

// ---- what goes where

#define FROM_CLIENT       .mac_to = HOST_0, .mac_from = GATEWAY
#define TO_BACKEND        .mac_to = BACKEND, .mac_from = HOST_1, .ttl = 63
#define FROM_BACKEND      .mac_to = HOST_1, .mac_from = BACKEND
#define TO_CLIENT         .mac_to = GATEWAY, .mac_from = HOST_0, .ttl = 63

#define BY(address, port) .source = (address), .source_port = (port)
#define TO(address, port) .destination = (address), .destination_port = (port)

#define KIND(l4, client, vip, port, backend, backend_port)                                         \
	{{FROM_CLIENT, l4, BY(client, 40000), TO(vip, port)},                                      \
	 {TO_BACKEND, l4, BY(client, 40000), TO(backend, backend_port)}},                          \
	{                                                                                          \
		{FROM_BACKEND, l4, BY(backend, backend_port), TO(client, 40000)},                  \
		{                                                                                  \
			TO_CLIENT, l4, BY(vip, port), TO(client, 40000)                            \
		}                                                                                  \
	}
#define IS_UDP   .protocol = UDP, .payload = PAYLOAD
#define IS_TCP   .protocol = TCP, .payload = PAYLOAD, .flags = ACK
#define CLIENT_4 "198.51.100.9"
#define CLIENT_6 "2001:db8:100::9"

static const struct {
	struct frame_fields in, out;
} kinds[] = {
        KIND(IS_UDP, CLIENT_4, "10.96.0.1", 53, "172.17.0.5", 5353),
        KIND(IS_TCP, CLIENT_4, "10.96.0.1", 80, "172.17.0.5", 8080),
        KIND(IS_UDP, CLIENT_6, "2001:db8:96::1", 53, "fd00::5", 5353),
        KIND(IS_TCP, CLIENT_6, "2001:db8:96::1", 80, "fd00::5", 8080),
        // A node port.
        KIND(IS_TCP, CLIENT_4, "192.0.2.10", 30080, "172.17.0.6", 8080),
        KIND(IS_TCP, CLIENT_6, "2001:db8:2::10", 30080, "fd00::6", 8080),
};

enum { KINDS = sizeof(kinds) / sizeof(kinds[0]) };

static bool is_node_port(unsigned kind)
{
	return kinds[kind].in.destination_port == 30080;
}

static void path_free_world(struct path *p)
{
	struct world *w = p->w;

	path_free(p);
	world_free(w);
}

static void shuffle(unsigned *order, unsigned n)
{
	for (unsigned i = n; i-- > 1;) {
		unsigned k = (unsigned)random() % (i + 1), keep = order[i];

		order[i] = order[k];
		order[k] = keep;
	}
}

// The endpoint of several frontends answers clients that it was introduced to.
static void introduce(struct path *p, unsigned kind)
{
	static struct frame f;
	struct frame_fields fields = kinds[kind & ~1U].in;

	fields.payload = 0;
	frame_build(&f, &fields);
	path_send_one(p, &f);
}

// ---- tests

enum order { FORWARD, BACKWARD, ANY };

static void one_datagram(unsigned kind, enum order how, unsigned burst, bool both_workers)
{
	struct path *p = path_new(world_new());
	struct frame pieces[PIECES_MOST], whole;
	unsigned order[PIECES_MOST], n = pieces_split(&kinds[kind].in, 77, pieces);

	introduce(p, kind);
	for (unsigned i = 0; i < n; i++)
		order[i] = how == BACKWARD ? n - 1 - i : i;
	if (how == ANY)
		shuffle(order, n);
	for (unsigned at = 0, worker = 0; at < n; at += burst, worker ^= both_workers) {
		const struct frame *frames[SLUICE_BURST];
		unsigned count = n - at < burst ? n - at : burst;

		for (unsigned i = 0; i < count; i++)
			frames[i] = &pieces[order[at + i]];
		path_send_burst(p, worker, frames, count);
	}
	assert_int_equal(path_held(p), 0);
	path_gather(p, pieces, n, &whole);
	path_assert_same(&whole, &kinds[kind].out);
	path_free_world(p);
}

static void test_fragments_in_order_arrive(void **state)
{
	(void)state;
	for (unsigned kind = 0; kind < KINDS; kind++)
		for (unsigned burst = 1; burst <= PIECES_MOST; burst++)
			for (unsigned both = 0; both < 2; both++)
				one_datagram(kind, FORWARD, burst, both);
}

static void test_fragments_in_any_order_arrive(void **state)
{
	(void)state;
	for (unsigned kind = 0; kind < KINDS; kind++) {
		// To the host's own addresses nothing is held: it may be the host's.
		bool whole_burst = is_node_port(kind) && kind % 2 == 0;

		for (unsigned burst = whole_burst ? PIECES_MOST : 1; burst <= PIECES_MOST;
		     burst++) {
			one_datagram(kind, BACKWARD, burst, burst % 2);
			for (unsigned i = 0; i < 20; i++)
				one_datagram(kind, ANY, burst, i % 2);
		}
	}
}

// Many clients' datagrams, all under the same id, their fragments among each other.
static void interleave(bool v6)
{
	enum { CLIENTS = 40 };
	static struct frame pieces[CLIENTS][PIECES_MOST];
	static const struct frame *frames[CLIENTS * PIECES_MOST];
	static char addresses[CLIENTS][32];
	unsigned order[CLIENTS * PIECES_MOST], n = 0, each = 0;
	struct frame_fields in = kinds[v6 ? 4 : 0].in, out = kinds[v6 ? 4 : 0].out;
	struct path *p = path_new(world_new());

	for (unsigned c = 0; c < CLIENTS; c++) {
		snprintf(addresses[c], sizeof(addresses[c]),
		         v6 ? "2001:db8:100:%u::1" : "198.51.100.%u", c + 1);
		in.source = addresses[c];
		each = pieces_split(&in, 5, pieces[c]);
		for (unsigned i = 0; i < each; i++)
			frames[n++] = &pieces[c][i];
	}
	for (unsigned i = 0; i < n; i++)
		order[i] = i;
	shuffle(order, n);
	for (unsigned at = 0, count; at < n; at += count) {
		const struct frame *burst[SLUICE_BURST];

		count = 1 + (unsigned)random() % SLUICE_BURST;
		if (count > n - at)
			count = n - at;
		for (unsigned i = 0; i < count; i++)
			burst[i] = frames[order[at + i]];
		path_send_burst(p, (unsigned)random() % PATH_WORKERS, burst, count);
	}
	assert_int_equal(path_held(p), 0);
	assert_int_equal(p->delivered, n);
	for (unsigned c = 0; c < CLIENTS; c++) {
		struct frame whole;

		path_gather(p, pieces[c], each, &whole);
		out.source = addresses[c];
		path_assert_same(&whole, &out);
	}
	path_free_world(p);
}

static void test_interleaved_datagrams_arrive(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 20; i++)
		interleave(i % 2);
}

// ---- the hold

static void dns_from(struct frame_fields *fields, char address[32], unsigned client)
{
	*fields = kinds[0].in;
	snprintf(address, 32, "198.51.%u.%u", 100 + client / 250, client % 250 + 1);
	fields->source = address;
}

// A source that sends nothing but later fragments has its share of the hold and no more: whoever
// else's come too early are held all the same.
static void test_flood_of_later_fragments_costs_itself(void **state)
{
	enum { FLOOD = 20000 };
	struct path *p = path_new(world_new());
	static struct frame flood[FLOOD], pieces[2][PIECES_MOST];
	struct frame_fields fields;
	char address[32];
	struct frame whole;
	unsigned n;

	(void)state;
	dns_from(&fields, address, 0);
	for (unsigned i = 0; i < FLOOD; i++) {
		struct frame attack[PIECES_MOST];

		pieces_split(&fields, (uint16_t)i, attack);
		flood[i] = attack[1];
		path_send_one(p, &flood[i]);
	}
	assert_int_equal(path_held(p), SLUICE_HOLD_SHARE);
	assert_int_equal(p->held_dropped, FLOOD - SLUICE_HOLD_SHARE);
	// In order nobody needs the hold.
	dns_from(&fields, address, 1);
	n = pieces_split(&fields, 9, pieces[0]);
	for (unsigned i = 0; i < n; i++) {
		path_send_one(p, &pieces[0][i]);
		path_send_one(p, &flood[i]);
	}
	path_gather(p, pieces[0], n, &whole);
	// Backward, from whoever does not share the flood's share by chance.
	for (unsigned client = 2; path_held(p) == SLUICE_HOLD_SHARE; client++) {
		assert_in_range(client, 2, 20);
		dns_from(&fields, address, client);
		pieces_split(&fields, 9, pieces[1]);
		path_send_one(p, &pieces[1][n - 1]);
	}
	for (unsigned i = n - 1; i-- > 0;) {
		path_send_one(p, &pieces[1][i]);
		path_send_one(p, &flood[i]);
	}
	path_gather(p, pieces[1], n, &whole);
	assert_int_equal(path_held(p), SLUICE_HOLD_SHARE);
	path_free_world(p);
}

static void test_held_fragments_are_dropped_in_time(void **state)
{
	struct path *p = path_new(world_new());
	struct frame pieces[PIECES_MOST], extra;
	unsigned n = pieces_split(&kinds[0].in, 9, pieces);

	(void)state;
	path_send_one(p, &pieces[1]);
	p->clock += SLUICE_HOLD_MS - 1;
	path_send_one(p, &pieces[2]);
	assert_int_equal(path_held(p), 2);
	p->clock++;
	path_try_held(p, 0);
	assert_int_equal(path_held(p), 1);
	assert_int_equal(p->held_dropped, 1);
	path_send_one(p, &pieces[0]); // in time for the other one
	assert_int_equal(path_held(p), 0);
	assert_int_equal(p->delivered, 2);

	// The endpoint goes while a fragment waits, after its first was seen by the other worker.
	pieces_split(&kinds[0].in, 10, pieces);
	extra = pieces[n - 1];
	path_send_one(p, &extra);
	assert_int_equal(path_held(p), 1);
	world_run_one(p->w, &pieces[0], &(struct outcome){0});
	for (uint32_t slot = 1; slot < p->w->snapshot.endpoint_count; slot++)
		world_endpoint_remove(p->w, slot);
	world_commit(p->w);
	path_try_held(p, 0);
	assert_int_equal(path_held(p), 0);
	assert_int_equal(p->held_dropped, 2);
	path_free_world(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_fragments_in_order_arrive),
	        cmocka_unit_test(test_fragments_in_any_order_arrive),
	        cmocka_unit_test(test_interleaved_datagrams_arrive),
	        cmocka_unit_test(test_flood_of_later_fragments_costs_itself),
	        cmocka_unit_test(test_held_fragments_are_dropped_in_time),
	};

	world_eal();
	srandom(1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
