// SPDX-License-Identifier: BSD-3-Clause

// bench_flood [-r ROUNDS]
//
// A million established flows; between two packets of each, as many flows of one packet every
// round, after each of which a third of the endpoints leave the rows or come back. Fails unless
// every established flow is still known and goes where it went before.

#include <getopt.h>
#include <rte_eal.h>
#include <stdio.h>
#include <stdlib.h>

#include "lab.h"
#include "measure.h"

enum {
	ESTABLISHED = 1 << 20,
	SLICE = 1 << 20, // of the flood
	ROUNDS_MAX = 512,
	FLOOD_FIRST = 1 << 28,
};

static struct rte_mbuf *buffers[LAB_BUFFERS];

// Packets of flows first..first+count. slots: where they are to go or, with learn, where they went;
// NULL: wherever. Returns how many went elsewhere.
static uint32_t send_flows(struct lab *l, uint32_t first, uint32_t count, uint32_t *slots,
                           bool learn)
{
	struct sluice_packet packets[SLUICE_BURST];
	uint32_t moved = 0;

	for (uint32_t done = 0; done < count; done += SLUICE_BURST) {
		struct rte_mbuf **burst = &buffers[done % LAB_BUFFERS];

		for (unsigned i = 0; i < SLUICE_BURST; i++)
			lab_write(l, burst[i], first + done + i);
		lab_run(l, burst, packets);
		for (unsigned i = 0; slots && i < SLUICE_BURST; i++) {
			if (learn)
				slots[done + i] = packets[i].slot;
			moved += packets[i].verdict != SLUICE_VERDICT_TRANSMIT ||
			         slots[done + i] != packets[i].slot;
		}
	}
	return moved;
}

static uint64_t inserted(const struct lab *l)
{
	return sluice_counter_read(&l->counters.flow_inserts) +
	       sluice_counter_read(&l->counters.snat_inserts);
}

// Two packets of each flow one after the other, as connections begin: on probation it might lose
// its place to another one. Then one more, to see where it goes.
static void establish(struct lab *l, uint32_t *slots)
{
	struct sluice_packet packets[SLUICE_BURST];

	for (uint32_t done = 0; done < 2 * ESTABLISHED; done += SLUICE_BURST) {
		struct rte_mbuf **burst = &buffers[done % LAB_BUFFERS];

		for (unsigned i = 0; i < SLUICE_BURST; i++)
			lab_write(l, burst[i], (done + i) / 2);
		lab_run(l, burst, packets);
	}
	send_flows(l, 0, ESTABLISHED, slots, true);
	if (inserted(l) != ESTABLISHED)
		lab_die("not every flow found a place from the start");
}

static void show(const char *what, const struct lab_mode *mode, enum sluice_family family,
                 uint64_t flows)
{
	struct series one = {{(double)flows}, 1};
	char text[64];

	snprintf(text, sizeof(text), "flows %s, %s, IPv%d", what, mode->name, (int)family);
	row_print(text, "flows", &one, "value<=0");
}

// Whether all went well.
static bool flood(const struct lab_mode *mode, enum sluice_family family, unsigned rounds)
{
	struct lab *l = lab_new(mode, family, 2ULL * ESTABLISHED);
	uint32_t *slots = calloc(ESTABLISHED, sizeof(*slots));
	uint32_t moved;
	uint64_t before, lost, pushed;

	if (!slots)
		lab_die("memory");
	establish(l, slots);
	for (uint32_t i = 0; i < rounds; i++) {
		lab_rows(l, i % 2 ? LAB_ENDPOINTS : LAB_ENDPOINTS * 2 / 3);
		send_flows(l, FLOOD_FIRST + i * SLICE, SLICE, NULL, false);
		l->pipeline.now++;
	}
	lab_rows(l, LAB_ENDPOINTS * 2 / 3); // a lost flow would be seen to go elsewhere
	before = inserted(l);
	moved = send_flows(l, 0, ESTABLISHED, slots, false);
	lost = inserted(l) - before;
	pushed = sluice_counter_read(&l->counters.flow_evictions_established);
	show("moved", mode, family, moved);
	show("lost", mode, family, lost + pushed);
	free(slots);
	lab_free(l);
	return moved == 0 && lost == 0 && pushed == 0;
}

int main(int argc, char **argv)
{
	unsigned rounds = 20;
	bool fine = true;

	for (int c; (c = getopt(argc, argv, "r:")) != -1;) {
		if (c != 'r')
			return 2;
		rounds = (unsigned)strtoul(optarg, NULL, 10);
	}
	if (rounds > ROUNDS_MAX) {
		fprintf(stderr, "bench_flood: at most %d rounds\n", ROUNDS_MAX);
		return 2;
	}
	lab_start(buffers);
	printf("# %d established flows in a table for twice as many; then %u times as many flows "
	       "of one packet each, the rows changed before each time.\n",
	       ESTABLISHED, rounds);
	for (unsigned m = 0; m < 2; m++) { // nat stands for all but fullnat: their flows are alike
		fine &= flood(&lab_modes[m], SLUICE_IPV4, rounds);
		fine &= flood(&lab_modes[m], SLUICE_IPV6, rounds);
	}
	rte_eal_cleanup();
	if (!fine)
		fprintf(stderr, "bench_flood: established flows were moved or lost\n");
	return fine ? 0 : 1;
}
