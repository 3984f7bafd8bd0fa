// SPDX-License-Identifier: BSD-3-Clause
#pragma once

// How packets get to an endpoint, by its service's forwarding mode, and what is in the way where
// they don't. Control thread only.

#include <stddef.h>

#include "control/kernel.h"
#include "sluice/snapshot.h"

struct sluice_port;

// What answers are worked out from; good until the mirror changes.
struct sluice_reacher {
	const struct sluice_kernel *kernel;
	const struct sluice_port *ports;
	unsigned port_count;
	size_t source_count, source_capacity;
	struct sluice_kernel_address *sources; // of the host's addresses, those to send from
	int error;                             // of the visit that lists them
};

struct sluice_reach {
	struct sluice_kernel_hop hop;        // to be kept resolved; ifindex 0: there is none
	struct sluice_adjacency adjacency;   // state NONE: no way
	struct sluice_address tunnel_source; // in tunnels
	const char *obstacle;                // why it can't be reached now; NULL: it can
};

// 0 or -ENOMEM.
int sluice_reacher_init(struct sluice_reacher *r, const struct sluice_kernel *kernel,
                        const struct sluice_port *ports, unsigned port_count);
void sluice_reacher_clear(struct sluice_reacher *r);

void sluice_reach_find(const struct sluice_reacher *r, const struct sluice_address *to,
                       enum sluice_forwarding forwarding, struct sluice_reach *out);
