// SPDX-License-Identifier: BSD-3-Clause
// Checks: hugepages, and what is far from the card (NUMA).
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "control/ctl/doctor.h"
#include "control/ctl/text.h"

static const uint64_t mebibyte = 1 << 20;
static const uint64_t small_hugepage = 2 << 20;

enum {
	FLOW_BYTES = 16, // an entry of the flow table
};

static uint64_t bytes_of(const json_t *object, const char *key)
{
	json_int_t n = json_integer_value(json_object_get(object, key));

	return n > 0 ? (uint64_t)n : 0;
}

static uint64_t host_bytes(const char *file)
{
	return sluice_host_hugepages("/sys/kernel/mm/hugepages", file);
}

static uint64_t flow_bytes(const json_t *status)
{
	return FLOW_BYTES * bytes_of(json_object_get(status, "flows"), "capacity");
}

// For packet buffers and the flow table, beside what others have.
static void fix_reserve(struct sluice_doctor *d, uint64_t used)
{
	uint64_t need =
	        bytes_of(json_object_get(d->status, "memory"), "bytes") + flow_bytes(d->status);

	if (d->running)
		sluice_doctor_fix(
		        d,
		        "sysctl vm.nr_hugepages=%" PRIu64
		        ", and restart sluiced; sluice-host-setup --apply reserves them at "
		        "every boot (hugepages.md)",
		        (used + need) / small_hugepage + 2);
	else
		sluice_doctor_fix(d, "sluice-host-setup --plan, then --apply (hugepages.md)");
}

// The daemon runs without.
static void unused_hugepages(struct sluice_doctor *d, uint64_t total, uint64_t unused)
{
	uint64_t need = bytes_of(json_object_get(d->status, "memory"), "bytes");

	sluice_doctor_find(d, sluice_doctor_has_cards(d) ? SLUICE_WARNING : SLUICE_NOTE, "memory");
	if (total == 0) {
		sluice_doctor_seen(
		        d, "no hugepages are reserved: packet buffers and flow table are in "
		           "ordinary memory, slower with many flows");
		fix_reserve(d, 0);
	} else if (unused < need) {
		sluice_doctor_seen(d,
		                   "too few hugepages: %" PRIu64 " MiB are free of %" PRIu64
		                   " MiB reserved, sluiced needs %" PRIu64 " MiB",
		                   unused / mebibyte, total / mebibyte, need / mebibyte);
		fix_reserve(d, total - unused);
	} else {
		sluice_doctor_seen(d,
		                   "%" PRIu64 " MiB of hugepages are free, and sluiced uses none",
		                   unused / mebibyte);
		sluice_doctor_fix(d, "in sluice.yaml, memory.hugepages: auto, and restart sluiced");
	}
}

static void small_flow_table(struct sluice_doctor *d)
{
	sluice_doctor_find(d, SLUICE_NOTE, "flow table");
	sluice_doctor_seen(d,
	                   "too few hugepages, or no mount for them: the flow table is in ordinary "
	                   "memory");
	sluice_doctor_fix(
	        d,
	        "mount -t hugetlbfs none /dev/hugepages where nothing is mounted, reserve "
	        "%" PRIu64 " pages more, and restart sluiced (hugepages.md)",
	        flow_bytes(d->status) / small_hugepage + 1);
}

// The daemon does not run: has the next one something to take?
static void missing_hugepages(struct sluice_doctor *d, uint64_t total, uint64_t unused)
{
	const json_t *memory = json_object_get(d->status, "memory");
	bool needed =
	        sluice_doctor_has_cards(d) || json_is_true(json_object_get(memory, "required"));

	if (unused > 0)
		return;
	sluice_doctor_find(d, needed ? SLUICE_PROBLEM : SLUICE_NOTE, "memory");
	sluice_doctor_seen(d, total == 0 ? "no hugepages are reserved"
	                                 : "all hugepages are in use by others");
	fix_reserve(d, total);
}

void sluice_doctor_hugepages(struct sluice_doctor *d)
{
	const json_t *memory = json_object_get(d->status, "memory");
	uint64_t total = host_bytes("nr_hugepages"), unused = host_bytes("free_hugepages");

	if (!d->running)
		missing_hugepages(d, total, unused);
	else if (json_is_false(json_object_get(memory, "hugepages")))
		unused_hugepages(d, total, unused);
	else if (json_is_false(json_object_get(memory, "flowsOnHugepages")))
		small_flow_table(d);
}

// ---- what is far

static void check_pages(struct sluice_doctor *d, const json_t *port, long node)
{
	char directory[SLUICE_HOST_TEXT];

	snprintf(directory, sizeof(directory), "/sys/devices/system/node/node%ld/hugepages", node);
	if (host_bytes("nr_hugepages") == 0 || sluice_host_hugepages(directory, "nr_hugepages") > 0)
		return;
	sluice_doctor_find(d, SLUICE_WARNING, "port %s", sluice_text_string(port, "name"));
	sluice_doctor_seen(d, "its card is on memory node %ld, where no hugepages are reserved",
	                   node);
	sluice_doctor_fix(d,
	                  "echo N >%s/hugepages-2048kB/nr_hugepages, at every boot as hugepages.md "
	                  "says (\"More than one memory node\")",
	                  directory);
}

static void check_workers(struct sluice_doctor *d, const json_t *port, long node)
{
	char cores[SLUICE_HOST_TEXT];
	const json_t *worker;
	size_t i;

	if (!sluice_host_line(cores, "/sys/devices/system/node/node%ld/cpulist", node))
		return;
	json_array_foreach (json_object_get(d->status, "workers"), i, worker) {
		unsigned core = sluice_doctor_core(worker);

		if (sluice_host_list_has(cores, core))
			continue;
		sluice_doctor_find(d, SLUICE_WARNING, "worker %zu", i);
		sluice_doctor_seen(
		        d, "its core %u is far from the card of port %s, on memory node %ld", core,
		        sluice_text_string(port, "name"), node);
		sluice_doctor_fix(
		        d,
		        "workers.cores in sluice.yaml out of %s; sluice-host-setup --apply "
		        "--cores isolates them",
		        cores);
	}
}

void sluice_doctor_node(struct sluice_doctor *d)
{
	const json_t *port;
	size_t i;

	json_array_foreach (json_object_get(d->status, "ports"), i, port) {
		char device[SLUICE_HOST_TEXT];
		long node = sluice_doctor_device(port, device)
		                    ? sluice_host_number("%s/numa_node", device)
		                    : -1;

		if (node < 0) // a host of one node has none to be far from
			continue;
		check_pages(d, port, node);
		check_workers(d, port, node);
	}
}
