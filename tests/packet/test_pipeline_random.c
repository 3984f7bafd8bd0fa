// SPDX-License-Identifier: BSD-3-Clause

// The pipeline against the oracle: the rows' packets, mangled at random, in bursts of any size.
// SLUICE_RANDOM_PACKETS sets how many, SLUICE_RANDOM_SEED which.

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "oracle.h"
#include "rows.h"
#include "world.h"

enum {
	PACKETS = 2000000,
	PACKETS_A_WORLD = 20000, // far fewer flows than the flow table has room for
	CLIENTS_MOST = 64,
};

static uint64_t random_state;

// xorshift64*
static uint32_t draw(uint32_t n)
{
	random_state ^= random_state >> 12;
	random_state ^= random_state << 25;
	random_state ^= random_state >> 27;
	return (uint32_t)((random_state * 0x2545f4914f6cdd1d) >> 32) % n;
}

static uint64_t setting(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text ? strtoull(text, NULL, 0) : otherwise;
}

// Values that lengths, counts and protocol fields break at.
static uint8_t draw_byte(void)
{
	static const uint8_t edges[] = {0,    1,    2,    4,    5,    6,    7,    8,
	                                17,   20,   28,   40,   43,   0x29, 0x2c, 0x3c,
	                                0x45, 0x46, 0x4f, 0x50, 0x60, 0x80, 59,   60,
	                                0x7f, 0x81, 0x86, 0xdd, 0xf0, 0xfe, 0xff};

	return draw(2) ? (uint8_t)draw(256) : edges[draw(sizeof(edges))];
}

static void mangle(struct frame *f)
{
	uint32_t at =
	        f->length ? draw(draw(4) ? (f->length < 100 ? f->length : 100) : f->length) : 0;

	switch (draw(8)) {
	case 0:
		f->bytes[at] ^= (uint8_t)(1 << draw(8));
		break;
	case 1:
		f->bytes[at] = draw_byte();
		break;
	case 2: // two neighbours
		f->bytes[at] = draw_byte();
		f->bytes[at + 1] = draw_byte();
		break;
	case 3: // shorter
		f->length = draw(f->length + 1);
		break;
	case 4: // longer
		for (uint32_t n = draw(64); n > 0 && f->length < FRAME_MAX - 1; n--)
			f->bytes[f->length++] = draw_byte();
		break;
	case 5: // a length field, nearly right
		at = draw(2) ? 17 : 19;
		f->bytes[at] = (uint8_t)(f->bytes[at] + draw(5) - 2);
		break;
	case 6: // an IPv6 extension header's length or type
		at = 54 + draw(16);
		f->bytes[at] = draw_byte();
		break;
	default: // the transport header
		at = (f->bytes[12] == 8 ? 34 : 54) + draw(20);
		f->bytes[at] = draw_byte();
		break;
	}
}

// A whole packet of a random row, from one of a few clients; mangled, more often than not.
static void draw_frame(struct frame *f)
{
	struct row r = rows[draw((uint32_t)row_count)];

	if (draw(2) && r.in.source_port >= 40000)
		r.in.source_port = (uint16_t)(40000 + draw(CLIENTS_MOST));
	else if (r.in.destination_port >= 40000)
		r.in.destination_port = (uint16_t)(40000 + draw(CLIENTS_MOST));
	if (r.in.fragment && draw(4)) { // one of few datagrams
		r.in.id = (uint16_t)draw(16);
		r.in.datagram = 1 + draw(16);
	}
	if (draw(4) == 0)
		r.in.word = (uint16_t)draw(65536);
	if (r.in.payload < 2)
		r.in.word = 0;
	memset(f->bytes, 0, 256); // what a longer frame shows is not left over from another
	row_build_in(&r, f);
	for (uint32_t n = draw(5); n > 0; n--)
		mangle(f);
}

struct tally {
	uint64_t verdicts[SLUICE_VERDICT_SPLIT + 1];
	uint64_t drops[SLUICE_DROP_COUNT];
	uint64_t answers;
	uint64_t followed; // later fragments that were sent where the first one went
};

static void count(struct tally *t, const struct outcome *o)
{
	t->verdicts[o->packet.verdict]++;
	t->answers += o->packet.moved;
	t->followed += o->packet.fragment == SLUICE_FRAGMENT_LATER &&
	               o->packet.verdict == SLUICE_VERDICT_TRANSMIT;
	if (o->packet.verdict == SLUICE_VERDICT_DROP)
		t->drops[o->packet.reason]++;
}

static void explain(const struct oracle_answer *a, const struct frame *f, uint32_t head,
                    const struct outcome *o)
{
	fprintf(stderr, "oracle: verdict %u reason %u port %u; pipeline: %u, %u, %u; head %u\n",
	        a->verdict, a->reason, a->port, o->packet.verdict, o->packet.reason,
	        o->packet.port_out, head);
	for (uint32_t i = 0; i < f->length; i++)
		fprintf(stderr, "%02x%s", f->bytes[i], i % 16 == 15 ? "\n" : " ");
	fprintf(stderr, "\nbecame:\n");
	for (uint32_t i = 0; i < o->frame.length; i++)
		fprintf(stderr, "%02x%s", o->frame.bytes[i], i % 16 == 15 ? "\n" : " ");
	fprintf(stderr, "\n");
}

static unsigned run_burst(struct world *w, struct oracle *oracle, struct tally *t)
{
	static struct frame frames[SLUICE_BURST];
	static struct outcome outcomes[SLUICE_BURST];
	static struct oracle_answer answers[SLUICE_BURST];
	const struct frame *pointers[SLUICE_BURST];
	uint32_t heads[SLUICE_BURST];
	unsigned n = 1 + draw(SLUICE_BURST);

	for (unsigned i = 0; i < n; i++) {
		draw_frame(&frames[i]);
		pointers[i] = &frames[i];
		heads[i] = draw(5) ? frames[i].length : draw(frames[i].length + 1);
	}
	oracle_judge(oracle, pointers, heads, answers, n);
	w->pipeline.refuse_second = w->pipeline.now;
	w->pipeline.refuse_budget = SLUICE_REFUSALS_PER_SECOND;
	world_run(w, pointers, heads, outcomes, n);
	for (unsigned i = 0; i < n; i++) {
		if (!oracle_agrees(&answers[i], &frames[i], &outcomes[i])) {
			explain(&answers[i], &frames[i], heads[i], &outcomes[i]);
			fail();
		}
		oracle_learn(oracle, &answers[i]);
		count(t, &outcomes[i]);
	}
	return n;
}

static void test_pipeline_agrees_with_oracle(void **state)
{
	uint64_t packets = setting("SLUICE_RANDOM_PACKETS", PACKETS);
	struct oracle *oracle = calloc(1, sizeof(*oracle));
	struct tally t = {{0}};

	(void)state;
	random_state = setting("SLUICE_RANDOM_SEED", 0x5eed);
	assert_non_null(oracle);
	for (uint64_t done = 0; done < packets;) {
		struct world *w = world_new();

		oracle->flow_count = oracle->datagram_count = 0;
		for (uint64_t end = done + PACKETS_A_WORLD; done < end;)
			done += run_burst(w, oracle, &t);
		world_free(w);
	}
	free(oracle);
	print_message("transmit %lu (answers %lu) pass %lu resolve %lu hold %lu split %lu\n",
	              t.verdicts[1], t.answers, t.verdicts[3], t.verdicts[4], t.verdicts[5],
	              t.verdicts[6]);
	for (unsigned i = 0; i < SLUICE_DROP_COUNT; i++)
		if (t.drops[i])
			print_message("drop %s %lu\n", sluice_drop_label(i), t.drops[i]);
	print_message("later fragments sent %lu\n", t.followed);
	assert_true(t.followed > packets / 1000);
	// Every way out was taken, often.
	for (unsigned i = SLUICE_VERDICT_TRANSMIT; i <= SLUICE_VERDICT_SPLIT; i++)
		assert_true(t.verdicts[i] > packets / 1000);
	for (unsigned i = 0; i <= SLUICE_DROP_TOO_BIG; i++)
		if (i != SLUICE_DROP_NOT_OURS && i != SLUICE_DROP_FRAGMENT &&
		    i != SLUICE_DROP_REFUSE_LIMITED &&
		    i != SLUICE_DROP_NO_NEIGHBOUR) // the worker's, and one with a test of its own
			assert_true(t.drops[i] > packets / 2000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_pipeline_agrees_with_oracle),
	};

	world_eal();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
