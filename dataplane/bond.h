// SPDX-License-Identifier: BSD-3-Clause
#pragma once

// What stands behind "bond:" in a configuration: MODE,MEMBER,MEMBER[,MEMBER]...
//
// Modes are called as the kernel calls them. A member is a card's PCI address, or the name of a
// virtual device that the EAL was told of (`sluiced -- --vdev=...`).

#include <stdbool.h>

enum {
	SLUICE_BOND_MEMBER_SIZE = 32,
	SLUICE_BOND_MEMBERS_MAX = 8, // as DPDK's driver has it
};

struct sluice_bond {
	unsigned mode; // the number that it has, here and in the kernel (IEEE 802.3ad: 4)
	unsigned count;
	char members[SLUICE_BOND_MEMBERS_MAX][SLUICE_BOND_MEMBER_SIZE];
};

// A member of a bond that runs.
struct sluice_bond_member {
	char name[SLUICE_BOND_MEMBER_SIZE];
	bool up; // its link
};

// NULL, or what is wrong with the text, in words that follow it.
const char *sluice_bond_parse(const char *text, struct sluice_bond *bond);
