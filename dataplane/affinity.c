// SPDX-License-Identifier: BSD-3-Clause
#include "dataplane/affinity.h"

static uint64_t key_of(const struct sluice_pipeline *ctx, const struct sluice_service *service,
                       const struct sluice_packet *p)
{
	if (p->family == SLUICE_IPV4)
		return sluice_flow_affinity_key(
		        ctx->flows, sluice_packet_address(p, SLUICE_SOURCE, SLUICE_IPV4),
		        service->affinity, SLUICE_IPV4);
	return sluice_flow_affinity_key(ctx->flows,
	                                sluice_packet_address(p, SLUICE_SOURCE, SLUICE_IPV6),
	                                service->affinity, SLUICE_IPV6);
}

// Whether the slot is still that endpoint of the service, and takes new flows.
static bool takes_flows(const struct sluice_snapshot *s, const struct sluice_service *service,
                        uint32_t slot, uint16_t generation)
{
	const struct sluice_endpoint *e = &s->endpoints[slot];

	return slot < s->endpoint_count && e->generation == generation &&
	       &s->services[e->service] == service && !(e->flags & SLUICE_ENDPOINT_NO_NEW_FLOWS);
}

static bool is_binding(const struct sluice_pipeline *ctx, const struct sluice_service *service,
                       struct sluice_flow_ref ref)
{
	struct sluice_flow_value v = sluice_flow_unpack(ref.value);

	return ref.entry && v.state == SLUICE_FLOW_AFFINITY &&
	       takes_flows(ctx->snapshot, service, v.slot, v.generation) &&
	       !sluice_flow_expired(ctx->flows, ref.value, ctx->now);
}

uint32_t sluice_affinity_find(const struct sluice_pipeline *ctx,
                              const struct sluice_service *service, const struct sluice_packet *p)
{
	uint64_t key = key_of(ctx, service, p);
	struct sluice_flow_ref ref =
	        sluice_flow_find(ctx->flows, key, sluice_flow_hash(ctx->flows, key));

	return is_binding(ctx, service, ref) ? sluice_flow_unpack(ref.value).slot
	                                     : SLUICE_AFFINITY_NONE;
}

void sluice_affinity_prefetch(const struct sluice_pipeline *ctx,
                              const struct sluice_service *service, const struct sluice_packet *p)
{
	sluice_flow_prefetch(ctx->flows, sluice_flow_hash(ctx->flows, key_of(ctx, service, p)));
}

enum sluice_flow_insert sluice_affinity_keep(struct sluice_pipeline *ctx,
                                             const struct sluice_service *service,
                                             const struct sluice_packet *p)
{
	uint64_t key = key_of(ctx, service, p), hash = sluice_flow_hash(ctx->flows, key);
	// The second that has begun does not count.
	uint32_t end = ctx->now + service->affinity_timeout + 1;
	struct sluice_flow_ref ref = sluice_flow_find(ctx->flows, key, hash);
	struct sluice_flow_value v = {
	        .slot = p->slot,
	        .generation = ctx->snapshot->endpoints[p->slot].generation,
	        .state = SLUICE_FLOW_AFFINITY,
	        .seen = end - SLUICE_FLOW_TIMEOUT_MAX,
	};
	uint64_t packed;

	// A flow that is older than the entry does not take the client along.
	if (is_binding(ctx, service, ref)) {
		v.slot = sluice_flow_unpack(ref.value).slot;
		v.generation = sluice_flow_unpack(ref.value).generation;
	} else if (!takes_flows(ctx->snapshot, service, v.slot, v.generation)) {
		return SLUICE_FLOW_EXISTS;
	}
	packed = sluice_flow_pack(v);
	if (!ref.entry)
		return sluice_flow_insert(ctx->flows, key, hash, packed, ctx->now);
	if (packed != ref.value)
		sluice_flow_update(&ref, packed);
	return SLUICE_FLOW_EXISTS;
}
