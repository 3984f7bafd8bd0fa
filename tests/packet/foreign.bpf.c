// SPDX-License-Identifier: (BSD-3-Clause OR GPL-2.0-only)

// Someone else's XDP program.

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

SEC("xdp")
int foreign(struct xdp_md *context)
{
	(void)context;
	return XDP_PASS;
}
