// SPDX-License-Identifier: BSD-3-Clause
#pragma once

// What both tables of flows have in common: when an entry binds, how a packet changes its state,
// and where a new flow goes.

#include <netinet/in.h>

#include "dataplane/pipeline.h"
#include "dataplane/target_table.h"

static inline bool sluice_track_is_syn(const struct sluice_packet *p)
{
	const unsigned all = SLUICE_TCP_SYN | SLUICE_TCP_ACK | SLUICE_TCP_FIN | SLUICE_TCP_RST;

	return (p->tcp_flags & all) == SLUICE_TCP_SYN;
}

// The state after one more packet of the flow. A SYN again says nothing new, and one with another
// flag is what no client sends.
static inline unsigned sluice_track_next_state(unsigned state, const struct sluice_packet *p)
{
	if (p->protocol == IPPROTO_UDP)
		return SLUICE_FLOW_UDP;
	if (!(p->tcp_flags & (SLUICE_TCP_SYN | SLUICE_TCP_FIN | SLUICE_TCP_RST)))
		return state == SLUICE_FLOW_CLOSING ? state : SLUICE_FLOW_ESTABLISHED;
	if (p->tcp_flags & SLUICE_TCP_SYN)
		return state;
	return state == SLUICE_FLOW_PROBATION ? state : SLUICE_FLOW_CLOSING;
}

// Whether an entry means what it meant: its slot is still the same endpoint's (same generation), of
// the same service.
static inline bool sluice_track_means(const struct sluice_pipeline *ctx,
                                      const struct sluice_packet *p, struct sluice_flow_value v)
{
	const struct sluice_snapshot *s = ctx->snapshot;
	const struct sluice_endpoint *e = &s->endpoints[v.slot];

	return v.slot < s->endpoint_count && e->generation == v.generation &&
	       e->service == s->frontends[p->frontend].service;
}

// Most packets: not the first of the flow in this second, in which its time can't be up, and no
// SYN, FIN or RST. If the entry means what it meant, it binds and stays as it is: what
// sluice_track_binds() and sluice_track_follow() would find, sooner.
static inline bool sluice_track_is_steady(const struct sluice_pipeline *ctx,
                                          const struct sluice_packet *p, uint64_t packed)
{
	const uint32_t mask = 0xf << SLUICE_FLOW_STATE_SHIFT | SLUICE_FLOW_SEEN_MASK;
	uint32_t state = p->protocol == IPPROTO_UDP ? SLUICE_FLOW_UDP : SLUICE_FLOW_ESTABLISHED;
	uint32_t same = state << SLUICE_FLOW_STATE_SHIFT | (ctx->now & SLUICE_FLOW_SEEN_MASK);

	return (((uint32_t)packed ^ same) & mask) == 0 &&
	       !(p->tcp_flags & (SLUICE_TCP_SYN | SLUICE_TCP_FIN | SLUICE_TCP_RST)) &&
	       sluice_track_means(ctx, p, sluice_flow_unpack(packed));
}

// Whether an entry says what the packet itself says; named: a slot or SLUICE_TARGET_NONE.
static inline bool sluice_track_agrees(uint64_t packed, uint32_t named)
{
	return named == SLUICE_TARGET_NONE || sluice_flow_unpack(packed).slot == named;
}

// An entry binds only while it means what it meant and its time is not up. A SYN starts afresh
// where the client had closed (it uses the port again) and where the endpoint is draining.
static inline bool sluice_track_binds(const struct sluice_pipeline *ctx,
                                      const struct sluice_flow_timeouts *timeouts,
                                      const struct sluice_packet *p, uint64_t packed)
{
	struct sluice_flow_value v = sluice_flow_unpack(packed);
	const struct sluice_endpoint *e = &ctx->snapshot->endpoints[v.slot];

	if (!sluice_track_means(ctx, p, v))
		return false;
	if (((e->flags & SLUICE_ENDPOINT_DRAINING) || v.state == SLUICE_FLOW_CLOSING) &&
	    sluice_track_is_syn(p))
		return false;
	return !sluice_flow_timed_out(timeouts, packed, ctx->now);
}

// Gives the packet the slot of an entry that binds. Returns whether the entry is to be written,
// with *state: only when the second or the state changes, as an unconditional store costs a third
// of the data path.
static inline bool sluice_track_follow(const struct sluice_pipeline *ctx, struct sluice_packet *p,
                                       uint64_t packed, unsigned *state)
{
	struct sluice_flow_value v = sluice_flow_unpack(packed);

	*state = sluice_track_next_state(v.state, p);
	p->slot = v.slot;
	return __builtin_expect(*state != v.state || ((v.seen ^ ctx->now) & SLUICE_FLOW_SEEN_MASK),
	                        0);
}

// The entry's value after that. A client whose flow is more than one packet may be remembered.
uint64_t sluice_track_refresh(struct sluice_pipeline *ctx, const struct sluice_packet *p,
                              uint64_t packed, unsigned state);

// Chooses the endpoint of a new flow: p->slot. named: the slot that the packet itself says, or
// SLUICE_TARGET_NONE. false: there is none, and the packet has its verdict.
bool sluice_track_place(struct sluice_pipeline *ctx, struct sluice_packet *p, uint32_t named);

// The value of a new entry for p->slot.
uint64_t sluice_track_new(const struct sluice_pipeline *ctx, const struct sluice_packet *p);

// The same steps for a fullnat service's packet (track_snat.c): whether an entry binds, which then
// is followed; and what is to be done where none does. p->key becomes the source that it leaves
// with (snat_table.h).
bool sluice_track_snat_binds(struct sluice_pipeline *ctx, struct sluice_packet *p,
                             struct sluice_snat_ref *ref, uint32_t named);
bool sluice_track_snat_peek(const struct sluice_pipeline *ctx, struct sluice_packet *p);
void sluice_track_snat_start(struct sluice_pipeline *ctx, struct sluice_packet *p, uint32_t named);
