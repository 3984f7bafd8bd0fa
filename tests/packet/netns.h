// SPDX-License-Identifier: BSD-3-Clause
#pragma once

// A network namespace of the test's own, and raw frames on its interfaces.

#include <stddef.h>
#include <stdint.h>

// Leaves the host's network for a new, empty one. It goes with the process.
void netns_enter(void);

// Runs a shell command that must succeed.
__attribute__((format(printf, 1, 2))) void netns_run(const char *format, ...);

// A non-blocking raw socket on an interface.
int netns_raw_socket(const char *interface);

// An Ethernet, IPv4 and TCP header, checksums right, destination MAC dd:..., source MAC 02:...
// Returns the frame's length: size, at least 54.
size_t netns_tcp_frame(uint8_t *frame, size_t size, const uint8_t mac[6], const char *source,
                       uint16_t source_port, const char *destination, uint16_t destination_port,
                       uint8_t flags);
