// SPDX-License-Identifier: BSD-3-Clause
// describe service: the fields of `kubectl describe service`, then what only sluice knows.
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

enum {
	ENDPOINTS_SHOWN = 3, // kubectl's; the table below has them all
};

static const struct sluice_column event_columns[] = {
        {"Type"},
        {"Age", SLUICE_LEFT},
        {"Message"},
};

static const struct sluice_column server_id_columns[] = {
        {"ENDPOINT"},
        {"SERVER-ID"},
};

static void print_field(const char *label, const char *value)
{
	printf("%-25s %s\n", label, value);
}

static void print_optional(const char *label, const json_t *object, const char *key)
{
	if (json_object_get(object, key) != NULL)
		print_field(label, sluice_text_string(object, key));
}

// "<unset>  8080/TCP": a port's name, which services of one port do without, and the port.
static void print_port(const char *label, const json_t *service, const char *key, bool named)
{
	printf("%-25s %s%s/%s\n", label, named ? "<unset>  " : "",
	       sluice_text_count(service, key).text, sluice_text_string(service, "protocol"));
}

static void print_endpoints(const json_t *endpoints)
{
	size_t count = json_array_size(endpoints);

	printf("%-25s ", "Endpoints:");
	for (size_t i = 0; i < count && i < ENDPOINTS_SHOWN; i++)
		printf("%s%s", i == 0 ? "" : ",",
		       sluice_text_endpoint(json_array_get(endpoints, i)).text);
	if (count > ENDPOINTS_SHOWN)
		printf(" + %zu more...", count - ENDPOINTS_SHOWN);
	puts(count == 0 ? "<none>" : "");
}

// By which QUIC connection ids name the endpoints; nothing of other services.
static void print_server_ids(const json_t *service)
{
	struct sluice_table table = SLUICE_TABLE(server_id_columns);
	const json_t *endpoints = json_object_get(service, "endpoints"), *endpoint;
	size_t i;

	if (json_object_get(service, "quic") == NULL || json_array_size(endpoints) == 0)
		return;
	puts("QUIC Server IDs:");
	json_array_foreach (endpoints, i, endpoint) {
		sluice_table_add(&table, sluice_text_endpoint(endpoint).text);
		sluice_table_add(&table, sluice_text_string(endpoint, "serverId"));
	}
	sluice_table_print(&table, "  ", stdout);
	sluice_table_clear(&table);
}

static void print_events(const json_t *events)
{
	struct sluice_table table = SLUICE_TABLE(event_columns);
	const json_t *event;
	size_t i;

	if (json_array_size(events) == 0) {
		print_field("Events:", "<none>");
		return;
	}
	puts("Events:");
	sluice_table_underline(&table);
	json_array_foreach (events, i, event) {
		sluice_table_add(&table, sluice_text_string(event, "type"));
		sluice_table_add(&table, sluice_text_age(event, "time").text);
		sluice_table_add(&table, sluice_text_string(event, "message"));
	}
	sluice_table_print(&table, "  ", stdout);
	sluice_table_clear(&table);
}

static void print_service(const json_t *service)
{
	const json_t *endpoints = json_object_get(service, "endpoints");

	print_field("Name:", sluice_text_string(service, "name"));
	print_field("Namespace:", sluice_text_string(service, "namespace"));
	print_field("Type:", "LoadBalancer");
	print_field("IP:", sluice_text_string(service, "ip"));
	print_port("Port:", service, "port", true);
	print_port("TargetPort:", service, "targetPort", false);
	if (json_integer_value(json_object_get(service, "nodePort")) > 0)
		print_port("NodePort:", service, "nodePort", true);
	print_endpoints(endpoints);
	print_field("Session Affinity:", sluice_text_string(service, "sessionAffinity"));
	print_optional("Session Affinity Timeout:", service, "sessionAffinityTimeout");
	print_field("External Traffic Policy:",
	            sluice_text_string(service, "externalTrafficPolicy"));
	print_field("Forwarding:", sluice_text_string(service, "forwarding"));
	print_field("On Empty:", sluice_text_string(service, "onEmpty"));
	print_field("Table Size:", sluice_text_count(service, "tableSize").text);
	print_field("Generation:", sluice_text_count(service, "generation").text);
	print_field("Age:", sluice_text_age(service, "since").text);
	print_server_ids(service);
	print_events(json_object_get(service, "events"));
	if (json_array_size(endpoints) > 0) {
		puts("Traffic:");
		sluice_traffic_print(endpoints, "  ", stdout);
	}
}

enum sluice_ctl_exit sluice_ctl_describe_service(struct sluice_ctl *ctl, int argc, char **argv)
{
	struct sluice_answer answer = {0};
	struct sluice_name name;
	enum sluice_ctl_exit result;

	(void)argc;
	result = sluice_name_read(ctl, argv[0], &name);
	if (result == SLUICE_CTL_DONE)
		result = sluice_client_call(ctl->client, "GET", name.path, NULL, &answer);
	if (result == SLUICE_CTL_DONE && ctl->output != SLUICE_CTL_TABLE)
		result = sluice_output_value(ctl, answer.json);
	else if (result == SLUICE_CTL_DONE)
		print_service(answer.json);
	sluice_answer_clear(&answer);
	return result;
}
