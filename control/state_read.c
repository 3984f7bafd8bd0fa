// SPDX-License-Identifier: BSD-3-Clause
// Reading the state back. The file is our own, but a disk, an older version or a curious person
// may have made something else of it: whatever does not fit is refused as a whole.
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "control/address.h"
#include "control/model_internal.h"
#include "control/state_internal.h"

struct reader {
	struct sluice_state *s;
	struct sluice_model *m;
	const char **why;
	uint8_t *used; // bitmap of slots
	uint32_t high;
};

static int bad(struct reader *r, const char *why)
{
	*r->why = why;
	return -EINVAL;
}

// The i-th number of an array in 0..max.
static bool number(const json_t *array, size_t i, uint64_t max, uint64_t *out)
{
	const json_t *v = json_array_get(array, i);
	json_int_t n = json_integer_value(v);

	*out = (uint64_t)n;
	return json_is_integer(v) && n >= 0 && (uint64_t)n <= max;
}

static bool address(const json_t *array, size_t i, struct sluice_address *out)
{
	const char *text = json_string_value(json_array_get(array, i));

	return text && sluice_address_parse(text, out) == 0;
}

static uint64_t hexadecimal(const json_t *v)
{
	const char *text = json_string_value(v);

	return text ? strtoull(text, NULL, 16) : 0;
}

static int read_slots(struct reader *r, const json_t *v, uint16_t **generations)
{
	const char *text = json_string_value(v);
	size_t len = json_string_length(v);

	if (!text || len % 4 || len / 4 > SLUICE_ENDPOINTS_MAX)
		return bad(r, "slots");
	r->high = (uint32_t)(len / 4);
	r->used = calloc(1, r->high / 8 + 1);
	*generations = calloc(r->high + 1, sizeof(**generations));
	if (!r->used || !*generations)
		return bad(r, "out of memory");
	for (uint32_t i = 0; i < r->high; i++) {
		char digits[5] = {0};
		char *end;

		memcpy(digits, &text[4 * (size_t)i], 4);
		(*generations)[i] = (uint16_t)strtoul(digits, &end, 16);
		if (*end)
			return bad(r, "slots");
	}
	return 0;
}

static int read_endpoint(struct reader *r, const json_t *v, const uint16_t *generations,
                         struct sluice_model_endpoint *e)
{
	uint64_t port, weight, slot, generation, since, draining;

	if (!address(v, 0, &e->spec.address) || !number(v, 1, UINT16_MAX, &port) || !port ||
	    !number(v, 2, UINT16_MAX, &weight) || !number(v, 3, UINT32_MAX, &slot) ||
	    slot >= r->high || !number(v, 4, UINT16_MAX, &generation) ||
	    !number(v, 5, INT64_MAX, &since) || !number(v, 6, INT64_MAX, &draining))
		return bad(r, "an endpoint");
	if (!generation || generations[slot] != generation ||
	    (r->used[slot / 8] & (1u << (slot % 8))))
		return bad(r, "an endpoint's slot");
	r->used[slot / 8] |= (uint8_t)(1u << (slot % 8));
	e->spec.port = (uint16_t)port;
	e->spec.weight = (uint16_t)weight;
	e->spec.state = draining ? SLUICE_STATE_DRAINING : SLUICE_STATE_ACTIVE;
	e->slot = (uint32_t)slot;
	e->generation = (uint16_t)generation;
	e->since = (time_t)since;
	e->draining_since = (time_t)draining;
	return 0;
}

static int read_endpoints(struct reader *r, const json_t *v, const uint16_t *generations,
                          struct sluice_model_service *s)
{
	size_t n = json_array_size(v);

	if (!json_is_array(v) || sluice_endpoints_fit(n, s->spec.table_size, NULL) < 0)
		return bad(r, "a service's endpoints");
	s->endpoints = calloc(n + 1, sizeof(*s->endpoints));
	if (!s->endpoints)
		return bad(r, "out of memory");
	for (; s->endpoint_count < n; s->endpoint_count++) {
		struct sluice_model_endpoint *e = &s->endpoints[s->endpoint_count];

		if (read_endpoint(r, json_array_get(v, s->endpoint_count), generations, e) < 0)
			return -EINVAL;
		if (sluice_endpoint_suits(&s->spec, &e->spec, NULL) < 0)
			return bad(r, "an endpoint's family or port");
		if (s->endpoint_count && sluice_endpoint_spec_compare(&e[-1].spec, &e->spec) >= 0)
			return bad(r, "the order of endpoints");
	}
	return 0;
}

static int read_origin(struct reader *r, const json_t *v, struct sluice_model_service *s)
{
	const char *name = json_string_value(json_object_get(v, "kubernetes"));
	const char *port = json_string_value(json_object_get(v, "portName"));

	s->origin =
	        json_is_true(json_object_get(v, "file")) ? SLUICE_ORIGIN_FILE : SLUICE_ORIGIN_API;
	s->digest = hexadecimal(json_object_get(v, "digest"));
	if (!name)
		return 0;
	s->kubernetes_name = strdup(name);
	s->port_name = strdup(port ? port : "");
	return s->kubernetes_name && s->port_name ? 0 : bad(r, "out of memory");
}

static int read_service(struct reader *r, json_t *v, const uint16_t *generations)
{
	struct sluice_model *m = r->m;
	struct sluice_node node = {.value = json_object_get(v, "spec")};
	struct sluice_error e = {0};
	struct sluice_model_service *s = sluice_model_service_new();

	if (!s)
		return bad(r, "out of memory");
	if (!json_is_object(node.value) ||
	    sluice_service_spec_read(&node, NULL, &s->spec, &e) < 0) {
		free(s);
		return bad(r, "a service");
	}
	m->services[m->service_count++] = s; // from here on the model frees it
	json_int_t id = json_integer_value(json_object_get(v, "id"));

	if (id <= 0 || (uint64_t)id >= m->next_service_id ||
	    (m->service_count > 1 &&
	     sluice_service_spec_compare(&m->services[m->service_count - 2]->spec, &s->spec) >= 0))
		return bad(r, "a service's place");
	s->id = (uint32_t)id;
	s->since = (time_t)json_integer_value(json_object_get(v, "since"));
	s->changed = (uint64_t)json_integer_value(json_object_get(v, "changed"));
	if (read_origin(r, v, s) < 0)
		return -EINVAL;
	return read_endpoints(r, json_object_get(v, "endpoints"), generations, s);
}

static int read_services(struct reader *r, const json_t *v, const uint16_t *generations)
{
	size_t n = json_array_size(v);

	if (!json_is_array(v) || n >= SLUICE_SERVICES_MAX)
		return bad(r, "services");
	r->m->services = calloc(n + 1, sizeof(void *));
	if (!r->m->services)
		return bad(r, "out of memory");
	for (size_t i = 0; i < n; i++) {
		if (read_service(r, json_array_get(v, i), generations) < 0)
			return -EINVAL;
	}
	return 0;
}

static int read_frontends(struct reader *r, const json_t *v, uint64_t now_ms)
{
	if (!json_is_array(v))
		return bad(r, "frontends");
	for (size_t i = 0; i < json_array_size(v); i++) {
		const json_t *f = json_array_get(v, i);
		struct sluice_target t = {0};
		uint64_t port, protocol, service, id;

		if (!address(f, 0, &t.address) || !number(f, 1, UINT16_MAX, &port) ||
		    !number(f, 2, UINT8_MAX, &protocol) || !number(f, 3, UINT32_MAX, &service) ||
		    !number(f, 4, UINT16_MAX, &id))
			return bad(r, "a frontend");
		t.port = htons((uint16_t)port);
		t.protocol = (uint8_t)protocol;
		t.family = (uint8_t)sluice_address_family(&t.address);
		if (sluice_frontends_restore(&r->m->frontends, &t, (uint32_t)service,
		                             (uint16_t)id) < 0)
			return bad(r, "a frontend's id");
	}
	return sluice_frontends_restored(&r->m->frontends, now_ms) < 0 ? bad(r, "frontend ids") : 0;
}

static int read_slices(struct reader *r, const json_t *v)
{
	if (!json_is_array(v))
		return bad(r, "slices");
	for (size_t i = 0; i < json_array_size(v); i++) {
		const json_t *item = json_array_get(v, i);
		struct sluice_changes changes = {0};
		struct sluice_node node = {.value = json_object_get(item, "slice")};
		struct sluice_error e = {0};
		bool changed;
		int result = json_is_object(node.value)
		                     ? sluice_changes_add_kubernetes(&changes, &node, &e)
		                     : -EINVAL;

		if (!result && (changes.count != 1 || changes.items[0].kind != SLUICE_CHANGE_SLICE))
			result = -EINVAL;
		if (!result)
			result = sluice_model_slices_put(
			        &r->m->slices, &changes.items[0].slice,
			        hexadecimal(json_object_get(item, "digest")), &changed);
		sluice_changes_clear(&changes);
		if (result < 0)
			return bad(r, "a slice");
	}
	return 0;
}

static int read_head(struct reader *r, const json_t *root)
{
	const char *seed = json_string_value(json_object_get(root, "seed"));
	json_int_t version = json_integer_value(json_object_get(root, "version"));
	json_int_t generation = json_integer_value(json_object_get(root, "generation"));
	json_int_t next = json_integer_value(json_object_get(root, "nextServiceId"));

	if (version != SLUICE_STATE_VERSION)
		return bad(r, "another version wrote it");
	r->s->epoch = hexadecimal(json_object_get(root, "epoch"));
	if (!seed || strlen(seed) != sizeof(r->s->seed) - 1 || !r->s->epoch)
		return bad(r, "epoch or seed");
	if (generation < 0 || next <= 0 || next > UINT32_MAX)
		return bad(r, "generation");
	memcpy(r->s->seed, seed, sizeof(r->s->seed));
	r->m->generation = (uint64_t)generation;
	r->m->next_service_id = (uint32_t)next;
	return 0;
}

static int read_root(struct reader *r, const json_t *root)
{
	uint64_t now_ms = sluice_model_now_ms();
	uint16_t *generations = NULL;
	int result = read_head(r, root);

	if (!result)
		result = read_slots(r, json_object_get(root, "slots"), &generations);
	if (!result)
		result = read_slices(r, json_object_get(root, "slices"));
	if (!result)
		result = read_services(r, json_object_get(root, "services"), generations);
	if (!result)
		result = read_frontends(r, json_object_get(root, "frontends"), now_ms);
	if (!result &&
	    sluice_slots_restore(&r->m->slots, generations, r->high, r->used, now_ms) < 0)
		result = bad(r, "slots");
	free(generations);
	free(r->used);
	return result;
}

int sluice_state_read(struct sluice_state *s, int fd, struct sluice_model *m, const char **why)
{
	struct reader r = {.s = s, .m = m, .why = why};
	json_error_t error;
	json_t *root = json_loadfd(fd, JSON_REJECT_DUPLICATES, &error);

	if (!json_is_object(root)) {
		json_decref(root);
		return bad(&r, "it is no JSON object");
	}
	int result = read_root(&r, root);

	json_decref(root);
	return result;
}
