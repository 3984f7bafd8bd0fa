// SPDX-License-Identifier: BSD-3-Clause
#pragma once

// A world whose services are forwarded by fullnat, from 172.17.0.1 and fd00::1, which are the
// host's own addresses there.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "dataplane/target_table.h"
#include "tests/unit/snat_memory.h"
#include "world.h"

enum {
	SNAT_CAPACITY = 1 << 14,
};

struct snat_world {
	struct world *w;
	struct sluice_snat snat;
	struct sluice_snat_table table;
	void *memory;
	struct sluice_target_table *addresses;
};

static inline struct sluice_address snat_world_address(const char *text)
{
	uint8_t bytes[16];
	uint32_t v4;

	if (inet_pton(AF_INET6, text, bytes) == 1)
		return sluice_address_from_v6(bytes);
	assert_int_equal(inet_pton(AF_INET, text, &v4), 1);
	return sluice_address_from_v4(v4);
}

// Makes all services of w fullnat's, from this IPv4 address, with these ports, and commits it. Owns
// w from then on.
static inline struct snat_world *snat_world_from(struct world *w, const char *v4,
                                                 uint16_t first_port, uint16_t last_port)
{
	struct snat_world *s = calloc(1, sizeof(*s));
	struct sluice_snat_pool pool = {
	        .count = 2,
	        .first_port = first_port,
	        .last_port = last_port,
	        .addresses = {snat_world_address(v4), snat_world_address("fd00::1")}};

	assert_non_null(s);
	s->w = w;
	s->memory = snat_memory_new(&s->table, SNAT_CAPACITY, &pool);
	s->addresses = sluice_target_table_new(2);
	assert_non_null(s->memory);
	assert_non_null(s->addresses);
	snat_test_snapshot(&s->snat, &pool);
	for (unsigned i = 0; i < 2; i++) {
		unsigned size;
		const uint8_t *wire = sluice_address_wire(&pool.addresses[i], &size);

		s->snat.addresses[i].sum = htons(frame_sum(wire, size, 0));
		sluice_target_table_set(s->addresses, &s->snat.addresses[i].target, i);
	}
	for (uint32_t f = 1; f < w->snapshot.frontend_count; f++)
		w->frontends[f].forwarding = SLUICE_FORWARD_FULLNAT;
	w->snapshot.snat = &s->snat;
	w->snapshot.snat_table = s->addresses;
	w->pipeline.snat = &s->table;
	w->pipeline.worker = (struct sluice_snat_worker){.count = 1};
	world_commit(w);
	return s;
}

static inline struct snat_world *snat_world_of(struct world *w, uint16_t first_port,
                                               uint16_t last_port)
{
	return snat_world_from(w, "172.17.0.1", first_port, last_port);
}

static inline void snat_world_free(struct snat_world *s)
{
	world_free(s->w);
	free(s->memory);
	free(s->addresses);
	free(s);
}
