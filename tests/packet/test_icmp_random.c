// SPDX-License-Identifier: BSD-3-Clause

// ICMP errors against the oracle: those of icmp_rows.c, quotes cut and all headers mangled at
// random, among the packets of rows.c, in bursts of any size. SLUICE_RANDOM_PACKETS sets how many,
// SLUICE_RANDOM_SEED which.

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "icmp_oracle.h"
#include "icmp_rows.h"
#include "rows.h"

enum {
	PACKETS = 1000000,
	PACKETS_A_WORLD = 20000, // far fewer flows than the flow table has room for
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

static uint8_t draw_byte(void)
{
	static const uint8_t edges[] = {0,  1,  2,    3,    4,    6,    8,    11,   12,
	                                17, 40, 0x2b, 0x2c, 0x3a, 0x3c, 0x40, 0x45, 0x46,
	                                60, 80, 0x60, 0x80, 0xff, 53,   0x1f, 0x90};

	return draw(2) ? (uint8_t)draw(256) : edges[draw(sizeof(edges))];
}

// Anywhere in the headers, the error's and the quote's.
static void mangle(struct frame *f)
{
	uint32_t at = f->length ? draw(f->length < 180 ? f->length : 180) : 0;

	switch (draw(5)) {
	case 0:
		f->bytes[at] ^= (uint8_t)(1 << draw(8));
		break;
	case 1:
		f->bytes[at] = draw_byte();
		break;
	case 2: // a length field, nearly right
		at = draw(2) ? 17 : 19;
		f->bytes[at] = (uint8_t)(f->bytes[at] + draw(5) - 2);
		break;
	case 3: // a priority tag, or a VLAN's
		if (f->length < 12 || f->length + 4 > FRAME_MAX)
			break;
		memmove(f->bytes + 16, f->bytes + 12, f->length - 12);
		memcpy(f->bytes + 12, (uint8_t[]){0x81, 0, 0x60, draw(3) ? 0 : 9}, 4);
		f->length += 4;
		break;
	default: // shorter
		f->length = draw(f->length + 1);
		break;
	}
}

static void draw_error(struct frame *f)
{
	const struct icmp_row *r = &icmp_rows[draw((uint32_t)icmp_row_count)];
	uint32_t quoted = icmp_row_quoted(r);

	icmp_row_build_in(r, f, draw(3) ? quoted : draw(quoted + 1));
}

// Three errors for each packet that may start a flow.
static void draw_frame(struct frame *f)
{
	memset(f->bytes, 0, 256);
	if (draw(4))
		draw_error(f);
	else
		row_build_in(&rows[draw((uint32_t)row_count)], f);
	if (draw(2))
		for (uint32_t n = draw(4); n > 0; n--)
			mangle(f);
}

static void explain(const struct icmp_answer *a, const struct frame *f, uint32_t head,
                    const struct outcome *o)
{
	fprintf(stderr, "oracle: verdict %u reason %u port %u; pipeline: %u, %u, %u; head %u\n",
	        a->packet.verdict, a->packet.reason, a->packet.port, o->packet.verdict,
	        o->packet.reason, o->packet.port_out, head);
	for (uint32_t i = 0; i < f->length; i++)
		fprintf(stderr, "%02x%s", f->bytes[i], i % 16 == 15 ? "\n" : " ");
	fprintf(stderr, "\nbecame:\n");
	for (uint32_t i = 0; i < o->frame.length; i++)
		fprintf(stderr, "%02x%s", o->frame.bytes[i], i % 16 == 15 ? "\n" : " ");
	fprintf(stderr, "\n");
}

struct tally {
	uint64_t verdicts[SLUICE_VERDICT_RESOLVE + 1]; // of errors that are ours
	uint64_t drops[SLUICE_DROP_COUNT];
};

static unsigned run_burst(struct world *w, struct oracle *oracle, struct tally *t)
{
	static struct frame frames[SLUICE_BURST];
	static struct outcome outcomes[SLUICE_BURST];
	static struct icmp_answer answers[SLUICE_BURST];
	const struct frame *pointers[SLUICE_BURST];
	uint32_t heads[SLUICE_BURST];
	unsigned n = 1 + draw(SLUICE_BURST);

	for (unsigned i = 0; i < n; i++) {
		draw_frame(&frames[i]);
		pointers[i] = &frames[i];
		heads[i] = draw(5) ? frames[i].length : draw(frames[i].length + 1);
	}
	w->pipeline.refuse_second = w->pipeline.now;
	w->pipeline.refuse_budget = SLUICE_REFUSALS_PER_SECOND;
	for (unsigned i = 0; i < n; i++)
		icmp_judge(oracle, &frames[i], heads[i], &answers[i]);
	world_run(w, pointers, heads, outcomes, n);
	for (unsigned i = 0; i < n; i++)
		if (!answers[i].found)
			oracle_learn(oracle, &answers[i].packet);
	for (unsigned i = 0; i < n; i++) {
		if (answers[i].packet.fragment)
			continue; // what becomes of it others of the burst decide: pipeline_random
		if (answers[i].found) // errors see the flows that start in their burst
			icmp_judge(oracle, &frames[i], heads[i], &answers[i]);
		if (!icmp_agrees(&answers[i], &frames[i], &outcomes[i])) {
			explain(&answers[i], &frames[i], heads[i], &outcomes[i]);
			fail();
		}
		if (!answers[i].found)
			continue;
		t->verdicts[outcomes[i].packet.verdict]++;
		if (outcomes[i].packet.verdict == SLUICE_VERDICT_DROP)
			t->drops[outcomes[i].packet.reason]++;
	}
	return n;
}

static void test_errors_agree_with_oracle(void **state)
{
	static const enum sluice_drop reasons[] = {
	        SLUICE_DROP_VLAN,     SLUICE_DROP_TTL_EXPIRED, SLUICE_DROP_NO_ENDPOINT,
	        SLUICE_DROP_NO_ROUTE, SLUICE_DROP_TOO_BIG,     SLUICE_DROP_NO_RETURN_FLOW,
	};
	uint64_t packets = setting("SLUICE_RANDOM_PACKETS", PACKETS);
	struct oracle *oracle = calloc(1, sizeof(*oracle));
	struct tally t = {{0}};

	(void)state;
	random_state = setting("SLUICE_RANDOM_SEED", 0x5eed);
	assert_non_null(oracle);
	for (uint64_t done = 0; done < packets;) {
		struct world *w = world_new();

		oracle->flow_count = 0;
		for (uint64_t end = done + PACKETS_A_WORLD; done < end;)
			done += run_burst(w, oracle, &t);
		world_free(w);
	}
	free(oracle);
	print_message("errors: transmit %lu drop %lu pass %lu resolve %lu\n", t.verdicts[1],
	              t.verdicts[2], t.verdicts[3], t.verdicts[4]);
	// Every way out was taken, often.
	for (unsigned i = SLUICE_VERDICT_TRANSMIT; i <= SLUICE_VERDICT_RESOLVE; i++)
		assert_true(t.verdicts[i] > packets / 1000);
	for (unsigned i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
		assert_true(t.drops[reasons[i]] > packets / 2000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_errors_agree_with_oracle),
	};

	world_eal();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
