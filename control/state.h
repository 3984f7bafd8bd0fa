// SPDX-License-Identifier: BSD-3-Clause
#pragma once

// The last good state, in a file: DIRECTORY/state.json (0600). What it must keep so that a crash
// is a pause: services with their endpoints, slots and generations (flow entries refer to them),
// frontend ids, the cluster seed where the configuration has none. Control thread only.
//
// It is written to a temporary file, which then changes places with the old one: a killed process
// leaves the old one or the new one. It is not synced to the disk with each change (that costs
// milliseconds and protects from power loss only, which the flow table does not survive either),
// but when it is first made and when it is closed.

#include <stdbool.h>
#include <stdint.h>

#include "control/error.h"
#include "control/model.h"
#include "control/strbuf.h"

struct sluice_state {
	char *directory;
	int directory_fd; // locked as long as the state is open
	uint64_t epoch;   // names the history of slots; the flow table's file has it too
	char seed[65];    // cluster seed, 64 hexadecimal digits
	bool fresh;       // there was no usable file: services come from the configuration alone
	bool saved;       // the last save went well
	char reason[160]; // why not
	struct sluice_strbuf text;
};

// Makes the directory (0750) where it is missing, locks it, and loads the file into the empty
// model. A file that cannot be used is kept aside as state.json.bad, with a log line, and the
// state starts anew. -EBUSY: another process has it; or -errno of the directory. *e is filled.
int sluice_state_open(struct sluice_state *s, const char *directory, struct sluice_model *m,
                      struct sluice_error *e);

// Writes the model as it stands; to be called before what it says is published. On -errno (disk
// full) saved and reason say so, one log line is written, and the change may go live.
int sluice_state_save(struct sluice_state *s, struct sluice_model *m);

// What a save leaves for when nobody waits: has the disk begin to write the file, and removes the
// old one. That may take milliseconds where the disk is busy.
void sluice_state_settle(struct sluice_state *s);

// Syncs the file and lets the directory go.
void sluice_state_close(struct sluice_state *s);
