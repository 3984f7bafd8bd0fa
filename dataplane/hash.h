// SPDX-License-Identifier: BSD-3-Clause
#pragma once

// The keyed hash behind every table: 64x64 -> 128 bit multiply and fold, the round of wyhash
// (Wang Yi, 2019). Two rounds for an IPv4 flow, four for an IPv6 one. Without the key nobody can
// tell which inputs share a bucket; CRC instructions would be faster, but they are linear, so
// that inputs which collide under one seed collide under all.

#include <stdint.h>
#include <string.h>

#include "sluice/snapshot.h"
#include "sluice/types.h"

static inline uint64_t sluice_hash_fold(uint64_t a, uint64_t b)
{
	unsigned __int128 product = (unsigned __int128)a * b;

	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static inline uint64_t sluice_hash_u64(const struct sluice_hash_key *key, uint64_t value)
{
	uint64_t h = sluice_hash_fold(value ^ key->k[0], key->k[1]);

	return sluice_hash_fold(h ^ key->k[2], value ^ key->k[3]);
}

// Hash of any bytes, for the control side; short inputs, no alignment needed.
uint64_t sluice_hash_bytes(const struct sluice_hash_key *key, const void *data, size_t len);

// Fills a key from a seed text (a cluster seed, a table's secret): same text, same key, on every
// host and CPU.
void sluice_hash_key_expand(struct sluice_hash_key *key, const char *seed);

// Hash of a target; the family is constant where it is inlined.
static inline uint64_t sluice_hash_target(const struct sluice_hash_key *key,
                                          const struct sluice_target *t, enum sluice_family family)
{
	uint64_t words[2];
	uint32_t middle;

	memcpy(&words[1], &t->address.bytes[12], 8);
	if (family == SLUICE_IPV4)
		return sluice_hash_u64(key, words[1]);
	memcpy(&words[0], &t->address.bytes[0], 8);
	memcpy(&middle, &t->address.bytes[8], 4);
	uint64_t h = sluice_hash_fold(words[0] ^ key->k[2], middle ^ key->k[3]);

	return sluice_hash_u64(key, words[1] ^ h);
}

// Maps a hash to 0..n-1 without a division (Lemire, "Fast random integer generation", 2019).
static inline uint32_t sluice_hash_range(uint64_t hash, uint32_t n)
{
	return (uint32_t)(((hash >> 32) * n) >> 32);
}
