// SPDX-License-Identifier: BSD-3-Clause

// Where workers run and whose queues they poll, on hosts of several memory nodes that are made up.

#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "dataplane/numa.h"

static char root[64];

static void write_file(const char *path, const char *text)
{
	char full[256];
	FILE *f;

	snprintf(full, sizeof(full), "%s%s", root, path);
	for (char *p = full + strlen(root) + 1; (p = strchr(p, '/')); p++) {
		*p = '\0';
		mkdir(full, 0700);
		*p = '/';
	}
	f = fopen(full, "we");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

// cpulists: of node 0, 1, ...; NULL: there is no such node.
static void make_host(struct sluice_numa *numa, const char *const *cpulists, int nodes)
{
	char path[128];

	snprintf(root, sizeof(root), "/tmp/sluice-numa-XXXXXX");
	assert_non_null(mkdtemp(root));
	for (int n = 0; n < nodes; n++) {
		snprintf(path, sizeof(path), "/sys/devices/system/node/node%d/cpulist", n);
		if (cpulists[n])
			write_file(path, cpulists[n]);
	}
	sluice_numa_read(numa, root);
}

static uint64_t device_on(const struct sluice_numa *numa, const char *node)
{
	char directory[128];

	write_file("/sys/card/numa_node", node);
	snprintf(directory, sizeof(directory), "%s/sys/card", root);
	return sluice_numa_device(numa, directory);
}

static int tear_down(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof(command), "rm -r '%s'", root);
	return system(command); // NOLINT(cert-env33-c): of a name made here
}

static void expect_cores(const struct sluice_numa *numa, uint64_t nodes, unsigned first,
                         unsigned last, unsigned limit, const char *expected)
{
	unsigned cores[CPU_SETSIZE], count;
	char text[256] = "";
	cpu_set_t usable;

	CPU_ZERO(&usable);
	for (unsigned core = first; core <= last; core++)
		CPU_SET(core, &usable);
	count = sluice_numa_cores(numa, nodes, &usable, limit, cores);
	for (unsigned i = 0; i < count; i++)
		snprintf(text + strlen(text), sizeof(text) - strlen(text), " %u", cores[i]);
	assert_string_equal(text, expected);
}

static void cores_and_devices_are_on_their_nodes(void **state)
{
	static const char *const cpulists[] = {"0-1,4\n", NULL, "2-3,5\n", "\n"};
	struct sluice_numa numa;

	(void)state;
	make_host(&numa, cpulists, 4);
	assert_int_equal(numa.core_nodes[1], 0);
	assert_int_equal(numa.core_nodes[4], 0);
	assert_int_equal(numa.core_nodes[3], 2);
	assert_int_equal(numa.core_nodes[5], 2);
	assert_int_equal(numa.core_nodes[6], SLUICE_NUMA_ANY);
	assert_int_equal(device_on(&numa, "2\n"), 1 << 2);
	assert_int_equal(device_on(&numa, "0\n"), 1 << 0);
	assert_int_equal(device_on(&numa, "-1\n"), 0);
	assert_int_equal(sluice_numa_device(&numa, "/nowhere"), 0);
	assert_int_equal(sluice_numa_first(1 << 2 | 1 << 5), 2);
	assert_int_equal(sluice_numa_first(0), SLUICE_NUMA_ANY);
}

static void on_one_node_nothing_is_near_or_far(void **state)
{
	static const char *const cpulists[] = {"0-7\n"};
	struct sluice_numa numa;

	(void)state;
	make_host(&numa, cpulists, 1);
	assert_int_equal(numa.core_nodes[0], SLUICE_NUMA_ANY);
	assert_int_equal(device_on(&numa, "0\n"), 0);
	expect_cores(&numa, 0, 1, 7, 3, " 1 2 3");
}

static void near_cores_come_first(void **state)
{
	static const char *const halves[] = {"0-3\n", "4-7\n"}, *const turns[] = {"0,2,4,6\n",
	                                                                          "1,3,5,7\n"};
	struct sluice_numa numa;

	(void)state;
	make_host(&numa, halves, 2);
	expect_cores(&numa, 1 << 1, 1, 7, 2, " 4 5");
	expect_cores(&numa, 1 << 1, 1, 7, 6, " 4 5 6 7 1 2");
	expect_cores(&numa, 1 << 0, 1, 7, 4, " 1 2 3 4");
	expect_cores(&numa, 1 << 0 | 1 << 1, 1, 7, 3, " 1 4 2");
	expect_cores(&numa, 1 << 0 | 1 << 1, 1, 7, 64, " 1 4 2 5 3 6 7");
	expect_cores(&numa, 0, 1, 7, 64, " 1 2 3 4 5 6 7");
	expect_cores(&numa, 1 << 1, 1, 3, 2, " 1 2"); // a container that has none of them
	tear_down(NULL);
	make_host(&numa, turns, 2);
	expect_cores(&numa, 1 << 1, 1, 7, 5, " 1 3 5 7 2");
}

// Who polls queue 0, 1, ... of a port.
static void expect_pollers(const char *worker_nodes, uint64_t ports, uint64_t port,
                           const char *expected)
{
	enum { QUEUES = 6 };
	unsigned workers = (unsigned)strlen(worker_nodes);
	signed char nodes[16];
	char pollers[QUEUES + 1] = "------";

	for (unsigned w = 0; w < workers; w++)
		nodes[w] = (signed char)(worker_nodes[w] == '?' ? SLUICE_NUMA_ANY
		                                                : worker_nodes[w] - '0');
	for (unsigned w = 0; w < workers; w++) {
		struct sluice_numa_share s = sluice_numa_share(nodes, workers, w, ports, port);

		for (unsigned q = s.first; q < QUEUES; q += s.step) {
			assert_int_equal(pollers[q], '-'); // one each
			pollers[q] = (char)('0' + w);
		}
	}
	assert_string_equal(pollers, expected);
}

static void queues_are_polled_by_near_workers(void **state)
{
	enum { NODE_0 = 1, NODE_1 = 2, NODE_2 = 4, BOTH = 3 };
	struct sluice_numa_share share = sluice_numa_share(NULL, 3, 1, BOTH, NODE_1);

	(void)state;
	assert_int_equal(share.first, 1);
	assert_int_equal(share.step, 3);
	// One node, or none known: all workers, as the cores may be.
	expect_pollers("???", 0, 0, "012012");
	expect_pollers("011", NODE_1, NODE_1, "012012");
	expect_pollers("0101", BOTH, 0, "012301");
	// Two.
	expect_pollers("0101", BOTH, NODE_0, "020202");
	expect_pollers("0101", BOTH, NODE_1, "131313");
	expect_pollers("0111", BOTH, NODE_0, "000000");
	expect_pollers("0101", BOTH, BOTH, "012301"); // a bond of both
	// Workers that are near to no port help all of them; where none is near, all do.
	expect_pollers("0122", BOTH, NODE_0, "023023");
	expect_pollers("0122", BOTH, NODE_1, "123123");
	expect_pollers("00", BOTH, NODE_1, "010101");
	expect_pollers("01", BOTH | NODE_2, NODE_2, "010101");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_teardown(cores_and_devices_are_on_their_nodes, tear_down),
	        cmocka_unit_test_teardown(on_one_node_nothing_is_near_or_far, tear_down),
	        cmocka_unit_test_teardown(near_cores_come_first, tear_down),
	        cmocka_unit_test(queues_are_polled_by_near_workers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
