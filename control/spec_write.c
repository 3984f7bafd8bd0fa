// SPDX-License-Identifier: BSD-3-Clause
#include "control/address.h"
#include "control/fields.h"
#include "control/service_spec.h"

json_t *sluice_endpoint_spec_write(const struct sluice_endpoint_spec *endpoint)
{
	char ip[SLUICE_ADDRESS_TEXT];

	return json_pack("{s:s, s:i, s:i, s:s}", "ip",
	                 sluice_address_format(&endpoint->address, ip), "port", (int)endpoint->port,
	                 "weight", (int)endpoint->weight, "state",
	                 sluice_endpoint_state_name(endpoint->state));
}

json_t *sluice_endpoints_write(const struct sluice_endpoint_spec *endpoints, size_t count)
{
	json_t *list = json_array();

	for (size_t i = 0; list != NULL && i < count; i++) {
		if (json_array_append_new(list, sluice_endpoint_spec_write(&endpoints[i])) < 0) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

json_t *sluice_service_spec_write(const struct sluice_service_spec *spec)
{
	char ip[SLUICE_ADDRESS_TEXT], duration[SLUICE_DURATION_TEXT];
	json_t *node_port = spec->node_port != 0 ? json_integer(spec->node_port) : NULL;
	json_t *timeout = spec->affinity_timeout != 0
	                          ? json_string(sluice_duration_format(
	                                    1000LL * spec->affinity_timeout, duration))
	                          : NULL;
	json_t *quic = spec->server_id_length != 0
	                       ? json_pack("{s:i}", "serverIdLength", (int)spec->server_id_length)
	                       : NULL;
	json_t *endpoints = NULL;

	if (spec->has_endpoints) {
		endpoints = sluice_endpoints_write(spec->endpoints, spec->endpoint_count);
		if (endpoints == NULL) {
			json_decref(node_port);
			json_decref(timeout);
			json_decref(quic);
			return NULL;
		}
	}
	// "o*" leaves out what is NULL.
	return json_pack(
	        "{s:s, s:s, s:s, s:i, s:s, s:i, s:o*, s:s, s:s, s:o*, s:s, s:s, s:i, s:o*, s:o*}",
	        "name", spec->name, "namespace", spec->namespace_, "ip",
	        sluice_address_format(&spec->address, ip), "port", (int)spec->port, "protocol",
	        sluice_protocol_name(spec->protocol), "targetPort", (int)spec->target_port,
	        "nodePort", node_port, "forwarding", sluice_forwarding_name(spec->forwarding),
	        "sessionAffinity", sluice_affinity_name(spec), "sessionAffinityTimeout", timeout,
	        "externalTrafficPolicy", sluice_traffic_policy_name(spec->external_policy),
	        "onEmpty", sluice_on_empty_name(spec->on_empty), "tableSize", (int)spec->table_size,
	        "quic", quic, "endpoints", endpoints);
}
