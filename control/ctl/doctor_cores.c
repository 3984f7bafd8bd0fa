// SPDX-License-Identifier: BSD-3-Clause
// Checks: does anything else run on the workers' cores.
#include <stdio.h>
#include <string.h>

#include "control/ctl/doctor.h"

// Whether two cores are threads of one.
static bool are_siblings(unsigned a, unsigned b)
{
	char list[SLUICE_HOST_TEXT];

	return sluice_host_line(list, "/sys/devices/system/cpu/cpu%u/topology/thread_siblings_list",
	                        a) &&
	       sluice_host_list_has(list, b);
}

static void check_pair(struct sluice_doctor *d, size_t worker, unsigned core, const char *other,
                       unsigned other_core)
{
	bool same = core == other_core;

	if (!same && !are_siblings(core, other_core))
		return;
	sluice_doctor_find(d, same ? SLUICE_WARNING : SLUICE_NOTE, "worker %zu", worker);
	if (same)
		sluice_doctor_seen(d, "it shares core %u with %s", core, other);
	else
		sluice_doctor_seen(d, "its core %u and core %u of %s are two threads of one", core,
		                   other_core, other);
	sluice_doctor_fix(d, "other workers.cores in sluice.yaml, or fewer (lscpu -e shows which "
	                     "belong together)");
}

void sluice_doctor_shared_cores(struct sluice_doctor *d)
{
	const json_t *workers = json_object_get(d->status, "workers");
	const json_t *control = json_object_get(json_object_get(d->status, "cores"), "control");
	const json_t *worker, *before;
	size_t i, k;

	json_array_foreach (workers, i, worker) {
		if (json_is_integer(control))
			check_pair(d, i, sluice_doctor_core(worker), "the control thread",
			           (unsigned)json_integer_value(control));
		json_array_foreach (workers, k, before) {
			char name[32];

			if (k == i)
				break;
			snprintf(name, sizeof(name), "worker %zu", k);
			check_pair(d, i, sluice_doctor_core(worker), name,
			           sluice_doctor_core(before));
		}
	}
}

void sluice_doctor_isolation(struct sluice_doctor *d)
{
	char isolated[SLUICE_HOST_TEXT], cores[SLUICE_HOST_TEXT] = "", setup[SLUICE_HOST_TEXT];
	bool kernels = false;
	const json_t *worker;
	size_t i, used = 0;

	if (!sluice_host_line(isolated, "/sys/devices/system/cpu/isolated"))
		isolated[0] = '\0';
	json_array_foreach (json_object_get(d->status, "workers"), i, worker) {
		unsigned core = sluice_doctor_core(worker);

		if (!sluice_host_list_has(isolated, core) && used < sizeof(cores))
			used += (size_t)snprintf(cores + used, sizeof(cores) - used, "%s%u",
			                         used > 0 ? "," : "", core);
		kernels = kernels || core == SLUICE_DOCTOR_KERNELS_CORE;
	}
	if (used == 0)
		return;
	sluice_doctor_find(d, sluice_doctor_has_cards(d) ? SLUICE_WARNING : SLUICE_NOTE, "workers");
	sluice_doctor_seen(
	        d, "cores that are not isolated: %s; what else runs there makes them drop packets",
	        cores);
	if (kernels)
		sluice_doctor_fix(d, "workers.cores in sluice.yaml without core 0, which can't be "
		                     "isolated (hugepages.md, \"Cores and the IOMMU\")");
	else
		sluice_doctor_fix(d, "%s, and reboot (hugepages.md, \"Cores and the IOMMU\")",
		                  sluice_doctor_setup(d, setup));
}
