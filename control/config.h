// SPDX-License-Identifier: BSD-3-Clause
#pragma once

// The configuration file, with the contract's defaults filled in. Plain values.

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "control/change.h"
#include "control/document.h"
#include "control/error.h"
#include "dataplane/bond.h"
#include "dataplane/eal.h"
#include "dataplane/pci.h"
#include "dataplane/port.h"
#include "dataplane/snat_table.h"
#include "sluice/types.h"

#define SLUICE_CONFIG_PATH        "/etc/sluice/sluice.yaml"
#define SLUICE_SOCKET_PATH        "/run/sluice/sluice.sock"
#define SLUICE_SOCKET_GROUP       "sluice"
#define SLUICE_STATE_DIRECTORY    "/var/lib/sluice"
#define SLUICE_METRICS_LISTEN     "127.0.0.1:9690"
#define SLUICE_ANNOUNCE_INTERFACE "lo"

struct sluice_config_port {
	char *device; // as written: "af_xdp:eth1"
	enum sluice_port_kind kind;
	const char *argument; // behind the colon, within device: interface name, EAL's --vdev, BDF
	uint16_t queues;
	char *interface; // the kernel face's name; NULL: none
};

enum sluice_idle {
	SLUICE_IDLE_ADAPTIVE,
	SLUICE_IDLE_POLL,
};

// Whole seconds, 1 s to 24 h each; fractions are rounded up.
struct sluice_config_timeouts {
	uint32_t tcp_established, tcp_syn, tcp_fin, udp;
};

struct sluice_config {
	size_t port_count; // at least one
	struct sluice_config_port ports[SLUICE_PORTS_MAX];

	struct {
		size_t core_count; // 0: auto
		uint16_t cores[SLUICE_WORKERS_MAX];
		int idle; // enum sluice_idle
	} workers;
	struct {
		int hugepages; // enum sluice_hugepages
	} memory;
	struct {
		uint32_t capacity; // entries
		struct sluice_config_timeouts timeouts;
	} flows;
	struct sluice_snat_pool snat; // count 0: none
	struct {
		char *seed; // NULL: made and kept in the state
	} cluster;
	char *announce; // interface; NULL: none
	struct {
		char *socket;
		mode_t mode;
		char *group; // NULL: SLUICE_SOCKET_GROUP where there is one; else it must exist
	} control;
	struct {
		char *text; // as written
		struct sluice_address address;
		uint16_t port; // host byte order
	} metrics;
	struct {
		char *directory;
	} state;

	struct sluice_changes changes; // services of the file, and Kubernetes objects behind it
};

// The first document is the configuration; Kubernetes objects may follow. On error *out is empty
// and *err filled. Returns 0 or negative.
int sluice_config_parse(const struct sluice_documents *documents, struct sluice_config *out,
                        struct sluice_error *err);
// The same for a file.
int sluice_config_load(const char *path, struct sluice_config *out, struct sluice_error *err);
void sluice_config_clear(struct sluice_config *config);
