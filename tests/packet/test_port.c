// SPDX-License-Identifier: BSD-3-Clause

// Ports on real interfaces: what is refused and why, and frames that cross from one to another.
//
//     raw socket a1 ===== a0 (port 0) --- the test --- (port 1) b0 ===== b1 raw socket

#include <errno.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>

#include "control/steer.h"
#include "control/steer_takeover.h"
#include "dataplane/eal.h"
#include "dataplane/port.h"
#include "log_capture.h"
#include "netns.h"

enum {
	FRAME = 3000 + 22, // the largest of the two
};

struct fixture {
	struct sluice_eal eal;
	struct rte_mempool *pool;
	unsigned buffers;
};

static const struct sluice_port_config config_a = {SLUICE_PORT_AF_XDP, "a0", 1};
static const struct sluice_port_config config_b = {SLUICE_PORT_AF_XDP, "b0", 1};
static const struct sluice_port_config config_c = {SLUICE_PORT_AF_XDP, "c0", 1};

static int setup(void **state)
{
	static struct fixture f;
	struct sluice_eal_memory memory = {.queues = 2, .workers = 1, .frame = FRAME};
	struct sluice_eal_config config = {
	        .hugepages = SLUICE_HUGEPAGES_OFF,
	        .memory = sluice_eal_memory_estimate(&memory),
	        .log_level = SLUICE_LOG_WARNING,
	};

	netns_enter();
	netns_run(
	        "sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1");
	netns_run("for i in a b c; do ip link add ${i}0 type veth peer name ${i}1; "
	          "ip link set ${i}0 mtu 3000 up; ip link set ${i}1 mtu 3000 up; done");
	assert_int_equal(sluice_eal_start(&config, &f.eal), 0);
	f.buffers = sluice_eal_buffers(2, 1);
	f.pool = sluice_port_pool_new(f.buffers, FRAME, false, SLUICE_NUMA_ANY);
	assert_non_null(f.pool);
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	rte_mempool_free(f->pool);
	sluice_eal_stop();
	return 0;
}

// What cannot work is refused before anything is touched, with the command that helps.
static void refusals_say_what_to_do(void **state)
{
	static const struct {
		const char *before;
		struct sluice_port_config config;
		int result;
		const char *text;
	} rows[] = {
	        {":", {SLUICE_PORT_AF_XDP, "a0", 1}, FRAME, ""},
	        {":", {SLUICE_PORT_AF_XDP, "nosuch", 1}, -ENODEV, "`ip link`"},
	        {":", {SLUICE_PORT_AF_XDP, "a0,b=1", 1}, -ENODEV, "no such network interface"},
	        {":", {SLUICE_PORT_AF_XDP, "a0", 2}, -EINVAL, "set `queues: 1`"},
	        {"ip link set a0 down",
	         {SLUICE_PORT_AF_XDP, "a0", 1},
	         -ENETDOWN,
	         "ip link set dev a0 up"},
	        {"ip link set a0 up mtu 3498", {SLUICE_PORT_AF_XDP, "a0", 1}, 3520, ""},
	        {"ip link set a0 mtu 3499", {SLUICE_PORT_AF_XDP, "a0", 1}, -EINVAL, "mtu 3498"},
	        {"ip link set a0 mtu 3000; ip link add mq0 numrxqueues 4 type veth peer name "
	         "mq1; ethtool -L mq0 rx 4; ip link set mq0 up",
	         {SLUICE_PORT_AF_XDP, "mq0", 1},
	         -EINVAL,
	         "ethtool -L mq0 rx 1"},
	        {":", {SLUICE_PORT_VDEV, ",x=1", 1}, -EINVAL, "NAME,ARGS"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		log_capture_clear();
		netns_run("%s", rows[i].before);
		assert_int_equal(sluice_port_check(&rows[i].config), rows[i].result);
		if (!log_capture_has(rows[i].text))
			fail_msg("row %zu: nothing says: %s", i, rows[i].text);
	}
	netns_run("ip link del mq0");
}

// AF_XDP takes the pool for an array from its first page on.
static void pool_has_no_gaps(void **state)
{
	struct fixture *f = *state;
	size_t object = (size_t)f->pool->header_size + f->pool->elt_size + f->pool->trailer_size;
	uintptr_t first = (uintptr_t)STAILQ_FIRST(&f->pool->mem_list)->addr & ~4095ul;
	struct rte_mbuf *all[1 << 16];
	unsigned n = f->buffers;

	assert_true(object <= 4096);
	assert_int_equal(rte_pktmbuf_alloc_bulk(f->pool, all, n), 0);
	for (unsigned i = 0; i < n; i++) {
		assert_true((uintptr_t)all[i] + f->pool->elt_size <= first + object * (n + 1));
		assert_true(rte_pktmbuf_tailroom(all[i]) >= FRAME + 256);
	}
	rte_pktmbuf_free_bulk(all, n);
}

static void open_port(struct fixture *f, struct sluice_steer *steer, struct sluice_port *port,
                      unsigned index, const struct sluice_port_config *config)
{
	assert_int_equal(sluice_steer_prepare(steer, config->device), 0);
	assert_int_equal(sluice_port_open(port, index, config, f->pool, 2, true), 0);
	assert_int_equal(sluice_steer_attach(steer, config->device), 0);
}

static void steer_everything(struct sluice_steer *steer)
{
	struct sluice_target t = {.port = htons(8080), .protocol = 6, .family = 4};
	struct sluice_steer_sets sets = {.virtual_targets = &t, .virtual_target_count = 1};

	t.address = sluice_address_from_v4(htonl(0x0a602b72));
	assert_int_equal(sluice_steer_sync(steer, &sets), 0);
}

// Forwards until count frames went across, or nothing came for a second.
static unsigned forward(struct sluice_port *from, struct sluice_port *to, unsigned count,
                        const struct rte_mempool *pool)
{
	struct rte_mbuf *packets[32];
	unsigned forwarded = 0;

	for (unsigned idle = 0; forwarded < count && idle < 1000;) {
		uint16_t n = rte_eth_rx_burst(from->id, 0, packets, 32);

		for (uint16_t i = 0; i < n; i++)
			assert_ptr_equal(packets[i]->pool, pool);
		for (uint16_t sent = 0; sent < n;)
			sent += rte_eth_tx_burst(to->id, 0, packets + sent, n - sent);
		forwarded += n;
		idle = n ? 0 : idle + 1;
		if (n == 0)
			nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
	}
	return forwarded;
}

static size_t frame_number(uint8_t *frame, unsigned n)
{
	static const uint8_t mac[6] = {0x02, 0, 0, 0, 0, 0xa0};
	size_t size = n % 5 == 0 ? 3000 + 14 : 60 + n * 7 % 1454;

	netns_tcp_frame(frame, size, mac, "203.0.113.9", (uint16_t)n, "10.96.43.114", 8080, 2);
	frame[size - 1] = (uint8_t)n;
	return size;
}

// Every buffer of the pool carries frames, several times over; all arrive whole and in order, and
// none of the buffers is lost.
static void frames_cross_whole(void **state)
{
	struct fixture *f = *state;
	struct sluice_steer *steer = sluice_steer_new();
	struct sluice_port a, b;
	struct sluice_port_losses losses;
	int in, out;
	unsigned before = rte_mempool_avail_count(f->pool);
	uint8_t frame[FRAME], got[FRAME + 100];

	netns_run("ip link set a0 address 02:00:00:00:00:a0");
	open_port(f, steer, &a, 0, &config_a);
	open_port(f, steer, &b, 1, &config_b);
	steer_everything(steer);
	in = netns_raw_socket("a1");
	out = netns_raw_socket("b1");
	for (unsigned n = 0; n < 4 * f->buffers; n += 64) {
		for (unsigned i = n; i < n + 64; i++) {
			size_t size = frame_number(frame, i);

			assert_int_equal(send(in, frame, size, 0), size);
		}
		assert_int_equal(forward(&a, &b, 64, f->pool), 64);
		for (unsigned i = n; i < n + 64; i++) {
			size_t size = frame_number(frame, i);

			assert_int_equal(recv(out, got, sizeof(got), 0), size);
			assert_memory_equal(got, frame, size);
		}
	}
	assert_int_equal(sluice_port_losses(&a, &losses), 0);
	assert_int_equal(losses.missed + losses.errors, 0);
	assert_true(rte_mempool_avail_count(f->pool) + 4 * 2048 + 1024 > before);
	close(in);
	close(out);
	sluice_port_close(&a);
	sluice_port_close(&b);
	sluice_steer_free(steer);
}

// The kernel says what a link is a moment after it has become so.
static bool link_becomes(const struct sluice_port *port, bool up)
{
	for (unsigned i = 0; i < 500; i++) {
		if (sluice_port_link_up(port) == up)
			return true;
		usleep(10000);
	}
	return false;
}

static void a_port_shows_its_interface(void **state)
{
	struct fixture *f = *state;
	struct sluice_steer *steer = sluice_steer_new();
	struct steer_program program;
	struct sluice_port c;

	netns_run("ip link set c0 address 02:00:00:00:00:0a");
	open_port(f, steer, &c, 3, &config_c);
	assert_int_equal(c.index, 3);
	assert_string_equal(c.name, "c0");
	assert_int_equal(c.ifindex, if_nametoindex("c0"));
	assert_int_equal(c.mtu, 3000);
	assert_memory_equal(c.mac, "\x02\0\0\0\0\x0a", 6);
	assert_int_equal(c.rx_queues, 1);
	assert_int_equal(c.tx_queues, 1);
	assert_false(c.zero_copy); // no veth can, and copying was asked for
	assert_true(sluice_port_link_up(&c));
	netns_run("ip link set c1 down");
	assert_true(link_becomes(&c, false));
	netns_run("ip link set c1 up");
	assert_true(link_becomes(&c, true));
	sluice_port_close(&c);
	assert_false(sluice_port_link_up(&c));
	assert_int_equal(sluice_steer_program_find((int)if_nametoindex("c0"), &program), 0);
	assert_int_equal(program.id, 0);
	sluice_steer_free(steer);
}

static void virtual_devices_are_ports(void **state)
{
	static const struct sluice_port_config null = {SLUICE_PORT_VDEV, "net_null0,copy=1", 2};
	static const struct sluice_port_config tap = {SLUICE_PORT_VDEV, "net_tap0,iface=st0", 1};
	static const struct sluice_port_config nosuch = {SLUICE_PORT_VDEV, "net_nosuch0", 1};
	static const struct sluice_port_config arguments = {SLUICE_PORT_VDEV, "net_null1,no=1", 1};
	static const struct sluice_port_config many = {SLUICE_PORT_VDEV, "net_ring0", 17};
	struct fixture *f = *state;
	struct sluice_port p, q;

	assert_int_equal(sluice_port_open(&p, 0, &null, f->pool, 3, true), 0);
	assert_string_equal(p.name, "net_null0");
	assert_int_equal(p.tx_queues, 3);
	assert_int_equal(p.ifindex, 0);
	assert_true(sluice_port_link_up(&p));
	sluice_port_close(&p);
	assert_int_equal(sluice_port_open(&q, 1, &tap, f->pool, 2, true), 0);
	assert_int_equal(q.ifindex, if_nametoindex("st0"));
	assert_int_equal(q.tx_queues, 1);
	sluice_port_close(&q);
	log_capture_clear();
	assert_true(sluice_port_open(&p, 0, &nosuch, f->pool, 1, true) < 0);
	assert_true(log_capture_has("DPDK does not make this device"));
	assert_true(sluice_port_open(&p, 0, &arguments, f->pool, 1, true) < 0);
	assert_true(sluice_port_open(&p, 0, &many, f->pool, 1, true) < 0);
	assert_true(log_capture_has("17 queues configured"));
}

static void cores_are_shared_out(void **state)
{
	const unsigned absent[] = {1000};
	struct sluice_eal_config config = {.worker_cores = absent, .worker_core_count = 1};
	struct sluice_numa numa = {};
	struct sluice_eal eal;
	cpu_set_t one, saved;
	unsigned core = 0;

	(void)state;
	log_capture_clear();
	assert_int_equal(sluice_eal_cores(&config, &eal), -EINVAL);
	assert_true(log_capture_has("core 1000 is not usable"));
	assert_int_equal(sched_getaffinity(0, sizeof(saved), &saved), 0);
	while (!CPU_ISSET(core, &saved))
		core++;
	CPU_ZERO(&one);
	CPU_SET(core, &one);
	assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0);
	config.worker_core_count = 0;
	assert_int_equal(sluice_eal_cores(&config, &eal), 0);
	assert_int_equal(eal.main_core, core);
	assert_int_equal(eal.worker_count, 1);
	assert_int_equal(eal.worker_cores[0], core);
	assert_int_equal(eal.worker_lcores[0], 1);
	assert_int_equal(eal.worker_nodes[0], SLUICE_NUMA_ANY);
	numa.core_nodes[core] = 3;
	config.numa = &numa;
	assert_int_equal(sluice_eal_cores(&config, &eal), 0);
	assert_int_equal(eal.worker_nodes[0], 3);
	sched_setaffinity(0, sizeof(saved), &saved);
}

// Those that no queue is left for stay free, also for the main thread.
static void given_cores_are_taken_while_there_are_queues(void **state)
{
	unsigned cores[2];
	struct sluice_eal_config config = {
	        .worker_cores = cores, .worker_core_count = 2, .worker_limit = 1};
	struct sluice_eal eal;
	cpu_set_t saved, two;
	unsigned n = 0;

	(void)state;
	assert_int_equal(sched_getaffinity(0, sizeof(saved), &saved), 0);
	if (CPU_COUNT(&saved) < 2)
		skip();
	CPU_ZERO(&two);
	for (unsigned core = 0; n < 2; core++) {
		if (!CPU_ISSET(core, &saved))
			continue;
		CPU_SET(core, &two);
		cores[n++] = core;
	}
	assert_int_equal(sched_setaffinity(0, sizeof(two), &two), 0);
	assert_int_equal(sluice_eal_cores(&config, &eal), 0);
	assert_int_equal(eal.worker_count, 1);
	assert_int_equal(eal.worker_cores[0], cores[0]);
	assert_int_equal(eal.main_core, cores[1]);
	sched_setaffinity(0, sizeof(saved), &saved);
}

static void required_hugepages_that_are_missing_are_an_error(void **state)
{
	struct sluice_eal_config config = {.hugepages = SLUICE_HUGEPAGES_REQUIRE,
	                                   .memory = (size_t)1 << 50};
	struct sluice_eal eal;

	(void)state;
	log_capture_clear();
	assert_int_equal(sluice_eal_start(&config, &eal), -ENOMEM);
	assert_true(log_capture_has("sysctl vm.nr_hugepages="));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(refusals_say_what_to_do),
	        cmocka_unit_test(pool_has_no_gaps),
	        cmocka_unit_test(frames_cross_whole),
	        cmocka_unit_test(a_port_shows_its_interface),
	        cmocka_unit_test(virtual_devices_are_ports),
	        cmocka_unit_test(cores_are_shared_out),
	        cmocka_unit_test(given_cores_are_taken_while_there_are_queues),
	        cmocka_unit_test(required_hugepages_that_are_missing_are_an_error),
	};

	return cmocka_run_group_tests_name("port", tests, setup, teardown);
}
