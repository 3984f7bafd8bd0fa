// SPDX-License-Identifier: BSD-3-Clause
#include "control/ports.h"

#include <errno.h>
#include <string.h>

#include "sluice/log.h"

struct sluice_port_config sluice_ports_config(const struct sluice_config *c, size_t i,
                                              const struct sluice_numa *numa)
{
	struct sluice_port_config port = {
	        .kind = c->ports[i].kind,
	        .device = c->ports[i].argument,
	        .queues = c->ports[i].queues,
	        .face = c->ports[i].interface,
	};

	if (numa)
		port.nodes = sluice_port_nodes(&port, numa);
	return port;
}

uint64_t sluice_ports_nodes(const struct sluice_config *c, const struct sluice_numa *numa)
{
	uint64_t nodes = 0;

	for (size_t i = 0; i < c->port_count; i++)
		nodes |= sluice_ports_config(c, i, numa).nodes;
	return nodes;
}

static bool has_kind(const struct sluice_config *c, enum sluice_port_kind kind)
{
	for (size_t i = 0; i < c->port_count; i++)
		if (c->ports[i].kind == kind)
			return true;
	return false;
}

bool sluice_ports_have_cards(const struct sluice_config *c)
{
	for (size_t i = 0; i < c->port_count; i++)
		if (sluice_port_is_card(c->ports[i].kind))
			return true;
	return false;
}

int sluice_ports_cards(const struct sluice_config *c, struct sluice_cards *cards)
{
	cards->count = 0;
	for (size_t i = 0; i < c->port_count; i++) {
		struct sluice_port_config port = sluice_ports_config(c, i, NULL);
		size_t first = cards->count;

		cards->count += sluice_port_cards(&port, &cards->bdf[first]);
		for (size_t k = first; k < cards->count; k++) {
			for (size_t other = 0; other < first; other++) {
				if (strcmp(cards->bdf[k], cards->bdf[other]) != 0)
					continue;
				log_error("ports[%zu].device: another port has %s already", i,
				          cards->bdf[k]);
				return -EINVAL;
			}
		}
	}
	return 0;
}

// Queues that hold buffers: of a bond, those of every member.
static unsigned queues_of(const struct sluice_port_config *port)
{
	struct sluice_bond bond;

	if (port->kind != SLUICE_PORT_BOND || sluice_bond_parse(port->device, &bond))
		return port->queues;
	return port->queues * bond.count;
}

int sluice_ports_check(const struct sluice_config *c, struct sluice_eal_memory *memory,
                       unsigned *fewest)
{
	*fewest = SLUICE_WORKERS_MAX;
	if (sluice_ports_have_cards(c) && has_kind(c, SLUICE_PORT_AF_XDP)) {
		log_error("ports: pci or bond and af_xdp ports cannot stand together: cards and "
		          "AF_XDP sockets want packet buffers that are laid out differently");
		return -EINVAL;
	}
	for (size_t i = 0; i < c->port_count; i++) {
		struct sluice_port_config port = sluice_ports_config(c, i, NULL);
		int bytes = sluice_port_check(&port);

		if (bytes < 0)
			return bytes;
		memory->frame = (size_t)bytes > memory->frame ? (size_t)bytes : memory->frame;
		memory->queues += queues_of(&port);
		*fewest = port.queues < *fewest ? port.queues : *fewest;
	}
	return 0;
}
