// SPDX-License-Identifier: BSD-3-Clause
#include "control/snat.h"

#include <errno.h>

#include "control/address.h"

bool sluice_snat_has(const struct sluice_snat_pool *pool, enum sluice_family family)
{
	for (size_t i = 0; pool && i < pool->count; i++)
		if (sluice_address_family(&pool->addresses[i]) == family)
			return true;
	return false;
}

static bool is_snat(const struct sluice_snat_pool *pool, const struct sluice_address *a)
{
	for (size_t i = 0; pool && i < pool->count; i++)
		if (sluice_address_equal(&pool->addresses[i], a))
			return true;
	return false;
}

int sluice_snat_settle(const struct sluice_snat_pool *pool, struct sluice_service_spec *spec,
                       struct sluice_error *err)
{
	enum sluice_family family = sluice_address_family(&spec->address);
	bool possible = sluice_snat_has(pool, family);
	char text[SLUICE_ADDRESS_TEXT];

	if (is_snat(pool, &spec->address))
		return sluice_error_set(err, 422, "snat", "ip", "%s is one of snat.addresses",
		                        sluice_address_format(&spec->address, text));
	if (!spec->forwarding_given)
		spec->forwarding = spec->external_policy == SLUICE_POLICY_CLUSTER && possible
		                           ? SLUICE_FORWARD_FULLNAT
		                           : SLUICE_FORWARD_NAT;
	if (spec->forwarding == SLUICE_FORWARD_FULLNAT && !possible)
		return sluice_error_set(err, 422, "snat", "forwarding",
		                        "fullnat needs an IPv%d address in the configuration's "
		                        "snat.addresses",
		                        (int)family);
	return 0;
}
