// SPDX-License-Identifier: BSD-3-Clause
#pragma once

// A second opinion on the pipeline: what must become of any frame in the standard world, worked
// out slowly and obviously, one packet at a time, from the list of services as text.

#include <stdbool.h>
#include <stdint.h>

#include "world.h"

enum {
	ORACLE_FLOWS = 1 << 16,
	ORACLE_DATAGRAMS = 1 << 14,
};

// A client that a service has heard of: decides for whom a shared endpoint answers.
struct oracle_flow {
	uint8_t client[16];
	uint16_t port;
	uint8_t family;
	uint8_t entry; // of world_entries
};

// A datagram that comes in fragments, whose first was seen.
struct oracle_datagram {
	uint8_t addresses[32];
	uint32_t id;
	uint8_t protocol; // IPv4
	uint8_t family;
	uint8_t entry; // of world_entries
	bool kernels;
	bool done; // its last fragment was seen, too
};

struct oracle {
	struct oracle_flow flows[ORACLE_FLOWS];
	unsigned flow_count;
	struct oracle_datagram datagrams[ORACLE_DATAGRAMS];
	unsigned datagram_count;
};

struct oracle_answer {
	uint8_t verdict; // enum sluice_verdict
	uint8_t reason;  // enum sluice_drop
	uint8_t port;    // out, with TRANSMIT
	uint32_t mtu;    // of the way out, where the packet got so far
	bool refused;    // frame is an answer to the sender
	// With TRANSMIT and RESOLVE: the frame that goes out, and where its checksums are. Those
	// are as they came: the pipeline carries a wrong one along.
	struct frame frame;
	uint32_t ip, l4;
	uint32_t untagged; // bytes of a tag that is gone
	uint8_t protocol;
	bool learn; // a flow to remember, once the burst is through
	struct oracle_flow flow;
	bool fragment; // not the first
	bool datagram_known, datagram_learn;
	bool datagram_last; // fragment
	struct oracle_datagram datagram;
};

// Of a burst. Fragments are learned from at once, as order within a burst does not matter.
void oracle_judge(struct oracle *o, const struct frame *const *frames, const uint32_t *heads,
                  struct oracle_answer *answers, unsigned count);

void oracle_learn(struct oracle *o, const struct oracle_answer *a);

// Whether the outcome is what the answer says. in: the frame before.
bool oracle_agrees(const struct oracle_answer *a, const struct frame *in,
                   const struct outcome *outcome);
