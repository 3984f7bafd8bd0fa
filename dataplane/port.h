// SPDX-License-Identifier: BSD-3-Clause
#pragma once

// A port: where workers receive and transmit. Opened, read and closed by the control thread;
// workers use `id` and the queue numbers only.
//
// Workers share out the receive queues of each port (sluice_numa_share); worker w transmits on
// queue w of every port, so the port with the fewest tx queues limits the number of workers. AF_XDP
// and net_tap have as many of them as `queues` says, other devices one per worker where they can.
//
// What goes wrong is logged in words with its fix; the return value only says that it did.

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dataplane/bond.h"
#include "dataplane/numa.h"
#include "dataplane/pci.h"
#include "sluice/types.h"

struct rte_mempool;

enum sluice_port_kind {
	SLUICE_PORT_AF_XDP,
	SLUICE_PORT_VDEV,
	SLUICE_PORT_PCI,
	SLUICE_PORT_BOND,
};

// Whether the port is made of cards that DPDK drives: they read and write the packet buffers, and
// need a kernel face.
static inline bool sluice_port_is_card(enum sluice_port_kind kind)
{
	return kind == SLUICE_PORT_PCI || kind == SLUICE_PORT_BOND;
}

struct sluice_port_config {
	enum sluice_port_kind kind;
	const char *device; // what stands after "af_xdp:", "pci:", ...
	uint16_t queues;    // receive queues, at least 1
	const char *face;   // name of the kernel face (port_face.c); NULL: none
	uint64_t nodes;     // sluice_port_nodes
};

struct sluice_port {
	unsigned index;  // in the configuration: struct sluice_adjacency's port
	char name[64];   // in metrics: the interface's, or the virtual device's
	char device[64]; // DPDK's name
	enum sluice_port_kind kind;
	uint16_t id; // DPDK's
	int ifindex; // of the kernel's interface, the port's own or its face; 0: none
	uint8_t mac[6];
	uint16_t mtu; // largest IP packet, bytes
	uint16_t rx_queues, tx_queues;
	uint64_t nodes; // of memory, that its devices are on; 0: unknown
	bool started;
	bool zero_copy; // AF_XDP: the kernel's driver and ours share the packet buffers
	bool has_face;
	uint16_t face; // DPDK's id of the TAP that is the port's kernel face
	char face_device[64];
	struct sluice_bond bond; // what it is made of; of other ports: nothing
};

// What the device lost, since it was opened.
struct sluice_port_losses {
	uint64_t missed; // received, but no room in the queue
	uint64_t errors; // received broken
};

// Before the EAL starts: bytes of the largest frame the port can be handed, or -errno with the
// reason logged (no such interface, down, too few channels, MTU too large for AF_XDP).
int sluice_port_check(const struct sluice_port_config *config);

// The addresses of the cards that the port is made of, at most SLUICE_BOND_MEMBERS_MAX; returns how
// many.
size_t sluice_port_cards(const struct sluice_port_config *config, char (*bdf)[SLUICE_BDF_SIZE]);

// The nodes of memory that the port's cards are on, or the card behind its interface; none where
// that is unknown or the host has one only.
uint64_t sluice_port_nodes(const struct sluice_port_config *config, const struct sluice_numa *numa);

// Those of all of the ports.
static inline uint64_t sluice_ports_near(const struct sluice_port *ports, unsigned count)
{
	uint64_t nodes = 0;

	for (unsigned i = 0; i < count; i++)
		nodes |= ports[i].nodes;
	return nodes;
}

// The packet buffers all ports share, so that an AF_XDP port transmits in place what another one
// received. count: sluice_eal_buffers; frame: the largest of sluice_port_check; dma: cards read and
// write the buffers themselves, which AF_XDP ports can't share then. node: of memory, or
// SLUICE_NUMA_ANY; where it has too little, another one's, which is logged.
struct rte_mempool *sluice_port_pool_new(unsigned count, size_t frame, bool dma, int node);

// Creates the device, sets up its queues and starts it. copy: hugepages are not in use, so an
// AF_XDP socket must be in copy mode. For AF_XDP, call sluice_steer_prepare before and
// sluice_steer_attach after. workers: how many may transmit.
int sluice_port_open(struct sluice_port *port, unsigned index,
                     const struct sluice_port_config *config, struct rte_mempool *pool,
                     unsigned workers, bool copy);

// After the last worker has left it. An AF_XDP port's steering program goes with it; its sockets
// go only with the process (DPDK 22.11), so it cannot be opened again.
void sluice_port_close(struct sluice_port *port);

bool sluice_port_link_up(const struct sluice_port *port);

// The members of a bond, and their links; returns how many there are of which that is known. Of
// other ports: none.
unsigned sluice_port_members(const struct sluice_port *port,
                             struct sluice_bond_member out[static SLUICE_BOND_MEMBERS_MAX]);

// Makes the face's carrier the port's link, and the port's MTU the face's, which is where an
// administrator sets it. To be called now and then, and when the kernel's links changed.
void sluice_port_face_follow(struct sluice_port *port, uint32_t face_mtu, bool face_running);
int sluice_port_losses(const struct sluice_port *port, struct sluice_port_losses *losses);
