// SPDX-License-Identifier: BSD-3-Clause
#pragma once

// The table of packets: what comes in, what must become of it. World: world.c's standard one.

#include <stddef.h>
#include <stdint.h>

#include "frames.h"
#include "sluice/counters.h"
#include "world.h"

enum { ROW_PATCHES = 4 };

// A byte of the frame to overwrite after it was built; in the expected frame too.
struct row_patch {
	uint16_t at; // 0: none
	uint8_t value;
};

struct row {
	const char *what;
	struct frame_fields in;
	uint8_t verdict; // enum sluice_verdict
	uint8_t reason;  // enum sluice_drop, with DROP
	uint8_t port;    // out, with TRANSMIT
	struct frame_fields out;
	struct row_patch patches[ROW_PATCHES];
	uint32_t cut;              // the frame ends after so many bytes; 0: it is whole
	struct frame_fields first; // a packet to send before, where it has a source
};

extern const struct row rows[];
extern const size_t row_count;

void row_build_in(const struct row *r, struct frame *f);
void row_build_out(const struct row *r, struct frame *f);
