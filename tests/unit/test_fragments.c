// SPDX-License-Identifier: BSD-3-Clause

// The map of fragmented datagrams and the hold, each next to a plain array.

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "dataplane/fragments.h"
#include "tests/unit/random.h"

enum {
	NOW = 1000000,
	ENDPOINTS = 64, // slots 1 and up, frontends alike; all of service 3
	SERVICE = 3,
};

struct fixture {
	struct sluice_flow_table map;
	struct sluice_snapshot snapshot;
	struct sluice_frontend frontends[ENDPOINTS];
	struct sluice_endpoint endpoints[ENDPOINTS];
};

static int setup(void **state)
{
	struct fixture *f = aligned_alloc(64, (sizeof(*f) + 63) / 64 * 64);

	if (!f)
		return -1;
	memset(f, 0, sizeof(*f));
	if (sluice_fragments_open(&f->map) != 0)
		return -1;
	for (unsigned i = 1; i < ENDPOINTS; i++) {
		f->frontends[i].service = f->endpoints[i].service = SERVICE;
		f->frontends[i].target.family = SLUICE_IPV4;
		f->endpoints[i].generation = 7;
		f->endpoints[i].target.family = SLUICE_IPV4;
	}
	f->snapshot.frontends = f->frontends;
	f->snapshot.endpoints = f->endpoints;
	f->snapshot.frontend_count = f->snapshot.endpoint_count = ENDPOINTS;
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	sluice_fragments_close(&f->map);
	free(f);
	return 0;
}

// ---- packets: all that the map reads of them

struct bytes {
	alignas(64) uint8_t data[128];
	struct sluice_packet packet;
};

static struct sluice_packet *v4(struct bytes *b, uint32_t source, uint16_t id, bool more)
{
	uint8_t *ip = b->data + 14;

	memset(b, 0, sizeof(*b));
	b->packet = (struct sluice_packet){.data = b->data, .l3 = 14, .family = SLUICE_IPV4};
	ip[0] = 0x45;
	memcpy(ip + 4, &id, 2);
	ip[6] = more ? 0x20 : 0;
	ip[9] = IPPROTO_UDP;
	memcpy(ip + 12, &source, 4);
	ip[16] = 10;
	return &b->packet;
}

static struct sluice_packet *v6(struct bytes *b, uint8_t extensions)
{
	uint8_t *ip = b->data + 14, *h = ip + 40;

	memset(b, 0, sizeof(*b));
	b->packet = (struct sluice_packet){.data = b->data, .l3 = 14, .family = SLUICE_IPV6};
	ip[0] = 0x60;
	ip[6] = extensions ? IPPROTO_DSTOPTS : IPPROTO_FRAGMENT;
	for (; extensions > 0; extensions--, h += 8)
		h[0] = extensions > 1 ? IPPROTO_DSTOPTS : IPPROTO_FRAGMENT;
	h[0] = IPPROTO_UDP;
	return &b->packet;
}

static uint64_t key_of(const struct fixture *f, struct sluice_packet *p)
{
	sluice_fragments_key(&f->map, p);
	return p->key;
}

static void learn_way(struct fixture *f, uint32_t source, uint16_t id,
                      const struct sluice_fragment_way *way, uint32_t now)
{
	struct bytes b;
	struct sluice_packet *p = v4(&b, source, id, true);

	sluice_fragments_key(&f->map, p);
	sluice_fragments_learn(&f->map, &f->snapshot, p, way, now);
}

// To the service's endpoint and frontend of this number; 0: to the kernel.
static void learn(struct fixture *f, uint32_t source, uint16_t id, uint16_t number, uint32_t now)
{
	struct sluice_fragment_way way = {
	        .owner = number ? SLUICE_FRAGMENT_SERVICE : SLUICE_FRAGMENT_KERNEL,
	        .frontend = number,
	        .slot = number,
	};

	learn_way(f, source, id, &way, now);
}

static struct sluice_fragment_way find_way(const struct fixture *f, uint32_t source, uint16_t id,
                                           bool more, uint32_t now)
{
	struct bytes b;
	struct sluice_packet *p = v4(&b, source, id, more);

	sluice_fragments_key(&f->map, p);
	return sluice_fragments_find(&f->map, &f->snapshot, p, now);
}

// The number it was learned with; -1: unknown.
static int find(struct fixture *f, uint32_t source, uint16_t id, bool more, uint32_t now)
{
	struct sluice_fragment_way way = find_way(f, source, id, more, now);

	switch (way.owner) {
	case SLUICE_FRAGMENT_UNKNOWN:
		return -1;
	case SLUICE_FRAGMENT_KERNEL:
		return 0;
	default:
		assert_int_equal(way.owner, SLUICE_FRAGMENT_SERVICE);
		assert_int_equal(way.slot, way.frontend);
		return way.frontend;
	}
}

// ---- the map

static void what_hosts_gather_by_makes_the_key(void **state)
{
	static const struct {
		uint8_t at; // in the IP packet
		bool v6, differs;
	} rows[] = {
	        {1, false, false},  {2, false, false}, {4, false, true},  {5, false, true},
	        {6, false, false},  {8, false, false}, {9, false, true},  {10, false, false},
	        {12, false, true},  {15, false, true}, {16, false, true}, {19, false, true},
	        {20, false, false}, {3, true, false},  {5, true, false},  {7, true, false},
	        {8, true, true},    {16, true, true},  {23, true, true},  {24, true, true},
	        {32, true, true},   {39, true, true},  {40, true, false}, {42, true, false},
	        {43, true, false},  {44, true, true},  {45, true, true},  {46, true, true},
	        {47, true, true},   {48, true, false},
	};
	const struct fixture *f = *state;
	struct bytes b;

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct sluice_packet *p = rows[i].v6 ? v6(&b, 0) : v4(&b, 1, 1, true);
		uint64_t before = key_of(f, p);

		b.data[14 + rows[i].at] ^= 1;
		if ((key_of(f, p) != before) != rows[i].differs)
			fail_msg("IPv%u, byte %u", rows[i].v6 ? 6 : 4, rows[i].at);
	}
}

static void extension_headers_make_no_other_datagram(void **state)
{
	const struct fixture *f = *state;
	struct bytes plain, behind;

	for (uint8_t n = 1; n <= 5; n++)
		assert_true(key_of(f, v6(&plain, 0)) == key_of(f, v6(&behind, n)));
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static void keys_of_a_million_datagrams_differ(void **state)
{
	enum { KEYS = 1 << 20 };
	const struct fixture *f = *state;
	uint64_t *keys = malloc(KEYS * sizeof(*keys));
	struct bytes b;

	assert_non_null(keys);
	for (unsigned i = 0; i < KEYS; i++)
		keys[i] = key_of(f, v4(&b, i >> 16, (uint16_t)i, true));
	qsort(keys, KEYS, sizeof(*keys), compare);
	for (unsigned i = 1; i < KEYS; i++)
		assert_true(keys[i] != keys[i - 1]);
	free(keys);
}

static void datagrams_live_for_two_seconds(void **state)
{
	struct fixture *f = *state;

	learn(f, 1, 1, 5, NOW);
	assert_int_equal(find(f, 1, 1, true, NOW), 5);
	assert_int_equal(find(f, 1, 1, true, NOW + 1), 5); // and a look prolongs nothing
	assert_int_equal(find(f, 1, 1, true, NOW + 2), -1);
	learn(f, 1, 1, 6, NOW + 2);
	assert_int_equal(find(f, 1, 1, true, NOW + 2), 6);
	// Another worker's clock is a little behind.
	assert_int_equal(find(f, 1, 1, true, NOW + 1), 6);
}

static void overlaps_change_nothing_until_the_last_is_through(void **state)
{
	struct fixture *f = *state;

	learn(f, 1, 1, 5, NOW);
	learn(f, 1, 1, 6, NOW);
	assert_int_equal(find(f, 1, 1, true, NOW), 5);
	learn(f, 1, 1, 6, NOW);
	assert_int_equal(find(f, 1, 1, false, NOW), 5); // the last
	assert_int_equal(find(f, 1, 1, true, NOW), 5);  // a late one
	learn(f, 1, 1, 6, NOW);
	assert_int_equal(find(f, 1, 1, true, NOW), 6);
	learn(f, 1, 1, 0, NOW);
	assert_int_equal(find(f, 1, 1, false, NOW), 6);
	learn(f, 1, 1, 0, NOW); // the kernel's
	assert_int_equal(find(f, 1, 1, true, NOW), 0);
}

static void numbers_that_mean_another_bind_nothing(void **state)
{
	struct fixture *f = *state;

	learn(f, 1, 1, 5, NOW);
	f->endpoints[5].generation = 0; // removed
	assert_int_equal(find(f, 1, 1, true, NOW), -1);
	f->endpoints[5].generation = 8;
	assert_int_equal(find(f, 1, 1, true, NOW), 5);
	f->endpoints[5].service = 1; // the slot is another service's
	assert_int_equal(find(f, 1, 1, true, NOW), -1);
	f->endpoints[5].service = 0; // nobody's frontend, the first service's endpoint
	memset(&f->frontends[5], 0, sizeof(f->frontends[5]));
	assert_int_equal(find(f, 1, 1, true, NOW), -1);
	learn(f, 1, 2, ENDPOINTS - 1, NOW);
	f->snapshot.frontend_count--;
	assert_int_equal(find(f, 1, 2, true, NOW), -1);
	f->snapshot.frontend_count++;
	f->snapshot.endpoint_count--;
	assert_int_equal(find(f, 1, 2, true, NOW), -1);
	// What binds nothing makes way.
	learn(f, 1, 2, 7, NOW);
	assert_int_equal(find(f, 1, 2, true, NOW), 7);
}

// Fullnat's, either way: with a port in the place of a number.
static void flows_are_told_with_their_ports(void **state)
{
	struct fixture *f = *state;
	struct sluice_fragment_way in = {
	        .owner = SLUICE_FRAGMENT_SNAT_IN, .frontend = 5, .port = 0xfffe};
	struct sluice_fragment_way out = {
	        .owner = SLUICE_FRAGMENT_SNAT_RETURN, .slot = 6, .port = 0xfffd};
	struct sluice_fragment_way way;

	f->frontends[5].forwarding = SLUICE_FORWARD_FULLNAT;
	learn_way(f, 1, 1, &in, NOW);
	learn_way(f, 2, 1, &out, NOW);
	for (unsigned i = 0; i < 3; i++) { // in progress, and when it is through
		way = find_way(f, 1, 1, i == 0, NOW);
		assert_int_equal(way.owner, SLUICE_FRAGMENT_SNAT_IN);
		assert_int_equal(way.frontend, 5);
		assert_int_equal(way.port, 0xfffe);
		way = find_way(f, 2, 1, i == 0, NOW);
		assert_int_equal(way.owner, SLUICE_FRAGMENT_SNAT_RETURN);
		assert_int_equal(way.slot, 6);
		assert_int_equal(way.port, 0xfffd);
	}
	f->frontends[5].forwarding = SLUICE_FORWARD_NAT;
	assert_int_equal(find_way(f, 1, 1, true, NOW).owner, SLUICE_FRAGMENT_UNKNOWN);
	f->endpoints[6].generation = 0;
	assert_int_equal(find_way(f, 2, 1, true, NOW).owner, SLUICE_FRAGMENT_UNKNOWN);
	f->endpoints[6].generation = 7;
	f->endpoints[6].target.family = SLUICE_IPV6;
	assert_int_equal(find_way(f, 2, 1, true, NOW).owner, SLUICE_FRAGMENT_UNKNOWN);
}

static void floods_push_out_no_datagram_in_progress(void **state)
{
	enum {
		IN_PROGRESS = 4000,
		FLOOD = 10 * SLUICE_FRAGMENTS,
	};
	struct fixture *f = *state;
	unsigned lost = 0;

	for (unsigned i = 0; i < IN_PROGRESS; i++) {
		learn(f, i, 1, 1 + i % 50, NOW);
		assert_int_equal(find(f, i, 1, true, NOW), 1 + i % 50);
	}
	for (unsigned i = 0; i < FLOOD; i++)
		learn(f, IN_PROGRESS + i, 2, 51, NOW);
	// Whole ones are through, and no better than first ones alone.
	for (unsigned i = 0; i < FLOOD; i++) {
		learn(f, IN_PROGRESS + i, 3, 51, NOW);
		find(f, IN_PROGRESS + i, 3, true, NOW);
		find(f, IN_PROGRESS + i, 3, false, NOW);
		lost += find(f, IN_PROGRESS + i, 3, false, NOW) < 0;
	}
	for (unsigned i = 0; i < IN_PROGRESS; i++)
		assert_int_equal(find(f, i, 1, i % 2, NOW + 1), 1 + i % 50);
	assert_int_equal(lost, 0);
}

struct model {
	bool known, done;
	uint16_t number;
	uint32_t seen;
};

static void map_agrees_with_an_array(void **state)
{
	enum { DATAGRAMS = 500, STEPS = 1000000 };
	static struct model models[DATAGRAMS];
	struct fixture *f = *state;
	uint32_t now = (1 << 20) - 20; // seen wraps
	uint64_t seed = 1;

	memset(models, 0, sizeof(models));
	for (unsigned i = 0; i < STEPS; i++) {
		unsigned n = random_below(&seed, DATAGRAMS);
		bool more = random_below(&seed, 4);
		struct model *m = &models[n];

		now += random_below(&seed, 2000) == 0;
		if (m->known && now - m->seen >= 2)
			m->known = false;
		if (random_below(&seed, 2)) {
			uint16_t number = (uint16_t)random_below(&seed, ENDPOINTS);

			learn(f, n, (uint16_t)n, number, now);
			if (!m->known || m->done)
				*m = (struct model){true, false, number, now};
		} else {
			assert_int_equal(find(f, n, (uint16_t)n, more, now),
			                 m->known ? m->number : -1);
			m->done |= !more;
		}
	}
}

// ---- ids

static uint16_t renumbered(const struct fixture *f, uint32_t source, uint16_t id)
{
	struct bytes b;
	const struct sluice_packet *p = v4(&b, source, id, true);

	sluice_fragments_renumber(&f->map, p);
	memcpy(&id, b.data + 14 + 4, 2);
	return id;
}

// What one host numbers with no number twice has no number twice; and two hosts, however far one is
// behind the other, meet as rarely as if both drew their numbers.
static void ids_are_shuffled_for_each_host(void **state)
{
	enum { IDS = 1 << 16, HOSTS = 60, DISTANCES = 30, MOST = 20 }; // 1 is expected
	static uint16_t ids[HOSTS][IDS];
	const struct fixture *f = *state;

	for (unsigned host = 0; host < HOSTS; host++) {
		static bool seen[IDS];

		memset(seen, 0, sizeof(seen));
		for (unsigned i = 0; i < IDS; i++) {
			ids[host][i] = renumbered(f, 1 + host, htons((uint16_t)i));
			assert_false(seen[ids[host][i]]);
			seen[ids[host][i]] = true;
		}
	}
	for (unsigned host = 1; host < HOSTS; host++) {
		for (unsigned distance = 0; distance < DISTANCES; distance++) {
			unsigned met = 0;

			for (unsigned i = 0; i < IDS; i++)
				met += ids[0][i] == ids[host][(i + distance) % IDS];
			assert_in_range(met, 0, MOST);
		}
	}
}

static void ids_of_ipv6_are_shuffled_too(void **state)
{
	enum { IDS = 1 << 16 };
	const struct fixture *f = *state;
	uint64_t *ids = malloc(2 * IDS * sizeof(*ids));
	struct bytes b;

	assert_non_null(ids);
	for (unsigned i = 0; i < 2 * IDS; i++) {
		const struct sluice_packet *p = v6(&b, i % 3 ? 0 : 2);
		uint32_t id = i / 2;
		uint8_t *at = b.data + 14 + (i % 3 ? 44 : 60);

		b.data[14 + 23] = i % 2; // last byte of the source
		memcpy(at, &id, 4);
		sluice_fragments_renumber(&f->map, p);
		memcpy(&id, at, 4);
		ids[i % 2 * IDS + i / 2] = id;
	}
	for (unsigned host = 0; host < 2; host++) {
		qsort(&ids[host * IDS], IDS, sizeof(*ids), compare);
		for (unsigned i = 1; i < IDS; i++)
			assert_true(ids[host * IDS + i] != ids[host * IDS + i - 1]);
	}
	assert_true(memcmp(ids, &ids[IDS], IDS * sizeof(*ids)) != 0);
	free(ids);
}

// ---- the hold

static bool put(struct fixture *f, struct sluice_hold *h, uint32_t source, uint16_t id,
                uint64_t now)
{
	struct bytes b;
	struct sluice_packet *p = v4(&b, source, id, true);

	p->buffer = (void *)(uintptr_t)(source << 16 | id);
	sluice_fragments_key(&f->map, p);
	return sluice_hold_put(h, &f->map, p, now);
}

static void assert_shares(const struct sluice_hold *h)
{
	unsigned sum = 0;

	for (unsigned i = 0; i < SLUICE_HOLD_SOURCES; i++)
		sum += h->shares[i];
	assert_int_equal(sum, h->count);
}

static void one_source_has_a_share_of_the_hold(void **state)
{
	struct fixture *f = *state;
	static struct sluice_hold h;
	struct sluice_held out[SLUICE_HOLD];
	unsigned sources = 0;

	memset(&h, 0, sizeof(h));
	for (unsigned i = 0; i < 2 * SLUICE_HOLD_SHARE; i++)
		assert_int_equal(put(f, &h, 1, (uint16_t)i, i), i < SLUICE_HOLD_SHARE);
	for (uint32_t source = 2; h.count < SLUICE_HOLD; source++)
		for (unsigned i = 0; i < SLUICE_HOLD_SHARE; i++)
			sources += put(f, &h, source, (uint16_t)i, 1000);
	assert_int_equal(sources, SLUICE_HOLD - SLUICE_HOLD_SHARE);
	assert_false(put(f, &h, 99, 1, 1000));
	assert_shares(&h);
	// All gone, and room for as many.
	assert_int_equal(sluice_hold_expire(&h, 1000, out, SLUICE_HOLD), SLUICE_HOLD);
	assert_shares(&h);
	for (unsigned i = 0; i < 2 * SLUICE_HOLD_SHARE; i++)
		assert_int_equal(put(f, &h, 1, (uint16_t)i, i), i < SLUICE_HOLD_SHARE);
}

static void ipv6_sources_share_by_network(void **state)
{
	struct fixture *f = *state;
	static struct sluice_hold h;
	struct bytes b;
	unsigned taken = 0;

	memset(&h, 0, sizeof(h));
	for (unsigned i = 0; i < 2 * SLUICE_HOLD_SHARE; i++) {
		struct sluice_packet *p = v6(&b, 0);

		b.data[14 + 23] = (uint8_t)i; // last byte of the source
		sluice_fragments_key(&f->map, p);
		taken += sluice_hold_put(&h, &f->map, p, 0);
	}
	assert_int_equal(taken, SLUICE_HOLD_SHARE);
}

static void hold_agrees_with_an_array(void **state)
{
	enum { STEPS = 200000, KNOWN = 64 };
	struct fixture *f = *state;
	static struct sluice_hold h;
	struct sluice_held out[8];
	uintptr_t waiting[SLUICE_HOLD];
	uint64_t since[SLUICE_HOLD], seed = 1, now = 0;
	unsigned count = 0;

	memset(&h, 0, sizeof(h));
	for (unsigned id = 0; id < KNOWN; id += 2)
		for (uint32_t source = 1; source <= 20; source++)
			learn(f, source, (uint16_t)id, 1, NOW);
	for (unsigned i = 0; i < STEPS; i++) {
		uint32_t source = 1 + random_below(&seed, 20);
		uint16_t id = (uint16_t)random_below(&seed, KNOWN);
		unsigned n, seen = 0, keep = 0;
		bool ready = random_below(&seed, 2);

		now++;
		if (random_below(&seed, 5) > 0) {
			if (put(f, &h, source, id, now)) {
				waiting[count] = source << 16 | id;
				since[count++] = now;
			}
			continue;
		}
		n = ready ? sluice_hold_ready(&h, &f->map, NOW, out, 8)
		          : sluice_hold_expire(&h, now - 100, out, 8);
		for (unsigned k = 0; k < count; k++) {
			bool due = ready ? waiting[k] % 2 == 0 : since[k] <= now - 100;

			if (due && seen < 8) {
				assert_int_equal((uintptr_t)out[seen++].buffer, waiting[k]);
				continue;
			}
			waiting[keep] = waiting[k];
			since[keep++] = since[k];
		}
		count = keep;
		assert_int_equal(n, seen);
		assert_int_equal(h.count, count);
		assert_shares(&h);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        TEST(what_hosts_gather_by_makes_the_key),
	        TEST(extension_headers_make_no_other_datagram),
	        TEST(keys_of_a_million_datagrams_differ),
	        TEST(datagrams_live_for_two_seconds),
	        TEST(overlaps_change_nothing_until_the_last_is_through),
	        TEST(numbers_that_mean_another_bind_nothing),
	        TEST(flows_are_told_with_their_ports),
	        TEST(floods_push_out_no_datagram_in_progress),
	        TEST(map_agrees_with_an_array),
	        TEST(ids_are_shuffled_for_each_host),
	        TEST(ids_of_ipv6_are_shuffled_too),
	        TEST(one_source_has_a_share_of_the_hold),
	        TEST(ipv6_sources_share_by_network),
	        TEST(hold_agrees_with_an_array),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
