// SPDX-License-Identifier: BSD-3-Clause
#pragma once

// What is known about the running dataplane, added up: counters of all workers, flows by endpoint,
// readiness. The API and the metrics port read through it; tests fill the source with numbers of
// their own. Control thread only.

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "control/model.h"
#include "dataplane/bond.h"
#include "dataplane/flow_table.h"
#include "dataplane/snat_table.h"
#include "sluice/counters.h"

struct sluice_update_result;

// What a port's driver and link say at the moment.
struct sluice_port_link {
	bool up;
	uint8_t mac[6];
	uint16_t mtu;
	uint64_t missed; // packets that the driver had no room for
	uint64_t errors;
	unsigned member_count; // of a bond; else 0
	struct sluice_bond_member members[SLUICE_BOND_MEMBERS_MAX];
};

struct sluice_stats_port {
	const char *name; // the interface, or the device as configured
	uint16_t queues;
	const char *device;    // "af_xdp:eth1", as configured
	const char *interface; // the kernel's, its own or its face; NULL: none
	const char
	        *af_xdp; // how packets come from the kernel: "copy", "zero-copy"; NULL: they don't
};

struct sluice_stats_worker {
	unsigned core;
	const struct sluice_worker_counters *counters;
	const struct sluice_endpoint_counters *endpoints; // by slot
	uint32_t endpoint_count;                          // slots there are counters for
};

// Filled by main once and kept up to date by it; pointers are not owned.
struct sluice_stats_source {
	void *context;
	const char *dpdk_version;
	time_t started; // wall clock
	bool hugepages;
	uint64_t memory_bytes;
	bool flows_on_hugepages; // the flow table's file
	const char *announce;    // interface that virtual IPs are put on; NULL: none
	unsigned control_core;
	size_t cores_configured; // for workers; 0: left to us
	bool applied;            // a configuration is applied: set with the first publication
	const char *seed;        // cluster seed in use

	size_t port_count;
	struct sluice_stats_port ports[SLUICE_PORTS_MAX];
	size_t worker_count;
	struct sluice_stats_worker workers[SLUICE_WORKERS_MAX];
	// Packets that the control thread handed to the kernel: passed, and drops. NULL: none.
	const struct sluice_worker_counters *drained;
	const struct sluice_flow_table *flows;    // NULL: none
	const struct sluice_snat_table *snat;     // fullnat's flows; NULL: none
	const struct sluice_snat_pool *snat_pool; // with snat
	uint64_t cycles_per_second;

	// false: nothing known about the port (it is down). NULL: up, nothing counted.
	bool (*port_link)(void *context, size_t port, struct sluice_port_link *out);
	// Why packets can't be sent to an endpoint; NULL: they can. NULL itself: they always can.
	const char *(*obstacle)(void *context, const struct sluice_model_endpoint *e);
	// Whether the host has the address. NULL itself: nobody knows.
	bool (*announced)(void *context, const struct sluice_address *vip);
	uint64_t (*cycles)(void *context);     // the counter that busy_cycles is of
	uint32_t (*flow_now)(void *context);   // the clock of the flow table, seconds
	uint64_t (*generation)(void *context); // published
};

enum {
	SLUICE_SYNC_BUCKETS = 14,
};

struct sluice_port_link sluice_stats_port_link(const struct sluice_stats_source *source,
                                               size_t port);

// Upper bounds of the buckets of the sync histogram, in seconds; the last is +Inf.
extern const double sluice_sync_bounds[SLUICE_SYNC_BUCKETS - 1];

struct sluice_sync_stats {
	uint64_t applied, refused, failed;
	uint64_t buckets[SLUICE_SYNC_BUCKETS]; // not cumulative
	double seconds;                        // sum over applied ones
	uint64_t rows_moved;
};

struct sluice_stats {
	struct sluice_stats_source *source;
	const struct sluice_model *model;
	struct sluice_sync_stats sync;
	// Flow entries by slot, from the last walk, at most one a second.
	struct sluice_flow_count *flow_counts;
	uint32_t flow_counts_size;
	uint64_t flow_entries, snat_entries;
	uint64_t flows_walked_ms;
	// For the busy ratio: what was read at the last sample and the one before.
	uint64_t sampled_cycles;
	uint64_t sampled_busy[SLUICE_WORKERS_MAX];
	double busy[SLUICE_WORKERS_MAX];
};

struct sluice_flow_count {
	uint32_t flows;
	uint16_t generation; // of the endpoint they are counted for
};

void sluice_stats_init(struct sluice_stats *s, struct sluice_stats_source *source,
                       const struct sluice_model *model);
void sluice_stats_free(struct sluice_stats *s);

// Reads the workers' busy cycles, and walks the flow table where nobody did for half a day; to be
// called once a second, so that ratios are of a second.
void sluice_stats_sample(struct sluice_stats *s);

// A change that workers have (microseconds from request to answer), or one that was refused
// (client's fault) or failed (ours). Rows are counted once a publication, by the update step.
void sluice_stats_sync_applied(struct sluice_stats *s, uint64_t microseconds);
void sluice_stats_sync_refused(struct sluice_stats *s, int http_status);
void sluice_stats_published(struct sluice_stats *s, const struct sluice_update_result *result);

// Sums over workers. read_slot fits sluice_model_hooks with the stats as context.
void sluice_stats_read_slot(void *stats, uint32_t slot, struct sluice_traffic *out);
void sluice_stats_port(const struct sluice_stats *s, size_t port, struct sluice_traffic *io,
                       uint64_t *passed);
// What the kernel sent through a port's face.
void sluice_stats_port_kernel(const struct sluice_stats *s, size_t port, uint64_t *sent,
                              uint64_t *lost);
uint64_t sluice_stats_drops(const struct sluice_stats *s, enum sluice_drop reason);

// What an endpoint counted since it was added, and a service since it was made or the process
// started; the latter never goes back when endpoints leave.
void sluice_stats_endpoint(const struct sluice_stats *s, const struct sluice_model_endpoint *e,
                           struct sluice_traffic *out);
void sluice_stats_service(const struct sluice_stats *s, const struct sluice_model_service *service,
                          struct sluice_traffic *out);

// Walks the flow table where the last walk is a second old; then the counts below are of it.
void sluice_stats_walk_flows(struct sluice_stats *s);
uint64_t sluice_stats_endpoint_flows(const struct sluice_stats *s,
                                     const struct sluice_model_endpoint *e);
uint64_t sluice_stats_service_flows(const struct sluice_stats *s,
                                    const struct sluice_model_service *service);

// Whether an endpoint takes traffic; *reason (static text) says why not.
bool sluice_stats_endpoint_ready(const struct sluice_stats *s,
                                 const struct sluice_model_endpoint *e, const char **reason);

// Whether the host does its job: ports are up and a configuration is applied. Calls reason with
// each thing that is missing (reason may be NULL).
bool sluice_stats_ready(const struct sluice_stats *s,
                        void (*reason)(void *context, const char *text), void *context);
