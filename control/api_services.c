// SPDX-License-Identifier: BSD-3-Clause
// GET, PUT, DELETE of services, and POST /v1/apply.
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "control/api_internal.h"
#include "control/api_write.h"

void sluice_api_get_services(struct sluice_api_call *call)
{
	const struct sluice_model *m = call->api->context.model;
	struct sluice_strbuf b = {0};

	sluice_stats_walk_flows(call->api->context.stats);
	sluice_strbuf_puts(&b, "{\"services\":[");
	for (size_t i = 0; i < m->service_count; i++) {
		if (i)
			sluice_strbuf_putc(&b, ',');
		sluice_api_write_service(&b, call->api->context.stats, m->services[i]);
	}
	sluice_strbuf_puts(&b, "]}");
	sluice_api_answer(call, &b);
}

static void set_etag(const struct sluice_api_call *call, const struct sluice_model_service *s)
{
	char tag[32];

	snprintf(tag, sizeof(tag), "\"%" PRIu64 "\"", s->changed);
	sluice_http_set_header(call->request, "ETag", tag);
}

void sluice_api_get_service(struct sluice_api_call *call)
{
	const struct sluice_model_service *s = sluice_api_service(call);
	struct sluice_strbuf b = {0};

	if (!s)
		return;
	sluice_stats_walk_flows(call->api->context.stats);
	set_etag(call, s);
	sluice_api_write_service(&b, call->api->context.stats, s);
	sluice_api_answer(call, &b);
}

void sluice_api_put_service(struct sluice_api_call *call)
{
	struct sluice_documents documents;
	struct sluice_error e = {0};
	char path[] = "";
	struct sluice_change change = {.kind = SLUICE_CHANGE_SERVICE, .path = path};
	struct sluice_changes changes = {.count = 1, .items = &change};

	if (sluice_api_read(call, &documents, true) < 0)
		return;
	struct sluice_node root = sluice_documents_root(&documents, 0);

	if (sluice_service_spec_read(&root, &call->name, &change.service, &e) < 0)
		sluice_api_refuse(call, &e);
	else
		sluice_api_change(
		        call, &(struct sluice_edit){.kind = SLUICE_EDIT_APPLY, .changes = &changes},
		        false);
	sluice_service_spec_clear(&change.service);
	sluice_documents_clear(&documents);
}

void sluice_api_delete_service(struct sluice_api_call *call)
{
	sluice_api_change(call, &(struct sluice_edit){.kind = SLUICE_EDIT_DELETE}, false);
}

void sluice_api_get_endpoints(struct sluice_api_call *call)
{
	const struct sluice_model_service *s = sluice_api_service(call);
	struct sluice_strbuf b = {0};

	if (!s)
		return;
	sluice_stats_walk_flows(call->api->context.stats);
	set_etag(call, s);
	sluice_strbuf_puts(&b, "{\"namespace\":");
	sluice_strbuf_json(&b, s->spec.namespace_);
	sluice_strbuf_puts(&b, ",\"name\":");
	sluice_strbuf_json(&b, s->spec.name);
	sluice_strbuf_printf(&b, ",\"generation\":%" PRIu64 ",", s->changed);
	sluice_api_write_endpoints(&b, call->api->context.stats, s);
	sluice_strbuf_putc(&b, '}');
	sluice_api_answer(call, &b);
}

void sluice_api_put_endpoints(struct sluice_api_call *call)
{
	struct sluice_documents documents;
	const struct sluice_model_service *s = sluice_api_service(call);
	struct sluice_endpoint_spec *endpoints = NULL;
	struct sluice_edit edit = {.kind = SLUICE_EDIT_ENDPOINTS};
	struct sluice_error e = {0};

	if (!s || sluice_api_read(call, &documents, true) < 0)
		return;
	struct sluice_node root = sluice_documents_root(&documents, 0);

	if (sluice_endpoints_read(&root, &s->spec, &endpoints, &edit.endpoint_count, &e) < 0) {
		sluice_api_refuse(call, &e);
	} else {
		edit.endpoints = endpoints;
		sluice_api_change(call, &edit, false);
		free(endpoints);
	}
	sluice_documents_clear(&documents);
}

void sluice_api_patch_endpoints(struct sluice_api_call *call)
{
	struct sluice_documents documents;
	const struct sluice_model_service *s = sluice_api_service(call);
	struct sluice_endpoints_patch patch = {0};
	struct sluice_error e = {0};

	if (!s || sluice_api_read(call, &documents, true) < 0)
		return;
	struct sluice_node root = sluice_documents_root(&documents, 0);

	if (sluice_endpoints_patch_read(&root, &s->spec, &patch, &e) < 0) {
		sluice_api_refuse(call, &e);
	} else {
		sluice_api_change(call,
		                  &(struct sluice_edit){.kind = SLUICE_EDIT_PATCH, .patch = &patch},
		                  false);
		sluice_endpoints_patch_clear(&patch);
	}
	sluice_documents_clear(&documents);
}

void sluice_api_post_apply(struct sluice_api_call *call)
{
	struct sluice_documents documents;
	struct sluice_changes changes = {0};
	struct sluice_error e = {0};

	if (sluice_api_read(call, &documents, false) < 0)
		return;
	if (sluice_changes_read(&documents, &changes, &e) < 0) {
		sluice_api_refuse(call, &e);
	} else {
		sluice_api_change(
		        call, &(struct sluice_edit){.kind = SLUICE_EDIT_APPLY, .changes = &changes},
		        true);
		sluice_changes_clear(&changes);
	}
	sluice_documents_clear(&documents);
}
