// SPDX-License-Identifier: BSD-3-Clause
#pragma once

// The Internet checksum (RFC 1071) and its incremental update (RFC 1624, equation 3).
//
// Every value here is a 16-bit word in network byte order, kept as it was loaded: ones'
// complement sums come out the same in either byte order, so nothing is ever swapped.
//
// UDP's own rule is the caller's: a checksum field of 0 means "none" and stays 0 whatever is
// rewritten, and a computed 0 is sent as 0xffff (RFC 768). sluice_checksum_update() takes either
// form of zero and gives the one that a full computation gives, 0.

#include <stddef.h>
#include <stdint.h>
#include <string.h>

// A wide sum of 16-bit words -> 16 bits; 0 only from 0.
static inline uint16_t sluice_sum_fold(uint64_t sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)((sum & 0xffff) + (sum >> 16));
}

static inline uint16_t sluice_sum_add(uint16_t a, uint16_t b)
{
	uint32_t sum = (uint32_t)a + b;

	return (uint16_t)((sum & 0xffff) + (sum >> 16));
}

// Sum of the bytes as they stand on the wire; an odd last byte is padded with a zero. The bytes
// need no alignment, but sums of pieces may be added only where all but the last are even.
static inline uint16_t sluice_sum_bytes(const void *data, size_t len)
{
	const uint8_t *p = data;
	uint64_t sum = 0;

	// 32 bits at a time leave room for 2^32 carries, more than any packet has.
	for (; len >= 4; p += 4, len -= 4) {
		uint32_t word;

		memcpy(&word, p, 4);
		sum += word;
	}
	if (len >= 2) {
		uint16_t word;

		memcpy(&word, p, 2);
		sum += word;
		p += 2;
		len -= 2;
	}
	if (len > 0) {
		uint16_t word = 0;

		memcpy(&word, p, 1);
		sum += word;
	}
	return sluice_sum_fold(sum);
}

// The checksum field of bytes whose own checksum field is zero (IPv4 header, ICMP).
static inline uint16_t sluice_checksum_bytes(const void *data, size_t len)
{
	return (uint16_t)~sluice_sum_bytes(data, len);
}

// The checksum of a packet in which words that summed up to old_sum were replaced by words that
// sum up to new_sum; either may be the plain sum of some, at most 8 * 0xffff. Exact: what a full
// computation would give, provided that a non-zero word is among those that were not replaced, as
// an IP version, a protocol number or a length always is. A wrong checksum stays wrong by as much
// as it was.
static inline uint16_t sluice_checksum_update(uint16_t checksum, uint32_t old_sum, uint32_t new_sum)
{
	// ~checksum + ~old_sum + new_sum, and some more 0xffff, each a zero too: the sum can't be
	// negative, nor the plain 0 that would make the checksum 0xffff.
	uint32_t sum = 10u * 0xffff - checksum - old_sum + new_sum;

	// Both halves with the other one added: the carry of the lower sum goes to the upper one,
	// as it must.
	sum += sum << 16 | sum >> 16;
	return (uint16_t) ~(sum >> 16);
}

// Sum of TCP's, UDP's or ICMPv6's pseudo header. Addresses as on the wire, address_size 4 or 16;
// length: of the transport header and its data, host byte order.
static inline uint16_t sluice_sum_pseudo_header(const void *source, const void *destination,
                                                unsigned address_size, uint8_t protocol,
                                                uint32_t length)
{
	const uint8_t tail[8] = {
	        (uint8_t)(length >> 24), (uint8_t)(length >> 16), (uint8_t)(length >> 8),
	        (uint8_t)length,         [7] = protocol,
	};

	return sluice_sum_add(sluice_sum_add(sluice_sum_bytes(source, address_size),
	                                     sluice_sum_bytes(destination, address_size)),
	                      sluice_sum_bytes(tail, sizeof(tail)));
}

// The checksum field of a TCP, UDP or ICMPv6 packet whose checksum field is zero; with it in
// place the result is 0 if it was right.
static inline uint16_t sluice_checksum_transport(const void *source, const void *destination,
                                                 unsigned address_size, uint8_t protocol,
                                                 const void *data, uint32_t length)
{
	uint16_t pseudo =
	        sluice_sum_pseudo_header(source, destination, address_size, protocol, length);

	return (uint16_t)~sluice_sum_add(pseudo, sluice_sum_bytes(data, length));
}
