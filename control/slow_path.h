// SPDX-License-Identifier: BSD-3-Clause
#pragma once

// Packets whose next hop is not resolved, handed to the kernel: it resolves, queues and sends.
// Control thread only; needs CAP_NET_RAW.

#include <stddef.h>

struct sluice_slow_path;

// NULL with errno.
struct sluice_slow_path *sluice_slow_path_new(void);

// Sends a whole IPv4 or IPv6 packet, from the IP header on. Source addresses need not be the
// host's. The bytes go out as they are, except that an IPv4 identification of 0 may be filled in
// where DF is not set, with the header checksum to match. Never waits.
// 0; -EINVAL (not an IP packet, or its length is not len), -EAGAIN or -ENOBUFS (the kernel's queue
// is full), -EMSGSIZE (larger than the MTU), -ENETUNREACH, -EHOSTUNREACH, ... as the kernel says.
int sluice_slow_path_send(struct sluice_slow_path *s, const void *packet, size_t len);

void sluice_slow_path_free(struct sluice_slow_path *s);
