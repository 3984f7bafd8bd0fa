// SPDX-License-Identifier: (BSD-3-Clause OR GPL-2.0-only)

// XDP on a backend: takes packets out of IP-in-IP and GUE (variant 1) tunnels, as a kernel with
// the modules for it would. What isn't well-formed is dropped, so that a test notices.

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/udp.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

enum {
	GUE_PORT = 6080,
	FIRST_DYNAMIC_PORT = 49152,
	TTL = 64,
};

static __always_inline _Bool checksum_is_right(const struct iphdr *ip)
{
	const __u16 *words = (const void *)ip;
	__u32 sum = 0;

	for (unsigned i = 0; i < sizeof(*ip) / 2; i++)
		sum += words[i];
	sum = (sum & 0xffff) + (sum >> 16);
	return (sum & 0xffff) + (sum >> 16) == 0xffff;
}

// The outer header, of either family.
struct outer {
	__u32 size;
	__u8 protocol, ttl;
	_Bool good;
};

static __always_inline _Bool read_outer(void *data, void *end, struct outer *o)
{
	const struct ethhdr *eth = data;
	const struct iphdr *v4 = (void *)(eth + 1);
	const struct ipv6hdr *v6 = (void *)(eth + 1);

	if ((void *)(v4 + 1) > end)
		return 0;
	if (eth->h_proto == bpf_htons(ETH_P_IP)) {
		*o = (struct outer){sizeof(*v4), v4->protocol, v4->ttl,
		                    v4->ihl == 5 && checksum_is_right(v4)};
		return 1;
	}
	if (eth->h_proto != bpf_htons(ETH_P_IPV6) || (void *)(v6 + 1) > end)
		return 0;
	*o = (struct outer){sizeof(*v6), v6->nexthdr, v6->hop_limit, 1};
	return 1;
}

// Bytes to take away, 0: not a tunnel's packet, -1: a broken one.
static __always_inline int tunnel_size(void *data, void *end)
{
	struct outer o;
	const struct udphdr *udp;

	if (!read_outer(data, end, &o))
		return 0;
	if (o.protocol == IPPROTO_IPIP || o.protocol == IPPROTO_IPV6)
		return o.good && o.ttl == TTL ? (int)o.size : -1;
	udp = data + sizeof(struct ethhdr) + o.size;
	if (o.protocol != IPPROTO_UDP || (void *)(udp + 1) > end ||
	    udp->dest != bpf_htons(GUE_PORT))
		return 0;
	if (!o.good || o.ttl != TTL || udp->check != 0 ||
	    bpf_ntohs(udp->source) < FIRST_DYNAMIC_PORT)
		return -1;
	return (int)(o.size + sizeof(*udp));
}

SEC("xdp")
int decap(struct xdp_md *context)
{
	void *data = (void *)(long)context->data, *end = (void *)(long)context->data_end;
	int size = tunnel_size(data, end);
	struct ethhdr eth;
	__u8 *inner;

	if (size <= 0)
		return size == 0 ? XDP_PASS : XDP_DROP;
	if (data + sizeof(eth) > end)
		return XDP_DROP;
	__builtin_memcpy(&eth, data, sizeof(eth));
	if (bpf_xdp_adjust_head(context, size) != 0)
		return XDP_DROP;
	data = (void *)(long)context->data;
	end = (void *)(long)context->data_end;
	inner = data + sizeof(eth);
	if ((void *)(inner + 1) > end)
		return XDP_DROP;
	if (*inner >> 4 != 4 && *inner >> 4 != 6)
		return XDP_DROP;
	eth.h_proto = *inner >> 4 == 4 ? bpf_htons(ETH_P_IP) : bpf_htons(ETH_P_IPV6);
	__builtin_memcpy(data, &eth, sizeof(eth));
	return XDP_PASS;
}
