// SPDX-License-Identifier: BSD-3-Clause

// bond:MODE,MEMBER,MEMBER...: several cards that act as one, by DPDK's bonding driver. The members
// are checked as pci: ports are; the port has one face and one MAC, the first member's.

#include <errno.h>
#include <rte_ethdev.h>
#include <stdio.h>

#include "dataplane/bond.h"
#include "dataplane/pci.h"
#include "dataplane/port_kind.h"
#include "sluice/log.h"

static int bond_check(const struct sluice_port_config *config)
{
	struct sluice_bond bond;
	const char *wrong = sluice_bond_parse(config->device, &bond);

	if (wrong) {
		log_error("bond:%s: %s", config->device, wrong);
		return -EINVAL;
	}
	for (unsigned i = 0; i < bond.count; i++) {
		struct sluice_port_config member = *config;
		int bytes;

		member.device = bond.members[i];
		bytes = sluice_is_bdf(member.device) ? sluice_port_pci.check(&member) : 0;
		if (bytes < 0)
			return bytes;
	}
	return sluice_face_mtu(config->face) + PORT_FRAME_OVERHEAD;
}

static int bond_describe(struct sluice_port *port, const struct sluice_port_config *config,
                         bool copy, char *arguments, size_t size)
{
	const struct sluice_bond *bond = &port->bond;
	size_t used;

	(void)copy;
	if (sluice_bond_parse(config->device, &port->bond))
		return -EINVAL;
	snprintf(port->device, sizeof(port->device), "net_bonding%u", port->index);
	snprintf(port->name, sizeof(port->name), "bond%u", port->index);
	port->mtu = sluice_face_mtu(config->face);
	used = (size_t)snprintf(arguments, size, "mode=%u,xmit_policy=l34", bond->mode);
	for (unsigned i = 0; i < bond->count; i++)
		used += (size_t)snprintf(arguments + used, size - used, ",slave=%s",
		                         bond->members[i]);
	return 0;
}

static void bond_explain(const struct sluice_port *port)
{
	log_error("%s: DPDK does not bond these members: each must be a card that it has a driver "
	          "for, or a device that it was told of, and have as many queues as the port; the "
	          "lines above say which",
	          port->name);
}

unsigned sluice_port_members(const struct sluice_port *port,
                             struct sluice_bond_member out[static SLUICE_BOND_MEMBERS_MAX])
{
	unsigned count = 0;

	for (unsigned i = 0; i < port->bond.count; i++) {
		const char *name = port->bond.members[i];
		struct rte_eth_link link;
		uint16_t id;

		// Drivers may name a card's ports otherwise: then nothing is ever known of this
		// one.
		if (rte_eth_dev_get_port_by_name(name, &id) < 0)
			continue;
		snprintf(out[count].name, sizeof(out[count].name), "%s", name);
		out[count++].up = rte_eth_link_get_nowait(id, &link) == 0 && link.link_status;
	}
	return count;
}

const struct sluice_port_kind_ops sluice_port_bond = {
        .prefix = "bond:",
        .bus = "vdev",
        .check = bond_check,
        .describe = bond_describe,
        .explain = bond_explain,
};
