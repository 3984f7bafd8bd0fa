// SPDX-License-Identifier: BSD-3-Clause
#pragma once

// Two network namespaces for a test, and the loop that it waits in:
//
//     host (this process)                 peer
//     v0 10.0.0.1/24, 2001:db8::1/64 ---- v1 10.0.0.2/24, 2001:db8::2/64
//
// They belong to nothing but this process, and go with it.

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sluice/types.h"

struct event_base;

enum {
	TEST_SKIPPED = 77, // exit code, to meson
};

struct test_namespaces {
	struct event_base *base;
	int host, peer;   // descriptors of the namespaces
	int outside;      // where the process came from
	unsigned changes; // bits told to test_changed since they were last cleared
};

// Exits with TEST_SKIPPED, saying why, where namespaces cannot be made.
void test_namespaces_require(void);

// cmocka's setup and teardown: a new pair for each test.
int test_namespaces_setup(void **state);
int test_namespaces_teardown(void **state);

// Runs a shell command in the host's or the peer's namespace; the test fails if it does.
__attribute__((format(printf, 2, 3))) void test_host(struct test_namespaces *n, const char *format,
                                                     ...);
__attribute__((format(printf, 2, 3))) void test_peer(struct test_namespaces *n, const char *format,
                                                     ...);

struct sluice_address test_address(const char *text);

// Moves this thread into the peer's namespace, and back to the host's.
void test_enter_peer(const struct test_namespaces *n);
void test_enter_host(const struct test_namespaces *n);

// Notes what changed in *context, a struct test_namespaces.
void test_changed(void *context, unsigned what);

// Runs the loop for a time.
void test_run_ms(struct test_namespaces *n, unsigned ms);
int64_t test_now_ms(void);

// Runs the loop until the condition holds; the test fails where it does not in ms.
#define test_wait(n, ms, condition)                                                                \
	do {                                                                                       \
		int64_t end_ = test_now_ms() + (ms);                                               \
		while (!(condition)) {                                                             \
			if (test_now_ms() > end_)                                                  \
				fail_msg("not within %d ms: %s", (int)(ms), #condition);           \
			test_run_ms((n), 5);                                                       \
		}                                                                                  \
	} while (0)
