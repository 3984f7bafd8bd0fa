// SPDX-License-Identifier: BSD-3-Clause
#pragma once

// The packet's way, on one page.
//
//   parse     headers, every length checked                          parse.h
//   classify  client to frontend, endpoint to client, or not ours    classify.c
//   track     the flow table: known flows keep their endpoint        track*.c, quic.c
//   select    new flows: Maglev row -> endpoint                      track.c, affinity.c
//   reunite   later fragments go where the first one went            reunite.c, fragments.c
//   forward   by the service's mode                                  forward.c, rewrite_*.c,
//                                                                     encap_*.c
//   egress    MACs and VLAN tag of the way out                       egress.h
//   icmp      errors go where a reply to the quoted packet would     icmp.c, icmp_tunnel.c
//   refuse    no endpoint, or too big: the sender is told            refuse.c, answer.c
//   split     too big, and may be cut: the pieces are forwarded      split.c
//
// Each stage runs over the whole burst and prefetches what the next one reads, so that the cache
// misses of a burst overlap. A stage looks only at packets without a verdict.

#include <stdint.h>

#include "dataplane/flow_table.h"
#include "dataplane/packet.h"
#include "dataplane/snat_table.h"
#include "sluice/counters.h"
#include "sluice/snapshot.h"

// What a worker hands to the stages. One per worker.
struct sluice_pipeline {
	const struct sluice_snapshot *snapshot; // loaded once a round
	struct sluice_flow_table *flows;
	struct sluice_flow_table *fragments; // datagrams in pieces: fragments.h
	struct sluice_snat_table *snat;   // fullnat's flows; NULL where the snapshots have no snat
	struct sluice_snat_worker worker; // this one, of so many
	struct sluice_worker_counters *counters;
	struct sluice_endpoint_counters *endpoint_counters; // by slot
	uint32_t now;                                       // seconds since boot
	uint32_t refuse_second;                             // the second the budget is of
	uint32_t refuse_budget;                             // answers left in that second
	uint16_t tunnel_id; // of the next outer header that routers may fragment
};

enum {
	SLUICE_REFUSALS_PER_SECOND = 1000, // per worker
};

// A burst between the stages: packets still in work, by what they are. Lists keep the burst's
// order, which is what keeps a flow's packets in order.
struct sluice_burst {
	struct sluice_packet *packets;
	unsigned count;
	unsigned in_count, return_count, snat_count, icmp_count;
	bool fragments;                              // there are some
	struct sluice_packet *in[SLUICE_BURST];      // client to frontend
	struct sluice_packet *returns[SLUICE_BURST]; // endpoint to client
	struct sluice_packet *snat[SLUICE_BURST];    // endpoint to one of the SNAT addresses
	struct sluice_packet *icmp[SLUICE_BURST];    // ICMP errors; passed if nothing else is done
};

// Runs all stages over at most SLUICE_BURST packets; then every packet has a verdict, and all
// but the port counters are counted.
void sluice_pipeline_run(struct sluice_pipeline *ctx, struct sluice_packet *packets,
                         unsigned count);

// Forwards what one packet was cut into, as fragments of its frontend and slot: then every one is
// transmitted, resolved or dropped, and that is counted.
void sluice_pipeline_run_pieces(struct sluice_pipeline *ctx, struct sluice_packet *pieces,
                                unsigned count);

void sluice_classify(const struct sluice_pipeline *ctx, struct sluice_burst *b);
void sluice_track(struct sluice_pipeline *ctx, struct sluice_burst *b);
void sluice_reunite(struct sluice_pipeline *ctx, struct sluice_burst *b);
void sluice_forward(struct sluice_pipeline *ctx, struct sluice_burst *b);
void sluice_icmp(struct sluice_pipeline *ctx, struct sluice_burst *b);

// One packet of which l3, l4, family and protocol are known: puts it on one of the burst's lists
// or gives it a verdict.
void sluice_classify_one(const struct sluice_pipeline *ctx, struct sluice_burst *b,
                         struct sluice_packet *p);

// A burst of the pieces of one packet, of which frontend, slot and forwarding mode are known: puts
// each on the list of its direction or gives it a verdict.
void sluice_reunite_pieces(struct sluice_pipeline *ctx, struct sluice_burst *b);

// The endpoint that a client's packet, classified, would go to, without leaving a trace of it.
// false: there is none.
bool sluice_track_peek(const struct sluice_pipeline *ctx, struct sluice_packet *p);

// Sets port_out's adjacency of each return packet from the route tables: adjacencies[i] for
// b->returns[i].
void sluice_route(const struct sluice_snapshot *s, const struct sluice_burst *b,
                  const struct sluice_adjacency *adjacencies[SLUICE_BURST]);

// The same for addresses.
void sluice_route_to(const struct sluice_snapshot *s, const struct sluice_address *to,
                     unsigned count, const struct sluice_adjacency *adjacencies[SLUICE_BURST]);

// Answers a packet for a service without endpoints, in its own buffer, or drops it.
void sluice_refuse(struct sluice_pipeline *ctx, struct sluice_packet *p);

// Has a packet that was dropped as too big cut, where it may be, or answers it, where its sender
// must know; else it stays dropped.
void sluice_refuse_size(struct sluice_pipeline *ctx, struct sluice_packet *p);
