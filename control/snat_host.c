// SPDX-License-Identifier: BSD-3-Clause
#include <errno.h>
#include <stdio.h>

#include "control/address.h"
#include "control/kernel.h"
#include "control/snat.h"
#include "sluice/log.h"

// The ports that the kernel gives to sockets which don't ask for one.
static int read_local_ports(unsigned *first, unsigned *last)
{
	FILE *f = fopen("/proc/sys/net/ipv4/ip_local_port_range", "re");
	int n;

	if (!f)
		return -errno;
	n = fscanf(f, "%u %u", first, last); // NOLINT(cert-err34-c): the kernel's own numbers
	fclose(f);
	return n == 2 ? 0 : -EIO;
}

int sluice_snat_check_host(const struct sluice_snat_pool *pool, const struct sluice_kernel *kernel)
{
	unsigned first = 0, last = 0;
	char text[SLUICE_ADDRESS_TEXT];

	if (read_local_ports(&first, &last) < 0)
		return 0;
	for (size_t i = 0; i < pool->count; i++) {
		const struct sluice_kernel_address *a =
		        sluice_kernel_address_find(kernel, 0, &pool->addresses[i]);

		if (!a || a->announced || pool->last_port < first || pool->first_port > last)
			continue;
		log_error("snat.ports: %u-%u: %s is the host's own address, and its sockets get "
		          "ports from %u-%u: choose others, or move those with `sysctl -w "
		          "net.ipv4.ip_local_port_range=\"%u 65535\"`",
		          pool->first_port, pool->last_port,
		          sluice_address_format(&pool->addresses[i], text), first, last,
		          pool->last_port + 1U);
		return -EINVAL;
	}
	return 0;
}
