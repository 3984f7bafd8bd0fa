// SPDX-License-Identifier: BSD-3-Clause
#include "dataplane/pipeline.h"

static void count_drop(struct sluice_pipeline *ctx, const struct sluice_packet *p)
{
	if (p->verdict == SLUICE_VERDICT_DROP)
		sluice_count(&ctx->counters->drops[p->reason], 1);
}

// What is dropped for its size may be cut or answered instead; what is dropped is counted.
static void settle_drops(struct sluice_pipeline *ctx, const struct sluice_burst *b)
{
	for (struct sluice_packet *p = b->packets, *end = p + b->count; p < end; p++) {
		if (__builtin_expect(p->verdict != SLUICE_VERDICT_DROP, 1))
			continue;
		if (p->reason == SLUICE_DROP_TOO_BIG)
			sluice_refuse_size(ctx, p);
		count_drop(ctx, p);
	}
}

static void burst_begin(struct sluice_burst *b, struct sluice_packet *packets, unsigned count)
{
	// Its lists are not cleared: that would take longer than many a stage.
	b->packets = packets;
	b->count = count;
	b->in_count = b->return_count = b->snat_count = b->icmp_count = 0;
	b->fragments = false;
}

void sluice_pipeline_run(struct sluice_pipeline *ctx, struct sluice_packet *packets, unsigned count)
{
	struct sluice_burst b;

	burst_begin(&b, packets, count);
	sluice_classify(ctx, &b);
	sluice_track(ctx, &b);
	if (__builtin_expect(b.fragments, 0))
		sluice_reunite(ctx, &b);
	sluice_forward(ctx, &b);
	sluice_icmp(ctx, &b);
	settle_drops(ctx, &b);
}

// None of them is tracked or remembered: the packet was. One that is dropped stays dropped, so that
// nothing is cut twice.
void sluice_pipeline_run_pieces(struct sluice_pipeline *ctx, struct sluice_packet *pieces,
                                unsigned count)
{
	struct sluice_burst b;

	burst_begin(&b, pieces, count);
	sluice_reunite_pieces(ctx, &b);
	sluice_forward(ctx, &b);
	for (unsigned i = 0; i < count; i++)
		count_drop(ctx, &pieces[i]);
}
