// SPDX-License-Identifier: BSD-3-Clause
#pragma once

// A small world for the pipeline: services, endpoints, routes and a flow table, put together by
// hand into a snapshot, and a way to run frames through it that checks what holds for every
// packet, whatever it is.

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dataplane/pipeline.h"
#include "frames.h"

enum {
	WORLD_SERVICES = 32,
	WORLD_FRONTENDS = 32,
	WORLD_ENDPOINTS = 64,
	WORLD_ROWS = 251,
	WORLD_MTU = 1500,
};

// Last bytes of MACs.
enum {
	HOST_0 = 0x10, // the host's ports
	HOST_1 = 0x11,
	GATEWAY = 0xc1, // towards the clients, on port 0
	BACKEND = 0xe1, // all endpoints, on port 1
};

struct world {
	struct sluice_pipeline pipeline;
	struct sluice_worker_counters counters;
	struct sluice_endpoint_counters endpoint_counters[WORLD_ENDPOINTS];
	struct sluice_flow_table flows;
	void *flow_memory;
	struct sluice_flow_table fragments;

	struct sluice_snapshot snapshot;
	struct sluice_service services[WORLD_SERVICES];
	struct sluice_frontend frontends[WORLD_FRONTENDS];
	struct sluice_endpoint endpoints[WORLD_ENDPOINTS];
	struct sluice_return returns[WORLD_ENDPOINTS];
	struct sluice_return_candidate candidates[2 * WORLD_ENDPOINTS];
	uint16_t rows[WORLD_SERVICES][WORLD_ROWS];
	uint32_t slots[WORLD_SERVICES][WORLD_ENDPOINTS];
	unsigned turn; // by which the rows are shifted: any new number moves every flow's row
};

// The outcome of one packet.
struct outcome {
	struct sluice_packet packet;
	struct frame frame; // as it is after the pipeline
	bool changed;       // anything of it
};

// How an endpoint is reached.
enum world_hop {
	READY,
	UNRESOLVED,
	NO_ROUTE,
	NARROW, // MTU 100
};

// The standard services, a line each frontend.
struct world_entry {
	bool same_service; // a further frontend of the service above
	const char *address;
	uint16_t port;
	uint8_t protocol;
	const char *endpoint; // NULL: none
	uint16_t endpoint_port;
	enum world_hop hop;
	enum sluice_on_empty on_empty;
};

extern const struct world_entry world_entries[];
extern const size_t world_entry_count;

// Starts the EAL without hugepages and ports, once for the process.
void world_eal(void);

// With the standard services, or empty. Abort where memory is short.
struct world *world_new(void);
struct world *world_new_empty(void);
void world_free(struct world *w);

// After these, world_commit() makes the snapshot.
unsigned world_service(struct world *w, enum sluice_on_empty on_empty);
uint16_t world_frontend(struct world *w, unsigned service, const char *address, uint16_t port,
                        uint8_t protocol);
uint32_t world_endpoint(struct world *w, unsigned service, const char *address, uint16_t port,
                        uint8_t protocol);
void world_endpoint_remove(struct world *w, uint32_t slot);
void world_commit(struct world *w);

// Runs at most SLUICE_BURST frames as one burst. heads[i], where given, is how many bytes the
// first segment has. Every segment ends at an unreadable page. Checks that each packet has one
// verdict, that the counters say exactly that, that a packet that is passed, held or to be cut is
// as it came, and that nothing but the packet and its headroom was written. Aborts with a message
// otherwise.
void world_run(struct world *w, const struct frame *const *frames, const uint32_t *heads,
               struct outcome *outcomes, unsigned count);

// One frame alone.
void world_run_one(struct world *w, const struct frame *f, struct outcome *o);

#define CHECK(condition) world_check(condition, #condition, __FILE__, __LINE__)
void world_check(bool holds, const char *condition, const char *file, int line);
