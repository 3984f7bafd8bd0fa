// SPDX-License-Identifier: BSD-3-Clause
#pragma once

// The exposition text: Prometheus 0.0.4 and OpenMetrics 1.0. Pure: reads stats and model, knows
// no sockets. Control thread only.

#include <stdbool.h>
#include <stdint.h>

#include "control/stats.h"
#include "control/strbuf.h"

enum sluice_metric_type {
	SLUICE_METRIC_GAUGE,
	SLUICE_METRIC_COUNTER, // name without _total, which samples get
	SLUICE_METRIC_HISTOGRAM,
};

struct sluice_label {
	const char *name;
	const char *value; // any UTF-8
};

// Writes one metric family after the other: the HELP and TYPE lines with family(), then its
// samples.
struct sluice_exposition {
	struct sluice_strbuf *out;
	bool openmetrics;
	const char *name; // of the family at hand
	enum sluice_metric_type type;
};

void sluice_exposition_family(struct sluice_exposition *x, const char *name,
                              enum sluice_metric_type type, const char *help);
void sluice_exposition_u64(struct sluice_exposition *x, const struct sluice_label *labels,
                           size_t label_count, uint64_t value);
void sluice_exposition_double(struct sluice_exposition *x, const struct sluice_label *labels,
                              size_t label_count, double value);
// counts[n] per bucket, not cumulative; bounds[n-1], the last bucket being +Inf.
void sluice_exposition_histogram(struct sluice_exposition *x, const double *bounds,
                                 const uint64_t *counts, size_t n, double sum);

// Everything of the contract. Ends with # EOF in OpenMetrics.
void sluice_metrics_write(struct sluice_strbuf *out, struct sluice_stats *s, bool openmetrics);
