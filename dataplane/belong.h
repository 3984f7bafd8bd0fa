// SPDX-License-Identifier: BSD-3-Clause
#pragma once

// Questions about whose a packet is that more than one stage asks.

#include "dataplane/packet.h"
#include "dataplane/parse.h"
#include "dataplane/target_table.h"
#include "sluice/snapshot.h"

// Whether traffic of ours came in a VLAN that the host is not part of. Id 0 is a priority alone.
static inline bool sluice_is_foreign_vlan(const struct sluice_snapshot *s,
                                          const struct sluice_packet *p)
{
	unsigned id = p->tag & SLUICE_VLAN_ID;

	return id != 0 && (!s->vlans || !(s->vlans[p->port_in].ids[id / 64] >> id % 64 & 1));
}

// Whether it is for one of the host's own addresses.
SLUICE_INLINE bool sluice_is_local(const struct sluice_snapshot *s, const struct sluice_packet *p,
                                   enum sluice_family family)
{
	struct sluice_target_view t = sluice_packet_address(p, SLUICE_DESTINATION, family);

	return sluice_target_table_get(s->local_table, t, family) != SLUICE_TARGET_NONE;
}
