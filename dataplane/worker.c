// SPDX-License-Identifier: BSD-3-Clause

// A worker's round: burst in from each of its queues, pipeline, burst out to each port. Between
// rounds it reports a quiescent state, which is what lets control free old snapshots.
//
// The workers share the snapshot (read), the flow table and the map of fragments (lock-free), and
// the ring of packets that wait for a next hop; all else is their own. Each has one transmit queue
// on every port.

#include "dataplane/worker.h"

#include <errno.h>
#include <rte_cycles.h>
#include <rte_ethdev.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_malloc.h>
#include <rte_mbuf.h>
#include <rte_prefetch.h>
#include <rte_rcu_qsbr.h>
#include <rte_ring.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>

#include "dataplane/fragments.h"
#include "dataplane/numa.h"
#include "dataplane/pipeline.h"
#include "dataplane/split.h"

enum {
	TX_BUFFER = 256,       // packets a worker holds for a port that takes no more
	RESOLVE_RING = 1024,   // packets that wait for the control thread
	IDLE_SPIN_US = 50,     // without packets before a worker sleeps
	IDLE_SLEEP_SHARE = 32, // a sleep's part of the time without packets before it
	IDLE_SLEEP_MIN_US = 10,
	IDLE_SLEEP_MAX_US = 500, // a port's ring has to take what comes meanwhile
	CLOCK_US = 10000,        // how old a worker's idea of the time may be
	FACE_BUDGET = 500,       // packets a worker hands to a port's kernel face in CLOCK_US
	TX_PATIENCE_US = 100000, // how long packets wait for a port that takes none
	HOLD_TRY_US = 10,        // between looks at what is held: a flood of it must not cost more
};

struct queue {
	uint16_t dpdk_port;
	uint16_t queue;
	uint8_t port; // index
};

// A port's kernel face, as a worker has it: a queue of the TAP.
struct face {
	bool present;
	uint16_t dpdk_port;
	uint16_t budget; // packets that may still go to the kernel in this tick of the clock
};

struct tx_buffer {
	uint16_t count;
	uint64_t stuck_since; // TSC of the first flush of these that sent none; 0: not stuck
	struct rte_mbuf *packets[TX_BUFFER];
};

struct worker {
	alignas(64) struct sluice_pipeline pipeline;
	struct sluice_dataplane *dataplane;
	unsigned id, lcore;
	int node; // of memory
	unsigned queue_count;
	struct queue *queues;
	struct tx_buffer tx[SLUICE_PORTS_MAX];
	struct sluice_hold hold; // fragments that wait for their first
	uint64_t hold_tried;     // TSC
	struct face faces[SLUICE_PORTS_MAX];
	struct sluice_worker_counters counters;
};

struct sluice_dataplane {
	alignas(64) _Atomic(const struct sluice_snapshot *) snapshot; // control: wo, workers: ro
	struct rte_rcu_qsbr *rcu;
	struct rte_ring *resolve;
	const struct sluice_port *ports;
	unsigned port_count;
	bool idle_poll;
	atomic_bool stop;
	unsigned worker_count;
	struct worker *workers[SLUICE_WORKERS_MAX]; // each on its own node
	struct sluice_worker_counters drained;      // writer: control
	struct sluice_flow_table fragments;         // shared by the workers
};

// ---- out

static void flush_port(struct worker *w, unsigned port)
{
	struct tx_buffer *tx = &w->tx[port];
	struct sluice_port_counters *count = &w->counters.ports[port];
	uint64_t bytes = 0;
	uint16_t sizes[TX_BUFFER];
	uint16_t sent;

	for (unsigned i = 0; i < tx->count; i++)
		sizes[i] = (uint16_t)tx->packets[i]->pkt_len;
	sent = rte_eth_tx_burst(w->dataplane->ports[port].id, (uint16_t)w->id, tx->packets,
	                        tx->count);
	if (sent == 0)
		return;
	for (unsigned i = 0; i < sent; i++)
		bytes += sizes[i];
	sluice_count(&count->tx_packets, sent);
	sluice_count(&count->tx_bytes, bytes);
	tx->count -= sent;
	memmove(tx->packets, tx->packets + sent, tx->count * sizeof(struct rte_mbuf *));
}

// A port that takes nothing for long has lost its link or its reader: the packets are old news.
static void give_up_stuck(struct worker *w, struct tx_buffer *tx)
{
	uint64_t now = rte_rdtsc();

	if (tx->stuck_since == 0) {
		tx->stuck_since = now;
	} else if (now - tx->stuck_since > TX_PATIENCE_US * (rte_get_tsc_hz() / 1000000)) {
		sluice_count(&w->counters.drops[SLUICE_DROP_TX_FULL], tx->count);
		rte_pktmbuf_free_bulk(tx->packets, tx->count);
		tx->count = 0;
		tx->stuck_since = 0;
	}
}

static void flush(struct worker *w)
{
	for (unsigned i = 0; i < w->dataplane->port_count; i++) {
		struct tx_buffer *tx = &w->tx[i];
		unsigned before = tx->count;

		if (before == 0)
			continue;
		flush_port(w, i);
		if (tx->count == before)
			give_up_stuck(w, tx);
		else
			tx->stuck_since = 0;
	}
}

SLUICE_INLINE void transmit(struct worker *w, struct sluice_packet *p)
{
	struct tx_buffer *tx = &w->tx[p->port_out];
	struct rte_mbuf *m = p->buffer;

	if (p->moved) {
		m->data_off = (uint16_t)(p->data - (uint8_t *)m->buf_addr);
		m->data_len = p->head; // all of it, where there is one segment
		m->pkt_len = p->length;
	}
	if (tx->count == TX_BUFFER)
		flush_port(w, p->port_out);
	if (tx->count == TX_BUFFER) {
		sluice_count(&w->counters.drops[SLUICE_DROP_TX_FULL], 1);
		rte_pktmbuf_free(m);
		return;
	}
	tx->packets[tx->count++] = m;
}

// The kernel resolves the next hop and sends: the control thread gives it the packet, and counts
// it then. From here on the mbuf's port is the index of the port it came in by.
static void resolve(struct worker *w, struct sluice_packet *p)
{
	struct rte_mbuf *m = p->buffer;

	m->data_off = (uint16_t)(p->data + p->l3 - (uint8_t *)m->buf_addr);
	m->data_len = (uint16_t)(sluice_packet_end(p) - p->l3);
	m->pkt_len = m->data_len;
	m->port = p->port_in;
	if (m->nb_segs == 1 && rte_ring_mp_enqueue(w->dataplane->resolve, m) == 0)
		return;
	sluice_count(&w->counters.drops[SLUICE_DROP_NO_NEIGHBOUR], 1);
	rte_pktmbuf_free(m);
}

static void drop_fragment(struct worker *w, void *buffer)
{
	sluice_count(&w->counters.drops[SLUICE_DROP_FRAGMENT], 1);
	rte_pktmbuf_free(buffer);
}

static void hold(struct worker *w, struct sluice_packet *p)
{
	if (!sluice_hold_put(&w->hold, &w->dataplane->fragments, p, rte_rdtsc()))
		drop_fragment(w, p->buffer);
}

// To the kernel, as it came; no more in a time than leaves the services' traffic its share.
static void pass(struct worker *w, struct sluice_packet *p)
{
	struct face *face = &w->faces[p->port_in];
	struct rte_mbuf *m = p->buffer;

	if (!face->present) {
		sluice_count(&w->counters.drops[SLUICE_DROP_NOT_OURS], 1);
	} else if (face->budget > 0 &&
	           rte_eth_tx_burst(face->dpdk_port, (uint16_t)w->id, &m, 1) == 1) {
		face->budget--;
		sluice_count(&w->counters.ports[p->port_in].passed, 1);
		return;
	} else {
		sluice_count(&w->counters.drops[SLUICE_DROP_KERNEL_FULL], 1);
	}
	rte_pktmbuf_free(m);
}

// Not in line, as its pieces need a page of the stack.
static __attribute__((noinline)) void split(struct worker *w, struct sluice_packet *p)
{
	struct sluice_packet pieces[SLUICE_BURST];
	unsigned n = sluice_split(&w->pipeline, p, pieces);

	for (unsigned i = 0; i < n; i++) {
		if (pieces[i].verdict == SLUICE_VERDICT_TRANSMIT)
			transmit(w, &pieces[i]);
		else if (pieces[i].verdict == SLUICE_VERDICT_RESOLVE)
			resolve(w, &pieces[i]);
		else // dropped, and counted
			rte_pktmbuf_free(pieces[i].buffer);
	}
}

static void dispose(struct worker *w, struct sluice_packet *p)
{
	switch (p->verdict) {
	case SLUICE_VERDICT_TRANSMIT:
		transmit(w, p);
		break;
	case SLUICE_VERDICT_RESOLVE:
		resolve(w, p);
		break;
	case SLUICE_VERDICT_HOLD:
		hold(w, p);
		break;
	case SLUICE_VERDICT_PASS:
		pass(w, p);
		break;
	case SLUICE_VERDICT_SPLIT:
		split(w, p);
		break;
	default: // dropped, and counted by the pipeline
		rte_pktmbuf_free(p->buffer);
		break;
	}
}

// ---- in

static void describe(struct sluice_packet *p, struct rte_mbuf *m, uint8_t port)
{
	*p = (struct sluice_packet){
	        .data = rte_pktmbuf_mtod(m, uint8_t *),
	        .buffer = m,
	        .length = m->pkt_len,
	        .head = m->data_len,
	        .port_in = port,
	};
}

static unsigned poll_queue(struct worker *w, const struct queue *q)
{
	struct rte_mbuf *mbufs[SLUICE_BURST];
	struct sluice_packet packets[SLUICE_BURST];
	struct sluice_port_counters *count = &w->counters.ports[q->port];
	uint64_t bytes = 0;
	unsigned n = rte_eth_rx_burst(q->dpdk_port, q->queue, mbufs, SLUICE_BURST);

	if (n == 0)
		return 0;
	for (unsigned i = 0; i < n; i++)
		rte_prefetch0(rte_pktmbuf_mtod(mbufs[i], void *));
	for (unsigned i = 0; i < n; i++) {
		describe(&packets[i], mbufs[i], q->port);
		bytes += packets[i].length;
	}
	sluice_count(&count->rx_packets, n);
	sluice_count(&count->rx_bytes, bytes);
	sluice_count(&w->counters.packets, n);
	sluice_pipeline_run(&w->pipeline, packets, n);
	for (unsigned i = 0; i < n; i++)
		dispose(w, &packets[i]);
	return n;
}

// ---- fragments that were too early

static unsigned drop_held(struct worker *w, uint64_t before)
{
	struct sluice_held late[SLUICE_BURST];
	unsigned n = sluice_hold_expire(&w->hold, before, late, SLUICE_BURST);

	for (unsigned i = 0; i < n; i++)
		drop_fragment(w, late[i].buffer);
	return n;
}

// Runs a burst of those whose first fragment has come. What is not to be forwarded even now, as
// its endpoint went meanwhile, waits for nothing any more.
static void run_ready(struct worker *w)
{
	struct sluice_held ready[SLUICE_BURST];
	struct sluice_packet packets[SLUICE_BURST];
	unsigned n = sluice_hold_ready(&w->hold, &w->dataplane->fragments, w->pipeline.now, ready,
	                               SLUICE_BURST);

	if (n == 0)
		return;
	for (unsigned i = 0; i < n; i++)
		describe(&packets[i], ready[i].buffer, ready[i].port_in);
	sluice_pipeline_run(&w->pipeline, packets, n);
	for (unsigned i = 0; i < n; i++) {
		if (packets[i].verdict == SLUICE_VERDICT_HOLD)
			drop_fragment(w, packets[i].buffer);
		else
			dispose(w, &packets[i]);
	}
}

static void try_held(struct worker *w)
{
	uint64_t now = rte_rdtsc(), hz = rte_get_tsc_hz();

	if (now - w->hold_tried < HOLD_TRY_US * (hz / 1000000))
		return;
	w->hold_tried = now;
	drop_held(w, now - SLUICE_HOLD_MS * (hz / 1000));
	run_ready(w);
}

// What the kernel sends on a port's face goes out by the port. It is no traffic of the services:
// it has counters of its own.
static unsigned poll_face(struct worker *w, unsigned port)
{
	struct sluice_port_counters *count = &w->counters.ports[port];
	struct rte_mbuf *mbufs[SLUICE_BURST];
	uint16_t n, sent;

	n = rte_eth_rx_burst(w->faces[port].dpdk_port, (uint16_t)w->id, mbufs, SLUICE_BURST);
	if (n == 0)
		return 0;
	sent = rte_eth_tx_burst(w->dataplane->ports[port].id, (uint16_t)w->id, mbufs, n);
	rte_pktmbuf_free_bulk(mbufs + sent, n - sent);
	sluice_count(&count->kernel_sent, sent);
	sluice_count(&count->kernel_lost, n - sent);
	return n;
}

static unsigned poll_faces(struct worker *w)
{
	unsigned n = 0;

	for (unsigned i = 0; i < w->dataplane->port_count; i++)
		if (w->faces[i].present)
			n += poll_face(w, i);
	return n;
}

static void refill_faces(struct worker *w)
{
	for (unsigned i = 0; i < w->dataplane->port_count; i++)
		w->faces[i].budget = FACE_BUDGET;
}

// ---- the loop

static uint32_t seconds_since_boot(void)
{
	struct timespec t;

	clock_gettime(CLOCK_BOOTTIME, &t); // from the vDSO: no system call
	return (uint32_t)t.tv_sec;
}

// A worker's idea of time and idleness.
struct pace {
	uint64_t clock_read;  // when the clock was last looked at, TSC
	uint64_t last_packet; // TSC
	uint64_t cycles_per_us;
};

static void sleep_us(uint64_t us)
{
	struct timespec t = {.tv_nsec = (long)us * 1000};

	clock_nanosleep(CLOCK_MONOTONIC, 0, &t, NULL);
}

// Leaves the core to others: at first, to any that wait for it, so that a worker which shares its
// core does not keep the very programs from it that would send the next packet; then asleep. How
// long a packet may find the worker asleep is a share of the time that none came before it.
// Offline meanwhile, so that a publication never waits for a sleeper.
static void back_off(struct worker *w, const struct pace *pace, uint64_t tsc)
{
	uint64_t idle_us = (tsc - pace->last_packet) / pace->cycles_per_us;

	if (w->dataplane->idle_poll)
		return;
	rte_rcu_qsbr_thread_offline(w->dataplane->rcu, w->id);
	if (idle_us < IDLE_SPIN_US)
		sched_yield();
	else
		sleep_us(RTE_MIN(RTE_MAX(idle_us / IDLE_SLEEP_SHARE, IDLE_SLEEP_MIN_US),
		                 IDLE_SLEEP_MAX_US));
	rte_rcu_qsbr_thread_online(w->dataplane->rcu, w->id);
}

static unsigned poll_all(struct worker *w)
{
	unsigned n = 0;

	w->pipeline.snapshot = atomic_load_explicit(&w->dataplane->snapshot, memory_order_acquire);
	for (unsigned i = 0; i < w->queue_count; i++)
		n += poll_queue(w, &w->queues[i]);
	if (w->hold.count > 0)
		try_held(w);
	flush(w);
	n += poll_faces(w);
	sluice_count(&w->counters.polls, 1);
	return n;
}

static int run(void *argument)
{
	struct worker *w = argument;
	struct sluice_dataplane *d = w->dataplane;
	struct pace pace = {.cycles_per_us = rte_get_tsc_hz() / 1000000};
	uint64_t begin, end;

	if (w->node != SLUICE_NUMA_ANY)
		sluice_numa_prefer_own();
	prctl(PR_SET_TIMERSLACK, 1000UL); // ns: the sleeps are shorter than the default slack
	rte_rcu_qsbr_thread_online(d->rcu, w->id);
	while (!atomic_load_explicit(&d->stop, memory_order_relaxed)) {
		begin = rte_rdtsc();
		// A difference, so that a TSC that was set back (a resumed machine's) is noticed.
		if (begin - pace.clock_read > CLOCK_US * pace.cycles_per_us) {
			w->pipeline.now = seconds_since_boot();
			pace.clock_read = begin;
			refill_faces(w);
		}
		if (poll_all(w) > 0) {
			end = rte_rdtsc();
			pace.last_packet = end;
			sluice_count(&w->counters.busy_cycles, end - begin);
		} else {
			back_off(w, &pace, begin);
		}
		rte_rcu_qsbr_quiescent(d->rcu, w->id);
	}
	while (drop_held(w, UINT64_MAX) > 0)
		;
	flush(w);
	rte_rcu_qsbr_thread_offline(d->rcu, w->id);
	return 0;
}

// ---- made and unmade by control

// Queue q of every port goes to worker q modulo the number of those that serve the port, which are
// all where the ports are on one node of memory (sluice_numa_share).
static int assign_queues(struct worker *w, const struct sluice_dataplane *d,
                         const signed char *nodes)
{
	uint64_t near = sluice_ports_near(d->ports, d->port_count);
	unsigned n = 0;

	for (unsigned i = 0; i < d->port_count; i++)
		n += d->ports[i].rx_queues;
	if (n == 0)
		return 0;
	w->queues = calloc(n, sizeof(*w->queues));
	if (!w->queues)
		return -ENOMEM;
	for (unsigned i = 0; i < d->port_count; i++) {
		const struct sluice_port *port = &d->ports[i];
		struct sluice_numa_share share =
		        sluice_numa_share(nodes, d->worker_count, w->id, near, port->nodes);

		for (unsigned q = share.first; q < port->rx_queues; q += share.step) {
			struct queue *queue = &w->queues[w->queue_count++];

			queue->dpdk_port = port->id;
			queue->queue = (uint16_t)q;
			queue->port = (uint8_t)i;
		}
	}
	return 0;
}

// Near to its core where there is memory.
static struct worker *worker_alloc(int node)
{
	struct worker *w = rte_zmalloc_socket("worker", sizeof(*w), 64, node);

	return w || node == SLUICE_NUMA_ANY ? w : rte_zmalloc("worker", sizeof(*w), 64);
}

static int worker_init(struct sluice_dataplane *d, const struct sluice_dataplane_config *c,
                       unsigned id)
{
	size_t size = SLUICE_ENDPOINTS_MAX * sizeof(struct sluice_endpoint_counters);
	int node = c->nodes ? c->nodes[id] : SLUICE_NUMA_ANY;
	struct worker *w = worker_alloc(node);
	void *counters;

	if (!w)
		return -ENOMEM;
	d->workers[id] = w;
	// Reserved for every slot there can be; only what is touched becomes memory.
	counters = mmap(NULL, size, PROT_READ | PROT_WRITE,
	                MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (counters == MAP_FAILED)
		return -errno;
	w->id = id;
	w->lcore = c->lcores[id];
	w->node = node;
	w->dataplane = d;
	w->pipeline.counters = &w->counters;
	w->pipeline.endpoint_counters = counters;
	w->pipeline.flows = c->flows;
	w->pipeline.snat = c->snat;
	w->pipeline.worker = (struct sluice_snat_worker){id, c->worker_count};
	w->pipeline.fragments = &d->fragments;
	for (unsigned i = 0; i < d->port_count; i++)
		w->faces[i] = (struct face){d->ports[i].has_face, d->ports[i].face, FACE_BUDGET};
	rte_rcu_qsbr_thread_register(d->rcu, id);
	return assign_queues(w, d, c->nodes);
}

static void worker_clear(struct worker *w)
{
	if (w->pipeline.endpoint_counters)
		munmap(w->pipeline.endpoint_counters,
		       SLUICE_ENDPOINTS_MAX * sizeof(struct sluice_endpoint_counters));
	for (unsigned i = 0; i < SLUICE_PORTS_MAX; i++)
		rte_pktmbuf_free_bulk(w->tx[i].packets, w->tx[i].count);
	free(w->queues);
	rte_free(w);
}

static bool queues_suffice(const struct sluice_dataplane_config *c)
{
	for (unsigned i = 0; i < c->port_count; i++)
		if (c->ports[i].tx_queues < c->worker_count)
			return false;
	return c->worker_count > 0 && c->worker_count <= SLUICE_WORKERS_MAX;
}

static int dataplane_init(struct sluice_dataplane *d, const struct sluice_dataplane_config *c)
{
	int error = sluice_fragments_open(&d->fragments);

	if (error)
		return error;
	d->ports = c->ports;
	d->port_count = c->port_count;
	d->idle_poll = c->idle_poll;
	d->worker_count = c->worker_count;
	d->rcu = rte_zmalloc("rcu", rte_rcu_qsbr_get_memsize(c->worker_count), 64);
	d->resolve = rte_ring_create("resolve", RESOLVE_RING, SOCKET_ID_ANY, RING_F_SC_DEQ);
	if (!d->rcu || !d->resolve)
		return -ENOMEM;
	if (rte_rcu_qsbr_init(d->rcu, c->worker_count) != 0)
		return -EINVAL;
	for (unsigned i = 0; i < c->worker_count && !error; i++)
		error = worker_init(d, c, i);
	return error;
}

struct sluice_dataplane *sluice_dataplane_new(const struct sluice_dataplane_config *config)
{
	struct sluice_dataplane *d;
	int error;

	if (!queues_suffice(config)) {
		errno = EINVAL;
		return NULL;
	}
	d = rte_zmalloc("dataplane", sizeof(*d), 64);
	if (!d) {
		errno = ENOMEM;
		return NULL;
	}
	error = dataplane_init(d, config);
	if (error) {
		sluice_dataplane_free(d);
		errno = -error;
		return NULL;
	}
	return d;
}

int sluice_dataplane_start(struct sluice_dataplane *d)
{
	for (unsigned i = 0; i < d->worker_count; i++) {
		int error = rte_eal_remote_launch(run, d->workers[i], d->workers[i]->lcore);

		if (error)
			return error;
	}
	return 0;
}

const struct sluice_snapshot *sluice_dataplane_publish(struct sluice_dataplane *d,
                                                       const struct sluice_snapshot *s)
{
	const struct sluice_snapshot *old =
	        atomic_exchange_explicit(&d->snapshot, s, memory_order_acq_rel);
	const struct timespec moment = {.tv_nsec = 10000};
	uint64_t token = rte_rcu_qsbr_start(d->rcu);

	// A worker may need this very core to get on, and yielding gives it nothing when its
	// priority is lower.
	while (rte_rcu_qsbr_check(d->rcu, token, false) == 0)
		clock_nanosleep(CLOCK_MONOTONIC, 0, &moment, NULL);
	return old;
}

unsigned sluice_dataplane_drain(struct sluice_dataplane *d,
                                int (*send)(void *context, const void *packet, size_t length),
                                void *context)
{
	struct rte_mbuf *mbufs[SLUICE_BURST];
	unsigned n, total = 0;

	// No more than the ring holds: workers may well be faster than send, and the control thread
	// has to read the kernel's answer at some time.
	while (total < RESOLVE_RING && (n = rte_ring_sc_dequeue_burst(d->resolve, (void **)mbufs,
	                                                              SLUICE_BURST, NULL)) > 0) {
		for (unsigned i = 0; i < n; i++) {
			struct rte_mbuf *m = mbufs[i];

			if (send(context, rte_pktmbuf_mtod(m, const void *), m->data_len) == 0)
				sluice_count(&d->drained.ports[m->port].passed, 1);
			else
				sluice_count(&d->drained.drops[SLUICE_DROP_NO_NEIGHBOUR], 1);
			rte_pktmbuf_free(m);
		}
		total += n;
	}
	return total;
}

void sluice_dataplane_free(struct sluice_dataplane *d)
{
	if (!d)
		return;
	atomic_store_explicit(&d->stop, true, memory_order_relaxed);
	for (unsigned i = 0; i < d->worker_count && d->workers[i]; i++) {
		if (d->workers[i]->dataplane)
			rte_eal_wait_lcore(d->workers[i]->lcore);
		worker_clear(d->workers[i]);
	}
	sluice_fragments_close(&d->fragments);
	rte_ring_free(d->resolve);
	rte_free(d->rcu);
	rte_free(d);
}

const struct sluice_worker_counters *sluice_dataplane_drained(const struct sluice_dataplane *d)
{
	return &d->drained;
}

unsigned sluice_dataplane_worker_count(const struct sluice_dataplane *d)
{
	return d->worker_count;
}

unsigned sluice_dataplane_worker_lcore(const struct sluice_dataplane *d, unsigned worker)
{
	return d->workers[worker]->lcore;
}

const struct sluice_worker_counters *sluice_dataplane_counters(const struct sluice_dataplane *d,
                                                               unsigned worker)
{
	return &d->workers[worker]->counters;
}

struct sluice_endpoint_counters *
sluice_dataplane_endpoint_counters(const struct sluice_dataplane *d, unsigned worker)
{
	return d->workers[worker]->pipeline.endpoint_counters;
}
