// SPDX-License-Identifier: BSD-3-Clause

// Where return packets go: the kernel's routes and neighbours, as DPDK's FIBs.

#include "dataplane/pipeline.h"

#include <arpa/inet.h>
#include <rte_fib.h>
#include <rte_fib6.h>

// Destinations in their order, each family's together.
struct batch {
	unsigned count, count_v4, count_v6;
	uint8_t family[SLUICE_BURST];
	uint32_t v4[SLUICE_BURST];
	uint8_t v6[SLUICE_BURST][RTE_FIB6_IPV6_ADDR_SIZE];
};

// wire: 4 or 16 bytes.
static void batch_add(struct batch *b, uint8_t family, const uint8_t *wire)
{
	uint32_t address;

	b->family[b->count++] = family;
	if (family == SLUICE_IPV4) {
		memcpy(&address, wire, 4);
		b->v4[b->count_v4++] = ntohl(address);
	} else {
		memcpy(b->v6[b->count_v6++], wire, 16);
	}
}

static void batch_look_up(struct batch *b, const struct sluice_snapshot *s,
                          const struct sluice_adjacency *adjacencies[SLUICE_BURST])
{
	uint64_t hops_v4[SLUICE_BURST], hops_v6[SLUICE_BURST];
	unsigned n4 = 0, n6 = 0;

	if (b->count_v4 > 0)
		rte_fib_lookup_bulk(s->routes_v4, b->v4, hops_v4, (int)b->count_v4);
	if (b->count_v6 > 0)
		rte_fib6_lookup_bulk(s->routes_v6, b->v6, hops_v6, (int)b->count_v6);
	for (unsigned i = 0; i < b->count; i++) {
		// As many hops were looked up, which the analyzer doesn't see.
		// NOLINTNEXTLINE(clang-analyzer-core.uninitialized.Assign)
		uint64_t hop = b->family[i] == SLUICE_IPV4 ? hops_v4[n4++] : hops_v6[n6++];

		adjacencies[i] = &s->adjacencies[hop];
	}
}

void sluice_route(const struct sluice_snapshot *s, const struct sluice_burst *b,
                  const struct sluice_adjacency *adjacencies[SLUICE_BURST])
{
	struct batch batch;

	batch.count = batch.count_v4 = batch.count_v6 = 0;
	for (unsigned i = 0; i < b->return_count; i++) {
		const struct sluice_packet *p = b->returns[i];

		if (p->family == SLUICE_IPV4)
			batch_add(&batch, SLUICE_IPV4,
			          sluice_packet_wire(p, SLUICE_DESTINATION, SLUICE_IPV4));
		else
			batch_add(&batch, SLUICE_IPV6,
			          sluice_packet_wire(p, SLUICE_DESTINATION, SLUICE_IPV6));
	}
	batch_look_up(&batch, s, adjacencies);
}

void sluice_route_to(const struct sluice_snapshot *s, const struct sluice_address *to,
                     unsigned count, const struct sluice_adjacency *adjacencies[SLUICE_BURST])
{
	struct batch batch;

	batch.count = batch.count_v4 = batch.count_v6 = 0;
	for (unsigned i = 0; i < count; i++) {
		bool v4 = sluice_address_family(&to[i]) == SLUICE_IPV4;

		batch_add(&batch, v4 ? SLUICE_IPV4 : SLUICE_IPV6, &to[i].bytes[v4 ? 12 : 0]);
	}
	batch_look_up(&batch, s, adjacencies);
}
