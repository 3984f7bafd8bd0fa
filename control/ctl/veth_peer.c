// SPDX-License-Identifier: BSD-3-Clause
// The kernel says of a veth the index of its peer, and the peer's namespace by a number of its own;
// the namespaces that can be opened are asked for theirs until it is that one. The peer itself
// answers only to a socket of its namespace.
#include "control/ctl/veth_peer.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <linux/ethtool.h>
#include <linux/net_namespace.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <netlink/attr.h>
#include <netlink/handlers.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <netlink/socket.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

struct answer {
	int ifindex; // of the peer
	int netns;   // the kernel's number for it; -1: ours, or none
};

static int ask_interface(int fd, const char *name, void *what)
{
	struct ifreq request = {.ifr_data = what};

	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
	return ioctl(fd, SIOCETHTOOL, &request) < 0 ? -errno : 0;
}

static bool is_veth(const char *name)
{
	struct ethtool_drvinfo info = {.cmd = ETHTOOL_GDRVINFO};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool veth =
	        fd >= 0 && ask_interface(fd, name, &info) == 0 && strcmp(info.driver, "veth") == 0;

	if (fd >= 0)
		close(fd);
	return veth;
}

// ---- netlink

static int read_link(struct nl_msg *message, void *out)
{
	struct answer *a = out;
	struct nlattr *link =
	        nlmsg_find_attr(nlmsg_hdr(message), sizeof(struct ifinfomsg), IFLA_LINK);
	struct nlattr *id =
	        nlmsg_find_attr(nlmsg_hdr(message), sizeof(struct ifinfomsg), IFLA_LINK_NETNSID);

	if (link != NULL)
		a->ifindex = (int)nla_get_u32(link);
	if (id != NULL)
		a->netns = nla_get_s32(id);
	return NL_OK;
}

static int read_namespace(struct nl_msg *message, void *out)
{
	struct answer *a = out;
	struct nlattr *id =
	        nlmsg_find_attr(nlmsg_hdr(message), sizeof(struct rtgenmsg), NETNSA_NSID);

	if (id != NULL)
		a->netns = nla_get_s32(id);
	return NL_OK;
}

// Sends the message (freed) and reads its answer. 0 or -EIO.
static int ask_netlink(struct nl_sock *netlink, struct nl_msg *message, nl_recvmsg_msg_cb_t read,
                       struct answer *out)
{
	int error;

	*out = (struct answer){.netns = -1};
	nl_socket_modify_cb(netlink, NL_CB_VALID, NL_CB_CUSTOM, read, out);
	error = nl_send_auto(netlink, message);
	nlmsg_free(message);
	if (error >= 0)
		error = nl_recvmsgs_default(netlink);
	return error < 0 ? -EIO : 0;
}

static int find_link(struct nl_sock *netlink, const char *interface, struct answer *out)
{
	struct ifinfomsg header = {.ifi_index = (int)if_nametoindex(interface)};
	struct nl_msg *message = nlmsg_alloc_simple(RTM_GETLINK, 0);

	if (message == NULL)
		return -ENOMEM;
	nlmsg_append(message, &header, sizeof(header), NLMSG_ALIGNTO);
	return ask_netlink(netlink, message, read_link, out);
}

// The kernel's number for an open namespace; -1: it has none.
static int number_of(struct nl_sock *netlink, int netns)
{
	struct rtgenmsg header = {.rtgen_family = AF_UNSPEC};
	struct nl_msg *message = nlmsg_alloc_simple(RTM_GETNSID, 0);
	struct answer a;

	if (message == NULL)
		return -1;
	nlmsg_append(message, &header, sizeof(header), NLMSG_ALIGNTO);
	nla_put_u32(message, NETNSA_FD, (uint32_t)netns);
	return ask_netlink(netlink, message, read_namespace, &a) == 0 ? a.netns : -1;
}

// ---- namespaces

// How to go to the namespace that is at path.
static void say_enter(const char *path, struct sluice_veth_peer *peer)
{
	static const char named[] = "/run/netns/";

	if (strncmp(path, named, strlen(named)) == 0)
		snprintf(peer->enter, sizeof(peer->enter), "ip netns exec %s ",
		         path + strlen(named));
	else
		snprintf(peer->enter, sizeof(peer->enter), "nsenter --net=%s ", path);
}

// An open descriptor of the namespace with the number, -ESRCH or -EPERM.
static int open_namespace(struct nl_sock *netlink, int number, struct sluice_veth_peer *peer)
{
	int found = -ESRCH;
	glob_t paths;

	if (glob("/run/netns/*", 0, NULL, &paths) == GLOB_NOSPACE ||
	    glob("/proc/[0-9]*/ns/net", GLOB_APPEND, NULL, &paths) == GLOB_NOSPACE)
		return -ENOMEM;
	for (size_t i = 0; i < paths.gl_pathc && found < 0; i++) {
		int fd = open(paths.gl_pathv[i], O_RDONLY | O_CLOEXEC);

		if (fd < 0 && (errno == EACCES || errno == EPERM))
			found = -EPERM;
		if (fd < 0)
			continue;
		if (number_of(netlink, fd) == number) {
			say_enter(paths.gl_pathv[i], peer);
			found = fd;
		} else {
			close(fd);
		}
	}
	globfree(&paths);
	return found;
}

// A socket of another namespace: it stays there, and we come back. Or -errno.
static int socket_in(int netns)
{
	int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	int fd = -1, error = 0;

	if (home < 0)
		return -errno;
	if (setns(netns, CLONE_NEWNET) != 0) {
		error = -errno;
	} else {
		fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
		error = fd < 0 ? -errno : 0;
		if (setns(home, CLONE_NEWNET) != 0)
			abort(); // nothing that we say from here on would be of this host
	}
	close(home);
	return error != 0 ? error : fd;
}

static int socket_of_peer(struct nl_sock *netlink, const struct answer *link,
                          struct sluice_veth_peer *peer)
{
	int netns, fd;

	if (link->netns < 0) { // ours
		fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
		return fd < 0 ? -errno : fd;
	}
	netns = open_namespace(netlink, link->netns, peer);
	if (netns < 0)
		return netns;
	fd = socket_in(netns);
	close(netns);
	return fd;
}

static int ask_peer(int fd, int ifindex, struct sluice_veth_peer *peer)
{
	struct ethtool_value checksums = {.cmd = ETHTOOL_GTXCSUM};
	struct ifreq request = {.ifr_ifindex = ifindex};
	int error = ioctl(fd, SIOCGIFNAME, &request) < 0 ? -errno : 0;

	if (error == 0) {
		snprintf(peer->name, sizeof(peer->name), "%s", request.ifr_name);
		error = ask_interface(fd, peer->name, &checksums);
	}
	peer->unfinished_checksums = checksums.data != 0;
	return error;
}

int sluice_veth_peer_find(const char *interface, struct sluice_veth_peer *peer)
{
	struct nl_sock *netlink;
	struct answer link;
	int error, fd;

	*peer = (struct sluice_veth_peer){0};
	if (!is_veth(interface))
		return -ENODEV;
	netlink = nl_socket_alloc();
	if (netlink == NULL)
		return -ENOMEM;
	nl_socket_disable_auto_ack(netlink); // an answer is one message, and no other follows it
	error = nl_connect(netlink, NETLINK_ROUTE) < 0 ? -EIO
	                                               : find_link(netlink, interface, &link);
	if (error == 0) {
		fd = socket_of_peer(netlink, &link, peer);
		error = fd < 0 ? fd : ask_peer(fd, link.ifindex, peer);
		if (fd >= 0)
			close(fd);
	}
	nl_socket_free(netlink);
	return error;
}
