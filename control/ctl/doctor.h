// SPDX-License-Identifier: BSD-3-Clause
#pragma once

// `sluicectl doctor`: checks that look at what the daemon and the host say, and note what they
// find. A new check is a function here and a row in doctor.c.

#include <jansson.h>
#include <stdbool.h>

#include "control/ctl/host.h"
#include "dataplane/pci.h"

enum sluice_severity {
	SLUICE_PROBLEM, // it does not work
	SLUICE_WARNING, // it works, but not as it could, or not always
	SLUICE_NOTE,    // good to know
	SLUICE_SKIPPED, // not looked at
	SLUICE_SEVERITIES,
};

// The facts, and what was found so far.
struct sluice_doctor {
	const char *check; // the one that runs
	json_t *findings;  // [{"check", "severity", "subject", "seen", "fix"}]

	bool running; // the daemon answered
	// /v1/status; where the daemon is not running, as much of it as its configuration says
	// (doctor_config.c); empty where there is none either.
	json_t *status;
	// /v1/services twice, a second apart: {"services": [...]}, or NULL.
	json_t *services, *later;
};

typedef void sluice_doctor_check(struct sluice_doctor *d);

// A finding begins with what it is about; what is seen and how to mend it are said next. A fix is a
// command, or names where to read on.
__attribute__((format(printf, 3, 4))) void
sluice_doctor_find(struct sluice_doctor *d, enum sluice_severity severity, const char *format, ...);
__attribute__((format(printf, 2, 3))) void sluice_doctor_seen(struct sluice_doctor *d,
                                                              const char *format, ...);
__attribute__((format(printf, 2, 3))) void sluice_doctor_fix(struct sluice_doctor *d,
                                                             const char *format, ...);

// The address of the n'th card (from 0) that DPDK drives ("0000:03:00.0"), of a port of /v1/status;
// false: it has no more, or none.
bool sluice_doctor_card(const json_t *port, unsigned n, char out[static SLUICE_BDF_SIZE]);

bool sluice_doctor_is_af_xdp(const json_t *port);

// Whether DPDK drives a card.
bool sluice_doctor_has_cards(const struct sluice_doctor *d);

// The port's interface in the kernel; NULL where it has none, or none in this network namespace.
const char *sluice_doctor_interface(const json_t *port);

// The directory below /sys of the device under a port; false where there is none, as for a veth.
bool sluice_doctor_device(const json_t *port, char out[static SLUICE_HOST_TEXT]);

enum {
	SLUICE_DOCTOR_KERNELS_CORE = 0, // can't be isolated: sluice-host-setup refuses it
};

// The core of a worker of /v1/status.
unsigned sluice_doctor_core(const json_t *worker);

// The command that prepares a host for all of the ports and workers: what it is not told, it
// undoes.
const char *sluice_doctor_setup(const struct sluice_doctor *d, char out[static SLUICE_HOST_TEXT]);

// doctor_config.c: reads the daemon's configuration instead of asking it. False where there is
// none; a bad one is a finding.
bool sluice_doctor_read_config(struct sluice_doctor *d);

// doctor_daemon.c
sluice_doctor_check sluice_doctor_readiness, sluice_doctor_members, sluice_doctor_queues;
// doctor_memory.c
sluice_doctor_check sluice_doctor_hugepages, sluice_doctor_node;
// doctor_card.c
sluice_doctor_check sluice_doctor_driver, sluice_doctor_iommu, sluice_doctor_copy_mode;
// doctor_cores.c
sluice_doctor_check sluice_doctor_shared_cores, sluice_doctor_isolation;
// doctor_network.c
sluice_doctor_check sluice_doctor_interfaces, sluice_doctor_rp_filter, sluice_doctor_checksums;
// doctor_service.c
sluice_doctor_check sluice_doctor_announced, sluice_doctor_next_hop, sluice_doctor_return_path;
