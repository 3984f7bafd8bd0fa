// SPDX-License-Identifier: BSD-3-Clause
#pragma once

// The daemon: everything that runs, put together and taken apart in order. Main thread only.

#include "control/config.h"
#include "sluice/log.h"

struct sluice_daemon;

struct sluice_daemon_options {
	const char *config_path;
	enum sluice_log_level log_level;
	char *const *eal_arguments; // what stood behind "--"
	size_t eal_argument_count;
};

// Starts all of it: when this returns, workers forward, the API answers and systemd knows.
// Takes the configuration over. NULL: the reason is logged, and all is as it was before, but
// that what a killed process left to drop service traffic still does.
struct sluice_daemon *sluice_daemon_start(const struct sluice_daemon_options *options,
                                          struct sluice_config *config);

// Runs until SIGTERM or SIGINT. SIGHUP reads the configuration again.
void sluice_daemon_run(struct sluice_daemon *d);

// A clean stop: addresses withdrawn, workers stopped, steering detached, state on the disk.
void sluice_daemon_stop(struct sluice_daemon *d);
