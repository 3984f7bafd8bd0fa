// SPDX-License-Identifier: BSD-3-Clause

// Forwarding mode nat. In: the destination becomes the endpoint. Return: the source becomes the
// frontend that the client spoke to. Checksums follow by the difference of two constants, one a
// frontend's and one an endpoint's (RFC 1624, equation 3), never by a pass over the payload.

#include "dataplane/pipeline.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include "dataplane/checksum.h"

// What is replaced by what.
struct change {
	const struct sluice_target *to;
	uint16_t old_address, old_transport; // sums
	uint16_t new_address, new_transport;
};

SLUICE_INLINE void change_transport(struct sluice_packet *p, enum sluice_side side,
                                    const struct change *c)
{
	bool udp = p->protocol == IPPROTO_UDP;
	uint8_t *l4 = sluice_packet_l4(p);
	uint8_t *at = l4 + (udp ? offsetof(struct sluice_udp, checksum)
	                        : offsetof(struct sluice_tcp, checksum));
	uint16_t checksum;

	memcpy(l4 + (side == SLUICE_SOURCE ? 0 : 2), &c->to->port, 2);
	memcpy(&checksum, at, 2);
	if (udp && checksum == 0)
		return; // the sender computed none (RFC 768)
	checksum = sluice_checksum_update(checksum, c->old_transport, c->new_transport);
	if (udp && checksum == 0)
		checksum = 0xffff;
	memcpy(at, &checksum, 2);
}

SLUICE_INLINE uint8_t time_to_live(const struct sluice_packet *p, enum sluice_family family)
{
	if (family == SLUICE_IPV4)
		return ((const struct sluice_ipv4 *)sluice_packet_l3(p))->ttl;
	return ((const struct sluice_ipv6 *)sluice_packet_l3(p))->hop_limit;
}

SLUICE_INLINE void change_network(struct sluice_packet *p, enum sluice_side side,
                                  const struct change *c, enum sluice_family family)
{
	if (family == SLUICE_IPV4) {
		struct sluice_ipv4 *ip = sluice_packet_l3(p);
		uint16_t hop = htons(0x0100); // the TTL is the upper byte of its word

		memcpy(side == SLUICE_SOURCE ? ip->source : ip->destination,
		       &c->to->address.bytes[12], 4);
		ip->ttl--;
		ip->checksum = sluice_checksum_update(ip->checksum, (uint32_t)c->old_address + hop,
		                                      c->new_address);
	} else {
		struct sluice_ipv6 *ip = sluice_packet_l3(p);

		memcpy(side == SLUICE_SOURCE ? ip->source : ip->destination, c->to->address.bytes,
		       16);
		ip->hop_limit--;
	}
}

// Writes the packet anew, and decides how it leaves.
SLUICE_INLINE void rewrite(struct sluice_packet *p, enum sluice_side side, const struct change *c,
                           const struct sluice_adjacency *a, enum sluice_family family)
{
	static_assert(offsetof(struct sluice_adjacency, source) == 6, "copied as one");

	if (a->state == SLUICE_ADJACENCY_NONE) {
		sluice_packet_drop(p, SLUICE_DROP_NO_ROUTE);
		return;
	}
	if (p->length > (uint32_t)a->mtu + SLUICE_ETHERNET) {
		sluice_packet_drop(p, SLUICE_DROP_TOO_BIG);
		return;
	}
	if (time_to_live(p, family) <= 1) {
		sluice_packet_drop(p, SLUICE_DROP_TTL_EXPIRED);
		return;
	}
	change_network(p, side, c, family);
	change_transport(p, side, c);
	if (a->state != SLUICE_ADJACENCY_READY) {
		p->verdict = SLUICE_VERDICT_RESOLVE;
		return;
	}
	memcpy(p->data, a->destination, 12);
	p->port_out = a->port;
	p->verdict = SLUICE_VERDICT_TRANSMIT;
}

SLUICE_INLINE void rewrite_in(struct sluice_pipeline *ctx, struct sluice_packet *p,
                              enum sluice_family family)
{
	const struct sluice_frontend *f = &ctx->snapshot->frontends[p->frontend];
	const struct sluice_endpoint *e = &ctx->snapshot->endpoints[p->slot];
	struct sluice_endpoint_counters *count = &ctx->endpoint_counters[p->slot];
	struct change c = {
	        .to = &e->target,
	        .old_address = f->address_sum,
	        .old_transport = f->transport_sum,
	        .new_address = e->address_sum,
	        .new_transport = e->transport_sum,
	};

	sluice_count(&count->in_packets, 1);
	sluice_count(&count->in_bytes, p->length);
	rewrite(p, SLUICE_DESTINATION, &c, &e->adjacency, family);
}

SLUICE_INLINE void rewrite_return(struct sluice_pipeline *ctx, struct sluice_packet *p,
                                  const struct sluice_adjacency *a, enum sluice_family family)
{
	const struct sluice_frontend *f = &ctx->snapshot->frontends[p->frontend];
	const struct sluice_endpoint *e = &ctx->snapshot->endpoints[p->slot];
	struct sluice_endpoint_counters *count = &ctx->endpoint_counters[p->slot];
	struct change c = {
	        .to = &f->target,
	        .old_address = e->address_sum,
	        .old_transport = e->transport_sum,
	        .new_address = f->address_sum,
	        .new_transport = f->transport_sum,
	};

	sluice_count(&count->out_packets, 1);
	sluice_count(&count->out_bytes, p->length);
	rewrite(p, SLUICE_SOURCE, &c, a, family);
}

void sluice_rewrite_nat(struct sluice_pipeline *ctx, struct sluice_burst *b)
{
	const struct sluice_adjacency *adjacencies[SLUICE_BURST];

	for (unsigned i = 0; i < b->in_count; i++) {
		struct sluice_packet *p = b->in[i];

		if (p->verdict != SLUICE_VERDICT_NONE)
			continue;
		if (p->family == SLUICE_IPV4)
			rewrite_in(ctx, p, SLUICE_IPV4);
		else
			rewrite_in(ctx, p, SLUICE_IPV6);
	}
	if (b->return_count == 0)
		return;
	sluice_route(ctx->snapshot, b, adjacencies);
	for (unsigned i = 0; i < b->return_count; i++) {
		struct sluice_packet *p = b->returns[i];

		if (p->family == SLUICE_IPV4)
			rewrite_return(ctx, p, adjacencies[i], SLUICE_IPV4);
		else
			rewrite_return(ctx, p, adjacencies[i], SLUICE_IPV6);
	}
}
