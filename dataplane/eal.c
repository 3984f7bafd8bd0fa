// SPDX-License-Identifier: BSD-3-Clause
#include "dataplane/eal.h"

#include <dirent.h>
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_log.h>
#include <rte_mbuf.h>

enum {
	EAL_ARGUMENTS_MAX = 96,
	QUEUE_BUFFERS = 3 * 2048, // AF_XDP: being received, being sent, sent but not yet returned
	WORKER_BUFFERS = 1280, // in hand, waiting to be sent, held (fragments), in the pool's cache
};
static const size_t mebibyte = 1 << 20;
static const size_t eal_own_memory = 32 << 20; // heaps, rings, devices, fragmentation

unsigned sluice_eal_buffers(unsigned queues, unsigned workers)
{
	return queues * QUEUE_BUFFERS + workers * WORKER_BUFFERS;
}

size_t sluice_eal_memory_estimate(const struct sluice_eal_memory *m)
{
	size_t buffers = sluice_eal_buffers(m->queues, m->workers);
	size_t ring = 8; // of pointers, a power of two: at most twice the buffers
	size_t buffer = m->frame + 1024;

	return buffers * (buffer + 2 * ring) + m->tables + eal_own_memory;
}

// --- cores ---

static int cores_usable(cpu_set_t *usable)
{
	if (sched_getaffinity(0, sizeof(*usable), usable) < 0)
		return -errno;
	return CPU_COUNT(usable);
}

static void worker_set(struct sluice_eal *eal, const struct sluice_numa *numa, unsigned core)
{
	eal->worker_nodes[eal->worker_count] = numa ? numa->core_nodes[core] : SLUICE_NUMA_ANY;
	eal->worker_cores[eal->worker_count] = core;
	eal->worker_count++;
	eal->worker_lcores[eal->worker_count - 1] = eal->worker_count; // lcore 0 is the main one
}

static int workers_given(const struct sluice_eal_config *config, unsigned limit, cpu_set_t *usable,
                         struct sluice_eal *eal)
{
	if (config->worker_core_count > SLUICE_WORKERS_MAX) {
		log_error("workers.cores: %zu cores, at most %d", config->worker_core_count,
		          SLUICE_WORKERS_MAX);
		return -EINVAL;
	}
	for (size_t i = 0; i < config->worker_core_count; i++) {
		unsigned core = config->worker_cores[i];

		if (core >= CPU_SETSIZE || !CPU_ISSET(core, usable)) {
			log_error(
			        "workers.cores: core %u is not usable here (see `taskset -cp %d`)",
			        core, getpid());
			return -EINVAL;
		}
		if (eal->worker_count < limit)
			worker_set(eal, config->numa, core);
	}
	for (unsigned i = 0; i < eal->worker_count; i++)
		CPU_CLR(eal->worker_cores[i], usable);
	return 0;
}

static void workers_auto(const struct sluice_eal_config *config, unsigned limit,
                         const cpu_set_t *usable, struct sluice_eal *eal)
{
	unsigned cores[SLUICE_WORKERS_MAX];
	unsigned count = sluice_numa_cores(config->numa, config->nodes, usable, limit, cores);

	for (unsigned i = 0; i < count; i++)
		worker_set(eal, config->numa, cores[i]);
}

int sluice_eal_cores(const struct sluice_eal_config *config, struct sluice_eal *eal)
{
	cpu_set_t usable;
	unsigned first = 0;
	unsigned limit = config->worker_limit > 0 && config->worker_limit < SLUICE_WORKERS_MAX
	                         ? config->worker_limit
	                         : SLUICE_WORKERS_MAX;
	int r = cores_usable(&usable);

	if (r < 0)
		return r;
	eal->worker_count = 0;
	if (config->worker_core_count > 0) {
		r = workers_given(config, limit, &usable, eal);
		if (r < 0)
			return r;
	}
	while (first < CPU_SETSIZE && !CPU_ISSET(first, &usable))
		first++;
	if (first == CPU_SETSIZE) // every core is a worker's
		first = config->worker_cores[0];
	CPU_CLR(first, &usable);
	if (config->worker_core_count == 0)
		workers_auto(config, limit, &usable, eal);
	if (eal->worker_count == 0)
		worker_set(eal, config->numa, first);
	eal->main_core = first;
	return 0;
}

// --- hugepages ---

static size_t number_read(const char *directory, const char *file)
{
	char path[512];
	unsigned long long n = 0;
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", directory, file);
	f = fopen(path, "re");
	if (!f)
		return 0;
	if (fscanf(f, "%llu", &n) != 1) // NOLINT(cert-err34-c): the kernel's own number
		n = 0;
	fclose(f);
	return n;
}

// Memory in pages of one size, bytes.
struct hugepages {
	size_t page_size;
	size_t total;
	size_t free;
};

static struct hugepages hugepages_of(const char *name)
{
	struct hugepages h = {.page_size = strtoul(name + 10, NULL, 10) * 1024};
	char directory[320];
	size_t unused, reserved;

	snprintf(directory, sizeof(directory), "/sys/kernel/mm/hugepages/%s", name);
	unused = number_read(directory, "free_hugepages");
	reserved = number_read(directory, "resv_hugepages");
	h.total = number_read(directory, "nr_hugepages") * h.page_size;
	h.free = unused > reserved ? (unused - reserved) * h.page_size : 0;
	return h;
}

// The size with the most free memory, or at least the most of any.
static struct hugepages hugepages_best(void)
{
	DIR *d = opendir("/sys/kernel/mm/hugepages");
	struct hugepages best = {.page_size = 2 * mebibyte};

	for (struct dirent *e; d && (e = readdir(d));) {
		struct hugepages h;

		if (strncmp(e->d_name, "hugepages-", 10) != 0)
			continue;
		h = hugepages_of(e->d_name);
		if (h.free > best.free || (h.free == best.free && h.total > best.total))
			best = h;
	}
	if (d)
		closedir(d);
	return best;
}

// What a killed process had in AF_XDP sockets comes back from the kernel a moment after its end:
// where enough pages exist they are waited for, up to a second.
static struct hugepages hugepages_wait(size_t need)
{
	struct hugepages h = hugepages_best();

	for (unsigned i = 0; i < 20 && h.free < need && h.total >= need; i++) {
		nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
		h = hugepages_best();
	}
	return h;
}

// Whether there are some where the control thread runs: DPDK allocates there first, and panics
// where it can't.
static bool hugepages_at_main(const struct sluice_eal_config *config, const struct sluice_eal *eal,
                              size_t page_size)
{
	int node = config->numa ? config->numa->core_nodes[eal->main_core] : SLUICE_NUMA_ANY;
	char directory[128];

	if (node == SLUICE_NUMA_ANY)
		return true;
	snprintf(directory, sizeof(directory),
	         "/sys/devices/system/node/node%d/hugepages/hugepages-%zukB", node,
	         page_size / 1024);
	if (number_read(directory, "free_hugepages") > 0)
		return true;
	sluice_log(config->hugepages == SLUICE_HUGEPAGES_REQUIRE ? SLUICE_LOG_ERROR
	                                                         : SLUICE_LOG_WARNING,
	           "no hugepages are free on memory node %d, where the control thread's core %u "
	           "is, and DPDK needs some: `echo 16 >%s/nr_hugepages`",
	           node, eal->main_core, directory);
	return false;
}

static int hugepages_choose(const struct sluice_eal_config *config, struct sluice_eal *eal)
{
	size_t need = config->memory;
	struct hugepages h = {};

	eal->hugepages = false;
	eal->page_size = (size_t)sysconf(_SC_PAGESIZE);
	if (config->hugepages == SLUICE_HUGEPAGES_OFF)
		return 0;
	h = hugepages_wait(need);
	if (h.free > 0 && h.free >= need && !hugepages_at_main(config, eal, h.page_size))
		return config->hugepages == SLUICE_HUGEPAGES_REQUIRE ? -ENOMEM : 0;
	if (h.free > 0 && h.free >= need) {
		eal->hugepages = true;
		eal->page_size = h.page_size;
		return 0;
	}
	if (config->hugepages == SLUICE_HUGEPAGES_REQUIRE) {
		log_error(
		        "memory.hugepages is `require`: %zu MiB are needed and %zu MiB are free; "
		        "reserve them with `sysctl vm.nr_hugepages=%zu` (2 MiB each), or set it to "
		        "`auto`",
		        need / mebibyte, h.free / mebibyte, need / (2 * mebibyte) + 1);
		return -ENOMEM;
	}
	log_info("no hugepages (%zu MiB needed, %zu MiB free): using ordinary memory",
	         need / mebibyte, h.free / mebibyte);
	return 0;
}

// --- log ---

static enum sluice_log_level level_of(int rte_level)
{
	if (rte_level <= (int)RTE_LOG_ERR)
		return SLUICE_LOG_ERROR;
	if (rte_level == (int)RTE_LOG_WARNING)
		return SLUICE_LOG_WARNING;
	if (rte_level == (int)RTE_LOG_NOTICE)
		return SLUICE_LOG_NOTICE;
	return rte_level == (int)RTE_LOG_INFO ? SLUICE_LOG_INFO : SLUICE_LOG_DEBUG;
}

static ssize_t log_write(void *cookie, const char *text, size_t size)
{
	(void)cookie;
	for (size_t start = 0; start < size;) {
		const char *newline = memchr(text + start, '\n', size - start);
		size_t length = newline ? (size_t)(newline - text) - start : size - start;

		if (length > 0)
			sluice_log(level_of(rte_log_cur_msg_loglevel()), "%.*s", (int)length,
			           text + start);
		start += length + 1;
	}
	return (ssize_t)size;
}

static int log_route(void)
{
	cookie_io_functions_t io = {.write = log_write};
	FILE *stream = fopencookie(NULL, "w", io);

	if (!stream)
		return -errno;
	setvbuf(stream, NULL, _IOLBF, 0);
	return rte_openlog_stream(stream);
}

// --- start ---

struct arguments {
	char *list[EAL_ARGUMENTS_MAX + 1];
	int count;
	bool failed; // one did not fit
};

__attribute__((format(printf, 2, 3))) static void argument(struct arguments *a, const char *format,
                                                           ...)
{
	va_list list;
	char *text;
	int r;

	va_start(list, format);
	r = vasprintf(&text, format, list);
	va_end(list);
	if (r < 0) {
		a->failed = true;
	} else if (a->count == EAL_ARGUMENTS_MAX) {
		free(text);
		a->failed = true;
	} else {
		a->list[a->count++] = text;
	}
}

static void arguments_cores(struct arguments *a, const struct sluice_eal *eal)
{
	char text[SLUICE_WORKERS_MAX * 12 + 32];
	int used = snprintf(text, sizeof(text), "0@%u", eal->main_core);

	for (unsigned w = 0; w < eal->worker_count; w++)
		used += snprintf(text + used, sizeof(text) - (size_t)used, ",%u@%u",
		                 eal->worker_lcores[w], eal->worker_cores[w]);
	argument(a, "--lcores=%s", text);
}

static void arguments_build(struct arguments *a, const struct sluice_eal_config *config,
                            const struct sluice_eal *eal)
{
	// EAL's levels: emergency 1, alert 2, critical 3, error 4, ...: ours and one more.
	argument(a, "%s", config->program ? config->program : "sluiced");
	arguments_cores(a, eal);
	argument(a, "--log-level=%d", (int)config->log_level + 1);
	if (config->pci_count == 0)
		argument(a, "--no-pci");
	for (size_t i = 0; i < config->pci_count; i++)
		argument(a, "--allow=%s", config->pci[i]);
	argument(a, "--no-telemetry");
	argument(a, "--file-prefix=sluice");
	if (eal->hugepages) {
		argument(a, "--in-memory");
	} else {
		argument(a, "--no-huge");
		argument(a, "--no-shconf");
		argument(a, "-m");
		argument(a, "%zu", eal->memory / mebibyte);
	}
	for (size_t i = 0; i < config->extra_count; i++)
		argument(a, "%s", config->extra[i]);
}

// Before the EAL takes memory. Files, the tables of a change and ordinary pages follow it; where
// hugepages are in use, DPDK asks for each piece's node itself.
static void memory_place(uint64_t nodes)
{
	int error = sluice_numa_prefer(nodes);

	if (error)
		log_warning("memory is not placed on the ports' nodes: %s", strerror(-error));
}

int sluice_eal_start(const struct sluice_eal_config *config, struct sluice_eal *eal)
{
	struct arguments a = {};
	char *list[EAL_ARGUMENTS_MAX + 1];
	int r = sluice_eal_cores(config, eal);

	if (r == 0)
		r = hugepages_choose(config, eal);
	if (r == 0)
		r = log_route();
	if (r < 0)
		return r;
	eal->memory = (config->memory + mebibyte - 1) / mebibyte * mebibyte;
	memory_place(config->nodes);
	arguments_build(&a, config, eal);
	// getopt reorders the list that the EAL gets; ours is for freeing. The EAL keeps no
	// pointer.
	memcpy(list, a.list, sizeof(list));
	if (a.failed) {
		log_error("too many EAL arguments after `--`");
		r = -E2BIG;
	} else if (rte_eal_init(a.count, list) < 0) {
		r = rte_errno ? -rte_errno : -EINVAL;
		log_error("DPDK's EAL does not start: %s", strerror(-r));
	}
	for (int i = 0; i < a.count; i++)
		free(a.list[i]);
	return r;
}

void sluice_eal_stop(void)
{
	rte_eal_cleanup();
}
