// SPDX-License-Identifier: BSD-3-Clause
#include "control/ctl/commands.h"

#include <string.h>

#include "control/ctl/options.h"
#include "control/ctl/suggest.h"

// clang-format off
static const struct sluice_command commands[] = {
	{
		.verb = "status",
		.help = "is it ready, its ports, workers, flow table",
		.run = sluice_ctl_status,
	},
	{
		.verb = "get", .noun = "services", .aliases = "service svc ",
		.arguments = "[NAME]", .arguments_max = 1,
		.options = SLUICE_OPTION_NAMESPACE,
		.help = "list services",
		.details =
			"ENDPOINTS counts those that take new connections, of all.",
		.run = sluice_ctl_get_services,
	},
	{
		.verb = "get", .noun = "endpoints", .aliases = "endpoint ep ",
		.arguments = "[NAME]", .arguments_max = 1,
		.options = SLUICE_OPTION_NAMESPACE,
		.help = "list endpoints, with their traffic",
		.details =
			"SHARE is the part of the service's connections that the endpoint got.",
		.run = sluice_ctl_get_endpoints,
	},
	{
		.verb = "get", .noun = "workers", .aliases = "worker ",
		.help = "list worker threads",
		.run = sluice_ctl_get_workers,
	},
	{
		.verb = "get", .noun = "ports", .aliases = "port ",
		.help = "list ports",
		.run = sluice_ctl_get_ports,
	},
	{
		.verb = "describe", .noun = "service", .aliases = "services svc ",
		.arguments = "NAME", .arguments_min = 1, .arguments_max = 1,
		.options = SLUICE_OPTION_NAMESPACE,
		.help = "show all of a service, its events and its traffic",
		.run = sluice_ctl_describe_service,
	},
	{
		.verb = "apply",
		.arguments = "-f FILE...",
		.options = SLUICE_OPTION_FILE,
		.help = "create and change services, from documents",
		.details =
			"FILE holds services as the configuration file does, or Kubernetes Services, EndpointSlices,\n"
			"Endpoints and Lists of them; YAML or JSON, one document or many. - is standard input.\n"
			"All files are one change: all of it is made, or nothing.\n"
			"\n"
			"  kubectl get services,endpointslices -o yaml | sluicectl apply -f -",
		.run = sluice_ctl_apply,
	},
	{
		.verb = "delete", .noun = "service", .aliases = "services svc ",
		.arguments = "NAME", .arguments_min = 1, .arguments_max = 1,
		.options = SLUICE_OPTION_NAMESPACE,
		.help = "delete a service",
		.run = sluice_ctl_delete_service,
	},
	{
		.verb = "set", .noun = "endpoints", .aliases = "endpoint ep ",
		.arguments = "NAME ADDR:PORT[=WEIGHT]...", .arguments_min = 2, .arguments_max = SLUICE_ARGUMENTS_ANY,
		.options = SLUICE_OPTION_NAMESPACE,
		.help = "make these the endpoints of a service",
		.details =
			"The endpoints of NAME become these, at once; connections of those that stay are kept.\n"
			"\n"
			"  sluicectl set endpoints web 172.17.0.5:8080 172.17.0.7:8080=3 [2001:db8::7]:8080",
		.run = sluice_ctl_set_endpoints,
	},
	{
		.verb = "add", .noun = "endpoint", .aliases = "endpoints ep ",
		.arguments = "NAME ADDR:PORT[=WEIGHT]...", .arguments_min = 2, .arguments_max = SLUICE_ARGUMENTS_ANY,
		.options = SLUICE_OPTION_NAMESPACE,
		.help = "add endpoints to a service",
		.run = sluice_ctl_add_endpoint,
	},
	{
		.verb = "remove", .noun = "endpoint", .aliases = "endpoints ep ",
		.arguments = "NAME ADDR:PORT...", .arguments_min = 2, .arguments_max = SLUICE_ARGUMENTS_ANY,
		.options = SLUICE_OPTION_NAMESPACE,
		.help = "take endpoints out, their connections move",
		.details =
			"To let connections end first, drain the endpoint and remove it when its FLOWS are 0.",
		.run = sluice_ctl_remove_endpoint,
	},
	{
		.verb = "drain", .noun = "endpoint", .aliases = "endpoints ep ",
		.arguments = "NAME ADDR:PORT...", .arguments_min = 2, .arguments_max = SLUICE_ARGUMENTS_ANY,
		.options = SLUICE_OPTION_NAMESPACE,
		.help = "no new connections for endpoints, old ones stay",
		.details =
			"'sluicectl get endpoints NAME' shows in FLOWS how many are left.",
		.run = sluice_ctl_drain_endpoint,
	},
	{
		.verb = "doctor",
		.help = "look for what is wrong on this host",
		.details =
			"Asks the daemon and the host, and names what does not work or could work better, each with\n"
			"its fix. Exit status: 0 nothing, or only notes; 1 problems or warnings; 3 the daemon does\n"
			"not answer, and only the host and the daemon's configuration were looked at.",
		.run = sluice_ctl_doctor,
	},
	{
		.verb = "help",
		.arguments = "[COMMAND]", .arguments_max = 2,
		.help = "show this help, or a command's",
		.run = sluice_ctl_help,
	},
};
// clang-format on

enum {
	COUNT = sizeof(commands) / sizeof(commands[0]),
};

static bool noun_matches(const struct sluice_command *command, const char *word)
{
	size_t length = strlen(word);

	if (strcmp(command->noun, word) == 0)
		return true;
	for (const char *alias = command->aliases; alias != NULL && *alias != '\0';
	     alias = strchr(alias, ' ') + 1)
		if (strncmp(alias, word, length) == 0 && alias[length] == ' ')
			return true;
	return false;
}

// "services, endpoints, workers or ports"
static void list_nouns(const char *verb, char *out, size_t size)
{
	const char *names[COUNT];
	size_t count = 0, used = 0;

	for (size_t i = 0; i < COUNT; i++)
		if (strcmp(commands[i].verb, verb) == 0)
			names[count++] = commands[i].noun;
	for (size_t i = 0; i < count && used < size; i++)
		used += (size_t)snprintf(out + used, size - used, "%s%s",
		                         i == 0           ? ""
		                         : i + 1 == count ? " or "
		                                          : ", ",
		                         names[i]);
}

static const struct sluice_command *find_noun(const char *verb, const char *word)
{
	const char *nouns[COUNT] = {NULL};
	const char *near;
	char list[256];

	for (size_t i = 0; i < COUNT; i++) {
		if (strcmp(commands[i].verb, verb) != 0)
			continue;
		if (word != NULL && noun_matches(&commands[i], word))
			return &commands[i];
		nouns[i] = commands[i].noun;
	}
	list_nouns(verb, list, sizeof(list));
	if (word == NULL) {
		sluice_ctl_complain("%s what? %s", verb, list);
		return NULL;
	}
	near = sluice_suggest(word, nouns, COUNT);
	if (near != NULL)
		sluice_ctl_complain("cannot %s '%s' - did you mean '%s'?", verb, word, near);
	else
		sluice_ctl_complain("cannot %s '%s', only %s", verb, word, list);
	return NULL;
}

const struct sluice_command *sluice_command_find(int count, char **words, int *own)
{
	const char *verbs[COUNT];
	const char *near;

	for (size_t i = 0; i < COUNT; i++) {
		verbs[i] = commands[i].verb;
		if (strcmp(words[0], verbs[i]) != 0)
			continue;
		*own = commands[i].noun == NULL ? 1 : 2;
		if (commands[i].noun == NULL)
			return &commands[i];
		return find_noun(verbs[i], count > 1 ? words[1] : NULL);
	}
	near = sluice_suggest(words[0], verbs, COUNT);
	if (near != NULL)
		sluice_ctl_complain("unknown command '%s' - did you mean '%s'?", words[0], near);
	else
		sluice_ctl_complain("unknown command '%s' (see 'sluicectl --help')", words[0]);
	return NULL;
}

static void command_words(const struct sluice_command *command, char *out, size_t size)
{
	snprintf(out, size, "%s%s%s%s%s", command->verb, command->noun != NULL ? " " : "",
	         command->noun != NULL ? command->noun : "", command->arguments != NULL ? " " : "",
	         command->arguments != NULL ? command->arguments : "");
}

void sluice_command_usage(FILE *out, const struct sluice_command *command)
{
	char words[128];

	command_words(command, words, sizeof(words));
	fprintf(out, "Usage: sluicectl [OPTION]... %s\n", words);
}

static void print_options(FILE *out, unsigned groups)
{
	fputs("\nOptions:\n", out);
	for (size_t i = 0; i < sluice_option_count; i++) {
		const struct sluice_option *o = &sluice_options[i];
		char letter[8] = "    ", name[64];

		if ((o->group & groups) == 0)
			continue;
		if (o->letter != 0)
			snprintf(letter, sizeof(letter), "-%c, ", o->letter);
		snprintf(name, sizeof(name), "--%s%s%s", o->name, o->argument != NULL ? " " : "",
		         o->argument != NULL ? o->argument : "");
		fprintf(out, "  %s%-22s %s\n", letter, name, o->help);
	}
}

static void print_command_line(FILE *out, const struct sluice_command *command)
{
	char words[128];

	command_words(command, words, sizeof(words));
	if (strlen(words) > 30)
		fprintf(out, "  %s\n  %-30s  %s\n", words, "", command->help);
	else
		fprintf(out, "  %-30s  %s\n", words, command->help);
}

static void print_overview(FILE *out, const char *verb)
{
	unsigned groups = SLUICE_OPTION_ANY;

	fprintf(out, "Usage: sluicectl [OPTION]... %s [ARGUMENT]...\n\n",
	        verb != NULL ? verb : "COMMAND");
	if (verb == NULL)
		fputs("Shows and changes the services of this host's sluice load balancer.\n\n",
		      out);
	fputs("Commands:\n", out);
	for (size_t i = 0; i < COUNT; i++) {
		if (verb != NULL && strcmp(verb, commands[i].verb) != 0)
			continue;
		print_command_line(out, &commands[i]);
		groups |= commands[i].options;
	}
	print_options(out, groups);
	if (verb == NULL)
		fputs("\nNAME is a service: name, or namespace/name. An IPv6 endpoint is written "
		      "[ADDR]:PORT.\n"
		      "Exit status: 0 done, 1 refused by the daemon, 2 wrong usage, 3 daemon not "
		      "reachable.\n"
		      "'sluicectl COMMAND --help' says more; so does sluicectl(1).\n",
		      out);
}

static void print_command(FILE *out, const struct sluice_command *command)
{
	sluice_command_usage(out, command);
	fprintf(out, "\n%c%s.\n", command->help[0] - 'a' + 'A', command->help + 1);
	if (command->details != NULL)
		fprintf(out, "%s\n", command->details);
	print_options(out, command->options | SLUICE_OPTION_ANY);
}

void sluice_command_help(FILE *out, int count, char **words)
{
	const struct sluice_command *command = NULL;

	for (size_t i = 0; count > 0 && i < COUNT; i++) {
		if (strcmp(words[0], commands[i].verb) != 0)
			continue;
		if (commands[i].noun == NULL || (count > 1 && noun_matches(&commands[i], words[1])))
			command = &commands[i];
	}
	if (command != NULL)
		print_command(out, command);
	else
		print_overview(out, count > 0 ? words[0] : NULL);
}

enum sluice_ctl_exit sluice_ctl_help(struct sluice_ctl *ctl, int argc, char **argv)
{
	const char *verbs[COUNT];
	int own;

	(void)ctl;
	for (size_t i = 0; i < COUNT; i++)
		verbs[i] = commands[i].verb;
	// A verb alone is enough here; what is none at all gets find's hint.
	for (size_t i = 0; argc == 1 && i < COUNT; i++) {
		if (strcmp(verbs[i], argv[0]) == 0) {
			sluice_command_help(stdout, argc, argv);
			return SLUICE_CTL_DONE;
		}
	}
	if (argc > 0 && sluice_command_find(argc, argv, &own) == NULL)
		return SLUICE_CTL_USAGE;
	sluice_command_help(stdout, argc, argv);
	return SLUICE_CTL_DONE;
}
