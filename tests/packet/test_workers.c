// SPDX-License-Identifier: BSD-3-Clause

// Two workers on two queues each of two ports share one flow table: any of them takes any packet,
// a flow stays where it is, and every packet is counted once. The ports are DPDK's ring devices:
// what the test puts into a queue's ring is received, and what is sent comes back on the same
// port, where it is nobody's and dropped.

#include <errno.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_ring.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "dataplane/eal.h"
#include "dataplane/fragments.h"
#include "dataplane/port.h"
#include "dataplane/worker.h"
#include "pieces.h"
#include "snat_world.h"
#include "world.h"

enum {
	WORKERS = 2,
	FLOWS = 1000,
	ROUNDS = 20, // packets of each flow
	ENDPOINTS = 4,
	FLOOD = 4000,
	WAIT_MS = 20000,
};

struct fixture {
	struct sluice_port ports[2];
	struct rte_mempool *pool;
	struct sluice_eal eal;
	struct world *world;
	struct sluice_dataplane *dataplane;
	struct rte_ring *in[WORKERS];
	uint16_t frontend;
};

static void open_port(struct fixture *f, unsigned i, const char *device)
{
	struct sluice_port_config config = {SLUICE_PORT_VDEV, device, WORKERS};

	assert_int_equal(sluice_port_open(&f->ports[i], i, &config, f->pool, WORKERS, true), 0);
}

static int setup(void **state)
{
	static struct fixture f;
	static const unsigned cores[WORKERS] = {0, 1};
	struct sluice_eal_memory memory = {.queues = 4, .workers = WORKERS, .frame = 1518};
	struct sluice_eal_config config = {
	        .worker_cores = cores,
	        .worker_core_count = WORKERS,
	        .hugepages = SLUICE_HUGEPAGES_OFF,
	        .memory = sluice_eal_memory_estimate(&memory),
	        .log_level = SLUICE_LOG_ERROR,
	};

	if (sluice_eal_start(&config, &f.eal) != 0)
		return -1;
	f.pool = sluice_port_pool_new(sluice_eal_buffers(4, WORKERS), memory.frame, false,
	                              SLUICE_NUMA_ANY);
	if (!f.pool)
		return -1;
	open_port(&f, 0, "net_ring0");
	open_port(&f, 1, "net_ring1");
	for (unsigned i = 0; i < WORKERS; i++) {
		char name[32];

		snprintf(name, sizeof(name), "ETH_RXTX%u_net_ring0", i);
		f.in[i] = rte_ring_lookup(name);
		if (!f.in[i])
			return -1;
	}
	*state = &f;
	return 0;
}

static void make_world(struct fixture *f)
{
	unsigned service;
	char address[32];

	f->world = world_new_empty();
	service = world_service(f->world, SLUICE_ON_EMPTY_DROP);
	f->frontend = world_frontend(f->world, service, "10.96.0.1", 80, TCP);
	for (unsigned i = 0; i < ENDPOINTS; i++) {
		snprintf(address, sizeof(address), "172.17.0.%u", i + 5);
		world_endpoint(f->world, service, address, 8080, TCP);
	}
	world_commit(f->world);
}

static struct rte_mbuf *packet_of(const struct fixture *f, unsigned flow, uint8_t flags)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(f->pool);
	struct frame frame;
	char source[32];
	struct frame_fields fields = {
	        .mac_to = HOST_0,
	        .mac_from = GATEWAY,
	        .source = source,
	        .source_port = (uint16_t)(1024 + flow),
	        .destination = "10.96.0.1",
	        .destination_port = 80,
	        .protocol = TCP,
	        .flags = flags,
	};

	assert_non_null(m);
	snprintf(source, sizeof(source), "198.51.100.%u", flow % 250 + 1);
	frame_build(&frame, &fields);
	memcpy(rte_pktmbuf_append(m, (uint16_t)frame.length), frame.bytes, frame.length);
	return m;
}

static uint64_t received(const struct fixture *f, unsigned port)
{
	uint64_t n = 0;

	for (unsigned w = 0; w < sluice_dataplane_worker_count(f->dataplane); w++)
		n += sluice_counter_read(
		        &sluice_dataplane_counters(f->dataplane, w)->ports[port].rx_packets);
	return n;
}

// Until both ports have received as many: what goes in at one comes back at the other.
static void wait_received(const struct fixture *f, uint64_t packets)
{
	const struct timespec pause = {.tv_nsec = 1000000};

	for (unsigned ms = 0; ms < WAIT_MS; ms++) {
		if (received(f, 0) == packets && received(f, 1) == packets)
			return;
		nanosleep(&pause, NULL);
	}
	fail_msg("%lu in and %lu back, of %lu", received(f, 0), received(f, 1), packets);
}

// One packet of each flow, each time by the other worker.
static void send_round(const struct fixture *f, unsigned round)
{
	for (unsigned flow = 0; flow < FLOWS; flow++)
		assert_int_equal(rte_ring_enqueue(f->in[(flow + round) % WORKERS],
		                                  packet_of(f, flow, round == 0 ? SYN : ACK)),
		                 0);
	wait_received(f, (uint64_t)FLOWS * (round + 1));
}

static uint64_t packets_in(const struct fixture *f, uint32_t slot)
{
	uint64_t n = 0;

	for (unsigned w = 0; w < WORKERS; w++)
		n += sluice_counter_read(
		        &sluice_dataplane_endpoint_counters(f->dataplane, w)[slot].in_packets);
	return n;
}

static void count_by_slot(void *context, uint64_t key, struct sluice_flow_value v)
{
	unsigned *flows = context;

	(void)key;
	flows[v.slot]++;
}

static void assert_conserved(const struct fixture *f)
{
	uint64_t in = 0, out = 0;

	for (unsigned w = 0; w < WORKERS; w++) {
		const struct sluice_worker_counters *c = sluice_dataplane_counters(f->dataplane, w);

		for (unsigned p = 0; p < 2; p++) {
			in += sluice_counter_read(&c->ports[p].rx_packets);
			out += sluice_counter_read(&c->ports[p].tx_packets);
			out += sluice_counter_read(&c->ports[p].passed);
		}
		in += sluice_counter_read(&c->split);
		for (unsigned d = 0; d < SLUICE_DROP_COUNT; d++)
			out += sluice_counter_read(&c->drops[d]);
		assert_true(sluice_counter_read(&c->packets) > 0); // nobody was idle
	}
	assert_int_equal(in, out);
}

static void two_workers_share_flows_and_lose_no_packet(void **state)
{
	struct fixture *f = *state;
	struct sluice_dataplane_config config = {
	        .ports = f->ports,
	        .port_count = 2,
	        .lcores = f->eal.worker_lcores,
	        .worker_count = f->eal.worker_count,
	};
	unsigned flows[WORLD_ENDPOINTS] = {0};
	struct sluice_snapshot other;
	const struct sluice_snapshot *now;
	struct timespec boot;

	make_world(f);
	config.flows = &f->world->flows;
	f->dataplane = sluice_dataplane_new(&config);
	assert_non_null(f->dataplane);
	assert_null(sluice_dataplane_publish(f->dataplane, &f->world->snapshot));
	assert_int_equal(sluice_dataplane_start(f->dataplane), 0);
	now = &f->world->snapshot;
	for (unsigned round = 0; round < ROUNDS; round++) {
		send_round(f, round);
		// A publication while the workers run gives back the snapshot before.
		other = f->world->snapshot;
		assert_ptr_equal(sluice_dataplane_publish(f->dataplane, &other), now);
		assert_ptr_equal(sluice_dataplane_publish(f->dataplane, &f->world->snapshot),
		                 &other);
	}
	clock_gettime(CLOCK_BOOTTIME, &boot);
	sluice_flow_table_walk(&f->world->flows, (uint32_t)boot.tv_sec, count_by_slot, flows);
	for (unsigned i = 0; i < WORLD_ENDPOINTS; i++)
		assert_int_equal(packets_in(f, i), (uint64_t)flows[i] * ROUNDS);
	assert_conserved(f);
	sluice_dataplane_free(f->dataplane);
	world_free(f->world);
}

// As if the ports were on two nodes of memory: each has a worker to itself.
static void queues_are_polled_by_the_near_worker(void **state)
{
	static const signed char nodes[WORKERS] = {0, 1};
	struct fixture *f = *state;
	struct sluice_dataplane_config config = {
	        .ports = f->ports,
	        .port_count = 2,
	        .lcores = f->eal.worker_lcores,
	        .nodes = nodes,
	        .worker_count = f->eal.worker_count,
	};

	make_world(f);
	config.flows = &f->world->flows;
	f->ports[0].nodes = 1 << 0;
	f->ports[1].nodes = 1 << 1;
	f->dataplane = sluice_dataplane_new(&config);
	assert_non_null(f->dataplane);
	sluice_dataplane_publish(f->dataplane, &f->world->snapshot);
	assert_int_equal(sluice_dataplane_start(f->dataplane), 0);
	send_round(f, 0);
	for (unsigned w = 0; w < WORKERS; w++)
		for (unsigned p = 0; p < 2; p++)
			assert_int_equal(
			        sluice_counter_read(&sluice_dataplane_counters(f->dataplane, w)
			                                     ->ports[p]
			                                     .rx_packets),
			        w == p ? FLOWS : 0);
	assert_conserved(f);
	f->ports[0].nodes = f->ports[1].nodes = 0;
	sluice_dataplane_free(f->dataplane);
	world_free(f->world);
}

// Packets that wait for a next hop.
struct flood {
	struct fixture *f;
	unsigned sent, waiting;
};

// Until the first worker has received so many packets, and is done with them.
static void wait_done(const struct fixture *f, uint64_t packets)
{
	const struct sluice_worker_counters *c = sluice_dataplane_counters(f->dataplane, 0);
	const struct timespec pause = {.tv_nsec = 20000};
	uint64_t polls;

	for (unsigned i = 0; i < WAIT_MS * 50 && sluice_counter_read(&c->packets) < packets; i++)
		nanosleep(&pause, NULL);
	assert_int_equal(sluice_counter_read(&c->packets), packets);
	polls = sluice_counter_read(&c->polls);
	for (unsigned i = 0; i < WAIT_MS * 50 && sluice_counter_read(&c->polls) < polls + 2; i++)
		nanosleep(&pause, NULL);
}

// A worker is as fast as the control thread: for each packet that goes there is a new one.
static int send_one_more(void *context, const void *packet, size_t length)
{
	struct flood *flood = context;

	(void)packet;
	assert_int_equal(length, 40);
	flood->waiting--;
	if (++flood->sent > FLOOD)
		return 0;
	assert_int_equal(rte_ring_enqueue(flood->f->in[0], packet_of(flood->f, 1, ACK)), 0);
	flood->waiting++;
	wait_done(flood->f, flood->sent + 1);
	return flood->sent % 4 == 0 ? -ENETUNREACH : 0;
}

static void an_unresolved_flood_does_not_hold_up_control(void **state)
{
	struct fixture *f = *state;
	struct flood flood = {.f = f, .waiting = 1};
	struct sluice_dataplane_config config = {
	        .ports = f->ports,
	        .port_count = 2,
	        .lcores = f->eal.worker_lcores,
	        .worker_count = f->eal.worker_count,
	};
	const struct sluice_worker_counters *counted;
	unsigned drained;

	make_world(f);
	for (unsigned i = 1; i <= ENDPOINTS; i++)
		f->world->endpoints[i].adjacency.state = SLUICE_ADJACENCY_UNRESOLVED;
	config.flows = &f->world->flows;
	f->dataplane = sluice_dataplane_new(&config);
	assert_non_null(f->dataplane);
	assert_null(sluice_dataplane_publish(f->dataplane, &f->world->snapshot));
	assert_int_equal(sluice_dataplane_start(f->dataplane), 0);
	assert_int_equal(rte_ring_enqueue(f->in[0], packet_of(f, 1, SYN)), 0);
	wait_done(f, 1);
	drained = sluice_dataplane_drain(f->dataplane, send_one_more, &flood);
	assert_int_equal(drained, flood.sent);
	assert_int_equal(flood.waiting, 1);
	assert_in_range(drained, 1, 1024);
	// What the kernel did not take is no passed packet.
	counted = sluice_dataplane_drained(f->dataplane);
	assert_int_equal(sluice_counter_read(&counted->ports[0].passed), drained - drained / 4);
	assert_int_equal(sluice_counter_read(&counted->drops[SLUICE_DROP_NO_NEIGHBOUR]),
	                 drained / 4);
	sluice_dataplane_free(f->dataplane);
	world_free(f->world);
}

static void start_workers(struct fixture *f, unsigned count)
{
	struct sluice_dataplane_config config = {
	        .ports = f->ports,
	        .port_count = 2,
	        .lcores = f->eal.worker_lcores,
	        .worker_count = count,
	        .flows = &f->world->flows,
	        .snat = f->world->pipeline.snat,
	};

	f->dataplane = sluice_dataplane_new(&config);
	assert_non_null(f->dataplane);
	assert_null(sluice_dataplane_publish(f->dataplane, &f->world->snapshot));
	assert_int_equal(sluice_dataplane_start(f->dataplane), 0);
}

static uint64_t connections(const struct fixture *f, unsigned workers)
{
	uint64_t n = 0;

	for (unsigned w = 0; w < workers; w++)
		for (unsigned slot = 0; slot < WORLD_ENDPOINTS; slot++)
			n += sluice_counter_read(
			        &sluice_dataplane_endpoint_counters(f->dataplane, w)[slot]
			                 .connections);
	return n;
}

// A restart with another number of workers, and a Maglev table that would send every flow
// elsewhere: the flow table keeps them all.
static void flows_outlive_a_change_of_the_worker_count(void **state)
{
	struct fixture *f = *state;

	make_world(f);
	start_workers(f, 2);
	send_round(f, 0);
	send_round(f, 1);
	assert_int_equal(connections(f, 2), FLOWS);
	sluice_dataplane_free(f->dataplane);

	f->world->turn++;
	world_commit(f->world);
	for (unsigned workers = 1; workers <= 2; workers++) {
		start_workers(f, workers);
		for (unsigned flow = 0; flow < FLOWS; flow++)
			assert_int_equal(
			        rte_ring_enqueue(f->in[flow % WORKERS], packet_of(f, flow, ACK)),
			        0);
		wait_received(f, FLOWS);
		assert_int_equal(connections(f, workers), 0);
		sluice_dataplane_free(f->dataplane);
	}
	world_free(f->world);
}

static uint64_t dropped(const struct fixture *f, enum sluice_drop reason)
{
	uint64_t n = 0;

	for (unsigned w = 0; w < WORKERS; w++)
		n += sluice_counter_read(
		        &sluice_dataplane_counters(f->dataplane, w)->drops[reason]);
	return n;
}

static uint64_t transmitted(const struct fixture *f)
{
	uint64_t n = 0;

	for (unsigned w = 0; w < WORKERS; w++)
		n += sluice_counter_read(
		        &sluice_dataplane_counters(f->dataplane, w)->ports[1].tx_packets);
	return n;
}

// Nobody reads the port out: when its ring is full, packets wait a moment and are dropped then,
// not kept for ever and not forgotten.
static void packets_for_a_stuck_port_are_dropped_in_time(void **state)
{
	struct fixture *f = *state;
	struct sluice_port ports[2] = {f->ports[0], f->ports[1]};
	struct sluice_dataplane_config config = {
	        .ports = ports,
	        .port_count = 2,
	        .lcores = f->eal.worker_lcores,
	        .worker_count = f->eal.worker_count,
	};
	const struct timespec pause = {.tv_nsec = 1000000};

	make_world(f);
	ports[1].rx_queues = 0;
	config.flows = &f->world->flows;
	f->dataplane = sluice_dataplane_new(&config);
	assert_non_null(f->dataplane);
	assert_null(sluice_dataplane_publish(f->dataplane, &f->world->snapshot));
	assert_int_equal(sluice_dataplane_start(f->dataplane), 0);
	for (unsigned i = 0; i < 2 * FLOWS; i++) {
		assert_int_equal(rte_ring_enqueue(f->in[0], packet_of(f, i % FLOWS, ACK)), 0);
		if (i % 500 == 499)
			wait_done(f, i + 1);
	}
	for (unsigned ms = 0; ms < WAIT_MS; ms++) {
		if (transmitted(f) + dropped(f, SLUICE_DROP_TX_FULL) == 2UL * FLOWS)
			break;
		nanosleep(&pause, NULL);
	}
	assert_int_equal(transmitted(f) + dropped(f, SLUICE_DROP_TX_FULL), 2UL * FLOWS);
	assert_in_range(transmitted(f), 1000, 1024); // the ring
	sluice_dataplane_free(f->dataplane);
	world_free(f->world);
}

static struct rte_mbuf *mbuf_of(const struct fixture *f, const struct frame *frame)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(f->pool);

	assert_non_null(m);
	memcpy(rte_pktmbuf_append(m, (uint16_t)frame->length), frame->bytes, frame->length);
	return m;
}

// The pieces of a client's datagram.
static unsigned pieces_of(unsigned client, struct frame *pieces)
{
	char source[32];
	struct frame_fields fields = {
	        .mac_to = HOST_0,
	        .mac_from = GATEWAY,
	        .source = source,
	        .source_port = 40000,
	        .destination = "10.96.0.1",
	        .destination_port = 80,
	        .protocol = TCP,
	        .flags = ACK,
	        .payload = 2000,
	};

	snprintf(source, sizeof(source), "198.51.100.%u", client + 1);
	return pieces_split(&fields, 7, pieces);
}

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

enum { FRAGMENT_CLIENTS = 16 };

// The later fragments go to the first worker, then the first ones to the second. Returns how many
// there are of a datagram; 0: it took so long that none may have been held for long enough.
static unsigned send_firsts_last(const struct fixture *f)
{
	struct frame pieces[FRAGMENT_CLIENTS][PIECES_MOST];
	int64_t begin = now_ms();
	unsigned n = 0;

	for (unsigned c = 0; c < FRAGMENT_CLIENTS; c++) {
		n = pieces_of(c, pieces[c]);
		for (unsigned i = n - 1; i > 0; i--)
			assert_int_equal(rte_ring_enqueue(f->in[0], mbuf_of(f, &pieces[c][i])), 0);
	}
	wait_done(f, FRAGMENT_CLIENTS * (n - 1));
	assert_int_equal(transmitted(f), 0);
	for (unsigned c = 0; c < FRAGMENT_CLIENTS; c++)
		assert_int_equal(rte_ring_enqueue(f->in[1], mbuf_of(f, &pieces[c][0])), 0);
	for (unsigned ms = 0; ms < WAIT_MS && connections(f, 2) < FRAGMENT_CLIENTS; ms++)
		nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
	return now_ms() - begin < SLUICE_HOLD_MS ? n : 0;
}

// snat: who owns the world, where it is fullnat's; else NULL.
static void free_world(struct fixture *f, struct snat_world *snat)
{
	if (snat)
		snat_world_free(snat);
	else
		world_free(f->world);
}

static void find_first_at_the_other_worker(struct fixture *f, bool fullnat)
{
	struct snat_world *snat = NULL;
	unsigned n = 0;

	for (unsigned try = 0; n == 0; try++) {
		assert_in_range(try, 0, 20);
		make_world(f);
		snat = fullnat ? snat_world_of(f->world, 20000, 29999) : NULL;
		start_workers(f, 2);
		n = send_firsts_last(f);
		if (n > 0)
			break;
		while (dropped(f, SLUICE_DROP_FRAGMENT) + transmitted(f) < received(f, 0) ||
		       received(f, 1) < transmitted(f)) // nothing is left for the next try
			nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
		sluice_dataplane_free(f->dataplane);
		free_world(f, snat);
	}
	wait_received(f, FRAGMENT_CLIENTS * n);
	assert_int_equal(transmitted(f), FRAGMENT_CLIENTS * n);
	assert_int_equal(dropped(f, SLUICE_DROP_FRAGMENT), 0);
	assert_int_equal(connections(f, 2), FRAGMENT_CLIENTS);
	// All pieces of a datagram are at one endpoint: none has a part of one.
	for (uint32_t slot = 0; slot < WORLD_ENDPOINTS; slot++)
		assert_int_equal(packets_in(f, slot) % n, 0);
	assert_conserved(f);
	sluice_dataplane_free(f->dataplane);
	free_world(f, snat);
}

static void fragments_find_their_first_at_the_other_worker(void **state)
{
	find_first_at_the_other_worker(*state, false);
}

static void fragments_of_fullnat_find_their_flow_at_the_other_worker(void **state)
{
	find_first_at_the_other_worker(*state, true);
}

static void fragments_without_a_first_are_dropped(void **state)
{
	enum { LATER = 2 * SLUICE_HOLD };
	struct fixture *f = *state;
	const struct timespec pause = {.tv_nsec = 1000000};
	struct frame pieces[PIECES_MOST];
	unsigned before;

	make_world(f);
	start_workers(f, 2);
	before = rte_mempool_avail_count(f->pool);
	for (unsigned i = 0; i < LATER; i++) {
		pieces_of(i % 200, pieces);
		assert_int_equal(rte_ring_enqueue(f->in[0], mbuf_of(f, &pieces[1])), 0);
	}
	wait_done(f, LATER);
	assert_int_equal(dropped(f, SLUICE_DROP_FRAGMENT), LATER - SLUICE_HOLD); // no room
	for (unsigned ms = 0; ms < WAIT_MS && dropped(f, SLUICE_DROP_FRAGMENT) < LATER; ms++)
		nanosleep(&pause, NULL);
	assert_int_equal(dropped(f, SLUICE_DROP_FRAGMENT), LATER);
	for (unsigned i = 0; i < 100; i++) {
		pieces_of(i, pieces);
		assert_int_equal(rte_ring_enqueue(f->in[0], mbuf_of(f, &pieces[1])), 0);
	}
	wait_done(f, LATER + 100);
	sluice_dataplane_free(f->dataplane); // while they wait
	assert_int_equal(rte_mempool_avail_count(f->pool), before);
	world_free(f->world);
}

enum { TOO_BIG = 500, TOO_BIG_PIECES = 3 };

// So many packets, of a flow each, that do not fit the way to the endpoints.
static void send_too_big(const struct fixture *f)
{
	struct frame_fields fields = {
	        .mac_to = HOST_0,
	        .mac_from = GATEWAY,
	        .source = "198.51.100.9",
	        .destination = "10.96.0.1",
	        .destination_port = 80,
	        .protocol = TCP,
	        .flags = ACK,
	        .payload = 1400,
	};
	struct frame frame;

	for (unsigned i = 0; i < TOO_BIG; i++) {
		fields.source_port = (uint16_t)(1024 + i);
		frame_build(&frame, &fields);
		assert_int_equal(rte_ring_enqueue(f->in[i % 2], mbuf_of(f, &frame)), 0);
	}
}

// What comes back is the pieces, and no buffer is lost.
static void packets_that_are_too_big_are_cut(void **state)
{
	enum { PIECES = TOO_BIG * TOO_BIG_PIECES };
	struct fixture *f = *state;
	const struct timespec pause = {.tv_nsec = 1000000};
	unsigned before;

	make_world(f);
	for (unsigned i = 1; i <= ENDPOINTS; i++)
		f->world->endpoints[i].adjacency.mtu = 600;
	start_workers(f, 2);
	before = rte_mempool_avail_count(f->pool);
	send_too_big(f);
	for (unsigned ms = 0; ms < WAIT_MS; ms++) {
		if (dropped(f, SLUICE_DROP_NOT_OURS) == PIECES) // back, and nobody's
			break;
		nanosleep(&pause, NULL);
	}
	assert_int_equal(received(f, 0), TOO_BIG);
	assert_int_equal(transmitted(f), PIECES);
	assert_int_equal(dropped(f, SLUICE_DROP_NOT_OURS), PIECES);
	assert_int_equal(connections(f, 2), TOO_BIG);
	assert_conserved(f);
	sluice_dataplane_free(f->dataplane);
	assert_int_equal(rte_mempool_avail_count(f->pool), before);
	world_free(f->world);
}

static int take(void *context, const void *packet, size_t length)
{
	(void)context;
	(void)packet;
	assert_in_range(length, 21, 600);
	return 0;
}

// The kernel gets each piece, as it gets packets, to find the next hop.
static void pieces_wait_for_a_next_hop(void **state)
{
	enum { PIECES = TOO_BIG * TOO_BIG_PIECES, ROOM = 1023 }; // for those that wait
	struct fixture *f = *state;
	const struct timespec pause = {.tv_nsec = 1000000};
	unsigned before;

	make_world(f);
	for (unsigned i = 1; i <= ENDPOINTS; i++) {
		f->world->endpoints[i].adjacency.mtu = 600;
		f->world->endpoints[i].adjacency.state = SLUICE_ADJACENCY_UNRESOLVED;
	}
	start_workers(f, 2);
	before = rte_mempool_avail_count(f->pool);
	send_too_big(f);
	for (unsigned ms = 0; ms < WAIT_MS; ms++) {
		if (dropped(f, SLUICE_DROP_NO_NEIGHBOUR) == PIECES - ROOM)
			break;
		nanosleep(&pause, NULL);
	}
	assert_int_equal(dropped(f, SLUICE_DROP_NO_NEIGHBOUR), PIECES - ROOM);
	assert_int_equal(sluice_dataplane_drain(f->dataplane, take, NULL), ROOM);
	sluice_dataplane_free(f->dataplane);
	assert_int_equal(rte_mempool_avail_count(f->pool), before);
	world_free(f->world);
}

static void more_workers_than_queues_are_refused(void **state)
{
	struct fixture *f = *state;
	unsigned lcores[3] = {1, 2, 3};
	struct sluice_dataplane_config config = {
	        .ports = f->ports,
	        .port_count = 2,
	        .lcores = lcores,
	        .worker_count = 3,
	};

	assert_null(sluice_dataplane_new(&config));
	assert_int_equal(errno, EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(two_workers_share_flows_and_lose_no_packet),
	        cmocka_unit_test(queues_are_polled_by_the_near_worker),
	        cmocka_unit_test(an_unresolved_flood_does_not_hold_up_control),
	        cmocka_unit_test(flows_outlive_a_change_of_the_worker_count),
	        cmocka_unit_test(fragments_find_their_first_at_the_other_worker),
	        cmocka_unit_test(fragments_of_fullnat_find_their_flow_at_the_other_worker),
	        cmocka_unit_test(fragments_without_a_first_are_dropped),
	        cmocka_unit_test(packets_that_are_too_big_are_cut),
	        cmocka_unit_test(pieces_wait_for_a_next_hop),
	        // Leaves packets in a ring: the last that starts workers.
	        cmocka_unit_test(packets_for_a_stuck_port_are_dropped_in_time),
	        cmocka_unit_test(more_workers_than_queues_are_refused),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
