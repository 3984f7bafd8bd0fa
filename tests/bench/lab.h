// SPDX-License-Identifier: BSD-3-Clause
#pragma once

// A pipeline to measure: one TCP service of a forwarding mode and a family, 100 endpoints, a flow
// table, and a generator of its clients' packets. The generator writes each frame's headers into
// the next of a few packet buffers, as a network card with cache injection would.

#include <rte_mbuf.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "dataplane/pipeline.h"

enum {
	LAB_BUFFERS = 256,
	LAB_FRAME_MAX = 74, // IPv6; IPv4 has 60, the smallest there is without its checksum
	LAB_ENDPOINTS = 100,
	LAB_ROWS = 65537,
	LAB_SOURCE_V4 = 26, // offset of the client's address
	LAB_SOURCE_V6 = 22,
};

// What is measured of each mode: a new mode is a line.
struct lab_mode {
	const char *name;
	enum sluice_forwarding forwarding;
};
extern const struct lab_mode lab_modes[];
extern const unsigned lab_mode_count;

struct lab {
	const struct lab_mode *mode;
	enum sluice_family family;
	struct sluice_pipeline pipeline;
	struct sluice_flow_table flows;
	struct sluice_snat_table snat_table;
	struct sluice_snat snat;
	struct sluice_snapshot snapshot;
	struct sluice_worker_counters counters;
	struct sluice_endpoint_counters endpoint_counters[LAB_ENDPOINTS];
	uint16_t frame_length;
	uint8_t frame[LAB_FRAME_MAX];
	struct lab_memory *memory; // what is freed with it
};

// Order in which packets of known flows come, so that each lookup misses as it would in life.
struct lab_order {
	uint32_t *flows;
	uint32_t count, at;
};

// Prints what and errno, and ends the process.
_Noreturn void lab_die(const char *what);

// Starts the EAL without hugepages and fills the packet buffers; once for the process.
void lab_start(struct rte_mbuf *buffers[LAB_BUFFERS]);

// capacity: of the flow table, in flows. Ends the process where memory is short.
struct lab *lab_new(const struct lab_mode *mode, enum sluice_family family, uint64_t capacity);
void lab_free(struct lab *l);

// Fills the service's rows anew, without the endpoints from `count` on.
void lab_rows(struct lab *l, unsigned count);

// Bytes of flow table, of all kinds, that the lab has.
size_t lab_flow_bytes(const struct lab *l);

void lab_order_make(struct lab_order *o, uint32_t count);
void lab_order_free(struct lab_order *o);

// Flow numbers below 2^30.
static inline void lab_write(const struct lab *l, struct rte_mbuf *m, uint32_t flow)
{
	uint8_t *data = rte_pktmbuf_mtod(m, uint8_t *);
	uint32_t address = htonl(0x40000000 + (flow >> 6));
	uint16_t port = (uint16_t)(1024 + (flow & 63));

	memcpy(data, l->frame, LAB_FRAME_MAX);
	if (l->family == SLUICE_IPV4) {
		memcpy(data + LAB_SOURCE_V4, &address, 4);
		memcpy(data + LAB_SOURCE_V4 + 8, &port, 2);
	} else {
		memcpy(data + LAB_SOURCE_V6 + 12, &address, 4);
		memcpy(data + LAB_SOURCE_V6 + 32, &port, 2);
	}
}

static inline uint32_t lab_next(struct lab_order *o)
{
	uint32_t flow = o->flows[o->at];

	if (++o->at == o->count)
		o->at = 0;
	return flow;
}

// The pipeline over a burst of the lab's packets; packets[i] is of burst[i].
static inline void lab_run(struct lab *l, struct rte_mbuf **burst, struct sluice_packet *packets)
{
	for (unsigned i = 0; i < SLUICE_BURST; i++)
		packets[i] = (struct sluice_packet){
		        .data = rte_pktmbuf_mtod(burst[i], uint8_t *),
		        .buffer = burst[i],
		        .length = l->frame_length,
		        .head = l->frame_length,
		};
	sluice_pipeline_run(&l->pipeline, packets, SLUICE_BURST);
}
