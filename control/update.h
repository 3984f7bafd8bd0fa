// SPDX-License-Identifier: BSD-3-Clause
#pragma once

// From a changed model (or a changed kernel) to workers that use it. Control thread only.
//
// An update is: compile, save the state, withdraw the addresses that are no longer virtual,
// publish to the workers and wait until all have it, tell the steering program, announce the new
// addresses, and free what nobody uses any more.

#include <stdint.h>

#include "sluice/snapshot.h"

struct event_base;
struct sluice_announce;
struct sluice_compiled;
struct sluice_dataplane;
struct sluice_flow_file;
struct sluice_kernel;
struct sluice_model;
struct sluice_model_endpoint;
struct sluice_port;
struct sluice_state;
struct sluice_stats;
struct sluice_steer;
struct sluice_updater;

// What the publication that carried a change was.
struct sluice_update_result {
	int error; // 0, or -errno: not applied, the workers have what they had; the log says why
	uint64_t generation;
	uint64_t applied_us; // from the first change of the batch to the last worker's quiescence
	uint64_t rows_moved; // Maglev rows that changed endpoint, over the services of the batch
};

typedef void sluice_update_done(void *context, const struct sluice_update_result *result);

// What an update works on; not owned.
struct sluice_update_context {
	struct event_base *base;
	struct sluice_model *model;
	struct sluice_kernel *kernel;
	struct sluice_state *state;
	struct sluice_stats *stats;
	struct sluice_steer *steer;
	struct sluice_announce *announce; // NULL: addresses are somebody else's business
	struct sluice_dataplane *dataplane;
	struct sluice_flow_file *flows;
	const struct sluice_port *ports;
	unsigned port_count;
	const char *seed;                    // cluster seed
	const struct sluice_snat_pool *snat; // NULL: none
	struct sluice_flow_file *snat_flows; // NULL: none
};

// NULL with errno.
struct sluice_updater *sluice_updater_new(const struct sluice_update_context *context);

// After the workers have stopped. Changes that wait are forgotten.
void sluice_updater_free(struct sluice_updater *u);

// Asks for the model as it stands to be published. Calls of one round of the event loop are
// published together; done (may be NULL) is called after all workers have it.
void sluice_update_request(struct sluice_updater *u, sluice_update_done *done, void *context);

// The kernel's tables changed (SLUICE_KERNEL_* bits): the same, with a generation of its own.
void sluice_update_kernel_changed(struct sluice_updater *u, unsigned what);

// Does at once what was asked for. 0 or -errno.
int sluice_update_now(struct sluice_updater *u);

// The generation in use.
uint64_t sluice_update_generation(const struct sluice_updater *u);

// Why workers can't reach an endpoint; NULL: they can.
const char *sluice_update_obstacle(const struct sluice_updater *u,
                                   const struct sluice_model_endpoint *e);
