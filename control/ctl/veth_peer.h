// SPDX-License-Identifier: BSD-3-Clause
#pragma once

// The other end of a veth, in whichever network namespace it is.

#include <net/if.h>
#include <stdbool.h>

struct sluice_veth_peer {
	char name[IF_NAMESIZE];
	char enter[300];           // what a command there begins with: "ip netns exec web ", or ""
	bool unfinished_checksums; // it hands over packets whose TCP and UDP checksums are not done
};

// 0; -ENODEV: the interface is no veth; -ESRCH: the peer's namespace is not among those that have a
// name or a process here; -EPERM: only root may look there; or another -errno.
int sluice_veth_peer_find(const char *interface, struct sluice_veth_peer *peer);
