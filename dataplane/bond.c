// SPDX-License-Identifier: BSD-3-Clause
#include "dataplane/bond.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

static const struct {
	const char *name;
	unsigned number;
} modes[] = {
        {"active-backup", 1},
        {"balance-xor", 2},
        {"802.3ad", 4},
};

// The mode that the first `length` bytes of text name; 0: none.
static unsigned mode_of(const char *text, size_t length)
{
	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++)
		if (strlen(modes[i].name) == length && strncmp(modes[i].name, text, length) == 0)
			return modes[i].number;
	return 0;
}

static bool has_member(const struct sluice_bond *bond, const char *name)
{
	for (unsigned i = 0; i < bond->count; i++)
		if (strcmp(bond->members[i], name) == 0)
			return true;
	return false;
}

static const char *add_member(struct sluice_bond *bond, const char *text, size_t length)
{
	char *name = bond->members[bond->count];

	if (bond->count == SLUICE_BOND_MEMBERS_MAX)
		return "has more than 8 members";
	if (length == 0 || length >= SLUICE_BOND_MEMBER_SIZE || strcspn(text, " \t\r\n=") < length)
		return "has a member that is no PCI address (as 0000:03:00.0)";
	memcpy(name, text, length);
	name[length] = '\0';
	if (has_member(bond, name))
		return "has a member twice";
	bond->count++;
	return NULL;
}

const char *sluice_bond_parse(const char *text, struct sluice_bond *bond)
{
	size_t length = strcspn(text, ",");

	*bond = (struct sluice_bond){.mode = mode_of(text, length)};
	if (bond->mode == 0)
		return "does not begin with a mode (active-backup, balance-xor, 802.3ad)";
	while (text[length] == ',') {
		const char *wrong;

		text += length + 1;
		length = strcspn(text, ",");
		wrong = add_member(bond, text, length);
		if (wrong)
			return wrong;
	}
	return bond->count < 2 ? "has less than two members" : NULL;
}
