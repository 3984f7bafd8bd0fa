// SPDX-License-Identifier: BSD-3-Clause
#pragma once

// A service and its endpoints as people wrote them: plain values, no references to anything live.

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "control/document.h"
#include "control/error.h"
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
	bool forwarding_given; // else it is the model's to choose (sluice_snat_settle)
	enum sluice_traffic_policy external_policy;
	enum sluice_on_empty on_empty;
	uint32_t table_size;
	uint32_t affinity_timeout; // s that a client keeps its endpoint; 0: no session affinity
	uint8_t server_id_length;  // of QUIC connection ids, bytes; 0: they are not looked at
	bool has_endpoints;        // the document had the key (an empty list counts)
	size_t endpoint_count;
	struct sluice_endpoint_spec *endpoints; // sorted by (address, port), no two alike
};

void sluice_service_spec_clear(struct sluice_service_spec *spec);
int sluice_service_spec_copy(struct sluice_service_spec *to,
                             const struct sluice_service_spec *from);

// The name that a call has for a service: "name" or "namespace/name".
struct sluice_service_name {
	char namespace_[64];
	char name[256];
};

enum {
	SLUICE_TABLE_SIZE_MIN = 251,
	SLUICE_TABLE_SIZE_MAX = 16777213, // the largest prime below 2^24
	SLUICE_TABLE_SIZE_DEFAULT = 65537,
	SLUICE_AFFINITY_TIMEOUT_MAX = 86400, // a day, Kubernetes' too
	SLUICE_AFFINITY_TIMEOUT_DEFAULT = 10800,
};

// -EINVAL with *err filled (400) where it cannot be a service's name.
int sluice_service_name_parse(const char *text, struct sluice_service_name *out,
                              struct sluice_error *err);

// Orders by (namespace, name) and by (address, port), as lists are sorted.
int sluice_service_spec_compare(const struct sluice_service_spec *a,
                                const struct sluice_service_spec *b);
int sluice_endpoint_spec_compare(const struct sluice_endpoint_spec *a,
                                 const struct sluice_endpoint_spec *b);

// Whether two services work alike: all but names, addresses, ports and endpoints.
bool sluice_service_spec_same_options(const struct sluice_service_spec *a,
                                      const struct sluice_service_spec *b);

// Reads a native service. name (may be NULL) is what the call's path says: it stands where the
// document has no name, and the document must not say another. On error *out is empty, *err
// filled, and the return value negative. Same for the readers below.
int sluice_service_spec_read(const struct sluice_node *node, const struct sluice_service_name *name,
                             struct sluice_service_spec *out, struct sluice_error *err);

// Reads a list of endpoints: an array, or {"endpoints": [...]}. service says the family, the port
// of endpoints that have none, and the table size that must hold them. Sorted; no two alike.
// *out: free with free(3).
int sluice_endpoints_read(const struct sluice_node *node, const struct sluice_service_spec *service,
                          struct sluice_endpoint_spec **out, size_t *count,
                          struct sluice_error *err);

// One list of a PATCH, sorted.
struct sluice_endpoint_list {
	size_t count;
	struct sluice_endpoint_spec *items;
};

// {"add": [...], "remove": [...], "drain": [...], "weight": [...]}; an endpoint stands in one of
// them at most. Weights and states mean something in add, weights in weight.
struct sluice_endpoints_patch {
	struct sluice_endpoint_list add, remove, drain, weight;
};

int sluice_endpoints_patch_read(const struct sluice_node *node,
                                const struct sluice_service_spec *service,
                                struct sluice_endpoints_patch *out, struct sluice_error *err);
void sluice_endpoints_patch_clear(struct sluice_endpoints_patch *patch);

// Whether the service can have the endpoint, by address family and port: -EINVAL, 422 with *err
// (may be NULL) saying why not, and of which key.
int sluice_endpoint_suits(const struct sluice_service_spec *service,
                          const struct sluice_endpoint_spec *endpoint, struct sluice_error *err);

// Whether count endpoints fit a table of that size: -EINVAL, 422 with *err naming a size that
// does. For changes that add to what is there.
int sluice_endpoints_fit(size_t count, uint32_t table_size, struct sluice_error *err);

// The canonical native form, which sluice_service_spec_read reads back as the same spec. The
// caller owns the reference; NULL: out of memory. endpoints only where has_endpoints.
json_t *sluice_service_spec_write(const struct sluice_service_spec *spec);
json_t *sluice_endpoint_spec_write(const struct sluice_endpoint_spec *endpoint);
json_t *sluice_endpoints_write(const struct sluice_endpoint_spec *endpoints, size_t count);

const char *sluice_protocol_name(uint8_t protocol); // "TCP", "UDP"
const char *sluice_on_empty_name(enum sluice_on_empty on_empty);
const char *sluice_forwarding_name(enum sluice_forwarding forwarding);
const char *sluice_affinity_name(const struct sluice_service_spec *spec); // "None", "ClientIP"
const char *sluice_traffic_policy_name(enum sluice_traffic_policy policy);
const char *sluice_endpoint_state_name(enum sluice_endpoint_state state);
