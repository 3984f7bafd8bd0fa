// SPDX-License-Identifier: BSD-3-Clause
#include "dataplane/hash.h"

uint64_t sluice_hash_bytes(const struct sluice_hash_key *key, const void *data, size_t len)
{
	const uint8_t *p = data;
	uint64_t h = key->k[0] ^ len;

	while (len > 0) {
		size_t n = len < 8 ? len : 8;
		uint64_t word = 0;

		memcpy(&word, p, n);
		h = sluice_hash_fold(h ^ word ^ key->k[1], key->k[2] | 1);
		p += n;
		len -= n;
	}
	return sluice_hash_fold(h ^ key->k[3], key->k[1] | 1);
}

void sluice_hash_key_expand(struct sluice_hash_key *key, const char *seed)
{
	// Digits of pi (Blowfish's): constants that nobody chose.
	static const struct sluice_hash_key start = {
	        {0x243f6a8885a308d3, 0x13198a2e03707344, 0xa4093822299f31d0, 0x082efa98ec4e6c89}};
	size_t len = strlen(seed);

	for (unsigned i = 0; i < 4; i++) {
		struct sluice_hash_key k = start;

		k.k[0] ^= i + 1;
		key->k[i] = sluice_hash_bytes(&k, seed, len);
	}
}
