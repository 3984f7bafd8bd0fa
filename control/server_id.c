// SPDX-License-Identifier: BSD-3-Clause
#include "control/server_id.h"

#include <sha256.h>
#include <stdio.h>
#include <string.h>

#include "control/address.h"

static_assert(SLUICE_SERVER_ID_MAX <= SHA256_DIGEST_LENGTH, "cut out of it");

void sluice_server_id(const struct sluice_address *address, uint16_t port, unsigned length,
                      uint8_t *id)
{
	uint8_t digest[SHA256_DIGEST_LENGTH];
	char text[SLUICE_ENDPOINT_TEXT];
	SHA2_CTX sha;

	sluice_endpoint_format(address, port, text);
	SHA256Init(&sha);
	SHA256Update(&sha, (const uint8_t *)text, strlen(text));
	SHA256Final(digest, &sha);
	memcpy(id, digest, length);
}

const char *sluice_server_id_format(const struct sluice_address *address, uint16_t port,
                                    unsigned length, char out[static SLUICE_SERVER_ID_TEXT])
{
	uint8_t id[SLUICE_SERVER_ID_MAX];

	sluice_server_id(address, port, length, id);
	for (unsigned i = 0; i < length; i++)
		snprintf(out + 2 * (size_t)i, 3, "%02x", id[i]);
	return out;
}
