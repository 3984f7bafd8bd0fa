// SPDX-License-Identifier: BSD-3-Clause
#pragma once

// The immutable view of the world that control builds and workers read.
//
// Everything reachable from a snapshot is constant from its publication until every worker has
// passed a quiescent state after its replacement. Workers never write here.

#include <stdalign.h>
#include <stdint.h>

#include "sluice/types.h"

struct rte_fib;
struct rte_fib6;
struct sluice_target_table; // dataplane/target_table.h

// Secret for the row hash, expanded from the cluster seed (equal on every host of a cluster).
struct sluice_hash_key {
	uint64_t k[4];
};

// How a packet leaves: the port out and the Ethernet header it gets.
struct sluice_adjacency {
	uint8_t destination[6];
	uint8_t source[6];
	uint16_t mtu;  // of the port out: largest IP packet, bytes
	uint16_t vlan; // id of the tag it leaves with (802.1Q), host byte order; 0: untagged
	uint8_t port;  // index into the configured ports
	uint8_t state; // enum sluice_adjacency_state
};
static_assert(sizeof(struct sluice_adjacency) == 18, "embedded in a cache line");

enum sluice_adjacency_state {
	SLUICE_ADJACENCY_NONE,       // no route, or out of an interface that is not a port
	SLUICE_ADJACENCY_UNRESOLVED, // routed over a port, link-layer address unknown
	SLUICE_ADJACENCY_READY,
};

// How a service's packets get to its endpoints.
enum sluice_forwarding {
	SLUICE_FORWARD_NAT,     // destination becomes the endpoint; returns come through here
	SLUICE_FORWARD_FULLNAT, // nat, and the source becomes an address of ours
	SLUICE_FORWARD_L2DSR,   // MACs only; the endpoint has the virtual address, answers itself
	SLUICE_FORWARD_IPIP,    // in an IP packet to the endpoint (RFC 2003, 2473, 4213)
	SLUICE_FORWARD_GUE,     // the same behind UDP (draft-ietf-intarea-gue, variant 1)
	SLUICE_FORWARD_COUNT,
};

// Whether endpoints get the packet in another one, so that their family is their own.
static inline bool sluice_forwarding_is_tunnel(enum sluice_forwarding f)
{
	return f == SLUICE_FORWARD_IPIP || f == SLUICE_FORWARD_GUE;
}

// Whether endpoints get the packet as the client sent it: they have the virtual address and answer
// from it, past this host.
static inline bool sluice_forwarding_is_direct(enum sluice_forwarding f)
{
	return f == SLUICE_FORWARD_L2DSR || sluice_forwarding_is_tunnel(f);
}

// A place where clients reach a service: VIP and port, or a host address and node port.
// Indexed by frontend id (stable for as long as the target serves the service; 0 is none).
struct sluice_frontend {
	alignas(32) struct sluice_target target;
	uint16_t service;     // index into services
	uint16_t address_sum; // ones' complement sum of the address's 16-bit words, as on the wire
	uint16_t transport_sum;   // the same of address and port: what a transport checksum covers
	uint8_t forwarding;       // enum sluice_forwarding, the service's
	uint8_t server_id_length; // QUIC: bytes of server id in connection ids; 0: not looked at
};

// An endpoint of one service. Indexed by slot; one line, as every packet in reads it.
struct sluice_endpoint {
	alignas(64) struct sluice_target target;
	uint16_t generation;  // matches the flow entries that may use this slot; 0: nobody has it
	uint16_t service;     // index into services
	uint16_t address_sum; // as in struct sluice_frontend; of a tunnel: with its source's
	uint16_t transport_sum;
	struct sluice_adjacency adjacency;
	uint8_t flags;                       // SLUICE_ENDPOINT_*
	struct sluice_address tunnel_source; // of the outer header, of the endpoint's family
};
static_assert(sizeof(struct sluice_endpoint) == 64, "one cache line");

enum {
	SLUICE_ENDPOINT_DRAINING = 1 << 0,     // keeps its flows, takes no new ones
	SLUICE_ENDPOINT_NO_NEW_FLOWS = 1 << 1, // stands in no row: draining, or another reason
};

enum sluice_on_empty {
	SLUICE_ON_EMPTY_REFUSE,
	SLUICE_ON_EMPTY_DROP,
	SLUICE_ON_EMPTY_KEEP_LAST,
};

// A service as the workers need it. Indexed by service index, which belongs to one snapshot.
struct sluice_service {
	const uint16_t *rows;  // Maglev: row -> index into slots; NULL where nothing is selectable
	const uint32_t *slots; // index -> endpoint slot
	uint64_t salt;         // of the row hash: the VIP's target, hashed with the row key
	uint32_t table_size;   // rows
	uint8_t on_empty;      // enum sluice_on_empty
	// Session affinity: the frontend that the client's entry is kept under, the same for all of
	// the service's; 0: none. The time-out is in seconds.
	uint16_t affinity;
	uint32_t affinity_timeout;
};

// Return traffic: what the source (an endpoint's target) may stand for with nat. Several where the
// endpoint serves several frontends; then the flow table decides. None where it is fullnat's alone:
// then only what it sends to a SNAT address is ours.
struct sluice_return {
	uint32_t first; // index into return_candidates
	uint32_t count;
};

struct sluice_return_candidate {
	uint32_t slot;
	uint16_t frontend;
	uint16_t reserved;
};

enum sluice_address_kind {
	SLUICE_ADDRESS_VIRTUAL,
	SLUICE_ADDRESS_NODE,
};

// What an endpoint may send, as its address alone tells: bits.
enum {
	SLUICE_SENDS_TO_CLIENTS = 1 << 0, // nat
	SLUICE_SENDS_TO_SNAT = 1 << 1,    // fullnat: to the addresses that we send from
};

struct sluice_vlans {
	uint64_t ids[4096 / 64];
};

// An address of ours that stands for clients.
struct sluice_snat_address {
	alignas(32) struct sluice_target target; // without port and protocol
	uint16_t sum; // ones' complement sum of the address's 16-bit words, as on the wire
};

// What fullnat may take.
struct sluice_snat {
	uint16_t first_port, last_port; // host byte order
	uint8_t count_v4, count_v6;
	uint8_t v4[SLUICE_SNAT_MAX], v6[SLUICE_SNAT_MAX]; // indices of addresses, by family
	struct sluice_snat_address addresses[SLUICE_SNAT_MAX];
};

struct sluice_snapshot {
	uint64_t generation;
	struct sluice_hash_key row_key;

	// What later fragments are known by stands in the first two as well, as targets without
	// port and protocol: virtual addresses (-> SLUICE_ADDRESS_VIRTUAL), the host's own with
	// node ports (-> SLUICE_ADDRESS_NODE); endpoints' addresses (-> SLUICE_SENDS_*).
	const struct sluice_target_table *frontend_table; // target -> frontend id
	const struct sluice_target_table *return_table;   // target -> index into returns
	const struct sluice_target_table *local_table;    // host's own addresses (port, protocol 0)
	const struct sluice_target_table *server_ids; // QUIC (dataplane/quic.h) -> slot; or NULL
	const struct sluice_target_table *snat_table; // SNAT addresses (the same) -> index

	const struct sluice_frontend *frontends;
	const struct sluice_endpoint *endpoints;
	const struct sluice_service *services;
	const struct sluice_return *returns;
	const struct sluice_return_candidate *return_candidates;
	const struct sluice_snat *snat; // NULL: there are none, and snat_table is NULL too

	// Where a packet for any address goes: longest prefix -> index into adjacencies.
	// Index 0 is "no route". Neighbours stand in the tables as host routes.
	struct rte_fib *routes_v4;
	struct rte_fib6 *routes_v6;
	const struct sluice_adjacency *adjacencies;

	uint32_t frontend_count; // highest id + 1
	uint32_t endpoint_count; // highest slot + 1
	uint32_t service_count;
	uint32_t adjacency_count;

	// VLAN ids that the host has an interface for, a bit each, by port; NULL: none on any port.
	const struct sluice_vlans *vlans;
};
