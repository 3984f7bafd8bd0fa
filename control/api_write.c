// SPDX-License-Identifier: BSD-3-Clause
#include "control/api_write.h"

#include <inttypes.h>

#include "control/api_internal.h"
#include "control/fields.h"
#include "control/server_id.h"

static void put_string(struct sluice_strbuf *b, const char *key, const char *value)
{
	sluice_strbuf_puts(b, key);
	sluice_strbuf_json(b, value);
}

static void put_traffic(struct sluice_strbuf *b, uint64_t flows, const struct sluice_traffic *t)
{
	sluice_strbuf_printf(
	        b,
	        ",\"flows\":%" PRIu64 ",\"connections\":%" PRIu64 ",\"packets\":{\"in\":%" PRIu64
	        ",\"out\":%" PRIu64 "},\"bytes\":{\"in\":%" PRIu64 ",\"out\":%" PRIu64 "}",
	        flows, t->connections, t->in_packets, t->out_packets, t->in_bytes, t->out_bytes);
}

static void write_endpoint(struct sluice_strbuf *b, const struct sluice_stats *stats,
                           const struct sluice_model_service *s,
                           const struct sluice_model_endpoint *e)
{
	unsigned id_length = s->spec.server_id_length;
	char id[SLUICE_SERVER_ID_TEXT];
	struct sluice_traffic t;
	const char *reason;
	bool ready = sluice_stats_endpoint_ready(stats, e, &reason);

	sluice_strbuf_puts(b, "{\"ip\":\"");
	sluice_strbuf_address(b, &e->spec.address);
	sluice_strbuf_printf(b, "\",\"port\":%u,\"weight\":%u,\"state\":\"%s\",\"ready\":%s",
	                     e->spec.port, e->spec.weight,
	                     sluice_endpoint_state_name(e->spec.state), ready ? "true" : "false");
	if (reason)
		put_string(b, ",\"reason\":", reason);
	if (id_length)
		put_string(b, ",\"serverId\":",
		           sluice_server_id_format(&e->spec.address, e->spec.port, id_length, id));
	sluice_strbuf_puts(b, ",\"since\":");
	sluice_api_put_time(b, e->since);
	if (e->draining_since) {
		sluice_strbuf_puts(b, ",\"drainingSince\":");
		sluice_api_put_time(b, e->draining_since);
	}
	sluice_stats_endpoint(stats, e, &t);
	put_traffic(b, sluice_stats_endpoint_flows(stats, e), &t);
	sluice_strbuf_putc(b, '}');
}

void sluice_api_write_endpoints(struct sluice_strbuf *b, const struct sluice_stats *stats,
                                const struct sluice_model_service *s)
{
	sluice_strbuf_puts(b, "\"endpoints\":[");
	for (size_t i = 0; i < s->endpoint_count; i++) {
		if (i)
			sluice_strbuf_putc(b, ',');
		write_endpoint(b, stats, s, &s->endpoints[i]);
	}
	sluice_strbuf_putc(b, ']');
}

static void write_events(struct sluice_strbuf *b, const struct sluice_events *events)
{
	sluice_strbuf_puts(b, ",\"events\":[");
	for (size_t i = 0; i < events->count; i++) {
		const struct sluice_event *e = sluice_events_at(events, i);

		sluice_strbuf_puts(b, i ? ",{\"time\":" : "{\"time\":");
		sluice_api_put_time(b, e->time);
		put_string(b, ",\"type\":", sluice_event_type_name(e->type));
		put_string(b, ",\"message\":", e->message);
		sluice_strbuf_putc(b, '}');
	}
	sluice_strbuf_putc(b, ']');
}

static void write_spec(struct sluice_strbuf *b, const struct sluice_service_spec *spec)
{
	char duration[SLUICE_DURATION_TEXT];

	put_string(b, "{\"name\":", spec->name);
	put_string(b, ",\"namespace\":", spec->namespace_);
	sluice_strbuf_puts(b, ",\"ip\":\"");
	sluice_strbuf_address(b, &spec->address);
	sluice_strbuf_printf(b, "\",\"port\":%u,\"protocol\":\"%s\",\"targetPort\":%u", spec->port,
	                     sluice_protocol_name(spec->protocol), spec->target_port);
	if (spec->node_port)
		sluice_strbuf_printf(b, ",\"nodePort\":%u", spec->node_port);
	sluice_strbuf_printf(b, ",\"forwarding\":\"%s\",\"sessionAffinity\":\"%s\"",
	                     sluice_forwarding_name(spec->forwarding), sluice_affinity_name(spec));
	if (spec->affinity_timeout)
		put_string(b, ",\"sessionAffinityTimeout\":",
		           sluice_duration_format(1000LL * spec->affinity_timeout, duration));
	if (spec->server_id_length)
		sluice_strbuf_printf(b, ",\"quic\":{\"serverIdLength\":%u}",
		                     spec->server_id_length);
	sluice_strbuf_printf(b,
	                     ",\"externalTrafficPolicy\":\"%s\",\"onEmpty\":\"%s\","
	                     "\"tableSize\":%u",
	                     sluice_traffic_policy_name(spec->external_policy),
	                     sluice_on_empty_name(spec->on_empty), spec->table_size);
}

void sluice_api_write_service(struct sluice_strbuf *b, const struct sluice_stats *stats,
                              const struct sluice_model_service *s)
{
	struct sluice_traffic t;
	const char *origin = s->origin == SLUICE_ORIGIN_FILE ? "file" : "api";

	write_spec(b, &s->spec);
	put_string(b, ",\"origin\":", origin);
	sluice_strbuf_puts(b, ",\"since\":");
	sluice_api_put_time(b, s->since);
	sluice_strbuf_printf(b, ",\"generation\":%" PRIu64, s->changed);
	if (stats->source->announced)
		sluice_strbuf_printf(
		        b, ",\"announced\":%s",
		        stats->source->announced(stats->source->context, &s->spec.address)
		                ? "true"
		                : "false");
	sluice_stats_service(stats, s, &t);
	put_traffic(b, sluice_stats_service_flows(stats, s), &t);
	sluice_strbuf_putc(b, ',');
	sluice_api_write_endpoints(b, stats, s);
	write_events(b, &s->events);
	sluice_strbuf_putc(b, '}');
}
