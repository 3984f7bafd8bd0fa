// SPDX-License-Identifier: BSD-3-Clause
#include "frames.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

static void put8(struct frame *f, uint8_t value)
{
	if (f->length == FRAME_MAX)
		abort();
	f->bytes[f->length++] = value;
}

static void put16(struct frame *f, uint16_t value)
{
	put8(f, (uint8_t)(value >> 8));
	put8(f, (uint8_t)value);
}

static void put32(struct frame *f, uint32_t value)
{
	put16(f, (uint16_t)(value >> 16));
	put16(f, (uint16_t)value);
}

static void put_mac(struct frame *f, uint8_t last)
{
	put32(f, 0x02000000);
	put16(f, last);
}

static void put_address(struct frame *f, const char *text)
{
	uint8_t bytes[16];
	bool v6 = strchr(text, ':') != NULL;

	if (inet_pton(v6 ? AF_INET6 : AF_INET, text, bytes) != 1)
		abort();
	for (unsigned i = 0; i < (v6 ? 16 : 4); i++)
		put8(f, bytes[i]);
}

static void set16(struct frame *f, uint32_t at, uint16_t value)
{
	f->bytes[at] = (uint8_t)(value >> 8);
	f->bytes[at + 1] = (uint8_t)value;
}

uint16_t frame_sum(const uint8_t *bytes, uint32_t length, uint32_t start)
{
	for (uint32_t i = 0; i < length; i += 2)
		start = (start + bytes[i] * 256U + (i + 1 < length ? bytes[i + 1] : 0)) % 65535;
	return (uint16_t)start;
}

uint16_t frame_pseudo_sum(const uint8_t *ip, uint8_t protocol, uint32_t length)
{
	bool v4 = ip[0] >> 4 == 4;
	uint16_t addresses = v4 ? frame_sum(ip + 12, 8, 0) : frame_sum(ip + 8, 32, 0);

	return (uint16_t)((addresses + protocol + (length >> 16) + (length & 0xffff)) % 65535);
}

// The checksum that makes the sum over everything 0 modulo 65535, as the sender of an all but
// zero packet writes it: 0xffff - sum, which is never 0xffff but for a sum of 0.
static uint16_t complement(uint16_t sum)
{
	return sum == 0 ? 0 : (uint16_t)(65535 - sum);
}

// IPv6's 0 is written HOP_BY_HOP in lists.
static uint8_t next_header(const struct frame_fields *fields, unsigned i)
{
	if (i == FRAME_EXTENSIONS_MAX || fields->extensions[i] == 0)
		return fields->protocol;
	return (uint8_t)fields->extensions[i];
}

static void put_extensions(struct frame *f, const struct frame_fields *fields)
{
	unsigned size = fields->extension_size ? fields->extension_size : 8;

	for (unsigned i = 0; i < FRAME_EXTENSIONS_MAX && fields->extensions[i] != 0; i++) {
		put8(f, next_header(fields, i + 1));
		if (fields->extensions[i] == FRAGMENT) {
			put8(f, 0);
			put16(f, fields->fragment);
			put32(f, fields->datagram ? fields->datagram : 0xfeedbeef);
			continue;
		}
		put8(f, (uint8_t)(size / 8 - 1));
		for (unsigned at = 2; at < size;) {
			// PadN options; a routing header of type 0.
			unsigned rest = size - at > 257 ? 257 : size - at;

			put8(f, fields->extensions[i] == ROUTING ? 0 : 1);
			put8(f, fields->extensions[i] == ROUTING ? fields->segments_left
			                                         : (uint8_t)(rest - 2));
			for (unsigned k = 2; k < rest; k++)
				put8(f, 0);
			at += rest;
		}
	}
}

static void put_v4(struct frame *f, const struct frame_fields *fields)
{
	put8(f, (uint8_t)(0x40 + 5 + fields->ip_options / 4));
	put8(f, fields->tos);
	put16(f, 0); // length
	put16(f, fields->id);
	put16(f, fields->fragment);
	put8(f, fields->ttl ? fields->ttl : 64);
	put8(f, fields->protocol);
	put16(f, 0); // checksum
	put_address(f, fields->source);
	put_address(f, fields->destination);
	for (unsigned i = 0; i < fields->ip_options; i++)
		put8(f, 1); // no operation
}

static void put_v6(struct frame *f, const struct frame_fields *fields)
{
	put32(f, 0x60000000 | (uint32_t)fields->tos << 20 | fields->id);
	put16(f, 0); // length
	put8(f, next_header(fields, 0));
	put8(f, fields->ttl ? fields->ttl : 64);
	put_address(f, fields->source);
	put_address(f, fields->destination);
	put_extensions(f, fields);
}

static void put_transport(struct frame *f, const struct frame_fields *fields)
{
	if (fields->protocol == TCP) {
		put16(f, fields->source_port);
		put16(f, fields->destination_port);
		put32(f, fields->sequence);
		put32(f, fields->acknowledgement);
		put8(f, (uint8_t)((5 + fields->tcp_options / 4) << 4));
		put8(f, fields->flags);
		// A reset has no window; all else in these tests has the same one.
		put16(f, fields->flags & RST ? 0 : 0x2000);
		put32(f, 0); // checksum, urgent
		for (unsigned i = 0; i < fields->tcp_options; i++)
			put8(f, 1);
	} else if (fields->protocol == UDP) {
		put16(f, fields->source_port);
		put16(f, fields->destination_port);
		put16(f, (uint16_t)(8 + fields->payload));
		put16(f, 0);
	}
}

static void put_payload(struct frame *f, const struct frame_fields *fields)
{
	uint32_t at = f->length;

	for (unsigned i = 0; i < fields->payload; i++)
		put8(f, (uint8_t)(i * 7 + 3));
	if (fields->word)
		set16(f, at, fields->word);
}

// Ethernet header, then IP's from the returned offset on.
static uint32_t put_ethernet(struct frame *f, const struct frame_fields *fields)
{
	f->length = 0;
	put_mac(f, fields->mac_to);
	put_mac(f, fields->mac_from);
	for (unsigned i = 0; i < 2 && fields->tags[i]; i++) {
		put16(f, fields->tags[i]);
		put16(f, fields->tci ? fields->tci : 20);
	}
	put16(f, strchr(fields->source, ':') ? 0x86dd : 0x0800);
	return f->length;
}

// Lengths and checksums, when all else is in place. transport: offset of the transport header.
static void seal(struct frame *f, const struct frame_fields *fields, uint32_t ip,
                 uint32_t transport)
{
	uint32_t length = f->length - transport;
	uint16_t sum = frame_pseudo_sum(f->bytes + ip, fields->protocol, length);
	uint16_t checksum = complement(frame_sum(f->bytes + transport, length, sum));

	if (f->bytes[ip] >> 4 == 6) {
		set16(f, ip + 4, (uint16_t)(f->length - ip - 40));
	} else {
		set16(f, ip + 2, (uint16_t)(f->length - ip));
		set16(f, ip + 10, complement(frame_sum(f->bytes + ip, 20 + fields->ip_options, 0)));
	}
	if (fields->protocol == TCP)
		set16(f, transport + 16, checksum);
	else if (fields->protocol == UDP && !fields->no_checksum)
		set16(f, transport + 6, checksum ? checksum : 0xffff);
	else if (fields->protocol == ICMP6)
		set16(f, transport + 2, checksum);
	else if (fields->protocol == ICMP)
		set16(f, transport + 2, complement(frame_sum(f->bytes + transport, length, 0)));
	for (unsigned i = 0; i < fields->padding; i++)
		put8(f, 0xee);
}

void frame_build(struct frame *f, const struct frame_fields *fields)
{
	uint32_t ip = put_ethernet(f, fields);
	uint32_t transport;

	if (strchr(fields->source, ':'))
		put_v6(f, fields);
	else
		put_v4(f, fields);
	transport = f->length;
	put_transport(f, fields);
	if (fields->protocol == ICMP || fields->protocol == ICMP6) {
		put32(f, fields->protocol == ICMP ? 0x08000000 : 0x80000000); // echo request
		put32(f, 0x12340001);
	}
	put_payload(f, fields);
	seal(f, fields, ip, transport);
}

void frame_build_error(struct frame *f, const struct frame_fields *outer, uint16_t type_code,
                       uint32_t word, const struct frame *original, uint32_t quoted)
{
	uint32_t ip = put_ethernet(f, outer);
	uint32_t transport;

	if (strchr(outer->source, ':'))
		put_v6(f, outer);
	else
		put_v4(f, outer);
	transport = f->length;
	put16(f, type_code);
	put16(f, 0); // checksum
	put32(f, word);
	for (uint32_t i = 0; i < quoted; i++)
		put8(f, original->bytes[14 + i]);
	seal(f, outer, ip, transport);
}
