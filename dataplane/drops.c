// SPDX-License-Identifier: BSD-3-Clause
#include "sluice/counters.h"

struct drop {
	const char *label;
	const char *text;
};

#define X(symbol, label, text) {label, text},
static const struct drop drops[SLUICE_DROP_COUNT] = {SLUICE_DROPS(X)};
#undef X

const char *sluice_drop_label(enum sluice_drop reason)
{
	return drops[reason].label;
}

const char *sluice_drop_text(enum sluice_drop reason)
{
	return drops[reason].text;
}
