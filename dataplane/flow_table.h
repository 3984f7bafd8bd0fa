// SPDX-License-Identifier: BSD-3-Clause
#pragma once

// The flow table: which endpoint a flow was given. One for the host, shared by all workers,
// lock-free, in memory that outlives the process (flow_file.h maps it).
//
// A bucket is a cache line of four entries, an entry 16 bytes: 8 of key, 8 of value. A key has
// two candidate buckets. Entries are placed, replaced and moved by one 16-byte compare-and-swap,
// so that key and value never part; a value is refreshed by an 8-byte one that compares the old
// value, so that it can't hit an entry that meanwhile became another flow's.
//
// An entry is on probation until its flow's second packet. A new flow may take a free place, one
// whose time is up, or one on probation, and where there is none, an entry of its buckets is
// moved from its primary to its other one. A live, confirmed entry is never pushed out: when no
// place is found the flow goes untracked and the consistent hash alone answers for it.
//
// Entries only ever move from the primary bucket to the secondary, and the copy is in place
// before the original goes. Who looks first into the primary and then into the secondary can't
// miss it. Two copies are harmless: everybody finds the same one, the other's time runs out.

#include <immintrin.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "dataplane/hash.h"
#include "sluice/snapshot.h"
#include "sluice/types.h"

enum sluice_flow_state {
	SLUICE_FLOW_PROBATION,   // one packet seen
	SLUICE_FLOW_ESTABLISHED, // TCP, second packet seen
	SLUICE_FLOW_CLOSING,     // TCP, FIN or RST seen from the client
	SLUICE_FLOW_UDP,         // UDP, second packet seen
	SLUICE_FLOW_AFFINITY,    // no flow: where a client's next one goes (affinity.h)
	SLUICE_FLOW_STATES,
};

// What an entry says. Packed: slot 20 bits | generation 16 | state 4 | reserved 4 | seen 20.
struct sluice_flow_value {
	uint32_t slot;
	uint16_t generation;
	uint8_t state; // enum sluice_flow_state
	uint32_t seen; // seconds since boot, modulo 2^20
};

enum {
	SLUICE_FLOW_SLOT_SHIFT = 44,
	SLUICE_FLOW_GENERATION_SHIFT = 28,
	SLUICE_FLOW_STATE_SHIFT = 24,
	SLUICE_FLOW_SEEN_MASK = (1 << 20) - 1,
	SLUICE_FLOW_SKEW = 60,           // seconds by which workers' clocks may differ
	SLUICE_FLOW_TIMEOUT_MAX = 86400, // longer ones are cut to it
};

// Time-outs in seconds by state: a day each at most, so that 20 bits of time (12 days) are enough,
// and one second at least, so that what was seen in this second is alive. SLUICE_FLOW_AFFINITY's is
// always a day: each service has its own, so its entries are dated back by what theirs is shorter.
struct sluice_flow_timeouts {
	uint32_t seconds[16]; // each of the 4 bits' values, 0 where there is no such state
};

extern const struct sluice_flow_timeouts sluice_flow_default_timeouts;

struct sluice_flow_entry {
	alignas(16) _Atomic uint64_t key; // 0: free
	_Atomic uint64_t value;
};

struct sluice_flow_bucket {
	alignas(64) struct sluice_flow_entry entries[4];
};

// The view one process has of the table. Constant once attached, but for the time-outs, which
// control may set at any time (sluice_flow_table_set_timeouts).
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
	SLUICE_FLOW_EXISTS,    // another worker was faster: its live entry stays
};

static inline uint64_t sluice_flow_pack(struct sluice_flow_value v)
{
	return (uint64_t)(v.slot & 0xfffff) << SLUICE_FLOW_SLOT_SHIFT |
	       (uint64_t)v.generation << SLUICE_FLOW_GENERATION_SHIFT |
	       (uint64_t)(v.state & 0xf) << SLUICE_FLOW_STATE_SHIFT |
	       (v.seen & SLUICE_FLOW_SEEN_MASK);
}

static inline struct sluice_flow_value sluice_flow_unpack(uint64_t packed)
{
	return (struct sluice_flow_value){
	        .slot = (uint32_t)(packed >> SLUICE_FLOW_SLOT_SHIFT),
	        .generation = (uint16_t)(packed >> SLUICE_FLOW_GENERATION_SHIFT),
	        .state = packed >> SLUICE_FLOW_STATE_SHIFT & 0xf,
	        .seen = packed & SLUICE_FLOW_SEEN_MASK,
	};
}

// Keys. IPv4: client address 32 | client port 16 | frontend id 16, unique. IPv6: a keyed 64-bit
// fingerprint of the same. Never 0, as no frontend has id 0. The client's protocol is the
// frontend's.
SLUICE_INLINE uint64_t sluice_flow_key_of(const struct sluice_hash_key *secret,
                                          struct sluice_target_view client, uint16_t frontend,
                                          enum sluice_family family)
{
	uint64_t low = (uint64_t)client.port << 16 | frontend;
	uint64_t words[2], h;

	if (family == SLUICE_IPV4)
		return (uint64_t)client.end << 32 | low;
	memcpy(words, client.address, 16);
	h = sluice_hash_fold(words[0] ^ secret->k[0], secret->k[1]);
	h = words[1] ^ sluice_hash_fold(h ^ secret->k[2], low ^ secret->k[3]);
	return h ? h : 1;
}

SLUICE_INLINE uint64_t sluice_flow_key(const struct sluice_flow_table *t,
                                       struct sluice_target_view client, uint16_t frontend,
                                       enum sluice_family family)
{
	return sluice_flow_key_of(&t->key, client, frontend, family);
}

// The key of a client's affinity entry: a flow's, with the frontend where flows have the port. No
// flow has that one, as no frontend has id 0. client: the address alone.
SLUICE_INLINE uint64_t sluice_flow_affinity_key(const struct sluice_flow_table *t,
                                                struct sluice_target_view client, uint16_t frontend,
                                                enum sluice_family family)
{
	client.port = frontend;
	return sluice_flow_key(t, client, 0, family);
}

static inline uint64_t sluice_flow_hash(const struct sluice_flow_table *t, uint64_t key)
{
	return sluice_hash_u64(&t->key, key);
}

// The key's two buckets, never the same one.
static inline uint64_t sluice_flow_primary(const struct sluice_flow_table *t, uint64_t hash)
{
	return hash & t->bucket_mask;
}

static inline uint64_t sluice_flow_secondary(const struct sluice_flow_table *t, uint64_t hash)
{
	uint64_t b = hash >> 32 & t->bucket_mask;

	return b ^ (b == sluice_flow_primary(t, hash));
}

// Of the primary bucket: most flows are there.
static inline void sluice_flow_prefetch(const struct sluice_flow_table *t, uint64_t hash)
{
	__builtin_prefetch(&t->buckets[sluice_flow_primary(t, hash)]);
}

static inline void sluice_flow_prefetch_secondary(const struct sluice_flow_table *t, uint64_t hash)
{
	__builtin_prefetch(&t->buckets[sluice_flow_secondary(t, hash)]);
}

// Reads the value that belongs to the key; false where the entry has been given away. As it may be
// given away and come back between two looks, the value is looked at again too.
static inline bool sluice_flow_read(struct sluice_flow_ref *ref, uint64_t key)
{
	uint64_t again = atomic_load_explicit(&ref->entry->value, memory_order_acquire);

	do {
		ref->value = again;
		if (__builtin_expect(
		            atomic_load_explicit(&ref->entry->key, memory_order_acquire) != key, 0))
			return false;
		again = atomic_load_explicit(&ref->entry->value, memory_order_acquire);
	} while (__builtin_expect(again != ref->value, 0));
	return true;
}

// Which of the bucket's entries seem to have the key, a bit each. All four keys are compared before
// the one branch, as the place in the bucket is as good as random. A vector holds two keys, each
// read whole, but not as an atomic: who finds one looks at it again.
__attribute__((no_sanitize("thread"))) static inline unsigned
sluice_flow_hits(const struct sluice_flow_bucket *b, uint64_t key)
{
	const __m128i *e = (const __m128i *)b->entries, wanted = _mm_set1_epi64x((long long)key);
	__m128i low = _mm_cmpeq_epi64(_mm_unpacklo_epi64(e[0], e[1]), wanted);
	__m128i high = _mm_cmpeq_epi64(_mm_unpacklo_epi64(e[2], e[3]), wanted);

	// As loads that acquire: none that follows, of the other bucket too, may come before these.
	// Of this CPU's loads none does.
	atomic_signal_fence(memory_order_acquire);
	return (unsigned)_mm_movemask_ps(
	        _mm_shuffle_ps(_mm_castsi128_ps(low), _mm_castsi128_ps(high), 0x88));
}

// The key's entry in one bucket.
static inline struct sluice_flow_ref sluice_flow_find_in(struct sluice_flow_bucket *b, uint64_t key)
{
	struct sluice_flow_entry *e = b->entries;

	for (unsigned hits = sluice_flow_hits(b, key); hits; hits &= hits - 1) {
		struct sluice_flow_ref ref = {.entry = &e[__builtin_ctz(hits)]};

		if (__builtin_expect(sluice_flow_read(&ref, key), 1))
			return ref;
	}
	return (struct sluice_flow_ref){0};
}

// The flow's entry in its primary bucket; none there does not mean that there is none.
static inline struct sluice_flow_ref sluice_flow_find_primary(const struct sluice_flow_table *t,
                                                              uint64_t key, uint64_t hash)
{
	return sluice_flow_find_in(&t->buckets[sluice_flow_primary(t, hash)], key);
}

// The flow's entry in either bucket; says nothing about its age. Any worker, any time.
static inline struct sluice_flow_ref sluice_flow_find(const struct sluice_flow_table *t,
                                                      uint64_t key, uint64_t hash)
{
	struct sluice_flow_ref ref =
	        sluice_flow_find_in(&t->buckets[sluice_flow_primary(t, hash)], key);

	if (__builtin_expect(!ref.entry, 0))
		ref = sluice_flow_find_in(&t->buckets[sluice_flow_secondary(t, hash)], key);
	return ref;
}

// How long ago a packed value was seen, in seconds; a value from the near future is another
// worker's, whose clock is ahead, and as good as of now.
static inline uint32_t sluice_flow_age(uint64_t value, uint32_t now)
{
	uint32_t age = (now - (uint32_t)value) & SLUICE_FLOW_SEEN_MASK;

	return age > SLUICE_FLOW_SEEN_MASK - SLUICE_FLOW_SKEW ? 0 : age;
}

// Whether a packed value's time was up at now (seconds since boot). States that there are not have
// no time at all.
static inline bool sluice_flow_timed_out(const struct sluice_flow_timeouts *t, uint64_t value,
                                         uint32_t now)
{
	unsigned state = value >> SLUICE_FLOW_STATE_SHIFT & 0xf;

	return sluice_flow_age(value, now) >= __atomic_load_n(&t->seconds[state], __ATOMIC_RELAXED);
}

static inline bool sluice_flow_expired(const struct sluice_flow_table *t, uint64_t value,
                                       uint32_t now)
{
	return sluice_flow_timed_out(&t->timeouts, value, now);
}

// Gives a found entry another value; false where someone else changed it first (then leave it).
static inline bool sluice_flow_update(struct sluice_flow_ref *ref, uint64_t value)
{
	if (!atomic_compare_exchange_strong_explicit(&ref->entry->value, &ref->value, value,
	                                             memory_order_release, memory_order_relaxed))
		return false;
	ref->value = value;
	return true;
}

// Stores a new flow. Any worker, any time. When two workers insert one key at once both may
// succeed; finds then agree on one of them and the other ends on probation.
enum sluice_flow_insert sluice_flow_insert(struct sluice_flow_table *t, uint64_t key, uint64_t hash,
                                           uint64_t value, uint32_t now);

// What stands in the first page of a table's memory; the buckets follow it.
struct sluice_flow_header {
	char magic[8]; // written last: memory with it is formatted
	uint32_t layout;
	uint32_t header_size; // of the page: where the buckets start
	uint64_t bucket_count;
	uint64_t epoch;
	struct sluice_hash_key key;
	char boot[40]; // boot id, as seen counts from boot: flow_file.c writes and checks it
};

enum {
	SLUICE_FLOW_HEADER_SIZE = 4096,
};

// Bytes of memory. capacity: entries, rounded up to a power of two, at least 1024, at most 2^30.
size_t sluice_flow_table_size(uint64_t capacity);

// Writes an empty table into zeroed, page-aligned memory, with a secret of its own (getrandom).
// epoch: names the slots' history that the values refer to; whoever attaches must be of it.
int sluice_flow_table_format(void *memory, uint64_t capacity, uint64_t epoch);

// Attaches to formatted memory, with the default time-outs. -EINVAL: not a table, or of another
// layout, size or epoch.
int sluice_flow_table_attach(struct sluice_flow_table *t, void *memory, size_t size,
                             uint64_t epoch);

// Control thread, while workers go on. What is longer than SLUICE_FLOW_TIMEOUT_MAX is cut;
// SLUICE_FLOW_AFFINITY's stays as it is.
void sluice_flow_timeouts_set(struct sluice_flow_timeouts *t,
                              const struct sluice_flow_timeouts *timeouts);
void sluice_flow_table_set_timeouts(struct sluice_flow_table *t,
                                    const struct sluice_flow_timeouts *timeouts);

uint64_t sluice_flow_table_capacity(const struct sluice_flow_table *t);

// Walks live entries (not expired at now) in no order, while workers go on. Control thread.
// Frees entries that have been dead for days, as the clock's wrap would bring them back to life
// after twelve; to be called once a day or more.
void sluice_flow_table_walk(const struct sluice_flow_table *t, uint32_t now,
                            void (*visit)(void *context, uint64_t key, struct sluice_flow_value v),
                            void *context);
