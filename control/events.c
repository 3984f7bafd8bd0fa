// SPDX-License-Identifier: BSD-3-Clause
#include "control/events.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

const char *sluice_event_type_name(enum sluice_event_type type)
{
	static const char *const names[SLUICE_EVENT_TYPES] = {
	        [SLUICE_EVENT_ADDED] = "added",
	        [SLUICE_EVENT_REMOVED] = "removed",
	        [SLUICE_EVENT_DRAINING] = "draining",
	        [SLUICE_EVENT_CHANGED] = "changed",
	        [SLUICE_EVENT_UP] = "up",
	        [SLUICE_EVENT_DOWN] = "down",
	        [SLUICE_EVENT_REFUSED] = "refused",
	};

	return names[type];
}

void sluice_events_add(struct sluice_events *e, enum sluice_event_type type, const char *format,
                       ...)
{
	char *message;
	va_list ap;

	if (!e->ring)
		e->ring = calloc(SLUICE_EVENTS_KEPT, sizeof(*e->ring));
	if (!e->ring)
		return;
	va_start(ap, format);
	int len = vasprintf(&message, format, ap);
	va_end(ap);
	if (len < 0)
		return;
	struct sluice_event *slot = &e->ring[e->next];

	free(slot->message);
	*slot = (struct sluice_event){.time = time(NULL), .type = type, .message = message};
	e->next = (e->next + 1) % SLUICE_EVENTS_KEPT;
	if (e->count < SLUICE_EVENTS_KEPT)
		e->count++;
}

const struct sluice_event *sluice_events_at(const struct sluice_events *e, size_t i)
{
	return &e->ring[(e->next + SLUICE_EVENTS_KEPT - e->count + i) % SLUICE_EVENTS_KEPT];
}

void sluice_events_free(struct sluice_events *e)
{
	for (size_t i = 0; i < e->count; i++)
		free(e->ring[i].message);
	free(e->ring);
	*e = (struct sluice_events){0};
}
