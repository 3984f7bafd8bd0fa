// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <jansson.h>
#include <stdio.h>

// Writes value as a YAML document that reads back as the same value. 0, or -EIO.
int sluice_yaml_write(const json_t *value, FILE *out);
