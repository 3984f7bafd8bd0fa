// SPDX-License-Identifier: BSD-3-Clause
#pragma once

// What went through the endpoints of a service.

#include <jansson.h>
#include <stddef.h>
#include <stdio.h>

// How many endpoints of a list take new connections, and how many drain.
size_t sluice_traffic_selectable(const json_t *endpoints);
size_t sluice_traffic_draining(const json_t *endpoints);

// The table of one service's endpoints, each line after indent.
void sluice_traffic_print(const json_t *endpoints, const char *indent, FILE *out);

// The table of all endpoints of {"services": [...]}, with columns for the service.
void sluice_traffic_print_all(const json_t *services, FILE *out);
