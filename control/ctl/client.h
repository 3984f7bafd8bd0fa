// SPDX-License-Identifier: BSD-3-Clause
#pragma once

// HTTP over the daemon's UNIX socket (libcurl), JSON in the answers (jansson).

#include <jansson.h>
#include <stddef.h>

#include "control/ctl/ctl.h"

struct sluice_client;

struct sluice_request {
	const char *method;       // "GET", "PUT", ...
	const char *path;         // "/v1/services/default/web", escaped
	const char *content_type; // of body
	const char *body;         // NULL: none
	size_t body_size;
};

struct sluice_answer {
	long status;   // HTTP
	json_t *json;  // owned; NULL where the body is none
	char *refusal; // why the daemon said no: "services[0].port: 99999 is not a port"; owned
	unsigned line; // of the document it is about; 0: unknown
};

// NULL where libcurl can't start. socket stays the caller's.
struct sluice_client *sluice_client_new(const char *socket, unsigned timeout_ms);
void sluice_client_free(struct sluice_client *client);

// DONE: answer->json is there. REFUSED: answer->refusal says why, nothing printed yet.
// UNREACHABLE: the reason is printed. Clear the answer in any case.
enum sluice_ctl_exit sluice_client_request(struct sluice_client *client,
                                           const struct sluice_request *request,
                                           struct sluice_answer *answer);

// The same, with a JSON body (stolen; NULL: none) and the refusal printed.
enum sluice_ctl_exit sluice_client_call(struct sluice_client *client, const char *method,
                                        const char *path, json_t *body,
                                        struct sluice_answer *answer);

void sluice_answer_clear(struct sluice_answer *answer);
