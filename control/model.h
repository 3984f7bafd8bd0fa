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

struct sluice_snat_pool; // dataplane/snat_table.h
struct sluice_changes;   // control/change.h: what documents ask for
struct sluice_slice;     // control/kubernetes.h

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
	uint64_t digest;               // of what the file said of it at the last load; 0: nothing
	char *kubernetes_name;         // of the Service it came from; NULL: native
	char *port_name;               // its name of this port; "" where unnamed, NULL: native
	struct sluice_traffic retired; // counted by endpoints that are gone and reclaimed
	struct sluice_events events;
	char *saved_text; // state's: the service as it stands in the file; NULL: to be written
	size_t saved_len;
};

// A Kubernetes slice that is kept for its service, which may come later, or never. Never changed
// once made; shared by the model and plans.
struct sluice_model_slice {
	struct sluice_slice *slice;
	uint64_t digest; // of the file's slice that it was last set from; 0: not of the file
	char *text;      // as a document, for the state
	size_t text_len;
	unsigned references;
};

struct sluice_model_slices {
	size_t count, capacity;
	struct sluice_model_slice **items; // sorted by (namespace, name)
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
	struct sluice_frontends frontends; // compile asks for ids, before the state is saved
	struct sluice_model_slices slices;
	size_t retired_count, retired_capacity;
	struct sluice_model_retired *retired; // in order of generation
	size_t gone_count, gone_capacity;
	struct sluice_model_service **gone; // removed, not yet reclaimed; changed says when
	struct sluice_model_hooks hooks;
	const struct sluice_snat_pool *snat; // of the configuration; NULL: none
};

int sluice_model_init(struct sluice_model *m, const struct sluice_model_hooks *hooks);
void sluice_model_free(struct sluice_model *m);

// At the start, when the saved services and the file's are known: how they are forwarded follows
// the configuration's SNAT addresses, which the state does not have. -EINVAL: *e names one that
// can't be.
int sluice_model_settle(struct sluice_model *m, struct sluice_error *e);

// The service or NULL.
struct sluice_model_service *sluice_model_find(const struct sluice_model *m, const char *namespace_,
                                               const char *name);
struct sluice_model_service *sluice_model_find_id(const struct sluice_model *m, uint32_t id);

// The endpoint or NULL. port in host byte order.
struct sluice_model_endpoint *sluice_model_endpoint(const struct sluice_model_service *s,
                                                    const struct sluice_address *a, uint16_t port);

// A new generation for a publication without a change of services (the kernel's tables changed).
uint64_t sluice_model_advance(struct sluice_model *m);

// What one call asks for.
enum sluice_edit_kind {
	SLUICE_EDIT_APPLY,  // services and slices, as documents say
	SLUICE_EDIT_FILE,   // the same, being all that the configuration file has (start, reload)
	SLUICE_EDIT_DELETE, // a service
	SLUICE_EDIT_ENDPOINTS, // all of a service's endpoints
	SLUICE_EDIT_PATCH,     // some of them
};

// In FILE, services of the file that are no longer in it go, and one whose text is as at the last
// load keeps what the API made of it since. Pointers are only read during the call.
struct sluice_edit {
	enum sluice_edit_kind kind;
	bool has_if_match; // refuse with 409 where a named service changed after generation
	                   // if_match
	uint64_t if_match;

	const struct sluice_changes *changes;         // APPLY, FILE
	const struct sluice_service_name *name;       // the others
	const struct sluice_endpoint_spec *endpoints; // ENDPOINTS: sorted, no two alike
	size_t endpoint_count;
	const struct sluice_endpoints_patch *patch; // PATCH
};

enum sluice_planned_change {
	SLUICE_UNCHANGED,
	SLUICE_CREATED,
	SLUICE_UPDATED,
	SLUICE_DELETED,
};

struct sluice_planned {
	enum sluice_planned_change change;
	struct sluice_model_service *live; // NULL: created
	struct sluice_model_service
	        *draft;   // NULL: deleted. Endpoints that it adds have generation 0
	const char *path; // in the document, and its line: for errors
	unsigned line;
};

// What an edit would do: one entry for each service it touches, sorted by (namespace, name).
struct sluice_model_plan {
	size_t count, capacity;
	struct sluice_planned *services;
	bool changed;   // something is not as it was
	bool relations; // an address, a port or a node port is new: others must be looked at
	bool has_slices;
	struct sluice_model_slices slices; // replace the model's
	size_t after_count;
	struct sluice_model_service **after; // the model's services when committed
};

// Checks everything. 0, or -EINVAL with *e filled and *plan empty. The plan is good until the
// model changes.
int sluice_model_plan(struct sluice_model *m, const struct sluice_edit *edit,
                      struct sluice_model_plan *plan, struct sluice_error *e);

// Makes it so: slots are taken, events noted, the generation goes up (unless nothing changed).
// The plan stays for reading what was done, but for its drafts.
void sluice_model_commit(struct sluice_model *m, struct sluice_model_plan *plan);
void sluice_model_plan_clear(struct sluice_model_plan *plan);

// Plan and commit in one. Returns 1 where something changed, 0 where not, or -EINVAL.
int sluice_model_apply(struct sluice_model *m, const struct sluice_edit *edit,
                       struct sluice_error *e);

// No worker uses a snapshot older than generation: slots and services that were removed up to
// then are freed, their counters kept with the service.
void sluice_model_reclaim(struct sluice_model *m, uint64_t generation);

// Monotonic milliseconds, the clock of slots and frontends.
uint64_t sluice_model_now_ms(void);
