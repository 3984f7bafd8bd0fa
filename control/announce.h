// SPDX-License-Identifier: BSD-3-Clause
#pragma once

// Virtual IPs on an interface, so that the kernel answers ARP, ND and ping for them and a routing
// daemon can export them. Control thread only.
//
// Addresses are added as /32 and /128 and carry protocol SLUICE_ADDRESS_PROTOCOL (`ip address` of
// iproute2 6.3 and later shows it), by which an address that an earlier, killed process left is
// known as ours. What carries another protocol is the administrator's, and never removed.

#include <stddef.h>

#include "control/kernel.h"

enum {
	SLUICE_ADDRESS_PROTOCOL = 83, // IFA_PROTO, kernel 5.18 and later
};

struct sluice_announce;

// interface: "lo", ...; need not exist yet. NULL: none; then nothing is announced and set only
// removes what an earlier process announced. The mirror must outlive it. NULL with errno.
struct sluice_announce *sluice_announce_new(struct sluice_kernel *kernel, const char *interface);

// Makes vips (copied, duplicates allowed) what is announced: adds what is missing, removes what is
// ours and not among them. Sets the interface up where it is down. Errors are logged and the rest
// is done all the same; returns the first one as -errno, else 0.
int sluice_announce_set(struct sluice_announce *a, const struct sluice_address *vips, size_t count);

// The same again, with the set of the last call: for a change of LINKS or ADDRESSES. 0 or -errno.
int sluice_announce_refresh(struct sluice_announce *a);

// Removes what is ours from the interface (a clean stop). 0 or -errno.
int sluice_announce_withdraw(struct sluice_announce *a);

// Forgets; leaves the addresses.
void sluice_announce_free(struct sluice_announce *a);
