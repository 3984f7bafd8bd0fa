// SPDX-License-Identifier: BSD-3-Clause

// The pipeline over arbitrary bytes, next to the oracle of the packet tests.
//
// Input: frames, each of two bytes of length, two of the first segment's length and the bytes
// themselves; what is left when the input ends short is the last frame. A length with the top bit
// set ends a burst. Everything that world_run() checks and the oracle knows must hold.

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "tests/packet/oracle.h"
#include "tests/packet/world.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// A burst in the making.
static struct frame frames[SLUICE_BURST];
static uint32_t heads[SLUICE_BURST];
static unsigned count;

static struct world *world;
static struct oracle oracle;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	world_eal();
	world = world_new();
	return 0;
}

static void run(void)
{
	static struct outcome outcomes[SLUICE_BURST];
	static struct oracle_answer answers[SLUICE_BURST];
	const struct frame *pointers[SLUICE_BURST];

	world->pipeline.refuse_second = world->pipeline.now;
	world->pipeline.refuse_budget = SLUICE_REFUSALS_PER_SECOND;
	for (unsigned i = 0; i < count; i++)
		pointers[i] = &frames[i];
	oracle_judge(&oracle, pointers, heads, answers, count);
	world_run(world, pointers, heads, outcomes, count);
	for (unsigned i = 0; i < count; i++) {
		CHECK(oracle_agrees(&answers[i], &frames[i], &outcomes[i]));
		oracle_learn(&oracle, &answers[i]);
	}
	count = 0;
}

// Takes one frame off the input. false: there is none left.
static bool take(const uint8_t **data, size_t *size, bool *last)
{
	struct frame *f = &frames[count];
	uint16_t length, head;

	if (*size < 4)
		return false;
	memcpy(&length, *data, 2);
	memcpy(&head, *data + 2, 2);
	*data += 4;
	*size -= 4;
	*last = length & 0x8000;
	length %= 2048;
	if (length > *size)
		length = (uint16_t)*size;
	f->length = length;
	memcpy(f->bytes, *data, length);
	heads[count++] = head % 4 ? length : head / 4U % (length + 1U);
	*data += length;
	*size -= length;
	return true;
}

static void clear(struct sluice_flow_table *t)
{
	memset((void *)t->buckets, 0, (t->bucket_mask + 1) * sizeof(t->buckets[0]));
}

// Empty tables and an oracle that knows nobody, so that each input stands for itself.
static void forget(void)
{
	if (oracle.flow_count > 0)
		clear(&world->flows);
	if (oracle.datagram_count > 0)
		clear(&world->fragments);
	oracle.flow_count = oracle.datagram_count = 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	bool last;

	forget();
	while (take(&data, &size, &last))
		if (last || count == SLUICE_BURST)
			run();
	if (count > 0)
		run();
	return 0;
}
