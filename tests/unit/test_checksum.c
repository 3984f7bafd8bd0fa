// SPDX-License-Identifier: BSD-3-Clause

// Checksums against a computation word by word, as RFC 1071 writes it.

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "dataplane/checksum.h"
#include "tests/unit/random.h"

enum {
	PLAIN = 8, // words that a sum may be the plain one of
};

// The oracle: big-endian words one by one, a carry brought round after each addition.
static uint16_t oracle_sum(const uint8_t *p, size_t len, uint16_t start)
{
	uint32_t sum = start;

	for (size_t i = 0; i < len; i += 2) {
		sum += (uint32_t)p[i] << 8 | (i + 1 < len ? p[i + 1] : 0);
		if (sum > 0xffff)
			sum = (sum & 0xffff) + 1;
	}
	return (uint16_t)sum;
}

static void sums_agree_at_every_length_and_alignment(void **state)
{
	(void)state;
	uint64_t seed = 1;
	uint8_t data[160];

	for (unsigned round = 0; round < 200; round++) {
		random_fill(&seed, data, sizeof(data));
		if (round % 4 == 0) // long runs of carries
			memset(data, 0xff, sizeof(data));
		for (size_t at = 0; at < 8; at++) {
			for (size_t len = 0; len <= sizeof(data) - 8; len++) {
				assert_int_equal(ntohs(sluice_sum_bytes(data + at, len)),
				                 oracle_sum(data + at, len, 0));
			}
		}
	}
}

static void sum_of_a_jumbo_packet_does_not_overflow(void **state)
{
	(void)state;
	size_t len = 65535;
	uint8_t *data = malloc(len);

	assert_non_null(data);
	memset(data, 0xff, len);
	assert_int_equal(ntohs(sluice_sum_bytes(data, len)), oracle_sum(data, len, 0));
	free(data);
}

// A packet of random length in which a run of words (an address, a port, both) is replaced; often
// with words that push the sums to one of their two zeros.
static void updates_equal_full_recomputation(void **state)
{
	(void)state;
	uint64_t seed = 2;
	unsigned zeros = 0;

	for (unsigned round = 0; round < 2000000; round++) {
		uint8_t packet[64];
		size_t len = 20 + random_below(&seed, 45);
		size_t run = 2 + 2 * random_below(&seed, 9); // 2..18 bytes
		size_t at = 2 + 2 * random_below(&seed, (uint32_t)(len - run) / 2);

		random_fill(&seed, packet, len);
		packet[0] = 0x45; // the word that stays
		uint32_t kind = random_below(&seed, 8);

		if (kind < 2)
			memset(packet + at, kind == 0 ? 0 : 0xff, run);
		uint16_t before = (uint16_t)~oracle_sum(packet, len, 0);
		uint16_t old_sum = sluice_sum_bytes(packet + at, run);

		random_fill(&seed, packet + at, run);
		if (kind == 2 || kind == 3)
			memset(packet + at, kind == 2 ? 0 : 0xff, run);
		if (kind >= 6) {
			// Makes the new sum 0xffff and so the checksum 0.
			memset(packet + at, 0, 2);
			uint16_t rest = (uint16_t)~oracle_sum(packet, len, 0);

			packet[at] = (uint8_t)(rest >> 8);
			packet[at + 1] = (uint8_t)rest;
		}
		uint16_t expected = (uint16_t)~oracle_sum(packet, len, 0);
		uint16_t new_sum = sluice_sum_bytes(packet + at, run);
		uint16_t updated = sluice_checksum_update(htons(before), old_sum, new_sum);

		zeros += expected == 0;
		assert_int_equal(ntohs(updated), expected);
		if (before == 0) { // the other way to write it leads to the same result
			updated = sluice_checksum_update(0xffff, old_sum, new_sum);
			assert_int_equal(ntohs(updated), expected);
		}
	}
	assert_true(zeros > 100000);
}

// All 2^32 pairs would take minutes; the edges of all three arguments are where carries happen.
static void updates_at_the_edges_never_give_the_other_zero(void **state)
{
	(void)state;
	static const uint16_t edges[] = {0,      1,      2,      0x7fff, 0x8000, 0x8001,
	                                 0xff00, 0x00ff, 0xfffd, 0xfffe, 0xffff};
	enum { N = sizeof(edges) / sizeof(edges[0]) };

	for (unsigned i = 0; i < N * N * N; i++) {
		uint16_t c = edges[i % N], m = edges[i / N % N], n = edges[i / N / N];
		uint16_t updated = sluice_checksum_update(c, m, n);
		// Congruent modulo 0xffff, and of 0 and 0xffff it is 0.
		uint32_t expected = ((uint32_t)c + m + 0xffff - n) % 0xffff;

		assert_int_equal(updated, expected);
	}
}

// What is congruent modulo 0xffff, and of 0 and 0xffff 0: the only right answer.
static uint16_t congruent(uint16_t checksum, uint32_t old_sum, uint32_t new_sum)
{
	return (uint16_t)((checksum + old_sum + (uint64_t)PLAIN * 0xffff - new_sum) % 0xffff);
}

// The result depends on checksum + old_sum - new_sum alone: these are all values it can have.
static void every_sum_up_to_the_bound_is_folded_right(void **state)
{
	(void)state;
	const uint32_t most = PLAIN * 0xffff;

	for (uint32_t sum = 0; sum <= most; sum++) {
		assert_int_equal(sluice_checksum_update(0xffff, sum, 0), congruent(0xffff, sum, 0));
		assert_int_equal(sluice_checksum_update(0, 0, sum), congruent(0, 0, sum));
	}
	for (uint32_t c = 0; c <= 0xffff; c++) {
		uint16_t checksum = (uint16_t)c;

		assert_int_equal(sluice_checksum_update(checksum, 0, 0), congruent(checksum, 0, 0));
		assert_int_equal(sluice_checksum_update(checksum, most, most),
		                 congruent(checksum, most, most));
	}
}

static uint32_t plain_sum(const uint8_t *p, size_t len)
{
	uint32_t sum = 0;

	for (size_t i = 0; i < len; i += 2) {
		uint16_t word;

		memcpy(&word, p + i, 2);
		sum += word;
	}
	return sum;
}

// As many words as a plain sum may have, at random and at either end of the range.
static void plain_sums_equal_full_recomputation(void **state)
{
	(void)state;
	uint64_t seed = 5;
	uint32_t largest = 0;

	for (unsigned round = 0; round < 500000; round++) {
		uint8_t packet[2 + 2 * PLAIN + 8] = {0x45};
		size_t run = 2 + 2 * random_below(&seed, PLAIN);
		uint32_t kind = random_below(&seed, 8), old_sum, new_sum;
		uint16_t before, after;

		random_fill(&seed, packet + 2, sizeof(packet) - 2);
		if (kind < 3)
			memset(packet + 2, kind == 2 ? 0 : 0xff, run);
		before = (uint16_t)~oracle_sum(packet, sizeof(packet), 0);
		old_sum = plain_sum(packet + 2, run);
		random_fill(&seed, packet + 2, run);
		if (kind > 4 || kind == 0)
			memset(packet + 2, kind == 7 ? 0 : 0xff, run);
		new_sum = plain_sum(packet + 2, run);
		after = (uint16_t)~oracle_sum(packet, sizeof(packet), 0);
		assert_int_equal(ntohs(sluice_checksum_update(htons(before), old_sum, new_sum)),
		                 after);
		largest = old_sum > largest ? old_sum : largest;
	}
	assert_int_equal(largest, PLAIN * 0xffff);
}

static void one_update_for_all_words_equals_one_for_each(void **state)
{
	(void)state;
	uint64_t seed = 3;

	for (unsigned round = 0; round < 200000; round++) {
		uint16_t c = (uint16_t)random_next(&seed);
		uint16_t old[3], new[3];

		random_fill(&seed, old, sizeof(old));
		random_fill(&seed, new, sizeof(new));
		uint16_t each = c;

		for (unsigned i = 0; i < 3; i++)
			each = sluice_checksum_update(each, old[i], new[i]);
		uint16_t old_sum = sluice_sum_add(sluice_sum_add(old[0], old[1]), old[2]);
		uint16_t new_sum = sluice_sum_add(sluice_sum_add(new[0], new[1]), new[2]);

		assert_int_equal(each, sluice_checksum_update(c, old_sum, new_sum));
	}
}

static void transport_checksums_cover_the_pseudo_header(void **state)
{
	(void)state;
	uint64_t seed = 4;

	for (unsigned round = 0; round < 20000; round++) {
		unsigned size = round & 1 ? 16 : 4;
		uint8_t protocol = round & 2 ? 6 : 17;
		uint8_t pseudo[40], data[200];
		uint32_t len = 8 + random_below(&seed, sizeof(data) - 8);

		random_fill(&seed, pseudo, sizeof(pseudo));
		random_fill(&seed, data, sizeof(data));
		uint32_t wire_len = htonl(len);
		unsigned at = 2 * size;

		// RFC 793's layout and RFC 8200's differ, but not in what they sum up to.
		if (size == 16) {
			memcpy(pseudo + at, &wire_len, 4);
			memcpy(pseudo + at + 4, (uint8_t[]){0, 0, 0, protocol}, 4);
			at += 8;
		} else {
			memcpy(pseudo + at, (uint8_t[]){0, protocol}, 2);
			memcpy(pseudo + at + 2, (uint8_t *)&wire_len + 2, 2);
			at += 4;
		}
		uint16_t expected = (uint16_t)~oracle_sum(data, len, oracle_sum(pseudo, at, 0));

		assert_int_equal(ntohs(sluice_checksum_transport(pseudo, pseudo + size, size,
		                                                 protocol, data, len)),
		                 expected);
	}
}

// An IPv4 header from Wikipedia's article on its checksum.
static void known_header(void **state)
{
	(void)state;
	static const uint8_t header[20] = {0x45, 0, 0,    0x73, 0, 0,    0x40, 0,    0x40, 0x11,
	                                   0,    0, 0xc0, 0xa8, 0, 0x01, 0xc0, 0xa8, 0,    0xc7};

	assert_int_equal(ntohs(sluice_checksum_bytes(header, sizeof(header))), 0xb861);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(sums_agree_at_every_length_and_alignment),
	        cmocka_unit_test(sum_of_a_jumbo_packet_does_not_overflow),
	        cmocka_unit_test(updates_equal_full_recomputation),
	        cmocka_unit_test(updates_at_the_edges_never_give_the_other_zero),
	        cmocka_unit_test(every_sum_up_to_the_bound_is_folded_right),
	        cmocka_unit_test(plain_sums_equal_full_recomputation),
	        cmocka_unit_test(one_update_for_all_words_equals_one_for_each),
	        cmocka_unit_test(transport_checksums_cover_the_pseudo_header),
	        cmocka_unit_test(known_header),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
