// SPDX-License-Identifier: BSD-3-Clause
#pragma once

// HTTP over a UNIX or TCP socket (libevent's evhttp) with what it lacks: bounds on connections
// and time, answers after the client went away, errors as JSON. Control thread only.

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "control/error.h"
#include "control/strbuf.h"

struct event_base;
struct sluice_http_server;

enum {
	SLUICE_HTTP_BODY_MAX = 16 << 20,
	SLUICE_HTTP_HEADERS_MAX = 16 << 10,
	SLUICE_HTTP_CONNECTIONS_MAX = 64, // the oldest idle one makes room
	SLUICE_HTTP_TIMEOUT_S = 10,       // of a peer that does not go on
};

// A request; lives from its handler's call until it is answered, also where its client left.
struct sluice_http_request;

typedef void sluice_http_handler(void *context, struct sluice_http_request *request);

struct sluice_http_options {
	void *context;
	sluice_http_handler *handler; // must answer each request, now or later
	size_t body_max;
};

// fd: a listening socket, owned from here on, also on failure. NULL: out of memory.
struct sluice_http_server *sluice_http_server_new(struct event_base *base, int fd,
                                                  const struct sluice_http_options *options);
void sluice_http_server_free(struct sluice_http_server *server);

// Connections that are open, or were at the last look (once a second).
size_t sluice_http_server_connections(const struct sluice_http_server *server);

// Listening sockets, or -1 with *e filled.
int sluice_http_listen_unix(const char *path, mode_t mode, const char *group,
                            struct sluice_error *e);
int sluice_http_listen_tcp(const char *listen, struct sluice_error *e);

// Read: strings live as long as the request.
const char *sluice_http_method(const struct sluice_http_request *r); // "GET", "" where unknown
const char *sluice_http_path(const struct sluice_http_request *r);   // not decoded, no query
const char *sluice_http_query(const struct sluice_http_request *r);  // NULL: none
const char *sluice_http_header(const struct sluice_http_request *r, const char *name);
const char *sluice_http_body(struct sluice_http_request *r, size_t *len);

// Answer, once; the request is gone then.
void sluice_http_set_header(struct sluice_http_request *r, const char *name, const char *value);
void sluice_http_answer(struct sluice_http_request *r, int status, const char *content_type,
                        const struct sluice_strbuf *body);
void sluice_http_answer_error(struct sluice_http_request *r, const struct sluice_error *e);
