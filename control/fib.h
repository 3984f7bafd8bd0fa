// SPDX-License-Identifier: BSD-3-Clause
#pragma once

// The kernel mirror's routes and neighbours as the workers look them up: DPDK's FIBs and the
// adjacencies they point to. Immutable; rebuilt whole when the kernel's tables change, shared by
// the snapshots of the time between. Control thread only.

#include <stddef.h>
#include <stdint.h>

#include "control/kernel.h"
#include "sluice/snapshot.h"

struct sluice_port;
struct rte_fib;
struct rte_fib6;

struct sluice_fib {
	unsigned references;
	struct rte_fib *v4;
	struct rte_fib6 *v6;
	size_t adjacency_count;
	struct sluice_adjacency *adjacencies; // [0]: no route
	// The gateways of routes over a port: to be kept resolved.
	size_t gateway_count;
	struct sluice_kernel_hop *gateways;
};

// A FIB with one reference. NULL with errno: EAL memory (ENOMEM); the reason is logged.
struct sluice_fib *sluice_fib_new(const struct sluice_kernel *kernel,
                                  const struct sluice_port *ports, unsigned port_count);
struct sluice_fib *sluice_fib_get(struct sluice_fib *f);
void sluice_fib_put(struct sluice_fib *f);

// How packets leave for a next hop: state NONE where it is not over a port.
struct sluice_adjacency sluice_fib_adjacency(const struct sluice_kernel *kernel,
                                             const struct sluice_port *ports, unsigned port_count,
                                             const struct sluice_kernel_hop *hop);

// The port of an interface, which is the port's own, or a VLAN interface on it: *vlan is its id
// (0: untagged). NULL: packets out of that interface don't leave over a port.
const struct sluice_port *sluice_fib_port(const struct sluice_kernel *kernel,
                                          const struct sluice_port *ports, unsigned port_count,
                                          uint32_t ifindex, uint16_t *vlan);

// Bytes of EAL memory that two FIBs of so many routes take: the one in use and the next.
size_t sluice_fib_memory(size_t routes);
