// SPDX-License-Identifier: BSD-3-Clause
#include "model_fixture.h"

#include <stdio.h>

static int setup(void **state)
{
	static struct sluice_model m;

	sluice_model_init(&m, NULL);
	*state = &m;
	return 0;
}

static int teardown(void **state)
{
	sluice_model_free(*state);
	return 0;
}

static void test_slots_survive_all_that_keeps_the_endpoint(void **state)
{
	struct sluice_model *m = *state;
	struct sluice_error e;

	assert_int_equal(fixture_apply(m, SLUICE_EDIT_APPLY, TOMCAT, &e), 1);
	struct sluice_model_service *s = sluice_model_find(m, "default", "tomcat");
	struct sluice_model_endpoint before = *fixture_find(m, "tomcat", 7);

	assert_int_equal(
	        fixture_endpoints(m, "tomcat", "{weight: [{ip: 172.17.0.7, weight: 9}]}", &e), 1);
	assert_int_equal(fixture_endpoints(m, "tomcat", "{drain: [172.17.0.7:8080]}", &e), 1);
	assert_true(fixture_find(m, "tomcat", 7)->draining_since > 0);
	assert_int_equal(fixture_endpoints(m, "tomcat", "[172.17.0.7:8080, 172.17.0.9:8080]", &e),
	                 1);
	assert_int_equal(
	        fixture_apply(m, SLUICE_EDIT_APPLY,
	                      "name: tomcat\nip: 10.96.43.115\nport: 81\ntargetPort: 8080\n", &e),
	        1);
	struct sluice_model_endpoint *after = fixture_find(m, "tomcat", 7);

	assert_ptr_equal(sluice_model_find(m, "default", "tomcat"), s);
	assert_int_equal(after->slot, before.slot);
	assert_int_equal(after->generation, before.generation);
	assert_int_equal(after->draining_since, 0);
	assert_int_equal(after->spec.weight, 1);
	assert_int_equal(s->endpoint_count, 2);
	assert_int_equal(s->spec.port, 81);
}

static void test_refused_change_leaves_nothing_behind(void **state)
{
	struct sluice_model *m = *state;
	struct sluice_error e;

	assert_int_equal(fixture_apply(m, SLUICE_EDIT_APPLY, TOMCAT, &e), 1);
	assert_true(fixture_apply(m, SLUICE_EDIT_APPLY,
	                          "- {name: a, ip: 10.0.0.1, port: 80}\n"
	                          "- {name: b, ip: 10.96.43.114, port: 8080}\n",
	                          &e) < 0);
	assert_int_equal(e.status, 422);
	assert_non_null(strstr(e.message, "default/tomcat"));
	assert_non_null(strstr(e.path, "port"));
	assert_int_equal(e.line, 2);
	assert_int_equal(m->service_count, 1);
	assert_int_equal(m->generation, 1);
	assert_int_equal(m->slots.high, 3);
	// Other protocol, other address: no conflict. A node port is.
	assert_int_equal(fixture_apply(m, SLUICE_EDIT_APPLY,
	                               "- {name: a, ip: 10.0.0.1, port: 80, nodePort: 30000}\n"
	                               "- {name: b, ip: 10.96.43.114, port: 8080, protocol: UDP}\n",
	                               &e),
	                 1);
	assert_true(fixture_apply(m, SLUICE_EDIT_APPLY,
	                          "{name: c, ip: 10.0.0.2, port: 80, nodePort: 30000}", &e) < 0);
	assert_non_null(strstr(e.message, "node port 30000/TCP is taken by service default/a"));
}

// The two endpoints have the same first four bytes of their digests.
static void test_endpoints_of_one_server_id_are_refused(void **state)
{
	struct sluice_model *m = *state;
	struct sluice_error e;

	assert_int_equal(fixture_apply(m, SLUICE_EDIT_APPLY,
	                               "name: quic\nip: 10.96.0.1\nport: 443\nprotocol: UDP\n"
	                               "quic: {serverIdLength: 4}\nendpoints: "
	                               "[172.17.0.5:443, 172.17.69.101:443]\n",
	                               &e),
	                 1);
	assert_true(fixture_endpoints(m, "quic", "{add: [172.17.251.55:443]}", &e) < 0);
	assert_int_equal(e.status, 422);
	assert_string_equal(e.path, "quic.serverIdLength");
	assert_string_equal(e.message,
	                    "172.17.69.101:443 and 172.17.251.55:443 have the same server id "
	                    "00bd52f6: a longer serverIdLength tells them apart");
	assert_int_equal(sluice_model_find(m, "default", "quic")->endpoint_count, 2);
	assert_true(fixture_apply(m, SLUICE_EDIT_APPLY,
	                          "{name: quic, ip: 10.96.0.1, port: 443, protocol: UDP, quic: "
	                          "{serverIdLength: 5}}",
	                          &e) == 1);
	assert_int_equal(fixture_endpoints(m, "quic", "{add: [172.17.251.55:443]}", &e), 1);
}

// A change of what only the workers see of a service is a change.
static void test_affinity_and_quic_are_part_of_a_service(void **state)
{
	static const char *const texts[] = {
	        "{name: quic, ip: 10.96.0.1, port: 443, protocol: UDP}",
	        "{name: quic, ip: 10.96.0.1, port: 443, protocol: UDP, sessionAffinity: ClientIP}",
	        ("{name: quic, ip: 10.96.0.1, port: 443, protocol: UDP, sessionAffinity: ClientIP, "
	         "sessionAffinityTimeout: 5s}"),
	        "{name: quic, ip: 10.96.0.1, port: 443, protocol: UDP, quic: {serverIdLength: 4}}",
	        "{name: quic, ip: 10.96.0.1, port: 443, protocol: UDP, quic: {serverIdLength: 5}}",
	};
	struct sluice_model *m = *state;
	struct sluice_error e;

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		assert_int_equal(fixture_apply(m, SLUICE_EDIT_APPLY, texts[i], &e), 1);
		assert_int_equal(fixture_apply(m, SLUICE_EDIT_APPLY, texts[i], &e), 0);
	}
}

static void test_services_may_swap_addresses_in_one_change(void **state)
{
	struct sluice_model *m = *state;
	struct sluice_error e;

	assert_int_equal(fixture_apply(m, SLUICE_EDIT_APPLY,
	                               "- {name: a, ip: 10.0.0.1, port: 80}\n"
	                               "- {name: b, ip: 10.0.0.2, port: 80}\n",
	                               &e),
	                 1);
	assert_int_equal(fixture_apply(m, SLUICE_EDIT_APPLY,
	                               "- {name: a, ip: 10.0.0.2, port: 80}\n"
	                               "- {name: b, ip: 10.0.0.1, port: 80}\n",
	                               &e),
	                 1);
	assert_int_equal(
	        fixture_apply(m, SLUICE_EDIT_APPLY, "- {name: a, ip: 10.0.0.2, port: 80}\n", &e),
	        0); // as it is
	assert_int_equal(m->generation, 2);
}

static enum sluice_forwarding forwarding_of(struct sluice_model *m, const char *name)
{
	return sluice_model_find(m, "default", name)->spec.forwarding;
}

#define SERVICE(address, more) "name: a\nip: '" address "'\nport: 80\n" more "\n"

static void test_policy_cluster_means_fullnat_where_there_are_addresses(void **state)
{
	static const struct {
		const char *text;
		enum sluice_forwarding with, without;
	} rows[] = {
	        {SERVICE("10.0.0.1", ""), SLUICE_FORWARD_FULLNAT, SLUICE_FORWARD_NAT},
	        {SERVICE("10.0.0.1", "externalTrafficPolicy: Cluster"), SLUICE_FORWARD_FULLNAT,
	         SLUICE_FORWARD_NAT},
	        {SERVICE("10.0.0.1", "externalTrafficPolicy: Local"), SLUICE_FORWARD_NAT,
	         SLUICE_FORWARD_NAT},
	        {SERVICE("10.0.0.1", "forwarding: nat"), SLUICE_FORWARD_NAT, SLUICE_FORWARD_NAT},
	        {SERVICE("10.0.0.1", "forwarding: gue"), SLUICE_FORWARD_GUE, SLUICE_FORWARD_GUE},
	        {SERVICE("2001:db8::1", ""), SLUICE_FORWARD_NAT, SLUICE_FORWARD_NAT},
	};
	struct sluice_model *m = *state;
	struct sluice_error e;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		m->snat = fixture_snat();
		assert_int_equal(fixture_apply(m, SLUICE_EDIT_APPLY, rows[i].text, &e), 1);
		assert_int_equal(forwarding_of(m, "a"), rows[i].with);
		fixture_delete(m, "a", &e);
		m->snat = NULL;
		assert_int_equal(fixture_apply(m, SLUICE_EDIT_APPLY, rows[i].text, &e), 1);
		assert_int_equal(forwarding_of(m, "a"), rows[i].without);
		fixture_delete(m, "a", &e);
	}
}

static void test_policy_of_a_kubernetes_service_means_the_same(void **state)
{
	struct sluice_model *m = *state;
	struct sluice_error e;
	char text[512];

	m->snat = fixture_snat();
	for (int local = 0; local < 2; local++) {
		snprintf(text, sizeof(text),
		         "{apiVersion: v1, kind: Service, metadata: {name: a}, spec: {ports: "
		         "[{port: 80}], externalIPs: [10.0.0.1], externalTrafficPolicy: %s}}",
		         local ? "Local" : "Cluster");
		assert_int_equal(fixture_apply(m, SLUICE_EDIT_APPLY, text, &e), 1);
		assert_int_equal(forwarding_of(m, "a"),
		                 local ? SLUICE_FORWARD_NAT : SLUICE_FORWARD_FULLNAT);
	}
}

static void test_fullnat_needs_an_address_that_is_no_service(void **state)
{
	struct sluice_model *m = *state;
	struct sluice_error e;

	assert_true(fixture_apply(m, SLUICE_EDIT_APPLY, SERVICE("10.0.0.1", "forwarding: fullnat"),
	                          &e) < 0);
	assert_int_equal(e.status, 422);
	assert_string_equal(e.path, "forwarding");
	assert_non_null(strstr(e.message, "needs an IPv4 address"));
	m->snat = fixture_snat();
	assert_true(fixture_apply(m, SLUICE_EDIT_APPLY,
	                          SERVICE("2001:db8::1", "forwarding: fullnat"), &e) < 0);
	assert_non_null(strstr(e.message, "needs an IPv6 address"));
	assert_true(fixture_apply(m, SLUICE_EDIT_APPLY, SERVICE("172.17.0.1", ""), &e) < 0);
	assert_int_equal(e.status, 422);
	assert_string_equal(e.path, "ip");
	assert_int_equal(m->service_count, 0);
	// To say what holds already is a change all the same: it no longer follows the policy.
	assert_int_equal(fixture_apply(m, SLUICE_EDIT_APPLY, SERVICE("10.0.0.1", ""), &e), 1);
	assert_int_equal(
	        fixture_apply(m, SLUICE_EDIT_APPLY, SERVICE("10.0.0.1", "forwarding: fullnat"), &e),
	        1);
	assert_int_equal(
	        fixture_apply(m, SLUICE_EDIT_APPLY, SERVICE("10.0.0.1", "forwarding: nat"), &e), 1);
	assert_int_equal(forwarding_of(m, "a"), SLUICE_FORWARD_NAT);
}

// A service's forwarding changes under its endpoints, where they go with the new mode.
static void test_forwarding_changes_where_the_endpoints_allow(void **state)
{
#define WEB "name: web\nip: 10.0.0.1\nport: 8080\n"
	struct sluice_model *m = *state;
	struct sluice_error e;

	assert_int_equal(fixture_apply(m, SLUICE_EDIT_APPLY,
	                               WEB "forwarding: nat\nendpoints: [172.17.0.5:8080]\n", &e),
	                 1);
	struct sluice_model_endpoint before = *fixture_find(m, "web", 5);

	assert_int_equal(fixture_apply(m, SLUICE_EDIT_APPLY, WEB "forwarding: l2dsr\n", &e), 1);
	assert_int_equal(fixture_apply(m, SLUICE_EDIT_APPLY, WEB "forwarding: gue\n", &e), 1);
	assert_int_equal(fixture_find(m, "web", 5)->slot, before.slot);
	assert_int_equal(fixture_find(m, "web", 5)->generation, before.generation);
	assert_int_equal(fixture_endpoints(m, "web", "{add: ['[fd00::5]:8080']}", &e), 1);
	assert_int_equal(fixture_apply(m, SLUICE_EDIT_APPLY, WEB "forwarding: ipip\n", &e), 1);

	// Of two families, or with other ports, they can't be another mode's.
	assert_true(fixture_apply(m, SLUICE_EDIT_APPLY, WEB "forwarding: nat\n", &e) < 0);
	assert_int_equal(e.status, 422);
	assert_string_equal(e.path, "forwarding");
	assert_true(fixture_apply(m, SLUICE_EDIT_APPLY,
	                          "name: web\nip: 10.0.0.1\nport: 80\nforwarding: ipip\n", &e) < 0);
	assert_int_equal(e.status, 422);
	assert_string_equal(e.path, "port");
	assert_int_equal(fixture_endpoints(m, "web", "{remove: ['[fd00::5]:8080']}", &e), 1);
	assert_int_equal(fixture_apply(m, SLUICE_EDIT_APPLY, WEB "forwarding: nat\n", &e), 1);
	assert_int_equal(fixture_endpoints(m, "web", "{add: ['172.17.0.6:81']}", &e), 1);
	assert_true(fixture_apply(m, SLUICE_EDIT_APPLY, WEB "forwarding: l2dsr\n", &e) < 0);
	assert_string_equal(e.path, "forwarding");
	assert_int_equal(fixture_find(m, "web", 5)->slot, before.slot);
#undef WEB
}

static void test_patch_refuses_the_unknown_and_takes_the_known(void **state)
{
	struct sluice_model *m = *state;
	struct sluice_error e;

	fixture_apply(m, SLUICE_EDIT_APPLY, TOMCAT, &e);
	const char *const absent[] = {
	        "{remove: [172.17.0.99:8080]}",
	        "{drain: [172.17.0.99:8080]}",
	        "{weight: [{ip: 172.17.0.99, port: 8080, weight: 2}]}",
	        "{add: [172.17.0.9:8080], remove: [172.17.0.99:8080]}",
	};

	for (size_t i = 0; i < sizeof(absent) / sizeof(absent[0]); i++) {
		assert_true(fixture_endpoints(m, "tomcat", absent[i], &e) < 0);
		assert_int_equal(e.status, 404);
	}
	assert_null(fixture_find(m, "tomcat", 9));
	struct sluice_model_endpoint before = *fixture_find(m, "tomcat", 5);

	assert_int_equal(fixture_endpoints(m, "tomcat",
	                                   "{add: [{ip: 172.17.0.5, port: 8080, weight: 4},"
	                                   " 172.17.0.6:8080], remove: [172.17.0.8:8080]}",
	                                   &e),
	                 1);
	assert_int_equal(fixture_find(m, "tomcat", 5)->slot, before.slot);
	assert_int_equal(fixture_find(m, "tomcat", 5)->spec.weight, 4);
	assert_non_null(fixture_find(m, "tomcat", 6));
	assert_null(fixture_find(m, "tomcat", 8));
	assert_true(fixture_endpoints(m, "nobody", "[]", &e) < 0);
	assert_int_equal(e.status, 404);
	assert_true(fixture_delete(m, "nobody", &e) < 0);
	assert_int_equal(e.status, 404);
}

static void test_if_match_loses_against_a_later_change(void **state)
{
	struct sluice_model *m = *state;
	struct sluice_error e = {0};
	struct sluice_service_name name = {"default", "tomcat"};
	struct sluice_edit edit = {
	        .kind = SLUICE_EDIT_DELETE, .name = &name, .has_if_match = true, .if_match = 1};

	fixture_apply(m, SLUICE_EDIT_APPLY, TOMCAT, &e);
	fixture_endpoints(m, "tomcat", "{remove: [172.17.0.8:8080]}", &e);
	assert_true(sluice_model_apply(m, &edit, &e) < 0);
	assert_int_equal(e.status, 409);
	fixture_apply(m, SLUICE_EDIT_APPLY, "{name: a, ip: 10.0.0.1, port: 80}", &e);
	edit.if_match = 2; // others may have changed since
	e = (struct sluice_error){0};
	assert_int_equal(sluice_model_apply(m, &edit, &e), 1);
}

static void test_file_reload_keeps_what_the_api_pushed_since(void **state)
{
	struct sluice_model *m = *state;
	struct sluice_error e;
	const char *other = "- {name: other, ip: 10.0.0.1, port: 80}\n";
	const char *both = "- {name: web, ip: 10.0.0.9, port: 8080, endpoints: [172.17.0.5:8080]}\n"
	                   "- {name: other, ip: 10.0.0.1, port: 80}\n";
	const char *edited =
	        "- {name: web, ip: 10.0.0.9, port: 8080, endpoints: [172.17.0.6:8080]}\n"
	        "- {name: other, ip: 10.0.0.1, port: 80}\n";

	fixture_apply(m, SLUICE_EDIT_APPLY, TOMCAT, &e);
	assert_int_equal(fixture_apply(m, SLUICE_EDIT_FILE, both, &e), 1);
	fixture_endpoints(m, "web", "[172.17.0.7:8080]", &e);
	assert_int_equal(fixture_apply(m, SLUICE_EDIT_FILE, both, &e), 0);
	assert_non_null(fixture_find(m, "web", 7));
	assert_int_equal(fixture_apply(m, SLUICE_EDIT_FILE, edited, &e), 1);
	assert_null(fixture_find(m, "web", 7));
	assert_non_null(fixture_find(m, "web", 6));
	assert_int_equal(fixture_apply(m, SLUICE_EDIT_FILE, other, &e), 1);
	assert_null(sluice_model_find(m, "default", "web"));
	assert_non_null(sluice_model_find(m, "default", "tomcat")); // not the file's
}

#define KUBERNETES_SERVICE                                                                         \
	"apiVersion: v1\nkind: Service\nmetadata: {name: web}\n"                                   \
	"spec:\n  clusterIP: 10.96.0.7\n  ports: [{port: 80, targetPort: 8080}]\n"
#define KUBERNETES_SLICE(name, addresses)                                                          \
	"apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\naddressType: IPv4\n"                \
	"metadata: {name: " name ", labels: {kubernetes.io/service-name: web}}\n"                  \
	"ports: [{port: 8080}]\nendpoints: [{addresses: [" addresses "]}]\n"

static void test_slices_wait_for_their_service_and_yield_to_a_push(void **state)
{
	struct sluice_model *m = *state;
	struct sluice_error e;

	assert_int_equal(
	        fixture_apply(m, SLUICE_EDIT_APPLY, KUBERNETES_SLICE("a", "172.17.0.5"), &e), 1);
	assert_int_equal(m->service_count, 0);
	assert_int_equal(fixture_apply(m, SLUICE_EDIT_APPLY, KUBERNETES_SERVICE, &e), 1);
	char name[64];

	snprintf(name, sizeof(name), "%s", m->services[0]->spec.name);

	assert_non_null(fixture_find(m, name, 5));
	uint32_t slot = fixture_find(m, name, 5)->slot;

	fixture_apply(m, SLUICE_EDIT_APPLY, KUBERNETES_SLICE("b", "172.17.0.6"), &e);
	assert_int_equal(m->services[0]->endpoint_count, 2);
	assert_int_equal(fixture_find(m, name, 5)->slot, slot);
	fixture_endpoints(m, name, "[172.17.0.9:8080]", &e);
	assert_int_equal(fixture_apply(m, SLUICE_EDIT_APPLY, KUBERNETES_SERVICE, &e), 0);
	assert_int_equal(m->services[0]->endpoint_count, 1); // by hand, until the next slice
	fixture_apply(m, SLUICE_EDIT_APPLY, KUBERNETES_SLICE("b", "172.17.0.7"), &e);
	assert_int_equal(m->services[0]->endpoint_count, 2);
	assert_non_null(fixture_find(m, name, 5));
	assert_non_null(fixture_find(m, name, 7));
	assert_int_equal(fixture_delete(m, name, &e), 1);
	assert_int_equal(m->slices.count, 0);
}

static void test_service_loses_what_its_last_slice_gave(void **state)
{
	struct sluice_model *m = *state;
	struct sluice_error e;
	const char *moved =
	        "{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, addressType: IPv4, "
	        "metadata: {name: a, labels: {kubernetes.io/service-name: other}}, "
	        "ports: [{port: 8080}], endpoints: [{addresses: [172.17.0.5]}]}";

	fixture_apply(m, SLUICE_EDIT_APPLY,
	              KUBERNETES_SERVICE "---\n" KUBERNETES_SLICE("a", "172.17.0.5"), &e);
	assert_int_equal(m->services[0]->endpoint_count, 1);
	assert_int_equal(fixture_apply(m, SLUICE_EDIT_APPLY, moved, &e), 1);
	assert_int_equal(m->services[0]->endpoint_count, 0);

	fixture_apply(m, SLUICE_EDIT_FILE,
	              KUBERNETES_SERVICE "---\n" KUBERNETES_SLICE("f", "172.17.0.6"), &e);
	assert_int_equal(m->services[0]->endpoint_count, 1);
	assert_int_equal(fixture_apply(m, SLUICE_EDIT_FILE, KUBERNETES_SERVICE, &e), 1);
	assert_int_equal(m->services[0]->endpoint_count, 0);
}

static struct sluice_traffic slot_traffic[8];
static unsigned compiled_freed;

static void read_slot(void *context, uint32_t slot, struct sluice_traffic *out)
{
	(void)context;
	*out = slot_traffic[slot];
}

static void free_compiled(void *context, void *compiled)
{
	(void)context;
	(void)compiled;
	compiled_freed++;
}

static void test_slots_and_counters_are_kept_until_workers_are_done(void **state)
{
	struct sluice_model *m = *state;
	struct sluice_error e;

	m->hooks =
	        (struct sluice_model_hooks){.read_slot = read_slot, .free_compiled = free_compiled};
	fixture_apply(m, SLUICE_EDIT_APPLY, TOMCAT, &e);
	struct sluice_model_service *s = m->services[0];
	uint32_t slot = fixture_find(m, "tomcat", 5)->slot;

	s->compiled = s;
	slot_traffic[slot].in_packets = 100;
	fixture_endpoints(m, "tomcat", "{remove: [172.17.0.5:8080]}", &e); // generation 2
	sluice_model_reclaim(m, 1);
	assert_int_equal(m->slots.freed.count, 0);
	slot_traffic[slot].in_packets = 120; // a worker still had the old snapshot
	sluice_model_reclaim(m, 2);
	assert_int_equal(m->slots.freed.count, 1);
	assert_int_equal(s->retired.in_packets, 120);
	fixture_delete(m, "tomcat", &e); // generation 3
	sluice_model_reclaim(m, 2);
	assert_int_equal(compiled_freed, 0);
	sluice_model_reclaim(m, 3);
	assert_int_equal(compiled_freed, 1);
	assert_int_equal(m->slots.freed.count, 3);
}

static void test_slots_that_run_out_refuse_the_change(void **state)
{
	struct sluice_model *m = *state;
	struct sluice_error e;

	m->slots.limit = 3;
	fixture_apply(m, SLUICE_EDIT_APPLY, TOMCAT, &e);
	assert_true(fixture_endpoints(m, "tomcat", "{add: [172.17.0.9:8080]}", &e) < 0);
	assert_int_equal(e.status, 422);
	fixture_endpoints(m, "tomcat", "{remove: [172.17.0.8:8080]}", &e);
	sluice_model_reclaim(m, m->generation);
	assert_true(fixture_endpoints(m, "tomcat", "{add: [172.17.0.9:8080]}", &e) < 0);
	assert_int_equal(e.status, 503); // in two seconds
	assert_int_equal(m->services[0]->endpoint_count, 2);
}

int main(void)
{
#define ROW(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
	        ROW(test_slots_survive_all_that_keeps_the_endpoint),
	        ROW(test_refused_change_leaves_nothing_behind),
	        ROW(test_endpoints_of_one_server_id_are_refused),
	        ROW(test_affinity_and_quic_are_part_of_a_service),
	        ROW(test_services_may_swap_addresses_in_one_change),
	        ROW(test_policy_cluster_means_fullnat_where_there_are_addresses),
	        ROW(test_policy_of_a_kubernetes_service_means_the_same),
	        ROW(test_fullnat_needs_an_address_that_is_no_service),
	        ROW(test_forwarding_changes_where_the_endpoints_allow),
	        ROW(test_patch_refuses_the_unknown_and_takes_the_known),
	        ROW(test_if_match_loses_against_a_later_change),
	        ROW(test_file_reload_keeps_what_the_api_pushed_since),
	        ROW(test_slices_wait_for_their_service_and_yield_to_a_push),
	        ROW(test_service_loses_what_its_last_slice_gave),
	        ROW(test_slots_and_counters_are_kept_until_workers_are_done),
	        ROW(test_slots_that_run_out_refuse_the_change),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
