// SPDX-License-Identifier: BSD-3-Clause
#pragma once

// Session affinity by client address. All connections of a client hash alike, so hosts agree
// without a word; an entry of the flow table keeps the client where it is when rows move.
//
// The entry is written when a flow is confirmed, not when it starts, so that who sends one packet
// from each of many addresses gets none; and refreshed, at most once a second, when one more is.
// It binds as long as the endpoint takes new flows and the service's time-out is not up. An entry
// has its time-out from when it was written: a changed one counts from the next flow on.

#include "dataplane/pipeline.h"

// Where the client's next flow goes by its entry, or SLUICE_AFFINITY_NONE.
enum {
	SLUICE_AFFINITY_NONE = UINT32_MAX,
};
uint32_t sluice_affinity_find(const struct sluice_pipeline *ctx,
                              const struct sluice_service *service, const struct sluice_packet *p);

// For sluice_affinity_find() a little later.
void sluice_affinity_prefetch(const struct sluice_pipeline *ctx,
                              const struct sluice_service *service, const struct sluice_packet *p);

// The packet confirmed a flow to p->slot, an endpoint of the service. How the table took an entry
// that is new; SLUICE_FLOW_EXISTS: there was one.
enum sluice_flow_insert sluice_affinity_keep(struct sluice_pipeline *ctx,
                                             const struct sluice_service *service,
                                             const struct sluice_packet *p);
