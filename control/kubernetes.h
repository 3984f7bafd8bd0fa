// SPDX-License-Identifier: BSD-3-Clause
#pragma once

// Kubernetes' v1/Service, discovery.k8s.io/v1 EndpointSlice, v1/Endpoints and lists of them, as
// kubectl prints them. Keys that we do not read are none of our business; what we read must be
// of the right type. change.h is the way in (sluice_changes_add_kubernetes).

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "control/service_spec.h"
#include "sluice/types.h"

// A port of a slice. An EndpointSlice has one subset, 0; an Endpoints object may have several,
// each with ports of its own.
struct sluice_slice_port {
	char *name;    // "" where it has none
	uint16_t port; // host byte order; 0: none given, the service's target port counts
	uint8_t protocol;
	uint32_t subset;
};

struct sluice_slice_endpoint {
	struct sluice_address address;
	uint32_t subset;
	bool ready, serving, terminating;
};

// One EndpointSlice, or one Endpoints object (whose name is then "Endpoints/NAME", which no slice
// can have). Owns all it points to. Ports and endpoints are in the order of their subsets.
struct sluice_slice {
	char *namespace_;
	char *name;
	char *service; // name of the Service it belongs to
	size_t port_count;
	struct sluice_slice_port *ports;
	size_t endpoint_count;
	struct sluice_slice_endpoint *endpoints;
};

void sluice_slice_clear(struct sluice_slice *slice);
int sluice_slice_copy(struct sluice_slice *to, const struct sluice_slice *from); // 0, -ENOMEM

// A Kubernetes object says so by apiVersion or kind.
bool sluice_kubernetes_is(const json_t *document);

// The endpoints that slices (all of one Service) give to a port of it, of the address's family.
// An endpoint that stands in several slices counts once, with the best it has. Ready ones are
// active, serving ones that terminate are draining; when none is ready, the serving ones that
// terminate are active. All others are left out. Sorted by (address, port), weight 1; *out: free
// with free(3), NULL where there are none. Returns 0, -ENOMEM, or -E2BIG (more than 65535).
// service: family, protocol and target port are read. port_name: "" where unnamed.
int sluice_slices_merge(const struct sluice_slice *const *slices, size_t slice_count,
                        const struct sluice_service_spec *service, const char *port_name,
                        struct sluice_endpoint_spec **out, size_t *count);

// The slice as a document that is read back as the same slice: an EndpointSlice, or Endpoints.
// For the saved state. The caller owns the reference; NULL: out of memory.
json_t *sluice_slice_write(const struct sluice_slice *slice);
