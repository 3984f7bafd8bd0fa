// SPDX-License-Identifier: BSD-3-Clause
#pragma once

// Answers to the sender of a packet, made in the packet's own buffer. They go back the way it
// came, to the sender's MAC, from the address that it spoke to.

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/packet.h"

// An error as both families have it (RFC 792, RFC 4443).
struct sluice_answer_error {
	uint8_t type, code;     // ICMP
	uint8_t type_6, code_6; // ICMPv6
};

extern const struct sluice_answer_error sluice_answer_too_big; // word: the MTU

// Whether the packet can be answered: it is whole, and to nobody and to many goes no answer.
bool sluice_answer_possible(const struct sluice_packet *p);

// Whether its source is a single host.
bool sluice_answer_has_sender(const struct sluice_packet *p);

// A reset (RFC 9293, 3.10.7.1); the packet is TCP and no reset.
void sluice_answer_reset(struct sluice_packet *p);

// An ICMP or ICMPv6 error that quotes the packet. word: the header's second half.
void sluice_answer_error(struct sluice_packet *p, const struct sluice_answer_error *error,
                         uint32_t word);

// Makes such an error of the packet, of which as much is quoted as is there. The Ethernet header
// stays and has no verdict yet.
void sluice_answer_write_error(struct sluice_packet *p, const struct sluice_answer_error *error,
                               uint32_t word);
