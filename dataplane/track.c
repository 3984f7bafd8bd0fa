// SPDX-License-Identifier: BSD-3-Clause

// Which endpoint does a client's packet go to? A flow that the table knows stays where it is; a
// new one goes where the consistent hash says, and is remembered on probation. What a QUIC packet
// says of its endpoint goes before all that.

#include "dataplane/track.h"

#include "dataplane/affinity.h"
#include "dataplane/hash.h"
#include "dataplane/quic.h"

static inline bool is_binding(const struct sluice_pipeline *ctx, const struct sluice_packet *p,
                              uint64_t packed)
{
	return sluice_track_binds(ctx, &ctx->flows->timeouts, p, packed);
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

uint64_t __attribute__((noinline))
sluice_track_refresh(struct sluice_pipeline *ctx, const struct sluice_packet *p, uint64_t packed,
                     unsigned state)
{
	const struct sluice_snapshot *s = ctx->snapshot;
	const struct sluice_service *service = &s->services[s->frontends[p->frontend].service];
	struct sluice_flow_value v = sluice_flow_unpack(packed);
	bool confirmed = v.state == SLUICE_FLOW_PROBATION && state != v.state;

	if (confirmed && service->affinity)
		count_insert(ctx->counters, sluice_affinity_keep(ctx, service, p));
	v.state = (uint8_t)state;
	v.seen = ctx->now;
	return sluice_flow_pack(v);
}

// Follows the packet in an entry that binds.
static inline void follow(struct sluice_pipeline *ctx, struct sluice_packet *p,
                          struct sluice_flow_ref ref)
{
	unsigned state;

	if (sluice_track_follow(ctx, p, ref.value, &state))
		sluice_flow_update(&ref, sluice_track_refresh(ctx, p, ref.value, state));
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

bool sluice_track_place(struct sluice_pipeline *ctx, struct sluice_packet *p, uint32_t named)
{
	const struct sluice_snapshot *s = ctx->snapshot;
	const struct sluice_service *service = &s->services[s->frontends[p->frontend].service];

	if (named != SLUICE_TARGET_NONE) {
		p->slot = named;
		return true;
	}
	if (!service->rows) {
		if (service->on_empty == SLUICE_ON_EMPTY_REFUSE)
			sluice_refuse(ctx, p);
		else
			sluice_packet_drop(p, SLUICE_DROP_NO_ENDPOINT);
		return false;
	}
	p->slot = choose(ctx, service, p);
	return true;
}

uint64_t sluice_track_new(const struct sluice_pipeline *ctx, const struct sluice_packet *p)
{
	return sluice_flow_pack((struct sluice_flow_value){
	        .slot = p->slot,
	        .generation = ctx->snapshot->endpoints[p->slot].generation, // never 0
	        .state = SLUICE_FLOW_PROBATION,
	        .seen = ctx->now,
	});
}

// A flow that no entry in its primary bucket binds: it may stand in the other one, or an earlier
// packet of this burst may have been its first. named: the slot that the packet itself says, or
// SLUICE_TARGET_NONE; then it is no new connection, only one that came another way until now.
static void start_flow(struct sluice_pipeline *ctx, struct sluice_packet *p, uint32_t named)
{
	struct sluice_flow_ref ref = sluice_flow_find(ctx->flows, p->key, p->hash);
	uint64_t value;

	if (ref.entry && is_binding(ctx, p, ref.value) && sluice_track_agrees(ref.value, named)) {
		follow(ctx, p, ref);
		return;
	}
	if (!sluice_track_place(ctx, p, named))
		return;
	if (named == SLUICE_TARGET_NONE)
		sluice_count(&ctx->endpoint_counters[p->slot].connections, 1);
	value = sluice_track_new(ctx, p);
	if (ref.entry && sluice_flow_update(&ref, value)) {
		if (named == SLUICE_TARGET_NONE) {
			sluice_count(&ctx->counters->flow_inserts, 1);
			sluice_count(&ctx->counters->flow_expirations, 1);
		}
		return;
	}
	count_insert(ctx->counters,
	             sluice_flow_insert(ctx->flows, p->key, p->hash, value, ctx->now));
}

bool sluice_track_peek(const struct sluice_pipeline *ctx, struct sluice_packet *p)
{
	const struct sluice_snapshot *s = ctx->snapshot;
	const struct sluice_service *service = &s->services[s->frontends[p->frontend].service];
	struct sluice_flow_ref ref;

	if (p->forwarding == SLUICE_FORWARD_FULLNAT)
		return sluice_track_snat_peek(ctx, p);
	ref = sluice_flow_find(ctx->flows, p->key, p->hash);
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

SLUICE_INLINE bool is_known_snat(struct sluice_pipeline *ctx, struct sluice_packet *p,
                                 uint32_t named)
{
	struct sluice_snat_ref ref = sluice_snat_find_preferred(ctx->snat, p->key, p->hash);

	if (ref.entry && sluice_track_agrees(ref.value, named) &&
	    sluice_track_is_steady(ctx, p, ref.value)) {
		p->slot = sluice_flow_unpack(ref.value).slot;
		p->key = ref.source;
		return true;
	}
	if (sluice_track_snat_binds(ctx, p, &ref, named))
		return true;
	sluice_snat_prefetch_neighbour(ctx->snat, p->hash);
	return false;
}

// true: an entry in the flow's preferred line binds, and the packet has its endpoint.
SLUICE_INLINE bool is_known(struct sluice_pipeline *ctx, struct sluice_packet *p, uint32_t named)
{
	struct sluice_flow_ref ref;

	if (__builtin_expect(p->forwarding == SLUICE_FORWARD_FULLNAT, 0))
		return is_known_snat(ctx, p, named);
	ref = sluice_flow_find_primary(ctx->flows, p->key, p->hash);
	if (ref.entry && sluice_track_agrees(ref.value, named)) {
		if (__builtin_expect(sluice_track_is_steady(ctx, p, ref.value), 1)) {
			p->slot = sluice_flow_unpack(ref.value).slot;
			return true;
		}
		if (is_binding(ctx, p, ref.value)) {
			follow(ctx, p, ref);
			return true;
		}
	}
	prefetch_start(ctx, p);
	return false;
}

// Some fullnat flows are in the second line of their bucket. Takes those off the lists of what is
// to be started; returns how many are left.
static unsigned look_beside(struct sluice_pipeline *ctx, struct sluice_packet **starts,
                            uint32_t *named, unsigned count)
{
	unsigned left = 0;

	for (unsigned i = 0; i < count; i++) {
		struct sluice_packet *p = starts[i];

		if (p->forwarding == SLUICE_FORWARD_FULLNAT) {
			struct sluice_snat_ref ref =
			        sluice_snat_find_neighbour(ctx->snat, p->key, p->hash);

			if (sluice_track_snat_binds(ctx, p, &ref, named[i]))
				continue;
			sluice_snat_prefetch_secondary(ctx->snat, p->hash);
		}
		named[left] = named[i];
		starts[left++] = p;
	}
	return left;
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
		uint32_t slot = SLUICE_TARGET_NONE;

		if (quic && s->frontends[p->frontend].server_id_length)
			slot = sluice_quic_find(s, p, &s->frontends[p->frontend]);
		if (is_known(ctx, p, slot))
			continue;
		named[start_count] = slot;
		starts[start_count++] = p;
	}
	if (ctx->snat)
		start_count = look_beside(ctx, starts, named, start_count);
	for (unsigned i = 0; i < start_count; i++) {
		if (starts[i]->forwarding == SLUICE_FORWARD_FULLNAT)
			sluice_track_snat_start(ctx, starts[i], named[i]);
		else
			start_flow(ctx, starts[i], named[i]);
	}
}

void sluice_track(struct sluice_pipeline *ctx, struct sluice_burst *b)
{
	if (__builtin_expect(ctx->snapshot->server_ids != NULL, 0))
		track(ctx, b, true);
	else
		track(ctx, b, false);
}
