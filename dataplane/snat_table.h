// SPDX-License-Identifier: BSD-3-Clause
#pragma once

// The flows of fullnat services: which endpoint, and which address and port of ours stand for the
// client there. One table for the host beside the flow table, shared by all workers, lock-free, in
// memory that outlives the process (snat_file.h maps it).
//
// Two arrays of 32-byte entries, two to a cache line:
//
//   forward   key of the flow (as in the flow table) -> endpoint, state, SNAT address and port.
//             All that a packet on its way in needs is in one line. A bucket is a pair of lines, a
//             key has two candidate buckets and a preferred line in the primary one. The rules are
//             the flow table's: probation, expiry, moves from the primary bucket to the other one.
//   reverse   fingerprint of the return packet's protocol, addresses and ports -> client,
//             frontend, endpoint. One candidate line: where that is full, another port is taken.
//             It has no time of its own. It lives as long as there is a live forward entry of its
//             client and frontend that names it.
//
// As the fingerprint has the endpoint in it, a port serves as many flows as there are endpoints.
// Ports are reserved by their number: worker w of n takes those with port % n == w. So no two
// workers can want the same one at once, and to see that a port is free is enough. Entries that
// other worker counts made stay as they are; nobody asks who made them.
//
// An entry is claimed by one 16-byte compare-and-swap of its key and head, from what they were to
// SLUICE_SNAT_BUSY and the same head. Then it is written: body, head, and the key last. Readers
// look at key and head again when they have read the rest. Who claims an entry ends it before
// anything else, so that a busy one is only found for long where a process was killed:
// sluice_snat_table_recover().

#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dataplane/flow_table.h"
#include "dataplane/hash.h"
#include "sluice/snapshot.h"
#include "sluice/types.h"

enum {
	SLUICE_SNAT_BUSY = 1 << 16, // no key: frontend 0 is none
	SLUICE_SNAT_TRIES = 32,     // ports that a new flow looks at
};

struct sluice_snat_entry {
	alignas(32) _Atomic uint64_t key; // 0: free
	_Atomic uint64_t head;            // forward: a flow value; reverse: see snat_table.c
	_Atomic uint64_t body[2]; // forward: source, reverse key; reverse: the client's address
};

struct sluice_snat_line {
	alignas(64) struct sluice_snat_entry entries[2];
};
static_assert(sizeof(struct sluice_snat_line) == 64, "one cache line");

// The view one process has of the table; constant once attached, but for the time-outs.
struct sluice_snat_table {
	struct sluice_snat_line *forward, *reverse;
	uint64_t line_mask; // of either
	struct sluice_hash_key key;
	struct sluice_flow_timeouts timeouts;
};

// A forward entry that was found. entry NULL: none. source: packed as below.
struct sluice_snat_ref {
	struct sluice_snat_entry *entry;
	uint64_t value, source;
};

// A source is packed: slot 20 bits | generation 16 | reserved 8 | address 4 | port 16. Slot and
// generation are the value's, by which a reader knows that both are of one flow.
enum {
	SLUICE_SNAT_ADDRESS_SHIFT = 16,
};

// Index into the snapshot's SNAT addresses.
static inline unsigned sluice_snat_address_of(uint64_t source)
{
	return source >> SLUICE_SNAT_ADDRESS_SHIFT & 0xf;
}

// Network byte order.
static inline uint16_t sluice_snat_port_of(uint64_t source)
{
	return (uint16_t)source;
}

// ---- forward

SLUICE_INLINE uint64_t sluice_snat_key(const struct sluice_snat_table *t,
                                       struct sluice_target_view client, uint16_t frontend,
                                       enum sluice_family family)
{
	return sluice_flow_key_of(&t->key, client, frontend, family);
}

static inline uint64_t sluice_snat_hash(const struct sluice_snat_table *t, uint64_t key)
{
	return sluice_hash_u64(&t->key, key);
}

// The number of the key's preferred line; its neighbour, of the pair, is in the same bucket.
static inline uint64_t sluice_snat_primary(const struct sluice_snat_table *t, uint64_t hash)
{
	return hash & t->line_mask;
}

// A line of the other bucket, which is never the primary one.
static inline uint64_t sluice_snat_secondary(const struct sluice_snat_table *t, uint64_t hash)
{
	uint64_t line = hash >> 32 & t->line_mask;

	return line ^ (uint64_t)(line >> 1 == sluice_snat_primary(t, hash) >> 1) << 1;
}

static inline void sluice_snat_prefetch(const struct sluice_snat_table *t, uint64_t hash)
{
	__builtin_prefetch(&t->forward[sluice_snat_primary(t, hash)]);
}

// What a search looks at next, and last.
static inline void sluice_snat_prefetch_neighbour(const struct sluice_snat_table *t, uint64_t hash)
{
	__builtin_prefetch(&t->forward[sluice_snat_primary(t, hash) ^ 1]);
}

static inline void sluice_snat_prefetch_secondary(const struct sluice_snat_table *t, uint64_t hash)
{
	__builtin_prefetch(&t->forward[sluice_snat_secondary(t, hash)]);
	__builtin_prefetch(&t->forward[sluice_snat_secondary(t, hash) ^ 1]);
}

// As sluice_flow_read.
static inline bool sluice_snat_read(struct sluice_snat_ref *ref, uint64_t key)
{
	uint64_t again = atomic_load_explicit(&ref->entry->head, memory_order_acquire);

	do {
		ref->value = again;
		ref->source = atomic_load_explicit(&ref->entry->body[0], memory_order_acquire);
		if (__builtin_expect(
		            atomic_load_explicit(&ref->entry->key, memory_order_acquire) != key, 0))
			return false;
		again = atomic_load_explicit(&ref->entry->head, memory_order_acquire);
	} while (__builtin_expect(again != ref->value, 0));
	return (ref->value ^ ref->source) >> SLUICE_FLOW_GENERATION_SHIFT == 0;
}

static inline struct sluice_snat_ref sluice_snat_find_in(struct sluice_snat_line *l, uint64_t key)
{
	struct sluice_snat_entry *e = l->entries;
	unsigned hits = (atomic_load_explicit(&e[0].key, memory_order_acquire) == key) |
	                (unsigned)(atomic_load_explicit(&e[1].key, memory_order_acquire) == key)
	                        << 1;

	for (; hits; hits &= hits - 1) {
		struct sluice_snat_ref ref = {.entry = &e[hits == 2]};

		if (__builtin_expect(sluice_snat_read(&ref, key), 1))
			return ref;
	}
	return (struct sluice_snat_ref){0};
}

// The flow's entry in its preferred line; none there does not mean that there is none.
static inline struct sluice_snat_ref sluice_snat_find_preferred(const struct sluice_snat_table *t,
                                                                uint64_t key, uint64_t hash)
{
	return sluice_snat_find_in(&t->forward[sluice_snat_primary(t, hash)], key);
}

// The same for the other line of its primary bucket.
static inline struct sluice_snat_ref sluice_snat_find_neighbour(const struct sluice_snat_table *t,
                                                                uint64_t key, uint64_t hash)
{
	return sluice_snat_find_in(&t->forward[sluice_snat_primary(t, hash) ^ 1], key);
}

// The flow's entry wherever it is; says nothing about its age. Any worker, any time.
static inline struct sluice_snat_ref sluice_snat_find(const struct sluice_snat_table *t,
                                                      uint64_t key, uint64_t hash)
{
	const uint64_t first[2] = {sluice_snat_primary(t, hash), sluice_snat_secondary(t, hash)};
	struct sluice_snat_ref ref = {0};

	for (unsigned i = 0; i < 4 && !ref.entry; i++)
		ref = sluice_snat_find_in(&t->forward[first[i / 2] ^ (i & 1)], key);
	return ref;
}

// Gives a found entry another state or time; false where someone else changed it first.
static inline bool sluice_snat_update(struct sluice_snat_ref *ref, uint64_t value)
{
	if (!atomic_compare_exchange_strong_explicit(&ref->entry->head, &ref->value, value,
	                                             memory_order_release, memory_order_relaxed))
		return false;
	ref->value = value;
	return true;
}

// A flow to be stored.
struct sluice_snat_flow {
	struct sluice_target_view client, endpoint; // with protocol and family
	enum sluice_family family;
	uint16_t frontend;
	uint64_t key, hash;
	uint64_t value;             // packed, on probation
	struct sluice_snat_ref old; // what was found under the key, and no longer binds
	uint64_t source;            // out: what was chosen
};

// Who stores it.
struct sluice_snat_worker {
	unsigned number, count; // this one, of so many
};

enum sluice_snat_insert {
	SLUICE_SNAT_INSERTED, // into a free place, or its own
	SLUICE_SNAT_REPLACED_EXPIRED,
	SLUICE_SNAT_REPLACED_PROBATION,
	SLUICE_SNAT_EXISTS,    // another worker was faster: find it again
	SLUICE_SNAT_EXHAUSTED, // no port or no place: nothing stored
};

// Chooses an address and a port and stores the flow both ways.
enum sluice_snat_insert sluice_snat_insert(struct sluice_snat_table *t, struct sluice_snat_flow *f,
                                           const struct sluice_snat *snat,
                                           struct sluice_snat_worker w, uint32_t now);

// ---- reverse

// What a packet from an endpoint to a SNAT address stands for.
struct sluice_snat_return {
	struct sluice_address client;
	uint16_t port;     // the client's, network byte order
	uint16_t frontend; // id
	uint32_t slot;     // the endpoint's; whether it still is, the caller looks
};

// The first half of a fingerprint: the endpoint, with protocol and family.
SLUICE_INLINE uint64_t sluice_snat_fingerprint_begin(const struct sluice_hash_key *key,
                                                     struct sluice_target_view endpoint,
                                                     enum sluice_family family)
{
	uint64_t words[2], h = sluice_target_tail(endpoint) ^ key->k[0];

	if (family == SLUICE_IPV6) {
		memcpy(words, endpoint.address, 16);
		h ^= sluice_hash_fold(words[0] ^ key->k[2], words[1] ^ key->k[3]);
	}
	return sluice_hash_fold(h, key->k[1]);
}

// The second half: the SNAT address and port.
SLUICE_INLINE uint64_t sluice_snat_fingerprint_end(const struct sluice_hash_key *key, uint64_t h,
                                                   struct sluice_target_view snat,
                                                   enum sluice_family family)
{
	uint64_t words[2];

	if (family == SLUICE_IPV6) {
		memcpy(words, snat.address, 16);
		h ^= sluice_hash_fold(words[0] ^ key->k[3], words[1] ^ key->k[2]);
	}
	// Two more rounds: after a single one, ports that differ in a few bits of the middle share
	// a few lines at one endpoint in some tables' secrets.
	h = sluice_hash_u64(key, h ^ sluice_target_tail(snat));
	return h == 0 || h == SLUICE_SNAT_BUSY ? 1 : h;
}

// endpoint: source of the return packet, snat: its destination; of a quoted packet the other way.
SLUICE_INLINE uint64_t sluice_snat_fingerprint(const struct sluice_snat_table *t,
                                               struct sluice_target_view endpoint,
                                               struct sluice_target_view snat,
                                               enum sluice_family family)
{
	uint64_t h = sluice_snat_fingerprint_begin(&t->key, endpoint, family);

	return sluice_snat_fingerprint_end(&t->key, h, snat, family);
}

static inline void sluice_snat_return_prefetch(const struct sluice_snat_table *t,
                                               uint64_t fingerprint)
{
	__builtin_prefetch(&t->reverse[fingerprint & t->line_mask]);
}

// Any worker, any time. false: there is none.
bool sluice_snat_return_find(const struct sluice_snat_table *t, uint64_t fingerprint,
                             struct sluice_snat_return *out);

// ---- made and unmade by control

// The addresses and ports that a table's entries are of. Ports in host byte order.
struct sluice_snat_pool {
	struct sluice_address addresses[SLUICE_SNAT_MAX];
	uint16_t count;
	uint16_t first_port, last_port;
	uint16_t reserved;
};

// What stands in the first page of a table's memory; the forward lines follow, then the others.
struct sluice_snat_header {
	struct sluice_flow_header common;
	struct sluice_snat_pool pool;
};

// As their namesakes of the flow table. capacity: flows.
size_t sluice_snat_table_size(uint64_t capacity);
int sluice_snat_table_format(void *memory, uint64_t capacity, uint64_t epoch,
                             const struct sluice_snat_pool *pool);
int sluice_snat_table_attach(struct sluice_snat_table *t, void *memory, size_t size,
                             uint64_t epoch);
uint64_t sluice_snat_table_capacity(const struct sluice_snat_table *t);
void sluice_snat_table_walk(const struct sluice_snat_table *t, uint32_t now,
                            void (*visit)(void *context, uint64_t key, struct sluice_flow_value v),
                            void *context);

// Takes back what a killed process was writing. Before there are workers.
void sluice_snat_table_recover(const struct sluice_snat_table *t);

// Copies the live flows of another table, of the same secret, whose address and port there still
// are. Adds to *carried and *lost (confirmed ones that found no room). Before there are workers.
void sluice_snat_table_carry(struct sluice_snat_table *t, const struct sluice_snat_pool *pool,
                             const struct sluice_snat_table *from,
                             const struct sluice_snat_pool *from_pool, uint32_t now,
                             uint64_t *carried, uint64_t *lost);
