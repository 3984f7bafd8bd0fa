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

// A target as the data path has it, in registers: what IPv4 needs, and where the address is.
struct sluice_target_view {
	uint32_t end;           // the address's last 4 bytes: all of IPv4's
	uint16_t port;          // network byte order
	uint8_t protocol;       // IPPROTO_*; port and protocol 0: the address alone
	uint8_t family;         // enum sluice_family
	const uint8_t *address; // 16 bytes; read with IPv6 only
};

// The last 8 bytes of struct sluice_target. Built with shifts, as a load of eight bytes just stored
// in pieces would stall.
SLUICE_INLINE uint64_t sluice_target_tail(struct sluice_target_view v)
{
	static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "first byte lowest");
	return v.end | (uint64_t)v.port << 32 | (uint64_t)v.protocol << 48 |
	       (uint64_t)v.family << 56;
}

static inline struct sluice_target_view sluice_target_view(const struct sluice_target *t)
{
	struct sluice_target_view v = {.port = t->port,
	                               .protocol = t->protocol,
	                               .family = t->family,
	                               .address = t->address.bytes};

	memcpy(&v.end, &t->address.bytes[12], 4);
	return v;
}

// Hash of a target; the family is constant where it is inlined.
SLUICE_INLINE uint64_t sluice_hash_target(const struct sluice_hash_key *key,
                                          struct sluice_target_view v, enum sluice_family family)
{
	uint64_t first;
	uint32_t middle;

	if (family == SLUICE_IPV4)
		return sluice_hash_u64(key, sluice_target_tail(v));
	memcpy(&first, v.address, 8);
	memcpy(&middle, v.address + 8, 4);
	return sluice_hash_u64(key, sluice_target_tail(v) ^ sluice_hash_fold(first ^ key->k[2],
	                                                                     middle ^ key->k[3]));
}

// Maps a hash to 0..n-1 without a division (Lemire, "Fast random integer generation", 2019).
static inline uint32_t sluice_hash_range(uint64_t hash, uint32_t n)
{
	return (uint32_t)(((hash >> 32) * n) >> 32);
}
