// SPDX-License-Identifier: BSD-3-Clause

// Errors from inside a tunnel. What they quote is a packet from this host to an endpoint; who must
// know is the client whose packet was inside. It gets an error about that packet (RFC 2003,
// section 4; RFC 2473, section 8), where the quote goes that far: from the virtual address, as the
// host that encapsulates has no other that the client knows.

#include "dataplane/answer.h"
#include "dataplane/encap.h"
#include "dataplane/icmp.h"

enum {
	LEAST_MTU_V4 = 68,
	LEAST_MTU_V6 = 1280,
	LEAST_QUOTE = 128, // where something may follow the quote (RFC 4884)
};

// Whether the client's packet is quoted up to its ports. Sets where it is, and in which mode it
// was sent.
static bool find_inner(const struct sluice_packet *quote, struct sluice_packet *inner,
                       enum sluice_forwarding *mode)
{
	uint32_t at = quote->l4;

	*mode = SLUICE_FORWARD_IPIP;
	if (quote->protocol == IPPROTO_UDP) {
		*mode = SLUICE_FORWARD_GUE;
		at += sizeof(struct sluice_udp);
	} else if (quote->protocol != IPPROTO_IPIP && quote->protocol != IPPROTO_IPV6) {
		return false;
	}
	if (at >= quote->head ||
	    (*mode == SLUICE_FORWARD_GUE &&
	     sluice_packet_port(quote, SLUICE_DESTINATION) != htons(SLUICE_GUE_PORT)))
		return false;
	*inner = (struct sluice_packet){
	        .data = quote->data + at,
	        .length = quote->head - at,
	        .head = (uint16_t)(quote->head - at),
	        .family = quote->data[at] >> 4 == 4 ? SLUICE_IPV4 : SLUICE_IPV6,
	};
	return sluice_icmp_read(inner) && sluice_icmp_has_ports(inner);
}

static bool is_address(const struct sluice_address *a, const struct sluice_packet *quote,
                       enum sluice_side side)
{
	if (quote->family == SLUICE_IPV4)
		return memcmp(a->bytes + 12, sluice_packet_wire(quote, side, SLUICE_IPV4), 4) == 0;
	return memcmp(a->bytes, sluice_packet_wire(quote, side, SLUICE_IPV6), 16) == 0;
}

// Whether such a packet of the client's would go into that tunnel.
static bool is_ours(const struct sluice_pipeline *ctx, const struct sluice_packet *quote,
                    struct sluice_packet *inner, enum sluice_forwarding mode)
{
	struct sluice_burst alone = {0};
	const struct sluice_endpoint *e;

	sluice_classify_one(ctx, &alone, inner);
	if (alone.in_count == 0 || inner->forwarding != mode || !sluice_track_peek(ctx, inner))
		return false;
	e = &ctx->snapshot->endpoints[inner->slot];
	return e->target.family == quote->family &&
	       is_address(&e->tunnel_source, quote, SLUICE_SOURCE) &&
	       is_address(&e->target.address, quote, SLUICE_DESTINATION);
}

static uint32_t error_mtu(const struct sluice_packet *p)
{
	const uint8_t *icmp = sluice_packet_l4(p);
	uint32_t mtu;

	memcpy(&mtu, icmp + 4, sizeof(mtu));
	mtu = ntohl(mtu);
	return p->family == SLUICE_IPV4 ? mtu & 0xffff : mtu;
}

// What the error means for the packet inside; NULL: nothing that the client could know what to do
// with. A parameter problem is one of the outer header, a failed source route nobody's.
static const struct sluice_answer_error *translate(const struct sluice_packet *p,
                                                   enum sluice_family inner,
                                                   enum sluice_forwarding mode, uint32_t *mtu)
{
	static const struct sluice_answer_error host_unreachable = {3, 1, 1, 3};
	const uint8_t *icmp = sluice_packet_l4(p);
	uint32_t overhead = sluice_forward_overhead(mode, p->family);
	uint32_t least = inner == SLUICE_IPV4 ? LEAST_MTU_V4 : LEAST_MTU_V6;
	bool v4 = p->family == SLUICE_IPV4;

	*mtu = 0;
	if (v4 ? icmp[0] == 3 && icmp[1] == 4 : icmp[0] == 2) {
		uint32_t outer = error_mtu(p);

		if (outer <= overhead || outer > UINT16_MAX)
			return NULL;
		*mtu = outer - overhead < least ? least : outer - overhead;
		return &sluice_answer_too_big;
	}
	if (v4 ? (icmp[0] == 3 && icmp[1] != 5) || icmp[0] == 11 : icmp[0] == 1 || icmp[0] == 3)
		return &host_unreachable;
	return NULL;
}

// Cuts off what may follow a quote (RFC 4884): the error says in words how long the quote is.
static void cut_extension(const struct sluice_packet *p, const struct sluice_packet *quote,
                          struct sluice_packet *inner)
{
	const uint8_t *icmp = sluice_packet_l4(p);
	uint32_t before = (uint32_t)(inner->data - quote->data), length = icmp[4] * 8U;

	if (p->family == SLUICE_IPV4)
		length = icmp[5] * 4U;
	else if (icmp[0] == 2)
		length = 0;
	if (length >= LEAST_QUOTE && length > before && length - before < inner->length)
		inner->length = length - before;
}

// What is left of the error's frame is the client's packet, behind an Ethernet header.
static void uncover(struct sluice_packet *p, const struct sluice_packet *inner)
{
	uint16_t type =
	        htons(inner->family == SLUICE_IPV4 ? SLUICE_ETHERTYPE_V4 : SLUICE_ETHERTYPE_V6);

	p->data = inner->data - SLUICE_ETHERNET;
	p->length = SLUICE_ETHERNET + inner->length;
	p->l3 = SLUICE_ETHERNET;
	p->family = inner->family;
	memcpy(p->data + SLUICE_ETHERNET - sizeof(type), &type, sizeof(type));
}

void sluice_icmp_tunnel(struct sluice_pipeline *ctx, struct sluice_packet *p,
                        const struct sluice_packet *quote)
{
	const struct sluice_adjacency *adjacencies[SLUICE_BURST];
	struct sluice_burst alone = {.returns = {p}, .return_count = 1};
	const struct sluice_answer_error *error;
	enum sluice_forwarding mode;
	struct sluice_packet inner;
	uint32_t mtu;

	if (p->head < p->length || !find_inner(quote, &inner, &mode))
		return;
	inner.port_in = p->port_in;
	inner.tag = p->tag;
	error = translate(p, inner.family, mode, &mtu);
	if (!error || !is_ours(ctx, quote, &inner, mode) || !sluice_answer_has_sender(&inner))
		return;
	cut_extension(p, quote, &inner);
	uncover(p, &inner);
	sluice_answer_write_error(p, error, mtu);
	p->verdict = SLUICE_VERDICT_NONE;
	sluice_route(ctx->snapshot, &alone, adjacencies);
	if (sluice_packet_may_leave(p, adjacencies[0], p->family))
		sluice_egress(p, adjacencies[0]);
}
