// SPDX-License-Identifier: BSD-3-Clause
// Configurations that are right: the defaults, and the example that is installed.
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "control/address.h"
#include "control/config.h"

static const char *example; // control/sluice.yaml

static void parse(const char *text, struct sluice_config *out)
{
	struct sluice_documents documents;
	struct sluice_error err = {0};

	if (sluice_documents_parse(text, strlen(text), "t.yaml", &documents, &err) < 0 ||
	    sluice_config_parse(&documents, out, &err) < 0)
		fail_msg("%s: %s", err.path, err.message);
	sluice_documents_clear(&documents);
}

static void expect_defaults(const struct sluice_config *c)
{
	assert_int_equal(c->port_count, 1);
	assert_int_equal(c->ports[0].kind, SLUICE_PORT_AF_XDP);
	assert_string_equal(c->ports[0].argument, "eth1");
	assert_int_equal(c->ports[0].queues, 1);
	assert_int_equal(c->workers.core_count, 0);
	assert_int_equal(c->workers.idle, SLUICE_IDLE_ADAPTIVE);
	assert_int_equal(c->memory.hugepages, SLUICE_HUGEPAGES_AUTO);
	assert_int_equal(c->flows.capacity, 1048576);
	assert_int_equal(c->flows.timeouts.tcp_established, 7200);
	assert_int_equal(c->flows.timeouts.tcp_syn, 60);
	assert_int_equal(c->flows.timeouts.tcp_fin, 30);
	assert_int_equal(c->flows.timeouts.udp, 180);
	assert_null(c->cluster.seed);
	assert_string_equal(c->announce, "lo");
	assert_string_equal(c->control.socket, "/run/sluice/sluice.sock");
	assert_int_equal(c->control.mode, 0660);
	assert_null(c->control.group);
	assert_string_equal(c->metrics.text, "127.0.0.1:9690");
	assert_int_equal(c->metrics.port, 9690);
	assert_string_equal(c->state.directory, "/var/lib/sluice");
}

static void defaults_are_the_contract_s(void **state)
{
	struct sluice_config c;

	(void)state;
	parse("ports: [{device: af_xdp:eth1}]\n", &c);
	expect_defaults(&c);
	assert_int_equal(c.changes.count, 0);
	sluice_config_clear(&c);
}

static void the_installed_example_says_the_defaults(void **state)
{
	struct sluice_error err = {0};
	struct sluice_config c;
	const struct sluice_service_spec *s;

	(void)state;
	if (sluice_config_load(example, &c, &err) < 0)
		fail_msg("%u: %s: %s", err.line, err.path, err.message);
	expect_defaults(&c);
	assert_int_equal(c.changes.count, 1);
	s = &c.changes.items[0].service;
	assert_string_equal(s->name, "tomcat-load-balancer");
	assert_int_equal(s->node_port, 30854);
	assert_int_equal(s->table_size, 65537);
	assert_int_equal(s->endpoint_count, 2);
	assert_int_equal(s->endpoints[1].port, 8080);
	sluice_config_clear(&c);
}

static void everything_can_be_set(void **state)
{
	struct sluice_config c;

	(void)state;
	parse("ports:\n- {device: af_xdp:a, queues: 2}\n- device: 'vdev:net_null0,size=64'\n"
	      "workers: {cores: [2, 3], idle: poll}\nmemory: {hugepages: off}\n"
	      "flows: {capacity: 4096, timeouts: {tcpEstablished: 24h, udp: 1500ms, tcpSyn: 1m}}\n"
	      "cluster: {seed: \"12\"}\nannounce: none\n"
	      "control: {socket: /tmp/s, mode: \"0600\", group: adm}\n"
	      "metrics: {listen: '[::]:9000'}\nstate: {directory: /tmp/d}\nservices: []\n"
	      "---\napiVersion: v1\nkind: Service\nmetadata: {name: k}\n"
	      "spec: {clusterIP: 10.0.0.1, ports: [{port: 80}]}\n",
	      &c);
	assert_int_equal(c.port_count, 2);
	assert_int_equal(c.ports[1].kind, SLUICE_PORT_VDEV);
	assert_string_equal(c.ports[1].argument, "net_null0,size=64");
	assert_int_equal(c.workers.core_count, 2);
	assert_int_equal(c.workers.cores[1], 3);
	assert_int_equal(c.workers.idle, SLUICE_IDLE_POLL);
	assert_int_equal(c.memory.hugepages, SLUICE_HUGEPAGES_OFF);
	assert_int_equal(c.flows.timeouts.tcp_established, 86400);
	assert_int_equal(c.flows.timeouts.udp, 2);
	assert_int_equal(c.flows.timeouts.tcp_syn, 60);
	assert_string_equal(c.cluster.seed, "12");
	assert_null(c.announce);
	assert_int_equal(c.control.mode, 0600);
	assert_string_equal(c.control.group, "adm");
	assert_int_equal(c.metrics.port, 9000);
	assert_int_equal(c.changes.count, 1);
	assert_string_equal(c.changes.items[0].origin, "k");
	sluice_config_clear(&c);
}

static void a_missing_file_is_said_to_be_missing(void **state)
{
	struct sluice_error err = {0};
	struct sluice_config c;

	(void)state;
	assert_true(sluice_config_load("/nonexistent/x.yaml", &c, &err) < 0);
	assert_int_equal(err.status, 404);
	assert_string_equal(err.message, "/nonexistent/x.yaml: No such file or directory");
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(defaults_are_the_contract_s),
	        cmocka_unit_test(the_installed_example_says_the_defaults),
	        cmocka_unit_test(everything_can_be_set),
	        cmocka_unit_test(a_missing_file_is_said_to_be_missing),
	};

	example = argc > 1 ? argv[1] : "control/sluice.yaml";
	return cmocka_run_group_tests(tests, NULL, NULL);
}
