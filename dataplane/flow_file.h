// SPDX-License-Identifier: BSD-3-Clause
#pragma once

// The memory of the flow table, and of fullnat's: a file each that outlives the process, so that a
// restart loses no flow.
//
// DIRECTORY/flows (or snat) where the directory is on tmpfs (as /run is), or on a hugetlbfs mount
// where that is allowed and has the pages. All of it is allocated and mapped at the start: workers
// never fault, and a full file system is an error then, not a SIGBUS later. Control thread.

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dataplane/flow_table.h"
#include "dataplane/snat_table.h"

// Where the table's content comes from.
enum sluice_flow_origin {
	SLUICE_FLOW_KEPT,          // as the last process left it
	SLUICE_FLOW_CARRIED,       // live flows, out of a table of another capacity or elsewhere
	SLUICE_FLOW_FRESH_NONE,    // there was no file
	SLUICE_FLOW_FRESH_INVALID, // not a table, cut off, or of another version's layout
	SLUICE_FLOW_FRESH_EPOCH,   // of slots that mean something else now
	SLUICE_FLOW_FRESH_BOOT,    // from before the host's last boot
	SLUICE_FLOW_ORIGINS,
};

// In words for a log line: "kept", "fresh: from before the last boot", ...
const char *sluice_flow_origin_text(enum sluice_flow_origin origin);

struct sluice_flow_file_options {
	const struct sluice_snat_pool *snat; // fullnat's table, of these; NULL: the flow table
	const char *directory;               // exists; normally the runtime directory
	bool hugepages;                      // a hugetlbfs mount may be used
	uint64_t capacity;                   // entries
	uint64_t epoch;                      // as in sluice_flow_table_format
	uint32_t now;                        // seconds since boot (CLOCK_BOOTTIME)
	struct sluice_flow_timeouts timeouts;
};

struct sluice_flow_file {
	struct sluice_flow_table table; // or
	struct sluice_snat_table snat;
	enum sluice_flow_origin origin;
	bool hugepages; // on hugetlbfs
	bool disk;      // on a file system that writes back: to be warned about, it stalls workers
	uint64_t carried; // flows taken over from another table
	uint64_t lost;    // live, confirmed flows that found no room in it
	char path[PATH_MAX];

	const struct sluice_flow_kind *kind; // what follows is for flow_file.c
	void *memory;
	size_t size;
	uint64_t epoch;
	int lock;
};

// Opens or makes the table for this process alone. Returns 0 or -errno; -EBUSY: another process
// has it; -ENOSPC: no room for all of it.
int sluice_flow_file_open(struct sluice_flow_file *f,
                          const struct sluice_flow_file_options *options);

// Whether the next process may go on with the table. Not while its flows may be at slots that the
// saved state does not know: they would be given to others. It may, as long as nobody says no.
void sluice_flow_file_trust(struct sluice_flow_file *f, bool trusted);

// Unmaps it and leaves the file for the next process. Workers must have stopped.
void sluice_flow_file_close(struct sluice_flow_file *f);
