// SPDX-License-Identifier: BSD-3-Clause

// The modes that leave the client's packet as it is: l2dsr, ipip and gue. Frames as scapy makes
// them, then what holds for any packet, with the outer headers read by rules of their own.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "../unit/random.h"
#include "dataplane/forward.h"
#include "golden_tunnels.h"
#include "tunnel_world.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

enum {
	ETHERNET = 14,
	TUNNEL_TTL = 64,
	GUE_PORT = 6080,
	GUE_SOURCES = 49152,
	TAG = 0x8100,
	VLAN = 30,
	RANDOM_PACKETS = 50000,
};

static void each_endpoint(struct world *w, void (*change)(struct sluice_endpoint *))
{
	for (uint32_t slot = 1; slot < w->snapshot.endpoint_count; slot++)
		change(&w->endpoints[slot]);
}

// ---- reading what came out

static uint16_t get16(const uint8_t *at)
{
	return (uint16_t)(at[0] << 8 | at[1]);
}

// A packet in a tunnel, as read from the frame.
struct outer {
	unsigned family;
	uint32_t l3, inner; // offsets
	bool udp;
	uint16_t source_port;
	uint32_t flow_label;
	uint8_t traffic_class, protocol, ttl;
	bool dont_fragment;
	uint16_t id;
};

static void read_outer(const struct frame *f, struct outer *o)
{
	const uint8_t *ip;
	uint32_t length;

	memset(o, 0, sizeof(*o));
	o->l3 = get16(f->bytes + 12) == TAG ? ETHERNET + 4 : ETHERNET;
	ip = f->bytes + o->l3;
	o->family = ip[0] >> 4;
	assert_int_equal(get16(ip - 2), o->family == 4 ? 0x0800 : 0x86dd);
	if (o->family == 4) {
		assert_int_equal(ip[0], 0x45);
		assert_int_equal(frame_sum(ip, 20, 0), 0);
		assert_int_equal(get16(ip + 6) & ~0x4000, 0);
		assert_memory_equal(ip + 12, tunnel_source_4 + 12, 4);
		o->traffic_class = ip[1];
		o->id = get16(ip + 4);
		o->dont_fragment = ip[6] & 0x40;
		o->ttl = ip[8];
		o->protocol = ip[9];
		length = get16(ip + 2);
		o->inner = o->l3 + 20;
	} else {
		assert_int_equal(o->family, 6);
		assert_memory_equal(ip + 8, tunnel_source_6, 16);
		o->traffic_class = (uint8_t)(get16(ip) >> 4);
		o->flow_label = (ip[1] & 15U) << 16 | get16(ip + 2);
		o->protocol = ip[6];
		o->ttl = ip[7];
		length = 40U + get16(ip + 4);
		o->inner = o->l3 + 40;
	}
	if (o->protocol == UDP) {
		const uint8_t *udp = f->bytes + o->inner;

		assert_int_equal(get16(udp + 2), GUE_PORT);
		assert_int_equal(get16(udp + 4), o->l3 + length - o->inner);
		assert_int_equal(get16(udp + 6), 0);
		o->udp = true;
		o->source_port = get16(udp);
		assert_true(o->source_port >= GUE_SOURCES);
		o->inner += 8;
	}
	// What is inside says how long it is, and so does the outer header.
	ip = f->bytes + o->inner;
	assert_int_equal(o->l3 + length - o->inner,
	                 ip[0] >> 4 == 4 ? get16(ip + 2) : 40U + get16(ip + 4));
}

// Sets the flow's own bits to what scapy was told.
static void flatten(struct frame *f, const struct outer *o)
{
	uint8_t *ip = f->bytes + o->l3;

	if (o->family == 6) {
		ip[1] &= 0xf0;
		ip[2] = ip[3] = 0;
	}
	if (o->udp) {
		f->bytes[o->inner - 8] = GUE_SOURCES >> 8;
		f->bytes[o->inner - 7] = GUE_SOURCES & 0xff;
	}
}

static bool is_tunnelled(const struct golden_tunnel *g)
{
	return g->out_length != g->in_length;
}

static void expect_golden(const struct golden_tunnel *g, struct outcome *o)
{
	struct outer outer;

	if (o->packet.verdict != SLUICE_VERDICT_TRANSMIT || o->packet.port_out != 1)
		fail_msg("%s: verdict %u, reason %u", g->name, o->packet.verdict, o->packet.reason);
	if (is_tunnelled(g)) {
		read_outer(&o->frame, &outer);
		flatten(&o->frame, &outer);
	}
	if (o->frame.length != g->out_length ||
	    memcmp(o->frame.bytes, g->out, g->out_length) != 0) {
		for (size_t i = 0; i < g->out_length; i++)
			if (o->frame.bytes[i] != g->out[i])
				fprintf(stderr, "byte %zu is %02x, scapy's %02x\n", i,
				        o->frame.bytes[i], g->out[i]);
		fail_msg("%s: %u bytes, not as scapy's %zu", g->name, o->frame.length,
		         g->out_length);
	}
}

static void golden_frame(const struct golden_tunnel *g, struct frame *f)
{
	memset(f, 0, sizeof(*f));
	f->length = (uint32_t)g->in_length;
	memcpy(f->bytes, g->in, g->in_length);
}

// ---- against scapy

static void test_frames_are_as_scapy_makes_them(void **state)
{
	struct world *w = tunnel_world_new();
	struct outcome o;
	struct frame f;

	(void)state;
	for (size_t i = 0; i < COUNT(golden_tunnels); i++) {
		golden_frame(&golden_tunnels[i], &f);
		w->pipeline.tunnel_id = TUNNEL_ID;
		world_run_one(w, &f, &o);
		expect_golden(&golden_tunnels[i], &o);
	}
	world_free(w);
}

static void test_frames_in_segments_become_the_same(void **state)
{
	struct world *w = tunnel_world_new();
	struct outcome o;
	struct frame f;

	(void)state;
	for (size_t i = 0; i < COUNT(golden_tunnels); i++) {
		const struct frame *one = &f;
		unsigned whole = 0;

		golden_frame(&golden_tunnels[i], &f);
		for (uint32_t head = ETHERNET; head < f.length; head++) {
			w->pipeline.tunnel_id = TUNNEL_ID;
			world_run(w, &one, &head, &o, 1);
			if (o.packet.verdict == SLUICE_VERDICT_DROP) {
				assert_int_equal(o.packet.reason, SLUICE_DROP_TRUNCATED);
				continue; // the headers are not in the first one
			}
			expect_golden(&golden_tunnels[i], &o);
			whole++;
		}
		assert_true(whole > 0);
	}
	world_free(w);
}

// All modes in one burst: each packet its own.
static void test_modes_mix_in_a_burst(void **state)
{
	static struct frame frames[SLUICE_BURST];
	static struct outcome outcomes[SLUICE_BURST];
	const struct frame *list[SLUICE_BURST];
	struct world *w = tunnel_world_new();
	unsigned n = 0;

	(void)state;
	for (size_t i = 0; i < COUNT(golden_tunnels) && n < SLUICE_BURST; i++) {
		// 37 is prime to their number: neighbours are of different modes.
		const struct golden_tunnel *g = &golden_tunnels[i * 37 % COUNT(golden_tunnels)];

		golden_frame(g, &frames[n]);
		list[n] = &frames[n];
		n++;
	}
	world_run(w, list, NULL, outcomes, n);
	for (unsigned i = 0; i < n; i++) {
		const struct golden_tunnel *g = &golden_tunnels[i * 37 % COUNT(golden_tunnels)];

		if (strstr(g->name, "plain") == NULL) // those have ids that count up
			expect_golden(g, &outcomes[i]);
	}
	world_free(w);
}

// ---- what holds for any packet

struct drawn {
	enum sluice_forwarding mode;
	unsigned inner, outer;
	struct frame_fields fields;
	char source[40], destination[40];
};

static void draw(uint64_t *random, struct drawn *d)
{
	bool tcp = random_below(random, 2);
	unsigned client = random_below(random, 200);

	memset(d, 0, sizeof(*d));
	d->mode = SLUICE_FORWARD_L2DSR + random_below(random, 3);
	d->inner = random_below(random, 2) ? 4 : 6;
	d->outer = d->mode == SLUICE_FORWARD_L2DSR || random_below(random, 2) ? d->inner
	                                                                      : 10 - d->inner;
	snprintf(d->source, sizeof(d->source), d->inner == 4 ? "198.51.100.%u" : "2001:db8:100::%u",
	         client + 1);
	snprintf(d->destination, sizeof(d->destination),
	         d->inner == 4 ? "10.96.1.%u" : "2001:db8:96:1::%u", d->mode * 10 + d->outer);
	d->fields = (struct frame_fields){
	        .mac_to = HOST_0,
	        .mac_from = GATEWAY,
	        .source = d->source,
	        .destination = d->destination,
	        .ttl = (uint8_t)(1 + random_below(random, 255)),
	        .tos = (uint8_t)random_below(random, 256),
	        .id = (uint16_t)random_below(random, 65536),
	        .fragment = d->inner == 4 && random_below(random, 2) ? 0x4000 : 0,
	        .ip_options = d->inner == 4 ? 4 * random_below(random, 4) : 0,
	        .extensions = {d->inner == 6 && random_below(random, 4) == 0 ? HOP_BY_HOP : 0},
	        .protocol = tcp ? TCP : UDP,
	        .source_port = (uint16_t)(1024 + random_below(random, 100)),
	        .destination_port = tcp ? 80 : 53,
	        .flags = ACK,
	        .payload = random_below(random, 1300),
	        .no_checksum = d->inner == 4 && !tcp && random_below(random, 4) == 0,
	        .padding = random_below(random, 8) == 0 ? 6 : 0,
	};
	if (random_below(random, 4) == 0) {
		d->fields.tags[0] = TAG;
		d->fields.tci = (uint16_t)(random_below(random, 8) << 13 | VLAN);
	}
}

static void check_drawn(const struct drawn *d, const struct frame *f, const struct frame *out,
                        bool tagged)
{
	uint32_t from = d->fields.tags[0] ? ETHERNET + 4 : ETHERNET, at = ETHERNET;
	uint32_t length = f->length - from;
	const uint8_t *in = f->bytes + from;
	uint8_t number = d->inner == 4 ? 4 : 41;
	struct outer o;

	if (tagged)
		at += 4;
	if (d->mode != SLUICE_FORWARD_L2DSR) {
		read_outer(out, &o);
		assert_int_equal(o.l3, at);
		assert_int_equal(o.family, d->outer);
		assert_int_equal(o.udp, d->mode == SLUICE_FORWARD_GUE);
		assert_int_equal(o.protocol, o.udp ? UDP : number);
		assert_int_equal(o.ttl, TUNNEL_TTL);
		assert_int_equal(o.traffic_class, d->fields.tos);
		assert_true(o.family == 6 ||
		            o.dont_fragment == (d->inner == 6 || d->fields.fragment != 0));
		assert_true(!o.dont_fragment || o.id == 0);
		at = o.inner;
	}
	assert_int_equal(out->length, at + length);
	assert_memory_equal(out->bytes + at, in, length);
}

static void put_tag(struct sluice_endpoint *e)
{
	e->adjacency.vlan = VLAN;
}

static void test_packets_inside_stay_as_they_are(void **state)
{
	static struct sluice_vlans vlans[2] = {{{1U << VLAN}}, {{1U << VLAN}}};
	uint64_t random = 1;
	struct frame f;
	struct outcome o;
	struct drawn d;

	(void)state;
	for (unsigned tagged = 0; tagged < 2; tagged++) {
		struct world *w = tunnel_world_new();

		w->snapshot.vlans = vlans;
		if (tagged)
			each_endpoint(w, put_tag);
		for (unsigned i = 0; i < RANDOM_PACKETS; i++) {
			draw(&random, &d);
			frame_build(&f, &d.fields);
			world_run_one(w, &f, &o);
			assert_int_equal(o.packet.verdict, SLUICE_VERDICT_TRANSMIT);
			check_drawn(&d, &f, &o.frame, tagged);
		}
		world_free(w);
	}
}

// A flow's packets look alike to whoever spreads by outer header; flows differ.
static void test_a_flow_keeps_its_source_port_and_label(void **state)
{
	struct world *w = tunnel_world_new();
	bool seen[65536 - GUE_SOURCES] = {false};
	unsigned ports = 0;
	struct frame f;
	struct outcome o;
	struct outer first, again;

	(void)state;
	for (unsigned i = 0; i < 1000; i++) {
		struct frame_fields fields = {
		        .mac_to = HOST_0,
		        .mac_from = GATEWAY,
		        .source = "198.51.100.9",
		        .destination = "10.96.1.46", // gue, IPv6
		        .protocol = TCP,
		        .source_port = (uint16_t)(1024 + i),
		        .destination_port = 80,
		        .flags = SYN,
		};

		frame_build(&f, &fields);
		world_run_one(w, &f, &o);
		read_outer(&o.frame, &first);
		fields.flags = ACK;
		fields.payload = i;
		frame_build(&f, &fields);
		world_run_one(w, &f, &o);
		read_outer(&o.frame, &again);
		assert_int_equal(first.source_port, again.source_port);
		assert_int_equal(first.flow_label, again.flow_label);
		ports += !seen[first.source_port - GUE_SOURCES];
		seen[first.source_port - GUE_SOURCES] = true;
	}
	assert_true(ports > 940); // 970 where ports are drawn at random
	world_free(w);
}

static void test_ids_differ_where_routers_may_fragment(void **state)
{
	struct world *w = tunnel_world_new();
	struct frame_fields fields = {
	        .mac_to = HOST_0,
	        .mac_from = GATEWAY,
	        .source = "198.51.100.9",
	        .destination = "10.96.1.34", // ipip, IPv4
	        .protocol = UDP,
	        .source_port = 4000,
	        .destination_port = 53,
	};
	struct frame f;
	struct outcome o;
	struct outer outer;

	(void)state;
	w->pipeline.tunnel_id = 0xfffe;
	frame_build(&f, &fields);
	for (unsigned i = 0; i < 4; i++) {
		world_run_one(w, &f, &o);
		read_outer(&o.frame, &outer);
		assert_int_equal(outer.id, (0xfffe + i) & 0xffff);
	}
	world_free(w);
}

// ---- what does not fit, and where there is no way

static const struct {
	unsigned mode, inner, outer;
	uint32_t most; // bytes of the client's IP packet through an MTU of 1500
} fits[] = {
        {SLUICE_FORWARD_L2DSR, 4, 4, 1500}, {SLUICE_FORWARD_L2DSR, 6, 6, 1500},
        {SLUICE_FORWARD_IPIP, 4, 4, 1480},  {SLUICE_FORWARD_IPIP, 6, 4, 1480},
        {SLUICE_FORWARD_IPIP, 4, 6, 1460},  {SLUICE_FORWARD_IPIP, 6, 6, 1460},
        {SLUICE_FORWARD_GUE, 4, 4, 1472},   {SLUICE_FORWARD_GUE, 6, 4, 1472},
        {SLUICE_FORWARD_GUE, 4, 6, 1452},   {SLUICE_FORWARD_GUE, 6, 6, 1452},
};

static void build_sized(struct frame *f, size_t row, uint32_t size)
{
	char destination[40];
	bool v4 = fits[row].inner == 4;
	struct frame_fields fields = {
	        .mac_to = HOST_0,
	        .mac_from = GATEWAY,
	        .source = v4 ? "198.51.100.9" : "2001:db8:100::9",
	        .destination = destination,
	        .ttl = 1,
	        .fragment = v4 ? 0x4000 : 0,
	        .protocol = UDP,
	        .source_port = 4000,
	        .destination_port = 53,
	        .payload = size - (v4 ? 28 : 48),
	};

	snprintf(destination, sizeof(destination), v4 ? "10.96.1.%u" : "2001:db8:96:1::%u",
	         fits[row].mode * 10 + fits[row].outer);
	frame_build(f, &fields);
	assert_int_equal(f->length, size + ETHERNET);
}

// The client is told what fits.
static void expect_answer(const struct outcome *o, uint32_t mtu)
{
	const uint8_t *ip = o->frame.bytes + ETHERNET;
	bool v4 = ip[0] >> 4 == 4;
	const uint8_t *icmp = ip + (v4 ? 20 : 40);

	assert_int_equal(o->packet.verdict, SLUICE_VERDICT_TRANSMIT);
	assert_int_equal(o->packet.port_out, o->packet.port_in);
	assert_int_equal(get16(icmp), v4 ? 0x0304 : 0x0200);
	assert_int_equal(get16(icmp + 4), 0);
	assert_int_equal(get16(icmp + 6), mtu);
}

static void test_largest_packet_fits_and_no_larger(void **state)
{
	struct world *w = tunnel_world_new();
	struct frame f;
	struct outcome o;

	(void)state;
	for (size_t i = 0; i < COUNT(fits); i++) {
		build_sized(&f, i, fits[i].most);
		world_run_one(w, &f, &o);
		assert_int_equal(o.packet.verdict, SLUICE_VERDICT_TRANSMIT);
		assert_int_equal(o.frame.length, ETHERNET + WORLD_MTU);
		assert_int_equal(sluice_forward_mtu(&w->endpoints[o.packet.slot], fits[i].mode),
		                 fits[i].most);
		build_sized(&f, i, fits[i].most + 1);
		world_run_one(w, &f, &o);
		expect_answer(&o, fits[i].most);
	}
	world_free(w);
}

static void unresolve(struct sluice_endpoint *e)
{
	e->adjacency.state = SLUICE_ADJACENCY_UNRESOLVED;
}

static void unroute(struct sluice_endpoint *e)
{
	e->adjacency.state = SLUICE_ADJACENCY_NONE;
}

// What went no further is not counted as an endpoint's.
static uint64_t endpoint_packets(const struct world *w, const struct outcome *o)
{
	return sluice_counter_read(&w->pipeline.endpoint_counters[o->packet.slot].in_packets);
}

// The kernel resolves for tunnels, as it can send to the endpoint. A packet for the virtual
// address it would take for its own.
static void test_kernel_resolves_for_tunnels_only(void **state)
{
	struct world *w = tunnel_world_new();
	struct frame f;
	struct outcome o;
	struct outer outer;

	(void)state;
	each_endpoint(w, unresolve);
	for (size_t i = 0; i < COUNT(fits); i++) {
		build_sized(&f, i, 200);
		world_run_one(w, &f, &o);
		if (fits[i].mode == SLUICE_FORWARD_L2DSR) {
			assert_int_equal(o.packet.verdict, SLUICE_VERDICT_DROP);
			assert_int_equal(o.packet.reason, SLUICE_DROP_NO_NEIGHBOUR);
			assert_int_equal(endpoint_packets(w, &o), 0);
			continue;
		}
		assert_int_equal(o.packet.verdict, SLUICE_VERDICT_RESOLVE);
		assert_int_equal(endpoint_packets(w, &o), 1);
		read_outer(&o.frame, &outer);
		assert_int_equal(outer.family, fits[i].outer);
		assert_int_equal(o.packet.family, fits[i].outer);
		assert_memory_equal(o.frame.bytes + outer.inner, f.bytes + ETHERNET, 200);
	}
	world_free(w);
}

static void test_no_way_is_a_drop(void **state)
{
	struct world *w = tunnel_world_new();
	struct frame f;
	struct outcome o;

	(void)state;
	each_endpoint(w, unroute);
	for (size_t i = 0; i < COUNT(fits); i++) {
		build_sized(&f, i, 200);
		world_run_one(w, &f, &o);
		assert_int_equal(o.packet.verdict, SLUICE_VERDICT_DROP);
		assert_int_equal(o.packet.reason, SLUICE_DROP_NO_ROUTE);
		assert_int_equal(endpoint_packets(w, &o), 0);
		assert_false(o.changed);
	}
	world_free(w);
}

// ---- flows

// A service's mode changes under its flows: they stay where they are, although the rows moved.
static void test_flows_stay_when_the_mode_changes(void **state)
{
	static const enum sluice_forwarding modes[] = {SLUICE_FORWARD_GUE, SLUICE_FORWARD_L2DSR,
	                                               SLUICE_FORWARD_IPIP, SLUICE_FORWARD_NAT};
	struct world *w = world_new_empty();
	unsigned service = world_service(w, SLUICE_ON_EMPTY_REFUSE);
	uint16_t frontend = world_frontend(w, service, "10.96.1.1", 80, TCP);
	uint32_t slots[2], before[100];
	struct frame f;
	struct outcome o;

	(void)state;
	slots[0] = world_endpoint(w, service, "172.17.0.5", 80, TCP);
	slots[1] = world_endpoint(w, service, "172.17.0.6", 80, TCP);
	for (unsigned turn = 0; turn <= COUNT(modes); turn++) {
		if (turn > 0) {
			tunnel_set_mode(w, frontend, slots[0], modes[turn - 1]);
			tunnel_set_mode(w, frontend, slots[1], modes[turn - 1]);
		}
		w->turn = turn;
		world_commit(w);
		for (unsigned i = 0; i < COUNT(before); i++) {
			struct frame_fields fields = {
			        .mac_to = HOST_0,
			        .mac_from = GATEWAY,
			        .source = "198.51.100.9",
			        .destination = "10.96.1.1",
			        .protocol = TCP,
			        .source_port = (uint16_t)(1024 + i),
			        .destination_port = 80,
			        .flags = ACK,
			};

			frame_build(&f, &fields);
			world_run_one(w, &f, &o);
			assert_int_equal(o.packet.verdict, SLUICE_VERDICT_TRANSMIT);
			if (turn > 0)
				assert_int_equal(o.packet.slot, before[i]);
			before[i] = o.packet.slot;
		}
	}
	assert_int_equal(sluice_counter_read(&w->endpoint_counters[slots[0]].in_packets) +
	                         sluice_counter_read(&w->endpoint_counters[slots[1]].in_packets),
	                 (COUNT(modes) + 1) * COUNT(before));
	assert_int_equal(sluice_counter_read(&w->counters.flow_inserts), COUNT(before));
	world_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_frames_are_as_scapy_makes_them),
	        cmocka_unit_test(test_frames_in_segments_become_the_same),
	        cmocka_unit_test(test_modes_mix_in_a_burst),
	        cmocka_unit_test(test_packets_inside_stay_as_they_are),
	        cmocka_unit_test(test_a_flow_keeps_its_source_port_and_label),
	        cmocka_unit_test(test_ids_differ_where_routers_may_fragment),
	        cmocka_unit_test(test_largest_packet_fits_and_no_larger),
	        cmocka_unit_test(test_kernel_resolves_for_tunnels_only),
	        cmocka_unit_test(test_no_way_is_a_drop),
	        cmocka_unit_test(test_flows_stay_when_the_mode_changes),
	};

	world_eal();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
