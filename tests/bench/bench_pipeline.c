// SPDX-License-Identifier: BSD-3-Clause

// bench_pipeline [-r ROUNDS] [-p PACKETS] [-f FLOWS]... [-4 | -6] [-m MODE] [-o LOOP]
//
// Nanoseconds per packet of the pipeline of known flows, each forwarding mode, next to the same
// loop doing the work of testpmd's 5tswap (swap MACs, addresses and ports), on one core. What the
// generator and an empty loop take is measured too, and subtracted. The loops take turns, round by
// round; the time is the thread's own.
//
// -o runs one loop alone, over PACKETS packets, for profilers: `none`, `5tswap` or a mode.

#include <getopt.h>
#include <netinet/in.h>
#include <rte_eal.h>
#include <rte_ether.h>
#include <rte_ip.h>
#include <rte_tcp.h>
#include <stdio.h>
#include <stdlib.h>

#include "lab.h"
#include "measure.h"

enum {
	COUNTS_MAX = 8,
	CAPACITY_MIN = 1 << 16,
	MODES_MAX = 8,
};

struct options {
	unsigned rounds;
	uint32_t packets;
	uint32_t flows[COUNTS_MAX];
	unsigned count;
	enum sluice_family family; // 0: both
	const char *mode, *only;   // NULL: all
};

// What the loops of one family and number of flows share.
struct bench {
	struct rte_mbuf *buffers[LAB_BUFFERS];
	struct lab_order order;
};

typedef void work_function(struct lab *l, struct rte_mbuf **burst);

static void work_none(struct lab *l, struct rte_mbuf **burst)
{
	(void)l;
	for (unsigned i = 0; i < SLUICE_BURST; i++)
		__asm__ volatile("" ::"r"(burst[i]) : "memory");
}

static void swap_v4(struct rte_mbuf *m, struct rte_ipv4_hdr *ip)
{
	uint32_t address = ip->dst_addr;

	ip->dst_addr = ip->src_addr;
	ip->src_addr = address;
	m->l3_len = rte_ipv4_hdr_len(ip);
}

static void swap_v6(struct rte_mbuf *m, struct rte_ipv6_hdr *ip)
{
	uint8_t address[16];

	memcpy(address, ip->dst_addr, 16);
	memcpy(ip->dst_addr, ip->src_addr, 16);
	memcpy(ip->src_addr, address, 16);
	m->l3_len = sizeof(*ip);
}

static void work_5tswap(struct lab *l, struct rte_mbuf **burst)
{
	(void)l;
	for (unsigned i = 0; i < SLUICE_BURST; i++) {
		struct rte_mbuf *m = burst[i];
		struct rte_ether_hdr *eth = rte_pktmbuf_mtod(m, struct rte_ether_hdr *);
		struct rte_ether_addr mac = eth->dst_addr;
		void *ip = eth + 1;
		uint8_t protocol;

		eth->dst_addr = eth->src_addr;
		eth->src_addr = mac;
		m->ol_flags = 0;
		m->l2_len = sizeof(*eth);
		if (eth->ether_type == htons(RTE_ETHER_TYPE_IPV4)) {
			swap_v4(m, ip);
			protocol = ((struct rte_ipv4_hdr *)ip)->next_proto_id;
		} else if (eth->ether_type == htons(RTE_ETHER_TYPE_IPV6)) {
			swap_v6(m, ip);
			protocol = ((struct rte_ipv6_hdr *)ip)->proto;
		} else {
			continue;
		}
		if (protocol != IPPROTO_TCP && protocol != IPPROTO_UDP)
			continue;
		struct rte_tcp_hdr *tcp = (void *)((uint8_t *)ip + m->l3_len);
		uint16_t port = tcp->dst_port;

		tcp->dst_port = tcp->src_port;
		tcp->src_port = port;
	}
}

static void work_pipeline(struct lab *l, struct rte_mbuf **burst)
{
	struct sluice_packet packets[SLUICE_BURST];

	lab_run(l, burst, packets);
}

// Nanoseconds a packet.
static double measure(struct bench *b, struct lab *l, work_function *work, uint32_t packets)
{
	uint64_t begin = thread_ns();

	for (uint32_t done = 0; done < packets; done += SLUICE_BURST) {
		struct rte_mbuf **burst = &b->buffers[done % LAB_BUFFERS];

		for (unsigned i = 0; i < SLUICE_BURST; i++)
			lab_write(l, burst[i], lab_next(&b->order));
		work(l, burst);
	}
	return (double)(thread_ns() - begin) / packets;
}

// A lab whose flows are all known and confirmed.
static struct lab *lab_warm(struct bench *b, const struct lab_mode *mode, enum sluice_family family)
{
	uint32_t flows = b->order.count;
	uint64_t capacity = 2ULL * flows > CAPACITY_MIN ? 2ULL * flows : CAPACITY_MIN;
	struct lab *l = lab_new(mode, family, capacity);
	uint64_t lost;

	measure(b, l, work_pipeline, 2 * (flows > 4096 ? flows : 4096));
	lost = sluice_counter_read(&l->counters.flow_untracked) +
	       sluice_counter_read(&l->counters.drops[SLUICE_DROP_SNAT_EXHAUSTED]);
	if (lost > 0)
		printf("# %s: %lu of %u flows found no room\n", mode->name, (unsigned long)lost,
		       flows);
	return l;
}

static uint64_t dropped(const struct lab *l)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < SLUICE_DROP_COUNT; i++)
		n += i == SLUICE_DROP_SNAT_EXHAUSTED ? 0
		                                     : sluice_counter_read(&l->counters.drops[i]);
	return n;
}

static bool wanted(const struct options *o, unsigned mode)
{
	return !o->mode || strcmp(o->mode, lab_modes[mode].name) == 0;
}

// What the issue of speed is about: nat next to 5tswap, the other modes next to nat.
static const char *aim(unsigned mode, enum sluice_family family, uint32_t flows)
{
	if (mode > 0)
		return "ratio<=1.3";
	if (family != SLUICE_IPV4)
		return "-";
	if (flows <= 65536)
		return "ratio<=1.1";
	return flows <= 1 << 20 ? "ratio<=2" : "ratio<=3";
}

static void show(const struct options *o, enum sluice_family family, uint32_t flows,
                 const struct series *swap, const struct series *ns)
{
	for (unsigned m = 0; m < lab_mode_count; m++) {
		bool beside_nat = m > 0 && wanted(o, 0);
		char what[64];

		if (!wanted(o, m))
			continue;
		snprintf(what, sizeof(what), "%s, IPv%d, %u flows", lab_modes[m].name, (int)family,
		         flows);
		row_print_ratio(what, "ns/packet", &ns[m], beside_nat ? "nat" : "5tswap",
		                beside_nat ? &ns[0] : swap, aim(m, family, flows));
	}
}

static void compare(struct bench *b, const struct options *o, enum sluice_family family)
{
	struct lab *labs[MODES_MAX] = {0}, *any = NULL;
	struct series swap = {.count = 0}, ns[MODES_MAX] = {0};

	for (unsigned m = 0; m < lab_mode_count; m++) {
		if (wanted(o, m))
			any = labs[m] = lab_warm(b, &lab_modes[m], family);
	}
	for (unsigned i = 0; i < o->rounds; i++) {
		double none = measure(b, any, work_none, o->packets);

		series_add(&swap, measure(b, any, work_5tswap, o->packets) - none);
		for (unsigned m = 0; m < lab_mode_count; m++) {
			if (!labs[m])
				continue;
			// As in life: once a second each flow's entry is written.
			labs[m]->pipeline.now++;
			series_add(&ns[m], measure(b, labs[m], work_pipeline, o->packets) - none);
		}
	}
	show(o, family, b->order.count, &swap, ns);
	for (unsigned m = 0; m < lab_mode_count; m++) {
		if (!labs[m])
			continue;
		if (dropped(labs[m]) > 0)
			lab_die("packets were dropped that should not be");
		lab_free(labs[m]);
	}
}

static void run_only(struct bench *b, const struct options *o)
{
	enum sluice_family family = o->family ? o->family : SLUICE_IPV4;
	bool none = strcmp(o->only, "none") == 0, swap = strcmp(o->only, "5tswap") == 0;
	const struct lab_mode *mode = NULL;
	struct lab *l;

	for (unsigned m = 0; m < lab_mode_count; m++) {
		if (none || swap || strcmp(o->only, lab_modes[m].name) == 0)
			mode = &lab_modes[m];
	}
	if (!mode) {
		fprintf(stderr, "bench_pipeline: no loop %s\n", o->only);
		exit(2);
	}
	l = lab_warm(b, mode, family);
	printf("# %.2f ns a packet, generator included\n", measure(b, l,
	                                                           none   ? work_none
	                                                           : swap ? work_5tswap
	                                                                  : work_pipeline,
	                                                           o->packets));
	lab_free(l);
}

static uint32_t number(const char *text)
{
	char *end;
	unsigned long n = strtoul(text, &end, 10);

	if (*end || n == 0 || n > 1 << 30) {
		fprintf(stderr, "bench_pipeline: %s is not a number from 1 to 2^30\n", text);
		exit(2);
	}
	return (uint32_t)n;
}

static void read_options(struct options *o, int argc, char **argv)
{
	int c;

	while ((c = getopt(argc, argv, "r:p:f:m:o:46")) != -1) {
		switch (c) {
		case 'r':
			o->rounds = number(optarg);
			break;
		case 'p':
			o->packets = number(optarg);
			break;
		case 'f':
			if (o->count < COUNTS_MAX)
				o->flows[o->count++] = number(optarg);
			break;
		case '4':
		case '6':
			o->family = c == '4' ? SLUICE_IPV4 : SLUICE_IPV6;
			break;
		case 'm':
			o->mode = optarg;
			break;
		case 'o':
			o->only = optarg;
			break;
		default:
			exit(2);
		}
	}
	if (o->count == 0) {
		static const uint32_t all[] = {64, 65536, 1 << 20, 10 << 20};

		memcpy(o->flows, all, sizeof(all));
		o->count = RTE_DIM(all);
	}
}

int main(int argc, char **argv)
{
	struct options o = {.rounds = 15, .packets = 1 << 20};
	static struct bench b;

	read_options(&o, argc, argv);
	lab_start(b.buffers);
	if (!o.only)
		printf("# Known flows, %d endpoints, the smallest TCP packets (64 bytes in IPv4, "
		       "78 in IPv6), bursts of %d, one core; %u rounds of %u packets; "
		       "generator subtracted.\n",
		       LAB_ENDPOINTS, SLUICE_BURST, o.rounds, o.packets);
	for (unsigned i = 0; i < o.count; i++) {
		lab_order_make(&b.order, o.flows[i]);
		if (o.only)
			run_only(&b, &o);
		if (!o.only && o.family != SLUICE_IPV6)
			compare(&b, &o, SLUICE_IPV4);
		if (!o.only && o.family != SLUICE_IPV4)
			compare(&b, &o, SLUICE_IPV6);
		lab_order_free(&b.order);
	}
	rte_eal_cleanup();
	return 0;
}
