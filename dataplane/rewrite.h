// SPDX-License-Identifier: BSD-3-Clause
#pragma once

// Replacing an address and a port. Checksums follow by the difference of two constants (RFC 1624,
// equation 3), never by a pass over the payload.

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stddef.h>

#include "dataplane/checksum.h"
#include "dataplane/packet.h"
#include "sluice/snapshot.h"

enum {
	SLUICE_HOP_SUM =
	        0x0001, // what a TTL less by one takes from the header's sum: htons(0x0100)
};

// What is replaced by what. Sums are those of struct sluice_frontend; old_address may have
// SLUICE_HOP_SUM on top, so that the IP checksum is updated once for both.
struct sluice_change {
	const struct sluice_target *to;
	uint32_t old_address;
	uint16_t old_transport;
	uint16_t new_address, new_transport;
};

// Makes the transport checksum follow. Sums as in sluice_checksum_update.
SLUICE_INLINE void sluice_change_checksum(const struct sluice_packet *p, uint32_t old_sum,
                                          uint32_t new_sum)
{
	bool udp = p->protocol == IPPROTO_UDP;
	uint8_t *l4 = sluice_packet_l4(p);
	uint8_t *at = l4 + (udp ? offsetof(struct sluice_udp, checksum)
	                        : offsetof(struct sluice_tcp, checksum));
	uint16_t checksum;

	memcpy(&checksum, at, 2);
	if (udp && checksum == 0)
		return; // the sender computed none (RFC 768)
	checksum = sluice_checksum_update(checksum, old_sum, new_sum);
	if (udp && checksum == 0)
		checksum = 0xffff;
	memcpy(at, &checksum, 2);
}

// A later fragment has nothing to change here.
SLUICE_INLINE void sluice_change_transport(const struct sluice_packet *p, enum sluice_side side,
                                           const struct sluice_change *c)
{
	uint8_t *l4 = sluice_packet_l4(p);

	if (__builtin_expect(p->fragment == SLUICE_FRAGMENT_LATER, 0))
		return;
	memcpy(l4 + (side == SLUICE_SOURCE ? 0 : 2), &c->to->port, 2);
	sluice_change_checksum(p, c->old_transport, c->new_transport);
}

SLUICE_INLINE void sluice_change_network(const struct sluice_packet *p, enum sluice_side side,
                                         const struct sluice_change *c, enum sluice_family family)
{
	if (family == SLUICE_IPV4) {
		struct sluice_ipv4 *ip = sluice_packet_l3(p);

		memcpy(side == SLUICE_SOURCE ? ip->source : ip->destination,
		       &c->to->address.bytes[12], 4);
		ip->checksum = sluice_checksum_update(ip->checksum, c->old_address, c->new_address);
	} else {
		struct sluice_ipv6 *ip = sluice_packet_l3(p);

		memcpy(side == SLUICE_SOURCE ? ip->source : ip->destination, c->to->address.bytes,
		       16);
	}
}

SLUICE_INLINE uint8_t sluice_packet_ttl(const struct sluice_packet *p, enum sluice_family family)
{
	if (family == SLUICE_IPV4)
		return ((const struct sluice_ipv4 *)sluice_packet_l3(p))->ttl;
	return ((const struct sluice_ipv6 *)sluice_packet_l3(p))->hop_limit;
}

// One hop less to live; the TTL must be more than 1. IPv4's checksum is the caller's.
SLUICE_INLINE void sluice_packet_hop(const struct sluice_packet *p, enum sluice_family family)
{
	if (family == SLUICE_IPV4)
		((struct sluice_ipv4 *)sluice_packet_l3(p))->ttl--;
	else
		((struct sluice_ipv6 *)sluice_packet_l3(p))->hop_limit--;
}

// Whether a packet may be forwarded that way: its verdict says why not.
SLUICE_INLINE bool sluice_packet_may_leave(struct sluice_packet *p,
                                           const struct sluice_adjacency *a,
                                           enum sluice_family family)
{
	if (a->state == SLUICE_ADJACENCY_NONE)
		sluice_packet_drop(p, SLUICE_DROP_NO_ROUTE);
	else if (p->length - p->l3 > a->mtu)
		sluice_packet_drop_too_big(p, a->mtu);
	else if (sluice_packet_ttl(p, family) <= 1)
		sluice_packet_drop(p, SLUICE_DROP_TTL_EXPIRED);
	else
		return true;
	return false;
}
