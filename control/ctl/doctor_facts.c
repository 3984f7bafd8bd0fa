// SPDX-License-Identifier: BSD-3-Clause
// What several checks ask of a port.
#include <stdio.h>
#include <string.h>

#include "control/ctl/doctor.h"
#include "control/ctl/text.h"

const char *sluice_doctor_card(const json_t *port)
{
	const char *device = sluice_text_string(port, "device");

	return strncmp(device, "pci:", 4) == 0 ? device + 4 : NULL;
}

bool sluice_doctor_has_cards(const struct sluice_doctor *d)
{
	const json_t *port;
	size_t i;

	json_array_foreach (json_object_get(d->status, "ports"), i, port) {
		if (sluice_doctor_card(port) != NULL)
			return true;
	}
	return false;
}

// An interface of the same name may be another namespace's: the MAC address tells. The
// configuration has none.
const char *sluice_doctor_interface(const json_t *port)
{
	const char *name = json_string_value(json_object_get(port, "interface"));
	const char *mac = json_string_value(json_object_get(port, "mac"));
	char here[SLUICE_HOST_TEXT];

	return name != NULL && sluice_host_line(here, "/sys/class/net/%s/address", name) &&
	                       (mac == NULL || strcmp(here, mac) == 0)
	               ? name
	               : NULL;
}

bool sluice_doctor_device(const json_t *port, char out[static SLUICE_HOST_TEXT])
{
	const char *card = sluice_doctor_card(port), *interface;

	if (card != NULL) {
		snprintf(out, SLUICE_HOST_TEXT, "/sys/bus/pci/devices/%s", card);
		return sluice_host_has("%s", out);
	}
	interface = sluice_doctor_interface(port);
	if (interface == NULL)
		return false;
	snprintf(out, SLUICE_HOST_TEXT, "/sys/class/net/%s/device", interface);
	return sluice_host_has("%s", out);
}
