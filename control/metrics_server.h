// SPDX-License-Identifier: BSD-3-Clause
#pragma once

// The metrics port: /metrics, /healthz, /readyz. Read-only. Control thread only.

#include "control/error.h"
#include "control/stats.h"

struct event_base;
struct sluice_metrics_server;

// Listens on "127.0.0.1:9690", "[::1]:9690" or ":9690" (all addresses). NULL: *e says why.
struct sluice_metrics_server *sluice_metrics_server_new(struct event_base *base, const char *listen,
                                                        struct sluice_stats *stats,
                                                        struct sluice_error *e);
void sluice_metrics_server_free(struct sluice_metrics_server *server);

// The port it listens on (where 0 was asked for).
uint16_t sluice_metrics_server_port(const struct sluice_metrics_server *server);
