// SPDX-License-Identifier: BSD-3-Clause
// What a change would move: Maglev rows of both sides compared, and the live flows of endpoints
// that would leave (all others stay where they are, as the flow table pins them).
#include <arpa/inet.h>
#include <inttypes.h>
#include <stdlib.h>

#include "control/api_internal.h"
#include "dataplane/hash.h"
#include "dataplane/maglev.h"

// A service's table and what its rows stand for.
struct side {
	struct sluice_maglev_endpoint *endpoints;
	size_t count; // 0: no rows
	uint16_t *rows;
};

static void side_free(struct side *s)
{
	free(s->endpoints);
	free(s->rows);
}

// Only endpoints that take new flows have rows; those that are not there yet pass as ready.
static bool side_fill(const struct sluice_api_context *api, const struct sluice_model_service *s,
                      struct side *out)
{
	const struct sluice_stats_source *source = api->stats->source;
	struct sluice_hash_key key;

	*out = (struct side){0};
	if (!s || !s->endpoint_count)
		return true;
	out->endpoints = calloc(s->endpoint_count, sizeof(*out->endpoints));
	out->rows = calloc(s->spec.table_size, sizeof(*out->rows));
	if (!out->endpoints || !out->rows)
		return false;
	for (size_t i = 0; i < s->endpoint_count; i++) {
		const struct sluice_model_endpoint *e = &s->endpoints[i];
		const char *reason;

		if (e->spec.state != SLUICE_STATE_ACTIVE || !e->spec.weight ||
		    (e->generation && !sluice_stats_endpoint_ready(api->stats, e, &reason)))
			continue;
		out->endpoints[out->count++] = (struct sluice_maglev_endpoint){
		        .address = e->spec.address,
		        .port = htons(e->spec.port),
		        .weight = e->spec.weight,
		};
	}
	sluice_hash_key_expand(&key, source->seed ? source->seed : "");
	return !out->count || sluice_maglev_fill(out->rows, s->spec.table_size, out->endpoints,
	                                         out->count, &key) == 0;
}

// Rows that have an endpoint and would have another one, or none.
static uint64_t rows_moved(const struct sluice_api_context *api, const struct sluice_planned *p)
{
	struct side before, after = {0};
	uint64_t moved = 0;

	if (!p->live || p->change == SLUICE_UNCHANGED)
		return 0;
	uint32_t size = p->live->spec.table_size;

	if (side_fill(api, p->live, &before) && side_fill(api, p->draft, &after) && before.count) {
		bool comparable = after.count && p->draft->spec.table_size == size;

		for (uint32_t i = 0; i < size; i++) {
			const struct sluice_maglev_endpoint *a = &before.endpoints[before.rows[i]];
			const struct sluice_maglev_endpoint *b =
			        comparable ? &after.endpoints[after.rows[i]] : NULL;

			moved += !b || a->port != b->port ||
			         !sluice_address_equal(&a->address, &b->address);
		}
	}
	side_free(&before);
	side_free(&after);
	return moved;
}

static uint64_t flows_moved(const struct sluice_api_context *api, const struct sluice_planned *p)
{
	uint64_t flows = 0;

	for (size_t i = 0; p->live && i < p->live->endpoint_count; i++) {
		const struct sluice_model_endpoint *e = &p->live->endpoints[i];

		if (!p->draft || !sluice_model_endpoint(p->draft, &e->spec.address, e->spec.port))
			flows += sluice_stats_endpoint_flows(api->stats, e);
	}
	return flows;
}

void sluice_api_write_dry_run(struct sluice_api_call *call, const struct sluice_model_plan *plan,
                              struct sluice_strbuf *b)
{
	const struct sluice_api_context *api = &call->api->context;
	uint64_t rows = 0, flows = 0;

	sluice_stats_walk_flows(api->stats);
	for (size_t i = 0; i < plan->count; i++) {
		rows += rows_moved(api, &plan->services[i]);
		flows += flows_moved(api, &plan->services[i]);
	}
	sluice_strbuf_printf(b,
	                     "{\"dryRun\":true,\"generation\":%" PRIu64
	                     ",\"changed\":%s,\"rowsMoved\":%" PRIu64 ",\"flowsMoved\":%" PRIu64
	                     ",\"services\":",
	                     sluice_update_generation(api->updater),
	                     plan->changed ? "true" : "false", rows, flows);
	sluice_api_put_services_changed(b, plan);
	sluice_strbuf_putc(b, '}');
}
