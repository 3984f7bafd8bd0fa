// SPDX-License-Identifier: BSD-3-Clause
#include "model_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/state.h"
#include "sluice/log.h"

static char directory[64];

static int setup(void **unused)
{
	(void)unused;
	strcpy(directory, "/tmp/sluice-state-XXXXXX");
	return mkdtemp(directory) ? 0 : -1;
}

static int teardown(void **unused)
{
	char command[128];

	(void)unused;
	snprintf(command, sizeof(command), "rm -r %s", directory);
	return system(command);
}

static void open_state(struct sluice_state *s, struct sluice_model *m)
{
	struct sluice_error e = {0};

	sluice_model_init(m, NULL);
	assert_int_equal(sluice_state_open(s, directory, m, &e), 0);
}

// The number in the file, as a process that starts now would find it.
static uint64_t saved_generation(void)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/state.json", directory);
	json_t *root = json_load_file(path, 0, NULL);
	uint64_t generation = (uint64_t)json_integer_value(json_object_get(root, "generation"));

	json_decref(root);
	return generation;
}

static bool has_temporary_file(void)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/state.json.new", directory);
	return access(path, F_OK) == 0;
}

static void test_the_last_save_is_what_a_killed_process_leaves(void **unused)
{
	struct sluice_state s;
	struct sluice_model m;

	(void)unused;
	open_state(&s, &m);
	for (m.generation = 1; m.generation < 10; m.generation++) {
		assert_int_equal(sluice_state_save(&s, &m), 0);
		assert_int_equal(saved_generation(), m.generation);
		if (m.generation % 3)
			continue; // the next save comes before there was time to settle
		sluice_state_settle(&s);
		assert_int_equal(saved_generation(), m.generation);
		assert_false(has_temporary_file());
	}
	assert_int_equal(sluice_state_save(&s, &m), 0);
	sluice_state_close(&s);
	assert_int_equal(saved_generation(), 10);
	assert_false(has_temporary_file());
	sluice_model_free(&m);
}

static void test_what_flows_refer_to_survives_a_restart(void **unused)
{
	struct sluice_state s;
	struct sluice_model m;
	struct sluice_error e;
	struct sluice_target t = {
	        .port = htons(8080), .protocol = IPPROTO_TCP, .family = SLUICE_IPV4};

	(void)unused;
	t.address = sluice_address_from_v4(htonl(0x0a602b72));
	open_state(&s, &m);
	assert_true(s.fresh);
	uint64_t epoch = s.epoch;

	assert_int_equal(fixture_apply(&m, SLUICE_EDIT_FILE, TOMCAT, &e), 1);
	fixture_endpoints(&m, "tomcat", "{remove: [172.17.0.5:8080], drain: [172.17.0.7:8080]}",
	                  &e);
	sluice_model_reclaim(&m, m.generation);
	struct sluice_model_endpoint before = *fixture_find(&m, "tomcat", 7);
	int id = sluice_frontends_get(&m.frontends, &t, m.services[0]->id, 0);

	assert_int_equal(sluice_state_save(&s, &m), 0);
	sluice_state_close(&s);
	sluice_model_free(&m);

	open_state(&s, &m);
	assert_false(s.fresh);
	assert_int_equal(s.epoch, epoch);
	assert_int_equal(m.generation, 2);
	struct sluice_model_endpoint *after = fixture_find(&m, "tomcat", 7);

	assert_non_null(after);
	assert_int_equal(after->slot, before.slot);
	assert_int_equal(after->generation, before.generation);
	assert_int_equal(after->since, before.since);
	assert_int_equal(after->draining_since, before.draining_since);
	assert_int_equal(after->spec.state, SLUICE_STATE_DRAINING);
	assert_int_equal(m.slots.freed.count, 1);
	assert_int_equal(sluice_frontends_get(&m.frontends, &t, m.services[0]->id, 0), id);
	assert_int_equal(fixture_apply(&m, SLUICE_EDIT_FILE, TOMCAT, &e), 0); // digest kept
	sluice_state_close(&s);
	sluice_model_free(&m);
}

// Cuts the file at every length, and changes bytes: never a crash, never half a state.
static void test_broken_file_is_kept_aside(void **unused)
{
	struct sluice_state s;
	struct sluice_model m;
	struct sluice_error e;
	char path[96], bad[128];
	char text[8192];

	(void)unused;
	sluice_log_set_level(0);
	open_state(&s, &m);
	fixture_apply(&m, SLUICE_EDIT_APPLY, TOMCAT, &e);
	assert_int_equal(sluice_state_save(&s, &m), 0);
	sluice_state_close(&s);
	sluice_model_free(&m);
	snprintf(path, sizeof(path), "%s/state.json", directory);
	snprintf(bad, sizeof(bad), "%s.bad", path);
	FILE *f = fopen(path, "r");
	size_t len = fread(text, 1, sizeof(text), f);

	fclose(f);
	for (size_t cut = 0; cut + 2 < len; cut += 7) {
		f = fopen(path, "w");
		fwrite(text, 1, cut, f);
		fclose(f);
		open_state(&s, &m);
		assert_true(s.fresh);
		assert_int_equal(m.service_count, 0);
		assert_int_equal(access(bad, F_OK), 0);
		sluice_state_close(&s);
		sluice_model_free(&m);
	}
	for (size_t i = 0; i < len; i += 5) {
		f = fopen(path, "w");
		fwrite(text, 1, i, f);
		fputc(text[i] == '1' ? '2' : '1', f);
		fwrite(text + i + 1, 1, len - i - 1, f);
		fclose(f);
		open_state(&s, &m); // usable or not, but whole
		assert_int_equal(m.service_count, s.fresh ? 0 : 1);
		sluice_state_close(&s);
		sluice_model_free(&m);
	}
}

// Replaces the first from by to, in the saved state.
static void edit_file(const char *from, const char *to)
{
	char path[96], text[32768];

	snprintf(path, sizeof(path), "%s/state.json", directory);
	FILE *f = fopen(path, "r");

	assert_non_null(f);
	text[fread(text, 1, sizeof(text) - 1, f)] = '\0';
	fclose(f);
	char *at = strstr(text, from);

	assert_non_null(at);
	f = fopen(path, "w");
	fprintf(f, "%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
	fclose(f);
}

// What the model would refuse of people it does not take from its file.
static void test_endpoints_that_cannot_be_are_refused(void **unused)
{
	static const struct {
		const char *from, *to;
	} rows[] = {
	        {"\"172.17.0.251\"", "\"fd00::251\""}, // last in the order, of another family
	        {"\"tableSize\":65537", "\"tableSize\":251"}, // 251 rows, 252 endpoints
	};
	char text[8192];
	size_t len = (size_t)snprintf(text, sizeof(text),
	                              "name: a\nip: 10.0.0.1\nport: 8080\n"
	                              "endpoints: [172.17.0.0:8080");

	(void)unused;
	sluice_log_set_level(0);
	for (int i = 1; i < 252; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, ", 172.17.0.%d:8080", i);
	snprintf(text + len, sizeof(text) - len, "]\n");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct sluice_state s;
		struct sluice_model m;
		struct sluice_error e;

		open_state(&s, &m);
		assert_int_equal(fixture_apply(&m, SLUICE_EDIT_APPLY, text, &e), 1);
		assert_int_equal(sluice_state_save(&s, &m), 0);
		sluice_state_close(&s);
		sluice_model_free(&m);
		edit_file(rows[i].from, rows[i].to);
		open_state(&s, &m);
		assert_true(s.fresh);
		assert_int_equal(m.service_count, 0);
		sluice_state_close(&s);
		sluice_model_free(&m);
	}
}

static void test_tunnels_and_their_endpoints_of_both_families_come_back(void **unused)
{
	const struct sluice_model_service *web;
	struct sluice_state s;
	struct sluice_model m;
	struct sluice_error e;

	(void)unused;
	open_state(&s, &m);
	assert_int_equal(fixture_apply(&m, SLUICE_EDIT_APPLY,
	                               "{name: web, ip: 10.0.0.1, port: 80, forwarding: gue, "
	                               "endpoints: ['172.17.0.5:80', '[fd00::5]:80']}\n",
	                               &e),
	                 1);
	assert_int_equal(sluice_state_save(&s, &m), 0);
	sluice_state_close(&s);
	sluice_model_free(&m);
	open_state(&s, &m);
	assert_false(s.fresh);
	web = sluice_model_find(&m, "default", "web");
	assert_non_null(web);
	assert_int_equal(web->spec.forwarding, SLUICE_FORWARD_GUE);
	assert_int_equal(web->endpoint_count, 2);
	sluice_state_close(&s);
	sluice_model_free(&m);
}

static void test_directory_belongs_to_one_process(void **unused)
{
	struct sluice_state s, other;
	struct sluice_model m, second;
	struct sluice_error e = {0};
	struct stat st;
	char path[96];

	(void)unused;
	open_state(&s, &m);
	sluice_model_init(&second, NULL);
	assert_int_equal(sluice_state_open(&other, directory, &second, &e), -EBUSY);
	snprintf(path, sizeof(path), "%s/state.json", directory);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	// What cannot be saved is said, and forgotten when it can be again.
	snprintf(path, sizeof(path), "%s/state.json.new", directory);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_true(sluice_state_save(&s, &m) < 0);
	assert_false(s.saved);
	assert_true(strlen(s.reason) > 0);
	assert_int_equal(rmdir(path), 0);
	assert_int_equal(sluice_state_save(&s, &m), 0);
	assert_true(s.saved);
	sluice_state_close(&s);
	sluice_model_free(&m);
	sluice_model_free(&second);
}

// Closes the state, and opens it as the next start would, with these SNAT addresses. Returns what
// that start says of the services.
static int restart(struct sluice_state *s, struct sluice_model *m,
                   const struct sluice_snat_pool *snat, struct sluice_error *e)
{
	assert_int_equal(sluice_state_save(s, m), 0);
	sluice_state_close(s);
	sluice_model_free(m);
	open_state(s, m);
	assert_false(s->fresh);
	m->snat = snat;
	*e = (struct sluice_error){0};
	return sluice_model_settle(m, e);
}

// Who did not say how he is forwarded follows the configuration from start to start, though what
// the file says of him is as it was.
static void test_forwarding_that_nobody_chose_follows_the_configuration(void **unused)
{
	static const char text[] = "- {name: a, ip: 10.0.0.1, port: 80}\n"
	                           "- {name: b, ip: 10.0.0.2, port: 80, forwarding: nat}\n";
	struct sluice_state s;
	struct sluice_model m;
	struct sluice_error e;

	(void)unused;
	open_state(&s, &m);
	assert_int_equal(fixture_apply(&m, SLUICE_EDIT_FILE, text, &e), 1);
	for (int i = 0; i < 4; i++) {
		const struct sluice_snat_pool *snat = i % 2 ? NULL : fixture_snat();

		assert_int_equal(restart(&s, &m, snat, &e), 0);
		assert_int_equal(fixture_apply(&m, SLUICE_EDIT_FILE, text, &e), 0);
		assert_int_equal(m.services[0]->spec.forwarding,
		                 snat ? SLUICE_FORWARD_FULLNAT : SLUICE_FORWARD_NAT);
		assert_int_equal(m.services[1]->spec.forwarding, SLUICE_FORWARD_NAT);
	}
	sluice_state_close(&s);
	sluice_model_free(&m);
}

// A start without the addresses that saved services need is refused, not made something else of.
static void test_forwarding_that_was_chosen_needs_its_addresses_still(void **unused)
{
	struct sluice_state s;
	struct sluice_model m;
	struct sluice_error e;

	(void)unused;
	open_state(&s, &m);
	m.snat = fixture_snat();
	assert_int_equal(fixture_apply(&m, SLUICE_EDIT_APPLY,
	                               "{name: a, ip: 10.0.0.1, port: 80, forwarding: fullnat}",
	                               &e),
	                 1);
	assert_true(restart(&s, &m, NULL, &e) < 0);
	assert_non_null(strstr(e.message, "service default/a of the saved state: fullnat needs"));
	assert_int_equal(restart(&s, &m, fixture_snat(), &e), 0);
	assert_int_equal(m.services[0]->spec.forwarding, SLUICE_FORWARD_FULLNAT);
	sluice_state_close(&s);
	sluice_model_free(&m);
}

int main(void)
{
#define ROW(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
	        ROW(test_the_last_save_is_what_a_killed_process_leaves),
	        ROW(test_what_flows_refer_to_survives_a_restart),
	        ROW(test_broken_file_is_kept_aside),
	        ROW(test_endpoints_that_cannot_be_are_refused),
	        ROW(test_tunnels_and_their_endpoints_of_both_families_come_back),
	        ROW(test_forwarding_that_nobody_chose_follows_the_configuration),
	        ROW(test_forwarding_that_was_chosen_needs_its_addresses_still),
	        ROW(test_directory_belongs_to_one_process),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
