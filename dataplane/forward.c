// SPDX-License-Identifier: BSD-3-Clause

// Hands packets to their service's forwarding mode, runs of the same mode together: a burst is
// nearly always one run, and its order stays.

#include "dataplane/forward.h"

static const struct sluice_forward_ops *const modes[SLUICE_FORWARD_COUNT] = {
        [SLUICE_FORWARD_NAT] = &sluice_forward_nat,
        [SLUICE_FORWARD_L2DSR] = &sluice_forward_l2dsr,
        [SLUICE_FORWARD_IPIP] = &sluice_forward_ipip,
        [SLUICE_FORWARD_GUE] = &sluice_forward_gue,
        [SLUICE_FORWARD_FULLNAT] = &sluice_forward_fullnat,
};

const struct sluice_forward_ops *sluice_forward_mode(uint8_t forwarding)
{
	return modes[forwarding];
}

bool sluice_forward_answers(unsigned forwarding)
{
	return modes[forwarding]->out != NULL;
}

static unsigned run_length(struct sluice_packet *const *packets, unsigned count)
{
	unsigned n = 1;

	while (n < count && packets[n]->forwarding == packets[0]->forwarding)
		n++;
	return n;
}

void sluice_forward(struct sluice_pipeline *ctx, struct sluice_burst *b)
{
	const struct sluice_adjacency *adjacencies[SLUICE_BURST];

	for (unsigned i = 0, n; i < b->in_count; i += n) {
		n = run_length(&b->in[i], b->in_count - i);
		modes[b->in[i]->forwarding]->in(ctx, &b->in[i], n);
	}
	if (b->snat_count > 0)
		sluice_forward_snat(ctx, b);
	if (b->return_count == 0)
		return;
	sluice_route(ctx->snapshot, b, adjacencies);
	for (unsigned i = 0, n; i < b->return_count; i += n) {
		n = run_length(&b->returns[i], b->return_count - i);
		modes[b->returns[i]->forwarding]->out(ctx, &b->returns[i], &adjacencies[i], n);
	}
}
