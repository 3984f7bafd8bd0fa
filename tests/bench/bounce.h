// SPDX-License-Identifier: BSD-3-Clause
#pragma once

// How long a written cache line takes from one core to the other. On virtual machines this may
// change severalfold from one moment to the next, and with it whatever two cores do together.

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#include "measure.h"

enum {
	BOUNCE_TURNS = 50000,
	BOUNCE_STRETCH = 100,
};

struct bounce {
	_Alignas(64) _Atomic unsigned turn;
	unsigned cpu;
};

static inline void pin(unsigned cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	pthread_setaffinity_np(pthread_self(), sizeof(set), &set);
}

// The first two CPUs this process may use.
static inline bool bounce_cpus(unsigned cpus[2])
{
	unsigned n = 0;
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set) != 0)
		return false;
	for (unsigned i = 0; i < CPU_SETSIZE && n < 2; i++) {
		if (CPU_ISSET(i, &set))
			cpus[n++] = i;
	}
	return n == 2;
}

static inline void *bounce_back(void *arg)
{
	struct bounce *b = arg;

	pin(b->cpu);
	for (unsigned i = 0; i < BOUNCE_TURNS; i++) {
		while (atomic_load_explicit(&b->turn, memory_order_acquire) != 2 * i + 1)
			;
		atomic_store_explicit(&b->turn, 2 * i + 2, memory_order_release);
	}
	return NULL;
}

// Nanoseconds one way. The best of short stretches, as either thread may be put off its core;
// leaves the caller on the first CPU.
static inline double measure_bounce(const unsigned cpus[2])
{
	struct bounce b = {.cpu = cpus[1]};
	uint64_t begin = 0, ns, best = UINT64_MAX;
	pthread_t other;

	pin(cpus[0]);
	if (pthread_create(&other, NULL, bounce_back, &b) != 0)
		abort();
	for (unsigned i = 0; i < BOUNCE_TURNS; i++) {
		if (i % BOUNCE_STRETCH == 0) {
			ns = clock_ns(CLOCK_MONOTONIC) - begin;
			best = i > 0 && ns < best ? ns : best;
			begin += i > 0 ? ns : clock_ns(CLOCK_MONOTONIC);
		}
		atomic_store_explicit(&b.turn, 2 * i + 1, memory_order_release);
		while (atomic_load_explicit(&b.turn, memory_order_acquire) != 2 * i + 2)
			;
	}
	pthread_join(other, NULL);
	return (double)best / (2 * BOUNCE_STRETCH);
}
