// SPDX-License-Identifier: BSD-3-Clause

// Forwarding mode fullnat. In: the destination becomes the endpoint, as with nat, and the source an
// address and port of ours. Return: the source becomes the frontend, the destination the client.
//
// A return packet is left as it came until it is known that it may go on: who answers it with an
// error quotes it. So the client is looked up first, then the way to it.

#include "dataplane/egress.h"
#include "dataplane/forward.h"
#include "dataplane/fragments.h"
#include "dataplane/icmp.h"
#include "dataplane/rewrite.h"
#include "dataplane/snat_table.h"
#include "dataplane/target_table.h"

// What both ends of a packet become. The sums are those of what is there, and of what comes, as
// sluice_checksum_update() takes them.
struct ends {
	const struct sluice_address *source, *destination;
	uint16_t source_port, destination_port; // network byte order
	uint32_t old_addresses, new_addresses;
	uint32_t old_transport, new_transport;
};

// The sum of an address's words; of IPv4's two it is the plain one.
SLUICE_INLINE uint32_t wire_sum(const uint8_t *wire, enum sluice_family family)
{
	uint16_t words[2];

	if (family == SLUICE_IPV6)
		return sluice_sum_bytes(wire, 16);
	memcpy(words, wire, sizeof(words));
	return (uint32_t)words[0] + words[1];
}

SLUICE_INLINE void write_ends(const struct sluice_packet *p, const struct ends *e,
                              enum sluice_family family)
{
	unsigned size = family == SLUICE_IPV4 ? 4 : 16, skip = 16 - size;
	uint8_t *addresses = (uint8_t *)sluice_packet_l3(p) + (family == SLUICE_IPV4 ? 12 : 8);
	uint16_t ports[2] = {e->source_port, e->destination_port};

	memcpy(addresses, e->source->bytes + skip, size);
	memcpy(addresses + size, e->destination->bytes + skip, size);
	if (family == SLUICE_IPV4) {
		struct sluice_ipv4 *ip = sluice_packet_l3(p);

		ip->checksum = sluice_checksum_update(ip->checksum,
		                                      e->old_addresses + (uint32_t)SLUICE_HOP_SUM,
		                                      e->new_addresses);
	}
	sluice_packet_hop(p, family);
	memcpy(sluice_packet_l4(p), ports, sizeof(ports));
	sluice_change_checksum(p, e->old_transport, e->new_transport);
}

// ---- in

SLUICE_INLINE void rewrite_in(struct sluice_pipeline *ctx, struct sluice_packet *p,
                              enum sluice_family family, uint8_t plain)
{
	const struct sluice_frontend *f = &ctx->snapshot->frontends[p->frontend];
	const struct sluice_endpoint *e = &ctx->snapshot->endpoints[p->slot];
	const struct sluice_snat_address *from =
	        &ctx->snapshot->snat->addresses[sluice_snat_address_of(p->key)];
	struct sluice_packet q = sluice_packet_known(p, plain);
	uint16_t port = sluice_snat_port_of(p->key);
	uint32_t client = wire_sum(sluice_packet_wire(&q, SLUICE_SOURCE, family), family);
	struct ends ends = {
	        .source = &from->target.address,
	        .destination = &e->target.address,
	        .source_port = port,
	        .destination_port = e->target.port,
	        .old_addresses = client + f->address_sum,
	        .new_addresses = (uint32_t)from->sum + e->address_sum,
	        .old_transport = client + sluice_packet_port(&q, SLUICE_SOURCE) + f->transport_sum,
	        .new_transport = (uint32_t)from->sum + port + e->transport_sum,
	};

	if (!sluice_packet_may_leave(p, &e->adjacency, family))
		return;
	sluice_forward_count_in(ctx, p);
	write_ends(&q, &ends, family);
	sluice_egress_from(p, q.l3, &e->adjacency);
}

static void fullnat_in(struct sluice_pipeline *ctx, struct sluice_packet *const *packets,
                       unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		struct sluice_packet *p = packets[i];

		if (p->verdict != SLUICE_VERDICT_NONE)
			continue;
		SLUICE_PACKET_CALL(p, rewrite_in, ctx, p);
	}
}

// ---- return

// What is known of a return packet that goes on: the packet's frontend and slot, and these.
struct known {
	struct sluice_packet *packets[SLUICE_BURST];
	struct sluice_address clients[SLUICE_BURST];
	uint16_t ports[SLUICE_BURST]; // network byte order
	unsigned count;
};

bool sluice_forward_snat_client(const struct sluice_pipeline *ctx, uint64_t fingerprint,
                                struct sluice_target_view endpoint, enum sluice_family family,
                                struct sluice_snat_return *out)
{
	const struct sluice_snapshot *s = ctx->snapshot;
	const struct sluice_endpoint *e;

	if (!sluice_snat_return_find(ctx->snat, fingerprint, out) ||
	    out->slot >= s->endpoint_count || out->frontend >= s->frontend_count)
		return false;
	// It still means what it says: the slot is the sender's, and of the frontend's service.
	e = &s->endpoints[out->slot];
	return e->generation != 0 && s->frontends[out->frontend].service == e->service &&
	       sluice_target_tail(sluice_target_view(&e->target)) == sluice_target_tail(endpoint) &&
	       (family == SLUICE_IPV4 || memcmp(&e->target.address, endpoint.address, 12) == 0);
}

// Sockets of the host have ports of the range too where it is not reserved for us.
static void give_up(const struct sluice_snapshot *s, struct sluice_packet *p)
{
	bool v4 = p->family == SLUICE_IPV4;
	struct sluice_target_view t =
	        v4 ? sluice_packet_address(p, SLUICE_DESTINATION, SLUICE_IPV4)
	           : sluice_packet_address(p, SLUICE_DESTINATION, SLUICE_IPV6);
	uint32_t local = v4 ? sluice_target_table_get(s->local_table, t, SLUICE_IPV4)
	                    : sluice_target_table_get(s->local_table, t, SLUICE_IPV6);

	if (local != SLUICE_TARGET_NONE)
		p->verdict = SLUICE_VERDICT_PASS;
	else
		sluice_packet_drop(p, SLUICE_DROP_NO_RETURN_FLOW);
}

SLUICE_INLINE bool find_client(const struct sluice_pipeline *ctx, const struct sluice_packet *p,
                               struct sluice_snat_return *r, enum sluice_family family)
{
	return sluice_forward_snat_client(
	        ctx, p->key, sluice_packet_target(p, SLUICE_SOURCE, family), family, r);
}

static void find_clients(struct sluice_pipeline *ctx, const struct sluice_burst *b,
                         struct known *known)
{
	for (unsigned i = 0; i < b->snat_count; i++) {
		struct sluice_packet *p = b->snat[i];
		struct sluice_snat_return r;

		if (!(p->family == SLUICE_IPV4 ? find_client(ctx, p, &r, SLUICE_IPV4)
		                               : find_client(ctx, p, &r, SLUICE_IPV6))) {
			give_up(ctx->snapshot, p);
			continue;
		}
		p->frontend = r.frontend;
		p->slot = r.slot;
		known->packets[known->count] = p;
		known->clients[known->count] = r.client;
		known->ports[known->count++] = r.port;
	}
}

SLUICE_INLINE void rewrite_return(struct sluice_pipeline *ctx, struct sluice_packet *p,
                                  const struct sluice_address *client, uint16_t port,
                                  const struct sluice_adjacency *a, enum sluice_family family,
                                  uint8_t plain)
{
	const struct sluice_frontend *f = &ctx->snapshot->frontends[p->frontend];
	const struct sluice_endpoint *e = &ctx->snapshot->endpoints[p->slot];
	struct sluice_packet q = sluice_packet_known(p, plain);
	unsigned skip = family == SLUICE_IPV4 ? 12 : 0;
	uint32_t from = wire_sum(sluice_packet_wire(&q, SLUICE_DESTINATION, family), family);
	uint32_t to = wire_sum(client->bytes + skip, family);
	struct ends ends = {
	        .source = &f->target.address,
	        .destination = client,
	        .source_port = f->target.port,
	        .destination_port = port,
	        .old_addresses = e->address_sum + from,
	        .new_addresses = f->address_sum + to,
	        .old_transport =
	                e->transport_sum + from + sluice_packet_port(&q, SLUICE_DESTINATION),
	        .new_transport = f->transport_sum + to + port,
	};

	if (!sluice_packet_may_leave(p, a, family))
		return;
	sluice_forward_count_out(ctx, p);
	write_ends(&q, &ends, family);
	sluice_egress_from(p, q.l3, a);
}

void sluice_forward_snat(struct sluice_pipeline *ctx, const struct sluice_burst *b)
{
	const struct sluice_adjacency *adjacencies[SLUICE_BURST];
	struct known known;

	known.count = 0;
	find_clients(ctx, b, &known);
	sluice_route_to(ctx->snapshot, known.clients, known.count, adjacencies);
	for (unsigned i = 0; i < known.count; i++) {
		struct sluice_packet *p = known.packets[i];
		const struct sluice_address *client = &known.clients[i];
		uint16_t port = known.ports[i];

		SLUICE_PACKET_CALL(p, rewrite_return, ctx, p, client, port, adjacencies[i]);
	}
}

// ---- one end at a time, as slowly as it is seldom

// An end of a packet: what stands there, or comes there.
struct end {
	struct sluice_target target;
	uint16_t address, transport; // sums
};

static struct end end_of(const struct sluice_address *a, uint16_t port)
{
	unsigned size;
	const uint8_t *wire = sluice_address_wire(a, &size);
	struct end e = {.target = {.address = *a, .port = port},
	                .address = sluice_sum_bytes(wire, size)};

	e.transport = sluice_sum_add(e.address, port);
	return e;
}

static struct end end_of_target(const struct sluice_target *t)
{
	return end_of(&t->address, t->port);
}

static struct end end_of_side(const struct sluice_packet *p, enum sluice_side side)
{
	bool v4 = p->family == SLUICE_IPV4;
	const uint8_t *wire = v4 ? sluice_packet_wire(p, side, SLUICE_IPV4)
	                         : sluice_packet_wire(p, side, SLUICE_IPV6);
	struct sluice_address a;
	uint32_t network;

	memcpy(&network, wire, 4);
	a = v4 ? sluice_address_from_v4(network) : sluice_address_from_v6(wire);
	return end_of(&a, sluice_packet_port(p, side));
}

static struct sluice_change change_to(const struct end *to, struct end from)
{
	return (struct sluice_change){
	        .to = &to->target,
	        .old_address = from.address,
	        .old_transport = from.transport,
	        .new_address = to->address,
	        .new_transport = to->transport,
	};
}

// Where a packet goes that gets both ends new.
struct course {
	struct end source, destination;
	const struct sluice_adjacency *adjacency;
};

// To its endpoint. p->key: the source that stands for the client. false: it goes no further.
static bool set_course_in(struct sluice_pipeline *ctx, struct sluice_packet *p, struct course *c)
{
	const struct sluice_endpoint *e = &ctx->snapshot->endpoints[p->slot];
	const struct sluice_snat_address *from =
	        &ctx->snapshot->snat->addresses[sluice_snat_address_of(p->key)];

	if (!sluice_packet_may_leave(p, &e->adjacency, p->family))
		return false;
	c->source = end_of(&from->target.address, sluice_snat_port_of(p->key));
	c->destination = end_of_target(&e->target);
	c->adjacency = &e->adjacency;
	sluice_forward_count_in(ctx, p);
	return true;
}

static bool set_course_back(struct sluice_pipeline *ctx, struct sluice_packet *p,
                            const struct sluice_snat_return *client, struct course *c)
{
	const struct sluice_adjacency *adjacencies[SLUICE_BURST];

	p->frontend = client->frontend;
	p->slot = client->slot;
	sluice_route_to(ctx->snapshot, &client->client, 1, adjacencies);
	c->adjacency = adjacencies[0];
	if (!sluice_packet_may_leave(p, c->adjacency, p->family))
		return false;
	c->source = end_of_target(&ctx->snapshot->frontends[client->frontend].target);
	c->destination = end_of(&client->client, client->port);
	sluice_forward_count_out(ctx, p);
	return true;
}

// ---- fragments: later ones have addresses alone; the checksum in the first one is over all of the
// datagram, and follows as a whole packet's does

static void change_side(const struct sluice_packet *p, enum sluice_side side, const struct end *to)
{
	// Of a later fragment the address alone.
	struct sluice_change c = change_to(to, end_of_side(p, side));

	if (p->family == SLUICE_IPV4)
		sluice_change_network(p, side, &c, SLUICE_IPV4);
	else
		sluice_change_network(p, side, &c, SLUICE_IPV6);
	sluice_change_transport(p, side, &c);
}

static void send_piece(const struct sluice_pipeline *ctx, struct sluice_packet *p,
                       const struct course *c)
{
	sluice_fragments_renumber(ctx->fragments, p);
	change_side(p, SLUICE_SOURCE, &c->source);
	change_side(p, SLUICE_DESTINATION, &c->destination);
	sluice_icmp_hop(p);
	sluice_egress(p, c->adjacency);
}

void sluice_forward_piece_in(struct sluice_pipeline *ctx, struct sluice_packet *p)
{
	struct course c;

	if (set_course_in(ctx, p, &c))
		send_piece(ctx, p, &c);
}

bool sluice_forward_piece_client(const struct sluice_pipeline *ctx, struct sluice_packet *p,
                                 struct sluice_snat_return *out)
{
	if (p->family == SLUICE_IPV4 ? find_client(ctx, p, out, SLUICE_IPV4)
	                             : find_client(ctx, p, out, SLUICE_IPV6))
		return true;
	give_up(ctx->snapshot, p);
	return false;
}

void sluice_forward_piece_return(struct sluice_pipeline *ctx, struct sluice_packet *p,
                                 const struct sluice_snat_return *client)
{
	struct course c;

	if (set_course_back(ctx, p, client, &c))
		send_piece(ctx, p, &c);
}

// ---- ICMP errors: both ends of the quote change, and of the error itself those that are the same

// Puts `to` on a side of the error, and on the other one of the quote.
static void change_end(struct sluice_packet *p, struct sluice_packet *quote, enum sluice_side side,
                       const struct end *to)
{
	struct sluice_change c = change_to(
	        to, end_of_side(quote, side == SLUICE_SOURCE ? SLUICE_DESTINATION : SLUICE_SOURCE));

	sluice_icmp_change(p, quote, side, &c);
}

static void send_error(struct sluice_packet *p, struct sluice_packet *quote, const struct course *c)
{
	change_end(p, quote, SLUICE_DESTINATION, &c->destination);
	change_end(p, quote, SLUICE_SOURCE, &c->source);
	sluice_icmp_hop(p);
	sluice_egress(p, c->adjacency);
}

static void fullnat_error_in(struct sluice_pipeline *ctx, struct sluice_packet *p,
                             struct sluice_packet *quote)
{
	struct course c;

	if (set_course_in(ctx, p, &c))
		send_error(p, quote, &c);
}

void sluice_forward_snat_error(struct sluice_pipeline *ctx, struct sluice_packet *p,
                               struct sluice_packet *quote, const struct sluice_packet *reply)
{
	struct sluice_packet r = *reply;
	struct sluice_snat_return client;
	struct course c;

	if (!(r.family == SLUICE_IPV4 ? find_client(ctx, &r, &client, SLUICE_IPV4)
	                              : find_client(ctx, &r, &client, SLUICE_IPV6)))
		return;
	p->verdict = SLUICE_VERDICT_NONE;
	if (set_course_back(ctx, p, &client, &c))
		send_error(p, quote, &c);
}

// No way out by candidates: all that endpoints send to us has a list of its own.
const struct sluice_forward_ops sluice_forward_fullnat = {.in = fullnat_in,
                                                          .error_in = fullnat_error_in};
