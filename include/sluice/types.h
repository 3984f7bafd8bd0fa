// SPDX-License-Identifier: BSD-3-Clause
#pragma once

// The nouns that both sides speak: addresses, targets, and their limits.

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

// For what takes the address family as a constant: one body in the source, two in the program.
#define SLUICE_INLINE static inline __attribute__((always_inline))

enum {
	SLUICE_PORTS_MAX = 16,
	SLUICE_WORKERS_MAX = 64,
	SLUICE_FRONTENDS_MAX = 1 << 16,       // ids 1..65535: a flow key has 16 bits for them
	SLUICE_SERVICES_MAX = 1 << 16,        // as every service has a frontend
	SLUICE_ENDPOINTS_MAX = 1 << 20,       // slots: a flow value has 20 bits for them
	SLUICE_SERVICE_ENDPOINTS_MAX = 65535, // a Maglev row has 16 bits for them
	SLUICE_SNAT_MAX = 16,                 // addresses that fullnat sends from
};

enum sluice_family {
	SLUICE_IPV4 = 4,
	SLUICE_IPV6 = 6,
};

// An address of either family in network byte order; IPv4 as ::ffff:a.b.c.d (RFC 4291, 2.5.5.2).
struct sluice_address {
	uint8_t bytes[16];
};

// What a transport endpoint is found by. No padding: it is hashed and compared as bytes.
// With IPv4 all that differs is in the last 8 bytes, which is what makes one table serve both.
struct sluice_target {
	struct sluice_address address;
	uint16_t port;    // network byte order
	uint8_t protocol; // IPPROTO_TCP, IPPROTO_UDP; 0 where the address alone is meant
	uint8_t family;   // enum sluice_family
};
static_assert(sizeof(struct sluice_target) == 20, "hashed as bytes");

static inline struct sluice_address sluice_address_from_v4(uint32_t network_order)
{
	struct sluice_address a = {.bytes = {[10] = 0xff, [11] = 0xff}};

	memcpy(&a.bytes[12], &network_order, 4);
	return a;
}

static inline struct sluice_address sluice_address_from_v6(const void *bytes)
{
	struct sluice_address a;

	memcpy(a.bytes, bytes, 16);
	return a;
}

static inline enum sluice_family sluice_address_family(const struct sluice_address *a)
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

	return memcmp(a->bytes, mapped, sizeof(mapped)) == 0 ? SLUICE_IPV4 : SLUICE_IPV6;
}

// The 4 bytes of an IPv4 address, in network byte order.
static inline uint32_t sluice_address_v4(const struct sluice_address *a)
{
	uint32_t v4;

	memcpy(&v4, &a->bytes[12], 4);
	return v4;
}

// The bytes of the address as they stand on the wire, and how many (4 or 16).
static inline const uint8_t *sluice_address_wire(const struct sluice_address *a, unsigned *len)
{
	bool v4 = sluice_address_family(a) == SLUICE_IPV4;

	*len = v4 ? 4 : 16;
	return v4 ? &a->bytes[12] : a->bytes;
}

static inline bool sluice_address_equal(const struct sluice_address *a,
                                        const struct sluice_address *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}
