// SPDX-License-Identifier: BSD-3-Clause
#pragma once

// A service's Maglev table, shared by all snapshots of the time in which its endpoints and their
// weights stay the same. Control thread only.

#include <stddef.h>
#include <stdint.h>

#include "dataplane/maglev.h"
#include "sluice/snapshot.h"

struct sluice_maglev_table {
	unsigned references;
	uint32_t size;
	size_t count;
	struct sluice_maglev_endpoint *endpoints; // [count], sorted as given
	uint16_t rows[];                          // [size], indices into endpoints
};

// A table with one reference: the old one where it is of the same endpoints and size, else a new
// one. count > 0, sorted by (address, port). NULL with errno.
struct sluice_maglev_table *sluice_maglev_table_of(struct sluice_maglev_table *old, uint32_t size,
                                                   const struct sluice_maglev_endpoint *endpoints,
                                                   size_t count, const struct sluice_hash_key *key);
struct sluice_maglev_table *sluice_maglev_table_get(struct sluice_maglev_table *t);
void sluice_maglev_table_put(struct sluice_maglev_table *t);

// Rows whose endpoint differs. Either may be NULL: then all rows of the other do.
uint64_t sluice_maglev_table_moved(const struct sluice_maglev_table *a,
                                   const struct sluice_maglev_table *b);
