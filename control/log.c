// SPDX-License-Identifier: BSD-3-Clause
#include "sluice/log.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
	LINE_MAX_BYTES = 2048, // what is longer is cut, and ends in "..."
};

static const char *const names[] = {
        [SLUICE_LOG_ERROR] = "error",   [SLUICE_LOG_WARNING] = "warning",
        [SLUICE_LOG_NOTICE] = "notice", [SLUICE_LOG_INFO] = "info",
        [SLUICE_LOG_DEBUG] = "debug",
};

// The process has one standard error and so one level.
static _Atomic int level_now = SLUICE_LOG_INFO;

void sluice_log_set_level(enum sluice_log_level level)
{
	atomic_store_explicit(&level_now, (int)level, memory_order_relaxed);
}

int sluice_log_level_parse(const char *name)
{
	for (int level = SLUICE_LOG_ERROR; level <= SLUICE_LOG_DEBUG; level++)
		if (strcmp(names[level], name) == 0)
			return level;
	return -EINVAL;
}

// systemd.exec(5): $JOURNAL_STREAM is device:inode of the stream that it connected, and stderr may
// have been redirected since. Looked up for each line: it is a few hundred nanoseconds, and right
// whenever that happens.
static bool stderr_is_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	char *end;
	struct stat st;
	uintmax_t device;

	if (stream == NULL || fstat(STDERR_FILENO, &st) < 0)
		return false;
	device = strtoumax(stream, &end, 10);
	return *end == ':' && device == st.st_dev && strtoumax(end + 1, &end, 10) == st.st_ino &&
	       *end == '\0';
}

static size_t prefix_write(char *line, size_t size, enum sluice_log_level level)
{
	struct timespec now;
	struct tm utc;
	int n;

	if (stderr_is_journal()) {
		n = snprintf(line, size, "<%d>", (int)level);
		return (size_t)n;
	}
	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &utc);
	n = snprintf(line, size, "%04d-%02d-%02dT%02d:%02d:%02d.%03ldZ %s: ", utc.tm_year + 1900,
	             utc.tm_mon + 1, utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec,
	             now.tv_nsec / 1000000, names[level]);
	return (size_t)n;
}

void sluice_log(enum sluice_log_level level, const char *format, ...)
{
	char line[LINE_MAX_BYTES];
	va_list arguments;
	size_t len;
	size_t room;
	int saved = errno;
	int n;

	if ((int)level > atomic_load_explicit(&level_now, memory_order_relaxed))
		return;
	len = prefix_write(line, sizeof(line), level);
	room = sizeof(line) - len - 1; // the newline's
	va_start(arguments, format);
	n = vsnprintf(line + len, room, format, arguments);
	va_end(arguments);
	if (n < 0)
		n = 0;
	if ((size_t)n >= room) {
		n = (int)room - 1;
		memcpy(line + len + n - 3, "...", 3);
	}
	// One line is one line, whatever a message quotes.
	for (size_t i = len; i < len + (size_t)n; i++)
		if (line[i] == '\n' || line[i] == '\r')
			line[i] = ' ';
	len += (size_t)n;
	line[len++] = '\n';
	while (write(STDERR_FILENO, line, len) < 0 && errno == EINTR)
		;
	errno = saved;
}
