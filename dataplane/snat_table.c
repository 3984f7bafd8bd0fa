// SPDX-License-Identifier: BSD-3-Clause
#include "dataplane/snat_table.h"

#include <arpa/inet.h>
#include <errno.h>
#include <sys/random.h>

static const char magic[8] = {'s', 'l', 'u', 'i', 'c', 'e', 's', 'n'};

enum {
	LAYOUT = 2,           // of header and entries, and how a key finds its buckets
	TRIES = 8,            // of a forward entry against other workers before it gives up
	POLITE_TRIES = 8,     // ports of a new flow before it takes one from a flow on probation
	ROOMY = 2,            // usable places that make the primary bucket good enough
	DEAD_FOR = 3 * 86400, // seconds after which a walk frees an entry
	ROUNDING = 1 << 30,   // the largest page a table's memory is rounded up to
};

// A reverse entry's head: client port 16 bits | frontend 16 | slot 20 | is IPv6 1 | turn 11. The
// turn is another one each time that the place is taken, so that nobody mistakes a new tenant for
// the one he saw.
enum {
	PORT_SHIFT = 48,
	FRONTEND_SHIFT = 32,
	SLOT_SHIFT = 12,
	IS_IPV6 = 1 << 11,
	TURN_MASK = IS_IPV6 - 1,
};

static_assert(sizeof(struct sluice_snat_header) <= SLUICE_FLOW_HEADER_SIZE, "one page");
static_assert(sizeof(struct sluice_snat_entry) == 32, "two to a cache line");

// What an entry was when it was looked at.
struct glimpse {
	struct sluice_snat_entry *entry;
	uint64_t key, head;
};

// What a place is worth to who has it.
enum worth {
	FREE,
	DEAD,
	PROBATION,
	LIVE,
};

static struct glimpse look(struct sluice_snat_entry *e)
{
	struct glimpse g = {.entry = e};

	g.key = atomic_load_explicit(&e->key, memory_order_acquire);
	g.head = atomic_load_explicit(&e->head, memory_order_acquire);
	return g;
}

// Entry: what it was -> key and head, at once, or nothing where it is no longer what it was.
static bool swap(const struct glimpse *g, uint64_t key, uint64_t head)
{
	unsigned __int128 old = (unsigned __int128)g->head << 64 | g->key;
	unsigned __int128 new = (unsigned __int128)head << 64 | key;

	return __sync_bool_compare_and_swap((unsigned __int128 *)g->entry, old, new);
}

static bool claim(const struct glimpse *g)
{
	return swap(g, SLUICE_SNAT_BUSY, g->head);
}

// Ends a claim.
static void publish(struct sluice_snat_entry *e, uint64_t key, uint64_t head,
                    const uint64_t body[2])
{
	// Released one by one: who reads one of the body sees the claim when he looks at the key
	// again, or else, where the key is the same as before, another head.
	atomic_store_explicit(&e->body[0], body[0], memory_order_release);
	atomic_store_explicit(&e->body[1], body[1], memory_order_release);
	atomic_store_explicit(&e->head, head, memory_order_release);
	atomic_store_explicit(&e->key, key, memory_order_release);
}

// ---- what places are worth

static enum worth forward_worth(const struct sluice_snat_table *t, const struct glimpse *g,
                                uint32_t now)
{
	if (g->key == 0)
		return FREE;
	if (g->key == SLUICE_SNAT_BUSY)
		return LIVE;
	if (sluice_flow_timed_out(&t->timeouts, g->head, now))
		return DEAD;
	return sluice_flow_unpack(g->head).state == SLUICE_FLOW_PROBATION ? PROBATION : LIVE;
}

// The client of a reverse entry, as a key has it. words: the entry's body, must outlive the view.
static struct sluice_target_view client_view(uint64_t head, const uint64_t words[2])
{
	return (struct sluice_target_view){
	        .end = (uint32_t)(words[1] >> 32),
	        .port = (uint16_t)(head >> PORT_SHIFT),
	        .address = (const uint8_t *)words,
	};
}

// The forward entry that a reverse entry belongs to; entry NULL: it is gone.
static struct glimpse find_owner(const struct sluice_snat_table *t, const struct glimpse *g)
{
	const uint64_t words[2] = {
	        atomic_load_explicit(&g->entry->body[0], memory_order_acquire),
	        atomic_load_explicit(&g->entry->body[1], memory_order_acquire),
	};
	struct sluice_target_view client = client_view(g->head, words);
	uint16_t frontend = (uint16_t)(g->head >> FRONTEND_SHIFT);
	uint64_t key = g->head & IS_IPV6 ? sluice_snat_key(t, client, frontend, SLUICE_IPV6)
	                                 : sluice_snat_key(t, client, frontend, SLUICE_IPV4);
	uint64_t hash = sluice_snat_hash(t, key);
	const uint64_t first[2] = {sluice_snat_primary(t, hash), sluice_snat_secondary(t, hash)};

	for (unsigned i = 0; i < 8; i++) {
		struct sluice_snat_line *l = &t->forward[first[i / 4] ^ (i / 2 & 1)];
		struct glimpse f = look(&l->entries[i % 2]);

		if (f.key == key &&
		    atomic_load_explicit(&f.entry->body[1], memory_order_acquire) == g->key &&
		    atomic_load_explicit(&f.entry->key, memory_order_relaxed) == key)
			return f;
	}
	return (struct glimpse){0};
}

// *owner: of a place that is DEAD or on PROBATION, who must go first; entry NULL: nobody.
static enum worth reverse_worth(const struct sluice_snat_table *t, const struct glimpse *g,
                                uint32_t now, struct glimpse *owner)
{
	*owner = (struct glimpse){0};
	if (g->key == 0)
		return FREE;
	if (g->key == SLUICE_SNAT_BUSY)
		return LIVE;
	*owner = find_owner(t, g);
	return owner->entry ? forward_worth(t, owner, now) : DEAD;
}

// ---- forward

// A bucket at a glance; what there is not has a NULL entry.
struct survey {
	struct glimpse same;      // of the flow itself
	struct glimpse usable;    // free or expired
	struct glimpse probation; // the oldest one
	uint32_t probation_age;
	unsigned usable_count;
};

// line: of the bucket, the one to be preferred.
static struct survey survey_bucket(const struct sluice_snat_table *t, uint64_t line, uint64_t key,
                                   uint32_t now)
{
	struct survey s = {0};

	for (unsigned i = 0; i < 4; i++) {
		struct glimpse g = look(&t->forward[line ^ (i / 2)].entries[i % 2]);
		enum worth worth = forward_worth(t, &g, now);
		uint32_t age = sluice_flow_age(g.head, now);

		if (g.key == key && !s.same.entry)
			s.same = g;
		if (worth <= DEAD && !s.usable.entry)
			s.usable = g;
		s.usable_count += worth <= DEAD;
		if (worth == PROBATION && (!s.probation.entry || age > s.probation_age)) {
			s.probation = g;
			s.probation_age = age;
		}
	}
	return s;
}

static enum sluice_snat_insert taken(const struct glimpse *g, bool on_probation)
{
	if (g->key == 0)
		return SLUICE_SNAT_INSERTED;
	return on_probation ? SLUICE_SNAT_REPLACED_PROBATION : SLUICE_SNAT_REPLACED_EXPIRED;
}

static uint64_t line_of(const struct sluice_snat_table *t, const struct sluice_snat_entry *e)
{
	return (uint64_t)((const struct sluice_snat_line *)((uintptr_t)e & ~(uintptr_t)63) -
	                  t->forward);
}

// Moves the entry g from its primary bucket to its other one and claims its place. The copy is
// there before the original goes: who looks into the primary first can't miss it.
static enum sluice_snat_insert displace(const struct sluice_snat_table *t, const struct glimpse *g,
                                        uint32_t now, bool push_out)
{
	uint64_t hash = sluice_snat_hash(t, g->key);
	uint64_t body[2];
	struct glimpse to;
	bool probation;

	if (line_of(t, g->entry) >> 1 != sluice_snat_primary(t, hash) >> 1)
		return SLUICE_SNAT_EXHAUSTED;

	struct survey s = survey_bucket(t, sluice_snat_secondary(t, hash), g->key, now);

	// A live copy is another worker's, who is moving this flow too. A dead one would be found
	// instead of the new one.
	if (s.same.entry && !sluice_flow_timed_out(&t->timeouts, s.same.head, now))
		return SLUICE_SNAT_EXHAUSTED;
	to = s.same.entry ? s.same : s.usable;
	probation = !to.entry && push_out;
	if (probation)
		to = s.probation;
	if (!to.entry || !claim(&to))
		return SLUICE_SNAT_EXHAUSTED;
	body[0] = atomic_load_explicit(&g->entry->body[0], memory_order_acquire);
	body[1] = atomic_load_explicit(&g->entry->body[1], memory_order_acquire);
	publish(to.entry, g->key, g->head, body);
	if (claim(g))
		return taken(&to, probation);

	// The original was changed: it stays, the copy goes.
	struct glimpse copy = {.entry = to.entry, .key = g->key, .head = g->head};

	swap(&copy, 0, 0);
	return SLUICE_SNAT_EXHAUSTED;
}

// Both buckets are full of live, confirmed flows.
static enum sluice_snat_insert make_room(const struct sluice_snat_table *t, uint64_t hash,
                                         uint32_t now, struct sluice_snat_entry **place)
{
	const uint64_t first[2] = {sluice_snat_primary(t, hash), sluice_snat_secondary(t, hash)};

	for (unsigned i = 0; i < 16; i++) {
		struct sluice_snat_line *l = &t->forward[first[i / 4 % 2] ^ (i / 2 & 1)];
		struct glimpse g = look(&l->entries[i % 2]);
		enum sluice_snat_insert how;

		if (g.key == 0 || g.key == SLUICE_SNAT_BUSY)
			continue;
		how = displace(t, &g, now, i >= 8);
		if (how != SLUICE_SNAT_EXHAUSTED) {
			*place = g.entry;
			return how;
		}
	}
	return SLUICE_SNAT_EXHAUSTED;
}

// Claims a place for a new flow.
static enum sluice_snat_insert claim_forward(const struct sluice_snat_table *t,
                                             const struct sluice_snat_flow *f, uint32_t now,
                                             struct sluice_snat_entry **place)
{
	if (f->old.entry) {
		struct glimpse own = {.entry = f->old.entry, .key = f->key, .head = f->old.value};

		*place = own.entry;
		return claim(&own) ? SLUICE_SNAT_INSERTED : SLUICE_SNAT_EXISTS;
	}
	for (unsigned try = 0; try < TRIES; try++) {
		struct survey a = survey_bucket(t, sluice_snat_primary(t, f->hash), f->key, now);
		struct survey b = survey_bucket(t, sluice_snat_secondary(t, f->hash), f->key, now);
		struct glimpse g;
		bool probation;

		if (a.same.entry || b.same.entry)
			return SLUICE_SNAT_EXISTS;
		// The primary bucket is the one that lookups read first.
		g = a.usable_count < ROOMY && b.usable_count > a.usable_count ? b.usable : a.usable;
		probation = !g.entry;
		if (probation)
			g = !a.probation.entry ||
			                    (b.probation.entry && b.probation_age > a.probation_age)
			            ? b.probation
			            : a.probation;
		if (!g.entry)
			return make_room(t, f->hash, now, place);
		if (claim(&g)) {
			*place = g.entry;
			return taken(&g, probation);
		}
	}
	return SLUICE_SNAT_EXHAUSTED;
}

// ---- reverse

static uint64_t reverse_head(const struct sluice_snat_flow *f, uint64_t before)
{
	return (uint64_t)f->client.port << PORT_SHIFT | (uint64_t)f->frontend << FRONTEND_SHIFT |
	       (uint64_t)sluice_flow_unpack(f->value).slot << SLOT_SHIFT |
	       (f->family == SLUICE_IPV6 ? IS_IPV6 : 0) | ((before + 1) & TURN_MASK);
}

static void client_words(const struct sluice_snat_flow *f, uint64_t words[2])
{
	if (f->family == SLUICE_IPV6) {
		memcpy(words, f->client.address, 16);
		return;
	}
	words[0] = 0;
	words[1] = (uint64_t)f->client.end << 32 | 0xffff0000;
}

// Claims the place for a reverse key, if it has none yet and there is one. push_out: a place, or
// the port itself, may be one that a flow on probation has.
static bool claim_reverse(const struct sluice_snat_table *t, uint64_t key, uint32_t now,
                          bool push_out, struct sluice_snat_entry **place)
{
	struct sluice_snat_line *l = &t->reverse[key & t->line_mask];
	struct glimpse best = {0}, owner, best_owner = {0};
	enum worth best_worth = LIVE;

	for (unsigned i = 0; i < 2; i++) {
		struct glimpse g = look(&l->entries[i]);
		enum worth worth = reverse_worth(t, &g, now, &owner);
		bool same = g.key == key;

		if (same && worth >= (push_out ? LIVE : PROBATION))
			return false; // the port is in use at this endpoint
		if (same || worth < best_worth) {
			best = g;
			best_owner = owner;
			best_worth = same ? FREE : worth; // a second one must not come beside it
		}
	}
	if (!best.entry || best_worth >= (push_out ? LIVE : PROBATION))
		return false;
	// Its owner goes first, so that he can't come back to life meanwhile.
	if (best_owner.entry && !swap(&best_owner, 0, 0))
		return false;
	*place = best.entry;
	return claim(&best);
}

bool sluice_snat_return_find(const struct sluice_snat_table *t, uint64_t fingerprint,
                             struct sluice_snat_return *out)
{
	struct sluice_snat_line *l = &t->reverse[fingerprint & t->line_mask];

	for (unsigned i = 0; i < 2; i++) {
		struct sluice_snat_entry *e = &l->entries[i];
		struct glimpse g, again;
		uint64_t words[2];

		if (atomic_load_explicit(&e->key, memory_order_acquire) != fingerprint)
			continue;
		g = look(e);
		words[0] = atomic_load_explicit(&e->body[0], memory_order_acquire);
		words[1] = atomic_load_explicit(&e->body[1], memory_order_acquire);
		again = look(e);
		if (g.key != fingerprint || again.key != fingerprint || again.head != g.head)
			continue; // given to another flow this moment
		memcpy(out->client.bytes, words, 16);
		out->port = (uint16_t)(g.head >> PORT_SHIFT);
		out->frontend = (uint16_t)(g.head >> FRONTEND_SHIFT);
		out->slot = g.head >> SLOT_SHIFT & 0xfffff;
		return true;
	}
	return false;
}

// ---- choosing a port

// What one worker may choose from.
struct choice {
	const uint8_t *addresses;
	unsigned address_count;
	uint32_t first_port, port_count, step;
};

static struct choice choice_of(const struct sluice_snat *snat, enum sluice_family family,
                               struct sluice_snat_worker w)
{
	struct choice c = {
	        .addresses = family == SLUICE_IPV4 ? snat->v4 : snat->v6,
	        .address_count = family == SLUICE_IPV4 ? snat->count_v4 : snat->count_v6,
	        .step = w.count,
	};
	uint32_t first = snat->first_port;

	first += (w.number + w.count - first % w.count) % w.count;
	c.first_port = first;
	if (c.address_count > 0 && first <= snat->last_port)
		c.port_count = (snat->last_port - first) / w.count + 1;
	return c;
}

static uint64_t pack_source(const struct sluice_snat_flow *f, unsigned address, uint16_t port)
{
	uint64_t whose = f->value >> SLUICE_FLOW_GENERATION_SHIFT << SLUICE_FLOW_GENERATION_SHIFT;

	return whose | (uint64_t)address << SLUICE_SNAT_ADDRESS_SHIFT | port;
}

// The number'th port that the flow asks for. It is the same ones in the same order each time, so
// that a flow which was pushed out gets its old port back, as long as nobody else took it.
static void candidate(const struct sluice_snat_table *t, struct sluice_snat_flow *f,
                      const struct choice *c, unsigned number)
{
	uint64_t h = sluice_hash_fold(f->hash ^ t->key.k[number & 3],
	                              t->key.k[0] + (uint64_t)2 * number + 1);
	uint32_t port = c->first_port + c->step * sluice_hash_range(h, c->port_count);
	unsigned address = c->addresses[sluice_hash_range(h << 32, c->address_count)];

	f->source = pack_source(f, address, htons((uint16_t)port));
}

static uint64_t reverse_key(const struct sluice_snat_table *t, const struct sluice_snat_flow *f,
                            uint64_t begun, const struct sluice_snat *snat)
{
	const struct sluice_target *a = &snat->addresses[sluice_snat_address_of(f->source)].target;
	struct sluice_target_view v = sluice_target_view(a);

	v.port = sluice_snat_port_of(f->source);
	v.protocol = f->endpoint.protocol;
	return f->family == SLUICE_IPV4
	               ? sluice_snat_fingerprint_end(&t->key, begun, v, SLUICE_IPV4)
	               : sluice_snat_fingerprint_end(&t->key, begun, v, SLUICE_IPV6);
}

// Chooses f->source and claims the place of its reverse entry. Returns its key, 0: none found.
static uint64_t reserve(const struct sluice_snat_table *t, struct sluice_snat_flow *f,
                        const struct sluice_snat *snat, struct sluice_snat_worker w, uint32_t now,
                        struct sluice_snat_entry **place)
{
	struct choice c = choice_of(snat, f->family, w);
	uint64_t begun = f->family == SLUICE_IPV4
	                         ? sluice_snat_fingerprint_begin(&t->key, f->endpoint, SLUICE_IPV4)
	                         : sluice_snat_fingerprint_begin(&t->key, f->endpoint, SLUICE_IPV6);

	for (unsigned i = 0; c.port_count > 0 && i < POLITE_TRIES + SLUICE_SNAT_TRIES; i++) {
		bool push_out = i >= POLITE_TRIES;
		uint64_t key;

		candidate(t, f, &c, push_out ? i - POLITE_TRIES : i);
		key = reverse_key(t, f, begun, snat);
		if (claim_reverse(t, key, now, push_out, place))
			return key;
	}
	return 0;
}

enum sluice_snat_insert sluice_snat_insert(struct sluice_snat_table *t, struct sluice_snat_flow *f,
                                           const struct sluice_snat *snat,
                                           struct sluice_snat_worker w, uint32_t now)
{
	struct sluice_snat_entry *forward, *reverse;
	enum sluice_snat_insert how;
	uint64_t words[2], key, before;

	if (f->key == SLUICE_SNAT_BUSY)
		return SLUICE_SNAT_EXHAUSTED;
	key = reserve(t, f, snat, w, now, &reverse);
	if (!key)
		return SLUICE_SNAT_EXHAUSTED;
	how = claim_forward(t, f, now, &forward);
	if (how >= SLUICE_SNAT_EXISTS) {
		atomic_store_explicit(&reverse->key, 0, memory_order_release);
		return how;
	}
	client_words(f, words);
	before = atomic_load_explicit(&reverse->head, memory_order_relaxed); // nobody else's now
	publish(forward, f->key, f->value, (const uint64_t[]){f->source, key});
	publish(reverse, key, reverse_head(f, before), words);
	return how;
}

// ---- made and unmade

static uint64_t line_count(uint64_t capacity)
{
	uint64_t n = 1024;

	while (n < capacity && n < (uint64_t)1 << 30)
		n *= 2;
	return n / 2;
}

size_t sluice_snat_table_size(uint64_t capacity)
{
	return SLUICE_FLOW_HEADER_SIZE + 2 * line_count(capacity) * sizeof(struct sluice_snat_line);
}

int sluice_snat_table_format(void *memory, uint64_t capacity, uint64_t epoch,
                             const struct sluice_snat_pool *pool)
{
	struct sluice_snat_header *h = memory;

	if ((uintptr_t)memory % 4096 != 0)
		return -EINVAL;
	h->common.layout = LAYOUT;
	h->common.header_size = SLUICE_FLOW_HEADER_SIZE;
	h->common.bucket_count = line_count(capacity);
	h->common.epoch = epoch;
	h->pool = *pool;
	if (getrandom(&h->common.key, sizeof(h->common.key), 0) != (ssize_t)sizeof(h->common.key))
		return -errno;
	atomic_thread_fence(memory_order_release);
	memcpy(h->common.magic, magic, sizeof(magic));
	return 0;
}

int sluice_snat_table_attach(struct sluice_snat_table *t, void *memory, size_t size, uint64_t epoch)
{
	const struct sluice_flow_header *h = memory;

	if ((uintptr_t)memory % 4096 != 0 || size < SLUICE_FLOW_HEADER_SIZE ||
	    memcmp(h->magic, magic, sizeof(magic)) != 0 || h->layout != LAYOUT ||
	    h->header_size != SLUICE_FLOW_HEADER_SIZE || h->epoch != epoch)
		return -EINVAL;
	if (h->bucket_count != line_count(h->bucket_count * 2) ||
	    size < sluice_snat_table_size(h->bucket_count * 2) ||
	    size - sluice_snat_table_size(h->bucket_count * 2) >= ROUNDING)
		return -EINVAL;
	t->forward = (struct sluice_snat_line *)((char *)memory + SLUICE_FLOW_HEADER_SIZE);
	t->reverse = t->forward + h->bucket_count;
	t->line_mask = h->bucket_count - 1;
	t->key = h->key;
	t->timeouts = sluice_flow_default_timeouts;
	return 0;
}

uint64_t sluice_snat_table_capacity(const struct sluice_snat_table *t)
{
	return (t->line_mask + 1) * 2;
}

void sluice_snat_table_walk(const struct sluice_snat_table *t, uint32_t now,
                            void (*visit)(void *context, uint64_t key, struct sluice_flow_value v),
                            void *context)
{
	for (uint64_t i = 0; i < sluice_snat_table_capacity(t); i++) {
		struct glimpse g = look(&t->forward[i / 2].entries[i % 2]);

		if (g.key == 0 || g.key == SLUICE_SNAT_BUSY ||
		    atomic_load_explicit(&g.entry->key, memory_order_relaxed) != g.key)
			continue;
		if (!sluice_flow_timed_out(&t->timeouts, g.head, now))
			visit(context, g.key, sluice_flow_unpack(g.head));
		else if (sluice_flow_age(g.head, now) > DEAD_FOR)
			swap(&g, 0, 0);
	}
}

// The reverse entry that a forward entry names; NULL: there is none.
static struct sluice_snat_entry *reverse_of(const struct sluice_snat_table *t,
                                            struct sluice_snat_entry *forward)
{
	uint64_t key = atomic_load(&forward->body[1]);
	struct sluice_snat_line *l = &t->reverse[key & t->line_mask];

	for (unsigned i = 0; i < 2; i++) {
		struct glimpse g = look(&l->entries[i]);

		if (g.key == key && find_owner(t, &g).key == atomic_load(&forward->key))
			return g.entry;
	}
	return NULL;
}

void sluice_snat_table_recover(const struct sluice_snat_table *t)
{
	bool cut_short = false;

	for (uint64_t i = 0; i < sluice_snat_table_capacity(t); i++) {
		struct sluice_snat_entry *pair[2] = {&t->forward[i / 2].entries[i % 2],
		                                     &t->reverse[i / 2].entries[i % 2]};

		for (unsigned k = 0; k < 2; k++) {
			if (atomic_load(&pair[k]->key) != SLUICE_SNAT_BUSY)
				continue;
			atomic_store(&pair[k]->key, 0);
			cut_short |= k == 1;
		}
	}
	// Somebody's reverse entry was not written, and he may be there all the same.
	for (uint64_t i = 0; cut_short && i < sluice_snat_table_capacity(t); i++) {
		struct sluice_snat_entry *f = &t->forward[i / 2].entries[i % 2];

		if (atomic_load(&f->key) != 0 && !reverse_of(t, f))
			atomic_store(&f->key, 0);
	}
}

// Where an address of one pool stands in another; -1: nowhere.
static int translate(const struct sluice_snat_pool *to, const struct sluice_snat_pool *from,
                     uint64_t source)
{
	unsigned address = sluice_snat_address_of(source);
	uint16_t port = ntohs(sluice_snat_port_of(source));

	if (address >= from->count || port < to->first_port || port > to->last_port)
		return -1;
	for (unsigned i = 0; i < to->count; i++)
		if (sluice_address_equal(&to->addresses[i], &from->addresses[address]))
			return (int)i;
	return -1;
}

static bool carry_one(struct sluice_snat_table *t, struct sluice_snat_entry *forward,
                      struct sluice_snat_entry *reverse, int address, uint32_t now)
{
	uint64_t key = atomic_load(&forward->key);
	struct sluice_snat_flow f = {
	        .key = key, .hash = sluice_snat_hash(t, key), .value = atomic_load(&forward->head)};
	uint64_t mask = (uint64_t)0xf << SLUICE_SNAT_ADDRESS_SHIFT;
	uint64_t source = (atomic_load(&forward->body[0]) & ~mask) |
	                  (uint64_t)address << SLUICE_SNAT_ADDRESS_SHIFT;
	struct glimpse r = look(reverse);
	struct sluice_snat_line *l = &t->reverse[r.key & t->line_mask];
	struct sluice_snat_entry *place, *to = &l->entries[atomic_load(&l->entries[0].key) != 0];

	if (atomic_load(&to->key) != 0 || claim_forward(t, &f, now, &place) >= SLUICE_SNAT_EXISTS)
		return false;
	publish(place, key, f.value, (const uint64_t[]){source, r.key});
	publish(to, r.key, r.head,
	        (const uint64_t[]){atomic_load(&reverse->body[0]), atomic_load(&reverse->body[1])});
	return true;
}

void sluice_snat_table_carry(struct sluice_snat_table *t, const struct sluice_snat_pool *pool,
                             const struct sluice_snat_table *from,
                             const struct sluice_snat_pool *from_pool, uint32_t now,
                             uint64_t *carried, uint64_t *lost)
{
	for (uint64_t i = 0; i < sluice_snat_table_capacity(from); i++) {
		struct glimpse g = look(&from->forward[i / 2].entries[i % 2]);
		struct sluice_snat_entry *reverse;
		int address;

		if (forward_worth(from, &g, now) < PROBATION)
			continue;
		reverse = reverse_of(from, g.entry);
		address = translate(pool, from_pool, atomic_load(&g.entry->body[0]));
		if (reverse && address >= 0 && carry_one(t, g.entry, reverse, address, now))
			(*carried)++;
		else
			*lost += sluice_flow_unpack(g.head).state != SLUICE_FLOW_PROBATION;
	}
}
