// SPDX-License-Identifier: BSD-3-Clause
#pragma once

// A table of fullnat's flows in plain memory, and flows for it, for tests.

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/snat_table.h"

// NULL on failure; free with free(3).
static inline void *snat_memory_new(struct sluice_snat_table *t, uint64_t capacity,
                                    const struct sluice_snat_pool *pool)
{
	size_t size = sluice_snat_table_size(capacity);
	void *memory = aligned_alloc(4096, (size + 4095) / 4096 * 4096);

	if (!memory)
		return NULL;
	memset(memory, 0, size);
	if (sluice_snat_table_format(memory, capacity, 1, pool) != 0 ||
	    sluice_snat_table_attach(t, memory, size, 1) != 0) {
		free(memory);
		return NULL;
	}
	return memory;
}

// Address number n of a kind: 10.KIND.x.x or fd00:KIND::x.
static inline struct sluice_address snat_test_address(enum sluice_family family, unsigned kind,
                                                      uint32_t n)
{
	struct sluice_address a = {.bytes = {0xfd, 0, (uint8_t)kind}};

	if (family == SLUICE_IPV4)
		return sluice_address_from_v4(htonl(0x0a000000 + (kind << 16) + n));
	for (unsigned i = 0; i < 4; i++)
		a.bytes[12 + i] = (uint8_t)(n >> (24 - 8 * i));
	return a;
}

// Addresses of both families, v4 first, alternating.
static inline void snat_test_pool(struct sluice_snat_pool *p, unsigned count, uint16_t first,
                                  uint16_t last)
{
	*p = (struct sluice_snat_pool){
	        .count = (uint16_t)count, .first_port = first, .last_port = last};
	for (unsigned i = 0; i < count; i++)
		p->addresses[i] = snat_test_address(i % 2 ? SLUICE_IPV6 : SLUICE_IPV4, 9, i);
}

// The same as the snapshot has it.
static inline void snat_test_snapshot(struct sluice_snat *s, const struct sluice_snat_pool *p)
{
	*s = (struct sluice_snat){.first_port = p->first_port, .last_port = p->last_port};
	for (unsigned i = 0; i < p->count; i++) {
		enum sluice_family family = sluice_address_family(&p->addresses[i]);

		s->addresses[i].target = (struct sluice_target){.address = p->addresses[i],
		                                                .family = (uint8_t)family};
		if (family == SLUICE_IPV4)
			s->v4[s->count_v4++] = (uint8_t)i;
		else
			s->v6[s->count_v6++] = (uint8_t)i;
	}
}

// A flow with targets of its own to view.
struct snat_test_flow {
	struct sluice_target client, endpoint;
	enum sluice_family family;
	uint16_t frontend;
	uint32_t slot;
};

// Client number n, at an endpoint that is the slot's.
static inline struct snat_test_flow snat_test_flow(enum sluice_family family, uint32_t n,
                                                   uint32_t slot)
{
	struct snat_test_flow f = {
	        .family = family,
	        .frontend = family == SLUICE_IPV4 ? 1 : 2,
	        .slot = slot,
	};

	f.client = (struct sluice_target){.address = snat_test_address(family, 1, n / 1000),
	                                  .port = htons((uint16_t)(1024 + n % 1000)),
	                                  .protocol = IPPROTO_TCP,
	                                  .family = (uint8_t)family};
	f.endpoint = (struct sluice_target){.address = snat_test_address(family, 2, slot),
	                                    .port = htons(8080),
	                                    .protocol = IPPROTO_TCP,
	                                    .family = (uint8_t)family};
	return f;
}

static inline uint64_t snat_test_key(const struct sluice_snat_table *t,
                                     const struct snat_test_flow *f)
{
	struct sluice_target_view v = sluice_target_view(&f->client);

	return f->family == SLUICE_IPV4 ? sluice_snat_key(t, v, f->frontend, SLUICE_IPV4)
	                                : sluice_snat_key(t, v, f->frontend, SLUICE_IPV6);
}

static inline struct sluice_snat_ref snat_test_find(const struct sluice_snat_table *t,
                                                    const struct snat_test_flow *f)
{
	uint64_t key = snat_test_key(t, f);

	return sluice_snat_find(t, key, sluice_snat_hash(t, key));
}

static inline uint64_t snat_test_value(const struct snat_test_flow *f, uint8_t state, uint32_t seen)
{
	return sluice_flow_pack((struct sluice_flow_value){
	        .slot = f->slot,
	        .generation = (uint16_t)(f->slot * 31 + 7),
	        .state = state,
	        .seen = seen,
	});
}

// *source (may be NULL): what was chosen. old: what find said, where that no longer binds.
static inline enum sluice_snat_insert
snat_test_insert(struct sluice_snat_table *t, const struct snat_test_flow *f,
                 const struct sluice_snat_ref *old, const struct sluice_snat *snat,
                 struct sluice_snat_worker w, uint32_t now, uint64_t *source)
{
	struct sluice_snat_flow new = {
	        .client = sluice_target_view(&f->client),
	        .endpoint = sluice_target_view(&f->endpoint),
	        .family = f->family,
	        .frontend = f->frontend,
	        .key = snat_test_key(t, f),
	        .value = snat_test_value(f, SLUICE_FLOW_PROBATION, now),
	};
	enum sluice_snat_insert how;

	if (old)
		new.old = *old;
	new.hash = sluice_snat_hash(t, new.key);
	how = sluice_snat_insert(t, &new, snat, w, now);
	if (source)
		*source = new.source;
	return how;
}

// Whether a packet from the flow's endpoint to the source is known as the flow's client's.
static inline bool snat_test_returns(const struct sluice_snat_table *t,
                                     const struct snat_test_flow *f, uint64_t source,
                                     const struct sluice_snat *snat)
{
	struct sluice_target to = snat->addresses[sluice_snat_address_of(source)].target;
	struct sluice_target_view endpoint = sluice_target_view(&f->endpoint), v;
	struct sluice_snat_return r;
	uint64_t print;

	to.port = sluice_snat_port_of(source);
	to.protocol = f->endpoint.protocol;
	v = sluice_target_view(&to);
	print = f->family == SLUICE_IPV4 ? sluice_snat_fingerprint(t, endpoint, v, SLUICE_IPV4)
	                                 : sluice_snat_fingerprint(t, endpoint, v, SLUICE_IPV6);
	return sluice_snat_return_find(t, print, &r) && r.slot == f->slot &&
	       r.frontend == f->frontend && r.port == f->client.port &&
	       sluice_address_equal(&r.client, &f->client.address);
}
