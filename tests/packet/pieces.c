// SPDX-License-Identifier: BSD-3-Clause
#include "pieces.h"

#include <stdlib.h>
#include <string.h>

static void set16(uint8_t *at, unsigned value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

static bool is_v6(const struct frame *f)
{
	return f->bytes[12] == 0x86;
}

void pieces_finish(struct frame *f, unsigned id, unsigned fragment)
{
	if (is_v6(f)) {
		set16(f->bytes + 18, f->length - 54);
		return;
	}
	set16(f->bytes + 16, f->length - 14);
	set16(f->bytes + 18, id);
	set16(f->bytes + 20, fragment);
	set16(f->bytes + 24, 0);
	set16(f->bytes + 24, 65535U - frame_sum(f->bytes + 14, 20, 0));
}

// Bytes from..to of what stands behind the IP header of a whole packet.
static void cut(const struct frame *whole, unsigned from, unsigned to, uint16_t id,
                struct frame *out)
{
	unsigned header = is_v6(whole) ? 54 : 34;
	bool more = header + to < whole->length;

	*out = (struct frame){.length = header};
	memcpy(out->bytes, whole->bytes, header);
	if (is_v6(whole)) {
		out->bytes[54] = whole->bytes[20];
		out->bytes[20] = FRAGMENT;
		set16(out->bytes + 56, from | more);
		set16(out->bytes + 60, id);
		out->length += 8;
	}
	memcpy(out->bytes + out->length, whole->bytes + header + from, to - from);
	out->length += to - from;
	pieces_finish(out, id, from / 8 | (more ? 0x2000U : 0));
}

unsigned pieces_split(const struct frame_fields *fields, uint16_t id, struct frame *out)
{
	struct frame whole;
	unsigned payload, n = 0;

	frame_build(&whole, fields);
	payload = whole.length - (is_v6(&whole) ? 54 : 34);
	for (unsigned from = 0; from < payload; from += PIECE, n++) {
		if (n == PIECES_MOST)
			abort();
		cut(&whole, from, from + PIECE < payload ? from + PIECE : payload, id, &out[n]);
	}
	return n;
}
