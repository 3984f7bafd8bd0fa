// SPDX-License-Identifier: BSD-3-Clause
#pragma once

// The services there are now. Every source of truth (file, API, saved state) changes them through
// the same calls, all or nothing. Control thread only.
//
// A change has two steps: a plan, which checks everything on drafts and touches nothing, and its
// commit, which cannot fail. Slots of endpoints that a commit removed stay theirs until
// sluice_model_reclaim() says that no worker uses a snapshot with them any more.

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "control/error.h"
#include "control/events.h"
#include "control/service_spec.h"
#include "control/slots.h"

struct sluice_change; // control/change.h: what a document asks for
struct sluice_model_slices;

// Packets, bytes and flows placed, as counted by the workers.
struct sluice_traffic {
	uint64_t in_packets, in_bytes;
	uint64_t out_packets, out_bytes;
	uint64_t connections;
};

// An endpoint of a service, with the slot it keeps for life.
struct sluice_model_endpoint {
	struct sluice_endpoint_spec spec;
	uint32_t slot;              // index into snapshot endpoints and counters
	uint16_t generation;        // the slot's, never 0
	time_t since;               // when it was added (wall clock)
	time_t draining_since;      // 0: active
	struct sluice_traffic base; // what the slot's counters said when it was taken
};

// Who wrote the service. A file's service goes when the file no longer has it.
enum sluice_origin {
	SLUICE_ORIGIN_API,
	SLUICE_ORIGIN_FILE,
};

// The object lives, at one address, as long as the service does, and after its removal until it
// is reclaimed.
struct sluice_model_service {
	struct sluice_service_spec spec; // spec.endpoints unused: they stand below
	uint32_t id;                     // stable for the service's life, > 0
	time_t since;
	size_t endpoint_count;
	struct sluice_model_endpoint *endpoints; // sorted by (address, port)
	void *compiled; // compile's: the Maglev table of the last compilation, and what it was of

	uint64_t changed; // the model's generation that last changed it
	enum sluice_origin origin;
	uint64_t digest;               // of the file's text that it was last set from; 0: none
	struct sluice_traffic retired; // counted by endpoints that are gone and reclaimed
	struct sluice_events events;
	char *saved_text; // state's: the service as it stands in the file; NULL: to be written
	size_t saved_len;
};

// An endpoint that was removed, until no worker knows its slot.
struct sluice_model_retired {
	uint32_t slot;
	uint32_t service;    // id, perhaps of a service that is gone
	uint64_t generation; // the model's, of the change that removed it
	struct sluice_traffic base;
};

// What the model asks of others; any may be NULL.
struct sluice_model_hooks {
	void *context;
	// Sum over the workers of a slot's counters.
	void (*read_slot)(void *context, uint32_t slot, struct sluice_traffic *out);
	// Frees a service's compiled, when no worker uses it.
	void (*free_compiled)(void *context, void *compiled);
};

struct sluice_model {
	size_t service_count;
	struct sluice_model_service **services; // sorted by (namespace, name)

	// Goes up by one with each commit that changed something, and with sluice_model_advance().
	// The snapshot compiled from the model has it as its generation.
	uint64_t generation;
	uint32_t next_service_id;
	struct sluice_slots slots;
	struct sluice_frontends frontends;  // compile asks for ids, before the state is saved
	struct sluice_model_slices *slices; // Kubernetes EndpointSlices by service
	size_t retired_count, retired_capacity;
	struct sluice_model_retired *retired; // in order of generation
	size_t gone_count;
	struct sluice_model_service **gone; // removed, not yet reclaimed; changed says when
	struct sluice_model_hooks hooks;
};

int sluice_model_init(struct sluice_model *m, const struct sluice_model_hooks *hooks);
void sluice_model_free(struct sluice_model *m);

// The service or NULL.
struct sluice_model_service *sluice_model_find(const struct sluice_model *m, const char *namespace_,
                                               const char *name);
struct sluice_model_service *sluice_model_find_id(const struct sluice_model *m, uint32_t id);

// The endpoint or NULL. port in host byte order.
struct sluice_model_endpoint *sluice_model_endpoint(const struct sluice_model_service *s,
                                                    const struct sluice_address *a, uint16_t port);

// A new generation for a publication without a change of services (the kernel's tables changed).
uint64_t sluice_model_advance(struct sluice_model *m);

// Changes that cannot go wrong half-way.
struct sluice_model_options {
	enum sluice_origin origin;
	bool has_if_match; // refuse with 409 where a named service changed after if_match
	uint64_t if_match;
};

enum sluice_planned_change {
	SLUICE_UNCHANGED,
	SLUICE_CREATED,
	SLUICE_UPDATED,
	SLUICE_DELETED,
};

struct sluice_planned {
	enum sluice_planned_change change;
	struct sluice_model_service *live;  // NULL: created
	struct sluice_model_service *draft; // NULL: deleted; endpoints without a slot yet have
	                                    // generation 0
};

// What changes would do; one entry per service they touch, sorted by (namespace, name).
struct sluice_model_plan {
	size_t count, capacity;
	struct sluice_planned *services;
	struct sluice_model_slices *slices; // replace the model's; NULL: as they are
	bool changed;                       // any entry is not unchanged
};

// Checks changes[0..n) in order on drafts. 0, or -EINVAL with *e filled and *plan empty.
// The plan is good until the model changes.
int sluice_model_plan(struct sluice_model *m, const struct sluice_change *changes, size_t n,
                      const struct sluice_model_options *options, struct sluice_model_plan *plan,
                      struct sluice_error *e);

// Makes it so: slots are taken, events noted, generation advanced (unless nothing changes).
void sluice_model_commit(struct sluice_model *m, struct sluice_model_plan *plan);
void sluice_model_plan_clear(struct sluice_model_plan *plan);

// Plan and commit in one.
int sluice_model_apply(struct sluice_model *m, const struct sluice_change *changes, size_t n,
                       const struct sluice_model_options *options, struct sluice_error *e);

// The services of the configuration file, at start and at reload: file services that are no
// longer there go; one whose text is as at the last load keeps what the API made of it since.
int sluice_model_load_file(struct sluice_model *m, const struct sluice_service_spec *services,
                           size_t n, struct sluice_error *e);

// No worker uses a snapshot older than generation: slots and services that were removed up to
// then are freed, their counters kept with the service.
void sluice_model_reclaim(struct sluice_model *m, uint64_t generation);

// Monotonic milliseconds, the clock of slots and frontends.
uint64_t sluice_model_now_ms(void);
