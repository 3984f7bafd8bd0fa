// SPDX-License-Identifier: BSD-3-Clause
#pragma once

// Fragments on their way through the host: two workers that have a hold each, and what came out.

#include "dataplane/fragments.h"
#include "world.h"

enum {
	PATH_WORKERS = 2,
};

// What came out, with where it came from: the n-th frame that was sent.
struct delivery {
	unsigned sent;
	uint8_t port;
	struct frame frame;
};

struct path {
	struct world *w;
	struct sluice_hold holds[PATH_WORKERS];
	uint64_t clock; // of the holds
	const struct frame **sent;
	unsigned sent_count;
	unsigned delivered, passed, dropped, held_dropped;
	struct delivery *deliveries;
};

// The world stays the caller's. Frames that are sent must live as long as the path.
struct path *path_new(struct world *w);
void path_free(struct path *p);

// How many fragments wait.
unsigned path_held(const struct path *p);

// A worker's look at what it holds.
void path_try_held(struct path *p, unsigned worker);

// One burst to one worker, and a look of each at what it holds. Every frame becomes something,
// exactly once.
void path_send_burst(struct path *p, unsigned worker, const struct frame *const *frames,
                     unsigned count);
void path_send_one(struct path *p, const struct frame *f);

// Puts together what became of these pieces, as a receiver does. Returns the id that all of them
// had; in the whole there is none.
uint32_t path_gather(const struct path *p, const struct frame *pieces, unsigned count,
                     struct frame *whole);
void path_assert_same(const struct frame *a, const struct frame_fields *fields);
