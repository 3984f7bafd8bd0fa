// SPDX-License-Identifier: BSD-3-Clause

// The log says when links come and go, once each.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "control/link_watch.h"
#include "tests/packet/log_capture.h"

static struct sluice_port_link said;

static bool port_link(void *context, size_t port, struct sluice_port_link *out)
{
	(void)context;
	(void)port;
	*out = said;
	return true;
}

static const struct sluice_stats_source source = {
        .port_count = 1,
        .ports = {{.name = "bond0"}},
        .port_link = port_link,
};

static bool logs(struct sluice_link_watch *w, const char *line)
{
	log_capture_clear();
	sluice_link_watch_look(w, &source);
	return log_capture_has(line);
}

static int setup(void **unused)
{
	(void)unused;
	said = (struct sluice_port_link){
	        .up = true, .member_count = 2, .members = {{"a", true}, {"b", true}}};
	return 0;
}

static void test_each_change_once(void **unused)
{
	struct sluice_link_watch w = {0};

	(void)unused;
	assert_false(logs(&w, "bond0"));
	said.members[1].up = false;
	assert_true(logs(&w, "port bond0, member b: no link"));
	assert_false(logs(&w, "bond0"));
	said.up = said.members[0].up = false;
	assert_true(logs(&w, "port bond0: no link"));
	assert_true(log_capture_has("port bond0, member a: no link"));
	assert_false(log_capture_has("member b"));
	said.up = said.members[1].up = true;
	assert_true(logs(&w, "port bond0: the link is up"));
	assert_true(log_capture_has("port bond0, member b: the link is up"));
	assert_false(log_capture_has("member a"));
}

static void test_down_at_first(void **unused)
{
	struct sluice_link_watch w = {0};

	(void)unused;
	said.members[0].up = false;
	assert_true(logs(&w, "port bond0, member a: no link"));
	assert_false(log_capture_has("bond0:"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup(test_each_change_once, setup),
	        cmocka_unit_test_setup(test_down_at_first, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
