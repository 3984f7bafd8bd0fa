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

SLUICE_INLINE uint64_t sluice_hash_fold(uint64_t a, uint64_t b)
{
	unsigned __int128 product = (unsigned __int128)a * b;

	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

SLUICE_INLINE uint64_t sluice_hash_u64(const struct sluice_hash_key *key, uint64_t value)
{
	uint64_t h = sluice_hash_fold(value ^ key->k[0], key->k[1]);

	return sluice_hash_fold(h ^ key->k[2], value ^ key->k[3]);
}

// Hash of any bytes, for the control side; short inputs, no alignment needed.
uint64_t sluice_hash_bytes(const struct sluice_hash_key *key, const void *data, size_t len);

// Fills a key from a seed text (a cluster seed, a table's secret): same text, same key, on every
// host and CPU.
void sluice_hash_key_expand(struct sluice_hash_key *key, const char *seed);

// A target as the data path has it: what IPv4 needs in one register, and where the address is.
// Built with shifts, as a load of eight bytes just stored in pieces would stall.
struct sluice_target_view {
	uint64_t tail;          // the last 8 bytes of struct sluice_target
	const uint8_t *address; // 16 bytes; read with IPv6 only
};

SLUICE_INLINE uint64_t sluice_target_tail(uint32_t address_end, uint16_t port, uint8_t protocol,
                                          enum sluice_family family)
{
	static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "first byte lowest");
	return address_end | (uint64_t)port << 32 | (uint64_t)protocol << 48 |
	       (uint64_t)family << 56;
}

static inline struct sluice_target_view sluice_target_view(const struct sluice_target *t)
{
	struct sluice_target_view v = {.address = t->address.bytes};

	memcpy(&v.tail, &t->address.bytes[12], 8);
	return v;
}

// Hash of a target; the family is constant where it is inlined.
SLUICE_INLINE uint64_t sluice_hash_target(const struct sluice_hash_key *key,
                                          struct sluice_target_view v, enum sluice_family family)
{
	uint64_t first;
	uint32_t middle;

	if (family == SLUICE_IPV4)
		return sluice_hash_u64(key, v.tail);
	memcpy(&first, v.address, 8);
	memcpy(&middle, v.address + 8, 4);
	return sluice_hash_u64(key,
	                       v.tail ^ sluice_hash_fold(first ^ key->k[2], middle ^ key->k[3]));
}

// Maps a hash to 0..n-1 without a division (Lemire, "Fast random integer generation", 2019).
static inline uint32_t sluice_hash_range(uint64_t hash, uint32_t n)
{
	return (uint32_t)(((hash >> 32) * n) >> 32);
}
