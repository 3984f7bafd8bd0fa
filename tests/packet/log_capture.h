// SPDX-License-Identifier: BSD-3-Clause
#pragma once

// In the place of control/log.c: keeps what is logged, so that tests can read it. Lines that are
// not asked for are shown when LOG_CAPTURE_SHOW is set.

#include <stdbool.h>

void log_capture_clear(void);

// Was a line with this text logged since the last clear?
bool log_capture_has(const char *text);
