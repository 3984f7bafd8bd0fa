// SPDX-License-Identifier: BSD-3-Clause
#include "control/http_server.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <event2/listener.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>

#include "sluice/log.h"

// A connection, from accept to close, also before its first request is complete. evhttp tells of
// neither, but it asks for a bufferevent per connection. We hold a reference to it and look, with
// each new connection and once a second, whether evhttp freed it: then its callbacks are gone.
// (A filter's context would tell at once, but a filter says "written" when its data is in the
// socket's buffer, and evhttp then closes a connection before the answer is out.)
struct connection {
	TAILQ_ENTRY(connection) list; // oldest first
	struct bufferevent *bufferevent;
	bool busy;    // its request is being answered
	bool evicted; // shut down, not yet closed
};

struct sluice_http_request {
	TAILQ_ENTRY(sluice_http_request) list;
	struct sluice_http_server *server;
	struct evhttp_request *request; // NULL: the client is gone
	char *path, *query;
};

struct sluice_http_server {
	struct event_base *base;
	struct evhttp *http;
	struct sluice_http_options options;
	struct event *sweep;
	size_t connection_count;
	TAILQ_HEAD(, connection) connections;
	TAILQ_HEAD(, sluice_http_request) requests;
};

static bool closed(const struct connection *c)
{
	bufferevent_event_cb event = NULL;

	bufferevent_getcb(c->bufferevent, NULL, NULL, &event, NULL);
	return !event;
}

static void sweep(evutil_socket_t fd, short what, void *context)
{
	struct sluice_http_server *s = context;
	struct connection *c, *next;

	(void)fd;
	(void)what;
	for (c = TAILQ_FIRST(&s->connections); c; c = next) {
		next = TAILQ_NEXT(c, list);
		if (!closed(c))
			continue;
		TAILQ_REMOVE(&s->connections, c, list);
		s->connection_count--;
		bufferevent_decref(c->bufferevent);
		free(c);
	}
}

// Shuts the oldest connection down that waits for its client; where all wait for us, the oldest.
// evhttp sees its end and closes it in the next round.
static void evict(struct sluice_http_server *s)
{
	struct connection *c, *victim = NULL;

	TAILQ_FOREACH (c, &s->connections, list) {
		if (c->evicted)
			continue;
		if (!victim)
			victim = c;
		if (!c->busy) {
			victim = c;
			break;
		}
	}
	if (!victim)
		return;
	victim->evicted = true;
	shutdown(bufferevent_getfd(victim->bufferevent), SHUT_RDWR);
}

static struct bufferevent *connection_opened(struct event_base *base, void *context)
{
	struct sluice_http_server *s = context;
	struct connection *c = calloc(1, sizeof(*c));

	if (c)
		c->bufferevent = bufferevent_socket_new(base, -1, 0); // evhttp closes the socket
	if (!c || !c->bufferevent) {
		free(c);
		return NULL;
	}
	sweep(-1, 0, s);
	if (s->connection_count >= SLUICE_HTTP_CONNECTIONS_MAX)
		evict(s);
	bufferevent_incref(c->bufferevent);
	TAILQ_INSERT_TAIL(&s->connections, c, list);
	s->connection_count++;
	return c->bufferevent;
}

static void mark_busy(const struct sluice_http_request *r, bool busy)
{
	const struct bufferevent *bufferevent =
	        evhttp_connection_get_bufferevent(evhttp_request_get_connection(r->request));
	struct connection *c;

	TAILQ_FOREACH (c, &r->server->connections, list) {
		if (c->bufferevent == bufferevent)
			c->busy = busy;
	}
}

static void client_gone(struct evhttp_connection *connection, void *context)
{
	struct sluice_http_request *r = context;

	(void)connection;
	r->request = NULL; // evhttp frees it with the connection
}

static void request_free(struct sluice_http_request *r)
{
	TAILQ_REMOVE(&r->server->requests, r, list);
	free(r->path);
	free(r->query);
	free(r);
}

static void request_arrived(struct evhttp_request *request, void *context)
{
	struct sluice_http_server *s = context;
	const struct evhttp_uri *uri = evhttp_request_get_evhttp_uri(request);
	const char *path = uri ? evhttp_uri_get_path(uri) : NULL;
	const char *query = uri ? evhttp_uri_get_query(uri) : NULL;
	struct sluice_http_request *r = calloc(1, sizeof(*r));

	if (r) {
		r->path = strdup(path ? path : "");
		r->query = query ? strdup(query) : NULL;
	}
	if (!r || !r->path || (query && !r->query)) {
		if (r)
			free(r->path);
		free(r);
		evhttp_send_error(request, 503, NULL);
		return;
	}
	r->server = s;
	r->request = request;
	TAILQ_INSERT_TAIL(&s->requests, r, list);
	evhttp_connection_set_closecb(evhttp_request_get_connection(request), client_gone, r);
	mark_busy(r, true);
	if (evbuffer_get_length(evhttp_request_get_input_buffer(request)) > s->options.body_max) {
		struct sluice_error e = {0};

		sluice_error_set(&e, 413, "too_large", NULL, "the body is larger than %zu bytes",
		                 s->options.body_max);
		sluice_http_answer_error(r, &e);
		return;
	}
	s->options.handler(s->options.context, r);
}

struct sluice_http_server *sluice_http_server_new(struct event_base *base, int fd,
                                                  const struct sluice_http_options *options)
{
	struct sluice_http_server *s = calloc(1, sizeof(*s));
	struct evconnlistener *listener = evconnlistener_new(
	        base, NULL, NULL, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, 0, fd);

	if (!s || !listener)
		goto fail;
	signal(SIGPIPE, SIG_IGN); // of clients that left; write says EPIPE
	s->base = base;
	s->options = *options;
	TAILQ_INIT(&s->connections);
	TAILQ_INIT(&s->requests);
	s->http = evhttp_new(base);
	s->sweep = event_new(base, -1, EV_PERSIST, sweep, s);
	if (!s->http || !s->sweep || event_add(s->sweep, &(struct timeval){.tv_sec = 1}) < 0)
		goto fail;
	// A larger body is answered with our own error up to twice the limit; evhttp stops reading
	// beyond that and answers with its own page.
	evhttp_set_max_body_size(s->http, (ev_ssize_t)(2 * options->body_max));
	evhttp_set_max_headers_size(s->http, SLUICE_HTTP_HEADERS_MAX);
	evhttp_set_flags(s->http, EVHTTP_SERVER_LINGERING_CLOSE);
	evhttp_set_timeout(s->http, SLUICE_HTTP_TIMEOUT_S);
	evhttp_set_allowed_methods(s->http, 0xffff); // the handler refuses by path
	evhttp_set_bevcb(s->http, connection_opened, s);
	evhttp_set_gencb(s->http, request_arrived, s);
	if (!evhttp_bind_listener(s->http, listener))
		goto fail;
	return s;
fail:
	if (s && s->sweep)
		event_free(s->sweep);
	if (s && s->http)
		evhttp_free(s->http);
	if (listener)
		evconnlistener_free(listener);
	else
		evutil_closesocket(fd);
	free(s);
	return NULL;
}

void sluice_http_server_free(struct sluice_http_server *s)
{
	struct sluice_http_request *r, *next;

	if (!s)
		return;
	event_free(s->sweep);
	evhttp_free(s->http);
	sweep(-1, 0, s);
	for (r = TAILQ_FIRST(&s->requests); r; r = next) {
		next = TAILQ_NEXT(r, list);
		request_free(r);
	}
	free(s);
}

size_t sluice_http_server_connections(const struct sluice_http_server *s)
{
	return s->connection_count;
}

const char *sluice_http_method(const struct sluice_http_request *r)
{
	switch (evhttp_request_get_command(r->request)) {
	case EVHTTP_REQ_GET:
		return "GET";
	case EVHTTP_REQ_HEAD:
		return "HEAD";
	case EVHTTP_REQ_POST:
		return "POST";
	case EVHTTP_REQ_PUT:
		return "PUT";
	case EVHTTP_REQ_PATCH:
		return "PATCH";
	case EVHTTP_REQ_DELETE:
		return "DELETE";
	case EVHTTP_REQ_OPTIONS:
		return "OPTIONS";
	case EVHTTP_REQ_TRACE:
	case EVHTTP_REQ_CONNECT:
		break;
	}
	return "";
}

const char *sluice_http_path(const struct sluice_http_request *r)
{
	return r->path;
}

const char *sluice_http_query(const struct sluice_http_request *r)
{
	return r->query;
}

const char *sluice_http_header(const struct sluice_http_request *r, const char *name)
{
	return evhttp_find_header(evhttp_request_get_input_headers(r->request), name);
}

const char *sluice_http_body(struct sluice_http_request *r, size_t *len)
{
	struct evbuffer *body = evhttp_request_get_input_buffer(r->request);

	*len = evbuffer_get_length(body);
	return *len ? (const char *)evbuffer_pullup(body, -1) : "";
}

void sluice_http_set_header(struct sluice_http_request *r, const char *name, const char *value)
{
	if (r->request)
		evhttp_add_header(evhttp_request_get_output_headers(r->request), name, value);
}

static const char *reason_phrase(int status)
{
	static const struct {
		int status;
		const char *phrase;
	} phrases[] = {
	        {200, "OK"},
	        {400, "Bad Request"},
	        {404, "Not Found"},
	        {405, "Method Not Allowed"},
	        {409, "Conflict"},
	        {413, "Content Too Large"},
	        {415, "Unsupported Media Type"},
	        {422, "Unprocessable Content"},
	        {503, "Service Unavailable"},
	};

	for (size_t i = 0; i < sizeof(phrases) / sizeof(phrases[0]); i++) {
		if (phrases[i].status == status)
			return phrases[i].phrase;
	}
	return "Error";
}

void sluice_http_answer(struct sluice_http_request *r, int status, const char *content_type,
                        const struct sluice_strbuf *body)
{
	struct evbuffer *out;

	if (!r->request) {
		request_free(r);
		return;
	}
	evhttp_connection_set_closecb(evhttp_request_get_connection(r->request), NULL, NULL);
	mark_busy(r, false);
	bool head = evhttp_request_get_command(r->request) == EVHTTP_REQ_HEAD;

	out = body->failed ? NULL : evbuffer_new();
	if (!out || (body->len && !head && evbuffer_add(out, body->data, body->len) < 0)) {
		evhttp_send_error(r->request, 503, NULL);
	} else {
		sluice_http_set_header(r, "Content-Type", content_type);
		if (head) { // evhttp would send the body, and no length
			char length[24];

			snprintf(length, sizeof(length), "%zu", body->len);
			sluice_http_set_header(r, "Content-Length", length);
		}
		evhttp_send_reply(r->request, status, reason_phrase(status), out);
	}
	if (out)
		evbuffer_free(out);
	request_free(r);
}

void sluice_http_answer_error(struct sluice_http_request *r, const struct sluice_error *e)
{
	struct sluice_strbuf b = {0};

	sluice_strbuf_puts(&b, "{\"error\":{\"code\":");
	sluice_strbuf_json(&b, e->code ? e->code : "internal");
	sluice_strbuf_puts(&b, ",\"message\":");
	sluice_strbuf_json(&b, e->message);
	sluice_strbuf_puts(&b, ",\"path\":");
	sluice_strbuf_json(&b, e->path);
	if (e->line)
		sluice_strbuf_printf(&b, ",\"line\":%u", e->line);
	sluice_strbuf_puts(&b, "}}\n");
	sluice_http_answer(r, e->status ? e->status : 503, "application/json", &b);
	sluice_strbuf_free(&b);
}
