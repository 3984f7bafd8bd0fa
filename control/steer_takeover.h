// SPDX-License-Identifier: BSD-3-Clause
#pragma once

// steer.c's own: the kernel side of steering, by interface. Programs attached, their maps, and
// the guard that stands in for a program.

#include <stdbool.h>
#include <stdint.h>

// In the order they are added to: what keeps a packet from being taken comes first.
enum steer_set {
	STEER_SET_LOCAL_ADDRESSES,
	STEER_SET_SNAT_ADDRESSES,
	STEER_SET_VIRTUAL_ADDRESSES,
	STEER_SET_RETURN_ADDRESSES,
	STEER_SET_VIRTUAL_TARGETS,
	STEER_SET_RETURN_TARGETS,
	STEER_SET_SNAT_TARGETS,
	STEER_SETS,
};

struct steer_set_kind {
	const char *map;
	uint32_t key_size;
};
extern const struct steer_set_kind sluice_steer_set_kinds[STEER_SETS];

// An XDP program on an interface.
struct steer_program {
	uint32_t id; // 0: none
	uint32_t flags;
	char name[16];
};

int sluice_steer_program_find(int ifindex, struct steer_program *program);

// File descriptors of the program's maps by set; the caller closes them. -ENOENT: one is missing
// or of another version of sluice.
int sluice_steer_program_maps(uint32_t program, int maps[STEER_SETS]);

// Tells the program the interface's address; frames for others are not taken then. -ENOENT: the
// program has no place for it.
int sluice_steer_program_mac(uint32_t program, const uint8_t mac[6]);

// Tells the program the ports that we send from, host byte order.
int sluice_steer_program_snat(uint32_t program, uint16_t first_port, uint16_t last_port);
void sluice_steer_maps_close(int maps[STEER_SETS]);

// Is there a guard on the interface? Its program's id in *program, 0 if not.
int sluice_steer_guard_find(int ifindex, uint32_t *program);

// Replaces the stale XDP program by a guard that has its maps; where a guard is there already
// (an earlier take-over was killed) it is kept and gets what the program knows besides.
int sluice_steer_guard_take_over(int ifindex, const struct steer_program *stale);

int sluice_steer_guard_remove(int ifindex);
