// SPDX-License-Identifier: BSD-3-Clause
#pragma once

// Edits written as the text that people send, for tests of the model and what stands on it.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "control/change.h"
#include "control/model.h"
#include "dataplane/snat_table.h"

#define TOMCAT                                                                                     \
	"name: tomcat\nip: 10.96.43.114\nport: 8080\n"                                             \
	"endpoints: [172.17.0.5:8080, 172.17.0.7:8080, 172.17.0.8:8080]\n"

// Applies documents. Returns what sluice_model_apply does.
static inline int fixture_apply(struct sluice_model *m, enum sluice_edit_kind kind,
                                const char *text, struct sluice_error *e)
{
	struct sluice_documents documents;
	struct sluice_changes changes = {0};
	struct sluice_edit edit = {.kind = kind, .changes = &changes};

	*e = (struct sluice_error){0};
	int r = sluice_documents_parse(text, strlen(text), "test.yaml", &documents, e);

	assert_int_equal(r, 0);
	r = sluice_changes_read(&documents, &changes, e);
	if (r < 0)
		print_message("%s: %s\n", e->path, e->message);
	assert_int_equal(r, 0);
	r = sluice_model_apply(m, &edit, e);
	sluice_changes_clear(&changes);
	sluice_documents_clear(&documents);
	return r;
}

// PUT (a list) or PATCH (an object of lists) of default/NAME's endpoints.
static inline int fixture_endpoints(struct sluice_model *m, const char *name, const char *text,
                                    struct sluice_error *e)
{
	struct sluice_service_name service = {.namespace_ = "default"};
	struct sluice_model_service *s = sluice_model_find(m, "default", name);
	struct sluice_service_spec any = {.port = 1, .target_port = 1, .table_size = 65537};
	struct sluice_edit edit = {.name = &service};
	struct sluice_documents documents;
	struct sluice_endpoint_spec *endpoints = NULL;
	struct sluice_endpoints_patch patch = {0};

	*e = (struct sluice_error){0};
	any.address = sluice_address_from_v4(1);
	strcpy(service.name, name);
	assert_int_equal(sluice_documents_parse(text, strlen(text), NULL, &documents, e), 0);
	struct sluice_node root = sluice_documents_root(&documents, 0);

	if (text[0] == '[') {
		edit.kind = SLUICE_EDIT_ENDPOINTS;
		assert_int_equal(sluice_endpoints_read(&root, s ? &s->spec : &any, &endpoints,
		                                       &edit.endpoint_count, e),
		                 0);
		edit.endpoints = endpoints;
	} else {
		edit.kind = SLUICE_EDIT_PATCH;
		assert_int_equal(sluice_endpoints_patch_read(&root, s ? &s->spec : &any, &patch, e),
		                 0);
		edit.patch = &patch;
	}
	int r = sluice_model_apply(m, &edit, e);

	free(endpoints);
	sluice_endpoints_patch_clear(&patch);
	sluice_documents_clear(&documents);
	return r;
}

static inline int fixture_delete(struct sluice_model *m, const char *name, struct sluice_error *e)
{
	struct sluice_service_name service = {.namespace_ = "default"};

	*e = (struct sluice_error){0};
	strcpy(service.name, name);
	return sluice_model_apply(
	        m, &(struct sluice_edit){.kind = SLUICE_EDIT_DELETE, .name = &service}, e);
}

// SNAT addresses: 172.17.0.1 and no IPv6 one.
static inline const struct sluice_snat_pool *fixture_snat(void)
{
	static struct sluice_snat_pool pool = {.count = 1, .first_port = 1024, .last_port = 32767};

	pool.addresses[0] =
	        (struct sluice_address){.bytes = {[10] = 0xff, [11] = 0xff, 172, 17, 0, 1}};
	return &pool;
}

// The endpoint 172.17.0.LAST:8080 of default/NAME.
static inline struct sluice_model_endpoint *fixture_find(struct sluice_model *m, const char *name,
                                                         uint8_t last)
{
	struct sluice_model_service *s = sluice_model_find(m, "default", name);
	struct sluice_address a = {
	        .bytes = {[10] = 0xff, [11] = 0xff, [12] = 172, [13] = 17, [15] = last}};

	return s ? sluice_model_endpoint(s, &a, 8080) : NULL;
}
