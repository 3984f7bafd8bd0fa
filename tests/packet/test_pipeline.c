// SPDX-License-Identifier: BSD-3-Clause

// Every packet of rows.c through the pipeline: alone, cut short at every byte, in segments split
// at every byte, and in bursts of all sorts.

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "rows.h"
#include "world.h"

static void run_first(struct world *w, const struct row *r)
{
	struct outcome o;
	struct frame f;

	if (!r->first.source)
		return;
	frame_build(&f, &r->first);
	world_run_one(w, &f, &o);
	assert_int_equal(o.packet.verdict, SLUICE_VERDICT_TRANSMIT);
}

static const char *verdict_name(const struct outcome *o)
{
	static const char *const names[] = {"none", "transmit", "drop", "pass", "resolve", "hold"};

	return o->packet.verdict == SLUICE_VERDICT_DROP ? sluice_drop_label(o->packet.reason)
	                                                : names[o->packet.verdict];
}

static void dump(const char *title, const struct frame *f)
{
	fprintf(stderr, "%s (%u bytes):", title, f->length);
	for (uint32_t i = 0; i < f->length && i < 160; i++)
		fprintf(stderr, "%s%02x", i % 16 == 0 ? "\n  " : " ", f->bytes[i]);
	fprintf(stderr, "\n");
}

static bool same_frame(const struct frame *a, const struct frame *b)
{
	return a->length == b->length && memcmp(a->bytes, b->bytes, a->length) == 0;
}

static bool has_output(const struct row *r)
{
	return r->verdict == SLUICE_VERDICT_TRANSMIT || r->verdict == SLUICE_VERDICT_RESOLVE;
}

// Whether the packet became what the row says; says why not.
static bool matches(const struct row *r, const struct outcome *o)
{
	static struct frame expected;
	bool good = o->packet.verdict == r->verdict &&
	            (r->verdict != SLUICE_VERDICT_DROP || o->packet.reason == r->reason) &&
	            (r->verdict != SLUICE_VERDICT_TRANSMIT || o->packet.port_out == r->port);

	if (!good) {
		fprintf(stderr, "%s: %s, port %u\n", r->what, verdict_name(o), o->packet.port_out);
		return false;
	}
	if (!has_output(r))
		return true;
	row_build_out(r, &expected);
	if (same_frame(&expected, &o->frame))
		return true;
	fprintf(stderr, "%s:\n", r->what);
	dump("expected", &expected);
	dump("got", &o->frame);
	return false;
}

static void test_rows(void **state)
{
	struct outcome o;
	struct frame f;
	unsigned wrong = 0;

	(void)state;
	for (size_t i = 0; i < row_count; i++) {
		struct world *w = world_new();

		run_first(w, &rows[i]);
		row_build_in(&rows[i], &f);
		world_run_one(w, &f, &o);
		wrong += !matches(&rows[i], &o);
		world_free(w);
	}
	assert_int_equal(wrong, 0);
}

// Offset of the first byte behind the IP packet, from the row's own fields.
static uint32_t row_end(const struct row *r)
{
	struct frame_fields fields = r->in;
	struct frame f;

	fields.padding = 0;
	frame_build(&f, &fields);
	return f.length;
}

static void test_truncated_frames_are_dropped(void **state)
{
	struct world *w = world_new();
	struct outcome o;
	struct frame f;

	(void)state;
	for (size_t i = 0; i < row_count; i++) {
		const struct row *r = &rows[i];
		uint32_t end = row_end(r);

		if (!has_output(r))
			continue;
		row_build_in(r, &f);
		for (f.length = 0; f.length < end; f.length++) {
			world_run_one(w, &f, &o);
			assert_int_equal(o.packet.verdict, SLUICE_VERDICT_DROP);
			assert_int_equal(o.packet.reason, SLUICE_DROP_TRUNCATED);
		}
	}
	world_free(w);
}

// The headers must be in the first segment, the rest may be elsewhere: then nothing changes,
// but that no answer is made.
static void split_everywhere(const struct row *r)
{
	struct world *w = world_new();
	struct frame f;
	const struct frame *frame = &f;
	struct outcome o;
	uint32_t headers = row_end(r) - r->in.payload - r->in.tcp_options;
	bool answer;

	run_first(w, r);
	row_build_in(r, &f);
	world_run_one(w, &f, &o);
	answer = o.packet.moved;
	for (uint32_t head = 0; head < f.length; head++) {
		world_run(w, &frame, &head, &o, 1);
		if (head >= headers && !answer) {
			assert_true(matches(r, &o));
			continue;
		}
		assert_int_equal(o.packet.verdict, SLUICE_VERDICT_DROP);
		assert_int_equal(o.packet.reason,
		                 head < headers ? SLUICE_DROP_TRUNCATED : SLUICE_DROP_NO_ENDPOINT);
	}
	world_free(w);
}

static void test_first_segment_may_end_anywhere(void **state)
{
	(void)state;
	for (size_t i = 0; i < row_count; i++)
		if (has_output(&rows[i]))
			split_everywhere(&rows[i]);
}

// Whatever else is in a burst, and wherever it stands, a packet fares as if alone.
static void test_bursts_of_all_sorts(void **state)
{
	static struct frame frames[SLUICE_BURST];
	static struct outcome outcomes[SLUICE_BURST];
	const struct frame *pointers[SLUICE_BURST];
	const struct row *chosen[SLUICE_BURST];
	struct world *w = world_new();

	(void)state;
	srandom(1);
	for (unsigned round = 0; round < 2000; round++) {
		unsigned n = 1 + (unsigned)random() % SLUICE_BURST;

		for (unsigned i = 0; i < n; i++) {
			do {
				chosen[i] = &rows[(size_t)random() % row_count];
			} while (chosen[i]->first.source ||
			         chosen[i]->reason == SLUICE_DROP_NO_RETURN_FLOW);
			row_build_in(chosen[i], &frames[i]);
			pointers[i] = &frames[i];
		}
		w->pipeline.refuse_budget = SLUICE_REFUSALS_PER_SECOND;
		w->pipeline.refuse_second = w->pipeline.now;
		world_run(w, pointers, NULL, outcomes, n);
		for (unsigned i = 0; i < n; i++) {
			if (outcomes[i].packet.moved) { // by the port it came in from
				assert_int_equal(outcomes[i].packet.port_out, i % 2);
				outcomes[i].packet.port_out = chosen[i]->port;
			}
			assert_true(matches(chosen[i], &outcomes[i]));
		}
	}
	world_free(w);
}

// ---- UDP refused

struct refusal {
	const char *what;
	struct frame_fields in, outer;
	uint32_t quoted;
};

#define IN   .mac_to = HOST_0, .mac_from = GATEWAY, .protocol = UDP, .source_port = 4000
#define OUT  .mac_to = GATEWAY, .mac_from = HOST_0
#define IN_4 IN, .source = "198.51.100.9", .destination = "10.96.0.5", .destination_port = 53
#define IN_6                                                                                       \
	IN, .source = "2001:db8:100::9", .destination = "2001:db8:96::5", .destination_port = 53
#define OUT_4                                                                                      \
	OUT, .protocol = ICMP, .source = "10.96.0.5", .destination = "198.51.100.9",               \
	     .fragment = 0x4000
#define OUT_6 OUT, .protocol = ICMP6, .source = "2001:db8:96::5", .destination = "2001:db8:100::9"

static const struct refusal refusals[] = {
        {"IPv4", {IN_4, .payload = 30, .ttl = 1, .id = 3, .tos = 4}, {OUT_4}, 58},
        {"IPv4, empty", {IN_4}, {OUT_4}, 28},
        {"IPv4, odd", {IN_4, .payload = 3}, {OUT_4}, 31},
        {"IPv4, without checksum", {IN_4, .payload = 3, .no_checksum = true}, {OUT_4}, 31},
        {"IPv4, padding is not quoted", {IN_4, .payload = 3, .padding = 15}, {OUT_4}, 31},
        {"IPv4, options are quoted", {IN_4, .payload = 3, .ip_options = 40}, {OUT_4}, 71},
        {"IPv4, as much as is quoted", {IN_4, .payload = 520}, {OUT_4}, 548},
        {"IPv4, more than is quoted", {IN_4, .payload = 1472}, {OUT_4}, 548},
        {"IPv6", {IN_6, .payload = 30, .ttl = 1, .id = 3, .tos = 4}, {OUT_6}, 78},
        {"IPv6, empty, padded", {IN_6, .padding = 20}, {OUT_6}, 48},
        {"IPv6, odd", {IN_6, .payload = 3}, {OUT_6}, 51},
        {"IPv6, extension headers are quoted",
         {IN_6, .payload = 3, .extensions = {HOP_BY_HOP, 60}},
         {OUT_6},
         67},
        {"IPv6, more than is quoted", {IN_6, .payload = 1400}, {OUT_6}, 1232},
};

static void test_udp_is_refused_with_port_unreachable(void **state)
{
	struct world *w = world_new();
	struct frame in, expected;
	struct outcome o;

	(void)state;
	for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
		const struct refusal *r = &refusals[i];

		frame_build(&in, &r->in);
		frame_build_error(&expected, &r->outer, r->outer.protocol == ICMP ? 0x0303 : 0x0104,
		                  0, &in, r->quoted);
		world_run_one(w, &in, &o);
		if (o.packet.verdict != SLUICE_VERDICT_TRANSMIT ||
		    !same_frame(&o.frame, &expected)) {
			fprintf(stderr, "%s: %s\n", r->what, verdict_name(&o));
			dump("expected", &expected);
			dump("got", &o.frame);
			fail();
		}
		assert_int_equal(o.packet.port_out, 0);
		assert_true(o.packet.moved);
	}
	world_free(w);
}

// A frame that the link gave to many: if all of them answered, one packet would become a storm.
static void test_frames_for_many_are_not_answered(void **state)
{
	static const uint8_t macs[] = {0x01, 0x33, 0xff};
	struct world *w = world_new();
	struct frame in;
	struct outcome o;

	(void)state;
	for (size_t i = 0; i < sizeof(macs); i++) {
		frame_build(&in, &(struct frame_fields){IN_4});
		in.bytes[0] = macs[i];
		world_run_one(w, &in, &o);
		assert_int_equal(o.packet.verdict, SLUICE_VERDICT_DROP);
		assert_int_equal(o.packet.reason, SLUICE_DROP_NO_ENDPOINT);
	}
	world_free(w);
}

static void test_refusals_are_limited(void **state)
{
	struct frame_fields fields = {IN_4, .payload = 4};
	struct world *w = world_new();
	struct frame f;
	struct outcome o;

	(void)state;
	frame_build(&f, &fields);
	for (unsigned second = 0; second < 3; second++, w->pipeline.now++) {
		for (unsigned i = 0; i < SLUICE_REFUSALS_PER_SECOND; i++) {
			world_run_one(w, &f, &o);
			assert_int_equal(o.packet.verdict, SLUICE_VERDICT_TRANSMIT);
		}
		for (unsigned i = 0; i < 10; i++) {
			world_run_one(w, &f, &o);
			assert_int_equal(o.packet.verdict, SLUICE_VERDICT_DROP);
			assert_int_equal(o.packet.reason, SLUICE_DROP_REFUSE_LIMITED);
		}
	}
	assert_int_equal(sluice_counter_read(&w->counters.drops[SLUICE_DROP_REFUSE_LIMITED]), 30);
	world_free(w);
}

// ---- UDP's two zeros

// A UDP packet's fields with a payload that makes the rewritten checksum come out as 0, which
// is sent as 0xffff.
static bool try_zero(struct world *w, const struct frame_fields *in, const struct frame_fields *out,
                     uint32_t checksum_at)
{
	struct frame_fields fields = *out;
	struct frame frame, expected;
	struct outcome o;

	for (uint32_t word = 1; word <= 0xffff; word++) {
		fields.word = (uint16_t)word;
		frame_build(&expected, &fields);
		if (expected.bytes[checksum_at] != 0xff || expected.bytes[checksum_at + 1] != 0xff)
			continue;
		fields = *in;
		fields.word = (uint16_t)word;
		frame_build(&frame, &fields);
		world_run_one(w, &frame, &o);
		assert_int_equal(o.packet.verdict, SLUICE_VERDICT_TRANSMIT);
		return same_frame(&o.frame, &expected);
	}
	return false;
}

static void test_computed_zero_is_sent_as_ffff(void **state)
{
	static const struct frame_fields pairs[][2] = {
	        {{.mac_to = HOST_0,
	          .mac_from = GATEWAY,
	          .source = "198.51.100.9",
	          .destination = "10.96.0.1",
	          .protocol = UDP,
	          .source_port = 9,
	          .destination_port = 53,
	          .payload = 2},
	         {.mac_to = BACKEND,
	          .mac_from = HOST_1,
	          .source = "198.51.100.9",
	          .destination = "172.17.0.5",
	          .protocol = UDP,
	          .source_port = 9,
	          .destination_port = 5353,
	          .payload = 2,
	          .ttl = 63}},
	        {{.mac_to = HOST_1,
	          .mac_from = BACKEND,
	          .source = "172.17.0.5",
	          .destination = "198.51.100.9",
	          .protocol = UDP,
	          .source_port = 5353,
	          .destination_port = 9,
	          .payload = 2},
	         {.mac_to = GATEWAY,
	          .mac_from = HOST_0,
	          .source = "10.96.0.1",
	          .destination = "198.51.100.9",
	          .protocol = UDP,
	          .source_port = 53,
	          .destination_port = 9,
	          .payload = 2,
	          .ttl = 63}},
	        {{.mac_to = HOST_0,
	          .mac_from = GATEWAY,
	          .source = "2001:db8:100::9",
	          .destination = "2001:db8:96::1",
	          .protocol = UDP,
	          .source_port = 9,
	          .destination_port = 53,
	          .payload = 2},
	         {.mac_to = BACKEND,
	          .mac_from = HOST_1,
	          .source = "2001:db8:100::9",
	          .destination = "fd00::5",
	          .protocol = UDP,
	          .source_port = 9,
	          .destination_port = 5353,
	          .payload = 2,
	          .ttl = 63}},
	        {{.mac_to = HOST_1,
	          .mac_from = BACKEND,
	          .source = "fd00::5",
	          .destination = "2001:db8:100::9",
	          .protocol = UDP,
	          .source_port = 5353,
	          .destination_port = 9,
	          .payload = 2},
	         {.mac_to = GATEWAY,
	          .mac_from = HOST_0,
	          .source = "2001:db8:96::1",
	          .destination = "2001:db8:100::9",
	          .protocol = UDP,
	          .source_port = 53,
	          .destination_port = 9,
	          .payload = 2,
	          .ttl = 63}},
	};
	struct world *w = world_new();

	(void)state;
	for (unsigned i = 0; i < 4; i++)
		assert_true(try_zero(w, &pairs[i][0], &pairs[i][1], i < 2 ? 40 : 60));
	world_free(w);
}

// ---- counters

static void test_endpoints_count_both_directions(void **state)
{
	struct frame_fields in = {IN, .source = "198.51.100.9", .destination = "10.96.0.1",
	                          .destination_port = 53, .payload = 10};
	struct frame_fields out = {.mac_to = HOST_1,
	                           .mac_from = BACKEND,
	                           .source = "172.17.0.5",
	                           .destination = "198.51.100.9",
	                           .protocol = UDP,
	                           .source_port = 5353,
	                           .destination_port = 4000,
	                           .payload = 20};
	struct world *w = world_new();
	struct sluice_endpoint_counters *c;
	struct frame f;
	struct outcome o;

	(void)state;
	frame_build(&f, &in);
	for (unsigned i = 0; i < 3; i++)
		world_run_one(w, &f, &o);
	c = &w->endpoint_counters[o.packet.slot];
	frame_build(&f, &out);
	for (unsigned i = 0; i < 5; i++)
		world_run_one(w, &f, &o);
	// What goes no further is no packet of an endpoint.
	in.ttl = out.ttl = 1;
	frame_build(&f, &in);
	world_run_one(w, &f, &o);
	frame_build(&f, &out);
	world_run_one(w, &f, &o);
	assert_int_equal(o.packet.verdict, SLUICE_VERDICT_DROP);
	assert_int_equal(sluice_counter_read(&c->in_packets), 3);
	assert_int_equal(sluice_counter_read(&c->in_bytes), 3 * (14 + 28 + 10));
	assert_int_equal(sluice_counter_read(&c->out_packets), 5);
	assert_int_equal(sluice_counter_read(&c->out_bytes), 5 * (14 + 28 + 20));
	assert_int_equal(sluice_counter_read(&c->connections), 1);
	world_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_rows),
	        cmocka_unit_test(test_truncated_frames_are_dropped),
	        cmocka_unit_test(test_first_segment_may_end_anywhere),
	        cmocka_unit_test(test_bursts_of_all_sorts),
	        cmocka_unit_test(test_udp_is_refused_with_port_unreachable),
	        cmocka_unit_test(test_frames_for_many_are_not_answered),
	        cmocka_unit_test(test_refusals_are_limited),
	        cmocka_unit_test(test_computed_zero_is_sent_as_ffff),
	        cmocka_unit_test(test_endpoints_count_both_directions),
	};

	world_eal();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
