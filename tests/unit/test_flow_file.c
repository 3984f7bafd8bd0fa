// SPDX-License-Identifier: BSD-3-Clause

// The flow table's file over restarts, each as a close and an open of this process. The directory
// is on tmpfs (/dev/shm), as /run is.

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include <netinet/in.h>

#include "dataplane/flow_file.h"

enum {
	NOW = 5000,
	CAPACITY = 4096,
	FLOWS = 2000,
};

static char directory[64];
static char file_path[96];

static struct sluice_flow_file_options options(void)
{
	return (struct sluice_flow_file_options){
	        .directory = directory,
	        .capacity = CAPACITY,
	        .epoch = 7,
	        .now = NOW,
	        .timeouts = {.seconds = {60, 7200, 30, 180}},
	};
}

static int set_up(void **state)
{
	(void)state;
	snprintf(directory, sizeof(directory), "/dev/shm/sluice-test-XXXXXX");
	if (!mkdtemp(directory))
		return -1;
	snprintf(file_path, sizeof(file_path), "%s/flows", directory);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	static const char *const names[] = {"flows", "flows.lock", "flows.new"};

	for (unsigned i = 0; i < 3; i++) {
		char path[96];

		snprintf(path, sizeof(path), "%s/%s", directory, names[i]);
		unlink(path);
	}
	return rmdir(directory);
}

static uint64_t flow_key(unsigned i)
{
	return (uint64_t)(0x0a000000 + i) << 32 | 1;
}

static struct sluice_flow_value flow_value(unsigned i)
{
	return (struct sluice_flow_value){
	        .slot = i, .generation = 3, .state = SLUICE_FLOW_ESTABLISHED, .seen = NOW - i % 60};
}

static void fill(struct sluice_flow_file *f)
{
	for (unsigned i = 0; i < FLOWS; i++) {
		uint64_t key = flow_key(i), hash = sluice_flow_hash(&f->table, key);

		assert_int_not_equal(sluice_flow_insert(&f->table, key, hash,
		                                        sluice_flow_pack(flow_value(i)), NOW),
		                     SLUICE_FLOW_UNTRACKED);
	}
}

static unsigned count_right(const struct sluice_flow_file *f)
{
	unsigned n = 0;

	for (unsigned i = 0; i < FLOWS; i++) {
		uint64_t key = flow_key(i), hash = sluice_flow_hash(&f->table, key);
		struct sluice_flow_ref ref = sluice_flow_find(&f->table, key, hash);

		if (ref.entry) {
			assert_int_equal(ref.value, sluice_flow_pack(flow_value(i)));
			n++;
		}
	}
	return n;
}

static void open_filled(const struct sluice_flow_file_options *o)
{
	struct sluice_flow_file f;

	assert_int_equal(sluice_flow_file_open(&f, o), 0);
	fill(&f);
	sluice_flow_file_close(&f);
}

static void expect(const struct sluice_flow_file_options *o, enum sluice_flow_origin origin,
                   unsigned flows)
{
	struct sluice_flow_file f;

	assert_int_equal(sluice_flow_file_open(&f, o), 0);
	assert_string_equal(sluice_flow_origin_text(f.origin), sluice_flow_origin_text(origin));
	assert_int_equal(count_right(&f), flows);
	fill(&f); // writable in all its parts, whatever it was
	sluice_flow_file_close(&f);
}

static void flows_at_slots_that_were_not_saved_are_not_gone_on_with(void **state)
{
	(void)state;
	struct sluice_flow_file_options o = options();
	struct sluice_flow_file f;

	open_filled(&o);
	assert_int_equal(sluice_flow_file_open(&f, &o), 0);
	sluice_flow_file_trust(&f, false);
	sluice_flow_file_trust(&f, true); // saved after all
	sluice_flow_file_close(&f);
	expect(&o, SLUICE_FLOW_KEPT, FLOWS);
	assert_int_equal(sluice_flow_file_open(&f, &o), 0);
	sluice_flow_file_trust(&f, false);
	assert_int_equal(count_right(&f), FLOWS); // but this process does
	sluice_flow_file_close(&f);
	expect(&o, SLUICE_FLOW_FRESH_EPOCH, 0);
	expect(&o, SLUICE_FLOW_KEPT, FLOWS);
}

static void flows_survive_a_restart(void **state)
{
	(void)state;
	struct sluice_flow_file_options o = options();
	struct sluice_flow_file f;
	struct stat st;

	assert_int_equal(sluice_flow_file_open(&f, &o), 0);
	assert_int_equal(f.origin, SLUICE_FLOW_FRESH_NONE);
	assert_false(f.hugepages);
	assert_false(f.disk);
	assert_string_equal(f.path, file_path);
	assert_int_equal(sluice_flow_table_capacity(&f.table), CAPACITY);
	assert_int_equal(f.table.timeouts.seconds[SLUICE_FLOW_UDP], 180);
	assert_int_equal(stat(file_path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_true((size_t)st.st_blocks * 512 >= sluice_flow_table_size(CAPACITY));
	fill(&f);
	sluice_flow_file_close(&f);
	expect(&o, SLUICE_FLOW_KEPT, FLOWS);
}

static void flows_survive_a_change_of_capacity(void **state)
{
	(void)state;
	struct sluice_flow_file_options o = options();

	open_filled(&o);
	o.capacity = 16 * CAPACITY;
	expect(&o, SLUICE_FLOW_CARRIED, FLOWS);
	expect(&o, SLUICE_FLOW_KEPT, FLOWS);
	o.capacity = CAPACITY;
	expect(&o, SLUICE_FLOW_CARRIED, FLOWS);
}

static void a_table_that_got_too_small_loses_flows_and_says_how_many(void **state)
{
	(void)state;
	struct sluice_flow_file_options o = options();
	struct sluice_flow_file f;

	open_filled(&o);
	o.capacity = 1024;
	assert_int_equal(sluice_flow_file_open(&f, &o), 0);
	assert_int_equal(f.origin, SLUICE_FLOW_CARRIED);
	assert_int_equal(f.carried + f.lost, FLOWS);
	assert_true(f.carried > 900);
	assert_int_equal(count_right(&f), f.carried);
	sluice_flow_file_close(&f);
}

static void expired_flows_are_left_behind(void **state)
{
	(void)state;
	struct sluice_flow_file_options o = options();

	open_filled(&o);
	o.capacity *= 2;
	o.now = NOW + 7200 - 30; // of flows with seen = NOW - 0..59, those from NOW - 29 on live
	struct sluice_flow_file f;

	assert_int_equal(sluice_flow_file_open(&f, &o), 0);
	assert_true(f.carried > 0 && f.carried < FLOWS);
	for (unsigned i = 0; i < FLOWS; i++) {
		uint64_t key = flow_key(i), hash = sluice_flow_hash(&f.table, key);

		assert_int_equal(sluice_flow_find(&f.table, key, hash).entry != NULL, i % 60 < 30);
	}
	sluice_flow_file_close(&f);
}

// The key of a client's flow; port in network byte order.
static uint64_t client_key(const struct sluice_flow_table *t, const struct sluice_address *client,
                           uint16_t port, uint16_t frontend)
{
	enum sluice_family family = sluice_address_family(client);
	struct sluice_target target = {
	        .address = *client,
	        .port = port,
	        .protocol = IPPROTO_TCP,
	        .family = (uint8_t)family,
	};

	return family == SLUICE_IPV4
	               ? sluice_flow_key(t, sluice_target_view(&target), frontend, SLUICE_IPV4)
	               : sluice_flow_key(t, sluice_target_view(&target), frontend, SLUICE_IPV6);
}

// A client of an IPv6 flow is found by a fingerprint made with the table's secret.
static void the_secret_moves_with_the_flows(void **state)
{
	(void)state;
	struct sluice_flow_file_options o = options();
	struct sluice_address client = {.bytes = {0x20, 0x01, 0x0d, 0xb8, [15] = 1}};
	struct sluice_flow_file f;
	uint64_t key;

	assert_int_equal(sluice_flow_file_open(&f, &o), 0);
	key = client_key(&f.table, &client, 1234, 5);
	sluice_flow_insert(&f.table, key, sluice_flow_hash(&f.table, key),
	                   sluice_flow_pack(flow_value(0)), NOW);
	sluice_flow_file_close(&f);
	o.capacity *= 2;
	for (unsigned i = 0; i < 2; i++) { // carried, then kept
		assert_int_equal(sluice_flow_file_open(&f, &o), 0);
		assert_int_equal(client_key(&f.table, &client, 1234, 5), key);
		assert_non_null(
		        sluice_flow_find(&f.table, key, sluice_flow_hash(&f.table, key)).entry);
		sluice_flow_file_close(&f);
	}
}

static void write_at(off_t at, const void *data, size_t len)
{
	int fd = open(file_path, O_WRONLY);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, data, len, at), len);
	close(fd);
}

static void tables_that_mean_something_else_are_not_used(void **state)
{
	(void)state;
	struct sluice_flow_file_options o = options();

	open_filled(&o);
	o.epoch++;
	expect(&o, SLUICE_FLOW_FRESH_EPOCH, 0);
	write_at(offsetof(struct sluice_flow_header, boot), "x", 1);
	expect(&o, SLUICE_FLOW_FRESH_BOOT, 0);
}

static void damaged_files_are_replaced(void **state)
{
	(void)state;
	struct sluice_flow_file_options o = options();
	static const struct {
		const char *what;
		off_t at;
		const char *bytes;
		size_t len;
	} rows[] = {
	        {"magic", 0, "X", 1},
	        {"layout", offsetof(struct sluice_flow_header, layout), "\xff", 1},
	        {"header size", offsetof(struct sluice_flow_header, header_size), "\0\0\0", 3},
	        {"no buckets", offsetof(struct sluice_flow_header, bucket_count), "\0\0\0", 3},
	        {"too many buckets", offsetof(struct sluice_flow_header, bucket_count) + 4, "\1",
	         1},
	        {"overflowing buckets", offsetof(struct sluice_flow_header, bucket_count) + 7,
	         "\x40", 1},
	        {"odd buckets", offsetof(struct sluice_flow_header, bucket_count), "\1", 1},
	};
	static const off_t lengths[] = {0, 1, 4095, 4096, 4097, 4096 + CAPACITY * 16 - 1};

	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		open_filled(&o);
		write_at(rows[i].at, rows[i].bytes, rows[i].len);
		expect(&o, SLUICE_FLOW_FRESH_INVALID, 0);
	}
	for (unsigned i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		assert_int_equal(truncate(file_path, lengths[i]), 0);
		expect(&o, SLUICE_FLOW_FRESH_INVALID, 0);
	}
	// Longer by more than any page: nobody would want all of it in memory.
	assert_int_equal(truncate(file_path, (off_t)1 << 40), 0);
	expect(&o, SLUICE_FLOW_FRESH_INVALID, 0);
	// Something that is no file, or somebody's link.
	unlink(file_path);
	assert_int_equal(symlink("/etc/passwd", file_path), 0);
	expect(&o, SLUICE_FLOW_FRESH_INVALID, 0);
	unlink(file_path);
	assert_int_equal(mkfifo(file_path, 0600), 0);
	expect(&o, SLUICE_FLOW_FRESH_INVALID, 0);
}

static void wild_entries_do_no_harm(void **state)
{
	(void)state;
	struct sluice_flow_file_options o = options();
	uint8_t noise[256];

	memset(noise, 0xff, sizeof(noise));
	open_filled(&o);
	for (unsigned i = 0; i < CAPACITY / 16; i++)
		write_at(4096 + (off_t)i * 256, noise, sizeof(noise));
	expect(&o, SLUICE_FLOW_KEPT, 0);
}

static void two_processes_can_not_have_it(void **state)
{
	(void)state;
	struct sluice_flow_file_options o = options();
	struct sluice_flow_file f, g;

	assert_int_equal(sluice_flow_file_open(&f, &o), 0);
	assert_int_equal(sluice_flow_file_open(&g, &o), -EBUSY);
	fill(&f);
	assert_int_equal(count_right(&f), FLOWS);
	sluice_flow_file_close(&f);
	assert_int_equal(sluice_flow_file_open(&g, &o), 0);
	assert_int_equal(g.origin, SLUICE_FLOW_KEPT);
	sluice_flow_file_close(&g);
}

// What a process that was killed leaves: no close, the lock gone with it.
static void flows_survive_a_kill(void **state)
{
	(void)state;
	struct sluice_flow_file_options o = options();
	struct sluice_flow_file f;
	int status;
	pid_t child = fork();

	assert_true(child >= 0);
	if (child == 0) {
		if (sluice_flow_file_open(&f, &o) != 0)
			_exit(1);
		fill(&f);
		kill(getpid(), SIGKILL);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status));
	expect(&o, SLUICE_FLOW_KEPT, FLOWS);
}

static void directories_that_are_not_there_are_errors(void **state)
{
	(void)state;
	struct sluice_flow_file_options o = options();
	struct sluice_flow_file f;

	o.directory = "/dev/shm/sluice-test-none/none";
	assert_int_equal(sluice_flow_file_open(&f, &o), -ENOENT);
}

// In a mount namespace of its own, as root: a tmpfs too small for the table.
static void run_on_small_tmpfs(void)
{
	struct sluice_flow_file_options o = options();
	struct sluice_flow_file f;

	if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
	    mount("none", directory, "tmpfs", 0, "size=1m") != 0)
		_exit(77);
	o.capacity = 1 << 20;
	if (sluice_flow_file_open(&f, &o) != -ENOSPC)
		_exit(1);
	o.capacity = CAPACITY; // the failed one left nothing behind that takes room
	if (sluice_flow_file_open(&f, &o) != 0)
		_exit(2);
	fill(&f);
	sluice_flow_file_close(&f);
	o.capacity = 1 << 20; // and the table there was stays when a larger one can't be made
	if (sluice_flow_file_open(&f, &o) != -ENOSPC)
		_exit(3);
	o.capacity = CAPACITY;
	if (sluice_flow_file_open(&f, &o) != 0 || f.origin != SLUICE_FLOW_KEPT)
		_exit(4);
	_exit(count_right(&f) == FLOWS ? 0 : 5);
}

static void run_on_hugepages(void)
{
	struct sluice_flow_file_options o = options();
	struct sluice_flow_file f;
	char path[PATH_MAX];

	if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
	    mkdir("/tmp/sluice-huge", 0700) != 0)
		_exit(77);
	int mounted = mount("none", "/tmp/sluice-huge", "hugetlbfs", 0, "pagesize=2M");

	rmdir("/tmp/sluice-huge"); // fails where mounted: the outer one is gone below
	if (mounted != 0)
		_exit(77);
	open_filled(&o); // without, first
	o.hugepages = true;
	o.capacity = 4 * CAPACITY;
	if (sluice_flow_file_open(&f, &o) != 0 || f.origin != SLUICE_FLOW_CARRIED)
		_exit(1);
	if (!f.hugepages)
		_exit(77); // no pages to be had
	if (f.disk || count_right(&f) != FLOWS || access(file_path, F_OK) == 0)
		_exit(2);
	snprintf(path, sizeof(path), "%s", f.path);
	sluice_flow_file_close(&f);
	if (sluice_flow_file_open(&f, &o) != 0 || f.origin != SLUICE_FLOW_KEPT || !f.hugepages ||
	    count_right(&f) != FLOWS)
		_exit(3);
	sluice_flow_file_close(&f);
	o.hugepages = false; // switched off: back to the directory, with all flows
	if (sluice_flow_file_open(&f, &o) != 0 || f.origin != SLUICE_FLOW_CARRIED || f.hugepages ||
	    count_right(&f) != FLOWS || access(path, F_OK) == 0)
		_exit(4);
	_exit(0);
}

static void run_in_child(void (*body)(void))
{
	int status;
	pid_t child = fork();

	assert_true(child >= 0);
	if (child == 0)
		body();
	assert_int_equal(waitpid(child, &status, 0), child);
	rmdir("/tmp/sluice-huge");
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 77)
		skip();
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void a_full_file_system_is_an_error_and_no_signal(void **state)
{
	(void)state;
	run_in_child(run_on_small_tmpfs);
}

static void hugepages_are_used_where_there_are_any(void **state)
{
	(void)state;
	run_in_child(run_on_hugepages);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        TEST(flows_survive_a_restart),
	        TEST(flows_at_slots_that_were_not_saved_are_not_gone_on_with),
	        TEST(flows_survive_a_change_of_capacity),
	        TEST(a_table_that_got_too_small_loses_flows_and_says_how_many),
	        TEST(expired_flows_are_left_behind),
	        TEST(the_secret_moves_with_the_flows),
	        TEST(tables_that_mean_something_else_are_not_used),
	        TEST(damaged_files_are_replaced),
	        TEST(wild_entries_do_no_harm),
	        TEST(two_processes_can_not_have_it),
	        TEST(flows_survive_a_kill),
	        TEST(directories_that_are_not_there_are_errors),
	        TEST(a_full_file_system_is_an_error_and_no_signal),
	        TEST(hugepages_are_used_where_there_are_any),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
