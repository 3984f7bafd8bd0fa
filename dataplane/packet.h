// SPDX-License-Identifier: BSD-3-Clause
#pragma once

// A packet on its way through the pipeline, and the wire formats it is read by. The descriptor
// is the worker's own; the bytes stay where the port put them.

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdalign.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "dataplane/hash.h"
#include "sluice/counters.h"
#include "sluice/types.h"

enum {
	SLUICE_BURST = 32,    // packets that go through the stages together
	SLUICE_ETHERNET = 14, // bytes of an Ethernet header without tags
	SLUICE_VLAN_TAG = 4,
	SLUICE_HEADROOM = 64, // bytes before data that the pipeline may use
};

// What becomes of a packet: exactly one of these when the pipeline has run.
enum sluice_verdict {
	SLUICE_VERDICT_NONE, // not decided yet
	SLUICE_VERDICT_TRANSMIT,
	SLUICE_VERDICT_DROP,    // reason says why
	SLUICE_VERDICT_PASS,    // not sluice's: to the kernel, as it came
	SLUICE_VERDICT_RESOLVE, // rewritten, next hop unknown: the kernel resolves it and sends
	SLUICE_VERDICT_HOLD,    // a fragment whose first has not come: to be run again once it has
	SLUICE_VERDICT_SPLIT,   // as it came, and to be cut so that no piece is larger than mtu
};

// What part of a datagram a packet is.
enum sluice_fragment {
	SLUICE_FRAGMENT_NONE,  // all of it
	SLUICE_FRAGMENT_FIRST, // has the transport header
	SLUICE_FRAGMENT_LATER, // has no ports
};

struct sluice_packet {
	alignas(64) uint8_t *data; // Ethernet header
	void *buffer;              // the worker's handle (an mbuf)
	uint32_t length;           // bytes in all
	uint16_t head;             // bytes at data that are contiguous
	uint8_t verdict;           // enum sluice_verdict
	uint8_t reason;            // enum sluice_drop, with DROP
	// What parse writes, eight bytes at once where the packet is a plain one.
	uint16_t l4;      // offset of the TCP or UDP header, or of an ICMP error's
	uint8_t l3;       // offset of the IP header, behind a VLAN tag
	uint8_t family;   // enum sluice_family
	uint8_t protocol; // IPPROTO_TCP, IPPROTO_UDP; of an ICMP error its own; not reliable in a
	                  // later fragment
	uint8_t fragment; // enum sluice_fragment
	uint8_t plain;    // the protocol of what came as TCP or UDP in IPv4 without options, whole,
	                  // untagged (sluice_parse_plain), else 0; of no account once the packet
	                  // is rewritten
	uint8_t tcp_flags;  // 0 with UDP
	uint16_t tag;       // 802.1Q: priority and VLAN id, host byte order; 0: none
	uint16_t frontend;  // id; the one reached (in) or the one to answer as (return)
	uint32_t slot;      // endpoint
	uint64_t key, hash; // of the flow; of the datagram where it is a later fragment
	uint16_t mtu;       // with TOO_BIG and SPLIT: the largest IP packet that fits
	uint8_t forwarding; // enum sluice_forwarding, the frontend's
	bool moved;         // data and length are not what they were
	uint8_t port_in;
	uint8_t port_out;
	bool to_snat; // an endpoint's, by fullnat; key is the fingerprint of its flow
	              // (snat_table.h)
};
static_assert(sizeof(struct sluice_packet) == 64, "one cache line");

enum {
	SLUICE_TCP_FIN = 0x01,
	SLUICE_TCP_SYN = 0x02,
	SLUICE_TCP_RST = 0x04,
	SLUICE_TCP_ACK = 0x10,
};

// Headers as on the wire; all multi-byte fields in network byte order.
struct sluice_ipv4 {
	uint8_t version_ihl;
	uint8_t tos;
	uint16_t total_length;
	uint16_t id;
	uint16_t fragment;
	uint8_t ttl;
	uint8_t protocol;
	uint16_t checksum;
	uint8_t source[4];
	uint8_t destination[4];
} __attribute__((packed, aligned(2)));

struct sluice_ipv6 {
	uint32_t version_class_flow;
	uint16_t payload_length;
	uint8_t next_header;
	uint8_t hop_limit;
	uint8_t source[16];
	uint8_t destination[16];
} __attribute__((packed, aligned(2)));

struct sluice_tcp {
	uint16_t source;
	uint16_t destination;
	uint32_t sequence;
	uint32_t acknowledgement;
	uint8_t offset; // upper four bits: header length in words
	uint8_t flags;
	uint16_t window;
	uint16_t checksum;
	uint16_t urgent;
} __attribute__((packed, aligned(2)));

struct sluice_udp {
	uint16_t source;
	uint16_t destination;
	uint16_t length;
	uint16_t checksum;
} __attribute__((packed, aligned(2)));

static_assert(sizeof(struct sluice_ipv4) == 20, "RFC 791");
static_assert(sizeof(struct sluice_ipv6) == 40, "RFC 8200");
static_assert(sizeof(struct sluice_tcp) == 20, "RFC 9293");
static_assert(sizeof(struct sluice_udp) == 8, "RFC 768");

// What is known of a plain packet without a look: constants from here on, where this is inlined.
static inline void sluice_packet_plain(struct sluice_packet *p, uint8_t protocol)
{
	p->l3 = SLUICE_ETHERNET;
	p->l4 = SLUICE_ETHERNET + sizeof(struct sluice_ipv4);
	p->family = SLUICE_IPV4;
	p->protocol = protocol;
	p->fragment = SLUICE_FRAGMENT_NONE;
	p->plain = protocol;
	p->tag = 0;
}

// A copy to rewrite by: it stays in registers, while the packet's bytes, for all that the compiler
// knows, may be the descriptor's. plain: the packet's, a constant.
SLUICE_INLINE struct sluice_packet sluice_packet_known(const struct sluice_packet *p, uint8_t plain)
{
	struct sluice_packet q = *p;

	if (plain)
		sluice_packet_plain(&q, plain);
	return q;
}

// function(..., family, plain) with those of the packet p, each combination of which is compiled by
// itself where the function is inlined.
#define SLUICE_PACKET_CALL(p, function, ...)                                                       \
	do {                                                                                       \
		if ((p)->plain == IPPROTO_TCP)                                                     \
			function(__VA_ARGS__, SLUICE_IPV4, IPPROTO_TCP);                           \
		else if ((p)->plain == IPPROTO_UDP)                                                \
			function(__VA_ARGS__, SLUICE_IPV4, IPPROTO_UDP);                           \
		else if ((p)->family == SLUICE_IPV4)                                               \
			function(__VA_ARGS__, SLUICE_IPV4, 0);                                     \
		else                                                                               \
			function(__VA_ARGS__, SLUICE_IPV6, 0);                                     \
	} while (0)

static inline void *sluice_packet_l3(const struct sluice_packet *p)
{
	return p->data + p->l3;
}

static inline void *sluice_packet_l4(const struct sluice_packet *p)
{
	return p->data + p->l4;
}

// Offset of the first byte behind the IP packet: a short frame has padding there.
static inline uint32_t sluice_packet_end(const struct sluice_packet *p)
{
	if (p->family == SLUICE_IPV4) {
		const struct sluice_ipv4 *ip = sluice_packet_l3(p);

		return p->l3 + (uint32_t)ntohs(ip->total_length);
	}
	const struct sluice_ipv6 *ip = sluice_packet_l3(p);

	return p->l3 + (uint32_t)sizeof(*ip) + ntohs(ip->payload_length);
}

static inline void sluice_packet_drop(struct sluice_packet *p, enum sluice_drop reason)
{
	p->verdict = SLUICE_VERDICT_DROP;
	p->reason = (uint8_t)reason;
}

// The packet, which is still as it came, does not fit. mtu: the largest that its sender may send
// that way; who must know is told (refuse.c).
static inline void sluice_packet_drop_too_big(struct sluice_packet *p, uint16_t mtu)
{
	p->mtu = mtu;
	sluice_packet_drop(p, SLUICE_DROP_TOO_BIG);
}

enum sluice_side {
	SLUICE_SOURCE,
	SLUICE_DESTINATION,
};

// The address's bytes in the packet: 4 or 16.
SLUICE_INLINE const uint8_t *sluice_packet_wire(const struct sluice_packet *p,
                                                enum sluice_side side, enum sluice_family family)
{
	const uint8_t *l3 = sluice_packet_l3(p);

	if (family == SLUICE_IPV4)
		return l3 + (side == SLUICE_SOURCE ? 12 : 16);
	return l3 + (side == SLUICE_SOURCE ? 8 : 24);
}

// Ports stand first in TCP and UDP alike. Network byte order.
SLUICE_INLINE uint16_t sluice_packet_port(const struct sluice_packet *p, enum sluice_side side)
{
	uint16_t port;

	memcpy(&port, p->data + p->l4 + (side == SLUICE_SOURCE ? 0 : 2), 2);
	return port;
}

// The address alone, as a key: without port and protocol.
SLUICE_INLINE struct sluice_target_view sluice_packet_address(const struct sluice_packet *p,
                                                              enum sluice_side side,
                                                              enum sluice_family family)
{
	struct sluice_target_view v = {.family = (uint8_t)family,
	                               .address = sluice_packet_wire(p, side, family)};

	memcpy(&v.end, family == SLUICE_IPV4 ? v.address : v.address + 12, 4);
	return v;
}

// The packet's source or destination as a key.
SLUICE_INLINE struct sluice_target_view sluice_packet_target(const struct sluice_packet *p,
                                                             enum sluice_side side,
                                                             enum sluice_family family)
{
	struct sluice_target_view v = sluice_packet_address(p, side, family);

	v.port = sluice_packet_port(p, side);
	v.protocol = p->protocol;
	return v;
}
