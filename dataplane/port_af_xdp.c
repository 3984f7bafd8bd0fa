// SPDX-License-Identifier: BSD-3-Clause

// af_xdp:IFACE: a kernel network interface, through DPDK's net_af_xdp and our steering program.

#include <dirent.h>
#include <errno.h>
#include <linux/ethtool.h>
#include <linux/if_xdp.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <rte_mbuf.h>

#include "dataplane/port_kind.h"
#include "dataplane/steer_object.h"
#include "sluice/log.h"

// A packet buffer must fit a page: the mempool's header, the mbuf, its head room, the head room
// of XDP, and the frame.
enum {
	XDP_HEADROOM = 256,
	BUFFER_OVERHEAD = 64 + sizeof(struct rte_mbuf) + RTE_PKTMBUF_HEADROOM + XDP_HEADROOM,
	FRAME_MAX = 4096 - BUFFER_OVERHEAD,
	AF_XDP_MTU_MAX = FRAME_MAX - PORT_FRAME_OVERHEAD,
};

static int interface_ask(const char *name, unsigned long what, struct ifreq *request)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int r;

	if (fd < 0)
		return -errno;
	memcpy(request->ifr_name, name, strnlen(name, IF_NAMESIZE - 1));
	r = ioctl(fd, what, request) < 0 ? -errno : 0;
	close(fd);
	return r;
}

static int interface_mtu(const char *name)
{
	struct ifreq request = {};
	int r = interface_ask(name, SIOCGIFMTU, &request);

	return r < 0 ? r : request.ifr_mtu;
}

// Queues that the interface spreads what it receives over, and how many of them DPDK's driver can
// serve: it counts combined channels only, and takes an interface without any for one queue.
static unsigned interface_channels(const char *name, unsigned *served)
{
	struct ethtool_channels channels = {.cmd = ETHTOOL_GCHANNELS};
	struct ifreq request = {.ifr_data = (void *)&channels};
	unsigned n;

	*served = 1;
	if (interface_ask(name, SIOCETHTOOL, &request) < 0)
		return 1;
	if (channels.combined_count > 0)
		*served = channels.combined_count;
	n = channels.combined_count + channels.rx_count;
	return n > 0 ? n : 1;
}

// A channel without a socket would lose its share of the traffic.
static int channels_check(const char *name, unsigned queues)
{
	unsigned served;
	unsigned channels = interface_channels(name, &served);

	if (channels == queues && queues <= served)
		return 0;
	if (channels <= served)
		log_error("af_xdp:%s: %u queues configured, but the interface receives on %u: set "
		          "`queues: %u`, or `ethtool -L %s combined %u`",
		          name, queues, channels, channels, name, queues);
	else
		log_error(
		        "af_xdp:%s: the interface receives on %u channels, and DPDK's driver can "
		        "serve %u of them (it knows combined channels only, which a veth has none "
		        "of): `ethtool -L %s rx %u`, and `queues: %u`",
		        name, channels, served, name, served, served);
	return -EINVAL;
}

static int af_xdp_check(const struct sluice_port_config *config)
{
	const char *name = config->device;
	struct ifreq request = {};
	int mtu, r;

	if (strlen(name) >= IF_NAMESIZE || strchr(name, ',') || if_nametoindex(name) == 0) {
		log_error("af_xdp:%s: no such network interface (see `ip link`)", name);
		return -ENODEV;
	}
	r = interface_ask(name, SIOCGIFFLAGS, &request);
	if (r == 0 && !(request.ifr_flags & IFF_UP)) {
		log_error("af_xdp:%s: the interface is down: `ip link set dev %s up`", name, name);
		return -ENETDOWN;
	}
	mtu = r < 0 ? r : interface_mtu(name);
	if (mtu < 0) {
		log_error("af_xdp:%s: %s", name, strerror(-mtu));
		return mtu;
	}
	if (mtu > AF_XDP_MTU_MAX) {
		log_error("af_xdp:%s: MTU %d is too large for AF_XDP, at most %d: `ip link set dev "
		          "%s mtu %d`",
		          name, mtu, AF_XDP_MTU_MAX, name, AF_XDP_MTU_MAX);
		return -EINVAL;
	}
	r = channels_check(name, config->queues);
	return r < 0 ? r : mtu + PORT_FRAME_OVERHEAD;
}

static int af_xdp_describe(struct sluice_port *port, const struct sluice_port_config *config,
                           bool copy, char *arguments, size_t size)
{
	const char *object = sluice_steer_object();
	int mtu = interface_mtu(config->device);
	int used;

	if (!object)
		return -ENOENT;
	if (mtu < 0)
		return mtu;
	port->mtu = (uint16_t)mtu;
	port->ifindex = (int)if_nametoindex(config->device);
	port->tx_queues = config->queues; // a socket is a pair
	snprintf(port->name, sizeof(port->name), "%s", config->device);
	snprintf(port->device, sizeof(port->device), "net_af_xdp_%s", config->device);
	// Without hugepages a buffer may lie on two pages that are apart, which a zero-copy driver
	// would refuse, one lost buffer at a time.
	used = snprintf(arguments, size,
	                "iface=%s,start_queue=0,queue_count=%u,busy_budget=0,xdp_prog=%s%s",
	                config->device, config->queues, object, copy ? ",force_copy=1" : "");
	return (size_t)used < size ? 0 : -E2BIG;
}

// DPDK's driver says this of its sockets to nobody, and not every kernel can list them (ss --xdp).
unsigned sluice_af_xdp_zero_copy_sockets(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned n = 0;

	for (struct dirent *e; d && (e = readdir(d));) {
		struct xdp_options options = {};
		socklen_t size = sizeof(options);

		if (getsockopt((int)strtol(e->d_name, NULL, 10), SOL_XDP, XDP_OPTIONS, &options,
		               &size) == 0 &&
		    (options.flags & XDP_OPTIONS_ZEROCOPY))
			n++;
	}
	if (d)
		closedir(d);
	return n;
}

static void af_xdp_explain(const struct sluice_port *port)
{
	struct ifreq request = {};

	if (geteuid() != 0)
		log_error(
		        "af_xdp:%s: AF_XDP needs root, or CAP_NET_ADMIN, CAP_NET_RAW, CAP_BPF and "
		        "CAP_SYS_ADMIN",
		        port->name);
	else if (interface_ask(port->name, SIOCGIFFLAGS, &request) == 0 &&
	         !(request.ifr_flags & IFF_UP))
		log_error("af_xdp:%s: the interface went down", port->name);
	else
		log_error("af_xdp:%s: DPDK's AF_XDP driver cannot use the interface; its reason is "
		          "in the lines above (a veth's peer must have an MTU up to 3500 and no "
		          "more transmit queues than the veth has receive queues)",
		          port->name);
}

const struct sluice_port_kind_ops sluice_port_af_xdp = {
        .prefix = "af_xdp:",
        .bus = "vdev",
        .check = af_xdp_check,
        .describe = af_xdp_describe,
        .explain = af_xdp_explain,
};
