// SPDX-License-Identifier: BSD-3-Clause

// Nanoseconds per packet of the nat pipeline, next to the same loop doing the work of testpmd's
// 5tswap (swap MACs, addresses and ports), in one run on one core.
//
// The generator writes each frame's headers into the next of a few packet buffers, as a NIC with
// cache injection would, and its own cost is measured and subtracted. Flows come in random order,
// so that each lookup misses as it would in life. The three loops take turns; medians are shown.

#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_ether.h>
#include <rte_ip.h>
#include <rte_mbuf.h>
#include <rte_tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "dataplane/checksum.h"
#include "dataplane/maglev.h"
#include "dataplane/pipeline.h"
#include "dataplane/target_table.h"

enum {
	BUFFERS = 256,
	FRAME = 60, // and four bytes of checksum on the wire
	ENDPOINTS = 100,
	ROWS = 65537,
	ROUNDS = 9,
	PACKETS = 4 << 20, // per measurement
};

struct bench {
	struct sluice_pipeline pipeline;
	struct sluice_flow_table flows;
	struct sluice_snapshot snapshot;
	struct sluice_worker_counters counters;
	struct sluice_endpoint_counters *endpoint_counters;
	struct rte_mbuf *mbufs[BUFFERS];
	uint32_t *order; // flow numbers, shuffled
	uint32_t flow_count;
	uint32_t at; // into order
	uint8_t frame[FRAME];
};

static void die(const char *what)
{
	fprintf(stderr, "bench_pipeline: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void *zeroed(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		die("mmap");
	madvise(p, size, MADV_HUGEPAGE);
	memset(p, 0, size);
	return p;
}

// ---- the world: one service, 100 endpoints

static struct sluice_target target(uint32_t v4, uint16_t port)
{
	return (struct sluice_target){
	        .address = sluice_address_from_v4(htonl(v4)),
	        .port = htons(port),
	        .protocol = IPPROTO_TCP,
	        .family = SLUICE_IPV4,
	};
}

static void make_endpoints(struct sluice_endpoint *e, struct sluice_maglev_endpoint *m)
{
	for (unsigned i = 0; i < ENDPOINTS; i++) {
		e[i].target = target(0xac110005 + i, 8080);
		e[i].generation = 1;
		e[i].address_sum = sluice_sum_bytes(&e[i].target.address.bytes[12], 4);
		e[i].transport_sum = sluice_sum_add(e[i].address_sum, e[i].target.port);
		e[i].adjacency = (struct sluice_adjacency){
		        .destination = {2, 0, 0, 0, 0, (uint8_t)i},
		        .source = {2, 1, 0, 0, 0, 1},
		        .mtu = 1500,
		        .state = SLUICE_ADJACENCY_READY,
		};
		m[i] = (struct sluice_maglev_endpoint){e[i].target.address, e[i].target.port, 1};
	}
}

static void make_snapshot(struct bench *b)
{
	struct sluice_snapshot *s = &b->snapshot;
	struct sluice_frontend *frontends = zeroed(2 * sizeof(*frontends));
	struct sluice_endpoint *endpoints = zeroed(ENDPOINTS * sizeof(*endpoints));
	struct sluice_service *service = zeroed(sizeof(*service));
	struct sluice_maglev_endpoint maglev[ENDPOINTS];
	struct sluice_target_table *table = sluice_target_table_new(1);
	uint16_t *rows = zeroed(ROWS * sizeof(*rows));
	uint32_t *slots = zeroed(ENDPOINTS * sizeof(*slots));

	sluice_hash_key_expand(&s->row_key, "bench");
	make_endpoints(endpoints, maglev);
	if (sluice_maglev_fill(rows, ROWS, maglev, ENDPOINTS, &s->row_key) != 0)
		die("maglev");
	for (unsigned i = 0; i < ENDPOINTS; i++)
		slots[i] = i;
	frontends[1].target = target(0x0a602b72, 8080);
	frontends[1].address_sum = sluice_sum_bytes(&frontends[1].target.address.bytes[12], 4);
	frontends[1].transport_sum =
	        sluice_sum_add(frontends[1].address_sum, frontends[1].target.port);
	sluice_target_table_set(table, &frontends[1].target, 1);
	*service = (struct sluice_service){.rows = rows, .slots = slots, .table_size = ROWS};
	s->frontend_table = table;
	s->return_table = s->local_table = sluice_target_table_new(1);
	s->frontends = frontends;
	s->endpoints = endpoints;
	s->services = service;
	s->frontend_count = 2;
	s->endpoint_count = ENDPOINTS;
	s->service_count = 1;
}

static void make_flows(struct bench *b, uint32_t count)
{
	uint64_t capacity = count < 32768 ? 65536 : 2ULL * count;
	size_t size = sluice_flow_table_size(capacity);
	void *memory = zeroed(size);
	uint64_t random = 88172645463325252ULL;

	if (sluice_flow_table_format(memory, capacity, 1) != 0 ||
	    sluice_flow_table_attach(&b->flows, memory, size, 1) != 0)
		die("flow table");
	b->flows.timeouts = (struct sluice_flow_timeouts){{60, 7200, 30, 180}};
	b->flow_count = count;
	b->at = 0;
	b->order = zeroed(count * sizeof(*b->order));
	for (uint32_t i = 0; i < count; i++)
		b->order[i] = i;
	for (uint32_t i = count - 1; i > 0; i--) {
		random ^= random << 13;
		random ^= random >> 7;
		random ^= random << 17;
		uint32_t j = (uint32_t)(random % (i + 1)), keep = b->order[i];

		b->order[i] = b->order[j];
		b->order[j] = keep;
	}
}

static void make_frame(uint8_t *frame)
{
	struct rte_ether_hdr *eth = (void *)frame;
	struct rte_ipv4_hdr *ip = (void *)(eth + 1);
	struct rte_tcp_hdr *tcp = (void *)(ip + 1);

	memset(frame, 0, FRAME);
	eth->ether_type = htons(RTE_ETHER_TYPE_IPV4);
	ip->version_ihl = 0x45;
	ip->total_length = htons(FRAME - sizeof(*eth));
	ip->time_to_live = 64;
	ip->next_proto_id = IPPROTO_TCP;
	ip->dst_addr = htonl(0x0a602b72);
	ip->hdr_checksum = 0x1234;
	tcp->dst_port = htons(8080);
	tcp->data_off = 5 << 4;
	tcp->tcp_flags = RTE_TCP_ACK_FLAG;
	tcp->cksum = 0x4321;
}

// ---- the three loops

static inline void generate(struct bench *b, struct rte_mbuf **burst)
{
	for (unsigned i = 0; i < SLUICE_BURST; i++) {
		uint32_t flow = b->order[b->at];
		uint8_t *data = rte_pktmbuf_mtod(burst[i], uint8_t *);
		struct rte_ipv4_hdr *ip = (void *)(data + SLUICE_ETHERNET);
		struct rte_tcp_hdr *tcp = (void *)(ip + 1);

		memcpy(data, b->frame, FRAME);
		ip->src_addr = htonl(0xcb000000 + (flow >> 6));
		tcp->src_port = (uint16_t)(1024 + (flow & 63));
		if (++b->at == b->flow_count)
			b->at = 0;
	}
}

static void work_none(struct bench *b, struct rte_mbuf **burst)
{
	(void)b;
	for (unsigned i = 0; i < SLUICE_BURST; i++)
		__asm__ volatile("" ::"r"(burst[i]) : "memory");
}

static void work_5tswap(struct bench *b, struct rte_mbuf **burst)
{
	(void)b;
	for (unsigned i = 0; i < SLUICE_BURST; i++) {
		struct rte_ether_hdr *eth = rte_pktmbuf_mtod(burst[i], struct rte_ether_hdr *);
		struct rte_ether_addr mac = eth->dst_addr;
		struct rte_ipv4_hdr *ip = (void *)(eth + 1);

		eth->dst_addr = eth->src_addr;
		eth->src_addr = mac;
		burst[i]->ol_flags = 0;
		burst[i]->l2_len = sizeof(*eth);
		if (eth->ether_type != htons(RTE_ETHER_TYPE_IPV4))
			continue;
		uint32_t address = ip->dst_addr;

		ip->dst_addr = ip->src_addr;
		ip->src_addr = address;
		burst[i]->l3_len = rte_ipv4_hdr_len(ip);
		if (ip->next_proto_id != IPPROTO_TCP && ip->next_proto_id != IPPROTO_UDP)
			continue;
		struct rte_tcp_hdr *tcp = (void *)((uint8_t *)ip + rte_ipv4_hdr_len(ip));
		uint16_t port = tcp->dst_port;

		tcp->dst_port = tcp->src_port;
		tcp->src_port = port;
	}
}

static void work_nat(struct bench *b, struct rte_mbuf **burst)
{
	struct sluice_packet packets[SLUICE_BURST];

	for (unsigned i = 0; i < SLUICE_BURST; i++)
		packets[i] = (struct sluice_packet){
		        .data = rte_pktmbuf_mtod(burst[i], uint8_t *),
		        .buffer = burst[i],
		        .length = burst[i]->pkt_len,
		        .head = burst[i]->data_len,
		};
	sluice_pipeline_run(&b->pipeline, packets, SLUICE_BURST);
}

typedef void work_function(struct bench *b, struct rte_mbuf **burst);

static double measure(struct bench *b, work_function *work, uint32_t packets)
{
	uint64_t begin = rte_rdtsc_precise();

	for (uint32_t done = 0; done < packets; done += SLUICE_BURST) {
		struct rte_mbuf **burst = &b->mbufs[done % BUFFERS];

		generate(b, burst);
		work(b, burst);
	}
	return (double)(rte_rdtsc_precise() - begin) * 1e9 / (double)rte_get_tsc_hz() / packets;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void run(struct bench *b, uint32_t flows)
{
	double swap[ROUNDS], nat[ROUNDS], ratio[ROUNDS];

	make_flows(b, flows);
	b->pipeline = (struct sluice_pipeline){
	        .snapshot = &b->snapshot,
	        .flows = &b->flows,
	        .counters = &b->counters,
	        .endpoint_counters = b->endpoint_counters,
	        .now = 1000,
	};
	measure(b, work_nat, 2 * (flows > 4096 ? flows : 4096)); // all flows known and established
	for (unsigned i = 0; i < ROUNDS; i++) {
		double none = measure(b, work_none, PACKETS);

		swap[i] = measure(b, work_5tswap, PACKETS) - none;
		b->pipeline.now++; // as in life: once a second each flow's entry is written
		nat[i] = measure(b, work_nat, PACKETS) - none;
		ratio[i] = nat[i] / swap[i];
	}
	if (sluice_counter_read(&b->counters.flow_untracked) > 0)
		fprintf(stderr, "bench_pipeline: %lu flows found no room\n",
		        sluice_counter_read(&b->counters.flow_untracked));
	qsort(swap, ROUNDS, sizeof(double), by_value);
	qsort(nat, ROUNDS, sizeof(double), by_value);
	qsort(ratio, ROUNDS, sizeof(double), by_value);
	printf("| %9u | %6.2f (%.2f-%.2f) | %6.2f (%.2f-%.2f) | %5.2f (%.2f-%.2f) |\n", flows,
	       nat[ROUNDS / 2], nat[0], nat[ROUNDS - 1], swap[ROUNDS / 2], swap[0],
	       swap[ROUNDS - 1], ratio[ROUNDS / 2], ratio[0], ratio[ROUNDS - 1]);
	fflush(stdout);
}

int main(void)
{
	char *arguments[] = {"bench_pipeline",
	                     "--no-huge",
	                     "-m",
	                     "64",
	                     "--no-shconf",
	                     "--no-pci",
	                     "--no-telemetry",
	                     "--log-level=error",
	                     "--file-prefix",
	                     "sluice-bench"};
	static struct bench b;
	struct rte_mempool *pool;

	if (rte_eal_init(RTE_DIM(arguments), arguments) < 0)
		die("EAL");
	pool = rte_pktmbuf_pool_create("bench", 1023, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE,
	                               SOCKET_ID_ANY);
	if (!pool || rte_pktmbuf_alloc_bulk(pool, b.mbufs, BUFFERS) != 0)
		die("packet buffers");
	for (unsigned i = 0; i < BUFFERS; i++)
		rte_pktmbuf_append(b.mbufs[i], FRAME);
	make_frame(b.frame);
	make_snapshot(&b);
	b.endpoint_counters = zeroed(ENDPOINTS * sizeof(*b.endpoint_counters));
	printf("64-byte TCP packets, %d endpoints, medians of %d (min-max), ns per packet\n\n",
	       ENDPOINTS, ROUNDS);
	printf("|     flows | nat pipeline         | 5tswap               | ratio            |\n");
	printf("|----------:|----------------------|----------------------|------------------|\n");
	static const uint32_t flows[] = {64, 65536, 1 << 20};

	for (unsigned i = 0; i < RTE_DIM(flows); i++)
		run(&b, flows[i]);
	rte_eal_cleanup();
	return 0;
}
