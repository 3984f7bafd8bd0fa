// SPDX-License-Identifier: BSD-3-Clause
#include "lab.h"

#include <errno.h>
#include <netinet/in.h>
#include <rte_eal.h>
#include <rte_ether.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "dataplane/checksum.h"
#include "dataplane/maglev.h"
#include "dataplane/target_table.h"

enum {
	MEMORY_MAX = 16, // pieces
	SNAT_FIRST_PORT = 1024,
	SNAT_LAST_PORT = 32767,
	FRAGMENT_CAPACITY = 1024,
	NOW = 1000,
};

const struct lab_mode lab_modes[] = {
        {"nat", SLUICE_FORWARD_NAT},     {"fullnat", SLUICE_FORWARD_FULLNAT},
        {"l2dsr", SLUICE_FORWARD_L2DSR}, {"ipip", SLUICE_FORWARD_IPIP},
        {"gue", SLUICE_FORWARD_GUE},
};
const unsigned lab_mode_count = RTE_DIM(lab_modes);

struct lab_memory {
	struct {
		void *start;
		size_t size;
	} pieces[MEMORY_MAX];
	unsigned count;
	struct sluice_target_table *frontends, *returns, *locals, *snat;
	size_t flow_bytes;
};

void lab_die(const char *what)
{
	fprintf(stderr, "bench: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void *map(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		lab_die("mmap");
	madvise(p, size, MADV_HUGEPAGE); // as the flow table's file asks for
	memset(p, 0, size);
	return p;
}

static void *keep(struct lab *l, size_t size)
{
	struct lab_memory *m = l->memory;

	if (m->count == MEMORY_MAX)
		lab_die("too many pieces of memory");
	m->pieces[m->count].start = map(size);
	m->pieces[m->count].size = size;
	return m->pieces[m->count++].start;
}

// ---- addresses: 10.KIND.0.n and fd00:KIND::n

enum kind {
	VIP = 96,
	ENDPOINT = 17,
	SNAT = 99,
	TUNNEL = 98,
};

static struct sluice_address address(enum sluice_family family, enum kind kind, unsigned n)
{
	uint8_t v6[16] = {[0] = 0xfd, [3] = (uint8_t)kind, [15] = (uint8_t)n};

	return family == SLUICE_IPV4
	               ? sluice_address_from_v4(htonl(0x0a000000 + ((unsigned)kind << 16) + n))
	               : sluice_address_from_v6(v6);
}

static struct sluice_target target(enum sluice_family family, enum kind kind, unsigned n)
{
	return (struct sluice_target){
	        .address = address(family, kind, n),
	        .port = htons(8080),
	        .protocol = IPPROTO_TCP,
	        .family = (uint8_t)family,
	};
}

static uint16_t address_sum(const struct sluice_address *a)
{
	unsigned size;
	const uint8_t *wire = sluice_address_wire(a, &size);

	return sluice_sum_bytes(wire, size);
}

// ---- the snapshot

static void make_endpoint(const struct lab *l, struct sluice_endpoint *e, unsigned i)
{
	bool tunnel = l->mode->forwarding == SLUICE_FORWARD_IPIP ||
	              l->mode->forwarding == SLUICE_FORWARD_GUE;

	e->target = target(l->family, ENDPOINT, 5 + i);
	e->generation = 1;
	e->address_sum = address_sum(&e->target.address);
	e->transport_sum = sluice_sum_add(e->address_sum, e->target.port);
	e->tunnel_source = address(l->family, TUNNEL, 1);
	if (tunnel)
		e->address_sum = sluice_sum_add(e->address_sum, address_sum(&e->tunnel_source));
	e->adjacency = (struct sluice_adjacency){
	        .destination = {2, 0, 0, 0, 0, (uint8_t)i},
	        .source = {2, 1, 0, 0, 0, 1},
	        .mtu = 1500,
	        .state = SLUICE_ADJACENCY_READY,
	};
}

static void make_frontend(struct lab *l, struct sluice_frontend *f)
{
	f->target = target(l->family, VIP, 1);
	f->address_sum = address_sum(&f->target.address);
	f->transport_sum = sluice_sum_add(f->address_sum, f->target.port);
	f->forwarding = (uint8_t)l->mode->forwarding;
	sluice_target_table_set(l->memory->frontends, &f->target, 1);
}

static void make_snapshot(struct lab *l)
{
	struct sluice_snapshot *s = &l->snapshot;
	struct sluice_frontend *frontends = keep(l, 2 * sizeof(*frontends));
	struct sluice_endpoint *endpoints = keep(l, LAB_ENDPOINTS * sizeof(*endpoints));
	struct sluice_service *service = keep(l, sizeof(*service));
	uint32_t *slots = keep(l, LAB_ENDPOINTS * sizeof(*slots));

	sluice_hash_key_expand(&s->row_key, "bench");
	l->memory->frontends = sluice_target_table_new(2);
	l->memory->returns = sluice_target_table_new(1);
	l->memory->locals = sluice_target_table_new(1);
	if (!l->memory->frontends || !l->memory->returns || !l->memory->locals)
		lab_die("tables");
	for (unsigned i = 0; i < LAB_ENDPOINTS; i++) {
		make_endpoint(l, &endpoints[i], i);
		slots[i] = i;
	}
	make_frontend(l, &frontends[1]);
	*service = (struct sluice_service){.rows = keep(l, LAB_ROWS * sizeof(uint16_t)),
	                                   .slots = slots,
	                                   .table_size = LAB_ROWS};
	s->frontend_table = l->memory->frontends;
	s->return_table = l->memory->returns;
	s->local_table = l->memory->locals;
	s->frontends = frontends;
	s->endpoints = endpoints;
	s->services = service;
	s->frontend_count = 2;
	s->endpoint_count = LAB_ENDPOINTS;
	s->service_count = 1;
}

void lab_rows(struct lab *l, unsigned count)
{
	struct sluice_maglev_endpoint maglev[LAB_ENDPOINTS];
	const struct sluice_service *service = &l->snapshot.services[0];

	for (unsigned i = 0; i < count; i++) {
		const struct sluice_target *t = &l->snapshot.endpoints[i].target;

		maglev[i] = (struct sluice_maglev_endpoint){t->address, t->port, 1};
	}
	// The lab's own memory, and no worker looks meanwhile.
	if (sluice_maglev_fill((uint16_t *)(uintptr_t)service->rows, LAB_ROWS, maglev, count,
	                       &l->snapshot.row_key) != 0)
		lab_die("rows");
}

// ---- flows

static const struct sluice_flow_timeouts timeouts = {{60, 7200, 30, 180}};

static void make_flows(struct lab *l, uint64_t capacity)
{
	size_t size = sluice_flow_table_size(capacity);
	void *memory = keep(l, size);

	if (sluice_flow_table_format(memory, capacity, 1) != 0 ||
	    sluice_flow_table_attach(&l->flows, memory, size, 1) != 0)
		lab_die("flow table");
	l->flows.timeouts = timeouts;
	l->memory->flow_bytes = size;
}

static void make_snat(struct lab *l, uint64_t capacity)
{
	struct sluice_snat_pool pool = {.count = SLUICE_SNAT_MAX,
	                                .first_port = SNAT_FIRST_PORT,
	                                .last_port = SNAT_LAST_PORT};
	size_t size = sluice_snat_table_size(capacity);
	void *memory = keep(l, size);
	uint8_t *indices = l->family == SLUICE_IPV4 ? l->snat.v4 : l->snat.v6;

	l->memory->snat = sluice_target_table_new(SLUICE_SNAT_MAX);
	if (!l->memory->snat)
		lab_die("SNAT addresses");
	l->snat.first_port = SNAT_FIRST_PORT;
	l->snat.last_port = SNAT_LAST_PORT;
	*(l->family == SLUICE_IPV4 ? &l->snat.count_v4 : &l->snat.count_v6) = SLUICE_SNAT_MAX;
	for (unsigned i = 0; i < SLUICE_SNAT_MAX; i++) {
		struct sluice_snat_address *a = &l->snat.addresses[i];

		pool.addresses[i] = address(l->family, SNAT, 1 + i);
		a->target = (struct sluice_target){.address = pool.addresses[i],
		                                   .family = (uint8_t)l->family};
		a->sum = address_sum(&pool.addresses[i]);
		sluice_target_table_set(l->memory->snat, &a->target, i);
		indices[i] = (uint8_t)i;
	}
	if (sluice_snat_table_format(memory, capacity, 1, &pool) != 0 ||
	    sluice_snat_table_attach(&l->snat_table, memory, size, 1) != 0)
		lab_die("SNAT table");
	l->snat_table.timeouts = timeouts;
	l->snapshot.snat = &l->snat;
	l->snapshot.snat_table = l->memory->snat;
	l->pipeline.snat = &l->snat_table;
	l->pipeline.worker = (struct sluice_snat_worker){.count = 1};
	l->memory->flow_bytes = size;
}

size_t lab_flow_bytes(const struct lab *l)
{
	return l->memory->flow_bytes;
}

// ---- frames

static void make_frame(struct lab *l)
{
	struct sluice_target vip = target(l->family, VIP, 1);
	bool v4 = l->family == SLUICE_IPV4;
	uint16_t type = htons(v4 ? RTE_ETHER_TYPE_IPV4 : RTE_ETHER_TYPE_IPV6);
	struct sluice_ipv4 *ip4 = (void *)(l->frame + SLUICE_ETHERNET);
	struct sluice_ipv6 *ip6 = (void *)ip4;
	struct sluice_tcp *tcp = v4 ? (void *)(ip4 + 1) : (void *)(ip6 + 1);

	memcpy(l->frame + 12, &type, sizeof(type));
	l->frame_length = v4 ? 60 : 74;
	if (v4) {
		ip4->version_ihl = 0x45;
		ip4->total_length = htons((uint16_t)(l->frame_length - SLUICE_ETHERNET));
		ip4->ttl = 64;
		ip4->protocol = IPPROTO_TCP;
		ip4->checksum = 0x1234;
		memcpy(ip4->destination, &vip.address.bytes[12], 4);
	} else {
		ip6->version_class_flow = htonl(6U << 28);
		ip6->payload_length = htons(sizeof(*tcp));
		ip6->next_header = IPPROTO_TCP;
		ip6->hop_limit = 64;
		memcpy(ip6->source, (uint8_t[]){0x20, 1, 0xd, 0xb8}, 4);
		memcpy(ip6->destination, vip.address.bytes, 16);
	}
	tcp->destination = vip.port;
	tcp->offset = 5 << 4;
	tcp->flags = SLUICE_TCP_ACK;
	tcp->checksum = 0x4321;
}

// ---- made and freed

struct lab *lab_new(const struct lab_mode *mode, enum sluice_family family, uint64_t capacity)
{
	struct lab *l = map(sizeof(*l));
	bool snat = mode->forwarding == SLUICE_FORWARD_FULLNAT;

	l->memory = calloc(1, sizeof(*l->memory));
	if (!l->memory)
		lab_die("lab");
	l->mode = mode;
	l->family = family;
	make_snapshot(l);
	make_flows(l, snat ? 1 : capacity);
	if (snat)
		make_snat(l, capacity);
	l->pipeline.snapshot = &l->snapshot;
	l->pipeline.flows = &l->flows;
	l->pipeline.counters = &l->counters;
	l->pipeline.endpoint_counters = l->endpoint_counters;
	l->pipeline.now = NOW;
	lab_rows(l, LAB_ENDPOINTS);
	make_frame(l);
	return l;
}

void lab_free(struct lab *l)
{
	struct lab_memory *m = l->memory;

	for (unsigned i = 0; i < m->count; i++)
		munmap(m->pieces[i].start, m->pieces[i].size);
	free(m->frontends);
	free(m->returns);
	free(m->locals);
	free(m->snat);
	free(m);
	munmap(l, sizeof(*l));
}

void lab_start(struct rte_mbuf *buffers[LAB_BUFFERS])
{
	char *arguments[] = {"bench",
	                     "--no-huge",
	                     "-m",
	                     "64",
	                     "--no-shconf",
	                     "--no-pci",
	                     "--no-telemetry",
	                     "--log-level=error",
	                     "--file-prefix=sluice-bench"};
	struct rte_mempool *pool;

	if (rte_eal_init(RTE_DIM(arguments), arguments) < 0)
		lab_die("EAL");
	pool = rte_pktmbuf_pool_create("bench", 1023, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE,
	                               SOCKET_ID_ANY);
	if (!pool || rte_pktmbuf_alloc_bulk(pool, buffers, LAB_BUFFERS) != 0)
		lab_die("packet buffers");
	for (unsigned i = 0; i < LAB_BUFFERS; i++)
		rte_pktmbuf_append(buffers[i], LAB_FRAME_MAX);
}

void lab_order_make(struct lab_order *o, uint32_t count)
{
	uint64_t random = 88172645463325252ULL;

	*o = (struct lab_order){.flows = map(count * sizeof(*o->flows)), .count = count};
	for (uint32_t i = 0; i < count; i++)
		o->flows[i] = i;
	for (uint32_t i = count - 1; i > 0; i--) {
		random ^= random << 13;
		random ^= random >> 7;
		random ^= random << 17;
		uint32_t j = (uint32_t)(random % (i + 1)), other = o->flows[i];

		o->flows[i] = o->flows[j];
		o->flows[j] = other;
	}
}

void lab_order_free(struct lab_order *o)
{
	munmap(o->flows, o->count * sizeof(*o->flows));
}
