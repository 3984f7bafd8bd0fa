// SPDX-License-Identifier: BSD-3-Clause
#pragma once

// What went through the endpoints of a service.

#include <jansson.h>
#include <stdint.h>
#include <stdio.h>

struct sluice_traffic_total {
	size_t selectable; // endpoints that take new connections
	size_t draining;
	uint64_t flows, connections;
};

struct sluice_traffic_total sluice_traffic_add_up(const json_t *endpoints);

// The table of one service's endpoints, each line after indent.
void sluice_traffic_print(const json_t *endpoints, const char *indent, FILE *out);

// The table of all endpoints of {"services": [...]}, with columns for the service.
void sluice_traffic_print_all(const json_t *services, FILE *out);
