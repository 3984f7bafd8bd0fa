// SPDX-License-Identifier: BSD-3-Clause

// Which endpoint does a client's packet go to? A flow that the table knows stays where it is; a
// new one goes where the consistent hash says, and is remembered on probation.
//
// An entry binds only while it means what it meant: its slot is still the same endpoint's (same
// generation), of the same service, and its time is not up. A SYN starts afresh where the client
// had closed (it uses the port again) and where the endpoint is draining. What a QUIC packet says
// of its endpoint goes before all that.

#include "dataplane/pipeline.h"

#include "dataplane/affinity.h"
#include "dataplane/hash.h"
#include "dataplane/quic.h"
#include "dataplane/target_table.h"

#include <netinet/in.h>

static inline bool is_syn(const struct sluice_packet *p)
{
	const unsigned all = SLUICE_TCP_SYN | SLUICE_TCP_ACK | SLUICE_TCP_FIN | SLUICE_TCP_RST;

	return (p->tcp_flags & all) == SLUICE_TCP_SYN;
}

// The state after one more packet of the flow. A SYN again says nothing new, and one with another
// flag is what no client sends.
static inline unsigned next_state(unsigned state, const struct sluice_packet *p)
{
	if (p->protocol == IPPROTO_UDP)
		return SLUICE_FLOW_UDP;
	if (!(p->tcp_flags & (SLUICE_TCP_SYN | SLUICE_TCP_FIN | SLUICE_TCP_RST)))
		return state == SLUICE_FLOW_CLOSING ? state : SLUICE_FLOW_ESTABLISHED;
	if (p->tcp_flags & SLUICE_TCP_SYN)
		return state;
	return state == SLUICE_FLOW_PROBATION ? state : SLUICE_FLOW_CLOSING;
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

// Whether the entry says what the packet itself says; named: a slot or SLUICE_TARGET_NONE.
SLUICE_INLINE bool agrees(uint64_t packed, uint32_t named)
{
	return named == SLUICE_TARGET_NONE || sluice_flow_unpack(packed).slot == named;
}

// Writes what the packet changed in its flow's entry. A client whose flow is more than one packet
// may be remembered.
static __attribute__((noinline)) void refresh(struct sluice_pipeline *ctx,
                                              const struct sluice_packet *p,
                                              struct sluice_flow_ref ref, unsigned state)
{
	const struct sluice_snapshot *s = ctx->snapshot;
	const struct sluice_service *service = &s->services[s->frontends[p->frontend].service];
	struct sluice_flow_value v = sluice_flow_unpack(ref.value);
	bool confirmed = v.state == SLUICE_FLOW_PROBATION && state != v.state;

	v.state = (uint8_t)state;
	v.seen = ctx->now;
	sluice_flow_update(&ref, sluice_flow_pack(v));
	if (confirmed && service->affinity)
		count_insert(ctx->counters, sluice_affinity_keep(ctx, service, p));
}

// Follows the packet in an entry that binds. The line is written only when the second or the
// state changes: an unconditional store costs a third of the data path.
static inline void follow(struct sluice_pipeline *ctx, struct sluice_packet *p,
                          struct sluice_flow_ref ref)
{
	struct sluice_flow_value v = sluice_flow_unpack(ref.value);
	unsigned state = next_state(v.state, p);

	p->slot = v.slot;
	if (__builtin_expect(state != v.state || ((v.seen ^ ctx->now) & SLUICE_FLOW_SEEN_MASK), 0))
		refresh(ctx, p, ref, state);
}

// Who the row is chosen by: the flow, or the client where it is to have one endpoint.
SLUICE_INLINE uint64_t hash_client(const struct sluice_snapshot *s,
                                   const struct sluice_service *service,
                                   const struct sluice_packet *p, enum sluice_family family)
{
	struct sluice_target_view v = service->affinity
	                                      ? sluice_packet_address(p, SLUICE_SOURCE, family)
	                                      : sluice_packet_target(p, SLUICE_SOURCE, family);

	return sluice_hash_target(&s->row_key, v, family);
}

static uint32_t select_slot(const struct sluice_snapshot *s, const struct sluice_service *service,
                            const struct sluice_packet *p)
{
	uint64_t h = p->family == SLUICE_IPV4 ? hash_client(s, service, p, SLUICE_IPV4)
	                                      : hash_client(s, service, p, SLUICE_IPV6);

	h = sluice_hash_fold(h ^ service->salt, s->row_key.k[0] | 1);
	return service->slots[service->rows[sluice_hash_range(h, service->table_size)]];
}

// Where a new flow goes. The service has rows.
static uint32_t choose(const struct sluice_pipeline *ctx, const struct sluice_service *service,
                       const struct sluice_packet *p)
{
	uint32_t slot = SLUICE_AFFINITY_NONE;

	if (service->affinity)
		slot = sluice_affinity_find(ctx, service, p);
	return slot != SLUICE_AFFINITY_NONE ? slot : select_slot(ctx->snapshot, service, p);
}

// Gives a new flow its endpoint; false where there is none, with a verdict then.
static bool place(struct sluice_pipeline *ctx, const struct sluice_service *service,
                  struct sluice_packet *p)
{
	if (!service->rows) {
		if (service->on_empty == SLUICE_ON_EMPTY_REFUSE)
			sluice_refuse(ctx, p);
		else
			sluice_packet_drop(p, SLUICE_DROP_NO_ENDPOINT);
		return false;
	}
	p->slot = choose(ctx, service, p);
	sluice_count(&ctx->endpoint_counters[p->slot].connections, 1);
	return true;
}

// A flow that no entry in its primary bucket binds: it may stand in the other one, or an earlier
// packet of this burst may have been its first. named: the slot that the packet itself says, or
// SLUICE_TARGET_NONE; then it is no new connection, only one that came another way until now.
static void start_flow(struct sluice_pipeline *ctx, struct sluice_packet *p, uint32_t named)
{
	const struct sluice_snapshot *s = ctx->snapshot;
	const struct sluice_service *service = &s->services[s->frontends[p->frontend].service];
	struct sluice_flow_ref ref = sluice_flow_find(ctx->flows, p->key, p->hash);
	struct sluice_flow_value v = {.state = SLUICE_FLOW_PROBATION, .seen = ctx->now};

	if (ref.entry && is_binding(ctx, p, ref.value) && agrees(ref.value, named)) {
		follow(ctx, p, ref);
		return;
	}
	if (named != SLUICE_TARGET_NONE)
		p->slot = named;
	else if (!place(ctx, service, p))
		return;
	v.slot = p->slot;
	v.generation = s->endpoints[p->slot].generation;
	if (ref.entry && sluice_flow_update(&ref, sluice_flow_pack(v))) {
		if (named == SLUICE_TARGET_NONE) {
			sluice_count(&ctx->counters->flow_inserts, 1);
			sluice_count(&ctx->counters->flow_expirations, 1);
		}
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
		p->slot = choose(ctx, service, p);
	else
		return false;
	return true;
}

// What start_flow() will read.
static void prefetch_start(const struct sluice_pipeline *ctx, const struct sluice_packet *p)
{
	const struct sluice_snapshot *s = ctx->snapshot;
	const struct sluice_service *service = &s->services[s->frontends[p->frontend].service];

	sluice_flow_prefetch_secondary(ctx->flows, p->hash);
	if (service->affinity)
		sluice_affinity_prefetch(ctx, service, p);
}

// quic: a constant, so that who has no such service pays nothing for it.
SLUICE_INLINE void track(struct sluice_pipeline *ctx, struct sluice_burst *b, bool quic)
{
	const struct sluice_snapshot *s = ctx->snapshot;
	struct sluice_packet *starts[SLUICE_BURST];
	uint32_t named[SLUICE_BURST];
	unsigned start_count = 0;

	for (unsigned i = 0; i < b->in_count; i++) {
		struct sluice_packet *p = b->in[i];
		struct sluice_flow_ref ref = sluice_flow_find_primary(ctx->flows, p->key, p->hash);
		uint32_t slot = SLUICE_TARGET_NONE;

		if (quic && s->frontends[p->frontend].server_id_length)
			slot = sluice_quic_find(s, p, &s->frontends[p->frontend]);
		if (ref.entry && is_binding(ctx, p, ref.value) && agrees(ref.value, slot)) {
			follow(ctx, p, ref);
		} else {
			prefetch_start(ctx, p);
			named[start_count] = slot;
			starts[start_count++] = p;
		}
	}
	for (unsigned i = 0; i < start_count; i++)
		start_flow(ctx, starts[i], named[i]);
}

void sluice_track(struct sluice_pipeline *ctx, struct sluice_burst *b)
{
	if (__builtin_expect(ctx->snapshot->server_ids != NULL, 0))
		track(ctx, b, true);
	else
		track(ctx, b, false);
}
