// SPDX-License-Identifier: BSD-3-Clause

// An interface changes hands while clients keep sending: daemons are killed at every point of a
// start, and the kernel, which has the virtual address, must never answer with a reset.
//
//     peer (raw socket: SYNs out, resets in) --- v1 ===== v0 --- a daemon, or none; the kernel
//     192.0.2.2                                                  192.0.2.1, VIP on lo

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <rte_ethdev.h>

#include "control/steer.h"
#include "control/steer_takeover.h"
#include "dataplane/eal.h"
#include "dataplane/port.h"
#include "log_capture.h"
#include "netns.h"

#define VIP "10.96.43.114"

static const uint8_t v0_mac[6] = {2, 0, 0, 0, 0, 2};

// --- the clients ---

struct peer {
	pthread_t thread;
	int fd;
	atomic_bool stop;
	atomic_uint sent, resets;
};

static void peer_receive(struct peer *p)
{
	uint8_t f[2048];

	for (ssize_t n; (n = recv(p->fd, f, sizeof(f), 0)) > 0;) {
		if (n >= 54 && f[12] == 8 && f[13] == 0 && f[23] == IPPROTO_TCP && (f[47] & 4))
			atomic_fetch_add(&p->resets, 1);
	}
}

static void *peer_run(void *argument)
{
	struct peer *p = argument;
	uint8_t frame[60];

	while (!atomic_load(&p->stop)) {
		unsigned n = atomic_load(&p->sent);

		netns_tcp_frame(frame, sizeof(frame), v0_mac, "192.0.2.2",
		                (uint16_t)(1024 + n % 60000), VIP, 8080, 2);
		if (send(p->fd, frame, sizeof(frame), 0) > 0)
			atomic_fetch_add(&p->sent, 1);
		peer_receive(p);
		nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
	}
	return NULL;
}

// Lets count more SYNs go out, and waits for what they led to.
static void peer_wait(struct peer *p, unsigned count)
{
	unsigned until = atomic_load(&p->sent) + count;

	while ((int)(atomic_load(&p->sent) - until) < 0)
		nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

// --- the daemons ---

enum stage {
	PREPARED,
	ATTACHED, // the maps are empty
	SERVING,
	STOPPED, // cleanly
};

static void daemon_sync(struct sluice_steer *steer)
{
	struct sluice_target vip = {.port = htons(8080), .protocol = IPPROTO_TCP, .family = 4};
	struct sluice_steer_sets sets = {.virtual_targets = &vip, .virtual_target_count = 1};
	uint32_t address;

	inet_pton(AF_INET, VIP, &address);
	vip.address = sluice_address_from_v4(address);
	if (sluice_steer_sync(steer, &sets) < 0)
		_exit(4);
	sluice_steer_release(steer);
}

// A daemon's start up to a stage, which it reports; then it waits for its end. No assertions: a
// child of the test says with its exit code where it failed.
static void daemon_run(enum stage stage, int report)
{
	const struct sluice_port_config config = {SLUICE_PORT_AF_XDP, "v0", 1};
	struct sluice_eal_config eal_config = {
	        .hugepages = SLUICE_HUGEPAGES_OFF,
	        .memory = 64 << 20,
	        .log_level = SLUICE_LOG_WARNING,
	};
	struct sluice_eal eal;
	struct sluice_steer *steer = sluice_steer_new();
	struct sluice_port port;
	struct rte_mempool *pool;
	struct rte_mbuf *packets[32];
	char byte = 0;
	int frame = sluice_port_check(&config);

	if (frame < 0 || sluice_eal_start(&eal_config, &eal) < 0 ||
	    sluice_steer_prepare(steer, "v0") < 0)
		_exit(2);
	if (stage >= ATTACHED) {
		pool = sluice_port_pool_new(sluice_eal_buffers(1, 1), (size_t)frame, false,
		                            SLUICE_NUMA_ANY);
		if (!pool || sluice_port_open(&port, 0, &config, pool, 1, true) < 0 ||
		    sluice_steer_attach(steer, "v0") < 0)
			_exit(3);
	}
	if (stage >= SERVING)
		daemon_sync(steer);
	if (stage == STOPPED)
		sluice_port_close(&port);
	for (bool reported = false; !reported || stage != STOPPED;) {
		uint16_t n = stage == SERVING ? rte_eth_rx_burst(port.id, 0, packets, 32) : 0;

		if (!reported && (n > 0 || stage != SERVING)) { // serving: SYNs arrive
			if (write(report, &byte, 1) != 1)
				_exit(5);
			reported = true;
		}
		rte_pktmbuf_free_bulk(packets, n);
		nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
	}
	_exit(0);
}

static pid_t daemon_start(enum stage stage)
{
	int report[2];
	char byte;
	pid_t pid;

	assert_int_equal(pipe(report), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(report[0]);
		daemon_run(stage, report[1]);
	}
	close(report[1]);
	if (read(report[0], &byte, 1) != 1)
		fail_msg("a daemon did not get to stage %d", (int)stage);
	close(report[0]);
	return pid;
}

static void daemon_kill(pid_t pid)
{
	int status;

	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
}

// --- what is on the interface ---

static void assert_interface(bool program, bool guard)
{
	int ifindex = (int)if_nametoindex("v0");
	struct steer_program p;
	uint32_t id;

	assert_int_equal(sluice_steer_program_find(ifindex, &p), 0);
	assert_int_equal(p.id != 0, program);
	assert_int_equal(sluice_steer_guard_find(ifindex, &id), 0);
	assert_int_equal(id != 0, guard);
}

static int setup(void **state)
{
	static struct peer p;

	netns_enter();
	netns_run("ip link add v0 address 02:00:00:00:00:02 type veth peer name v1 address "
	          "02:00:00:00:00:01");
	netns_run("ip address add 192.0.2.1/24 dev v0 && ip address add " VIP "/32 dev lo");
	netns_run("sysctl -qw net.ipv6.conf.all.disable_ipv6=1");
	netns_run("ip link set v0 up && ip link set v1 up");
	netns_run("ip neighbour add 192.0.2.2 lladdr 02:00:00:00:00:01 dev v0");
	p.fd = netns_raw_socket("v1");
	assert_int_equal(pthread_create(&p.thread, NULL, peer_run, &p), 0);
	*state = &p;
	return 0;
}

static int teardown(void **state)
{
	struct peer *p = *state;

	atomic_store(&p->stop, true);
	pthread_join(p->thread, NULL);
	close(p->fd);
	return 0;
}

// Without a program the kernel does answer: or the rest would show nothing.
static void without_steering_clients_see_resets(void **state)
{
	struct peer *p = *state;

	peer_wait(p, 200);
	assert_true(atomic_load(&p->resets) > 100);
}

static void killed_daemons_are_taken_over_without_a_reset(void **state)
{
	static const enum stage stages[] = {SERVING,  SERVING,  PREPARED, ATTACHED, PREPARED,
	                                    ATTACHED, ATTACHED, SERVING,  SERVING};
	struct peer *p = *state;
	pid_t pid = daemon_start(SERVING);

	assert_interface(true, false);
	peer_wait(p, 50);
	atomic_store(&p->resets, 0);
	for (size_t i = 0; i < sizeof(stages) / sizeof(*stages); i++) {
		daemon_kill(pid);
		peer_wait(p, i % 2 ? 100 : 0);
		pid = daemon_start(stages[i]);
		assert_interface(stages[i] != PREPARED, stages[i] != SERVING);
		peer_wait(p, 100);
		assert_int_equal(atomic_load(&p->resets), 0);
	}
	daemon_kill(pid);
	peer_wait(p, 100);
	assert_int_equal(atomic_load(&p->resets), 0);
	print_message("%u SYNs, %u resets\n", atomic_load(&p->sent), atomic_load(&p->resets));
}

// Needs the stale program that the last test left.
static void a_clean_stop_leaves_nothing(void **state)
{
	struct peer *p = *state;
	pid_t pid = daemon_start(STOPPED);
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_interface(false, false);
	atomic_store(&p->resets, 0);
	peer_wait(p, 200);
	assert_true(atomic_load(&p->resets) > 100);
}

static void an_interface_has_one_daemon(void **state)
{
	pid_t pid = daemon_start(SERVING);
	struct sluice_steer *steer = sluice_steer_new();

	(void)state;
	log_capture_clear();
	assert_int_equal(sluice_steer_prepare(steer, "v0"), -EBUSY);
	assert_true(log_capture_has("another running sluiced"));
	assert_interface(true, false);
	sluice_steer_free(steer);
	daemon_kill(pid);
	netns_run("ip link set dev v0 xdp off");
}

static void a_foreign_program_is_left_alone(void **state)
{
	struct sluice_steer *steer = sluice_steer_new();

	(void)state;
	netns_run("ip link set dev v1 xdp obj %s sec xdp", getenv("SLUICE_FOREIGN_OBJECT"));
	log_capture_clear();
	assert_int_equal(sluice_steer_prepare(steer, "v1"), -EBUSY);
	assert_true(log_capture_has("the XDP program 'foreign'"));
	assert_true(log_capture_has("ip link set dev v1 xdp off"));
	netns_run("ip link set dev v1 xdp off");
	assert_int_equal(sluice_steer_prepare(steer, "v1"), 0);
	assert_int_equal(sluice_steer_prepare(steer, "nosuch"), -ENODEV);
	sluice_steer_free(steer);
}

// Where the driver has no XDP of its own the kernel runs programs in generic mode.
static void a_generic_program_is_taken_over(void **state)
{
	struct sluice_steer *steer = sluice_steer_new();
	int ifindex = (int)if_nametoindex("v1");
	struct steer_program program;
	uint32_t guard;

	(void)state;
	netns_run("ip link set dev v1 xdpgeneric obj %s sec xdp", getenv("SLUICE_STEER_OBJECT"));
	assert_int_equal(sluice_steer_prepare(steer, "v1"), 0);
	assert_int_equal(sluice_steer_program_find(ifindex, &program), 0);
	assert_int_equal(program.id, 0);
	assert_int_equal(sluice_steer_guard_find(ifindex, &guard), 0);
	assert_true(guard > 0);
	sluice_steer_release(steer);
	assert_int_equal(sluice_steer_guard_find(ifindex, &guard), 0);
	assert_int_equal(guard, 0);
	sluice_steer_free(steer);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(without_steering_clients_see_resets),
	        cmocka_unit_test(killed_daemons_are_taken_over_without_a_reset),
	        cmocka_unit_test(a_clean_stop_leaves_nothing),
	        cmocka_unit_test(an_interface_has_one_daemon),
	        cmocka_unit_test(a_foreign_program_is_left_alone),
	        cmocka_unit_test(a_generic_program_is_taken_over),
	};

	return cmocka_run_group_tests_name("takeover", tests, setup, teardown);
}
