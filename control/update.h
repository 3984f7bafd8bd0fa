// SPDX-License-Identifier: BSD-3-Clause
#pragma once

// From a changed model (or a changed kernel) to workers that use it. Control thread only.

#include <stdint.h>

struct sluice_updater;

// What the publication that carried a change was.
struct sluice_update_result {
	uint64_t generation;
	uint64_t applied_us; // from the first change of the batch to the last worker's quiescence
	uint64_t rows_moved; // Maglev rows that changed endpoint, over the services of the batch
};

typedef void sluice_update_done(void *context, const struct sluice_update_result *result);

// Asks for the model as it stands to be saved, compiled and published. Calls of one round of the
// event loop are published together; done (may be NULL) is called after all workers have it.
void sluice_update_request(struct sluice_updater *u, sluice_update_done *done, void *context);

// The generation in use.
uint64_t sluice_update_generation(const struct sluice_updater *u);
