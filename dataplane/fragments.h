// SPDX-License-Identifier: BSD-3-Clause
#pragma once

// Fragments of datagrams, without gathering them: where the first one goes, which has the ports,
// the later ones follow.
//
// The map says where: a flow table (flow_table.h) of its own, one for the host, so that it does
// not matter which worker takes which fragment. Key: a keyed fingerprint of what a host gathers
// fragments by (RFC 791, RFC 8200: addresses, id, with IPv4 the protocol). Value: whose it is, and
// what a later fragment lacks, in the places of slot and generation:
//
//   SERVICE       the endpoint's slot, the frontend's id
//   SNAT_IN       the client's port, the frontend's id
//   SNAT_RETURN   the endpoint's slot, which has its port; the port of ours that it sent to
//
// With these a later fragment of fullnat has all that a whole packet has, and is looked up in the
// table of its flows (snat_table.h) as one: by both addresses and ports, so that an entry that was
// given to another flow meanwhile is not taken for its own. It goes where a whole packet would go
// at that moment; where the flow is gone that is nowhere.
//
// An entry lives for no longer than slots and frontend ids that were freed are kept back
// (control/slots.h).
//
//   on probation  the first fragment was seen
//   established   a later one, too: nobody pushes the entry out, and another first fragment of
//                 the same id (an overlap, RFC 1858) changes nothing
//   done          on probation again, marked: the last one went through. The id may be used again.
//
// An id that a sender uses again within that life, for a datagram whose first fragment does not
// come first, is the one thing that goes wrong: its later fragments follow the datagram before.
//
// So a flood of first fragments pushes out others of its kind, and a flood of whole datagrams
// those that are through: never one in progress.
//
// A later fragment that comes before the first waits in the hold, one per worker.

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/flow_table.h"
#include "dataplane/packet.h"
#include "sluice/snapshot.h"

enum {
	SLUICE_FRAGMENTS = 1 << 16, // datagrams at a time, 16 bytes each
	SLUICE_FRAGMENT_LIFE = 2,   // seconds that an entry lives at most
};

enum sluice_fragment_owner {
	SLUICE_FRAGMENT_UNKNOWN, // the first one was not seen
	SLUICE_FRAGMENT_KERNEL,
	SLUICE_FRAGMENT_SERVICE,     // either way, of any mode but fullnat
	SLUICE_FRAGMENT_SNAT_IN,     // fullnat: a client's
	SLUICE_FRAGMENT_SNAT_RETURN, // an endpoint's, to an address of ours
};

// What the map says of a datagram.
struct sluice_fragment_way {
	uint8_t owner;     // enum sluice_fragment_owner
	uint16_t frontend; // SERVICE, SNAT_IN: id
	uint16_t port;     // SNAT_IN: the client's; SNAT_RETURN: ours; network byte order
	uint32_t slot;     // SERVICE, SNAT_RETURN: the endpoint's
};

// Makes an empty map in memory of its own. -errno.
int sluice_fragments_open(struct sluice_flow_table *map);
void sluice_fragments_close(struct sluice_flow_table *map);

// The datagram of a fragment, of either kind: sets p->key and p->hash.
void sluice_fragments_key(const struct sluice_flow_table *map, struct sluice_packet *p);

// A first fragment with its key goes this way. Any worker, any time, as the next.
void sluice_fragments_learn(struct sluice_flow_table *map, const struct sluice_snapshot *s,
                            const struct sluice_packet *p, const struct sluice_fragment_way *way,
                            uint32_t now);

// Which way a later fragment with its key goes.
struct sluice_fragment_way sluice_fragments_find(const struct sluice_flow_table *map,
                                                 const struct sluice_snapshot *s,
                                                 const struct sluice_packet *p, uint32_t now);

// Gives a fragment of a fullnat service, of either kind, that still has the addresses it came with
// the id that it leaves with: see fragments.c.
void sluice_fragments_renumber(const struct sluice_flow_table *map, const struct sluice_packet *p);

// ---- the hold

enum {
	SLUICE_HOLD = 256,      // fragments that wait at a time; a datagram has 45 at most
	SLUICE_HOLD_SHARE = 64, // of them, those of one source
	SLUICE_HOLD_SOURCES = 64,
	SLUICE_HOLD_MS = 500,
};

struct sluice_held {
	void *buffer;
	uint64_t key, hash;
	uint64_t since;
	uint8_t port_in;
	uint8_t source; // which of the shares it is in
};

// A worker's own. In the order of arrival.
struct sluice_hold {
	unsigned count;
	uint8_t shares[SLUICE_HOLD_SOURCES]; // taken, by a hash of the source
	struct sluice_held held[SLUICE_HOLD];
};

// Takes a packet with verdict HOLD. now: of any clock. false: it has to be dropped, as there is no
// room for it.
bool sluice_hold_put(struct sluice_hold *h, const struct sluice_flow_table *map,
                     const struct sluice_packet *p, uint64_t now);

// Takes out at most `most` of those that wait since `before` or longer. Returns how many.
unsigned sluice_hold_expire(struct sluice_hold *h, uint64_t before, struct sluice_held *out,
                            unsigned most);

// Takes out at most `most` of those whose first fragment is known by now.
unsigned sluice_hold_ready(struct sluice_hold *h, const struct sluice_flow_table *map, uint32_t now,
                           struct sluice_held *out, unsigned most);
