// SPDX-License-Identifier: BSD-3-Clause

// A later fragment has no ports: it goes where the first fragment of its datagram went, which was
// looked up like any packet. Runs after tracking, so that both may be in one burst, in any order.
//
// A datagram for a virtual address, or from an endpoint, need not be a service's: it may be for
// another port, or an endpoint's own business. The map remembers first fragments of such ones as
// the kernel's, where a port hands them to us. Later fragments for the host's own addresses, where
// node ports are, are the kernel's unless the first one says otherwise, and never wait for it. Not
// so those that fullnat's endpoints send to an address that we send from.

#include "dataplane/pipeline.h"

#include "dataplane/belong.h"
#include "dataplane/forward.h"
#include "dataplane/fragments.h"

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

// Packets that get an answer, or go no further, have a verdict already.
static void learn(const struct sluice_pipeline *ctx, struct sluice_packet *p)
{
	if (p->verdict == SLUICE_VERDICT_PASS) {
		// Later ones of other protocols are the kernel's without being asked for here.
		if ((p->protocol != IPPROTO_TCP && p->protocol != IPPROTO_UDP) ||
		    claim(ctx->snapshot, p) != CLAIM_OURS)
			return;
		p->frontend = 0;
	} else if (p->verdict != SLUICE_VERDICT_NONE) {
		return;
	}
	sluice_fragments_key(ctx->fragments, p);
	sluice_fragments_learn(ctx->fragments, ctx->snapshot, p, ctx->now);
}

// Which way the first fragment went. The service's forwarding mode may be another since: fullnat,
// which has to know the ports, or one whose endpoints answer clients directly.
void sluice_reunite_one(const struct sluice_snapshot *s, struct sluice_burst *b,
                        struct sluice_packet *p)
{
	const struct sluice_address *virtual = &s->frontends[p->frontend].target.address;
	unsigned size;
	const uint8_t *wire = sluice_address_wire(virtual, &size);

	if (p->forwarding == SLUICE_FORWARD_FULLNAT)
		sluice_packet_drop(p, SLUICE_DROP_FRAGMENT);
	else if (memcmp(sluice_packet_wire(p, SLUICE_DESTINATION, p->family), wire, size) == 0)
		b->in[b->in_count++] = p;
	else if (sluice_forward_answers(p->forwarding))
		b->returns[b->return_count++] = p;
	else
		p->verdict = SLUICE_VERDICT_PASS;
}

static void follow(const struct sluice_pipeline *ctx, struct sluice_burst *b,
                   struct sluice_packet *p)
{
	enum claim c = claim(ctx->snapshot, p);
	enum sluice_fragment_owner owner;

	if (c == CLAIM_NONE) {
		p->verdict = SLUICE_VERDICT_PASS;
		return;
	}
	sluice_fragments_key(ctx->fragments, p);
	owner = sluice_fragments_find(ctx->fragments, ctx->snapshot, p, ctx->now);
	if (owner == SLUICE_FRAGMENT_UNKNOWN && c != CLAIM_NODE)
		p->verdict = SLUICE_VERDICT_HOLD;
	else if (owner != SLUICE_FRAGMENT_SERVICE)
		p->verdict = SLUICE_VERDICT_PASS;
	else if (sluice_is_foreign_vlan(ctx->snapshot, p))
		sluice_packet_drop(p, SLUICE_DROP_VLAN);
	else
		sluice_reunite_one(ctx->snapshot, b, p);
}

void sluice_reunite(const struct sluice_pipeline *ctx, struct sluice_burst *b)
{
	for (unsigned i = 0; i < b->count; i++)
		if (b->packets[i].fragment == SLUICE_FRAGMENT_FIRST)
			learn(ctx, &b->packets[i]);
	for (unsigned i = 0; i < b->count; i++)
		if (b->packets[i].fragment == SLUICE_FRAGMENT_LATER &&
		    b->packets[i].verdict == SLUICE_VERDICT_NONE)
			follow(ctx, b, &b->packets[i]);
}
