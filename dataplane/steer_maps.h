// SPDX-License-Identifier: (BSD-3-Clause OR GPL-2.0-only)
#pragma once

// What steer.bpf.c, steer_guard.bpf.c and the control thread agree on: the maps and their keys.
// Keys have the layout of struct sluice_target and struct sluice_address (sluice/types.h, which
// cannot be included here for its C library headers); control/steer.c asserts that they do.

#include <linux/types.h>

struct steer_address {
	__u8 bytes[16]; // IPv4 as ::ffff:a.b.c.d
};

struct steer_target {
	struct steer_address address;
	__be16 port;
	__u8 protocol;
	__u8 family; // 4 or 6
};

// What fragments of one datagram have in common. No padding: it is hashed as bytes.
struct steer_datagram {
	struct steer_address source, destination;
	__u32 id;
	__u32 protocol; // 0 with IPv6: the later ones' says nothing
};

// Names as the kernel keeps them: 15 characters at most.
#define STEER_PROGRAM           "sluice_steer"
#define STEER_GUARD             "sluice_guard"

#define STEER_VIRTUAL_TARGETS   "virtual_targets"
#define STEER_RETURN_TARGETS    "return_targets"
#define STEER_VIRTUAL_ADDRESSES "virtual_addrs"
#define STEER_RETURN_ADDRESSES  "return_addrs"
#define STEER_LOCAL_ADDRESSES   "local_addrs"
#define STEER_SNAT_ADDRESSES    "snat_addrs"
#define STEER_SNAT_TARGETS      "snat_targets"
#define STEER_SNAT_PORTS        "snat_ports"
#define STEER_PORT_MAC          "port_mac"

#ifdef __bpf__

// Room for what a snapshot can hold; entries are allocated as they are added.
#define STEER_SET(set_name, key_type, entries)                                                     \
	struct {                                                                                   \
		__uint(type, BPF_MAP_TYPE_HASH);                                                   \
		__uint(map_flags, BPF_F_NO_PREALLOC);                                              \
		__uint(max_entries, entries);                                                      \
		__type(key, key_type);                                                             \
		__type(value, __u8);                                                               \
	} set_name SEC(".maps")

STEER_SET(virtual_targets, struct steer_target, 1 << 16);
STEER_SET(return_targets, struct steer_target, 1 << 20);
STEER_SET(snat_targets, struct steer_target, 1 << 21); // and their addresses alone
STEER_SET(virtual_addrs, struct steer_address, 1 << 16);
STEER_SET(return_addrs, struct steer_address, 1 << 20);
STEER_SET(local_addrs, struct steer_address, 1 << 16);
STEER_SET(snat_addrs, struct steer_address, 16);

// The ports that we send from, host byte order: first << 16 | last.
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} snat_ports SEC(".maps");

// First fragments that went another way than the addresses alone would tell: when (ns; the lowest
// bit: to the workers). A flood of such pushes out others such.
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1 << 14);
	__type(key, struct steer_datagram);
	__type(value, __u64);
} datagrams SEC(".maps");

#endif
