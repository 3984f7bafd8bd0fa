// SPDX-License-Identifier: BSD-3-Clause
#pragma once

// What the readers of Services (kubernetes.c) and of slices (slice.c) share.

#include "control/fields.h"
#include "control/kubernetes.h"

#define SLUICE_FOREIGN_TABLE(array)                                                                \
	{                                                                                          \
		.fields = (array), .count = sizeof(array) / sizeof((array)[0]), .foreign = true    \
	}

struct sluice_kubernetes_metadata {
	char *name, *namespace_; // owned; namespace "default" where there is none
	json_t *labels;          // borrowed; NULL: none
};

sluice_field_reader sluice_kubernetes_metadata_read;  // struct sluice_kubernetes_metadata
sluice_field_reader sluice_kubernetes_port_name_read; // char *, NULL where empty

void sluice_kubernetes_metadata_clear(struct sluice_kubernetes_metadata *metadata);

// An EndpointSlice; an Endpoints object. *out must be zero and is to be cleared by the caller,
// also on error.
int sluice_kubernetes_slice_read(const struct sluice_node *object, struct sluice_slice *out,
                                 struct sluice_error *err);
int sluice_kubernetes_endpoints_read(const struct sluice_node *object, struct sluice_slice *out,
                                     struct sluice_error *err);
