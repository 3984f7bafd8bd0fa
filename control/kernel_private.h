// SPDX-License-Identifier: BSD-3-Clause
#pragma once

// What the files of the kernel mirror share: kernel.c (socket, dumps, events), kernel_link.c
// (links, addresses, neighbours), kernel_route.c (routes) and kernel_watch.c (next hops in use).
//
// Dumps are read from the socket that also receives the notifications, as then both are in the
// kernel's order: what is newer comes later, and nothing can be lost in between. A dump has an
// epoch; entries that neither it nor a notification since its start has named are gone when it
// ends.

#include <event2/event.h>
#include <linux/netlink.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <netlink/socket.h>

#include "control/kernel.h"
#include "control/kernel_map.h"

enum sluice_kernel_dump {
	SLUICE_KERNEL_DUMP_LINKS,
	SLUICE_KERNEL_DUMP_ADDRESSES,
	SLUICE_KERNEL_DUMP_RULES,
	SLUICE_KERNEL_DUMP_NEXT_HOPS,
	SLUICE_KERNEL_DUMP_ROUTES_V4,
	SLUICE_KERNEL_DUMP_ROUTES_V6,
	SLUICE_KERNEL_DUMP_NEIGHBOURS,
	SLUICE_KERNEL_DUMPS,
};

enum {
	SLUICE_KERNEL_DUMP_NONE = SLUICE_KERNEL_DUMPS,
	SLUICE_KERNEL_DUMP_ALL = (1 << SLUICE_KERNEL_DUMPS) - 1,
	SLUICE_KERNEL_DUMP_ALL_ROUTES =
	        1 << SLUICE_KERNEL_DUMP_ROUTES_V4 | 1 << SLUICE_KERNEL_DUMP_ROUTES_V6,
	SLUICE_KERNEL_TABLES = 2,                                   // main, default
	SLUICE_KERNEL_ROUTE_THROW = SLUICE_KERNEL_ROUTE_REJECT + 1, // go on with the next table
};

// Value of the neighbour map.
struct sluice_kernel_neighbour_state {
	struct sluice_kernel_neighbour neighbour;
	uint16_t nud; // NUD_*
	bool kept; // permanent, or flagged as somebody else's (learned, managed): not to be probed
};

// A route of a prefix; there may be several, of different metrics.
struct sluice_kernel_route_option {
	struct sluice_kernel_route_option *next; // of a higher metric
	uint32_t epoch;
	uint32_t parts; // kernel entries it was put together from: same prefix and metric
	struct sluice_kernel_route route;
};

// A next hop in use.
struct sluice_kernel_watched {
	struct sluice_kernel_hop hop;
	uint32_t tries; // requests since it was last usable
	int64_t due;    // milliseconds, monotonic
};

struct sluice_kernel {
	struct event_base *base;
	void (*changed)(void *context, unsigned what);
	void *context;

	struct nl_sock *socket; // dumps and notifications
	struct event *readable;
	struct event *retry;
	uint32_t sequence;   // of the active dump
	unsigned active;     // enum sluice_kernel_dump, or _NONE
	unsigned wanted;     // bits of the dumps to be made
	unsigned failed;     // bits of those that retry will ask for again
	bool interrupted;    // the active dump is not consistent
	bool drained;        // the socket is empty: a dump that starts now misses nothing
	bool rules_reported; // policy rules are not followed: said once
	bool encap_reported;
	unsigned changes; // bits not yet told
	uint32_t epochs[SLUICE_KERNEL_DUMPS];

	struct sluice_kernel_map links;      // {0, ifindex} -> struct sluice_kernel_link
	struct sluice_kernel_map addresses;  // {address, ifindex, length} -> ..._address
	struct sluice_kernel_map neighbours; // {address, ifindex} -> ..._neighbour_state
	struct sluice_kernel_map next_hops;  // {0, id} -> struct next_hop_object (kernel_route.c)
	struct sluice_kernel_map routes;     // {prefix, table, length} -> ..._route_option *
	uint32_t lengths[SLUICE_KERNEL_TABLES][129]; // how many prefixes are of that length

	struct nl_sock *requests; // to resolve; only failures are answered
	struct event *failures;
	struct event *tick;
	bool overflow_reported;
	size_t watched_count;
	size_t watched_at;                     // where the next round begins
	struct sluice_kernel_watched *watched; // sorted by hop

	unsigned char buffer[64 * 1024];
};

// kernel.c
void sluice_kernel_dump_want(struct sluice_kernel *k, unsigned dumps);
// Reads what there is to read, up to a limit. For tests and start.
void sluice_kernel_read(struct sluice_kernel *k);
// Fills *address from an attribute of 4 or 16 bytes. False: neither.
bool sluice_kernel_attribute_address(const struct nlattr *attribute,
                                     struct sluice_address *address);

// kernel_link.c
int sluice_kernel_links_init(struct sluice_kernel *k);
void sluice_kernel_links_clear(struct sluice_kernel *k);
void sluice_kernel_link_message(struct sluice_kernel *k, struct nlmsghdr *message);
void sluice_kernel_address_message(struct sluice_kernel *k, struct nlmsghdr *message);
void sluice_kernel_neighbour_message(struct sluice_kernel *k, struct nlmsghdr *message);
void sluice_kernel_links_sweep(struct sluice_kernel *k, enum sluice_kernel_dump dump);
const struct sluice_kernel_neighbour_state *
sluice_kernel_neighbour_state(const struct sluice_kernel *k, const struct sluice_kernel_hop *hop);

// kernel_route.c
int sluice_kernel_routes_init(struct sluice_kernel *k);
void sluice_kernel_routes_clear(struct sluice_kernel *k);
void sluice_kernel_route_message(struct sluice_kernel *k, struct nlmsghdr *message, bool dumped);
void sluice_kernel_next_hop_message(struct sluice_kernel *k, struct nlmsghdr *message, bool dumped);
void sluice_kernel_routes_sweep(struct sluice_kernel *k, enum sluice_kernel_dump dump);

// kernel_watch.c
int sluice_kernel_watch_init(struct sluice_kernel *k);
void sluice_kernel_watch_clear(struct sluice_kernel *k);
// Whether it is a next hop in use.
bool sluice_kernel_watches(const struct sluice_kernel *k, const struct sluice_kernel_hop *hop);
// A neighbour became usable, or stopped being it.
void sluice_kernel_watch_notice(struct sluice_kernel *k, const struct sluice_kernel_hop *hop);
