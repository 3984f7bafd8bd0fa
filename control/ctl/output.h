// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <jansson.h>

#include "control/ctl/ctl.h"

// Prints value on stdout in the format of -o, which must not be table.
enum sluice_ctl_exit sluice_output_value(const struct sluice_ctl *ctl, const json_t *value);
