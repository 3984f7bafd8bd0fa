// SPDX-License-Identifier: BSD-3-Clause
#include "control/compile.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>

#include "control/maglev_table.h"
#include "control/reach.h"
#include "control/server_id.h"
#include "dataplane/checksum.h"
#include "dataplane/hash.h"
#include "dataplane/port.h"
#include "dataplane/quic.h"
#include "dataplane/snat_table.h"
#include "dataplane/target_table.h"

// One frontend of one service, while compiling.
struct placed_frontend {
	struct sluice_target target;
	uint16_t id;
	uint16_t service; // index
	bool node_port;
};

struct candidate {
	struct sluice_target endpoint;
	struct sluice_return_candidate is;
};

struct compiler {
	const struct sluice_compile_input *in;
	struct sluice_compiled *out;
	struct sluice_endpoint *endpoints;
	struct sluice_service *services;
	size_t address_count, address_capacity;
	struct sluice_address *addresses; // the host's own
	size_t node_address_count;
	struct sluice_address *node_addresses; // those of them that node ports are on
	size_t frontend_count, frontend_capacity;
	struct placed_frontend *frontends; // of a service together, VIP first
	struct sluice_maglev_endpoint *selectable;
	struct sluice_vlans *vlans; // by port
	struct sluice_reacher reacher;
	uint64_t now_ms;
	int error; // of a visit
};

// Zeroed memory that lives as long as the snapshot, aligned for it.
static void *block(struct compiler *c, size_t count, size_t size)
{
	struct sluice_compiled *out = c->out;
	size_t bytes = (count * size + 63) & ~(size_t)63;
	void **blocks = realloc(out->blocks, (out->block_count + 1) * sizeof(*blocks));
	void *p;

	if (!blocks)
		return NULL;
	out->blocks = blocks;
	p = aligned_alloc(64, bytes ? bytes : 64);
	if (!p)
		return NULL;
	memset(p, 0, bytes);
	out->blocks[out->block_count++] = p;
	return p;
}

// Hands a table made elsewhere to the snapshot.
static int own(struct compiler *c, void *p)
{
	void **blocks = realloc(c->out->blocks, (c->out->block_count + 1) * sizeof(*blocks));

	if (!blocks) {
		free(p);
		return -ENOMEM;
	}
	c->out->blocks = blocks;
	c->out->blocks[c->out->block_count++] = p;
	return 0;
}

static uint16_t address_sum(const struct sluice_address *a)
{
	unsigned size;
	const uint8_t *wire = sluice_address_wire(a, &size);

	return sluice_sum_bytes(wire, size);
}

static struct sluice_target target_of(const struct sluice_address *a, uint16_t port,
                                      uint8_t protocol)
{
	return (struct sluice_target){
	        .address = *a,
	        .port = htons(port),
	        .protocol = protocol,
	        .family = (uint8_t)sluice_address_family(a),
	};
}

// ---- the host's addresses

static void collect_address(void *context, const struct sluice_kernel_address *a)
{
	struct compiler *c = context;
	const struct sluice_kernel_link *link = sluice_kernel_link_find(c->in->kernel, a->ifindex);

	if (a->announced)
		return; // a virtual address, not the host's own
	if (c->address_count == c->address_capacity) {
		size_t capacity = c->address_capacity ? 2 * c->address_capacity : 32;
		void *all = realloc(c->addresses, capacity * sizeof(*c->addresses));
		void *node = NULL;

		if (all) {
			c->addresses = all;
			node = realloc(c->node_addresses, capacity * sizeof(*c->node_addresses));
		}
		if (!node) {
			c->error = -ENOMEM;
			return;
		}
		c->node_addresses = node;
		c->address_capacity = capacity;
	}
	c->addresses[c->address_count++] = a->address;
	if (a->scope == RT_SCOPE_UNIVERSE && !a->tentative && link && !link->loopback)
		c->node_addresses[c->node_address_count++] = a->address;
}

// ---- frontends

static int place_frontend(struct compiler *c, const struct sluice_model_service *s, uint16_t index,
                          const struct sluice_address *address, uint16_t port, bool node_port)
{
	struct placed_frontend f = {
	        .target = target_of(address, port, s->spec.protocol),
	        .service = index,
	        .node_port = node_port,
	};
	int id = sluice_frontends_get(&c->in->model->frontends, &f.target, s->id, c->now_ms);

	if (id < 0)
		return id;
	f.id = (uint16_t)id;
	if (c->frontend_count == c->frontend_capacity) {
		size_t capacity = c->frontend_capacity ? 2 * c->frontend_capacity : 64;
		void *grown = realloc(c->frontends, capacity * sizeof(*c->frontends));

		if (!grown)
			return -ENOMEM;
		c->frontends = grown;
		c->frontend_capacity = capacity;
	}
	c->frontends[c->frontend_count++] = f;
	return 0;
}

static int place_frontends(struct compiler *c, const struct sluice_model_service *s, uint16_t index)
{
	int error = place_frontend(c, s, index, &s->spec.address, s->spec.port, false);

	for (size_t i = 0; !error && s->spec.node_port && i < c->node_address_count; i++) {
		const struct sluice_address *a = &c->node_addresses[i];

		if (sluice_address_family(a) == sluice_address_family(&s->spec.address))
			error = place_frontend(c, s, index, a, s->spec.node_port, true);
	}
	return error;
}

// Later fragments are known by the address alone. One may be virtual and the host's own.
static void set_address(struct sluice_target_table *table, const struct placed_frontend *f)
{
	struct sluice_target alone = target_of(&f->target.address, 0, 0);

	if (!f->node_port)
		sluice_target_table_set(table, &alone, SLUICE_ADDRESS_VIRTUAL);
	else if (sluice_target_table_get(table, sluice_target_view(&alone), alone.family) ==
	         SLUICE_TARGET_NONE)
		sluice_target_table_set(table, &alone, SLUICE_ADDRESS_NODE);
}

// The frontends by id, and the table that finds them.
static int compile_frontends(struct compiler *c)
{
	struct sluice_snapshot *s = &c->out->snapshot;
	uint32_t count = c->in->model->frontends.high;
	struct sluice_frontend *frontends = block(c, count, sizeof(*frontends));
	struct sluice_target_table *table = sluice_target_table_new(2 * c->frontend_count + 1);

	if (!frontends || !table || own(c, table) != 0)
		return -ENOMEM;
	for (size_t i = 0; i < c->frontend_count; i++) {
		const struct placed_frontend *p = &c->frontends[i];
		struct sluice_frontend *f = &frontends[p->id];

		f->target = p->target;
		f->service = p->service;
		f->address_sum = address_sum(&p->target.address);
		f->transport_sum = sluice_sum_add(f->address_sum, p->target.port);
		f->forwarding = (uint8_t)c->in->model->services[p->service]->spec.forwarding;
		f->server_id_length = c->in->model->services[p->service]->spec.server_id_length;
		sluice_target_table_set(table, &f->target, p->id);
		set_address(table, p);
	}
	s->frontends = frontends;
	s->frontend_count = count;
	s->frontend_table = table;
	return 0;
}

// ---- endpoints and Maglev tables

static void compile_endpoint(struct compiler *c, const struct sluice_model_service *s,
                             uint16_t index, const struct sluice_model_endpoint *e)
{
	struct sluice_endpoint *out = &c->endpoints[e->slot];
	struct sluice_reach reach;

	sluice_reach_find(&c->reacher, &e->spec.address, s->spec.forwarding, &reach);
	out->target = target_of(&e->spec.address, e->spec.port, s->spec.protocol);
	out->generation = e->generation;
	out->service = index;
	out->address_sum = address_sum(&e->spec.address);
	out->transport_sum = sluice_sum_add(out->address_sum, out->target.port);
	out->flags = SLUICE_ENDPOINT_NO_NEW_FLOWS;
	if (e->spec.state == SLUICE_STATE_DRAINING)
		out->flags |= SLUICE_ENDPOINT_DRAINING;
	out->adjacency = reach.adjacency;
	if (sluice_forwarding_is_tunnel(s->spec.forwarding)) {
		out->tunnel_source = reach.tunnel_source;
		out->address_sum =
		        sluice_sum_add(out->address_sum, address_sum(&reach.tunnel_source));
	}
	c->out->obstacles[e->slot] = reach.obstacle;
	if (reach.hop.ifindex)
		c->out->hops[c->out->hop_count++] = reach.hop;
}

// Which endpoints may take new flows: active, with weight, next hop resolved. Where there are
// none and the service says keepLast, all that there are.
static size_t list_selectable(struct compiler *c, const struct sluice_model_service *s,
                              uint32_t *slots, bool any)
{
	size_t n = 0;

	for (size_t i = 0; i < s->endpoint_count; i++) {
		const struct sluice_model_endpoint *e = &s->endpoints[i];
		struct sluice_endpoint *compiled = &c->endpoints[e->slot];
		bool ready = e->spec.state == SLUICE_STATE_ACTIVE && e->spec.weight > 0 &&
		             compiled->adjacency.state == SLUICE_ADJACENCY_READY;

		if (!ready && !any)
			continue;
		c->selectable[n] = (struct sluice_maglev_endpoint){
		        .address = e->spec.address,
		        .port = compiled->target.port,
		        .weight = any ? 1 : e->spec.weight,
		};
		compiled->flags &= (uint8_t)~SLUICE_ENDPOINT_NO_NEW_FLOWS;
		slots[n++] = e->slot;
	}
	return n;
}

// Whether an endpoint would take new flows if its next hop answered, and the kernel is still
// asking: clients are not refused for what the next millisecond may give, but try again.
static bool is_resolving(const struct compiler *c, const struct sluice_model_service *s)
{
	for (size_t i = 0; i < s->endpoint_count; i++) {
		const struct sluice_model_endpoint *e = &s->endpoints[i];
		const struct sluice_kernel_neighbour *n;
		struct sluice_kernel_hop hop;

		if (e->spec.state != SLUICE_STATE_ACTIVE || e->spec.weight == 0 ||
		    c->endpoints[e->slot].adjacency.state != SLUICE_ADJACENCY_UNRESOLVED ||
		    sluice_kernel_hop_find(c->in->kernel, &e->spec.address, &hop) != 0)
			continue;
		n = sluice_kernel_neighbour_find(c->in->kernel, hop.ifindex, &hop.address);
		if (!n || !n->failed)
			return true;
	}
	return false;
}

static int compile_rows(struct compiler *c, const struct sluice_model_service *s, uint16_t index)
{
	struct sluice_service *out = &c->services[index];
	uint32_t *slots = block(c, s->endpoint_count, sizeof(*slots));
	struct sluice_maglev_table *table = NULL;
	size_t n;

	if (!slots)
		return -ENOMEM;
	n = list_selectable(c, s, slots, false);
	if (n == 0 && s->spec.on_empty == SLUICE_ON_EMPTY_KEEP_LAST)
		n = list_selectable(c, s, slots, true);
	if (n > 0) {
		table = sluice_maglev_table_of(s->compiled, s->spec.table_size, c->selectable, n,
		                               &c->in->row_key);
		if (!table)
			return -errno;
		out->rows = table->rows;
		out->slots = slots;
	} else if (is_resolving(c, s)) {
		out->on_empty = SLUICE_ON_EMPTY_DROP;
	}
	c->out->tables[index] = table;
	if (table || s->compiled)
		c->out->rows_moved += sluice_maglev_table_moved(s->compiled, table);
	return 0;
}

static int compile_service(struct compiler *c, uint16_t index)
{
	const struct sluice_model_service *s = c->in->model->services[index];
	struct sluice_service *out = &c->services[index];
	struct sluice_target vip = target_of(&s->spec.address, s->spec.port, s->spec.protocol);
	size_t first = c->frontend_count;
	int error = place_frontends(c, s, index);

	if (error)
		return error;
	out->table_size = s->spec.table_size;
	out->on_empty = (uint8_t)s->spec.on_empty;
	out->affinity_timeout = s->spec.affinity_timeout;
	out->affinity = out->affinity_timeout ? c->frontends[first].id : 0;
	out->salt = sluice_hash_target(&c->in->row_key, sluice_target_view(&vip),
	                               sluice_address_family(&s->spec.address));
	for (size_t i = 0; i < s->endpoint_count; i++)
		compile_endpoint(c, s, index, &s->endpoints[i]);
	return compile_rows(c, s, index);
}

static int compile_services(struct compiler *c)
{
	const struct sluice_model *m = c->in->model;
	struct sluice_snapshot *s = &c->out->snapshot;
	size_t endpoints = 0, most = 0;
	int error = 0;

	for (size_t i = 0; i < m->service_count; i++) {
		endpoints += m->services[i]->endpoint_count;
		if (m->services[i]->endpoint_count > most)
			most = m->services[i]->endpoint_count;
	}
	c->services = block(c, m->service_count, sizeof(*c->services));
	c->endpoints = block(c, m->slots.high, sizeof(*c->endpoints));
	c->selectable = calloc(most + 1, sizeof(*c->selectable));
	c->out->obstacles = block(c, m->slots.high, sizeof(const char *));
	c->out->tables = block(c, m->service_count, sizeof(struct sluice_maglev_table *));
	c->out->hops = block(c, endpoints + c->in->fib->gateway_count + 1, sizeof(*c->out->hops));
	if (!c->services || !c->endpoints || !c->selectable || !c->out->obstacles ||
	    !c->out->tables || !c->out->hops)
		return -ENOMEM;
	c->out->table_count = m->service_count;
	for (size_t i = 0; !error && i < m->service_count; i++)
		error = compile_service(c, (uint16_t)i);
	for (size_t i = 0; i < m->gone_count; i++)
		if (m->gone[i]->compiled)
			c->out->rows_moved += sluice_maglev_table_moved(m->gone[i]->compiled, NULL);
	for (size_t i = 0; i < c->in->fib->gateway_count; i++)
		c->out->hops[c->out->hop_count++] = c->in->fib->gateways[i];
	s->services = c->services;
	s->service_count = (uint32_t)m->service_count;
	s->endpoints = c->endpoints;
	s->endpoint_count = m->slots.high;
	return error;
}

// ---- QUIC

// The endpoints of services that look at connection ids, by server id and service.
static int compile_server_ids(struct compiler *c)
{
	const struct sluice_model *m = c->in->model;
	struct sluice_target_table *table;
	size_t count = 0;

	for (size_t i = 0; i < m->service_count; i++)
		count += m->services[i]->spec.server_id_length ? m->services[i]->endpoint_count : 0;
	if (count == 0)
		return 0;
	table = sluice_target_table_new(count);
	if (!table || own(c, table) != 0)
		return -ENOMEM;
	for (size_t i = 0; i < m->service_count; i++) {
		const struct sluice_model_service *s = m->services[i];
		unsigned length = s->spec.server_id_length;

		for (size_t k = 0; length && k < s->endpoint_count; k++) {
			const struct sluice_model_endpoint *e = &s->endpoints[k];
			uint8_t id[SLUICE_SERVER_ID_MAX];
			struct sluice_target t;

			sluice_server_id(&e->spec.address, e->spec.port, length, id);
			t = sluice_quic_target(id, length, (uint16_t)i);
			sluice_target_table_set(table, &t, e->slot);
		}
	}
	c->out->snapshot.server_ids = table;
	return 0;
}

// ---- return traffic

static int compare_candidates(const void *a, const void *b)
{
	const struct candidate *x = a, *y = b;
	int order = memcmp(&x->endpoint, &y->endpoint, sizeof(x->endpoint));

	return order ? order : (int)x->is.frontend - (int)y->is.frontend;
}

// How many packets' sources a frontend explains: none where endpoints answer for themselves.
static size_t returning_endpoints(const struct compiler *c, const struct placed_frontend *f)
{
	const struct sluice_model_service *s = c->in->model->services[f->service];

	return sluice_forwarding_is_direct(s->spec.forwarding) ? 0 : s->endpoint_count;
}

// Fullnat's endpoints answer to our addresses: they explain nothing, but they have to be known.
// They are listed under frontend 0.
static bool is_candidate(const struct compiler *c, const struct placed_frontend *f)
{
	return c->in->model->services[f->service]->spec.forwarding != SLUICE_FORWARD_FULLNAT;
}

// Each endpoint of each service under each of the service's frontends, sorted by endpoint.
static struct candidate *list_candidates(const struct compiler *c, size_t *count)
{
	const struct sluice_model *m = c->in->model;
	struct candidate *list;
	size_t n = 0;

	for (size_t i = 0; i < c->frontend_count; i++)
		n += returning_endpoints(c, &c->frontends[i]);
	list = calloc(n + 1, sizeof(*list));
	if (!list)
		return NULL;
	n = 0;
	for (size_t i = 0; i < c->frontend_count; i++) {
		const struct placed_frontend *f = &c->frontends[i];
		const struct sluice_model_service *s = m->services[f->service];

		for (size_t k = 0; k < returning_endpoints(c, f); k++)
			list[n++] = (struct candidate){
			        .endpoint = c->endpoints[s->endpoints[k].slot].target,
			        .is = {.slot = s->endpoints[k].slot,
			               .frontend = is_candidate(c, f) ? f->id : 0},
			};
	}
	qsort(list, n, sizeof(*list), compare_candidates);
	*count = n;
	return list;
}

// Says in the table that an address sends such, too.
static void add_sender(struct sluice_target_table *table, const struct sluice_target *alone,
                       uint32_t sends)
{
	uint32_t known = sluice_target_table_get(table, sluice_target_view(alone), alone->family);

	if (known != SLUICE_TARGET_NONE)
		sends |= known;
	sluice_target_table_set(table, alone, sends);
}

// What later fragments of fullnat's return traffic are known by: they stand behind the targets, of
// which those of one address stand together.
static void compile_snat_senders(struct sluice_steer_sets *sets, struct sluice_target *targets,
                                 struct sluice_target_table *table)
{
	size_t count = sets->snat_target_count;

	for (size_t i = 0; i < count; i++) {
		struct sluice_target alone = target_of(&targets[i].address, 0, 0);

		if (i > 0 && sluice_address_equal(&targets[i - 1].address, &alone.address))
			continue;
		targets[sets->snat_target_count++] = alone;
		add_sender(table, &alone, SLUICE_SENDS_TO_SNAT);
	}
}

// What later fragments of nat's return traffic are known by. Targets are sorted: those of one
// address stand together.
static int compile_return_addresses(struct compiler *c, struct sluice_target_table *table)
{
	struct sluice_steer_sets *sets = &c->out->steer;
	struct sluice_address *addresses = block(c, sets->return_target_count, sizeof(*addresses));

	if (!addresses)
		return -ENOMEM;
	for (size_t i = 0; i < sets->return_target_count; i++) {
		struct sluice_target alone = target_of(&sets->return_targets[i].address, 0, 0);
		size_t n = sets->return_address_count;

		if (n > 0 && sluice_address_equal(&addresses[n - 1], &alone.address))
			continue;
		addresses[sets->return_address_count++] = alone.address;
		add_sender(table, &alone, SLUICE_SENDS_TO_CLIENTS);
	}
	sets->return_addresses = addresses;
	return 0;
}

// Lists what endpoints may answer for, and those that may at all, in the candidates' order.
static void group_candidates(struct compiler *c, const struct candidate *list, size_t count,
                             struct sluice_return_candidate *candidates,
                             struct sluice_return *returns, struct sluice_target *targets,
                             struct sluice_target *snat_targets, struct sluice_target_table *table)
{
	struct sluice_steer_sets *sets = &c->out->steer;
	struct sluice_return *r = returns;
	uint32_t n = 0;

	for (size_t i = 0; i < count; i++) {
		const struct sluice_target *t = &list[i].endpoint;
		bool fullnat = list[i].is.frontend == 0;

		if (i == 0 || memcmp(t, &list[i - 1].endpoint, sizeof(*t)) != 0) {
			r = i == 0 ? r : r + 1;
			r->first = n;
			sluice_target_table_set(table, t, (uint32_t)(r - returns));
			if (fullnat) // they stand first
				snat_targets[sets->snat_target_count++] = *t;
		}
		if (fullnat)
			continue;
		if (r->count++ == 0)
			targets[sets->return_target_count++] = *t;
		candidates[n++] = list[i].is;
	}
	sets->return_targets = targets;
	sets->snat_targets = snat_targets;
}

static int compile_returns(struct compiler *c)
{
	struct sluice_snapshot *s = &c->out->snapshot;
	size_t count;
	struct candidate *list = list_candidates(c, &count);
	struct sluice_return_candidate *candidates;
	struct sluice_target *targets, *snat_targets;
	struct sluice_target_table *table;
	struct sluice_return *returns;

	if (!list)
		return -ENOMEM;
	candidates = block(c, count, sizeof(*candidates));
	returns = block(c, count, sizeof(*returns));
	targets = block(c, count, sizeof(*targets));
	snat_targets = block(c, 2 * count, sizeof(*snat_targets));
	table = sluice_target_table_new(2 * count + 1);
	if (!candidates || !returns || !targets || !snat_targets || !table || own(c, table) != 0) {
		free(list);
		return -ENOMEM;
	}
	group_candidates(c, list, count, candidates, returns, targets, snat_targets, table);
	compile_snat_senders(&c->out->steer, snat_targets, table);
	free(list);
	s->returns = returns;
	s->return_candidates = candidates;
	s->return_table = table;
	return compile_return_addresses(c, table);
}

// ---- VLANs

static void collect_vlan(void *context, const struct sluice_kernel_link *link)
{
	struct compiler *c = context;
	const struct sluice_port *port;
	uint16_t id;

	port = sluice_fib_port(c->in->kernel, c->in->ports, c->in->port_count, link->ifindex, &id);
	if (port && id)
		c->vlans[port->index].ids[id / 64] |= (uint64_t)1 << id % 64;
}

// The VLANs that the host is part of: those that it has an interface for.
static int compile_vlans(struct compiler *c)
{
	c->vlans = block(c, c->in->port_count, sizeof(*c->vlans));
	if (!c->vlans)
		return -ENOMEM;
	sluice_kernel_links_visit(c->in->kernel, collect_vlan, c);
	c->out->snapshot.vlans = c->vlans;
	return 0;
}

// ---- what others have to know

static int compare_targets(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct sluice_target));
}

static int compare_addresses(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct sluice_address));
}

// The addresses that fullnat sends from. Those that are not the host's own are announced with the
// virtual ones, so that the kernel answers ARP for them.
static int compile_snat(struct compiler *c)
{
	const struct sluice_snat_pool *pool = c->in->snat;
	struct sluice_snat *snat = pool ? block(c, 1, sizeof(*snat)) : NULL;
	struct sluice_target_table *table = pool ? sluice_target_table_new(pool->count) : NULL;

	if (!pool)
		return 0;
	if (!snat || !table || own(c, table) != 0)
		return -ENOMEM;
	snat->first_port = pool->first_port;
	snat->last_port = pool->last_port;
	for (unsigned i = 0; i < pool->count; i++) {
		struct sluice_snat_address *a = &snat->addresses[i];

		a->target = target_of(&pool->addresses[i], 0, 0);
		a->sum = address_sum(&pool->addresses[i]);
		if (a->target.family == SLUICE_IPV4)
			snat->v4[snat->count_v4++] = (uint8_t)i;
		else
			snat->v6[snat->count_v6++] = (uint8_t)i;
		sluice_target_table_set(table, &a->target, i);
	}
	c->out->snapshot.snat = snat;
	c->out->snapshot.snat_table = table;
	c->out->steer.snat_addresses = pool->addresses;
	c->out->steer.snat_address_count = pool->count;
	c->out->steer.snat_first_port = pool->first_port;
	c->out->steer.snat_last_port = pool->last_port;
	return 0;
}

static bool is_own(const struct compiler *c, const struct sluice_address *a)
{
	for (size_t i = 0; i < c->address_count; i++)
		if (sluice_address_equal(&c->addresses[i], a))
			return true;
	return false;
}

static int compile_sets(struct compiler *c)
{
	const struct sluice_snat_pool *pool = c->in->snat;
	size_t snat_count = pool ? pool->count : 0;
	struct sluice_target *targets = block(c, c->frontend_count, sizeof(*targets));
	struct sluice_address *vips = block(c, c->frontend_count + snat_count, sizeof(*vips));
	struct sluice_address *locals = block(c, c->address_count, sizeof(*locals));
	struct sluice_target_table *table = sluice_target_table_new(c->address_count + 1);
	struct sluice_steer_sets *sets = &c->out->steer;

	if (!targets || !vips || !locals || !table || own(c, table) != 0)
		return -ENOMEM;
	sets->virtual_targets = targets;
	sets->virtual_addresses = vips;
	sets->local_addresses = locals;
	for (size_t i = 0; i < c->frontend_count; i++) {
		const struct placed_frontend *f = &c->frontends[i];

		targets[sets->virtual_target_count++] = f->target;
		if (!f->node_port)
			vips[sets->virtual_address_count++] = f->target.address;
	}
	for (size_t i = 0; i < snat_count; i++)
		if (!is_own(c, &pool->addresses[i]))
			vips[sets->virtual_address_count++] = pool->addresses[i];
	qsort(targets, sets->virtual_target_count, sizeof(*targets), compare_targets);
	qsort(vips, sets->virtual_address_count, sizeof(*vips), compare_addresses);
	for (size_t i = 0; i < c->address_count; i++) {
		struct sluice_target alone = target_of(&c->addresses[i], 0, 0);

		locals[sets->local_address_count++] = c->addresses[i];
		sluice_target_table_set(table, &alone, 0);
	}
	c->out->snapshot.local_table = table;
	return 0;
}

static int compile_all(struct compiler *c)
{
	struct sluice_snapshot *s = &c->out->snapshot;
	int error;

	s->generation = c->in->model->generation;
	s->row_key = c->in->row_key;
	s->routes_v4 = c->in->fib->v4;
	s->routes_v6 = c->in->fib->v6;
	s->adjacencies = c->in->fib->adjacencies;
	s->adjacency_count = (uint32_t)c->in->fib->adjacency_count;
	sluice_kernel_addresses_visit(c->in->kernel, collect_address, c);
	error = c->error ? c->error : compile_services(c);
	if (!error)
		error = compile_frontends(c);
	if (!error)
		error = compile_server_ids(c);
	if (!error)
		error = compile_returns(c);
	if (!error)
		error = compile_vlans(c);
	if (!error)
		error = compile_snat(c);
	if (!error)
		error = compile_sets(c);
	return error;
}

// The services' tables are now the ones of this compilation.
static void keep_tables(struct compiler *c)
{
	for (size_t i = 0; i < c->out->table_count; i++) {
		struct sluice_model_service *s = c->in->model->services[i];
		struct sluice_maglev_table *table = c->out->tables[i];

		sluice_maglev_table_put(s->compiled);
		s->compiled = table ? sluice_maglev_table_get(table) : NULL;
	}
}

struct sluice_compiled *sluice_compile(const struct sluice_compile_input *input)
{
	struct compiler c = {.in = input, .now_ms = sluice_model_now_ms()};
	int error;

	c.out = calloc(1, sizeof(*c.out));
	if (!c.out)
		return NULL;
	c.out->fib = sluice_fib_get(input->fib);
	error = sluice_reacher_init(&c.reacher, input->kernel, input->ports, input->port_count);
	if (!error)
		error = compile_all(&c);
	sluice_reacher_clear(&c.reacher);
	free(c.addresses);
	free(c.node_addresses);
	free(c.frontends);
	free(c.selectable);
	if (error) {
		sluice_compiled_free(c.out);
		errno = -error;
		return NULL;
	}
	keep_tables(&c);
	return c.out;
}

void sluice_compiled_free(struct sluice_compiled *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < c->table_count; i++)
		sluice_maglev_table_put(c->tables[i]);
	for (size_t i = 0; i < c->block_count; i++)
		free(c->blocks[i]);
	free(c->blocks);
	sluice_fib_put(c->fib);
	free(c);
}

void sluice_compile_forget(void *context, void *compiled)
{
	(void)context;
	sluice_maglev_table_put(compiled);
}

const char *sluice_compiled_obstacle(const struct sluice_compiled *c,
                                     const struct sluice_model_endpoint *e)
{
	return sluice_compiled_endpoint(c, e) ? c->obstacles[e->slot] : "no route over a port";
}

const struct sluice_endpoint *sluice_compiled_endpoint(const struct sluice_compiled *c,
                                                       const struct sluice_model_endpoint *e)
{
	const struct sluice_endpoint *found;

	if (e->slot >= c->snapshot.endpoint_count)
		return NULL;
	found = &c->snapshot.endpoints[e->slot];
	return found->generation == e->generation ? found : NULL;
}
