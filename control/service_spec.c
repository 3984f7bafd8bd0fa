// SPDX-License-Identifier: BSD-3-Clause
#include "control/service_spec.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "control/address.h"
#include "control/service_names.h"

const struct sluice_name sluice_protocol_names[] = {
        {"TCP", IPPROTO_TCP}, {"UDP", IPPROTO_UDP}, {"SCTP", 0, true}, {"QUIC", 0, true}, {0},
};

const struct sluice_name sluice_forwarding_names[] = {
        {"nat", SLUICE_FORWARD_NAT},     {"fullnat", SLUICE_FORWARD_FULLNAT},
        {"l2dsr", SLUICE_FORWARD_L2DSR}, {"ipip", SLUICE_FORWARD_IPIP},
        {"gue", SLUICE_FORWARD_GUE},     {0},
};

const struct sluice_name sluice_affinity_names[] = {
        {"None", 0},
        {"ClientIP", 1},
        {0},
};

const struct sluice_name sluice_traffic_policy_names[] = {
        {"Cluster", SLUICE_POLICY_CLUSTER},
        {"Local", SLUICE_POLICY_LOCAL},
        {0},
};

const struct sluice_name sluice_on_empty_names[] = {
        {"refuse", SLUICE_ON_EMPTY_REFUSE},
        {"drop", SLUICE_ON_EMPTY_DROP},
        {"keepLast", SLUICE_ON_EMPTY_KEEP_LAST},
        {0},
};

const struct sluice_name sluice_endpoint_state_names[] = {
        {"active", SLUICE_STATE_ACTIVE},
        {"draining", SLUICE_STATE_DRAINING},
        {0},
};

static const char *name_of(const struct sluice_name *names, int value)
{
	for (; names->name != NULL; names++) {
		if (names->value == value && !names->unsupported)
			return names->name;
	}
	return "?";
}

const char *sluice_protocol_name(uint8_t protocol)
{
	return name_of(sluice_protocol_names, protocol);
}

const char *sluice_on_empty_name(enum sluice_on_empty on_empty)
{
	return name_of(sluice_on_empty_names, (int)on_empty);
}

const char *sluice_forwarding_name(enum sluice_forwarding forwarding)
{
	return name_of(sluice_forwarding_names, (int)forwarding);
}

const char *sluice_affinity_name(const struct sluice_service_spec *spec)
{
	return name_of(sluice_affinity_names, spec->affinity_timeout != 0);
}

const char *sluice_traffic_policy_name(enum sluice_traffic_policy policy)
{
	return name_of(sluice_traffic_policy_names, (int)policy);
}

const char *sluice_endpoint_state_name(enum sluice_endpoint_state state)
{
	return name_of(sluice_endpoint_state_names, (int)state);
}

void sluice_service_spec_clear(struct sluice_service_spec *spec)
{
	free(spec->namespace_);
	free(spec->name);
	free(spec->endpoints);
	memset(spec, 0, sizeof(*spec));
}

int sluice_service_spec_copy(struct sluice_service_spec *to, const struct sluice_service_spec *from)
{
	struct sluice_service_spec copy = *from;
	bool failed;

	copy.namespace_ = from->namespace_ != NULL ? strdup(from->namespace_) : NULL;
	copy.name = from->name != NULL ? strdup(from->name) : NULL;
	copy.endpoints = NULL;
	failed = (from->namespace_ != NULL && copy.namespace_ == NULL) ||
	         (from->name != NULL && copy.name == NULL);
	if (from->endpoint_count > 0 && !failed) {
		copy.endpoints = malloc(from->endpoint_count * sizeof(*copy.endpoints));
		failed = copy.endpoints == NULL;
	}
	if (failed) {
		sluice_service_spec_clear(&copy);
		return -ENOMEM;
	}
	if (copy.endpoints != NULL)
		memcpy(copy.endpoints, from->endpoints,
		       from->endpoint_count * sizeof(*copy.endpoints));
	*to = copy;
	return 0;
}

int sluice_service_spec_compare(const struct sluice_service_spec *a,
                                const struct sluice_service_spec *b)
{
	int order = strcmp(a->namespace_, b->namespace_);

	return order != 0 ? order : strcmp(a->name, b->name);
}

bool sluice_service_spec_same_options(const struct sluice_service_spec *a,
                                      const struct sluice_service_spec *b)
{
	return a->forwarding == b->forwarding && a->forwarding_given == b->forwarding_given &&
	       a->external_policy == b->external_policy && a->on_empty == b->on_empty &&
	       a->table_size == b->table_size && a->affinity_timeout == b->affinity_timeout &&
	       a->server_id_length == b->server_id_length;
}

int sluice_endpoint_spec_compare(const struct sluice_endpoint_spec *a,
                                 const struct sluice_endpoint_spec *b)
{
	int order = memcmp(&a->address, &b->address, sizeof(a->address));

	return order != 0 ? order : (a->port > b->port) - (a->port < b->port);
}

int sluice_endpoint_suits(const struct sluice_service_spec *service,
                          const struct sluice_endpoint_spec *endpoint, struct sluice_error *err)
{
	enum sluice_family family = sluice_address_family(&service->address);
	char text[SLUICE_ENDPOINT_TEXT], vip[SLUICE_ADDRESS_TEXT];

	if (!sluice_forwarding_is_tunnel(service->forwarding) &&
	    sluice_address_family(&endpoint->address) != family)
		return sluice_error_set(err, 422, "family", "ip",
		                        "%s is not of the IPv%d that the service's %s is of",
		                        sluice_address_format(&endpoint->address, text),
		                        (int)family, sluice_address_format(&service->address, vip));
	if (sluice_forwarding_is_direct(service->forwarding) && endpoint->port != service->port)
		return sluice_error_set(
		        err, 422, "port", "port",
		        "%s has to have the service's port %u: forwarding by %s changes no port",
		        sluice_endpoint_format(&endpoint->address, endpoint->port, text),
		        service->port, sluice_forwarding_name(service->forwarding));
	return 0;
}
