// SPDX-License-Identifier: BSD-3-Clause

// pci:BDF: a network card under vfio-pci, or one whose DPDK driver works beside the kernel's
// (bifurcated: mlx5).

#include <errno.h>
#include <libgen.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "dataplane/pci.h"
#include "dataplane/port_kind.h"
#include "sluice/log.h"

// The name of what a link in the device's sysfs directory points to; "" where there is none.
static const char *pci_link(const char *bdf, const char *link, char *text, size_t size)
{
	char path[128];
	ssize_t n;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/%s", bdf, link);
	n = readlink(path, text, size - 1);
	if (n < 0)
		return "";
	text[n] = '\0';
	return basename(text);
}

static bool pci_is_present(const char *bdf)
{
	char path[128];

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s", bdf);
	return access(path, F_OK) == 0;
}

static bool is_without_iommu(void)
{
	char flag = 'N';
	FILE *f = fopen("/sys/module/vfio/parameters/enable_unsafe_noiommu_mode", "re");

	if (f) {
		flag = (char)getc(f);
		fclose(f);
	}
	return flag == 'Y' || flag == '1';
}

static int pci_check(const struct sluice_port_config *config)
{
	const char *bdf = config->device, *driver;
	char text[256];

	if (!pci_is_present(bdf)) {
		log_error("pci:%s: no such device (`sluice-nic list`, or lspci -D)", bdf);
		return -ENODEV;
	}
	driver = pci_link(bdf, "driver", text, sizeof(text));
	if (sluice_is_bifurcated(driver))
		return sluice_face_mtu(config->face) + PORT_FRAME_OVERHEAD;
	if (strcmp(driver, "vfio-pci") != 0) {
		log_error("pci:%s: %s%s has it, not vfio-pci: `sluice-nic bind %s`", bdf,
		          *driver ? "the kernel's driver " : "no driver", driver, bdf);
		return -EBUSY;
	}
	if (!*pci_link(bdf, "iommu_group", text, sizeof(text)) || is_without_iommu())
		log_warning("pci:%s: no IOMMU stands between the card and the memory: a card or "
		            "driver gone wrong can write anywhere (boot with intel_iommu=on or "
		            "amd_iommu=on)",
		            bdf);
	return sluice_face_mtu(config->face) + PORT_FRAME_OVERHEAD;
}

static int pci_describe(struct sluice_port *port, const struct sluice_port_config *config,
                        bool copy, char *arguments, size_t size)
{
	(void)copy;
	if (strlen(config->device) >= sizeof(port->device))
		return -EINVAL;
	snprintf(port->device, sizeof(port->device), "%s", config->device);
	snprintf(port->name, sizeof(port->name), "%s", config->device);
	port->mtu = sluice_face_mtu(config->face);
	snprintf(arguments, size, "%s", "");
	return 0;
}

static void pci_explain(const struct sluice_port *port)
{
	log_error("pci:%s: DPDK has no driver for this card, or it is in use; the lines above say "
	          "which (root, or access to /dev/vfio, is needed, and memory that may be locked: "
	          "LimitMEMLOCK=infinity)",
	          port->name);
}

const struct sluice_port_kind_ops sluice_port_pci = {
        .prefix = "pci:",
        .bus = "pci",
        .check = pci_check,
        .describe = pci_describe,
        .explain = pci_explain,
};
