// SPDX-License-Identifier: BSD-3-Clause
// The commands that change one service: a request, and a line that says what came of it.
#include "control/ctl/change.h"

#include <stdio.h>
#include <stdlib.h>

#include "control/ctl/client.h"
#include "control/ctl/ctl.h"
#include "control/ctl/names.h"
#include "control/ctl/output.h"
#include "control/ctl/text.h"
#include "control/ctl/traffic.h"

void sluice_change_print(const json_t *answer)
{
	json_int_t rows = json_integer_value(json_object_get(answer, "rowsMoved"));

	if (json_is_false(json_object_get(answer, "stateSaved")))
		sluice_ctl_complain("warning: the daemon could not save this, a restart undoes it "
		                    "(see 'sluicectl status')");
	if (json_is_false(json_object_get(answer, "changed"))) {
		printf(", unchanged (generation %s)\n",
		       sluice_text_count(answer, "generation").text);
		return;
	}
	printf(" (generation %s, live on all workers in %s, %s row%s moved)\n",
	       sluice_text_count(answer, "generation").text, sluice_text_string(answer, "applied"),
	       sluice_text_count(answer, "rowsMoved").text, rows == 1 ? "" : "s");
}

void sluice_change_print_endpoints(size_t count, size_t draining)
{
	printf("%zu endpoint%s", count, count == 1 ? "" : "s");
	if (draining > 0)
		printf(", %zu draining", draining);
}

// What the change left the service with. The change is made: that this can't be asked is no
// failure of it.
static void print_changed(struct sluice_ctl *ctl, const struct sluice_name *name,
                          const json_t *changed)
{
	struct sluice_request request = {.method = "GET", .path = name->path};
	struct sluice_answer answer;
	const json_t *endpoints;

	printf("service %s: ", name->full);
	if (sluice_client_request(ctl->client, &request, &answer) == SLUICE_CTL_DONE) {
		endpoints = json_object_get(answer.json, "endpoints");
		sluice_change_print_endpoints(json_array_size(endpoints),
		                              sluice_traffic_draining(endpoints));
	} else {
		fputs("done", stdout);
	}
	sluice_change_print(changed);
	sluice_answer_clear(&answer);
}

enum sluice_ctl_exit sluice_ctl_delete_service(struct sluice_ctl *ctl, int argc, char **argv)
{
	struct sluice_answer answer = {0};
	struct sluice_name name;
	enum sluice_ctl_exit result;

	(void)argc;
	result = sluice_name_read(ctl, argv[0], &name);
	if (result == SLUICE_CTL_DONE)
		result = sluice_client_call(ctl->client, "DELETE", name.path, NULL, &answer);
	if (result == SLUICE_CTL_DONE && ctl->output != SLUICE_CTL_TABLE) {
		result = sluice_output_value(ctl, answer.json);
	} else if (result == SLUICE_CTL_DONE) {
		printf("service %s: deleted", name.full);
		sluice_change_print(answer.json);
	}
	sluice_answer_clear(&answer);
	return result;
}

// Sends {key: [the endpoints of argv[1] on]} to the endpoints of the service argv[0].
static enum sluice_ctl_exit change_endpoints(struct sluice_ctl *ctl, int argc, char **argv,
                                             const char *method, const char *key,
                                             bool weight_allowed)
{
	struct sluice_answer answer = {0};
	json_t *list = json_array();
	enum sluice_ctl_exit result;
	struct sluice_name name;
	char path[sizeof(name.path) + 16];

	result = sluice_name_read(ctl, argv[0], &name);
	for (int i = 1; i < argc && result == SLUICE_CTL_DONE; i++) {
		json_t *endpoint = sluice_endpoint_read(argv[i], weight_allowed);

		if (endpoint == NULL)
			result = SLUICE_CTL_USAGE;
		else
			json_array_append_new(list, endpoint);
	}
	if (result != SLUICE_CTL_DONE) {
		json_decref(list);
		return result;
	}
	snprintf(path, sizeof(path), "%s/endpoints", name.path);
	result = sluice_client_call(ctl->client, method, path, json_pack("{s:o}", key, list),
	                            &answer);
	if (result == SLUICE_CTL_DONE && ctl->output != SLUICE_CTL_TABLE)
		result = sluice_output_value(ctl, answer.json);
	else if (result == SLUICE_CTL_DONE)
		print_changed(ctl, &name, answer.json);
	sluice_answer_clear(&answer);
	return result;
}

enum sluice_ctl_exit sluice_ctl_set_endpoints(struct sluice_ctl *ctl, int argc, char **argv)
{
	return change_endpoints(ctl, argc, argv, "PUT", "endpoints", true);
}

enum sluice_ctl_exit sluice_ctl_add_endpoint(struct sluice_ctl *ctl, int argc, char **argv)
{
	return change_endpoints(ctl, argc, argv, "PATCH", "add", true);
}

enum sluice_ctl_exit sluice_ctl_remove_endpoint(struct sluice_ctl *ctl, int argc, char **argv)
{
	return change_endpoints(ctl, argc, argv, "PATCH", "remove", false);
}

enum sluice_ctl_exit sluice_ctl_drain_endpoint(struct sluice_ctl *ctl, int argc, char **argv)
{
	return change_endpoints(ctl, argc, argv, "PATCH", "drain", false);
}
