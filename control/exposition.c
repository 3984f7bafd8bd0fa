// SPDX-License-Identifier: BSD-3-Clause
// The writer of exposition text: families, samples and their escapes.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/metrics.h"

// Escapes: backslash and line feed everywhere, the double quote in label values and, in
// OpenMetrics, in HELP.
static void put_escaped(struct sluice_strbuf *out, const char *s, bool quote)
{
	for (; *s; s++) {
		if (*s == '\\')
			sluice_strbuf_puts(out, "\\\\");
		else if (*s == '\n')
			sluice_strbuf_puts(out, "\\n");
		else if (*s == '"' && quote)
			sluice_strbuf_puts(out, "\\\"");
		else
			sluice_strbuf_putc(out, *s);
	}
}

static void put_name(const struct sluice_exposition *x)
{
	sluice_strbuf_puts(x->out, x->name);
	if (x->type == SLUICE_METRIC_COUNTER)
		sluice_strbuf_puts(x->out, "_total");
}

// The family's name has no _total in OpenMetrics, and is that of the samples in Prometheus.
static void put_family_name(const struct sluice_exposition *x)
{
	if (x->openmetrics)
		sluice_strbuf_puts(x->out, x->name);
	else
		put_name(x);
}

void sluice_exposition_family(struct sluice_exposition *x, const char *name,
                              enum sluice_metric_type type, const char *help)
{
	static const char *const types[] = {
	        [SLUICE_METRIC_GAUGE] = "gauge",
	        [SLUICE_METRIC_COUNTER] = "counter",
	        [SLUICE_METRIC_HISTOGRAM] = "histogram",
	};

	x->name = name;
	x->type = type;
	sluice_strbuf_puts(x->out, "# HELP ");
	put_family_name(x);
	sluice_strbuf_putc(x->out, ' ');
	put_escaped(x->out, help, x->openmetrics);
	sluice_strbuf_puts(x->out, "\n# TYPE ");
	put_family_name(x);
	sluice_strbuf_putc(x->out, ' ');
	sluice_strbuf_puts(x->out, types[type]);
	sluice_strbuf_putc(x->out, '\n');
}

static void put_labels(struct sluice_strbuf *out, const struct sluice_label *labels, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		sluice_strbuf_putc(out, i ? ',' : '{');
		sluice_strbuf_puts(out, labels[i].name);
		sluice_strbuf_puts(out, "=\"");
		put_escaped(out, labels[i].value, true);
		sluice_strbuf_putc(out, '"');
	}
	sluice_strbuf_puts(out, n ? "} " : " ");
}

void sluice_exposition_u64(struct sluice_exposition *x, const struct sluice_label *labels,
                           size_t label_count, uint64_t value)
{
	put_name(x);
	put_labels(x->out, labels, label_count);
	sluice_strbuf_u64(x->out, value);
	sluice_strbuf_putc(x->out, '\n');
}

// The shortest text that reads back as the same number.
static void put_double(struct sluice_strbuf *out, double value)
{
	char text[40];

	if (isnan(value)) {
		sluice_strbuf_puts(out, "NaN");
		return;
	}
	if (isinf(value)) {
		sluice_strbuf_puts(out, value < 0 ? "-Inf" : "+Inf");
		return;
	}
	for (int precision = 1; precision <= 17; precision++) {
		snprintf(text, sizeof(text), "%.*g", precision, value);
		if (strtod(text, NULL) == value)
			break;
	}
	sluice_strbuf_puts(out, text);
}

void sluice_exposition_double(struct sluice_exposition *x, const struct sluice_label *labels,
                              size_t label_count, double value)
{
	put_name(x);
	put_labels(x->out, labels, label_count);
	put_double(x->out, value);
	sluice_strbuf_putc(x->out, '\n');
}

void sluice_exposition_histogram(struct sluice_exposition *x, const double *bounds,
                                 const uint64_t *counts, size_t n, double sum)
{
	uint64_t total = 0;

	for (size_t i = 0; i < n; i++) {
		double bound = i + 1 < n ? bounds[i] : INFINITY;

		total += counts[i];
		sluice_strbuf_puts(x->out, x->name);
		sluice_strbuf_puts(x->out, "_bucket{le=\"");
		put_double(x->out, bound);
		// OpenMetrics wants bounds as floats: 1.0
		if (x->openmetrics && bound == floor(bound) && !isinf(bound))
			sluice_strbuf_puts(x->out, ".0");
		sluice_strbuf_puts(x->out, "\"} ");
		sluice_strbuf_u64(x->out, total);
		sluice_strbuf_putc(x->out, '\n');
	}
	sluice_strbuf_puts(x->out, x->name);
	sluice_strbuf_puts(x->out, "_sum ");
	put_double(x->out, sum);
	sluice_strbuf_putc(x->out, '\n');
	sluice_strbuf_puts(x->out, x->name);
	sluice_strbuf_puts(x->out, "_count ");
	sluice_strbuf_u64(x->out, total);
	sluice_strbuf_putc(x->out, '\n');
}
