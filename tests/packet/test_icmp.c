// SPDX-License-Identifier: BSD-3-Clause

// ICMP errors: every one of icmp_rows.c alone, with its quote cut short at every byte, cut short
// itself, and in segments; where errors go when there is a choice; and those that the pipeline
// sends itself, about packets that are too big.

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "icmp_rows.h"

static void dump(const char *title, const struct frame *f)
{
	fprintf(stderr, "%s (%u bytes):", title, f->length);
	for (uint32_t i = 0; i < f->length && i < 160; i++)
		fprintf(stderr, "%s%02x", i % 16 == 0 ? "\n  " : " ", f->bytes[i]);
	fprintf(stderr, "\n");
}

static bool same_frame(const char *what, const struct frame *expected, const struct frame *got)
{
	if (expected->length == got->length &&
	    memcmp(expected->bytes, got->bytes, got->length) == 0)
		return true;
	fprintf(stderr, "%s:\n", what);
	dump("expected", expected);
	dump("got", got);
	return false;
}

static bool has_output(const struct icmp_row *r)
{
	return r->verdict == SLUICE_VERDICT_TRANSMIT || r->verdict == SLUICE_VERDICT_RESOLVE;
}

// Whether the error with so much of its quote became what the row says.
static bool matches(const struct icmp_row *r, const struct outcome *o, uint32_t quoted)
{
	static struct frame expected;

	if (o->packet.verdict != r->verdict ||
	    (r->verdict == SLUICE_VERDICT_DROP && o->packet.reason != r->reason) ||
	    (r->verdict == SLUICE_VERDICT_TRANSMIT && o->packet.port_out != r->port)) {
		fprintf(stderr, "%s: verdict %u, reason %u, port %u\n", r->what, o->packet.verdict,
		        o->packet.reason, o->packet.port_out);
		return false;
	}
	if (!has_output(r))
		return true;
	icmp_row_build_out(r, &expected, quoted);
	return same_frame(r->what, &expected, &o->frame);
}

static struct world *world_for(const struct icmp_row *r)
{
	struct world *w = world_new();
	struct outcome o;
	struct frame f;

	if (!r->first.source)
		return w;
	frame_build(&f, &r->first);
	world_run_one(w, &f, &o);
	assert_int_equal(o.packet.verdict, SLUICE_VERDICT_TRANSMIT);
	return w;
}

static void test_rows(void **state)
{
	unsigned wrong = 0;

	(void)state;
	for (size_t i = 0; i < icmp_row_count; i++) {
		const struct icmp_row *r = &icmp_rows[i];
		struct world *w = world_for(r);
		uint32_t quoted = icmp_row_quoted(r);
		struct outcome o;
		struct frame f;

		icmp_row_build_in(r, &f, quoted);
		world_run_one(w, &f, &o);
		wrong += !matches(r, &o, quoted);
		world_free(w);
	}
	assert_int_equal(wrong, 0);
}

// With its ports, a quote is enough; its transport checksum may be there or not.
static void test_quotes_may_end_anywhere(void **state)
{
	(void)state;
	for (size_t i = 0; i < icmp_row_count; i++) {
		const struct icmp_row *r = &icmp_rows[i];
		struct world *w = world_for(r);
		uint32_t needed = icmp_row_needed(r), whole = icmp_row_quoted(r);
		struct outcome o;
		struct frame f;

		for (uint32_t quoted = 0; has_output(r) && quoted <= whole; quoted++) {
			icmp_row_build_in(r, &f, quoted);
			world_run_one(w, &f, &o);
			if (quoted < needed)
				assert_int_equal(o.packet.verdict, SLUICE_VERDICT_PASS);
			else
				assert_true(matches(r, &o, quoted));
		}
		world_free(w);
	}
}

static void test_truncated_errors_are_dropped(void **state)
{
	struct world *w = world_new();
	struct outcome o;
	struct frame f;

	(void)state;
	for (size_t i = 0; i < icmp_row_count; i++) {
		const struct icmp_row *r = &icmp_rows[i];

		if (r->in.outer.tags[0])
			continue;
		icmp_row_build_in(r, &f, icmp_row_quoted(r));
		for (f.length--; f.length > 0; f.length--) {
			world_run_one(w, &f, &o);
			assert_int_equal(o.packet.verdict, SLUICE_VERDICT_DROP);
			assert_int_equal(o.packet.reason, SLUICE_DROP_TRUNCATED);
		}
	}
	world_free(w);
}

// All that is rewritten must be in the first segment, the rest may be elsewhere.
static void test_first_segment_may_end_anywhere(void **state)
{
	(void)state;
	for (size_t i = 0; i < icmp_row_count; i++) {
		const struct icmp_row *r = &icmp_rows[i];
		struct world *w = world_for(r);
		uint32_t quoted = icmp_row_quoted(r), outer;
		struct frame f;
		const struct frame *frame = &f;
		struct outcome o;

		icmp_row_build_in(r, &f, quoted);
		outer = f.length - quoted - 8;
		for (uint32_t head = 0; has_output(r) && head < f.length; head++) {
			world_run(w, &frame, &head, &o, 1);
			if (head < outer)
				assert_int_equal(o.packet.reason, SLUICE_DROP_TRUNCATED);
			else if (head < outer + 8 + icmp_row_needed(r) + 16)
				assert_int_equal(o.packet.verdict, SLUICE_VERDICT_PASS);
			else
				assert_true(matches(r, &o, quoted));
		}
		world_free(w);
	}
}

// ---- which endpoint

enum { ENDPOINTS = 8, CLIENTS = 200 };

static struct world *world_of_many(const char *vip, const char *endpoint)
{
	struct world *w = world_new_empty();
	unsigned service = world_service(w, SLUICE_ON_EMPTY_DROP);
	char address[32];

	world_frontend(w, service, vip, 80, TCP);
	for (unsigned i = 1; i <= ENDPOINTS; i++) {
		snprintf(address, sizeof(address), "%s%u", endpoint, i);
		world_endpoint(w, service, address, 8080, TCP);
	}
	world_commit(w);
	return w;
}

struct addresses {
	const char *vip, *endpoint, *client, *router;
	uint8_t icmp;
	uint16_t type_code;
};

static const struct addresses families[] = {
        {"10.96.0.1", "172.17.0.", "198.51.100.9", "203.0.113.77", ICMP, 0x0304},
        {"2001:db8:96::1", "fd00::", "2001:db8:100::9", "2001:db8:77::1", ICMP6, 0x0200},
};

// The slot that the client's packet, or an error about one to that client, is sent to.
static uint32_t send_packet(struct world *w, const struct addresses *a, unsigned port)
{
	struct frame_fields fields = {.source = a->client,
	                              .destination = a->vip,
	                              .protocol = TCP,
	                              .source_port = (uint16_t)port,
	                              .destination_port = 80,
	                              .flags = ACK};
	struct outcome o;
	struct frame f;

	frame_build(&f, &fields);
	world_run_one(w, &f, &o);
	assert_int_equal(o.packet.verdict, SLUICE_VERDICT_TRANSMIT);
	return o.packet.slot;
}

static uint32_t send_error(struct world *w, const struct addresses *a, unsigned port)
{
	struct frame_fields outer = {
	        .source = a->router, .destination = a->vip, .protocol = a->icmp};
	struct frame_fields quoted = {.source = a->vip,
	                              .destination = a->client,
	                              .protocol = TCP,
	                              .source_port = 80,
	                              .destination_port = (uint16_t)port,
	                              .flags = ACK};
	struct frame original, f;
	struct outcome o;

	frame_build(&original, &quoted);
	frame_build_error(&f, &outer, a->type_code, 1300, &original, original.length - 14);
	world_run_one(w, &f, &o);
	assert_int_equal(o.packet.verdict, SLUICE_VERDICT_TRANSMIT);
	return o.packet.slot;
}

// A known flow's errors follow it wherever the rows point; an unknown one's go where its next
// packet will, and leave no flow.
static void test_errors_go_where_the_flow_is(void **state)
{
	(void)state;
	for (unsigned family = 0; family < 2; family++) {
		const struct addresses *a = &families[family];
		struct world *w = world_of_many(a->vip, a->endpoint);
		uint32_t slots[CLIENTS];
		unsigned moved = 0;

		for (unsigned i = 0; i < CLIENTS; i++)
			slots[i] = send_packet(w, a, 40000 + i);
		w->turn = 3;
		world_commit(w);
		for (unsigned i = 0; i < CLIENTS; i++) {
			uint64_t inserts = sluice_counter_read(&w->counters.flow_inserts);
			uint32_t slot = send_error(w, a, 50000 + i);

			assert_int_equal(send_error(w, a, 40000 + i), slots[i]);
			assert_int_equal(sluice_counter_read(&w->counters.flow_inserts), inserts);
			assert_int_equal(send_packet(w, a, 50000 + i), slot);
			assert_int_equal(sluice_counter_read(&w->counters.flow_inserts),
			                 inserts + 1);
			moved += slot != slots[i];
		}
		assert_true(moved > CLIENTS / 2);
		world_free(w);
	}
}

// ---- too big

struct too_big {
	const char *what;
	struct frame_fields in;
	enum { ANSWERED, SPLIT, DROPPED } what_becomes;
};

#define UDP_4_IN                                                                                   \
	.mac_to = HOST_0, .mac_from = GATEWAY, .protocol = UDP, .source = "198.51.100.9",          \
	.destination = "10.96.0.10", .source_port = 40000, .destination_port = 53
#define UDP_6_IN                                                                                   \
	.mac_to = HOST_0, .mac_from = GATEWAY, .protocol = UDP, .source = "2001:db8:100::9",       \
	.destination = "2001:db8:96::a", .source_port = 40000, .destination_port = 53
#define UDP_4_OUT                                                                                  \
	.mac_to = HOST_1, .mac_from = BACKEND, .protocol = UDP, .source = "172.17.0.5",            \
	.destination = "198.51.102.9", .source_port = 5353, .destination_port = 40000
#define TCP_6_OUT                                                                                  \
	.mac_to = HOST_1, .mac_from = BACKEND, .protocol = TCP, .source = "fd00::5",               \
	.destination = "2001:db8:102::9", .source_port = 8080, .destination_port = 40000

// A packet says how it differs from the usual.
#pragma GCC diagnostic ignored "-Woverride-init"

static const struct too_big too_bigs[] = {
        {"IPv4", {UDP_4_IN, .payload = 73, .fragment = 0x4000}, ANSWERED},
        {"IPv4, TTL 1", {UDP_4_IN, .payload = 73, .fragment = 0x4000, .ttl = 1}, ANSWERED},
        {"IPv4, that may be cut", {UDP_4_IN, .payload = 73}, SPLIT},
        {"IPv4, from nobody",
         {UDP_4_IN, .payload = 73, .fragment = 0x4000, .source = "0.0.0.0"},
         DROPPED},
        {"IPv4, in a frame for many", {UDP_4_IN, .payload = 73, .fragment = 0x4000}, DROPPED},
        {"IPv4, much", {UDP_4_IN, .payload = 1400, .fragment = 0x4000}, ANSWERED},
        {"IPv6", {UDP_6_IN, .payload = 53}, ANSWERED},
        {"IPv6, much, odd", {UDP_6_IN, .payload = 1401, .extensions = {HOP_BY_HOP}}, ANSWERED},
        {"IPv6, from a group", {UDP_6_IN, .payload = 73, .source = "ff02::1"}, DROPPED},
        {"return, IPv4", {UDP_4_OUT, .payload = 73, .fragment = 0x4000}, ANSWERED},
        {"return, IPv4, that may be cut", {UDP_4_OUT, .payload = 73}, SPLIT},
        {"return, IPv6", {TCP_6_OUT, .payload = 90, .flags = ACK}, ANSWERED},
};

// As a router would say it, but for the source: the address that the packet was for.
static void expect_too_big(struct frame *f, const struct frame_fields *in,
                           const struct frame *frame)
{
	bool v6 = strchr(in->source, ':') != NULL;
	uint32_t quoted = frame->length - 14, most = v6 ? 1232 : 548;
	struct frame_fields outer = {.mac_to = in->mac_from,
	                             .mac_from = in->mac_to,
	                             .source = in->destination,
	                             .destination = in->source,
	                             .protocol = v6 ? ICMP6 : ICMP,
	                             .fragment = v6 ? 0 : 0x4000};

	frame_build_error(f, &outer, v6 ? 0x0200 : 0x0304, 100, frame,
	                  quoted < most ? quoted : most);
}

static void test_senders_learn_the_mtu(void **state)
{
	struct world *w = world_new();

	(void)state;
	for (size_t i = 0; i < sizeof(too_bigs) / sizeof(too_bigs[0]); i++) {
		const struct too_big *t = &too_bigs[i];
		struct frame f, expected;
		struct outcome o;

		frame_build(&f, &t->in);
		if (strstr(t->what, "for many"))
			f.bytes[0] |= 1;
		world_run_one(w, &f, &o);
		if (t->what_becomes == SPLIT) {
			assert_int_equal(o.packet.verdict, SLUICE_VERDICT_SPLIT);
			assert_int_equal(o.packet.mtu, 100);
			continue;
		}
		if (t->what_becomes == DROPPED) {
			assert_int_equal(o.packet.verdict, SLUICE_VERDICT_DROP);
			assert_int_equal(o.packet.reason, SLUICE_DROP_TOO_BIG);
			continue;
		}
		assert_int_equal(o.packet.verdict, SLUICE_VERDICT_TRANSMIT);
		assert_int_equal(o.packet.port_out, o.packet.port_in);
		expect_too_big(&expected, &t->in, &f);
		assert_true(same_frame(t->what, &expected, &o.frame));
	}
	world_free(w);
}

static void test_answers_to_size_are_limited(void **state)
{
	struct frame_fields fields = {UDP_4_IN, .payload = 73, .fragment = 0x4000};
	struct world *w = world_new();
	struct frame f;
	struct outcome o;

	(void)state;
	frame_build(&f, &fields);
	for (unsigned i = 0; i < SLUICE_REFUSALS_PER_SECOND; i++) {
		world_run_one(w, &f, &o);
		assert_int_equal(o.packet.verdict, SLUICE_VERDICT_TRANSMIT);
	}
	for (unsigned i = 0; i < 10; i++) {
		world_run_one(w, &f, &o);
		assert_int_equal(o.packet.verdict, SLUICE_VERDICT_DROP);
	}
	assert_int_equal(sluice_counter_read(&w->counters.drops[SLUICE_DROP_TOO_BIG]), 10);
	world_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_rows),
	        cmocka_unit_test(test_quotes_may_end_anywhere),
	        cmocka_unit_test(test_truncated_errors_are_dropped),
	        cmocka_unit_test(test_first_segment_may_end_anywhere),
	        cmocka_unit_test(test_errors_go_where_the_flow_is),
	        cmocka_unit_test(test_senders_learn_the_mtu),
	        cmocka_unit_test(test_answers_to_size_are_limited),
	};

	world_eal();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
