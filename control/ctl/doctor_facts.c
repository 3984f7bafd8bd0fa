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

bool sluice_doctor_device(const json_t *port, char out[static SLUICE_HOST_TEXT])
{
	const char *card = sluice_doctor_card(port);

	if (card != NULL)
		snprintf(out, SLUICE_HOST_TEXT, "/sys/bus/pci/devices/%s", card);
	else
		snprintf(out, SLUICE_HOST_TEXT, "/sys/class/net/%s/device",
		         sluice_text_string(port, "interface"));
	return sluice_host_has("%s", out);
}

// Once for each port, whichever check asks first.
static void say_elsewhere(struct sluice_doctor *d, const json_t *port, const char *interface)
{
	const char *check = d->check;
	const json_t *finding;
	char subject[SLUICE_HOST_TEXT];
	size_t i;

	d->check = "namespace";
	snprintf(subject, sizeof(subject), "port %s", sluice_text_string(port, "name"));
	json_array_foreach (d->findings, i, finding) {
		if (strcmp(sluice_text_string(finding, "check"), d->check) == 0 &&
		    strcmp(sluice_text_string(finding, "subject"), subject) == 0)
			goto said;
	}
	sluice_doctor_find(d, SLUICE_SKIPPED, "%s", subject);
	sluice_doctor_seen(d, "its interface %s is not in this network namespace", interface);
	sluice_doctor_fix(
	        d, "run sluicectl where sluiced runs: nsenter --net --mount --target \"$(pidof "
	           "sluiced)\" sluicectl doctor");
said:
	d->check = check;
}

// An interface of the same name may be another namespace's: the MAC address tells. The
// configuration has none.
const char *sluice_doctor_interface(struct sluice_doctor *d, const json_t *port)
{
	const char *name = json_string_value(json_object_get(port, "interface"));
	const char *mac = json_string_value(json_object_get(port, "mac"));
	char here[SLUICE_HOST_TEXT];

	if (name == NULL)
		return NULL;
	if (sluice_host_line(here, "/sys/class/net/%s/address", name) &&
	    (mac == NULL || strcmp(here, mac) == 0))
		return name;
	say_elsewhere(d, port, name);
	return NULL;
}
