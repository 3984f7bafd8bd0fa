// SPDX-License-Identifier: BSD-3-Clause
// Checks: can clients reach the services, the services their endpoints, and the answers the
// clients.
#include <string.h>

#include "control/ctl/doctor.h"
#include "control/ctl/text.h"

enum {
	SILENT_SINCE_START = 3, // packets that nothing ever came back for
	SILENT_NOW = 10,        // the same, between two looks
};

static const json_t *list_of(const json_t *services)
{
	return json_object_get(services, "services");
}

static bool is_seen_before(const json_t *list, size_t i)
{
	const char *ip = sluice_text_string(json_array_get(list, i), "ip");

	for (size_t k = 0; k < i; k++)
		if (strcmp(sluice_text_string(json_array_get(list, k), "ip"), ip) == 0)
			return true;
	return false;
}

void sluice_doctor_announced(struct sluice_doctor *d)
{
	const char *interface = sluice_text_string(d->status, "announce");
	bool wanted = strcmp(interface, "none") != 0;
	const json_t *list = list_of(d->services), *service;
	size_t i;

	json_array_foreach (list, i, service) {
		const char *ip = sluice_text_string(service, "ip");

		if (!json_is_false(json_object_get(service, "announced")) ||
		    is_seen_before(list, i))
			continue;
		sluice_doctor_find(d, wanted ? SLUICE_PROBLEM : SLUICE_NOTE, "virtual IP %s", ip);
		if (wanted) {
			sluice_doctor_seen(
			        d, "it is not on %s, so nothing answers ARP and ping for it",
			        interface);
			sluice_doctor_fix(d,
			                  "ip link show dev %s; announce: in sluice.yaml names an "
			                  "interface that is there, as lo",
			                  interface);
		} else {
			sluice_doctor_seen(d,
			                   "announce is none, and the address is not on this host: "
			                   "only routes can lead clients here");
			sluice_doctor_fix(
			        d,
			        "nothing where routers have such a route; else ip address "
			        "add %s dev lo, or announce: lo in sluice.yaml",
			        ip);
		}
	}
}

// What to do about the reasons that the daemon gives (control/reach.c).
static const struct {
	const char *reason, *fix; // fix: with the endpoint's address
} obstacles[] = {
        {"next hop unresolved", "ping %s from this host, and 'ip neighbour': is the server up, and "
                                "its gateway, on a network of a port?"},
        {"no route over a port", "ip route get %s: it must lead over an interface of a port"},
        {"not on a link", "forwarding: ipip or gue, as %s is behind a gateway, where l2dsr can't "
                          "send (sluice.yaml(5))"},
        {"no source address", "an address for tunnels to %s to start from, on the interface of a "
                              "port: ip address add"},
};

static const char *fix_of(const char *reason)
{
	for (size_t i = 0; i < sizeof(obstacles) / sizeof(obstacles[0]); i++)
		if (strcmp(obstacles[i].reason, reason) == 0)
			return obstacles[i].fix;
	return "journalctl -u sluiced says more of %s";
}

static void find_endpoint(struct sluice_doctor *d, enum sluice_severity severity,
                          const json_t *service, const json_t *endpoint)
{
	sluice_doctor_find(d, severity, "endpoint %s of %s/%s", sluice_text_endpoint(endpoint).text,
	                   sluice_text_string(service, "namespace"),
	                   sluice_text_string(service, "name"));
}

// It is on its way out, and may be gone before it is taken from the list.
static bool is_draining(const json_t *endpoint)
{
	return strcmp(sluice_text_string(endpoint, "state"), "draining") == 0;
}

void sluice_doctor_next_hop(struct sluice_doctor *d)
{
	const json_t *service, *endpoint;
	size_t i, k;

	json_array_foreach (list_of(d->services), i, service) {
		json_array_foreach (json_object_get(service, "endpoints"), k, endpoint) {
			const char *reason = sluice_text_string(endpoint, "reason");

			if (!json_is_false(json_object_get(endpoint, "ready")))
				continue;
			find_endpoint(d, is_draining(endpoint) ? SLUICE_NOTE : SLUICE_PROBLEM,
			              service, endpoint);
			sluice_doctor_seen(d, "%s: it gets no traffic", reason);
			sluice_doctor_fix(d, fix_of(reason), sluice_text_string(endpoint, "ip"));
		}
	}
}

static json_int_t packets(const json_t *endpoint, const char *direction)
{
	return json_integer_value(json_object_get(json_object_get(endpoint, "packets"), direction));
}

// The element of the later list at the same place; NULL where the two keys say that it is another,
// as the list changed meanwhile.
static const json_t *same_later(const json_t *list, size_t i, const json_t *before, const char *a,
                                const char *b)
{
	const json_t *then = json_array_get(list, i);

	return json_equal(json_object_get(then, a), json_object_get(before, a)) &&
	                       json_equal(json_object_get(then, b), json_object_get(before, b))
	               ? then
	               : NULL;
}

static void check_answers(struct sluice_doctor *d, const json_t *service, const json_t *before,
                          const json_t *then)
{
	json_int_t in = packets(then, "in"), out = packets(then, "out");
	bool udp = strcmp(sluice_text_string(service, "protocol"), "UDP") == 0;

	if (out > 0 || in < SILENT_SINCE_START) { // not silent from the start, but maybe now
		in -= packets(before, "in");
		out -= packets(before, "out");
		if (out > 0 || in < SILENT_NOW)
			return;
	}
	find_endpoint(d, udp ? SLUICE_NOTE : SLUICE_WARNING, service, then);
	sluice_doctor_seen(d,
	                   "%" JSON_INTEGER_FORMAT
	                   " packets went there and none came back through sluice%s",
	                   in, udp ? " (fine where nothing is answered)" : "");
	sluice_doctor_fix(
	        d, "on the server, a route to the clients over this host (its default "
	           "gateway; README, \"Your own, in five minutes\"), or forwarding: fullnat; "
	           "and that something listens there");
}

// With nat, answers carry the endpoint's address until sluice rewrites them: clients do not know
// those that come to them another way.
void sluice_doctor_return_path(struct sluice_doctor *d)
{
	const json_t *service, *endpoint;
	size_t i, k;

	json_array_foreach (list_of(d->services), i, service) {
		const json_t *later =
		        same_later(list_of(d->later), i, service, "namespace", "name");

		if (strcmp(sluice_text_string(service, "forwarding"), "nat") != 0)
			continue;
		json_array_foreach (json_object_get(service, "endpoints"), k, endpoint) {
			const json_t *then = same_later(json_object_get(later, "endpoints"), k,
			                                endpoint, "ip", "port");

			if (then != NULL)
				check_answers(d, service, endpoint, then);
		}
	}
}
