// SPDX-License-Identifier: BSD-3-Clause
// sluicectl: asks the daemon over its UNIX socket, and shows the answer.
#include <errno.h>
#include <locale.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/ctl/client.h"
#include "control/ctl/commands.h"
#include "control/ctl/ctl.h"
#include "control/ctl/options.h"

void sluice_ctl_complain(const char *format, ...)
{
	va_list list;

	fputs("sluicectl: ", stderr);
	va_start(list, format);
	vfprintf(stderr, format, list);
	va_end(list);
	fputc('\n', stderr);
}

static enum sluice_ctl_exit check_usage(const struct sluice_command *command, int count,
                                        unsigned given)
{
	unsigned stray = given & ~(command->options | SLUICE_OPTION_ANY);

	if (count < command->arguments_min) {
		sluice_ctl_complain("an argument is missing");
	} else if (count > command->arguments_max) {
		sluice_ctl_complain("too many arguments");
	} else if (stray != 0) {
		for (size_t i = 0; i < sluice_option_count; i++)
			if ((sluice_options[i].group & stray) != 0)
				sluice_ctl_complain("option --%s has no place here",
				                    sluice_options[i].name);
	} else {
		return SLUICE_CTL_DONE;
	}
	sluice_command_usage(stderr, command);
	return SLUICE_CTL_USAGE;
}

static enum sluice_ctl_exit run(struct sluice_ctl *ctl, int count, char **words, unsigned given)
{
	const struct sluice_command *command;
	enum sluice_ctl_exit result;
	int own;

	command = sluice_command_find(count, words, &own);
	if (command == NULL)
		return SLUICE_CTL_USAGE;
	result = check_usage(command, count - own, given);
	if (result != SLUICE_CTL_DONE)
		return result;
	ctl->client = sluice_client_new(ctl->socket, ctl->timeout_ms);
	if (ctl->client == NULL) {
		sluice_ctl_complain("cannot start libcurl");
		return SLUICE_CTL_UNREACHABLE;
	}
	result = command->run(ctl, count - own, words + own);
	sluice_client_free(ctl->client);
	return result;
}

static enum sluice_ctl_exit start(struct sluice_ctl *ctl, int argc, char **argv)
{
	enum sluice_ctl_exit result;
	unsigned given;
	int words;

	result = sluice_options_read(ctl, argc, argv, &given, &words);
	if (result != SLUICE_CTL_DONE)
		return result;
	if (ctl->version) {
		puts("sluicectl " SLUICE_VERSION);
		return SLUICE_CTL_DONE;
	}
	if (ctl->help) // of what stands behind the command's own words, help wants to know nothing
		return sluice_ctl_help(ctl, words < 2 ? words : 2, argv + 1);
	if (words == 0) {
		sluice_command_help(stderr, 0, NULL);
		return SLUICE_CTL_USAGE;
	}
	return run(ctl, words, argv + 1, given);
}

int main(int argc, char **argv)
{
	struct sluice_ctl ctl = {.socket = SLUICE_CTL_SOCKET, .timeout_ms = 30000};
	enum sluice_ctl_exit result;
	bool written;

	setlocale(LC_CTYPE, ""); // for the width of letters; numbers stay as JSON writes them
	result = start(&ctl, argc, argv);
	free(ctl.files);
	written = ferror(stdout) == 0;
	if (fclose(stdout) != 0)
		written = false;
	if (!written && result == SLUICE_CTL_DONE) {
		if (errno != EPIPE)
			sluice_ctl_complain("cannot write to standard output: %s", strerror(errno));
		result = SLUICE_CTL_REFUSED;
	}
	return (int)result;
}
