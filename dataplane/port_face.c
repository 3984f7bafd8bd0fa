// SPDX-License-Identifier: BSD-3-Clause

// The kernel face of a port that has no kernel driver: a TAP with the port's MAC. What is not
// sluice's goes there, and what the kernel sends there goes out; addresses, routes, MTU and up or
// down are set on it as on any interface. It stays when the process goes, so that its addresses
// and routes do too.

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <rte_dev.h>
#include <rte_ethdev.h>

#include "dataplane/port_kind.h"
#include "sluice/log.h"

enum {
	FACE_DESCRIPTORS = 256,
};

// Marks the TAP as one that outlives the process.
static int face_persist(const char *name, bool persist)
{
	struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_MULTI_QUEUE};
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
	int r = 0;

	if (fd < 0)
		return -errno;
	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
	if (ioctl(fd, TUNSETIFF, &request) < 0 || ioctl(fd, TUNSETPERSIST, persist) < 0)
		r = -errno;
	close(fd);
	return r;
}

uint16_t sluice_face_mtu(const char *face)
{
	struct ifreq request = {0};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	uint16_t mtu = RTE_ETHER_MTU;

	if (fd < 0)
		return mtu;
	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", face);
	if (ioctl(fd, SIOCGIFMTU, &request) == 0 && request.ifr_mtu >= RTE_ETHER_MIN_MTU &&
	    request.ifr_mtu <= UINT16_MAX)
		mtu = (uint16_t)request.ifr_mtu;
	close(fd);
	return mtu;
}

static int face_queues(const struct sluice_port *port, struct rte_mempool *pool)
{
	int r = 0;

	for (uint16_t q = 0; q < port->tx_queues && r >= 0; q++) {
		r = rte_eth_tx_queue_setup(port->face, q, FACE_DESCRIPTORS, SOCKET_ID_ANY, NULL);
		if (r >= 0)
			r = rte_eth_rx_queue_setup(port->face, q, FACE_DESCRIPTORS, SOCKET_ID_ANY,
			                           NULL, pool);
	}
	return r;
}

static int face_start(struct sluice_port *port, struct rte_mempool *pool)
{
	struct rte_eth_conf conf = {.rxmode.mtu = port->mtu};
	int r = rte_eth_dev_get_port_by_name(port->face_device, &port->face);

	if (r == 0)
		r = rte_eth_dev_configure(port->face, port->tx_queues, port->tx_queues, &conf);
	if (r == 0)
		r = face_queues(port, pool);
	if (r == 0)
		r = rte_eth_dev_set_mtu(port->face, port->mtu);
	if (r == 0)
		r = rte_eth_dev_start(port->face);
	return r;
}

int sluice_face_open(struct sluice_port *port, const char *face, struct rte_mempool *pool)
{
	const uint8_t *mac = port->mac;
	char arguments[128];
	int r = face_persist(face, true);

	snprintf(port->face_device, sizeof(port->face_device), "net_tap_%s", face);
	snprintf(arguments, sizeof(arguments), "iface=%s,mac=%02x:%02x:%02x:%02x:%02x:%02x", face,
	         mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
	if (r == 0)
		r = rte_eal_hotplug_add("vdev", port->face_device, arguments);
	if (r < 0) {
		log_error("%s: no kernel face %s: %s (a TAP needs /dev/net/tun and CAP_NET_ADMIN)",
		          port->name, face, strerror(-r));
		return r;
	}
	r = face_start(port, pool);
	if (r < 0) {
		log_error("%s: kernel face %s not started: %s", port->name, face, strerror(-r));
		rte_eal_hotplug_remove("vdev", port->face_device);
		return r;
	}
	port->ifindex = (int)if_nametoindex(face);
	port->has_face = true;
	return 0;
}

void sluice_face_close(struct sluice_port *port)
{
	port->has_face = false;
	rte_eth_dev_stop(port->face);
	rte_eal_hotplug_remove("vdev", port->face_device);
}

static void face_set_carrier(const struct sluice_port *port, bool up)
{
	char path[IF_NAMESIZE + 64], name[IF_NAMESIZE];
	int fd;

	if (!if_indextoname((unsigned)port->ifindex, name))
		return;
	snprintf(path, sizeof(path), "/sys/class/net/%s/carrier", name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	if (write(fd, up ? "1" : "0", 1) < 0 && errno != EINVAL) // EINVAL: the face is down
		log_warning("%s: carrier of %s not set: %s", port->name, name, strerror(errno));
	close(fd);
}

void sluice_port_face_follow(struct sluice_port *port, uint32_t face_mtu, bool face_running)
{
	bool up = sluice_port_link_up(port);

	if (!port->started || !port->has_face)
		return;
	if (up != face_running)
		face_set_carrier(port, up);
	if (face_mtu == port->mtu || face_mtu == 0)
		return;
	int r = rte_eth_dev_set_mtu(port->id, (uint16_t)face_mtu);

	if (r == 0)
		port->mtu = (uint16_t)face_mtu;
	else
		log_warning("%s: MTU %u not set: %s", port->name, face_mtu, strerror(-r));
}
