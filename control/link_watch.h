// SPDX-License-Identifier: BSD-3-Clause
#pragma once

// Says in the log when a port, or a member of a bond, lost its link or has it again. Control
// thread.

#include "control/stats.h"

// Zeroed to begin with.
struct sluice_link_watch {
	bool watching; // looked before
	struct sluice_port_link links[SLUICE_PORTS_MAX];
};

// To be called now and then. The first time, what is up is not worth a word.
void sluice_link_watch_look(struct sluice_link_watch *w, const struct sluice_stats_source *source);
