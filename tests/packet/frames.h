// SPDX-License-Identifier: BSD-3-Clause
#pragma once

// Frames for tests, built field by field with every checksum computed from scratch. Nothing of
// the data plane is used here: what the pipeline sends is compared with what is built here.

#include <stdbool.h>
#include <stdint.h>

enum {
	FRAME_MAX = 4096,
	FRAME_EXTENSIONS_MAX = 12,
};

struct frame {
	uint32_t length;
	uint8_t bytes[FRAME_MAX];
};

enum {
	ICMP = 1,
	TCP = 6,
	UDP = 17,
	ICMP6 = 58,
	SCTP = 132,
	HOP_BY_HOP = 256, // IPv6's 0: 0 ends the list of extensions
	ROUTING = 43,
	FRAGMENT = 44,
	AUTHENTICATION = 51,
	DESTINATION_OPTIONS = 60,
};

enum {
	FIN = 0x01,
	SYN = 0x02,
	RST = 0x04,
	PSH = 0x08,
	ACK = 0x10,
};

// What a frame says. A field that is not mentioned is 0, or what the comment says.
struct frame_fields {
	uint8_t mac_to, mac_from; // last bytes of 02:00:00:00:00:XX
	uint16_t tags[2];         // TPIDs of VLAN tags in front of the EtherType
	uint16_t tci;             // of each tag: priority and VLAN; 0: VLAN 20
	const char *source;       // IPv4 or IPv6
	const char *destination;
	uint8_t ttl; // 0: 64
	uint8_t tos;
	uint16_t id;
	uint16_t fragment;                         // IPv4: flags and offset; IPv6: of FRAGMENT
	uint32_t datagram;                         // IPv6: id in FRAGMENT; 0: 0xfeedbeef
	unsigned ip_options;                       // bytes of them
	uint16_t extensions[FRAME_EXTENSIONS_MAX]; // IPv6, in this order
	unsigned extension_size;                   // bytes of each but FRAGMENT; 0: 8
	uint8_t segments_left;                     // of each ROUTING
	uint8_t protocol;
	uint16_t source_port, destination_port;
	uint32_t sequence, acknowledgement;
	uint8_t flags;
	unsigned tcp_options; // bytes of them
	unsigned payload;     // bytes behind the transport header
	uint16_t word;        // payload's first two bytes, where not 0
	bool no_checksum;     // UDP: 0
	unsigned padding;     // bytes behind the IP packet
};

void frame_build(struct frame *f, const struct frame_fields *fields);

// An ICMP or ICMPv6 error that quotes the first `quoted` bytes of what stands behind the Ethernet
// header of `original`. type_code: both, as they stand on the wire; word: the header's second half.
void frame_build_error(struct frame *f, const struct frame_fields *outer, uint16_t type_code,
                       uint32_t word, const struct frame *original, uint32_t quoted);

// Network-order sum of 16-bit words modulo 65535: 0 where header and data agree with the
// checksum among them. The last odd byte counts as if a zero followed.
uint16_t frame_sum(const uint8_t *bytes, uint32_t length, uint32_t start);

// The same of the pseudo header of a packet whose IP header is at ip.
uint16_t frame_pseudo_sum(const uint8_t *ip, uint8_t protocol, uint32_t length);
