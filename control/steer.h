// SPDX-License-Identifier: BSD-3-Clause
#pragma once

// What the XDP program (dataplane/steer.bpf.c) hands to the workers: the sets in its maps, and
// taking an interface over from a process that was killed.
//
// A killed process leaves its program attached: it goes on dropping service traffic, as its
// sockets are gone. The AF_XDP driver can only attach where nothing is, so for the moment between
// the old program and the new one's maps being filled a guard on the interface's tc ingress hook
// drops the same traffic. The order for an AF_XDP port is
//
//     sluice_steer_prepare   the interface is ours alone; a stale program makes way to a guard
//     sluice_port_open       the driver loads and attaches the new program, its maps empty
//     sluice_steer_attach    its maps are found
//     sluice_steer_sync      (any number of times) its maps are filled
//     sluice_steer_release   the guard goes, once the first snapshot is published and synced
//
// and a clean stop is sluice_port_close (the driver detaches), then sluice_steer_free.
// Control thread only. What goes wrong is logged in words with its fix.

#include <stddef.h>

#include "sluice/types.h"

struct sluice_steer;

// What is service traffic. Arrays in any order, repeats allowed; fastest when sorted by memcmp.
struct sluice_steer_sets {
	const struct sluice_target *virtual_targets; // destination: VIP and port, node ports too
	size_t virtual_target_count;
	const struct sluice_target *return_targets; // source: endpoints that answer to clients
	size_t return_target_count;
	// Source: endpoints that answer to snat_addresses; and their addresses alone, for fragments
	// that have no ports.
	const struct sluice_target *snat_targets;
	size_t snat_target_count;
	// Fragments that have no ports: destination VIPs, not the host's own addresses, as these
	// get fragments of other traffic too; source endpoints.
	const struct sluice_address *virtual_addresses;
	size_t virtual_address_count;
	const struct sluice_address *return_addresses;
	size_t return_address_count;
	// The host's own addresses: what endpoints send there is the kernel's (answers to probes).
	const struct sluice_address *local_addresses;
	size_t local_address_count;
	// Addresses and ports (host byte order) that we send from: what snat_targets send there is
	// ours, even where the address is the host's own.
	const struct sluice_address *snat_addresses;
	size_t snat_address_count;
	uint16_t snat_first_port, snat_last_port;
};

struct sluice_steer *sluice_steer_new(void);

// Closes what is open here; detaches nothing, so guards and programs stay.
void sluice_steer_free(struct sluice_steer *s);

// -EBUSY: the interface is another running sluiced's, or has someone else's XDP program.
int sluice_steer_prepare(struct sluice_steer *s, const char *interface);

// -ENOENT: no program of ours is attached.
int sluice_steer_attach(struct sluice_steer *s, const char *interface);

// Makes the maps of all attached interfaces hold these sets, by the differences to the last call:
// additions first, then removals. To be called after every worker has the snapshot that the sets
// are of, and before its virtual addresses are announced. On failure (-ENOMEM, -E2BIG) the next
// call tries again what is missing.
int sluice_steer_sync(struct sluice_steer *s, const struct sluice_steer_sets *want);

// Removes the guards, if any.
void sluice_steer_release(struct sluice_steer *s);
