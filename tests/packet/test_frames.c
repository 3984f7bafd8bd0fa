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

static void test_unreachables_agree_with_scapy(void **state)
{
	const struct frame_fields quoted[2] = {{V4, UDP_, .payload = 5}, {V6, UDP_, .payload = 5}};
	const struct frame_fields outer[2] = {{V4, .protocol = ICMP, .fragment = 0x4000},
	                                      {V6, .protocol = ICMP6}};
	struct frame original, f;

	(void)state;
	frame_build(&original, &quoted[0]);
	frame_build_unreachable(&f, &outer[0], &original, original.length - 14);
	expect("unreachable_4", &f, golden_unreachable_4, sizeof(golden_unreachable_4));
	frame_build(&original, &quoted[1]);
	frame_build_unreachable(&f, &outer[1], &original, original.length - 14);
	expect("unreachable_6", &f, golden_unreachable_6, sizeof(golden_unreachable_6));
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
	        cmocka_unit_test(test_unreachables_agree_with_scapy),
	        cmocka_unit_test(test_padding_follows_the_packet),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
