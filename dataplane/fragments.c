// SPDX-License-Identifier: BSD-3-Clause
#include "dataplane/fragments.h"

#include <errno.h>
#include <sys/mman.h>

#include "dataplane/checksum.h"
#include "dataplane/parse.h"

// In bits of the packed value that the flow table does not use.
static const uint64_t done = 1 << 20;

enum {
	OWNER_SHIFT = 21, // 3 bits
};

// ---- the map

int sluice_fragments_open(struct sluice_flow_table *map)
{
	static const struct sluice_flow_timeouts life = {
	        .seconds = {
	                [SLUICE_FLOW_PROBATION] = SLUICE_FRAGMENT_LIFE,
	                [SLUICE_FLOW_ESTABLISHED] = SLUICE_FRAGMENT_LIFE,
	        }};
	size_t size = sluice_flow_table_size(SLUICE_FRAGMENTS);
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
	                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	int error;

	if (memory == MAP_FAILED)
		return -errno;
	error = sluice_flow_table_format(memory, SLUICE_FRAGMENTS, 0);
	if (!error)
		error = sluice_flow_table_attach(map, memory, size, 0);
	if (error)
		munmap(memory, size);
	else
		sluice_flow_table_set_timeouts(map, &life);
	return error;
}

void sluice_fragments_close(struct sluice_flow_table *map)
{
	if (map->buckets)
		munmap((char *)map->buckets - SLUICE_FLOW_HEADER_SIZE,
		       sluice_flow_table_size(SLUICE_FRAGMENTS));
	map->buckets = NULL;
}

// IPv6's fragment header: the parser has seen that there is one.
static const uint8_t *header_v6(const struct sluice_packet *p)
{
	const struct sluice_ipv6 *ip = sluice_packet_l3(p);
	const uint8_t *h = (const uint8_t *)(ip + 1);
	uint8_t next = ip->next_header;

	while (next != IPPROTO_FRAGMENT) {
		next = h[0];
		h += 8 + h[1] * 8;
	}
	return h;
}

static uint64_t hash_addresses_v4(const struct sluice_hash_key *key, const struct sluice_packet *p)
{
	const struct sluice_ipv4 *ip = sluice_packet_l3(p);
	uint64_t addresses;

	memcpy(&addresses, ip->source, 8);
	return sluice_hash_fold(addresses ^ key->k[0], key->k[1]);
}

static uint64_t hash_addresses_v6(const struct sluice_hash_key *key, const struct sluice_packet *p)
{
	const struct sluice_ipv6 *ip = sluice_packet_l3(p);
	uint64_t words[4], h;

	memcpy(words, ip->source, 32);
	h = sluice_hash_fold(words[0] ^ key->k[0], words[1] ^ key->k[1]);
	return sluice_hash_fold(words[2] ^ key->k[2] ^ h, words[3] ^ key->k[3]);
}

static uint64_t key_v4(const struct sluice_hash_key *key, const struct sluice_packet *p)
{
	const struct sluice_ipv4 *ip = sluice_packet_l3(p);

	return sluice_hash_fold(hash_addresses_v4(key, p) ^ key->k[2],
	                        ((uint32_t)ip->id << 8 | ip->protocol) ^ key->k[3]);
}

static uint64_t key_v6(const struct sluice_hash_key *key, const struct sluice_packet *p)
{
	uint32_t id;

	memcpy(&id, header_v6(p) + 4, 4);
	return sluice_hash_fold(hash_addresses_v6(key, p) ^ key->k[1], id ^ key->k[2]);
}

void sluice_fragments_key(const struct sluice_flow_table *map, struct sluice_packet *p)
{
	uint64_t key = p->family == SLUICE_IPV4 ? key_v4(&map->key, p) : key_v6(&map->key, p);

	p->key = key ? key : 1;
	p->hash = sluice_flow_hash(map, p->key);
}

static uint64_t pack(const struct sluice_fragment_way *way, uint32_t now)
{
	struct sluice_flow_value v = {
	        .slot = way->owner == SLUICE_FRAGMENT_SNAT_IN ? way->port : way->slot,
	        .generation = way->owner == SLUICE_FRAGMENT_SNAT_RETURN ? way->port : way->frontend,
	        .state = SLUICE_FLOW_PROBATION,
	        .seen = now,
	};

	return sluice_flow_pack(v) | (uint64_t)way->owner << OWNER_SHIFT;
}

static struct sluice_fragment_way unpack(uint64_t packed)
{
	struct sluice_flow_value v = sluice_flow_unpack(packed);
	struct sluice_fragment_way way = {
	        .owner = packed >> OWNER_SHIFT & 7,
	        .frontend = v.generation,
	        .slot = v.slot,
	};

	if (way.owner == SLUICE_FRAGMENT_SNAT_IN)
		way.port = (uint16_t)v.slot;
	else if (way.owner == SLUICE_FRAGMENT_SNAT_RETURN)
		way.port = v.generation;
	return way;
}

// A number without an owner belongs to service 0 in the snapshot's arrays, so owners are looked
// for.
static bool is_frontend(const struct sluice_snapshot *s, uint16_t frontend,
                        enum sluice_family family)
{
	return frontend < s->frontend_count && s->frontends[frontend].target.family == family;
}

static bool is_endpoint(const struct sluice_snapshot *s, uint32_t slot)
{
	return slot < s->endpoint_count && s->endpoints[slot].generation != 0;
}

// Whether an entry still means what it meant.
static bool is_binding(const struct sluice_flow_table *map, const struct sluice_snapshot *s,
                       enum sluice_family family, uint64_t packed, uint32_t now)
{
	struct sluice_fragment_way way = unpack(packed);

	if (sluice_flow_expired(map, packed, now))
		return false;
	switch (way.owner) {
	case SLUICE_FRAGMENT_SERVICE:
		return is_frontend(s, way.frontend, family) && is_endpoint(s, way.slot) &&
		       s->frontends[way.frontend].service == s->endpoints[way.slot].service;
	case SLUICE_FRAGMENT_SNAT_IN:
		return is_frontend(s, way.frontend, family) &&
		       s->frontends[way.frontend].forwarding == SLUICE_FORWARD_FULLNAT;
	case SLUICE_FRAGMENT_SNAT_RETURN:
		return is_endpoint(s, way.slot) && s->endpoints[way.slot].target.family == family;
	default:
		return true;
	}
}

void sluice_fragments_learn(struct sluice_flow_table *map, const struct sluice_snapshot *s,
                            const struct sluice_packet *p, const struct sluice_fragment_way *way,
                            uint32_t now)
{
	struct sluice_flow_ref ref = sluice_flow_find(map, p->key, p->hash);
	uint64_t value = pack(way, now);

	if (ref.entry) {
		bool binding = is_binding(map, s, p->family, ref.value, now);

		if (binding && !(ref.value & done))
			return;
		if (sluice_flow_update(&ref, value))
			return;
	}
	sluice_flow_insert(map, p->key, p->hash, value, now);
}

// One more fragment of a datagram in progress.
static void follow(struct sluice_flow_ref *ref, bool last)
{
	uint64_t value = ref->value & ~((uint64_t)0xf << SLUICE_FLOW_STATE_SHIFT);

	if (ref->value & done)
		return;
	value |= last ? done : (uint64_t)SLUICE_FLOW_ESTABLISHED << SLUICE_FLOW_STATE_SHIFT;
	if (value != ref->value)
		sluice_flow_update(ref, value);
}

static bool is_last(const struct sluice_packet *p)
{
	if (p->family == SLUICE_IPV4)
		return !(((const struct sluice_ipv4 *)sluice_packet_l3(p))->fragment &
		         htons(SLUICE_FRAGMENT_MORE_V4));
	return !(header_v6(p)[3] & SLUICE_FRAGMENT_MORE_V6);
}

struct sluice_fragment_way sluice_fragments_find(const struct sluice_flow_table *map,
                                                 const struct sluice_snapshot *s,
                                                 const struct sluice_packet *p, uint32_t now)
{
	struct sluice_flow_ref ref = sluice_flow_find(map, p->key, p->hash);

	if (!ref.entry || !is_binding(map, s, p->family, ref.value, now))
		return (struct sluice_fragment_way){.owner = SLUICE_FRAGMENT_UNKNOWN};
	follow(&ref, is_last(p));
	return unpack(ref.value);
}

// ---- ids
//
// A host numbers the datagrams that it sends to another one so that no two under way have the same
// number: that is how the other one puts fragments together (RFC 791, RFC 6864, RFC 8200). Behind
// an address that stands for many the numbers are those of many hosts, who know nothing of each
// other: two clients' datagrams to one endpoint, or two endpoints' to one client, would be mixed.
//
// So each pair of hosts has its numbers shuffled, by a secret: none of a pair's datagrams meets
// another one of its own, and one of another pair's by chance alone, 1 in 2^16 (IPv6: 2^32), as
// for a host that numbers at random. All fragments of a datagram get the same number whichever
// worker takes them. That is fullnat's. nat leaves the numbers as they are, as routers do that
// translate addresses: a client that several endpoints answer at a time may mix their fragments.

// Shuffles the numbers of that many bits. Each step can be undone, so that no two become the same.
static uint32_t shuffle(uint64_t pair, uint32_t id, unsigned bits)
{
	uint32_t mask = UINT32_MAX >> (32 - bits);

	for (unsigned round = 0; round < 3; round++) {
		id = (id + (uint32_t)pair) * ((uint32_t)(pair >> 32) | 1) & mask;
		id ^= id >> bits / 2;
		pair = sluice_hash_fold(pair, 0x9e3779b97f4a7c15);
	}
	return id;
}

void sluice_fragments_renumber(const struct sluice_flow_table *map, const struct sluice_packet *p)
{
	if (p->family == SLUICE_IPV4) {
		struct sluice_ipv4 *ip = sluice_packet_l3(p);
		uint16_t old = ip->id;

		ip->id = (uint16_t)shuffle(hash_addresses_v4(&map->key, p), old, 16);
		ip->checksum = sluice_checksum_update(ip->checksum, old, ip->id);
	} else {
		uint8_t *at = (uint8_t *)header_v6(p) + 4;
		uint32_t id;

		memcpy(&id, at, 4);
		id = shuffle(hash_addresses_v6(&map->key, p), id, 32);
		memcpy(at, &id, 4);
	}
}

// ---- the hold

// With IPv6 the network, as a host has all of its addresses.
static uint8_t source_of(const struct sluice_flow_table *map, const struct sluice_packet *p)
{
	const uint8_t *wire = sluice_packet_wire(p, SLUICE_SOURCE, p->family);
	uint64_t source = 0;

	memcpy(&source, wire, p->family == SLUICE_IPV4 ? 4 : 8);
	return (uint8_t)sluice_hash_range(sluice_hash_u64(&map->key, source), SLUICE_HOLD_SOURCES);
}

bool sluice_hold_put(struct sluice_hold *h, const struct sluice_flow_table *map,
                     const struct sluice_packet *p, uint64_t now)
{
	uint8_t source = source_of(map, p);

	if (h->count == SLUICE_HOLD || h->shares[source] == SLUICE_HOLD_SHARE)
		return false;
	h->shares[source]++;
	h->held[h->count++] = (struct sluice_held){
	        .buffer = p->buffer,
	        .key = p->key,
	        .hash = p->hash,
	        .since = now,
	        .port_in = p->port_in,
	        .source = source,
	};
	return true;
}

unsigned sluice_hold_expire(struct sluice_hold *h, uint64_t before, struct sluice_held *out,
                            unsigned most)
{
	unsigned n = 0;

	for (; n < h->count && n < most && h->held[n].since <= before; n++) {
		h->shares[h->held[n].source]--;
		out[n] = h->held[n];
	}
	h->count -= n;
	if (n > 0)
		memmove(h->held, h->held + n, h->count * sizeof(h->held[0]));
	return n;
}

static bool is_known(const struct sluice_held *e, const struct sluice_flow_table *map, uint32_t now)
{
	struct sluice_flow_ref ref = sluice_flow_find(map, e->key, e->hash);

	return ref.entry && !sluice_flow_expired(map, ref.value, now);
}

unsigned sluice_hold_ready(struct sluice_hold *h, const struct sluice_flow_table *map, uint32_t now,
                           struct sluice_held *out, unsigned most)
{
	unsigned n = 0, stay = 0;

	for (unsigned i = 0; i < h->count; i++) {
		struct sluice_held *e = &h->held[i];

		if (n < most && is_known(e, map, now)) {
			h->shares[e->source]--;
			out[n++] = *e;
		} else if (stay++ < i) {
			h->held[stay - 1] = *e;
		}
	}
	h->count = stay;
	return n;
}
