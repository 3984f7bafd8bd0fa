// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stddef.h>

// The word of the list that was probably meant; NULL where none is near. Entries may be NULL.
const char *sluice_suggest(const char *word, const char *const *list, size_t count);
