// SPDX-License-Identifier: BSD-3-Clause
#include "control/change.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/address.h"
#include "control/fields.h"

static void change_clear(struct sluice_change *change)
{
	sluice_service_spec_clear(&change->service);
	sluice_slice_clear(&change->slice);
	free(change->path);
	free(change->origin);
	free(change->port_name);
}

void sluice_changes_clear(struct sluice_changes *changes)
{
	for (size_t i = 0; i < changes->count; i++)
		change_clear(&changes->items[i]);
	free(changes->items);
	memset(changes, 0, sizeof(*changes));
}

static unsigned member_line(const struct sluice_node *node, const char *key)
{
	struct sluice_node member;

	return sluice_node_line(sluice_node_member(node, key, &member) ? &member : node, false);
}

struct sluice_change *sluice_changes_append(struct sluice_changes *changes,
                                            const struct sluice_node *node,
                                            struct sluice_error *err)
{
	struct sluice_change *change;
	char path[256];

	if (changes->count == changes->capacity) {
		size_t capacity = changes->capacity == 0 ? 8 : changes->capacity * 2;
		struct sluice_change *items =
		        reallocarray(changes->items, capacity, sizeof(*items));

		if (items == NULL) {
			sluice_node_no_memory(node, err);
			return NULL;
		}
		changes->items = items;
		changes->capacity = capacity;
	}
	change = &changes->items[changes->count];
	memset(change, 0, sizeof(*change));
	change->path = strdup(sluice_node_path(node, path, sizeof(path)));
	if (change->path == NULL) {
		sluice_node_no_memory(node, err);
		return NULL;
	}
	change->line = sluice_node_line(node, false);
	change->name_line = member_line(node, "name");
	change->port_line = member_line(node, "port");
	change->node_port_line = member_line(node, "nodePort");
	changes->count++;
	return change;
}

int sluice_change_error(const struct sluice_changes *changes, const struct sluice_change *change,
                        const char *key, struct sluice_error *err, int status, const char *code,
                        const char *format, ...)
{
	char message[sizeof(err->message)], path[sizeof(err->path)];
	va_list args;

	if (err == NULL || err->status != 0)
		return -EINVAL;
	va_start(args, format);
	vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	snprintf(path, sizeof(path), "%s%s%s", change->path,
	         change->path[0] != '\0' && key != NULL ? "." : "", key != NULL ? key : "");
	err->line = change->line;
	if (key != NULL && strcmp(key, "name") == 0)
		err->line = change->name_line;
	else if (key != NULL && strcmp(key, "port") == 0)
		err->line = change->port_line;
	else if (key != NULL && strcmp(key, "nodePort") == 0)
		err->line = change->node_port_line;
	snprintf(err->source, sizeof(err->source), "%s", changes->source);
	return sluice_error_set(err, status, code, path, "%s", message);
}

int sluice_changes_add_native(struct sluice_changes *changes, const struct sluice_node *service,
                              struct sluice_error *err)
{
	struct sluice_change *change = sluice_changes_append(changes, service, err);

	if (change == NULL)
		return -ENOMEM;
	change->kind = SLUICE_CHANGE_SERVICE;
	return sluice_service_spec_read(service, NULL, &change->service, err);
}

int sluice_changes_add_services(struct sluice_changes *changes, const struct sluice_node *list,
                                struct sluice_error *err)
{
	int rc = sluice_node_expect(list, JSON_ARRAY, err);

	for (size_t i = 0; rc == 0 && i < json_array_size(list->value); i++) {
		struct sluice_node item = sluice_node_item(list, i);

		rc = sluice_changes_add_native(changes, &item, err);
	}
	return rc;
}

static int read_services(const struct sluice_node *node, const struct sluice_field *field,
                         void *out, struct sluice_error *err)
{
	(void)field;
	return sluice_changes_add_services(out, node, err);
}

static int read_configuration_only(const struct sluice_node *node, const struct sluice_field *field,
                                   void *out, struct sluice_error *err)
{
	(void)out;
	return sluice_node_error(node, err, 400, "bad_document",
	                         "'%s' can only be set in the configuration file", field->key);
}

static const struct sluice_field wrapper_fields[] = {
        {.key = "services", .read = read_services},
        {.key = "ports", .read = read_configuration_only},
        {.key = "workers", .read = read_configuration_only},
        {.key = "memory", .read = read_configuration_only},
        {.key = "flows", .read = read_configuration_only},
        {.key = "snat", .read = read_configuration_only},
        {.key = "cluster", .read = read_configuration_only},
        {.key = "announce", .read = read_configuration_only},
        {.key = "control", .read = read_configuration_only},
        {.key = "metrics", .read = read_configuration_only},
        {.key = "state", .read = read_configuration_only},
};
static const struct sluice_field_table wrapper_table = SLUICE_FIELD_TABLE(wrapper_fields);

// Whether an object is {services: [...]}, or a piece of configuration by its looks.
static bool is_wrapper(const json_t *object)
{
	if (json_object_get(object, "services") != NULL)
		return true;
	if (json_object_get(object, "name") != NULL || json_object_get(object, "ip") != NULL)
		return false;
	for (size_t i = 1; i < wrapper_table.count; i++) {
		if (json_object_get(object, wrapper_fields[i].key) != NULL)
			return true;
	}
	return false;
}

static int add_document(struct sluice_changes *changes, const struct sluice_node *root,
                        struct sluice_error *err)
{
	if (json_is_array(root->value))
		return sluice_changes_add_services(changes, root, err);
	if (sluice_kubernetes_is(root->value))
		return sluice_changes_add_kubernetes(changes, root, err);
	if (is_wrapper(root->value))
		return sluice_fields_read(root, &wrapper_table, changes, NULL, err);
	return sluice_changes_add_native(changes, root, err);
}

int sluice_changes_read(const struct sluice_documents *documents, struct sluice_changes *out,
                        struct sluice_error *err)
{
	int rc = 0;

	memset(out, 0, sizeof(*out));
	snprintf(out->source, sizeof(out->source), "%s", documents->source);
	if (documents->count == 0) {
		if (err != NULL && err->status == 0)
			snprintf(err->source, sizeof(err->source), "%s", documents->source);
		rc = sluice_error_set(err, 400, "bad_document", NULL, "there is no document in it");
	}
	for (size_t i = 0; rc == 0 && i < documents->count; i++) {
		struct sluice_node root = sluice_documents_root(documents, i);

		rc = add_document(out, &root, err);
	}
	if (rc == 0)
		rc = sluice_changes_check(out, err);
	if (rc < 0)
		sluice_changes_clear(out);
	return rc;
}

// What must not be there twice. Orders changes that take part; others are left out before.
struct uniqueness {
	bool (*takes_part)(const struct sluice_change *c);
	int (*compare)(const struct sluice_change *a, const struct sluice_change *b);
	int (*report)(const struct sluice_changes *changes, const struct sluice_change *first,
	              const struct sluice_change *second, struct sluice_error *err);
};

static bool is_service(const struct sluice_change *c)
{
	return c->kind == SLUICE_CHANGE_SERVICE;
}

static bool is_slice(const struct sluice_change *c)
{
	return c->kind == SLUICE_CHANGE_SLICE;
}

static bool has_node_port(const struct sluice_change *c)
{
	return is_service(c) && c->service.node_port != 0;
}

static int compare_names(const struct sluice_change *a, const struct sluice_change *b)
{
	return sluice_service_spec_compare(&a->service, &b->service);
}

static int compare_slices(const struct sluice_change *a, const struct sluice_change *b)
{
	int order = strcmp(a->slice.namespace_, b->slice.namespace_);

	return order != 0 ? order : strcmp(a->slice.name, b->slice.name);
}

static int compare_vips(const struct sluice_change *a, const struct sluice_change *b)
{
	int order = memcmp(&a->service.address, &b->service.address, sizeof(a->service.address));

	if (order == 0)
		order = (int)a->service.port - (int)b->service.port;
	return order != 0 ? order : (int)a->service.protocol - (int)b->service.protocol;
}

// The host's addresses of one family are one service's: the endpoints' family is the service's.
static int compare_node_ports(const struct sluice_change *a, const struct sluice_change *b)
{
	int order = (int)a->service.node_port - (int)b->service.node_port;

	if (order == 0)
		order = (int)a->service.protocol - (int)b->service.protocol;
	if (order == 0)
		order = (int)sluice_address_family(&a->service.address) -
		        (int)sluice_address_family(&b->service.address);
	return order;
}

static int report_name(const struct sluice_changes *changes, const struct sluice_change *first,
                       const struct sluice_change *second, struct sluice_error *err)
{
	(void)first;
	return sluice_change_error(changes, second, second->origin == NULL ? "name" : NULL, err,
	                           422, "conflict", "there are two services %s/%s",
	                           second->service.namespace_, second->service.name);
}

static int report_slice(const struct sluice_changes *changes, const struct sluice_change *first,
                        const struct sluice_change *second, struct sluice_error *err)
{
	(void)first;
	return sluice_change_error(changes, second, NULL, err, 422, "conflict",
	                           "there are two slices %s/%s", second->slice.namespace_,
	                           second->slice.name);
}

static int report_vip(const struct sluice_changes *changes, const struct sluice_change *first,
                      const struct sluice_change *second, struct sluice_error *err)
{
	char text[SLUICE_ENDPOINT_TEXT];

	return sluice_change_error(
	        changes, second, "port", err, 422, "conflict", "%s %s is taken by service %s/%s",
	        sluice_protocol_name(second->service.protocol),
	        sluice_endpoint_format(&second->service.address, second->service.port, text),
	        first->service.namespace_, first->service.name);
}

static int report_node_port(const struct sluice_changes *changes, const struct sluice_change *first,
                            const struct sluice_change *second, struct sluice_error *err)
{
	return sluice_change_error(changes, second, "nodePort", err, 422, "conflict",
	                           "%s node port %u is taken by service %s/%s",
	                           sluice_protocol_name(second->service.protocol),
	                           second->service.node_port, first->service.namespace_,
	                           first->service.name);
}

static const struct uniqueness rules[] = {
        {is_service, compare_names, report_name},
        {is_service, compare_vips, report_vip},
        {has_node_port, compare_node_ports, report_node_port},
        {is_slice, compare_slices, report_slice},
};

static int compare_by_rule(const void *a, const void *b, void *context)
{
	const struct sluice_change *x = *(const struct sluice_change *const *)a;
	const struct sluice_change *y = *(const struct sluice_change *const *)b;
	const struct uniqueness *rule = context;
	int order = rule->compare(x, y);

	return order != 0 ? order : (x > y) - (x < y);
}

static int check_rule(const struct sluice_changes *changes, const struct uniqueness *rule,
                      const struct sluice_change **sorted, struct sluice_error *err)
{
	size_t count = 0;

	for (size_t i = 0; i < changes->count; i++) {
		if (rule->takes_part(&changes->items[i]))
			sorted[count++] = &changes->items[i];
	}
	qsort_r(sorted, count, sizeof(const struct sluice_change *), compare_by_rule,
	        (void *)(uintptr_t)rule);
	for (size_t i = 1; i < count; i++) {
		if (rule->compare(sorted[i - 1], sorted[i]) == 0)
			return rule->report(changes, sorted[i - 1], sorted[i], err);
	}
	return 0;
}

int sluice_changes_check(const struct sluice_changes *changes, struct sluice_error *err)
{
	const struct sluice_change **sorted;
	int rc = 0;

	if (changes->count == 0)
		return 0;
	sorted = calloc(changes->count, sizeof(const struct sluice_change *));
	if (sorted == NULL) {
		sluice_error_set(err, 503, "no_memory", NULL, "out of memory");
		return -ENOMEM;
	}
	for (size_t i = 0; rc == 0 && i < sizeof(rules) / sizeof(rules[0]); i++)
		rc = check_rule(changes, &rules[i], sorted, err);
	free(sorted);
	return rc;
}
