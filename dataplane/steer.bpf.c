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

// The interface's address: six bytes, in their order on the wire, and two of zero. 0: not known.
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} port_mac SEC(".maps");

// What a switch floods, or a promiscuous interface sees of others' traffic, is not ours: we would
// forward it a second time.
static __always_inline _Bool is_for_us(const void *data, const void *end)
{
	__u32 first = 0;
	const __u64 *mac = bpf_map_lookup_elem(&port_mac, &first);
	__u64 destination = 0;

	if (!mac || !*mac || data + ETH_ALEN > end)
		return 1;
	__builtin_memcpy(&destination, data, ETH_ALEN);
	return destination == *mac;
}

SEC("xdp")
int sluice_steer(struct xdp_md *context)
{
	void *data = (void *)(long)context->data;
	void *end = (void *)(long)context->data_end;

	if (!is_for_us(data, end) || !steer_is_service(data, end))
		return XDP_PASS;
	return (int)bpf_redirect_map(&xsks_map, context->rx_queue_index, XDP_DROP);
}

char steer_license[] SEC("license") = "Dual BSD/GPL";
