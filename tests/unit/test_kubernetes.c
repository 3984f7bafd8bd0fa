// SPDX-License-Identifier: BSD-3-Clause
// Kubernetes' objects as kubectl prints them, and the merge of slices.
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "control/address.h"
#include "control/change.h"

// kubectl get service,endpointslice -o yaml, shortened where nothing is read.
static const char list[] =
        "apiVersion: v1\nitems:\n"
        "- apiVersion: v1\n  kind: Service\n  metadata:\n"
        "    creationTimestamp: \"2024-05-01T10:00:00Z\"\n"
        "    name: tomcat-load-balancer\n    namespace: default\n    resourceVersion: \"812\"\n"
        "  spec:\n    allocateLoadBalancerNodePorts: true\n    clusterIP: 10.96.43.114\n"
        "    clusterIPs:\n    - 10.96.43.114\n    externalTrafficPolicy: Cluster\n"
        "    internalTrafficPolicy: Cluster\n    ipFamilies:\n    - IPv4\n"
        "    ports:\n    - nodePort: 30854\n      port: 8080\n      protocol: TCP\n"
        "      targetPort: 8080\n    selector:\n      app: tomcat\n    sessionAffinity: None\n"
        "    type: LoadBalancer\n  status:\n    loadBalancer: {}\n"
        "- addressType: IPv4\n  apiVersion: discovery.k8s.io/v1\n  endpoints:\n"
        "  - addresses:\n    - 172.17.0.7\n    conditions:\n      ready: true\n"
        "      serving: true\n      terminating: false\n    nodeName: n1\n"
        "  - addresses:\n    - 172.17.0.5\n    conditions: {}\n"
        "  - addresses:\n    - 172.17.0.8\n    conditions:\n      ready: false\n"
        "      serving: true\n      terminating: true\n"
        "  - addresses:\n    - 172.17.0.9\n    conditions:\n      ready: false\n"
        "  kind: EndpointSlice\n  metadata:\n    labels:\n"
        "      kubernetes.io/service-name: tomcat-load-balancer\n"
        "    name: tomcat-load-balancer-x7k2p\n    namespace: default\n"
        "  ports:\n  - name: \"\"\n    port: 8080\n    protocol: TCP\n"
        "kind: List\nmetadata:\n  resourceVersion: \"\"\n";

static void read_changes(const char *text, struct sluice_changes *out)
{
	struct sluice_documents documents;
	struct sluice_error err = {0};

	if (sluice_documents_parse(text, strlen(text), NULL, &documents, &err) < 0 ||
	    sluice_changes_read(&documents, out, &err) < 0)
		fail_msg("%u: %s: %s", err.line, err.path, err.message);
	sluice_documents_clear(&documents);
}

// "172.17.0.5:8080 172.17.0.7:8080/draining"
static void expect_merge(const struct sluice_slice *const *slices, size_t n,
                         const struct sluice_service_spec *service, const char *wanted)
{
	struct sluice_endpoint_spec *endpoints;
	char text[512] = "", one[SLUICE_ENDPOINT_TEXT];
	size_t count, at = 0;

	assert_int_equal(sluice_slices_merge(slices, n, service, "", &endpoints, &count), 0);
	for (size_t i = 0; i < count; i++)
		at += (size_t)snprintf(
		        text + at, sizeof(text) - at, "%s%s%s", i > 0 ? " " : "",
		        sluice_endpoint_format(&endpoints[i].address, endpoints[i].port, one),
		        endpoints[i].state == SLUICE_STATE_DRAINING ? "/draining" : "");
	free(endpoints);
	assert_string_equal(text, wanted);
}

static void a_list_of_kubectl_gives_service_and_slice(void **state)
{
	struct sluice_changes c;
	const struct sluice_slice *slices[2];
	struct sluice_slice other;

	(void)state;
	read_changes(list, &c);
	assert_int_equal(c.count, 2);
	assert_string_equal(c.items[0].service.name, "tomcat-load-balancer");
	assert_string_equal(c.items[0].origin, "tomcat-load-balancer");
	assert_int_equal(c.items[0].service.node_port, 30854);
	assert_false(c.items[0].service.has_endpoints);
	slices[0] = &c.items[1].slice;
	expect_merge(slices, 1, &c.items[0].service,
	             "172.17.0.5:8080 172.17.0.7:8080 172.17.0.8:8080/draining");
	// In a second slice one that is not ready here is, and another one is there again.
	assert_int_equal(sluice_slice_copy(&other, slices[0]), 0);
	other.endpoints[3].ready = true;
	slices[1] = &other;
	expect_merge(slices, 2, &c.items[0].service,
	             "172.17.0.5:8080 172.17.0.7:8080 172.17.0.8:8080/draining 172.17.0.9:8080");
	// None ready: what serves while it terminates takes the traffic.
	for (size_t i = 0; i < other.endpoint_count; i++)
		other.endpoints[i].ready = false;
	expect_merge(&slices[1], 1, &c.items[0].service, "172.17.0.8:8080");
	sluice_slice_clear(&other);
	sluice_changes_clear(&c);
}

static void several_ports_and_addresses_have_names(void **state)
{
	struct sluice_changes c;

	(void)state;
	read_changes("{apiVersion: v1, kind: Service, metadata: {name: dns, namespace: sys}, spec: "
	             "{clusterIP: 10.0.0.1, ports: [{name: u, port: 53, protocol: UDP, targetPort: "
	             "dns, nodePort: 30053}, {port: 54}]}, status: {loadBalancer: {ingress: [{ip: "
	             "192.0.2.1}, {hostname: a.b}, {ip: '2001:db8::1'}, {ip: 192.0.2.2}]}}}",
	             &c);
	assert_int_equal(c.count, 6);
	assert_string_equal(c.items[0].service.name, "dns:u");
	assert_string_equal(c.items[1].service.name, "dns:u@2001:db8::1");
	assert_string_equal(c.items[5].service.name, "dns:54@192.0.2.2");
	assert_int_equal(c.items[1].service.node_port, 30053);
	assert_int_equal(c.items[2].service.node_port, 0);
	sluice_changes_clear(&c);
}

static void a_client_s_affinity_lasts_as_long_as_the_service_says(void **state)
{
	static const struct {
		const char *keys;
		uint32_t timeout;
	} rows[] = {
	        {"", 0},
	        {"sessionAffinity: None, sessionAffinityConfig: null, ", 0},
	        {"sessionAffinity: ClientIP, ", 10800},
	        {"sessionAffinity: ClientIP, sessionAffinityConfig: {clientIP: null}, ", 10800},
	        {"sessionAffinity: ClientIP, sessionAffinityConfig: {clientIP: {timeoutSeconds: "
	         "5}}, ",
	         5},
	};
	char text[512];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct sluice_changes c;

		snprintf(text, sizeof(text),
		         "{apiVersion: v1, kind: Service, metadata: {name: web}, spec: {%s"
		         "clusterIP: 10.0.0.1, ports: [{port: 80}]}}",
		         rows[i].keys);
		read_changes(text, &c);
		assert_int_equal(c.items[0].service.affinity_timeout, rows[i].timeout);
		sluice_changes_clear(&c);
	}
}

static void endpoints_objects_are_slices_and_write_back(void **state)
{
	struct sluice_changes c, back;
	const struct sluice_slice *slice;
	struct sluice_service_spec service = {.protocol = IPPROTO_TCP, .target_port = 1};
	char *text;
	json_t *json;

	(void)state;
	read_changes(
	        "{apiVersion: v1, kind: Endpoints, metadata: {name: web}, subsets: [{addresses: "
	        "[{ip: 172.17.0.5}], notReadyAddresses: [{ip: 172.17.0.6}], ports: [{port: 80}]}, "
	        "{addresses: [{ip: 172.17.0.5}], ports: [{port: 81}]}]}",
	        &c);
	slice = &c.items[0].slice;
	assert_string_equal(slice->name, "Endpoints/web");
	sluice_address_parse("10.0.0.1", &service.address);
	expect_merge(&slice, 1, &service, "172.17.0.5:80 172.17.0.5:81");
	json = sluice_slice_write(slice);
	text = json_dumps(json, 0);
	read_changes(text, &back);
	slice = &back.items[0].slice;
	assert_int_equal(slice->endpoint_count, 3);
	expect_merge(&slice, 1, &service, "172.17.0.5:80 172.17.0.5:81");
	free(text);
	json_decref(json);
	sluice_changes_clear(&back);
	sluice_changes_clear(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(a_list_of_kubectl_gives_service_and_slice),
	        cmocka_unit_test(several_ports_and_addresses_have_names),
	        cmocka_unit_test(a_client_s_affinity_lasts_as_long_as_the_service_says),
	        cmocka_unit_test(endpoints_objects_are_slices_and_write_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
