// SPDX-License-Identifier: BSD-3-Clause

// The flows of fullnat services. They stand in a table of their own and not in the flow table, so
// that a packet on its way in reads one line: endpoint, and the source that it leaves with.
//
// Where a service changes from nat to fullnat, or back, its old flows stand in the table that is no
// longer asked: the next packet of each finds no entry, and the hash selects anew. What endpoints
// still send to a SNAT address goes to its client all the same, as the reverse entry is there.

#include "dataplane/track.h"

#include "dataplane/snat_table.h"

enum {
	ROUNDS = 4, // of a flow that other workers insert at the same time
};

static inline void follow(struct sluice_pipeline *ctx, struct sluice_packet *p,
                          struct sluice_snat_ref *ref)
{
	unsigned state;

	p->key = ref->source;
	if (sluice_track_follow(ctx, p, ref->value, &state))
		sluice_snat_update(ref, sluice_track_refresh(ctx, p, ref->value, state));
}

static inline bool is_binding(const struct sluice_pipeline *ctx, const struct sluice_packet *p,
                              const struct sluice_snat_ref *ref, uint32_t named)
{
	return ref->entry && sluice_track_binds(ctx, &ctx->snat->timeouts, p, ref->value) &&
	       sluice_track_agrees(ref->value, named);
}

bool sluice_track_snat_binds(struct sluice_pipeline *ctx, struct sluice_packet *p,
                             struct sluice_snat_ref *ref, uint32_t named)
{
	if (!is_binding(ctx, p, ref, named))
		return false;
	follow(ctx, p, ref);
	return true;
}

bool sluice_track_snat_peek(const struct sluice_pipeline *ctx, struct sluice_packet *p)
{
	struct sluice_snat_ref ref = sluice_snat_find(ctx->snat, p->key, p->hash);

	if (!is_binding(ctx, p, &ref, SLUICE_TARGET_NONE))
		return false;
	p->slot = sluice_flow_unpack(ref.value).slot;
	p->key = ref.source;
	return true;
}

static void count_insert(struct sluice_worker_counters *c, const struct sluice_snat_flow *f,
                         enum sluice_snat_insert how)
{
	sluice_count(&c->snat_inserts, 1);
	if (how == SLUICE_SNAT_REPLACED_EXPIRED || f->old.entry)
		sluice_count(&c->snat_expirations, 1);
	else if (how == SLUICE_SNAT_REPLACED_PROBATION)
		sluice_count(&c->snat_evictions_probation, 1);
}

static enum sluice_snat_insert insert(struct sluice_pipeline *ctx, struct sluice_packet *p,
                                      struct sluice_snat_flow *f)
{
	bool v4 = p->family == SLUICE_IPV4;

	f->client = v4 ? sluice_packet_target(p, SLUICE_SOURCE, SLUICE_IPV4)
	               : sluice_packet_target(p, SLUICE_SOURCE, SLUICE_IPV6);
	f->endpoint = sluice_target_view(&ctx->snapshot->endpoints[p->slot].target);
	f->family = v4 ? SLUICE_IPV4 : SLUICE_IPV6;
	f->frontend = p->frontend;
	f->key = p->key;
	f->hash = p->hash;
	return sluice_snat_insert(ctx->snat, f, ctx->snapshot->snat, ctx->worker, ctx->now);
}

// A flow that no entry in its primary bucket binds: it may stand in the other one, an earlier
// packet of this burst may have been its first, and another worker may store it meanwhile.
void sluice_track_snat_start(struct sluice_pipeline *ctx, struct sluice_packet *p, uint32_t named)
{
	for (unsigned i = 0; i < ROUNDS; i++) {
		struct sluice_snat_flow f = {.old = sluice_snat_find(ctx->snat, p->key, p->hash)};
		enum sluice_snat_insert how;

		if (sluice_track_snat_binds(ctx, p, &f.old, named))
			return;
		if (!sluice_track_place(ctx, p, named))
			return;
		f.value = sluice_track_new(ctx, p);
		how = insert(ctx, p, &f);
		if (how == SLUICE_SNAT_EXHAUSTED)
			break;
		if (how == SLUICE_SNAT_EXISTS)
			continue;
		if (named == SLUICE_TARGET_NONE || !f.old.entry)
			count_insert(ctx->counters, &f, how);
		if (named == SLUICE_TARGET_NONE)
			sluice_count(&ctx->endpoint_counters[p->slot].connections, 1);
		p->key = f.source;
		return;
	}
	sluice_packet_drop(p, SLUICE_DROP_SNAT_EXHAUSTED);
}
