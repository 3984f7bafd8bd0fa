// SPDX-License-Identifier: BSD-3-Clause
#include "control/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

int sluice_error_set(struct sluice_error *e, int status, const char *code, const char *path,
                     const char *format, ...)
{
	va_list args;

	if (e == NULL || e->status != 0)
		return -EINVAL;
	e->status = status;
	e->code = code;
	snprintf(e->path, sizeof(e->path), "%s", path != NULL ? path : "");
	va_start(args, format);
	vsnprintf(e->message, sizeof(e->message), format, args);
	va_end(args);
	return -EINVAL;
}

const char *sluice_error_format(const struct sluice_error *e, char *out, size_t size)
{
	char line[16] = "";
	// A line without a file still helps; "line 12" says what the bare number is.
	const char *before = e->source[0] != '\0' ? ":" : "line ";

	if (e->line != 0)
		snprintf(line, sizeof(line), "%s%u", before, e->line);
	snprintf(out, size, "%s%s%s%s%s%s", e->source, line,
	         e->source[0] != '\0' || e->line != 0 ? ": " : "", e->path,
	         e->path[0] != '\0' ? ": " : "", e->message);
	return out;
}
