// SPDX-License-Identifier: BSD-3-Clause
#pragma once

// The kernel mirror: links, addresses, routes and neighbours of the network namespace the process
// runs in, read from rtnetlink once and followed live. Control thread only; nothing here waits.
//
// What is returned by pointer belongs to the mirror and stays as it is until control returns to
// the event loop. Interface indices are the kernel's; all numbers in host byte order.

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sluice/types.h"

struct event_base;
struct sluice_kernel;

// What changed, as bits.
enum {
	SLUICE_KERNEL_LINKS = 1 << 0, // appeared, gone, renamed, up, down, MAC, MTU
	SLUICE_KERNEL_ADDRESSES = 1 << 1,
	SLUICE_KERNEL_ROUTES = 1 << 2,
	SLUICE_KERNEL_NEIGHBOURS = 1 << 3, // usable or not, MAC; not the steps in between
};

struct sluice_kernel_link {
	uint32_t ifindex;
	uint32_t mtu; // bytes
	char name[16];
	uint8_t mac[6];  // zero where the link has none of six bytes
	bool up;         // by the administrator
	bool running;    // carrier too
	bool loopback;   // is lo
	uint32_t master; // ifindex of the bridge, bond or VRF it belongs to; 0: none
	uint32_t parent; // of a VLAN interface: ifindex of the one whose tagged frames it gets
	uint16_t vlan;   // its 802.1Q id, 1..4094; 0: no VLAN interface
};

struct sluice_kernel_address {
	struct sluice_address address;
	uint32_t ifindex;
	uint8_t prefix_length; // 0..32, 0..128
	uint8_t scope;         // RT_SCOPE_UNIVERSE, _LINK, _HOST
	bool tentative;        // IPv6, duplicate address detection not finished (or failed)
	bool announced;        // put there by sluice (announce.h), in this life or an earlier one
};

enum sluice_kernel_route_type {
	SLUICE_KERNEL_ROUTE_UNICAST,
	SLUICE_KERNEL_ROUTE_REJECT, // blackhole, unreachable, prohibit: no route
};

struct sluice_kernel_next_hop {
	struct sluice_address gateway; // where has_gateway; of either family (RFC 8950)
	uint32_t ifindex;              // 0: not one that packets can be sent to (MPLS, seg6, ...)
	bool has_gateway;              // otherwise the destination itself is on the link
	bool dead;                     // the kernel will not use it now
};

// The route that wins for its prefix: of table main, or default where main has nothing for the
// whole prefix; with the lowest metric.
struct sluice_kernel_route {
	struct sluice_address prefix;
	uint8_t prefix_length; // 0..32, 0..128
	uint8_t type;          // enum sluice_kernel_route_type
	uint16_t next_hop_count;
	bool has_source; // what the host itself sends that way comes from source
	uint32_t metric;
	struct sluice_address source;
	struct sluice_kernel_next_hop *next_hops; // in the kernel's order
};

// A neighbour to resolve: on a link, an address on it.
struct sluice_kernel_hop {
	struct sluice_address address;
	uint32_t ifindex;
};

struct sluice_kernel_neighbour {
	struct sluice_address address;
	uint32_t ifindex;
	uint8_t mac[6]; // where usable
	bool usable;    // the kernel would send to mac now
	bool failed;    // it asked and got no answer
};

// Opens netlink and reads everything, waiting for it (milliseconds); later changes call changed
// from the loop, once after each burst of messages, with the bits of what differs. Messages that
// the kernel could not deliver are made up for by reading everything again. NULL with errno.
struct sluice_kernel *sluice_kernel_new(struct event_base *base,
                                        void (*changed)(void *context, unsigned what),
                                        void *context);
void sluice_kernel_free(struct sluice_kernel *k);

const struct sluice_kernel_link *sluice_kernel_link_find(const struct sluice_kernel *k,
                                                         uint32_t ifindex);
const struct sluice_kernel_link *sluice_kernel_link_find_name(const struct sluice_kernel *k,
                                                              const char *name);

// NULL: no such address on the link; ifindex 0: on any.
const struct sluice_kernel_address *
sluice_kernel_address_find(const struct sluice_kernel *k, uint32_t ifindex,
                           const struct sluice_address *address);

// NULL: the kernel's table has no such entry.
const struct sluice_kernel_neighbour *
sluice_kernel_neighbour_find(const struct sluice_kernel *k, uint32_t ifindex,
                             const struct sluice_address *address);

// The route of a forwarded packet to address: longest prefix, main before default. NULL: none.
// The host's own addresses are not routes: ask sluice_kernel_address_find first.
const struct sluice_kernel_route *sluice_kernel_route_lookup(const struct sluice_kernel *k,
                                                             const struct sluice_address *address);

// The next hop of a route that packets take: the first that is alive and whose link runs, else
// the first whose link is up. NULL: none, or a route that rejects.
const struct sluice_kernel_next_hop *
sluice_kernel_route_next_hop(const struct sluice_kernel *k,
                             const struct sluice_kernel_route *route);

// Lookup and next hop in one: what to resolve to reach address. 0, or -EHOSTUNREACH.
int sluice_kernel_hop_find(const struct sluice_kernel *k, const struct sluice_address *address,
                           struct sluice_kernel_hop *hop);

// Visits in no order. The routes are the winning ones, such that a longest prefix match over
// them alone answers as sluice_kernel_route_lookup does. Prefixes that packets are not forwarded
// to (link-local, multicast) are left out.
void sluice_kernel_links_visit(const struct sluice_kernel *k,
                               void (*visit)(void *context, const struct sluice_kernel_link *),
                               void *context);
void sluice_kernel_addresses_visit(const struct sluice_kernel *k,
                                   void (*visit)(void *context,
                                                 const struct sluice_kernel_address *),
                                   void *context);
void sluice_kernel_routes_visit(const struct sluice_kernel *k,
                                void (*visit)(void *context, const struct sluice_kernel_route *),
                                void *context);
void sluice_kernel_neighbours_visit(const struct sluice_kernel *k,
                                    void (*visit)(void *context,
                                                  const struct sluice_kernel_neighbour *),
                                    void *context);

size_t sluice_kernel_route_count(const struct sluice_kernel *k);
size_t sluice_kernel_neighbour_count(const struct sluice_kernel *k);

// Asks the kernel once to resolve a next hop. The answer comes as a change of NEIGHBOURS.
// 0 or -errno; a failure to ask is also logged.
int sluice_kernel_resolve(struct sluice_kernel *k, uint32_t ifindex,
                          const struct sluice_address *address);

// Sets the next hops in use (copied; duplicates allowed). They are resolved where they are not,
// probed every few seconds where they are, so that one that changed its MAC without saying so is
// found within seven seconds, and asked for again with a back-off of up to 5 s where there was no
// answer. Paced: never more than 1000 requests a second. 0 or -ENOMEM (the old set stays).
int sluice_kernel_watch_next_hops(struct sluice_kernel *k, const struct sluice_kernel_hop *hops,
                                  size_t count);
