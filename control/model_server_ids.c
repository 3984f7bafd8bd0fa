// SPDX-License-Identifier: BSD-3-Clause
// Server ids that two endpoints of a service share. It is refused, as whoever gave one of them
// another id would have to tell the endpoint, and would break the connections that have it.
#include <stdlib.h>
#include <string.h>

#include "control/address.h"
#include "control/model_internal.h"
#include "control/server_id.h"

struct named {
	uint8_t id[SLUICE_SERVER_ID_MAX];
	const struct sluice_endpoint_spec *endpoint;
};

static int compare(const void *a, const void *b)
{
	const struct named *x = a, *y = b;
	int order = memcmp(x->id, y->id, sizeof(x->id));

	return order ? order : sluice_endpoint_spec_compare(x->endpoint, y->endpoint);
}

static int refuse(struct sluice_planner *w, const struct sluice_planned *p, const struct named *a,
                  const struct named *b)
{
	const struct sluice_endpoint_spec *x = a->endpoint, *y = b->endpoint;
	unsigned length = p->draft->spec.server_id_length;
	char first[SLUICE_ENDPOINT_TEXT], second[SLUICE_ENDPOINT_TEXT], id[SLUICE_SERVER_ID_TEXT];

	return sluice_planner_refuse(
	        w, p, "quic.serverIdLength", 422, "server_id_taken",
	        "%s and %s have the same server id %s: a longer serverIdLength tells them apart",
	        sluice_endpoint_format(&x->address, x->port, first),
	        sluice_endpoint_format(&y->address, y->port, second),
	        sluice_server_id_format(&x->address, x->port, length, id));
}

int sluice_planner_server_ids(struct sluice_planner *w, const struct sluice_planned *p)
{
	const struct sluice_model_service *s = p->draft;
	size_t n = s->endpoint_count;
	struct named *all;
	int r = 0;

	if (!s->spec.server_id_length || n < 2)
		return 0;
	all = calloc(n, sizeof(*all));
	if (!all)
		return sluice_planner_no_memory(w->e);
	for (size_t i = 0; i < n; i++) {
		const struct sluice_endpoint_spec *e = &s->endpoints[i].spec;

		all[i].endpoint = e;
		sluice_server_id(&e->address, e->port, s->spec.server_id_length, all[i].id);
	}
	qsort(all, n, sizeof(*all), compare);
	for (size_t i = 1; !r && i < n; i++) {
		if (memcmp(all[i - 1].id, all[i].id, sizeof(all[i].id)) == 0)
			r = refuse(w, p, &all[i - 1], &all[i]);
	}
	free(all);
	return r;
}
