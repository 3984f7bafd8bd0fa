// SPDX-License-Identifier: BSD-3-Clause
// Slices of endpoints: reading EndpointSlice and Endpoints, merging, writing.
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/address.h"
#include "control/kubernetes.h"
#include "control/kubernetes_read.h"
#include "control/service_names.h"

#define BAD            400, "bad_document"

#define SERVICE_LABEL  "kubernetes.io/service-name"
#define ENDPOINTS_NAME "Endpoints/" // before the name of what was an Endpoints object

enum {
	PORTS_MAX = 100, // of a subset, as in Kubernetes
};

void sluice_slice_clear(struct sluice_slice *slice)
{
	for (size_t i = 0; i < slice->port_count; i++)
		free(slice->ports[i].name);
	free(slice->ports);
	free(slice->endpoints);
	free(slice->namespace_);
	free(slice->name);
	free(slice->service);
	memset(slice, 0, sizeof(*slice));
}

static int slice_fill(struct sluice_slice *to, const struct sluice_slice *from)
{
	to->namespace_ = strdup(from->namespace_);
	to->name = strdup(from->name);
	to->service = strdup(from->service);
	to->ports = calloc(from->port_count + 1, sizeof(*to->ports));
	to->endpoints = calloc(from->endpoint_count + 1, sizeof(*to->endpoints));
	if (to->namespace_ == NULL || to->name == NULL || to->service == NULL ||
	    to->ports == NULL || to->endpoints == NULL)
		return -ENOMEM;
	for (; to->port_count < from->port_count; to->port_count++) {
		struct sluice_slice_port *port = &to->ports[to->port_count];

		*port = from->ports[to->port_count];
		port->name = strdup(port->name);
		if (port->name == NULL)
			return -ENOMEM;
	}
	if (from->endpoint_count > 0)
		memcpy(to->endpoints, from->endpoints,
		       from->endpoint_count * sizeof(*to->endpoints));
	to->endpoint_count = from->endpoint_count;
	return 0;
}

int sluice_slice_copy(struct sluice_slice *to, const struct sluice_slice *from)
{
	struct sluice_slice copy = {0};
	int rc = slice_fill(&copy, from);

	if (rc < 0)
		sluice_slice_clear(&copy);
	else
		*to = copy;
	return rc;
}

#define FIELD(member, ...)                                                                         \
	{                                                                                          \
		.offset = offsetof(struct sluice_slice_port, member), __VA_ARGS__                  \
	}
static const struct sluice_field port_fields[] = {
        FIELD(name, .key = "name", .read = sluice_kubernetes_port_name_read),
        FIELD(port, .key = "port", .read = sluice_read_port),
        FIELD(protocol, .key = "protocol", .read = sluice_read_protocol),
};
#undef FIELD
static const struct sluice_field_table port_table = SLUICE_FOREIGN_TABLE(port_fields);

static int read_port(const struct sluice_node *node, struct sluice_slice *slice, uint32_t subset,
                     struct sluice_error *err)
{
	struct sluice_slice_port *port = &slice->ports[slice->port_count];
	int rc;

	*port = (struct sluice_slice_port){.protocol = IPPROTO_TCP, .subset = subset};
	rc = sluice_fields_read(node, &port_table, port, NULL, err);
	if (rc == 0 && port->name == NULL)
		port->name = strdup("");
	if (rc == 0 && port->name == NULL)
		rc = sluice_node_no_memory(node, err);
	slice->port_count++;
	return rc;
}

// Appends the list at key of node, which may be missing.
static int read_ports(const struct sluice_node *node, struct sluice_slice *slice, uint32_t subset,
                      struct sluice_error *err)
{
	struct sluice_slice_port *ports;
	struct sluice_node list;
	size_t count;
	int rc;

	if (!sluice_node_member(node, "ports", &list) || json_is_null(list.value))
		return 0;
	rc = sluice_node_expect(&list, JSON_ARRAY, err);
	if (rc < 0)
		return rc;
	count = json_array_size(list.value);
	if (count > PORTS_MAX)
		return sluice_node_error(&list, err, BAD, "more than %d ports", PORTS_MAX);
	ports = reallocarray(slice->ports, slice->port_count + count + 1, sizeof(*ports));
	if (ports == NULL)
		return sluice_node_no_memory(node, err);
	slice->ports = ports;
	for (size_t i = 0; rc == 0 && i < count; i++) {
		struct sluice_node item = sluice_node_item(&list, i);

		rc = read_port(&item, slice, subset, err);
	}
	return rc;
}

// One endpoint of an EndpointSlice, as it stands there.
struct raw_endpoint {
	bool ready, serving, terminating;
	json_t *addresses;
};

#define FIELD(member, ...)                                                                         \
	{                                                                                          \
		.offset = offsetof(struct raw_endpoint, member), __VA_ARGS__                       \
	}
static const struct sluice_field condition_fields[] = {
        FIELD(ready, .key = "ready", .read = sluice_read_bool),
        FIELD(serving, .key = "serving", .read = sluice_read_bool),
        FIELD(terminating, .key = "terminating", .read = sluice_read_bool),
};
static const struct sluice_field_table condition_table = SLUICE_FOREIGN_TABLE(condition_fields);

enum { SERVING_SEEN = 1 << 1 };

// nil means: ready unless said otherwise, serving as ready is, not terminating.
static int read_conditions(const struct sluice_node *node, const struct sluice_field *field,
                           void *out, struct sluice_error *err)
{
	struct raw_endpoint *raw = out;
	uint64_t seen = 0;
	int rc = sluice_fields_read(node, &condition_table, raw, &seen, err);

	(void)field;
	if ((seen & SERVING_SEEN) == 0)
		raw->serving = raw->ready;
	return rc;
}

static const struct sluice_field endpoint_fields[] = {
        FIELD(addresses, .key = "addresses", .read = sluice_read_node, .required = true),
        {.key = "conditions", .read = read_conditions},
};
#undef FIELD
static const struct sluice_field_table endpoint_table = SLUICE_FOREIGN_TABLE(endpoint_fields);

// Kubernetes gives no meaning to addresses behind the first.
static int read_first_address(const struct sluice_node *node, enum sluice_family family,
                              struct sluice_address *out, struct sluice_error *err)
{
	struct sluice_node list, first;
	int rc;

	if (!sluice_node_member(node, "addresses", &list))
		return -EINVAL; // not reached: required
	rc = sluice_node_expect(&list, JSON_ARRAY, err);
	if (rc == 0 && json_array_size(list.value) == 0)
		rc = sluice_node_error(&list, err, BAD, "must not be empty");
	if (rc < 0)
		return rc;
	first = sluice_node_item(&list, 0);
	rc = sluice_read_address(&first, NULL, out, err);
	if (rc == 0 && sluice_address_family(out) != family)
		rc = sluice_node_error(&first, err, BAD, "%s is not of the slice's addressType",
		                       json_string_value(first.value));
	return rc;
}

static int read_endpoint(const struct sluice_node *node, enum sluice_family family,
                         struct sluice_slice_endpoint *out, struct sluice_error *err)
{
	struct raw_endpoint raw = {.ready = true, .serving = true};
	int rc = sluice_fields_read(node, &endpoint_table, &raw, NULL, err);

	if (rc == 0)
		rc = read_first_address(node, family, &out->address, err);
	out->ready = raw.ready;
	out->serving = raw.serving;
	out->terminating = raw.terminating;
	return rc;
}

// Room for count endpoints more.
static int reserve_endpoints(const struct sluice_node *node, struct sluice_slice *slice,
                             size_t count, struct sluice_error *err)
{
	struct sluice_slice_endpoint *endpoints = reallocarray(
	        slice->endpoints, slice->endpoint_count + count + 1, sizeof(*endpoints));

	if (endpoints == NULL)
		return sluice_node_no_memory(node, err);
	slice->endpoints = endpoints;
	return 0;
}

static int read_endpoint_list(const struct sluice_node *object, enum sluice_family family,
                              struct sluice_slice *slice, struct sluice_error *err)
{
	struct sluice_node list;
	int rc;

	if (!sluice_node_member(object, "endpoints", &list) || json_is_null(list.value))
		return 0;
	rc = sluice_node_expect(&list, JSON_ARRAY, err);
	if (rc == 0)
		rc = reserve_endpoints(&list, slice, json_array_size(list.value), err);
	for (size_t i = 0; rc == 0 && i < json_array_size(list.value); i++) {
		struct sluice_node item = sluice_node_item(&list, i);
		struct sluice_slice_endpoint *endpoint = &slice->endpoints[slice->endpoint_count];

		memset(endpoint, 0, sizeof(*endpoint));
		rc = read_endpoint(&item, family, endpoint, err);
		slice->endpoint_count++;
	}
	return rc;
}

static const struct sluice_name address_types[] = {
        {"IPv4", SLUICE_IPV4},
        {"IPv6", SLUICE_IPV6},
        {"FQDN", 0, true},
        {0},
};

struct raw_slice {
	struct sluice_kubernetes_metadata metadata;
	int address_type;
};

static const struct sluice_field slice_fields[] = {
        {.key = "metadata",
         .read = sluice_kubernetes_metadata_read,
         .offset = offsetof(struct raw_slice, metadata),
         .required = true},
        {.key = "addressType",
         .read = sluice_read_name,
         .offset = offsetof(struct raw_slice, address_type),
         .extra = address_types,
         .required = true},
};
static const struct sluice_field_table slice_table = SLUICE_FOREIGN_TABLE(slice_fields);

static int read_service_label(const struct sluice_node *object, struct sluice_slice *slice,
                              struct sluice_error *err)
{
	struct sluice_node metadata, labels, label;

	if (!sluice_node_member(object, "metadata", &metadata))
		return -EINVAL; // not reached: required
	if (!sluice_node_member(&metadata, "labels", &labels) ||
	    !sluice_node_member(&labels, SERVICE_LABEL, &label))
		return sluice_node_error(&metadata, err, BAD,
		                         "the label '" SERVICE_LABEL
		                         "' is missing, which says whose slice this is");
	return sluice_read_namespace_name(&label, NULL, &slice->service, err);
}

// Hands the names over to the slice.
static void take_names(struct sluice_slice *slice, struct sluice_kubernetes_metadata *metadata)
{
	slice->namespace_ = metadata->namespace_;
	slice->name = metadata->name;
	metadata->namespace_ = NULL;
	metadata->name = NULL;
}

int sluice_kubernetes_slice_read(const struct sluice_node *object, struct sluice_slice *out,
                                 struct sluice_error *err)
{
	struct raw_slice raw = {0};
	int rc = sluice_fields_read(object, &slice_table, &raw, NULL, err);

	if (rc == 0)
		rc = read_service_label(object, out, err);
	take_names(out, &raw.metadata);
	if (rc == 0)
		rc = read_ports(object, out, 0, err);
	if (rc == 0)
		rc = read_endpoint_list(object, (enum sluice_family)raw.address_type, out, err);
	return rc;
}

static const struct sluice_field subset_address_fields[] = {
        {.key = "ip",
         .read = sluice_read_address,
         .offset = offsetof(struct sluice_slice_endpoint, address),
         .required = true},
};
static const struct sluice_field_table subset_address_table =
        SLUICE_FOREIGN_TABLE(subset_address_fields);

static int read_subset_addresses(const struct sluice_node *node, const char *key, uint32_t subset,
                                 struct sluice_slice *slice, struct sluice_error *err)
{
	bool ready = strcmp(key, "addresses") == 0;
	struct sluice_node list;
	int rc;

	if (!sluice_node_member(node, key, &list) || json_is_null(list.value))
		return 0;
	rc = sluice_node_expect(&list, JSON_ARRAY, err);
	if (rc == 0)
		rc = reserve_endpoints(&list, slice, json_array_size(list.value), err);
	for (size_t i = 0; rc == 0 && i < json_array_size(list.value); i++) {
		struct sluice_node item = sluice_node_item(&list, i);
		struct sluice_slice_endpoint *endpoint = &slice->endpoints[slice->endpoint_count];

		memset(endpoint, 0, sizeof(*endpoint));
		endpoint->subset = subset;
		endpoint->ready = ready;
		endpoint->serving = ready;
		rc = sluice_fields_read(&item, &subset_address_table, endpoint, NULL, err);
		slice->endpoint_count++;
	}
	return rc;
}

static int read_subset(const struct sluice_node *node, uint32_t subset, struct sluice_slice *slice,
                       struct sluice_error *err)
{
	int rc = sluice_node_expect(node, JSON_OBJECT, err);

	if (rc == 0)
		rc = read_ports(node, slice, subset, err);
	if (rc == 0)
		rc = read_subset_addresses(node, "addresses", subset, slice, err);
	if (rc == 0)
		rc = read_subset_addresses(node, "notReadyAddresses", subset, slice, err);
	return rc;
}

static int read_subsets(const struct sluice_node *object, struct sluice_slice *slice,
                        struct sluice_error *err)
{
	struct sluice_node list;
	int rc;

	if (!sluice_node_member(object, "subsets", &list) || json_is_null(list.value))
		return 0;
	rc = sluice_node_expect(&list, JSON_ARRAY, err);
	for (size_t i = 0; rc == 0 && i < json_array_size(list.value); i++) {
		struct sluice_node item = sluice_node_item(&list, i);

		rc = read_subset(&item, (uint32_t)i, slice, err);
	}
	return rc;
}

int sluice_kubernetes_endpoints_read(const struct sluice_node *object, struct sluice_slice *out,
                                     struct sluice_error *err)
{
	static const struct sluice_field fields[] = {
	        {.key = "metadata", .read = sluice_kubernetes_metadata_read, .required = true}};
	static const struct sluice_field_table table = SLUICE_FOREIGN_TABLE(fields);
	struct sluice_kubernetes_metadata metadata = {0};
	int rc = sluice_fields_read(object, &table, &metadata, NULL, err);

	take_names(out, &metadata);
	if (rc < 0)
		return rc;
	out->service = out->name;
	out->name = NULL;
	if (asprintf(&out->name, ENDPOINTS_NAME "%s", out->service) < 0) {
		out->name = NULL;
		return sluice_node_no_memory(object, err);
	}
	return read_subsets(object, out, err);
}

// What an endpoint is worth to a service; the best of all slices counts.
enum rank {
	RANK_LEAVING, // serving, terminating: for flows that are there, or when there is none ready
	RANK_READY,
};

struct candidate {
	struct sluice_endpoint_spec spec;
	enum rank rank;
};

static int compare_candidates(const void *a, const void *b)
{
	const struct candidate *x = a, *y = b;
	int order = sluice_endpoint_spec_compare(&x->spec, &y->spec);

	return order != 0 ? order : (int)y->rank - (int)x->rank; // the best one first
}

// The port that the subset's endpoints serve the service on; 0: none of this name and protocol.
// *at moves along with the endpoints, as both are in the order of subsets.
static uint16_t subset_port(const struct sluice_slice *slice, uint32_t subset,
                            const struct sluice_service_spec *service, const char *port_name,
                            size_t *at)
{
	while (*at < slice->port_count && slice->ports[*at].subset < subset)
		(*at)++;
	for (size_t i = *at; i < slice->port_count && slice->ports[i].subset == subset; i++) {
		const struct sluice_slice_port *port = &slice->ports[i];

		if (strcmp(port->name, port_name) == 0 && port->protocol == service->protocol)
			return port->port != 0 ? port->port : service->target_port;
	}
	return 0;
}

static size_t slice_candidates(const struct sluice_slice *slice,
                               const struct sluice_service_spec *service, const char *port_name,
                               struct candidate *out)
{
	enum sluice_family family = sluice_address_family(&service->address);
	size_t count = 0, at = 0;

	for (size_t i = 0; i < slice->endpoint_count; i++) {
		const struct sluice_slice_endpoint *e = &slice->endpoints[i];
		uint16_t port = subset_port(slice, e->subset, service, port_name, &at);

		if (port == 0 || sluice_address_family(&e->address) != family)
			continue;
		if (!e->ready && !(e->serving && e->terminating))
			continue;
		out[count++] = (struct candidate){
		        .spec = {.address = e->address, .port = port, .weight = 1},
		        .rank = e->ready ? RANK_READY : RANK_LEAVING,
		};
	}
	return count;
}

// Leaves one of each (address, port), the best. Returns how many.
static size_t unique_candidates(struct candidate *candidates, size_t count, bool *any_ready)
{
	size_t kept = 0;

	qsort(candidates, count, sizeof(*candidates), compare_candidates);
	*any_ready = false;
	for (size_t i = 0; i < count; i++) {
		if (kept > 0 && sluice_endpoint_spec_compare(&candidates[kept - 1].spec,
		                                             &candidates[i].spec) == 0)
			continue;
		candidates[kept++] = candidates[i];
		*any_ready |= candidates[i].rank == RANK_READY;
	}
	return kept;
}

int sluice_slices_merge(const struct sluice_slice *const *slices, size_t slice_count,
                        const struct sluice_service_spec *service, const char *port_name,
                        struct sluice_endpoint_spec **out, size_t *count)
{
	struct candidate *candidates;
	size_t found = 0, room = 0;
	bool any_ready;
	int rc = 0;

	*out = NULL;
	*count = 0;
	for (size_t i = 0; i < slice_count; i++)
		room += slices[i]->endpoint_count;
	candidates = calloc(room + 1, sizeof(*candidates));
	if (candidates == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < slice_count; i++)
		found += slice_candidates(slices[i], service, port_name, candidates + found);
	found = unique_candidates(candidates, found, &any_ready);
	if (found > SLUICE_SERVICE_ENDPOINTS_MAX)
		rc = -E2BIG;
	if (rc == 0 && found > 0) {
		*out = calloc(found, sizeof(**out));
		rc = *out == NULL ? -ENOMEM : 0;
	}
	if (rc == 0) {
		*count = found;
		for (size_t i = 0; i < found; i++) {
			(*out)[i] = candidates[i].spec;
			if (any_ready && candidates[i].rank == RANK_LEAVING)
				(*out)[i].state = SLUICE_STATE_DRAINING;
		}
	}
	free(candidates);
	return rc;
}

static json_t *write_ports(const struct sluice_slice *slice, uint32_t subset, size_t *at)
{
	json_t *list = json_array();

	for (; *at < slice->port_count && slice->ports[*at].subset == subset; (*at)++) {
		const struct sluice_slice_port *port = &slice->ports[*at];

		json_array_append_new(list,
		                      json_pack("{s:s, s:o*, s:s}", "name", port->name, "port",
		                                port->port != 0 ? json_integer(port->port) : NULL,
		                                "protocol", sluice_protocol_name(port->protocol)));
	}
	return list;
}

static json_t *write_endpoint_slice(const struct sluice_slice *slice)
{
	bool v6 = slice->endpoint_count > 0 &&
	          sluice_address_family(&slice->endpoints[0].address) == SLUICE_IPV6;
	json_t *endpoints = json_array();
	size_t at = 0;

	for (size_t i = 0; i < slice->endpoint_count; i++) {
		const struct sluice_slice_endpoint *e = &slice->endpoints[i];
		char text[SLUICE_ADDRESS_TEXT];

		json_array_append_new(
		        endpoints, json_pack("{s:[s], s:{s:b, s:b, s:b}}", "addresses",
		                             sluice_address_format(&e->address, text), "conditions",
		                             "ready", (int)e->ready, "serving", (int)e->serving,
		                             "terminating", (int)e->terminating));
	}
	return json_pack("{s:s, s:s, s:{s:s, s:s, s:{s:s}}, s:s, s:o, s:o}", "apiVersion",
	                 "discovery.k8s.io/v1", "kind", "EndpointSlice", "metadata", "namespace",
	                 slice->namespace_, "name", slice->name, "labels", SERVICE_LABEL,
	                 slice->service, "addressType", v6 ? "IPv6" : "IPv4", "ports",
	                 write_ports(slice, 0, &at), "endpoints", endpoints);
}

static json_t *write_subset(const struct sluice_slice *slice, uint32_t subset, size_t *port_at,
                            size_t *endpoint_at)
{
	json_t *ports = write_ports(slice, subset, port_at);
	json_t *ready = json_array(), *not_ready = json_array();

	for (; *endpoint_at < slice->endpoint_count &&
	       slice->endpoints[*endpoint_at].subset == subset;
	     (*endpoint_at)++) {
		const struct sluice_slice_endpoint *e = &slice->endpoints[*endpoint_at];
		char text[SLUICE_ADDRESS_TEXT];

		json_array_append_new(
		        e->ready ? ready : not_ready,
		        json_pack("{s:s}", "ip", sluice_address_format(&e->address, text)));
	}
	return json_pack("{s:o, s:o, s:o}", "addresses", ready, "notReadyAddresses", not_ready,
	                 "ports", ports);
}

static json_t *write_endpoints(const struct sluice_slice *slice)
{
	json_t *subsets = json_array();
	size_t port_at = 0, endpoint_at = 0;

	for (uint32_t i = 0; port_at < slice->port_count || endpoint_at < slice->endpoint_count;
	     i++)
		json_array_append_new(subsets, write_subset(slice, i, &port_at, &endpoint_at));
	return json_pack("{s:s, s:s, s:{s:s, s:s}, s:o}", "apiVersion", "v1", "kind", "Endpoints",
	                 "metadata", "namespace", slice->namespace_, "name", slice->service,
	                 "subsets", subsets);
}

json_t *sluice_slice_write(const struct sluice_slice *slice)
{
	if (strncmp(slice->name, ENDPOINTS_NAME, strlen(ENDPOINTS_NAME)) == 0)
		return write_endpoints(slice);
	return write_endpoint_slice(slice);
}
