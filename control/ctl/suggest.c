// SPDX-License-Identifier: BSD-3-Clause
#include "control/ctl/suggest.h"

#include <string.h>

enum {
	WORD_MAX = 24, // longer words are no typing errors of ours
};

static int min(int a, int b)
{
	return a < b ? a : b;
}

// Insertions, deletions, replacements and swaps of neighbours from a to b.
static int distance(const char *a, const char *b)
{
	int d[WORD_MAX + 1][WORD_MAX + 1];
	int m = (int)strlen(a), n = (int)strlen(b);

	for (int i = 0; i <= m; i++)
		d[i][0] = i;
	for (int j = 0; j <= n; j++)
		d[0][j] = j;
	for (int i = 1; i <= m; i++) {
		for (int j = 1; j <= n; j++) {
			int best = d[i - 1][j - 1] + (a[i - 1] != b[j - 1]);

			best = min(best, min(d[i - 1][j], d[i][j - 1]) + 1);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				best = min(best, d[i - 2][j - 2] + 1);
			d[i][j] = best;
		}
	}
	return d[m][n];
}

const char *sluice_suggest(const char *word, const char *const *list, size_t count)
{
	size_t length = strlen(word);
	int best = length <= 3 ? 1 : length <= 6 ? 2 : 3;
	const char *near = NULL;

	if (length == 0 || length > WORD_MAX)
		return NULL;
	for (size_t i = 0; i < count; i++) {
		int d;

		if (list[i] == NULL || strlen(list[i]) > WORD_MAX)
			continue;
		if (length >= 2 && strncmp(word, list[i], length) == 0)
			return list[i]; // an abbreviation
		d = distance(word, list[i]);
		if (d < best || (d == best && near == NULL)) {
			best = d;
			near = list[i];
		}
	}
	return near;
}
