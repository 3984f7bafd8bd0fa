// SPDX-License-Identifier: BSD-3-Clause
// The API and the metrics port with real clients: libcurl and bare sockets. The servers run in a
// thread of their own; the updater is a stand-in that answers in the next round of the loop.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <curl/curl.h>
#include <errno.h>
#include <event2/event.h>
#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "control/api.h"
#include "control/api_internal.h"
#include "control/metrics_server.h"

// --- the updater's stand-in

struct waiting {
	sluice_update_done *done;
	void *context;
	struct waiting *next;
};

struct sluice_updater {
	struct sluice_model *model;
	struct sluice_state *state;
	struct event *publish;
	struct timeval delay;
	uint64_t generation;
	int error; // of each publication
	struct waiting *waiting;
};

static void publish(evutil_socket_t fd, short what, void *context)
{
	struct sluice_updater *u = context;
	struct waiting *w = u->waiting;

	(void)fd;
	(void)what;
	u->waiting = NULL;
	if (!u->error) {
		sluice_state_save(u->state, u->model);
		u->generation = u->model->generation;
		sluice_model_reclaim(u->model, u->generation);
	}
	while (w) {
		struct waiting *next = w->next;

		w->done(w->context, &(struct sluice_update_result){.error = u->error,
		                                                   .generation = u->generation,
		                                                   .applied_us = 412,
		                                                   .rows_moved = 16384});
		free(w);
		w = next;
	}
}

void sluice_update_request(struct sluice_updater *u, sluice_update_done *done, void *context)
{
	struct waiting *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	*w = (struct waiting){.done = done, .context = context, .next = u->waiting};
	u->waiting = w;
	if (!w->next)
		event_add(u->publish, &u->delay);
}

uint64_t sluice_update_generation(const struct sluice_updater *u)
{
	return u->generation;
}

// --- the daemon

static struct daemon {
	char directory[64], socket[80];
	struct event_base *base;
	struct sluice_model model;
	struct sluice_state state;
	struct sluice_stats_source source;
	struct sluice_stats stats;
	struct sluice_updater updater;
	struct sluice_api *api;
	struct sluice_metrics_server *metrics;
	struct event *stop;
	int stop_pipe[2];
	pthread_t thread;
	bool link_up;
} d;

static bool port_link(void *context, size_t port, struct sluice_port_link *out)
{
	(void)context;
	(void)port;
	*out = (struct sluice_port_link){.up = d.link_up,
	                                 .mtu = 1500,
	                                 .member_count = 2,
	                                 .members = {{"a", true}, {"b", false}}};
	return true;
}

// Of 10.96.43.0/24.
static bool announced(void *context, const struct sluice_address *vip)
{
	unsigned len;

	(void)context;
	return memcmp(sluice_address_wire(vip, &len), "\x0a\x60\x2b", 3) == 0;
}

static void *serve(void *unused)
{
	(void)unused;
	event_base_dispatch(d.base);
	return NULL;
}

static void stop(evutil_socket_t fd, short what, void *context)
{
	(void)fd;
	(void)what;
	event_base_loopbreak(context);
}

static int setup(void **unused)
{
	struct sluice_error e = {0};

	(void)unused;
	memset(&d, 0, sizeof(d));
	strcpy(d.directory, "/tmp/sluice-api-XXXXXX");
	assert_non_null(mkdtemp(d.directory));
	snprintf(d.socket, sizeof(d.socket), "%s/sock", d.directory);
	d.base = event_base_new();
	d.link_up = true;
	d.source = (struct sluice_stats_source){
	        .dpdk_version = "DPDK 22.11.11",
	        .started = time(NULL) - 5,
	        .applied = true,
	        .seed = "a seed",
	        .port_count = 1,
	        .ports = {{"eth0", 1, "af_xdp:eth0", "eth0", "copy"}},
	        .port_link = port_link,
	        .announced = announced,
	        .announce = "lo",
	        .cores_configured = 2,
	};
	sluice_model_init(&d.model, NULL);
	sluice_stats_init(&d.stats, &d.source, &d.model);
	assert_int_equal(sluice_state_open(&d.state, d.directory, &d.model, &e), 0);
	d.updater = (struct sluice_updater){.model = &d.model, .state = &d.state};
	d.updater.publish = event_new(d.base, -1, 0, publish, &d.updater);
	d.api = sluice_api_new(
	        &(struct sluice_api_context){d.base, &d.model, &d.updater, &d.stats, &d.state},
	        &(struct sluice_api_config){.socket = d.socket, .mode = 0600}, &e);
	if (!d.api)
		print_message("%s\n", e.message);
	assert_non_null(d.api);
	d.metrics = sluice_metrics_server_new(d.base, "127.0.0.1:0", &d.stats, &e);
	assert_non_null(d.metrics);
	assert_int_equal(pipe(d.stop_pipe), 0);
	d.stop = event_new(d.base, d.stop_pipe[0], EV_READ, stop, d.base);
	event_add(d.stop, NULL);
	assert_int_equal(pthread_create(&d.thread, NULL, serve, NULL), 0);
	return 0;
}

static int teardown(void **unused)
{
	char command[128];

	(void)unused;
	assert_int_equal(write(d.stop_pipe[1], "x", 1), 1);
	pthread_join(d.thread, NULL);
	while (d.updater.waiting) {
		struct waiting *next = d.updater.waiting->next;

		free(d.updater.waiting);
		d.updater.waiting = next;
	}
	sluice_api_free(d.api);
	sluice_metrics_server_free(d.metrics);
	event_base_loop(d.base, EVLOOP_NONBLOCK);
	assert_int_equal(access(d.socket, F_OK), -1);
	event_free(d.updater.publish);
	event_free(d.stop);
	event_base_free(d.base);
	sluice_stats_free(&d.stats);
	sluice_state_close(&d.state);
	sluice_model_free(&d.model);
	close(d.stop_pipe[0]);
	close(d.stop_pipe[1]);
	snprintf(command, sizeof(command), "rm -r %s", d.directory);
	return system(command);
}

// --- a client

struct reply {
	long status;
	char *body;
	size_t len;
	char allow[128], type[128], etag[64];
};

static size_t take_body(char *data, size_t size, size_t n, void *context)
{
	struct reply *r = context;

	r->body = realloc(r->body, r->len + size * n + 1);
	memcpy(r->body + r->len, data, size * n);
	r->len += size * n;
	r->body[r->len] = '\0';
	return size * n;
}

static size_t take_header(char *data, size_t size, size_t n, void *context)
{
	struct reply *r = context;
	char line[256];

	snprintf(line, sizeof(line), "%.*s", (int)(size * n), data);
	sscanf(line, "Allow: %127[^\r\n]", r->allow);
	sscanf(line, "ETag: %63[^\r\n]", r->etag);
	return size * n;
}

// header: one more, or NULL. The body is sent as curl -d does: as a form.
static struct reply call_url(const char *socket, const char *method, const char *url,
                             const char *header, const void *body, size_t len)
{
	CURL *curl = curl_easy_init();
	struct reply r = {0};
	char *type = NULL;
	struct curl_slist *headers = curl_slist_append(NULL, "Expect:");

	if (header)
		headers = curl_slist_append(headers, header);
	if (socket)
		curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, socket);
	curl_easy_setopt(curl, CURLOPT_URL, url);
	curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
	curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_body);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, &r);
	curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, take_header);
	curl_easy_setopt(curl, CURLOPT_HEADERDATA, &r);
	curl_easy_setopt(curl, CURLOPT_TIMEOUT, 20L);
	if (body) {
		curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, (long)len);
		curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
	}
	assert_int_equal(curl_easy_perform(curl), CURLE_OK);
	curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &r.status);
	curl_easy_getinfo(curl, CURLINFO_CONTENT_TYPE, &type);
	snprintf(r.type, sizeof(r.type), "%s", type ? type : "");
	curl_slist_free_all(headers);
	curl_easy_cleanup(curl);
	return r;
}

static struct reply call(const char *method, const char *path, const char *header, const char *body)
{
	char url[512];

	snprintf(url, sizeof(url), "http://sluice%s", path);
	return call_url(d.socket, method, url, header, body, body ? strlen(body) : 0);
}

// The answer's JSON, which must have that status. The caller owns it.
static json_t *json(struct reply r, long status)
{
	json_error_t error;
	json_t *tree = r.body ? json_loads(r.body, 0, &error) : NULL;

	if (r.status != status || !tree)
		print_message("%ld: %s\n", r.status, r.body ? r.body : "");
	assert_int_equal(r.status, status);
	assert_non_null(tree);
	free(r.body);
	return tree;
}

static json_int_t integer(const json_t *tree, const char *key)
{
	assert_true(json_is_integer(json_object_get(tree, key)));
	return json_integer_value(json_object_get(tree, key));
}

#define TOMCAT                                                                                     \
	"name: tomcat\nip: 10.96.43.114\nport: 8080\n"                                             \
	"endpoints: [172.17.0.5:8080, 172.17.0.7:8080]\n"

// Server ids as `printf 172.17.0.5:4433 | sha256sum` says.
static void test_server_ids_and_affinity_are_shown(void **unused)
{
	static const char *const ids[] = {"e0aaf5515c355ccd", "c41a94f0bf87d352"};
	static const char *const texts[] = {
	        "ip: 10.96.0.1\nport: 443\nprotocol: UDP\nquic: {serverIdLength: 8}\n"
	        "endpoints: [172.17.0.5:4433]\n",
	        "ip: '2001:db8::1'\nport: 443\nprotocol: UDP\nquic: {serverIdLength: 8}\n"
	        "sessionAffinity: ClientIP\nendpoints: ['[fd00:17::5]:4433']\n",
	};

	(void)unused;
	for (unsigned i = 0; i < 2; i++) {
		json_decref(json(call("PUT", "/v1/services/quic", NULL, texts[i]), 200));
		json_t *t = json(call("GET", "/v1/services/quic", NULL, NULL), 200);
		const json_t *e = json_array_get(json_object_get(t, "endpoints"), 0);
		const json_t *affinity = json_object_get(t, "sessionAffinity");

		assert_string_equal(json_string_value(json_object_get(e, "serverId")), ids[i]);
		assert_int_equal(integer(json_object_get(t, "quic"), "serverIdLength"), 8);
		assert_string_equal(json_string_value(affinity), i ? "ClientIP" : "None");
		if (i)
			assert_string_equal(
			        json_string_value(json_object_get(t, "sessionAffinityTimeout")),
			        "3h");
		else
			assert_null(json_object_get(t, "sessionAffinityTimeout"));
		json_decref(t);
		json_decref(json(call("DELETE", "/v1/services/quic", NULL, NULL), 200));
	}
}

static void test_changes_are_answered_when_published(void **unused)
{
	json_t *t = json(call("PUT", "/v1/services/tomcat", NULL, TOMCAT), 200);

	(void)unused;
	assert_int_equal(integer(t, "generation"), 1);
	assert_string_equal(json_string_value(json_object_get(t, "applied")), "412us");
	assert_int_equal(integer(t, "rowsMoved"), 16384);
	assert_int_equal(integer(t, "endpoints"), 2);
	json_decref(t);
	t = json(call("PUT", "/v1/services/default/tomcat", "Content-Type: application/yaml",
	              TOMCAT),
	         200);
	assert_true(json_is_false(json_object_get(t, "changed")));
	assert_int_equal(integer(t, "generation"), 1);
	json_decref(t);
	json_decref(
	        json(call("PUT", "/v1/services/tomcat/endpoints", "Content-Type: application/json",
	                  "{\"endpoints\":[{\"ip\":\"172.17.0.5\",\"port\":8080}]}"),
	             200));
	json_decref(json(call("PATCH", "/v1/services/default%2Ftomcat/endpoints", NULL,
	                      "{\"drain\":[\"172.17.0.5:8080\"],\"add\":[\"172.17.0.9:8080\"]}"),
	                 200));
	t = json(call("GET", "/v1/services/default/tomcat", NULL, NULL), 200);
	const json_t *endpoints = json_object_get(t, "endpoints");

	assert_int_equal(json_array_size(endpoints), 2);
	assert_string_equal(
	        json_string_value(json_object_get(json_array_get(endpoints, 0), "state")),
	        "draining");
	assert_true(json_array_size(json_object_get(t, "events")) >= 4);
	json_decref(t);
	t = json(call("GET", "/v1/services/tomcat/endpoints", NULL, NULL), 200);
	assert_int_equal(integer(t, "generation"), 3);
	json_decref(t);
	t = json(call("POST", "/v1/apply", NULL, "- {name: a, ip: 10.0.0.1, port: 80}\n"), 200);
	assert_int_equal(json_array_size(json_object_get(t, "services")), 1);
	json_decref(t);
	t = json(call("GET", "/v1/services", NULL, NULL), 200);
	assert_int_equal(json_array_size(json_object_get(t, "services")), 2);
	json_decref(t);
	json_decref(json(call("DELETE", "/v1/services/a", NULL, NULL), 200));
	t = json(call("GET", "/v1/status", NULL, NULL), 200);
	assert_int_equal(integer(t, "generation"), 5);
	assert_true(json_is_true(json_object_get(t, "ready")));
	assert_true(json_is_true(json_object_get(json_object_get(t, "state"), "saved")));
	json_decref(t);
}

// The service, or the part of it, as the API tells it; free(3) it.
static char *told(const char *url, const char *part)
{
	json_t *t = json(call("GET", url, NULL, NULL), 200);
	char *text = json_dumps(part ? json_object_get(t, part) : t, 0);

	json_decref(t);
	return text;
}

// What GET says can be sent back as it is, and leaves everything as it was.
static void test_answers_can_be_sent_back(void **unused)
{
	(void)unused;
	json_decref(json(call("PUT", "/v1/services/tomcat", NULL, TOMCAT), 200));
	json_decref(json(call("PATCH", "/v1/services/tomcat/endpoints", NULL,
	                      "{\"drain\":[\"172.17.0.5:8080\"]}"),
	                 200));
	char *all = told("/v1/services", NULL), *service = told("/v1/services/tomcat", NULL);
	char *before = told("/v1/services/tomcat", "endpoints"), *after;

	json_decref(json(call("POST", "/v1/apply", NULL, all), 200));
	json_decref(json(call("PUT", "/v1/services/tomcat", NULL, service), 200));
	after = told("/v1/services/tomcat", "endpoints");
	assert_non_null(strstr(before, "draining"));
	assert_string_equal(before, after);
	free(all);
	free(service);
	free(before);
	free(after);
}

// What sluicectl doctor asks of the daemon.
static void test_status_says_where_things_are(void **unused)
{
	(void)unused;
	json_decref(json(call("PUT", "/v1/services/tomcat", NULL, TOMCAT), 200));
	json_decref(json(call("PUT", "/v1/services/other", NULL, "{ip: 10.9.9.9, port: 80}"), 200));
	json_t *t = json(call("GET", "/v1/status", NULL, NULL), 200);
	const char *device, *interface, *af_xdp, *announce;
	int control, configured, hugepages, flows;

	assert_int_equal(json_unpack(t, "{s:[{s:s, s:s, s:s}], s:s, s:{s:i, s:i}, s:{s:b, s:b}}",
	                             "ports", "device", &device, "interface", &interface, "afXdp",
	                             &af_xdp, "announce", &announce, "cores", "control", &control,
	                             "configured", &configured, "memory", "hugepages", &hugepages,
	                             "flowsOnHugepages", &flows),
	                 0);
	assert_string_equal(device, "af_xdp:eth0");
	assert_string_equal(interface, "eth0");
	assert_string_equal(af_xdp, "copy");
	assert_string_equal(announce, "lo");
	assert_int_equal(control, 0);
	assert_int_equal(configured, 2);
	assert_int_equal(json_unpack(t, "{s:[{s:[{s:s, s:b}, {s:s, s:b}]}]}", "ports", "members",
	                             "name", &device, "up", &flows, "name", &interface, "up",
	                             &hugepages),
	                 0);
	assert_string_equal(device, "a");
	assert_true(flows);
	assert_string_equal(interface, "b");
	assert_false(hugepages);
	json_decref(t);
	t = json(call("GET", "/v1/services/tomcat", NULL, NULL), 200);
	assert_true(json_is_true(json_object_get(t, "announced")));
	json_decref(t);
	t = json(call("GET", "/v1/services/other", NULL, NULL), 200);
	assert_true(json_is_false(json_object_get(t, "announced")));
	json_decref(t);
}

static void test_change_that_workers_do_not_get_is_no_success(void **unused)
{
	(void)unused;
	d.updater.error = -ENOMEM;
	json_t *t = json(call("PUT", "/v1/services/tomcat", NULL, TOMCAT), 503);

	assert_string_equal(json_string_value(json_object_get(json_object_get(t, "error"), "code")),
	                    "not_applied");
	json_decref(t);
	assert_int_equal(d.stats.sync.applied, 0);
	assert_int_equal(d.stats.sync.failed, 1);
	d.updater.error = 0; // the same again publishes it
	t = json(call("PUT", "/v1/services/tomcat", NULL, TOMCAT), 200);
	assert_int_equal(integer(t, "generation"), 1);
	json_decref(t);
}

static void test_refusals_say_what_and_change_nothing(void **unused)
{
	static const struct {
		const char *method, *path, *header, *body;
		long status;
	} rows[] = {
	        {"PUT", "/v1/services/tomcat", NULL, "ip: [", 400},
	        {"PUT", "/v1/services/tomcat", NULL, "", 400},
	        {"PUT", "/v1/services/tomcat", NULL, "ip: 10.0.0.1\nport: 99999\n", 400},
	        {"PUT", "/v1/services/tomcat", NULL, "name: other\nip: 10.0.0.1\nport: 80\n", 400},
	        {"PUT", "/v1/services/tomcat", NULL, "{ip: 10.0.0.1, port: 80}\n---\n{}\n", 400},
	        {"PUT", "/v1/services/b", NULL, "{ip: 10.96.43.114, port: 8080}", 422},
	        {"PUT", "/v1/services/tomcat", "Content-Type: image/png", "x", 415},
	        {"PUT", "/v1/services/tomcat/endpoints", "If-Match: 0", "[]", 409},
	        {"PUT", "/v1/services/tomcat/endpoints", "If-Match: 2", "[]", 409},
	        {"PUT", "/v1/services/tomcat/endpoints", "If-Match: x", "[]", 400},
	        {"PUT", "/v1/services/nobody/endpoints", NULL, "[]", 404},
	        {"PATCH", "/v1/services/tomcat/endpoints", NULL, "{remove: [1.2.3.4:5]}", 404},
	        {"PATCH", "/v1/services/tomcat/endpoints", NULL, "{nonsense: []}", 400},
	        {"GET", "/v1/services/nobody", NULL, NULL, 404},
	        {"GET", "/v1/services/no_name!", NULL, NULL, 400},
	        {"GET", "/v1/services/%zz", NULL, NULL, 404},
	        {"GET", "/v1/services/", NULL, NULL, 404},
	        {"DELETE", "/v1/services/nobody", NULL, NULL, 404},
	        {"GET", "/v2/status", NULL, NULL, 404},
	        {"GET", "/v1/status?x=1", NULL, NULL, 400},
	        {"PUT", "/v1/services/tomcat/endpoints?dryRun=maybe", NULL, "[]", 400},
	        {"DELETE", "/v1/status", NULL, NULL, 405},
	        {"POST", "/v1/services/tomcat", NULL, "x", 405},
	        {"DELETE", "/v1/services/tomcat/endpoints", NULL, NULL, 405},
	};

	(void)unused;
	json_decref(json(call("PUT", "/v1/services/tomcat", NULL, TOMCAT), 200));
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct reply r = call(rows[i].method, rows[i].path, rows[i].header, rows[i].body);

		if (r.status == 405)
			assert_true(strlen(r.allow) > 0);
		print_message("%s %s -> %s", rows[i].method, rows[i].path, r.body);
		json_t *t = json(r, rows[i].status);
		const json_t *e = json_object_get(t, "error");

		assert_true(json_string_length(json_object_get(e, "code")) > 0);
		assert_true(json_string_length(json_object_get(e, "message")) > 0);
		assert_true(json_is_string(json_object_get(e, "path")));
		json_decref(t);
	}
	json_t *t = json(call("GET", "/v1/status", NULL, NULL), 200);

	assert_int_equal(integer(t, "generation"), 1);
	json_decref(t);
}

static void test_bad_documents_are_refused_with_key_and_line(void **unused)
{
	static const struct {
		const char *method, *path, *body, *key;
		json_int_t line;
	} rows[] = {
	        {"PUT", "/v1/services/b", "ip: 10.0.0.1\nport: 99999\n", "port", 2},
	        {"PUT", "/v1/services/b", "ip: 10.0.0.1\nport: 1\nports: 1\n", "ports", 3},
	        {"PUT", "/v1/services/tomcat/endpoints", "- 172.17.0.5:8080\n- 172.17.0.7\n", "[1]",
	         2},
	        {"PATCH", "/v1/services/tomcat/endpoints", "add: []\nweight: ['1.2.3.4:5']\n",
	         "weight[0]", 2},
	        {"POST", "/v1/apply",
	         "{name: b, ip: 10.0.0.1, port: 80}\n---\nname: c\nip: 10.0.0.2\nport: 80\n"
	         "endpoints: [10.0.0.3:0]\n",
	         "endpoints[0]", 6},
	        {"POST", "/v1/apply",
	         "apiVersion: v1\nkind: Service\nmetadata: {name: b}\nspec: []\n", "spec", 4},
	};

	(void)unused;
	json_decref(json(call("PUT", "/v1/services/tomcat", NULL, TOMCAT), 200));
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		json_t *t = json(call(rows[i].method, rows[i].path, NULL, rows[i].body), 400);
		const json_t *e = json_object_get(t, "error");

		assert_string_equal(json_string_value(json_object_get(e, "path")), rows[i].key);
		assert_int_equal(integer(e, "line"), rows[i].line);
		json_decref(t);
	}
	json_t *t = json(call("GET", "/v1/status", NULL, NULL), 200);

	assert_int_equal(integer(t, "generation"), 1);
	json_decref(t);
}

static void test_if_match_with_the_etag_wins(void **unused)
{
	char header[96];

	(void)unused;
	json_decref(json(call("PUT", "/v1/services/tomcat", NULL, TOMCAT), 200));
	struct reply r = call("GET", "/v1/services/tomcat", NULL, NULL);

	snprintf(header, sizeof(header), "If-Match: %s", r.etag);
	free(r.body);
	json_decref(json(call("PUT", "/v1/services/tomcat/endpoints", header, "[]"), 200));
	json_decref(json(call("PUT", "/v1/services/tomcat/endpoints", header, "[]"), 409));
}

static void test_dry_run_counts_rows_and_changes_nothing(void **unused)
{
	(void)unused;
	json_decref(json(call("PUT", "/v1/services/tomcat", NULL, TOMCAT), 200));
	json_t *t = json(call("PATCH", "/v1/services/tomcat/endpoints?dryRun=true", NULL,
	                      "{add: [172.17.0.8:8080, 172.17.0.9:8080]}"),
	                 200);
	json_int_t rows = integer(t, "rowsMoved");

	assert_in_range(rows, 65537 / 2 - 700, 65537 / 2 + 700); // half, and a little more
	assert_int_equal(integer(t, "flowsMoved"), 0);
	json_decref(t);
	t = json(call("DELETE", "/v1/services/tomcat?dryRun=true", NULL, NULL), 200);
	assert_int_equal(integer(t, "rowsMoved"), 65537);
	json_decref(t);
	t = json(call("PUT", "/v1/services/new?dryRun=true", NULL,
	              "{ip: 10.0.0.1, port: 80, tableSize: 251, endpoints: [172.17.0.5:8080]}"),
	         200);
	assert_int_equal(integer(t, "rowsMoved"), 251);
	json_decref(t);
	t = json(call("GET", "/v1/services/tomcat", NULL, NULL), 200);
	assert_int_equal(json_array_size(json_object_get(t, "endpoints")), 2);
	assert_int_equal(integer(t, "generation"), 1);
	json_decref(t);
}

static void test_body_over_16_mib_is_413(void **unused)
{
	size_t len = (16u << 20) + 1;
	char *body = malloc(len);

	(void)unused;
	memset(body, ' ', len);
	json_decref(
	        json(call_url(d.socket, "POST", "http://sluice/v1/apply", NULL, body, len), 413));
	free(body);
	body = malloc(3 * len); // evhttp's own page
	memset(body, ' ', 3 * len);
	struct reply r = call_url(d.socket, "POST", "http://sluice/v1/apply", NULL, body, 3 * len);

	assert_int_equal(r.status, 413);
	free(r.body);
	free(body);
}

// --- clients that are no curl

static int connect_raw(void)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	struct timeval timeout = {.tv_sec = 10};

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
	snprintf(a.sun_path, sizeof(a.sun_path), "%s", d.socket);
	assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	return fd;
}

static void test_answer_to_head_has_a_length_and_no_body(void **unused)
{
	static const char text[] = "HEAD /v1/services HTTP/1.1\r\nHost: x\r\n\r\n"
	                           "GET /v1/services HTTP/1.1\r\nHost: x\r\n"
	                           "Connection: close\r\n\r\n";
	char answer[4096], length[64];
	size_t len = 0;
	ssize_t n;
	int fd = connect_raw();

	(void)unused;
	assert_int_equal(write(fd, text, sizeof(text) - 1), sizeof(text) - 1);
	while ((n = read(fd, answer + len, sizeof(answer) - 1 - len)) > 0)
		len += (size_t)n;
	answer[len] = '\0';
	close(fd);
	const char *end = strstr(answer, "\r\n\r\n");

	assert_non_null(end);
	assert_memory_equal(end + 4, "HTTP/1.1 200", 12); // the next answer, at once
	const char *body = strstr(end + 4, "\r\n\r\n");

	assert_non_null(body);
	snprintf(length, sizeof(length), "Content-Length: %zu\r\n", strlen(body + 4));
	assert_in_range((uintptr_t)strstr(answer, length), (uintptr_t)answer, (uintptr_t)end);
}

static void test_pipelined_requests_are_answered_in_order(void **unused)
{
	static const char text[] =
	        "PUT /v1/services/a HTTP/1.1\r\nHost: x\r\nContent-Length: 24\r\n\r\n"
	        "{ip: 10.0.0.1, port: 80}"
	        "GET /v1/services/a HTTP/1.1\r\nHost: x\r\n\r\n"
	        "DELETE /v1/services/a HTTP/1.1\r\nHost: x\r\n\r\n"
	        "GET /v1/services/a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
	char answer[8192];
	size_t len = 0;
	ssize_t n;
	int fd = connect_raw();

	(void)unused;
	assert_int_equal(write(fd, text, sizeof(text) - 1), sizeof(text) - 1);
	while ((n = read(fd, answer + len, sizeof(answer) - 1 - len)) > 0)
		len += (size_t)n;
	answer[len] = '\0';
	close(fd);
	const char *p = answer;

	for (int i = 0; i < 3; i++) {
		p = strstr(p, "HTTP/1.1 200");
		assert_non_null(p);
		p++;
	}
	assert_non_null(strstr(p, "HTTP/1.1 404"));
}

static void test_clients_that_leave_or_stall_harm_nobody(void **unused)
{
	static const char put[] = "PUT /v1/services/a HTTP/1.1\r\nHost: x\r\nContent-Length: 24\r\n"
	                          "\r\n{ip: 10.0.0.1, port: 80}";
	static const char half[] = "PUT /v1/services/a HTTP/1.1\r\nHost: x\r\nContent-Le";
	int stalled[3 * SLUICE_HTTP_CONNECTIONS_MAX];
	size_t count = sizeof(stalled) / sizeof(stalled[0]);

	(void)unused;
	d.updater.delay.tv_usec = 100000;
	for (int i = 0; i < 20; i++) { // gone before the answer
		int fd = connect_raw();

		assert_true(write(fd, put, sizeof(put) - 1) > 0);
		close(fd);
	}
	for (size_t i = 0; i < count; i++) {
		stalled[i] = connect_raw();
		(void)!send(stalled[i], half, sizeof(half) - 1,
		            MSG_NOSIGNAL); // some are shut already
	}
	usleep(300000);
	json_t *t = json(call("GET", "/v1/services/a", NULL, NULL), 200);

	json_decref(t);
	assert_true(sluice_http_server_connections(d.api->http) <= SLUICE_HTTP_CONNECTIONS_MAX + 1);
	for (size_t i = 0; i < count; i++)
		close(stalled[i]);
}

static void test_answers_outstanding_at_the_end_are_dropped(void **unused)
{
	static const char put[] = "PUT /v1/services/a HTTP/1.1\r\nHost: x\r\nContent-Length: 24\r\n"
	                          "\r\n{ip: 10.0.0.1, port: 80}";
	int fd = connect_raw();

	(void)unused;
	d.updater.delay.tv_sec = 100;
	assert_true(write(fd, put, sizeof(put) - 1) > 0);
	usleep(100000);
	close(fd); // and the teardown comes
}

static void test_living_socket_is_not_taken_over(void **unused)
{
	struct sluice_error e = {0};
	char path[128];

	(void)unused;
	assert_int_equal(sluice_http_listen_unix(d.socket, 0600, NULL, &e), -1);
	assert_int_equal(e.status, 409);
	snprintf(path, sizeof(path), "%s/stale", d.directory);
	e = (struct sluice_error){0};
	int fd = sluice_http_listen_unix(path, 0640, NULL, &e);

	assert_true(fd >= 0);
	close(fd); // the file stays, as after a kill
	fd = sluice_http_listen_unix(path, 0640, NULL, &e);
	assert_true(fd >= 0);
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0640);
	close(fd);
}

static int compare_doubles(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void test_a_thousand_endpoints_pushed_a_hundred_times(void **unused)
{
	struct sluice_strbuf b = {0};
	double ms[100];

	(void)unused;
	json_decref(json(call("PUT", "/v1/services/tomcat", NULL, TOMCAT), 200));
	for (int round = 0; round < 100; round++) {
		struct timespec t0, t1;

		sluice_strbuf_reset(&b);
		sluice_strbuf_puts(&b, "{\"endpoints\":[");
		for (int i = 0; i < 1000; i++)
			sluice_strbuf_printf(
			        &b, "%s{\"ip\":\"10.%d.%d.%d\",\"port\":8080,\"weight\":%d}",
			        i ? "," : "", round % 2, i / 250, i % 250 + 1, round % 7 + 1);
		sluice_strbuf_puts(&b, "]}");
		clock_gettime(CLOCK_MONOTONIC, &t0);
		json_decref(json(call("PUT", "/v1/services/tomcat/endpoints", NULL, b.data), 200));
		clock_gettime(CLOCK_MONOTONIC, &t1);
		ms[round] = (double)(t1.tv_sec - t0.tv_sec) * 1e3 +
		            (double)(t1.tv_nsec - t0.tv_nsec) / 1e6;
	}
	qsort(ms, 100, sizeof(ms[0]), compare_doubles);
	print_message("1,000 endpoints: median %.2f ms, slowest %.2f ms\n", ms[50], ms[99]);
	sluice_strbuf_free(&b);
}

static struct reply metrics(const char *method, const char *path, const char *header)
{
	char url[128];

	snprintf(url, sizeof(url), "http://127.0.0.1:%u%s", sluice_metrics_server_port(d.metrics),
	         path);
	return call_url(NULL, method, url, header, NULL, 0);
}

static void test_metrics_port_reads_only(void **unused)
{
	struct reply r = metrics("GET", "/metrics", NULL);

	(void)unused;
	assert_int_equal(r.status, 200);
	assert_non_null(strstr(r.type, "version=0.0.4"));
	assert_non_null(strstr(r.body, "\nsluice_port_up{port=\"eth0\"} 1\n"));
	assert_non_null(strstr(r.body, "\nsluice_port_member_up{port=\"eth0\",member=\"a\"} 1\n"));
	assert_non_null(strstr(r.body, "\nsluice_port_member_up{port=\"eth0\",member=\"b\"} 0\n"));
	assert_null(strstr(r.body, "# EOF"));
	free(r.body);
	r = metrics("GET", "/metrics", "Accept: application/openmetrics-text; version=1.0.0");
	assert_non_null(strstr(r.type, "application/openmetrics-text"));
	assert_string_equal(r.body + r.len - 6, "# EOF\n");
	free(r.body);
	r = metrics("POST", "/metrics", NULL);
	assert_int_equal(r.status, 405);
	assert_string_equal(r.allow, "GET, HEAD");
	free(r.body);
	r = metrics("GET", "/nowhere", NULL);
	assert_int_equal(r.status, 404);
	free(r.body);
	r = metrics("GET", "/healthz", NULL);
	assert_int_equal(r.status, 200);
	free(r.body);
	r = metrics("GET", "/readyz", NULL);
	assert_int_equal(r.status, 200);
	free(r.body);
	d.link_up = false;
	r = metrics("GET", "/readyz", NULL);
	assert_int_equal(r.status, 503);
	assert_string_equal(r.body, "port eth0 is down\n");
	free(r.body);
}

int main(void)
{
#define ROW(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
	        ROW(test_server_ids_and_affinity_are_shown),
	        ROW(test_changes_are_answered_when_published),
	        ROW(test_answers_can_be_sent_back),
	        ROW(test_status_says_where_things_are),
	        ROW(test_change_that_workers_do_not_get_is_no_success),
	        ROW(test_refusals_say_what_and_change_nothing),
	        ROW(test_bad_documents_are_refused_with_key_and_line),
	        ROW(test_if_match_with_the_etag_wins),
	        ROW(test_dry_run_counts_rows_and_changes_nothing),
	        ROW(test_body_over_16_mib_is_413),
	        ROW(test_answer_to_head_has_a_length_and_no_body),
	        ROW(test_pipelined_requests_are_answered_in_order),
	        ROW(test_clients_that_leave_or_stall_harm_nobody),
	        ROW(test_answers_outstanding_at_the_end_are_dropped),
	        ROW(test_living_socket_is_not_taken_over),
	        ROW(test_a_thousand_endpoints_pushed_a_hundred_times),
	        ROW(test_metrics_port_reads_only),
	};

	curl_global_init(CURL_GLOBAL_ALL);
	int failed = cmocka_run_group_tests(tests, NULL, NULL);

	curl_global_cleanup();
	return failed;
}
