// SPDX-License-Identifier: BSD-3-Clause
#pragma once

// Addresses and transport endpoints as people write them. Pure; any thread.

#include <stdbool.h>
#include <stdint.h>

#include "sluice/types.h"

enum {
	SLUICE_ADDRESS_TEXT = 46,  // INET6_ADDRSTRLEN
	SLUICE_ENDPOINT_TEXT = 54, // "[" address "]:65535" and the NUL
};

// "172.17.0.5" or "2001:db8::1" and nothing around it. -EINVAL: not an address; so are octets
// with leading zeros, scope ids, and IPv4 addresses in IPv6 clothes (::ffff:a.b.c.d).
int sluice_address_parse(const char *text, struct sluice_address *out);

// What keeps the address from being a virtual address or an endpoint ("is a loopback address"),
// or NULL where nothing does.
const char *sluice_address_problem(const struct sluice_address *address);

// Canonical text (RFC 5952). Returns out.
const char *sluice_address_format(const struct sluice_address *address,
                                  char out[static SLUICE_ADDRESS_TEXT]);

// "65535" -> 65535: decimal digits alone, no leading zero, min..max. -EINVAL.
int sluice_number_parse(const char *text, uint32_t min, uint32_t max, uint32_t *out);

// "172.17.0.7:8080", "[2001:db8::1]:80". The port is in host byte order, 1-65535. -EINVAL.
int sluice_endpoint_parse(const char *text, struct sluice_address *address, uint16_t *port);

// The same, with "=WEIGHT" (0-65535) behind it where the writer likes; *weighted says whether
// there was one, *weight stays as it is where not.
int sluice_endpoint_weight_parse(const char *text, struct sluice_address *address, uint16_t *port,
                                 uint16_t *weight, bool *weighted);

// "172.17.0.5:8080", "[::1]:80"; port in host byte order. Returns out.
const char *sluice_endpoint_format(const struct sluice_address *address, uint16_t port,
                                   char out[static SLUICE_ENDPOINT_TEXT]);
