// SPDX-License-Identifier: BSD-3-Clause
#pragma once

// What the host says of itself in /sys, /proc and /etc. Another root than / is where $SLUICE_ROOT
// says, as for sluice-nic and sluice-host-setup: a host that tests made up.

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	SLUICE_HOST_TEXT = 4096, // lists of cores: of hundreds, each named
	SLUICE_HOST_PATH = 1024,
};

// The path below the root. Returns out.
__attribute__((format(printf, 2, 3))) const char *
sluice_host_path(char out[static SLUICE_HOST_PATH], const char *format, ...);

__attribute__((format(printf, 1, 2))) bool sluice_host_has(const char *format, ...);

// The first line of a file; false where it can't be read.
__attribute__((format(printf, 2, 3))) bool sluice_host_line(char out[static SLUICE_HOST_TEXT],
                                                            const char *format, ...);

// The number that a file holds; -1 where it can't be read.
__attribute__((format(printf, 1, 2))) long sluice_host_number(const char *format, ...);

// The last word of what a link points to, as a device's driver; false where there is none.
__attribute__((format(printf, 2, 3))) bool sluice_host_link(char out[static SLUICE_HOST_TEXT],
                                                            const char *format, ...);

// Hugepages of one size, all in bytes.
struct sluice_host_hugepages {
	uint64_t size;
	uint64_t total, unused;
};

// Those of the size that sluiced takes: of which most is free (as in dataplane/eal.c). directory:
// the whole host's or a node's.
struct sluice_host_hugepages sluice_host_hugepages(const char *directory);

// Whether n is in a list as the kernel writes them: "0-2,5".
bool sluice_host_list_has(const char *list, unsigned n);
