// SPDX-License-Identifier: BSD-3-Clause
#pragma once

// The words that stand for a service's choices, known to the readers of both forms.

#include "control/fields.h"

extern const struct sluice_name sluice_protocol_names[];
extern const struct sluice_name sluice_forwarding_names[];
extern const struct sluice_name sluice_affinity_names[];
extern const struct sluice_name sluice_traffic_policy_names[];
extern const struct sluice_name sluice_on_empty_names[];
extern const struct sluice_name sluice_endpoint_state_names[];

sluice_field_reader sluice_read_service_name;   // char *
sluice_field_reader sluice_read_namespace_name; // char *
sluice_field_reader sluice_read_protocol;       // uint8_t

// What is wrong with a name or namespace ("may only have ..."), or NULL.
const char *sluice_service_name_problem(const char *text);
const char *sluice_namespace_name_problem(const char *text);
