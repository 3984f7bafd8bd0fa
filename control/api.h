// SPDX-License-Identifier: BSD-3-Clause
#pragma once

// The calls over the UNIX socket. Control thread only.

#include <stdint.h>
#include <sys/types.h>

#include "control/error.h"
#include "control/model.h"
#include "control/state.h"
#include "control/stats.h"
#include "control/update.h"

struct event_base;
struct sluice_api;

// What the calls work on; not owned. state may be NULL (nothing is saved).
struct sluice_api_context {
	struct event_base *base;
	struct sluice_model *model;
	struct sluice_updater *updater;
	struct sluice_stats *stats;
	const struct sluice_state *state;
};

struct sluice_api_config {
	const char *socket; // path
	mode_t mode;        // 0660
	const char *group;  // NULL: "sluice" where there is one; else it must exist
};

// Binds the socket; a file left by a dead process is replaced, a living one's is not (409).
// NULL: *e says why.
struct sluice_api *sluice_api_new(const struct sluice_api_context *context,
                                  const struct sluice_api_config *config, struct sluice_error *e);

// Closes the connections and removes the socket file. Changes that are not answered yet must be
// gone from the updater before (their done is no longer called), or be called before.
void sluice_api_free(struct sluice_api *api);
