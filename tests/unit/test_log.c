// SPDX-License-Identifier: BSD-3-Clause

// What is written to stderr: one line, one write, in the shape its reader expects.
#include "sluice/log.h"

#include <errno.h>
#include <regex.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static int saved_stderr;
static int reader;

// A datagram socket keeps the boundaries of writes.
static int redirect(void **state)
{
	int pair[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair), 0);
	saved_stderr = dup(STDERR_FILENO);
	dup2(pair[1], STDERR_FILENO);
	close(pair[1]);
	reader = pair[0];
	unsetenv("JOURNAL_STREAM");
	sluice_log_set_level(SLUICE_LOG_INFO);
	return 0;
}

static int restore(void **state)
{
	(void)state;
	dup2(saved_stderr, STDERR_FILENO);
	close(saved_stderr);
	close(reader);
	return 0;
}

static const char *written(void)
{
	static char line[8192];
	ssize_t n = recv(reader, line, sizeof(line) - 1, MSG_DONTWAIT);

	line[n < 0 ? 0 : n] = '\0';
	return line;
}

static void test_time_stamp_and_level(void **state)
{
	regex_t expected;

	(void)state;
	assert_int_equal(
	        regcomp(&expected,
	                "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{3}Z "
	                "warning: port 7 is \"eth1\"\n$",
	                REG_EXTENDED | REG_NOSUB),
	        0);
	log_warning("port %d is \"%s\"", 7, "eth1");
	assert_int_equal(regexec(&expected, written(), 0, NULL, 0), 0);
	assert_string_equal(written(), ""); // it was one write
	regfree(&expected);
}

static void test_journal_gets_a_priority(void **state)
{
	char stream[64];
	struct stat st;

	(void)state;
	assert_int_equal(fstat(STDERR_FILENO, &st), 0);
	snprintf(stream, sizeof(stream), "%lu:%lu", (unsigned long)st.st_dev,
	         (unsigned long)st.st_ino);
	setenv("JOURNAL_STREAM", stream, 1);
	log_error("gone");
	assert_string_equal(written(), "<3>gone\n");
	// Inherited from a unit whose stderr is not ours any more.
	snprintf(stream, sizeof(stream), "%lu:%lu", (unsigned long)st.st_dev,
	         (unsigned long)st.st_ino + 1);
	setenv("JOURNAL_STREAM", stream, 1);
	log_error("gone");
	assert_non_null(strstr(written(), "Z error: gone\n"));
	setenv("JOURNAL_STREAM", "nonsense", 1);
	log_error("gone");
	assert_non_null(strstr(written(), "Z error: gone\n"));
}

static void test_level_drops_lines(void **state)
{
	(void)state;
	log_debug("nothing");
	assert_string_equal(written(), "");
	sluice_log_set_level(SLUICE_LOG_DEBUG);
	log_debug("something");
	assert_non_null(strstr(written(), "debug: something"));
	sluice_log_set_level(SLUICE_LOG_ERROR);
	log_warning("nothing");
	assert_string_equal(written(), "");
}

static void test_level_names(void **state)
{
	(void)state;
	assert_int_equal(sluice_log_level_parse("error"), SLUICE_LOG_ERROR);
	assert_int_equal(sluice_log_level_parse("warning"), SLUICE_LOG_WARNING);
	assert_int_equal(sluice_log_level_parse("notice"), SLUICE_LOG_NOTICE);
	assert_int_equal(sluice_log_level_parse("info"), SLUICE_LOG_INFO);
	assert_int_equal(sluice_log_level_parse("debug"), SLUICE_LOG_DEBUG);
	assert_int_equal(sluice_log_level_parse("INFO"), -EINVAL);
	assert_int_equal(sluice_log_level_parse(""), -EINVAL);
}

static void test_a_line_is_a_line(void **state)
{
	char text[5000];
	const char *line;

	(void)state;
	log_info("first\nsecond\r\n<0>third");
	assert_non_null(strstr(written(), "first second  <0>third\n"));
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	log_info("%s", text);
	line = written();
	assert_int_equal(strlen(line), 2047);
	assert_string_equal(line + strlen(line) - 5, "x...\n");
}

static void test_errno_stays(void **state)
{
	(void)state;
	errno = EXDEV;
	log_info("%s", strerror(errno));
	assert_int_equal(errno, EXDEV);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, redirect, restore)
	const struct CMUnitTest tests[] = {
	        TEST(test_time_stamp_and_level), TEST(test_journal_gets_a_priority),
	        TEST(test_level_drops_lines),    TEST(test_level_names),
	        TEST(test_a_line_is_a_line),     TEST(test_errno_stays),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
