// SPDX-License-Identifier: BSD-3-Clause
#include "control/stats.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/update.h"

enum {
	WALK_INTERVAL_MS = 1000,
	WALK_LATEST_MS = 12 * 3600 * 1000, // a walk also clears the table of the long dead
};

const double sluice_sync_bounds[SLUICE_SYNC_BUCKETS - 1] = {
        0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1,
};

void sluice_stats_init(struct sluice_stats *s, struct sluice_stats_source *source,
                       const struct sluice_model *model)
{
	*s = (struct sluice_stats){.source = source, .model = model};
}

void sluice_stats_free(struct sluice_stats *s)
{
	free(s->flow_counts);
	*s = (struct sluice_stats){0};
}

void sluice_stats_sample(struct sluice_stats *s)
{
	const struct sluice_stats_source *source = s->source;

	if (!s->flows_walked_ms || sluice_model_now_ms() - s->flows_walked_ms >= WALK_LATEST_MS)
		sluice_stats_walk_flows(s);
	if (!source->cycles)
		return;
	uint64_t now = source->cycles(source->context);
	uint64_t elapsed = now - s->sampled_cycles;

	for (size_t i = 0; i < source->worker_count; i++) {
		uint64_t busy = sluice_counter_read(&source->workers[i].counters->busy_cycles);
		double ratio = elapsed && s->sampled_cycles
		                       ? (double)(busy - s->sampled_busy[i]) / (double)elapsed
		                       : 0;

		s->busy[i] = ratio > 1 ? 1 : ratio; // a round may end after the sample of cycles
		s->sampled_busy[i] = busy;
	}
	s->sampled_cycles = now;
}

void sluice_stats_sync_applied(struct sluice_stats *s, uint64_t microseconds)
{
	double seconds = (double)microseconds / 1e6;
	size_t bucket = 0;

	while (bucket < SLUICE_SYNC_BUCKETS - 1 && seconds > sluice_sync_bounds[bucket])
		bucket++;
	s->sync.buckets[bucket]++;
	s->sync.seconds += seconds;
	s->sync.applied++;
}

void sluice_stats_sync_refused(struct sluice_stats *s, int http_status)
{
	if (http_status >= 500)
		s->sync.failed++;
	else
		s->sync.refused++;
}

void sluice_stats_published(struct sluice_stats *s, const struct sluice_update_result *result)
{
	s->sync.rows_moved += result->rows_moved;
}

// --- traffic

static void traffic_add(struct sluice_traffic *sum, const struct sluice_traffic *t)
{
	sum->in_packets += t->in_packets;
	sum->in_bytes += t->in_bytes;
	sum->out_packets += t->out_packets;
	sum->out_bytes += t->out_bytes;
	sum->connections += t->connections;
}

static void traffic_subtract(struct sluice_traffic *sum, const struct sluice_traffic *t)
{
	sum->in_packets -= t->in_packets;
	sum->in_bytes -= t->in_bytes;
	sum->out_packets -= t->out_packets;
	sum->out_bytes -= t->out_bytes;
	sum->connections -= t->connections;
}

void sluice_stats_read_slot(void *stats, uint32_t slot, struct sluice_traffic *out)
{
	const struct sluice_stats *s = stats;

	*out = (struct sluice_traffic){0};
	for (size_t i = 0; i < s->source->worker_count; i++) {
		const struct sluice_stats_worker *w = &s->source->workers[i];

		if (slot >= w->endpoint_count)
			continue;
		const struct sluice_endpoint_counters *c = &w->endpoints[slot];

		traffic_add(out, &(struct sluice_traffic){
		                         .in_packets = sluice_counter_read(&c->in_packets),
		                         .in_bytes = sluice_counter_read(&c->in_bytes),
		                         .out_packets = sluice_counter_read(&c->out_packets),
		                         .out_bytes = sluice_counter_read(&c->out_bytes),
		                         .connections = sluice_counter_read(&c->connections),
		                 });
	}
}

void sluice_stats_port(const struct sluice_stats *s, size_t port, struct sluice_traffic *io,
                       uint64_t *passed)
{
	*io = (struct sluice_traffic){0};
	*passed = 0;
	for (size_t i = 0; i < s->source->worker_count; i++) {
		const struct sluice_port_counters *c = &s->source->workers[i].counters->ports[port];

		io->in_packets += sluice_counter_read(&c->rx_packets);
		io->in_bytes += sluice_counter_read(&c->rx_bytes);
		io->out_packets += sluice_counter_read(&c->tx_packets);
		io->out_bytes += sluice_counter_read(&c->tx_bytes);
		*passed += sluice_counter_read(&c->passed);
	}
	if (s->source->drained)
		*passed += sluice_counter_read(&s->source->drained->ports[port].passed);
}

void sluice_stats_port_kernel(const struct sluice_stats *s, size_t port, uint64_t *sent,
                              uint64_t *lost)
{
	*sent = *lost = 0;
	for (size_t i = 0; i < s->source->worker_count; i++) {
		const struct sluice_port_counters *c = &s->source->workers[i].counters->ports[port];

		*sent += sluice_counter_read(&c->kernel_sent);
		*lost += sluice_counter_read(&c->kernel_lost);
	}
}

uint64_t sluice_stats_drops(const struct sluice_stats *s, enum sluice_drop reason)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < s->source->worker_count; i++)
		sum += sluice_counter_read(&s->source->workers[i].counters->drops[reason]);
	if (s->source->drained)
		sum += sluice_counter_read(&s->source->drained->drops[reason]);
	return sum;
}

void sluice_stats_endpoint(const struct sluice_stats *s, const struct sluice_model_endpoint *e,
                           struct sluice_traffic *out)
{
	sluice_stats_read_slot((void *)s, e->slot, out);
	traffic_subtract(out, &e->base);
}

void sluice_stats_service(const struct sluice_stats *s, const struct sluice_model_service *service,
                          struct sluice_traffic *out)
{
	struct sluice_traffic t;

	*out = service->retired;
	for (size_t i = 0; i < service->endpoint_count; i++) {
		sluice_stats_endpoint(s, &service->endpoints[i], &t);
		traffic_add(out, &t);
	}
	// Endpoints that left, but whose slots workers may still use.
	for (size_t i = 0; i < s->model->retired_count; i++) {
		const struct sluice_model_retired *r = &s->model->retired[i];

		if (r->service != service->id)
			continue;
		sluice_stats_read_slot((void *)s, r->slot, &t);
		traffic_subtract(&t, &r->base);
		traffic_add(out, &t);
	}
}

// --- flows

static void count_flow(void *context, uint64_t key, struct sluice_flow_value v)
{
	struct sluice_stats *s = context;

	(void)key;
	s->flow_entries++;
	if (v.state == SLUICE_FLOW_AFFINITY)
		return; // a client's, who may have no flow at the moment
	if (v.slot < s->flow_counts_size && s->flow_counts[v.slot].generation == v.generation)
		s->flow_counts[v.slot].flows++;
}

void sluice_stats_walk_flows(struct sluice_stats *s)
{
	const struct sluice_stats_source *source = s->source;
	const struct sluice_slots *slots = &s->model->slots;
	uint64_t now_ms = sluice_model_now_ms();

	if (!source->flows || !source->flow_now ||
	    (s->flows_walked_ms && now_ms - s->flows_walked_ms < WALK_INTERVAL_MS))
		return;
	if (s->flow_counts_size < slots->high) {
		struct sluice_flow_count *counts =
		        realloc(s->flow_counts, slots->high * sizeof(*counts));

		if (!counts)
			return;
		s->flow_counts = counts;
		s->flow_counts_size = slots->high;
	}
	for (uint32_t i = 0; i < s->flow_counts_size; i++)
		s->flow_counts[i] = (struct sluice_flow_count){.generation = slots->generations[i]};
	s->flow_entries = 0;
	sluice_flow_table_walk(source->flows, source->flow_now(source->context), count_flow, s);
	s->snat_entries = 0;
	if (source->snat) {
		uint64_t before = s->flow_entries;

		sluice_snat_table_walk(source->snat, source->flow_now(source->context), count_flow,
		                       s);
		s->snat_entries = s->flow_entries - before;
		s->flow_entries = before;
	}
	s->flows_walked_ms = now_ms;
}

uint64_t sluice_stats_endpoint_flows(const struct sluice_stats *s,
                                     const struct sluice_model_endpoint *e)
{
	if (e->slot >= s->flow_counts_size || s->flow_counts[e->slot].generation != e->generation)
		return 0;
	return s->flow_counts[e->slot].flows;
}

uint64_t sluice_stats_service_flows(const struct sluice_stats *s,
                                    const struct sluice_model_service *service)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < service->endpoint_count; i++)
		sum += sluice_stats_endpoint_flows(s, &service->endpoints[i]);
	return sum;
}

// --- readiness

bool sluice_stats_endpoint_ready(const struct sluice_stats *s,
                                 const struct sluice_model_endpoint *e, const char **reason)
{
	const struct sluice_stats_source *source = s->source;

	*reason = source->obstacle ? source->obstacle(source->context, e) : NULL;
	return !*reason;
}

struct sluice_port_link sluice_stats_port_link(const struct sluice_stats_source *source,
                                               size_t port)
{
	struct sluice_port_link link = {.up = true};

	if (source->port_link && !source->port_link(source->context, port, &link))
		link.up = false;
	return link;
}

bool sluice_stats_ready(const struct sluice_stats *s,
                        void (*reason)(void *context, const char *text), void *context)
{
	const struct sluice_stats_source *source = s->source;
	bool ready = true;

	if (!source->port_count) {
		ready = false;
		if (reason)
			reason(context, "there are no ports");
	}
	for (size_t i = 0; i < source->port_count; i++) {
		char text[128];

		if (sluice_stats_port_link(source, i).up)
			continue;
		ready = false;
		snprintf(text, sizeof(text), "port %s is down", source->ports[i].name);
		if (reason)
			reason(context, text);
	}
	if (!source->applied) {
		ready = false;
		if (reason)
			reason(context, "no configuration is applied yet");
	}
	return ready;
}
