// SPDX-License-Identifier: BSD-3-Clause
#include "control/kubernetes.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/address.h"
#include "control/change.h"
#include "control/kubernetes_read.h"
#include "control/service_names.h"

#define BAD 400, "bad_document"

enum {
	VIPS_MAX = 64, // of one Service
};

static const struct sluice_field metadata_fields[] = {
        {.key = "name",
         .read = sluice_read_namespace_name,
         .offset = offsetof(struct sluice_kubernetes_metadata, name),
         .required = true},
        {.key = "namespace",
         .read = sluice_read_namespace_name,
         .offset = offsetof(struct sluice_kubernetes_metadata, namespace_)},
        {.key = "labels",
         .read = sluice_read_node,
         .offset = offsetof(struct sluice_kubernetes_metadata, labels)},
};
static const struct sluice_field_table metadata_table = SLUICE_FOREIGN_TABLE(metadata_fields);

void sluice_kubernetes_metadata_clear(struct sluice_kubernetes_metadata *metadata)
{
	free(metadata->name);
	free(metadata->namespace_);
	memset(metadata, 0, sizeof(*metadata));
}

int sluice_kubernetes_metadata_read(const struct sluice_node *node,
                                    const struct sluice_field *field, void *out,
                                    struct sluice_error *err)
{
	struct sluice_kubernetes_metadata *metadata = out;
	int rc = sluice_fields_read(node, &metadata_table, metadata, NULL, err);

	(void)field;
	if (rc == 0 && metadata->namespace_ == NULL) {
		metadata->namespace_ = strdup("default");
		rc = metadata->namespace_ == NULL ? sluice_node_no_memory(node, err) : 0;
	}
	return rc;
}

static const struct sluice_name service_types[] = {
        {"ClusterIP", 0}, {"NodePort", 0}, {"LoadBalancer", 0}, {"ExternalName", 0, true}, {0},
};

// A Service's spec; lists are looked at once all of it is known.
struct raw_service {
	struct sluice_kubernetes_metadata metadata;
	int type, affinity, policy;
	uint32_t affinity_timeout;
	json_t *ports, *load_balancer_ip, *external_ips, *cluster_ip, *cluster_ips, *ingress;
};

#define FIELD(member, ...)                                                                         \
	{                                                                                          \
		.offset = offsetof(struct raw_service, member), __VA_ARGS__                        \
	}
static const struct sluice_field client_ip_fields[] = {
        FIELD(affinity_timeout, .key = "timeoutSeconds", .read = sluice_read_uint32, .min = 1,
              .max = SLUICE_AFFINITY_TIMEOUT_MAX, .extra = "a time-out"),
};
static const struct sluice_field_table client_ip_table = SLUICE_FOREIGN_TABLE(client_ip_fields);

static const struct sluice_field affinity_fields[] = {
        {.key = "clientIP", .read = sluice_read_object, .extra = &client_ip_table},
};
static const struct sluice_field_table affinity_table = SLUICE_FOREIGN_TABLE(affinity_fields);

static const struct sluice_field spec_fields[] = {
        FIELD(type, .key = "type", .read = sluice_read_name, .extra = service_types),
        FIELD(affinity, .key = "sessionAffinity", .read = sluice_read_name,
              .extra = sluice_affinity_names),
        {.key = "sessionAffinityConfig", .read = sluice_read_object, .extra = &affinity_table},
        FIELD(policy, .key = "externalTrafficPolicy", .read = sluice_read_name,
              .extra = sluice_traffic_policy_names),
        FIELD(ports, .key = "ports", .read = sluice_read_node, .required = true),
        FIELD(load_balancer_ip, .key = "loadBalancerIP", .read = sluice_read_node),
        FIELD(external_ips, .key = "externalIPs", .read = sluice_read_node),
        FIELD(cluster_ip, .key = "clusterIP", .read = sluice_read_node),
        FIELD(cluster_ips, .key = "clusterIPs", .read = sluice_read_node),
};
static const struct sluice_field_table spec_table = SLUICE_FOREIGN_TABLE(spec_fields);

static const struct sluice_field balancer_fields[] = {
        FIELD(ingress, .key = "ingress", .read = sluice_read_node),
};
static const struct sluice_field_table balancer_table = SLUICE_FOREIGN_TABLE(balancer_fields);

static const struct sluice_field status_fields[] = {
        {.key = "loadBalancer", .read = sluice_read_object, .extra = &balancer_table},
};
static const struct sluice_field_table status_table = SLUICE_FOREIGN_TABLE(status_fields);

static const struct sluice_field service_fields[] = {
        FIELD(metadata, .key = "metadata", .read = sluice_kubernetes_metadata_read,
              .required = true),
        {.key = "spec", .read = sluice_read_object, .extra = &spec_table, .required = true},
        {.key = "status", .read = sluice_read_object, .extra = &status_table},
};
#undef FIELD
static const struct sluice_field_table service_table = SLUICE_FOREIGN_TABLE(service_fields);

struct vips {
	size_t count;
	struct sluice_address items[VIPS_MAX];
};

// A string that may be empty or null, which is as good as none.
static bool is_blank(const json_t *value)
{
	return value == NULL || json_is_null(value) ||
	       (json_is_string(value) && json_string_length(value) == 0);
}

static int add_vip(struct vips *vips, const struct sluice_node *node, struct sluice_error *err)
{
	struct sluice_address address;
	int rc;

	if (is_blank(node->value))
		return 0;
	rc = sluice_read_address(node, NULL, &address, err);
	if (rc < 0)
		return rc;
	for (size_t i = 0; i < vips->count; i++) {
		if (sluice_address_equal(&vips->items[i], &address))
			return 0;
	}
	if (vips->count == VIPS_MAX)
		return sluice_node_error(node, err, 422, "unsupported",
		                         "more than %d addresses of one Service", VIPS_MAX);
	vips->items[vips->count++] = address;
	return 0;
}

// Adds what the list (key of parent, may be missing) holds: addresses, or objects with an ip.
static int add_vip_list(struct vips *vips, const struct sluice_node *parent, const char *key,
                        bool objects, struct sluice_error *err)
{
	struct sluice_node list;
	int rc;

	if (!sluice_node_member(parent, key, &list) || json_is_null(list.value))
		return 0;
	rc = sluice_node_expect(&list, JSON_ARRAY, err);
	for (size_t i = 0; rc == 0 && i < json_array_size(list.value); i++) {
		struct sluice_node item = sluice_node_item(&list, i), ip;

		if (!objects) {
			rc = add_vip(vips, &item, err);
			continue;
		}
		rc = sluice_node_expect(&item, JSON_OBJECT, err);
		if (rc == 0 && sluice_node_member(&item, "ip", &ip))
			rc = add_vip(vips, &ip, err);
	}
	return rc;
}

static int add_vip_member(struct vips *vips, const struct sluice_node *parent, const char *key,
                          struct sluice_error *err)
{
	struct sluice_node member;

	return sluice_node_member(parent, key, &member) ? add_vip(vips, &member, err) : 0;
}

static int refuse_headless(const struct sluice_node *spec, struct sluice_error *err)
{
	struct sluice_node ip;

	if (sluice_node_member(spec, "clusterIP", &ip) && json_is_string(ip.value) &&
	    strcmp(json_string_value(ip.value), "None") == 0)
		return sluice_node_error(&ip, err, 422, "unsupported",
		                         "a headless Service has no virtual address to serve");
	return 0;
}

// The first of these places that has any address is the one that counts.
static int find_vips(const struct sluice_node *object, const struct sluice_node *spec,
                     struct vips *vips, struct sluice_error *err)
{
	struct sluice_node status, balancer;
	int rc = refuse_headless(spec, err);

	if (rc == 0 && sluice_node_member(object, "status", &status) &&
	    sluice_node_member(&status, "loadBalancer", &balancer))
		rc = add_vip_list(vips, &balancer, "ingress", true, err);
	if (rc == 0 && vips->count == 0)
		rc = add_vip_member(vips, spec, "loadBalancerIP", err);
	if (rc == 0 && vips->count == 0)
		rc = add_vip_list(vips, spec, "externalIPs", false, err);
	if (rc == 0 && vips->count == 0)
		rc = add_vip_list(vips, spec, "clusterIPs", false, err);
	if (rc == 0 && vips->count == 0)
		rc = add_vip_member(vips, spec, "clusterIP", err);
	if (rc == 0 && vips->count == 0)
		rc = sluice_node_error(
		        spec, err, 422, "no_address",
		        "the Service has no address: no status.loadBalancer.ingress, "
		        "loadBalancerIP, externalIPs or clusterIP");
	return rc;
}

struct raw_port {
	char *name;
	uint16_t port, target_port, node_port;
	uint8_t protocol;
};

// A number, or a name of a container's port. Names resolve to numbers in the slices; here they
// leave the default.
static int read_target_port(const struct sluice_node *node, const struct sluice_field *field,
                            void *out, struct sluice_error *err)
{
	const char *text = json_string_value(node->value);
	char shown[128];

	if (json_is_integer(node->value) && json_integer_value(node->value) == 0)
		return 0;
	if (text == NULL)
		return sluice_read_port(node, field, out, err);
	if (text[0] == '\0' || strlen(text) > 15 || strspn(text, "0123456789") == strlen(text))
		return sluice_node_error(node, err, BAD, "%s is not a port's number or name",
		                         sluice_node_show(node, shown, sizeof(shown)));
	return 0;
}

#define FIELD(member, ...)                                                                         \
	{                                                                                          \
		.offset = offsetof(struct raw_port, member), __VA_ARGS__                           \
	}
static const struct sluice_field port_fields[] = {
        FIELD(name, .key = "name", .read = sluice_kubernetes_port_name_read),
        FIELD(port, .key = "port", .read = sluice_read_port, .required = true),
        FIELD(target_port, .key = "targetPort", .read = read_target_port),
        FIELD(node_port, .key = "nodePort", .read = sluice_read_uint16, .max = 65535,
              .extra = "a port"),
        FIELD(protocol, .key = "protocol", .read = sluice_read_protocol),
};
#undef FIELD
static const struct sluice_field_table port_table = SLUICE_FOREIGN_TABLE(port_fields);

int sluice_kubernetes_port_name_read(const struct sluice_node *node,
                                     const struct sluice_field *field, void *out,
                                     struct sluice_error *err)
{
	char **name = out;

	if (!is_blank(node->value))
		return sluice_read_namespace_name(node, field, out, err);
	free(*name);
	*name = NULL;
	return 0;
}

// NAME, NAME:PORT where there are several ports, with @VIP behind for all addresses but the first.
static char *service_name(const struct raw_service *raw, const struct raw_port *port,
                          const struct vips *vips, size_t vip)
{
	bool several = json_array_size(raw->ports) > 1;
	char address[SLUICE_ADDRESS_TEXT], number[8];
	char *name;
	int n;

	snprintf(number, sizeof(number), "%u", port->port);
	n = asprintf(&name, "%s%s%s%s%s", raw->metadata.name, several ? ":" : "",
	             !several             ? ""
	             : port->name != NULL ? port->name
	                                  : number,
	             vip > 0 ? "@" : "",
	             vip > 0 ? sluice_address_format(&vips->items[vip], address) : "");
	return n < 0 ? NULL : name;
}

// A node port is on the host's addresses: the first virtual address of each family has it.
static bool first_of_family(const struct vips *vips, size_t vip)
{
	for (size_t i = 0; i < vip; i++) {
		if (sluice_address_family(&vips->items[i]) ==
		    sluice_address_family(&vips->items[vip]))
			return false;
	}
	return true;
}

static int add_service(struct sluice_changes *changes, const struct sluice_node *node,
                       const struct raw_service *raw, const struct raw_port *port,
                       const struct vips *vips, size_t vip, struct sluice_error *err)
{
	struct sluice_change *change = sluice_changes_append(changes, node, err);

	if (change == NULL)
		return -ENOMEM;
	change->kind = SLUICE_CHANGE_SERVICE;
	change->service = (struct sluice_service_spec){
	        .namespace_ = strdup(raw->metadata.namespace_),
	        .name = service_name(raw, port, vips, vip),
	        .address = vips->items[vip],
	        .port = port->port,
	        .protocol = port->protocol,
	        .target_port = port->target_port != 0 ? port->target_port : port->port,
	        .node_port = first_of_family(vips, vip) ? port->node_port : 0,
	        .forwarding = SLUICE_FORWARD_NAT,
	        .external_policy = (enum sluice_traffic_policy)raw->policy,
	        .on_empty = SLUICE_ON_EMPTY_REFUSE,
	        .table_size = SLUICE_TABLE_SIZE_DEFAULT,
	        .affinity_timeout = raw->affinity ? raw->affinity_timeout : 0,
	};
	change->origin = strdup(raw->metadata.name);
	change->port_name = strdup(port->name != NULL ? port->name : "");
	if (change->service.namespace_ == NULL || change->service.name == NULL ||
	    change->origin == NULL || change->port_name == NULL)
		return sluice_node_no_memory(node, err);
	return 0;
}

static int add_port(struct sluice_changes *changes, const struct sluice_node *node,
                    const struct raw_service *raw, const struct vips *vips,
                    struct sluice_error *err)
{
	struct raw_port port = {.protocol = IPPROTO_TCP};
	int rc = sluice_fields_read(node, &port_table, &port, NULL, err);

	for (size_t vip = 0; rc == 0 && vip < vips->count; vip++)
		rc = add_service(changes, node, raw, &port, vips, vip, err);
	free(port.name);
	return rc;
}

static int add_ports(struct sluice_changes *changes, const struct sluice_node *object,
                     const struct raw_service *raw, struct sluice_error *err)
{
	struct sluice_node spec, ports;
	struct vips vips = {0};
	int rc;

	if (!sluice_node_member(object, "spec", &spec) ||
	    !sluice_node_member(&spec, "ports", &ports))
		return -EINVAL; // not reached: the tables say that both are there
	rc = sluice_node_expect(&ports, JSON_ARRAY, err);
	if (rc == 0 && json_array_size(ports.value) == 0)
		rc = sluice_node_error(&ports, err, BAD, "must not be empty");
	if (rc == 0)
		rc = find_vips(object, &spec, &vips, err);
	for (size_t i = 0; rc == 0 && i < json_array_size(ports.value); i++) {
		struct sluice_node port = sluice_node_item(&ports, i);

		rc = add_port(changes, &port, raw, &vips, err);
	}
	return rc;
}

static int read_service(struct sluice_changes *changes, const struct sluice_node *object,
                        struct sluice_error *err)
{
	struct raw_service raw = {.policy = SLUICE_POLICY_CLUSTER,
	                          .affinity_timeout = SLUICE_AFFINITY_TIMEOUT_DEFAULT};
	int rc = sluice_fields_read(object, &service_table, &raw, NULL, err);

	if (rc == 0)
		rc = add_ports(changes, object, &raw, err);
	sluice_kubernetes_metadata_clear(&raw.metadata);
	return rc;
}

static int read_slice(struct sluice_changes *changes, const struct sluice_node *object,
                      struct sluice_error *err)
{
	struct sluice_change *change = sluice_changes_append(changes, object, err);

	if (change == NULL)
		return -ENOMEM;
	change->kind = SLUICE_CHANGE_SLICE;
	return sluice_kubernetes_slice_read(object, &change->slice, err);
}

static int read_endpoints(struct sluice_changes *changes, const struct sluice_node *object,
                          struct sluice_error *err)
{
	struct sluice_change *change = sluice_changes_append(changes, object, err);

	if (change == NULL)
		return -ENOMEM;
	change->kind = SLUICE_CHANGE_SLICE;
	return sluice_kubernetes_endpoints_read(object, &change->slice, err);
}

static int read_old_slice(struct sluice_changes *changes, const struct sluice_node *object,
                          struct sluice_error *err)
{
	(void)changes;
	return sluice_node_error(object, err, 422, "unsupported",
	                         "discovery.k8s.io/v1beta1 is not supported: "
	                         "discovery.k8s.io/v1 has been there since Kubernetes 1.21");
}

struct object_kind {
	const char *version, *kind;
	// NULL: a list, whose items are of item_kind where they do not say otherwise.
	int (*read)(struct sluice_changes *changes, const struct sluice_node *object,
	            struct sluice_error *err);
	const char *item_kind;
};

static const struct object_kind kinds[] = {
        {"v1", "Service", read_service},
        {"discovery.k8s.io/v1", "EndpointSlice", read_slice},
        {"v1", "Endpoints", read_endpoints},
        {"v1", "List", NULL, NULL},
        {"v1", "ServiceList", NULL, "Service"},
        {"v1", "EndpointsList", NULL, "Endpoints"},
        {"discovery.k8s.io/v1", "EndpointSliceList", NULL, "EndpointSlice"},
        {"discovery.k8s.io/v1beta1", "EndpointSlice", read_old_slice},
        {"discovery.k8s.io/v1beta1", "EndpointSliceList", read_old_slice},
};

// apiVersion or kind, or what stands for it; NULL: *err filled.
static const char *object_text(const struct sluice_node *object, const char *key,
                               const char *otherwise, struct sluice_error *err)
{
	struct sluice_node member;

	if (!sluice_node_member(object, key, &member) || json_is_null(member.value)) {
		if (otherwise == NULL)
			sluice_node_error(object, err, BAD, "'%s' is missing", key);
		return otherwise;
	}
	if (sluice_node_expect(&member, JSON_STRING, err) < 0)
		return NULL;
	return json_string_value(member.value);
}

// list: what the object is an item of, or NULL.
static const struct object_kind *object_kind_find(const struct sluice_node *object,
                                                  const struct object_kind *list,
                                                  struct sluice_error *err)
{
	bool typed = list != NULL && list->item_kind != NULL;
	const char *version = object_text(object, "apiVersion", typed ? list->version : NULL, err);
	const char *kind = object_text(object, "kind", typed ? list->item_kind : NULL, err);

	if (version == NULL || kind == NULL)
		return NULL;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (strcmp(kinds[i].version, version) == 0 && strcmp(kinds[i].kind, kind) == 0)
			return &kinds[i];
	}
	sluice_node_error(object, err, 422, "unsupported",
	                  "%.60s %.60s is not supported (v1 Service, Endpoints and List, "
	                  "discovery.k8s.io/v1 EndpointSlice are)",
	                  version, kind);
	return NULL;
}

static int read_list(struct sluice_changes *changes, const struct sluice_node *object,
                     const struct object_kind *list, struct sluice_error *err)
{
	struct sluice_node items;
	int rc;

	if (!sluice_node_member(object, "items", &items))
		return sluice_node_error(object, err, BAD, "'items' is missing");
	if (json_is_null(items.value))
		return 0;
	rc = sluice_node_expect(&items, JSON_ARRAY, err);
	for (size_t i = 0; rc == 0 && i < json_array_size(items.value); i++) {
		struct sluice_node item = sluice_node_item(&items, i);
		const struct object_kind *kind = NULL;

		rc = sluice_node_expect(&item, JSON_OBJECT, err);
		if (rc == 0)
			kind = object_kind_find(&item, list, err);
		if (rc == 0 && kind == NULL)
			rc = -EINVAL;
		else if (rc == 0 && kind->read == NULL)
			rc = sluice_node_error(&item, err, BAD, "a list within a list");
		else if (rc == 0)
			rc = kind->read(changes, &item, err);
	}
	return rc;
}

bool sluice_kubernetes_is(const json_t *document)
{
	return json_object_get(document, "apiVersion") != NULL ||
	       json_object_get(document, "kind") != NULL;
}

int sluice_changes_add_kubernetes(struct sluice_changes *changes, const struct sluice_node *object,
                                  struct sluice_error *err)
{
	const struct object_kind *kind = object_kind_find(object, NULL, err);

	if (kind == NULL)
		return -EINVAL;
	if (kind->read == NULL)
		return read_list(changes, object, kind, err);
	return kind->read(changes, object, err);
}
