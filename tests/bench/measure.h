// SPDX-License-Identifier: BSD-3-Clause
#pragma once

// What benchmarks share: clocks, medians, and the line that scripts/bench makes its tables of.
//
// A line has thirteen fields, separated by tabs: what was measured; its unit; our median, least and
// most; what it is compared with ("-": nothing), its median, least and most; the ratio's median,
// least and most; what is aimed at ("ratio<=1.1", "value>=10", or "-"). Lines that begin with "# "
// are remarks.

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum {
	SERIES_MAX = 101,
};

struct series {
	double values[SERIES_MAX];
	size_t count;
};

static inline void series_add(struct series *s, double value)
{
	if (s->count < SERIES_MAX)
		s->values[s->count++] = value;
}

static inline int series_order(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static inline void series_print(const struct series *s)
{
	struct series sorted = *s;

	qsort(sorted.values, sorted.count, sizeof(double), series_order);
	if (sorted.count > 0)
		printf("\t%.5g\t%.5g\t%.5g", sorted.values[sorted.count / 2], sorted.values[0],
		       sorted.values[sorted.count - 1]);
	else
		printf("\t-\t-\t-");
}

// A line without anything to compare with.
static inline void row_print(const char *what, const char *unit, const struct series *ours,
                             const char *aim)
{
	static const struct series none;

	printf("%s\t%s", what, unit);
	series_print(ours);
	printf("\t-");
	series_print(&none);
	series_print(&none);
	printf("\t%s\n", aim);
	fflush(stdout);
}

// Ratios are taken round by round: ours[i] / theirs[i].
static inline void row_print_ratio(const char *what, const char *unit, const struct series *ours,
                                   const char *peer, const struct series *theirs, const char *aim)
{
	struct series ratio = {.count = 0};

	for (size_t i = 0; i < ours->count && i < theirs->count; i++)
		series_add(&ratio, ours->values[i] / theirs->values[i]);
	printf("%s\t%s", what, unit);
	series_print(ours);
	printf("\t%s", peer);
	series_print(theirs);
	series_print(&ratio);
	printf("\t%s\n", aim);
	fflush(stdout);
}

static inline uint64_t clock_ns(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

// The thread's own time: what other processes take from its core does not count.
static inline uint64_t thread_ns(void)
{
	return clock_ns(CLOCK_THREAD_CPUTIME_ID);
}
