// SPDX-License-Identifier: BSD-3-Clause
#pragma once

// What the configuration says of the ports, looked at before anything is touched. What is wrong is
// logged in words; the return value only says that it is.

#include <stdbool.h>
#include <stddef.h>

#include "control/config.h"
#include "dataplane/eal.h"
#include "dataplane/port.h"

// numa: NULL where it does not matter which nodes of memory the port is on.
struct sluice_port_config sluice_ports_config(const struct sluice_config *c, size_t i,
                                              const struct sluice_numa *numa);

// The nodes of memory that the ports are on.
uint64_t sluice_ports_nodes(const struct sluice_config *c, const struct sluice_numa *numa);

// Whether any of them is made of cards that DPDK drives.
bool sluice_ports_have_cards(const struct sluice_config *c);

// The cards of all ports, each once.
struct sluice_cards {
	char bdf[SLUICE_PORTS_MAX * SLUICE_BOND_MEMBERS_MAX][SLUICE_BDF_SIZE];
	size_t count;
};

int sluice_ports_cards(const struct sluice_config *c, struct sluice_cards *cards);

// Fills memory's largest frame and queues of all together; fewest: queues of the port with the
// fewest, which is how many workers there can be: each has a transmit queue of its own on every
// port.
int sluice_ports_check(const struct sluice_config *c, struct sluice_eal_memory *memory,
                       unsigned *fewest);
