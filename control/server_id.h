// SPDX-License-Identifier: BSD-3-Clause
#pragma once

// The server id by which QUIC connection ids name an endpoint: the first bytes of the SHA-256 of
// "ADDRESS:PORT" as it is shown. Every host comes to the same one without asking, an endpoint's
// stays as it is whoever else comes and goes, and the endpoint can work out its own:
//
//	printf '172.17.0.5:4433' | sha256sum | head -c 16

#include <stdint.h>

#include "dataplane/quic.h"
#include "sluice/types.h"

enum {
	SLUICE_SERVER_ID_TEXT = 2 * SLUICE_SERVER_ID_MAX + 1,
};

// port in host byte order. Writes length bytes, SLUICE_SERVER_ID_MAX at most.
void sluice_server_id(const struct sluice_address *address, uint16_t port, unsigned length,
                      uint8_t *id);

// In hexadecimal. Returns out.
const char *sluice_server_id_format(const struct sluice_address *address, uint16_t port,
                                    unsigned length, char out[static SLUICE_SERVER_ID_TEXT]);
