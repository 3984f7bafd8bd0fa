// SPDX-License-Identifier: BSD-3-Clause
#include "dataplane/flow_table.h"

#include <errno.h>
#include <sys/random.h>

static const char magic[8] = {'s', 'l', 'u', 'i', 'c', 'e', 'f', 't'};

enum {
	LAYOUT = 1,         // of header, entry and value, and how a key finds its buckets
	TRIES = 8,          // of an insert against other workers before it gives up
	ROOMY = 2,          // usable places that make the primary bucket good enough
	DEAD = 3 * 86400,   // seconds after which a walk frees an entry
	ROUNDING = 1 << 30, // the largest page a table's memory is rounded up to
};

static_assert(sizeof(struct sluice_flow_entry) == 16, "swapped as 16 bytes");
static_assert(sizeof(struct sluice_flow_bucket) == 64, "one cache line");
static_assert(sizeof(struct sluice_flow_header) <= SLUICE_FLOW_HEADER_SIZE, "one page");
static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "key is the low half of 16 bytes");

const struct sluice_flow_timeouts sluice_flow_default_timeouts = {
        .seconds = {
                [SLUICE_FLOW_PROBATION] = 60,
                [SLUICE_FLOW_ESTABLISHED] = 7200,
                [SLUICE_FLOW_CLOSING] = 30,
                [SLUICE_FLOW_UDP] = 180,
                [SLUICE_FLOW_AFFINITY] = SLUICE_FLOW_TIMEOUT_MAX,
        }};

// What an entry was when it was looked at.
struct glimpse {
	struct sluice_flow_entry *entry;
	uint64_t key, value;
};

// A bucket at a glance; what there is not has a NULL entry.
struct survey {
	struct glimpse same;      // of the flow itself
	struct glimpse usable;    // free, or else expired
	struct glimpse probation; // the oldest one
	uint32_t probation_age;
	unsigned usable_count;
};

// Entry: what it was -> key and value, at once, or nothing where it is no longer what it was.
static bool swap(const struct glimpse *g, uint64_t key, uint64_t value)
{
	unsigned __int128 old = (unsigned __int128)g->value << 64 | g->key;
	unsigned __int128 new = (unsigned __int128)value << 64 | key;

	return __sync_bool_compare_and_swap((unsigned __int128 *)g->entry, old, new);
}

static struct survey survey_bucket(const struct sluice_flow_table *t, uint64_t bucket, uint64_t key,
                                   uint32_t now)
{
	struct survey s = {0};

	for (unsigned i = 0; i < 4; i++) {
		struct sluice_flow_entry *e = &t->buckets[bucket].entries[i];
		struct glimpse g = {.entry = e};

		g.key = atomic_load_explicit(&e->key, memory_order_acquire);
		g.value = atomic_load_explicit(&e->value, memory_order_relaxed);
		if (g.key == key && !s.same.entry)
			s.same = g;
		if (g.key == 0 || sluice_flow_expired(t, g.value, now)) {
			if (g.key == 0 || !s.usable.entry)
				s.usable = g;
			s.usable_count++;
		} else if (sluice_flow_unpack(g.value).state == SLUICE_FLOW_PROBATION) {
			uint32_t age = sluice_flow_age(g.value, now);

			if (!s.probation.entry || age > s.probation_age) {
				s.probation = g;
				s.probation_age = age;
			}
		}
	}
	return s;
}

// What taking the place means for its former owner.
static enum sluice_flow_insert taken(const struct glimpse *g, bool on_probation)
{
	if (g->key == 0)
		return SLUICE_FLOW_INSERTED;
	return on_probation ? SLUICE_FLOW_REPLACED_PROBATION : SLUICE_FLOW_REPLACED_EXPIRED;
}

// Moves the entry g from its primary bucket to its other one and puts the new flow in its place.
// SLUICE_FLOW_UNTRACKED where that can't be.
static enum sluice_flow_insert displace(const struct sluice_flow_table *t, const struct glimpse *g,
                                        uint64_t key, uint64_t value, uint32_t now, bool push_out)
{
	uint64_t hash = sluice_flow_hash(t, g->key);
	struct glimpse to;
	bool probation;

	if (&t->buckets[sluice_flow_primary(t, hash)] !=
	    (struct sluice_flow_bucket *)((uintptr_t)g->entry & ~(uintptr_t)63))
		return SLUICE_FLOW_UNTRACKED;

	struct survey s = survey_bucket(t, sluice_flow_secondary(t, hash), g->key, now);

	// A live copy is another worker's, who is moving this flow too: whoever made a copy is
	// alone in using it as the flow's place or clearing it. A dead one would be found before
	// the new one, or instead of it.
	if (s.same.entry && !sluice_flow_expired(t, s.same.value, now))
		return SLUICE_FLOW_UNTRACKED;
	to = s.same.entry ? s.same : s.usable;
	probation = !to.entry && push_out;
	if (probation)
		to = s.probation;
	if (!to.entry || !swap(&to, g->key, g->value))
		return SLUICE_FLOW_UNTRACKED;
	if (swap(g, key, value))
		return taken(&to, probation);

	// The original was changed: it stays, the copy goes.
	struct glimpse copy = {.entry = to.entry, .key = g->key, .value = g->value};

	swap(&copy, 0, 0);
	return SLUICE_FLOW_UNTRACKED;
}

// Both buckets are full of live, confirmed flows.
static enum sluice_flow_insert make_room(const struct sluice_flow_table *t, uint64_t key,
                                         uint64_t hash, uint64_t value, uint32_t now)
{
	const uint64_t buckets[2] = {sluice_flow_primary(t, hash), sluice_flow_secondary(t, hash)};

	for (unsigned i = 0; i < 16; i++) {
		struct sluice_flow_entry *e = &t->buckets[buckets[i / 4 % 2]].entries[i % 4];
		struct glimpse g = {.entry = e};
		enum sluice_flow_insert how;

		g.key = atomic_load_explicit(&e->key, memory_order_acquire);
		g.value = atomic_load_explicit(&e->value, memory_order_relaxed);
		if (g.key == 0)
			continue;
		how = displace(t, &g, key, value, now, i >= 8);
		if (how != SLUICE_FLOW_UNTRACKED)
			return how;
	}
	return SLUICE_FLOW_UNTRACKED;
}

enum sluice_flow_insert sluice_flow_insert(struct sluice_flow_table *t, uint64_t key, uint64_t hash,
                                           uint64_t value, uint32_t now)
{
	for (unsigned try = 0; try < TRIES; try++) {
		struct survey a = survey_bucket(t, sluice_flow_primary(t, hash), key, now);
		struct survey b = survey_bucket(t, sluice_flow_secondary(t, hash), key, now);
		const struct survey *s = &a;
		bool probation = false;
		struct glimpse place;

		if (a.same.entry || b.same.entry) {
			place = a.same.entry ? a.same : b.same;
			if (!sluice_flow_expired(t, place.value, now))
				return SLUICE_FLOW_EXISTS;
		} else if (a.usable_count > 0 || b.usable_count > 0) {
			// The primary bucket is the one that lookups read first.
			if (a.usable_count < ROOMY && b.usable_count > a.usable_count)
				s = &b;
			place = s->usable;
		} else if (a.probation.entry || b.probation.entry) {
			if (!a.probation.entry ||
			    (b.probation.entry && b.probation_age > a.probation_age))
				s = &b;
			place = s->probation;
			probation = true;
		} else {
			return make_room(t, key, hash, value, now);
		}
		if (swap(&place, key, value))
			return taken(&place, probation);
	}
	return SLUICE_FLOW_UNTRACKED;
}

static uint64_t bucket_count(uint64_t capacity)
{
	uint64_t n = 1024;

	while (n < capacity && n < (uint64_t)1 << 30)
		n *= 2;
	return n / 4;
}

size_t sluice_flow_table_size(uint64_t capacity)
{
	return SLUICE_FLOW_HEADER_SIZE + bucket_count(capacity) * sizeof(struct sluice_flow_bucket);
}

int sluice_flow_table_format(void *memory, uint64_t capacity, uint64_t epoch)
{
	struct sluice_flow_header *h = memory;

	if ((uintptr_t)memory % 4096 != 0)
		return -EINVAL;
	h->layout = LAYOUT;
	h->header_size = SLUICE_FLOW_HEADER_SIZE;
	h->bucket_count = bucket_count(capacity);
	h->epoch = epoch;
	if (getrandom(&h->key, sizeof(h->key), 0) != (ssize_t)sizeof(h->key))
		return -errno;
	atomic_thread_fence(memory_order_release);
	memcpy(h->magic, magic, sizeof(magic));
	return 0;
}

int sluice_flow_table_attach(struct sluice_flow_table *t, void *memory, size_t size, uint64_t epoch)
{
	const struct sluice_flow_header *h = memory;

	if ((uintptr_t)memory % 4096 != 0 || size < SLUICE_FLOW_HEADER_SIZE ||
	    memcmp(h->magic, magic, sizeof(magic)) != 0 || h->layout != LAYOUT ||
	    h->header_size != SLUICE_FLOW_HEADER_SIZE || h->epoch != epoch)
		return -EINVAL;
	if (h->bucket_count != bucket_count(h->bucket_count * 4) ||
	    size < sluice_flow_table_size(h->bucket_count * 4) ||
	    size - sluice_flow_table_size(h->bucket_count * 4) >= ROUNDING)
		return -EINVAL;
	t->buckets = (struct sluice_flow_bucket *)((char *)memory + SLUICE_FLOW_HEADER_SIZE);
	t->bucket_mask = h->bucket_count - 1;
	t->key = h->key;
	t->timeouts = sluice_flow_default_timeouts;
	return 0;
}

void sluice_flow_timeouts_set(struct sluice_flow_timeouts *t,
                              const struct sluice_flow_timeouts *timeouts)
{
	for (unsigned i = 0; i < SLUICE_FLOW_STATES; i++) {
		uint32_t s = timeouts->seconds[i];

		if (i == SLUICE_FLOW_AFFINITY)
			continue;
		if (s > SLUICE_FLOW_TIMEOUT_MAX)
			s = SLUICE_FLOW_TIMEOUT_MAX;
		__atomic_store_n(&t->seconds[i], s, __ATOMIC_RELAXED);
	}
}

void sluice_flow_table_set_timeouts(struct sluice_flow_table *t,
                                    const struct sluice_flow_timeouts *timeouts)
{
	sluice_flow_timeouts_set(&t->timeouts, timeouts);
}

uint64_t sluice_flow_table_capacity(const struct sluice_flow_table *t)
{
	return (t->bucket_mask + 1) * 4;
}

void sluice_flow_table_walk(const struct sluice_flow_table *t, uint32_t now,
                            void (*visit)(void *context, uint64_t key, struct sluice_flow_value v),
                            void *context)
{
	for (uint64_t i = 0; i < sluice_flow_table_capacity(t); i++) {
		struct sluice_flow_entry *e = &t->buckets[i / 4].entries[i % 4];
		struct sluice_flow_ref ref = {.entry = e};
		struct glimpse g = {.entry = e};
		uint32_t age;

		g.key = atomic_load_explicit(&e->key, memory_order_acquire);
		if (g.key == 0 || !sluice_flow_read(&ref, g.key))
			continue;
		g.value = ref.value;
		if (!sluice_flow_expired(t, g.value, now)) {
			visit(context, g.key, sluice_flow_unpack(g.value));
			continue;
		}
		age = (now - (uint32_t)g.value) & SLUICE_FLOW_SEEN_MASK;
		if (age > DEAD)
			swap(&g, 0, 0);
	}
}
