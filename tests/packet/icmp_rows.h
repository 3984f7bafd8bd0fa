// SPDX-License-Identifier: BSD-3-Clause
#pragma once

// ICMP errors in the standard world: what comes in, what must become of it.

#include <stddef.h>
#include <stdint.h>

#include "frames.h"
#include "sluice/counters.h"
#include "world.h"

// An error: its own headers, type and code as on the wire, the header's second half, and the
// packet that it quotes.
struct icmp_error {
	struct frame_fields outer;
	struct frame_fields quoted;
};

struct icmp_row {
	const char *what;
	uint16_t type_code;
	uint32_t word;
	struct icmp_error in;
	uint8_t verdict; // enum sluice_verdict
	uint8_t reason;  // enum sluice_drop, with DROP
	uint8_t port;    // out, with TRANSMIT
	struct icmp_error out;
	struct frame_fields first; // a packet to send before, where it has a source
};

extern const struct icmp_row icmp_rows[];
extern const size_t icmp_row_count;

// Bytes of the packet that is quoted, and how many of them must be for the error to be ours:
// all headers up to the ports.
uint32_t icmp_row_quoted(const struct icmp_row *r);
uint32_t icmp_row_needed(const struct icmp_row *r);

// With so many bytes of the quote.
void icmp_row_build_in(const struct icmp_row *r, struct frame *f, uint32_t quoted);
void icmp_row_build_out(const struct icmp_row *r, struct frame *f, uint32_t quoted);
