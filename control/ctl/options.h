// SPDX-License-Identifier: BSD-3-Clause
#pragma once

// The options, as data: the command line, --help and the checks read one table.

#include <stdbool.h>
#include <stddef.h>

#include "control/ctl/ctl.h"

enum {
	SLUICE_OPTION_NAMESPACE = 1 << 0,
	SLUICE_OPTION_FILE = 1 << 1,
	SLUICE_OPTION_ANY = 1 << 2, // every command takes it
};

struct sluice_option {
	char letter;    // 0: none
	unsigned group; // one of SLUICE_OPTION_*
	const char *name;
	const char *argument; // NULL: takes none
	const char *help;
	// NULL, or what is wrong with the argument.
	const char *(*set)(struct sluice_ctl *ctl, const char *argument);
};

extern const struct sluice_option sluice_options[];
extern const size_t sluice_option_count;

// Reads the options out of the command line, wherever they stand, and moves the other words to its
// front. *given gets the groups that were used, *words the number of other words, from argv[1] on.
// Complains and answers USAGE where an option is wrong.
enum sluice_ctl_exit sluice_options_read(struct sluice_ctl *ctl, int argc, char **argv,
                                         unsigned *given, int *words);
