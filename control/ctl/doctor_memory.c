// SPDX-License-Identifier: BSD-3-Clause
// Checks: hugepages, and what is far from the card (NUMA).
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "control/ctl/doctor.h"
#include "control/ctl/text.h"

static const uint64_t mebibyte = 1 << 20;
static const char all_nodes[] = "/sys/kernel/mm/hugepages";

enum {
	FLOW_BYTES = 16, // an entry of the flow table
};

static uint64_t bytes_of(const json_t *object, const char *key)
{
	json_int_t n = json_integer_value(json_object_get(object, key));

	return n > 0 ? (uint64_t)n : 0;
}

static uint64_t flow_bytes(const json_t *status)
{
	return FLOW_BYTES * bytes_of(json_object_get(status, "flows"), "capacity");
}

// For packet buffers and the flow table, beside what others have.
static void fix_reserve(struct sluice_doctor *d, const struct sluice_host_hugepages *h)
{
	uint64_t need =
	        bytes_of(json_object_get(d->status, "memory"), "bytes") + flow_bytes(d->status);
	char setup[SLUICE_HOST_TEXT];

	if (d->running)
		sluice_doctor_fix(d,
		                  "echo %" PRIu64 " >%s/hugepages-%" PRIu64
		                  "kB/nr_hugepages, and restart sluiced; %s reserves them at every "
		                  "boot (hugepages.md)",
		                  (h->total - h->unused + need) / h->size + 2, all_nodes,
		                  h->size / 1024, sluice_doctor_setup(d, setup));
	else
		sluice_doctor_fix(d, "sluice-host-setup --plan, then --apply (hugepages.md)");
}

// The daemon runs without.
static void unused_hugepages(struct sluice_doctor *d, const struct sluice_host_hugepages *h)
{
	uint64_t need = bytes_of(json_object_get(d->status, "memory"), "bytes");

	sluice_doctor_find(d, sluice_doctor_has_cards(d) ? SLUICE_WARNING : SLUICE_NOTE, "memory");
	if (h->total == 0) {
		sluice_doctor_seen(
		        d, "no hugepages are reserved: packet buffers and flow table are in "
		           "ordinary memory, slower with many flows");
		fix_reserve(d, h);
	} else if (h->unused < need) {
		sluice_doctor_seen(d,
		                   "too few hugepages: %" PRIu64 " MiB are free of %" PRIu64
		                   " MiB reserved, sluiced needs %" PRIu64 " MiB",
		                   h->unused / mebibyte, h->total / mebibyte, need / mebibyte);
		fix_reserve(d, h);
	} else {
		sluice_doctor_seen(d,
		                   "%" PRIu64 " MiB of hugepages are free, and sluiced uses none",
		                   h->unused / mebibyte);
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
	        "%" PRIu64 " MiB more, and start sluiced without its file 'flows', which is beside "
	        "its socket and holds the connections (hugepages.md)",
	        flow_bytes(d->status) / mebibyte + 2);
}

// The daemon does not run: has the next one something to take?
static void missing_hugepages(struct sluice_doctor *d, const struct sluice_host_hugepages *h)
{
	const json_t *memory = json_object_get(d->status, "memory");
	bool needed =
	        sluice_doctor_has_cards(d) || json_is_true(json_object_get(memory, "required"));

	if (h->unused > 0)
		return;
	sluice_doctor_find(d, needed ? SLUICE_PROBLEM : SLUICE_NOTE, "memory");
	sluice_doctor_seen(d, h->total == 0 ? "no hugepages are reserved"
	                                    : "all hugepages are in use by others");
	fix_reserve(d, h);
}

void sluice_doctor_hugepages(struct sluice_doctor *d)
{
	const json_t *memory = json_object_get(d->status, "memory");
	struct sluice_host_hugepages h = sluice_host_hugepages(all_nodes);

	if (!d->running)
		missing_hugepages(d, &h);
	else if (json_is_false(json_object_get(memory, "hugepages")))
		unused_hugepages(d, &h);
	else if (json_is_false(json_object_get(memory, "flowsOnHugepages")))
		small_flow_table(d);
}

// ---- what is far

static void check_pages(struct sluice_doctor *d, const json_t *port, long node)
{
	char directory[SLUICE_HOST_TEXT];

	snprintf(directory, sizeof(directory), "/sys/devices/system/node/node%ld/hugepages", node);
	if (sluice_host_hugepages(all_nodes).total == 0 ||
	    sluice_host_hugepages(directory).total > 0)
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
	const json_t *memory = json_object_get(d->status, "memory");
	const json_t *port;
	size_t i;

	json_array_foreach (json_object_get(d->status, "ports"), i, port) {
		char device[SLUICE_HOST_TEXT];
		long node = sluice_doctor_device(port, device)
		                    ? sluice_host_number("%s/numa_node", device)
		                    : -1;

		if (node < 0) // a host of one node has none to be far from
			continue;
		if (!json_is_false(json_object_get(memory, "hugepages"))) // else none is used
			check_pages(d, port, node);
		check_workers(d, port, node);
	}
}
