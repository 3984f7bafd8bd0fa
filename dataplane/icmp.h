// SPDX-License-Identifier: BSD-3-Clause
#pragma once

// ICMP errors and the packets they quote. A quote is described as a packet is: data is its IP
// header, l3 0, head the bytes that are there, as many as it may be.

#include "dataplane/pipeline.h"
#include "dataplane/rewrite.h"

// Reads the IP header of a quote of which data, head and family are known. false: it is not all
// there, or no transport header follows it.
bool sluice_icmp_read(struct sluice_packet *quote);

static inline bool sluice_icmp_has_ports(const struct sluice_packet *quote)
{
	return (quote->protocol == IPPROTO_TCP || quote->protocol == IPPROTO_UDP) &&
	       quote->l4 + 4U <= quote->head;
}

// Gives the error's own address on that side, where it is the one to change, and the quote's on
// the other one their new values (c without SLUICE_HOP_SUM), and brings all checksums in step.
void sluice_icmp_change(struct sluice_packet *p, struct sluice_packet *quote, enum sluice_side side,
                        const struct sluice_change *c);

// One hop less to live, for any packet whose TTL is more than 1.
void sluice_icmp_hop(struct sluice_packet *p);

// Makes of an error about a packet in a tunnel of ours one for the client whose packet was inside;
// leaves any other as it is.
void sluice_icmp_tunnel(struct sluice_pipeline *ctx, struct sluice_packet *p,
                        const struct sluice_packet *quote);
