// SPDX-License-Identifier: BSD-3-Clause

// Which endpoint does a client's packet go to? A flow that the table knows stays where it is; a
// new one goes where the consistent hash says, and is remembered on probation.
//
// An entry binds only while it means what it meant: its slot is still the same endpoint's (same
// generation), of the same service, and its time is not up. A SYN starts afresh where the client
// had closed (it uses the port again) and where the endpoint is draining.

#include "dataplane/pipeline.h"

#include "dataplane/hash.h"

#include <netinet/in.h>

static inline bool is_syn(const struct sluice_packet *p)
{
	return (p->tcp_flags & (SLUICE_TCP_SYN | SLUICE_TCP_ACK)) == SLUICE_TCP_SYN;
}

// The state after one more packet of the flow.
static inline unsigned next_state(unsigned state, const struct sluice_packet *p)
{
	if (p->protocol == IPPROTO_UDP)
		return SLUICE_FLOW_UDP;
	if (!(p->tcp_flags & (SLUICE_TCP_SYN | SLUICE_TCP_FIN | SLUICE_TCP_RST)))
		return state == SLUICE_FLOW_CLOSING ? state : SLUICE_FLOW_ESTABLISHED;
	if (is_syn(p))
		return state;
	if (p->tcp_flags & (SLUICE_TCP_FIN | SLUICE_TCP_RST))
		return state == SLUICE_FLOW_PROBATION ? state : SLUICE_FLOW_CLOSING;
	return SLUICE_FLOW_ESTABLISHED;
}

static inline bool is_binding(const struct sluice_pipeline *ctx, const struct sluice_packet *p,
                              uint64_t packed)
{
	const struct sluice_snapshot *s = ctx->snapshot;
	struct sluice_flow_value v = sluice_flow_unpack(packed);
	const struct sluice_endpoint *e = &s->endpoints[v.slot];

	if (v.slot >= s->endpoint_count || e->generation != v.generation ||
	    e->service != s->frontends[p->frontend].service)
		return false;
	if (((e->flags & SLUICE_ENDPOINT_DRAINING) || v.state == SLUICE_FLOW_CLOSING) && is_syn(p))
		return false;
	return !sluice_flow_expired(ctx->flows, packed, ctx->now);
}

// Follows the packet in an entry that binds. The line is written only when the second or the
// state changes: an unconditional store costs a third of the data path.
static inline void follow(const struct sluice_pipeline *ctx, struct sluice_packet *p,
                          struct sluice_flow_ref ref)
{
	struct sluice_flow_value v = sluice_flow_unpack(ref.value);
	unsigned state = next_state(v.state, p);

	p->slot = v.slot;
	if (__builtin_expect(state != v.state || ((v.seen ^ ctx->now) & SLUICE_FLOW_SEEN_MASK),
	                     0)) {
		v.state = (uint8_t)state;
		v.seen = ctx->now;
		sluice_flow_update(&ref, sluice_flow_pack(v));
	}
}

static void count_insert(struct sluice_worker_counters *c, enum sluice_flow_insert how)
{
	if (how == SLUICE_FLOW_EXISTS)
		return; // another worker was first
	if (how == SLUICE_FLOW_UNTRACKED) {
		sluice_count(&c->flow_untracked, 1);
		return;
	}
	sluice_count(&c->flow_inserts, 1);
	if (how == SLUICE_FLOW_REPLACED_EXPIRED)
		sluice_count(&c->flow_expirations, 1);
	else if (how == SLUICE_FLOW_REPLACED_PROBATION)
		sluice_count(&c->flow_evictions_probation, 1);
}

static uint32_t select_slot(const struct sluice_snapshot *s, const struct sluice_service *service,
                            const struct sluice_packet *p)
{
	uint64_t h;

	if (p->family == SLUICE_IPV4)
		h = sluice_hash_target(&s->row_key,
		                       sluice_packet_target(p, SLUICE_SOURCE, SLUICE_IPV4),
		                       SLUICE_IPV4);
	else
		h = sluice_hash_target(&s->row_key,
		                       sluice_packet_target(p, SLUICE_SOURCE, SLUICE_IPV6),
		                       SLUICE_IPV6);
	h = sluice_hash_fold(h ^ service->salt, s->row_key.k[0] | 1);
	return service->slots[service->rows[sluice_hash_range(h, service->table_size)]];
}

// A flow that no entry in its primary bucket binds: it may stand in the other one, or an earlier
// packet of this burst may have been its first.
static void start_flow(struct sluice_pipeline *ctx, struct sluice_packet *p)
{
	const struct sluice_snapshot *s = ctx->snapshot;
	const struct sluice_service *service = &s->services[s->frontends[p->frontend].service];
	struct sluice_flow_ref ref = sluice_flow_find(ctx->flows, p->key, p->hash);
	struct sluice_flow_value v = {.state = SLUICE_FLOW_PROBATION, .seen = ctx->now};

	if (ref.entry && is_binding(ctx, p, ref.value)) {
		follow(ctx, p, ref);
		return;
	}
	if (!service->rows) {
		if (service->on_empty == SLUICE_ON_EMPTY_REFUSE)
			sluice_refuse(ctx, p);
		else
			sluice_packet_drop(p, SLUICE_DROP_NO_ENDPOINT);
		return;
	}
	p->slot = select_slot(s, service, p);
	v.slot = p->slot;
	v.generation = s->endpoints[p->slot].generation;
	sluice_count(&ctx->endpoint_counters[p->slot].connections, 1);
	if (ref.entry && sluice_flow_update(&ref, sluice_flow_pack(v))) {
		sluice_count(&ctx->counters->flow_inserts, 1);
		sluice_count(&ctx->counters->flow_expirations, 1);
		return;
	}
	count_insert(ctx->counters, sluice_flow_insert(ctx->flows, p->key, p->hash,
	                                               sluice_flow_pack(v), ctx->now));
}

bool sluice_track_peek(const struct sluice_pipeline *ctx, struct sluice_packet *p)
{
	const struct sluice_snapshot *s = ctx->snapshot;
	const struct sluice_service *service = &s->services[s->frontends[p->frontend].service];
	struct sluice_flow_ref ref = sluice_flow_find(ctx->flows, p->key, p->hash);

	if (ref.entry && is_binding(ctx, p, ref.value))
		p->slot = sluice_flow_unpack(ref.value).slot;
	else if (service->rows)
		p->slot = select_slot(s, service, p);
	else
		return false;
	return true;
}

void sluice_track(struct sluice_pipeline *ctx, struct sluice_burst *b)
{
	struct sluice_packet *starts[SLUICE_BURST];
	unsigned start_count = 0;

	for (unsigned i = 0; i < b->in_count; i++) {
		struct sluice_packet *p = b->in[i];
		struct sluice_flow_ref ref = sluice_flow_find_primary(ctx->flows, p->key, p->hash);

		if (ref.entry && is_binding(ctx, p, ref.value)) {
			follow(ctx, p, ref);
		} else {
			sluice_flow_prefetch_secondary(ctx->flows, p->hash);
			starts[start_count++] = p;
		}
	}
	for (unsigned i = 0; i < start_count; i++)
		start_flow(ctx, starts[i]);
}
