// SPDX-License-Identifier: BSD-3-Clause
#pragma once

// The forwarding modes: what differs between them is a row of functions each. A new mode is a
// file and a row in forward.c.

#include "dataplane/pipeline.h"

struct sluice_forward_ops {
	// Client to endpoint: p->frontend and p->slot are set. Gives each packet that has no
	// verdict yet one.
	void (*in)(struct sluice_pipeline *ctx, struct sluice_packet *const *packets,
	           unsigned count);

	// Endpoint to client, by adjacencies[i] for packets[i]; NULL: endpoints answer directly.
	void (*out)(struct sluice_pipeline *ctx, struct sluice_packet *const *packets,
	            const struct sluice_adjacency *const *adjacencies, unsigned count);

	// An ICMP error about what an endpoint sent: p as for `in`, quote the packet in it (see
	// icmp.h). NULL: nothing of it is rewritten, `in` takes it.
	void (*error_in)(struct sluice_pipeline *ctx, struct sluice_packet *p,
	                 struct sluice_packet *quote);

	// An ICMP error about what an endpoint was sent. NULL: it is not for us.
	void (*error_out)(struct sluice_pipeline *ctx, struct sluice_packet *p,
	                  struct sluice_packet *quote, const struct sluice_adjacency *a);
};

// The row of a mode (enum sluice_forwarding).
const struct sluice_forward_ops *sluice_forward_mode(uint8_t forwarding);

extern const struct sluice_forward_ops sluice_forward_nat;
extern const struct sluice_forward_ops sluice_forward_fullnat;
extern const struct sluice_forward_ops sluice_forward_l2dsr;
extern const struct sluice_forward_ops sluice_forward_ipip;
extern const struct sluice_forward_ops sluice_forward_gue;

// Who is the client of a packet between an endpoint and a SNAT address? fingerprint: of both
// (snat_table.h). false: nobody's flow.
bool sluice_forward_snat_client(const struct sluice_pipeline *ctx, uint64_t fingerprint,
                                struct sluice_target_view endpoint, enum sluice_family family,
                                struct sluice_snat_return *out);

// Sends what endpoints sent to SNAT addresses on to the clients. Gives each packet of b->snat a
// verdict.
void sluice_forward_snat(struct sluice_pipeline *ctx, const struct sluice_burst *b);

// Fragments of a fullnat service, first ones and later ones, go on one by one and not by the
// bursts' lists, so that whole packets are none the slower for them.
//
// Client to endpoint: p as for `in`. Gives it a verdict.
void sluice_forward_piece_in(struct sluice_pipeline *ctx, struct sluice_packet *p);

// Who is the client of a first one, classified, from an endpoint to a SNAT address? false: it is
// nobody's flow, and has a verdict.
bool sluice_forward_piece_client(const struct sluice_pipeline *ctx, struct sluice_packet *p,
                                 struct sluice_snat_return *out);

// Endpoint to client. Gives it a verdict.
void sluice_forward_piece_return(struct sluice_pipeline *ctx, struct sluice_packet *p,
                                 const struct sluice_snat_return *client);

// Sends an ICMP error about what an endpoint was sent from a SNAT address on to the client. reply:
// a reply to the packet that is quoted, classified. A verdict of PASS stays where it is nobody's.
void sluice_forward_snat_error(struct sluice_pipeline *ctx, struct sluice_packet *p,
                               struct sluice_packet *quote, const struct sluice_packet *reply);

// Bytes that a mode puts in front of the IP packet; family: the endpoint's.
static inline uint32_t sluice_forward_overhead(enum sluice_forwarding f, enum sluice_family family)
{
	uint32_t network =
	        family == SLUICE_IPV4 ? sizeof(struct sluice_ipv4) : sizeof(struct sluice_ipv6);

	if (f == SLUICE_FORWARD_GUE)
		return network + (uint32_t)sizeof(struct sluice_udp);
	return f == SLUICE_FORWARD_IPIP ? network : 0;
}

// The largest IP packet of a client that reaches the endpoint.
static inline uint32_t sluice_forward_mtu(const struct sluice_endpoint *e, enum sluice_forwarding f)
{
	return e->adjacency.mtu - sluice_forward_overhead(f, e->target.family);
}

// Whether a packet that goes on as it came may: its verdict says why not.
static inline bool sluice_forward_may_leave(struct sluice_packet *p,
                                            const struct sluice_endpoint *e,
                                            enum sluice_forwarding f)
{
	if (e->adjacency.state == SLUICE_ADJACENCY_NONE)
		sluice_packet_drop(p, SLUICE_DROP_NO_ROUTE);
	else if (p->length - p->l3 > sluice_forward_mtu(e, f))
		sluice_packet_drop_too_big(p, (uint16_t)sluice_forward_mtu(e, f));
	else
		return true;
	return false;
}

// Whether what endpoints send comes through here.
bool sluice_forward_answers(unsigned forwarding);

static inline void sluice_forward_count_in(const struct sluice_pipeline *ctx,
                                           const struct sluice_packet *p)
{
	struct sluice_endpoint_counters *count = &ctx->endpoint_counters[p->slot];

	sluice_count(&count->in_packets, 1);
	sluice_count(&count->in_bytes, p->length);
}

static inline void sluice_forward_count_out(const struct sluice_pipeline *ctx,
                                            const struct sluice_packet *p)
{
	struct sluice_endpoint_counters *count = &ctx->endpoint_counters[p->slot];

	sluice_count(&count->out_packets, 1);
	sluice_count(&count->out_bytes, p->length);
}
