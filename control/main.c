// SPDX-License-Identifier: BSD-3-Clause
#include <getopt.h>
#include <rte_version.h>
#include <stdio.h>
#include <stdlib.h>

#include "control/config.h"
#include "control/daemon.h"
#include "sluice/log.h"

enum {
	EXIT_USAGE = 2, // or an error in the configuration
};

enum option_key {
	OPTION_CHECK = 256,
	OPTION_LOG_LEVEL,
	OPTION_VERSION,
};

static const struct option options[] = {
        {"config", required_argument, NULL, 'c'},
        {"check", no_argument, NULL, OPTION_CHECK},
        {"log-level", required_argument, NULL, OPTION_LOG_LEVEL},
        {"version", no_argument, NULL, OPTION_VERSION},
        {"help", no_argument, NULL, 'h'},
        {0},
};

static const char help[] =
        "Usage: sluiced [OPTION]... [-- EAL-ARGUMENT...]\n"
        "A layer-4 load balancer on DPDK: clients talk to a virtual IP, workers rewrite each\n"
        "packet to an endpoint of the service and send it on. Runs in the foreground, logs to\n"
        "stderr.\n"
        "\n"
        "  -c, --config FILE      configuration, YAML or JSON (default " SLUICE_CONFIG_PATH ")\n"
        "      --check            validate the configuration and exit\n"
        "      --log-level LEVEL  error, warning, notice, info or debug (default info)\n"
        "      --version          print sluice's and DPDK's version and exit\n"
        "  -h, --help             print this and exit\n"
        "\n"
        "What follows -- goes to DPDK's EAL as it stands.\n"
        "\n"
        "Signals: SIGHUP reads the configuration again, SIGTERM and SIGINT stop cleanly.\n"
        "Exit status: 0 stopped, 1 failed, 2 usage or configuration error.\n";

struct arguments {
	struct sluice_daemon_options daemon;
	bool check;
};

static void usage_error(void)
{
	fputs("Try 'sluiced --help'.\n", stderr);
	exit(EXIT_USAGE);
}

static void parse_level(const char *text, enum sluice_log_level *level)
{
	int parsed = sluice_log_level_parse(text);

	if (parsed < 0) {
		fprintf(stderr,
		        "sluiced: '%s' is not a log level (error, warning, notice, info, debug)\n",
		        text);
		usage_error();
	}
	*level = (enum sluice_log_level)parsed;
}

static void parse_arguments(int argc, char **argv, struct arguments *a)
{
	int key;

	*a = (struct arguments){
	        .daemon = {.config_path = SLUICE_CONFIG_PATH, .log_level = SLUICE_LOG_INFO},
	};
	while ((key = getopt_long(argc, argv, "c:h", options, NULL)) != -1) {
		switch (key) {
		case 'c':
			a->daemon.config_path = optarg;
			break;
		case OPTION_CHECK:
			a->check = true;
			break;
		case OPTION_LOG_LEVEL:
			parse_level(optarg, &a->daemon.log_level);
			break;
		case OPTION_VERSION:
			printf("sluiced %s (%s)\n", SLUICE_VERSION, rte_version());
			exit(EXIT_SUCCESS);
		case 'h':
			fputs(help, stdout);
			exit(EXIT_SUCCESS);
		default: // getopt_long has said what is wrong
			usage_error();
		}
	}
	if (optind < argc && strcmp(argv[optind - 1], "--") != 0) {
		fprintf(stderr, "sluiced: unexpected argument '%s'\n", argv[optind]);
		usage_error();
	}
	a->daemon.eal_arguments = argv + optind;
	a->daemon.eal_argument_count = (size_t)(argc - optind);
}

int main(int argc, char **argv)
{
	struct arguments a;
	struct sluice_config config;
	struct sluice_error error = {0};
	struct sluice_daemon *daemon;

	parse_arguments(argc, argv, &a);
	sluice_log_set_level(a.daemon.log_level);
	if (sluice_config_load(a.daemon.config_path, &config, &error) != 0) {
		char text[1024];

		fprintf(stderr, "%s\n", sluice_error_format(&error, text, sizeof(text)));
		return EXIT_USAGE;
	}
	if (a.check) {
		printf("%s: valid\n", a.daemon.config_path);
		sluice_config_clear(&config);
		return EXIT_SUCCESS;
	}
	daemon = sluice_daemon_start(&a.daemon, &config);
	if (!daemon)
		return EXIT_FAILURE;
	sluice_daemon_run(daemon);
	sluice_daemon_stop(daemon);
	return EXIT_SUCCESS;
}
