// SPDX-License-Identifier: BSD-3-Clause
#pragma once

// The flow table: which endpoint a flow was given. One for the host, shared by all workers,
// lock-free, in memory that outlives the process (flow_file.h maps it).
//
// A bucket is a cache line of four entries, an entry 16 bytes: 8 of key, 8 of value. A key has
// two candidate buckets. Entries are placed, replaced and removed by one 16-byte
// compare-and-swap, so that key and value never part; a value is refreshed by an 8-byte one.
//
// An entry is on probation until its flow's second packet. A new flow may take a free place, one
// whose time is up, or one on probation, and where there is none, an entry of its primary bucket
// is moved to its other one. A live, confirmed entry is never pushed out: when no place is found
// the flow goes untracked and the consistent hash alone answers for it.

#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sluice/snapshot.h"
#include "sluice/types.h"

enum sluice_flow_state {
	SLUICE_FLOW_PROBATION,   // one packet seen
	SLUICE_FLOW_ESTABLISHED, // TCP, second packet seen
	SLUICE_FLOW_CLOSING,     // TCP, FIN or RST seen from the client
	SLUICE_FLOW_UDP,         // UDP, second packet seen
	SLUICE_FLOW_STATES,
};

// What an entry says. Packed: slot 20 bits | generation 16 | state 4 | reserved 4 | seen 20.
struct sluice_flow_value {
	uint32_t slot;
	uint16_t generation;
	uint8_t state; // enum sluice_flow_state
	uint32_t seen; // seconds since boot, modulo 2^20
};

// Time-outs in seconds by state, at most a day each, so that 20 bits of time are enough.
struct sluice_flow_timeouts {
	uint32_t seconds[SLUICE_FLOW_STATES];
};

struct sluice_flow_entry {
	alignas(16) _Atomic uint64_t key; // 0: free
	_Atomic uint64_t value;
};

struct sluice_flow_bucket {
	alignas(64) struct sluice_flow_entry entries[4];
};

// The view one process has of the table. Constant once attached, but for the time-outs, which
// control may set at any time.
struct sluice_flow_table {
	struct sluice_flow_bucket *buckets;
	uint64_t bucket_mask;
	struct sluice_hash_key key; // secret of this table
	struct sluice_flow_timeouts timeouts;
};

// An entry that was found: where it is, and the packed value it had. entry NULL: none.
struct sluice_flow_ref {
	struct sluice_flow_entry *entry;
	uint64_t value;
};

enum sluice_flow_insert {
	SLUICE_FLOW_INSERTED, // into a free place
	SLUICE_FLOW_REPLACED_EXPIRED,
	SLUICE_FLOW_REPLACED_PROBATION,
	SLUICE_FLOW_UNTRACKED, // no place: nothing stored
};

// Keys. IPv4: client address 32 | client port 16 | frontend id 16, unique. IPv6: a keyed 64-bit
// fingerprint of the same. Never 0. client_port in network byte order.
uint64_t sluice_flow_key(const struct sluice_flow_table *t, const struct sluice_address *client,
                         uint16_t client_port, uint16_t frontend, enum sluice_family family);
uint64_t sluice_flow_hash(const struct sluice_flow_table *t, uint64_t key);
void sluice_flow_prefetch(const struct sluice_flow_table *t, uint64_t hash);

// The flow's entry in either bucket; says nothing about its age. Any worker, any time.
struct sluice_flow_ref sluice_flow_find(const struct sluice_flow_table *t, uint64_t key,
                                        uint64_t hash);

// Whether a packed value's time was up at now (seconds since boot).
bool sluice_flow_expired(const struct sluice_flow_table *t, uint64_t value, uint32_t now);

// Gives a found entry another value; false where someone else changed it first (then leave it).
bool sluice_flow_update(struct sluice_flow_ref *ref, uint64_t value);

// Stores a new flow. Any worker, any time. When two workers insert one key at once both may
// succeed; finds then agree on one of them and the other ends on probation.
enum sluice_flow_insert sluice_flow_insert(struct sluice_flow_table *t, uint64_t key, uint64_t hash,
                                           uint64_t value, uint32_t now);

uint64_t sluice_flow_pack(struct sluice_flow_value v);
struct sluice_flow_value sluice_flow_unpack(uint64_t packed);

// Memory. capacity: entries, rounded up to a power of two, at least 1024.
size_t sluice_flow_table_size(uint64_t capacity);

// Writes an empty table into zeroed, page-aligned memory, with a secret of its own (getrandom).
// epoch: names the slots' history that the values refer to; whoever attaches must be of it.
int sluice_flow_table_format(void *memory, uint64_t capacity, uint64_t epoch);

// Attaches to formatted memory. -EINVAL: not a table, or of another layout, size or epoch.
int sluice_flow_table_attach(struct sluice_flow_table *t, void *memory, size_t size,
                             uint64_t epoch);

uint64_t sluice_flow_table_capacity(const struct sluice_flow_table *t);

// Walks live entries (not expired at now) in no order, while workers go on. Control thread.
void sluice_flow_table_walk(const struct sluice_flow_table *t, uint32_t now,
                            void (*visit)(void *context, uint64_t key, struct sluice_flow_value v),
                            void *context);
