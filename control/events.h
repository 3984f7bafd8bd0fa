// SPDX-License-Identifier: BSD-3-Clause
#pragma once

// The last things that happened to a service, for people. Control thread only.

#include <stddef.h>
#include <time.h>

enum {
	SLUICE_EVENTS_KEPT = 16, // per service; older ones are forgotten
};

enum sluice_event_type {
	SLUICE_EVENT_ADDED,
	SLUICE_EVENT_REMOVED,
	SLUICE_EVENT_DRAINING,
	SLUICE_EVENT_CHANGED,
	SLUICE_EVENT_UP,
	SLUICE_EVENT_DOWN,
	SLUICE_EVENT_REFUSED, // a change that was not applied
	SLUICE_EVENT_TYPES,
};

struct sluice_event {
	time_t time;
	enum sluice_event_type type;
	char *message;
};

// Zeroed is empty.
struct sluice_events {
	struct sluice_event *ring; // [SLUICE_EVENTS_KEPT], made with the first event
	size_t next, count;
};

const char *sluice_event_type_name(enum sluice_event_type type); // "added", "removed", ...

// Remembers an event at the present time; without memory it is forgotten.
__attribute__((format(printf, 3, 4))) void
sluice_events_add(struct sluice_events *e, enum sluice_event_type type, const char *format, ...);

// The i-th of count, oldest first.
const struct sluice_event *sluice_events_at(const struct sluice_events *e, size_t i);

void sluice_events_free(struct sluice_events *e);
