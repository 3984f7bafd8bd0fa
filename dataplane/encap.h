// SPDX-License-Identifier: BSD-3-Clause
#pragma once

// Tunnels: the client's packet as it came, behind an outer IP header from this host to the
// endpoint, of the endpoint's family whatever the packet's is. The headers go into the headroom in
// front of the packet: with Ethernet and a tag at most 40 + 8 + 18 bytes, less the 14 or 18 that
// the frame had.

#include <arpa/inet.h>
#include <netinet/in.h>

#include "dataplane/checksum.h"
#include "dataplane/egress.h"
#include "dataplane/forward.h"

enum {
	SLUICE_TUNNEL_TTL = 64,
	SLUICE_GUE_PORT = 6080,
	SLUICE_DONT_FRAGMENT = 0x4000,
};

// What the outer header says about the packet inside.
struct sluice_inner {
	uint16_t length; // of the IP packet
	uint16_t
	        dont_fragment; // network byte order; IPv6 is never fragmented on its way (RFC 4213)
	uint8_t traffic_class; // DSCP and ECN, taken over (RFC 2983, RFC 6040)
	uint8_t protocol;      // as the next header
};

SLUICE_INLINE struct sluice_inner sluice_inner_read(const struct sluice_packet *p,
                                                    enum sluice_family family)
{
	if (family == SLUICE_IPV4) {
		const struct sluice_ipv4 *ip = sluice_packet_l3(p);

		return (struct sluice_inner){
		        .length = ntohs(ip->total_length),
		        .dont_fragment = ip->fragment & htons(SLUICE_DONT_FRAGMENT),
		        .traffic_class = ip->tos,
		        .protocol = IPPROTO_IPIP,
		};
	}
	const struct sluice_ipv6 *ip = sluice_packet_l3(p);

	return (struct sluice_inner){
	        .length = (uint16_t)(sizeof(*ip) + ntohs(ip->payload_length)),
	        .dont_fragment = htons(SLUICE_DONT_FRAGMENT),
	        .traffic_class = (uint8_t)(ntohl(ip->version_class_flow) >> 20),
	        .protocol = IPPROTO_IPV6,
	};
}

SLUICE_INLINE void sluice_encap_v4(struct sluice_pipeline *ctx, struct sluice_ipv4 *ip,
                                   const struct sluice_endpoint *e,
                                   const struct sluice_inner *inner, uint32_t payload)
{
	ip->version_ihl = 0x45;
	ip->tos = inner->traffic_class;
	ip->total_length = htons((uint16_t)(sizeof(*ip) + payload));
	ip->id = inner->dont_fragment ? 0 : htons(ctx->tunnel_id++); // RFC 6864
	ip->fragment = inner->dont_fragment;
	ip->ttl = SLUICE_TUNNEL_TTL;
	ip->protocol = inner->protocol;
	ip->checksum = (uint16_t)~sluice_sum_fold(
	        (uint64_t)htons((uint16_t)(0x4500 | ip->tos)) + ip->total_length + ip->id +
	        ip->fragment + htons((uint16_t)(SLUICE_TUNNEL_TTL << 8 | ip->protocol)) +
	        e->address_sum);
	memcpy(ip->source, &e->tunnel_source.bytes[12], 4);
	memcpy(ip->destination, &e->target.address.bytes[12], 4);
}

// The flow label spreads flows over the paths between here and the endpoint (RFC 6438).
SLUICE_INLINE void sluice_encap_v6(struct sluice_ipv6 *ip, const struct sluice_endpoint *e,
                                   const struct sluice_inner *inner, uint32_t payload,
                                   uint64_t hash)
{
	ip->version_class_flow =
	        htonl(6U << 28 | (uint32_t)inner->traffic_class << 20 | (uint32_t)(hash >> 44));
	ip->payload_length = htons((uint16_t)payload);
	ip->next_header = inner->protocol;
	ip->hop_limit = SLUICE_TUNNEL_TTL;
	memcpy(ip->source, e->tunnel_source.bytes, 16);
	memcpy(ip->destination, e->target.address.bytes, 16);
}

// Puts the outer header in front of the packet and of the `between` bytes that precede it, and
// sends it on its way.
SLUICE_INLINE void sluice_encap(struct sluice_pipeline *ctx, struct sluice_packet *p,
                                const struct sluice_endpoint *e, const struct sluice_inner *inner,
                                uint32_t between, enum sluice_family outer)
{
	uint32_t payload = between + inner->length;
	uint32_t header =
	        outer == SLUICE_IPV4 ? sizeof(struct sluice_ipv4) : sizeof(struct sluice_ipv6);
	uint8_t *ip = (uint8_t *)sluice_packet_l3(p) - between - header;
	uint16_t type = htons(outer == SLUICE_IPV4 ? SLUICE_ETHERTYPE_V4 : SLUICE_ETHERTYPE_V6);
	uint32_t grow = SLUICE_ETHERNET + header + between - p->l3;

	if (outer == SLUICE_IPV4)
		sluice_encap_v4(ctx, (void *)ip, e, inner, payload);
	else
		sluice_encap_v6((void *)ip, e, inner, payload, p->hash);
	memcpy(ip - sizeof(type), &type, sizeof(type));
	p->data = ip - SLUICE_ETHERNET;
	p->length += grow;
	p->head = (uint16_t)(p->head + grow);
	p->l4 = (uint16_t)(p->l4 + grow);
	p->l3 = SLUICE_ETHERNET;
	p->family = outer;
	p->moved = true;
	sluice_egress(p, &e->adjacency);
}

// Encapsulates one packet; the families are constants where it is inlined.
typedef void sluice_encap_one(struct sluice_pipeline *ctx, struct sluice_packet *p,
                              const struct sluice_endpoint *e, enum sluice_family inner,
                              enum sluice_family outer);

SLUICE_INLINE void sluice_encap_burst(struct sluice_pipeline *ctx,
                                      struct sluice_packet *const *packets, unsigned count,
                                      enum sluice_forwarding mode, sluice_encap_one *one)
{
	for (unsigned i = 0; i < count; i++) {
		struct sluice_packet *p = packets[i];
		const struct sluice_endpoint *e = &ctx->snapshot->endpoints[p->slot];
		bool outer_v4 = e->target.family == SLUICE_IPV4;

		if (p->verdict != SLUICE_VERDICT_NONE)
			continue;
		if (!sluice_forward_may_leave(p, e, mode))
			continue;
		sluice_forward_count_in(ctx, p);
		if (p->family == SLUICE_IPV4 && outer_v4)
			one(ctx, p, e, SLUICE_IPV4, SLUICE_IPV4);
		else if (p->family == SLUICE_IPV4)
			one(ctx, p, e, SLUICE_IPV4, SLUICE_IPV6);
		else if (outer_v4)
			one(ctx, p, e, SLUICE_IPV6, SLUICE_IPV4);
		else
			one(ctx, p, e, SLUICE_IPV6, SLUICE_IPV6);
	}
}
