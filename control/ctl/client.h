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

// What the daemon said no with. The strings belong to the answer.
struct sluice_refusal {
	const char *message;
	const char *path; // "services[0].port", or NULL
	unsigned line;    // 0: unknown
};

struct sluice_answer {
	long status;  // HTTP
	json_t *json; // owned; NULL where the body is none
	struct sluice_refusal refusal;
	char fallback[64]; // message of a refusal that has none
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
