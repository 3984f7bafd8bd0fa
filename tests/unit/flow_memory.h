// SPDX-License-Identifier: BSD-3-Clause
#pragma once

// A flow table in plain memory, for tests and benchmarks.

#include <stdlib.h>
#include <string.h>

#include "dataplane/flow_table.h"

// NULL on failure; free with free(3).
static inline void *flow_memory_new(struct sluice_flow_table *t, uint64_t capacity)
{
	size_t size = sluice_flow_table_size(capacity);
	void *memory = aligned_alloc(4096, (size + 4095) / 4096 * 4096);

	if (!memory)
		return NULL;
	memset(memory, 0, size);
	if (sluice_flow_table_format(memory, capacity, 1) != 0 ||
	    sluice_flow_table_attach(t, memory, size, 1) != 0) {
		free(memory);
		return NULL;
	}
	return memory;
}
