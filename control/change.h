// SPDX-License-Identifier: BSD-3-Clause
#pragma once

// What documents ask for: services, and slices of Kubernetes services' endpoints. The native form
// and Kubernetes' both end here; the model applies a list of changes, all or nothing.

#include "control/document.h"
#include "control/error.h"
#include "control/kubernetes.h"
#include "control/service_spec.h"

enum sluice_change_kind {
	SLUICE_CHANGE_SERVICE, // there is this service
	SLUICE_CHANGE_SLICE,   // there is this slice, in place of the one of the same name
};

struct sluice_change {
	enum sluice_change_kind kind;
	// Where it came from, for errors that are found later: "services[3]", "spec.ports[0]", or
	// "" for a whole document; lines are 0 where unknown.
	char *path;
	unsigned line, name_line, port_line, node_port_line;

	// SERVICE. A Kubernetes Service becomes one of these for each of its ports and virtual
	// addresses, all with its name as origin, and without endpoints: those come from slices
	// (same namespace, slice.service = origin, port name = port_name). A service of the same
	// namespace and origin that the list no longer has is gone.
	struct sluice_service_spec service;
	char *origin;    // NULL: native
	char *port_name; // "" where the port has no name; NULL: native

	struct sluice_slice slice; // SLICE; its Service may come later, or never
};

struct sluice_changes {
	size_t count, capacity;
	struct sluice_change *items;
	char source[128]; // of the documents, for errors
};

// Reads documents as POST /v1/apply takes them: a service, a list of services, {services: [...]},
// and Kubernetes objects. Names, virtual addresses and node ports must not clash within the
// list. On error *out is empty, *err filled (400, 422, 503) and the return value negative.
int sluice_changes_read(const struct sluice_documents *documents, struct sluice_changes *out,
                        struct sluice_error *err);
void sluice_changes_clear(struct sluice_changes *changes);

// Parts of the above, for the configuration. Each appends what it read.
int sluice_changes_add_native(struct sluice_changes *changes, const struct sluice_node *service,
                              struct sluice_error *err);
int sluice_changes_add_kubernetes(struct sluice_changes *changes, const struct sluice_node *object,
                                  struct sluice_error *err);
int sluice_changes_add_services(struct sluice_changes *changes, const struct sluice_node *list,
                                struct sluice_error *err);
// Appends an empty change that remembers the node's place. NULL: out of memory (*err filled).
struct sluice_change *sluice_changes_append(struct sluice_changes *changes,
                                            const struct sluice_node *node,
                                            struct sluice_error *err);

// sluice_error_set with the change's place; key (may be NULL): "port", "nodePort" or "name".
__attribute__((format(printf, 7, 8))) int
sluice_change_error(const struct sluice_changes *changes, const struct sluice_change *change,
                    const char *key, struct sluice_error *err, int status, const char *code,
                    const char *format, ...);

// Clashes within the list: names, VIP:port, node ports, slices. 422 "conflict".
int sluice_changes_check(const struct sluice_changes *changes, struct sluice_error *err);
