// SPDX-License-Identifier: BSD-3-Clause
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/address.h"
#include "control/service_names.h"
#include "control/service_spec.h"
#include "dataplane/maglev.h"
#include "dataplane/quic.h"

#define BAD 400, "bad_document"

enum { SHOWN = 128 };

#define LETTERS_AND_DIGITS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

static const char *name_problem(const char *text, size_t longest, const char *others,
                                const char *complaint)
{
	size_t len = strlen(text);

	if (len == 0)
		return "must not be empty";
	if (len > longest)
		return longest == 63 ? "is longer than 63 characters"
		                     : "is longer than 255 characters";
	if (strchr(LETTERS_AND_DIGITS, text[0]) == NULL)
		return "must start with a letter or a digit";
	for (size_t i = 0; i < len; i++) {
		if (strchr(LETTERS_AND_DIGITS, text[i]) == NULL && strchr(others, text[i]) == NULL)
			return complaint;
	}
	return NULL;
}

const char *sluice_service_name_problem(const char *text)
{
	// Colons and @ stand in the names that a Kubernetes service's ports and addresses get.
	return name_problem(text, 255, "-_.:@", "may only have letters, digits and -_.:@ in it");
}

const char *sluice_namespace_name_problem(const char *text)
{
	return name_problem(text, 63, "-_.", "may only have letters, digits and -_. in it");
}

static int read_checked(const struct sluice_node *node, const char *(*problem_of)(const char *),
                        void *out, struct sluice_error *err)
{
	static const struct sluice_field plain = {0};
	char shown[SHOWN];
	const char *problem = NULL;

	if (json_is_string(node->value))
		problem = problem_of(json_string_value(node->value));
	if (problem != NULL)
		return sluice_node_error(node, err, BAD, "%s %s",
		                         sluice_node_show(node, shown, sizeof(shown)), problem);
	return sluice_read_string(node, &plain, out, err);
}

int sluice_read_service_name(const struct sluice_node *node, const struct sluice_field *field,
                             void *out, struct sluice_error *err)
{
	(void)field;
	return read_checked(node, sluice_service_name_problem, out, err);
}

int sluice_read_namespace_name(const struct sluice_node *node, const struct sluice_field *field,
                               void *out, struct sluice_error *err)
{
	(void)field;
	return read_checked(node, sluice_namespace_name_problem, out, err);
}

int sluice_read_protocol(const struct sluice_node *node, const struct sluice_field *field,
                         void *out, struct sluice_error *err)
{
	static const struct sluice_field names = {.extra = sluice_protocol_names};
	int value;
	int rc = sluice_read_name(node, &names, &value, err);

	(void)field;
	if (rc == 0)
		*(uint8_t *)out = (uint8_t)value;
	return rc;
}

int sluice_service_name_parse(const char *text, struct sluice_service_name *out,
                              struct sluice_error *err)
{
	const char *slash = strchr(text, '/');
	const char *name = slash != NULL ? slash + 1 : text;
	size_t len = slash != NULL ? (size_t)(slash - text) : 0;
	const char *problem = sluice_service_name_problem(name);

	if (problem != NULL)
		return sluice_error_set(err, BAD, NULL, "'%.300s' %s", name, problem);
	snprintf(out->namespace_, sizeof(out->namespace_), "%s", "default");
	if (slash != NULL) {
		snprintf(out->namespace_, sizeof(out->namespace_), "%.*s",
		         (int)(len < 64 ? len : 63), text);
		problem = len > 63 ? "is longer than 63 characters"
		                   : sluice_namespace_name_problem(out->namespace_);
		if (problem != NULL)
			return sluice_error_set(err, BAD, NULL, "'%.*s' %s",
			                        (int)(len < 300 ? len : 300), text, problem);
	}
	snprintf(out->name, sizeof(out->name), "%s", name);
	return 0;
}

// The smallest prime from n on, within what a table may be.
static uint32_t next_prime(uint32_t n)
{
	if (n < SLUICE_TABLE_SIZE_MIN)
		return SLUICE_TABLE_SIZE_MIN;
	while (n < SLUICE_TABLE_SIZE_MAX && !sluice_maglev_is_prime(n))
		n++;
	return n;
}

static int read_table_size(const struct sluice_node *node, const struct sluice_field *field,
                           void *out, struct sluice_error *err)
{
	int rc = sluice_read_uint32(node, field, out, err);
	uint32_t size;

	if (rc < 0)
		return rc;
	size = *(uint32_t *)out;
	if (!sluice_maglev_is_prime(size))
		return sluice_node_error(node, err, BAD,
		                         "%u is not a prime number; the next one is %u", size,
		                         next_prime(size));
	return 0;
}

static int read_unsupported(const struct sluice_node *node, const struct sluice_field *field,
                            void *out, struct sluice_error *err)
{
	(void)out;
	return sluice_node_error(node, err, 422, "unsupported",
	                         "'%s' is not supported by this version", field->key);
}

int sluice_endpoints_fit(size_t count, uint32_t table_size, struct sluice_error *err)
{
	if (count > SLUICE_SERVICE_ENDPOINTS_MAX)
		return sluice_error_set(err, 422, "too_many_endpoints", NULL,
		                        "%zu endpoints are more than a service can have (%d)",
		                        count, SLUICE_SERVICE_ENDPOINTS_MAX);
	if (count > table_size)
		return sluice_error_set(
		        err, 422, "table_too_small", NULL,
		        "%zu endpoints do not fit a table of %u rows: set tableSize to %u or more",
		        count, table_size, next_prime((uint32_t)count));
	return 0;
}

// An endpoint as it stands in a list, before sorting.
struct item {
	struct sluice_endpoint_spec spec;
	size_t index;
};

struct raw_endpoint {
	struct sluice_endpoint_spec spec;
	int state;
};

#define FIELD(member, ...)                                                                         \
	{                                                                                          \
		.offset = offsetof(struct raw_endpoint, member), __VA_ARGS__                       \
	}
static const struct sluice_field endpoint_fields[] = {
        FIELD(spec.address, .key = "ip", .read = sluice_read_address, .required = true),
        FIELD(spec.port, .key = "port", .read = sluice_read_port),
        FIELD(spec.weight, .key = "weight", .read = sluice_read_uint16, .max = 65535,
              .extra = "a weight"),
        FIELD(state, .key = "state", .read = sluice_read_name,
              .extra = sluice_endpoint_state_names),
};
#undef FIELD
// What an answer says of an endpoint and of a service beside the specification (api_write.c), so
// that what was read from the API can be sent back to it.
static const char *const told_of_endpoint[] = {
        "ready",         "reason",      "serverId", "since", "flows",
        "drainingSince", "connections", "packets",  "bytes", NULL};
static const char *const told_of_service[] = {"origin", "since",       "generation", "announced",
                                              "flows",  "connections", "packets",    "bytes",
                                              "events", NULL};
static const struct sluice_field_table endpoint_table = {
        .fields = endpoint_fields,
        .count = sizeof(endpoint_fields) / sizeof(endpoint_fields[0]),
        .told = told_of_endpoint,
};

enum { ENDPOINT_WEIGHT_SEEN = 1 << 2 };

// How a list is read: PATCH's "weight" must have weights, and may have them in the short form.
struct list_rules {
	const struct sluice_service_spec *service;
	bool weights;
};

static int read_short(const struct sluice_node *node, const struct list_rules *rules,
                      struct sluice_endpoint_spec *out, struct sluice_error *err)
{
	const char *text = json_string_value(node->value);
	bool weighted = false;
	const char *problem;
	char shown[SHOWN];
	int rc;

	if (rules->weights)
		rc = sluice_endpoint_weight_parse(text, &out->address, &out->port, &out->weight,
		                                  &weighted);
	else
		rc = sluice_endpoint_parse(text, &out->address, &out->port);
	if (rc < 0 || weighted != rules->weights)
		return sluice_node_error(
		        node, err, BAD, "%s is not %s",
		        sluice_node_show(node, shown, sizeof(shown)),
		        rules->weights ? "ADDRESS:PORT=WEIGHT (as '172.17.0.5:8080=10')"
		                       : "ADDRESS:PORT (as '172.17.0.5:8080', '[2001:db8::5]:80')");
	problem = sluice_address_problem(&out->address);
	if (problem != NULL)
		return sluice_node_error(node, err, BAD, "%s: its address %s", text, problem);
	return 0;
}

static int read_long(const struct sluice_node *node, const struct list_rules *rules,
                     struct sluice_endpoint_spec *out, struct sluice_error *err)
{
	struct raw_endpoint raw = {.spec = *out, .state = SLUICE_STATE_ACTIVE};
	uint64_t seen = 0;
	int rc = sluice_fields_read(node, &endpoint_table, &raw, &seen, err);

	if (rc < 0)
		return rc;
	if (rules->weights && (seen & ENDPOINT_WEIGHT_SEEN) == 0)
		return sluice_node_error(node, err, BAD, "'weight' is missing");
	*out = raw.spec;
	out->state = (enum sluice_endpoint_state)raw.state;
	return 0;
}

static int read_item(const struct sluice_node *node, const struct list_rules *rules,
                     struct sluice_endpoint_spec *out, struct sluice_error *err)
{
	struct sluice_error unfit = {0};
	struct sluice_node place = *node;
	char shown[SHOWN];
	int rc;

	*out = (struct sluice_endpoint_spec){.port = rules->service->target_port, .weight = 1};
	if (json_is_string(node->value)) {
		rc = read_short(node, rules, out, err);
	} else if (json_is_object(node->value)) {
		rc = read_long(node, rules, out, err);
	} else {
		return sluice_node_error(node, err, BAD,
		                         "%s is not an endpoint: {ip: ..., port: ...} or "
		                         "'ADDRESS:PORT'",
		                         sluice_node_show(node, shown, sizeof(shown)));
	}
	if (rc < 0 || sluice_endpoint_suits(rules->service, out, &unfit) == 0)
		return rc;
	if (json_is_object(node->value))
		sluice_node_member(node, unfit.path, &place);
	return sluice_node_error(&place, err, unfit.status, unfit.code, "%s", unfit.message);
}

static int compare_items(const void *a, const void *b)
{
	const struct item *x = a, *y = b;
	int order = sluice_endpoint_spec_compare(&x->spec, &y->spec);

	return order != 0 ? order : (x->index > y->index) - (x->index < y->index);
}

// Sorts, and finds an endpoint that is there twice.
static int sort_items(const struct sluice_node *node, struct item *items, size_t count,
                      struct sluice_error *err)
{
	char text[SLUICE_ENDPOINT_TEXT];

	qsort(items, count, sizeof(*items), compare_items);
	for (size_t i = 1; i < count; i++) {
		struct sluice_node second;

		if (sluice_endpoint_spec_compare(&items[i - 1].spec, &items[i].spec) != 0)
			continue;
		second = sluice_node_item(node, items[i].index);
		return sluice_node_error(
		        &second, err, BAD, "%s is in the list already, at [%zu]",
		        sluice_endpoint_format(&items[i].spec.address, items[i].spec.port, text),
		        items[i - 1].index);
	}
	return 0;
}

static int read_items(const struct sluice_node *node, const struct list_rules *rules,
                      struct item *items, size_t count, struct sluice_error *err)
{
	for (size_t i = 0; i < count; i++) {
		struct sluice_node item = sluice_node_item(node, i);
		int rc = read_item(&item, rules, &items[i].spec, err);

		if (rc < 0)
			return rc;
		items[i].index = i;
	}
	return sort_items(node, items, count, err);
}

static int keep_specs(const struct sluice_node *node, const struct item *items, size_t count,
                      struct sluice_endpoint_list *out, struct sluice_error *err)
{
	out->items = calloc(count, sizeof(*out->items));
	if (out->items == NULL)
		return sluice_node_no_memory(node, err);
	for (size_t i = 0; i < count; i++)
		out->items[i] = items[i].spec;
	out->count = count;
	return 0;
}

static int read_list(const struct sluice_node *node, const struct list_rules *rules,
                     struct sluice_endpoint_list *out, struct sluice_error *err)
{
	size_t count = json_array_size(node->value);
	struct item *items = NULL;
	int rc = sluice_node_expect(node, JSON_ARRAY, err);

	if (rc < 0)
		return rc;
	if (count > SLUICE_SERVICE_ENDPOINTS_MAX)
		return sluice_node_error(node, err, 422, "too_many_endpoints",
		                         "%zu endpoints are more than a service can have (%d)",
		                         count, SLUICE_SERVICE_ENDPOINTS_MAX);
	if (count == 0)
		return 0;
	items = calloc(count, sizeof(*items));
	if (items == NULL)
		return sluice_node_no_memory(node, err);
	rc = read_items(node, rules, items, count, err);
	if (rc == 0)
		rc = keep_specs(node, items, count, out, err);
	free(items);
	return rc;
}

// A service's list, which must also fit its table.
static int read_service_list(const struct sluice_node *node,
                             const struct sluice_service_spec *service,
                             struct sluice_endpoint_list *out, struct sluice_error *err)
{
	struct list_rules rules = {.service = service};
	int rc = read_list(node, &rules, out, err);
	struct sluice_error fit = {0};

	if (rc == 0 && sluice_endpoints_fit(out->count, service->table_size, &fit) < 0) {
		free(out->items);
		*out = (struct sluice_endpoint_list){0};
		rc = sluice_node_error(node, err, fit.status, fit.code, "%s", fit.message);
	}
	return rc;
}

int sluice_endpoints_read(const struct sluice_node *node, const struct sluice_service_spec *service,
                          struct sluice_endpoint_spec **out, size_t *count,
                          struct sluice_error *err)
{
	static const struct sluice_field fields[] = {
	        {.key = "endpoints", .read = sluice_read_node, .required = true}};
	static const struct sluice_field_table table = SLUICE_FIELD_TABLE(fields);
	struct sluice_endpoint_list list = {0};
	struct sluice_node place = *node;
	json_t *array = NULL;
	int rc = 0;

	*out = NULL;
	*count = 0;
	if (json_is_object(node->value)) {
		rc = sluice_fields_read(node, &table, &array, NULL, err);
		sluice_node_member(node, "endpoints", &place);
	}
	if (rc == 0)
		rc = read_service_list(&place, service, &list, err);
	*out = list.items;
	*count = list.count;
	return rc;
}

// What a service document says, before what depends on several of its keys is worked out.
struct raw_service {
	struct sluice_service_spec spec;
	int protocol, forwarding, affinity, policy, on_empty;
	uint32_t affinity_timeout; // s
	uint16_t server_id_length;
	json_t *endpoints; // borrowed
};

#define FIELD(member, ...)                                                                         \
	{                                                                                          \
		.offset = offsetof(struct raw_service, member), __VA_ARGS__                        \
	}
static const struct sluice_field quic_fields[] = {
        FIELD(server_id_length, .key = "serverIdLength", .read = sluice_read_uint16,
              .min = SLUICE_SERVER_ID_MIN, .max = SLUICE_SERVER_ID_MAX,
              .extra = "a server id's length", .required = true),
};
static const struct sluice_field_table quic_table = SLUICE_FIELD_TABLE(quic_fields);

static const struct sluice_field service_fields[] = {
        FIELD(spec.name, .key = "name", .read = sluice_read_service_name),
        FIELD(spec.namespace_, .key = "namespace", .read = sluice_read_namespace_name),
        FIELD(spec.address, .key = "ip", .read = sluice_read_address, .required = true),
        FIELD(spec.port, .key = "port", .read = sluice_read_port, .required = true),
        FIELD(spec.protocol, .key = "protocol", .read = sluice_read_protocol),
        FIELD(spec.target_port, .key = "targetPort", .read = sluice_read_port),
        FIELD(spec.node_port, .key = "nodePort", .read = sluice_read_port),
        FIELD(forwarding, .key = "forwarding", .read = sluice_read_name,
              .extra = sluice_forwarding_names),
        FIELD(affinity, .key = "sessionAffinity", .read = sluice_read_name,
              .extra = sluice_affinity_names),
        // Checked, and without effect as long as there is no affinity.
        FIELD(affinity_timeout, .key = "sessionAffinityTimeout", .read = sluice_read_seconds,
              .min = 1000, .max = 1000LL * SLUICE_AFFINITY_TIMEOUT_MAX),
        FIELD(policy, .key = "externalTrafficPolicy", .read = sluice_read_name,
              .extra = sluice_traffic_policy_names),
        FIELD(on_empty, .key = "onEmpty", .read = sluice_read_name, .extra = sluice_on_empty_names),
        FIELD(spec.table_size, .key = "tableSize", .read = read_table_size,
              .min = SLUICE_TABLE_SIZE_MIN, .max = SLUICE_TABLE_SIZE_MAX, .extra = "a table size"),
        {.key = "quic", .read = sluice_read_object, .extra = &quic_table},
        {.key = "healthCheck", .read = read_unsupported},
        FIELD(endpoints, .key = "endpoints", .read = sluice_read_node),
};
#undef FIELD
static const struct sluice_field_table service_table = {
        .fields = service_fields,
        .count = sizeof(service_fields) / sizeof(service_fields[0]),
        .told = told_of_service,
};

// One of the two names: the document's, the call's, or the default.
static int name_settle(const struct sluice_node *node, const char *key, const char *wanted,
                       const char *otherwise, char **name, struct sluice_error *err)
{
	struct sluice_node place = *node;

	if (*name == NULL) {
		const char *use = wanted != NULL ? wanted : otherwise;

		if (use == NULL)
			return sluice_node_error(node, err, BAD, "'%s' is missing", key);
		*name = strdup(use);
		return *name == NULL ? sluice_node_no_memory(node, err) : 0;
	}
	sluice_node_member(node, key, &place);
	if (wanted != NULL && strcmp(*name, wanted) != 0)
		return sluice_node_error(&place, err, BAD, "'%s' is not '%s', as the call says",
		                         *name, wanted);
	return 0;
}

// What makes no sense where endpoints get the client's packet as it is.
static int check_direct(const struct sluice_node *node, const struct sluice_service_spec *spec,
                        struct sluice_error *err)
{
	const char *mode = sluice_forwarding_name(spec->forwarding);
	struct sluice_node place = *node;

	if (!sluice_forwarding_is_direct(spec->forwarding))
		return 0;
	if (spec->target_port != spec->port) {
		sluice_node_member(node, "targetPort", &place);
		return sluice_node_error(&place, err, 422, "port",
		                         "%u is not the service's port %u: forwarding by %s "
		                         "changes no port",
		                         spec->target_port, spec->port, mode);
	}
	if (spec->node_port != 0) {
		sluice_node_member(node, "nodePort", &place);
		return sluice_node_error(&place, err, 422, "port",
		                         "with forwarding by %s endpoints answer for the virtual "
		                         "address, not for this host's",
		                         mode);
	}
	return 0;
}

static int check_quic(const struct sluice_node *node, const struct sluice_service_spec *spec,
                      struct sluice_error *err)
{
	struct sluice_node quic;

	if (!sluice_node_member(node, "quic", &quic) || spec->protocol == IPPROTO_UDP)
		return 0;
	return sluice_node_error(&quic, err, 422, "unsupported",
	                         "QUIC is UDP: this service's protocol is %s",
	                         sluice_protocol_name(spec->protocol));
}

static int raw_service_finish(const struct sluice_node *node,
                              const struct sluice_service_name *name, struct raw_service *raw,
                              struct sluice_error *err)
{
	struct sluice_service_spec *spec = &raw->spec;
	struct sluice_endpoint_list list = {0};
	struct sluice_node endpoints;
	int rc;

	rc = name_settle(node, "name", name != NULL ? name->name : NULL, NULL, &spec->name, err);
	if (rc == 0)
		rc = name_settle(node, "namespace", name != NULL ? name->namespace_ : NULL,
		                 "default", &spec->namespace_, err);
	if (rc < 0)
		return rc;
	if (spec->target_port == 0)
		spec->target_port = spec->port;
	spec->forwarding =
	        raw->forwarding < 0 ? SLUICE_FORWARD_NAT : (enum sluice_forwarding)raw->forwarding;
	spec->forwarding_given = raw->forwarding >= 0;
	spec->external_policy = (enum sluice_traffic_policy)raw->policy;
	spec->on_empty = (enum sluice_on_empty)raw->on_empty;
	spec->affinity_timeout = raw->affinity ? raw->affinity_timeout : 0;
	spec->server_id_length = (uint8_t)raw->server_id_length;
	rc = check_direct(node, spec, err);
	if (rc == 0)
		rc = check_quic(node, spec, err);
	if (rc < 0)
		return rc;
	if (!sluice_node_member(node, "endpoints", &endpoints))
		return 0;
	rc = read_service_list(&endpoints, spec, &list, err);
	spec->has_endpoints = true;
	spec->endpoints = list.items;
	spec->endpoint_count = list.count;
	return rc;
}

int sluice_service_spec_read(const struct sluice_node *node, const struct sluice_service_name *name,
                             struct sluice_service_spec *out, struct sluice_error *err)
{
	struct raw_service raw = {
	        .spec = {.protocol = IPPROTO_TCP, .table_size = SLUICE_TABLE_SIZE_DEFAULT},
	        .forwarding = -1,
	        .policy = SLUICE_POLICY_CLUSTER,
	        .on_empty = SLUICE_ON_EMPTY_REFUSE,
	        .affinity_timeout = SLUICE_AFFINITY_TIMEOUT_DEFAULT,
	};
	int rc = sluice_fields_read(node, &service_table, &raw, NULL, err);

	if (rc == 0)
		rc = raw_service_finish(node, name, &raw, err);
	if (rc < 0)
		sluice_service_spec_clear(&raw.spec);
	*out = raw.spec;
	return rc;
}

struct raw_patch {
	json_t *lists[4]; // borrowed
};

#define PATCH_FIELD(name, i)                                                                       \
	{                                                                                          \
		.key = (name), .read = sluice_read_node,                                           \
		.offset = offsetof(struct raw_patch, lists) + (i) * sizeof(json_t *)               \
	}
static const struct sluice_field patch_fields[4] = {
        PATCH_FIELD("add", 0),
        PATCH_FIELD("remove", 1),
        PATCH_FIELD("drain", 2),
        PATCH_FIELD("weight", 3),
};
static const struct sluice_field_table patch_table = SLUICE_FIELD_TABLE(patch_fields);

// The endpoint that two sorted lists have in common, or NULL.
static const struct sluice_endpoint_spec *common_endpoint(const struct sluice_endpoint_list *a,
                                                          const struct sluice_endpoint_list *b)
{
	size_t i = 0, j = 0;

	while (i < a->count && j < b->count) {
		int order = sluice_endpoint_spec_compare(&a->items[i], &b->items[j]);

		if (order == 0)
			return &a->items[i];
		i += order < 0;
		j += order > 0;
	}
	return NULL;
}

static int patch_check(const struct sluice_node *node, struct sluice_endpoint_list *const lists[4],
                       struct sluice_error *err)
{
	char text[SLUICE_ENDPOINT_TEXT];

	for (size_t a = 0; a < 4; a++) {
		for (size_t b = a + 1; b < 4; b++) {
			const struct sluice_endpoint_spec *e = common_endpoint(lists[a], lists[b]);
			struct sluice_node place = *node;

			if (e == NULL)
				continue;
			sluice_node_member(node, patch_fields[b].key, &place);
			return sluice_node_error(&place, err, BAD, "%s stands in '%s' too",
			                         sluice_endpoint_format(&e->address, e->port, text),
			                         patch_fields[a].key);
		}
	}
	return 0;
}

int sluice_endpoints_patch_read(const struct sluice_node *node,
                                const struct sluice_service_spec *service,
                                struct sluice_endpoints_patch *out, struct sluice_error *err)
{
	struct sluice_endpoint_list *const lists[4] = {&out->add, &out->remove, &out->drain,
	                                               &out->weight};
	struct raw_patch raw = {0};
	int rc;

	memset(out, 0, sizeof(*out));
	rc = sluice_fields_read(node, &patch_table, &raw, NULL, err);
	for (size_t i = 0; i < 4 && rc == 0; i++) {
		struct list_rules rules = {.service = service, .weights = lists[i] == &out->weight};
		struct sluice_node list;

		if (sluice_node_member(node, patch_fields[i].key, &list))
			rc = read_list(&list, &rules, lists[i], err);
	}
	if (rc == 0)
		rc = patch_check(node, lists, err);
	if (rc < 0)
		sluice_endpoints_patch_clear(out);
	return rc;
}

void sluice_endpoints_patch_clear(struct sluice_endpoints_patch *patch)
{
	free(patch->add.items);
	free(patch->remove.items);
	free(patch->drain.items);
	free(patch->weight.items);
	memset(patch, 0, sizeof(*patch));
}
