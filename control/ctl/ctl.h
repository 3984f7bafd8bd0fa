// SPDX-License-Identifier: BSD-3-Clause
#pragma once

// One run of sluicectl: what the command line said, and the commands it may run.

#include <stdbool.h>
#include <stddef.h>

struct sluice_client;

#define SLUICE_CTL_SOCKET "/run/sluice/sluice.sock"

enum sluice_ctl_exit {
	SLUICE_CTL_DONE = 0,
	SLUICE_CTL_REFUSED = 1,     // the daemon said no, or the output could not be written
	SLUICE_CTL_USAGE = 2,       // the command line, or a file it names, is wrong
	SLUICE_CTL_UNREACHABLE = 3, // no daemon answers at the socket
};

enum sluice_ctl_output {
	SLUICE_CTL_TABLE,
	SLUICE_CTL_JSON,
	SLUICE_CTL_YAML,
};

struct sluice_ctl {
	const char *socket;
	const char *namespace_; // NULL: not given
	enum sluice_ctl_output output;
	unsigned timeout_ms;
	const char **files; // of apply
	size_t file_count;
	bool help, version;
	struct sluice_client *client;
};

// "sluicectl: " and the message on stderr, a line.
__attribute__((format(printf, 1, 2))) void sluice_ctl_complain(const char *format, ...);

// A command gets the words that follow its own; it answers the exit code, its complaint printed.
typedef enum sluice_ctl_exit sluice_ctl_handler(struct sluice_ctl *ctl, int argc, char **argv);

// show.c
sluice_ctl_handler sluice_ctl_status, sluice_ctl_get_services, sluice_ctl_get_endpoints,
        sluice_ctl_get_workers, sluice_ctl_get_ports;
// describe.c
sluice_ctl_handler sluice_ctl_describe_service;
// doctor.c
sluice_ctl_handler sluice_ctl_doctor;
// apply.c
sluice_ctl_handler sluice_ctl_apply;
// change.c
sluice_ctl_handler sluice_ctl_delete_service, sluice_ctl_set_endpoints, sluice_ctl_add_endpoint,
        sluice_ctl_remove_endpoint, sluice_ctl_drain_endpoint;
// commands.c
sluice_ctl_handler sluice_ctl_help;
