// SPDX-License-Identifier: BSD-3-Clause
// Checks: hugepages, and what is far from the card (NUMA).
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "control/ctl/doctor.h"
#include "control/ctl/text.h"
#include "dataplane/bond.h"

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

// The node of the control thread's core, whose pages DPDK can't do without; -1: there is one node.
static int main_node(const json_t *status)
{
	const json_t *core = json_object_get(json_object_get(status, "cores"), "control");
	char cores[SLUICE_HOST_TEXT];

	if (!json_is_integer(core) || !sluice_host_has("/sys/devices/system/node/node1"))
		return -1;
	for (int node = 0; node < 64; node++) {
		if (sluice_host_line(cores, "/sys/devices/system/node/node%d/cpulist", node) &&
		    sluice_host_list_has(cores, (unsigned)json_integer_value(core)))
			return node;
	}
	return -1;
}

// The daemon runs without, though there are enough.
static void refused_hugepages(struct sluice_doctor *d, const struct sluice_host_hugepages *h)
{
	char directory[SLUICE_HOST_TEXT];
	int node = main_node(d->status);

	snprintf(directory, sizeof(directory), "/sys/devices/system/node/node%d/hugepages", node);
	if (node >= 0 && sluice_host_hugepages(directory).unused == 0) {
		sluice_doctor_seen(d,
		                   "none of %" PRIu64 " MiB of hugepages are free on memory node "
		                   "%d, the control thread's, and DPDK needs some there",
		                   h->unused / mebibyte, node);
		sluice_doctor_fix(d,
		                  "echo 16 >%s/hugepages-2048kB/nr_hugepages, and restart sluiced",
		                  directory);
		return;
	}
	sluice_doctor_seen(d, "%" PRIu64 " MiB of hugepages are free, and sluiced uses none",
	                   h->unused / mebibyte);
	sluice_doctor_fix(d, "in sluice.yaml, memory.hugepages: auto, and restart sluiced");
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
		refused_hugepages(d, h);
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

// The memory node of a port's n'th card, or of the one behind its interface; -1 where it has none,
// as on a host that has no others.
static long node_of(const json_t *port, unsigned n)
{
	char card[SLUICE_BDF_SIZE], device[SLUICE_HOST_TEXT];

	if (sluice_doctor_card(port, n, card))
		return sluice_host_number("/sys/bus/pci/devices/%s/numa_node", card);
	return n == 0 && sluice_doctor_device(port, device)
	               ? sluice_host_number("%s/numa_node", device)
	               : -1;
}

static void check_pages(struct sluice_doctor *d, const json_t *port, long node)
{
	uint64_t need =
	        bytes_of(json_object_get(d->status, "memory"), "bytes") + flow_bytes(d->status);
	char directory[SLUICE_HOST_TEXT], pages[32] = "N";

	snprintf(directory, sizeof(directory), "/sys/devices/system/node/node%ld/hugepages", node);
	if (sluice_host_hugepages(all_nodes).total == 0 ||
	    sluice_host_hugepages(directory).total > 0)
		return;
	if (d->running)
		snprintf(pages, sizeof(pages), "%" PRIu64, need / (2 * mebibyte) + 2);
	sluice_doctor_find(d, SLUICE_WARNING, "port %s", sluice_text_string(port, "name"));
	sluice_doctor_seen(d, "its card is on memory node %ld, where no hugepages are reserved",
	                   node);
	sluice_doctor_fix(
	        d,
	        "echo %s >%s/hugepages-2048kB/nr_hugepages, at every boot as hugepages.md "
	        "says (\"More than one memory node\"), and restart sluiced",
	        pages, directory);
}

// Where ports are on several nodes, no core is near to all of them.
static void check_worker(struct sluice_doctor *d, size_t worker, unsigned core)
{
	char cores[SLUICE_HOST_TEXT], near[SLUICE_HOST_TEXT];
	const json_t *port, *far = NULL;
	long node = -1;
	size_t i;

	json_array_foreach (json_object_get(d->status, "ports"), i, port) {
		for (unsigned n = 0; n < SLUICE_BOND_MEMBERS_MAX; n++) {
			long of = node_of(port, n);

			if (of < 0 ||
			    !sluice_host_line(cores, "/sys/devices/system/node/node%ld/cpulist",
			                      of))
				continue;
			if (sluice_host_list_has(cores, core))
				return;
			if (far != NULL)
				continue;
			far = port;
			node = of;
			memcpy(near, cores, sizeof(near));
		}
	}
	if (far == NULL)
		return;
	sluice_doctor_find(d, SLUICE_WARNING, "worker %zu", worker);
	sluice_doctor_seen(d, "its core %u is far from the card of port %s, on memory node %ld",
	                   core, sluice_text_string(far, "name"), node);
	sluice_doctor_fix(d,
	                  "workers.cores in sluice.yaml out of %s; sluice-host-setup --apply "
	                  "--cores isolates them",
	                  near);
}

void sluice_doctor_node(struct sluice_doctor *d)
{
	const json_t *memory = json_object_get(d->status, "memory");
	const json_t *port, *worker;
	size_t i;

	json_array_foreach (json_object_get(d->status, "ports"), i, port) {
		uint64_t seen = 0; // a bond's members may share a node

		for (unsigned n = 0; n < SLUICE_BOND_MEMBERS_MAX; n++) {
			long node = node_of(port, n);

			if (node < 0 || node >= 64 || (seen & 1ULL << node))
				continue;
			seen |= 1ULL << node;
			if (!json_is_false(json_object_get(memory, "hugepages"))) // else none used
				check_pages(d, port, node);
		}
	}
	json_array_foreach (json_object_get(d->status, "workers"), i, worker)
		check_worker(d, i, sluice_doctor_core(worker));
}
