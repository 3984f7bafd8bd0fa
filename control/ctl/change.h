// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <jansson.h>

// " (generation 7, live on all workers in 412us, 16384 rows moved)", or ", unchanged (generation
// 7)", and a line's end on stdout, of the answer to a change.
void sluice_change_print(const json_t *answer);

// "4 endpoints", "1 endpoint, 1 draining" on stdout.
void sluice_change_print_endpoints(size_t count, size_t draining);
