// SPDX-License-Identifier: BSD-3-Clause
#include "control/ctl/doctor.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "control/ctl/client.h"
#include "control/ctl/ctl.h"
#include "control/ctl/output.h"
#include "control/ctl/text.h"

enum {
	SAMPLE_SECONDS = 1, // between the two looks at the services' traffic
};

// What a check can't do without.
enum needs {
	NOTHING, // but the host
	PORTS,   // the daemon or its configuration
	DAEMON,
};

// In the order in which they are made.
static const struct {
	const char *name;
	sluice_doctor_check *run;
	enum needs needs;
} checks[] = {
        {"ready", sluice_doctor_readiness, DAEMON},
        {"interface", sluice_doctor_interfaces, PORTS},
        {"hugepages", sluice_doctor_hugepages, NOTHING},
        {"node", sluice_doctor_node, PORTS},
        {"iommu", sluice_doctor_iommu, PORTS},
        {"driver", sluice_doctor_driver, PORTS},
        {"members", sluice_doctor_members, DAEMON},
        {"queues", sluice_doctor_queues, PORTS},
        {"cores", sluice_doctor_shared_cores, PORTS},
        {"isolation", sluice_doctor_isolation, PORTS},
        {"copy-mode", sluice_doctor_copy_mode, DAEMON},
        {"checksums", sluice_doctor_checksums, PORTS},
        {"rp-filter", sluice_doctor_rp_filter, PORTS},
        {"announce", sluice_doctor_announced, DAEMON},
        {"next-hop", sluice_doctor_next_hop, DAEMON},
        {"return-path", sluice_doctor_return_path, DAEMON},
};

enum {
	CHECKS = sizeof(checks) / sizeof(checks[0]),
};

static const char *const severities[SLUICE_SEVERITIES] = {
        [SLUICE_PROBLEM] = "problem",
        [SLUICE_WARNING] = "warning",
        [SLUICE_NOTE] = "note",
        [SLUICE_SKIPPED] = "skipped",
};

// ---- findings

static void set_text(struct sluice_doctor *d, const char *key, const char *format, va_list list)
{
	json_t *last = json_array_get(d->findings, json_array_size(d->findings) - 1);
	json_t *value;
	char *text;

	if (vasprintf(&text, format, list) < 0)
		abort();         // out of memory
	sluice_text_clean(text); // a name may hold anything
	value = json_string(text);
	json_object_set_new(last, key, value != NULL ? value : json_string("?"));
	free(text);
}

void sluice_doctor_find(struct sluice_doctor *d, enum sluice_severity severity, const char *format,
                        ...)
{
	va_list list;

	json_array_append_new(d->findings, json_pack("{s:s, s:s}", "check", d->check, "severity",
	                                             severities[severity]));
	va_start(list, format);
	set_text(d, "subject", format, list);
	va_end(list);
}

void sluice_doctor_seen(struct sluice_doctor *d, const char *format, ...)
{
	va_list list;

	va_start(list, format);
	set_text(d, "seen", format, list);
	va_end(list);
}

void sluice_doctor_fix(struct sluice_doctor *d, const char *format, ...)
{
	va_list list;

	va_start(list, format);
	set_text(d, "fix", format, list);
	va_end(list);
}

static size_t count(const struct sluice_doctor *d, enum sluice_severity severity)
{
	const json_t *finding;
	size_t i, n = 0;

	json_array_foreach (d->findings, i, finding) {
		const char *of = json_string_value(json_object_get(finding, "severity"));

		n += strcmp(of, severities[severity]) == 0;
	}
	return n;
}

// ---- facts

static bool has_traffic(const json_t *services)
{
	const json_t *service;
	size_t i;

	json_array_foreach (json_object_get(services, "services"), i, service) {
		const json_t *packets = json_object_get(service, "packets");

		if (json_integer_value(json_object_get(packets, "in")) > 0)
			return true;
	}
	return false;
}

static enum sluice_ctl_exit get(struct sluice_ctl *ctl, const char *path, json_t **out)
{
	struct sluice_answer answer;
	enum sluice_ctl_exit result = sluice_client_call(ctl->client, "GET", path, NULL, &answer);

	if (result == SLUICE_CTL_DONE)
		*out = json_incref(answer.json);
	sluice_answer_clear(&answer);
	return result;
}

static enum sluice_ctl_exit ask_daemon(struct sluice_ctl *ctl, struct sluice_doctor *d)
{
	enum sluice_ctl_exit result = get(ctl, "/v1/status", &d->status);

	if (result == SLUICE_CTL_DONE)
		result = get(ctl, "/v1/services", &d->services);
	if (result == SLUICE_CTL_DONE && has_traffic(d->services)) {
		nanosleep(&(struct timespec){.tv_sec = SAMPLE_SECONDS}, NULL);
		result = get(ctl, "/v1/services", &d->later);
	}
	return result;
}

// ---- checks

static void make_checks(struct sluice_doctor *d, enum needs known)
{
	for (size_t i = 0; i < CHECKS; i++) {
		d->check = checks[i].name;
		if (checks[i].needs <= known)
			checks[i].run(d);
	}
}

// One finding for all checks that could not be made for want of the same.
static void say_not_made(struct sluice_doctor *d, enum needs needs, const char *seen,
                         const char *fix)
{
	char names[SLUICE_HOST_TEXT];
	size_t used = 0;

	for (size_t i = 0; i < CHECKS; i++)
		if (checks[i].needs == needs && used < sizeof(names))
			used += (size_t)snprintf(names + used, sizeof(names) - used, "%s%s",
			                         used > 0 ? ", " : "", checks[i].name);
	d->check = names;
	sluice_doctor_find(d, SLUICE_SKIPPED, "sluiced");
	sluice_doctor_seen(d, "%s", seen);
	sluice_doctor_fix(d, "%s", fix);
}

// "problem: sluiced: not ready: port eth1 is down [ready]", and the fix below it.
static void print_findings(const struct sluice_doctor *d, enum sluice_severity severity)
{
	const json_t *finding;
	size_t i;

	json_array_foreach (d->findings, i, finding) {
		const char *check, *of, *subject, *seen, *fix;

		json_unpack((json_t *)finding, "{s:s, s:s, s:s, s:s, s:s}", "check", &check,
		            "severity", &of, "subject", &subject, "seen", &seen, "fix", &fix);
		if (strcmp(of, severities[severity]) == 0)
			printf("%s: %s: %s [%s]\n    fix: %s\n", of, subject, seen, check, fix);
	}
}

static void print_all(const struct sluice_doctor *d)
{
	const char *separator = ": ";

	for (int s = 0; s < SLUICE_SEVERITIES; s++)
		print_findings(d, s);
	printf("%d checks", CHECKS);
	for (int s = 0; s < SLUICE_SEVERITIES; s++) {
		size_t n = count(d, s);

		if (n == 0)
			continue;
		printf("%s%zu %s%s", separator, n, severities[s],
		       n > 1 && s != SLUICE_SKIPPED ? "s" : "");
		separator = ", ";
	}
	puts(json_array_size(d->findings) == 0 ? ", nothing found" : "");
}

enum sluice_ctl_exit sluice_ctl_doctor(struct sluice_ctl *ctl, int argc, char **argv)
{
	struct sluice_doctor d = {.findings = json_array()};
	enum sluice_ctl_exit asked = ask_daemon(ctl, &d), result = SLUICE_CTL_DONE;
	enum needs known = DAEMON;

	(void)argc;
	(void)argv;
	d.running = asked == SLUICE_CTL_DONE;
	if (!d.running)
		known = sluice_doctor_read_config(&d) ? PORTS : NOTHING;
	make_checks(&d, known);
	if (known < PORTS)
		say_not_made(
		        &d, PORTS,
		        "it does not answer, and no configuration that can be read says what it "
		        "is to do",
		        "/etc/sluice/sluice.yaml (README, \"Your own, in five minutes\")");
	if (known < DAEMON)
		say_not_made(&d, DAEMON, "it does not answer",
		             "sluiced --check; systemctl status sluiced");
	if (ctl->output == SLUICE_CTL_TABLE)
		print_all(&d);
	else
		result = sluice_output_value(ctl, d.findings);
	if (result == SLUICE_CTL_DONE)
		result = asked;
	if (result == SLUICE_CTL_DONE && count(&d, SLUICE_PROBLEM) + count(&d, SLUICE_WARNING) > 0)
		result = SLUICE_CTL_REFUSED;
	json_decref(d.findings);
	json_decref(d.status);
	json_decref(d.services);
	json_decref(d.later);
	return result;
}
