// SPDX-License-Identifier: BSD-3-Clause
#pragma once

// What the SNAT addresses of the configuration mean for services and for the host.

#include "control/error.h"
#include "control/service_spec.h"
#include "dataplane/snat_table.h"

struct sluice_kernel;

// Whether there is an address of the family. pool may be NULL.
bool sluice_snat_has(const struct sluice_snat_pool *pool, enum sluice_family family);

// A service that doesn't say how it is forwarded is by fullnat where its traffic policy is Cluster
// and there are addresses for it. 0, or -EINVAL with *err filled where fullnat is asked for and
// can't be, or a virtual address is a SNAT address.
int sluice_snat_settle(const struct sluice_snat_pool *pool, struct sluice_service_spec *spec,
                       struct sluice_error *err);

// Whether the ports are free for us on those addresses that are the host's own; -EINVAL: not, and
// the log says what to do.
int sluice_snat_check_host(const struct sluice_snat_pool *pool, const struct sluice_kernel *kernel);
