// SPDX-License-Identifier: BSD-3-Clause
#include "control/api_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

// --- dispatch

enum {
	TAKES_BODY = 1 << 0,
	TAKES_DRY_RUN = 1 << 1,
};

// A star stands for one part of the path, decoded; two make a namespace and a name. The first
// pattern that fits counts.
static const struct route {
	const char *pattern;
	const char *method;
	sluice_api_handler *handler;
	unsigned flags;
} routes[] = {
        {"/v1/status", "GET", sluice_api_get_status, 0},
        {"/v1/apply", "POST", sluice_api_post_apply, TAKES_BODY | TAKES_DRY_RUN},
        {"/v1/services", "GET", sluice_api_get_services, 0},
        {"/v1/services/*/endpoints", "GET", sluice_api_get_endpoints, 0},
        {"/v1/services/*/endpoints", "PUT", sluice_api_put_endpoints, TAKES_BODY | TAKES_DRY_RUN},
        {"/v1/services/*/endpoints", "PATCH", sluice_api_patch_endpoints,
         TAKES_BODY | TAKES_DRY_RUN},
        {"/v1/services/*/*/endpoints", "GET", sluice_api_get_endpoints, 0},
        {"/v1/services/*/*/endpoints", "PUT", sluice_api_put_endpoints, TAKES_BODY | TAKES_DRY_RUN},
        {"/v1/services/*/*/endpoints", "PATCH", sluice_api_patch_endpoints,
         TAKES_BODY | TAKES_DRY_RUN},
        {"/v1/services/*", "GET", sluice_api_get_service, 0},
        {"/v1/services/*", "PUT", sluice_api_put_service, TAKES_BODY | TAKES_DRY_RUN},
        {"/v1/services/*", "DELETE", sluice_api_delete_service, TAKES_DRY_RUN},
        {"/v1/services/*/*", "GET", sluice_api_get_service, 0},
        {"/v1/services/*/*", "PUT", sluice_api_put_service, TAKES_BODY | TAKES_DRY_RUN},
        {"/v1/services/*/*", "DELETE", sluice_api_delete_service, TAKES_DRY_RUN},
};

enum {
	NAME_MAX_BYTES = 512,
	ROUTES = sizeof(routes) / sizeof(routes[0]),
};

static int hex_digit(char c)
{
	return c >= '0' && c <= '9'   ? c - '0'
	       : c >= 'a' && c <= 'f' ? c - 'a' + 10
	       : c >= 'A' && c <= 'F' ? c - 'A' + 10
	                              : -1;
}

// Appends a part of a path, decoded. false: malformed, empty or too long.
static bool append_decoded(char *out, const char *part, size_t len)
{
	size_t n = strlen(out);

	if (!len)
		return false;
	for (size_t i = 0; i < len && n + 1 < NAME_MAX_BYTES; i++) {
		char c = part[i];

		if (c == '%') {
			int high = i + 2 < len ? hex_digit(part[i + 1]) : -1;
			int low = i + 2 < len ? hex_digit(part[i + 2]) : -1;

			if (high < 0 || low < 0 || !(high | low))
				return false;
			c = (char)(high << 4 | low);
			i += 2;
		}
		out[n++] = c;
	}
	out[n] = '\0';
	return n + 1 < NAME_MAX_BYTES;
}

// Whether the path fits; name gets the parts at the stars, with a slash between them.
static bool path_fits(const char *pattern, const char *path, char name[NAME_MAX_BYTES])
{
	name[0] = '\0';
	for (;;) {
		size_t wanted = strcspn(pattern, "/"), have = strcspn(path, "/");

		if (wanted == 1 && pattern[0] == '*') {
			if ((name[0] && !append_decoded(name, "/", 1)) ||
			    !append_decoded(name, path, have))
				return false;
		} else if (wanted != have || memcmp(pattern, path, wanted) != 0) {
			return false;
		}
		pattern += wanted;
		path += have;
		if (!*pattern || !*path)
			return *pattern == *path;
		pattern++;
		path++;
	}
}

// Methods of the pattern at hand, for Allow.
static void refuse_method(struct sluice_api_call *call, const char *pattern)
{
	struct sluice_strbuf allow = {0};
	struct sluice_error e = {0};

	for (size_t i = 0; i < ROUTES; i++) {
		if (strcmp(routes[i].pattern, pattern) != 0)
			continue;
		if (allow.len)
			sluice_strbuf_puts(&allow, ", ");
		sluice_strbuf_puts(&allow, routes[i].method);
	}
	sluice_http_set_header(call->request, "Allow", allow.data ? allow.data : "");
	sluice_error_set(&e, 405, "method_not_allowed", NULL, "this takes %s",
	                 allow.data ? allow.data : "");
	sluice_api_answer_error(call, &e);
	sluice_strbuf_free(&allow);
}

// --- query and headers

static int read_query(struct sluice_api_call *call, const struct route *route,
                      struct sluice_error *e)
{
	const char *query = sluice_http_query(call->request);
	bool seen = false;

	while (query && *query) {
		size_t len = strcspn(query, "&");
		size_t key = strcspn(query, "=&");

		if (key != strlen("dryRun") || strncmp(query, "dryRun", key) != 0 ||
		    !(route->flags & TAKES_DRY_RUN))
			return sluice_error_set(e, 400, "bad_query", NULL,
			                        "the parameter '%.*s' is not known here",
			                        (int)(key < 64 ? key : 64), query);
		const char *value = query + key + (key < len);
		size_t value_len = len - key - (key < len);

		if (seen)
			return sluice_error_set(e, 400, "bad_query", NULL,
			                        "the parameter 'dryRun' is there twice");
		seen = true;
		if (value_len == 4 && strncmp(value, "true", 4) == 0)
			call->dry_run = true;
		else if (value_len != 5 || strncmp(value, "false", 5) != 0)
			return sluice_error_set(e, 400, "bad_query", NULL,
			                        "dryRun is true or false");
		query += len + (query[len] == '&');
	}
	return 0;
}

// If-Match: 7, "7" or *.
static int read_if_match(struct sluice_api_call *call, struct sluice_error *e)
{
	const char *text = sluice_http_header(call->request, "If-Match");
	char *end;

	if (!text)
		return 0;
	call->has_if_match = true;
	call->if_match = UINT64_MAX;
	if (strcmp(text, "*") == 0)
		return 0;
	bool quoted = *text == '"';

	text += quoted;
	errno = 0;
	call->if_match = strtoull(text, &end, 10);
	if (*text < '0' || *text > '9' || errno || strcmp(end, quoted ? "\"" : "") != 0)
		return sluice_error_set(e, 400, "bad_header", NULL, "If-Match takes a generation");
	return 0;
}

static int check_type(const struct sluice_api_call *call, struct sluice_error *e)
{
	static const char *const types[] = {
	        "application/json",
	        "application/yaml",
	        "application/x-yaml",
	        "text/yaml",
	        "text/x-yaml",
	        "text/plain",
	        "application/x-www-form-urlencoded", // what curl -d says of anything
	        "application/merge-patch+json",
	};
	const char *text = sluice_http_header(call->request, "Content-Type");

	if (!text)
		return 0;
	size_t len = strcspn(text, "; \t");

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		if (strlen(types[i]) == len && strncasecmp(types[i], text, len) == 0)
			return 0;
	}
	return sluice_error_set(e, 415, "unsupported_type", NULL,
	                        "a body is application/json or application/yaml, not %.*s",
	                        (int)(len < 100 ? len : 100), text);
}

static void run(struct sluice_api_call *call, const struct route *route, const char *name)
{
	struct sluice_error e = {0};

	if (read_query(call, route, &e) < 0 || read_if_match(call, &e) < 0 ||
	    ((route->flags & TAKES_BODY) && check_type(call, &e) < 0) ||
	    (name[0] && sluice_service_name_parse(name, &call->name, &e) < 0)) {
		sluice_api_answer_error(call, &e);
		return;
	}
	route->handler(call);
}

static void handle(void *context, struct sluice_http_request *request)
{
	struct sluice_api_call call = {
	        .api = context,
	        .request = request,
	        .started_us = sluice_api_now_us(),
	};
	const char *path = sluice_http_path(request), *method = sluice_http_method(request);
	const char *pattern = NULL;
	char name[NAME_MAX_BYTES];
	struct sluice_error e = {0};

	if (strcmp(method, "HEAD") == 0)
		method = "GET";
	for (size_t i = 0; i < ROUTES; i++) {
		if (pattern ? strcmp(pattern, routes[i].pattern) != 0
		            : !path_fits(routes[i].pattern, path, name))
			continue;
		pattern = routes[i].pattern;
		if (strcmp(method, routes[i].method) == 0) {
			run(&call, &routes[i], name);
			return;
		}
	}
	if (pattern) {
		refuse_method(&call, pattern);
		return;
	}
	sluice_error_set(&e, 404, "not_found", NULL, "there is no %.200s", path);
	sluice_api_answer_error(&call, &e);
}

// --- what the calls share

uint64_t sluice_api_now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

void sluice_api_answer(struct sluice_api_call *call, struct sluice_strbuf *body)
{
	sluice_strbuf_putc(body, '\n');
	sluice_http_answer(call->request, 200, "application/json", body);
	sluice_strbuf_free(body);
}

void sluice_api_answer_error(struct sluice_api_call *call, const struct sluice_error *e)
{
	sluice_http_answer_error(call->request, e);
}

void sluice_api_refuse(struct sluice_api_call *call, const struct sluice_error *e)
{
	struct sluice_model_service *s =
	        call->name.name[0] ? sluice_model_find(call->api->context.model,
	                                               call->name.namespace_, call->name.name)
	                           : NULL;

	if (!call->dry_run) {
		sluice_stats_sync_refused(call->api->context.stats, e->status);
		if (s)
			sluice_events_add(&s->events, SLUICE_EVENT_REFUSED, "refused: %s%s%s",
			                  e->path, e->path[0] ? ": " : "", e->message);
	}
	sluice_api_answer_error(call, e);
}

struct sluice_model_service *sluice_api_service(struct sluice_api_call *call)
{
	struct sluice_model_service *s =
	        sluice_model_find(call->api->context.model, call->name.namespace_, call->name.name);
	struct sluice_error e = {0};

	if (s)
		return s;
	sluice_error_set(&e, 404, "not_found", NULL, "there is no service %s/%s",
	                 call->name.namespace_, call->name.name);
	sluice_api_answer_error(call, &e);
	return NULL;
}

int sluice_api_read(struct sluice_api_call *call, struct sluice_documents *out, bool one)
{
	struct sluice_error e = {0};
	size_t len;
	const char *text = sluice_http_body(call->request, &len);
	int r = sluice_documents_parse(text, len, NULL, out, &e);

	if (!r && out->count == 0)
		r = sluice_error_set(&e, 400, "bad_document", NULL, "the body is empty");
	if (!r && one && out->count > 1)
		r = sluice_error_set(&e, 400, "bad_document", NULL,
		                     "the body has %zu documents; this takes one", out->count);
	if (r < 0) {
		sluice_documents_clear(out);
		sluice_api_refuse(call, &e);
	}
	return r;
}

void sluice_api_put_time(struct sluice_strbuf *b, time_t t)
{
	struct tm tm;
	char text[32];

	gmtime_r(&t, &tm);
	strftime(text, sizeof(text), "\"%Y-%m-%dT%H:%M:%SZ\"", &tm);
	sluice_strbuf_puts(b, text);
}

// --- the server

struct sluice_api *sluice_api_new(const struct sluice_api_context *context,
                                  const struct sluice_api_config *config, struct sluice_error *e)
{
	struct sluice_api *api = calloc(1, sizeof(*api));
	struct sluice_http_options options = {
	        .context = api,
	        .handler = handle,
	        .body_max = SLUICE_HTTP_BODY_MAX,
	};
	struct stat st = {0};
	int fd = -1;

	if (!api || !(api->socket = strdup(config->socket)))
		goto no_memory;
	api->context = *context;
	LIST_INIT(&api->changes);
	fd = sluice_http_listen_unix(config->socket, config->mode, config->group, e);
	if (fd < 0)
		goto fail;
	if (stat(config->socket, &st) == 0) {
		api->device = st.st_dev;
		api->inode = st.st_ino;
	}
	api->http = sluice_http_server_new(context->base, fd, &options);
	if (api->http)
		return api;
	unlink(config->socket);
no_memory:
	sluice_error_set(e, 503, "no_memory", NULL, "out of memory");
fail:
	if (api)
		free(api->socket);
	free(api);
	return NULL;
}
