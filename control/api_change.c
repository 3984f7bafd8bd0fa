// SPDX-License-Identifier: BSD-3-Clause
// A change, from its plan to the answer that says every worker has it.
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control/api_internal.h"

struct sluice_api_change {
	LIST_ENTRY(sluice_api_change) list;
	struct sluice_api_call call;
	bool changed;
	bool has_endpoints;
	size_t endpoints;              // of the one service it was about
	struct sluice_strbuf services; // JSON, where the answer lists them
};

static const char *change_name(enum sluice_planned_change change)
{
	static const char *const names[] = {
	        [SLUICE_UNCHANGED] = "unchanged",
	        [SLUICE_CREATED] = "created",
	        [SLUICE_UPDATED] = "updated",
	        [SLUICE_DELETED] = "deleted",
	};

	return names[change];
}

void sluice_api_put_services_changed(struct sluice_strbuf *b, const struct sluice_model_plan *plan)
{
	sluice_strbuf_putc(b, '[');
	for (size_t i = 0; i < plan->count; i++) {
		const struct sluice_planned *p = &plan->services[i];
		const struct sluice_model_service *s = p->draft ? p->draft : p->live;

		sluice_strbuf_puts(b, i ? ",{\"namespace\":" : "{\"namespace\":");
		sluice_strbuf_json(b, s->spec.namespace_);
		sluice_strbuf_puts(b, ",\"name\":");
		sluice_strbuf_json(b, s->spec.name);
		sluice_strbuf_printf(b, ",\"endpoints\":%zu,\"change\":\"%s\"}",
		                     p->change == SLUICE_DELETED ? 0 : s->endpoint_count,
		                     change_name(p->change));
	}
	sluice_strbuf_putc(b, ']');
}

static void change_free(struct sluice_api_change *c)
{
	LIST_REMOVE(c, list);
	sluice_strbuf_free(&c->services);
	free(c);
}

// The model has the change, the workers have not: it goes live with the next publication.
static void change_failed(struct sluice_api_change *c, int error)
{
	struct sluice_error e = {0};

	sluice_error_set(&e, 503, "not_applied", NULL,
	                 "kept, but not in use yet: the workers have what they had (%s)",
	                 strerror(-error));
	sluice_api_refuse(&c->call, &e);
	change_free(c);
}

static void change_done(void *context, const struct sluice_update_result *result)
{
	struct sluice_api_change *c = context;
	const struct sluice_api_context *api = &c->call.api->context;
	struct sluice_strbuf b = {0};

	if (result->error) {
		change_failed(c, result->error);
		return;
	}
	if (c->changed)
		sluice_stats_sync_applied(api->stats, sluice_api_now_us() - c->call.started_us);
	sluice_strbuf_printf(&b,
	                     "{\"generation\":%" PRIu64 ",\"applied\":\"%" PRIu64
	                     "us\",\"rowsMoved\":%" PRIu64 ",\"changed\":%s",
	                     result->generation, result->applied_us,
	                     c->changed ? result->rows_moved : 0, c->changed ? "true" : "false");
	if (c->has_endpoints)
		sluice_strbuf_printf(&b, ",\"endpoints\":%zu", c->endpoints);
	if (c->services.len) {
		sluice_strbuf_puts(&b, ",\"services\":");
		sluice_strbuf_put(&b, c->services.data, c->services.len);
	}
	if (api->state && !api->state->saved)
		sluice_strbuf_puts(&b, ",\"stateSaved\":false");
	sluice_strbuf_putc(&b, '}');
	sluice_api_answer(&c->call, &b);
	change_free(c);
}

static struct sluice_api_change *change_new(struct sluice_api_call *call,
                                            const struct sluice_model_plan *plan, bool list)
{
	struct sluice_api_change *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->call = *call;
	c->changed = plan->changed;
	if (list)
		sluice_api_put_services_changed(&c->services, plan);
	if (!list && plan->count == 1 && plan->services[0].draft) {
		c->has_endpoints = true;
		c->endpoints = plan->services[0].draft->endpoint_count;
	}
	LIST_INSERT_HEAD(&call->api->changes, c, list);
	return c;
}

// A generation that never was is of another life: one whose state was lost since.
static bool generation_is_foreign(const struct sluice_api_call *call, struct sluice_error *e)
{
	uint64_t generation = call->api->context.model->generation;

	if (!call->has_if_match || call->if_match == UINT64_MAX || call->if_match <= generation)
		return false;
	sluice_error_set(e, 409, "conflict", NULL,
	                 "there is no generation %" PRIu64 ": the last one is %" PRIu64,
	                 call->if_match, generation);
	return true;
}

void sluice_api_change(struct sluice_api_call *call, struct sluice_edit *edit, bool list)
{
	const struct sluice_api_context *api = &call->api->context;
	struct sluice_model_plan plan;
	struct sluice_error e = {0};
	struct sluice_strbuf b = {0};

	edit->has_if_match = call->has_if_match;
	edit->if_match = call->if_match;
	edit->name = &call->name;
	if (generation_is_foreign(call, &e) || sluice_model_plan(api->model, edit, &plan, &e) < 0) {
		sluice_api_refuse(call, &e);
		return;
	}
	if (call->dry_run) {
		sluice_api_write_dry_run(call, &plan, &b);
		sluice_model_plan_clear(&plan);
		sluice_api_answer(call, &b);
		return;
	}
	struct sluice_api_change *c = change_new(call, &plan, list);

	if (!c) {
		sluice_model_plan_clear(&plan);
		sluice_error_set(&e, 503, "no_memory", NULL, "out of memory");
		sluice_api_refuse(call, &e);
		return;
	}
	sluice_model_commit(api->model, &plan);
	sluice_model_plan_clear(&plan);
	// Where nothing changed, but a change before it is not published yet, the answer waits too.
	uint64_t published = sluice_update_generation(api->updater);

	if (c->changed || published < api->model->generation)
		sluice_update_request(api->updater, change_done, c);
	else
		change_done(c, &(struct sluice_update_result){.generation = published});
}

void sluice_api_free(struct sluice_api *api)
{
	struct sluice_api_change *c, *next;
	struct stat st;

	if (!api)
		return;
	for (c = LIST_FIRST(&api->changes); c; c = next) {
		next = LIST_NEXT(c, list);
		change_free(c);
	}
	sluice_http_server_free(api->http);
	if (stat(api->socket, &st) == 0 && st.st_dev == api->device && st.st_ino == api->inode)
		unlink(api->socket);
	free(api->socket);
	free(api);
}
