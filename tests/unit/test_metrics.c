// SPDX-License-Identifier: BSD-3-Clause
#include "model_fixture.h"

#include <stdio.h>
#include <unistd.h>

#include "control/metrics.h"
#include "tests/unit/flow_memory.h"
#include "tests/unit/snat_memory.h"

static struct sluice_worker_counters workers[2];
static struct sluice_endpoint_counters endpoints[2][8];
static struct sluice_stats_source source;
static struct sluice_stats stats;
static struct sluice_model model;

static int setup(void **unused)
{
	struct sluice_error e;

	(void)unused;
	memset(workers, 0, sizeof(workers));
	memset(endpoints, 0, sizeof(endpoints));
	source = (struct sluice_stats_source){
	        .dpdk_version = "DPDK \"22\\11\"\n",
	        .started = 1700000000,
	        .seed = "secret",
	        .port_count = 1,
	        .ports = {{"eth0", 1}},
	        .worker_count = 2,
	        .workers = {{1, &workers[0], endpoints[0], 8}, {2, &workers[1], endpoints[1], 8}},
	};
	sluice_model_init(&model, &(struct sluice_model_hooks){
	                                  .context = &stats, .read_slot = sluice_stats_read_slot});
	sluice_stats_init(&stats, &source, &model);
	return fixture_apply(&model, SLUICE_EDIT_APPLY, TOMCAT, &e) == 1 ? 0 : -1;
}

static int teardown(void **unused)
{
	(void)unused;
	sluice_stats_free(&stats);
	sluice_model_free(&model);
	return 0;
}

static uint32_t flow_clock(void *now)
{
	return *(uint32_t *)now;
}

// Nobody may ever ask for metrics, but an entry that is left in the table for twelve days seems to
// be of today.
static void test_dead_flows_are_cleared_without_being_asked_for(void **unused)
{
	struct sluice_flow_table flows;
	void *memory = flow_memory_new(&flows, 1024);
	uint32_t now = 1000;
	uint64_t key = 1 << 16 | 1, hash = sluice_flow_hash(&flows, key);

	(void)unused;
	source.flows = &flows;
	source.flow_now = flow_clock;
	source.context = &now;
	sluice_flow_insert(&flows, key, hash,
	                   sluice_flow_pack((struct sluice_flow_value){.seen = now}), now);
	sluice_stats_sample(&stats);
	assert_non_null(sluice_flow_find(&flows, key, hash).entry);
	now += 4 * 86400;
	sluice_stats_sample(&stats); // not each time
	assert_non_null(sluice_flow_find(&flows, key, hash).entry);
	stats.flows_walked_ms -= 12 * 3600 * 1000;
	sluice_stats_sample(&stats);
	assert_null(sluice_flow_find(&flows, key, hash).entry);
	free(memory);
}

static void expect_line(const struct sluice_strbuf *b, const char *line)
{
	if (!strstr(b->data, line))
		print_message("%s\nis not in\n%s", line, b->data);
	assert_non_null(strstr(b->data, line));
}

// Fullnat's flows are counted beside the others, and with them by endpoint.
static void test_flows_of_both_tables_are_shown(void **unused)
{
	const struct sluice_model_endpoint *e = fixture_find(&model, "tomcat", 7);
	const struct sluice_flow_value v = {
	        .slot = e->slot, .generation = e->generation, .seen = 1000};
	struct sluice_flow_table flows;
	struct sluice_snat_table snat;
	struct sluice_snat_pool pool;
	struct sluice_snat snapshot;
	void *memory = flow_memory_new(&flows, 1024), *snat_memory;
	struct sluice_strbuf b = {0};
	uint32_t now = 1000;

	(void)unused;
	snat_test_pool(&pool, 3, 1024, 2047); // two IPv4, one IPv6
	snat_test_snapshot(&snapshot, &pool);
	snat_memory = snat_memory_new(&snat, 1024, &pool);
	source.flows = &flows;
	source.flow_now = flow_clock;
	source.context = &now;
	sluice_metrics_write(&b, &stats, false);
	assert_null(strstr(b.data, "sluice_snat"));
	sluice_strbuf_reset(&b);
	stats.flows_walked_ms = 0;
	source.snat = &snat;
	source.snat_pool = &pool;
	sluice_flow_insert(&flows, 1 << 17, 7, sluice_flow_pack(v), now);
	for (uint32_t i = 0; i < 3; i++) {
		struct snat_test_flow t = snat_test_flow(SLUICE_IPV4, i, 1);
		struct sluice_snat_flow f = {.client = sluice_target_view(&t.client),
		                             .endpoint = sluice_target_view(&t.endpoint),
		                             .family = SLUICE_IPV4,
		                             .frontend = 1,
		                             .key = snat_test_key(&snat, &t),
		                             .value = sluice_flow_pack(v)};

		f.hash = sluice_snat_hash(&snat, f.key);
		assert_int_equal(sluice_snat_insert(&snat, &f, &snapshot,
		                                    (struct sluice_snat_worker){0, 1}, now),
		                 SLUICE_SNAT_INSERTED);
	}
	sluice_count(&workers[0].snat_inserts, 2);
	sluice_count(&workers[1].snat_inserts, 1);
	sluice_metrics_write(&b, &stats, false);
	expect_line(&b, "\nsluice_flow_table_entries 1\n");
	expect_line(&b, "\nsluice_snat_table_entries 3\n");
	expect_line(&b, "\nsluice_snat_table_capacity 1024\n");
	expect_line(&b, "\nsluice_snat_ports{family=\"ipv4\"} 2048\n");
	expect_line(&b, "\nsluice_snat_ports{family=\"ipv6\"} 1024\n");
	expect_line(&b, "\nsluice_snat_inserts_total 3\n");
	expect_line(&b, "\nsluice_service_flows{namespace=\"default\",service=\"tomcat\"} 4\n");
	sluice_strbuf_free(&b);
	free(snat_memory);
	free(memory);
}

static void test_numbers_are_sums_over_workers(void **unused)
{
	struct sluice_strbuf b = {0};
	uint32_t slot = fixture_find(&model, "tomcat", 7)->slot;

	(void)unused;
	sluice_count(&workers[0].ports[0].rx_packets, 5);
	sluice_count(&workers[1].ports[0].rx_packets, 6);
	sluice_count(&workers[1].drops[SLUICE_DROP_TTL_EXPIRED], 2);
	sluice_count(&workers[0].split, 3);
	sluice_count(&workers[1].split, 4);
	sluice_count(&endpoints[0][slot].in_packets, 10);
	sluice_count(&endpoints[1][slot].in_packets, 20);
	sluice_stats_sync_applied(&stats, 300);
	sluice_stats_sync_refused(&stats, 422);
	sluice_metrics_write(&b, &stats, false);
	expect_line(&b, "\nsluice_port_receive_packets_total{port=\"eth0\"} 11\n");
	expect_line(&b, "\nsluice_dropped_packets_total{reason=\"ttl_expired\"} 2\n");
	expect_line(&b, "\nsluice_dropped_packets_total{reason=\"no_buffer\"} 0\n");
	expect_line(&b, "\nsluice_split_packets_total 7\n");
	expect_line(&b, "\nsluice_service_packets_total{namespace=\"default\",service=\"tomcat\","
	                "direction=\"in\"} 30\n");
	expect_line(&b, "\nsluice_endpoint_packets_total{namespace=\"default\",service=\"tomcat\","
	                "endpoint=\"172.17.0.7:8080\",direction=\"in\"} 30\n");
	expect_line(&b, "dpdk=\"DPDK \\\"22\\\\11\\\"\\n\"} 1\n");
	expect_line(&b, "\nsluice_sync_duration_seconds_bucket{le=\"0.00025\"} 0\n");
	expect_line(&b, "\nsluice_sync_duration_seconds_bucket{le=\"0.0005\"} 1\n");
	expect_line(&b, "\nsluice_sync_duration_seconds_bucket{le=\"+Inf\"} 1\n");
	expect_line(&b, "\nsluice_sync_total{result=\"refused\"} 1\n");
	assert_null(strstr(b.data, "secret"));
	sluice_strbuf_free(&b);
}

static uint64_t service_packets(void)
{
	struct sluice_traffic t;

	sluice_stats_service(&stats, model.services[0], &t);
	return t.in_packets;
}

static void test_service_counters_never_go_back(void **unused)
{
	struct sluice_error e;
	uint32_t slot = fixture_find(&model, "tomcat", 7)->slot;

	(void)unused;
	sluice_count(&endpoints[0][slot].in_packets, 100);
	assert_int_equal(service_packets(), 100);
	fixture_endpoints(&model, "tomcat", "{remove: [172.17.0.7:8080]}", &e);
	sluice_count(&endpoints[1][slot].in_packets, 11); // the old snapshot's last packets
	assert_int_equal(service_packets(), 111);
	sluice_model_reclaim(&model, model.generation);
	assert_int_equal(service_packets(), 111);
	model.slots.freed.ring[model.slots.freed.head].at_ms = 0; // it has rested
	fixture_endpoints(&model, "tomcat", "{add: [172.17.0.9:8080]}", &e);
	assert_int_equal(fixture_find(&model, "tomcat", 9)->slot, slot);
	assert_int_equal(service_packets(), 111);
	sluice_count(&endpoints[1][slot].in_packets, 1);
	struct sluice_traffic t;

	sluice_stats_endpoint(&stats, fixture_find(&model, "tomcat", 9), &t);
	assert_int_equal(t.in_packets, 1);
	assert_int_equal(service_packets(), 112);
}

// Prometheus' own parser, where it is installed.
static void test_promtool_reads_the_text(void **unused)
{
	struct sluice_strbuf b = {0};

	(void)unused;
	if (system("command -v promtool >/dev/null") != 0)
		skip();
	sluice_metrics_write(&b, &stats, false);
	FILE *f = popen("promtool check metrics", "w");

	fwrite(b.data, 1, b.len, f);
	int status = pclose(f);
	// 3 is "fine, but": build_info and the like are not to its taste.
	assert_true(status == 0 || status == 3 << 8);
	sluice_strbuf_free(&b);
}

int main(void)
{
#define ROW(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
	        ROW(test_numbers_are_sums_over_workers),
	        ROW(test_service_counters_never_go_back),
	        ROW(test_promtool_reads_the_text),
	        ROW(test_dead_flows_are_cleared_without_being_asked_for),
	        ROW(test_flows_of_both_tables_are_shown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
