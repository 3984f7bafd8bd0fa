// SPDX-License-Identifier: BSD-3-Clause
#include "control/ctl/traffic.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "control/ctl/table.h"
#include "control/ctl/text.h"

#define ENDPOINT_COLUMNS                                                                           \
	{"ENDPOINT"}, {"STATE"}, {"AGE", SLUICE_RIGHT}, {"WEIGHT", SLUICE_RIGHT},                  \
	        {"FLOWS", SLUICE_RIGHT}, {"CONNS", SLUICE_RIGHT}, {"PKTS-IN", SLUICE_RIGHT},       \
	        {"PKTS-OUT", SLUICE_RIGHT}, {"BYTES-IN", SLUICE_RIGHT},                            \
	        {"BYTES-OUT", SLUICE_RIGHT},                                                       \
	{                                                                                          \
		"SHARE", SLUICE_RIGHT                                                              \
	}

static const struct sluice_column columns[] = {ENDPOINT_COLUMNS};
static const struct sluice_column columns_all[] = {
        {"NAMESPACE"},
        {"SERVICE"},
        ENDPOINT_COLUMNS,
};

static uint64_t count_of(const json_t *object, const char *key)
{
	json_int_t value = json_integer_value(json_object_get(object, key));

	return value > 0 ? (uint64_t)value : 0;
}

static bool drains(const json_t *endpoint)
{
	return strcmp(sluice_text_string(endpoint, "state"), "draining") == 0;
}

static bool selectable(const json_t *endpoint)
{
	const json_t *weight = json_object_get(endpoint, "weight");

	return !drains(endpoint) && !json_is_false(json_object_get(endpoint, "ready")) &&
	       (weight == NULL || json_integer_value(weight) > 0);
}

size_t sluice_traffic_selectable(const json_t *endpoints)
{
	const json_t *endpoint;
	size_t i, count = 0;

	json_array_foreach (endpoints, i, endpoint) {
		count += selectable(endpoint);
	}
	return count;
}

size_t sluice_traffic_draining(const json_t *endpoints)
{
	const json_t *endpoint;
	size_t i, count = 0;

	json_array_foreach (endpoints, i, endpoint) {
		count += drains(endpoint);
	}
	return count;
}

// Of all endpoints: what a share is a part of.
static uint64_t sum_connections(const json_t *endpoints)
{
	const json_t *endpoint;
	uint64_t sum = 0;
	size_t i;

	json_array_foreach (endpoints, i, endpoint) {
		sum += count_of(endpoint, "connections");
	}
	return sum;
}

// "active" or "draining"; where no packet goes, why: "next hop unresolved".
static void add_state(struct sluice_table *table, const json_t *endpoint)
{
	const char *reason = json_string_value(json_object_get(endpoint, "reason"));

	if (!json_is_false(json_object_get(endpoint, "ready")))
		sluice_table_add(table, sluice_text_string(endpoint, "state"));
	else
		sluice_table_addf(table, "%s%s", drains(endpoint) ? "draining, " : "",
		                  reason != NULL ? reason : "not ready");
}

static void add_row(struct sluice_table *table, const json_t *endpoint, uint64_t connections)
{
	const json_t *packets = json_object_get(endpoint, "packets");
	const json_t *bytes = json_object_get(endpoint, "bytes");

	sluice_table_add(table, sluice_text_endpoint(endpoint).text);
	add_state(table, endpoint);
	sluice_table_add(table, sluice_text_age(endpoint, "since").text);
	sluice_table_add(table, sluice_text_count(endpoint, "weight").text);
	sluice_table_add(table, sluice_text_count(endpoint, "flows").text);
	sluice_table_add(table, sluice_text_count(endpoint, "connections").text);
	sluice_table_add(table, sluice_text_count(packets, "in").text);
	sluice_table_add(table, sluice_text_count(packets, "out").text);
	sluice_table_add(table, sluice_text_size(bytes, "in").text);
	sluice_table_add(table, sluice_text_size(bytes, "out").text);
	sluice_table_add(table,
	                 sluice_text_share(count_of(endpoint, "connections"), connections).text);
}

void sluice_traffic_print(const json_t *endpoints, const char *indent, FILE *out)
{
	struct sluice_table table = SLUICE_TABLE(columns);
	uint64_t connections = sum_connections(endpoints);
	const json_t *endpoint;
	size_t i;

	json_array_foreach (endpoints, i, endpoint) {
		add_row(&table, endpoint, connections);
	}
	sluice_table_print(&table, indent, out);
	sluice_table_clear(&table);
}

void sluice_traffic_print_all(const json_t *services, FILE *out)
{
	struct sluice_table table = SLUICE_TABLE(columns_all);
	const json_t *service, *endpoint;
	size_t i, j;

	json_array_foreach (json_object_get(services, "services"), i, service) {
		const json_t *endpoints = json_object_get(service, "endpoints");
		uint64_t connections = sum_connections(endpoints);

		json_array_foreach (endpoints, j, endpoint) {
			sluice_table_add(&table, sluice_text_string(service, "namespace"));
			sluice_table_add(&table, sluice_text_string(service, "name"));
			add_row(&table, endpoint, connections);
		}
	}
	sluice_table_print(&table, "", out);
	sluice_table_clear(&table);
}
