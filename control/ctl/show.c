// SPDX-License-Identifier: BSD-3-Clause
// status and get: what is there, in tables.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/ctl/client.h"
#include "control/ctl/ctl.h"
#include "control/ctl/names.h"
#include "control/ctl/output.h"
#include "control/ctl/table.h"
#include "control/ctl/text.h"
#include "control/ctl/traffic.h"

static const struct sluice_column port_columns[] = {
        {"PORT"},
        {"STATE"},
        {"MAC"},
        {"MTU", SLUICE_RIGHT},
        {"QUEUES", SLUICE_RIGHT},
        {"RX", SLUICE_RIGHT},
        {"TX", SLUICE_RIGHT},
        {"PASSED", SLUICE_RIGHT},
        {"MISSED", SLUICE_RIGHT},
        {"ERRORS", SLUICE_RIGHT},
};

static const struct sluice_column worker_columns[] = {
        {"WORKER"},
        {"CORE", SLUICE_RIGHT},
        {"BUSY", SLUICE_RIGHT},
        {"PACKETS", SLUICE_RIGHT},
};

static const struct sluice_column service_columns[] = {
        {"NAMESPACE"},
        {"NAME"},
        {"IP"},
        {"PORT(S)"},
        {"ENDPOINTS", SLUICE_RIGHT},
        {"FLOWS", SLUICE_RIGHT},
        {"CONNS", SLUICE_RIGHT},
        {"AGE", SLUICE_RIGHT},
};

static void print_ports(const json_t *status)
{
	struct sluice_table table = SLUICE_TABLE(port_columns);
	const json_t *port;
	size_t i;

	json_array_foreach (json_object_get(status, "ports"), i, port) {
		const json_t *up = json_object_get(port, "up");

		sluice_table_add(&table, sluice_text_string(port, "name"));
		sluice_table_add(&table, json_is_true(up)    ? "up"
		                         : json_is_false(up) ? "down"
		                                             : "-");
		sluice_table_add(&table, sluice_text_string(port, "mac"));
		sluice_table_add(&table, sluice_text_count(port, "mtu").text);
		sluice_table_add(&table, sluice_text_count(port, "queues").text);
		sluice_table_add(&table, sluice_text_count(port, "rx").text);
		sluice_table_add(&table, sluice_text_count(port, "tx").text);
		sluice_table_add(&table, sluice_text_count(port, "passed").text);
		sluice_table_add(&table, sluice_text_count(port, "missed").text);
		sluice_table_add(&table, sluice_text_count(port, "errors").text);
	}
	sluice_table_print(&table, "", stdout);
	sluice_table_clear(&table);
}

static void print_workers(const json_t *status)
{
	struct sluice_table table = SLUICE_TABLE(worker_columns);
	const json_t *worker;
	size_t i;

	json_array_foreach (json_object_get(status, "workers"), i, worker) {
		const json_t *busy = json_object_get(worker, "busy");

		sluice_table_add(&table, sluice_text_count(worker, "id").text);
		sluice_table_add(&table, sluice_text_count(worker, "core").text);
		if (json_is_number(busy))
			sluice_table_addf(&table, "%.1f%%", 100 * json_number_value(busy));
		else
			sluice_table_add(&table, NULL);
		sluice_table_add(&table, sluice_text_count(worker, "packets").text);
	}
	sluice_table_print(&table, "", stdout);
	sluice_table_clear(&table);
}

static void print_readiness(const json_t *status)
{
	const json_t *ready = json_object_get(status, "ready");
	const json_t *reason;
	size_t i;

	printf("Ready:       %s", json_is_true(ready) ? "yes" : json_is_false(ready) ? "no" : "-");
	json_array_foreach (json_object_get(status, "reasons"), i, reason) {
		if (json_is_string(reason))
			printf("%s%s", i == 0 ? ": " : "; ", json_string_value(reason));
	}
	putchar('\n');
}

static void print_flows(const char *title, const json_t *flows)
{
	json_int_t entries = json_integer_value(json_object_get(flows, "entries"));
	json_int_t capacity = json_integer_value(json_object_get(flows, "capacity"));

	printf("%-13s%s of %s", title, sluice_text_count(flows, "entries").text,
	       sluice_text_count(flows, "capacity").text);
	if (capacity > 0 && entries >= 0)
		printf(" (%s)", sluice_text_share((uint64_t)entries, (uint64_t)capacity).text);
	putchar('\n');
}

static void print_memory(const json_t *memory)
{
	const json_t *hugepages = json_object_get(memory, "hugepages");
	const json_t *bytes = json_object_get(memory, "bytes");

	printf("Memory:      %s%s%s\n",
	       json_is_integer(bytes) ? sluice_text_size(memory, "bytes").text : "",
	       json_is_integer(bytes) ? ", " : "",
	       json_is_true(hugepages)    ? "hugepages"
	       : json_is_false(hugepages) ? "no hugepages"
	                                  : "-");
}

// "12 (no_route 10, ttl 2)"
static void print_drops(json_t *drops)
{
	const char *reason, *separator = " (";
	json_int_t total = 0;
	json_t *count;

	json_object_foreach (drops, reason, count) {
		total += json_integer_value(count);
	}
	if (drops == NULL) {
		puts("Dropped:     -");
		return;
	}
	printf("Dropped:     %" JSON_INTEGER_FORMAT, total);
	json_object_foreach (drops, reason, count) {
		if (json_integer_value(count) == 0)
			continue;
		printf("%s%s %" JSON_INTEGER_FORMAT, separator, reason, json_integer_value(count));
		separator = ", ";
	}
	puts(total > 0 ? ")" : "");
}

static void print_state(const json_t *state)
{
	const json_t *saved = json_object_get(state, "saved");
	const char *reason = json_string_value(json_object_get(state, "reason"));

	if (json_is_false(saved))
		printf("State:       not saved%s%s\n", reason != NULL ? ": " : "",
		       reason != NULL ? reason : "");
	else
		printf("State:       %s\n", json_is_true(saved) ? "saved" : "-");
}

static void print_status(const json_t *status)
{
	const json_t *uptime = json_object_get(status, "uptime");

	printf("Version:     %s (%s)\n", sluice_text_string(status, "version"),
	       sluice_text_string(status, "dpdk"));
	printf("Uptime:      %s\n",
	       json_is_number(uptime)
	               ? sluice_text_duration((int64_t)json_number_value(uptime)).text
	               : "-");
	printf("Generation:  %s\n", sluice_text_count(status, "generation").text);
	printf("Services:    %s\n", sluice_text_count(status, "services").text);
	print_readiness(status);
	print_flows("Flows:", json_object_get(status, "flows"));
	if (json_object_get(status, "snat"))
		print_flows("Fullnat:", json_object_get(status, "snat"));
	print_drops(json_object_get(status, "drops"));
	print_memory(json_object_get(status, "memory"));
	print_state(json_object_get(status, "state"));
	putchar('\n');
	print_ports(status);
	putchar('\n');
	print_workers(status);
}

enum sluice_ctl_exit sluice_ctl_status(struct sluice_ctl *ctl, int argc, char **argv)
{
	struct sluice_answer answer;
	enum sluice_ctl_exit result;

	(void)argc;
	(void)argv;
	result = sluice_client_call(ctl->client, "GET", "/v1/status", NULL, &answer);
	if (result == SLUICE_CTL_DONE && ctl->output != SLUICE_CTL_TABLE)
		result = sluice_output_value(ctl, answer.json);
	else if (result == SLUICE_CTL_DONE)
		print_status(answer.json);
	sluice_answer_clear(&answer);
	return result;
}

// One list out of the status.
static enum sluice_ctl_exit get_part(struct sluice_ctl *ctl, const char *key,
                                     void (*print)(const json_t *status))
{
	struct sluice_answer answer;
	enum sluice_ctl_exit result;

	result = sluice_client_call(ctl->client, "GET", "/v1/status", NULL, &answer);
	if (result == SLUICE_CTL_DONE && ctl->output != SLUICE_CTL_TABLE) {
		json_t *part = json_pack("{s:O?}", key, json_object_get(answer.json, key));

		result = sluice_output_value(ctl, part);
		json_decref(part);
	} else if (result == SLUICE_CTL_DONE) {
		print(answer.json);
	}
	sluice_answer_clear(&answer);
	return result;
}

enum sluice_ctl_exit sluice_ctl_get_ports(struct sluice_ctl *ctl, int argc, char **argv)
{
	(void)argc;
	(void)argv;
	return get_part(ctl, "ports", print_ports);
}

enum sluice_ctl_exit sluice_ctl_get_workers(struct sluice_ctl *ctl, int argc, char **argv)
{
	(void)argc;
	(void)argv;
	return get_part(ctl, "workers", print_workers);
}

// *services = {"services": [...]}: the named one, those of -n, or all. Owned by the caller.
static enum sluice_ctl_exit fetch_services(struct sluice_ctl *ctl, int argc, char **argv,
                                           json_t **services)
{
	struct sluice_answer answer = {0};
	struct sluice_name name;
	enum sluice_ctl_exit result;
	const json_t *list;
	json_t *kept, *service;
	size_t i;

	if (argc > 0) {
		result = sluice_name_read(ctl, argv[0], &name);
		if (result == SLUICE_CTL_DONE)
			result = sluice_client_call(ctl->client, "GET", name.path, NULL, &answer);
		if (result == SLUICE_CTL_DONE)
			*services = json_pack("{s:[O]}", "services", answer.json);
		sluice_answer_clear(&answer);
		return result;
	}
	result = sluice_client_call(ctl->client, "GET", "/v1/services", NULL, &answer);
	if (result == SLUICE_CTL_DONE) {
		kept = json_array();
		list = json_object_get(answer.json, "services");
		json_array_foreach (list, i, service) {
			if (ctl->namespace_ == NULL ||
			    strcmp(sluice_text_string(service, "namespace"), ctl->namespace_) == 0)
				json_array_append(kept, service);
		}
		*services = json_pack("{s:o}", "services", kept);
	}
	sluice_answer_clear(&answer);
	return result;
}

static void add_service_row(struct sluice_table *table, const json_t *service)
{
	const json_t *endpoints = json_object_get(service, "endpoints");
	const json_t *node_port = json_object_get(service, "nodePort");

	sluice_table_add(table, sluice_text_string(service, "namespace"));
	sluice_table_add(table, sluice_text_string(service, "name"));
	sluice_table_add(table, sluice_text_string(service, "ip"));
	if (json_integer_value(node_port) > 0)
		sluice_table_addf(table, "%s:%" JSON_INTEGER_FORMAT "/%s",
		                  sluice_text_count(service, "port").text,
		                  json_integer_value(node_port),
		                  sluice_text_string(service, "protocol"));
	else
		sluice_table_addf(table, "%s/%s", sluice_text_count(service, "port").text,
		                  sluice_text_string(service, "protocol"));
	sluice_table_addf(table, "%zu/%zu", sluice_traffic_selectable(endpoints),
	                  json_array_size(endpoints));
	sluice_table_add(table, sluice_text_count(service, "flows").text);
	sluice_table_add(table, sluice_text_count(service, "connections").text);
	sluice_table_add(table, sluice_text_age(service, "since").text);
}

// As kubectl: an empty table has no header, and people are told on stderr.
static void complain_nothing(const struct sluice_ctl *ctl, const char *what)
{
	if (ctl->namespace_ != NULL)
		fprintf(stderr, "No %s in namespace %s.\n", what, ctl->namespace_);
	else
		fprintf(stderr, "No %s.\n", what);
}

enum sluice_ctl_exit sluice_ctl_get_services(struct sluice_ctl *ctl, int argc, char **argv)
{
	struct sluice_table table = SLUICE_TABLE(service_columns);
	enum sluice_ctl_exit result;
	json_t *services, *list, *service;
	size_t i;

	result = fetch_services(ctl, argc, argv, &services);
	if (result != SLUICE_CTL_DONE)
		return result;
	list = json_object_get(services, "services");
	if (ctl->output != SLUICE_CTL_TABLE) {
		result = sluice_output_value(ctl, argc > 0 ? json_array_get(list, 0) : services);
	} else if (json_array_size(list) == 0) {
		complain_nothing(ctl, "services");
	} else {
		json_array_foreach (list, i, service) {
			add_service_row(&table, service);
		}
		sluice_table_print(&table, "", stdout);
		sluice_table_clear(&table);
	}
	json_decref(services);
	return result;
}

// {"endpoints": [...]}, each with its service's namespace and name in front.
static json_t *flatten_endpoints(const json_t *services)
{
	json_t *flat = json_array();
	const json_t *service;
	json_t *endpoint;
	size_t i, j;

	json_array_foreach (json_object_get(services, "services"), i, service) {
		json_array_foreach (json_object_get(service, "endpoints"), j, endpoint) {
			json_t *row = json_pack("{s:s, s:s}", "namespace",
			                        sluice_text_string(service, "namespace"), "service",
			                        sluice_text_string(service, "name"));

			json_object_update(row, endpoint);
			json_array_append_new(flat, row);
		}
	}
	return json_pack("{s:o}", "endpoints", flat);
}

enum sluice_ctl_exit sluice_ctl_get_endpoints(struct sluice_ctl *ctl, int argc, char **argv)
{
	enum sluice_ctl_exit result;
	json_t *services, *flat;

	result = fetch_services(ctl, argc, argv, &services);
	if (result != SLUICE_CTL_DONE)
		return result;
	flat = flatten_endpoints(services);
	if (ctl->output != SLUICE_CTL_TABLE)
		result = sluice_output_value(ctl, flat);
	else if (json_array_size(json_object_get(flat, "endpoints")) == 0)
		complain_nothing(ctl, "endpoints");
	else
		sluice_traffic_print_all(services, stdout);
	json_decref(flat);
	json_decref(services);
	return result;
}
