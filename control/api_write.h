// SPDX-License-Identifier: BSD-3-Clause
#pragma once

// Services and endpoints as the API shows them, in JSON. Pure.

#include "control/stats.h"
#include "control/strbuf.h"

// The flow table must have been walked (sluice_stats_walk_flows).
void sluice_api_write_service(struct sluice_strbuf *b, const struct sluice_stats *stats,
                              const struct sluice_model_service *s);

// "endpoints":[...]
void sluice_api_write_endpoints(struct sluice_strbuf *b, const struct sluice_stats *stats,
                                const struct sluice_model_service *s);
