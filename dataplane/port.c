// SPDX-License-Identifier: BSD-3-Clause
#include "dataplane/port.h"

#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <rte_dev.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>

#include "dataplane/port_kind.h"
#include "sluice/log.h"

enum {
	DESCRIPTORS = 2048, // sluice_eal_buffers counts on it
	XDP_HEADROOM = 256,
	POOL_CACHE = 256,
};

static const struct sluice_port_kind_ops *const kinds[] = {
        [SLUICE_PORT_AF_XDP] = &sluice_port_af_xdp,
        [SLUICE_PORT_VDEV] = &sluice_port_vdev,
        [SLUICE_PORT_PCI] = &sluice_port_pci,
        [SLUICE_PORT_BOND] = &sluice_port_bond,
};

int sluice_port_check(const struct sluice_port_config *config)
{
	return kinds[config->kind]->check(config);
}

size_t sluice_port_cards(const struct sluice_port_config *config, char (*bdf)[SLUICE_BDF_SIZE])
{
	struct sluice_bond bond = {};
	size_t count = 0;

	if (config->kind == SLUICE_PORT_PCI)
		snprintf(bdf[count++], SLUICE_BDF_SIZE, "%s", config->device);
	if (config->kind != SLUICE_PORT_BOND || sluice_bond_parse(config->device, &bond))
		return count;
	for (unsigned i = 0; i < bond.count; i++)
		if (sluice_is_bdf(bond.members[i]))
			snprintf(bdf[count++], SLUICE_BDF_SIZE, "%s", bond.members[i]);
	return count;
}

uint64_t sluice_port_nodes(const struct sluice_port_config *config, const struct sluice_numa *numa)
{
	char bdf[SLUICE_BOND_MEMBERS_MAX][SLUICE_BDF_SIZE], directory[128];
	size_t cards = sluice_port_cards(config, bdf);
	uint64_t nodes = 0;

	for (size_t i = 0; i < cards; i++) {
		snprintf(directory, sizeof(directory), "/sys/bus/pci/devices/%s", bdf[i]);
		nodes |= sluice_numa_device(numa, directory);
	}
	if (config->kind == SLUICE_PORT_AF_XDP) {
		snprintf(directory, sizeof(directory), "/sys/class/net/%s/device", config->device);
		nodes |= sluice_numa_device(numa, directory);
	}
	return nodes;
}

// AF_XDP reads the pool as one array of buffers without gaps; with a gap anywhere it would hand
// the kernel addresses beyond its end.
static bool pool_is_array(struct rte_mempool *pool)
{
	size_t object = (size_t)pool->header_size + pool->elt_size + pool->trailer_size;

	return pool->nb_mem_chunks == 1 &&
	       STAILQ_FIRST(&pool->mem_list)->len >= object * pool->populated_size &&
	       (pool->flags & RTE_MEMPOOL_F_NO_IOVA_CONTIG);
}

static struct rte_mempool *pool_on(int node, unsigned count, size_t room, bool dma)
{
	struct rte_pktmbuf_pool_private private = {.mbuf_data_room_size = (uint16_t)room};
	struct rte_mempool *pool;

	// Buffers may cross pages: packed densely they fill the cache's sets evenly, and AF_XDP
	// takes nothing else (pool_is_array). A card wants each at addresses that it can use.
	pool = rte_mempool_create_empty("packets", count, sizeof(struct rte_mbuf) + room,
	                                POOL_CACHE, sizeof(private), node,
	                                dma ? 0 : RTE_MEMPOOL_F_NO_IOVA_CONTIG);
	if (!pool)
		return NULL;
	if (rte_mempool_set_ops_byname(pool, "ring_mp_mc", NULL) < 0)
		goto fail;
	rte_pktmbuf_pool_init(pool, &private);
	if (rte_mempool_populate_default(pool) < 0 || (!dma && !pool_is_array(pool)))
		goto fail;
	rte_mempool_obj_iter(pool, rte_pktmbuf_init, NULL);
	return pool;

fail:
	rte_mempool_free(pool);
	return NULL;
}

struct rte_mempool *sluice_port_pool_new(unsigned count, size_t frame, bool dma, int node)
{
	size_t room = RTE_PKTMBUF_HEADROOM + XDP_HEADROOM + frame;
	size_t least = RTE_MBUF_DEFAULT_BUF_SIZE;
	struct rte_mempool *pool;

	room = RTE_ALIGN_CEIL(room > least ? room : least, 64);
	pool = pool_on(node, count, room, dma);
	if (!pool && node != SLUICE_NUMA_ANY) {
		pool = pool_on(SLUICE_NUMA_ANY, count, room, dma);
		if (pool)
			log_warning("memory node %d has no room for %u packet buffers: they are "
			            "far from the card (hugepages.md, \"More than one memory "
			            "node\")",
			            node, count);
	}
	if (!pool)
		log_error("no memory for %u packet buffers in one piece: fewer queues or workers, "
		          "or more hugepages",
		          count);
	return pool;
}

static int queues_choose(struct sluice_port *port, const struct rte_eth_dev_info *info,
                         unsigned workers)
{
	if (port->rx_queues > info->max_rx_queues) {
		log_error("%s: %u queues configured, the device has %u", port->name,
		          port->rx_queues, info->max_rx_queues);
		return -EINVAL;
	}
	if (port->tx_queues == 0)
		port->tx_queues = (uint16_t)RTE_MIN(workers, info->max_tx_queues);
	return 0;
}

static int device_configure(struct sluice_port *port, const struct rte_eth_dev_info *info)
{
	struct rte_eth_conf conf = {};

	if (port->mtu == 0 && rte_eth_dev_get_mtu(port->id, &port->mtu) < 0)
		port->mtu = RTE_ETHER_MTU;
	conf.rxmode.mtu = port->mtu;
	// Addresses and ports, so that a flow's packets stay in order; symmetric it need not be, as
	// any worker takes any packet.
	conf.rx_adv_conf.rss_conf.rss_hf =
	        info->flow_type_rss_offloads & (RTE_ETH_RSS_IP | RTE_ETH_RSS_TCP | RTE_ETH_RSS_UDP);
	if (port->rx_queues > 1 && conf.rx_adv_conf.rss_conf.rss_hf)
		conf.rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
	// Buffers come from one pool and have one owner each.
	conf.txmode.offloads = info->tx_offload_capa & RTE_ETH_TX_OFFLOAD_MBUF_FAST_FREE;
	if (info->max_mtu > 0 && port->mtu > info->max_mtu)
		port->mtu = conf.rxmode.mtu = info->max_mtu;
	return rte_eth_dev_configure(port->id, port->rx_queues, port->tx_queues, &conf);
}

static int queues_on(int node, struct sluice_port *port, struct rte_mempool *pool)
{
	uint16_t rx = DESCRIPTORS, tx = DESCRIPTORS;
	int r = rte_eth_dev_adjust_nb_rx_tx_desc(port->id, &rx, &tx);

	// tx first: the AF_XDP driver makes both with the rx queue.
	for (uint16_t q = 0; q < port->tx_queues && r >= 0; q++)
		r = rte_eth_tx_queue_setup(port->id, q, tx, (unsigned)node, NULL);
	for (uint16_t q = 0; q < port->rx_queues && r >= 0; q++)
		r = rte_eth_rx_queue_setup(port->id, q, rx, (unsigned)node, NULL, pool);
	return r;
}

static int queues_setup(struct sluice_port *port, struct rte_mempool *pool)
{
	int node = rte_eth_dev_socket_id(port->id);
	int r = queues_on(node, port, pool);

	if (r != -ENOMEM || !port->nodes)
		return r;
	log_warning("%s: memory node %d has no room for the queues: they are far from the card",
	            port->name, node);
	return queues_on(SLUICE_NUMA_ANY, port, pool);
}

static int device_create(struct sluice_port *port, const char *arguments,
                         struct rte_eth_dev_info *info)
{
	const char *bus = kinds[port->kind]->bus;
	int r = rte_eth_dev_get_port_by_name(port->device, &port->id); // cards the EAL has found

	if (r < 0) {
		r = rte_eal_hotplug_add(bus, port->device, arguments);
		if (r < 0)
			return r;
		r = rte_eth_dev_get_port_by_name(port->device, &port->id);
	}
	if (r == 0)
		r = rte_eth_dev_info_get(port->id, info);
	if (r < 0)
		rte_eal_hotplug_remove(bus, port->device);
	return r;
}

static int device_start(struct sluice_port *port, const struct rte_eth_dev_info *info,
                        struct rte_mempool *pool)
{
	struct rte_ether_addr mac;
	int r = device_configure(port, info);

	if (r == 0)
		r = queues_setup(port, pool);
	if (r == 0)
		r = rte_eth_dev_start(port->id);
	if (r == 0)
		r = rte_eth_macaddr_get(port->id, &mac);
	if (r < 0)
		return r;
	memcpy(port->mac, mac.addr_bytes, sizeof(port->mac));
	if (port->ifindex == 0)
		port->ifindex = (int)info->if_index;
	port->started = true;
	// The kernel behind the face wants ND, OSPF and the like.
	rte_eth_allmulticast_enable(port->id);
	return 0;
}

int sluice_port_open(struct sluice_port *port, unsigned index,
                     const struct sluice_port_config *config, struct rte_mempool *pool,
                     unsigned workers, bool copy)
{
	const struct sluice_port_kind_ops *kind = kinds[config->kind];
	struct rte_eth_dev_info info = {};
	unsigned before = sluice_af_xdp_zero_copy_sockets();
	char arguments[4096];
	int r;

	*port = (struct sluice_port){.index = index,
	                             .kind = config->kind,
	                             .rx_queues = config->queues,
	                             .nodes = config->nodes};
	r = kind->describe(port, config, copy, arguments, sizeof(arguments));
	if (r < 0) {
		log_error("%s%s: %s", kind->prefix, config->device, strerror(-r));
		return r;
	}
	r = device_create(port, arguments, &info);
	if (r < 0) {
		kind->explain(port);
		return r;
	}
	r = queues_choose(port, &info, workers);
	if (r < 0)
		goto fail;
	r = device_start(port, &info, pool);
	if (r < 0) {
		kind->explain(port);
		goto fail;
	}
	port->zero_copy = sluice_af_xdp_zero_copy_sockets() > before;
	r = config->face ? sluice_face_open(port, config->face, pool) : 0;
	if (r == 0)
		return 0;
fail:
	port->started = false;
	rte_eal_hotplug_remove(kind->bus, port->device);
	return r;
}

void sluice_port_close(struct sluice_port *port)
{
	int r;

	if (!port->started)
		return;
	port->started = false;
	if (port->has_face)
		sluice_face_close(port);
	r = rte_eth_dev_stop(port->id);
	if (r == 0)
		r = rte_eth_dev_close(port->id);
	if (r < 0)
		log_warning("%s: %s", port->name, strerror(-r));
	rte_eal_hotplug_remove(kinds[port->kind]->bus, port->device);
}

// The AF_XDP driver says up whatever happens: for kernel interfaces the kernel is asked.
static bool interface_running(const struct sluice_port *port)
{
	struct ifreq request = {};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool running;

	if (fd < 0)
		return false;
	running = if_indextoname((unsigned)port->ifindex, request.ifr_name) &&
	          ioctl(fd, SIOCGIFFLAGS, &request) == 0 && (request.ifr_flags & IFF_UP) &&
	          (request.ifr_flags & IFF_RUNNING);
	close(fd);
	return running;
}

bool sluice_port_link_up(const struct sluice_port *port)
{
	struct rte_eth_link link;

	if (!port->started)
		return false;
	if (port->ifindex > 0 && !port->has_face)
		return interface_running(port);
	return rte_eth_link_get_nowait(port->id, &link) == 0 && link.link_status;
}

int sluice_port_losses(const struct sluice_port *port, struct sluice_port_losses *losses)
{
	struct rte_eth_stats stats;
	int r;

	*losses = (struct sluice_port_losses){};
	if (!port->started)
		return -ENODEV;
	r = rte_eth_stats_get(port->id, &stats);
	if (r < 0)
		return r;
	losses->missed = stats.imissed;
	losses->errors = stats.ierrors;
	return 0;
}
