// SPDX-License-Identifier: BSD-3-Clause
#pragma once

// The workers: each polls its queues, runs the pipeline and sends. Made, started, published to
// and stopped by the control thread.

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/flow_table.h"
#include "dataplane/port.h"
#include "dataplane/snat_table.h"
#include "sluice/counters.h"
#include "sluice/snapshot.h"

struct sluice_dataplane;

struct sluice_dataplane_config {
	const struct sluice_port *ports; // opened and started; must outlive the data plane
	unsigned port_count;
	const unsigned *lcores;   // one per worker
	const signed char *nodes; // of memory, that the workers run on; NULL: unknown
	unsigned worker_count;
	bool idle_poll; // never back off
	struct sluice_flow_table *flows;
	struct sluice_snat_table *snat; // NULL: no service is forwarded by fullnat
};

// NULL with errno: out of memory, or more workers than queues can serve.
struct sluice_dataplane *sluice_dataplane_new(const struct sluice_dataplane_config *config);

// Starts the workers; a snapshot must have been published.
int sluice_dataplane_start(struct sluice_dataplane *d);

// Makes s the snapshot in use and returns the one before it (NULL at first) once no worker can
// see that any more. Takes no longer than the longest round of a worker.
const struct sluice_snapshot *sluice_dataplane_publish(struct sluice_dataplane *d,
                                                       const struct sluice_snapshot *s);

// Hands the packets that wait for their next hop to resolve, from the IP header on, to send: as
// many as can wait at a time, whatever comes meanwhile. What send took (0, else -errno) is passed,
// the rest dropped. Returns how many there were. Control thread.
unsigned sluice_dataplane_drain(struct sluice_dataplane *d,
                                int (*send)(void *context, const void *packet, size_t length),
                                void *context);

// What the drains counted: passed by port, and drops.
const struct sluice_worker_counters *sluice_dataplane_drained(const struct sluice_dataplane *d);

// Stops the workers, sends what they hold, and frees all.
void sluice_dataplane_free(struct sluice_dataplane *d);

unsigned sluice_dataplane_worker_count(const struct sluice_dataplane *d);
unsigned sluice_dataplane_worker_lcore(const struct sluice_dataplane *d, unsigned worker);
const struct sluice_worker_counters *sluice_dataplane_counters(const struct sluice_dataplane *d,
                                                               unsigned worker);

// By slot. The control thread may clear a slot's counters while no snapshot has it.
struct sluice_endpoint_counters *
sluice_dataplane_endpoint_counters(const struct sluice_dataplane *d, unsigned worker);
