// SPDX-License-Identifier: BSD-3-Clause
#include "control/reach.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>

#include "control/fib.h"

static void collect_source(void *context, const struct sluice_kernel_address *a)
{
	struct sluice_reacher *r = context;

	if (a->announced || a->tentative || a->scope != RT_SCOPE_UNIVERSE)
		return;
	if (r->source_count == r->source_capacity) {
		size_t capacity = r->source_capacity ? 2 * r->source_capacity : 32;
		void *grown = realloc(r->sources, capacity * sizeof(*r->sources));

		if (!grown) {
			r->error = -ENOMEM;
			return;
		}
		r->sources = grown;
		r->source_capacity = capacity;
	}
	r->sources[r->source_count++] = *a;
}

int sluice_reacher_init(struct sluice_reacher *r, const struct sluice_kernel *kernel,
                        const struct sluice_port *ports, unsigned port_count)
{
	*r = (struct sluice_reacher){.kernel = kernel, .ports = ports, .port_count = port_count};
	sluice_kernel_addresses_visit(kernel, collect_source, r);
	return r->error;
}

void sluice_reacher_clear(struct sluice_reacher *r)
{
	free(r->sources);
}

// Bits that both begin with.
static unsigned common_prefix(const struct sluice_address *a, const struct sluice_address *b)
{
	unsigned i = 0, bits = 0;

	while (i < 16 && a->bytes[i] == b->bytes[i])
		i++;
	while (i < 16 && bits < 8 && !((a->bytes[i] ^ b->bytes[i]) & 0x80 >> bits))
		bits++;
	return 8 * i + bits;
}

// The address that the host itself would send from: the route's, or one of the link's, as near as
// can be to the gateway (IPv4) or to where it goes (RFC 6724, rule 8); the lowest of equals.
static bool find_source(const struct sluice_reacher *r, const struct sluice_address *to,
                        const struct sluice_kernel_hop *hop, struct sluice_address *source)
{
	const struct sluice_kernel_route *route = sluice_kernel_route_lookup(r->kernel, to);
	enum sluice_family family = sluice_address_family(to);
	bool by_hop = family == SLUICE_IPV4 && sluice_address_family(&hop->address) == family;
	const struct sluice_address *near = by_hop ? &hop->address : to;
	const struct sluice_address *best = NULL;

	if (route && route->has_source) {
		*source = route->source;
		return true;
	}
	for (size_t i = 0; i < r->source_count; i++) {
		const struct sluice_kernel_address *a = &r->sources[i];
		int nearer;

		if (a->ifindex != hop->ifindex || sluice_address_family(&a->address) != family)
			continue;
		nearer = best ? (int)common_prefix(&a->address, near) -
		                         (int)common_prefix(best, near)
		              : 1;
		if (nearer > 0 || (nearer == 0 && memcmp(&a->address, best, sizeof(*best)) < 0))
			best = &a->address;
	}
	if (best)
		*source = *best;
	return best != NULL;
}

// NULL: there is a way, whether its next hop is known or not.
static const char *find_way(const struct sluice_reacher *r, const struct sluice_address *to,
                            enum sluice_forwarding forwarding, struct sluice_reach *out)
{
	if (sluice_kernel_hop_find(r->kernel, to, &out->hop) != 0)
		return "no route over a port";
	out->adjacency = sluice_fib_adjacency(r->kernel, r->ports, r->port_count, &out->hop);
	if (out->adjacency.state == SLUICE_ADJACENCY_NONE)
		return "no route over a port";
	if (forwarding == SLUICE_FORWARD_L2DSR && !sluice_address_equal(&out->hop.address, to))
		return "not on a link";
	if (sluice_forwarding_is_tunnel(forwarding) &&
	    !find_source(r, to, &out->hop, &out->tunnel_source))
		return "no source address";
	return NULL;
}

void sluice_reach_find(const struct sluice_reacher *r, const struct sluice_address *to,
                       enum sluice_forwarding forwarding, struct sluice_reach *out)
{
	const char *no_way;

	*out = (struct sluice_reach){0};
	no_way = find_way(r, to, forwarding, out);
	if (no_way)
		*out = (struct sluice_reach){.obstacle = no_way};
	else if (out->adjacency.state != SLUICE_ADJACENCY_READY)
		out->obstacle = "next hop unresolved";
}
