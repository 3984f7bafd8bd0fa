// SPDX-License-Identifier: BSD-3-Clause
#pragma once

// ICMP errors and the packets they quote. A quote is described as a packet is: data is its IP
// header, l3 0, head the bytes that are there, as many as it may be.

#include "dataplane/packet.h"
#include "dataplane/rewrite.h"

// Finds the quote of an ICMP error. false: none of TCP or UDP with its ports.
bool sluice_icmp_quote(const struct sluice_packet *p, struct sluice_packet *quote);

// Gives the error's own address on that side, where it is the one to change, and the quote's on
// the other one their new values (c without SLUICE_HOP_SUM), and brings all checksums in step. The
// error has one hop less to live then.
void sluice_icmp_change(struct sluice_packet *p, struct sluice_packet *quote, enum sluice_side side,
                        const struct sluice_change *c);
