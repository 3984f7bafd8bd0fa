// SPDX-License-Identifier: BSD-3-Clause
// Documents, services and lists of endpoints that are right: values, order, round trips.
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "control/address.h"
#include "control/change.h"

static json_t *tree_of(const char *text)
{
	struct sluice_documents documents;
	struct sluice_error err = {0};
	json_t *tree;

	if (sluice_documents_parse(text, strlen(text), NULL, &documents, &err) < 0)
		fail_msg("%s\n%u: %s", text, err.line, err.message);
	assert_int_equal(documents.count, 1);
	tree = json_incref(documents.roots[0]);
	sluice_documents_clear(&documents);
	return tree;
}

static void expect_tree(const char *text, const char *json)
{
	json_t *tree = tree_of(text), *wanted = json_loads(json, JSON_DECODE_ANY, NULL);

	assert_non_null(wanted);
	if (!json_equal(tree, wanted))
		fail_msg("%s is not %s", text, json);
	json_decref(tree);
	json_decref(wanted);
}

static void scalars_follow_the_core_schema(void **state)
{
	(void)state;
	expect_tree("[true, null, ~, 7, -7, 0x1f, 0o17, 0660, 1.5, 1e3]",
	            "[true, null, null, 7, -7, 31, 15, 660, 1.5, 1000.0]");
	expect_tree("[yes, on, y, off, '7', \"true\", 2h, 1.2.3.4, .inf, 1_000]",
	            "[\"yes\", \"on\", \"y\", \"off\", \"7\", \"true\", \"2h\", \"1.2.3.4\", "
	            "\".inf\", \"1_000\"]");
	expect_tree("99999999999999999999", "99999999999999999999.0");
}

static void json_is_read_as_json(void **state)
{
	(void)state;
	expect_tree("{\n\t\"a\":1,\"b\":[\t\"\\u00e4\\/\\ud83d\\ude00\\n\"],\"\\\\ud83d\":{}}",
	            "{\"a\":1,\"b\":[\"\\u00e4/\\ud83d\\ude00\\n\"],\"\\\\ud83d\":{}}");
}

static void yaml_that_is_written_reads_back(void **state)
{
	static const char json[] =
	        "{\"a\":[\"true\",\"7\",\"\",\"a: b\",\"- x\",\"x\\ny\\n\",\" "
	        "lead\",\"#c\",\"\\u00e4\","
	        "\"0660\",\"null\",\"10.0.0.1:80\",\"::1\",\"\\ud83d\\ude00\"],\"1\":{},\"e\":[],"
	        "\"f\":1.0,\"t\":true,\"n\":null,\"big\":9223372036854775807}";
	json_t *tree = json_loads(json, 0, NULL), *back;
	char *yaml = sluice_document_yaml(tree);

	(void)state;
	assert_non_null(yaml);
	back = tree_of(yaml);
	if (!json_equal(tree, back))
		fail_msg("%s", yaml);
	json_decref(tree);
	json_decref(back);
	free(yaml);
}

static void read_service(const char *text, struct sluice_service_spec *out)
{
	struct sluice_error err = {0};
	struct sluice_node node = {.value = tree_of(text)};

	if (sluice_service_spec_read(&node, NULL, out, &err) < 0)
		fail_msg("%s: %s", err.path, err.message);
	json_decref(node.value);
}

static void a_service_makes_the_round_trip(void **state)
{
	struct sluice_service_spec spec, back, copy;
	struct sluice_error err = {0};
	struct sluice_node node = {0};
	json_t *again;

	(void)state;
	read_service("{endpoints: ['[2001:db8::2]:81', {ip: '2001:db8::1', weight: 0, state: "
	             "draining}], name: web, namespace: shop, ip: '2001:db8:f::1', port: 80, "
	             "protocol: UDP, targetPort: 8080, nodePort: 30000, onEmpty: keepLast, "
	             "tableSize: 251, sessionAffinity: ClientIP, sessionAffinityTimeout: "
	             "1500ms, externalTrafficPolicy: Local, quic: {serverIdLength: 8}}",
	             &spec);
	assert_int_equal(spec.protocol, IPPROTO_UDP);
	assert_int_equal(spec.affinity_timeout, 2);
	assert_int_equal(spec.server_id_length, 8);
	assert_int_equal(spec.endpoint_count, 2);
	assert_int_equal(spec.endpoints[0].port, 8080); // targetPort, and sorted
	assert_int_equal(spec.endpoints[0].weight, 0);
	assert_int_equal(spec.endpoints[0].state, SLUICE_STATE_DRAINING);
	assert_int_equal(spec.endpoints[1].weight, 1);

	node.value = sluice_service_spec_write(&spec);
	assert_int_equal(sluice_service_spec_read(&node, NULL, &back, &err), 0);
	again = sluice_service_spec_write(&back);
	assert_true(json_equal(node.value, again));
	assert_int_equal(json_object_size(again), 15);
	assert_string_equal(json_string_value(json_object_get(again, "sessionAffinityTimeout")),
	                    "2s");
	assert_int_equal(sluice_service_spec_copy(&copy, &back), 0);
	assert_memory_equal(copy.endpoints, spec.endpoints, 2 * sizeof(*copy.endpoints));
	json_decref(again);
	json_decref(node.value);
	sluice_service_spec_clear(&copy);
	sluice_service_spec_clear(&back);
	sluice_service_spec_clear(&spec);
}

static void an_affinity_that_is_not_there_has_no_time_out(void **state)
{
	static const struct {
		const char *text;
		uint32_t timeout;
	} rows[] = {
	        {"{name: a, ip: 10.0.0.1, port: 80}", 0},
	        {"{name: a, ip: 10.0.0.1, port: 80, sessionAffinity: None, "
	         "sessionAffinityTimeout: 1h}",
	         0},
	        {"{name: a, ip: 10.0.0.1, port: 80, sessionAffinity: ClientIP}", 10800},
	        {"{name: a, ip: 10.0.0.1, port: 80, sessionAffinity: ClientIP, "
	         "sessionAffinityTimeout: 24h}",
	         86400},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct sluice_service_spec spec;

		read_service(rows[i].text, &spec);
		assert_int_equal(spec.affinity_timeout, rows[i].timeout);
		sluice_service_spec_clear(&spec);
	}
}

static void no_endpoints_is_not_an_empty_list(void **state)
{
	struct sluice_service_spec spec;

	(void)state;
	read_service("{name: a, ip: 10.0.0.1, port: 80}", &spec);
	assert_false(spec.has_endpoints);
	assert_int_equal(spec.target_port, 80);
	sluice_service_spec_clear(&spec);
	read_service("{name: a, ip: 10.0.0.1, port: 80, endpoints: []}", &spec);
	assert_true(spec.has_endpoints);
	sluice_service_spec_clear(&spec);
}

static void the_call_s_name_stands_in(void **state)
{
	struct sluice_node node = {.value = tree_of("{ip: 10.0.0.1, port: 80}")};
	struct sluice_service_name name;
	struct sluice_service_spec spec;
	struct sluice_error err = {0};

	(void)state;
	assert_int_equal(sluice_service_name_parse("shop/web", &name, &err), 0);
	assert_int_equal(sluice_service_spec_read(&node, &name, &spec, &err), 0);
	assert_string_equal(spec.namespace_, "shop");
	assert_string_equal(spec.name, "web");
	sluice_service_spec_clear(&spec);
	json_object_set_new(node.value, "name", json_string("other"));
	assert_true(sluice_service_spec_read(&node, &name, &spec, &err) < 0);
	assert_string_equal(err.path, "name");
	assert_true(sluice_service_name_parse("a/b/c", &name, NULL) < 0);
	assert_true(sluice_service_name_parse("/b", &name, NULL) < 0);
	json_decref(node.value);
}

static void a_patch_has_four_lists(void **state)
{
	struct sluice_service_spec service = {.target_port = 80, .table_size = 251};
	struct sluice_endpoints_patch patch;
	struct sluice_error err = {0};
	struct sluice_node node = {
	        .value = tree_of("{add: [{ip: 10.0.1.1}], remove: ['10.0.1.2:80'], drain: [{ip: "
	                         "10.0.1.3, port: 81}], weight: ['10.0.1.4:80=9', {ip: 10.0.1.4, "
	                         "port: 70, weight: 3}]}")};

	(void)state;
	sluice_address_parse("10.0.0.1", &service.address);
	assert_int_equal(sluice_endpoints_patch_read(&node, &service, &patch, &err), 0);
	assert_int_equal(patch.add.items[0].port, 80);
	assert_int_equal(patch.remove.count, 1);
	assert_int_equal(patch.drain.items[0].port, 81);
	assert_int_equal(patch.weight.count, 2);
	assert_int_equal(patch.weight.items[0].weight, 3);
	assert_int_equal(patch.weight.items[1].weight, 9);
	sluice_endpoints_patch_clear(&patch);
	json_decref(node.value);
	assert_int_equal(sluice_endpoints_fit(251, 251, &err), 0);
	assert_true(sluice_endpoints_fit(300, 251, &err) < 0);
	assert_string_equal(err.message, "300 endpoints do not fit a table of 251 rows: set "
	                                 "tableSize to 307 or more");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(scalars_follow_the_core_schema),
	        cmocka_unit_test(json_is_read_as_json),
	        cmocka_unit_test(yaml_that_is_written_reads_back),
	        cmocka_unit_test(a_service_makes_the_round_trip),
	        cmocka_unit_test(an_affinity_that_is_not_there_has_no_time_out),
	        cmocka_unit_test(no_endpoints_is_not_an_empty_list),
	        cmocka_unit_test(the_call_s_name_stands_in),
	        cmocka_unit_test(a_patch_has_four_lists),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
