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
};

extern const struct sluice_forward_ops sluice_forward_nat;

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
