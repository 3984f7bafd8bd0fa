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
	uint16_t old_address, old_port; // sums
	uint16_t new_address, new_port;
};

static inline void change_transport(struct sluice_packet *p, enum sluice_side side,
                                    const struct change *c)
{
	uint8_t *l4 = sluice_packet_l4(p);
	bool udp = p->protocol == IPPROTO_UDP;
	uint8_t *checksum = l4 + (udp ? 6 : 16);
	uint16_t sum;

	memcpy(l4 + (side == SLUICE_SOURCE ? 0 : 2), &c->to->port, 2);
	memcpy(&sum, checksum, 2);
	if (udp && sum == 0)
		return; // the sender computed none (RFC 768)
	sum = sluice_checksum_update(sum, sluice_sum_add(c->old_address, c->old_port),
	                             sluice_sum_add(c->new_address, c->new_port));
	if (udp && sum == 0)
		sum = 0xffff;
	memcpy(checksum, &sum, 2);
}

// false: the time to live is used up.
static inline bool change_network(struct sluice_packet *p, enum sluice_side side,
                                  const struct change *c, enum sluice_family family)
{
	if (family == SLUICE_IPV6) {
		struct sluice_ipv6 *ip = sluice_packet_l3(p);

		if (ip->hop_limit <= 1)
			return false;
		ip->hop_limit--;
		memcpy(side == SLUICE_SOURCE ? ip->source : ip->destination, c->to->address.bytes,
		       16);
		return true;
	}
	struct sluice_ipv4 *ip = sluice_packet_l3(p);
	uint16_t one_hop = htons(0x0100); // the TTL is the upper byte of its word

	if (ip->ttl <= 1)
		return false;
	ip->ttl--;
	memcpy(side == SLUICE_SOURCE ? ip->source : ip->destination, &c->to->address.bytes[12], 4);
	ip->checksum = sluice_checksum_update(ip->checksum, sluice_sum_add(c->old_address, one_hop),
	                                      c->new_address);
	return true;
}

static inline void change_packet(struct sluice_packet *p, enum sluice_side side,
                                 const struct change *c)
{
	bool alive = p->family == SLUICE_IPV4 ? change_network(p, side, c, SLUICE_IPV4)
	                                      : change_network(p, side, c, SLUICE_IPV6);

	if (!alive)
		sluice_packet_drop(p, SLUICE_DROP_TTL_EXPIRED);
	else
		change_transport(p, side, c);
}

// Decides how a rewritten packet leaves.
static inline void leave(struct sluice_packet *p, const struct sluice_adjacency *a)
{
	if (p->verdict != SLUICE_VERDICT_NONE)
		return;
	if (a->state != SLUICE_ADJACENCY_READY) {
		p->verdict = SLUICE_VERDICT_RESOLVE;
		return;
	}
	static_assert(offsetof(struct sluice_adjacency, source) == 6, "copied as one");
	memcpy(p->data, a->destination, 12);
	p->port_out = a->port;
	p->verdict = SLUICE_VERDICT_TRANSMIT;
}

static inline bool fits(struct sluice_packet *p, const struct sluice_adjacency *a)
{
	if (a->state == SLUICE_ADJACENCY_NONE)
		sluice_packet_drop(p, SLUICE_DROP_NO_ROUTE);
	else if (p->length > (uint32_t)a->mtu + SLUICE_ETHERNET)
		sluice_packet_drop(p, SLUICE_DROP_TOO_BIG);
	else
		return true;
	return false;
}

static inline void rewrite_in(struct sluice_pipeline *ctx, struct sluice_packet *p)
{
	const struct sluice_frontend *f = &ctx->snapshot->frontends[p->frontend];
	const struct sluice_endpoint *e = &ctx->snapshot->endpoints[p->slot];
	struct sluice_endpoint_counters *count = &ctx->endpoint_counters[p->slot];
	struct change c = {&e->target, f->address_sum, f->port_sum, e->address_sum, e->port_sum};

	sluice_count(&count->in_packets, 1);
	sluice_count(&count->in_bytes, p->length);
	if (!fits(p, &e->adjacency))
		return;
	change_packet(p, SLUICE_DESTINATION, &c);
	leave(p, &e->adjacency);
}

static inline void rewrite_return(struct sluice_pipeline *ctx, struct sluice_packet *p,
                                  const struct sluice_adjacency *a)
{
	const struct sluice_frontend *f = &ctx->snapshot->frontends[p->frontend];
	const struct sluice_endpoint *e = &ctx->snapshot->endpoints[p->slot];
	struct sluice_endpoint_counters *count = &ctx->endpoint_counters[p->slot];
	struct change c = {&f->target, e->address_sum, e->port_sum, f->address_sum, f->port_sum};

	sluice_count(&count->out_packets, 1);
	sluice_count(&count->out_bytes, p->length);
	if (!fits(p, a))
		return;
	change_packet(p, SLUICE_SOURCE, &c);
	leave(p, a);
}

void sluice_rewrite_nat(struct sluice_pipeline *ctx, struct sluice_burst *b)
{
	const struct sluice_adjacency *adjacencies[SLUICE_BURST];

	for (unsigned i = 0; i < b->in_count; i++) {
		struct sluice_packet *p = &b->packets[b->in[i]];

		if (p->verdict == SLUICE_VERDICT_NONE)
			rewrite_in(ctx, p);
	}
	if (b->return_count == 0)
		return;
	sluice_route(ctx->snapshot, b, adjacencies);
	for (unsigned i = 0; i < b->return_count; i++)
		rewrite_return(ctx, &b->packets[b->returns[i]], adjacencies[i]);
}
