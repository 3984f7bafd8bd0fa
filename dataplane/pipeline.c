// SPDX-License-Identifier: BSD-3-Clause
#include "dataplane/pipeline.h"

static void count_drops(struct sluice_pipeline *ctx, const struct sluice_burst *b)
{
	for (unsigned i = 0; i < b->count; i++) {
		const struct sluice_packet *p = &b->packets[i];

		if (p->verdict == SLUICE_VERDICT_DROP)
			sluice_count(&ctx->counters->drops[p->reason], 1);
	}
}

void sluice_pipeline_run(struct sluice_pipeline *ctx, struct sluice_packet *packets, unsigned count)
{
	struct sluice_burst b = {.packets = packets, .count = count};

	sluice_classify(ctx, &b);
	sluice_track(ctx, &b);
	sluice_forward(ctx, &b);
	count_drops(ctx, &b);
}
