// SPDX-License-Identifier: BSD-3-Clause
#pragma once

// QUIC connections that keep their endpoint when the client's address or port changes: the
// endpoint writes its server id into the connection ids it hands out, readable to us, as in the
// plaintext algorithm of draft-ietf-quic-load-balancers, section 5.
//
//	octet 0     configuration 3 bits (0 here) | 5 bits of the endpoint's choice
//	octet 1..N  server id
//	the rest    nonce, 4 octets or more
//
// Ids in long headers are read in Handshake packets only: those in Initial and 0-RTT packets may
// be the client's own invention, and before the handshake is over no address changes anyway
// (RFC 9000, section 9).

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "sluice/types.h"

struct sluice_frontend;
struct sluice_packet;
struct sluice_snapshot;

enum {
	SLUICE_QUIC_CONFIGURATION = 0, // 7: a connection id that has no server id
	SLUICE_QUIC_NONCE_MIN = 4,
	// A host's endpoints have different ids without anybody's care only where there are far
	// more ids than endpoints: with 4 octets two of 100 collide once in a million, with 2 once
	// in 13.
	SLUICE_SERVER_ID_MIN = 4,
	SLUICE_SERVER_ID_MAX = 15, // so that octet, id and nonce fit in 20 octets (RFC 9000, 17.2)
};

// What server_ids is searched by. service: its index.
static inline struct sluice_target sluice_quic_target(const uint8_t *id, unsigned length,
                                                      uint16_t service)
{
	struct sluice_target t = {.port = service, .family = SLUICE_IPV6};

	memcpy(t.address.bytes, id, length);
	return t;
}

// The server id, of that length, in a datagram's payload; NULL: it has none.
const uint8_t *sluice_quic_server_id(const uint8_t *payload, size_t size, unsigned length);

// The slot that the packet's server id names; SLUICE_TARGET_NONE: it has none that is known. Of
// frontends with a server_id_length only.
uint32_t sluice_quic_find(const struct sluice_snapshot *s, const struct sluice_packet *p,
                          const struct sluice_frontend *f);
