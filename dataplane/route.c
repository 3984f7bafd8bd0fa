// SPDX-License-Identifier: BSD-3-Clause

// Where return packets go: the kernel's routes and neighbours, as DPDK's FIBs.

#include "dataplane/pipeline.h"

#include <arpa/inet.h>
#include <rte_fib.h>
#include <rte_fib6.h>

static void lookup_v4(const struct sluice_snapshot *s, uint32_t *addresses, unsigned n,
                      uint64_t *hops)
{
	if (n > 0)
		rte_fib_lookup_bulk(s->routes_v4, addresses, hops, (int)n);
}

static void lookup_v6(const struct sluice_snapshot *s, uint8_t addresses[][RTE_FIB6_IPV6_ADDR_SIZE],
                      unsigned n, uint64_t *hops)
{
	if (n > 0)
		rte_fib6_lookup_bulk(s->routes_v6, addresses, hops, (int)n);
}

void sluice_route(const struct sluice_snapshot *s, const struct sluice_burst *b,
                  const struct sluice_adjacency *adjacencies[SLUICE_BURST])
{
	uint32_t v4[SLUICE_BURST];
	uint8_t v6[SLUICE_BURST][RTE_FIB6_IPV6_ADDR_SIZE];
	uint64_t hops_v4[SLUICE_BURST], hops_v6[SLUICE_BURST];
	unsigned n4 = 0, n6 = 0;

	for (unsigned i = 0; i < b->return_count; i++) {
		const struct sluice_packet *p = b->returns[i];

		if (p->family == SLUICE_IPV4) {
			const struct sluice_ipv4 *ip = sluice_packet_l3(p);
			uint32_t address;

			memcpy(&address, ip->destination, 4);
			v4[n4++] = ntohl(address);
		} else {
			const struct sluice_ipv6 *ip = sluice_packet_l3(p);

			memcpy(v6[n6++], ip->destination, 16);
		}
	}
	lookup_v4(s, v4, n4, hops_v4);
	lookup_v6(s, v6, n6, hops_v6);
	n4 = n6 = 0;
	for (unsigned i = 0; i < b->return_count; i++) {
		const struct sluice_packet *p = b->returns[i];
		uint64_t hop = p->family == SLUICE_IPV4 ? hops_v4[n4++] : hops_v6[n6++];

		adjacencies[i] = &s->adjacencies[hop];
	}
}
