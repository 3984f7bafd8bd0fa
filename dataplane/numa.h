// SPDX-License-Identifier: BSD-3-Clause
#pragma once

// Memory nodes (NUMA): which cores and devices are near to which memory, and what follows for
// where workers run and memory lies. A set of nodes has bit n for node n. On a host of one node
// all is unknown, and nothing follows.

#include <sched.h>
#include <stdbool.h>
#include <stdint.h>

enum {
	SLUICE_NUMA_ANY = -1, // DPDK's SOCKET_ID_ANY too
	SLUICE_NUMA_NODES_MAX = 64,
};

struct sluice_numa {
	signed char core_nodes[CPU_SETSIZE]; // SLUICE_NUMA_ANY: unknown
};

// root: the directory that has /sys; "" for this host's.
void sluice_numa_read(struct sluice_numa *numa, const char *root);

// The set of the one node that a device is on, by its directory in sysfs; empty where unknown.
uint64_t sluice_numa_device(const struct sluice_numa *numa, const char *directory);

// For what can be on one node only: the first of the set; SLUICE_NUMA_ANY where it is empty.
int sluice_numa_first(uint64_t nodes);

// Chooses up to limit of the usable cores: those of the nodes, which take turns, then the others.
// Returns how many. numa may be NULL for no nodes.
unsigned sluice_numa_cores(const struct sluice_numa *numa, uint64_t nodes, const cpu_set_t *usable,
                           unsigned limit, unsigned *cores);

// The queues of a port that a worker polls: first, first + step, ...
struct sluice_numa_share {
	unsigned first, step;
};

// Every worker has its share of every port. Where ports are on several nodes, workers on one of
// them leave the ports of the others to those that are near, if any are: as a port has as many
// queues as there are workers, or more, none is left without a queue.
// worker_nodes: of each, NULL: unknown; ports: all ports' nodes; port: this one's.
struct sluice_numa_share sluice_numa_share(const signed char *worker_nodes, unsigned workers,
                                           unsigned worker, uint64_t ports, uint64_t port);

// From now on, what the calling thread and those that it starts are the first to touch comes from
// the nodes: from one where it has memory left, page by page from several in turn. Files on tmpfs
// and hugetlbfs too. An empty set changes nothing. 0 or -errno, as where a container forbids it.
int sluice_numa_prefer(uint64_t nodes);

// Ends that for the calling thread: memory comes from the node that it runs on.
void sluice_numa_prefer_own(void);
