// SPDX-License-Identifier: BSD-3-Clause
#pragma once

// The services there are now. Every source of truth (file, API, saved state) changes them through
// the same calls, all or nothing. Control thread only.

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "control/error.h"
#include "control/service_spec.h"

// An endpoint of a service, with the slot it keeps for life.
struct sluice_model_endpoint {
	struct sluice_endpoint_spec spec;
	uint32_t slot;         // index into snapshot endpoints and counters
	uint16_t generation;   // the slot's, never 0
	time_t since;          // when it was added (wall clock)
	time_t draining_since; // 0: active
};

struct sluice_model_service {
	struct sluice_service_spec spec; // spec.endpoints unused: they stand below
	uint32_t id;                     // stable for the service's life, > 0
	time_t since;
	size_t endpoint_count;
	struct sluice_model_endpoint *endpoints; // sorted by (address, port)
	void *compiled; // compile's: the Maglev table of the last compilation, and what it was of
};

struct sluice_model {
	size_t service_count;
	struct sluice_model_service **services; // sorted by (namespace, name)
	                                        // ... (owner adds: slot allocator, slices, origins)
};
