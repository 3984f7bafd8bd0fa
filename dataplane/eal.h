// SPDX-License-Identifier: BSD-3-Clause
#pragma once

// DPDK's environment (EAL): cores, memory, log. Started once, by the main thread.
//
// What goes wrong is logged in words with its fix; the return value only says that it did.

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dataplane/numa.h"
#include "dataplane/pci.h"
#include "sluice/log.h"
#include "sluice/types.h"

enum sluice_hugepages {
	SLUICE_HUGEPAGES_AUTO, // used where enough are free, else ordinary memory
	SLUICE_HUGEPAGES_REQUIRE,
	SLUICE_HUGEPAGES_OFF,
};

struct sluice_eal_config {
	const char *program; // argv[0], for the EAL's messages
	const unsigned *worker_cores;
	size_t worker_core_count; // 0: every usable core but the first, at least one; near ones
	                          // first
	unsigned worker_limit;    // of those: no more than there are queues to serve; 0: none
	const struct sluice_numa *numa; // NULL: unknown, and nodes empty
	uint64_t nodes;                 // of memory, that the ports are on
	enum sluice_hugepages hugepages;
	size_t memory;                   // bytes that will be asked for: sluice_eal_memory_estimate
	enum sluice_log_level log_level; // EAL lines less important than this are not logged
	const char (*pci)[SLUICE_BDF_SIZE]; // addresses of the cards to be used, and no others
	size_t pci_count;
	char *const *extra; // the user's own EAL arguments, after all of ours
	size_t extra_count;
};

// Where things run. A worker is an lcore; on a host of one core it shares it with the main one.
struct sluice_eal {
	unsigned main_core; // CPU of the control thread
	unsigned worker_count;
	unsigned worker_lcores[SLUICE_WORKERS_MAX];   // for rte_eal_remote_launch
	unsigned worker_cores[SLUICE_WORKERS_MAX];    // the CPUs they run on
	signed char worker_nodes[SLUICE_WORKERS_MAX]; // those CPUs' nodes, or SLUICE_NUMA_ANY
	bool hugepages;
	size_t page_size; // bytes, of the memory in use
	size_t memory;    // bytes reserved at start; with hugepages more is taken as needed
};

// Where the ports' nodes are known, the process's memory comes from there from now on, that of
// workers from their own (sluice_numa_prefer).
// -EINVAL: a core that is not usable or an argument that the EAL refuses; -ENOMEM: too few
// hugepages for `require`; or what rte_eal_init says.
int sluice_eal_start(const struct sluice_eal_config *config, struct sluice_eal *eal);

// After all ports are closed and all workers have returned.
void sluice_eal_stop(void);

// Main and worker cores as sluice_eal_start will choose them, so that the number of workers (and
// what depends on it) is known before. Fills main_core and all of the workers'.
int sluice_eal_cores(const struct sluice_eal_config *config, struct sluice_eal *eal);

struct sluice_eal_memory {
	unsigned queues;  // of all ports together
	unsigned workers; //
	size_t frame;     // largest frame of any port, bytes: sluice_port_frame_size
	size_t tables;    // routing tables and what else is taken from the EAL's heap, bytes
};

// Bytes that the EAL has to have: packet buffers, tables, and the EAL's own.
size_t sluice_eal_memory_estimate(const struct sluice_eal_memory *m);

// Packet buffers that queues and workers can hold at a time: what the pool must have.
unsigned sluice_eal_buffers(unsigned queues, unsigned workers);
