// SPDX-License-Identifier: BSD-3-Clause

// vdev:NAME[,ARGS]: any of DPDK's virtual devices, as its documentation writes them.

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "dataplane/port_kind.h"
#include "sluice/log.h"

static int vdev_check(const struct sluice_port_config *config)
{
	size_t length = strcspn(config->device, ",");

	if (length == 0 || length >= sizeof(((struct sluice_port *)NULL)->device)) {
		log_error("vdev:%s: not a device: NAME or NAME,ARGS, as in vdev:net_tap0,iface=t0",
		          config->device);
		return -EINVAL;
	}
	return 1500 + PORT_FRAME_OVERHEAD;
}

static int vdev_describe(struct sluice_port *port, const struct sluice_port_config *config,
                         bool copy, char *arguments, size_t size)
{
	size_t length = strcspn(config->device, ",");
	const char *rest = config->device + length;

	(void)copy;
	snprintf(port->device, sizeof(port->device), "%.*s", (int)length, config->device);
	snprintf(port->name, sizeof(port->name), "%s", port->device);
	if (strncmp(port->device, "net_tap", 7) == 0)
		port->tx_queues = config->queues; // a queue is a file descriptor, both ways
	if ((size_t)snprintf(arguments, size, "%s", *rest ? rest + 1 : "") >= size)
		return -E2BIG;
	return 0;
}

static void vdev_explain(const struct sluice_port *port)
{
	log_error("%s: DPDK does not make this device: is the name (net_null0, net_tap0, ...) a "
	          "driver's, and are its arguments right?",
	          port->device);
}

const struct sluice_port_kind_ops sluice_port_vdev = {
        .prefix = "vdev:",
        .bus = "vdev",
        .check = vdev_check,
        .describe = vdev_describe,
        .explain = vdev_explain,
};
