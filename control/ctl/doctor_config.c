// SPDX-License-Identifier: BSD-3-Clause
// What the daemon would say of itself, out of its configuration: for when it does not start.
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "control/config.h"
#include "control/ctl/doctor.h"

static json_t *port_of(const struct sluice_config_port *p)
{
	const char *interface = p->kind == SLUICE_PORT_AF_XDP ? p->argument : p->interface;

	return json_pack("{s:s, s:s, s:i, s:s*}", "name", p->argument, "device", p->device,
	                 "queues", (int)p->queues, "interface", interface);
}

static json_t *status_of(const struct sluice_config *c)
{
	json_t *ports = json_array(), *workers = json_array();

	for (size_t i = 0; i < c->port_count; i++)
		json_array_append_new(ports, port_of(&c->ports[i]));
	for (size_t i = 0; i < c->workers.core_count; i++)
		json_array_append_new(workers, json_pack("{s:i, s:i}", "id", (int)i, "core",
		                                         (int)c->workers.cores[i]));
	return json_pack("{s:o, s:o, s:{s:i}, s:{s:I}, s:{s:b}}", "ports", ports, "workers",
	                 workers, "cores", "configured", (int)c->workers.core_count, "flows",
	                 "capacity", (json_int_t)c->flows.capacity, "memory", "required",
	                 c->memory.hugepages == SLUICE_HUGEPAGES_REQUIRE);
}

static void say_unreadable(struct sluice_doctor *d)
{
	d->check = "configuration";
	sluice_doctor_find(d, SLUICE_SKIPPED, "configuration");
	sluice_doctor_seen(d, "%s can't be read: %s", SLUICE_CONFIG_PATH, strerror(EACCES));
	sluice_doctor_fix(d, "sluicectl doctor as root");
}

bool sluice_doctor_read_config(struct sluice_doctor *d)
{
	struct sluice_error e = {0};
	struct sluice_config config;
	char path[SLUICE_HOST_PATH], text[1024];

	sluice_host_path(path, "%s", SLUICE_CONFIG_PATH);
	if (access(path, R_OK) != 0) {
		if (errno == EACCES)
			say_unreadable(d);
		return false;
	}
	if (sluice_config_load(path, &config, &e) == 0) {
		json_decref(d->status); // of a daemon that answered this and nothing more
		d->status = status_of(&config);
		sluice_config_clear(&config);
		return true;
	}
	d->check = "configuration";
	sluice_doctor_find(d, SLUICE_PROBLEM, "configuration");
	sluice_doctor_seen(d, "%s", sluice_error_format(&e, text, sizeof(text)));
	sluice_doctor_fix(d, "mend %s until 'sluiced --check' is content (sluice.yaml(5))",
	                  SLUICE_CONFIG_PATH);
	return false;
}
