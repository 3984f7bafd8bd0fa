// SPDX-License-Identifier: BSD-3-Clause

// Datagrams in fragments of fullnat services, both ways, through two workers' pipelines and holds,
// in any order: gathered where they arrive, they must be the datagram that a whole one would have
// become, and be told from others' by their ids.

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "path.h"
#include "pieces.h"
#include "snat_world.h"

enum {
	FIRST_PORT = 20000,
	LAST_PORT = 20255,
	CLIENT_PORT = 40000,
	PAYLOAD = 2900,
};

// What one flow looks like from both sides.
static const struct kind {
	const char *client, *vip, *snat, *endpoint;
	uint16_t vip_port, endpoint_port;
	uint8_t protocol;
} kinds[] = {
        {"198.51.100.9", "10.96.0.1", "172.17.0.1", "172.17.0.5", 53, 5353, UDP},
        {"198.51.100.9", "10.96.0.1", "172.17.0.1", "172.17.0.5", 80, 8080, TCP},
        {"2001:db8:100::9", "2001:db8:96::1", "fd00::1", "fd00::5", 53, 5353, UDP},
        {"2001:db8:100::9", "2001:db8:96::1", "fd00::1", "fd00::5", 80, 8080, TCP},
        // A node port.
        {"198.51.100.9", "192.0.2.10", "172.17.0.1", "172.17.0.6", 30080, 8080, TCP},
        {"2001:db8:100::9", "2001:db8:2::10", "fd00::1", "fd00::6", 30080, 8080, TCP},
};

enum { KINDS = sizeof(kinds) / sizeof(kinds[0]) };

static struct frame_fields from_client(const struct kind *k)
{
	return (struct frame_fields){.mac_to = HOST_0,
	                             .mac_from = GATEWAY,
	                             .source = k->client,
	                             .source_port = CLIENT_PORT,
	                             .destination = k->vip,
	                             .destination_port = k->vip_port,
	                             .protocol = k->protocol,
	                             .flags = k->protocol == TCP ? ACK : 0,
	                             .payload = PAYLOAD};
}

static struct frame_fields to_endpoint(const struct kind *k, uint16_t port)
{
	struct frame_fields f = from_client(k);

	f.mac_to = BACKEND;
	f.mac_from = HOST_1;
	f.ttl = 63;
	f.source = k->snat;
	f.source_port = port;
	f.destination = k->endpoint;
	f.destination_port = k->endpoint_port;
	return f;
}

static struct frame_fields from_endpoint(const struct kind *k, uint16_t port)
{
	struct frame_fields f = from_client(k);

	f.mac_to = HOST_1;
	f.mac_from = BACKEND;
	f.source = k->endpoint;
	f.source_port = k->endpoint_port;
	f.destination = k->snat;
	f.destination_port = port;
	return f;
}

static struct frame_fields to_client(const struct kind *k)
{
	struct frame_fields f = from_client(k);

	f.mac_to = GATEWAY;
	f.mac_from = HOST_0;
	f.ttl = 63;
	f.source = k->vip;
	f.source_port = k->vip_port;
	f.destination = k->client;
	f.destination_port = CLIENT_PORT;
	return f;
}

// A world, and the way through it where frames are not sent one by one.
struct fixture {
	struct snat_world *s;
	struct world *w;
	struct path *p;
};

static struct fixture fixture_new(uint16_t last_port)
{
	struct world *w = world_new();

	return (struct fixture){.s = snat_world_of(w, FIRST_PORT, last_port), .w = w};
}

static void fixture_free(struct fixture *fx)
{
	if (fx->p)
		path_free(fx->p);
	snat_world_free(fx->s);
}

// The client's flow, opened by a whole packet: its port.
static uint16_t open_flow(const struct fixture *fx, const struct kind *k)
{
	struct frame_fields fields = from_client(k);
	static struct frame f;
	struct outcome o;

	fields.payload = 0;
	frame_build(&f, &fields);
	world_run_one(fx->w, &f, &o);
	assert_int_equal(o.packet.verdict, SLUICE_VERDICT_TRANSMIT);
	return ntohs(sluice_packet_port(&o.packet, SLUICE_SOURCE));
}

static enum sluice_verdict fate(const struct fixture *fx, const struct frame *f)
{
	struct outcome o;

	world_run_one(fx->w, f, &o);
	return o.packet.verdict;
}

static enum sluice_drop dropped_as(const struct fixture *fx, const struct frame *f)
{
	struct outcome o;

	world_run_one(fx->w, f, &o);
	assert_int_equal(o.packet.verdict, SLUICE_VERDICT_DROP);
	return o.packet.reason;
}

static void shuffle(unsigned *order, unsigned n)
{
	for (unsigned i = n; i-- > 1;) {
		unsigned k = (unsigned)random() % (i + 1), keep = order[i];

		order[i] = order[k];
		order[k] = keep;
	}
}

// ---- what arrives

enum order { FORWARD, BACKWARD, ANY };

static void send_in_order(struct path *p, const struct frame *pieces, unsigned n, enum order how,
                          unsigned burst, bool both_workers)
{
	unsigned order[PIECES_MOST];

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
}

static uint16_t source_port(const struct frame *whole)
{
	unsigned at = whole->bytes[12] == 0x86 ? 54 : 34;

	return (uint16_t)(whole->bytes[at] << 8 | whole->bytes[at + 1]);
}

// Bytes on the link are each packet's.
static void assert_counted(const struct fixture *fx, uint32_t slot, const struct frame *pieces,
                           unsigned n)
{
	const struct sluice_endpoint_counters *c = &fx->w->endpoint_counters[slot];
	uint64_t bytes = 0;

	for (unsigned i = 0; i < n; i++)
		bytes += pieces[i].length;
	assert_int_equal(sluice_counter_read(&c->in_packets), n);
	assert_int_equal(sluice_counter_read(&c->out_packets), n);
	assert_int_equal(sluice_counter_read(&c->in_bytes), bytes);
	assert_int_equal(sluice_counter_read(&c->out_bytes), bytes);
	assert_int_equal(sluice_counter_read(&c->connections), 1);
}

// The one that has been sent something.
static uint32_t slot_of(const struct fixture *fx)
{
	for (uint32_t slot = 0; slot < fx->w->snapshot.endpoint_count; slot++)
		if (sluice_counter_read(&fx->w->endpoint_counters[slot].in_packets) > 0)
			return slot;
	fail();
	return 0;
}

// A client's, which the endpoint answers with one as large.
static void there_and_back(const struct kind *k, enum order how, unsigned burst, bool both)
{
	struct fixture fx = fixture_new(LAST_PORT);
	struct frame in[PIECES_MOST], out[PIECES_MOST], whole;
	struct frame_fields fields = from_client(k);
	unsigned n = pieces_split(&fields, 77, in);
	uint16_t port;

	fx.p = path_new(fx.w);
	send_in_order(fx.p, in, n, how, burst, both);
	path_gather(fx.p, in, n, &whole);
	port = source_port(&whole);
	assert_in_range(port, FIRST_PORT, LAST_PORT);
	fields = to_endpoint(k, port);
	path_assert_same(&whole, &fields);

	fields = from_endpoint(k, port);
	pieces_split(&fields, 77, out);
	send_in_order(fx.p, out, n, how, burst, both);
	path_gather(fx.p, out, n, &whole);
	fields = to_client(k);
	path_assert_same(&whole, &fields);
	assert_int_equal(fx.p->delivered, 2 * n);
	assert_counted(&fx, slot_of(&fx), in, n);
	fixture_free(&fx);
}

static void test_datagrams_arrive_in_order(void **state)
{
	(void)state;
	for (unsigned i = 0; i < KINDS; i++)
		for (unsigned burst = 1; burst <= PIECES_MOST; burst++)
			for (unsigned both = 0; both < 2; both++)
				there_and_back(&kinds[i], FORWARD, burst, both);
}

// The world has the node ports' addresses for its own: for these nothing is held.
static void test_datagrams_arrive_in_any_order(void **state)
{
	(void)state;
	for (unsigned i = 0; i < KINDS; i++) {
		unsigned burst = kinds[i].vip_port == 30080 ? PIECES_MOST : 1;

		for (; burst <= PIECES_MOST; burst++) {
			there_and_back(&kinds[i], BACKWARD, burst, burst % 2);
			for (unsigned k = 0; k < 5; k++)
				there_and_back(&kinds[i], ANY, burst, k % 2);
		}
	}
}

// Nothing but addresses, id and hop limit, wherever they stand.
static void only_these_change(struct fixture *fx, const struct frame_fields *first, uint16_t later,
                              unsigned id, unsigned id_size)
{
	struct frame_fields fields = *first;
	struct frame f;
	struct outcome o;

	frame_build(&f, &fields);
	assert_int_equal(fate(fx, &f), SLUICE_VERDICT_TRANSMIT);
	fields.fragment = later;
	frame_build(&f, &fields);
	world_run_one(fx->w, &f, &o);
	assert_int_equal(o.packet.verdict, SLUICE_VERDICT_TRANSMIT);
	assert_int_equal(o.frame.length, f.length);
	assert_memory_not_equal(f.bytes + id, o.frame.bytes + id, id_size);
	for (unsigned i = 14; i < f.length; i++) {
		bool v6 = f.bytes[12] == 0x86;
		bool address = v6 ? i >= 22 && i < 54 : i >= 26 && i < 34;
		bool hop = v6 ? i == 21 : i == 22 || i == 24 || i == 25; // and checksum

		if (!address && !hop && (i < id || i >= id + id_size))
			assert_int_equal(f.bytes[i], o.frame.bytes[i]);
	}
	if (f.bytes[12] == 8)
		assert_int_equal(frame_sum(o.frame.bytes + 14, (o.frame.bytes[14] & 15) * 4U, 0),
		                 0);
}

static void test_later_fragments_keep_the_rest(void **state)
{
	struct fixture fx = fixture_new(LAST_PORT);
	struct frame_fields v4 = from_client(&kinds[0]), v6 = from_client(&kinds[2]);

	(void)state;
	v4.payload = v6.payload = 800;
	v4.id = 9;
	v4.fragment = 0x2000;
	only_these_change(&fx, &v4, 100, 18, 2);
	v4.id = 10;
	v4.ip_options = 8;
	only_these_change(&fx, &v4, 0x2000 | 100, 18, 2);
	v6.fragment = 1;
	v6.extensions[0] = FRAGMENT;
	only_these_change(&fx, &v6, 800, 58, 4);
	v6.datagram = 5;
	v6.extensions[0] = DESTINATION_OPTIONS;
	v6.extensions[1] = FRAGMENT;
	only_these_change(&fx, &v6, 800 | 1, 66, 4);
	fixture_free(&fx);
}

// ---- ids

static int compare_ids(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

// How many of them others have, too.
static unsigned same_ids(uint32_t *ids, unsigned count)
{
	unsigned same = 0;

	qsort(ids, count, sizeof(*ids), compare_ids);
	for (unsigned i = 1; i < count; i++)
		same += ids[i] == ids[i - 1];
	return same;
}

// Many clients' datagrams to one endpoint, all under the same id, their fragments among each other,
// and its answers, all under one id again, to as many ports.
static void test_clients_with_one_id_are_told_apart(void **state)
{
	enum { CLIENTS = 40 };
	static struct frame pieces[CLIENTS][PIECES_MOST];
	static const struct frame *frames[CLIENTS * PIECES_MOST];
	static char addresses[CLIENTS][32];

	(void)state;
	for (unsigned v6 = 0; v6 < 2; v6++) {
		struct fixture fx = fixture_new(LAST_PORT);
		struct kind k = kinds[v6 ? 2 : 0];
		unsigned order[CLIENTS * PIECES_MOST], n = 0, each = 0;
		uint32_t ids[CLIENTS];

		fx.p = path_new(fx.w);
		for (unsigned c = 0; c < CLIENTS; c++) {
			struct frame_fields fields;

			snprintf(addresses[c], sizeof(addresses[c]),
			         v6 ? "2001:db8:100:%u::1" : "198.51.100.%u", c + 1);
			k.client = addresses[c];
			fields = from_client(&k);
			each = pieces_split(&fields, 5, pieces[c]);
			for (unsigned i = 0; i < each; i++) {
				order[n] = n;
				frames[n++] = &pieces[c][i];
			}
		}
		shuffle(order, n);
		for (unsigned i = 0; i < n; i++)
			path_send_burst(fx.p, i % PATH_WORKERS, &frames[order[i]], 1);
		assert_int_equal(path_held(fx.p), 0);
		assert_int_equal(fx.p->delivered, n);
		for (unsigned c = 0; c < CLIENTS; c++) {
			struct frame_fields fields;
			struct frame whole;

			ids[c] = path_gather(fx.p, pieces[c], each, &whole);
			fields = to_endpoint(&k, source_port(&whole));
			path_assert_same(&whole, &fields);
		}
		assert_in_range(same_ids(ids, CLIENTS), 0, v6 ? 0 : 2); // of 2^16: by chance
		fixture_free(&fx);
	}
}

// As the endpoint's datagram of that number comes to its client.
static uint32_t id_at_client(const struct fixture *fx, const struct kind *k, uint16_t port,
                             uint16_t number)
{
	struct frame_fields fields = from_endpoint(k, port);
	bool v6 = strchr(k->client, ':');
	static struct frame f;
	struct outcome o;
	uint32_t id = 0;

	fields.payload = 800;
	fields.id = number;
	fields.datagram = number;
	fields.fragment = v6 ? 1 : 0x2000;
	fields.extensions[0] = v6 ? FRAGMENT : 0;
	frame_build(&f, &fields);
	world_run_one(fx->w, &f, &o);
	assert_int_equal(o.packet.verdict, SLUICE_VERDICT_TRANSMIT);
	memcpy(&id, o.frame.bytes + (v6 ? 58 : 18), v6 ? 4 : 2);
	return id;
}

static void test_endpoints_with_one_id_are_told_apart(void **state)
{
	(void)state;
	for (unsigned v6 = 0; v6 < 2; v6++) {
		struct fixture fx = fixture_new(LAST_PORT);
		const struct kind *a = &kinds[v6 ? 3 : 1], *b = &kinds[v6 ? 5 : 4];
		uint16_t port_a = open_flow(&fx, a), port_b = open_flow(&fx, b);
		unsigned same = 0;

		for (uint16_t number = 1; number <= 100; number++)
			same += id_at_client(&fx, a, port_a, number) ==
			        id_at_client(&fx, b, port_b, number);
		assert_in_range(same, 0, v6 ? 0 : 3);
		fixture_free(&fx);
	}
}

// ---- what does not

// Another client's flow gets the port, and the places in the table, between two fragments.
static void test_another_flow_has_no_part_of_it(void **state)
{
	(void)state;
	for (unsigned i = 0; i < KINDS; i++) {
		struct fixture fx = fixture_new(FIRST_PORT); // that one alone
		const struct kind *k = &kinds[i];
		struct kind stranger = *k;
		struct frame in[PIECES_MOST];
		struct frame_fields fields = from_client(k);

		fx.w->pipeline.worker = (struct sluice_snat_worker){0, 1};
		pieces_split(&fields, 9, in);
		assert_int_equal(fate(&fx, &in[0]), SLUICE_VERDICT_TRANSMIT);
		assert_int_equal(fate(&fx, &in[1]), SLUICE_VERDICT_TRANSMIT);
		stranger.client = strchr(k->client, ':') ? "2001:db8:100::8" : "198.51.100.8";
		assert_int_equal(open_flow(&fx, &stranger), FIRST_PORT);
		assert_int_equal(fate(&fx, &in[2]), SLUICE_VERDICT_HOLD);
		// The first one again: the flow is back.
		assert_int_equal(fate(&fx, &in[0]), SLUICE_VERDICT_TRANSMIT);
		assert_int_equal(fate(&fx, &in[2]), SLUICE_VERDICT_TRANSMIT);
		fixture_free(&fx);
	}
}

// The same, the other way: what an endpoint sends to the port is the new client's, in pieces as it
// is whole, and what it sends to another one nobody's.
static void test_ports_are_whose_they_are_now(void **state)
{
	(void)state;
	for (unsigned i = 0; i < KINDS; i++) {
		struct fixture fx = fixture_new(FIRST_PORT);
		struct kind stranger = kinds[i];
		bool v6 = strchr(stranger.client, ':');
		struct frame_fields fields = from_endpoint(&kinds[i], FIRST_PORT);
		struct frame out[PIECES_MOST], whole;
		struct outcome of_piece, of_whole;

		fx.w->pipeline.worker = (struct sluice_snat_worker){0, 1};
		open_flow(&fx, &kinds[i]);
		pieces_split(&fields, 9, out);
		assert_int_equal(fate(&fx, &out[0]), SLUICE_VERDICT_TRANSMIT);
		stranger.client = v6 ? "2001:db8:100::8" : "198.51.100.8";
		open_flow(&fx, &stranger);
		fields.payload = 0;
		frame_build(&whole, &fields);
		world_run_one(fx.w, &whole, &of_whole);
		world_run_one(fx.w, &out[1], &of_piece);
		assert_int_equal(of_whole.packet.verdict, SLUICE_VERDICT_TRANSMIT);
		assert_int_equal(of_piece.packet.verdict, SLUICE_VERDICT_TRANSMIT);
		assert_memory_equal(of_piece.frame.bytes + (v6 ? 22 : 26),
		                    of_whole.frame.bytes + (v6 ? 22 : 26), v6 ? 32 : 8);
		fixture_free(&fx);
	}
}

// The endpoint goes, or its slot is another's, between two fragments.
static void test_fragments_of_no_flow_wait_in_vain(void **state)
{
	(void)state;
	for (unsigned i = 0; i < KINDS; i++) {
		struct fixture fx = fixture_new(LAST_PORT);
		const struct kind *k = &kinds[i];
		struct frame in[PIECES_MOST], out[PIECES_MOST];
		struct frame_fields fields = from_endpoint(k, open_flow(&fx, k));
		struct outcome o;
		struct sluice_endpoint *e;

		pieces_split(&fields, 9, out);
		fields = from_client(k);
		pieces_split(&fields, 9, in);
		world_run_one(fx.w, &in[0], &o);
		assert_int_equal(o.packet.verdict, SLUICE_VERDICT_TRANSMIT);
		e = &fx.w->endpoints[o.packet.slot];
		assert_int_equal(fate(&fx, &out[0]), SLUICE_VERDICT_TRANSMIT);
		assert_int_equal(fate(&fx, &out[1]), SLUICE_VERDICT_TRANSMIT);
		e->target.address.bytes[15] ^= 0x40;
		assert_int_equal(fate(&fx, &out[2]), SLUICE_VERDICT_HOLD);
		e->target.address.bytes[15] ^= 0x40;
		e->target.port ^= 1;
		assert_int_equal(fate(&fx, &out[2]), SLUICE_VERDICT_HOLD);
		e->target.port ^= 1;
		assert_int_equal(fate(&fx, &out[2]), SLUICE_VERDICT_TRANSMIT);
		e->generation = 0;
		assert_int_equal(fate(&fx, &out[2]), SLUICE_VERDICT_HOLD);
		assert_int_equal(fate(&fx, &in[2]), SLUICE_VERDICT_HOLD);
		fixture_free(&fx);
	}
}

static void test_mode_changes_between_fragments(void **state)
{
	struct fixture fx = fixture_new(LAST_PORT);
	const struct kind *k = &kinds[0];
	struct frame in[PIECES_MOST], out[PIECES_MOST];
	struct frame_fields fields = from_endpoint(k, open_flow(&fx, k));
	uint16_t frontend;
	struct outcome o;

	(void)state;
	pieces_split(&fields, 9, out);
	fields = from_client(k);
	pieces_split(&fields, 9, in);
	world_run_one(fx.w, &in[0], &o);
	frontend = o.packet.frontend;
	assert_int_equal(fate(&fx, &out[0]), SLUICE_VERDICT_TRANSMIT);
	fx.w->frontends[frontend].forwarding = SLUICE_FORWARD_NAT;
	world_commit(fx.w);
	assert_int_equal(fate(&fx, &in[1]), SLUICE_VERDICT_HOLD);
	// What the endpoint still sends to us goes on, as it does whole.
	assert_int_equal(fate(&fx, &out[1]), SLUICE_VERDICT_TRANSMIT);
	fixture_free(&fx);
}

static void test_exhausted_datagrams_are_dropped_whole(void **state)
{
	struct fixture fx = fixture_new(FIRST_PORT);
	struct kind k = kinds[0];
	struct frame in[PIECES_MOST];
	struct frame_fields fields;
	unsigned n;

	(void)state;
	fx.p = path_new(fx.w);
	fx.w->pipeline.worker = (struct sluice_snat_worker){0, 1};
	open_flow(&fx, &k);
	open_flow(&fx, &k); // confirmed
	k.client = "198.51.100.8";
	fields = from_client(&k);
	n = pieces_split(&fields, 9, in);
	path_send_one(fx.p, &in[1]);
	path_send_one(fx.p, &in[0]);
	for (unsigned i = 2; i < n; i++)
		path_send_one(fx.p, &in[i]);
	assert_int_equal(sluice_counter_read(&fx.w->counters.drops[SLUICE_DROP_SNAT_EXHAUSTED]), 1);
	assert_int_equal(path_held(fx.p), n - 1);
	fx.p->clock += SLUICE_HOLD_MS;
	path_try_held(fx.p, 0);
	assert_int_equal(fx.p->held_dropped, n - 1);
	fixture_free(&fx);
}

// The address is the host's own: its own datagrams from the endpoint's machine stay the kernel's,
// in any order.
static void test_the_hosts_own_datagrams_are_the_kernels(void **state)
{
	static const struct {
		uint16_t from, to;
	} others[] = {{5353, 50000}, {22, FIRST_PORT}, {22, 50000}, {5353, LAST_PORT}};

	(void)state;
	for (unsigned i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		struct fixture fx = fixture_new(LAST_PORT);
		struct frame_fields fields = from_endpoint(&kinds[0], others[i].to);
		struct frame out[PIECES_MOST];
		unsigned n;

		fx.p = path_new(fx.w);
		fields.source_port = others[i].from;
		n = pieces_split(&fields, 9, out);
		for (unsigned k = n; k-- > 0;)
			path_send_one(fx.p, &out[k]);
		assert_int_equal(fx.p->passed, n);
		fixture_free(&fx);
	}
}

// Who asked an endpoint directly gets its answer from there.
static void test_answers_to_others_are_the_kernels(void **state)
{
	struct fixture fx = fixture_new(LAST_PORT);
	struct frame_fields fields = from_endpoint(&kinds[0], FIRST_PORT);
	struct frame out[PIECES_MOST];
	unsigned n;

	(void)state;
	fields.destination = kinds[0].client;
	n = pieces_split(&fields, 9, out);
	for (unsigned k = n; k-- > 0;)
		assert_int_equal(fate(&fx, &out[k]), SLUICE_VERDICT_PASS);
	fixture_free(&fx);
}

// What holds for whole packets on their way out holds for each fragment.
static void leave_as_packets_do(struct fixture *fx, struct frame *pieces,
                                struct sluice_adjacency *a)
{
	struct sluice_adjacency whole = *a;
	struct frame tagged = pieces[1];
	bool v6 = pieces[0].bytes[12] == 0x86;

	assert_int_equal(fate(fx, &pieces[0]), SLUICE_VERDICT_TRANSMIT);
	a->mtu = (uint16_t)(pieces[1].length - 15);
	if (v6)
		assert_int_equal(dropped_as(fx, &pieces[1]), SLUICE_DROP_TOO_BIG);
	else
		assert_int_equal(fate(fx, &pieces[1]), SLUICE_VERDICT_SPLIT);
	a->mtu++;
	assert_int_equal(fate(fx, &pieces[1]), SLUICE_VERDICT_TRANSMIT);
	a->state = SLUICE_ADJACENCY_UNRESOLVED;
	assert_int_equal(fate(fx, &pieces[1]), SLUICE_VERDICT_RESOLVE);
	a->state = SLUICE_ADJACENCY_NONE;
	assert_int_equal(dropped_as(fx, &pieces[1]), SLUICE_DROP_NO_ROUTE);
	*a = whole;
	memmove(tagged.bytes + 18, tagged.bytes + 14, tagged.length - 14);
	memcpy(tagged.bytes + 16, pieces[1].bytes + 12, 2);
	memcpy(tagged.bytes + 12, ((uint8_t[]){0x81, 0, 0, 20}), 4);
	tagged.length += 4;
	assert_int_equal(dropped_as(fx, &tagged), SLUICE_DROP_VLAN);
	pieces[1].bytes[v6 ? 21 : 22] = 1;
	assert_int_equal(dropped_as(fx, &pieces[1]), SLUICE_DROP_TTL_EXPIRED);
}

static void test_later_fragments_leave_as_packets_do(void **state)
{
	(void)state;
	for (unsigned i = 0; i < KINDS; i++) {
		struct fixture fx = fixture_new(LAST_PORT);
		struct sluice_adjacency routes[8];
		struct frame pieces[PIECES_MOST];
		struct frame_fields fields = from_endpoint(&kinds[i], open_flow(&fx, &kinds[i]));
		struct outcome o;

		assert_in_range(fx.w->snapshot.adjacency_count, 2, 8);
		memcpy(routes, fx.w->snapshot.adjacencies,
		       fx.w->snapshot.adjacency_count * sizeof(routes[0]));
		fx.w->snapshot.adjacencies = routes;
		pieces_split(&fields, 9, pieces);
		leave_as_packets_do(&fx, pieces, &routes[1]);
		fields = from_client(&kinds[i]);
		pieces_split(&fields, 9, pieces);
		world_run_one(fx.w, &pieces[0], &o);
		leave_as_packets_do(&fx, pieces, &fx.w->endpoints[o.packet.slot].adjacency);
		fixture_free(&fx);
	}
}

// ---- hostile ones

// A fragment of one of the flows, or of one that there is not, with some of its bits wrong.
static void build_hostile(struct frame *f, const uint16_t *ports)
{
	unsigned k = (unsigned)random() % KINDS;
	bool v6 = strchr(kinds[k].client, ':') != NULL;
	uint16_t port = random() % 8 ? ports[k] : (uint16_t)(FIRST_PORT + random() % 256);
	struct frame_fields fields =
	        random() % 2 ? from_client(&kinds[k]) : from_endpoint(&kinds[k], port);
	unsigned offset = random() % 2 ? (unsigned)random() % 100 : 0;
	bool more = random() % 2;

	fields.payload = (unsigned)random() % (random() % 4 ? 60 : 1400);
	fields.id = (uint16_t)(random() % 8);
	fields.datagram = (uint32_t)random() % 8 + 1;
	fields.fragment = (uint16_t)(v6 ? offset * 8 + more : offset + more * 0x2000);
	if (v6)
		fields.extensions[0] = FRAGMENT;
	else
		fields.ip_options = (unsigned)random() % 11 * 4;
	frame_build(f, &fields);
	for (unsigned wrong = (unsigned)random() % 4; wrong > 0; wrong--)
		f->bytes[12 + random() % 70] ^= (uint8_t)(1 << random() % 8);
	if (random() % 6 == 0)
		f->length = 14 + (uint32_t)random() % (f->length - 14);
}

static uint64_t drops(const struct world *w)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < SLUICE_DROP_COUNT; i++)
		n += sluice_counter_read(&w->counters.drops[i]);
	return n;
}

// Whatever they are, each has one fate, and what is dropped is counted. world_run() sees that
// nothing outside of them is read or written.
static void test_hostile_fragments_do_no_harm(void **state)
{
	static struct frame frames[SLUICE_BURST];
	static struct outcome outcomes[SLUICE_BURST];
	struct fixture fx = fixture_new(LAST_PORT);
	unsigned fates[SLUICE_VERDICT_SPLIT + 1] = {0};
	uint16_t ports[KINDS];

	(void)state;
	for (unsigned k = 0; k < KINDS; k++)
		ports[k] = open_flow(&fx, &kinds[k]);
	for (unsigned round = 0; round < 4000; round++) {
		const struct frame *pointers[SLUICE_BURST];
		uint32_t heads[SLUICE_BURST];
		uint64_t before = drops(fx.w);
		unsigned n = 1 + (unsigned)random() % SLUICE_BURST, dropped = 0;

		for (unsigned i = 0; i < n; i++) {
			build_hostile(&frames[i], ports);
			pointers[i] = &frames[i];
			heads[i] = random() % 4 ? frames[i].length
			                        : (uint32_t)random() % (frames[i].length + 1);
		}
		for (uint32_t slot = 1; slot < fx.w->snapshot.endpoint_count; slot++)
			fx.w->endpoints[slot].adjacency.mtu =
			        (uint16_t)(random() % 3 ? 1500 : 68 + random() % 400);
		world_run(fx.w, pointers, heads, outcomes, n);
		for (unsigned i = 0; i < n; i++) {
			assert_in_range(outcomes[i].packet.verdict, SLUICE_VERDICT_TRANSMIT,
			                SLUICE_VERDICT_SPLIT);
			fates[outcomes[i].packet.verdict]++;
			dropped += outcomes[i].packet.verdict == SLUICE_VERDICT_DROP;
		}
		assert_int_equal(drops(fx.w) - before, dropped);
	}
	for (unsigned i = SLUICE_VERDICT_TRANSMIT; i <= SLUICE_VERDICT_SPLIT; i++)
		assert_true(fates[i] > 0 || i == SLUICE_VERDICT_RESOLVE);
	fixture_free(&fx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_datagrams_arrive_in_order),
	        cmocka_unit_test(test_datagrams_arrive_in_any_order),
	        cmocka_unit_test(test_later_fragments_keep_the_rest),
	        cmocka_unit_test(test_clients_with_one_id_are_told_apart),
	        cmocka_unit_test(test_endpoints_with_one_id_are_told_apart),
	        cmocka_unit_test(test_another_flow_has_no_part_of_it),
	        cmocka_unit_test(test_ports_are_whose_they_are_now),
	        cmocka_unit_test(test_fragments_of_no_flow_wait_in_vain),
	        cmocka_unit_test(test_mode_changes_between_fragments),
	        cmocka_unit_test(test_exhausted_datagrams_are_dropped_whole),
	        cmocka_unit_test(test_the_hosts_own_datagrams_are_the_kernels),
	        cmocka_unit_test(test_answers_to_others_are_the_kernels),
	        cmocka_unit_test(test_later_fragments_leave_as_packets_do),
	        cmocka_unit_test(test_hostile_fragments_do_no_harm),
	};

	world_eal();
	srandom(1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
