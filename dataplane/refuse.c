// SPDX-License-Identifier: BSD-3-Clause

// When a packet can't go on and its sender is told. A service without endpoints refuses at once,
// as a host with a closed port would: TCP with a reset, UDP with port unreachable. A packet that
// does not fit the way out is treated as by a router: cut where it may be (split.c), and where it
// may not the sender is answered, so that it learns the path's MTU.

#include "dataplane/pipeline.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include "dataplane/answer.h"
#include "dataplane/parse.h"

static bool within_budget(struct sluice_pipeline *ctx)
{
	if (ctx->refuse_second != ctx->now) {
		ctx->refuse_second = ctx->now;
		ctx->refuse_budget = SLUICE_REFUSALS_PER_SECOND;
	}
	if (ctx->refuse_budget == 0)
		return false;
	ctx->refuse_budget--;
	return true;
}

void sluice_refuse(struct sluice_pipeline *ctx, struct sluice_packet *p)
{
	static const struct sluice_answer_error port_unreachable = {3, 3, 1, 4};
	bool tcp = p->protocol == IPPROTO_TCP;

	// Never a reset for a reset.
	if ((tcp && (p->tcp_flags & SLUICE_TCP_RST)) || !sluice_answer_possible(p))
		sluice_packet_drop(p, SLUICE_DROP_NO_ENDPOINT);
	else if (!within_budget(ctx))
		sluice_packet_drop(p, SLUICE_DROP_REFUSE_LIMITED);
	else if (tcp)
		sluice_answer_reset(p);
	else
		sluice_answer_error(p, &port_unreachable, 0);
}

// RFC 1191, section 4: only what may not be cut. RFC 792, RFC 4443: no error about an error, nor
// about a fragment but the first.
static bool is_told_of_mtu(const struct sluice_packet *p)
{
	const struct sluice_ipv4 *ip = sluice_packet_l3(p);

	if ((p->protocol != IPPROTO_TCP && p->protocol != IPPROTO_UDP) ||
	    p->fragment == SLUICE_FRAGMENT_LATER)
		return false;
	return p->family == SLUICE_IPV6 || (ip->fragment & htons(SLUICE_DONT_FRAGMENT_V4));
}

// As a router would, and so that it helps: the first piece has the ports and the checksum, which
// are rewritten, and no piece ends behind what an offset can say.
static bool may_be_cut(const struct sluice_packet *p)
{
	const struct sluice_ipv4 *ip = sluice_packet_l3(p);
	uint32_t field, header, payload;

	if (p->family != SLUICE_IPV4 || p->head != p->length || p->mtu < SLUICE_MTU_LEAST_V4 ||
	    (p->protocol != IPPROTO_TCP && p->protocol != IPPROTO_UDP))
		return false;
	field = ntohs(ip->fragment);
	header = (ip->version_ihl & 0x0f) * 4U;
	payload = ntohs(ip->total_length) - header;
	return !(field & SLUICE_DONT_FRAGMENT_V4) &&
	       ((p->mtu - header) & ~7U) >= sizeof(struct sluice_tcp) &&
	       (field & SLUICE_FRAGMENT_OFFSET_V4) * 8 + payload <= UINT16_MAX;
}

// The answer's source is the address that the packet was for. To a client that is the virtual
// address. To an endpoint it is the client's: which address of the host faces the endpoint is
// known to the kernel alone, and as with a router whose link has no address any will do, for what
// an endpoint goes by is the quote.
void sluice_refuse_size(struct sluice_pipeline *ctx, struct sluice_packet *p)
{
	if (may_be_cut(p))
		p->verdict = SLUICE_VERDICT_SPLIT;
	else if (is_told_of_mtu(p) && sluice_answer_possible(p) && within_budget(ctx))
		sluice_answer_error(p, &sluice_answer_too_big, p->mtu);
}
