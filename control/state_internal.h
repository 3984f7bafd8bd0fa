// SPDX-License-Identifier: BSD-3-Clause
#pragma once

// The two halves of the state: state.c writes, state_read.c reads.

#include "control/state.h"

#define STATE_FILE      "state.json"
#define STATE_TEMPORARY "state.json.new"

enum {
	SLUICE_STATE_VERSION = 1,
};

// Reads the open file into the empty model, and epoch and seed. On error *why says what is wrong
// (static text) and the model holds anything.
int sluice_state_read(struct sluice_state *s, int fd, struct sluice_model *m, const char **why);
