// SPDX-License-Identifier: BSD-3-Clause
#pragma once

// What the calls share. A new call is a handler in an api_*.c and a line in api.c's table.

#include <event2/event.h>
#include <sys/queue.h>
#include <sys/stat.h>

#include "control/api.h"
#include "control/change.h"
#include "control/http_server.h"
#include "control/model.h"
#include "control/service_spec.h"
#include "control/strbuf.h"

struct sluice_api_change; // a change on its way to the workers

struct sluice_api {
	struct sluice_api_context context;
	struct sluice_http_server *http;
	char *socket;
	dev_t device; // of the socket's file, so that only our own is removed
	ino_t inode;
	LIST_HEAD(, sluice_api_change) changes;
};

// One call: what its path, query and headers said.
struct sluice_api_call {
	struct sluice_api *api;
	struct sluice_http_request *request;
	struct sluice_service_name name; // where the path has one
	bool dry_run;
	bool has_if_match;
	uint64_t if_match;
	uint64_t started_us; // monotonic
};

typedef void sluice_api_handler(struct sluice_api_call *call);

sluice_api_handler sluice_api_get_status;
sluice_api_handler sluice_api_get_services;
sluice_api_handler sluice_api_get_service;
sluice_api_handler sluice_api_put_service;
sluice_api_handler sluice_api_delete_service;
sluice_api_handler sluice_api_get_endpoints;
sluice_api_handler sluice_api_put_endpoints;
sluice_api_handler sluice_api_patch_endpoints;
sluice_api_handler sluice_api_post_apply;

uint64_t sluice_api_now_us(void);

// Answers. Body and call are done with.
void sluice_api_answer(struct sluice_api_call *call, struct sluice_strbuf *body);
void sluice_api_answer_error(struct sluice_api_call *call, const struct sluice_error *e);

// The same, for a change that was refused: counts it, and notes it with the service it was about.
void sluice_api_refuse(struct sluice_api_call *call, const struct sluice_error *e);

// The named service, or NULL and the call is answered with 404.
struct sluice_model_service *sluice_api_service(struct sluice_api_call *call);

// The body's documents (clear them); where one is set, exactly one. On error the call is answered
// and the return value negative.
int sluice_api_read(struct sluice_api_call *call, struct sluice_documents *out, bool one);

// Does an edit, or says what it would do, and answers: at once, or when all workers have it.
// The call's name, dry_run and if_match are put into the edit. list: the answer lists services.
void sluice_api_change(struct sluice_api_call *call, struct sluice_edit *edit, bool list);

// Writes what a plan would move. api_dry_run.c.
void sluice_api_write_dry_run(struct sluice_api_call *call, const struct sluice_model_plan *plan,
                              struct sluice_strbuf *b);

// JSON parts: a time in quotes, and a plan's services (before its commit).
void sluice_api_put_time(struct sluice_strbuf *b, time_t t);
void sluice_api_put_services_changed(struct sluice_strbuf *b, const struct sluice_model_plan *plan);
