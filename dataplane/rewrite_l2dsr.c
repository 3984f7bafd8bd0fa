// SPDX-License-Identifier: BSD-3-Clause

// Forwarding mode l2dsr: the packet as it came, in a frame to the endpoint. Nobody routes it, so it
// has as long to live as before.

#include "dataplane/egress.h"
#include "dataplane/forward.h"

static void l2dsr_in(struct sluice_pipeline *ctx, struct sluice_packet *const *packets,
                     unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		struct sluice_packet *p = packets[i];
		const struct sluice_endpoint *e = &ctx->snapshot->endpoints[p->slot];

		if (p->verdict != SLUICE_VERDICT_NONE)
			continue;
		if (!sluice_forward_may_leave(p, e, SLUICE_FORWARD_L2DSR))
			continue;
		// The kernel can't resolve and send this one: it would take it for its own.
		if (e->adjacency.state != SLUICE_ADJACENCY_READY) {
			sluice_packet_drop(p, SLUICE_DROP_NO_NEIGHBOUR);
			continue;
		}
		sluice_forward_count_in(ctx, p);
		sluice_egress(p, &e->adjacency);
	}
}

const struct sluice_forward_ops sluice_forward_l2dsr = {.in = l2dsr_in};
