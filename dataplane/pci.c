// SPDX-License-Identifier: BSD-3-Clause
#include "dataplane/pci.h"

#include <stddef.h>
#include <string.h>

bool sluice_is_bdf(const char *text)
{
	static const char shape[] = "xxxx:xx:xx.f";

	if (strlen(text) != sizeof(shape) - 1)
		return false;
	for (size_t i = 0; shape[i]; i++) {
		if (shape[i] == 'x' && strchr("0123456789abcdef", text[i]) == NULL)
			return false;
		if (shape[i] == 'f' && (text[i] < '0' || text[i] > '7'))
			return false;
		if (shape[i] != 'x' && shape[i] != 'f' && text[i] != shape[i])
			return false;
	}
	return true;
}

bool sluice_is_bifurcated(const char *driver)
{
	static const char *const drivers[] = {"mlx4_core", "mlx5_core", "mana"};

	for (size_t i = 0; i < sizeof(drivers) / sizeof(drivers[0]); i++)
		if (strcmp(driver, drivers[i]) == 0)
			return true;
	return false;
}
