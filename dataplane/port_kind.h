// SPDX-License-Identifier: BSD-3-Clause
#pragma once

// What differs between kinds of ports. port.c's own: a new kind is a file and a row there.

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dataplane/port.h"

enum {
	PORT_VLAN_TAGS = 2 * 4,
	PORT_FRAME_OVERHEAD = 14 + PORT_VLAN_TAGS, // Ethernet without FCS, and two tags
};

struct sluice_port_kind_ops {
	const char *prefix; // of the configuration's device

	// As sluice_port_check.
	int (*check)(const struct sluice_port_config *config);

	// Fills name, device, ifindex, mtu (0: ask the device) and tx_queues (0: as many as there
	// are workers) of the port, and the DPDK driver's arguments.
	int (*describe)(struct sluice_port *port, const struct sluice_port_config *config,
	                bool copy, char *arguments, size_t size);

	// What may be wrong when the driver refuses the device; logged.
	void (*explain)(const struct sluice_port *port);
};

extern const struct sluice_port_kind_ops sluice_port_af_xdp;
extern const struct sluice_port_kind_ops sluice_port_vdev;
