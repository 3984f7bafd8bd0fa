// SPDX-License-Identifier: (BSD-3-Clause OR GPL-2.0-only)

// tc ingress: drops service traffic while one XDP program makes way for the next. Its maps are
// those of the program that leaves (control/steer_takeover.c).

#include <linux/pkt_cls.h>

#include "dataplane/steer_parse.h"

// Enough for all headers that steer_parse walks in practice.
#define GUARD_HEADERS 512

SEC("tc")
int sluice_guard(struct __sk_buff *skb)
{
	__u32 length = skb->len;

	bpf_skb_pull_data(skb, length < GUARD_HEADERS ? length : GUARD_HEADERS);
	if (steer_is_service((void *)(long)skb->data, (void *)(long)skb->data_end))
		return TC_ACT_SHOT;
	return TC_ACT_UNSPEC;
}

char steer_license[] SEC("license") = "Dual BSD/GPL";
