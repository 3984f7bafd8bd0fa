// SPDX-License-Identifier: BSD-3-Clause
#include "control/metrics.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "control/address.h"
#include "dataplane/hash.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void gauge(struct sluice_exposition *x, const char *name, const char *help, uint64_t value)
{
	sluice_exposition_family(x, name, SLUICE_METRIC_GAUGE, help);
	sluice_exposition_u64(x, NULL, 0, value);
}

static void counter(struct sluice_exposition *x, const char *name, const char *help)
{
	sluice_exposition_family(x, name, SLUICE_METRIC_COUNTER, help);
}

// --- the process

static void write_process(struct sluice_exposition *x, const struct sluice_stats *s)
{
	const struct sluice_stats_source *source = s->source;
	struct sluice_label build[] = {
	        {"version", SLUICE_VERSION},
	        {"dpdk", source->dpdk_version ? source->dpdk_version : ""},
	};

	sluice_exposition_family(x, "sluice_build_info", SLUICE_METRIC_GAUGE,
	                         "Versions of sluice and DPDK; always 1.");
	sluice_exposition_u64(x, build, COUNT(build), 1);
	gauge(x, "sluice_generation", "The configuration in use; goes up with each publication.",
	      source->generation ? source->generation(source->context) : s->model->generation);
	gauge(x, "sluice_start_time_seconds", "When the process started, in seconds since 1970.",
	      (uint64_t)source->started);
}

// --- ports

struct port_column {
	const char *name, *help;
	size_t offset; // in struct port_row
	enum sluice_metric_type type;
};

struct port_row {
	struct sluice_traffic io;
	uint64_t passed, missed, errors, up;
	uint64_t kernel_sent, kernel_lost;
	struct sluice_port_link link;
};

static const struct port_column port_columns[] = {
        {"sluice_port_receive_packets", "Packets received from the port.",
         offsetof(struct port_row, io.in_packets), SLUICE_METRIC_COUNTER},
        {"sluice_port_receive_bytes", "Bytes received from the port.",
         offsetof(struct port_row, io.in_bytes), SLUICE_METRIC_COUNTER},
        {"sluice_port_transmit_packets", "Packets sent to the port.",
         offsetof(struct port_row, io.out_packets), SLUICE_METRIC_COUNTER},
        {"sluice_port_transmit_bytes", "Bytes sent to the port.",
         offsetof(struct port_row, io.out_bytes), SLUICE_METRIC_COUNTER},
        {"sluice_port_receive_missed", "Packets that the driver had no room for.",
         offsetof(struct port_row, missed), SLUICE_METRIC_COUNTER},
        {"sluice_port_receive_errors", "Packets that the driver received with errors.",
         offsetof(struct port_row, errors), SLUICE_METRIC_COUNTER},
        {"sluice_passed_packets", "Packets handed to the kernel.",
         offsetof(struct port_row, passed), SLUICE_METRIC_COUNTER},
        {"sluice_port_kernel_sent_packets", "Packets that the kernel sent through the port's face.",
         offsetof(struct port_row, kernel_sent), SLUICE_METRIC_COUNTER},
        {"sluice_port_kernel_lost_packets", "Packets of the kernel's that the port did not take.",
         offsetof(struct port_row, kernel_lost), SLUICE_METRIC_COUNTER},
        {"sluice_port_up", "Whether the link is up.", offsetof(struct port_row, up),
         SLUICE_METRIC_GAUGE},
};

static void write_members(struct sluice_exposition *x, const char *port,
                          const struct sluice_port_link *link)
{
	for (unsigned i = 0; i < link->member_count; i++) {
		const struct sluice_label labels[] = {{"port", port},
		                                      {"member", link->members[i].name}};

		sluice_exposition_u64(x, labels, COUNT(labels), link->members[i].up);
	}
}

static void write_ports(struct sluice_exposition *x, const struct sluice_stats *s)
{
	const struct sluice_stats_source *source = s->source;
	struct port_row rows[SLUICE_PORTS_MAX] = {0};

	for (size_t i = 0; i < source->port_count; i++) {
		const struct sluice_port_link *link = &rows[i].link;

		rows[i].link = sluice_stats_port_link(source, i);
		sluice_stats_port(s, i, &rows[i].io, &rows[i].passed);
		sluice_stats_port_kernel(s, i, &rows[i].kernel_sent, &rows[i].kernel_lost);
		rows[i].missed = link->missed;
		rows[i].errors = link->errors;
		rows[i].up = link->up;
	}
	for (size_t c = 0; c < COUNT(port_columns); c++) {
		const struct port_column *column = &port_columns[c];

		sluice_exposition_family(x, column->name, column->type, column->help);
		for (size_t i = 0; i < source->port_count; i++) {
			struct sluice_label label = {"port", source->ports[i].name};
			uint64_t value;

			memcpy(&value, (const char *)&rows[i] + column->offset, sizeof(value));
			sluice_exposition_u64(x, &label, 1, value);
		}
	}
	sluice_exposition_family(x, "sluice_port_member_up", SLUICE_METRIC_GAUGE,
	                         "Whether the link of a bond's member is up.");
	for (size_t i = 0; i < source->port_count; i++)
		write_members(x, source->ports[i].name, &rows[i].link);
}

// --- workers

static void write_worker_counter(struct sluice_exposition *x, const struct sluice_stats *s,
                                 const char *name, const char *help, size_t offset)
{
	counter(x, name, help);
	for (size_t i = 0; i < s->source->worker_count; i++) {
		const void *counters = s->source->workers[i].counters;
		char id[24];
		struct sluice_label label = {"worker", id};

		snprintf(id, sizeof(id), "%zu", i);
		sluice_exposition_u64(
		        x, &label, 1,
		        sluice_counter_read((const void *)((const char *)counters + offset)));
	}
}

static void write_workers(struct sluice_exposition *x, const struct sluice_stats *s)
{
	sluice_exposition_family(x, "sluice_worker_busy_ratio", SLUICE_METRIC_GAUGE,
	                         "Share of the last second in which the worker had packets.");
	for (size_t i = 0; i < s->source->worker_count; i++) {
		char id[24];
		struct sluice_label label = {"worker", id};

		snprintf(id, sizeof(id), "%zu", i);
		sluice_exposition_double(x, &label, 1, s->busy[i]);
	}
	write_worker_counter(x, s, "sluice_worker_polls", "Rounds over all queues of the worker.",
	                     offsetof(struct sluice_worker_counters, polls));
	write_worker_counter(x, s, "sluice_worker_packets", "Packets the worker handled.",
	                     offsetof(struct sluice_worker_counters, packets));
	write_worker_counter(x, s, "sluice_worker_busy_cycles",
	                     "CPU cycles in rounds that found packets.",
	                     offsetof(struct sluice_worker_counters, busy_cycles));
}

static uint64_t sum_workers(const struct sluice_stats *s, size_t offset)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < s->source->worker_count; i++) {
		const char *counters = (const char *)s->source->workers[i].counters;

		sum += sluice_counter_read((const void *)(counters + offset));
	}
	return sum;
}

#define SUM(s, member) sum_workers(s, offsetof(struct sluice_worker_counters, member))

// What happened to packets on the whole host, so that what came in is accounted for.
static void write_balance(struct sluice_exposition *x, const struct sluice_stats *s)
{
	counter(x, "sluice_split_packets",
	        "Packets made by cutting, beyond those that were too big and were cut.");
	sluice_exposition_u64(x, NULL, 0, SUM(s, split));
	counter(x, "sluice_dropped_packets", "Packets that went no further, by reason.");
	for (int i = 0; i < SLUICE_DROP_COUNT; i++) {
		struct sluice_label label = {"reason", sluice_drop_label(i)};

		sluice_exposition_u64(x, &label, 1, sluice_stats_drops(s, i));
	}
}

// --- services and endpoints

// One number of a service or an endpoint (NULL), by direction where it has one.
struct traffic_column {
	const char *name, *help; // behind sluice_service_ and sluice_endpoint_
	size_t in, out;          // in struct sluice_traffic; out 0: no direction
};

static const struct traffic_column traffic_columns[] = {
        {"packets", "Packets to (in) and from (out) endpoints.",
         offsetof(struct sluice_traffic, in_packets), offsetof(struct sluice_traffic, out_packets)},
        {"bytes", "Bytes to (in) and from (out) endpoints.",
         offsetof(struct sluice_traffic, in_bytes), offsetof(struct sluice_traffic, out_bytes)},
        {"connections", "New flows placed.", offsetof(struct sluice_traffic, connections), 0},
};

static uint64_t traffic_read(const struct sluice_traffic *t, size_t offset)
{
	uint64_t value;

	memcpy(&value, (const char *)t + offset, sizeof(value));
	return value;
}

static void write_traffic(struct sluice_exposition *x, const struct traffic_column *c,
                          const struct sluice_traffic *t, struct sluice_label *labels, size_t n)
{
	if (!c->out) {
		sluice_exposition_u64(x, labels, n, traffic_read(t, c->in));
		return;
	}
	labels[n] = (struct sluice_label){"direction", "in"};
	sluice_exposition_u64(x, labels, n + 1, traffic_read(t, c->in));
	labels[n].value = "out";
	sluice_exposition_u64(x, labels, n + 1, traffic_read(t, c->out));
}

static void write_services(struct sluice_exposition *x, const struct sluice_stats *s)
{
	const struct sluice_model *m = s->model;

	for (size_t c = 0; c < COUNT(traffic_columns); c++) {
		char name[64];

		snprintf(name, sizeof(name), "sluice_service_%s", traffic_columns[c].name);
		counter(x, name, traffic_columns[c].help);
		for (size_t i = 0; i < m->service_count; i++) {
			const struct sluice_model_service *service = m->services[i];
			struct sluice_traffic t;
			struct sluice_label labels[3] = {
			        {"namespace", service->spec.namespace_},
			        {"service", service->spec.name},
			};

			sluice_stats_service(s, service, &t);
			write_traffic(x, &traffic_columns[c], &t, labels, 2);
		}
	}
	sluice_exposition_family(x, "sluice_service_flows", SLUICE_METRIC_GAUGE,
	                         "Live flows of the service in the flow table.");
	for (size_t i = 0; i < m->service_count; i++) {
		const struct sluice_model_service *service = m->services[i];
		struct sluice_label labels[] = {
		        {"namespace", service->spec.namespace_},
		        {"service", service->spec.name},
		};

		sluice_exposition_u64(x, labels, COUNT(labels),
		                      sluice_stats_service_flows(s, service));
	}
}

typedef void write_endpoint(struct sluice_exposition *x, const struct sluice_stats *s,
                            const struct sluice_model_endpoint *e, struct sluice_label *labels,
                            size_t n, size_t column);

// Calls write for every endpoint, its labels in labels[0..3).
static void each_endpoint(struct sluice_exposition *x, const struct sluice_stats *s,
                          write_endpoint *write, size_t column)
{
	for (size_t i = 0; i < s->model->service_count; i++) {
		const struct sluice_model_service *service = s->model->services[i];

		for (size_t j = 0; j < service->endpoint_count; j++) {
			const struct sluice_model_endpoint *e = &service->endpoints[j];
			char endpoint[SLUICE_ENDPOINT_TEXT];
			struct sluice_label labels[4] = {
			        {"namespace", service->spec.namespace_},
			        {"service", service->spec.name},
			        {"endpoint", endpoint},
			};

			sluice_endpoint_format(&e->spec.address, e->spec.port, endpoint);
			write(x, s, e, labels, 3, column);
		}
	}
}

static void write_endpoint_traffic(struct sluice_exposition *x, const struct sluice_stats *s,
                                   const struct sluice_model_endpoint *e,
                                   struct sluice_label *labels, size_t n, size_t column)
{
	struct sluice_traffic t;

	sluice_stats_endpoint(s, e, &t);
	write_traffic(x, &traffic_columns[column], &t, labels, n);
}

enum endpoint_gauge {
	ENDPOINT_FLOWS,
	ENDPOINT_UP,
	ENDPOINT_WEIGHT,
	ENDPOINT_DRAINING,
	ENDPOINT_GAUGES,
};

static const char *const endpoint_gauges[ENDPOINT_GAUGES][2] = {
        [ENDPOINT_FLOWS] = {"sluice_endpoint_flows", "Live flows in the flow table."},
        [ENDPOINT_UP] = {"sluice_endpoint_up", "Whether packets can be sent to the endpoint."},
        [ENDPOINT_WEIGHT] = {"sluice_endpoint_weight", "Weight of the endpoint."},
        [ENDPOINT_DRAINING] = {"sluice_endpoint_draining",
                               "Whether it keeps its flows, but takes no new ones."},
};

static void write_endpoint_gauge(struct sluice_exposition *x, const struct sluice_stats *s,
                                 const struct sluice_model_endpoint *e, struct sluice_label *labels,
                                 size_t n, size_t column)
{
	const char *reason;
	uint64_t value = 0;

	switch ((enum endpoint_gauge)column) {
	case ENDPOINT_FLOWS:
		value = sluice_stats_endpoint_flows(s, e);
		break;
	case ENDPOINT_UP:
		value = sluice_stats_endpoint_ready(s, e, &reason);
		break;
	case ENDPOINT_WEIGHT:
		value = e->spec.weight;
		break;
	case ENDPOINT_DRAINING:
		value = e->spec.state == SLUICE_STATE_DRAINING;
		break;
	case ENDPOINT_GAUGES:
		return;
	}
	sluice_exposition_u64(x, labels, n, value);
}

static void write_endpoints(struct sluice_exposition *x, const struct sluice_stats *s)
{
	for (size_t c = 0; c < COUNT(traffic_columns); c++) {
		char name[64];

		snprintf(name, sizeof(name), "sluice_endpoint_%s", traffic_columns[c].name);
		counter(x, name, traffic_columns[c].help);
		each_endpoint(x, s, write_endpoint_traffic, c);
	}
	for (size_t g = 0; g < ENDPOINT_GAUGES; g++) {
		sluice_exposition_family(x, endpoint_gauges[g][0], SLUICE_METRIC_GAUGE,
		                         endpoint_gauges[g][1]);
		each_endpoint(x, s, write_endpoint_gauge, g);
	}
}

// --- flows

// How many flows of one endpoint there can be.
static void write_snat_ports(struct sluice_exposition *x, const struct sluice_snat_pool *pool)
{
	uint64_t v4 = 0, ports = pool->last_port - pool->first_port + 1U;

	for (size_t i = 0; i < pool->count; i++)
		v4 += sluice_address_family(&pool->addresses[i]) == SLUICE_IPV4;
	sluice_exposition_family(x, "sluice_snat_ports", SLUICE_METRIC_GAUGE,
	                         "Ports of all SNAT addresses: the most flows of one endpoint.");
	sluice_exposition_u64(x, &(struct sluice_label){"family", "ipv4"}, 1, v4 * ports);
	sluice_exposition_u64(x, &(struct sluice_label){"family", "ipv6"}, 1,
	                      (pool->count - v4) * ports);
}

// Fullnat's flows; those that found no port or no room are drops of reason snat_exhausted.
static void write_snat(struct sluice_exposition *x, const struct sluice_stats *s)
{
	struct sluice_label probation = {"class", "probation"};

	gauge(x, "sluice_snat_table_entries", "Live flows of fullnat services.", s->snat_entries);
	gauge(x, "sluice_snat_table_capacity", "Flows of fullnat services that there is room for.",
	      sluice_snat_table_capacity(s->source->snat));
	write_snat_ports(x, s->source->snat_pool);
	counter(x, "sluice_snat_inserts", "New flows that got an address and port of ours.");
	sluice_exposition_u64(x, NULL, 0, SUM(s, snat_inserts));
	counter(x, "sluice_snat_evictions", "Live flows that new ones pushed out, by class.");
	sluice_exposition_u64(x, &probation, 1, SUM(s, snat_evictions_probation));
	counter(x, "sluice_snat_expirations",
	        "Flows whose time was up when their place was taken.");
	sluice_exposition_u64(x, NULL, 0, SUM(s, snat_expirations));
}

static void write_flows(struct sluice_exposition *x, const struct sluice_stats *s)
{
	struct sluice_label probation = {"class", "probation"};
	struct sluice_label established = {"class", "established"};
	const struct sluice_flow_table *flows = s->source->flows;

	gauge(x, "sluice_flow_table_entries", "Live flows in the flow table.", s->flow_entries);
	gauge(x, "sluice_flow_table_capacity", "Flows that the flow table has room for.",
	      flows ? sluice_flow_table_capacity(flows) : 0);
	counter(x, "sluice_flow_inserts", "New flows that the flow table took.");
	sluice_exposition_u64(x, NULL, 0, SUM(s, flow_inserts));
	counter(x, "sluice_flow_evictions", "Live flows that new ones pushed out, by class.");
	sluice_exposition_u64(x, &probation, 1, SUM(s, flow_evictions_probation));
	sluice_exposition_u64(x, &established, 1, SUM(s, flow_evictions_established));
	counter(x, "sluice_flow_expirations",
	        "Flows whose time was up when their place was taken.");
	sluice_exposition_u64(x, NULL, 0, SUM(s, flow_expirations));
	counter(x, "sluice_flow_untracked",
	        "New flows that found no room; the hash alone places them.");
	sluice_exposition_u64(x, NULL, 0, SUM(s, flow_untracked));
	if (s->source->snat)
		write_snat(x, s);
}

// --- changes

static void write_sync(struct sluice_exposition *x, const struct sluice_stats *s)
{
	const struct sluice_sync_stats *sync = &s->sync;
	struct sluice_label applied = {"result", "applied"};
	struct sluice_label refused = {"result", "refused"};
	struct sluice_label failed = {"result", "failed"};

	counter(x, "sluice_sync", "Changes asked for, by result.");
	sluice_exposition_u64(x, &applied, 1, sync->applied);
	sluice_exposition_u64(x, &refused, 1, sync->refused);
	sluice_exposition_u64(x, &failed, 1, sync->failed);
	sluice_exposition_family(x, "sluice_sync_duration_seconds", SLUICE_METRIC_HISTOGRAM,
	                         "From a change's arrival until every worker had it.");
	sluice_exposition_histogram(x, sluice_sync_bounds, sync->buckets, SLUICE_SYNC_BUCKETS,
	                            sync->seconds);
	counter(x, "sluice_table_rows_moved", "Maglev rows that changed endpoint.");
	sluice_exposition_u64(x, NULL, 0, sync->rows_moved);
}

// Whether hosts have the same seed, without saying which.
static void write_seed(struct sluice_exposition *x, const struct sluice_stats *s)
{
	struct sluice_hash_key key;
	char text[17];
	struct sluice_label label = {"fingerprint", text};
	const char *seed = s->source->seed;

	if (!seed)
		return;
	sluice_hash_key_expand(&key, "sluice fingerprint of a cluster seed");
	snprintf(text, sizeof(text), "%016" PRIx64, sluice_hash_bytes(&key, seed, strlen(seed)));
	sluice_exposition_family(x, "sluice_cluster_seed_info", SLUICE_METRIC_GAUGE,
	                         "Fingerprint of the cluster seed; always 1.");
	sluice_exposition_u64(x, &label, 1, 1);
}

void sluice_metrics_write(struct sluice_strbuf *out, struct sluice_stats *s, bool openmetrics)
{
	struct sluice_exposition x = {.out = out, .openmetrics = openmetrics};

	sluice_stats_walk_flows(s);
	write_process(&x, s);
	write_ports(&x, s);
	write_workers(&x, s);
	write_balance(&x, s);
	write_services(&x, s);
	write_endpoints(&x, s);
	write_flows(&x, s);
	write_sync(&x, s);
	write_seed(&x, s);
	if (openmetrics)
		sluice_strbuf_puts(out, "# EOF\n");
}
