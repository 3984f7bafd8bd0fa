// SPDX-License-Identifier: BSD-3-Clause
#include "control/model.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/address.h"
#include "control/model_internal.h"
#include "control/snat.h"

enum {
	EVENTS_EACH = 4, // more endpoints than these at once become one event
};

uint64_t sluice_model_now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

struct sluice_model_service *sluice_model_service_new(void)
{
	return calloc(1, sizeof(struct sluice_model_service));
}

static char *copy_string(const char *s, bool *failed)
{
	char *copy = s ? strdup(s) : NULL;

	if (s && !copy)
		*failed = true;
	return copy;
}

int sluice_model_endpoints_suit(const struct sluice_model_service *s,
                                const struct sluice_service_spec *spec, struct sluice_error *err)
{
	for (size_t i = 0; i < s->endpoint_count; i++) {
		if (sluice_endpoint_suits(spec, &s->endpoints[i].spec, err) == 0)
			continue;
		if (s->spec.forwarding != spec->forwarding)
			snprintf(err->path, sizeof(err->path), "forwarding");
		return -EINVAL;
	}
	return 0;
}

struct sluice_model_service *sluice_model_service_from(const struct sluice_change *c)
{
	struct sluice_model_service *s = sluice_model_service_new();

	if (!s)
		return NULL;
	if (sluice_service_spec_copy(&s->spec, &c->service) < 0)
		goto fail;
	free(s->spec.endpoints);
	s->spec.endpoints = NULL;
	s->spec.endpoint_count = 0;
	s->spec.has_endpoints = false;
	if (!c->origin)
		return s;
	s->kubernetes_name = strdup(c->origin);
	s->port_name = strdup(c->port_name ? c->port_name : "");
	if (s->kubernetes_name && s->port_name)
		return s;
fail:
	sluice_model_service_free(s);
	return NULL;
}

int sluice_model_settle(struct sluice_model *m, struct sluice_error *e)
{
	for (size_t i = 0; i < m->service_count; i++) {
		struct sluice_model_service *s = m->services[i];
		enum sluice_forwarding before = s->spec.forwarding;
		struct sluice_error why = {0};

		if (sluice_snat_settle(m->snat, &s->spec, &why) < 0)
			return sluice_error_set(e, why.status, why.code, why.path,
			                        "service %s/%s of the saved state: %s; start with "
			                        "snat.addresses that suit it, and change it before "
			                        "them",
			                        s->spec.namespace_, s->spec.name, why.message);
		if (s->spec.forwarding == before)
			continue;
		free(s->saved_text);
		s->saved_text = NULL;
	}
	return 0;
}

struct sluice_model_service *sluice_model_service_draft(const struct sluice_model_service *live)
{
	struct sluice_model_service *s = sluice_model_service_new();
	bool failed = false;

	if (!s)
		return NULL;
	if (sluice_service_spec_copy(&s->spec, &live->spec) < 0) {
		free(s);
		return NULL;
	}
	s->id = live->id;
	s->since = live->since;
	s->changed = live->changed;
	s->origin = live->origin;
	s->digest = live->digest;
	s->kubernetes_name = copy_string(live->kubernetes_name, &failed);
	s->port_name = copy_string(live->port_name, &failed);
	if (live->endpoint_count) {
		s->endpoints = malloc(live->endpoint_count * sizeof(*s->endpoints));
		if (s->endpoints) {
			memcpy(s->endpoints, live->endpoints,
			       live->endpoint_count * sizeof(*s->endpoints));
			s->endpoint_count = live->endpoint_count;
		} else {
			failed = true;
		}
	}
	if (!failed)
		return s;
	sluice_model_service_free(s);
	return NULL;
}

void sluice_model_service_free(struct sluice_model_service *s)
{
	if (!s)
		return;
	sluice_service_spec_clear(&s->spec);
	sluice_events_free(&s->events);
	free(s->kubernetes_name);
	free(s->port_name);
	free(s->endpoints);
	free(s->saved_text);
	free(s);
}

int sluice_model_init(struct sluice_model *m, const struct sluice_model_hooks *hooks)
{
	*m = (struct sluice_model){.next_service_id = 1};
	if (hooks)
		m->hooks = *hooks;
	sluice_slots_init(&m->slots, SLUICE_ENDPOINTS_MAX);
	sluice_frontends_init(&m->frontends);
	return 0;
}

static void service_dispose(struct sluice_model *m, struct sluice_model_service *s)
{
	if (s->compiled && m->hooks.free_compiled)
		m->hooks.free_compiled(m->hooks.context, s->compiled);
	sluice_model_service_free(s);
}

void sluice_model_free(struct sluice_model *m)
{
	for (size_t i = 0; i < m->service_count; i++)
		service_dispose(m, m->services[i]);
	for (size_t i = 0; i < m->gone_count; i++)
		service_dispose(m, m->gone[i]);
	free(m->services);
	free(m->gone);
	free(m->retired);
	sluice_model_slices_clear(&m->slices);
	sluice_slots_free(&m->slots);
	sluice_frontends_free(&m->frontends);
	*m = (struct sluice_model){0};
}

size_t sluice_model_position(const struct sluice_model *m, const char *namespace_, const char *name,
                             bool *found)
{
	size_t low = 0, high = m->service_count;

	*found = false;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct sluice_service_spec *s = &m->services[middle]->spec;
		int order = strcmp(s->namespace_, namespace_);

		if (!order)
			order = strcmp(s->name, name);
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

struct sluice_model_service *sluice_model_find(const struct sluice_model *m, const char *namespace_,
                                               const char *name)
{
	bool found;
	size_t at = sluice_model_position(m, namespace_, name, &found);

	return found ? m->services[at] : NULL;
}

struct sluice_model_service *sluice_model_find_id(const struct sluice_model *m, uint32_t id)
{
	for (size_t i = 0; i < m->service_count; i++) {
		if (m->services[i]->id == id)
			return m->services[i];
	}
	return NULL;
}

struct sluice_model_endpoint *sluice_model_endpoint(const struct sluice_model_service *s,
                                                    const struct sluice_address *a, uint16_t port)
{
	struct sluice_endpoint_spec key = {.address = *a, .port = port};
	size_t low = 0, high = s->endpoint_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = sluice_endpoint_spec_compare(&s->endpoints[middle].spec, &key);

		if (!order)
			return &s->endpoints[middle];
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

uint64_t sluice_model_advance(struct sluice_model *m)
{
	return ++m->generation;
}

// --- commit

// Events of one kind for the endpoints of a change: the first few by name, many as a number.
struct tally {
	enum sluice_event_type type;
	size_t count;
	struct sluice_endpoint_spec first[EVENTS_EACH];
};

static void tally_add(struct tally *t, const struct sluice_endpoint_spec *e)
{
	if (t->count < EVENTS_EACH)
		t->first[t->count] = *e;
	t->count++;
}

static void tally_report(const struct tally *t, struct sluice_events *events)
{
	const char *name = sluice_event_type_name(t->type);

	if (t->count > EVENTS_EACH) {
		sluice_events_add(events, t->type, "%zu endpoints %s", t->count, name);
		return;
	}
	for (size_t i = 0; i < t->count; i++) {
		char text[SLUICE_ENDPOINT_TEXT];
		const struct sluice_endpoint_spec *e = &t->first[i];

		sluice_endpoint_format(&e->address, e->port, text);
		if (t->type == SLUICE_EVENT_CHANGED)
			sluice_events_add(events, t->type, "endpoint %s has weight %u now", text,
			                  e->weight);
		else
			sluice_events_add(events, t->type, "endpoint %s %s", text, name);
	}
}

static void retire(struct sluice_model *m, const struct sluice_model_service *s,
                   const struct sluice_model_endpoint *e)
{
	m->retired[m->retired_count++] = (struct sluice_model_retired){
	        .slot = e->slot,
	        .service = s->id,
	        .generation = m->generation,
	        .base = e->base,
	};
}

static void endpoint_start(struct sluice_model *m, struct sluice_model_endpoint *e, uint64_t now_ms)
{
	e->slot = sluice_slots_take(&m->slots, now_ms, &e->generation);
	e->since = time(NULL);
	if (m->hooks.read_slot)
		m->hooks.read_slot(m->hooks.context, e->slot, &e->base);
}

// Goes through old and new endpoints, both sorted: retires what left, gives slots to what came.
static void commit_endpoints(struct sluice_model *m, struct sluice_model_service *live,
                             struct sluice_model_service *draft)
{
	struct tally added = {.type = SLUICE_EVENT_ADDED};
	struct tally removed = {.type = SLUICE_EVENT_REMOVED};
	struct tally draining = {.type = SLUICE_EVENT_DRAINING};
	struct tally changed = {.type = SLUICE_EVENT_CHANGED};
	uint64_t now_ms = sluice_model_now_ms();
	size_t i = 0, j = 0;

	while (i < live->endpoint_count || j < draft->endpoint_count) {
		struct sluice_model_endpoint *old = &live->endpoints[i];
		struct sluice_model_endpoint *new = &draft->endpoints[j];
		int order = i == live->endpoint_count ? 1
		            : j == draft->endpoint_count
		                    ? -1
		                    : sluice_endpoint_spec_compare(&old->spec, &new->spec);

		if (order < 0) {
			retire(m, live, old);
			tally_add(&removed, &old->spec);
			i++;
			continue;
		}
		if (order > 0) {
			endpoint_start(m, new, now_ms);
			tally_add(&added, &new->spec);
		} else if (new->draining_since && !old->draining_since) {
			tally_add(&draining, &new->spec);
		} else if (new->spec.weight != old->spec.weight) {
			tally_add(&changed, &new->spec);
		}
		i += order == 0;
		j++;
	}
	tally_report(&removed, &live->events);
	tally_report(&added, &live->events);
	tally_report(&draining, &live->events);
	tally_report(&changed, &live->events);
}

static void commit_update(struct sluice_model *m, struct sluice_model_service *live,
                          struct sluice_model_service *draft)
{
	struct sluice_model_service old = *live;

	commit_endpoints(m, live, draft);
	// What is of the draft goes live; the draft keeps what it replaces and is freed with it.
	live->spec = draft->spec;
	live->endpoints = draft->endpoints;
	live->endpoint_count = draft->endpoint_count;
	live->origin = draft->origin;
	live->digest = draft->digest;
	live->kubernetes_name = draft->kubernetes_name;
	live->port_name = draft->port_name;
	live->saved_text = NULL;
	live->saved_len = 0;
	live->changed = m->generation;
	draft->spec = old.spec;
	draft->endpoints = old.endpoints;
	draft->endpoint_count = old.endpoint_count;
	draft->kubernetes_name = old.kubernetes_name;
	draft->port_name = old.port_name;
	draft->saved_text = old.saved_text;
}

static void commit_create(struct sluice_model *m, struct sluice_planned *p)
{
	struct sluice_model_service none = {0};
	struct sluice_model_service *s = p->draft;

	s->id = m->next_service_id++;
	s->since = time(NULL);
	s->changed = m->generation;
	commit_endpoints(m, &none, s);
	s->events = none.events;
	p->live = s;
	p->draft = NULL;
}

static void commit_delete(struct sluice_model *m, struct sluice_planned *p)
{
	for (size_t i = 0; i < p->live->endpoint_count; i++)
		retire(m, p->live, &p->live->endpoints[i]);
	p->live->changed = m->generation;
	m->gone[m->gone_count++] = p->live;
}

void sluice_model_commit(struct sluice_model *m, struct sluice_model_plan *plan)
{
	if (!plan->changed)
		return;
	m->generation++;
	for (size_t i = 0; i < plan->count; i++) {
		struct sluice_planned *p = &plan->services[i];

		if (p->change == SLUICE_CREATED)
			commit_create(m, p);
		else if (p->change == SLUICE_UPDATED)
			commit_update(m, p->live, p->draft);
		else if (p->change == SLUICE_DELETED)
			commit_delete(m, p);
	}
	free(m->services);
	m->services = plan->after;
	m->service_count = plan->after_count;
	plan->after = NULL;
	if (plan->has_slices) {
		struct sluice_model_slices old = m->slices;

		m->slices = plan->slices;
		plan->slices = old;
	}
}

int sluice_model_apply(struct sluice_model *m, const struct sluice_edit *edit,
                       struct sluice_error *e)
{
	struct sluice_model_plan plan;
	int r = sluice_model_plan(m, edit, &plan, e);

	if (r < 0)
		return r;
	r = plan.changed;
	sluice_model_commit(m, &plan);
	sluice_model_plan_clear(&plan);
	return r;
}

// --- reclaim

static void traffic_add_difference(struct sluice_traffic *sum, const struct sluice_traffic *now,
                                   const struct sluice_traffic *base)
{
	sum->in_packets += now->in_packets - base->in_packets;
	sum->in_bytes += now->in_bytes - base->in_bytes;
	sum->out_packets += now->out_packets - base->out_packets;
	sum->out_bytes += now->out_bytes - base->out_bytes;
	sum->connections += now->connections - base->connections;
}

void sluice_model_reclaim(struct sluice_model *m, uint64_t generation)
{
	uint64_t now_ms = sluice_model_now_ms();
	struct sluice_model_service *service = NULL; // they come in runs
	size_t i = 0;

	for (; i < m->retired_count && m->retired[i].generation <= generation; i++) {
		const struct sluice_model_retired *r = &m->retired[i];

		if (!service || service->id != r->service)
			service = sluice_model_find_id(m, r->service);
		if (service && m->hooks.read_slot) {
			struct sluice_traffic now = {0};

			m->hooks.read_slot(m->hooks.context, r->slot, &now);
			traffic_add_difference(&service->retired, &now, &r->base);
		}
		sluice_slots_give(&m->slots, r->slot, now_ms);
	}
	m->retired_count -= i;
	if (i)
		memmove(m->retired, &m->retired[i], m->retired_count * sizeof(*m->retired));

	size_t kept = 0;

	for (i = 0; i < m->gone_count; i++) {
		if (m->gone[i]->changed <= generation)
			service_dispose(m, m->gone[i]);
		else
			m->gone[kept++] = m->gone[i];
	}
	m->gone_count = kept;
}
