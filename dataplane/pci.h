// SPDX-License-Identifier: BSD-3-Clause
#pragma once

// What is known of a network card by its names.

#include <stdbool.h>

enum {
	SLUICE_BDF_SIZE = sizeof("0000:00:00.0"),
};

// A PCI address, as DPDK and sysfs write it: domain, bus, device and function.
bool sluice_is_bdf(const char *text);

// Whether DPDK works beside this driver of the kernel, which keeps the card.
bool sluice_is_bifurcated(const char *driver);
