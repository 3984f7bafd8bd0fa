// SPDX-License-Identifier: BSD-3-Clause
#include "log_capture.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sluice/log.h"

static char lines[1 << 16];
static size_t used;

void log_capture_clear(void)
{
	used = 0;
	lines[0] = 0;
}

bool log_capture_has(const char *text)
{
	return strstr(lines, text) != NULL;
}

void sluice_log(enum sluice_log_level level, const char *format, ...)
{
	va_list list;
	int n;

	va_start(list, format);
	// NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): clang-tidy 14 does not see va_start
	n = vsnprintf(lines + used, sizeof(lines) - used, format, list);
	va_end(list);
	if (n < 0 || (size_t)n + 2 >= sizeof(lines) - used) {
		log_capture_clear();
		return;
	}
	if (getenv("LOG_CAPTURE_SHOW"))
		fprintf(stderr, "<%d>%s\n", (int)level, lines + used);
	used += (size_t)n;
	lines[used++] = '\n';
	lines[used] = 0;
}
