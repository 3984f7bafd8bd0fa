// SPDX-License-Identifier: BSD-3-Clause
#include "path.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "pieces.h"

enum {
	SENT_MOST = 1 << 16,
	DELIVERIES = 4096,
};

struct path *path_new(struct world *w)
{
	struct path *p = calloc(1, sizeof(*p));

	assert_non_null(p);
	p->w = w;
	p->sent = calloc(SENT_MOST, sizeof(const struct frame *));
	p->deliveries = calloc(DELIVERIES, sizeof(*p->deliveries));
	assert_non_null(p->sent);
	assert_non_null(p->deliveries);
	p->clock = 1000;
	return p;
}

unsigned path_held(const struct path *p)
{
	return p->holds[0].count + p->holds[1].count;
}

// Every frame became something, exactly once.
static void assert_conserved(const struct path *p)
{
	uint64_t drops = 0;

	for (unsigned i = 0; i < SLUICE_DROP_COUNT; i++)
		drops += sluice_counter_read(&p->w->counters.drops[i]);
	assert_int_equal(p->dropped, drops);
	assert_int_equal(p->sent_count,
	                 p->delivered + p->passed + p->dropped + p->held_dropped + path_held(p));
}

void path_free(struct path *p)
{
	assert_conserved(p);
	free(p->sent);
	free(p->deliveries);
	free(p);
}

static void dispose(struct path *p, unsigned worker, unsigned sent, struct outcome *o, bool again)
{
	struct sluice_packet *packet = &o->packet;

	switch (packet->verdict) {
	case SLUICE_VERDICT_TRANSMIT:
	case SLUICE_VERDICT_RESOLVE:
		assert_true(p->delivered < DELIVERIES);
		p->deliveries[p->delivered].sent = sent;
		p->deliveries[p->delivered].port = packet->port_out;
		p->deliveries[p->delivered++].frame = o->frame;
		break;
	case SLUICE_VERDICT_PASS:
		p->passed++;
		break;
	case SLUICE_VERDICT_HOLD: {
		struct frame copy = *p->sent[sent]; // the hold looks at the source

		packet->buffer = (void *)(uintptr_t)sent;
		packet->data = copy.bytes;
		if (again ||
		    !sluice_hold_put(&p->holds[worker], &p->w->fragments, packet, p->clock))
			p->held_dropped++;
		break;
	}
	default:
		p->dropped++;
		break;
	}
}

static void run(struct path *p, unsigned worker, const unsigned *sent, unsigned count, bool again)
{
	const struct frame *frames[SLUICE_BURST] = {NULL};
	static struct outcome outcomes[SLUICE_BURST];

	for (unsigned i = 0; i < count; i++)
		frames[i] = p->sent[sent[i]];
	p->w->pipeline.worker = (struct sluice_snat_worker){worker, PATH_WORKERS};
	world_run(p->w, frames, NULL, outcomes, count);
	for (unsigned i = 0; i < count; i++)
		dispose(p, worker, sent[i], &outcomes[i], again);
}

void path_try_held(struct path *p, unsigned worker)
{
	struct sluice_held ready[SLUICE_BURST];
	unsigned sent[SLUICE_BURST], n;

	p->held_dropped += sluice_hold_expire(&p->holds[worker], p->clock - SLUICE_HOLD_MS, ready,
	                                      SLUICE_BURST);
	n = sluice_hold_ready(&p->holds[worker], &p->w->fragments, p->w->pipeline.now, ready,
	                      SLUICE_BURST);
	for (unsigned i = 0; i < n; i++)
		sent[i] = (unsigned)(uintptr_t)ready[i].buffer;
	if (n > 0)
		run(p, worker, sent, n, true);
}

void path_send_burst(struct path *p, unsigned worker, const struct frame *const *frames,
                     unsigned count)
{
	unsigned sent[SLUICE_BURST];

	for (unsigned i = 0; i < count; i++) {
		assert_true(p->sent_count < SENT_MOST);
		p->sent[p->sent_count] = frames[i];
		sent[i] = p->sent_count++;
	}
	run(p, worker, sent, count, false);
	for (unsigned i = 0; i < PATH_WORKERS; i++)
		path_try_held(p, i);
	assert_conserved(p);
}

void path_send_one(struct path *p, const struct frame *f)
{
	path_send_burst(p, 0, &f, 1);
}

// ---- the receiver

uint32_t path_gather(const struct path *p, const struct frame *pieces, unsigned count,
                     struct frame *whole)
{
	unsigned seen = 0, end = 0;
	uint32_t id = 0;

	*whole = (struct frame){0};
	for (unsigned i = 0; i < p->delivered; i++) {
		const struct frame *from = p->sent[p->deliveries[i].sent];
		const struct frame *f = &p->deliveries[i].frame;
		const uint8_t *b = f->bytes;
		bool v6 = b[12] == 0x86;
		unsigned header = v6 ? 54 : 34, data = v6 ? 62 : 34, offset;
		uint32_t this_id = 0;

		if (from < pieces || from >= pieces + count)
			continue;
		offset = v6 ? (b[56] * 256U + b[57]) & 0xfff8 : (b[20] * 256U + b[21]) % 0x2000 * 8;
		assert_int_equal(v6 ? 0 : frame_sum(b + 14, 20, 0), 0);
		memcpy(&this_id, b + (v6 ? 58 : 18), v6 ? 4 : 2);
		assert_true(seen == 0 || this_id == id);
		id = this_id;
		memcpy(whole->bytes + header + offset, b + data, f->length - data);
		end += f->length - data;
		if (offset == 0) {
			memcpy(whole->bytes, b, header);
			whole->length = header;
			whole->bytes[20] = v6 ? b[54] : b[20];
		}
		seen++;
	}
	assert_int_equal(seen, count);
	whole->length += end;
	pieces_finish(whole, 0, 0);
	return id;
}

void path_assert_same(const struct frame *a, const struct frame_fields *fields)
{
	struct frame b;

	frame_build(&b, fields);
	assert_int_equal(a->length, b.length);
	assert_memory_equal(a->bytes, b.bytes, b.length);
}
