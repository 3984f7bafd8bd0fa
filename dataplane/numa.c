// SPDX-License-Identifier: BSD-3-Clause
#include "dataplane/numa.h"

#include <errno.h>
#include <limits.h>
#include <linux/mempolicy.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static bool line_read(char *line, int size, const char *path)
{
	FILE *f = fopen(path, "re");
	bool got;

	if (!f)
		return false;
	got = fgets(line, size, f) != NULL;
	fclose(f);
	return got;
}

// A list as the kernel writes it: "0-3,8-11".
static void cores_read(struct sluice_numa *numa, const char *list, int node)
{
	for (const char *p = list; *p >= '0' && *p <= '9';) {
		char *end;
		unsigned long first = strtoul(p, &end, 10);
		unsigned long last = *end == '-' ? strtoul(end + 1, &end, 10) : first;

		for (; first <= last && first < CPU_SETSIZE; first++)
			numa->core_nodes[first] = (signed char)node;
		p = *end == ',' ? end + 1 : end;
	}
}

static void forget(struct sluice_numa *numa)
{
	memset(numa->core_nodes, SLUICE_NUMA_ANY, sizeof(numa->core_nodes));
}

void sluice_numa_read(struct sluice_numa *numa, const char *root)
{
	char path[PATH_MAX], list[4 * CPU_SETSIZE];
	unsigned nodes = 0;

	forget(numa);
	for (int node = 0; node < SLUICE_NUMA_NODES_MAX; node++) {
		snprintf(path, sizeof(path), "%s/sys/devices/system/node/node%d/cpulist", root,
		         node);
		if (!line_read(list, sizeof(list), path))
			continue;
		nodes++;
		cores_read(numa, list, node);
	}
	if (nodes < 2)
		forget(numa);
}

static bool is_one_node(const struct sluice_numa *numa)
{
	for (unsigned core = 0; core < CPU_SETSIZE; core++)
		if (numa->core_nodes[core] != SLUICE_NUMA_ANY)
			return false;
	return true;
}

uint64_t sluice_numa_device(const struct sluice_numa *numa, const char *directory)
{
	char path[PATH_MAX], line[32];
	long node;

	snprintf(path, sizeof(path), "%s/numa_node", directory);
	if (is_one_node(numa) || !line_read(line, sizeof(line), path))
		return 0;
	node = strtol(line, NULL, 10); // -1: unknown to the firmware
	return node >= 0 && node < SLUICE_NUMA_NODES_MAX ? 1ULL << node : 0;
}

int sluice_numa_first(uint64_t nodes)
{
	return nodes ? __builtin_ctzll(nodes) : SLUICE_NUMA_ANY;
}

// The first core of the set that is on the node; CPU_SETSIZE: none is.
static unsigned first_core(const struct sluice_numa *numa, const cpu_set_t *set, int node)
{
	for (unsigned core = 0; core < CPU_SETSIZE; core++)
		if (CPU_ISSET(core, set) && numa->core_nodes[core] == node)
			return core;
	return CPU_SETSIZE;
}

unsigned sluice_numa_cores(const struct sluice_numa *numa, uint64_t nodes, const cpu_set_t *usable,
                           unsigned limit, unsigned *cores)
{
	cpu_set_t left = *usable;
	unsigned count = 0, before;

	do {
		before = count;
		for (uint64_t rest = nodes; rest && count < limit; rest &= rest - 1) {
			unsigned core = first_core(numa, &left, __builtin_ctzll(rest));

			if (core == CPU_SETSIZE)
				continue;
			cores[count++] = core;
			CPU_CLR(core, &left);
		}
	} while (count > before);
	for (unsigned core = 0; core < CPU_SETSIZE && count < limit; core++)
		if (CPU_ISSET(core, &left))
			cores[count++] = core;
	return count;
}

static bool is_far(int node, uint64_t ports, uint64_t port)
{
	return port && node != SLUICE_NUMA_ANY && (1ULL << node & ports & ~port);
}

struct sluice_numa_share sluice_numa_share(const signed char *worker_nodes, unsigned workers,
                                           unsigned worker, uint64_t ports, uint64_t port)
{
	struct sluice_numa_share share = {};
	bool served = false;

	for (unsigned w = 0; worker_nodes && w < workers; w++)
		served |= !is_far(worker_nodes[w], ports, port);
	if (!served)
		return (struct sluice_numa_share){worker, workers};
	for (unsigned w = 0; w < workers; w++) {
		if (is_far(worker_nodes[w], ports, port))
			continue;
		share.first += w < worker;
		share.step++;
	}
	if (is_far(worker_nodes[worker], ports, port))
		share.first = UINT_MAX;
	return share;
}

int sluice_numa_prefer(uint64_t nodes)
{
	unsigned long mask = nodes;
	int mode = nodes & (nodes - 1) ? MPOL_INTERLEAVE : MPOL_PREFERRED;

	if (!nodes)
		return 0;
	// The kernel reads one bit less than it is told.
	return syscall(SYS_set_mempolicy, mode, &mask, 8 * sizeof(mask) + 1) < 0 ? -errno : 0;
}

void sluice_numa_prefer_own(void)
{
	syscall(SYS_set_mempolicy, MPOL_DEFAULT, NULL, 0);
}
