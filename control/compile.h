// SPDX-License-Identifier: BSD-3-Clause
#pragma once

// From the model and the kernel mirror to a snapshot for the workers, and to what the steering
// program, the kernel's addresses and its neighbour table have to be told. Control thread only.

#include <stddef.h>
#include <stdint.h>

#include "control/fib.h"
#include "control/kernel.h"
#include "control/model.h"
#include "control/steer.h"
#include "sluice/snapshot.h"

struct sluice_port;

struct sluice_compile_input {
	struct sluice_model *model; // gives frontend ids, keeps each service's Maglev table
	const struct sluice_kernel *kernel;
	const struct sluice_port *ports;
	unsigned port_count;
	struct sluice_fib *fib;              // gets a reference more
	struct sluice_hash_key row_key;      // of the cluster seed
	const struct sluice_snat_pool *snat; // NULL: none
};

// A snapshot and all that belongs to it.
struct sluice_compiled {
	struct sluice_snapshot snapshot;
	struct sluice_fib *fib;
	uint64_t rows_moved; // since the compilation before, over all services

	struct sluice_steer_sets steer;
	struct sluice_kernel_hop *hops; // next hops that endpoints and gateways need
	size_t hop_count;
	const char **obstacles; // by slot: why the endpoint can't be reached; NULL: it can

	struct sluice_maglev_table **tables; // held, one per service (NULL: none)
	size_t table_count;
	void **blocks; // memory of all of the above
	size_t block_count;
};

// NULL with errno: ENOMEM, ENOSPC or EAGAIN (frontend ids). The model's services then keep the
// tables they had.
struct sluice_compiled *sluice_compile(const struct sluice_compile_input *input);
void sluice_compiled_free(struct sluice_compiled *c);

// Releases what a service keeps in `compiled`; fits sluice_model_hooks.
void sluice_compile_forget(void *context, void *compiled);

// Why the endpoint can't be reached; NULL: it can.
const char *sluice_compiled_obstacle(const struct sluice_compiled *c,
                                     const struct sluice_model_endpoint *e);

// The endpoint as the snapshot has it, or NULL. port in host byte order.
const struct sluice_endpoint *sluice_compiled_endpoint(const struct sluice_compiled *c,
                                                       const struct sluice_model_endpoint *e);
