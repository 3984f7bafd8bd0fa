// SPDX-License-Identifier: BSD-3-Clause
#pragma once

// A second opinion on ICMP errors: the reply to the quoted packet is built as a frame, the oracle
// for packets says what would become of it, and that is carried over to the error.

#include "oracle.h"

struct icmp_answer {
	struct oracle_answer packet; // verdict, reason, port, and the frame with checksums 0
	bool found;                  // an error that quotes enough of a packet
	bool error;                  // and is sent on: what follows counts
	uint32_t icmp, quote, quote_l4, quoted; // offsets in the frame that comes in; bytes quoted
	uint8_t protocol;                       // of the quote
};

void icmp_judge(struct oracle *o, const struct frame *f, uint32_t head, struct icmp_answer *a);

bool icmp_agrees(const struct icmp_answer *a, const struct frame *in,
                 const struct outcome *outcome);
