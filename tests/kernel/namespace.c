// SPDX-License-Identifier: BSD-3-Clause
#include "tests/kernel/namespace.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static int namespace_open(void)
{
	return open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
}

void test_namespaces_require(void)
{
	int outside = namespace_open();

	if (outside < 0 || unshare(CLONE_NEWNET) < 0 || setns(outside, CLONE_NEWNET) < 0) {
		printf("skipped: cannot make a network namespace: %s\n", strerror(errno));
		exit(TEST_SKIPPED);
	}
	close(outside);
}

static void run_in(int namespace, const char *format, va_list arguments)
{
	char command[4096];
	int status;
	pid_t child;

	vsnprintf(command, sizeof(command), format, arguments);
	fflush(stdout);
	child = fork();
	if (child == 0) {
		if (setns(namespace, CLONE_NEWNET) == 0)
			execl("/bin/sh", "sh", "-c", command, (char *)NULL);
		_exit(127);
	}
	assert_true(child > 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		fail_msg("%s: exit status %d", command, WEXITSTATUS(status));
}

void test_host(struct test_namespaces *n, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	run_in(n->host, format, arguments);
	va_end(arguments);
}

void test_peer(struct test_namespaces *n, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	run_in(n->peer, format, arguments);
	va_end(arguments);
}

struct sluice_address test_address(const char *text)
{
	uint8_t bytes[16];

	if (inet_pton(AF_INET, text, bytes) == 1) {
		uint32_t v4;

		memcpy(&v4, bytes, 4);
		return sluice_address_from_v4(v4);
	}
	assert_int_equal(inet_pton(AF_INET6, text, bytes), 1);
	return sluice_address_from_v6(bytes);
}

void test_enter_peer(const struct test_namespaces *n)
{
	assert_int_equal(setns(n->peer, CLONE_NEWNET), 0);
}

void test_enter_host(const struct test_namespaces *n)
{
	assert_int_equal(setns(n->host, CLONE_NEWNET), 0);
}

int test_namespaces_setup(void **state)
{
	struct test_namespaces *n = calloc(1, sizeof(*n));

	assert_non_null(n);
	*state = n;
	n->outside = namespace_open();
	assert_int_equal(unshare(CLONE_NEWNET), 0);
	n->peer = namespace_open();
	assert_int_equal(unshare(CLONE_NEWNET), 0);
	n->host = namespace_open();
	n->base = event_base_new();
	assert_non_null(n->base);
	// Without duplicate address detection IPv6 works from the first moment.
	test_host(n, "ip link set lo up && sysctl -qw net.ipv6.conf.default.accept_dad=0");
	test_peer(n, "sysctl -qw net.ipv6.conf.default.accept_dad=0");
	test_peer(n, "ip link add v1 type veth peer name v0 netns %d", (int)getpid());
	test_host(n, "ip link set v0 up && ip address add 10.0.0.1/24 dev v0 &&"
	             "ip address add 2001:db8::1/64 dev v0 nodad");
	test_peer(n, "ip link set v1 up && ip address add 10.0.0.2/24 dev v1 &&"
	             "ip address add 2001:db8::2/64 dev v1 nodad");
	return 0;
}

int test_namespaces_teardown(void **state)
{
	struct test_namespaces *n = *state;

	event_base_free(n->base);
	assert_int_equal(setns(n->outside, CLONE_NEWNET), 0);
	close(n->host);
	close(n->peer);
	close(n->outside);
	free(n);
	return 0;
}

void test_changed(void *context, unsigned what)
{
	struct test_namespaces *n = context;

	n->changes |= what;
}

int64_t test_now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void test_run_ms(struct test_namespaces *n, unsigned ms)
{
	struct timeval in = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000L};

	event_base_loopexit(n->base, &in);
	event_base_dispatch(n->base);
}
