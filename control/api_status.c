// SPDX-License-Identifier: BSD-3-Clause
// GET /v1/status
#include <inttypes.h>

#include "control/api_internal.h"

static void put_string(struct sluice_strbuf *b, const char *key, const char *value)
{
	sluice_strbuf_puts(b, key);
	sluice_strbuf_json(b, value);
}

static void add_reason(void *context, const char *text)
{
	struct sluice_strbuf *b = context;

	if (b->len)
		sluice_strbuf_putc(b, ',');
	sluice_strbuf_json(b, text);
}

static void write_readiness(struct sluice_strbuf *b, const struct sluice_stats *s)
{
	struct sluice_strbuf reasons = {0};
	bool ready = sluice_stats_ready(s, add_reason, &reasons);

	sluice_strbuf_printf(b, ",\"ready\":%s,\"reasons\":[%s]", ready ? "true" : "false",
	                     reasons.data ? reasons.data : "");
	sluice_strbuf_free(&reasons);
}

static void put_optional(struct sluice_strbuf *b, const char *key, const char *value)
{
	if (value)
		put_string(b, key, value);
}

static void write_members(struct sluice_strbuf *b, const struct sluice_port_link *link)
{
	for (unsigned i = 0; i < link->member_count; i++) {
		sluice_strbuf_puts(b, i ? "," : ",\"members\":[");
		put_string(b, "{\"name\":", link->members[i].name);
		sluice_strbuf_printf(b, ",\"up\":%s}", link->members[i].up ? "true" : "false");
	}
	if (link->member_count > 0)
		sluice_strbuf_putc(b, ']');
}

static void write_port(struct sluice_strbuf *b, const struct sluice_stats *s, size_t i)
{
	const struct sluice_stats_source *source = s->source;
	const struct sluice_port_link link = sluice_stats_port_link(source, i);
	struct sluice_traffic io;
	uint64_t passed;

	sluice_stats_port(s, i, &io, &passed);
	put_string(b, "{\"name\":", source->ports[i].name);
	sluice_strbuf_printf(b,
	                     ",\"up\":%s,\"rx\":%" PRIu64 ",\"tx\":%" PRIu64 ",\"passed\":%" PRIu64
	                     ",\"rxBytes\":%" PRIu64 ",\"txBytes\":%" PRIu64 ",\"missed\":%" PRIu64
	                     ",\"errors\":%" PRIu64
	                     ",\"mtu\":%u,\"mac\":\"%02x:%02x:%02x:%02x:%02x:%02x\",\"queues\":%u",
	                     link.up ? "true" : "false", io.in_packets, io.out_packets, passed,
	                     io.in_bytes, io.out_bytes, link.missed, link.errors, link.mtu,
	                     link.mac[0], link.mac[1], link.mac[2], link.mac[3], link.mac[4],
	                     link.mac[5], source->ports[i].queues);
	put_optional(b, ",\"device\":", source->ports[i].device);
	put_optional(b, ",\"interface\":", source->ports[i].interface);
	put_optional(b, ",\"afXdp\":", source->ports[i].af_xdp);
	write_members(b, &link);
	sluice_strbuf_putc(b, '}');
}

static void write_lists(struct sluice_strbuf *b, const struct sluice_stats *s)
{
	const struct sluice_stats_source *source = s->source;

	sluice_strbuf_puts(b, ",\"ports\":[");
	for (size_t i = 0; i < source->port_count; i++) {
		if (i)
			sluice_strbuf_putc(b, ',');
		write_port(b, s, i);
	}
	sluice_strbuf_puts(b, "],\"workers\":[");
	for (size_t i = 0; i < source->worker_count; i++) {
		const struct sluice_stats_worker *w = &source->workers[i];

		sluice_strbuf_printf(
		        b, "%s{\"id\":%zu,\"core\":%u,\"busy\":%.4f,\"packets\":%" PRIu64 "}",
		        i ? "," : "", i, w->core, s->busy[i],
		        sluice_counter_read(&w->counters->packets));
	}
	sluice_strbuf_puts(b, "],\"drops\":{");
	for (int i = 0; i < SLUICE_DROP_COUNT; i++)
		sluice_strbuf_printf(b, "%s\"%s\":%" PRIu64, i ? "," : "", sluice_drop_label(i),
		                     sluice_stats_drops(s, i));
	sluice_strbuf_putc(b, '}');
}

static void write_place(struct sluice_strbuf *b, const struct sluice_stats_source *source)
{
	sluice_strbuf_printf(b, ",\"cores\":{\"control\":%u,\"configured\":%zu}",
	                     source->control_core, source->cores_configured);
	sluice_strbuf_printf(
	        b, ",\"memory\":{\"hugepages\":%s,\"bytes\":%" PRIu64 ",\"flowsOnHugepages\":%s}",
	        source->hugepages ? "true" : "false", source->memory_bytes,
	        source->flows_on_hugepages ? "true" : "false");
}

static void write_state(struct sluice_strbuf *b, const struct sluice_state *state)
{
	bool saved = state && state->saved;

	sluice_strbuf_printf(b, ",\"state\":{\"saved\":%s", saved ? "true" : "false");
	if (!saved)
		put_string(b, ",\"reason\":", state ? state->reason : "there is no state");
	sluice_strbuf_putc(b, '}');
}

static void write_table(struct sluice_strbuf *b, const char *key, uint64_t entries,
                        uint64_t capacity)
{
	sluice_strbuf_printf(b, ",\"%s\":{\"entries\":%" PRIu64 ",\"capacity\":%" PRIu64 "}", key,
	                     entries, capacity);
}

void sluice_api_get_status(struct sluice_api_call *call)
{
	const struct sluice_api_context *api = &call->api->context;
	const struct sluice_stats_source *source = api->stats->source;
	struct sluice_strbuf b = {0};
	time_t now = time(NULL);

	sluice_stats_walk_flows(api->stats);
	put_string(&b, "{\"version\":", SLUICE_VERSION);
	put_string(&b, ",\"dpdk\":", source->dpdk_version ? source->dpdk_version : "");
	sluice_strbuf_puts(&b, ",\"started\":");
	sluice_api_put_time(&b, source->started);
	sluice_strbuf_printf(&b, ",\"uptime\":%lld,\"generation\":%" PRIu64 ",\"services\":%zu",
	                     (long long)(now > source->started ? now - source->started : 0),
	                     sluice_update_generation(api->updater), api->model->service_count);
	write_readiness(&b, api->stats);
	write_lists(&b, api->stats);
	write_table(&b, "flows", api->stats->flow_entries,
	            source->flows ? sluice_flow_table_capacity(source->flows) : 0);
	if (source->snat)
		write_table(&b, "snat", api->stats->snat_entries,
		            sluice_snat_table_capacity(source->snat));
	write_place(&b, source);
	put_string(&b, ",\"announce\":", source->announce ? source->announce : "none");
	write_state(&b, api->state);
	sluice_strbuf_putc(&b, '}');
	sluice_api_answer(call, &b);
}
