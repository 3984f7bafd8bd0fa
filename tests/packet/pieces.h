// SPDX-License-Identifier: BSD-3-Clause
#pragma once

// Datagrams cut into fragments, as a router or a sender does.

#include "frames.h"

enum {
	PIECES_MOST = 8, // of a datagram
	PIECE = 576,     // bytes behind the IP header in each but the last
};

// Builds the packet and cuts it. IPv4: without options; IPv6: without extension headers. Returns
// how many pieces there are.
unsigned pieces_split(const struct frame_fields *fields, uint16_t id, struct frame *out);

// Writes the length in the IP header; IPv4: id, flags and offset, and the checksum, too.
void pieces_finish(struct frame *f, unsigned id, unsigned fragment);
