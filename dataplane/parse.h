// SPDX-License-Identifier: BSD-3-Clause
#pragma once

// The first stage, inlined into the second, so that what it finds stays in registers.

#include <arpa/inet.h>
#include <netinet/in.h>

#include "dataplane/packet.h"

enum {
	SLUICE_ETHERTYPE_VLAN = 0x8100,
	SLUICE_ETHERTYPE_V4 = 0x0800,
	SLUICE_ETHERTYPE_V6 = 0x86dd,
	SLUICE_DONT_FRAGMENT_V4 = 0x4000,
	SLUICE_FRAGMENT_MORE_V4 = 0x2000,
	SLUICE_FRAGMENT_OFFSET_V4 = 0x1fff,
	SLUICE_MTU_LEAST_V4 = 68, // of any link (RFC 791)
	SLUICE_FRAGMENT_MORE_V6 = 0x0001,
	SLUICE_FRAGMENT_OFFSET_V6 = 0xfff8,
	SLUICE_VLAN_ID = 0x0fff,
	SLUICE_EXTENSIONS_MAX = 8, // of IPv6 in a row: more is nobody's honest packet
	SLUICE_ICMP_HEADER = 8,
};

// Errors that quote a packet: unreachable, time exceeded, parameter problem, packet too big. A
// redirect is between a host and its router, and source quench is history (RFC 6633).
static inline bool sluice_is_icmp_error(enum sluice_family family, uint8_t type)
{
	if (family == SLUICE_IPV4)
		return type == 3 || type == 11 || type == 12;
	return type >= 1 && type <= 4;
}

// An ICMP packet is passed. l4 is set where it is an error in one piece: icmp.c has a look then.
static inline void sluice_parse_icmp(struct sluice_packet *p, uint32_t l4, uint32_t l4_length)
{
	if (p->protocol == (p->family == SLUICE_IPV4 ? IPPROTO_ICMP : IPPROTO_ICMPV6) &&
	    p->fragment == SLUICE_FRAGMENT_NONE && l4_length >= SLUICE_ICMP_HEADER &&
	    l4 + SLUICE_ICMP_HEADER <= p->head && sluice_is_icmp_error(p->family, p->data[l4]))
		p->l4 = (uint16_t)l4;
}

SLUICE_INLINE void sluice_parse_transport(struct sluice_packet *p, uint32_t l4, uint32_t l4_length)
{
	bool tcp = p->protocol == IPPROTO_TCP;
	uint32_t smallest = tcp ? sizeof(struct sluice_tcp) : sizeof(struct sluice_udp);

	if (!tcp && p->protocol != IPPROTO_UDP) {
		p->verdict = SLUICE_VERDICT_PASS;
		sluice_parse_icmp(p, l4, l4_length);
		return;
	}
	if (p->fragment == SLUICE_FRAGMENT_LATER)
		return;
	// A first fragment without the whole header is an attack (RFC 1858), nobody's honest
	// packet.
	if (l4_length < smallest) {
		sluice_packet_drop(p, SLUICE_DROP_BAD_HEADER);
		return;
	}
	if (l4 + smallest > p->head) {
		sluice_packet_drop(p, SLUICE_DROP_TRUNCATED);
		return;
	}
	p->l4 = (uint16_t)l4;
	if (tcp) {
		const struct sluice_tcp *h = sluice_packet_l4(p);
		uint32_t header = (uint32_t)(h->offset >> 4) * 4;

		p->tcp_flags = h->flags;
		if (header < sizeof(*h) || header > l4_length)
			sluice_packet_drop(p, SLUICE_DROP_BAD_HEADER);
	} else {
		const struct sluice_udp *h = sluice_packet_l4(p);
		uint32_t length = ntohs(h->length);

		p->tcp_flags = 0;
		if (length < sizeof(*h) ||
		    (length > l4_length && p->fragment == SLUICE_FRAGMENT_NONE))
			sluice_packet_drop(p, SLUICE_DROP_BAD_HEADER);
	}
}

SLUICE_INLINE uint8_t sluice_parse_fragment(uint16_t field, uint16_t offset, uint16_t more)
{
	if (field & htons(offset))
		return SLUICE_FRAGMENT_LATER;
	return field & htons(more) ? SLUICE_FRAGMENT_FIRST : SLUICE_FRAGMENT_NONE;
}

// The packets that most are: TCP or UDP in IPv4 without options, whole and untagged. protocol:
// which of them, a constant. false: it is another one, or something is wrong with it, and nothing
// was changed.
SLUICE_INLINE bool sluice_parse_plain(struct sluice_packet *p, uint8_t protocol)
{
	const struct sluice_ipv4 *ip = (const void *)(p->data + SLUICE_ETHERNET);
	const struct sluice_tcp *tcp = (const void *)(ip + 1);
	const struct sluice_udp *udp = (const void *)(ip + 1);
	bool is_tcp = protocol == IPPROTO_TCP;
	uint32_t smallest = is_tcp ? sizeof(*tcp) : sizeof(*udp), total, needed;
	uint16_t type;

	if (p->head < SLUICE_ETHERNET + sizeof(*ip) + smallest)
		return false;
	memcpy(&type, p->data + 12, 2);
	if (type != htons(SLUICE_ETHERTYPE_V4) || ip->version_ihl != 0x45 ||
	    ip->protocol != protocol ||
	    (ip->fragment & htons(SLUICE_FRAGMENT_OFFSET_V4 | SLUICE_FRAGMENT_MORE_V4)))
		return false;
	total = ntohs(ip->total_length);
	needed = is_tcp ? (uint32_t)(tcp->offset & 0xf0) >> 2 : ntohs(udp->length);
	if (SLUICE_ETHERNET + total > p->length || needed < smallest ||
	    needed + sizeof(*ip) > total)
		return false;
	sluice_packet_plain(p, protocol);
	p->tcp_flags = is_tcp ? tcp->flags : 0;
	return true;
}

// l3: where the IP header stands; a constant where this is inlined.
SLUICE_INLINE void sluice_parse_v4(struct sluice_packet *p, uint32_t l3)
{
	const struct sluice_ipv4 *ip = (const void *)(p->data + l3);

	if (p->head < l3 + sizeof(*ip)) {
		sluice_packet_drop(p, SLUICE_DROP_TRUNCATED);
		return;
	}
	uint32_t header = (uint32_t)(ip->version_ihl & 0x0f) * 4;
	uint32_t total = ntohs(ip->total_length);

	if ((ip->version_ihl >> 4) != 4 || header < sizeof(*ip) || total < header) {
		sluice_packet_drop(p, SLUICE_DROP_BAD_HEADER);
		return;
	}
	if (l3 + total > p->length || l3 + header > p->head) {
		sluice_packet_drop(p, SLUICE_DROP_TRUNCATED);
		return;
	}
	p->l3 = (uint8_t)l3;
	p->family = SLUICE_IPV4;
	p->protocol = ip->protocol;
	p->fragment = sluice_parse_fragment(ip->fragment, SLUICE_FRAGMENT_OFFSET_V4,
	                                    SLUICE_FRAGMENT_MORE_V4);
	sluice_parse_transport(p, l3 + header, total - header);
}

SLUICE_INLINE bool sluice_parse_is_extension(uint8_t next)
{
	return next == IPPROTO_HOPOPTS || next == IPPROTO_ROUTING || next == IPPROTO_DSTOPTS ||
	       next == IPPROTO_FRAGMENT;
}

// Walks hop-by-hop options, routing and destination options up to the transport header
// (RFC 8200, section 4).
SLUICE_INLINE void sluice_parse_v6(struct sluice_packet *p, uint32_t l3)
{
	const struct sluice_ipv6 *ip = (const void *)(p->data + l3);

	if (p->head < l3 + sizeof(*ip)) {
		sluice_packet_drop(p, SLUICE_DROP_TRUNCATED);
		return;
	}
	uint32_t at = l3 + sizeof(*ip);
	uint32_t end = at + ntohs(ip->payload_length);
	uint8_t next = ip->next_header;

	if ((p->data[l3] >> 4) != 6) {
		sluice_packet_drop(p, SLUICE_DROP_BAD_HEADER);
		return;
	}
	if (end > p->length) {
		sluice_packet_drop(p, SLUICE_DROP_TRUNCATED);
		return;
	}
	p->l3 = (uint8_t)l3;
	p->family = SLUICE_IPV6;
	for (unsigned i = 0;
	     p->fragment != SLUICE_FRAGMENT_LATER && sluice_parse_is_extension(next); i++) {
		const uint8_t *h = p->data + at;

		if (i == SLUICE_EXTENSIONS_MAX || at + 8 > end) {
			sluice_packet_drop(p, SLUICE_DROP_BAD_HEADER);
			return;
		}
		if (at + 8 > p->head) {
			sluice_packet_drop(p, SLUICE_DROP_TRUNCATED);
			return;
		}
		if (next == IPPROTO_ROUTING && h[3] != 0) {
			// Segments left: it goes elsewhere from here, by the kernel if at all.
			p->verdict = SLUICE_VERDICT_PASS;
			return;
		}
		if (next == IPPROTO_FRAGMENT) {
			uint16_t offset;

			memcpy(&offset, h + 2, 2);
			// An atomic fragment (RFC 6946) is a whole packet.
			p->fragment = sluice_parse_fragment(offset, SLUICE_FRAGMENT_OFFSET_V6,
			                                    SLUICE_FRAGMENT_MORE_V6);
			at += 8;
		} else {
			at += 8 + h[1] * 8U;
		}
		next = h[0];
	}
	if (at > end) {
		sluice_packet_drop(p, SLUICE_DROP_BAD_HEADER);
		return;
	}
	p->protocol = next;
	// The first fragment has the rest of these, and what comes after them.
	if (p->fragment == SLUICE_FRAGMENT_LATER && sluice_parse_is_extension(next))
		return;
	sluice_parse_transport(p, at, end - at);
}

// One 802.1Q tag. More of them (802.1ad, QinQ) are for a network that is not ours.
static inline void sluice_parse_tagged(struct sluice_packet *p)
{
	uint16_t tag, type;

	if (p->head < SLUICE_ETHERNET + SLUICE_VLAN_TAG) {
		sluice_packet_drop(p, SLUICE_DROP_TRUNCATED);
		return;
	}
	memcpy(&tag, p->data + 14, 2);
	memcpy(&type, p->data + 16, 2);
	p->tag = ntohs(tag);
	if (type == htons(SLUICE_ETHERTYPE_V4))
		sluice_parse_v4(p, SLUICE_ETHERNET + SLUICE_VLAN_TAG);
	else if (type == htons(SLUICE_ETHERTYPE_V6))
		sluice_parse_v6(p, SLUICE_ETHERNET + SLUICE_VLAN_TAG);
	else
		p->verdict = SLUICE_VERDICT_PASS;
}

// Finds out what a frame is: family, protocol, where the transport header stands. A frame that
// is broken or no TCP or UDP has its verdict then.
SLUICE_INLINE void sluice_parse(struct sluice_packet *p)
{
	uint16_t type;

	if (p->head < SLUICE_ETHERNET) {
		sluice_packet_drop(p, SLUICE_DROP_TRUNCATED);
		return;
	}
	memcpy(&type, p->data + 12, 2);
	if (type == htons(SLUICE_ETHERTYPE_V4))
		sluice_parse_v4(p, SLUICE_ETHERNET);
	else if (type == htons(SLUICE_ETHERTYPE_V6))
		sluice_parse_v6(p, SLUICE_ETHERNET);
	else if (type == htons(SLUICE_ETHERTYPE_VLAN))
		sluice_parse_tagged(p);
	else
		p->verdict = SLUICE_VERDICT_PASS;
}
