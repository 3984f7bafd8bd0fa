// SPDX-License-Identifier: BSD-3-Clause
#pragma once

// The last thing that happens to a packet that goes on: the Ethernet header of its adjacency.

#include <stddef.h>

#include "dataplane/packet.h"
#include "dataplane/parse.h"
#include "sluice/snapshot.h"

// Moves the place of the Ethernet header so that it fits, with or without a tag, in front of the
// IP header. The priority of a tag that stays, or changes its VLAN, is kept.
static inline void sluice_egress_retag(struct sluice_packet *p, uint16_t vlan)
{
	int size = SLUICE_ETHERNET + (vlan ? SLUICE_VLAN_TAG : 0), grow = size - p->l3;
	uint16_t type = htons(p->family == SLUICE_IPV4 ? SLUICE_ETHERTYPE_V4 : SLUICE_ETHERTYPE_V6);

	p->data -= grow;
	p->length = (uint32_t)((int)p->length + grow);
	p->head = (uint16_t)(p->head + grow);
	p->l4 = (uint16_t)(p->l4 + grow);
	p->l3 = (uint8_t)size;
	p->moved = true;
	if (vlan) {
		uint16_t words[2] = {htons(SLUICE_ETHERTYPE_VLAN),
		                     htons((uint16_t)((p->tag & ~SLUICE_VLAN_ID) | vlan))};

		memcpy(p->data + 12, words, sizeof(words));
	}
	memcpy(p->data + size - 2, &type, 2);
}

// Decides how a packet that is ready leaves. The adjacency is not NONE. l3: the packet's, which may
// be known as a constant.
SLUICE_INLINE void sluice_egress_from(struct sluice_packet *p, uint8_t l3,
                                      const struct sluice_adjacency *a)
{
	static_assert(offsetof(struct sluice_adjacency, source) == 6, "copied as one");

	if (a->state != SLUICE_ADJACENCY_READY) {
		p->verdict = SLUICE_VERDICT_RESOLVE;
		return;
	}
	if (__builtin_expect(l3 != SLUICE_ETHERNET || a->vlan, 0))
		sluice_egress_retag(p, a->vlan);
	memcpy(p->data, a->destination, 12);
	p->port_out = a->port;
	p->verdict = SLUICE_VERDICT_TRANSMIT;
}

SLUICE_INLINE void sluice_egress(struct sluice_packet *p, const struct sluice_adjacency *a)
{
	sluice_egress_from(p, p->l3, a);
}
