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
	const char *bus;    // DPDK's name for where the device is found

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
extern const struct sluice_port_kind_ops sluice_port_pci;
extern const struct sluice_port_kind_ops sluice_port_bond;

// port_af_xdp.c: sockets of this process whose packets the kernel does not copy.
unsigned sluice_af_xdp_zero_copy_sockets(void);

// port_face.c: opens the TAP named face, with the port's MAC and MTU, a queue for each of the
// port's transmit queues, and starts it. 0, or -errno with the reason logged.
uint16_t sluice_face_mtu(const char *face); // of one that is there; else an Ethernet's
int sluice_face_open(struct sluice_port *port, const char *face, struct rte_mempool *pool);
void sluice_face_close(struct sluice_port *port);
