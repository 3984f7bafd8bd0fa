// SPDX-License-Identifier: BSD-3-Clause
#include "control/ctl/host.h"

#include <glob.h>
#include <libgen.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *path_below_root(char *out, const char *format, va_list list)
{
	const char *root = getenv("SLUICE_ROOT");
	int used = snprintf(out, SLUICE_HOST_PATH, "%s", root != NULL ? root : "");

	if (used < SLUICE_HOST_PATH)
		vsnprintf(out + used, (size_t)(SLUICE_HOST_PATH - used), format, list);
	return out;
}

// The path that a function's own format and arguments give.
#define PATH_OF(path, format)                                                                      \
	do {                                                                                       \
		va_list list;                                                                      \
                                                                                                   \
		va_start(list, format);                                                            \
		path_below_root(path, format, list);                                               \
		va_end(list);                                                                      \
	} while (0)

const char *sluice_host_path(char out[static SLUICE_HOST_PATH], const char *format, ...)
{
	PATH_OF(out, format);
	return out;
}

bool sluice_host_has(const char *format, ...)
{
	char path[SLUICE_HOST_PATH];

	PATH_OF(path, format);
	return access(path, F_OK) == 0;
}

static bool first_line(const char *path, char *out)
{
	FILE *f = fopen(path, "re");
	bool got;

	if (f == NULL)
		return false;
	got = fgets(out, SLUICE_HOST_TEXT, f) != NULL;
	fclose(f);
	if (!got)
		out[0] = '\0';
	out[strcspn(out, "\n")] = '\0';
	return true;
}

bool sluice_host_line(char out[static SLUICE_HOST_TEXT], const char *format, ...)
{
	char path[SLUICE_HOST_PATH];

	PATH_OF(path, format);
	return first_line(path, out);
}

static long number_in(const char *path)
{
	char text[SLUICE_HOST_TEXT], *end;
	long n;

	if (!first_line(path, text))
		return -1;
	n = strtol(text, &end, 10);
	return end != text ? n : -1;
}

long sluice_host_number(const char *format, ...)
{
	char path[SLUICE_HOST_PATH];

	PATH_OF(path, format);
	return number_in(path);
}

bool sluice_host_link(char out[static SLUICE_HOST_TEXT], const char *format, ...)
{
	char path[SLUICE_HOST_PATH], target[SLUICE_HOST_PATH];
	ssize_t n;

	PATH_OF(path, format);
	n = readlink(path, target, sizeof(target) - 1);
	if (n < 0)
		return false;
	target[n] = '\0';
	snprintf(out, SLUICE_HOST_TEXT, "%s", basename(target));
	return true;
}

static uint64_t pages_in(const char *directory, const char *file)
{
	char path[SLUICE_HOST_PATH + 32];
	long pages;

	snprintf(path, sizeof(path), "%s/%s", directory, file);
	pages = number_in(path);
	return pages > 0 ? (uint64_t)pages : 0;
}

struct sluice_host_hugepages sluice_host_hugepages(const char *directory)
{
	struct sluice_host_hugepages best = {.size = 2 << 20};
	char pattern[SLUICE_HOST_PATH];
	glob_t found;

	sluice_host_path(pattern, "%s/hugepages-*kB", directory);
	if (glob(pattern, 0, NULL, &found) != 0)
		return best;
	for (size_t i = 0; i < found.gl_pathc; i++) {
		const char *path = found.gl_pathv[i];
		uint64_t unused = pages_in(path, "free_hugepages");
		uint64_t reserved = pages_in(path, "resv_hugepages");
		struct sluice_host_hugepages h = {
		        .size = 1024 * strtoul(strrchr(path, '-') + 1, NULL, 10)};

		h.total = pages_in(path, "nr_hugepages") * h.size;
		h.unused = unused > reserved ? (unused - reserved) * h.size : 0;
		if (h.unused > best.unused || (h.unused == best.unused && h.total > best.total))
			best = h;
	}
	globfree(&found);
	return best;
}

bool sluice_host_list_has(const char *list, unsigned n)
{
	for (const char *p = list; *p >= '0' && *p <= '9';) {
		char *end;
		unsigned long first = strtoul(p, &end, 10);
		unsigned long last = *end == '-' ? strtoul(end + 1, &end, 10) : first;

		if (n >= first && n <= last)
			return true;
		p = *end == ',' ? end + 1 : end;
	}
	return false;
}
