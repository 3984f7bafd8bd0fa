// SPDX-License-Identifier: BSD-3-Clause
#include "control/slots.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

// --- the queue of freed numbers

static int queue_reserve(struct sluice_freed_queue *q, size_t count)
{
	size_t capacity = q->capacity ? q->capacity : 64;

	while (capacity < count)
		capacity *= 2;
	if (capacity == q->capacity)
		return 0;
	struct sluice_freed *ring = calloc(capacity, sizeof(*ring));

	if (!ring)
		return -ENOMEM;
	for (size_t i = 0; i < q->count; i++)
		ring[i] = q->ring[(q->head + i) & (q->capacity - 1)];
	free(q->ring);
	q->ring = ring;
	q->head = 0;
	q->capacity = capacity;
	return 0;
}

static int queue_push(struct sluice_freed_queue *q, uint32_t number, uint64_t now_ms)
{
	if (queue_reserve(q, q->count + 1) < 0)
		return -ENOMEM;
	q->ring[(q->head + q->count++) & (q->capacity - 1)] =
	        (struct sluice_freed){.number = number, .at_ms = now_ms};
	return 0;
}

static bool rested(const struct sluice_freed *f, uint64_t now_ms)
{
	return now_ms >= f->at_ms + SLUICE_SLOT_QUARANTINE_MS;
}

static bool queue_pop(struct sluice_freed_queue *q, uint64_t now_ms, uint32_t *number)
{
	if (!q->count || !rested(&q->ring[q->head], now_ms))
		return false;
	*number = q->ring[q->head].number;
	q->head = (q->head + 1) & (q->capacity - 1);
	q->count--;
	return true;
}

// How many of the first n have waited long enough. They were freed in order.
static size_t queue_rested(const struct sluice_freed_queue *q, size_t n, uint64_t now_ms)
{
	size_t i = 0;

	while (i < n && i < q->count && rested(&q->ring[(q->head + i) & (q->capacity - 1)], now_ms))
		i++;
	return i;
}

// --- slots

void sluice_slots_init(struct sluice_slots *s, uint32_t limit)
{
	*s = (struct sluice_slots){.limit = limit};
}

void sluice_slots_free(struct sluice_slots *s)
{
	free(s->generations);
	free(s->freed.ring);
	*s = (struct sluice_slots){0};
}

static int grow_generations(struct sluice_slots *s, size_t count)
{
	size_t size = s->generations_size ? s->generations_size : 64;

	while (size < count)
		size *= 2;
	if (size == s->generations_size)
		return 0;
	uint16_t *generations = realloc(s->generations, size * sizeof(*generations));

	if (!generations)
		return -ENOMEM;
	s->generations = generations;
	s->generations_size = (uint32_t)size;
	return 0;
}

int sluice_slots_reserve(struct sluice_slots *s, size_t n, uint64_t now_ms)
{
	size_t used = queue_rested(&s->freed, n, now_ms);
	size_t fresh = n - used;

	if (fresh <= s->limit - s->high)
		return grow_generations(s, s->high + fresh);
	return n <= s->freed.count + (s->limit - s->high) ? -EAGAIN : -ENOSPC;
}

uint32_t sluice_slots_take(struct sluice_slots *s, uint64_t now_ms, uint16_t *generation)
{
	uint32_t slot;

	if (!queue_pop(&s->freed, now_ms, &slot)) {
		if (s->high >= s->limit || s->high >= s->generations_size)
			abort(); // not reserved: a mistake of the caller
		slot = s->high++;
		s->generations[slot] = 0;
	}
	if (++s->generations[slot] == 0)
		s->generations[slot] = 1;
	*generation = s->generations[slot];
	return slot;
}

int sluice_slots_give(struct sluice_slots *s, uint32_t slot, uint64_t now_ms)
{
	return queue_push(&s->freed, slot, now_ms);
}

int sluice_slots_restore(struct sluice_slots *s, const uint16_t *generations, uint32_t high,
                         const uint8_t *used, uint64_t now_ms)
{
	if (high > s->limit)
		return -EINVAL;
	if (grow_generations(s, high) < 0 || queue_reserve(&s->freed, high) < 0)
		return -ENOMEM;
	if (high)
		memcpy(s->generations, generations, high * sizeof(*generations));
	s->high = high;
	for (uint32_t i = 0; i < high; i++) {
		if (!(used[i / 8] & (1u << (i % 8))))
			queue_push(&s->freed, i, now_ms);
	}
	return 0;
}

// --- frontend ids

void sluice_frontends_init(struct sluice_frontends *f)
{
	*f = (struct sluice_frontends){.high = 1}; // 0 is none
}

void sluice_frontends_free(struct sluice_frontends *f)
{
	free(f->entries);
	free(f->freed.ring);
	*f = (struct sluice_frontends){0};
}

// Where the entry is or would be; *found says which.
static size_t frontend_find(const struct sluice_frontends *f, const struct sluice_target *target,
                            uint32_t service, bool *found)
{
	size_t low = 0, high = f->count;

	*found = false;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct sluice_frontend_entry *e = &f->entries[middle];
		int order = memcmp(&e->target, target, sizeof(*target));

		if (!order)
			order = (e->service > service) - (e->service < service);
		if (!order) {
			*found = true;
			return middle;
		}
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static int frontend_insert(struct sluice_frontends *f, size_t at, struct sluice_frontend_entry e)
{
	if (f->count == f->capacity) {
		size_t capacity = f->capacity ? f->capacity * 2 : 64;
		struct sluice_frontend_entry *entries =
		        realloc(f->entries, capacity * sizeof(*entries));

		if (!entries)
			return -ENOMEM;
		f->entries = entries;
		f->capacity = capacity;
	}
	memmove(&f->entries[at + 1], &f->entries[at], (f->count - at) * sizeof(*f->entries));
	f->entries[at] = e;
	f->count++;
	return 0;
}

int sluice_frontends_get(struct sluice_frontends *f, const struct sluice_target *target,
                         uint32_t service, uint64_t now_ms)
{
	bool found;
	size_t at = frontend_find(f, target, service, &found);

	if (found) {
		f->entries[at].marked = true;
		return f->entries[at].id;
	}
	struct sluice_frontend_entry e = {.target = *target, .service = service, .marked = true};
	uint32_t id;

	if (!queue_pop(&f->freed, now_ms, &id)) {
		if (f->high >= SLUICE_FRONTENDS_MAX)
			return f->freed.count ? -EAGAIN : -ENOSPC;
		id = f->high++;
	}
	e.id = (uint16_t)id;
	if (frontend_insert(f, at, e) < 0) {
		queue_push(&f->freed, id, now_ms);
		return -ENOMEM;
	}
	return e.id;
}

void sluice_frontends_sweep(struct sluice_frontends *f, uint64_t now_ms)
{
	size_t kept = 0;

	for (size_t i = 0; i < f->count; i++) {
		struct sluice_frontend_entry *e = &f->entries[i];

		// Where its number cannot be queued the entry stays until the next sweep.
		if (!e->marked && queue_push(&f->freed, e->id, now_ms) == 0)
			continue;
		e->marked = false;
		f->entries[kept++] = *e;
	}
	f->count = kept;
}

int sluice_frontends_restore(struct sluice_frontends *f, const struct sluice_target *target,
                             uint32_t service, uint16_t id)
{
	bool found;
	size_t at = frontend_find(f, target, service, &found);

	if (!id)
		return -EINVAL;
	if (found)
		return -EEXIST;
	struct sluice_frontend_entry e = {.target = *target, .service = service, .id = id};

	if (frontend_insert(f, at, e) < 0)
		return -ENOMEM;
	if (id >= f->high)
		f->high = (uint32_t)id + 1;
	return 0;
}

int sluice_frontends_restored(struct sluice_frontends *f, uint64_t now_ms)
{
	uint8_t *used = calloc(1, SLUICE_FRONTENDS_MAX / 8);
	int r = used ? 0 : -ENOMEM;

	for (size_t i = 0; used && !r && i < f->count; i++) {
		uint16_t id = f->entries[i].id;

		if (used[id / 8] & (1u << (id % 8)))
			r = -EEXIST;
		used[id / 8] |= (uint8_t)(1u << (id % 8));
	}
	for (uint32_t id = 1; !r && id < f->high; id++) {
		if (!(used[id / 8] & (1u << (id % 8))))
			r = queue_push(&f->freed, id, now_ms);
	}
	free(used);
	return r;
}
