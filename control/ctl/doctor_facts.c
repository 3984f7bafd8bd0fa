// SPDX-License-Identifier: BSD-3-Clause
// What several checks ask of a port.
#include <stdio.h>
#include <string.h>

#include "control/ctl/doctor.h"
#include "control/ctl/text.h"
#include "dataplane/bond.h"

bool sluice_doctor_card(const json_t *port, unsigned n, char out[static SLUICE_BDF_SIZE])
{
	const char *device = sluice_text_string(port, "device"), *card = NULL;
	struct sluice_bond bond;

	if (strncmp(device, "pci:", 4) == 0 && n == 0)
		card = device + 4;
	else if (strncmp(device, "bond:", 5) == 0 && !sluice_bond_parse(device + 5, &bond) &&
	         n < bond.count)
		card = bond.members[n];
	if (card == NULL || !sluice_is_bdf(card))
		return false;
	memcpy(out, card, SLUICE_BDF_SIZE);
	return true;
}

bool sluice_doctor_is_af_xdp(const json_t *port)
{
	return strncmp(sluice_text_string(port, "device"), "af_xdp:", 7) == 0;
}

bool sluice_doctor_has_cards(const struct sluice_doctor *d)
{
	char card[SLUICE_BDF_SIZE];
	const json_t *port;
	size_t i;

	json_array_foreach (json_object_get(d->status, "ports"), i, port) {
		if (sluice_doctor_card(port, 0, card))
			return true;
	}
	return false;
}

static unsigned most_queues(const json_t *ports)
{
	json_int_t most = 1;
	const json_t *port;
	size_t i;

	json_array_foreach (ports, i, port) {
		json_int_t queues = json_integer_value(json_object_get(port, "queues"));

		most = queues > most ? queues : most;
	}
	return (unsigned)most;
}

// As the host is prepared for: each card of a bond has queues of its own.
static size_t count_ports(const json_t *ports)
{
	char card[SLUICE_BDF_SIZE];
	const json_t *port;
	size_t i, count = 0;

	json_array_foreach (ports, i, port) {
		unsigned cards = 1;

		while (sluice_doctor_card(port, cards, card))
			cards++;
		count += cards;
	}
	return count;
}

const char *sluice_doctor_setup(const struct sluice_doctor *d, char out[static SLUICE_HOST_TEXT])
{
	const json_t *ports = json_object_get(d->status, "ports");
	const json_t *workers = json_object_get(d->status, "workers"), *worker;
	const json_t *flows = json_object_get(d->status, "flows");
	size_t i, used, cores = 0;

	used = (size_t)snprintf(out, SLUICE_HOST_TEXT,
	                        "sluice-host-setup --apply --ports %zu --queues %u --flows %.20s",
	                        count_ports(ports), most_queues(ports),
	                        sluice_text_count(flows, "capacity").text);
	json_array_foreach (workers, i, worker) {
		unsigned core = sluice_doctor_core(worker);

		if (core == SLUICE_DOCTOR_KERNELS_CORE || used >= SLUICE_HOST_TEXT)
			continue;
		used += (size_t)snprintf(out + used, SLUICE_HOST_TEXT - used, "%s%u",
		                         cores++ == 0 ? " --cores " : ",", core);
	}
	if (cores == 0 && i > 0 && used < SLUICE_HOST_TEXT)
		snprintf(out + used, SLUICE_HOST_TEXT - used, " --cores none");
	return out;
}

unsigned sluice_doctor_core(const json_t *worker)
{
	return (unsigned)json_integer_value(json_object_get(worker, "core"));
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
	char card[SLUICE_BDF_SIZE];
	const char *interface;

	if (sluice_doctor_card(port, 0, card)) {
		snprintf(out, SLUICE_HOST_TEXT, "/sys/bus/pci/devices/%s", card);
		return sluice_host_has("%s", out);
	}
	interface = sluice_doctor_interface(port);
	if (interface == NULL)
		return false;
	snprintf(out, SLUICE_HOST_TEXT, "/sys/class/net/%s/device", interface);
	return sluice_host_has("%s", out);
}
