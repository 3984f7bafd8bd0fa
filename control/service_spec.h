// SPDX-License-Identifier: BSD-3-Clause
#pragma once

// A service and its endpoints as people wrote them: plain values, no references to anything live.

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sluice/snapshot.h"
#include "sluice/types.h"

enum sluice_endpoint_state {
	SLUICE_STATE_ACTIVE,
	SLUICE_STATE_DRAINING,
};

struct sluice_endpoint_spec {
	struct sluice_address address;
	uint16_t port;   // host byte order, as all numbers of a spec
	uint16_t weight; // 0..65535; 0 takes no new flows
	enum sluice_endpoint_state state;
};

enum sluice_forwarding {
	SLUICE_FORWARD_NAT,
};

enum sluice_traffic_policy {
	SLUICE_POLICY_CLUSTER,
	SLUICE_POLICY_LOCAL,
};

// One service. Owns its strings and endpoints.
struct sluice_service_spec {
	char *namespace_; // "default" where the document has none
	char *name;
	struct sluice_address address;
	uint16_t port;
	uint8_t protocol;     // IPPROTO_TCP, IPPROTO_UDP
	uint16_t target_port; // default for endpoints without a port; = port where absent
	uint16_t node_port;   // 0: none
	enum sluice_forwarding forwarding;
	enum sluice_traffic_policy external_policy;
	enum sluice_on_empty on_empty;
	uint32_t table_size;
	bool has_endpoints; // the document had the key (an empty list counts)
	size_t endpoint_count;
	struct sluice_endpoint_spec *endpoints; // sorted by (address, port), no two alike
};

void sluice_service_spec_clear(struct sluice_service_spec *spec);
int sluice_service_spec_copy(struct sluice_service_spec *to,
                             const struct sluice_service_spec *from);
