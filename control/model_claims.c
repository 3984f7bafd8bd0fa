// SPDX-License-Identifier: BSD-3-Clause
// Addresses and ports that only one service can have.
#include <stdlib.h>
#include <string.h>

#include "control/address.h"
#include "control/model_internal.h"

// A place that only one service can have. A node port is one in each family: IPv4 and IPv6 have
// host addresses of their own.
struct claim {
	struct sluice_target target; // node port: address zero
	const struct sluice_service_spec *by;
};

static int claim_compare(const void *a, const void *b)
{
	return memcmp(&((const struct claim *)a)->target, &((const struct claim *)b)->target,
	              sizeof(struct sluice_target));
}

static size_t claim_add(struct claim *claims, size_t n, const struct sluice_service_spec *s)
{
	claims[n++] = (struct claim){
	        .target = {.address = s->address, .port = s->port, .protocol = s->protocol},
	        .by = s,
	};
	if (s->node_port)
		claims[n++] = (struct claim){
		        .target = {.port = s->node_port,
		                   .protocol = s->protocol,
		                   .family = (uint8_t)sluice_address_family(&s->address)},
		        .by = s,
		};
	return n;
}

static int refuse_claim(struct sluice_planner *w, const struct claim *a, const struct claim *b)
{
	static const struct sluice_address none;
	bool node = sluice_address_equal(&a->target.address, &none);
	const struct sluice_planned *p = sluice_plan_find(w->plan, a->by);
	const struct sluice_service_spec *other = b->by;
	char text[SLUICE_ENDPOINT_TEXT];

	if (!p || &p->draft->spec != a->by) { // the one that is there already is the other one
		p = sluice_plan_find(w->plan, b->by);
		other = a->by;
	}
	if (node)
		return sluice_planner_refuse(
		        w, p, "nodePort", 422, "conflict",
		        "node port %u/%s is taken by service %s/%s", a->target.port,
		        sluice_protocol_name(a->target.protocol), other->namespace_, other->name);
	sluice_endpoint_format(&a->target.address, a->target.port, text);
	return sluice_planner_refuse(
	        w, p, "port", 422, "conflict", "%s/%s is taken by service %s/%s", text,
	        sluice_protocol_name(a->target.protocol), other->namespace_, other->name);
}

int sluice_planner_claims(struct sluice_planner *w)
{
	const struct sluice_model_plan *plan = w->plan;
	struct claim *claims = calloc(2 * plan->after_count + 1, sizeof(*claims));
	size_t n = 0;
	int r = 0;

	if (!claims)
		return sluice_planner_no_memory(w->e);
	for (size_t i = 0; i < plan->after_count; i++) {
		const struct sluice_planned *p = sluice_plan_find(plan, &plan->after[i]->spec);

		n = claim_add(claims, n, p && p->draft ? &p->draft->spec : &plan->after[i]->spec);
	}
	qsort(claims, n, sizeof(*claims), claim_compare);
	for (size_t i = 1; i < n && !r; i++) {
		if (claim_compare(&claims[i - 1], &claims[i]) == 0)
			r = refuse_claim(w, &claims[i - 1], &claims[i]);
	}
	free(claims);
	return r;
}
