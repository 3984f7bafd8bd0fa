// SPDX-License-Identifier: BSD-3-Clause

// A later fragment has no ports: it goes where the first fragment of its datagram went, which was
// looked up like any packet. Runs after tracking, so that both may be in one burst, in any order.
//
// A datagram for a virtual address, or from an endpoint, need not be a service's: it may be for
// another port, or an endpoint's own business. The map remembers first fragments of such ones as
// the kernel's, where a port hands them to us. Later fragments for the host's own addresses, where
// node ports are, are the kernel's unless the first one says otherwise, and do not wait for it. Not
// so those that fullnat's endpoints send to an address that we send from.

#include "dataplane/pipeline.h"

#include "dataplane/belong.h"
#include "dataplane/forward.h"
#include "dataplane/fragments.h"
#include "dataplane/track.h"

enum claim {
	CLAIM_NONE, // the kernel's
	CLAIM_NODE, // the kernel's, if not known better
	CLAIM_OURS,
};

// Whose a packet may be, by addresses alone.
SLUICE_INLINE enum claim claim_of(const struct sluice_snapshot *s, const struct sluice_packet *p,
                                  enum sluice_family family)
{
	struct sluice_target_view to = sluice_packet_address(p, SLUICE_DESTINATION, family);
	struct sluice_target_view from = sluice_packet_address(p, SLUICE_SOURCE, family);
	uint32_t kind = sluice_target_table_get(s->frontend_table, to, family);
	uint32_t sends = sluice_target_table_get(s->return_table, from, family);

	if (sends == SLUICE_TARGET_NONE)
		sends = 0;
	if (kind == SLUICE_ADDRESS_VIRTUAL)
		return CLAIM_OURS;
	if (sends & SLUICE_SENDS_TO_SNAT && s->snat &&
	    sluice_target_table_get(s->snat_table, to, family) != SLUICE_TARGET_NONE)
		return CLAIM_OURS;
	if (kind == SLUICE_ADDRESS_NODE)
		return CLAIM_NODE;
	return sends & SLUICE_SENDS_TO_CLIENTS && !sluice_is_local(s, p, family) ? CLAIM_OURS
	                                                                         : CLAIM_NONE;
}

static enum claim claim(const struct sluice_snapshot *s, const struct sluice_packet *p)
{
	return p->family == SLUICE_IPV4 ? claim_of(s, p, SLUICE_IPV4) : claim_of(s, p, SLUICE_IPV6);
}

// ---- first fragments

static void learn(const struct sluice_pipeline *ctx, const struct sluice_packet *p,
                  const struct sluice_fragment_way *way)
{
	struct sluice_packet first = *p; // whose own key is still needed

	sluice_fragments_key(ctx->fragments, &first);
	sluice_fragments_learn(ctx->fragments, ctx->snapshot, &first, way, ctx->now);
}

// Later ones of other protocols are the kernel's without being asked for here.
static void pass(const struct sluice_pipeline *ctx, const struct sluice_packet *p)
{
	static const struct sluice_fragment_way way = {.owner = SLUICE_FRAGMENT_KERNEL};

	if ((p->protocol == IPPROTO_TCP || p->protocol == IPPROTO_UDP) &&
	    claim(ctx->snapshot, p) == CLAIM_OURS)
		learn(ctx, p, &way);
}

// Of a client, tracked.
static void send_in(struct sluice_pipeline *ctx, struct sluice_packet *p)
{
	struct sluice_fragment_way way = {.owner = SLUICE_FRAGMENT_SNAT_IN,
	                                  .frontend = p->frontend,
	                                  .port = sluice_packet_port(p, SLUICE_SOURCE)};

	learn(ctx, p, &way);
	sluice_forward_piece_in(ctx, p);
}

// Of an endpoint, to an address of ours.
static void send_return(struct sluice_pipeline *ctx, struct sluice_packet *p)
{
	struct sluice_fragment_way way = {.owner = SLUICE_FRAGMENT_SNAT_RETURN,
	                                  .port = sluice_packet_port(p, SLUICE_DESTINATION)};
	struct sluice_snat_return client;

	if (!sluice_forward_piece_client(ctx, p, &client)) {
		if (p->verdict == SLUICE_VERDICT_PASS)
			pass(ctx, p);
		return;
	}
	way.slot = client.slot;
	learn(ctx, p, &way);
	sluice_forward_piece_return(ctx, p, &client);
}

// Packets that get an answer, or go no further, have a verdict already.
static void lead(struct sluice_pipeline *ctx, struct sluice_packet *p)
{
	struct sluice_fragment_way way = {
	        .owner = SLUICE_FRAGMENT_SERVICE, .frontend = p->frontend, .slot = p->slot};

	if (p->verdict == SLUICE_VERDICT_PASS)
		pass(ctx, p);
	else if (p->verdict != SLUICE_VERDICT_NONE)
		return;
	else if (p->forwarding != SLUICE_FORWARD_FULLNAT)
		learn(ctx, p, &way);
	else if (p->frontend)
		send_in(ctx, p);
	else
		send_return(ctx, p);
}

// ---- later ones

static bool is_to_frontend(const struct sluice_snapshot *s, const struct sluice_packet *p)
{
	const struct sluice_address *virtual = &s->frontends[p->frontend].target.address;
	unsigned size;
	const uint8_t *wire = sluice_address_wire(virtual, &size);

	return memcmp(sluice_packet_wire(p, SLUICE_DESTINATION, p->family), wire, size) == 0;
}

// Which way the first fragment went. The service's forwarding mode may be another since: fullnat,
// which has to know the ports, or one whose endpoints answer clients directly.
static void go_on(const struct sluice_snapshot *s, struct sluice_burst *b, struct sluice_packet *p)
{
	if (p->forwarding == SLUICE_FORWARD_FULLNAT)
		sluice_packet_drop(p, SLUICE_DROP_FRAGMENT);
	else if (is_to_frontend(s, p))
		b->in[b->in_count++] = p;
	else if (sluice_forward_answers(p->forwarding))
		b->returns[b->return_count++] = p;
	else
		p->verdict = SLUICE_VERDICT_PASS;
}

static void go_by_service(const struct sluice_snapshot *s, struct sluice_burst *b,
                          struct sluice_packet *p, const struct sluice_fragment_way *way)
{
	p->frontend = way->frontend;
	p->slot = way->slot;
	p->forwarding = s->frontends[way->frontend].forwarding;
	go_on(s, b, p);
}

// A client's: its port and the frontend make the key of its flow. false: that is gone.
static bool go_in(struct sluice_pipeline *ctx, struct sluice_packet *p,
                  const struct sluice_fragment_way *way)
{
	bool v4 = p->family == SLUICE_IPV4;
	struct sluice_target_view client =
	        v4 ? sluice_packet_address(p, SLUICE_SOURCE, SLUICE_IPV4)
	           : sluice_packet_address(p, SLUICE_SOURCE, SLUICE_IPV6);
	struct sluice_packet found = *p;

	client.port = way->port;
	found.frontend = way->frontend;
	found.forwarding = SLUICE_FORWARD_FULLNAT;
	found.key = v4 ? sluice_snat_key(ctx->snat, client, way->frontend, SLUICE_IPV4)
	               : sluice_snat_key(ctx->snat, client, way->frontend, SLUICE_IPV6);
	found.hash = sluice_snat_hash(ctx->snat, found.key);
	if (!sluice_track_snat_peek(ctx, &found))
		return false;
	*p = found;
	sluice_forward_piece_in(ctx, p);
	return true;
}

SLUICE_INLINE uint64_t fingerprint(const struct sluice_pipeline *ctx, const struct sluice_packet *p,
                                   const struct sluice_target *endpoint, uint16_t port,
                                   struct sluice_target_view *from, enum sluice_family family)
{
	struct sluice_target_view to = sluice_packet_address(p, SLUICE_DESTINATION, family);

	*from = sluice_packet_address(p, SLUICE_SOURCE, family);
	from->port = endpoint->port;
	to.port = port;
	from->protocol = to.protocol = endpoint->protocol;
	return sluice_snat_fingerprint(ctx->snat, *from, to, family);
}

// An endpoint's: its port and ours make the fingerprint of the flow.
static bool go_back(struct sluice_pipeline *ctx, struct sluice_packet *p,
                    const struct sluice_fragment_way *way)
{
	const struct sluice_target *endpoint = &ctx->snapshot->endpoints[way->slot].target;
	struct sluice_snat_return client;
	struct sluice_target_view from;
	uint64_t print = p->family == SLUICE_IPV4
	                         ? fingerprint(ctx, p, endpoint, way->port, &from, SLUICE_IPV4)
	                         : fingerprint(ctx, p, endpoint, way->port, &from, SLUICE_IPV6);

	if (!sluice_forward_snat_client(ctx, print, from, p->family, &client))
		return false;
	// Should it be cut.
	p->forwarding = SLUICE_FORWARD_FULLNAT;
	p->to_snat = true;
	p->key = print;
	sluice_forward_piece_return(ctx, p, &client);
	return true;
}

// One whose flow is gone is as good as one whose first did not come.
static void go_by_flow(struct sluice_pipeline *ctx, struct sluice_packet *p,
                       const struct sluice_fragment_way *way)
{
	if (!(way->owner == SLUICE_FRAGMENT_SNAT_IN ? go_in(ctx, p, way) : go_back(ctx, p, way)))
		p->verdict = SLUICE_VERDICT_HOLD;
}

static void follow(struct sluice_pipeline *ctx, struct sluice_burst *b, struct sluice_packet *p)
{
	enum claim c = claim(ctx->snapshot, p);
	struct sluice_fragment_way way;

	if (c == CLAIM_NONE) {
		p->verdict = SLUICE_VERDICT_PASS;
		return;
	}
	sluice_fragments_key(ctx->fragments, p);
	way = sluice_fragments_find(ctx->fragments, ctx->snapshot, p, ctx->now);
	if (way.owner == SLUICE_FRAGMENT_UNKNOWN && c != CLAIM_NODE)
		p->verdict = SLUICE_VERDICT_HOLD;
	else if (way.owner <= SLUICE_FRAGMENT_KERNEL)
		p->verdict = SLUICE_VERDICT_PASS;
	else if (sluice_is_foreign_vlan(ctx->snapshot, p))
		sluice_packet_drop(p, SLUICE_DROP_VLAN);
	else if (way.owner == SLUICE_FRAGMENT_SERVICE)
		go_by_service(ctx->snapshot, b, p, &way);
	else
		go_by_flow(ctx, p, &way);
}

void sluice_reunite(struct sluice_pipeline *ctx, struct sluice_burst *b)
{
	for (unsigned i = 0; i < b->count; i++)
		if (b->packets[i].fragment == SLUICE_FRAGMENT_FIRST)
			lead(ctx, &b->packets[i]);
	for (unsigned i = 0; i < b->count; i++)
		if (b->packets[i].fragment == SLUICE_FRAGMENT_LATER &&
		    b->packets[i].verdict == SLUICE_VERDICT_NONE)
			follow(ctx, b, &b->packets[i]);
}

// ---- what was cut here

static void return_pieces(struct sluice_pipeline *ctx, struct sluice_burst *b)
{
	const struct sluice_packet *p = b->packets;
	const struct sluice_endpoint *e = &ctx->snapshot->endpoints[p->slot];
	struct sluice_snat_return client;
	bool known = sluice_forward_snat_client(ctx, p->key, sluice_target_view(&e->target),
	                                        p->family, &client);

	for (unsigned i = 0; i < b->count; i++) {
		if (known)
			sluice_forward_piece_return(ctx, &b->packets[i], &client);
		else
			sluice_packet_drop(&b->packets[i], SLUICE_DROP_NO_RETURN_FLOW);
	}
}

void sluice_reunite_pieces(struct sluice_pipeline *ctx, struct sluice_burst *b)
{
	if (b->packets->to_snat) {
		return_pieces(ctx, b);
		return;
	}
	for (unsigned i = 0; i < b->count; i++) {
		if (b->packets->forwarding == SLUICE_FORWARD_FULLNAT)
			sluice_forward_piece_in(ctx, &b->packets[i]);
		else
			go_on(ctx->snapshot, b, &b->packets[i]);
	}
}
