// SPDX-License-Identifier: (BSD-3-Clause OR GPL-2.0-only)

// XDP: service traffic to the workers' AF_XDP sockets, everything else to the kernel.
//
// Where no socket is bound to the receive queue (sluiced was killed, or is about to start)
// service traffic is dropped: the kernel, which has the virtual addresses, would answer it with
// resets. DPDK's driver loads this object, takes its first program, attaches it and puts its
// sockets into xsks_map; the control thread fills the other maps.

#include "dataplane/steer_parse.h"

struct {
	__uint(type, BPF_MAP_TYPE_XSKMAP);
	__uint(max_entries, 64);
	__type(key, __u32);
	__type(value, __u32);
} xsks_map SEC(".maps");

SEC("xdp")
int sluice_steer(struct xdp_md *context)
{
	void *data = (void *)(long)context->data;
	void *end = (void *)(long)context->data_end;

	if (!steer_is_service(data, end))
		return XDP_PASS;
	return (int)bpf_redirect_map(&xsks_map, context->rx_queue_index, XDP_DROP);
}

char steer_license[] SEC("license") = "Dual BSD/GPL";
