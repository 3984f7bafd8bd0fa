// SPDX-License-Identifier: BSD-3-Clause
// What a change would move: Maglev rows of both sides compared, and the live flows of endpoints
// that would leave (all others stay where they are, as the flow table pins them).
#include <arpa/inet.h>
#include <inttypes.h>
#include <stdlib.h>

#include "control/api_internal.h"
#include "control/maglev_table.h"
#include "dataplane/hash.h"

// Only endpoints that take new flows have rows (any: all of them, alike); those that are not there
// yet pass as ready.
static size_t list_selectable(const struct sluice_api_context *api,
                              const struct sluice_model_service *s, bool any,
                              struct sluice_maglev_endpoint *out)
{
	size_t n = 0;

	for (size_t i = 0; i < s->endpoint_count; i++) {
		const struct sluice_model_endpoint *e = &s->endpoints[i];
		const char *reason;

		if (!any &&
		    (e->spec.state != SLUICE_STATE_ACTIVE || !e->spec.weight ||
		     (e->generation && !sluice_stats_endpoint_ready(api->stats, e, &reason))))
			continue;
		out[n++] = (struct sluice_maglev_endpoint){
		        .address = e->spec.address,
		        .port = htons(e->spec.port),
		        .weight = any ? 1 : e->spec.weight,
		};
	}
	return n;
}

// The table that compilation would make. NULL: none, as no endpoint takes flows.
static struct sluice_maglev_table *table_of(const struct sluice_api_context *api,
                                            const struct sluice_model_service *s)
{
	const char *seed = api->stats->source->seed;
	struct sluice_maglev_table *table = NULL;
	struct sluice_maglev_endpoint *endpoints;
	struct sluice_hash_key key;
	size_t n;

	if (!s || !s->endpoint_count)
		return NULL;
	endpoints = calloc(s->endpoint_count, sizeof(*endpoints));
	if (!endpoints)
		return NULL;
	n = list_selectable(api, s, false, endpoints);
	if (n == 0 && s->spec.on_empty == SLUICE_ON_EMPTY_KEEP_LAST)
		n = list_selectable(api, s, true, endpoints);
	sluice_hash_key_expand(&key, seed ? seed : "");
	if (n > 0)
		table = sluice_maglev_table_of(NULL, s->spec.table_size, endpoints, n, &key);
	free(endpoints);
	return table;
}

static uint64_t rows_moved(const struct sluice_api_context *api, const struct sluice_planned *p)
{
	struct sluice_maglev_table *before, *after;
	uint64_t moved = 0;

	if (p->change == SLUICE_UNCHANGED)
		return 0;
	before = table_of(api, p->live);
	after = table_of(api, p->draft);
	if (before || after)
		moved = sluice_maglev_table_moved(before, after);
	sluice_maglev_table_put(before);
	sluice_maglev_table_put(after);
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
