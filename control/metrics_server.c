// SPDX-License-Identifier: BSD-3-Clause
#include "control/metrics_server.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "control/http_server.h"
#include "control/metrics.h"

#define TYPE_TEXT        "text/plain; charset=utf-8"
#define TYPE_PROMETHEUS  "text/plain; version=0.0.4; charset=utf-8"
#define TYPE_OPENMETRICS "application/openmetrics-text; version=1.0.0; charset=utf-8"

struct sluice_metrics_server {
	struct sluice_http_server *http;
	struct sluice_stats *stats;
	uint16_t port;
};

static void answer_text(struct sluice_http_request *r, int status, const char *text)
{
	struct sluice_strbuf b = {0};

	sluice_strbuf_puts(&b, text);
	sluice_http_answer(r, status, TYPE_TEXT, &b);
	sluice_strbuf_free(&b);
}

static void get_metrics(struct sluice_metrics_server *server, struct sluice_http_request *r)
{
	const char *accept = sluice_http_header(r, "Accept");
	bool openmetrics = accept && strstr(accept, "application/openmetrics-text");
	struct sluice_strbuf b = {0};

	sluice_metrics_write(&b, server->stats, openmetrics);
	sluice_http_answer(r, 200, openmetrics ? TYPE_OPENMETRICS : TYPE_PROMETHEUS, &b);
	sluice_strbuf_free(&b);
}

static void get_healthz(struct sluice_metrics_server *server, struct sluice_http_request *r)
{
	(void)server;
	answer_text(r, 200, "ok\n");
}

static void add_reason(void *context, const char *text)
{
	struct sluice_strbuf *b = context;

	sluice_strbuf_puts(b, text);
	sluice_strbuf_putc(b, '\n');
}

static void get_readyz(struct sluice_metrics_server *server, struct sluice_http_request *r)
{
	struct sluice_strbuf b = {0};
	bool ready = sluice_stats_ready(server->stats, add_reason, &b);

	if (ready)
		sluice_strbuf_puts(&b, "ok\n");
	sluice_http_answer(r, ready ? 200 : 503, TYPE_TEXT, &b);
	sluice_strbuf_free(&b);
}

static const struct {
	const char *path;
	void (*get)(struct sluice_metrics_server *server, struct sluice_http_request *r);
} pages[] = {
        {"/metrics", get_metrics},
        {"/healthz", get_healthz},
        {"/readyz", get_readyz},
};

static void handle(void *context, struct sluice_http_request *r)
{
	const char *method = sluice_http_method(r);

	for (size_t i = 0; i < sizeof(pages) / sizeof(pages[0]); i++) {
		if (strcmp(sluice_http_path(r), pages[i].path) != 0)
			continue;
		if (strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0) {
			pages[i].get(context, r);
			return;
		}
		sluice_http_set_header(r, "Allow", "GET, HEAD");
		answer_text(r, 405, "this port is read-only\n");
		return;
	}
	answer_text(r, 404, "there is /metrics, /healthz and /readyz\n");
}

static uint16_t bound_port(int fd)
{
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	} address = {0};
	socklen_t len = sizeof(address);

	if (getsockname(fd, &address.any, &len) < 0)
		return 0;
	return ntohs(address.any.sa_family == AF_INET6 ? address.v6.sin6_port
	                                               : address.v4.sin_port);
}

struct sluice_metrics_server *sluice_metrics_server_new(struct event_base *base, const char *listen,
                                                        struct sluice_stats *stats,
                                                        struct sluice_error *e)
{
	struct sluice_metrics_server *server = calloc(1, sizeof(*server));
	int fd = server ? sluice_http_listen_tcp(listen, e) : -1;

	if (!server)
		sluice_error_set(e, 503, "no_memory", NULL, "out of memory");
	if (fd < 0) {
		free(server);
		return NULL;
	}
	server->stats = stats;
	server->port = bound_port(fd);
	server->http = sluice_http_server_new(base, fd,
	                                      &(struct sluice_http_options){
	                                              .context = server,
	                                              .handler = handle,
	                                              .body_max = 4096,
	                                      });
	if (server->http)
		return server;
	sluice_error_set(e, 503, "no_memory", NULL, "out of memory");
	free(server);
	return NULL;
}

void sluice_metrics_server_free(struct sluice_metrics_server *server)
{
	if (!server)
		return;
	sluice_http_server_free(server->http);
	free(server);
}

uint16_t sluice_metrics_server_port(const struct sluice_metrics_server *server)
{
	return server->port;
}
