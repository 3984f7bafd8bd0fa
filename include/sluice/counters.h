// SPDX-License-Identifier: BSD-3-Clause
#pragma once

// What workers count and the control thread reads.
//
// Every counter has one writer, its worker, and is read at any time by the control thread, so
// a relaxed load and store (two plain moves) are enough; nothing is ever reset. The identity
//
//     rx + split = tx + passed + sum(drops)
//
// holds per host over all ports whenever no packet is inside a worker's burst, or in its hold for
// early fragments (dataplane/fragments.h).

#include <stdalign.h>
#include <stdatomic.h>
#include <stdint.h>

#include "sluice/types.h"

typedef _Atomic uint64_t sluice_counter; // the one typedef: an atomic counter, single writer

static inline void sluice_count(sluice_counter *c, uint64_t n)
{
	atomic_store_explicit(c, atomic_load_explicit(c, memory_order_relaxed) + n,
	                      memory_order_relaxed);
}

static inline uint64_t sluice_counter_read(const sluice_counter *c)
{
	return atomic_load_explicit(c, memory_order_relaxed);
}

// Why a packet went no further: SLUICE_DROP(symbol, label in the metrics, what it means).
#define SLUICE_DROPS(X)                                                                            \
	X(TRUNCATED, "truncated", "shorter than its own headers say")                              \
	X(BAD_HEADER, "bad_header", "a version, length or header chain that cannot be")            \
	X(FRAGMENT, "fragment",                                                                    \
	  "a fragment whose first one did not come in time, or went no further")                   \
	X(VLAN, "vlan", "tagged with a VLAN that the host has no interface for")                   \
	X(NOT_OURS, "not_ours", "no service's traffic, on a port that has no kernel face")         \
	X(TTL_EXPIRED, "ttl_expired", "TTL or hop limit used up")                                  \
	X(NO_ENDPOINT, "no_endpoint", "the service has no endpoint that can take traffic")         \
	X(REFUSE_LIMITED, "refuse_limited", "a refusal that the rate limit held back")             \
	X(NO_RETURN_FLOW, "no_return_flow", "an endpoint answered a flow that no table knows")     \
	X(NO_ROUTE, "no_route", "the kernel has no route to the destination over a port")          \
	X(NO_NEIGHBOUR, "no_neighbour",                                                            \
	  "next hop unresolved, and the kernel did not take the packet")                           \
	X(TOO_BIG, "too_big", "larger than the MTU of the way out, and can't be cut")              \
	X(SNAT_EXHAUSTED, "snat_exhausted",                                                        \
	  "a new flow found no free address and port, or no room")                                 \
	X(TX_FULL, "tx_full", "the port out took no more packets")                                 \
	X(KERNEL_FULL, "kernel_full", "for the kernel, which took no more or had its share")       \
	X(NO_BUFFER, "no_buffer", "no packet buffer for an answer or for pieces")

#define X(symbol, label, text) SLUICE_DROP_##symbol,
enum sluice_drop {
	SLUICE_DROPS(X) SLUICE_DROP_COUNT,
};
#undef X

// Label and meaning of a drop reason, as metrics, documentation and tools show them.
const char *sluice_drop_label(enum sluice_drop reason);
const char *sluice_drop_text(enum sluice_drop reason);

struct sluice_port_counters {
	sluice_counter rx_packets, rx_bytes;
	sluice_counter tx_packets, tx_bytes;
	sluice_counter passed; // handed to the kernel: not ours, or for it to resolve the next hop
	// What the kernel sent through the port's kernel face; not among rx and tx.
	sluice_counter kernel_sent, kernel_lost;
};

// Writer: the worker. Reader: control.
struct sluice_worker_counters {
	alignas(64) sluice_counter polls; // rounds over all queues of the worker
	sluice_counter packets;
	sluice_counter split;       // pieces more than packets that were cut (dataplane/split.h)
	sluice_counter busy_cycles; // TSC cycles in rounds that found packets
	sluice_counter flow_inserts;
	sluice_counter flow_evictions_probation;   // live probationary flows pushed out
	sluice_counter flow_evictions_established; // stays 0: shown because it must
	sluice_counter flow_expirations;           // expired entries whose place was taken
	sluice_counter flow_untracked; // new flows that found no room; the hash alone places them
	sluice_counter snat_inserts;   // the same for the flows of fullnat services
	sluice_counter snat_evictions_probation;
	sluice_counter snat_expirations;
	sluice_counter drops[SLUICE_DROP_COUNT];
	alignas(64) struct sluice_port_counters ports[SLUICE_PORTS_MAX];
};

// One array of these per worker, indexed by endpoint slot.
struct sluice_endpoint_counters {
	alignas(64) sluice_counter in_packets;
	sluice_counter in_bytes;
	sluice_counter out_packets, out_bytes;
	sluice_counter connections; // new flows placed on the endpoint
};
static_assert(sizeof(struct sluice_endpoint_counters) == 64, "one cache line each");
