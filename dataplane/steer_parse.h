// SPDX-License-Identifier: (BSD-3-Clause OR GPL-2.0-only)
#pragma once

// BPF: is a frame a service's traffic? One body for the XDP program and the tc guard; all that
// differs is where the frame comes from and what the answer leads to.
//
// A frame that is too short for its headers, or has none that we know, is not ours: the kernel
// deals with it. Whether lengths are consistent is for the workers to find out.
//
// Later fragments have no ports. Those for virtual addresses and from endpoints are taken to be a
// service's, those for the host's own addresses the kernel's, but for those from fullnat's
// endpoints to an address that it sends from; unless the first one was seen to be otherwise: one
// for another port of a virtual address, an endpoint's own business, or one for a node port. Where
// such a datagram's fragments come in another order the kernel never gets it whole: the workers
// drop what they held in vain.

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/udp.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "dataplane/steer_maps.h"

#define STEER_IPV6_EXTENSIONS 8
#define STEER_GUE_PORT        6080
#define STEER_FRAGMENT_LIFE   2000000000ULL // ns: as dataplane/fragments.h has it

struct steer_packet {
	struct steer_target source, destination;
	_Bool ports; // false: a fragment after the first
	_Bool first; // of several fragments
	__u32 id;    // of the datagram, where it is a fragment
};

struct steer_vlan {
	__be16 tci, protocol;
};

struct steer_extension {
	__u8 next, length; // in 8 bytes, without the first 8
	__be16 fragment;   // in a fragment header: offset in 8 bytes << 3 | more; in a routing
	                   // header: type << 8 | segments left
	__be32 id;
};

struct steer_icmp {
	__u8 type, code;
	__be16 checksum;
	__be32 rest;
};

// Each parser moves *at over what it read; 0: there is nothing for us there.

// One 802.1Q tag is read; what has more (QinQ) is the kernel's.
static __always_inline __be16 steer_ethernet(void **at, void *end)
{
	struct ethhdr *ethernet = *at;
	struct steer_vlan *vlan;

	if ((void *)(ethernet + 1) > end)
		return 0;
	*at = ethernet + 1;
	if (ethernet->h_proto != bpf_htons(ETH_P_8021Q))
		return ethernet->h_proto;
	vlan = *at;
	if ((void *)(vlan + 1) > end)
		return 0;
	*at = vlan + 1;
	return vlan->protocol;
}

static __always_inline void steer_v4_set(struct steer_target *t, __be32 address, __u8 protocol)
{
	t->address.bytes[10] = 0xff;
	t->address.bytes[11] = 0xff;
	__builtin_memcpy(&t->address.bytes[12], &address, 4);
	t->protocol = protocol;
	t->family = 4;
}

static __always_inline _Bool steer_ipv4(void **at, void *end, struct steer_packet *p)
{
	struct iphdr *ip = *at;

	if ((void *)(ip + 1) > end || ip->version != 4 || ip->ihl < 5)
		return 0;
	steer_v4_set(&p->source, ip->saddr, ip->protocol);
	steer_v4_set(&p->destination, ip->daddr, ip->protocol);
	p->ports = !(ip->frag_off & bpf_htons(0x1fff));
	p->first = p->ports && (ip->frag_off & bpf_htons(0x2000));
	p->id = ip->id;
	*at = (void *)ip + ip->ihl * 4;
	return 1;
}

static __always_inline void steer_v6_set(struct steer_target *t, const void *address)
{
	__builtin_memcpy(&t->address, address, 16);
	t->family = 6;
}

static __always_inline _Bool steer_is_extension(__u8 next)
{
	return next == IPPROTO_HOPOPTS || next == IPPROTO_DSTOPTS || next == IPPROTO_ROUTING ||
	       next == IPPROTO_FRAGMENT;
}

static __always_inline _Bool steer_ipv6(void **at, void *end, struct steer_packet *p)
{
	struct ipv6hdr *ip = *at;
	__u8 next;

	if ((void *)(ip + 1) > end || ip->version != 6)
		return 0;
	steer_v6_set(&p->source, &ip->saddr);
	steer_v6_set(&p->destination, &ip->daddr);
	p->ports = 1;
	next = ip->nexthdr;
	*at = ip + 1;
	for (int i = 0; i < STEER_IPV6_EXTENSIONS; i++) {
		struct steer_extension *e = *at;

		if (!steer_is_extension(next))
			break;
		if ((void *)(e + 1) > end)
			return 0;
		if (next == IPPROTO_ROUTING && (e->fragment & bpf_htons(0x00ff)))
			return 0; // it goes elsewhere from here
		*at = e + 1;
		if (next != IPPROTO_FRAGMENT) {
			*at += e->length * 8;
			next = e->next;
			continue;
		}
		p->id = e->id;
		p->first = e->fragment & bpf_htons(0x0001);
		p->ports = !(e->fragment & bpf_htons(0xfff8));
		if (!p->ports) {
			// Of the datagram, not of what follows here; not all that it has.
			next = steer_is_extension(e->next) ? IPPROTO_UDP : e->next;
			break;
		}
		next = e->next;
	}
	p->source.protocol = p->destination.protocol = next;
	return 1;
}

static __always_inline _Bool steer_network(__be16 type, void **at, void *end,
                                           struct steer_packet *p)
{
	switch (type) {
	case bpf_htons(ETH_P_IP):
		return steer_ipv4(at, end, p);
	case bpf_htons(ETH_P_IPV6):
		return steer_ipv6(at, end, p);
	default:
		return 0;
	}
}

static __always_inline _Bool steer_transport(const __be16 *ports, const void *end,
                                             struct steer_packet *p)
{
	if (p->source.protocol != IPPROTO_TCP && p->source.protocol != IPPROTO_UDP)
		return 0;
	if (!p->ports)
		return 1;
	if (!ports || (const void *)(ports + 2) > end)
		return 0;
	p->source.port = ports[0];
	p->destination.port = ports[1];
	return 1;
}

// Whether it is a port of an address that fullnat sends from.
static __always_inline _Bool steer_is_snat(const struct steer_target *destination)
{
	__u32 first = 0, port = bpf_ntohs(destination->port);
	const __u32 *ports = bpf_map_lookup_elem(&snat_ports, &first);

	return ports && port >= *ports >> 16 && port <= (*ports & 0xffff) &&
	       bpf_map_lookup_elem(&snat_addrs, &destination->address);
}

static __always_inline _Bool steer_is_ours(const struct steer_target *source,
                                           const struct steer_target *destination)
{
	if (bpf_map_lookup_elem(&virtual_targets, destination))
		return 1;
	if (bpf_map_lookup_elem(&return_targets, source) &&
	    !bpf_map_lookup_elem(&local_addrs, &destination->address))
		return 1;
	return steer_is_snat(destination) && bpf_map_lookup_elem(&snat_targets, source);
}

// Unreachable, time exceeded, parameter problem, packet too big.
static __always_inline _Bool steer_is_error(__be16 type, __u8 icmp)
{
	if (type == bpf_htons(ETH_P_IP))
		return icmp == 3 || icmp == 11 || icmp == 12;
	return icmp >= 1 && icmp <= 4;
}

// The same place, of which the verifier knows no more than that it is within the first 4 KiB: else
// it follows each way through the extension headers in front of an error through those quoted in
// it. NULL: further away.
static __always_inline void *steer_forget(void *data, void *at)
{
	__u64 offset = at - data;

	if (offset >= 4096)
		return NULL;
	asm volatile("%0 &= 4095" : "+r"(offset)); // which the compiler knows to be superfluous
	return data + offset;
}

// What a packet in a tunnel of ours has inside, as an EtherType; *at is behind the outer IP header
// and moves to the inner one. 0: it is in no tunnel.
static __always_inline __be16 steer_tunnel(__u8 protocol, void **at, void *end)
{
	struct udphdr *udp = *at;
	__u8 *version;

	if (protocol == IPPROTO_IPIP)
		return bpf_htons(ETH_P_IP);
	if (protocol == IPPROTO_IPV6)
		return bpf_htons(ETH_P_IPV6);
	if (protocol != IPPROTO_UDP || (void *)(udp + 1) > end ||
	    udp->dest != bpf_htons(STEER_GUE_PORT))
		return 0;
	*at = version = (void *)(udp + 1);
	if ((void *)(version + 1) > end)
		return 0;
	return *version >> 4 == 4 ? bpf_htons(ETH_P_IP) : bpf_htons(ETH_P_IPV6);
}

// An error about a packet in a tunnel is ours where the client's packet inside is.
static __always_inline _Bool steer_tunnel_error(__u8 protocol, void *data, void *at, void *end)
{
	struct steer_packet inner = {};
	__be16 type = steer_tunnel(protocol, &at, end);

	return type && steer_network(type, &at, end, &inner) && inner.ports &&
	       steer_transport(steer_forget(data, at), end, &inner) &&
	       bpf_map_lookup_elem(&virtual_targets, &inner.destination);
}

// An ICMP error is ours where a reply to the packet that it quotes would be.
static __always_inline _Bool steer_error(__be16 type, void *data, void *at, void *end,
                                         const struct steer_packet *p)
{
	struct steer_packet quote = {};
	struct steer_icmp *icmp = at;

	if (!icmp || p->first || !p->ports || (void *)(icmp + 1) > end ||
	    !steer_is_error(type, icmp->type))
		return 0;
	at = icmp + 1;
	if (!steer_network(type, &at, end, &quote) || !quote.ports)
		return 0;
	at = steer_forget(data, at);
	if (steer_transport(at, end, &quote) && steer_is_ours(&quote.destination, &quote.source))
		return 1;
	return at && steer_tunnel_error(quote.source.protocol, data, at, end);
}

// By addresses alone.
static __always_inline _Bool steer_claims(const struct steer_packet *p)
{
	struct steer_target from = {.address = p->source.address, .family = p->source.family};

	if (bpf_map_lookup_elem(&virtual_addrs, &p->destination.address))
		return 1;
	if (bpf_map_lookup_elem(&return_addrs, &p->source.address) &&
	    !bpf_map_lookup_elem(&local_addrs, &p->destination.address))
		return 1;
	return bpf_map_lookup_elem(&snat_addrs, &p->destination.address) &&
	       bpf_map_lookup_elem(&snat_targets, &from);
}

static __always_inline struct steer_datagram steer_datagram(const struct steer_packet *p)
{
	return (struct steer_datagram){
	        .source = p->source.address,
	        .destination = p->destination.address,
	        .id = p->id,
	        .protocol = p->source.family == 4 ? p->source.protocol : 0,
	};
}

static __always_inline void steer_first(const struct steer_packet *p, _Bool ours)
{
	struct steer_datagram key = steer_datagram(p);
	__u64 value = (bpf_ktime_get_ns() & ~1ULL) | ours;

	if (ours != steer_claims(p))
		bpf_map_update_elem(&datagrams, &key, &value, BPF_ANY);
	else
		bpf_map_delete_elem(&datagrams, &key); // of an older one with its id
}

static __always_inline _Bool steer_later(const struct steer_packet *p)
{
	struct steer_datagram key = steer_datagram(p);
	const __u64 *value = bpf_map_lookup_elem(&datagrams, &key);

	if (value && bpf_ktime_get_ns() - *value < STEER_FRAGMENT_LIFE)
		return *value & 1;
	return steer_claims(p);
}

static __always_inline _Bool steer_is_service(void *data, void *end)
{
	struct steer_packet p = {};
	void *at = data;
	__be16 type = steer_ethernet(&at, end);
	_Bool ours;

	if (!steer_network(type, &at, end, &p))
		return 0;
	if (p.source.protocol == (type == bpf_htons(ETH_P_IP) ? IPPROTO_ICMP : IPPROTO_ICMPV6))
		return steer_error(type, data, steer_forget(data, at), end, &p);
	if (!steer_transport(at, end, &p))
		return 0;
	if (!p.ports)
		return steer_later(&p);
	ours = steer_is_ours(&p.source, &p.destination);
	if (p.first)
		steer_first(&p, ours);
	return ours;
}
