// SPDX-License-Identifier: BSD-3-Clause
// Checks: does the daemon do its job, and has each worker something to do.
#include <string.h>

#include "control/ctl/doctor.h"
#include "control/ctl/text.h"

void sluice_doctor_readiness(struct sluice_doctor *d)
{
	const json_t *reason;
	size_t i;

	json_array_foreach (json_object_get(d->status, "reasons"), i, reason) {
		if (!json_is_string(reason))
			continue;
		sluice_doctor_find(d, SLUICE_PROBLEM, "sluiced");
		sluice_doctor_seen(d, "not ready: %s", json_string_value(reason));
		sluice_doctor_fix(
		        d, "ip link shows interfaces that are down ('ip link set dev NAME up', "
		           "or the cable); journalctl -u sluiced the rest");
	}
}

static void check_members(struct sluice_doctor *d, const json_t *port)
{
	const json_t *member;
	size_t i;

	json_array_foreach (json_object_get(port, "members"), i, member) {
		if (json_is_true(json_object_get(member, "up")))
			continue;
		sluice_doctor_find(d, SLUICE_WARNING, "port %s", sluice_text_string(port, "name"));
		sluice_doctor_seen(d, "its member %s has no link",
		                   sluice_text_string(member, "name"));
		sluice_doctor_fix(d, "the cable, and the switch's port; journalctl -u sluiced says "
		                     "since when");
	}
}

void sluice_doctor_members(struct sluice_doctor *d)
{
	const json_t *port;
	size_t i;

	json_array_foreach (json_object_get(d->status, "ports"), i, port)
		check_members(d, port);
}

// How many workers there are to be: a daemon that runs has left out those without a queue.
static size_t workers_wanted(const json_t *status)
{
	const json_t *configured = json_object_get(json_object_get(status, "cores"), "configured");
	size_t workers = json_array_size(json_object_get(status, "workers"));

	if (json_is_integer(configured) && (size_t)json_integer_value(configured) > workers)
		return (size_t)json_integer_value(configured);
	return workers;
}

static void find_too_few(struct sluice_doctor *d, const json_t *port, size_t workers)
{
	const char *name = sluice_text_string(port, "name");
	char device[SLUICE_HOST_TEXT];

	sluice_doctor_find(d, SLUICE_WARNING, "port %s", name);
	sluice_doctor_seen(d,
	                   "queues: %s, for %zu worker cores: the rest of them have nothing to do",
	                   sluice_text_count(port, "queues").text, workers);
	if (sluice_doctor_is_af_xdp(port) && sluice_doctor_device(port, device))
		sluice_doctor_fix(d,
		                  "queues: %zu in sluice.yaml, and ethtool -L %s combined %zu; or "
		                  "fewer workers.cores",
		                  workers, name, workers);
	else if (sluice_doctor_is_af_xdp(port))
		sluice_doctor_fix(d, "fewer workers.cores in sluice.yaml: DPDK serves one queue of "
		                     "a virtual interface");
	else
		sluice_doctor_fix(d, "queues: %zu in sluice.yaml, or fewer workers.cores", workers);
}

void sluice_doctor_queues(struct sluice_doctor *d)
{
	size_t i, workers = workers_wanted(d->status);
	const json_t *port;

	json_array_foreach (json_object_get(d->status, "ports"), i, port) {
		const json_t *queues = json_object_get(port, "queues");

		if (json_is_integer(queues) && (size_t)json_integer_value(queues) < workers)
			find_too_few(d, port, workers);
	}
}
