// SPDX-License-Identifier: BSD-3-Clause
#include "dataplane/steer_object.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sluice/log.h"

const char *sluice_steer_object(void)
{
	static char path[PATH_MAX];
	const char *given = getenv("SLUICE_STEER_OBJECT");
	char self[PATH_MAX];
	ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char *slash;

	if (given) {
		snprintf(path, sizeof(path), "%s", given);
	} else if (length > 0) {
		self[length] = 0;
		slash = strrchr(self, '/'); // BUILD/control/sluiced -> BUILD/dataplane
		*slash = 0;
		if ((size_t)snprintf(path, sizeof(path), "%s/../dataplane/steer.bpf.o", self) >=
		            sizeof(path) ||
		    access(path, R_OK) < 0)
			snprintf(path, sizeof(path), "%s", SLUICE_STEER_INSTALLED);
	}
	if (access(path, R_OK) == 0)
		return path;
	log_error("%s: %s: install sluice, or let SLUICE_STEER_OBJECT name steer.bpf.o", path,
	          strerror(errno));
	return NULL;
}
