// SPDX-License-Identifier: BSD-3-Clause

// bench_new_flows [-r ROUNDS]
//
// Flows that one core can start in a second: packets that each are a flow's first. First into a
// table with room, then into one that is full of flows on probation, where each new one takes
// another's place. And what a flow takes of memory: the bytes of the table for each flow that it
// is configured for, and how full it can be until a flow finds no room.

#include <getopt.h>
#include <rte_eal.h>
#include <stdio.h>
#include <stdlib.h>

#include "lab.h"
#include "measure.h"

enum {
	ROOMY = 1 << 23, // flows: no more than half of it is used
	SMALL = 1 << 18,
	BATCH = 1 << 17,
	ROUNDS_MAX = (ROOMY / 2) / BATCH,
};

static struct rte_mbuf *buffers[LAB_BUFFERS];

// `count` packets from flow number `first` on, `each` of every flow one after the other.
static void send_flows(struct lab *l, uint32_t first, uint32_t count, unsigned each)
{
	struct sluice_packet packets[SLUICE_BURST];

	for (uint32_t done = 0; done < count; done += SLUICE_BURST) {
		struct rte_mbuf **burst = &buffers[done % LAB_BUFFERS];

		for (unsigned i = 0; i < SLUICE_BURST; i++)
			lab_write(l, burst[i], first + (done + i) / each);
		lab_run(l, burst, packets);
	}
}

static void write_only(struct lab *l, uint32_t first, uint32_t count)
{
	for (uint32_t done = 0; done < count; done += SLUICE_BURST) {
		for (unsigned i = 0; i < SLUICE_BURST; i++)
			lab_write(l, buffers[(done + i) % LAB_BUFFERS], first + done + i);
	}
}

static uint64_t inserted(const struct lab *l)
{
	return sluice_counter_read(&l->counters.flow_inserts) +
	       sluice_counter_read(&l->counters.snat_inserts);
}

static uint64_t refused(const struct lab *l)
{
	return sluice_counter_read(&l->counters.flow_untracked) +
	       sluice_counter_read(&l->counters.drops[SLUICE_DROP_SNAT_EXHAUSTED]);
}

// Million flows a second; `fill` flows are there before.
static void measure(const struct lab_mode *mode, enum sluice_family family, uint32_t capacity,
                    uint32_t fill, const char *where, unsigned rounds)
{
	struct lab *l = lab_new(mode, family, capacity);
	struct series rate = {.count = 0};
	uint32_t next = fill;
	char what[96];

	send_flows(l, 0, fill, 1);
	for (unsigned i = 0; i < rounds; i++, next += BATCH) {
		uint64_t begin = thread_ns(), written;

		write_only(l, next, BATCH);
		written = thread_ns();
		send_flows(l, next, BATCH, 1);
		series_add(&rate,
		           BATCH * 1e3 /
		                   ((double)(thread_ns() - written) - (double)(written - begin)));
	}
	if (inserted(l) + refused(l) != next)
		lab_die("not every packet was a new flow");
	snprintf(what, sizeof(what), "new flows, %s, IPv%d, %s", mode->name, (int)family, where);
	row_print(what, "million/s", &rate,
	          mode->forwarding == SLUICE_FORWARD_NAT ? "value>=10" : "-");
	lab_free(l);
}

// Confirmed flows until the first finds no room.
static void measure_memory(const struct lab_mode *mode, enum sluice_family family)
{
	struct lab *l = lab_new(mode, family, SMALL);
	struct series bytes = {.count = 0}, full = {.count = 0};
	bool pairs = mode->forwarding == SLUICE_FORWARD_FULLNAT;
	char what[96];
	uint32_t n = 0;

	for (; n < SMALL && refused(l) == 0; n += SLUICE_BURST / 2)
		send_flows(l, n, SLUICE_BURST, 2);
	series_add(&bytes, (double)lab_flow_bytes(l) / SMALL);
	series_add(&full, 100.0 * n / SMALL);
	snprintf(what, sizeof(what), "memory of a flow, %s, IPv%d", mode->name, (int)family);
	row_print(what, "bytes", &bytes, pairs ? "value<=64.1" : "value<=16.1");
	snprintf(what, sizeof(what), "table filled before a flow finds no room, %s, IPv%d",
	         mode->name, (int)family);
	row_print(what, "%", &full, "-");
	lab_free(l);
}

int main(int argc, char **argv)
{
	unsigned rounds = 21;

	for (int c; (c = getopt(argc, argv, "r:")) != -1;) {
		if (c != 'r')
			return 2;
		rounds = (unsigned)strtoul(optarg, NULL, 10);
	}
	if (rounds == 0 || rounds > ROUNDS_MAX) {
		fprintf(stderr, "bench_new_flows: 1 to %d rounds\n", ROUNDS_MAX);
		return 2;
	}
	lab_start(buffers);
	printf("# Packets that each start a flow, the whole pipeline, one core; %u rounds of %d; "
	       "generator subtracted. Tables with room have one for %d flows, full ones %d.\n",
	       rounds, BATCH, ROOMY, SMALL);
	for (unsigned m = 0; m < 2; m++) { // nat stands for all but fullnat: their flows are alike
		for (unsigned f = 0; f < 2; f++) {
			enum sluice_family family = f ? SLUICE_IPV6 : SLUICE_IPV4;

			measure(&lab_modes[m], family, ROOMY, 0, "room left", rounds);
			measure(&lab_modes[m], family, SMALL, 4 * SMALL, "table full", rounds);
			measure_memory(&lab_modes[m], family);
		}
	}
	rte_eal_cleanup();
	return 0;
}
