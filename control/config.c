// SPDX-License-Identifier: BSD-3-Clause
#include "control/config.h"

#include <ctype.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "control/address.h"
#include "control/fields.h"
#include "control/snat.h"

#define BAD 400, "bad_document"

enum {
	SHOWN = 128,
	CORES_MAX = 1024, // of a machine: numbers go up to one less
	DAY = 24 * 3600 * 1000,
};

#define FIELD(member, ...)                                                                         \
	{                                                                                          \
		.offset = offsetof(struct sluice_config, member), __VA_ARGS__                      \
	}

static const struct {
	const char *prefix;
	enum sluice_port_kind kind;
} devices[] = {
        {"af_xdp:", SLUICE_PORT_AF_XDP},
        {"vdev:", SLUICE_PORT_VDEV},
        {"pci:", SLUICE_PORT_PCI},
        {"bond:", SLUICE_PORT_BOND},
};

static bool is_interface_name(const char *name)
{
	return name[0] != '\0' && strlen(name) < IFNAMSIZ && strpbrk(name, "/: \t\r\n") == NULL &&
	       strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

static int check_argument(const struct sluice_node *node, const struct sluice_config_port *port,
                          struct sluice_error *err)
{
	struct sluice_bond bond;
	const char *wrong = NULL;

	if (port->argument[0] == '\0')
		return sluice_node_error(node, err, BAD, "nothing stands behind '%s'",
		                         port->device);
	if (port->kind == SLUICE_PORT_AF_XDP && !is_interface_name(port->argument))
		return sluice_node_error(node, err, BAD, "'%.80s' is not an interface's name",
		                         port->argument);
	if (port->kind == SLUICE_PORT_VDEV && strpbrk(port->argument, " \t\r\n") != NULL)
		return sluice_node_error(node, err, BAD, "'%.80s' has blanks in it",
		                         port->argument);
	if (port->kind == SLUICE_PORT_PCI && !sluice_is_bdf(port->argument))
		return sluice_node_error(node, err, BAD,
		                         "'%.80s' is not a PCI address (as 0000:03:00.0)",
		                         port->argument);
	if (port->kind == SLUICE_PORT_BOND)
		wrong = sluice_bond_parse(port->argument, &bond);
	if (wrong)
		return sluice_node_error(node, err, BAD, "'%.80s' %s", port->argument, wrong);
	return 0;
}

static int read_device(const struct sluice_node *node, const struct sluice_field *field, void *out,
                       struct sluice_error *err)
{
	struct sluice_config_port *port = out;
	int rc = sluice_read_string(node, field, &port->device, err);
	char shown[SHOWN];

	if (rc < 0)
		return rc;
	for (size_t i = 0; i < sizeof(devices) / sizeof(devices[0]); i++) {
		size_t len = strlen(devices[i].prefix);

		if (strncmp(port->device, devices[i].prefix, len) != 0)
			continue;
		port->kind = devices[i].kind;
		port->argument = port->device + len;
		return check_argument(node, port, err);
	}
	return sluice_node_error(node, err, BAD,
	                         "%s is not a device (af_xdp:IFACE, pci:BDF, bond:MODE,BDF,BDF, "
	                         "vdev:ARGS)",
	                         sluice_node_show(node, shown, sizeof(shown)));
}

static int read_interface(const struct sluice_node *node, const struct sluice_field *field,
                          void *out, struct sluice_error *err)
{
	int rc = sluice_read_string(node, field, out, err);
	const char *name = rc == 0 ? *(char **)out : "";

	if (rc == 0 && !is_interface_name(name))
		return sluice_node_error(node, err, BAD, "'%.80s' is not an interface's name",
		                         name);
	return rc;
}

static const struct sluice_field port_fields[] = {
        {.key = "device", .read = read_device, .required = true},
        {.key = "queues",
         .read = sluice_read_uint16,
         .offset = offsetof(struct sluice_config_port, queues),
         .min = 1,
         .max = SLUICE_WORKERS_MAX,
         .extra = "a number of queues"},
        {.key = "interface",
         .read = read_interface,
         .offset = offsetof(struct sluice_config_port, interface)},
};
static const struct sluice_field_table port_table = SLUICE_FIELD_TABLE(port_fields);

// A card needs a face, under a name that stays; a virtual device has one where it is named.
static int default_interface(const struct sluice_node *node, struct sluice_config_port *port,
                             size_t index, struct sluice_error *err)
{
	char name[IFNAMSIZ];

	if (!sluice_port_is_card(port->kind) || port->interface != NULL)
		return 0;
	snprintf(name, sizeof(name), "sluice%zu", index);
	port->interface = strdup(name);
	return port->interface != NULL ? 0 : sluice_node_no_memory(node, err);
}

static int read_port(const struct sluice_node *node, struct sluice_config *config,
                     struct sluice_error *err)
{
	struct sluice_config_port *port = &config->ports[config->port_count++];
	struct sluice_node device, interface;
	int rc;

	port->queues = 1;
	rc = sluice_fields_read(node, &port_table, port, NULL, err);
	if (rc == 0 && port->kind == SLUICE_PORT_AF_XDP &&
	    sluice_node_member(node, "interface", &interface))
		return sluice_node_error(&interface, err, BAD,
		                         "an af_xdp port is the kernel's interface already");
	if (rc == 0)
		rc = default_interface(node, port, config->port_count - 1, err);
	for (size_t i = 0; rc == 0 && i + 1 < config->port_count; i++) {
		if (strcmp(config->ports[i].device, port->device) == 0 &&
		    sluice_node_member(node, "device", &device))
			rc = sluice_node_error(&device, err, BAD, "'%.200s' is ports[%zu] already",
			                       port->device, i);
	}
	return rc;
}

static int read_ports(const struct sluice_node *node, const struct sluice_field *field, void *out,
                      struct sluice_error *err)
{
	struct sluice_config *config = out;
	int rc = sluice_node_expect(node, JSON_ARRAY, err);
	size_t count = json_array_size(node->value);

	(void)field;
	if (rc == 0 && (count == 0 || count > SLUICE_PORTS_MAX))
		return sluice_node_error(node, err, BAD, "%zu ports: there must be 1-%d", count,
		                         SLUICE_PORTS_MAX);
	for (size_t i = 0; rc == 0 && i < count; i++) {
		struct sluice_node item = sluice_node_item(node, i);

		rc = read_port(&item, config, err);
	}
	return rc;
}

static int read_core(const struct sluice_node *node, struct sluice_config *config,
                     struct sluice_error *err)
{
	static const struct sluice_field core = {.max = CORES_MAX - 1, .extra = "a core"};
	uint16_t *cores = config->workers.cores;
	size_t *count = &config->workers.core_count;
	int rc = sluice_read_uint16(node, &core, &cores[*count], err);

	for (size_t i = 0; rc == 0 && i < *count; i++) {
		if (cores[i] == cores[*count])
			rc = sluice_node_error(node, err, BAD, "core %u is in the list already",
			                       cores[i]);
	}
	(*count)++;
	return rc;
}

static int read_cores(const struct sluice_node *node, const struct sluice_field *field, void *out,
                      struct sluice_error *err)
{
	struct sluice_config *config = out;
	size_t count = json_array_size(node->value);
	char shown[SHOWN];
	int rc = 0;

	(void)field;
	config->workers.core_count = 0;
	if (json_is_string(node->value) && strcmp(json_string_value(node->value), "auto") == 0)
		return 0;
	if (!json_is_array(node->value))
		return sluice_node_error(node, err, BAD, "%s is not 'auto' or a list of cores",
		                         sluice_node_show(node, shown, sizeof(shown)));
	if (count == 0 || count > SLUICE_WORKERS_MAX)
		return sluice_node_error(node, err, BAD, "%zu cores: there must be 1-%d, or 'auto'",
		                         count, SLUICE_WORKERS_MAX);
	for (size_t i = 0; rc == 0 && i < count; i++) {
		struct sluice_node item = sluice_node_item(node, i);

		rc = read_core(&item, config, err);
	}
	return rc;
}

static const struct sluice_name idle_names[] = {
        {"adaptive", SLUICE_IDLE_ADAPTIVE},
        {"poll", SLUICE_IDLE_POLL},
        {0},
};
static const struct sluice_field workers_fields[] = {
        {.key = "cores", .read = read_cores},
        FIELD(workers.idle, .key = "idle", .read = sluice_read_name, .extra = idle_names),
};
static const struct sluice_field_table workers_table = SLUICE_FIELD_TABLE(workers_fields);

static const struct sluice_name hugepages_names[] = {
        {"auto", SLUICE_HUGEPAGES_AUTO},
        {"require", SLUICE_HUGEPAGES_REQUIRE},
        {"off", SLUICE_HUGEPAGES_OFF},
        {0},
};
static const struct sluice_field memory_fields[] = {
        FIELD(memory.hugepages, .key = "hugepages", .read = sluice_read_name,
              .extra = hugepages_names),
};
static const struct sluice_field_table memory_table = SLUICE_FIELD_TABLE(memory_fields);

static const struct sluice_field timeout_fields[] = {
        FIELD(flows.timeouts.tcp_established, .key = "tcpEstablished", .read = sluice_read_seconds,
              .min = 1000, .max = DAY),
        FIELD(flows.timeouts.tcp_syn, .key = "tcpSyn", .read = sluice_read_seconds, .min = 1000,
              .max = DAY),
        FIELD(flows.timeouts.tcp_fin, .key = "tcpFin", .read = sluice_read_seconds, .min = 1000,
              .max = DAY),
        FIELD(flows.timeouts.udp, .key = "udp", .read = sluice_read_seconds, .min = 1000,
              .max = DAY),
};
static const struct sluice_field_table timeout_table = SLUICE_FIELD_TABLE(timeout_fields);

static const struct sluice_field flows_fields[] = {
        FIELD(flows.capacity, .key = "capacity", .read = sluice_read_uint32, .min = 1024,
              .max = 1 << 30, .extra = "a number of flows"),
        {.key = "timeouts", .read = sluice_read_object, .extra = &timeout_table},
};
static const struct sluice_field_table flows_table = SLUICE_FIELD_TABLE(flows_fields);

static int read_snat_addresses(const struct sluice_node *node, const struct sluice_field *field,
                               void *out, struct sluice_error *err)
{
	struct sluice_snat_pool *pool = &((struct sluice_config *)out)->snat;
	int rc = sluice_node_expect(node, JSON_ARRAY, err);
	size_t count = json_array_size(node->value);
	char text[SLUICE_ADDRESS_TEXT];

	if (rc == 0 && (count == 0 || count > SLUICE_SNAT_MAX))
		return sluice_node_error(node, err, BAD, "%zu addresses: there must be 1-%d", count,
		                         SLUICE_SNAT_MAX);
	for (size_t i = 0; rc == 0 && i < count; i++) {
		struct sluice_node item = sluice_node_item(node, i);
		struct sluice_address *a = &pool->addresses[pool->count];

		rc = sluice_read_address(&item, field, a, err);
		for (size_t k = 0; rc == 0 && k < pool->count; k++)
			if (sluice_address_equal(&pool->addresses[k], a))
				rc = sluice_node_error(&item, err, BAD, "%s is in the list already",
				                       sluice_address_format(a, text));
		pool->count++;
	}
	return rc;
}

static int read_snat_ports(const struct sluice_node *node, const struct sluice_field *field,
                           void *out, struct sluice_error *err)
{
	struct sluice_snat_pool *pool = &((struct sluice_config *)out)->snat;
	const char *text = json_string_value(node->value);
	unsigned long first = 0, last = 0;
	char shown[SHOWN], *end = NULL;

	(void)field;
	if (text != NULL && isdigit((unsigned char)text[0]))
		first = strtoul(text, &end, 10);
	if (end != NULL && end[0] == '-' && isdigit((unsigned char)end[1]))
		last = strtoul(end + 1, &end, 10);
	if (end == NULL || *end != '\0' || first < 1024 || last > 65535 || last < first + 255)
		return sluice_node_error(node, err, BAD,
		                         "%s is not a range of 256 or more ports within 1024-65535 "
		                         "(as 1024-32767)",
		                         sluice_node_show(node, shown, sizeof(shown)));
	pool->first_port = (uint16_t)first;
	pool->last_port = (uint16_t)last;
	return 0;
}

static const struct sluice_field snat_fields[] = {
        {.key = "addresses", .read = read_snat_addresses, .required = true},
        {.key = "ports", .read = read_snat_ports},
};
static const struct sluice_field_table snat_table = SLUICE_FIELD_TABLE(snat_fields);

static const struct sluice_field cluster_fields[] = {
        FIELD(cluster.seed, .key = "seed", .read = sluice_read_string, .max = 256),
};
static const struct sluice_field_table cluster_table = SLUICE_FIELD_TABLE(cluster_fields);

static int read_announce(const struct sluice_node *node, const struct sluice_field *field,
                         void *out, struct sluice_error *err)
{
	char **interface = out;
	int rc = sluice_read_string(node, field, interface, err);

	if (rc < 0)
		return rc;
	if (strcmp(*interface, "none") == 0) {
		free(*interface);
		*interface = NULL;
		return 0;
	}
	if (!is_interface_name(*interface))
		return sluice_node_error(node, err, BAD, "'%.80s' is not an interface's name",
		                         *interface);
	return 0;
}

// An octal number in quotes, as chmod(1) takes it: without them YAML reads a decimal one.
static int read_mode(const struct sluice_node *node, const struct sluice_field *field, void *out,
                     struct sluice_error *err)
{
	const char *text = json_string_value(node->value);
	char shown[SHOWN];

	(void)field;
	sluice_node_show(node, shown, sizeof(shown));
	if (json_is_integer(node->value))
		return sluice_node_error(node, err, BAD,
		                         "%s is not a file mode: write it in quotes, as \"0660\"",
		                         shown);
	if (text == NULL || text[0] == '\0' || strlen(text) > 4 ||
	    strspn(text, "01234567") != strlen(text) || strtoul(text, NULL, 8) > 0777)
		return sluice_node_error(node, err, BAD, "%s is not a file mode (as \"0660\")",
		                         shown);
	*(mode_t *)out = (mode_t)strtoul(text, NULL, 8);
	return 0;
}

static const struct sluice_field control_fields[] = {
        FIELD(control.socket, .key = "socket", .read = sluice_read_path,
              .max = sizeof(((struct sockaddr_un *)0)->sun_path) - 1),
        FIELD(control.mode, .key = "mode", .read = read_mode),
        FIELD(control.group, .key = "group", .read = sluice_read_string, .max = 32),
};
static const struct sluice_field_table control_table = SLUICE_FIELD_TABLE(control_fields);

static int read_listen(const struct sluice_node *node, const struct sluice_field *field, void *out,
                       struct sluice_error *err)
{
	struct sluice_config *config = out;
	char shown[SHOWN];

	if (!json_is_string(node->value) ||
	    sluice_endpoint_parse(json_string_value(node->value), &config->metrics.address,
	                          &config->metrics.port) < 0)
		return sluice_node_error(node, err, BAD,
		                         "%s is not ADDRESS:PORT (as '" SLUICE_METRICS_LISTEN "')",
		                         sluice_node_show(node, shown, sizeof(shown)));
	return sluice_read_string(node, field, &config->metrics.text, err);
}

static const struct sluice_field metrics_fields[] = {
        {.key = "listen", .read = read_listen},
};
static const struct sluice_field_table metrics_table = SLUICE_FIELD_TABLE(metrics_fields);

static const struct sluice_field state_fields[] = {
        FIELD(state.directory, .key = "directory", .read = sluice_read_path, .max = 1024),
};
static const struct sluice_field_table state_table = SLUICE_FIELD_TABLE(state_fields);

static int read_services(const struct sluice_node *node, const struct sluice_field *field,
                         void *out, struct sluice_error *err)
{
	(void)field;
	return sluice_changes_add_services(out, node, err);
}

// The sections' tables all count from the configuration itself.
static const struct sluice_field config_fields[] = {
        {.key = "ports", .read = read_ports, .required = true},
        {.key = "workers", .read = sluice_read_object, .extra = &workers_table},
        {.key = "memory", .read = sluice_read_object, .extra = &memory_table},
        {.key = "flows", .read = sluice_read_object, .extra = &flows_table},
        {.key = "snat", .read = sluice_read_object, .extra = &snat_table},
        {.key = "cluster", .read = sluice_read_object, .extra = &cluster_table},
        FIELD(announce, .key = "announce", .read = read_announce),
        {.key = "control", .read = sluice_read_object, .extra = &control_table},
        {.key = "metrics", .read = sluice_read_object, .extra = &metrics_table},
        {.key = "state", .read = sluice_read_object, .extra = &state_table},
        FIELD(changes, .key = "services", .read = read_services),
};
static const struct sluice_field_table config_table = SLUICE_FIELD_TABLE(config_fields);

static int config_defaults(struct sluice_config *config)
{
	*config = (struct sluice_config){
	        .flows = {.capacity = 1048576,
	                  .timeouts = {.tcp_established = 7200,
	                               .tcp_syn = 60,
	                               .tcp_fin = 30,
	                               .udp = 180}},
	        .snat = {.first_port = 1024, .last_port = 32767},
	        .announce = strdup(SLUICE_ANNOUNCE_INTERFACE),
	        .control = {.socket = strdup(SLUICE_SOCKET_PATH), .mode = 0660},
	        .metrics = {.text = strdup(SLUICE_METRICS_LISTEN)},
	        .state = {.directory = strdup(SLUICE_STATE_DIRECTORY)},
	};
	if (config->announce == NULL || config->control.socket == NULL ||
	    config->metrics.text == NULL || config->state.directory == NULL)
		return -ENOMEM;
	return sluice_endpoint_parse(config->metrics.text, &config->metrics.address,
	                             &config->metrics.port);
}

static int read_document(const struct sluice_node *root, struct sluice_config *out,
                         struct sluice_error *err)
{
	bool kubernetes = sluice_kubernetes_is(root->value);

	if (root->index > 0 && kubernetes)
		return sluice_changes_add_kubernetes(&out->changes, root, err);
	if (root->index > 0)
		return sluice_node_error(root, err, BAD,
		                         "a second configuration: only Kubernetes objects may "
		                         "follow the first document");
	if (kubernetes)
		return sluice_node_error(root, err, BAD,
		                         "the first document must be the configuration; Kubernetes "
		                         "objects may follow it");
	return sluice_fields_read(root, &config_table, out, NULL, err);
}

// The file's services must go with its SNAT addresses; what they become is the model's business.
static int check_services(const struct sluice_config *config, struct sluice_error *err)
{
	const struct sluice_snat_pool *pool = config->snat.count > 0 ? &config->snat : NULL;

	for (size_t i = 0; i < config->changes.count; i++) {
		const struct sluice_change *c = &config->changes.items[i];
		struct sluice_service_spec spec = c->service;
		struct sluice_error why = {0};

		if (c->kind == SLUICE_CHANGE_SERVICE && sluice_snat_settle(pool, &spec, &why) < 0)
			return sluice_change_error(&config->changes, c, why.path, err, why.status,
			                           why.code, "%s", why.message);
	}
	return 0;
}

static int no_configuration(const struct sluice_documents *documents, struct sluice_error *err)
{
	if (err != NULL && err->status == 0)
		snprintf(err->source, sizeof(err->source), "%s", documents->source);
	return sluice_error_set(err, BAD, NULL, "there is no configuration in it");
}

int sluice_config_parse(const struct sluice_documents *documents, struct sluice_config *out,
                        struct sluice_error *err)
{
	int rc = config_defaults(out);

	if (rc < 0)
		sluice_error_set(err, 503, "no_memory", NULL, "out of memory");
	else if (documents->count == 0)
		rc = no_configuration(documents, err);
	snprintf(out->changes.source, sizeof(out->changes.source), "%s", documents->source);
	for (size_t i = 0; rc == 0 && i < documents->count; i++) {
		struct sluice_node root = sluice_documents_root(documents, i);

		rc = read_document(&root, out, err);
	}
	if (rc == 0)
		rc = sluice_changes_check(&out->changes, err);
	if (rc == 0)
		rc = check_services(out, err);
	if (rc < 0)
		sluice_config_clear(out);
	return rc;
}

int sluice_config_load(const char *path, struct sluice_config *out, struct sluice_error *err)
{
	struct sluice_documents documents;
	int rc = sluice_documents_load(path, &documents, err);

	memset(out, 0, sizeof(*out));
	if (rc == 0)
		rc = sluice_config_parse(&documents, out, err);
	sluice_documents_clear(&documents);
	return rc;
}

void sluice_config_clear(struct sluice_config *config)
{
	for (size_t i = 0; i < config->port_count; i++) {
		free(config->ports[i].device);
		free(config->ports[i].interface);
	}
	free(config->cluster.seed);
	free(config->announce);
	free(config->control.socket);
	free(config->control.group);
	free(config->metrics.text);
	free(config->state.directory);
	sluice_changes_clear(&config->changes);
	memset(config, 0, sizeof(*config));
}
