// SPDX-License-Identifier: BSD-3-Clause
#pragma once

// What the files of the model share: services as objects, and the set of slices.

#include "control/change.h"
#include "control/model.h"

// An empty one with copies of the names, or NULL.
struct sluice_model_service *sluice_model_service_new(void);

// A service's draft from a document, with no endpoints yet. NULL: out of memory.
struct sluice_model_service *sluice_model_service_from(const struct sluice_change *c);

// A copy with the same slots, but without events, counters and compiled; or NULL.
struct sluice_model_service *sluice_model_service_draft(const struct sluice_model_service *live);

// Frees all but compiled, which is not the model's.
void sluice_model_service_free(struct sluice_model_service *s);

// Whether all endpoints of a service could be those of spec: -EINVAL with *err, its path the key of
// the service that they don't go with.
int sluice_model_endpoints_suit(const struct sluice_model_service *s,
                                const struct sluice_service_spec *spec, struct sluice_error *err);

// Where the service is or would be; *found says which.
size_t sluice_model_position(const struct sluice_model *m, const char *namespace_, const char *name,
                             bool *found);

// Sets; another reference to each slice.
int sluice_model_slices_copy(struct sluice_model_slices *to,
                             const struct sluice_model_slices *from);
void sluice_model_slices_clear(struct sluice_model_slices *set);

// The position of a slice or SIZE_MAX.
size_t sluice_model_slices_find(const struct sluice_model_slices *set, const char *namespace_,
                                const char *name);

// Puts a copy of the slice in place of the one of its name. *changed: it is not what was there.
// -ENOMEM.
int sluice_model_slices_put(struct sluice_model_slices *set, const struct sluice_slice *slice,
                            uint64_t digest, bool *changed);
void sluice_model_slices_remove(struct sluice_model_slices *set, size_t i);

// The endpoints that a set gives to a service (kubernetes_name, port_name); *any: it has slices.
int sluice_model_slices_merge(const struct sluice_model_slices *set,
                              const struct sluice_model_service *service, bool *any,
                              struct sluice_endpoint_spec **out, size_t *count);

// Digests of what a file says, never 0.
uint64_t sluice_model_digest(const char *text, size_t len);
uint64_t sluice_model_change_digest(const struct sluice_change *change);

// An edit on its way to a plan.
struct sluice_planner {
	struct sluice_model *m;
	const struct sluice_edit *edit;
	struct sluice_model_plan *plan;
	struct sluice_error *e;
};

int sluice_planner_no_memory(struct sluice_error *e);

// An error about what a document said of a service (p may be NULL), at key within it. -EINVAL.
__attribute__((format(printf, 6, 7))) int
sluice_planner_refuse(struct sluice_planner *w, const struct sluice_planned *p, const char *key,
                      int status, const char *code, const char *format, ...);

// The plan's entry of a service or NULL.
struct sluice_planned *sluice_plan_find(const struct sluice_model_plan *plan,
                                        const struct sluice_service_spec *s);

// Refuses an address and port, or a node port, that two services would have.
int sluice_planner_claims(struct sluice_planner *w);

// Refuses two endpoints of a service that have the same server id.
int sluice_planner_server_ids(struct sluice_planner *w, const struct sluice_planned *p);
