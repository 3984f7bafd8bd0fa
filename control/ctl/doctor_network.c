// SPDX-License-Identifier: BSD-3-Clause
// Checks: are the ports' interfaces there, and what does the kernel do to their packets.
#include <errno.h>
#include <string.h>

#include "control/ctl/doctor.h"
#include "control/ctl/text.h"
#include "control/ctl/veth_peer.h"

// A daemon that runs has its interfaces, and one that does not has yet to make a card's.
static void check_interface(struct sluice_doctor *d, const json_t *port)
{
	const char *interface = json_string_value(json_object_get(port, "interface"));

	if (interface == NULL || sluice_doctor_interface(port) != NULL)
		return;
	if (d->running) {
		sluice_doctor_find(d, SLUICE_SKIPPED, "port %s", sluice_text_string(port, "name"));
		sluice_doctor_seen(d, "its interface %s is not in this network namespace",
		                   interface);
		sluice_doctor_fix(d, "run sluicectl where sluiced runs: nsenter --net --mount "
		                     "--target \"$(pidof sluiced)\" sluicectl doctor");
	} else if (sluice_doctor_is_af_xdp(port)) {
		sluice_doctor_find(d, SLUICE_PROBLEM, "port %s", interface);
		sluice_doctor_seen(d, "there is no such interface in this network namespace");
		sluice_doctor_fix(d, "ip link shows those that are there: another device: in "
		                     "sluice.yaml, or sluicectl where sluiced is to run");
	}
}

void sluice_doctor_interfaces(struct sluice_doctor *d)
{
	const json_t *port;
	size_t i;

	json_array_foreach (json_object_get(d->status, "ports"), i, port)
		check_interface(d, port);
}

// The stricter of the interface's value and of all's, but loose (2) wins over strict (1).
static bool is_strict(const char *interface)
{
	long all = sluice_host_number("/proc/sys/net/ipv4/conf/all/rp_filter");
	long own = sluice_host_number("/proc/sys/net/ipv4/conf/%s/rp_filter", interface);

	return (all > own ? all : own) == 1;
}

void sluice_doctor_rp_filter(struct sluice_doctor *d)
{
	const json_t *port;
	size_t i;

	json_array_foreach (json_object_get(d->status, "ports"), i, port) {
		const char *interface = sluice_doctor_interface(port);

		if (interface == NULL || !is_strict(interface))
			continue;
		sluice_doctor_find(d, SLUICE_WARNING, "port %s", sluice_text_string(port, "name"));
		sluice_doctor_seen(
		        d,
		        "rp_filter is strict on %s: the kernel drops what comes in there from "
		        "sources that it would answer over another interface",
		        interface);
		// With dots between them, those of a VLAN's name would be others of the kind.
		sluice_doctor_fix(d,
		                  "sysctl -w net/ipv4/conf/%s/rp_filter=2, and a line of it in "
		                  "/etc/sysctl.d/",
		                  interface);
	}
}

// A name for a shell. Whoever has the network namespace of a container names the interface there,
// and "$(reboot)" is a name too.
static const char *quoted(const char *name, char out[static 4 * IF_NAMESIZE])
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	                            "._-@";
	char *end = out;

	if (name[strspn(name, plain)] == '\0')
		return name;
	*end++ = '\'';
	for (; *name != '\0'; name++) {
		if (*name == '\'')
			end = stpcpy(end, "'\\'");
		*end++ = *name;
	}
	stpcpy(end, "'");
	return out;
}

static void check_peer(struct sluice_doctor *d, const char *interface)
{
	char name[4 * IF_NAMESIZE];
	struct sluice_veth_peer peer;
	int error = sluice_veth_peer_find(interface, &peer);

	if (error == -ENODEV || (error == 0 && !peer.unfinished_checksums))
		return;
	if (error == 0) {
		sluice_doctor_find(d, SLUICE_PROBLEM, "port %s", interface);
		sluice_doctor_seen(d,
		                   "its veth peer %s leaves checksums unfinished, and AF_XDP hands "
		                   "packets on as they are: what gets them drops them",
		                   peer.name);
		sluice_doctor_fix(d, "%sethtool -K %s tx off", peer.enter, quoted(peer.name, name));
		return;
	}
	sluice_doctor_find(d, SLUICE_SKIPPED, "port %s", interface);
	sluice_doctor_seen(d, "whether its veth peer finishes checksums can't be seen: %s",
	                   error == -ESRCH
	                           ? "it is in a network namespace that is not among those of "
	                             "/run/netns and of processes here"
	                           : strerror(-error));
	sluice_doctor_fix(d, "as root, where the peer is: ethtool -K PEER tx off");
}

void sluice_doctor_checksums(struct sluice_doctor *d)
{
	const json_t *port;
	size_t i;

	json_array_foreach (json_object_get(d->status, "ports"), i, port) {
		const char *interface =
		        sluice_doctor_is_af_xdp(port) ? sluice_doctor_interface(port) : NULL;

		if (interface != NULL)
			check_peer(d, interface);
	}
}
