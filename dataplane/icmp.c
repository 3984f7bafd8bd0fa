// SPDX-License-Identifier: BSD-3-Clause

// ICMP errors. An error that quotes a packet travels like a reply to that packet: so the reply is
// made up, as far as its addresses and ports go, and classified as any other packet; where it
// would be sent, the error is. What the reply's rewriting would do to one of its sides is done to
// the same side of the error's IP header, and to the other side of the quote, as that packet goes
// the other way.
//
//   error                      quote            reply              error becomes
//   R -> VIP                   VIP:p -> C:q     C:q -> VIP:p       R -> E     [E:e -> C:q]
//   R or E -> C                C:q -> E:e       E:e -> C:q         R or VIP -> C   [C:q -> VIP:p]
//
// C client, E endpoint, R any router. Quotes of ICMP are not looked at, so there are never errors
// about errors.

#include "dataplane/icmp.h"

#include "dataplane/forward.h"
#include "dataplane/parse.h"

// A reply to a quoted packet: addresses, ports and nothing else.
struct reply {
	uint8_t bytes[sizeof(struct sluice_ipv6) + 4];
	struct sluice_packet packet;
};

static bool quote_v4(struct sluice_packet *q)
{
	const struct sluice_ipv4 *ip = sluice_packet_l3(q);

	if (q->head < sizeof(*ip) || (ip->version_ihl >> 4) != 4)
		return false;
	q->l4 = (uint16_t)((ip->version_ihl & 0x0f) * 4);
	q->protocol = ip->protocol;
	return q->l4 >= sizeof(*ip) && !(ip->fragment & htons(SLUICE_FRAGMENT_OFFSET_V4));
}

static bool quote_v6(struct sluice_packet *q)
{
	const struct sluice_ipv6 *ip = sluice_packet_l3(q);
	uint32_t at = sizeof(*ip);

	if (q->head < sizeof(*ip) || (q->data[0] >> 4) != 6)
		return false;
	q->protocol = ip->next_header;
	for (unsigned i = 0; q->protocol == IPPROTO_HOPOPTS || q->protocol == IPPROTO_ROUTING ||
	                     q->protocol == IPPROTO_DSTOPTS || q->protocol == IPPROTO_FRAGMENT;
	     i++) {
		const uint8_t *h = q->data + at;
		uint16_t offset;

		if (i == SLUICE_EXTENSIONS_MAX || at + 8 > q->head)
			return false;
		// On a source route its destination would be another.
		if (q->protocol == IPPROTO_ROUTING && h[3] != 0)
			return false;
		memcpy(&offset, h + 2, 2);
		if (q->protocol != IPPROTO_FRAGMENT)
			at += 8 + h[1] * 8U;
		else if (offset & htons(SLUICE_FRAGMENT_OFFSET_V6))
			return false;
		else
			at += 8;
		q->protocol = h[0];
	}
	q->l4 = (uint16_t)at;
	return true;
}

bool sluice_icmp_read(struct sluice_packet *q)
{
	return q->family == SLUICE_IPV4 ? quote_v4(q) : quote_v6(q);
}

static bool find_quote(const struct sluice_packet *p, struct sluice_packet *quote)
{
	uint32_t at = p->l4 + SLUICE_ICMP_HEADER, end = sluice_packet_end(p);

	if (end > p->head)
		end = p->head;
	*quote = (struct sluice_packet){
	        .data = p->data + at,
	        .length = end - at,
	        .head = (uint16_t)(end - at),
	        .family = p->family,
	};
	return sluice_icmp_read(quote);
}

static void make_reply(struct reply *r, const struct sluice_packet *p,
                       const struct sluice_packet *q)
{
	bool v4 = q->family == SLUICE_IPV4;
	unsigned size = v4 ? 4 : 16, source = v4 ? 12 : 8;
	uint16_t ip = v4 ? sizeof(struct sluice_ipv4) : sizeof(struct sluice_ipv6);

	memset(r, 0, sizeof(*r));
	memcpy(r->bytes + source, q->data + source + size, size);
	memcpy(r->bytes + source + size, q->data + source, size);
	memcpy(r->bytes + ip, q->data + q->l4 + 2, 2);
	memcpy(r->bytes + ip + 2, q->data + q->l4, 2);
	r->packet = (struct sluice_packet){
	        .data = r->bytes,
	        .length = ip + 4,
	        .head = ip + 4,
	        .l4 = ip,
	        .family = q->family,
	        .protocol = q->protocol,
	        .port_in = p->port_in,
	        .tag = p->tag,
	};
}

void sluice_icmp_hop(struct sluice_packet *p)
{
	struct sluice_ipv4 *ip = sluice_packet_l3(p);

	if (p->family == SLUICE_IPV4) {
		sluice_packet_hop(p, SLUICE_IPV4);
		ip->checksum = sluice_checksum_update(ip->checksum, SLUICE_HOP_SUM, 0);
	} else {
		sluice_packet_hop(p, SLUICE_IPV6);
	}
}

static void change_network(struct sluice_packet *p, enum sluice_side side,
                           const struct sluice_change *c)
{
	if (p->family == SLUICE_IPV4)
		sluice_change_network(p, side, c, SLUICE_IPV4);
	else
		sluice_change_network(p, side, c, SLUICE_IPV6);
}

// Of the quote's checksums the one of its transport header may not be there.
static void change_quote(struct sluice_packet *q, enum sluice_side side,
                         const struct sluice_change *c)
{
	unsigned with_checksum = q->protocol == IPPROTO_UDP ? 8 : 18;

	change_network(q, side, c);
	if (q->l4 + with_checksum <= q->head)
		sluice_change_transport(q, side, c);
	else
		memcpy(q->data + q->l4 + (side == SLUICE_SOURCE ? 0 : 2), &c->to->port, 2);
}

// Whether the error's own address on that side is the quote's on the other one. Not with an
// error from a router.
static bool is_same_host(const struct sluice_packet *p, const struct sluice_packet *q,
                         enum sluice_side side)
{
	enum sluice_side other = side == SLUICE_SOURCE ? SLUICE_DESTINATION : SLUICE_SOURCE;
	enum sluice_family family = p->family == SLUICE_IPV4 ? SLUICE_IPV4 : SLUICE_IPV6;

	return memcmp(sluice_packet_wire(p, side, family), sluice_packet_wire(q, other, family),
	              family == SLUICE_IPV4 ? 4 : 16) == 0;
}

void sluice_icmp_change(struct sluice_packet *p, struct sluice_packet *quote, enum sluice_side side,
                        const struct sluice_change *c)
{
	uint32_t headers = quote->l4 + (uint32_t)sizeof(struct sluice_tcp);
	uint32_t old_sum, new_sum;
	uint8_t *at = (uint8_t *)sluice_packet_l4(p) + 2;
	uint16_t checksum;
	bool outer = is_same_host(p, quote, side);

	if (headers > quote->head)
		headers = quote->head;
	old_sum = sluice_sum_bytes(quote->data, headers);
	change_quote(quote, side == SLUICE_SOURCE ? SLUICE_DESTINATION : SLUICE_SOURCE, c);
	new_sum = sluice_sum_bytes(quote->data, headers);
	if (outer)
		change_network(p, side, c);
	if (outer && p->family == SLUICE_IPV6) { // in the pseudo header
		old_sum += c->old_address;
		new_sum += c->new_address;
	}
	memcpy(&checksum, at, 2);
	checksum = sluice_checksum_update(checksum, old_sum, new_sum);
	memcpy(at, &checksum, 2);
}

static void to_endpoint(struct sluice_pipeline *ctx, struct sluice_packet *p,
                        struct sluice_packet *quote, struct sluice_packet *reply)
{
	const struct sluice_forward_ops *ops = sluice_forward_mode(reply->forwarding);

	if (!sluice_track_peek(ctx, reply)) {
		sluice_packet_drop(p, SLUICE_DROP_NO_ENDPOINT);
		return;
	}
	p->verdict = SLUICE_VERDICT_NONE;
	p->slot = reply->slot;
	p->key = reply->key;
	p->hash = reply->hash;
	if (ops->error_in)
		ops->error_in(ctx, p, quote);
	else
		ops->in(ctx, &p, 1);
}

static void to_client(struct sluice_pipeline *ctx, struct sluice_packet *p,
                      struct sluice_packet *quote, const struct sluice_packet *reply)
{
	const struct sluice_forward_ops *ops = sluice_forward_mode(reply->forwarding);
	const struct sluice_adjacency *adjacencies[SLUICE_BURST];
	struct sluice_burst alone = {.returns = {p}, .return_count = 1};

	if (!ops->error_out)
		return;
	p->verdict = SLUICE_VERDICT_NONE;
	p->slot = reply->slot;
	sluice_route(ctx->snapshot, &alone, adjacencies);
	ops->error_out(ctx, p, quote, adjacencies[0]);
}

static void follow_reply(struct sluice_pipeline *ctx, struct sluice_packet *p,
                         struct sluice_packet *quote)
{
	struct sluice_burst alone = {0};
	struct reply reply;

	make_reply(&reply, p, quote);
	sluice_classify_one(ctx, &alone, &reply.packet);
	p->frontend = reply.packet.frontend;
	p->forwarding = reply.packet.forwarding;
	if (reply.packet.verdict == SLUICE_VERDICT_DROP)
		sluice_packet_drop(p, reply.packet.reason);
	else if (alone.in_count > 0)
		to_endpoint(ctx, p, quote, &reply.packet);
	else if (alone.return_count > 0)
		to_client(ctx, p, quote, &reply.packet);
	else if (alone.snat_count > 0)
		sluice_forward_snat_error(ctx, p, quote, &reply.packet);
}

// The packet has the verdict PASS, which stays where it is not ours.
static void judge(struct sluice_pipeline *ctx, struct sluice_packet *p)
{
	struct sluice_packet quote;

	// An error is for whom it quotes.
	if (!find_quote(p, &quote) || !is_same_host(p, &quote, SLUICE_DESTINATION))
		return;
	// In a later segment a checksum could not be brought in step.
	if (sluice_icmp_has_ports(&quote) &&
	    (p->head == p->length || quote.l4 + sizeof(struct sluice_tcp) <= quote.head))
		follow_reply(ctx, p, &quote);
	if (p->verdict == SLUICE_VERDICT_PASS)
		sluice_icmp_tunnel(ctx, p, &quote);
}

void sluice_icmp(struct sluice_pipeline *ctx, struct sluice_burst *b)
{
	for (unsigned i = 0; i < b->icmp_count; i++)
		judge(ctx, b->icmp[i]);
}
