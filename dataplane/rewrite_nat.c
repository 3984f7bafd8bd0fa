// SPDX-License-Identifier: BSD-3-Clause

// Forwarding mode nat. In: the destination becomes the endpoint. Return: the source becomes the
// frontend that the client spoke to.

#include "dataplane/egress.h"
#include "dataplane/forward.h"
#include "dataplane/icmp.h"
#include "dataplane/rewrite.h"

SLUICE_INLINE void rewrite(struct sluice_packet *p, enum sluice_side side,
                           const struct sluice_change *c, const struct sluice_adjacency *a,
                           enum sluice_family family, uint8_t plain)
{
	struct sluice_packet q = sluice_packet_known(p, plain);

	sluice_change_network(&q, side, c, family);
	sluice_packet_hop(&q, family);
	sluice_change_transport(&q, side, c);
	sluice_egress_from(p, q.l3, a);
}

SLUICE_INLINE struct sluice_change change_in(const struct sluice_frontend *f,
                                             const struct sluice_endpoint *e)
{
	return (struct sluice_change){
	        .to = &e->target,
	        .old_address = f->address_sum,
	        .old_transport = f->transport_sum,
	        .new_address = e->address_sum,
	        .new_transport = e->transport_sum,
	};
}

SLUICE_INLINE struct sluice_change change_return(const struct sluice_frontend *f,
                                                 const struct sluice_endpoint *e)
{
	return (struct sluice_change){
	        .to = &f->target,
	        .old_address = e->address_sum,
	        .old_transport = e->transport_sum,
	        .new_address = f->address_sum,
	        .new_transport = f->transport_sum,
	};
}

SLUICE_INLINE void rewrite_in(struct sluice_pipeline *ctx, struct sluice_packet *p,
                              enum sluice_family family, uint8_t plain)
{
	const struct sluice_endpoint *e = &ctx->snapshot->endpoints[p->slot];
	struct sluice_change c = change_in(&ctx->snapshot->frontends[p->frontend], e);

	if (!sluice_packet_may_leave(p, &e->adjacency, family))
		return;
	c.old_address += (uint32_t)SLUICE_HOP_SUM;
	sluice_forward_count_in(ctx, p);
	rewrite(p, SLUICE_DESTINATION, &c, &e->adjacency, family, plain);
}

SLUICE_INLINE void rewrite_return(struct sluice_pipeline *ctx, struct sluice_packet *p,
                                  const struct sluice_adjacency *a, enum sluice_family family,
                                  uint8_t plain)
{
	const struct sluice_endpoint *e = &ctx->snapshot->endpoints[p->slot];
	struct sluice_change c = change_return(&ctx->snapshot->frontends[p->frontend], e);

	if (!sluice_packet_may_leave(p, a, family))
		return;
	c.old_address += (uint32_t)SLUICE_HOP_SUM;
	sluice_forward_count_out(ctx, p);
	rewrite(p, SLUICE_SOURCE, &c, a, family, plain);
}

static void nat_in(struct sluice_pipeline *ctx, struct sluice_packet *const *packets,
                   unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		struct sluice_packet *p = packets[i];

		if (p->verdict != SLUICE_VERDICT_NONE)
			continue;
		SLUICE_PACKET_CALL(p, rewrite_in, ctx, p);
	}
}

static void nat_out(struct sluice_pipeline *ctx, struct sluice_packet *const *packets,
                    const struct sluice_adjacency *const *adjacencies, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		struct sluice_packet *p = packets[i];

		SLUICE_PACKET_CALL(p, rewrite_return, ctx, p, adjacencies[i]);
	}
}

static void nat_error(struct sluice_packet *p, struct sluice_packet *quote, enum sluice_side side,
                      const struct sluice_change *c, const struct sluice_adjacency *a)
{
	sluice_icmp_change(p, quote, side, c);
	sluice_icmp_hop(p);
	sluice_egress(p, a);
}

static void nat_error_in(struct sluice_pipeline *ctx, struct sluice_packet *p,
                         struct sluice_packet *quote)
{
	const struct sluice_endpoint *e = &ctx->snapshot->endpoints[p->slot];
	struct sluice_change c = change_in(&ctx->snapshot->frontends[p->frontend], e);

	if (!sluice_packet_may_leave(p, &e->adjacency, p->family))
		return;
	sluice_forward_count_in(ctx, p);
	nat_error(p, quote, SLUICE_DESTINATION, &c, &e->adjacency);
}

static void nat_error_out(struct sluice_pipeline *ctx, struct sluice_packet *p,
                          struct sluice_packet *quote, const struct sluice_adjacency *a)
{
	const struct sluice_endpoint *e = &ctx->snapshot->endpoints[p->slot];
	struct sluice_change c = change_return(&ctx->snapshot->frontends[p->frontend], e);

	if (!sluice_packet_may_leave(p, a, p->family))
		return;
	sluice_forward_count_out(ctx, p);
	nat_error(p, quote, SLUICE_SOURCE, &c, a);
}

const struct sluice_forward_ops sluice_forward_nat = {
        .in = nat_in,
        .out = nat_out,
        .error_in = nat_error_in,
        .error_out = nat_error_out,
};
