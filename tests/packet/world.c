// SPDX-License-Identifier: BSD-3-Clause
#include "world.h"

#include <arpa/inet.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_fib.h>
#include <rte_fib6.h>
#include <rte_memory.h>
#include <sanitizer/asan_interface.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "dataplane/checksum.h"
#include "dataplane/fragments.h"
#include "dataplane/target_table.h"

enum {
	LANE = 8192, // readable bytes of a packet's place, in front of the unreadable page
	CANARY = 0xa5,
	WATCHED = 4 * SLUICE_HEADROOM, // bytes in front of a packet
	FLOWS = 1 << 16,
};

// Adjacencies that routes name.
enum {
	ADJACENCY_NONE,
	ADJACENCY_CLIENTS,
	ADJACENCY_UNRESOLVED,
	ADJACENCY_NARROW,
	ADJACENCY_COUNT,
};

static const struct sluice_adjacency adjacencies[ADJACENCY_COUNT] = {
        [ADJACENCY_CLIENTS] = {.destination = {2, 0, 0, 0, 0, GATEWAY},
                               .source = {2, 0, 0, 0, 0, HOST_0},
                               .mtu = WORLD_MTU,
                               .port = 0,
                               .state = SLUICE_ADJACENCY_READY},
        [ADJACENCY_UNRESOLVED] = {.mtu = WORLD_MTU, .state = SLUICE_ADJACENCY_UNRESOLVED},
        [ADJACENCY_NARROW] = {.destination = {2, 0, 0, 0, 0, GATEWAY},
                              .source = {2, 0, 0, 0, 0, HOST_0},
                              .mtu = 100,
                              .port = 0,
                              .state = SLUICE_ADJACENCY_READY},
};

void world_check(bool holds, const char *condition, const char *file, int line)
{
	if (holds)
		return;
	fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, condition);
	abort();
}

void world_eal(void)
{
	static char *arguments[] = {"test",
	                            "--no-huge",
	                            "-m",
	                            "64",
	                            "--no-shconf",
	                            "--no-telemetry",
	                            "--no-pci",
	                            "--log-level=error",
	                            "--file-prefix=sluice-packet",
	                            "-l",
	                            "0",
	                            NULL};
	static bool started;

	if (!started)
		CHECK(rte_eal_init(11, arguments) >= 0);
	started = true;
}

static struct sluice_target target(const char *text, uint16_t port, uint8_t protocol)
{
	struct sluice_target t = {.port = htons(port), .protocol = protocol};
	uint8_t bytes[16];

	if (strchr(text, ':')) {
		CHECK(inet_pton(AF_INET6, text, bytes) == 1);
		memcpy(t.address.bytes, bytes, 16);
		t.family = SLUICE_IPV6;
	} else {
		CHECK(inet_pton(AF_INET, text, bytes) == 1);
		t.address.bytes[10] = t.address.bytes[11] = 0xff;
		memcpy(&t.address.bytes[12], bytes, 4);
		t.family = SLUICE_IPV4;
	}
	return t;
}

// Ones' complement sum of an address, as the snapshot keeps it: in wire order.
static uint16_t address_sum(const struct sluice_target *t)
{
	bool v4 = t->family == SLUICE_IPV4;

	return htons(frame_sum(t->address.bytes + (v4 ? 12 : 0), v4 ? 4 : 16, 0));
}

unsigned world_service(struct world *w, enum sluice_on_empty on_empty)
{
	unsigned i = w->snapshot.service_count++;

	CHECK(i < WORLD_SERVICES);
	w->services[i] = (struct sluice_service){
	        .slots = w->slots[i],
	        .salt = 0x9e3779b97f4a7c15 * (i + 1),
	        .table_size = WORLD_ROWS,
	        .on_empty = (uint8_t)on_empty,
	};
	return i;
}

uint16_t world_frontend(struct world *w, unsigned service, const char *address, uint16_t port,
                        uint8_t protocol)
{
	uint16_t id = (uint16_t)w->snapshot.frontend_count++;
	struct sluice_frontend *f = &w->frontends[id];

	CHECK(id < WORLD_FRONTENDS);
	f->target = target(address, port, protocol);
	f->service = (uint16_t)service;
	f->address_sum = address_sum(&f->target);
	f->transport_sum = sluice_sum_add(f->address_sum, f->target.port);
	return id;
}

uint32_t world_endpoint(struct world *w, unsigned service, const char *address, uint16_t port,
                        uint8_t protocol)
{
	uint32_t slot = w->snapshot.endpoint_count++;
	struct sluice_endpoint *e = &w->endpoints[slot];

	CHECK(slot < WORLD_ENDPOINTS);
	e->target = target(address, port, protocol);
	e->generation = (uint16_t)(100 + slot);
	e->service = (uint16_t)service;
	e->address_sum = address_sum(&e->target);
	e->transport_sum = sluice_sum_add(e->address_sum, e->target.port);
	e->adjacency = (struct sluice_adjacency){.destination = {2, 0, 0, 0, 0, BACKEND},
	                                         .source = {2, 0, 0, 0, 0, HOST_1},
	                                         .mtu = WORLD_MTU,
	                                         .port = 1,
	                                         .state = SLUICE_ADJACENCY_READY};
	return slot;
}

void world_endpoint_remove(struct world *w, uint32_t slot)
{
	w->endpoints[slot].generation = 0; // as an unused slot's: no flow has that
}

// Rows round robin over the service's endpoints that take new flows.
static void fill_rows(struct world *w, unsigned service)
{
	unsigned n = 0;

	for (uint32_t slot = 0; slot < w->snapshot.endpoint_count; slot++) {
		const struct sluice_endpoint *e = &w->endpoints[slot];

		if (e->service == service && e->generation != 0 && e->flags == 0)
			w->slots[service][n++] = slot;
	}
	for (unsigned row = 0; row < WORLD_ROWS && n > 0; row++)
		w->rows[service][row] = (uint16_t)((row + w->turn) % n);
	w->services[service].rows = n > 0 ? w->rows[service] : NULL;
}

// What a packet from an endpoint of this target may answer for.
static uint32_t add_candidates(struct world *w, uint32_t at, const struct sluice_target *from)
{
	for (uint32_t slot = 0; slot < w->snapshot.endpoint_count; slot++) {
		const struct sluice_endpoint *e = &w->endpoints[slot];

		if (e->generation == 0 || memcmp(&e->target, from, sizeof(*from)) != 0)
			continue;
		for (uint32_t f = 1; f < w->snapshot.frontend_count; f++) {
			if (w->frontends[f].service != e->service ||
			    w->frontends[f].forwarding == SLUICE_FORWARD_FULLNAT)
				continue;
			CHECK(at < 2 * WORLD_ENDPOINTS);
			w->candidates[at++] = (struct sluice_return_candidate){
			        .slot = slot, .frontend = (uint16_t)f};
		}
	}
	return at;
}

static struct sluice_target_table *make_returns(struct world *w)
{
	struct sluice_target_table *t = sluice_target_table_new((size_t)2 * WORLD_ENDPOINTS);
	uint32_t at = 0;

	CHECK(t != NULL);
	for (uint32_t slot = 0; slot < w->snapshot.endpoint_count; slot++) {
		const struct sluice_endpoint *e = &w->endpoints[slot];
		struct sluice_target address = e->target;
		uint32_t end, sends;

		if (e->generation == 0)
			continue;
		// An earlier slot of the same target is overwritten by an equal list.
		end = add_candidates(w, at, &e->target);
		w->returns[slot] = (struct sluice_return){.first = at, .count = end - at};
		sluice_target_table_set(t, &e->target, slot);
		address.port = 0;
		address.protocol = 0;
		sends = sluice_target_table_get(t, sluice_target_view(&address), address.family);
		if (sends == SLUICE_TARGET_NONE)
			sends = 0;
		sends |= end > at ? SLUICE_SENDS_TO_CLIENTS : SLUICE_SENDS_TO_SNAT;
		sluice_target_table_set(t, &address, sends);
		at = end;
	}
	return t;
}

static bool is_local(const struct world *w, const struct sluice_target *address)
{
	return sluice_target_table_get(w->snapshot.local_table, sluice_target_view(address),
	                               address->family) != SLUICE_TARGET_NONE;
}

static struct sluice_target_table *make_frontends(const struct world *w)
{
	struct sluice_target_table *t = sluice_target_table_new((size_t)2 * WORLD_FRONTENDS);

	CHECK(t != NULL);
	for (uint32_t f = 1; f < w->snapshot.frontend_count; f++) {
		struct sluice_target whole = w->frontends[f].target, address = whole;

		address.port = 0;
		address.protocol = 0;
		sluice_target_table_set(t, &whole, f);
		sluice_target_table_set(t, &address,
		                        is_local(w, &address) ? SLUICE_ADDRESS_NODE
		                                              : SLUICE_ADDRESS_VIRTUAL);
	}
	return t;
}

static struct sluice_target_table *make_local(void)
{
	static const char *const addresses[] = {"192.0.2.10", "172.17.0.1", "2001:db8:2::10",
	                                        "fd00::1"};
	struct sluice_target_table *t = sluice_target_table_new(8);

	CHECK(t != NULL);
	for (unsigned i = 0; i < 4; i++) {
		struct sluice_target local = target(addresses[i], 0, 0);

		sluice_target_table_set(t, &local, 0);
	}
	return t;
}

void world_commit(struct world *w)
{
	struct sluice_snapshot *s = &w->snapshot;

	free((void *)s->frontend_table);
	free((void *)s->return_table);
	for (unsigned i = 0; i < s->service_count; i++)
		fill_rows(w, i);
	s->frontend_table = make_frontends(w);
	s->return_table = make_returns(w);
	s->generation++;
}

static void add_routes(struct sluice_snapshot *s)
{
	struct rte_fib_conf v4 = {.type = RTE_FIB_DUMMY, .max_routes = 256};
	struct rte_fib6_conf v6 = {.type = RTE_FIB6_DUMMY, .max_routes = 256};
	static unsigned number;
	char name[32];
	uint8_t prefix[16] = {0x20, 0x01, 0x0d, 0xb8};

	// Names of their own: the mempools behind both families are named alike.
	snprintf(name, sizeof(name), "v4-%u", number);
	s->routes_v4 = rte_fib_create(name, SOCKET_ID_ANY, &v4);
	snprintf(name, sizeof(name), "v6-%u", number++);
	s->routes_v6 = rte_fib6_create(name, SOCKET_ID_ANY, &v6);
	CHECK(s->routes_v4 != NULL && s->routes_v6 != NULL);
	for (unsigned i = ADJACENCY_CLIENTS; i < ADJACENCY_COUNT; i++) {
		// 198.51.100+i-1.0/24 and 2001:db8:100+i-1::/48
		uint32_t net = (198U << 24) | (51U << 16) | ((100U + i - 1) << 8);

		prefix[4] = 0x01;
		prefix[5] = (uint8_t)(i - 1);
		CHECK(rte_fib_add(s->routes_v4, net, 24, i) == 0);
		CHECK(rte_fib6_add(s->routes_v6, prefix, 48, i) == 0);
	}
	s->adjacencies = adjacencies;
	s->adjacency_count = ADJACENCY_COUNT;
}

static void make_flows(struct world *w)
{
	size_t size = sluice_flow_table_size(FLOWS);

	w->flow_memory =
	        mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(w->flow_memory != MAP_FAILED);
	CHECK(sluice_flow_table_format(w->flow_memory, FLOWS, 1) == 0);
	CHECK(sluice_flow_table_attach(&w->flows, w->flow_memory, size, 1) == 0);
	sluice_flow_table_set_timeouts(&w->flows, &(struct sluice_flow_timeouts){{
	                                                  [SLUICE_FLOW_PROBATION] = 60,
	                                                  [SLUICE_FLOW_ESTABLISHED] = 7200,
	                                                  [SLUICE_FLOW_CLOSING] = 30,
	                                                  [SLUICE_FLOW_UDP] = 180,
	                                          }});
}

struct world *world_new_empty(void)
{
	struct world *w = aligned_alloc(64, (sizeof(*w) + 63) / 64 * 64);

	CHECK(w != NULL);
	memset(w, 0, sizeof(*w));
	w->snapshot.frontend_count = 1; // 0 is none
	w->snapshot.endpoint_count = 1; // so that slot 0 stands for nothing by mistake
	w->snapshot.row_key = (struct sluice_hash_key){
	        {0x0123456789abcdef, 0xfedcba9876543211, 0x0f1e2d3c4b5a6979, 0x8796a5b4c3d2e1f1}};
	w->snapshot.services = w->services;
	w->snapshot.frontends = w->frontends;
	w->snapshot.endpoints = w->endpoints;
	w->snapshot.returns = w->returns;
	w->snapshot.return_candidates = w->candidates;
	w->snapshot.local_table = make_local();
	add_routes(&w->snapshot);
	make_flows(w);
	CHECK(sluice_fragments_open(&w->fragments) == 0);
	w->pipeline = (struct sluice_pipeline){
	        .snapshot = &w->snapshot,
	        .flows = &w->flows,
	        .fragments = &w->fragments,
	        .counters = &w->counters,
	        .endpoint_counters = w->endpoint_counters,
	        .now = 1000,
	};
	return w;
}

void world_free(struct world *w)
{
	rte_fib_free(w->snapshot.routes_v4);
	rte_fib6_free(w->snapshot.routes_v6);
	free((void *)w->snapshot.frontend_table);
	free((void *)w->snapshot.return_table);
	free((void *)w->snapshot.local_table);
	sluice_fragments_close(&w->fragments);
	munmap(w->flow_memory, sluice_flow_table_size(FLOWS));
	free(w);
}

// ---- the standard services

const struct world_entry world_entries[] = {
        {false, "10.96.0.1", 80, TCP, "172.17.0.5", 8080},
        {false, "10.96.0.1", 53, UDP, "172.17.0.5", 5353},
        {false, "2001:db8:96::1", 80, TCP, "fd00::5", 8080},
        {false, "2001:db8:96::1", 53, UDP, "fd00::5", 5353},
        // A node port: the same service under one of the host's own addresses.
        {false, "10.96.0.2", 80, TCP, "172.17.0.6", 8080},
        {true, "192.0.2.10", 30080, TCP, NULL},
        {false, "2001:db8:96::2", 80, TCP, "fd00::6", 8080},
        {true, "2001:db8:2::10", 30080, TCP, NULL},
        // Pairs of services that share an endpoint.
        {false, "10.96.0.3", 80, TCP, "172.17.0.7", 8080},
        {false, "10.96.0.4", 81, TCP, "172.17.0.7", 8080},
        {false, "2001:db8:96::3", 53, UDP, "fd00::7", 5353},
        {false, "2001:db8:96::4", 53, UDP, "fd00::7", 5353},
        // Services without endpoints.
        {false, "10.96.0.5", 80, TCP, NULL},
        {false, "10.96.0.5", 53, UDP, NULL},
        {false, "2001:db8:96::5", 80, TCP, NULL},
        {false, "2001:db8:96::5", 53, UDP, NULL},
        {false, "10.96.0.6", 80, TCP, NULL, .on_empty = SLUICE_ON_EMPTY_DROP},
        {false, "10.96.0.7", 80, TCP, NULL, .on_empty = SLUICE_ON_EMPTY_KEEP_LAST},
        // Endpoints that are hard to reach.
        {false, "10.96.0.8", 80, TCP, "172.17.0.8", 8080, UNRESOLVED},
        {false, "2001:db8:96::8", 80, TCP, "fd00::8", 8080, UNRESOLVED},
        {false, "10.96.0.9", 80, TCP, "172.17.0.9", 8080, NO_ROUTE},
        {false, "10.96.0.10", 53, UDP, "172.17.0.10", 5353, NARROW},
        {false, "2001:db8:96::a", 53, UDP, "fd00::a", 5353, NARROW},
};

const size_t world_entry_count = sizeof(world_entries) / sizeof(world_entries[0]);

static void add_endpoint(struct world *w, unsigned service, const struct world_entry *e)
{
	uint32_t slot = world_endpoint(w, service, e->endpoint, e->endpoint_port, e->protocol);
	struct sluice_adjacency *a = &w->endpoints[slot].adjacency;

	if (e->hop == UNRESOLVED)
		*a = adjacencies[ADJACENCY_UNRESOLVED];
	else if (e->hop == NO_ROUTE)
		*a = adjacencies[ADJACENCY_NONE];
	else if (e->hop == NARROW)
		a->mtu = 100;
}

struct world *world_new(void)
{
	struct world *w = world_new_empty();
	unsigned service = 0;

	for (unsigned i = 0; i < world_entry_count; i++) {
		const struct world_entry *e = &world_entries[i];

		if (!e->same_service)
			service = world_service(w, e->on_empty);
		world_frontend(w, service, e->address, e->port, e->protocol);
		if (e->endpoint)
			add_endpoint(w, service, e);
	}
	world_commit(w);
	return w;
}

// ---- running frames

// The end of the i-th packet's place: the next byte can't be read.
static uint8_t *lane_end(unsigned i)
{
	static uint8_t *lanes;
	size_t page = (size_t)sysconf(_SC_PAGESIZE), size = LANE + page;

	if (!lanes) {
		lanes = mmap(NULL, SLUICE_BURST * size, PROT_READ | PROT_WRITE,
		             MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		CHECK(lanes != MAP_FAILED);
		for (unsigned k = 0; k < SLUICE_BURST; k++)
			CHECK(mprotect(lanes + k * size + LANE, page, PROT_NONE) == 0);
	}
	return lanes + i * size + LANE;
}

// Where the packet begins: at an even address, as packets do; a byte that is left over in front
// of the unreadable page is poisoned for the address sanitizer.
static uint8_t *lane_data(uint32_t head, unsigned i)
{
	return lane_end(i) - head - head % 2;
}

static void describe(struct sluice_packet *p, const struct frame *f, uint32_t head, unsigned i)
{
	uint8_t *data = lane_data(head, i);

	ASAN_UNPOISON_MEMORY_REGION(lane_end(i) - 8, 8);
	// As much in front of the headroom as a stray write may reach is enough to watch.
	memset(data - WATCHED, CANARY, WATCHED);
	memcpy(data, f->bytes, head);
	if (head % 2) {
		data[head] = CANARY;
		ASAN_POISON_MEMORY_REGION(data + head, 1);
	}
	*p = (struct sluice_packet){
	        .data = data,
	        .length = f->length,
	        .head = (uint16_t)head,
	        .port_in = (uint8_t)(i % 2),
	};
}

static void check_memory(const struct sluice_packet *p, uint32_t head, unsigned i)
{
	const uint8_t *data = lane_data(head, i);
	const uint8_t *first = p->moved ? data - SLUICE_HEADROOM : data;

	ASAN_UNPOISON_MEMORY_REGION(lane_end(i) - 8, 8);
	CHECK(head % 2 == 0 || data[head] == CANARY);

	for (const uint8_t *at = data - WATCHED; at < first; at++)
		CHECK(*at == CANARY);
	CHECK(p->data >= first);
	CHECK(p->moved || p->data == data);
	CHECK(!p->moved || p->data + p->head <= data + head);
}

static void conclude(const struct sluice_packet *p, const struct frame *f, uint32_t head,
                     unsigned i, struct outcome *o)
{
	check_memory(p, head, i);
	o->packet = *p;
	o->frame.length = p->length;
	memset(o->frame.bytes, 0, sizeof(o->frame.bytes));
	CHECK(p->moved || (p->length == f->length && p->head == head));
	memcpy(o->frame.bytes, p->data, p->head);
	// What stands in later segments nobody touches.
	memcpy(o->frame.bytes + p->head, f->bytes + head, p->length - p->head);
	if (p->verdict == SLUICE_VERDICT_RESOLVE) { // the kernel gets no tag
		memmove(o->frame.bytes + 14, o->frame.bytes + p->l3, p->length - p->l3);
		o->frame.length -= p->l3 - 14U;
	}
	o->changed = p->moved || memcmp(o->frame.bytes, f->bytes, f->length) != 0;
	CHECK((p->verdict != SLUICE_VERDICT_PASS && p->verdict != SLUICE_VERDICT_HOLD &&
	       p->verdict != SLUICE_VERDICT_SPLIT) ||
	      !o->changed);
}

void world_run(struct world *w, const struct frame *const *frames, const uint32_t *heads,
               struct outcome *outcomes, unsigned count)
{
	struct sluice_packet packets[SLUICE_BURST];
	uint64_t drops[SLUICE_DROP_COUNT];

	CHECK(count <= SLUICE_BURST);
	for (unsigned i = 0; i < SLUICE_DROP_COUNT; i++)
		drops[i] = sluice_counter_read(&w->counters.drops[i]);
	for (unsigned i = 0; i < count; i++)
		describe(&packets[i], frames[i], heads ? heads[i] : frames[i]->length, i);
	sluice_pipeline_run(&w->pipeline, packets, count);
	for (unsigned i = 0; i < count; i++) {
		const struct sluice_packet *p = &packets[i];

		CHECK(p->verdict > SLUICE_VERDICT_NONE && p->verdict <= SLUICE_VERDICT_SPLIT);
		if (p->verdict == SLUICE_VERDICT_DROP) {
			CHECK(p->reason < SLUICE_DROP_COUNT);
			drops[p->reason]++;
		}
		conclude(p, frames[i], heads ? heads[i] : frames[i]->length, i, &outcomes[i]);
	}
	for (unsigned i = 0; i < SLUICE_DROP_COUNT; i++)
		CHECK(drops[i] == sluice_counter_read(&w->counters.drops[i]));
}

void world_run_one(struct world *w, const struct frame *f, struct outcome *o)
{
	world_run(w, &f, NULL, o, 1);
}
