// SPDX-License-Identifier: BSD-3-Clause
#pragma once

// Maglev's consistent hashing (Eisenbud et al., NSDI 2016, section 3.4), with weights.

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sluice/snapshot.h"
#include "sluice/types.h"

struct sluice_maglev_endpoint {
	struct sluice_address address;
	uint16_t port;   // network byte order
	uint16_t weight; // 0: no rows
};

// Fills rows[0..size) with indices into endpoints[0..count). Pure: the same set of (address,
// port, weight), key and size give each row the same endpoint, whatever order they come in.
// Row counts are proportional to the weights to within one row (largest remainders, ties by
// (address, port)); equal weights differ by at most one. size must be prime and at least the
// number of endpoints with weight; count at most 65535; no (address, port) with weight twice.
// Any thread; allocates scratch. Returns 0, -EINVAL (size, count, a double, or no weight at all)
// or -ENOMEM; rows is then undefined.
int sluice_maglev_fill(uint16_t *rows, uint32_t size,
                       const struct sluice_maglev_endpoint *endpoints, size_t count,
                       const struct sluice_hash_key *key);

// Whether n can be a table size.
bool sluice_maglev_is_prime(uint32_t n);
