// SPDX-License-Identifier: BSD-3-Clause

// What does not fit the way out and may be cut: packets go in, and what the pieces are when an
// endpoint or a client has put them together again is compared, byte for byte, with a packet that
// is built from scratch.

#include <rte_mbuf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "dataplane/split.h"
#include "pieces.h"
#include "snat_world.h"
#include "tunnel_world.h"

enum {
	BUFFERS = 63,
	NARROW_MTU = 100,
	DATAGRAM_MAX = 3500,
};

static struct rte_mempool *pool;

static unsigned get16(const uint8_t *at)
{
	return at[0] * 256U + at[1];
}

static void set16(uint8_t *at, unsigned value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

// ---- who puts the pieces together

// A datagram as far as it has come, and what all of its pieces have in common.
struct gathering {
	struct frame first; // Ethernet and IP header of the first piece
	uint8_t data[DATAGRAM_MAX];
	bool there[DATAGRAM_MAX];
	unsigned size; // 0: the last piece has not come
	unsigned pieces, largest;
	unsigned later_header; // bytes of the last later piece's IP header, and what stands there
	uint8_t later[60];
	uint8_t id[2], ends[8];
	unsigned tunnel; // bytes of the outer headers
	bool outer_6;
};

// Takes the outer headers away: the inner packet's length is what they say.
static void decapsulate(const struct gathering *g, struct frame *f)
{
	const uint8_t *outer = f->bytes + 14;

	if (g->tunnel == 0)
		return;
	assert_int_equal(get16(outer - 2), g->outer_6 ? 0x86dd : 0x0800);
	if (g->outer_6) {
		assert_int_equal(get16(outer + 4) + 40, f->length - 14);
	} else {
		assert_int_equal(frame_sum(outer, 20, 0) % 65535, 0);
		assert_int_equal(get16(outer + 2), f->length - 14);
	}
	memmove(f->bytes + 14, f->bytes + 14 + g->tunnel, f->length - 14 - g->tunnel);
	f->length -= g->tunnel;
	f->bytes[12] = 0x08;
	f->bytes[13] = 0x00;
}

static void gather(struct gathering *g, struct frame *f)
{
	uint8_t *ip = f->bytes + 14;
	unsigned header, offset, size;

	if (f->length - 14 > g->largest)
		g->largest = f->length - 14;
	decapsulate(g, f);
	header = ip[0] % 16 * 4U;
	offset = get16(ip + 6) % 0x2000 * 8;
	size = f->length - 14 - header;
	assert_int_equal(get16(ip + 2), f->length - 14);
	assert_int_equal(frame_sum(ip, header, 0) % 65535, 0);
	if (g->pieces++ == 0) {
		memcpy(g->id, ip + 4, 2);
		memcpy(g->ends, ip + 12, 8);
	}
	assert_memory_equal(g->id, ip + 4, 2);
	assert_memory_equal(g->ends, ip + 12, 8);
	assert_in_range(offset + size, 1, DATAGRAM_MAX);
	for (unsigned i = offset; i < offset + size; i++) {
		assert_false(g->there[i]);
		g->there[i] = true;
	}
	memcpy(g->data + offset, ip + header, size);
	if (ip[6] & 0x20)
		assert_int_equal(size % 8, 0);
	else
		g->size = offset + size;
	if (offset == 0) {
		g->first = *f;
		g->first.length = 14 + header;
	} else {
		g->later_header = header;
		memcpy(g->later, ip, header);
	}
}

// The whole packet, once all pieces are there.
static void put_together(const struct gathering *g, struct frame *f)
{
	uint8_t *ip = f->bytes + 14;

	assert_true(g->size > 0 && g->first.length > 0);
	for (unsigned i = 0; i < DATAGRAM_MAX; i++)
		assert_true(g->there[i] == (i < g->size));
	*f = g->first;
	memcpy(f->bytes + f->length, g->data, g->size);
	f->length += g->size;
	set16(ip + 2, f->length - 14);
	set16(ip + 6, 0);
	set16(ip + 10, 0);
	set16(ip + 10, 65535U - frame_sum(ip, ip[0] % 16 * 4U, 0));
}

// ---- running

static uint64_t split_count(const struct world *w)
{
	return sluice_counter_read(&w->counters.split);
}

static uint64_t drop_count(const struct world *w)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < SLUICE_DROP_COUNT; i++)
		n += sluice_counter_read(&w->counters.drops[i]);
	return n;
}

// One packet through the pipeline, which says that it is to be cut.
static void to_be_cut(struct world *w, const struct frame *f, struct sluice_packet *p)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(pool);

	assert_non_null(m);
	memcpy(rte_pktmbuf_append(m, (uint16_t)f->length), f->bytes, f->length);
	*p = (struct sluice_packet){.data = rte_pktmbuf_mtod(m, uint8_t *),
	                            .buffer = m,
	                            .length = m->pkt_len,
	                            .head = m->data_len};
	sluice_pipeline_run(&w->pipeline, p, 1);
	assert_int_equal(p->verdict, SLUICE_VERDICT_SPLIT);
}

// Cuts a packet and gives the pieces to g, where there is one. Each gets the verdict. Returns how
// many there are.
static unsigned cut(struct world *w, const struct frame *f, enum sluice_verdict verdict,
                    struct gathering *g)
{
	struct sluice_packet p, pieces[SLUICE_BURST];
	uint64_t split = split_count(w), drops = drop_count(w);
	unsigned free_before = rte_mempool_avail_count(pool), n;

	to_be_cut(w, f, &p);
	n = sluice_split(&w->pipeline, &p, pieces);
	assert_int_equal(split_count(w) - split, n > 0 ? n - 1 : 0);
	for (unsigned i = 0; i < n; i++) {
		struct rte_mbuf *m = pieces[i].buffer;
		struct frame out = {.length = pieces[i].length};

		assert_int_equal(pieces[i].verdict, verdict);
		assert_int_equal(m->nb_segs, 1);
		memcpy(out.bytes, pieces[i].data, out.length);
		if (g)
			gather(g, &out);
		rte_pktmbuf_free(m);
	}
	assert_int_equal(drop_count(w) - drops, n == 0                           ? 1
	                                        : verdict == SLUICE_VERDICT_DROP ? n
	                                                                         : 0);
	assert_int_equal(rte_mempool_avail_count(pool), free_before);
	return n;
}

static void expect_frame(const char *what, const struct frame *expected, unsigned mtu,
                         const struct gathering *g)
{
	struct frame whole;

	put_together(g, &whole);
	if (whole.length != expected->length ||
	    memcmp(whole.bytes, expected->bytes, whole.length) != 0)
		fail_msg("%s: %u bytes, expected %u", what, whole.length, expected->length);
	if (g->largest > mtu || (g->pieces > 2 && g->largest <= mtu - 8))
		fail_msg("%s: pieces of %u bytes", what, g->largest); // no room is left unused
}

// ---- nat

struct row {
	const char *what;
	struct frame_fields in, out;
	unsigned pieces;
};

#define CLIENT        .source = "198.51.100.9", .source_port = 40000
#define TO_NARROW     .destination = "198.51.102.9", .destination_port = 40000
#define FROM_CLIENT   .mac_to = HOST_0, .mac_from = GATEWAY, CLIENT
#define TO_BACKEND    .mac_to = BACKEND, .mac_from = HOST_1, .ttl = 63, CLIENT
#define FROM_BACKEND  .mac_to = HOST_1, .mac_from = BACKEND, .source = "172.17.0.5", TO_NARROW
#define TO_CLIENT     .mac_to = GATEWAY, .mac_from = HOST_0, .ttl = 63, TO_NARROW
#define VIP(n, port)  .destination = "10.96.0." #n, .destination_port = (port)
#define REAL(n, port) .destination = "172.17.0." #n, .destination_port = (port)

#define IN_UDP(...)                                                                                \
	{FROM_CLIENT, VIP(10, 53), .protocol = UDP, __VA_ARGS__},                                  \
	{                                                                                          \
		TO_BACKEND, REAL(10, 5353), .protocol = UDP, __VA_ARGS__                           \
	}
#define OUT_UDP(...)                                                                               \
	{FROM_BACKEND, .source_port = 5353, .protocol = UDP, __VA_ARGS__},                         \
	{                                                                                          \
		TO_CLIENT, .source = "10.96.0.1", .source_port = 53, .protocol = UDP, __VA_ARGS__  \
	}
#define OUT_TCP(...)                                                                               \
	{FROM_BACKEND, .source_port = 8080, .protocol = TCP, .flags = ACK, __VA_ARGS__},           \
	{                                                                                          \
		TO_CLIENT, .source = "10.96.0.1", .source_port = 80, .protocol = TCP,              \
		           .flags = ACK, __VA_ARGS__                                               \
	}

static const struct row rows[] = {
        {"a byte too much", IN_UDP(.payload = 73, .id = 7), 2},
        {"as many bytes as two pieces have", IN_UDP(.payload = 152, .id = 7), 2},
        {"many pieces", IN_UDP(.payload = 1472, .id = 0xfedc, .tos = 0xb8), 19},
        {"as many as there can be", IN_UDP(.payload = 32 * 80 - 8, .id = 7), 32},
        {"without a checksum", IN_UDP(.payload = 500, .no_checksum = true), 7},
        {"options", IN_UDP(.payload = 500, .ip_options = 40), 13},
        {"padding behind the packet", IN_UDP(.payload = 100, .padding = 30), 2},
        {"padding that alone does not fit", IN_UDP(.payload = 60, .padding = 30), 1},
        {"answer", OUT_UDP(.payload = 1001, .id = 7), 13},
        {"answer, without a checksum", OUT_UDP(.payload = 1001, .no_checksum = true), 13},
        {"answer, TCP", OUT_TCP(.payload = 1460, .id = 7), 19},
        {"answer, TCP with options", OUT_TCP(.payload = 300, .tcp_options = 40), 5},
        {"answer, all options", OUT_TCP(.payload = 300, .tcp_options = 40, .ip_options = 40), 9},
};

static void test_pieces_become_the_packet(void **state)
{
	struct world *w = world_new();

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct row *r = &rows[i];
		struct frame_fields out = r->out;
		struct gathering g = {0};
		struct frame f, expected;
		unsigned n;

		out.padding = 0;
		frame_build(&f, &r->in);
		frame_build(&expected, &out);
		n = cut(w, &f, SLUICE_VERDICT_TRANSMIT, &g);
		if (n != r->pieces)
			fail_msg("%s: %u pieces", r->what, n);
		expect_frame(r->what, &expected, NARROW_MTU, &g);
	}
	world_free(w);
}

// A tag of a priority comes in, and one of a VLAN goes out.
static void test_tags_are_no_part_of_the_packet(void **state)
{
	struct frame_fields in = {FROM_CLIENT, VIP(10, 53), .protocol = UDP, .payload = 500};
	struct frame_fields out = {TO_BACKEND, REAL(10, 5353), .protocol = UDP, .payload = 500};
	struct world *w = world_new();
	struct sluice_packet p, pieces[SLUICE_BURST];
	struct gathering g = {0};
	struct frame f, expected;
	unsigned n;

	(void)state;
	frame_build(&expected, &out);
	in.tags[0] = 0x8100;
	in.tci = 0xa000;
	frame_build(&f, &in);
	assert_int_equal(cut(w, &f, SLUICE_VERDICT_TRANSMIT, &g), 7);
	expect_frame("priority", &expected, NARROW_MTU, &g);

	for (uint32_t slot = 1; slot < w->snapshot.endpoint_count; slot++)
		w->endpoints[slot].adjacency.vlan = 30;
	g = (struct gathering){0};
	to_be_cut(w, &f, &p);
	n = sluice_split(&w->pipeline, &p, pieces);
	assert_int_equal(n, 7);
	for (unsigned i = 0; i < n; i++) {
		assert_memory_equal(pieces[i].data + 12, ((uint8_t[]){0x81, 0, 0xa0, 30}), 4);
		f.length = pieces[i].length - 4;
		memcpy(f.bytes, pieces[i].data, 12);
		memcpy(f.bytes + 12, pieces[i].data + 16, f.length - 12);
		gather(&g, &f);
		rte_pktmbuf_free(pieces[i].buffer);
	}
	expect_frame("VLAN", &expected, NARROW_MTU, &g);
	world_free(w);
}

// Of the options some are for every piece, and some for the first one alone (RFC 791, 3.1).
static void test_options_are_copied_as_they_say(void **state)
{
	static const uint8_t options[12] = {0x44, 8, 5, 0, 0, 0, 0, 0, 0x94, 4, 0, 0};
	struct frame_fields in = {FROM_CLIENT, VIP(10, 53), .protocol = UDP, .payload = 200,
	                          .ip_options = 12};
	struct frame_fields out = {TO_BACKEND, REAL(10, 5353), .protocol = UDP, .payload = 200,
	                           .ip_options = 12};
	struct world *w = world_new();
	struct gathering g = {0};
	struct frame f, expected;

	(void)state;
	frame_build(&f, &in);
	frame_build(&expected, &out);
	for (unsigned i = 0; i < 2; i++) {
		uint8_t *ip = i ? expected.bytes + 14 : f.bytes + 14;

		memcpy(ip + 20, options, 12);
		set16(ip + 10, 0);
		set16(ip + 10, 65535U - frame_sum(ip, 32, 0));
	}
	cut(w, &f, SLUICE_VERDICT_TRANSMIT, &g);
	expect_frame("options", &expected, NARROW_MTU, &g);
	assert_int_equal(g.later_header, 24);
	assert_memory_equal(g.later + 20, options + 8, 4);
	world_free(w);
}

// A header's checksum that was wrong tells the receiver so of every piece.
static void test_wrong_checksums_stay_wrong(void **state)
{
	struct frame_fields in = {FROM_CLIENT, VIP(10, 53), .protocol = UDP, .payload = 200};
	struct sluice_packet p, pieces[SLUICE_BURST];
	struct world *w = world_new();
	struct frame f;
	unsigned n;

	(void)state;
	frame_build(&f, &in);
	f.bytes[25] ^= 1;
	to_be_cut(w, &f, &p);
	n = sluice_split(&w->pipeline, &p, pieces);
	assert_int_equal(n, 3);
	for (unsigned i = 0; i < n; i++) {
		assert_int_not_equal(frame_sum(pieces[i].data + 14, 20, 0) % 65535, 0);
		rte_pktmbuf_free(pieces[i].buffer);
	}
	world_free(w);
}

// ---- what came in pieces

static void expect_cut_again(struct world *w, const struct frame_fields *in,
                             const struct frame_fields *out, bool backward)
{
	struct frame pieces[PIECES_MOST], expected;
	unsigned n = pieces_split(in, 7, pieces), made = 0;
	struct gathering g = {0};

	made += cut(w, &pieces[0], SLUICE_VERDICT_TRANSMIT, &g);
	for (unsigned i = 1; i < n; i++)
		made += cut(w, &pieces[backward ? n - i : i], SLUICE_VERDICT_TRANSMIT, &g);
	frame_build(&expected, out);
	memcpy(expected.bytes + 18, g.id, 2); // which all have, and fullnat chose
	set16(expected.bytes + 24, 0);
	set16(expected.bytes + 24, 65535U - frame_sum(expected.bytes + 14, 20, 0));
	assert_true(made > 2 * n);
	expect_frame(backward ? "backward" : "in order", &expected, NARROW_MTU, &g);
}

static void test_fragments_are_cut_again(void **state)
{
	struct frame_fields in = {FROM_CLIENT, VIP(10, 53), .protocol = UDP, .payload = 2000};
	struct frame_fields to = {TO_BACKEND, REAL(10, 5353), .protocol = UDP, .payload = 2000};
	struct frame_fields back = {FROM_BACKEND, .source_port = 8080, .protocol = TCP,
	                            .flags = ACK, .payload = 2000};
	struct frame_fields out = {TO_CLIENT,       .source = "10.96.0.1", .source_port = 80,
	                           .protocol = TCP, .flags = ACK,          .payload = 2000};

	(void)state;
	for (unsigned backward = 0; backward < 2; backward++) {
		struct world *w = world_new();

		expect_cut_again(w, &in, &to, backward);
		expect_cut_again(w, &back, &out, backward);
		world_free(w);
	}
}

// ---- the other modes

static void narrow(struct world *w, uint16_t mtu)
{
	for (uint32_t slot = 1; slot < w->snapshot.endpoint_count; slot++)
		w->endpoints[slot].adjacency.mtu = mtu;
}

static void expect_in_tunnel(struct world *w, enum sluice_forwarding mode, bool outer_6,
                             uint8_t protocol, unsigned mtu)
{
	struct frame_fields in = {FROM_CLIENT,
	                          .protocol = protocol,
	                          .flags = ACK,
	                          .payload = 400,
	                          .destination_port = protocol == TCP ? 80 : 53,
	                          .id = 99};
	struct gathering g = {.outer_6 = outer_6};
	char address[32], what[32];
	struct frame f, expected;

	if (mode != SLUICE_FORWARD_L2DSR)
		g.tunnel = (outer_6 ? 40 : 20) + (mode == SLUICE_FORWARD_GUE ? 8 : 0);
	snprintf(address, sizeof(address), "10.96.1.%u", mode * 10U + (outer_6 ? 6 : 4));
	snprintf(what, sizeof(what), "mode %u in IPv%u", mode, outer_6 ? 6U : 4U);
	in.destination = address;
	frame_build(&f, &in);
	in.mac_to = BACKEND;
	in.mac_from = HOST_1;
	frame_build(&expected, &in);
	cut(w, &f, SLUICE_VERDICT_TRANSMIT, &g);
	expect_frame(what, &expected, mtu, &g);
}

static void test_other_modes_cut_what_the_client_sent(void **state)
{
	struct world *w = tunnel_world_new();

	(void)state;
	for (unsigned mode = SLUICE_FORWARD_L2DSR; mode <= SLUICE_FORWARD_GUE; mode++) {
		for (unsigned six = 0; six < (mode == SLUICE_FORWARD_L2DSR ? 1U : 2U); six++) {
			for (uint16_t mtu = 116; mtu < 124; mtu++) { // 68 inside, at least
				narrow(w, mtu);
				expect_in_tunnel(w, mode, six, UDP, mtu);
				expect_in_tunnel(w, mode, six, TCP, mtu);
			}
		}
	}
	world_free(w);
}

// All pieces of a packet take the path of its flow: a tunnel's ports and labels are as for others.
static void test_pieces_keep_to_their_flow(void **state)
{
	struct frame_fields in = {FROM_CLIENT, .destination = "10.96.1.44", .destination_port = 53,
	                          .protocol = UDP, .payload = 20};
	struct world *w = tunnel_world_new();
	struct sluice_packet p, pieces[SLUICE_BURST];
	struct outcome small;
	struct frame f;
	unsigned n;

	(void)state;
	frame_build(&f, &in);
	world_run_one(w, &f, &small);
	narrow(w, 150);
	in.payload = 400;
	frame_build(&f, &in);
	to_be_cut(w, &f, &p);
	n = sluice_split(&w->pipeline, &p, pieces);
	assert_true(n > 2);
	for (unsigned i = 0; i < n; i++) {
		assert_memory_equal(pieces[i].data + 34, small.frame.bytes + 34, 2);
		rte_pktmbuf_free(pieces[i].buffer);
	}
	world_free(w);
}

// ---- counted and dropped

static void test_a_packet_counts_as_one_flow(void **state)
{
	struct frame_fields in = {FROM_CLIENT, VIP(10, 53), .protocol = UDP, .payload = 200};
	struct world *w = world_new();
	struct sluice_endpoint_counters *c;
	struct sluice_flow_ref ref;
	struct sluice_packet p, pieces[SLUICE_BURST];
	struct frame f;

	(void)state;
	frame_build(&f, &in);
	to_be_cut(w, &f, &p);
	c = &w->endpoint_counters[p.slot];
	assert_int_equal(sluice_split(&w->pipeline, &p, pieces), 3);
	for (unsigned i = 0; i < 3; i++)
		rte_pktmbuf_free(pieces[i].buffer);
	assert_int_equal(sluice_counter_read(&c->connections), 1);
	assert_int_equal(sluice_counter_read(&c->in_packets), 3);
	assert_int_equal(sluice_counter_read(&c->in_bytes), 3 * 34 + 208);
	assert_int_equal(sluice_counter_read(&w->counters.flow_inserts), 1);
	// Seen once, whatever it became: a second packet would make it a flow that stays.
	ref = sluice_flow_find(&w->flows, p.key, p.hash);
	assert_non_null(ref.entry);
	assert_int_equal(sluice_flow_unpack(ref.value).state, SLUICE_FLOW_PROBATION);
	world_free(w);
}

static void expect_dropped(struct world *w, const struct frame_fields *in)
{
	struct outcome o;
	struct frame f;

	frame_build(&f, in);
	world_run_one(w, &f, &o);
	assert_int_equal(o.packet.verdict, SLUICE_VERDICT_DROP);
	assert_int_equal(o.packet.reason, SLUICE_DROP_TOO_BIG);
}

static void test_what_cannot_be_cut_is_dropped(void **state)
{
	struct frame_fields in = {FROM_CLIENT, VIP(10, 53), .protocol = UDP, .payload = 200};
	struct world *w = world_new();
	struct outcome o;
	struct frame f;

	(void)state;
	// More pieces than a burst.
	in.payload = 32 * 80 - 7;
	frame_build(&f, &in);
	assert_int_equal(cut(w, &f, SLUICE_VERDICT_DROP, NULL), 0);
	assert_int_equal(sluice_counter_read(&w->counters.drops[SLUICE_DROP_TOO_BIG]), 1);
	// The first piece would not have the ports' header whole; narrower than any link.
	in.payload = 200;
	in.ip_options = 40;
	narrow(w, 60 + 23);
	expect_dropped(w, &in);
	narrow(w, 60 + 24);
	frame_build(&f, &in);
	assert_int_equal(cut(w, &f, SLUICE_VERDICT_TRANSMIT, NULL), 9);
	in.ip_options = 0;
	narrow(w, 67);
	expect_dropped(w, &in);
	narrow(w, 68);
	frame_build(&f, &in);
	assert_int_equal(cut(w, &f, SLUICE_VERDICT_TRANSMIT, NULL), 5);
	// Ends behind what an offset can say: its last pieces would begin at 0 again.
	frame_build(&f, &in);
	pieces_finish(&f, 7, 0x2000);
	assert_int_equal(cut(w, &f, SLUICE_VERDICT_TRANSMIT, NULL), 5);
	pieces_finish(&f, 7, (65535 - 208) / 8);
	assert_int_equal(cut(w, &f, SLUICE_VERDICT_TRANSMIT, NULL), 5);
	pieces_finish(&f, 7, (65535 - 208) / 8 + 1);
	world_run_one(w, &f, &o);
	assert_int_equal(o.packet.verdict, SLUICE_VERDICT_DROP);
	assert_int_equal(o.packet.reason, SLUICE_DROP_TOO_BIG);
	world_free(w);
}

// ---- fullnat

#define NARROW_CLIENT .source = "198.51.102.9", .source_port = 40000
#define NARROW_ASKS(n)                                                                             \
	.mac_to = HOST_0, .mac_from = GATEWAY, NARROW_CLIENT, VIP(n, 53), .protocol = UDP
#define ANSWER_TO(port)                                                                            \
	.mac_to = HOST_1, .mac_from = BACKEND, .source = "172.17.0.5", .source_port = 5353,        \
	.destination = "172.17.0.1", .destination_port = (port), .protocol = UDP

// How many pieces an answer becomes that all go to the client, as from the address that it asked.
static unsigned pieces_to_client(struct snat_world *s, const struct frame_fields *answer,
                                 const char *asked, uint16_t port)
{
	struct frame_fields back = {TO_CLIENT, .source = asked, .source_port = port};
	struct gathering g = {0};
	struct frame f, expected;
	unsigned n;

	frame_build(&f, answer);
	n = cut(s->w, &f, SLUICE_VERDICT_TRANSMIT, &g);
	back.protocol = answer->protocol;
	back.flags = answer->flags;
	back.payload = answer->payload;
	back.id = (uint16_t)get16(g.id);
	frame_build(&expected, &back);
	expect_frame(asked, &expected, NARROW_MTU, &g);
	return n;
}

static void test_fullnat_both_ways(void **state)
{
	struct frame_fields in = {NARROW_ASKS(10), .payload = 500, .id = 7};
	struct frame_fields ask = {NARROW_ASKS(1), .payload = 20};
	struct snat_world *s = snat_world_of(world_new(), 20000, 20255);
	struct gathering g = {0};
	struct frame f, expected;
	struct outcome o;

	(void)state;
	frame_build(&f, &in);
	assert_int_equal(cut(s->w, &f, SLUICE_VERDICT_TRANSMIT, &g), 7);
	struct frame_fields to = {.mac_to = BACKEND,
	                          .mac_from = HOST_1,
	                          .ttl = 63,
	                          .source = "172.17.0.1",
	                          .source_port = (uint16_t)get16(g.data),
	                          REAL(10, 5353),
	                          .protocol = UDP,
	                          .payload = 500,
	                          .id = (uint16_t)get16(g.id)};

	assert_in_range(to.source_port, 20000, 20255);
	frame_build(&expected, &to);
	expect_frame("to an endpoint", &expected, NARROW_MTU, &g);

	frame_build(&f, &ask);
	world_run_one(s->w, &f, &o);
	assert_int_equal(o.packet.verdict, SLUICE_VERDICT_TRANSMIT);
	struct frame_fields answer = {ANSWER_TO((uint16_t)get16(o.packet.data + 34)),
	                              .payload = 1001};

	assert_int_equal(pieces_to_client(s, &answer, "10.96.0.1", 53), 13);

	struct frame_fields back = {TO_CLIENT, .source = "10.96.0.1", .source_port = 53,
	                            .protocol = UDP};

	in.payload = to.payload = answer.payload = back.payload = 2000;
	for (unsigned backward = 0; backward < 2; backward++) {
		expect_cut_again(s->w, &in, &to, backward);
		expect_cut_again(s->w, &answer, &back, backward);
	}
	snat_world_free(s);
}

// A host with one address has its node ports on the one that fullnat sends from.
static void test_fullnat_by_a_node_port(void **state)
{
	struct frame_fields ask = {.mac_to = HOST_0,
	                           .mac_from = GATEWAY,
	                           NARROW_CLIENT,
	                           .destination = "192.0.2.10",
	                           .destination_port = 30080,
	                           .protocol = TCP,
	                           .flags = ACK,
	                           .payload = 20};
	struct snat_world *s = snat_world_from(world_new(), "192.0.2.10", 20000, 20255);
	struct outcome o;
	struct frame f;

	(void)state;
	frame_build(&f, &ask);
	world_run_one(s->w, &f, &o);
	assert_int_equal(o.packet.verdict, SLUICE_VERDICT_TRANSMIT);
	struct frame_fields answer = {.mac_to = HOST_1,
	                              .mac_from = BACKEND,
	                              .source = "172.17.0.6",
	                              .source_port = 8080,
	                              .destination = "192.0.2.10",
	                              .destination_port = (uint16_t)get16(o.packet.data + 34),
	                              .protocol = TCP,
	                              .flags = ACK,
	                              .payload = 1000};

	assert_int_equal(pieces_to_client(s, &answer, "192.0.2.10", 30080), 13);
	snat_world_free(s);
}

// What endpoints still send to where fullnat sent from goes on, whatever the mode is by then.
static void test_fullnat_that_was(void **state)
{
	(void)state;
	for (unsigned mode = 0; mode < SLUICE_FORWARD_COUNT; mode++) {
		struct frame_fields ask = {NARROW_ASKS(1), .payload = 20};
		struct snat_world *s = snat_world_of(world_new(), 20000, 20255);
		struct outcome o;
		struct frame f;

		frame_build(&f, &ask);
		world_run_one(s->w, &f, &o);
		struct frame_fields answer = {ANSWER_TO((uint16_t)get16(o.packet.data + 34)),
		                              .payload = 1001};

		s->w->frontends[o.packet.frontend].forwarding = (uint8_t)mode;
		world_commit(s->w);
		assert_int_equal(pieces_to_client(s, &answer, "10.96.0.1", 53), 13);
		snat_world_free(s);
	}
}

// Its flow is looked up once more for the pieces: it may be gone then.
static void test_fullnat_without_its_flow(void **state)
{
	struct frame_fields ask = {NARROW_ASKS(1), .payload = 20};
	struct snat_world *s = snat_world_of(world_new(), 20000, 20255);
	struct sluice_packet p, pieces[SLUICE_BURST];
	struct outcome o;
	struct frame f;
	unsigned n;

	(void)state;
	frame_build(&f, &ask);
	world_run_one(s->w, &f, &o);
	struct frame_fields answer = {ANSWER_TO((uint16_t)get16(o.packet.data + 34)),
	                              .payload = 1001};

	frame_build(&f, &answer);
	to_be_cut(s->w, &f, &p);
	s->w->endpoints[p.slot].generation = 0;
	n = sluice_split(&s->w->pipeline, &p, pieces);
	assert_int_equal(n, 13);
	for (unsigned i = 0; i < n; i++) {
		assert_int_equal(pieces[i].verdict, SLUICE_VERDICT_DROP);
		rte_pktmbuf_free(pieces[i].buffer);
	}
	assert_int_equal(sluice_counter_read(&s->w->counters.drops[SLUICE_DROP_NO_RETURN_FLOW]), n);
	snat_world_free(s);
}

// All pieces or none, and nothing is left over.
static void test_without_buffers_it_is_one_drop(void **state)
{
	struct frame_fields in = {FROM_CLIENT, VIP(10, 53), .protocol = UDP, .payload = 400};
	struct world *w = world_new();
	struct rte_mbuf *taken[BUFFERS];
	struct gathering g = {0};
	struct frame f;
	unsigned n = 0;

	(void)state;
	frame_build(&f, &in);
	while (rte_mempool_avail_count(pool) > 6)
		taken[n++] = rte_pktmbuf_alloc(pool);
	assert_int_equal(cut(w, &f, SLUICE_VERDICT_DROP, NULL), 0); // 6 pieces, and itself
	assert_int_equal(sluice_counter_read(&w->counters.drops[SLUICE_DROP_NO_BUFFER]), 1);
	rte_pktmbuf_free(taken[--n]);
	assert_int_equal(cut(w, &f, SLUICE_VERDICT_TRANSMIT, &g), 6);
	rte_pktmbuf_free_bulk(taken, n);
	world_free(w);
}

// Pieces meet what packets meet on their way out.
static void test_pieces_leave_as_packets_do(void **state)
{
	struct frame_fields in = {FROM_CLIENT, VIP(10, 53), .protocol = UDP, .payload = 200};
	struct world *w = world_new();
	struct frame f;

	(void)state;
	frame_build(&f, &in);
	for (uint32_t slot = 1; slot < w->snapshot.endpoint_count; slot++)
		w->endpoints[slot].adjacency.state = SLUICE_ADJACENCY_UNRESOLVED;
	assert_int_equal(cut(w, &f, SLUICE_VERDICT_RESOLVE, NULL), 3);
	in.ttl = 1;
	frame_build(&f, &in);
	assert_int_equal(cut(w, &f, SLUICE_VERDICT_DROP, NULL), 3);
	assert_int_equal(sluice_counter_read(&w->counters.drops[SLUICE_DROP_TTL_EXPIRED]), 3);
	world_free(w);
}

static int setup(void **state)
{
	(void)state;
	pool = rte_pktmbuf_pool_create("split", BUFFERS, 0, 0, RTE_PKTMBUF_HEADROOM + FRAME_MAX,
	                               SOCKET_ID_ANY);
	return pool ? 0 : -1;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_pieces_become_the_packet),
	        cmocka_unit_test(test_tags_are_no_part_of_the_packet),
	        cmocka_unit_test(test_options_are_copied_as_they_say),
	        cmocka_unit_test(test_wrong_checksums_stay_wrong),
	        cmocka_unit_test(test_fragments_are_cut_again),
	        cmocka_unit_test(test_other_modes_cut_what_the_client_sent),
	        cmocka_unit_test(test_pieces_keep_to_their_flow),
	        cmocka_unit_test(test_a_packet_counts_as_one_flow),
	        cmocka_unit_test(test_what_cannot_be_cut_is_dropped),
	        cmocka_unit_test(test_fullnat_both_ways),
	        cmocka_unit_test(test_fullnat_by_a_node_port),
	        cmocka_unit_test(test_fullnat_that_was),
	        cmocka_unit_test(test_fullnat_without_its_flow),
	        cmocka_unit_test(test_without_buffers_it_is_one_drop),
	        cmocka_unit_test(test_pieces_leave_as_packets_do),
	};

	world_eal();
	return cmocka_run_group_tests(tests, setup, NULL);
}
