// SPDX-License-Identifier: BSD-3-Clause
// What an edit would make of the model, worked out on drafts: everything that can go wrong goes
// wrong here, so that a commit cannot.
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/address.h"
#include "control/model_internal.h"
#include "control/snat.h"

int sluice_planner_no_memory(struct sluice_error *e)
{
	return sluice_error_set(e, 503, "no_memory", NULL, "out of memory");
}

// An error about what a document said, at key within it.
int sluice_planner_refuse(struct sluice_planner *w, const struct sluice_planned *p, const char *key,
                          int status, const char *code, const char *format, ...)
{
	char message[512], path[256];
	va_list ap;

	va_start(ap, format);
	vsnprintf(message, sizeof(message), format, ap);
	va_end(ap);
	snprintf(path, sizeof(path), "%s%s%s", p && p->path ? p->path : "",
	         p && p->path && p->path[0] && key[0] ? "." : "", key);
	sluice_error_set(w->e, status, code, path, "%s", message);
	if (p && p->line && !w->e->line)
		w->e->line = p->line;
	if (w->edit->changes && !w->e->source[0])
		snprintf(w->e->source, sizeof(w->e->source), "%s", w->edit->changes->source);
	return -EINVAL;
}

// --- entries

static const struct sluice_service_spec *planned_spec(const struct sluice_planned *p)
{
	return p->draft ? &p->draft->spec : &p->live->spec;
}

static size_t plan_position(const struct sluice_model_plan *plan, const char *namespace_,
                            const char *name, bool *found)
{
	size_t low = 0, high = plan->count;

	*found = false;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct sluice_service_spec *s = planned_spec(&plan->services[middle]);
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

struct sluice_planned *sluice_plan_find(const struct sluice_model_plan *plan,
                                        const struct sluice_service_spec *s)
{
	bool found;
	size_t at = plan_position(plan, s->namespace_, s->name, &found);

	return found ? &plan->services[at] : NULL;
}

static struct sluice_planned *plan_insert(struct sluice_model_plan *plan, size_t at,
                                          struct sluice_planned p)
{
	if (!plan->services || plan->count == plan->capacity) {
		size_t capacity = plan->capacity ? plan->capacity * 2 : 8;
		struct sluice_planned *services = realloc(plan->services, capacity * sizeof(p));

		if (!services)
			return NULL;
		plan->services = services;
		plan->capacity = capacity;
	}
	memmove(&plan->services[at + 1], &plan->services[at], (plan->count - at) * sizeof(p));
	plan->services[at] = p;
	plan->count++;
	return &plan->services[at];
}

// A service that is there, with a draft that is as it stands. NULL: no memory.
static struct sluice_planned *plan_touch(struct sluice_planner *w,
                                         struct sluice_model_service *live)
{
	bool found;
	size_t at = plan_position(w->plan, live->spec.namespace_, live->spec.name, &found);
	struct sluice_planned p = {.live = live};

	if (found)
		return &w->plan->services[at];
	p.draft = sluice_model_service_draft(live);
	if (!p.draft)
		return NULL;
	struct sluice_planned *entry = plan_insert(w->plan, at, p);

	if (!entry)
		sluice_model_service_free(p.draft);
	return entry;
}

static int plan_delete(struct sluice_planner *w, struct sluice_model_service *live)
{
	bool found;
	size_t at = plan_position(w->plan, live->spec.namespace_, live->spec.name, &found);

	if (!found && !plan_insert(w->plan, at, (struct sluice_planned){.live = live}))
		return sluice_planner_no_memory(w->e);
	return 0;
}

// --- endpoints

static int keep_endpoints(struct sluice_planner *w, const struct sluice_planned *p);

// Gives the draft these endpoints (sorted): those that the live service has keep their slots.
static int draft_set_endpoints(struct sluice_planner *w, const struct sluice_planned *p,
                               const struct sluice_endpoint_spec *specs, size_t n)
{
	struct sluice_model_service *d = p->draft;
	struct sluice_model_endpoint *endpoints;
	time_t now = time(NULL);

	if (n == 0 && d->spec.on_empty == SLUICE_ON_EMPTY_KEEP_LAST)
		return keep_endpoints(w, p);
	endpoints = n ? calloc(n, sizeof(*endpoints)) : NULL;
	if (n && !endpoints)
		return sluice_planner_no_memory(w->e);
	for (size_t i = 0; i < n; i++) {
		struct sluice_model_endpoint *to = &endpoints[i];
		const struct sluice_model_endpoint *old =
		        p->live ? sluice_model_endpoint(p->live, &specs[i].address, specs[i].port)
		                : NULL;

		if (old)
			*to = *old;
		to->spec = specs[i];
		if (specs[i].state != SLUICE_STATE_DRAINING)
			to->draining_since = 0;
		else if (!to->draining_since)
			to->draining_since = now;
	}
	free(d->endpoints);
	d->endpoints = endpoints;
	d->endpoint_count = n;
	return 0;
}

// Where there is no slice, endpoints that were pushed stay. lost: there was one until now.
static int merge_slices(struct sluice_planner *w, const struct sluice_planned *p, bool lost)
{
	const struct sluice_model_slices *set =
	        w->plan->has_slices ? &w->plan->slices : &w->m->slices;
	struct sluice_endpoint_spec *specs = NULL;
	size_t n = 0;
	bool any;
	int r = sluice_model_slices_merge(set, p->draft, &any, &specs, &n);

	if (r == -E2BIG)
		return sluice_planner_refuse(w, p, "endpoints", 422, "too_many",
		                             "more than %d endpoints for %s/%s",
		                             SLUICE_SERVICE_ENDPOINTS_MAX,
		                             p->draft->spec.namespace_, p->draft->spec.name);
	if (r < 0)
		return sluice_planner_no_memory(w->e);
	r = any || lost || p->live == NULL ? draft_set_endpoints(w, p, specs, n) : 0;
	free(specs);
	return r;
}

// --- services of documents

static bool same_string(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

// What endpoints depend on, in a Kubernetes service.
static bool same_shape(const struct sluice_model_service *a, const struct sluice_model_service *b)
{
	return same_string(a->kubernetes_name, b->kubernetes_name) &&
	       same_string(a->port_name, b->port_name) && a->spec.protocol == b->spec.protocol &&
	       a->spec.target_port == b->spec.target_port &&
	       sluice_address_family(&a->spec.address) == sluice_address_family(&b->spec.address);
}

// The entry of a document's service, its draft replaced by what the document says.
static struct sluice_planned *plan_document(struct sluice_planner *w, const struct sluice_change *c)
{
	struct sluice_model_service *live =
	        sluice_model_find(w->m, c->service.namespace_, c->service.name);
	struct sluice_model_service *draft = sluice_model_service_from(c);
	struct sluice_planned *p = sluice_plan_find(w->plan, &c->service);

	if (!draft)
		return NULL;
	if (!p) {
		bool found;
		size_t at = plan_position(w->plan, c->service.namespace_, c->service.name, &found);

		p = plan_insert(w->plan, at, (struct sluice_planned){.live = live, .draft = draft});
		if (!p) {
			sluice_model_service_free(draft);
			return NULL;
		}
	} else {
		sluice_model_service_free(p->draft);
		p->draft = draft;
	}
	p->path = c->path;
	p->line = c->line;
	if (live) {
		draft->id = live->id;
		draft->origin = live->origin;
		draft->digest = live->digest;
	}
	return p;
}

// Endpoints that stay when a document says nothing of them, or none with onEmpty: keepLast.
static int keep_endpoints(struct sluice_planner *w, const struct sluice_planned *p)
{
	const struct sluice_model_service *live = p->live;
	struct sluice_endpoint_spec *specs;
	struct sluice_error unfit = {0};

	if (!live || !live->endpoint_count)
		return 0;
	if (sluice_model_endpoints_suit(live, &p->draft->spec, &unfit) < 0) {
		if (p->draft->kubernetes_name)
			return 0;
		return sluice_planner_refuse(w, p, unfit.path, 422, "conflict",
		                             "an endpoint that stays: %s; give endpoints too",
		                             unfit.message);
	}
	specs = calloc(live->endpoint_count, sizeof(*specs));
	if (!specs)
		return sluice_planner_no_memory(w->e);
	for (size_t i = 0; i < live->endpoint_count; i++)
		specs[i] = live->endpoints[i].spec;
	int r = draft_set_endpoints(w, p, specs, live->endpoint_count);

	free(specs);
	return r;
}

static int plan_service(struct sluice_planner *w, const struct sluice_change *c)
{
	bool file = w->edit->kind == SLUICE_EDIT_FILE;
	uint64_t digest = file ? sluice_model_change_digest(c) : 0;
	struct sluice_model_service *live =
	        sluice_model_find(w->m, c->service.namespace_, c->service.name);
	struct sluice_error unfit = {0};

	if (file && live && live->origin == SLUICE_ORIGIN_FILE && live->digest == digest)
		return plan_touch(w, live) ? 0 : sluice_planner_no_memory(w->e);
	struct sluice_planned *p = plan_document(w, c);

	if (!p)
		return sluice_planner_no_memory(w->e);
	if (sluice_snat_settle(w->m->snat, &p->draft->spec, &unfit) < 0)
		return sluice_planner_refuse(w, p, unfit.path, 422, "snat", "%s", unfit.message);
	if (file) {
		p->draft->origin = SLUICE_ORIGIN_FILE;
		p->draft->digest = digest;
	}
	if (c->service.has_endpoints)
		return draft_set_endpoints(w, p, c->service.endpoints, c->service.endpoint_count);
	// Those of a new Kubernetes service come from slices, when all of the edit are known.
	return keep_endpoints(w, p);
}

// Services that came from a Kubernetes Service of the list, for a port that it no longer has.
static int plan_lost_ports(struct sluice_planner *w)
{
	const struct sluice_changes *changes = w->edit->changes;

	for (size_t i = 0; i < changes->count; i++) {
		const struct sluice_change *c = &changes->items[i];

		if (c->kind != SLUICE_CHANGE_SERVICE || !c->origin)
			continue;
		if (i && changes->items[i - 1].kind == SLUICE_CHANGE_SERVICE &&
		    same_string(changes->items[i - 1].origin, c->origin) &&
		    same_string(changes->items[i - 1].service.namespace_, c->service.namespace_))
			continue; // ports of one Service stand together
		for (size_t j = 0; j < w->m->service_count; j++) {
			struct sluice_model_service *s = w->m->services[j];

			if (same_string(s->kubernetes_name, c->origin) &&
			    strcmp(s->spec.namespace_, c->service.namespace_) == 0 &&
			    !sluice_plan_find(w->plan, &s->spec) && plan_delete(w, s) < 0)
				return -EINVAL;
		}
	}
	return 0;
}

// --- slices

static int own_slices(struct sluice_planner *w)
{
	if (w->plan->has_slices)
		return 0;
	if (sluice_model_slices_copy(&w->plan->slices, &w->m->slices) < 0)
		return sluice_planner_no_memory(w->e);
	w->plan->has_slices = true;
	return 0;
}

// Every service of a Kubernetes Service takes its endpoints from slices anew (lost: from fewer).
static int plan_slice_users(struct sluice_planner *w, const char *namespace_, const char *service,
                            bool lost)
{
	for (size_t i = 0; i < w->m->service_count; i++) {
		struct sluice_model_service *s = w->m->services[i];

		if (same_string(s->kubernetes_name, service) &&
		    strcmp(s->spec.namespace_, namespace_) == 0 && !plan_touch(w, s))
			return sluice_planner_no_memory(w->e);
	}
	for (size_t i = 0; i < w->plan->count; i++) {
		const struct sluice_planned *p = &w->plan->services[i];

		if (p->draft && same_string(p->draft->kubernetes_name, service) &&
		    strcmp(p->draft->spec.namespace_, namespace_) == 0 &&
		    merge_slices(w, p, lost) < 0)
			return -EINVAL;
	}
	return 0;
}

static int put_slice(struct sluice_planner *w, const struct sluice_change *c)
{
	bool file = w->edit->kind == SLUICE_EDIT_FILE;
	uint64_t digest = file ? sluice_model_change_digest(c) : 0;
	bool changed;

	if (own_slices(w) < 0)
		return -EINVAL;
	size_t at = sluice_model_slices_find(&w->plan->slices, c->slice.namespace_, c->slice.name);

	if (at != SIZE_MAX) {
		const struct sluice_model_slice *old = w->plan->slices.items[at];

		if (file && old->digest == digest)
			return 0; // as at the last load
		// Its former Service loses what the slice gave.
		if (strcmp(old->slice->service, c->slice.service) != 0) {
			char *former = strdup(old->slice->service);
			int r = former ? sluice_model_slices_put(&w->plan->slices, &c->slice,
			                                         digest, &changed)
			               : -ENOMEM;

			w->plan->changed = true;
			r = r < 0 ? sluice_planner_no_memory(w->e)
			          : plan_slice_users(w, c->slice.namespace_, former, true);
			free(former);
			if (r < 0)
				return r;
		}
	}
	if (sluice_model_slices_put(&w->plan->slices, &c->slice, digest, &changed) < 0)
		return sluice_planner_no_memory(w->e);
	w->plan->changed |= changed;
	return plan_slice_users(w, c->slice.namespace_, c->slice.service, false);
}

// Whether the list has the slice.
static bool has_slice(const struct sluice_changes *changes, const struct sluice_slice *s)
{
	for (size_t i = 0; i < changes->count; i++) {
		const struct sluice_change *c = &changes->items[i];

		if (c->kind == SLUICE_CHANGE_SLICE && strcmp(c->slice.name, s->name) == 0 &&
		    strcmp(c->slice.namespace_, s->namespace_) == 0)
			return true;
	}
	return false;
}

// Slices of the file that it no longer has.
static int plan_lost_slices(struct sluice_planner *w)
{
	for (size_t i = 0; i < w->m->slices.count; i++) {
		const struct sluice_model_slice *s = w->m->slices.items[i];

		if (!s->digest || has_slice(w->edit->changes, s->slice))
			continue;
		if (own_slices(w) < 0)
			return -EINVAL;
		size_t at = sluice_model_slices_find(&w->plan->slices, s->slice->namespace_,
		                                     s->slice->name);

		sluice_model_slices_remove(&w->plan->slices, at);
		w->plan->changed = true;
		if (plan_slice_users(w, s->slice->namespace_, s->slice->service, true) < 0)
			return -EINVAL;
	}
	return 0;
}

// --- edits

static int plan_changes(struct sluice_planner *w)
{
	const struct sluice_changes *changes = w->edit->changes;
	bool file = w->edit->kind == SLUICE_EDIT_FILE;

	for (size_t i = 0; i < changes->count; i++) {
		if (changes->items[i].kind == SLUICE_CHANGE_SERVICE &&
		    plan_service(w, &changes->items[i]) < 0)
			return -EINVAL;
	}
	if (plan_lost_ports(w) < 0)
		return -EINVAL;
	for (size_t i = 0; file && i < w->m->service_count; i++) {
		struct sluice_model_service *s = w->m->services[i];

		if (s->origin == SLUICE_ORIGIN_FILE && !sluice_plan_find(w->plan, &s->spec) &&
		    plan_delete(w, s) < 0)
			return -EINVAL;
	}
	if (file && plan_lost_slices(w) < 0)
		return -EINVAL;
	for (size_t i = 0; i < changes->count; i++) {
		if (changes->items[i].kind == SLUICE_CHANGE_SLICE &&
		    put_slice(w, &changes->items[i]) < 0)
			return -EINVAL;
	}
	// New Kubernetes services, whose slices may have come before them.
	for (size_t i = 0; i < w->plan->count; i++) {
		const struct sluice_planned *p = &w->plan->services[i];

		if (p->draft && p->draft->kubernetes_name &&
		    (!p->live || !same_shape(p->live, p->draft)) && merge_slices(w, p, false) < 0)
			return -EINVAL;
	}
	return 0;
}

static struct sluice_model_service *named(struct sluice_planner *w)
{
	const struct sluice_service_name *name = w->edit->name;
	struct sluice_model_service *s = sluice_model_find(w->m, name->namespace_, name->name);

	if (!s)
		sluice_error_set(w->e, 404, "not_found", NULL, "there is no service %s/%s",
		                 name->namespace_, name->name);
	return s;
}

static int plan_removal(struct sluice_planner *w)
{
	struct sluice_model_service *s = named(w);

	if (!s || plan_delete(w, s) < 0)
		return -EINVAL;
	if (!s->kubernetes_name)
		return 0;
	for (size_t i = 0; i < w->m->service_count; i++) {
		const struct sluice_model_service *other = w->m->services[i];

		if (other != s && same_string(other->kubernetes_name, s->kubernetes_name) &&
		    strcmp(other->spec.namespace_, s->spec.namespace_) == 0)
			return 0; // another port of the Service uses the slices
	}
	if (own_slices(w) < 0)
		return -EINVAL;
	for (size_t i = w->plan->slices.count; i-- > 0;) {
		const struct sluice_slice *slice = w->plan->slices.items[i]->slice;

		if (strcmp(slice->service, s->kubernetes_name) == 0 &&
		    strcmp(slice->namespace_, s->spec.namespace_) == 0)
			sluice_model_slices_remove(&w->plan->slices, i);
	}
	return 0;
}

static int plan_endpoints(struct sluice_planner *w)
{
	struct sluice_model_service *s = named(w);
	const struct sluice_planned *p = s ? plan_touch(w, s) : NULL;

	if (!p)
		return s ? sluice_planner_no_memory(w->e) : -EINVAL;
	return draft_set_endpoints(w, p, w->edit->endpoints, w->edit->endpoint_count);
}

static int absent(struct sluice_planner *w, const char *list, const struct sluice_endpoint_spec *e,
                  const struct sluice_model_service *s)
{
	char text[SLUICE_ENDPOINT_TEXT];

	return sluice_planner_refuse(w, NULL, list, 404, "not_found",
	                             "%s is not an endpoint of %s/%s",
	                             sluice_endpoint_format(&e->address, e->port, text),
	                             s->spec.namespace_, s->spec.name);
}

// Changes endpoints that are there: state or weight.
static int patch_present(struct sluice_planner *w, struct sluice_model_service *d, const char *list,
                         const struct sluice_endpoint_list *items, bool drain)
{
	for (size_t i = 0; i < items->count; i++) {
		struct sluice_model_endpoint *e =
		        sluice_model_endpoint(d, &items->items[i].address, items->items[i].port);

		if (!e)
			return absent(w, list, &items->items[i], d);
		if (!drain) {
			e->spec.weight = items->items[i].weight;
			continue;
		}
		e->spec.state = SLUICE_STATE_DRAINING;
		if (!e->draining_since)
			e->draining_since = time(NULL);
	}
	return 0;
}

static bool listed(const struct sluice_endpoint_list *list, const struct sluice_endpoint_spec *e)
{
	return list->count &&
	       bsearch(e, list->items, list->count, sizeof(*list->items),
	               (int (*)(const void *, const void *))sluice_endpoint_spec_compare);
}

// The endpoints of the draft without those removed, merged with those added.
static int patch_list(struct sluice_planner *w, const struct sluice_planned *p)
{
	const struct sluice_endpoints_patch *patch = w->edit->patch;
	const struct sluice_model_service *d = p->draft;
	size_t n = 0, j = 0;
	struct sluice_endpoint_spec *specs =
	        calloc(d->endpoint_count + patch->add.count + 1, sizeof(*specs));

	if (!specs)
		return sluice_planner_no_memory(w->e);
	for (size_t i = 0; i < d->endpoint_count; i++) {
		const struct sluice_endpoint_spec *old = &d->endpoints[i].spec;

		while (j < patch->add.count &&
		       sluice_endpoint_spec_compare(&patch->add.items[j], old) < 0)
			specs[n++] = patch->add.items[j++];
		if (j < patch->add.count &&
		    sluice_endpoint_spec_compare(&patch->add.items[j], old) == 0)
			specs[n++] = patch->add.items[j++]; // it is there: weight and state
		else if (!listed(&patch->remove, old))
			specs[n++] = *old;
	}
	while (j < patch->add.count)
		specs[n++] = patch->add.items[j++];
	int r = draft_set_endpoints(w, p, specs, n);

	free(specs);
	return r;
}

static int plan_patch(struct sluice_planner *w)
{
	const struct sluice_endpoints_patch *patch = w->edit->patch;
	struct sluice_model_service *s = named(w);
	const struct sluice_planned *p = s ? plan_touch(w, s) : NULL;

	if (!p)
		return s ? sluice_planner_no_memory(w->e) : -EINVAL;
	for (size_t i = 0; i < patch->remove.count; i++) {
		const struct sluice_endpoint_spec *e = &patch->remove.items[i];

		if (!sluice_model_endpoint(s, &e->address, e->port))
			return absent(w, "remove", e, s);
	}
	if (patch_present(w, p->draft, "drain", &patch->drain, true) < 0 ||
	    patch_present(w, p->draft, "weight", &patch->weight, false) < 0)
		return -EINVAL;
	return patch_list(w, p);
}

// --- the whole

static bool same_endpoint(const struct sluice_model_endpoint *a,
                          const struct sluice_model_endpoint *b)
{
	return b->generation && sluice_endpoint_spec_compare(&a->spec, &b->spec) == 0 &&
	       a->spec.weight == b->spec.weight && a->spec.state == b->spec.state;
}

static bool same_target(const struct sluice_service_spec *a, const struct sluice_service_spec *b)
{
	return sluice_address_equal(&a->address, &b->address) && a->port == b->port &&
	       a->protocol == b->protocol && a->node_port == b->node_port;
}

static bool same_service(const struct sluice_model_service *a, const struct sluice_model_service *b)
{
	const struct sluice_service_spec *x = &a->spec, *y = &b->spec;

	if (!same_target(x, y) || x->target_port != y->target_port ||
	    !sluice_service_spec_same_options(x, y) || a->origin != b->origin ||
	    a->digest != b->digest || !same_string(a->kubernetes_name, b->kubernetes_name) ||
	    !same_string(a->port_name, b->port_name) || a->endpoint_count != b->endpoint_count)
		return false;
	for (size_t i = 0; i < a->endpoint_count; i++) {
		if (!same_endpoint(&a->endpoints[i], &b->endpoints[i]))
			return false;
	}
	return true;
}

// What happens to each service, and how many endpoints come and go.
static int classify(struct sluice_planner *w, size_t *added, size_t *removed)
{
	*added = *removed = 0;
	for (size_t i = 0; i < w->plan->count; i++) {
		struct sluice_planned *p = &w->plan->services[i];
		size_t kept = 0;

		if (p->live && w->edit->has_if_match && p->live->changed > w->edit->if_match)
			return sluice_planner_refuse(w, p, "", 409, "conflict",
			                             "service %s/%s changed in generation %lu",
			                             p->live->spec.namespace_, p->live->spec.name,
			                             p->live->changed);
		if (!p->live && w->edit->has_if_match)
			return sluice_planner_refuse(
			        w, p, "", 409, "conflict", "there is no service %s/%s",
			        p->draft->spec.namespace_, p->draft->spec.name);
		for (size_t j = 0; p->draft && j < p->draft->endpoint_count; j++)
			kept += p->draft->endpoints[j].generation != 0;
		*added += p->draft ? p->draft->endpoint_count - kept : 0;
		*removed += p->live ? p->live->endpoint_count - kept : 0;
		p->change = !p->draft                         ? SLUICE_DELETED
		            : !p->live                        ? SLUICE_CREATED
		            : same_service(p->live, p->draft) ? SLUICE_UNCHANGED
		                                              : SLUICE_UPDATED;
		w->plan->changed |= p->change != SLUICE_UNCHANGED;
		w->plan->relations |= p->change == SLUICE_CREATED ||
		                      (p->change == SLUICE_UPDATED &&
		                       !same_target(&p->live->spec, &p->draft->spec));
		if (p->draft && sluice_endpoints_fit(p->draft->endpoint_count,
		                                     p->draft->spec.table_size, w->e) < 0)
			return -EINVAL;
		if (p->draft && sluice_planner_server_ids(w, p) < 0)
			return -EINVAL;
	}
	return 0;
}

// The model's services as the commit leaves them, sorted: live ones, and drafts of new ones.
static int list_after(struct sluice_planner *w)
{
	struct sluice_model_plan *plan = w->plan;
	size_t i = 0, j = 0, n = 0;
	struct sluice_model_service **after =
	        calloc(w->m->service_count + plan->count + 1, sizeof(void *));

	if (!after)
		return sluice_planner_no_memory(w->e);
	while (i < w->m->service_count || j < plan->count) {
		struct sluice_planned *p = j < plan->count ? &plan->services[j] : NULL;
		struct sluice_model_service *s = i < w->m->service_count ? w->m->services[i] : NULL;
		int order = !s   ? 1
		            : !p ? -1
		                 : sluice_service_spec_compare(&s->spec, planned_spec(p));

		if (order < 0 || (p && p->change != SLUICE_DELETED))
			after[n++] = order <= 0 ? s : p->draft;
		i += order <= 0;
		j += order >= 0;
	}
	plan->after = after;
	plan->after_count = n;
	if (n < SLUICE_SERVICES_MAX)
		return 0;
	return sluice_error_set(w->e, 422, "too_many", NULL, "more than %d services",
	                        SLUICE_SERVICES_MAX - 1);
}

static int grow(void **array, size_t *capacity, size_t count, size_t size)
{
	size_t wanted = *capacity ? *capacity : 16;

	while (wanted < count)
		wanted *= 2;
	if (wanted == *capacity)
		return 0;
	void *p = realloc(*array, wanted * size);

	if (!p)
		return -ENOMEM;
	*array = p;
	*capacity = wanted;
	return 0;
}

// All that the commit will need, so that it cannot fail.
static int reserve(struct sluice_planner *w, size_t added, size_t removed)
{
	struct sluice_model *m = w->m;
	int r = sluice_slots_reserve(&m->slots, added, sluice_model_now_ms());

	if (r == -ENOSPC)
		return sluice_error_set(w->e, 422, "too_many", "endpoints",
		                        "%zu more endpoints do not fit: %u at most on a host",
		                        added, m->slots.limit);
	if (r == -EAGAIN)
		return sluice_error_set(w->e, 503, "busy", "endpoints",
		                        "endpoints that were removed just now are still counted; "
		                        "try again in %d s",
		                        SLUICE_SLOT_QUARANTINE_MS / 1000);
	void *retired = m->retired, *gone = m->gone;

	if (!r)
		r = grow(&retired, &m->retired_capacity, m->retired_count + removed,
		         sizeof(*m->retired));
	if (!r)
		r = grow(&gone, &m->gone_capacity, m->gone_count + w->plan->count, sizeof(void *));
	m->retired = retired;
	m->gone = gone;
	return r < 0 ? sluice_planner_no_memory(w->e) : 0;
}

static int plan_edit(struct sluice_planner *w)
{
	switch (w->edit->kind) {
	case SLUICE_EDIT_APPLY:
	case SLUICE_EDIT_FILE:
		return plan_changes(w);
	case SLUICE_EDIT_DELETE:
		return plan_removal(w);
	case SLUICE_EDIT_ENDPOINTS:
		return plan_endpoints(w);
	case SLUICE_EDIT_PATCH:
		return plan_patch(w);
	}
	return -EINVAL;
}

int sluice_model_plan(struct sluice_model *m, const struct sluice_edit *edit,
                      struct sluice_model_plan *plan, struct sluice_error *e)
{
	struct sluice_planner w = {.m = m, .edit = edit, .plan = plan, .e = e};
	size_t added, removed;

	*plan = (struct sluice_model_plan){0};
	if (plan_edit(&w) < 0 || classify(&w, &added, &removed) < 0 || list_after(&w) < 0 ||
	    (plan->relations && sluice_planner_claims(&w) < 0) || reserve(&w, added, removed) < 0) {
		sluice_model_plan_clear(plan);
		return -EINVAL;
	}
	return 0;
}

void sluice_model_plan_clear(struct sluice_model_plan *plan)
{
	for (size_t i = 0; i < plan->count; i++)
		sluice_model_service_free(plan->services[i].draft);
	free(plan->services);
	free(plan->after);
	if (plan->has_slices)
		sluice_model_slices_clear(&plan->slices);
	*plan = (struct sluice_model_plan){0};
}
