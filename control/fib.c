// SPDX-License-Identifier: BSD-3-Clause
#include "control/fib.h"

#include <arpa/inet.h>
#include <errno.h>
#include <rte_fib.h>
#include <rte_fib6.h>
#include <rte_memory.h>
#include <stdio.h>
#include <stdlib.h>

#include "dataplane/port.h"
#include "sluice/log.h"

enum {
	// Up to here the trie is small enough for the cache; beyond, DIR24_8 and its kin answer
	// in one or two reads, for 64 MiB each.
	TRIE_ROUTES = 4096,
	SPARE_ROUTES = 16, // the FIBs count inner nodes too
};

// What a visit of routes or neighbours works on.
struct build {
	struct sluice_fib *fib;
	const struct sluice_kernel *kernel;
	const struct sluice_port *ports;
	unsigned port_count;
	size_t capacity, gateway_capacity;
	uint64_t *gateway_adjacency; // index of gateways[i] in adjacencies
	int error;
};

static const struct sluice_port *find_port(const struct sluice_port *ports, unsigned count,
                                           uint32_t ifindex)
{
	for (unsigned i = 0; i < count; i++)
		if (ports[i].ifindex > 0 && (uint32_t)ports[i].ifindex == ifindex)
			return &ports[i];
	return NULL;
}

const struct sluice_port *sluice_fib_port(const struct sluice_kernel *kernel,
                                          const struct sluice_port *ports, unsigned port_count,
                                          uint32_t ifindex, uint16_t *vlan)
{
	const struct sluice_kernel_link *link = sluice_kernel_link_find(kernel, ifindex);

	*vlan = link ? link->vlan : 0;
	return find_port(ports, port_count, *vlan ? link->parent : ifindex);
}

// An adjacency over an interface of a port, or on one (a VLAN's), next hop unknown; NONE over
// another interface.
static struct sluice_adjacency unresolved(const struct sluice_kernel *kernel,
                                          const struct sluice_port *ports, unsigned port_count,
                                          uint32_t ifindex)
{
	const struct sluice_kernel_link *link = sluice_kernel_link_find(kernel, ifindex);
	struct sluice_adjacency a = {.state = SLUICE_ADJACENCY_NONE};
	const struct sluice_port *port =
	        sluice_fib_port(kernel, ports, port_count, ifindex, &a.vlan);

	if (!port)
		return (struct sluice_adjacency){.state = SLUICE_ADJACENCY_NONE};
	a.port = (uint8_t)port->index;
	a.mtu = port->mtu;
	a.state = SLUICE_ADJACENCY_UNRESOLVED;
	memcpy(a.source, link ? link->mac : port->mac, sizeof(a.source));
	if (link && link->mtu < a.mtu)
		a.mtu = (uint16_t)link->mtu;
	return a;
}

struct sluice_adjacency sluice_fib_adjacency(const struct sluice_kernel *kernel,
                                             const struct sluice_port *ports, unsigned port_count,
                                             const struct sluice_kernel_hop *hop)
{
	struct sluice_adjacency a = unresolved(kernel, ports, port_count, hop->ifindex);
	const struct sluice_kernel_neighbour *n;

	if (a.state == SLUICE_ADJACENCY_NONE)
		return a;
	n = sluice_kernel_neighbour_find(kernel, hop->ifindex, &hop->address);
	if (n && n->usable) {
		memcpy(a.destination, n->mac, sizeof(a.destination));
		a.state = SLUICE_ADJACENCY_READY;
	}
	return a;
}

// Appends and returns the index; 0 (no route) without memory.
static uint64_t add_adjacency(struct build *b, struct sluice_adjacency a)
{
	struct sluice_fib *f = b->fib;

	if (f->adjacency_count == b->capacity) {
		size_t capacity = b->capacity ? 2 * b->capacity : 64;
		void *grown = realloc(f->adjacencies, capacity * sizeof(*f->adjacencies));

		if (!grown) {
			b->error = -ENOMEM;
			return 0;
		}
		f->adjacencies = grown;
		b->capacity = capacity;
	}
	f->adjacencies[f->adjacency_count] = a;
	return f->adjacency_count++;
}

// Routes are many, gateways few: the same one gets the same adjacency.
static uint64_t gateway_adjacency(struct build *b, const struct sluice_kernel_hop *hop)
{
	struct sluice_fib *f = b->fib;

	for (size_t i = 0; i < f->gateway_count; i++)
		if (f->gateways[i].ifindex == hop->ifindex &&
		    sluice_address_equal(&f->gateways[i].address, &hop->address))
			return b->gateway_adjacency[i];
	if (f->gateway_count == b->gateway_capacity) {
		size_t capacity = b->gateway_capacity ? 2 * b->gateway_capacity : 16;
		void *hops = realloc(f->gateways, capacity * sizeof(*f->gateways));
		void *indices = NULL;

		if (hops) {
			f->gateways = hops;
			indices = realloc(b->gateway_adjacency,
			                  capacity * sizeof(*b->gateway_adjacency));
		}
		if (!indices) {
			b->error = -ENOMEM;
			return 0;
		}
		b->gateway_adjacency = indices;
		b->gateway_capacity = capacity;
	}
	uint64_t index =
	        add_adjacency(b, sluice_fib_adjacency(b->kernel, b->ports, b->port_count, hop));

	f->gateways[f->gateway_count] = *hop;
	b->gateway_adjacency[f->gateway_count++] = index;
	return index;
}

static void add_prefix(struct build *b, const struct sluice_address *prefix, uint8_t length,
                       uint64_t hop)
{
	int error;

	if (sluice_address_family(prefix) == SLUICE_IPV4)
		error = rte_fib_add(b->fib->v4, ntohl(sluice_address_v4(prefix)), length, hop);
	else
		error = rte_fib6_add(b->fib->v6, prefix->bytes, length, hop);
	if (error && !b->error)
		b->error = error;
}

static void add_route(void *context, const struct sluice_kernel_route *route)
{
	struct build *b = context;
	const struct sluice_kernel_next_hop *n = sluice_kernel_route_next_hop(b->kernel, route);
	struct sluice_adjacency a = {.state = SLUICE_ADJACENCY_NONE};
	uint64_t hop = 0;

	if (n)
		a = unresolved(b->kernel, b->ports, b->port_count, n->ifindex);
	if (a.state != SLUICE_ADJACENCY_NONE && n->has_gateway)
		hop = gateway_adjacency(b, &(struct sluice_kernel_hop){n->gateway, n->ifindex});
	else if (a.state != SLUICE_ADJACENCY_NONE)
		hop = add_adjacency(b, a);
	add_prefix(b, &route->prefix, route->prefix_length, hop);
}

// A neighbour on a port is a host route, where the way to it is that link indeed.
static void add_neighbour(void *context, const struct sluice_kernel_neighbour *n)
{
	struct build *b = context;
	struct sluice_kernel_hop hop;
	uint16_t vlan;

	if (!n->usable || !sluice_fib_port(b->kernel, b->ports, b->port_count, n->ifindex, &vlan) ||
	    sluice_kernel_hop_find(b->kernel, &n->address, &hop) != 0 ||
	    hop.ifindex != n->ifindex || !sluice_address_equal(&hop.address, &n->address))
		return;
	add_prefix(
	        b, &n->address, sluice_address_family(&n->address) == SLUICE_IPV4 ? 32 : 128,
	        add_adjacency(b, sluice_fib_adjacency(b->kernel, b->ports, b->port_count, &hop)));
}

static int make_tables_on(int node, struct sluice_fib *f, size_t routes, bool big)
{
	static unsigned serial; // DPDK wants a name for each
	char name[32];
	struct rte_fib_conf v4 = {
	        .type = big ? RTE_FIB_DIR24_8 : RTE_FIB_DUMMY,
	        .max_routes = (int)(routes + SPARE_ROUTES),
	        .dir24_8 = {.nh_sz = RTE_FIB_DIR24_8_4B, .num_tbl8 = 1 << 15},
	};
	struct rte_fib6_conf v6 = {
	        .type = big ? RTE_FIB6_TRIE : RTE_FIB6_DUMMY,
	        .max_routes = (int)(routes + SPARE_ROUTES),
	        .trie = {.nh_sz = RTE_FIB6_TRIE_4B, .num_tbl8 = 1 << 15},
	};

	serial++;
	snprintf(name, sizeof(name), "sluice-4-%u", serial);
	f->v4 = rte_fib_create(name, node, &v4);
	snprintf(name, sizeof(name), "sluice-6-%u", serial);
	f->v6 = rte_fib6_create(name, node, &v6);
	if (f->v4 && f->v6)
		return 0;
	rte_fib_free(f->v4);
	rte_fib6_free(f->v6);
	f->v4 = NULL;
	f->v6 = NULL;
	return -ENOMEM;
}

// Beside the ports where there is room.
static int make_tables(struct build *b, size_t routes, bool big)
{
	static bool anywhere; // DPDK logs every try
	int node = sluice_numa_first(sluice_ports_near(b->ports, b->port_count));
	int error = -ENOMEM;

	if (!anywhere && node != SLUICE_NUMA_ANY)
		error = make_tables_on(node, b->fib, routes, big);
	if (!error)
		return 0;
	error = make_tables_on(SLUICE_NUMA_ANY, b->fib, routes, big);
	anywhere |= !error;
	return error;
}

size_t sluice_fib_memory(size_t routes)
{
	size_t nodes = 2 * (routes + SPARE_ROUTES) * 256; // of the trie, with the pool's overhead
	size_t tables = routes > TRIE_ROUTES ? (size_t)2 * ((64 << 20) + (32 << 20)) : 0;

	return 2 * (2 * nodes + tables);
}

struct sluice_fib *sluice_fib_new(const struct sluice_kernel *kernel,
                                  const struct sluice_port *ports, unsigned port_count)
{
	static bool no_room; // without hugepages, memory is what the routes at start needed
	size_t routes = sluice_kernel_route_count(kernel) + sluice_kernel_neighbour_count(kernel);
	struct build b = {.kernel = kernel, .ports = ports, .port_count = port_count};

	b.fib = calloc(1, sizeof(*b.fib));
	if (!b.fib)
		return NULL;
	b.fib->references = 1;
	b.error = make_tables(&b, routes, routes > TRIE_ROUTES && !no_room);
	if (b.error && routes > TRIE_ROUTES && !no_room) {
		no_room = true;
		log_warning("no memory for the fast tables that %zu routes and neighbours want: "
		            "looked up in a trie until the next start",
		            routes);
		b.error = make_tables(&b, routes, false);
	}
	if (!b.error) {
		add_adjacency(&b, (struct sluice_adjacency){.state = SLUICE_ADJACENCY_NONE});
		sluice_kernel_routes_visit(kernel, add_route, &b);
		sluice_kernel_neighbours_visit(kernel, add_neighbour, &b);
	}
	free(b.gateway_adjacency);
	if (b.error) {
		log_error("routing table of %zu routes and neighbours not built: %s", routes,
		          strerror(-b.error));
		sluice_fib_put(b.fib);
		errno = -b.error;
		return NULL;
	}
	return b.fib;
}

struct sluice_fib *sluice_fib_get(struct sluice_fib *f)
{
	f->references++;
	return f;
}

void sluice_fib_put(struct sluice_fib *f)
{
	if (!f || --f->references > 0)
		return;
	rte_fib_free(f->v4);
	rte_fib6_free(f->v6);
	free(f->adjacencies);
	free(f->gateways);
	free(f);
}
