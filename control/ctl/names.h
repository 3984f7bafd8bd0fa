// SPDX-License-Identifier: BSD-3-Clause
#pragma once

// What people name things with on the command line.

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "control/ctl/ctl.h"

// A service, by the argument NAME and -n.
struct sluice_name {
	char full[520];  // "namespace/name", for people
	char path[1600]; // "/v1/services/namespace/name", escaped
};

// Reads "name" or "namespace/name"; complains and answers USAGE where it is neither.
enum sluice_ctl_exit sluice_name_read(const struct sluice_ctl *ctl, const char *text,
                                      struct sluice_name *name);

// "ADDR:PORT", "[ADDR6]:PORT", and "=WEIGHT" behind it where weight_allowed, as
// {"ip", "port"[, "weight"]}. NULL, with a complaint, where it is none.
json_t *sluice_endpoint_read(const char *text, bool weight_allowed);
