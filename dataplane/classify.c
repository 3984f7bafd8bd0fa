// SPDX-License-Identifier: BSD-3-Clause

// Whose packet is it? The destination decides first: a frontend's target is client traffic. Then
// the source: an endpoint's target is return traffic, unless it goes to one of the host's own
// addresses (a health probe's answer, an administrator's curl): that is the kernel's. An address
// and port that fullnat sends from comes before the host's own.

#include "dataplane/pipeline.h"

#include "dataplane/belong.h"
#include "dataplane/parse.h"
#include "dataplane/target_table.h"

// How well an entry explains a return packet; 0: not at all. A client may use one port for several
// frontends in turn: a live flow that it has not closed is meant, and of those the one seen last.
SLUICE_INLINE uint32_t match_return(const struct sluice_pipeline *ctx,
                                    const struct sluice_return_candidate *c, uint64_t packed)
{
	struct sluice_flow_value v = sluice_flow_unpack(packed);
	// Counted from the latest that a worker whose clock is ahead can have seen it.
	uint32_t age = (ctx->now + SLUICE_FLOW_SKEW - v.seen) & SLUICE_FLOW_SEEN_MASK;
	bool open;

	if (v.slot != c->slot || v.generation != ctx->snapshot->endpoints[v.slot].generation)
		return 0;
	open = v.state != SLUICE_FLOW_CLOSING && !sluice_flow_expired(ctx->flows, packed, ctx->now);
	return (open ? SLUICE_FLOW_SEEN_MASK + 1 : 0) + SLUICE_FLOW_SEEN_MASK - age + 1;
}

static inline void answer_for(const struct sluice_pipeline *ctx, struct sluice_packet *p,
                              const struct sluice_return_candidate *c)
{
	p->frontend = c->frontend;
	p->slot = c->slot;
	p->forwarding = ctx->snapshot->frontends[c->frontend].forwarding;
}

// Which frontend a return packet answers for. One candidate: that one. Several: the one under
// which the flow table knows the client with this endpoint.
SLUICE_INLINE bool find_return(const struct sluice_pipeline *ctx, struct sluice_packet *p,
                               const struct sluice_return *r, enum sluice_family family)
{
	const struct sluice_return_candidate *c = &ctx->snapshot->return_candidates[r->first];
	const struct sluice_return_candidate *found = NULL;
	struct sluice_target_view client;
	uint32_t best = 0;

	if (r->count == 1) {
		answer_for(ctx, p, c);
		return true;
	}
	client = sluice_packet_target(p, SLUICE_DESTINATION, family);
	for (uint32_t i = 0; i < r->count; i++) {
		uint64_t key = sluice_flow_key(ctx->flows, client, c[i].frontend, family);
		struct sluice_flow_ref ref =
		        sluice_flow_find(ctx->flows, key, sluice_flow_hash(ctx->flows, key));
		uint32_t match = ref.entry ? match_return(ctx, &c[i], ref.value) : 0;

		if (match > best) {
			best = match;
			found = &c[i];
		}
	}
	if (!found)
		return false;
	answer_for(ctx, p, found);
	return true;
}

// A client's packet: which flow is it of? Fullnat's flows have a table of their own.
SLUICE_INLINE void classify_in(const struct sluice_pipeline *ctx, struct sluice_packet *p,
                               uint16_t frontend, enum sluice_family family)
{
	struct sluice_target_view client = sluice_packet_target(p, SLUICE_SOURCE, family);

	p->frontend = frontend;
	p->forwarding = ctx->snapshot->frontends[frontend].forwarding;
	if (__builtin_expect(p->forwarding == SLUICE_FORWARD_FULLNAT, 0)) {
		p->key = sluice_snat_key(ctx->snat, client, frontend, family);
		p->hash = sluice_snat_hash(ctx->snat, p->key);
		sluice_snat_prefetch(ctx->snat, p->hash);
	} else {
		p->key = sluice_flow_key(ctx->flows, client, frontend, family);
		p->hash = sluice_flow_hash(ctx->flows, p->key);
		sluice_flow_prefetch(ctx->flows, p->hash);
	}
}

SLUICE_INLINE bool is_snat(const struct sluice_snapshot *s, const struct sluice_packet *p,
                           enum sluice_family family)
{
	uint16_t port = ntohs(sluice_packet_port(p, SLUICE_DESTINATION));
	struct sluice_target_view t;

	if (!s->snat || port < s->snat->first_port || port > s->snat->last_port)
		return false;
	t = sluice_packet_address(p, SLUICE_DESTINATION, family);
	return sluice_target_table_get(s->snat_table, t, family) != SLUICE_TARGET_NONE;
}

SLUICE_INLINE void classify_snat(const struct sluice_pipeline *ctx, struct sluice_burst *b,
                                 struct sluice_packet *p, enum sluice_family family)
{
	p->key = sluice_snat_fingerprint(ctx->snat, sluice_packet_target(p, SLUICE_SOURCE, family),
	                                 sluice_packet_target(p, SLUICE_DESTINATION, family),
	                                 family);
	p->forwarding = SLUICE_FORWARD_FULLNAT;
	p->to_snat = true;
	if (__builtin_expect(p->fragment, 0))
		return; // reunite.c
	sluice_snat_return_prefetch(ctx->snat, p->key);
	b->snat[b->snat_count++] = p;
}

// An endpoint's packet. returns: what it may answer for.
SLUICE_INLINE void classify_return(const struct sluice_pipeline *ctx, struct sluice_burst *b,
                                   struct sluice_packet *p, const struct sluice_return *returns,
                                   enum sluice_family family)
{
	const struct sluice_snapshot *s = ctx->snapshot;
	bool snat = is_snat(s, p, family);

	if (!snat && (returns->count == 0 || sluice_is_local(s, p, family)))
		p->verdict = SLUICE_VERDICT_PASS;
	else if (sluice_is_foreign_vlan(s, p))
		sluice_packet_drop(p, SLUICE_DROP_VLAN);
	else if (snat)
		classify_snat(ctx, b, p, family);
	else if (!find_return(ctx, p, returns, family))
		sluice_packet_drop(p, SLUICE_DROP_NO_RETURN_FLOW);
	else
		b->returns[b->return_count++] = p;
}

// Not a client's packet to a frontend: an endpoint's, or none of ours.
SLUICE_INLINE void classify_source(const struct sluice_pipeline *ctx, struct sluice_burst *b,
                                   struct sluice_packet *p, enum sluice_family family)
{
	const struct sluice_snapshot *s = ctx->snapshot;
	struct sluice_target_view t = sluice_packet_target(p, SLUICE_SOURCE, family);
	uint32_t found = sluice_target_table_get(s->return_table, t, family);

	if (found == SLUICE_TARGET_NONE)
		p->verdict = SLUICE_VERDICT_PASS;
	else
		classify_return(ctx, b, p, &s->returns[found], family);
}

// In functions of their own, as they leave clients' packets too few registers.
static __attribute__((noinline)) void classify_source_v4(const struct sluice_pipeline *ctx,
                                                         struct sluice_burst *b,
                                                         struct sluice_packet *p)
{
	classify_source(ctx, b, p, SLUICE_IPV4);
}

static __attribute__((noinline)) void classify_source_v6(const struct sluice_pipeline *ctx,
                                                         struct sluice_burst *b,
                                                         struct sluice_packet *p)
{
	classify_source(ctx, b, p, SLUICE_IPV6);
}

SLUICE_INLINE void classify_one(const struct sluice_pipeline *ctx, struct sluice_burst *b,
                                struct sluice_packet *p, enum sluice_family family)
{
	const struct sluice_snapshot *s = ctx->snapshot;
	struct sluice_target_view t;
	uint32_t found;

	if (__builtin_expect(p->fragment, 0)) {
		b->fragments = true;
		if (p->fragment == SLUICE_FRAGMENT_LATER)
			return; // has no ports: reunite.c
	}
	t = sluice_packet_target(p, SLUICE_DESTINATION, family);
	found = sluice_target_table_get(s->frontend_table, t, family);
	if (found != SLUICE_TARGET_NONE) {
		if (sluice_is_foreign_vlan(s, p)) {
			sluice_packet_drop(p, SLUICE_DROP_VLAN);
			return;
		}
		classify_in(ctx, p, (uint16_t)found, family);
		b->in[b->in_count++] = p;
	} else if (family == SLUICE_IPV4) {
		classify_source_v4(ctx, b, p);
	} else {
		classify_source_v6(ctx, b, p);
	}
}

void sluice_classify_one(const struct sluice_pipeline *ctx, struct sluice_burst *b,
                         struct sluice_packet *p)
{
	if (p->family == SLUICE_IPV4)
		classify_one(ctx, b, p, SLUICE_IPV4);
	else
		classify_one(ctx, b, p, SLUICE_IPV6);
}

// Any packet but a plain one.
static __attribute__((noinline)) void
classify_other(const struct sluice_pipeline *ctx, struct sluice_burst *b, struct sluice_packet *p)
{
	sluice_parse(p);
	if (p->verdict == SLUICE_VERDICT_NONE)
		sluice_classify_one(ctx, b, p);
	else if (p->verdict == SLUICE_VERDICT_PASS && p->l4)
		b->icmp[b->icmp_count++] = p;
}

void sluice_classify(const struct sluice_pipeline *ctx, struct sluice_burst *b)
{
	for (struct sluice_packet *p = b->packets, *end = p + b->count; p < end; p++) {
		// The same twice, each with constants of its own.
		if (sluice_parse_plain(p, IPPROTO_TCP))
			classify_one(ctx, b, p, SLUICE_IPV4); // NOLINT(bugprone-branch-clone)
		else if (sluice_parse_plain(p, IPPROTO_UDP))
			classify_one(ctx, b, p, SLUICE_IPV4);
		else
			classify_other(ctx, b, p);
	}
}
