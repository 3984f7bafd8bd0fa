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
#include "pieces.h"
#include "world.h"

enum {
	WORKERS = 2,
	SENT_MOST = 1 << 16,
	PAYLOAD = 2900,
};

// What came out, with where it came from: the n-th frame that was sent.
struct delivery {
	unsigned sent;
	uint8_t port;
	struct frame frame;
};

// The way through the host.
struct path {
	struct world *w;
	struct sluice_hold holds[WORKERS];
	uint64_t clock; // of the holds
	const struct frame **sent;
	unsigned sent_count;
	unsigned delivered, passed, dropped, held_dropped;
	struct delivery *deliveries;
};

static struct path *path_new(void)
{
	struct path *p = calloc(1, sizeof(*p));

	assert_non_null(p);
	p->w = world_new();
	p->sent = calloc(SENT_MOST, sizeof(const struct frame *));
	p->deliveries = calloc(4096, sizeof(*p->deliveries));
	assert_non_null(p->sent);
	assert_non_null(p->deliveries);
	p->clock = 1000;
	return p;
}

static unsigned held(const struct path *p)
{
	return p->holds[0].count + p->holds[1].count;
}

// Every frame became something, exactly once.
static void assert_conserved(const struct path *p)
{
	uint64_t drops = 0;

	for (unsigned i = 0; i < SLUICE_DROP_COUNT; i++)
		drops += sluice_counter_read(&p->w->counters.drops[i]);
	assert_int_equal(p->dropped, drops);
	assert_int_equal(p->sent_count,
	                 p->delivered + p->passed + p->dropped + p->held_dropped + held(p));
}

static void path_free(struct path *p)
{
	assert_conserved(p);
	world_free(p->w);
	free(p->sent);
	free(p->deliveries);
	free(p);
}

static void dispose(struct path *p, unsigned worker, unsigned sent, struct outcome *o, bool again)
{
	struct sluice_packet *packet = &o->packet;

	switch (packet->verdict) {
	case SLUICE_VERDICT_TRANSMIT:
	case SLUICE_VERDICT_RESOLVE:
		assert_true(p->delivered < 4096);
		p->deliveries[p->delivered].sent = sent;
		p->deliveries[p->delivered].port = packet->port_out;
		p->deliveries[p->delivered++].frame = o->frame;
		break;
	case SLUICE_VERDICT_PASS:
		p->passed++;
		break;
	case SLUICE_VERDICT_HOLD: {
		struct frame copy = *p->sent[sent]; // the hold looks at the source

		packet->buffer = (void *)(uintptr_t)sent;
		packet->data = copy.bytes;
		if (again ||
		    !sluice_hold_put(&p->holds[worker], &p->w->fragments, packet, p->clock))
			p->held_dropped++;
		break;
	}
	default:
		p->dropped++;
		break;
	}
}

static void run(struct path *p, unsigned worker, const unsigned *sent, unsigned count, bool again)
{
	const struct frame *frames[SLUICE_BURST] = {NULL};
	static struct outcome outcomes[SLUICE_BURST];

	for (unsigned i = 0; i < count; i++)
		frames[i] = p->sent[sent[i]];
	world_run(p->w, frames, NULL, outcomes, count);
	for (unsigned i = 0; i < count; i++)
		dispose(p, worker, sent[i], &outcomes[i], again);
}

// A worker's look at what it holds.
static void try_held(struct path *p, unsigned worker)
{
	struct sluice_held ready[SLUICE_BURST];
	unsigned sent[SLUICE_BURST], n;

	p->held_dropped += sluice_hold_expire(&p->holds[worker], p->clock - SLUICE_HOLD_MS, ready,
	                                      SLUICE_BURST);
	n = sluice_hold_ready(&p->holds[worker], &p->w->fragments, p->w->pipeline.now, ready,
	                      SLUICE_BURST);
	for (unsigned i = 0; i < n; i++)
		sent[i] = (unsigned)(uintptr_t)ready[i].buffer;
	if (n > 0)
		run(p, worker, sent, n, true);
}

// One burst to one worker, and a round of each.
static void send_burst(struct path *p, unsigned worker, const struct frame *const *frames,
                       unsigned count)
{
	unsigned sent[SLUICE_BURST];

	for (unsigned i = 0; i < count; i++) {
		assert_true(p->sent_count < SENT_MOST);
		p->sent[p->sent_count] = frames[i];
		sent[i] = p->sent_count++;
	}
	run(p, worker, sent, count, false);
	for (unsigned i = 0; i < WORKERS; i++)
		try_held(p, i);
	assert_conserved(p);
}

static void send_one(struct path *p, const struct frame *f)
{
	send_burst(p, 0, &f, 1);
}

// ---- the receiver

// Puts together what became of these pieces, as a receiver does.
static void gather(const struct path *p, const struct frame *pieces, unsigned count,
                   struct frame *whole)
{
	unsigned seen = 0, end = 0;

	*whole = (struct frame){0};
	for (unsigned i = 0; i < p->delivered; i++) {
		const struct frame *from = p->sent[p->deliveries[i].sent];
		const struct frame *f = &p->deliveries[i].frame;
		const uint8_t *b = f->bytes;
		bool v6 = b[12] == 0x86;
		unsigned header = v6 ? 54 : 34, data = v6 ? 62 : 34, offset;

		if (from < pieces || from >= pieces + count)
			continue;
		offset = v6 ? (b[56] * 256U + b[57]) & 0xfff8 : (b[20] * 256U + b[21]) % 0x2000 * 8;
		assert_int_equal(v6 ? 0 : frame_sum(b + 14, 20, 0), 0);
		memcpy(whole->bytes + header + offset, b + data, f->length - data);
		end += f->length - data;
		if (offset == 0) {
			memcpy(whole->bytes, b, header);
			whole->length = header;
			whole->bytes[20] = v6 ? b[54] : b[20];
		}
		seen++;
	}
	assert_int_equal(seen, count);
	whole->length += end;
	pieces_finish(whole, 0, 0);
}

static void assert_same(const struct frame *a, const struct frame_fields *fields)
{
	struct frame b;

	frame_build(&b, fields);
	assert_int_equal(a->length, b.length);
	assert_memory_equal(a->bytes, b.bytes, b.length);
}

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
	send_one(p, &f);
}

// ---- tests

enum order { FORWARD, BACKWARD, ANY };

static void one_datagram(unsigned kind, enum order how, unsigned burst, bool both_workers)
{
	struct path *p = path_new();
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
		send_burst(p, worker, frames, count);
	}
	assert_int_equal(held(p), 0);
	gather(p, pieces, n, &whole);
	assert_same(&whole, &kinds[kind].out);
	path_free(p);
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
	struct path *p = path_new();

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
		send_burst(p, (unsigned)random() % WORKERS, burst, count);
	}
	assert_int_equal(held(p), 0);
	assert_int_equal(p->delivered, n);
	for (unsigned c = 0; c < CLIENTS; c++) {
		struct frame whole;

		gather(p, pieces[c], each, &whole);
		out.source = addresses[c];
		assert_same(&whole, &out);
	}
	path_free(p);
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
	struct path *p = path_new();
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
		send_one(p, &flood[i]);
	}
	assert_int_equal(held(p), SLUICE_HOLD_SHARE);
	assert_int_equal(p->held_dropped, FLOOD - SLUICE_HOLD_SHARE);
	// In order nobody needs the hold.
	dns_from(&fields, address, 1);
	n = pieces_split(&fields, 9, pieces[0]);
	for (unsigned i = 0; i < n; i++) {
		send_one(p, &pieces[0][i]);
		send_one(p, &flood[i]);
	}
	gather(p, pieces[0], n, &whole);
	// Backward, from whoever does not share the flood's share by chance.
	for (unsigned client = 2; held(p) == SLUICE_HOLD_SHARE; client++) {
		assert_in_range(client, 2, 20);
		dns_from(&fields, address, client);
		pieces_split(&fields, 9, pieces[1]);
		send_one(p, &pieces[1][n - 1]);
	}
	for (unsigned i = n - 1; i-- > 0;) {
		send_one(p, &pieces[1][i]);
		send_one(p, &flood[i]);
	}
	gather(p, pieces[1], n, &whole);
	assert_int_equal(held(p), SLUICE_HOLD_SHARE);
	path_free(p);
}

static void test_held_fragments_are_dropped_in_time(void **state)
{
	struct path *p = path_new();
	struct frame pieces[PIECES_MOST], extra;
	unsigned n = pieces_split(&kinds[0].in, 9, pieces);

	(void)state;
	send_one(p, &pieces[1]);
	p->clock += SLUICE_HOLD_MS - 1;
	send_one(p, &pieces[2]);
	assert_int_equal(held(p), 2);
	p->clock++;
	try_held(p, 0);
	assert_int_equal(held(p), 1);
	assert_int_equal(p->held_dropped, 1);
	send_one(p, &pieces[0]); // in time for the other one
	assert_int_equal(held(p), 0);
	assert_int_equal(p->delivered, 2);

	// The endpoint goes while a fragment waits, after its first was seen by the other worker.
	pieces_split(&kinds[0].in, 10, pieces);
	extra = pieces[n - 1];
	send_one(p, &extra);
	assert_int_equal(held(p), 1);
	world_run_one(p->w, &pieces[0], &(struct outcome){0});
	for (uint32_t slot = 1; slot < p->w->snapshot.endpoint_count; slot++)
		world_endpoint_remove(p->w, slot);
	world_commit(p->w);
	try_held(p, 0);
	assert_int_equal(held(p), 0);
	assert_int_equal(p->held_dropped, 2);
	path_free(p);
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
