// SPDX-License-Identifier: BSD-3-Clause
// Checks: is the card DPDK's, does an IOMMU watch it, and does AF_XDP copy.
#include <string.h>

#include "control/ctl/doctor.h"
#include "control/ctl/text.h"

static void for_each_card(struct sluice_doctor *d,
                          void (*check)(struct sluice_doctor *d, const char *card))
{
	char card[SLUICE_BDF_SIZE];
	const json_t *port;
	size_t i;

	json_array_foreach (json_object_get(d->status, "ports"), i, port) {
		for (unsigned n = 0; sluice_doctor_card(port, n, card); n++)
			check(d, card);
	}
}

// "" where the card has none.
static const char *driver_of(const char *card, char out[static SLUICE_HOST_TEXT])
{
	if (!sluice_host_link(out, "/sys/bus/pci/devices/%s/driver", card))
		out[0] = '\0';
	return out;
}

static void check_driver(struct sluice_doctor *d, const char *card)
{
	char driver[SLUICE_HOST_TEXT];

	driver_of(card, driver);
	if (strcmp(driver, "vfio-pci") == 0 || sluice_is_bifurcated(driver))
		return;
	sluice_doctor_find(d, SLUICE_PROBLEM, "port %s", card);
	if (!sluice_host_has("/sys/bus/pci/devices/%s", card)) {
		sluice_doctor_seen(d, "there is no such card");
		sluice_doctor_fix(d, "sluice-nic list");
	} else if (driver[0] == '\0') {
		sluice_doctor_seen(d, "no driver has the card");
		sluice_doctor_fix(d, "sluice-nic bind %s", card);
	} else {
		sluice_doctor_seen(d, "the kernel's driver %s has the card, not vfio-pci", driver);
		sluice_doctor_fix(d, "sluice-nic bind %s", card);
	}
}

void sluice_doctor_driver(struct sluice_doctor *d)
{
	for_each_card(d, check_driver);
}

// In no-IOMMU mode vfio makes groups of its own.
static bool has_iommu(const char *card)
{
	char group[SLUICE_HOST_TEXT], name[SLUICE_HOST_TEXT];

	if (!sluice_host_link(group, "/sys/bus/pci/devices/%s/iommu_group", card))
		return false;
	return !sluice_host_line(name, "/sys/bus/pci/devices/%s/iommu_group/name", card) ||
	       strcmp(name, "vfio-noiommu") != 0;
}

static void check_iommu(struct sluice_doctor *d, const char *card)
{
	char driver[SLUICE_HOST_TEXT], setup[SLUICE_HOST_TEXT];

	if (!sluice_host_has("/sys/bus/pci/devices/%s", card) ||
	    sluice_is_bifurcated(driver_of(card, driver)) || has_iommu(card))
		return;
	sluice_doctor_find(d, d->running ? SLUICE_WARNING : SLUICE_PROBLEM, "port %s", card);
	sluice_doctor_seen(d, "no IOMMU stands between the card and the host's memory");
	sluice_doctor_fix(d,
	                  "switch it on in the firmware (VT-d, AMD-Vi), %s, and reboot "
	                  "(hugepages.md, \"Cores and the IOMMU\")",
	                  sluice_doctor_setup(d, setup));
}

void sluice_doctor_iommu(struct sluice_doctor *d)
{
	for_each_card(d, check_iommu);
}

static void find_copying(struct sluice_doctor *d, const json_t *port)
{
	const json_t *memory = json_object_get(d->status, "memory");
	char device[SLUICE_HOST_TEXT];
	bool real = sluice_doctor_device(port, device);

	sluice_doctor_find(d, real ? SLUICE_WARNING : SLUICE_NOTE, "port %s",
	                   sluice_text_string(port, "name"));
	sluice_doctor_seen(d, "AF_XDP is in copy mode");
	if (!real)
		sluice_doctor_fix(d, "none for a virtual interface; a card of its own is faster "
		                     "(README, \"Deploy\")");
	else if (!json_is_true(json_object_get(memory, "hugepages")))
		sluice_doctor_fix(d,
		                  "reserve hugepages, which zero-copy needs, and restart sluiced "
		                  "(hugepages.md)");
	else
		sluice_doctor_fix(d, "a kernel whose driver for this card has zero-copy, or a pci: "
		                     "port (README, \"Deploy\")");
}

void sluice_doctor_copy_mode(struct sluice_doctor *d)
{
	const json_t *port;
	size_t i;

	json_array_foreach (json_object_get(d->status, "ports"), i, port) {
		if (strcmp(sluice_text_string(port, "afXdp"), "copy") == 0 &&
		    sluice_doctor_interface(port) != NULL)
			find_copying(d, port);
	}
}
