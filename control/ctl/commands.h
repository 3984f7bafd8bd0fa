// SPDX-License-Identifier: BSD-3-Clause
#pragma once

// The commands, as data: a new one is a row in commands.c and its handler.

#include <stddef.h>
#include <stdio.h>

#include "control/ctl/ctl.h"

struct sluice_command {
	const char *verb;
	const char *noun;      // NULL: the verb stands alone
	const char *aliases;   // other words for the noun, each followed by a space; or NULL
	const char *arguments; // "NAME ADDR:PORT..."; NULL: none
	int arguments_min, arguments_max;
	unsigned options; // groups it takes besides SLUICE_OPTION_ANY
	const char *help;
	const char *details; // paragraphs for the command's own help; NULL: none
	sluice_ctl_handler *run;
};

enum {
	SLUICE_ARGUMENTS_ANY = 1 << 20, // arguments_max of the lists
};

// The command that words begin with, and how many of them are its own; NULL with a complaint.
const struct sluice_command *sluice_command_find(int count, char **words, int *own);

// Everything, or what belongs to the command or (where only a verb is given) to the verb's
// commands.
void sluice_command_help(FILE *out, int count, char **words);

// "sluicectl get services [NAME]"
void sluice_command_usage(FILE *out, const struct sluice_command *command);
