// SPDX-License-Identifier: BSD-3-Clause

// The frame builder that the packet tests trust, against frames that scapy made.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "frames.h"
#include "golden.h"

#define MACS         .mac_to = 0x10, .mac_from = 0xc1
#define V4           MACS, .source = "198.51.100.9", .destination = "10.96.0.1", .source_port = 40000
#define V6           MACS, .source = "2001:db8:100::9", .destination = "2001:db8:96::1", .source_port = 40000
#define TCP_         .protocol = TCP, .destination_port = 80
#define UDP_         .protocol = UDP, .destination_port = 53

#define GOLDEN(name) #name, golden_##name, sizeof(golden_##name)

static const struct {
	const char *name;
	const unsigned char *bytes;
	size_t length;
	struct frame_fields fields;
} cases[] = {
        {GOLDEN(tcp_4), {V4, TCP_, .flags = SYN, .sequence = 77, .ttl = 63}},
        {GOLDEN(tcp_4_data),
         {V4, TCP_, .tos = 0xb9, .id = 7, .fragment = 0x4000, .flags = PSH | ACK,
          .acknowledgement = 9, .payload = 101}},
        {GOLDEN(tcp_4_options),
         {V4, TCP_, .ip_options = 8, .tcp_options = 12, .flags = ACK, .payload = 2}},
        {GOLDEN(udp_4), {V4, UDP_, .payload = 33}},
        {GOLDEN(udp_4_no_checksum), {V4, UDP_, .payload = 4, .no_checksum = true}},
        {GOLDEN(echo_4), {V4, .protocol = ICMP, .payload = 56}},
        {GOLDEN(tcp_6), {V6, TCP_, .tos = 0xb9, .id = 0x4321, .flags = ACK, .payload = 7}},
        {GOLDEN(udp_6_extensions),
         {V6, UDP_, .ttl = 1, .extensions = {HOP_BY_HOP, DESTINATION_OPTIONS, FRAGMENT},
          .payload = 9}},
        {GOLDEN(echo_6), {V6, .protocol = ICMP6, .payload = 56}},
        {GOLDEN(vlan), {V4, TCP_, .tags = {0x88a8, 0x8100}, .flags = SYN}},
};

static void expect(const char *name, const struct frame *f, const unsigned char *bytes,
                   size_t length)
{
	if (f->length != length)
		fprintf(stderr, "%s: %u bytes, scapy makes %zu\n", name, f->length, length);
	assert_int_equal(f->length, length);
	for (size_t i = 0; i < length; i++)
		if (f->bytes[i] != bytes[i])
			fprintf(stderr, "%s: byte %zu is %02x, scapy's %02x\n", name, i,
			        f->bytes[i], bytes[i]);
	assert_memory_equal(f->bytes, bytes, length);
}

static void test_builder_agrees_with_scapy(void **state)
{
	struct frame f;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		frame_build(&f, &cases[i].fields);
		expect(cases[i].name, &f, cases[i].bytes, cases[i].length);
	}
}

static const struct {
	const char *name;
	const unsigned char *bytes;
	size_t length;
	bool v6;
	uint16_t fragment, type_code;
	uint32_t word, quoted;
} errors[] = {
        {GOLDEN(unreachable_4), false, 0x4000, 0x0303, 0, 33},
        {GOLDEN(unreachable_6), true, 0, 0x0104, 0, 53},
        {GOLDEN(too_big_4), false, 0, 0x0304, 1300, 33},
        {GOLDEN(exceeded_4), false, 0, 0x0b00, 0, 28},
        {GOLDEN(problem_4), false, 0, 0x0c00, 20U << 24, 33},
        {GOLDEN(too_big_6), true, 0, 0x0200, 1300, 53},
        {GOLDEN(exceeded_6), true, 0, 0x0300, 0, 48},
        {GOLDEN(problem_6), true, 0, 0x0401, 6, 53},
};

static void test_errors_agree_with_scapy(void **state)
{
	const struct frame_fields quoted[2] = {{V4, UDP_, .payload = 5}, {V6, UDP_, .payload = 5}};
	struct frame original, f;

	(void)state;
	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		struct frame_fields outer = {V4, .protocol = ICMP, .fragment = errors[i].fragment};
		struct frame_fields outer_6 = {V6, .protocol = ICMP6};

		frame_build(&original, &quoted[errors[i].v6]);
		frame_build_error(&f, errors[i].v6 ? &outer_6 : &outer, errors[i].type_code,
		                  errors[i].word, &original, errors[i].quoted);
		expect(errors[i].name, &f, errors[i].bytes, errors[i].length);
	}
}

static void test_padding_follows_the_packet(void **state)
{
	const struct frame_fields plain = {V4, TCP_}, padded = {V4, TCP_, .padding = 6};
	struct frame a, b;

	(void)state;
	frame_build(&a, &plain);
	frame_build(&b, &padded);
	assert_int_equal(b.length, a.length + 6);
	assert_memory_equal(a.bytes, b.bytes, a.length);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_builder_agrees_with_scapy),
	        cmocka_unit_test(test_errors_agree_with_scapy),
	        cmocka_unit_test(test_padding_follows_the_packet),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
