// SPDX-License-Identifier: BSD-3-Clause
#pragma once

// Numbers that packets and flow entries carry, and when they may be used again: endpoint slots
// (20 bits, with a generation of 16) and frontend ids (16 bits). Pure. Control thread only.
//
// What was freed waits at the end of a queue, at least SLUICE_SLOT_QUARANTINE_MS. A slot's
// generation goes up each time it is taken, so that one (slot, generation) comes back after
// 65535 x 2 s = 36 h at the earliest: longer than any flow lives (a day at most).

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sluice/types.h"

enum {
	SLUICE_SLOT_QUARANTINE_MS = 2000,
};

struct sluice_freed {
	uint32_t number;
	uint64_t at_ms; // monotonic
};

// First in, first out; a ring that grows.
struct sluice_freed_queue {
	struct sluice_freed *ring;
	size_t head, count, capacity; // capacity: a power of two or 0
};

struct sluice_slots {
	uint32_t limit;        // slots there may be at most
	uint32_t high;         // slots that were ever used: 0..high-1
	uint16_t *generations; // [high], of the present or last use
	uint32_t generations_size;
	struct sluice_freed_queue freed;
};

void sluice_slots_init(struct sluice_slots *s, uint32_t limit);
void sluice_slots_free(struct sluice_slots *s);

// Makes sure that the next n takes succeed. -EAGAIN: only after the quarantine of some is over;
// -ENOSPC: fewer than n are free at all; -ENOMEM.
int sluice_slots_reserve(struct sluice_slots *s, size_t n, uint64_t now_ms);

// A slot with its new generation. After a reserve it cannot fail; aborts where there was none.
uint32_t sluice_slots_take(struct sluice_slots *s, uint64_t now_ms, uint16_t *generation);

// Gives a slot back. -ENOMEM: it is lost until the next start.
int sluice_slots_give(struct sluice_slots *s, uint32_t slot, uint64_t now_ms);

// Restores what was saved: high slots with these generations, of which used (a bitmap of high
// bits, as bytes) are taken. The others wait their quarantine.
int sluice_slots_restore(struct sluice_slots *s, const uint16_t *generations, uint32_t high,
                         const uint8_t *used, uint64_t now_ms);

// Where clients reach a service, and its number for as long as the target serves that service.
struct sluice_frontend_entry {
	struct sluice_target target; // network byte order
	uint32_t service;            // id of the model's service
	uint16_t id;
	bool marked; // asked for since the last sweep
};

struct sluice_frontends {
	struct sluice_frontend_entry *entries; // sorted by (target, service)
	size_t count, capacity;
	uint32_t high; // ids that were ever used: 1..high-1
	struct sluice_freed_queue freed;
};

void sluice_frontends_init(struct sluice_frontends *f);
void sluice_frontends_free(struct sluice_frontends *f);

// The id of a target of a service, a new one where there is none, and marks it. Returns 1..65535,
// -ENOSPC, -EAGAIN (all free ones are in quarantine) or -ENOMEM.
int sluice_frontends_get(struct sluice_frontends *f, const struct sluice_target *target,
                         uint32_t service, uint64_t now_ms);

// Frees the ids that nobody asked for since the last sweep. To be called after a publication
// without them, when no worker uses the old snapshot.
void sluice_frontends_sweep(struct sluice_frontends *f, uint64_t now_ms);

// Puts back a saved one (before the first get). -EEXIST, -EINVAL, -ENOMEM.
int sluice_frontends_restore(struct sluice_frontends *f, const struct sluice_target *target,
                             uint32_t service, uint16_t id);
// Ends restoring: the ids between that nobody has wait their quarantine.
int sluice_frontends_restored(struct sluice_frontends *f, uint64_t now_ms);
