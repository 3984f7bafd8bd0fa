// SPDX-License-Identifier: BSD-3-Clause
#include "control/ctl/options.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "control/ctl/suggest.h"

enum {
	TIMEOUT_MAX_S = 24 * 3600,
	LONG_ONLY = 256, // what getopt answers for options without a letter, + their row
};

static const char *set_socket(struct sluice_ctl *ctl, const char *argument)
{
	ctl->socket = argument;
	return argument[0] != '\0' ? NULL : "the path of the daemon's socket is wanted";
}

static const char *set_output(struct sluice_ctl *ctl, const char *argument)
{
	static const char *const names[] = {[SLUICE_CTL_TABLE] = "table",
	                                    [SLUICE_CTL_JSON] = "json",
	                                    [SLUICE_CTL_YAML] = "yaml"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strcmp(argument, names[i]) == 0) {
			ctl->output = (enum sluice_ctl_output)i;
			return NULL;
		}
	}
	return "one of table, json, yaml is wanted";
}

static const char *set_namespace(struct sluice_ctl *ctl, const char *argument)
{
	ctl->namespace_ = argument;
	return argument[0] != '\0' && strchr(argument, '/') == NULL ? NULL
	                                                            : "not a name of a namespace";
}

static const char *set_file(struct sluice_ctl *ctl, const char *argument)
{
	ctl->files = reallocarray(ctl->files, ctl->file_count + 1, sizeof(*ctl->files));
	if (ctl->files == NULL)
		abort(); // out of memory
	ctl->files[ctl->file_count++] = argument;
	return argument[0] != '\0' ? NULL : "a file, or - for standard input, is wanted";
}

static const char *set_timeout(struct sluice_ctl *ctl, const char *argument)
{
	static const struct {
		const char *name;
		double seconds;
	} units[] = {{"", 1}, {"s", 1}, {"ms", 0.001}, {"m", 60}, {"h", 3600}};
	char *unit;
	double value = strtod(argument, &unit);

	for (size_t i = 0; unit != argument && i < sizeof(units) / sizeof(units[0]); i++) {
		double seconds = value * units[i].seconds;

		if (strcmp(unit, units[i].name) != 0)
			continue;
		if (!(seconds >= 0.001 && seconds <= TIMEOUT_MAX_S))
			return "from 1ms to 24h, please";
		ctl->timeout_ms = (unsigned)(seconds * 1000 + 0.5);
		return NULL;
	}
	return "a time such as 500ms, 30s or 2m is wanted";
}

static const char *set_help(struct sluice_ctl *ctl, const char *argument)
{
	(void)argument;
	ctl->help = true;
	return NULL;
}

static const char *set_version(struct sluice_ctl *ctl, const char *argument)
{
	(void)argument;
	ctl->version = true;
	return NULL;
}

// clang-format off
const struct sluice_option sluice_options[] = {
	{'f', SLUICE_OPTION_FILE, "filename", "FILE",
	 "the documents to apply; - is standard input; may be repeated", set_file},
	{'n', SLUICE_OPTION_NAMESPACE, "namespace", "NAMESPACE",
	 "the namespace of NAME (default: default), or to list", set_namespace},
	{'o', SLUICE_OPTION_ANY, "output", "FORMAT",
	 "table, json or yaml (default: table)", set_output},
	{'s', SLUICE_OPTION_ANY, "socket", "PATH",
	 "the daemon's socket (default: " SLUICE_CTL_SOCKET ")", set_socket},
	{0, SLUICE_OPTION_ANY, "timeout", "TIME",
	 "how long to wait for an answer (default: 30s)", set_timeout},
	{'h', SLUICE_OPTION_ANY, "help", NULL,
	 "show this help, or a command's", set_help},
	{0, SLUICE_OPTION_ANY, "version", NULL,
	 "show the version", set_version},
};
// clang-format on
const size_t sluice_option_count = sizeof(sluice_options) / sizeof(sluice_options[0]);

enum {
	COUNT = sizeof(sluice_options) / sizeof(sluice_options[0]),
};

static void fill_getopt(char *letters, struct option *longs)
{
	*letters++ = ':'; // tell a missing argument from an unknown option
	for (size_t i = 0; i < COUNT; i++) {
		const struct sluice_option *o = &sluice_options[i];

		longs[i] = (struct option){.name = o->name,
		                           .has_arg = o->argument != NULL ? required_argument
		                                                          : no_argument,
		                           .val = LONG_ONLY + (int)i};
		if (o->letter == 0)
			continue;
		*letters++ = o->letter;
		if (o->argument != NULL)
			*letters++ = ':';
	}
	*letters = '\0';
}

static const struct sluice_option *option_of(int value)
{
	if (value >= LONG_ONLY)
		return &sluice_options[value - LONG_ONLY];
	for (size_t i = 0; i < COUNT; i++)
		if (sluice_options[i].letter == value)
			return &sluice_options[i];
	return NULL;
}

static enum sluice_ctl_exit complain_option(char **argv, int answer)
{
	const struct sluice_option *option = answer == ':' ? option_of(optopt) : NULL;
	const char *word = argv[optind - 1];
	const char *names[COUNT];
	const char *near = NULL;

	if (option != NULL) {
		sluice_ctl_complain("option --%s wants its %s", option->name, option->argument);
		return SLUICE_CTL_USAGE;
	}
	// A letter may stand in a word that getopt has not left yet; a long option is in the last.
	if (optopt > 0 && optopt < LONG_ONLY) {
		sluice_ctl_complain("unknown option '-%c' (see 'sluicectl --help')", optopt);
		return SLUICE_CTL_USAGE;
	}
	if (optopt >= LONG_ONLY) {
		sluice_ctl_complain("option --%s takes no argument", option_of(optopt)->name);
		return SLUICE_CTL_USAGE;
	}
	for (size_t i = 0; i < COUNT; i++)
		names[i] = sluice_options[i].name;
	near = sluice_suggest(word + strspn(word, "-"), names, COUNT);
	sluice_ctl_complain("unknown option '%s'%s%s%s", word,
	                    near != NULL ? " - did you mean '--" : "", near != NULL ? near : "",
	                    near != NULL ? "'?" : " (see 'sluicectl --help')");
	return SLUICE_CTL_USAGE;
}

enum sluice_ctl_exit sluice_options_read(struct sluice_ctl *ctl, int argc, char **argv,
                                         unsigned *given, int *words)
{
	struct option longs[COUNT + 1] = {0};
	char letters[2 * COUNT + 2];
	int answer;

	fill_getopt(letters, longs);
	opterr = 0;
	*given = 0;
	while ((answer = getopt_long(argc, argv, letters, longs, NULL)) != -1) {
		const struct sluice_option *option = option_of(answer);
		const char *wrong;

		if (option == NULL || answer == '?' || answer == ':')
			return complain_option(argv, answer);
		wrong = option->set(ctl, optarg);
		if (wrong != NULL) {
			sluice_ctl_complain("--%s '%s': %s", option->name, optarg, wrong);
			return SLUICE_CTL_USAGE;
		}
		*given |= option->group;
	}
	*words = argc - optind;
	memmove(&argv[1], &argv[optind], (size_t)*words * sizeof(*argv));
	return SLUICE_CTL_DONE;
}
